"""One touch of a batch for all scoring sums: loss, moments and counts of every row, added exactly to its cell.

Rows come sorted by cell, as segments. Per block of rows the *columns* below are computed, and every *term* of the state
is the exact sum of the products of two columns. With target y, prediction p, d = y - p, z = log(p / (1 - p)), loss l
and weight w:

    q = d²    s = d·(1 - 2p)    g = d·z    vs = (1 - 2p)²·p(1 - p)    vg = z²·p(1 - p)

`evaluate.moments` names the terms in the same order.
"""

from __future__ import annotations

import numpy as np

from .cores import minus_logs, small_sigmoid
from .elementary import exp_neg, log1p_unit
from .exact import BLOCK, MAX_LEVELS, deposit, split_products, window_holds
from .jit import entry, inline
from .ops import is_negative, magnitude, select

_ONE, _Y, _P, _L, _Q, _S, _G, _VS, _VG, _W, _WW, _WY, _WL, _WQ, _INF, _P0, _P1 = range(17)
_REST, _OF_ONE, _OF_ZERO, _COLUMNS = range(17, 21)
_SQUARED = np.array([(_Y, _WY), (_L, _WL), (_Q, _WQ)])

_PLAIN = np.array([
    (_Y, _ONE), (_P, _ONE), (_L, _ONE), (_Q, _ONE), (_S, _ONE), (_G, _ONE),
    (_L, _L), (_L, _Y), (_Y, _Y), (_Q, _Q), (_VS, _ONE), (_VG, _ONE),
])  # fmt: skip
_WEIGHTED = np.array([
    (_W, _Y), (_W, _P), (_W, _L), (_W, _Q), (_W, _S), (_W, _G),
    (_WL, _L), (_WL, _Y), (_WY, _Y), (_WQ, _Q), (_WW, _VS), (_WW, _VG),
    (_W, _ONE), (_WW, _ONE), (_WY, _ONE), (_WL, _ONE), (_WQ, _ONE), (_W, _INF), (_W, _P0), (_W, _P1),
])  # fmt: skip

_PLAIN_TOPS = np.array([2, 2, 11, 2, 2, 11, 21, 11, 2, 2, 2, 2])
_WEIGHTED_TOPS = np.append(_PLAIN_TOPS, np.array([2, 2, 2, 11, 2, 2, 2, 2]))
"""First guesses of the terms' exponents: right for probabilities, whose losses stay below 745, and usual weights."""

DONE, INVALID, TOO_NARROW = range(3)


@inline
def _times(a, b):
    """a·b with 0·inf = 0; a >= 0 and finite."""
    return select(a == 0.0, 0.0, a * b)


@inline
def _from_probabilities(x, p, rest, of_one, of_zero):
    """The prediction, its complement, and the losses that a target of 1 and of 0 would give."""
    for i in range(x.size):
        p[i], rest[i] = x[i], 1.0 - x[i]
        of_one[i], of_zero[i] = minus_logs(x[i])


@inline
def _from_logits(x, p, rest, of_one, of_zero):
    for i in range(x.size):
        a = magnitude(x[i])
        negative = is_negative(x[i])
        z = exp_neg(-a)
        q = small_sigmoid(z)
        near = log1p_unit(z)
        p[i] = select(negative, q, 1.0 - q)
        rest[i] = select(negative, 1.0 - q, q)
        of_one[i] = select(negative, near + a, near)
        of_zero[i] = select(negative, near, near + a)


@inline
def _losses(y, of_one, of_zero, loss):
    """The loss of every row; 0 times inf is 0."""
    for i in range(y.size):
        t = y[i]
        loss[i] = _times(t, of_one[i]) + _times(1.0 - t, of_zero[i])


@inline
def _residuals(y, p, rest, of_one, of_zero, q, s, g, vs, vg):
    """The squared error and what the two tests of calibration need; an infinite z counts as 0."""
    for i in range(y.size):
        d = y[i] * rest[i] - (1.0 - y[i]) * p[i]
        z = of_zero[i] - of_one[i]
        z = select(magnitude(z) == np.inf, 0.0, z)
        spread = rest[i] - p[i]
        q[i] = d * d
        s[i] = d * spread
        g[i] = d * z
        vs[i] = (p[i] * spread) * (rest[i] * spread)
        vg[i] = (p[i] * z) * (rest[i] * z)


@inline
def _copy(a, out):
    """As `out[:] = a`, without the second and more that compiling its shape check takes."""
    for i in range(a.size):
        out[i] = a[i]


@inline
def _mark_infinite(a, mark):
    """1 where a is inf, else 0, and how often it is."""
    count = 0
    for i in range(a.size):
        count += a[i] == np.inf
        mark[i] = select(a[i] == np.inf, 1.0, 0.0)
    return count


@inline
def _without_infinite(mark, loss, g):
    """A row with an infinite loss is counted, and adds 0 to the sums of l and g."""
    for i in range(mark.size):
        loss[i] = select(mark[i] > 0.0, 0.0, loss[i])
        g[i] = select(mark[i] > 0.0, 0.0, g[i])


@inline
def _compute(x, logits, y, columns):
    """Fill the columns of a block. Returns how many losses are infinite, and how many predictions are 0 and 1."""
    n = x.size
    p, rest, of_one, of_zero = columns[_P][:n], columns[_REST][:n], columns[_OF_ONE][:n], columns[_OF_ZERO][:n]
    loss, g = columns[_L][:n], columns[_G][:n]
    if logits:
        _from_logits(x, p, rest, of_one, of_zero)
    else:
        _from_probabilities(x, p, rest, of_one, of_zero)
    _losses(y, of_one, of_zero, loss)
    q, s, vs, vg = columns[_Q][:n], columns[_S][:n], columns[_VS][:n], columns[_VG][:n]
    _residuals(y, p, rest, of_one, of_zero, q, s, g, vs, vg)
    _copy(y, columns[_Y][:n])
    infinite = _mark_infinite(loss, columns[_INF][:n])
    if infinite:
        _without_infinite(columns[_INF][:n], loss, g)
    return infinite, _mark_infinite(of_one, columns[_P0][:n]), _mark_infinite(of_zero, columns[_P1][:n])


@inline
def _weigh(w, columns):
    n = w.size
    weight, square = columns[_W][:n], columns[_WW][:n]
    for i in range(n):
        weight[i] = w[i]
        square[i] = w[i] * w[i]
    for k in range(_SQUARED.shape[0]):
        a, out = columns[_SQUARED[k, 0]][:n], columns[_SQUARED[k, 1]][:n]
        for i in range(n):
            out[i] = square[i] * a[i]


@inline
def _all_within(x, low, high):
    good = 0
    for i in range(x.size):
        good += (x[i] >= low) & (x[i] <= high)
    return good == x.size


@inline
def _valid(x, y, w, logits):
    return (
        _all_within(x, -np.inf if logits else 0.0, np.inf if logits else 1.0)
        and _all_within(y, 0.0, 1.0)
        and _all_within(w, 0.0, 1e300)
    )


@inline
def _split_terms(terms, columns, rest, tops, levels, totals):
    """Level totals of every term; returns a bit per term with a product that overflowed."""
    n = rest.size
    overflowed = np.int64(0)
    ones = columns[_ONE][:n]
    for t in range(terms.shape[0]):
        a, b = columns[terms[t, 0]][:n], columns[terms[t, 1]][:n]
        tops[t], levels[t], overflow = split_products(a, b, ones, rest, tops[t], totals[t])
        if overflow:
            overflowed |= np.int64(1) << t
    return overflowed


@inline
def _all_held(tops, levels, low, width):
    held = True
    for t in range(tops.size):
        held &= window_holds(tops[t], levels[t], low, width)
    return held


@entry
def add_rows(x, logits, y, w, ends, cells, segment, row, low, sums, counts, overflows):
    """Add rows from `row` of segment number `segment` on to their cells.

    x, y, w: float64 predictions (logits or probabilities), targets and weights (or none). Segment k ends before row
    ends[k] and belongs to cell cells[k]. sums[cell, term, digit] holds digits from `low` on; counts[cell] is (rows,
    infinite losses, p = 0, p = 1). Returns (status, segment, row): all done; or the block that starts there holds an
    invalid value or a magnitude that needs more digits, and nothing of it was added.
    """
    terms = _WEIGHTED if w.size else _PLAIN
    size = terms.shape[0]
    columns = np.empty((_COLUMNS, BLOCK))
    columns[_ONE] = 1.0  # `columns[c][:n]` is contiguous; of `columns[c, :n]` Numba would not know that
    rest = np.empty(BLOCK)
    tops = (_WEIGHTED_TOPS if w.size else _PLAIN_TOPS).copy()
    levels = np.empty(size, np.int64)
    totals = np.empty((size, MAX_LEVELS), np.int64)
    for k in range(segment, ends.size):
        cell = cells[k]
        while row < ends[k]:
            end = min(row + BLOCK, ends[k])
            weights = w[row:end]
            if not _valid(x[row:end], y[row:end], weights, logits):
                return INVALID, k, row
            infinite, zeros, ones = _compute(x[row:end], logits, y[row:end], columns)
            _weigh(weights, columns)
            overflowed = _split_terms(terms, columns, rest[: end - row], tops, levels, totals)
            if not _all_held(tops, levels, low, sums.shape[2]):
                return TOO_NARROW, k, row
            for t in range(size):
                deposit(totals[t], levels[t], tops[t], low, sums[cell, t])
            counts[cell, 0] += end - row
            counts[cell, 1] += infinite
            counts[cell, 2] += zeros
            counts[cell, 3] += ones
            overflows[cell] |= overflowed
            row = end
    return DONE, ends.size, row
