"""One touch of a batch for all scoring sums: loss, moments and counts of every row, added exactly to its cell.

Rows come sorted by cell, as segments. Per block of rows the *columns* below are computed, and every *term* of the state
is the exact sum of one of them. With target y, prediction p, d = y - p, z = log(p / (1 - p)), loss l and weight w:

    q = d²    s = d·(1 - 2p)    g = d·z    vs = (1 - 2p)²·p(1 - p)    vg = z²·p(1 - p)

On the way: m = min(p, 1 - p), near = -log(1 - m), far = -log m, and the side, negative where p is the larger. Of the
columns' smallest and largest magnitudes the kernel knows, or measures, enough to say how many levels each sum needs.

`evaluate.moments` names the terms in the same order. What a row adds to a term is a function of that row alone, and
sums are exact: however rows are cut into blocks, and whichever path a block takes here, the state is the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from .._types import Array
from .blocks import FLOAT32, FLOAT64, load
from .cores import small_sigmoid
from .elementary import exp_neg, log1p_unit, minus_log, minus_log1m, minus_log_of_normal
from .exact import BLOCK, MAX_LEVELS, bits, deposit, highest, lowest, split, window_holds
from .jit import entry, inline
from .layout import address, code_of, staging_dtype
from .ops import flip_sign, is_negative, magnitude, select

_P, _Y, _L, _Q, _S, _G, _LL, _LY, _QQ, _VS, _VG, _REST, _SPREAD, _NEAR, _FAR, _M, _Z = range(17)
_X, _SIDE, _D, _YY, _W, _WW, _WY, _WL, _WQ, _INFINITE, _ZERO, _ONE, _SPARE = range(17, 30)
_WEIGHTED_Y, _WEIGHTED_P, _WEIGHTED_L, _WEIGHTED_Q, _WEIGHTED_S, _WEIGHTED_G, _COLUMNS = range(30, 37)

_PLAIN = np.array([_Y, _P, _L, _Q, _S, _G, _LL, _LY, _YY, _QQ, _VS, _VG])
_HARD = np.array([_Y, _P, _L, _Q, _S, _G, _LL, _LY, _Y, _QQ, _VS, _VG])
_WEIGHTED = np.array([
    *(_WEIGHTED_Y, _WEIGHTED_P, _WEIGHTED_L, _WEIGHTED_Q, _WEIGHTED_S, _WEIGHTED_G),
    *(_LL, _LY, _YY, _QQ, _VS, _VG, _W, _WW, _WY, _WL, _WQ, _INFINITE, _ZERO, _ONE),
])  # fmt: skip
"""The columns of the terms. The last three are 0 where no prediction of a block is certain."""

_PRODUCTS = np.array([
    (_W, _W, _WW), (_W, _Y, _WEIGHTED_Y), (_W, _P, _WEIGHTED_P), (_W, _L, _WEIGHTED_L), (_W, _Q, _WEIGHTED_Q),
    (_W, _S, _WEIGHTED_S), (_W, _G, _WEIGHTED_G), (_WW, _Y, _WY), (_WW, _L, _WL), (_WW, _Q, _WQ), (_WL, _L, _LL),
    (_WL, _Y, _LY), (_WY, _Y, _YY), (_WQ, _Q, _QQ), (_WW, _VS, _VS), (_WW, _VG, _VG),
    (_W, _INFINITE, _INFINITE), (_W, _ZERO, _ZERO), (_W, _ONE, _ONE),
])  # fmt: skip
"""What weights do, one after another: third column = first times second."""

DONE, INVALID, TOO_NARROW = range(3)


class Operand(NamedTuple):
    """An array, and where and what it is for the kernel, which keeps nothing alive."""

    array: Array | None
    place: tuple[int, int]


NOTHING = Operand(None, (0, FLOAT64))


def operand(array: Array, kinds: str) -> Operand:
    """The array as the kernel reads it: in its own type if that is common and of one of these kinds."""
    dtype = staging_dtype(array.dtype) if array.dtype.kind in kinds else np.dtype(np.float64)
    array = np.ascontiguousarray(array, dtype)
    return Operand(array, (address(array), code_of(dtype) or FLOAT32))


@intrinsic
def _scratch(typing, zero):
    """A pointer to the columns of a block on the stack: the optimiser knows that they overlap nothing else."""

    def codegen(context, b, signature, args):
        with b.goto_entry_block():
            room = b.alloca(ir.ArrayType(ir.DoubleType(), _COLUMNS * BLOCK))
            room.align = 64
        return b.bitcast(room, cgutils.voidptr_t)

    return types.voidptr(zero), codegen


@inline
def _from_probabilities(p, rest, spread, m, near, far):
    """-log of the larger and of the smaller of p and 1-p. Returns whether all p are in [0, 1]."""
    bad = 0
    least = np.int64(1023) << 52
    for i in range(p.size):
        rest[i] = 1.0 - p[i]
        spread[i] = rest[i] - p[i]
        m[i] = select(rest[i] < p[i], rest[i], p[i])
        bad += not (m[i] >= 0.0)
        least = min(least, bits(m[i]))
    if least >> 52 > 0:
        for i in range(p.size):
            near[i], far[i] = minus_log1m(m[i]), minus_log_of_normal(m[i])
    else:
        for i in range(p.size):
            near[i], far[i] = minus_log1m(m[i]), minus_log(m[i])
    return bad == 0


@inline
def _from_logits(x, p, rest, spread, side, m, near, far):
    bad = 0
    for i in range(x.size):
        bad += x[i] != x[i]
        a = magnitude(x[i])
        z = exp_neg(-a)
        m[i] = small_sigmoid(z)
        near[i] = log1p_unit(z)
        far[i] = near[i] + a
    for i in range(x.size):
        negative = is_negative(x[i])
        p[i] = select(negative, m[i], 1.0 - m[i])
        rest[i] = select(negative, 1.0 - m[i], m[i])
        spread[i] = rest[i] - p[i]
        side[i] = -x[i]
    return bad == 0


@inline
def _mark(y, side, far, infinite, zero, one):
    """Mark certain predictions (p = 0, p = 1) and those that were wrong, with an infinite loss, in `far` now 0."""
    count = 0
    for i in range(y.size):
        upper, certain = side[i] < 0.0, far[i] == np.inf
        wrong = certain & select(upper, y[i] < 1.0, y[i] > 0.0)
        infinite[i] = select(wrong, 1.0, 0.0)
        zero[i] = select(certain & (not upper), 1.0, 0.0)
        one[i] = select(certain & upper, 1.0, 0.0)
        far[i] = select(certain, 0.0, far[i])
        count += wrong
    return count


@inline
def _fill(i, l, d, y, p, rest, spread, z, columns):
    """The terms of a row without weights but those of y alone."""
    loss, q, s, g, ll, ly, qq, vs, vg = columns
    loss[i] = l
    q[i] = d * d
    s[i] = d * spread
    g[i] = d * z
    ll[i], ly[i], qq[i] = l * l, l * y, (d * d) * (d * d)
    vs[i] = (p * spread) * (rest * spread)
    vg[i] = (p * z) * (rest * z)


@inline
def _hard(y, p, rest, spread, side, near, far, z, columns):
    """Loss and d = y - p of targets that are 0 or 1, to the bit those of `_soft`, and what follows from them."""
    for i in range(y.size):
        upper, positive = side[i] < 0.0, y[i] == 1.0
        z[i] = flip_sign(near[i] - far[i], side[i])
        l, d = select(upper == positive, near[i], far[i]), select(positive, rest[i], -p[i])
        _fill(i, l, d, y[i], p[i], rest[i], spread[i], z[i], columns)


@inline
def _soft(y, p, rest, spread, side, near, far, z, d, yy, columns):
    """The same of any targets; in two loops, since a loop that writes still more columns is not vectorised."""
    for i in range(y.size):
        d[i], yy[i] = y[i] * rest[i] - (1.0 - y[i]) * p[i], y[i] * y[i]
    for i in range(y.size):
        upper, t = side[i] < 0.0, y[i]
        z[i] = flip_sign(near[i] - far[i], side[i])
        l = t * select(upper, near[i], far[i]) + (1.0 - t) * select(upper, far[i], near[i])
        _fill(i, l, d[i], t, p[i], rest[i], spread[i], z[i], columns)


@inline
def _multiply(n, products, columns):
    for k in range(products.shape[0]):
        a, b, out = columns[products[k, 0]][:n], columns[products[k, 1]][:n], columns[products[k, 2]][:n]
        for i in range(n):
            out[i] = a[i] * b[i]


@inline
def _count(a, value):
    count = 0
    for i in range(a.size):
        count += a[i] == value
    return count


@inline
def _all_within(x, low, high):
    good = 0
    for i in range(x.size):
        good += (x[i] >= low) & (x[i] <= high)
    return good == x.size


@inline
def _compute(n, logits, hard, columns):
    """Fill the columns of a block. Returns (whether its predictions are valid, infinite losses, p = 0, p = 1)."""
    y, p, rest, spread = columns[_Y][:n], columns[_P][:n], columns[_REST][:n], columns[_SPREAD][:n]
    m, near, far, side, z = columns[_M][:n], columns[_NEAR][:n], columns[_FAR][:n], columns[_SIDE][:n], columns[_Z][:n]
    if logits:
        good = _from_logits(columns[_X][:n], p, rest, spread, side, m, near, far)
    else:
        good = _from_probabilities(p, rest, spread, m, near, far)
        side = spread
    infinite, ones, certain = 0, 0, _count(far, np.inf)
    if certain:
        infinite = _mark(y, side, far, columns[_INFINITE][:n], columns[_ZERO][:n], columns[_ONE][:n])
        ones = _count(columns[_ONE][:n], 1.0)
    terms = (
        *(columns[_L][:n], columns[_Q][:n], columns[_S][:n], columns[_G][:n]),
        *(columns[_LL][:n], columns[_LY][:n], columns[_QQ][:n], columns[_VS][:n], columns[_VG][:n]),
    )
    if hard:
        _hard(y, p, rest, spread, side, near, far, z, terms)
    else:
        _soft(y, p, rest, spread, side, near, far, z, columns[_D][:n], columns[_YY][:n], terms)
    return good, infinite, certain - ones, ones


_MEASURED = np.array([_M, _SPREAD, _Z, _Y, _D, _L])


@inline
def _bound(n, logits, hard, columns, low, high):
    """For every term without weights, numbers with 2^low <= |its values but 0| <= 2^high."""
    for k in range(3 if hard else 6):
        low[k] = lowest(columns[_MEASURED[k]][:n])
    m, spread, z, y, d, l = low[0], low[1], low[2], low[3], low[4], low[5]
    if hard:
        y, d, l = 0, m, m - 1  # d is p or p - 1, and the loss at least -log(1-m) >= m
    far = 5 if m >= -45 else 10  # -log 2^-46 < 32
    if logits:
        far = max(highest(columns[_Z][:n]), 0) + 1
    low[0], low[1], low[2], low[3], low[4], low[5] = y, m, l, 2 * d, d + spread, d + z
    low[6], low[7], low[8], low[9], low[10], low[11] = 2 * l, l + y, 2 * y, 4 * d, 2 * spread + m - 2, 2 * z + m - 2
    high[0], high[1], high[2], high[3], high[4], high[5] = 0, 0, far, 0, 0, far
    high[6], high[7], high[8], high[9], high[10], high[11] = 2 * far, far, 0, 0, -3, -1


@inline
def _bound_weighted(n, columns, low, high):
    """The same with weights, from those without."""
    w, top = lowest(columns[_W][:n]), highest(columns[_W][:n])
    low[12], low[13], low[14], low[15], low[16] = w, 2 * w, 2 * w + low[0], 2 * w + low[2], 2 * w + low[3]
    high[12], high[13], high[14], high[15], high[16] = top, 2 * top, 2 * top, 2 * top + high[2], 2 * top
    for t in range(12):
        times = 1 if t < 6 else 2
        low[t] += times * w
        high[t] += times * top
    for t in range(17, 20):
        low[t], high[t] = w, top


@inline
def _split_terms(n, terms, columns, low, high, tops, levels, totals):
    """Level totals of every term; returns a bit per term with a number that overflowed."""
    overflowed = np.int64(0)
    for t in range(terms.size):
        e, unit = high[t] + 1, max(low[t] - 52, -1074)
        tops[t], levels[t], overflow = split(columns[terms[t]][:n], columns[_SPARE][:n], e, unit, totals[t])
        if overflow:
            overflowed |= np.int64(1) << t
    return overflowed


@inline
def _all_held(count, tops, levels, low, width):
    held = True
    for t in range(count):
        held &= window_holds(tops[t], levels[t], low, width)
    return held


@entry
def add_rows(x, y, w, logits, ends, cells, segment, row, low, sums, counts, overflows):
    """Add rows from `row` of segment number `segment` on to their cells.

    x, y, w: (address, `blocks` code) of predictions (logits or probabilities), targets and weights; address 0 for no
    weights. Segment k ends before row ends[k] and belongs to cell cells[k]. sums[cell, term, digit] holds digits from
    `low` on; counts[cell] is (rows, infinite losses, p = 0, p = 1). Returns (status, segment, row): all done; or the
    block that starts there holds an invalid value or a magnitude that needs more digits, and nothing of it was added.
    """
    weighted = w[0] != 0
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    lows, highs, tops, levels = np.empty((4, _WEIGHTED.size), np.int64)
    totals = np.empty((_WEIGHTED.size, MAX_LEVELS), np.int64)
    for k in range(segment, ends.size):
        cell = cells[k]
        while row < ends[k]:
            n = min(BLOCK, ends[k] - row)
            targets, weights = columns[_Y][:n], columns[_W][:n]
            load(targets, y[0], y[1], row)
            load(columns[_X if logits else _P][:n], x[0], x[1], row)
            hard = _count(targets, 0.0) + _count(targets, 1.0) == n
            good, infinite, zeros, ones = _compute(n, logits, hard, columns)
            good &= hard or _all_within(targets, 0.0, 1.0)
            _bound(n, logits, hard, columns, lows, highs)
            terms = _HARD if hard else _PLAIN
            if weighted:
                load(weights, w[0], w[1], row)
                good &= _all_within(weights, 0.0, 1e300)
                _bound_weighted(n, columns, lows, highs)
                certain = zeros + ones > 0
                _multiply(n, _PRODUCTS if certain else _PRODUCTS[:-3], columns)
                terms = _WEIGHTED if certain else _WEIGHTED[:-3]
            if not good:
                return INVALID, k, row
            overflowed = _split_terms(n, terms, columns, lows, highs, tops, levels, totals)
            if not _all_held(terms.size, tops, levels, low, sums.shape[2]):
                return TOO_NARROW, k, row
            for t in range(terms.size):
                deposit(totals[t], levels[t], tops[t], low, sums[cell, t])
            counts[cell, 0] += n
            counts[cell, 1] += infinite
            counts[cell, 2] += zeros
            counts[cell, 3] += ones
            overflows[cell] |= overflowed
            row += n
    return DONE, ends.size, row
