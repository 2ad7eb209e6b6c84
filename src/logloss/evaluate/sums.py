"""Long integers that hold exact sums, as rows of 32-bit digits in an int64 array.

Digit j counts 2^(32j - 1088). The kernels add to the digits and leave carries in their upper halves; here they are
carried, widened and turned into Python integers. See `_kernels.exact` for how numbers come in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Digits = NDArray[np.int64]

DIGITS = 70
"""All digits: from below the smallest subnormal number to above 2^64 times the largest number."""

NARROW_LOW, NARROW_WIDTH = 28, 9
"""The usual window: from 2^-192 to beyond 2^82, a ninth of the memory."""

MOST_ADDITIONS = 2**27
"""Blocks that may be added between two `carry`: each adds less than 2^35 to a digit of 2^63."""

_UNIT_EXPONENT = 1088


_FEW = 1 << 15
"""Digits for which it is not worth to load a kernel."""


def carry(digits: Digits) -> None:
    """Bring every digit into [0, 2^32) except the highest, which keeps the sign; the value stays the same."""
    if digits.size > _FEW and digits.flags.c_contiguous:
        from .._kernels import digits as kernels

        kernels.carry(digits.reshape(-1, digits.shape[-1]))
        return
    for j in range(digits.shape[-1] - 1):
        digits[..., j + 1] += digits[..., j] >> 32
        digits[..., j] &= 0xFFFFFFFF


def add(into: Digits, cells: NDArray[np.int64], digits: Digits) -> None:
    """Add the sums of cell k, as if carried, to those of cell cells[k]; no cell is named twice."""
    if digits.size > _FEW:
        from .._kernels import digits as kernels

        kernels.add(into, cells, np.ascontiguousarray(digits))
        return
    digits = digits.copy()
    carry(digits)
    into[cells] += digits


def widen(digits: Digits, low: int) -> Digits:
    """The same sums with all digits, from a window that starts at digit `low`."""
    digits = digits.copy()
    carry(digits)
    full = np.zeros((*digits.shape[:-1], DIGITS), np.int64)
    full[..., low : low + digits.shape[-1]] = digits
    return full


def to_integers(digits: Digits) -> list[int]:
    """Each row of a two-dimensional array of digits as an integer that counts the window's unit."""
    digits = digits.copy()
    carry(digits)
    heads = digits[:, -1].tolist()
    tails = digits[:, :-1].astype("<u4").tobytes()
    size = 4 * (digits.shape[1] - 1)
    return [
        (head << 8 * size) + int.from_bytes(tails[size * i : size * (i + 1)], "little") for i, head in enumerate(heads)
    ]


def exponent_of_unit(low: int) -> int:
    """e, where integers of a window that starts at digit `low` count 2^-e."""
    return _UNIT_EXPONENT - 32 * low


def from_integer(value: int, width: int) -> Digits:
    """The digits of an integer that counts the window's unit."""
    size = 4 * (width - 1)
    head, tail = value >> 8 * size, value & ((1 << 8 * size) - 1)
    row = np.empty(width, np.int64)
    row[:-1] = np.frombuffer(tail.to_bytes(size, "little"), "<u4")
    row[-1] = head
    return row


def fits_window(mantissa: int, exponent: int, low: int, width: int) -> bool:
    """Whether mantissa·2^exponent is a whole number of the window's units, with room left for as much again."""
    shift = exponent + exponent_of_unit(low)
    whole = shift >= 0 or mantissa & ((1 << -shift) - 1) == 0
    return whole and mantissa.bit_length() + shift < 32 * (width - 1)


def exact_sum(values: NDArray[np.float64]) -> int:
    """The sum of finite numbers in units of 2^-1088, without rounding: for few numbers, without a kernel."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    total = 0
    for exponent in np.unique(exponents).tolist():
        chosen = mantissas[exponents == exponent]
        upper, lower = int((chosen >> 26).sum()), int((chosen & 0x3FFFFFF).sum())  # neither can overflow
        total += shifted((upper << 26) + lower, exponent - 53 + _UNIT_EXPONENT)
    return total


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
