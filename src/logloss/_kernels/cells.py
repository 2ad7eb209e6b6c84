"""How the terms of a block's rows come into the sums of their cells; `window` says what a cell is.

Where a cell has many rows in a block, these are added up first (`exact.split`). Else every row is added by itself, all
its terms at once: the narrow digits are levels at fixed exponents, so that no number needs to know its own. Numbers
that these cannot take go to the cell's wide row.

Cells and wide rows come as (address, rows, columns) of their arrays.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from .digits import carry_row
from .exact import deposit, deposit_narrow, deposit_one, highest, is_narrow, lowest
from .jit import inline
from .ops import pointer, prefetch
from .terms import INFINITE, LEAST_TERMS, MOST_TERMS, ONE, ZERO
from .window import ADDITIONS, BITS, FINEST, HEADER, LOWEST, NARROW, NARROW_DIGITS, OVERFLOWS, WIDE

_AHEAD = 6
"""So many segments before it is needed, a cell is asked for from memory."""


@inline
def row_of(table, k):
    """Row k of an array of integers, given as (address, rows, columns): a view that nobody has to count."""
    return carray(pointer(table[0] + 8 * table[2] * k), (table[2],), np.int64)


@inline
def _ask_for(cell):
    for word in range(0, cell.size, 8):
        prefetch(cell, word)


@inline
def outside(n, terms, columns, lows, highs):
    """A bit per term of which the narrow window lacks a number; bounds that leave it open are made the least ones."""
    found = np.int64(0)
    for t in range(terms.size):
        if not is_narrow(lows[t], highs[t]):
            column = columns[terms[t]][:n]
            lows[t], highs[t] = lowest(column), highest(column)
            if not is_narrow(lows[t], highs[t]):
                found |= np.int64(1) << t
    return found


@inline
def _is_due(cell, n):
    """Whether so many more rows may fill the digits of a cell."""
    return (cell[0] + n) >> ADDITIONS != cell[0] >> ADDITIONS


@inline
def is_full(cell, n, odd, wide, used):
    """Whether a wide row may be needed, and there is none left."""
    return ((odd != 0) | _is_due(cell, n)) & (used[0] == wide[1])


@inline
def _wide_row(cell, wide, used):
    """The cell's wide row; the next one if it has none."""
    if cell[WIDE] == 0:
        cell[WIDE] = used[0]
        used[0] += 1
    return row_of(wide, cell[WIDE])


@inline
def _carry(cell, terms, wide, used):
    digits = cell[HEADER:]
    carry_row(digits, terms)
    if cell[WIDE] != 0:
        carry_row(row_of(wide, cell[WIDE]), terms)
    top = (NARROW_DIGITS - 1) * terms
    for t in range(terms):
        if abs(digits[top + t]) >> BITS != 0:
            _wide_row(cell, wide, used)[NARROW * terms + top + t] += digits[top + t]
            digits[top + t] = 0


@inline
def add_segment(n, counts, terms, odd, tops, levels, totals, overflowed, cell, wide, used):
    """Add what `split` made of the terms of n rows of one cell."""
    every = (cell.size - HEADER) // NARROW_DIGITS
    due = _is_due(cell, n)
    for t in range(terms.size):
        if odd >> t & 1:
            deposit(totals[t], levels[t], tops[t], LOWEST, _wide_row(cell, wide, used), t, every)
        else:
            deposit(totals[t], levels[t], tops[t], FINEST, cell[HEADER:], t, every)
    cell[0] += n
    for count, more in enumerate(counts):
        cell[1 + count] += more
    cell[OVERFLOWS] |= overflowed
    if due:
        _carry(cell, every, wide, used)


@inline
def _turn(n, terms, columns, rows):
    """The terms of a block row by row; those that are left out are 0."""
    if terms.size > LEAST_TERMS:
        for i in range(n):
            for t in range(terms.size, MOST_TERMS):
                rows[i, t] = 0.0
    for first in range(0, n, 8):
        for t in range(terms.size):
            column = columns[terms[t]]
            for i in range(first, min(first + 8, n)):
                rows[i, t] = column[i]


@inline
def _add_odd(numbers, odd, every, cell, wide, used):
    """Add the terms of a row, some of which may be outside the narrow window."""
    digits = cell[HEADER:]
    for t in range(numbers.size):
        number = numbers[t : t + 1]
        if (odd >> t & 1 == 0) or is_narrow(lowest(number), highest(number)):
            deposit_narrow(number, 1, digits[t:], every)
        elif deposit_one(numbers[t], _wide_row(cell, wide, used), t, every):
            cell[OVERFLOWS] |= np.int64(1) << t


@inline
def add_scattered(n, segment, row, ends, cells, terms, columns, rows, odd, certain, held, wide, used):
    """Add a block of short segments row by row. Returns the segment reached, and how many rows were added."""
    _turn(n, terms, columns, rows)
    every = (held[2] - HEADER) // NARROW_DIGITS
    k, i = segment, 0
    while i < n:
        if k + _AHEAD < cells.size:
            _ask_for(row_of(held, cells[k + _AHEAD]))
        stop, cell = ends[k] - row, row_of(held, cells[k])
        if is_full(cell, stop - i, odd, wide, used):
            break
        due = _is_due(cell, stop - i)
        cell[0] += stop - i
        digits = cell[HEADER:]
        while i < stop:
            if odd:
                _add_odd(rows[i, : terms.size], odd, every, cell, wide, used)
            elif every == LEAST_TERMS:
                deposit_narrow(rows[i], LEAST_TERMS, digits, LEAST_TERMS)
            else:
                deposit_narrow(rows[i], MOST_TERMS, digits, MOST_TERMS)
            if certain:
                cell[1] += np.int64(columns[INFINITE, i])
                cell[2] += np.int64(columns[ZERO, i])
                cell[3] += np.int64(columns[ONE, i])
            i += 1
        if due:
            _carry(cell, every, wide, used)
        k += 1
    return k, i
