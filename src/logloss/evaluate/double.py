"""Pairs of float64 whose sum is a number to about 100 bits, with a bound of its error: it knows its limits.

Sums and products of two float64 are split into what is rounded and the rest (Dekker, *A Floating-Point Technique for
Extending the Available Precision*, 1971). Magnitudes must be far from overflow and underflow: those of a state's usual
window are, up to products of four of its sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._kernels.window import BITS, FINEST

Floats = NDArray[np.float64]

_EPS = 2.0**-100
"""More than the relative error of any operation here, 2^-102 of what it adds or multiplies."""

_SPLITTER = 2.0**27 + 1


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a + b rounded, and the rest, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _quick_two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The same where |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


def _split(a: Floats) -> tuple[Floats, Floats]:
    scaled = a * _SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a·b rounded, and the rest, exactly."""
    product = a * b
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


@dataclass(frozen=True)
class Doubles:
    """Numbers high + low, each off by no more than its error."""

    high: Floats
    low: Floats
    error: Floats

    @classmethod
    def of_whole(cls, values: NDArray[np.int64]) -> Doubles:
        """Whole numbers below 2^53."""
        return cls(values.astype(np.float64), np.zeros(values.size), np.zeros(values.size))

    @classmethod
    def of_digits(cls, digits: NDArray[np.int64], error: Floats) -> Doubles:
        """The narrow digits of sums, carried, of which an error is known already."""
        zero, top = np.zeros(digits.shape[0]), digits.shape[1] - 1
        total = cls(zero, zero, error)
        negative = digits[:, top] < 0  # its digits are added as those of its opposite, lest they cancel
        for j in range(top, -1, -1):
            column = digits[:, j]
            if negative.any():
                opposite = (-1 if j == top else (1 << BITS) - 1) - column + (j == 0)
                column = np.where(negative, opposite, column)
            if column.any():
                total = total + cls(np.ldexp(column.astype(np.float64), FINEST + BITS * j), zero, zero)
        high, low = (np.where(negative, -part, part) for part in (total.high, total.low))
        return cls(high, low, total.error)

    def __add__(self, other: Doubles) -> Doubles:
        high, rest = _two_sum(self.high, other.high)
        low, lost = _two_sum(self.low, other.low)
        high, rest = _quick_two_sum(high, rest + low)
        high, low = _quick_two_sum(high, rest + lost)
        exact = (self.low == 0) & (other.low == 0) & (self.error == 0) & (other.error == 0)
        rounding = _EPS * (np.abs(self.high) + np.abs(other.high))
        return Doubles(high, low, np.where(exact, 0.0, self.error + other.error + rounding))

    def __neg__(self) -> Doubles:
        return Doubles(-self.high, -self.low, self.error)

    def __sub__(self, other: Doubles) -> Doubles:
        return self + -other

    def __mul__(self, other: Doubles) -> Doubles:
        high, rest = _two_product(self.high, other.high)
        exact = (self.low == 0) & (other.low == 0) & (self.error == 0) & (other.error == 0)
        rest = rest + (self.high * other.low + self.low * other.high)
        high, low = _quick_two_sum(high, rest)
        a, b = np.abs(self.high) * (1 + 2.0**-50), np.abs(other.high) * (1 + 2.0**-50)
        error = a * other.error + b * self.error + self.error * other.error + _EPS * (a * b)
        return Doubles(high, low, np.where(exact, 0.0, error))


def quotient(part: Doubles, whole: Doubles) -> tuple[Floats, NDArray[np.bool_]]:
    """(part / whole as the nearest float64, whether that is still open)."""
    with np.errstate(all="ignore"):
        first = part.high / whole.high
        rest = part - whole * Doubles(first, np.zeros_like(first), np.zeros_like(first))
        second = (rest.high + rest.low) / whole.high
        # part/whole = first + rest/whole; what the estimate of rest/whole may be off by, and then some
        size = np.abs(whole.high)
        error = 2 * (rest.error + np.abs(first) * whole.error) / size + np.abs(second) * 2.0**-48
        value = first + second
        known = (first + (second - error) == value) & (first + (second + error) == value)
        known &= (np.abs(value) > 2.0**-1000) & (np.abs(value) < 2.0**1000) & (whole.error < size / 2)
        nothing = (part.high == 0) & (part.error == 0)
        zero = (whole.high == 0) & (whole.error == 0) & (nothing | (np.abs(part.high) > part.error))
        value = np.where(zero, np.where(nothing, np.nan, np.copysign(np.inf, part.high)), value)
        nothing &= np.abs(whole.high) > whole.error
        value = np.where(nothing, 0.0, value)
    return value, ~(known | nothing | zero)
