"""Long integers that hold exact sums, as rows of 50-bit digits in an int64 array.

The kernels add to the digits and leave carries in their upper bits; here they are carried and turned into Python
integers. `_kernels.window` says where digits stand, `_kernels.exact` how numbers come in.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._kernels.window import BITS, DIGITS, FINEST, LOWEST, TOP

Digits = NDArray[np.int64]

_MASK = (1 << BITS) - 1
_FEW = 1 << 12
"""Rows of carried digits that can be added up before the digits are full."""


def carry(digits: Digits) -> None:
    """Bring every digit into [0, 2^50) except the highest, which keeps the sign; the value stays the same."""
    for j in range(digits.shape[-1] - 1):
        digits[..., j + 1] += digits[..., j] >> BITS
        digits[..., j] &= _MASK


def add_up(rows: Digits, into: Digits, first: int = 0) -> None:
    """Add the sums of all rows, which are carried, to those of one, whose digit `first` is the rows' first."""
    for start in range(0, len(rows), _FEW):
        into[..., first : first + rows.shape[-1]] += rows[start : start + _FEW].sum(0)
        carry(into)


def to_integers(digits: Digits) -> list[int]:
    """Each row of a two-dimensional array of carried digits as an integer that counts the first digit's unit."""
    columns: list[list[int]] = digits.T.tolist()
    found = columns.pop()
    for column in columns[::-1]:
        found = [(above << BITS) + digit for above, digit in zip(found, column, strict=True)]
    return found


def from_integer(value: int, width: int) -> Digits:
    """The digits of an integer that counts the first digit's unit."""
    row = [value >> BITS * j & _MASK for j in range(width - 1)]
    return np.array([*row, value >> BITS * (width - 1)], np.int64)


def is_narrow(mantissa: int, exponent: int) -> bool:
    """Whether the narrow window holds mantissa·2^exponent."""
    return _is_multiple(mantissa, exponent - FINEST) and mantissa.bit_length() + exponent < TOP


def is_possible(mantissa: int, exponent: int) -> bool:
    """Whether all digits hold mantissa·2^exponent, with room left for much more."""
    return _is_multiple(mantissa, exponent - LOWEST) and mantissa.bit_length() + exponent < LOWEST + BITS * (DIGITS - 1)


def _is_multiple(mantissa: int, shift: int) -> bool:
    return shift >= 0 or mantissa & ((1 << -shift) - 1) == 0


def exact_sum(values: NDArray[np.float64]) -> int:
    """The sum of finite numbers in units of 2^-1100, without rounding: for few numbers, without a kernel."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    total = 0
    for exponent in np.unique(exponents).tolist():
        chosen = mantissas[exponents == exponent]
        upper, lower = int((chosen >> 26).sum()), int((chosen & 0x3FFFFFF).sum())  # neither can overflow
        total += shifted((upper << 26) + lower, exponent - 53 - LOWEST)
    return total


def rounded_sum(values: NDArray[np.float64]) -> float:
    """The sum of finite numbers as the nearest float64, as `math.fsum` gives it."""
    from .._kernels import digits as kernels

    digits = np.zeros(DIGITS, np.int64)
    if values.size < _FEW or kernels.add_up(np.ascontiguousarray(values), digits):
        return math.fsum(values.tolist())
    return to_integers(digits[None])[0] / (1 << -LOWEST)


def shifted(mantissa: int, shift: int) -> int:
    """mantissa·2^shift, which must be whole."""
    return mantissa << shift if shift >= 0 else mantissa >> -shift


def to_text(mantissa: int, exponent: int) -> str:
    """A sum for a file, exactly: hexadecimal digits and a power of two."""
    zeros = (mantissa & -mantissa).bit_length() - 1 if mantissa else 0
    return f"{mantissa >> zeros:x}p{exponent + zeros if mantissa else 0}"


def from_text(text: str) -> tuple[int, int]:
    """The (mantissa, exponent) of a text; of how many digits is for whoever read it to bound."""
    mantissa, _, exponent = text.partition("p")
    return int(mantissa, 16), int(exponent)
