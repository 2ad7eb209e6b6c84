"""Sums in fixed point, found by key: integers, so that no order can matter.

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

import numpy as np

from .exact import bits, from_bits
from .jit import entry, inline
from .ops import magnitude, select

LOW_BITS, UNIT = 38, 60
PLACE_BITS, SCALE_BITS = 15, 9
SCALE_OF_ONE = 160
"""What stands in a key for the scale 0; the least one is -134."""

KEY, ROWS = 0, 1
NARROW, WIDE, LOSSES = 5, 12, 15
JOINT, WIDE_JOINT, SUM = 7, 14, 4
"""The words of records: (key, rows, Σy, Σp); (key, rows, Σw, Σwy, Σw², Σw²y, Σwp); of losses
(key, rows, beyond, Σw, Σwy, Σwl, Σwq, Σws, Σwg); of two models, the first two with Σp of either; and a single sum.
Each Σ but a narrow Σy is two words."""

_ONE, _WHOLE = 2.0**UNIT, 2.0**52
LOW = (1 << LOW_BITS) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15
_ALL_BUT_SIGN = (1 << 63) - 1


@inline
def _slot(key, slots):
    h = np.uint64(key) * np.uint64(_MULTIPLIER)
    return (h >> np.uint64(32)) & np.uint64(slots.size - 1)


@inline
def find(key, slots, records, used):
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
def has_room(more, slots, records, used):
    """Whether so many more records fit."""
    return (used[0] + more <= records.shape[0]) & (2 * (used[0] + more) <= slots.size)


@inline
def units_of(value):
    """A number in [-1, 1] as units, the nearest whole one; from 2^52 units on it is one."""
    scaled = value * _ONE
    half = select(magnitude(scaled) < _WHOLE, select(scaled < 0.0, -0.5, 0.5), 0.0)
    return np.int64(scaled + half)


@inline
def add_units(units, record, word):
    record[word] += units >> LOW_BITS
    record[word + 1] += units & LOW


@inline
def scaled(w):
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
def key_of(owner, scale, place):
    return (((owner << SCALE_BITS) + scale + SCALE_OF_ONE) << PLACE_BITS) + place


@entry
def merge(keys, added, slots, records, used):
    """Add records, under these keys, to others of the same width, which have room for them."""
    for k in range(keys.size):
        found = find(keys[k], slots, records, used)
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
