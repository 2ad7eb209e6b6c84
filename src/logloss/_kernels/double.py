"""Sums, products and quotients of pairs of float64, as arrays: `evaluate.double` says what they are.

A pair is a column (high, low, error) of an array of three rows. Sums of two float64, and products with a fused
multiply-add, split into what is rounded and the rest, exactly (Dekker, *A Floating-Point Technique for Extending the
Available Precision*, 1971); what an operation then drops is its error. Results of a block stand on the stack first: the
optimiser knows that they overlap no operand.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from .blocks import BLOCK, stack
from .jit import entry, inline
from .ops import flip_sign, fma, magnitude, select
from .window import BITS, FINEST, NARROW_DIGITS

_EPS = 2.0**-100
"""More than the relative error of a product, 2^-102."""

_SLACK = 1 + 2.0**-50
"""For the rounding of errors themselves."""

_UNITS = 2.0 ** (FINEST + BITS * np.arange(NARROW_DIGITS, dtype=np.float64))


@inline
def _two_sum(a, b):
    """a + b rounded, and the rest, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inline
def _add(ah, al, bh, bl):
    """The sum of two pairs, and what is dropped of it at most."""
    high, rest = _two_sum(ah, bh)
    low, lost = _two_sum(al, bl)
    rest, dropped = _two_sum(rest, low)
    high, rest = _two_sum(high, rest)
    rest, more = _two_sum(rest, lost)
    high, low = _two_sum(high, rest)
    return high, low, magnitude(dropped) + magnitude(more)


@inline
def _store(high, low, error, out, start, n):
    for row, values in enumerate((high, low, error)):
        target = out[row, start : start + n]
        for i in range(n):
            target[i] = values[i]


@inline
def _rows(a, start, n):
    return a[0, start : start + n], a[1, start : start + n], a[2, start : start + n]


@entry
def of_digits(digits, unknown, out):
    """Narrow digits (number, digit, sum), carried, as pairs (sum, row, number).

    unknown[k] is the error of number k's sums that is known already.
    """
    high, low = carray(stack(0.0), (BLOCK,), np.float64), carray(stack(0.0), (BLOCK,), np.float64)
    error = carray(stack(0.0), (BLOCK,), np.float64)
    for start in range(0, unknown.size, BLOCK):
        n = min(BLOCK, unknown.size - start)
        for t in range(out.shape[0]):
            for i in range(n):
                h, l = _two_sum(digits[start + i, 3, t] * _UNITS[3], digits[start + i, 2, t] * _UNITS[2])
                l, rest = _two_sum(l, digits[start + i, 1, t] * _UNITS[1])
                h, l = _two_sum(h, l)
                rest, lost = _two_sum(rest, digits[start + i, 0, t] * _UNITS[0])
                l, dropped = _two_sum(l, rest)
                high[i], low[i] = _two_sum(h, l)
                error[i] = unknown[start + i] + (magnitude(dropped) + magnitude(lost)) * _SLACK
            _store(high, low, error, out[t], start, n)


@entry
def add(a, b, sign, out):
    """a + b, or a - b."""
    high, low = carray(stack(0.0), (BLOCK,), np.float64), carray(stack(0.0), (BLOCK,), np.float64)
    error = carray(stack(0.0), (BLOCK,), np.float64)
    for start in range(0, out.shape[1], BLOCK):
        n = min(BLOCK, out.shape[1] - start)
        ah, al, ae = _rows(a, start, n)
        bh, bl, be = _rows(b, start, n)
        for i in range(n):
            high[i], low[i], dropped = _add(ah[i], al[i], sign * bh[i], sign * bl[i])
            error[i] = (ae[i] + be[i] + dropped) * _SLACK
        _store(high, low, error, out, start, n)


@entry
def multiply(a, b, out):
    """a·b."""
    high, low = carray(stack(0.0), (BLOCK,), np.float64), carray(stack(0.0), (BLOCK,), np.float64)
    error = carray(stack(0.0), (BLOCK,), np.float64)
    for start in range(0, out.shape[1], BLOCK):
        n = min(BLOCK, out.shape[1] - start)
        ah, al, ae = _rows(a, start, n)
        bh, bl, be = _rows(b, start, n)
        for i in range(n):
            h = ah[i] * bh[i]
            rest = fma(ah[i], bh[i], -h) + (ah[i] * bl[i] + al[i] * bh[i])
            high[i], low[i] = _two_sum(h, rest)
            exact = (al[i] == 0) & (bl[i] == 0) & (ae[i] == 0) & (be[i] == 0)
            x, y = magnitude(ah[i]) * _SLACK, magnitude(bh[i]) * _SLACK
            bound = x * be[i] + y * ae[i] + ae[i] * be[i] + _EPS * (x * y)
            error[i] = select(exact, 0.0, bound)
        _store(high, low, error, out, start, n)


@inline
def _divide(ph, pl, pe, wh, wl, we):
    """A quotient as the nearest float64, and whether that is certain."""
    first = ph / wh
    r1 = fma(-first, wh, ph)  # exact
    r2 = -first * wl
    rest, low = _two_sum(r1, pl)
    second = (rest + r2) / wh
    # part / whole = first + second + left / wh, where left is what is not known of the rest, or was rounded away
    left = fma(-second, wh, rest) + low
    exact = (wl == 0) & (we == 0) & (pe == 0) & (left == 0)
    size = magnitude(wh)
    error = 2 * (pe + magnitude(first) * we + _EPS * magnitude(ph)) / size + magnitude(second) * 2.0**-48
    value = first + second
    known = exact | ((first + (second - error) == value) & (first + (second + error) == value))
    large = magnitude(value)
    known &= (large > 2.0**-1000) & (large < 2.0**1000) & (we < size / 2)
    nothing = (ph == 0) & (pe == 0)
    zero = (wh == 0) & (we == 0) & (nothing | (magnitude(ph) > pe))
    value = select(zero, select(nothing, np.nan, flip_sign(np.inf, ph)), value)
    nothing &= size > we
    return select(nothing, 0.0, value), known | nothing | zero


@entry
def divide(part, whole, values, certain):
    """part / whole of each, correctly rounded where certain; NaN for 0 / 0."""
    value, known = carray(stack(0.0), (BLOCK,), np.float64), carray(stack(0), (BLOCK,), np.int64)
    for start in range(0, values.size, BLOCK):
        n = min(BLOCK, values.size - start)
        ph, pl, pe = _rows(part, start, n)
        wh, wl, we = _rows(whole, start, n)
        for i in range(n):
            value[i], good = _divide(ph[i], pl[i], pe[i], wh[i], wl[i], we[i])
            known[i] = np.int64(good)
        for i in range(n):
            values[start + i] = value[i]
        for i in range(n):
            certain[start + i] = known[i] != 0
