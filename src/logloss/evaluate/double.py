"""Pairs of float64 whose sum is a number to about 100 bits, with a bound of its error: it knows its limits.

Magnitudes must be far from overflow and underflow: those of a state's usual digits are, up to products of four of its
sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Doubles:
    """Numbers high + low, each off by no more than its error: the three rows."""

    rows: Floats

    @classmethod
    def of_whole(cls, values: NDArray[np.int64]) -> Doubles:
        """Whole numbers below 2^53."""
        rows = np.zeros((3, values.size))
        rows[0] = values
        return cls(rows)

    @classmethod
    def of_digits(cls, digits: NDArray[np.int64], error: Floats) -> list[Doubles]:
        """The narrow digits (cell, sum, digit) of sums, carried, of which an error is known already."""
        from .._kernels import double

        found = np.empty((digits.shape[1], 3, digits.shape[0]))
        double.of_digits(np.ascontiguousarray(digits.transpose(0, 2, 1)), error, found)
        return [cls(rows) for rows in found]

    def __add__(self, other: Doubles) -> Doubles:
        return self._with(other, 1.0)

    def __sub__(self, other: Doubles) -> Doubles:
        return self._with(other, -1.0)

    def _with(self, other: Doubles, sign: float) -> Doubles:
        from .._kernels import double

        found = np.empty_like(self.rows)
        double.add(self.rows, other.rows, sign, found)
        return Doubles(found)

    def __mul__(self, other: Doubles) -> Doubles:
        from .._kernels import double

        found = np.empty_like(self.rows)
        double.multiply(self.rows, other.rows, found)
        return Doubles(found)


def quotient(part: Doubles, whole: Doubles) -> tuple[Floats, NDArray[np.bool_]]:
    """(part / whole as the nearest float64, whether that is still open)."""
    from .._kernels import double

    values, certain = np.empty(part.rows.shape[1]), np.empty(part.rows.shape[1], np.bool_)
    double.divide(part.rows, whole.rows, values, certain)
    return values, ~certain
