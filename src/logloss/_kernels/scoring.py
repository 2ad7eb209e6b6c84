"""One touch of a batch for all scoring sums: loss, moments and counts of every row, added exactly to its cell.

Rows come sorted by cell, as segments. Per block of rows the *columns* of `terms` are computed, and every *term* of the
state is the exact sum of one of them, or of a product of some. With target y, prediction p, d = y - p,
z = log(p / (1 - p)), loss l and weight w:

    q = d²    s = d·(1 - 2p)    g = d·z    vs = (1 - 2p)²·p(1 - p)    vg = z²·p(1 - p)

On the way: m = min(p, 1 - p), near = -log(1 - m), far = -log m, and the side, negative where p is the larger. Of the
columns' smallest and largest magnitudes the kernel knows, or measures, enough to say how many levels each sum needs.

What a row adds to a term is a function of that row alone, and sums are exact: however rows are cut into blocks, and
whichever path a block takes here, the state is the same.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from .blocks import load
from .cells import add_scattered, add_segment, is_full, outside, row_of
from .cores import small_sigmoid
from .elementary import exp_neg, log1p_unit, minus_log, minus_log1m, minus_log_of_normal
from .exact import BLOCK, MAX_LEVELS, bits, highest, lowest, split
from .jit import entry, inline
from .ops import flip_sign, is_negative, magnitude, pointer, select
from .places import FINE, place_of
from .terms import (
    CERTAIN_COLUMNS,
    CERTAIN_PRODUCTS,
    COLUMNS,
    FACTORS,
    FAR,
    HARD_COLUMNS,
    HARD_PRODUCTS,
    INFINITE,
    MOST_TERMS,
    NEAR,
    ONCE_CERTAIN_COLUMNS,
    ONCE_CERTAIN_PRODUCTS,
    ONCE_COLUMNS,
    ONCE_PRODUCTS,
    ONE,
    PAIRS,
    PLAIN_COLUMNS,
    PLAIN_PRODUCTS,
    POWERS,
    REST,
    SIDE,
    SPARE,
    SPREAD,
    VG,
    VS,
    WEIGHTED_COLUMNS,
    WEIGHTED_PRODUCTS,
    ZERO,
    D,
    G,
    L,
    M,
    P,
    Q,
    S,
    W,
    X,
    Y,
    Z,
)

DONE, INVALID, FULL = range(3)

_SHORT = 16
"""Segments of fewer rows are added number by number, many in a block: to split a block costs as much as that."""


def _stack(count):
    """What gives a pointer to so many numbers on the stack: the optimiser knows that they overlap nothing else."""

    @intrinsic
    def room(typing, zero):
        def codegen(context, b, signature, args):
            with b.goto_entry_block():
                found = b.alloca(ir.ArrayType(ir.DoubleType(), count))
                found.align = 64
            return b.bitcast(found, cgutils.voidptr_t)

        return types.voidptr(zero), codegen

    return room


_scratch, _turned = _stack(COLUMNS * BLOCK), _stack(MOST_TERMS * BLOCK)


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
def _smaller(x, m, z):
    """z = exp(-|x|), and m = z / (1 + z), the smaller of both probabilities."""
    for i in range(x.size):
        z[i] = exp_neg(-magnitude(x[i]))
        m[i] = small_sigmoid(z[i])


@inline
def probabilities_of(x, p, m, z):
    """The probabilities of logits; m and z are scratch."""
    _smaller(x, m, z)
    for i in range(x.size):
        p[i] = select(is_negative(x[i]), m[i], 1.0 - m[i])


@inline
def _from_logits(x, p, rest, spread, side, m, near, far):
    probabilities_of(x, p, m, near)
    bad = 0
    for i in range(x.size):
        bad += x[i] != x[i]
        near[i] = log1p_unit(near[i])
        far[i] = near[i] + magnitude(x[i])
    for i in range(x.size):
        rest[i] = select(is_negative(x[i]), 1.0 - m[i], m[i])
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
def _fill(i, l, d, p, rest, spread, z, columns):
    """The columns of a row that follow from its loss, and from d = y - p."""
    loss, q, s, g, vs, vg = columns
    loss[i] = l
    q[i] = d * d
    s[i] = d * spread
    g[i] = d * z
    vs[i] = (p * spread) * (rest * spread)
    vg[i] = (p * z) * (rest * z)


@inline
def _hard(y, p, rest, spread, side, near, far, z, columns):
    """Loss and d = y - p of targets that are 0 or 1, to the bit those of `_soft`, and what follows from them."""
    for i in range(y.size):
        upper, positive = side[i] < 0.0, y[i] == 1.0
        z[i] = flip_sign(near[i] - far[i], side[i])
        l, d = select(upper == positive, near[i], far[i]), select(positive, rest[i], -p[i])
        _fill(i, l, d, p[i], rest[i], spread[i], z[i], columns)


@inline
def _soft(y, p, rest, spread, side, near, far, z, d, columns):
    """The same of any targets; in two loops, since a loop that writes still more columns is not vectorised."""
    for i in range(y.size):
        d[i] = y[i] * rest[i] - (1.0 - y[i]) * p[i]
    for i in range(y.size):
        upper, t = side[i] < 0.0, y[i]
        z[i] = flip_sign(near[i] - far[i], side[i])
        l = t * select(upper, near[i], far[i]) + (1.0 - t) * select(upper, far[i], near[i])
        _fill(i, l, d[i], p[i], rest[i], spread[i], z[i], columns)


@inline
def _products(n, products, columns):
    for k in range(products.shape[0]):
        a, b, out = columns[products[k, 0]][:n], columns[products[k, 1]][:n], columns[products[k, 2]][:n]
        for i in range(n):
            out[i] = a[i] * b[i]


@inline
def _multiply(n, power, hard, certain, columns):
    """Form the products of columns that are terms. Returns the columns of all terms."""
    if power == 0:
        _products(n, HARD_PRODUCTS if hard else PLAIN_PRODUCTS, columns)
        return HARD_COLUMNS if hard else PLAIN_COLUMNS
    if power == 1:
        _products(n, ONCE_CERTAIN_PRODUCTS if certain else ONCE_PRODUCTS, columns)
        return ONCE_CERTAIN_COLUMNS if certain else ONCE_COLUMNS
    _products(n, CERTAIN_PRODUCTS if certain else WEIGHTED_PRODUCTS, columns)
    return CERTAIN_COLUMNS if certain else WEIGHTED_COLUMNS


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
    y, p, rest, spread = columns[Y][:n], columns[P][:n], columns[REST][:n], columns[SPREAD][:n]
    m, near, far, side, z = columns[M][:n], columns[NEAR][:n], columns[FAR][:n], columns[SIDE][:n], columns[Z][:n]
    if logits:
        good = _from_logits(columns[X][:n], p, rest, spread, side, m, near, far)
    else:
        good = _from_probabilities(p, rest, spread, m, near, far)
        side = spread
    infinite, ones, certain = 0, 0, _count(far, np.inf)
    if certain:
        infinite = _mark(y, side, far, columns[INFINITE][:n], columns[ZERO][:n], columns[ONE][:n])
        ones = _count(columns[ONE][:n], 1.0)
    found = (
        *(columns[L][:n], columns[Q][:n], columns[S][:n]),
        *(columns[G][:n], columns[VS][:n], columns[VG][:n]),
    )
    if hard:
        _hard(y, p, rest, spread, side, near, far, z, found)
    else:
        _soft(y, p, rest, spread, side, near, far, z, columns[D][:n], found)
    return good, infinite, certain - ones, ones


@inline
def _bound_columns(n, logits, hard, power, columns, low, high):
    """For every column that is a factor, numbers with 2^low <= |its values but 0| <= 2^high."""
    low[:], high[:] = 0, 0
    m, spread, z = lowest(columns[M][:n]), lowest(columns[SPREAD][:n]), lowest(columns[Z][:n])
    d = m if hard else lowest(columns[D][:n])  # of hard targets d is p or p - 1, and the loss at least -log(1-m) >= m
    far = 5 if m >= -45 else 10  # -log 2^-46 < 32
    if logits:
        far = max(highest(columns[Z][:n]), 0) + 1
    if not hard:
        low[Y] = lowest(columns[Y][:n])
    low[P], low[L], low[Q] = m, m - 1 if hard else lowest(columns[L][:n]), 2 * d
    low[S], low[G], low[VS], low[VG] = d + spread, d + z, 2 * spread + m - 2, 2 * z + m - 2
    high[L], high[G], high[VS], high[VG] = far, far, -3, -1
    if power > 0:
        low[W], high[W] = lowest(columns[W][:n]), highest(columns[W][:n])


@inline
def _bound_terms(count, power, of_columns, of_terms):
    """The bounds of products: the sums of their factors'."""
    for t in range(count):
        of_terms[t] = of_columns[PAIRS[t, 0]] + of_columns[PAIRS[t, 1]] + min(POWERS[t], power) * of_columns[W]


@inline
def _split_terms(n, terms, columns, low, high, tops, levels, totals):
    """Level totals of every term; returns a bit per term with a number that overflowed."""
    overflowed = np.int64(0)
    for t in range(terms.size):
        e, unit = high[t] + 1, max(low[t] - 52, -1074)
        tops[t], levels[t], overflow = split(columns[terms[t]][:n], columns[SPARE][:n], e, unit, totals[t])
        if overflow:
            overflowed |= np.int64(1) << t
    return overflowed


@inline
def _load(x, y, w, logits, row, n, columns):
    """The block's rows. Returns whether all targets are 0 or 1, and whether targets and weights are valid."""
    targets = columns[Y][:n]
    load(targets, y[0], y[1], row)
    load(columns[X if logits else P][:n], x[0], x[1], row)
    hard = _count(targets, 0.0) + _count(targets, 1.0) == n
    good = hard or _all_within(targets, 0.0, 1.0)
    if w[0] != 0:
        load(columns[W][:n], w[0], w[1], row)
        good &= _all_within(columns[W][:n], 0.0, 1e300)
    return hard, good


@inline
def _place(n, certain, columns, places):
    """The bins of a block's logits; those of certain predictions were marked."""
    place_of(columns[Z][:n], places)
    if certain:
        zero, one = columns[ZERO][:n], columns[ONE][:n]
        for i in range(n):
            places[i] = select(zero[i] == 1.0, np.uint16(0), select(one[i] == 1.0, np.uint16(FINE + 1), places[i]))


@inline
def _end_of_short(segment, row, ends):
    """Where the short segments from this one on end, within a block; the row itself if it is not short."""
    stop, k = row, segment
    while k < ends.size and ends[k] - stop < _SHORT and ends[k] - row <= BLOCK:
        stop = ends[k]
        k += 1
    return stop, k


@entry
def add_rows(x, y, w, power, logits, bins, ends, cells, segment, row, held, wide, used):
    """Add rows from `row` of segment number `segment` on to their cells.

    x, y, w: (address, `blocks` code) of predictions (logits or probabilities), targets and weights; address 0 for no
    weights. power: the highest one of the weight in a term, 0 for no weights. bins: the address of what becomes the bin
    of every row's logit, uint16; 0 for none. Segment k ends before row ends[k] and belongs to the cell in row cells[k]
    of `held`; `cells` says how that and the wide rows are given, of which used[0] are in use. Returns (status, segment,
    row): all done; or the block that starts there holds an invalid value, or needs a wide row where none is left, and
    nothing from there on was added.
    """
    columns = carray(_scratch(0.0), (COLUMNS, BLOCK), np.float64)
    rows = carray(_turned(0.0), (BLOCK, MOST_TERMS), np.float64)
    bounds, bounds_above = np.empty((2, FACTORS), np.int64)
    lows, highs, tops, levels = np.empty((4, POWERS.size), np.int64)
    totals = np.empty((POWERS.size, MAX_LEVELS), np.int64)
    while segment < ends.size:
        stop, following = _end_of_short(segment, row, ends)
        scattered = stop > row
        if following > segment and not scattered:  # none but empty ones
            segment = following
            continue
        if not scattered:
            stop = min(row + BLOCK, ends[segment])
            following = segment + (stop == ends[segment])
        n = stop - row
        hard, good = _load(x, y, w, logits, row, n, columns)
        valid, infinite, zeros, ones = _compute(n, logits, hard, columns)
        if not (good & valid):
            return INVALID, segment, row
        certain = zeros + ones > 0
        if bins != 0:
            _place(n, certain, columns, carray(pointer(bins + 2 * row), (n,), np.uint16))
        terms = _multiply(n, power, hard, certain, columns)
        _bound_columns(n, logits, hard, power, columns, bounds, bounds_above)
        _bound_terms(terms.size, power, bounds, lows)
        _bound_terms(terms.size, power, bounds_above, highs)
        odd = outside(n, terms, columns, lows, highs)
        if scattered:
            segment, added = add_scattered(
                n, segment, row, ends, cells, terms, columns, rows, odd, certain, held, wide, used
            )
            row += added
            if added < n:
                return FULL, segment, row
            continue
        cell = row_of(held, cells[segment])
        if is_full(cell, n, odd, wide, used):
            return FULL, segment, row
        overflowed = _split_terms(n, terms, columns, lows, highs, tops, levels, totals)
        counts = infinite, zeros, ones
        add_segment(n, counts, terms, odd, tops, levels, totals, overflowed, cell, wide, used)
        segment, row = following, stop
    return DONE, ends.size, row
