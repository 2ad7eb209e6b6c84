"""The passes over rows that add to records: bins of the logit, losses of units, and what two models have together.

Many rows of the whole, without weights and with targets that are 0 or 1, are tallied first: a table has two words for
each bin, in which rows, Σy and the halves of Σp lie side by side, so that a row costs two additions and no search. A
table is emptied into records before any of these parts can reach the next one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from .blocks import load
from .exact import BLOCK
from .jit import entry, inline
from .ops import flip_sign, magnitude, pointer, select
from .places import COARSE, FINE, among, place_of
from .records import JOINT, LOW, LOW_BITS, NARROW, ROWS, UNIT, add_units, find, has_room, key_of, scaled, units_of
from .scoring import _count, _from_logits, _from_probabilities, _scratch, probabilities_of

DONE, FULL, SOFT = range(3)

DIFFERENCE, SQUARE, WEIGHTED, WINS, DEFEATS, BEYOND = range(6)
"""Sums over pairs, by the place in their key, of t = w(l - l'): Σt, Σt², Σwt, Σw where l < l', Σw where l > l', and
rows for which t, or wt, is no finite number."""

PAIRED = 256
"""Bins of each of two models together."""

LOSS_SCALE = 10
"""Losses and g are kept as multiples of 2^10; rows beyond that are counted and not added."""

TABLE = 2 * (FINE + 2)
"""The words of a table: for each bin, the lower half of Σp and Σy; then the upper half of Σp and the rows."""

_HALF = UNIT // 2
_ROWS_TALLIED = 2**16 - 1
_Y_AT, _ROWS_AT = _HALF + 16, _HALF + 17  # a lower half is below 2^30, an upper one at most that

_Y, _W, _P, _REST, _SPREAD, _M, _NEAR, _FAR, _X, _SIDE, _Z, _L, _Q, _S, _G, _COLUMNS = range(16)


@inline
def _read(x, y, w, logits, row, n, columns):
    """The rows of a block as they are given. Returns whether all targets are 0 or 1."""
    targets = columns[_Y][:n]
    load(targets, y[0], y[1], row)
    load(columns[_X if logits else _P][:n], x[0], x[1], row)
    if w[0] != 0:
        load(columns[_W][:n], w[0], w[1], row)
    else:
        columns[_W][:n] = 1.0
    return _count(targets, 0.0) + _count(targets, 1.0) == n


@inline
def _load(x, y, w, logits, row, n, columns):
    """The same with probabilities, logits and both logarithms."""
    hard = _read(x, y, w, logits, row, n, columns)
    p, rest, spread, m = columns[_P][:n], columns[_REST][:n], columns[_SPREAD][:n], columns[_M][:n]
    near, far, side, z = columns[_NEAR][:n], columns[_FAR][:n], columns[_SIDE][:n], columns[_Z][:n]
    if logits:
        _from_logits(columns[_X][:n], p, rest, spread, side, m, near, far)
    else:
        _from_probabilities(p, rest, spread, m, near, far)
        side[:] = spread
    for i in range(n):
        z[i] = flip_sign(near[i] - far[i], side[i])
    return hard


@inline
def _add_narrow(record, y, p):
    units = units_of(p)
    record[ROWS] += 1
    record[2] += np.int64(y)
    record[3] += units >> LOW_BITS
    record[4] += units & LOW


@inline
def _add_wide(record, y, p, v):
    record[ROWS] += 1
    add_units(units_of(v), record, 2)
    add_units(units_of(v * y), record, 4)
    add_units(units_of(v * v), record, 6)
    add_units(units_of((v * v) * y), record, 8)
    add_units(units_of(v * p), record, 10)


@inline
def _add_block(n, row, owners, places, columns, slots, records, used, fine):
    """Add a block to one set of records: to owner 0's, in fine bins, or to each row's owner's, in coarse ones."""
    narrow = records.shape[1] == NARROW
    y, p, w = columns[_Y], columns[_P], columns[_W]
    for i in range(n):
        owner = np.int64(0) if fine else np.int64(owners[row + i])
        place = np.int64(places[i]) if fine else among(places[i], COARSE)
        if narrow:
            found = find(key_of(owner, np.int64(0), place), slots, records, used)
            _add_narrow(records[found], y[i], p[i])
        else:
            v, scale = scaled(w[i])
            found = find(key_of(owner, scale, place), slots, records, used)
            _add_wide(records[found], y[i], p[i], v)


@inline
def _halves(y, p, lower, upper):
    """What a row adds to the two words of its bin in a table."""
    for i in range(p.size):
        units = units_of(p[i])
        lower[i] = (units & ((1 << _HALF) - 1)) + (np.int64(y[i]) << _Y_AT)
        upper[i] = (units >> _HALF) + (np.int64(1) << _ROWS_AT)


@inline
def _tally(places, lower, upper, table):
    for i in range(places.size):
        at = np.uint64(2) * np.uint64(places[i])
        table[at] += lower[i]
        table[at + np.uint64(1)] += upper[i]


@inline
def _emptied(table, slots, records, used):
    """Move what a table holds to owner 0's records. Returns whether these had room; what they had not is left."""
    for place in range(FINE + 2):
        lower, upper = table[2 * place], table[2 * place + 1]
        if upper == 0:
            continue
        if not has_room(1, slots, records, used):
            return False
        record = records[find(key_of(np.int64(0), np.int64(0), np.int64(place)), slots, records, used)]
        record[ROWS] += upper >> _ROWS_AT
        record[2] += lower >> _Y_AT
        above = upper & ((1 << _ROWS_AT) - 1)  # in units of 2^30, and a high part counts 2^38
        record[3] += above >> (LOW_BITS - _HALF)
        record[4] += ((above << _HALF) & LOW) + (lower & ((1 << _Y_AT) - 1))
        table[2 * place], table[2 * place + 1] = 0, 0
    return True


@entry
def add_rows(x, y, w, logits, bins, row, rows, owners, table, slots, records, used, slots_of, records_of, used_of):
    """Add rows from number `row` on: to owner 0 in fine bins, and to owners[row] in coarse ones.

    x, y, w: (address, `blocks` code) of valid predictions (logits or probabilities), targets and weights; address 0 for
    no weights. bins: the address of every row's bin, uint16. slots: a power of two of them, -1 where nothing is;
    used[0]: how many records there are. Of a pair without slots nothing is kept. A table, of `TABLE` words or none, is
    at first all 0, and then what the call before has left. Returns (status, row): all done; or the block that starts
    there needs more room, or wide records, and nothing of it was added.
    """
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    lower, upper = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)  # rows of one array have no known stride
    whole, parts = slots.size > 0, slots_of.size > 0
    narrow = (whole and records.shape[1] == NARROW) or (parts and records_of.shape[1] == NARROW)
    tallied = _ROWS_TALLIED if table.size else 0
    while True:
        n = min(np.int64(BLOCK), rows - row)
        if tallied + n > _ROWS_TALLIED or (tallied and n == 0):
            if not _emptied(table, slots, records, used):
                return FULL, row
            tallied = 0
        if n == 0:
            return DONE, row
        hard = _read(x, y, w, logits, row, n, columns)
        if narrow and not hard:
            if tallied == 0 or _emptied(table, slots, records, used):
                return SOFT, row
            return FULL, row
        if whole and not table.size and not has_room(BLOCK, slots, records, used):
            return FULL, row
        if parts and not has_room(BLOCK, slots_of, records_of, used_of):
            return FULL, row
        if logits:
            probabilities_of(columns[_X][:n], columns[_P][:n], columns[_M][:n], columns[_NEAR][:n])
        places = carray(pointer(bins + 2 * row), (n,), np.uint16)
        if whole and table.size:
            _halves(columns[_Y][:n], columns[_P][:n], lower, upper)
            _tally(places, lower, upper, table)
            tallied += n
        elif whole:
            _add_block(n, row, owners, places, columns, slots, records, used, True)
        if parts:
            _add_block(n, row, owners, places, columns, slots_of, records_of, used_of, False)
        row += n


@inline
def _losses(n, columns):
    """Loss, q = d², s = d(1 - 2p) and g = dz of every row, with d = y - p; losses and g over 2^LOSS_SCALE."""
    y, p, rest, spread = columns[_Y], columns[_P], columns[_REST], columns[_SPREAD]
    near, far, side, z = columns[_NEAR], columns[_FAR], columns[_SIDE], columns[_Z]
    scale = 2.0**-LOSS_SCALE
    for i in range(n):
        upper, t = side[i] < 0.0, y[i]
        of_one, of_zero = select(upper, near[i], far[i]), select(upper, far[i], near[i])
        l = select(t == 1.0, of_one, select(t == 0.0, of_zero, t * of_one + (1.0 - t) * of_zero))
        d = t * rest[i] - (1.0 - t) * p[i]
        columns[_L, i] = l * scale
        columns[_Q, i] = d * d
        columns[_S, i] = d * spread[i]
        columns[_G, i] = select(d == 0.0, 0.0, d * z[i]) * scale


@entry
def add_losses(x, y, w, logits, row, rows, owners, slots, records, used):
    """Add the losses of rows to their owners' records. As `add_rows`; returns (status, row)."""
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    while row < rows:
        n = min(np.int64(BLOCK), rows - row)
        if not has_room(BLOCK, slots, records, used):
            return FULL, row
        _load(x, y, w, logits, row, n, columns)
        _losses(n, columns)
        for i in range(n):
            v, scale = scaled(columns[_W, i])
            found = find(key_of(np.int64(owners[row + i]), scale, np.int64(0)), slots, records, used)
            record = records[found]
            record[ROWS] += 1
            add_units(units_of(v), record, 3)
            add_units(units_of(v * columns[_Y, i]), record, 5)
            if not (columns[_L, i] <= 1.0) | (v == 0.0):
                record[2] += 1
                continue
            l, g = columns[_L, i], columns[_G, i]
            if v == 0.0:
                l, g = 0.0, 0.0
            add_units(units_of(v * l), record, 7)
            add_units(units_of(v * columns[_Q, i]), record, 9)
            add_units(units_of(v * columns[_S, i]), record, 11)
            add_units(units_of(v * g), record, 13)
        row += n
    return DONE, row


@inline
def _add_sum(owner, kind, x, slots, records, used):
    """Add a number of any magnitude to one of an owner's sums, without rounding."""
    v, scale = scaled(magnitude(x))
    found = find(key_of(owner, scale, np.int64(kind)), slots, records, used)
    records[found, ROWS] += 1
    add_units(units_of(v * v if kind == SQUARE else flip_sign(v, x)), records[found], 2)


@inline
def _add_pair(owner, w, power, l, other, slots, records, used):
    """Add what a row tells of two models with these losses."""
    if l < other:
        _add_sum(owner, WINS, w, slots, records, used)
    elif l > other:
        _add_sum(owner, DEFEATS, w, slots, records, used)
    t = w * (l - other)
    if magnitude(t) < 1e300 and magnitude(w * t) < 1e300:
        _add_sum(owner, DIFFERENCE, t, slots, records, used)
        _add_sum(owner, SQUARE, t if power == 2 else math.sqrt(w) * (l - other), slots, records, used)
        _add_sum(owner, WEIGHTED, w * t, slots, records, used)
    elif w > 0.0 and l != other:
        _add_sum(owner, BEYOND, 1.0, slots, records, used)


@inline
def _add_joint(y, w, p, place, other, other_place, slots, records, used):
    """Add a row to the bin that two models have together."""
    if records.shape[1] == JOINT:
        found = find(key_of(place, np.int64(0), other_place), slots, records, used)
        record = records[found]
        _add_narrow(record, y, p)
        add_units(units_of(other), record, 5)
        return
    v, scale = scaled(w)
    record = records[find(key_of(place, scale, other_place), slots, records, used)]
    _add_wide(record, y, p, v)
    add_units(units_of(v * other), record, 12)


@entry
def add_pairs(x, x2, y, w, power, logits, logits2, row, rows, owners, joint, joints, used, slots, records, used_sums):
    """Add rows that two models predicted: to the bins they have together, and to the sums of the rows' owners.

    As `add_rows`; power: that of the weight beside squares, 1 or 2. Returns (status, row).
    """
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    places, others = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    kept = np.empty((2, BLOCK), np.float64)
    while row < rows:
        n = min(np.int64(BLOCK), rows - row)
        if not (has_room(BLOCK, joint, joints, used) and used_sums[0] + 6 * BLOCK <= records.shape[0]):
            return FULL, row
        hard = _load(x2, y, w, logits2, row, n, columns)
        if not hard and joints.shape[1] == JOINT:
            return SOFT, row
        _losses(n, columns)
        place_of(columns[_Z][:n], others)
        kept[0, :n], kept[1, :n] = columns[_L][:n], columns[_P][:n]
        _load(x, y, w, logits, row, n, columns)
        _losses(n, columns)
        place_of(columns[_Z][:n], places)
        for i in range(n):
            y_, w_, l, p = columns[_Y, i], columns[_W, i], columns[_L, i], columns[_P, i]
            place, other = among(places[i], PAIRED), among(others[i], PAIRED)
            _add_joint(y_, w_, p, place, kept[1, i], other, joint, joints, used)
            _add_pair(np.int64(owners[row + i]), w_, power, l, kept[0, i], slots, records, used_sums)
        row += n
    return DONE, row


@entry
def logits_of(x, shift, out):
    """The logits of valid probabilities, plus a number."""
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    for row in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - row)
        _load(x, x, (0, 0), False, row, n, columns)
        for i in range(n):
            out[row + i] = columns[_Z, i] + shift
