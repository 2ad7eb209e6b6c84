"""Sums per bin of the logit, and per unit of the losses, in fixed point: integers, so that no order can matter.

A record is a row of int64: its key, the number of rows, then its sums. The key is (owner, scale, place): whose record
it is (a group, a bucket; 0 for the whole), the scale of the weights, and the bin. Open addressing finds records by key.

A sum of numbers in [-1, 1] is two integers, high · 2^38 + low, in units of 2^-60, and a number is added to each without
a carry: 2^24 numbers fit between two carries, and 2^40 into the high part. Weights are of any magnitude, so each is
w = v · 2^(8s) with v in (2^-8, 1], and the scale s is in the key: v is a whole number of units, so no bit of a weight
is lost, and a small weight counts as exactly as a large one. Products with v are rounded to units row by row: Σw is
exact, Σwy is where targets are 0 or 1, and of others a row's error is at most 2^-61, with v > 2^-8 beside it.

Without weights, and as long as all targets are 0 or 1, a record is narrow: Σy is a count, and only Σp has two parts.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from .blocks import load
from .exact import BLOCK, bits, from_bits
from .jit import entry, inline
from .ops import flip_sign, is_negative, magnitude, select
from .scoring import _count, _from_logits, _from_probabilities, _scratch

DONE, FULL, SOFT = range(3)

LOW_BITS, UNIT = 38, 60
FINE, COARSE, LIMIT = 2**14, 2**10, 32.0
"""Bins of the whole, those of owners, and the logits at which they end, as `evaluate.bins` has them."""

PLACE_BITS, SCALE_BITS = 15, 9
SCALE_OF_ONE = 160
"""What stands in a key for the scale 0; the least one is -134."""

KEY, ROWS = 0, 1
NARROW, WIDE, LOSSES = 5, 12, 15
JOINT, WIDE_JOINT, SUM = 7, 14, 4
"""The words of records: (key, rows, Σy, Σp); (key, rows, Σw, Σwy, Σw², Σw²y, Σwp); of losses
(key, rows, beyond, Σw, Σwy, Σwl, Σwq, Σws, Σwg); of two models, the first two with Σp of either; and a single sum.
Each Σ but a narrow Σy is two words."""

DIFFERENCE, SQUARE, WEIGHTED, WINS, DEFEATS, BEYOND = range(6)
"""Sums over pairs, by the place in their key, of t = w(l - l'): Σt, Σt², Σwt, Σw where l < l', Σw where l > l', and
rows for which t, or wt, is no finite number."""

PAIRED = 256
"""Bins of each of two models together."""

LOSS_SCALE = 10
"""Losses and g are kept as multiples of 2^10; rows beyond that are counted and not added."""

_ONE, _WHOLE = 2.0**UNIT, 2.0**52
_LOW = (1 << LOW_BITS) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15
_ALL_BUT_SIGN = (1 << 63) - 1
_Y, _W, _P, _REST, _SPREAD, _M, _NEAR, _FAR, _X, _SIDE, _Z, _L, _Q, _S, _G, _COLUMNS = range(16)


@inline
def _slot(key, slots):
    h = np.uint64(key) * np.uint64(_MULTIPLIER)
    return (h >> np.uint64(32)) & np.uint64(slots.size - 1)


@inline
def _find(key, slots, records, used):
    """The record with this key, which is made if there is none; there is room for it."""
    place, mask = _slot(key, slots), np.uint64(slots.size - 1)
    while True:
        found = slots[place]
        if found < 0:
            break
        if records[found, KEY] == key:
            return found
        place = (place + np.uint64(1)) & mask
    found = used[0]
    slots[place] = found
    records[found, KEY] = key
    used[0] += 1
    return found


@inline
def _has_room(slots, records, used):
    """Whether a block fits, if all of its rows need a record of their own."""
    return (used[0] + BLOCK <= records.shape[0]) & (2 * (used[0] + BLOCK) <= slots.size)


@inline
def _units(value):
    """A number in [-1, 1] as units, the nearest whole one; from 2^52 units on it is one."""
    scaled = value * _ONE
    half = select(magnitude(scaled) < _WHOLE, select(scaled < 0.0, -0.5, 0.5), 0.0)
    return np.int64(scaled + half)


@inline
def _add(units, record, word):
    record[word] += units >> LOW_BITS
    record[word + 1] += units & _LOW


@inline
def _scaled(w):
    """(v, s) with w = v · 2^(8s) and v in (2^-8, 1]; (0, 0) for 0."""
    if w == 0.0:
        return 0.0, np.int64(0)
    shift = np.int64(0)
    if w < 1e-290:  # below there are fewer bits than 53
        w *= 2.0**128
        shift = np.int64(16)
    s = (((bits(w) - 1) >> 52) - 1023 + 8) >> 3
    half = (np.int64(-4 * s + 1023)) << 52
    return w * from_bits(half) * from_bits(half), s - shift


@inline
def _load(x, y, w, logits, row, n, columns):
    """The rows of a block. Returns whether all targets are 0 or 1."""
    targets = columns[_Y][:n]
    load(targets, y[0], y[1], row)
    load(columns[_X if logits else _P][:n], x[0], x[1], row)
    if w[0] != 0:
        load(columns[_W][:n], w[0], w[1], row)
    else:
        columns[_W][:n] = 1.0
    p, rest, spread, m = columns[_P][:n], columns[_REST][:n], columns[_SPREAD][:n], columns[_M][:n]
    near, far, side, z = columns[_NEAR][:n], columns[_FAR][:n], columns[_SIDE][:n], columns[_Z][:n]
    if logits:
        _from_logits(columns[_X][:n], p, rest, spread, side, m, near, far)
    else:
        _from_probabilities(p, rest, spread, m, near, far)
        side[:] = spread
    for i in range(n):
        z[i] = flip_sign(near[i] - far[i], side[i])
    return _count(targets, 0.0) + _count(targets, 1.0) == n


@inline
def _place(z, places):
    """The bin of each logit among FINE ones: 0 for -inf, FINE + 1 for inf."""
    for i in range(z.size):
        inner = select(z[i] < -LIMIT, -LIMIT, select(z[i] > LIMIT, LIMIT, z[i]))
        place = np.int32((inner + LIMIT) * (FINE / (2 * LIMIT)))
        place = np.int32(1) + min(place, np.int32(FINE - 1))
        certain = magnitude(z[i]) == np.inf
        end = np.int32(0) if is_negative(z[i]) else np.int32(FINE + 1)
        places[i] = end if certain else place


@inline
def _among(place, count):
    """The bin among fewer ones."""
    inner = np.int64(1) + (np.int64(place) - 1) // (FINE // count)
    return np.int64(0) if place == 0 else (np.int64(count + 1) if place == FINE + 1 else inner)


@inline
def _key(owner, scale, place):
    return (((owner << SCALE_BITS) + scale + SCALE_OF_ONE) << PLACE_BITS) + place


@inline
def _add_narrow(record, y, p):
    units = _units(p)
    record[ROWS] += 1
    record[2] += np.int64(y)
    record[3] += units >> LOW_BITS
    record[4] += units & _LOW


@inline
def _add_wide(record, y, p, v):
    record[ROWS] += 1
    _add(_units(v), record, 2)
    _add(_units(v * y), record, 4)
    _add(_units(v * v), record, 6)
    _add(_units((v * v) * y), record, 8)
    _add(_units(v * p), record, 10)


@inline
def _add_block(n, row, owners, places, columns, slots, records, used, fine):
    """Add a block to one set of records: to owner 0's, in fine bins, or to each row's owner's, in coarse ones."""
    narrow = records.shape[1] == NARROW
    y, p, w = columns[_Y], columns[_P], columns[_W]
    for i in range(n):
        owner = np.int64(0) if fine else np.int64(owners[row + i])
        place = np.int64(places[i]) if fine else _among(places[i], COARSE)
        if narrow:
            found = _find(_key(owner, np.int64(0), place), slots, records, used)
            _add_narrow(records[found], y[i], p[i])
        else:
            v, scale = _scaled(w[i])
            found = _find(_key(owner, scale, place), slots, records, used)
            _add_wide(records[found], y[i], p[i], v)


@entry
def add_rows(x, y, w, logits, row, rows, owners, slots, records, used, slots_of, records_of, used_of):
    """Add rows from number `row` on: to owner 0 in fine bins, and to owners[row] in coarse ones.

    x, y, w: (address, `blocks` code) of valid predictions (logits or probabilities), targets and weights; address 0 for
    no weights. slots: a power of two of them, -1 where nothing is; used[0]: how many records there are. Of a pair
    without slots nothing is kept. Returns (status, row): all done; or the block that starts there needs more room, or
    wide records, and nothing of it was added.
    """
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    places = np.empty(BLOCK, np.int32)
    whole, parts = slots.size > 0, slots_of.size > 0
    narrow = (whole and records.shape[1] == NARROW) or (parts and records_of.shape[1] == NARROW)
    while row < rows:
        n = min(np.int64(BLOCK), rows - row)
        if whole and not _has_room(slots, records, used):
            return FULL, row
        if parts and not _has_room(slots_of, records_of, used_of):
            return FULL, row
        hard = _load(x, y, w, logits, row, n, columns)
        if narrow and not hard:
            return SOFT, row
        _place(columns[_Z][:n], places)
        if whole:
            _add_block(n, row, owners, places, columns, slots, records, used, True)
        if parts:
            _add_block(n, row, owners, places, columns, slots_of, records_of, used_of, False)
        row += n
    return DONE, row


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
        if not _has_room(slots, records, used):
            return FULL, row
        _load(x, y, w, logits, row, n, columns)
        _losses(n, columns)
        for i in range(n):
            v, scale = _scaled(columns[_W, i])
            found = _find(_key(np.int64(owners[row + i]), scale, np.int64(0)), slots, records, used)
            record = records[found]
            record[ROWS] += 1
            _add(_units(v), record, 3)
            _add(_units(v * columns[_Y, i]), record, 5)
            if not (columns[_L, i] <= 1.0) | (v == 0.0):
                record[2] += 1
                continue
            l, g = columns[_L, i], columns[_G, i]
            if v == 0.0:
                l, g = 0.0, 0.0
            _add(_units(v * l), record, 7)
            _add(_units(v * columns[_Q, i]), record, 9)
            _add(_units(v * columns[_S, i]), record, 11)
            _add(_units(v * g), record, 13)
        row += n
    return DONE, row


@inline
def _add_sum(owner, kind, x, slots, records, used):
    """Add a number of any magnitude to one of an owner's sums, without rounding."""
    v, scale = _scaled(magnitude(x))
    found = _find(_key(owner, scale, np.int64(kind)), slots, records, used)
    records[found, ROWS] += 1
    _add(_units(v * v if kind == SQUARE else flip_sign(v, x)), records[found], 2)


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
        found = _find(_key(place, np.int64(0), other_place), slots, records, used)
        record = records[found]
        _add_narrow(record, y, p)
        _add(_units(other), record, 5)
        return
    v, scale = _scaled(w)
    record = records[_find(_key(place, scale, other_place), slots, records, used)]
    _add_wide(record, y, p, v)
    _add(_units(v * other), record, 12)


@entry
def add_pairs(x, x2, y, w, power, logits, logits2, row, rows, owners, joint, joints, used, slots, records, used_sums):
    """Add rows that two models predicted: to the bins they have together, and to the sums of the rows' owners.

    As `add_rows`; power: that of the weight beside squares, 1 or 2. Returns (status, row).
    """
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    places, others = np.empty((2, BLOCK), np.int32)
    kept = np.empty((2, BLOCK), np.float64)
    while row < rows:
        n = min(np.int64(BLOCK), rows - row)
        if not (_has_room(joint, joints, used) and used_sums[0] + 6 * BLOCK <= records.shape[0]):
            return FULL, row
        hard = _load(x2, y, w, logits2, row, n, columns)
        if not hard and joints.shape[1] == JOINT:
            return SOFT, row
        _losses(n, columns)
        _place(columns[_Z][:n], others)
        kept[0, :n], kept[1, :n] = columns[_L][:n], columns[_P][:n]
        _load(x, y, w, logits, row, n, columns)
        _losses(n, columns)
        _place(columns[_Z][:n], places)
        for i in range(n):
            y_, w_, l, p = columns[_Y, i], columns[_W, i], columns[_L, i], columns[_P, i]
            place, other = _among(places[i], PAIRED), _among(others[i], PAIRED)
            _add_joint(y_, w_, p, place, kept[1, i], other, joint, joints, used)
            _add_pair(np.int64(owners[row + i]), w_, power, l, kept[0, i], slots, records, used_sums)
        row += n
    return DONE, row


@entry
def merge(keys, added, slots, records, used):
    """Add records, under these keys, to others of the same width, which have room for them."""
    for k in range(keys.size):
        found = _find(keys[k], slots, records, used)
        for word in range(1, records.shape[1]):
            records[found, word] += added[k, word]


@entry
def fill(slots, records, count):
    """Enter records into new slots, which are all -1."""
    mask = np.uint64(slots.size - 1)
    for k in range(count):
        place = _slot(records[k, KEY], slots)
        while slots[place] >= 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = k


@entry
def logits_of(x, shift, out):
    """The logits of valid probabilities, plus a number."""
    columns = carray(_scratch(0.0), (_COLUMNS, BLOCK), np.float64)
    for row in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - row)
        _load(x, x, (0, 0), False, row, n, columns)
        for i in range(n):
            out[row + i] = columns[_Z, i] + shift
