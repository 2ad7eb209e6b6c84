"""Exact sums of float64 numbers: no rounding, whatever the magnitudes, so no order of adding can matter.

Adding M = 1.5·2^e to |x| <= 2^(e-1) leaves round(x / u) in the lowest bits of the sum's mantissa, with u = 2^(e-52),
and x minus what was rounded is again exact (Demmel and Nguyen, *Fast Reproducible Floating-Point Summation*, 2013). One
level takes 52 bits as an int64; levels follow until nothing is left of any number of the block. Level totals are
deposited in the digits of a long integer; `window` says where these stand. Numbers that the narrow window holds need
no bounds: its digits are such levels, at fixed exponents.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inline
from .window import BITS, FINEST, LOWEST, TOP

BLOCK = 256
"""Numbers per level total: 2^8 numbers of 52 bits stay within an int64, and a block's columns in the cache."""

MAX_LEVELS = 42
"""52 bits a level from 2^1024 down to 2^-1074, and the first level of the next range."""

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
def is_narrow(e_low, e_high):
    """Whether the narrow window holds numbers with 2^e_low <= |x| < 2^e_high, all bits of them."""
    return (e_low - 52 >= FINEST) & (e_high <= TOP)


_MASK = (1 << BITS) - 1


@inline
def _deposit(total, place, digits, t, terms):
    """Add total·2^place, in units of the first digit, to sum t: it spans three digits, or ends in the last one."""
    if place < 0:  # what is a whole number of units has that many zeros
        total, place = total >> -place, 0
    j = place // BITS
    r = place - j * BITS
    at = j * terms + t
    digits[at] += (total << r) & _MASK
    upper = total >> (BITS - r)
    if at + 2 * terms < digits.size:
        digits[at + terms] += upper & _MASK
        digits[at + 2 * terms] += upper >> BITS
    else:
        digits[at + terms] += upper


@inline
def deposit(totals, levels, e, unit, digits, t, terms):
    """Add level totals to sum t of these; the first digit counts 2^unit."""
    for level in range(levels):
        if totals[level] != 0:
            _deposit(totals[level], e - 52 - unit, digits, t, terms)
        e = _lower(e)


@inline
def deposit_one(x, digits, t, terms):
    """Add a number to sum t of these, which have all digits; one from 2^1022 on adds nothing, and True is returned."""
    raw = bits(x)
    exponent = (raw >> 52) & 0x7FF
    if exponent > _LARGEST_EXPONENT:
        return True
    mantissa = raw & ((1 << 52) - 1)
    mantissa |= np.int64(exponent > 0) << 52
    _deposit(-mantissa if raw < 0 else mantissa, max(exponent, 1) - 1075 - LOWEST, digits, t, terms)
    return False


@inline
def _rounded(x, j):
    """x in units of narrow digit j, as an integer, and what rounding has left of x."""
    m = _anchor(52 + FINEST + BITS * j)
    y = x + m
    return bits(y) - bits(m), x - (y - m)


@inline
def deposit_narrow(numbers, count, digits, terms):
    """Add numbers, which the narrow window holds, to the first sums of these; in vectors where count is a constant."""
    for t in range(count):
        third, x = _rounded(numbers[t], 3)
        second, x = _rounded(x, 2)
        first, x = _rounded(x, 1)
        zeroth, x = _rounded(x, 0)
        digits[t] += zeroth
        digits[terms + t] += first
        digits[2 * terms + t] += second
        digits[3 * terms + t] += third
