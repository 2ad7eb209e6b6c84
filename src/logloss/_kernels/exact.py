"""Exact sums of float64 numbers: no rounding, whatever the magnitudes, so no order of adding can matter.

Adding M = 1.5·2^e to |x| <= 2^(e-1) leaves round(x / u) in the lowest bits of the sum's mantissa, with u = 2^(e-52),
and x minus what was rounded is again exact (Demmel and Nguyen, *Fast Reproducible Floating-Point Summation*, 2013). One
level takes 52 bits as an int64; levels follow until nothing is left of any number of the block. Level totals are
deposited in a long integer of 32-bit digits, held in int64 so that carries can wait (Neal, *Fast Exact Summation Using
Small and Large Superaccumulators*, 2015).

Digit j of a full sum counts 2^(32j - 1088), so that the 70 digits of `evaluate.sums` reach from below the smallest
subnormal number to above 2^64 times the largest number. A sum usually holds a window of those digits.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inline

BLOCK = 256
"""Numbers per level total: 2^8 numbers of 52 bits stay within an int64, and a block's columns in the cache."""

MAX_LEVELS = 42
"""52 bits a level from 2^1024 down to 2^-1074, and the first level of the next range."""

_LOWEST_DIGIT = -1088
_MIN_EXPONENT = -1022
_LARGEST_USUAL = 900
_ALL_BUT_SIGN = (1 << 63) - 1
_LARGEST_EXPONENT = 2044  # of a number below 2^1022, as its bits have it: 1.5·2^1023 is the largest anchor


@intrinsic
def bits(typing, x):
    """A float64's bits as an int64."""
    return types.int64(x), lambda context, b, signature, args: b.bitcast(args[0], ir.IntType(64))


@intrinsic
def from_bits(typing, i):
    """The float64 with the bits of an int64."""
    return types.float64(i), lambda context, b, signature, args: b.bitcast(args[0], ir.DoubleType())


@intrinsic
def _plus(typing, x, y):
    """x + y where no sum rounds, so that the compiler may add in any order."""
    return x(x, y), lambda context, b, signature, args: b.fadd(*args, flags=("reassoc",))


@inline
def _power(e):
    """2^e."""
    return from_bits((np.int64(e) + 1023) << 52)


@inline
def _anchor(e):
    """1.5·2^e."""
    return from_bits(((np.int64(e) + 1023) << 52) | (np.int64(1) << 51))


@inline
def _lower(e):
    """The exponent of the next level; the last possible one has the smallest subnormal number as its unit."""
    return max(e - 52, _MIN_EXPONENT)


@inline
def _two_levels(a, rest, e):
    """Totals of a on two levels from exponent e; `rest` gets what remains.

    Returns (total, total, whether a number is outside, whether anything remains).
    """
    m, m2 = _anchor(e), _anchor(_lower(e))
    m_bits = bits(m)
    first = np.int64(0)
    second = np.int64(0)
    outside = np.int64(0)
    remains = np.int64(0)
    for i in range(rest.size):
        x = a[i]
        y = x + m
        r = x - (y - m)
        y2 = r + m2
        r2 = r - (y2 - m2)
        first += bits(y)
        second += bits(y2)
        outside |= bits(y) ^ m_bits
        remains |= bits(r2)
        rest[i] = r2
    return first - rest.size * m_bits, second - rest.size * bits(m2), outside >> 52, remains << 1


@inline
def _one_level(rest, e):
    """The next level of what remains. Returns (total, remains)."""
    m = _anchor(e)
    total = np.int64(0)
    remains = np.int64(0)
    for i in range(rest.size):
        x = rest[i]
        y = x + m
        r = x - (y - m)
        total += bits(y)
        remains |= bits(r)
        rest[i] = r
    return total - rest.size * bits(m), remains << 1


@inline
def _finite(a, out):
    """The numbers, with 0 for those from 2^1022 on. Returns an exponent for them, and whether there was such a one."""
    largest = np.int64(0)
    overflow = False
    for i in range(out.size):
        x = a[i]
        exponent = (bits(x) >> 52) & 0x7FF
        if exponent > _LARGEST_EXPONENT:
            overflow = True
            x = 0.0
        else:
            largest = max(largest, exponent)
        out[i] = x
    return max(largest - 1023 + 2, _MIN_EXPONENT), overflow


@inline
def _split_any(a, rest, e, totals):
    """As `split`, of any numbers: level after level, until nothing remains."""
    overflow = False
    totals[0], totals[1], outside, remains = _two_levels(a, rest, e)
    if outside != 0:
        e, overflow = _finite(a, rest)
        totals[0], totals[1], outside, remains = _two_levels(rest, rest, e)
    levels = 2
    low = _lower(e)
    while (remains != 0) & (levels < MAX_LEVELS):
        low = _lower(low)
        totals[levels], remains = _one_level(rest, low)
        levels += 1
    return e, levels, overflow


@inline
def _as_integer(total, e):
    """A sum in units of 2^(e-52)."""
    return np.int64(total * _power(52 - e))


@inline
def _split_narrow(a, e, totals):
    """One level, as a sum of floats: all partial sums fit 53 bits."""
    total = 0.0
    for i in range(a.size):
        total = _plus(total, a[i])
    totals[0] = _as_integer(total, e)


@inline
def _split_usual(a, e, totals):
    """Two levels, the second one a sum of floats."""
    m = _anchor(e)
    first = np.int64(0)
    second = 0.0
    for i in range(a.size):
        x = a[i]
        y = x + m
        first += bits(y)
        second = _plus(second, x - (y - m))
    totals[0], totals[1] = first - a.size * bits(m), _as_integer(second, e - 52)


@inline
def _split_wide(a, e, totals):
    """Three levels, the third one a sum of floats."""
    m, m2 = _anchor(e), _anchor(e - 52)
    first = np.int64(0)
    second = np.int64(0)
    third = 0.0
    for i in range(a.size):
        x = a[i]
        y = x + m
        r = x - (y - m)
        y2 = r + m2
        first += bits(y)
        second += bits(y2)
        third = _plus(third, r - (y2 - m2))
    totals[0], totals[1] = first - a.size * bits(m), second - a.size * bits(m2)
    totals[2] = _as_integer(third, e - 104)


@inline
def split(a, rest, e, unit, totals):
    """Exact level totals of the sum of a; a number from 2^1022 on adds nothing. `rest` is scratch.

    All numbers are known to be multiples of 2^unit and, unless e > 900, to be at most 2^(e-1). That they are multiples
    bounds what is left for the last level, so that 256 such remainders add up in 53 bits.
    Returns (exponent used, number of levels, whether a number overflowed).
    """
    span = e - unit
    if (span > 150) | (e > _LARGEST_USUAL):
        return _split_any(a, rest, min(e, _LARGEST_USUAL), totals)
    if span <= 46:
        _split_narrow(a, e, totals)
        return e, 1, False
    if span <= 98:
        _split_usual(a, e, totals)
        return e, 2, False
    _split_wide(a, e, totals)
    return e, 3, False


@inline
def lowest(a):
    """e with 2^e <= |a[i]| for all a[i] but 0; at most 0."""
    least = np.int64(1023) << 52
    for i in range(a.size):
        least = min(least, (bits(a[i]) - 1) & _ALL_BUT_SIGN)  # 0 becomes the largest
    exponent = ((least + 1) >> 52) - 1023
    return exponent if exponent > -1023 else np.int64(-1074)


@inline
def highest(a):
    """e with |a[i]| < 2^e for all i; at least -300."""
    largest = np.int64(722) << 52
    for i in range(a.size):
        largest = max(largest, bits(a[i]) & _ALL_BUT_SIGN)
    return (largest >> 52) - 1022


@inline
def window_holds(e, levels, low, width):
    """Whether the digits low … low + width - 1 can take level totals from exponent e on."""
    highest = (e - 52 - _LOWEST_DIGIT) >> 5
    lowest = (max(e - 52 * (levels - 1), _MIN_EXPONENT) - 52 - _LOWEST_DIGIT) >> 5
    return (lowest >= low) & (highest + 2 < low + width)


@inline
def deposit(totals, levels, e, low, digits):
    """Add level totals to a long integer: each spans three digits at most."""
    for level in range(levels):
        shift = e - 52 - _LOWEST_DIGIT
        j, r = (shift >> 5) - low, shift & 31
        lower = (totals[level] & 0xFFFFFFFF) << r
        upper = (totals[level] >> 32) << r
        digits[j] += lower & 0xFFFFFFFF
        digits[j + 1] += (lower >> 32) + (upper & 0xFFFFFFFF)
        digits[j + 2] += upper >> 32
        e = _lower(e)


@inline
def is_held(e_low, e_high, low, width):
    """Whether the digits low … low + width - 1 can take numbers with 2^e_low <= |x| < 2^e_high, all bits of them."""
    lowest = (max(e_low - 52, -1074) - _LOWEST_DIGIT) >> 5
    highest = (e_high - 53 - _LOWEST_DIGIT) >> 5
    return (lowest >= low) & (highest + 2 < low + width) | (low == 0)


@inline
def deposit_one(x, low, digits):
    """Add a number to a long integer; one from 2^1022 on adds nothing. Returns whether it is such a one."""
    raw = bits(x)
    exponent = (raw >> 52) & 0x7FF
    if exponent > _LARGEST_EXPONENT:
        return True
    if raw & _ALL_BUT_SIGN != 0:
        mantissa = raw & ((1 << 52) - 1)
        mantissa |= np.int64(exponent > 0) << 52
        mantissa = -mantissa if raw < 0 else mantissa
        shift = max(exponent, 1) - 1075 - _LOWEST_DIGIT
        j, r = (shift >> 5) - low, shift & 31
        lower = (mantissa & 0xFFFFFFFF) << r
        upper = (mantissa >> 32) << r
        digits[j] += lower & 0xFFFFFFFF
        digits[j + 1] += (lower >> 32) + (upper & 0xFFFFFFFF)
        digits[j + 2] += upper >> 32
    return False
