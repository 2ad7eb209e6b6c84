"""Long integers of many cells at once: `window` says what the digits are."""

from __future__ import annotations

import numpy as np

from .exact import BLOCK, MAX_LEVELS, deposit, highest, lowest, split
from .jit import entry, inline
from .ops import prefetch
from .window import BITS, COUNTS, HEADER, LOWEST, NARROW_DIGITS, OVERFLOWS

_MASK = (1 << BITS) - 1

_AHEAD = 4
"""So many cells before it is needed, one is asked for from memory."""


@inline
def carry_row(digits, terms):
    """Bring every digit of some sums but the highest into [0, 2^50)."""
    for first in range(0, digits.size - terms, terms):
        low, high = digits[first : first + terms], digits[first + terms : first + 2 * terms]
        for t in range(terms):
            high[t] += low[t] >> BITS
            low[t] &= _MASK


@entry
def carry(rows, first, terms):
    """The same in every row, whose digits start at `first`."""
    for k in range(rows.shape[0]):
        carry_row(rows[k, first:], terms)


@entry
def add_up(numbers, digits):
    """Add finite numbers to one sum with all digits. Returns whether one was too large for that, from 2^1022 on."""
    rest, totals = np.empty(BLOCK), np.empty(MAX_LEVELS, np.int64)
    overflow = False
    for start in range(0, numbers.size, BLOCK):
        part = numbers[start : start + BLOCK]
        e, levels, larger = split(part, rest[: part.size], highest(part) + 1, max(lowest(part) - 52, -1074), totals)
        deposit(totals, levels, e, LOWEST, digits, 0, 1)
        carry_row(digits, 1)
        overflow |= larger
    return overflow


@entry
def add(into, cells, held):
    """Add cell k, without its wide row, to cell cells[k], as if both were carried."""
    terms = (held.shape[1] - HEADER) // NARROW_DIGITS
    for k in range(cells.size):
        if k + _AHEAD < cells.size:
            for word in range(0, into.shape[1], 8):
                prefetch(into, cells[k + _AHEAD] * into.shape[1] + word)
        mine, theirs = into[cells[k]], held[k]
        for count in range(COUNTS):
            mine[count] += theirs[count]
        mine[OVERFLOWS] |= theirs[OVERFLOWS]
        a, b = mine[HEADER:], theirs[HEADER:]
        carry_row(a, terms)
        for j in range(b.size):
            a[j] += b[j]
        carry_row(a, terms)
