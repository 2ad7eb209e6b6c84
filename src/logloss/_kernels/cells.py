"""How the terms of a block's rows come into the sums of their cells; `window` says what a cell is.

Where a cell has many rows in a block, these are added up first (`exact.split`). Else every row is added by itself, all
its terms at once: the narrow digits are levels at fixed exponents, so that no number needs to know its own. Numbers
that these cannot take go to the cell's wide row.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .digits import carry_row
from .exact import deposit, deposit_narrow, deposit_one, highest, is_narrow, lowest
from .jit import inline
from .terms import INFINITE, ONE, ZERO
from .window import ADDITIONS, BITS, FINEST, HEADER, LOWEST, NARROW, NARROW_DIGITS, OVERFLOWS, WIDE

_AHEAD = 6
"""So many segments before it is needed, a cell is asked for from memory."""


@intrinsic
def _prefetch(typing, array, index):
    """Ask for the cache line of an array's element, to be written to."""

    def codegen(context, b, signature, args):
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        place = b.bitcast(b.gep(data, [args[1]]), cgutils.voidptr_t)
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0i8")
        b.call(function, [place, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, index), codegen


@inline
def _ask_for(cell, held):
    for word in range(cell * held.shape[1], (cell + 1) * held.shape[1], 8):
        _prefetch(held, word)


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
    return ((odd != 0) | _is_due(cell, n)) & (used[0] == wide.shape[0])


@inline
def _row_of(cell, wide, used):
    """The cell's wide row; the next one if it has none."""
    if cell[WIDE] == 0:
        cell[WIDE] = used[0]
        used[0] += 1
    return wide[cell[WIDE]]


@inline
def _carry(cell, terms, wide, used):
    digits = cell[HEADER:]
    carry_row(digits, terms)
    if cell[WIDE] != 0:
        carry_row(wide[cell[WIDE]], terms)
    top = (NARROW_DIGITS - 1) * terms
    for t in range(terms):
        if abs(digits[top + t]) >> BITS != 0:
            _row_of(cell, wide, used)[NARROW * terms + top + t] += digits[top + t]
            digits[top + t] = 0


@inline
def add_segment(n, counts, terms, odd, tops, levels, totals, overflowed, cell, wide, used):
    """Add what `split` made of the terms of n rows of one cell."""
    every = (cell.size - HEADER) // NARROW_DIGITS
    due = _is_due(cell, n)
    for t in range(terms.size):
        if odd >> t & 1:
            deposit(totals[t], levels[t], tops[t], LOWEST, _row_of(cell, wide, used), t, every)
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
    """The terms of a block row by row."""
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
            at = digits[t:]
            deposit_narrow(number, at, at[every:], at[2 * every :], at[3 * every :])
        elif deposit_one(numbers[t], _row_of(cell, wide, used), t, every):
            cell[OVERFLOWS] |= np.int64(1) << t


@inline
def add_scattered(n, segment, row, ends, cells, terms, columns, rows, odd, certain, held, wide, used):
    """Add a block of short segments row by row. Returns the segment reached, and how many rows were added."""
    _turn(n, terms, columns, rows)
    every = (held.shape[1] - HEADER) // NARROW_DIGITS
    k, i = segment, 0
    while i < n:
        if k + _AHEAD < cells.size:
            _ask_for(cells[k + _AHEAD], held)
        stop, cell = ends[k] - row, held[cells[k]]
        if is_full(cell, stop - i, odd, wide, used):
            break
        due = _is_due(cell, stop - i)
        cell[0] += stop - i
        digits = cell[HEADER:]
        while i < stop:
            numbers = rows[i, : terms.size]
            if odd:
                _add_odd(numbers, odd, every, cell, wide, used)
            else:
                deposit_narrow(numbers, digits[:every], digits[every:], digits[2 * every :], digits[3 * every :])
            if certain:
                cell[1] += np.int64(columns[INFINITE, i])
                cell[2] += np.int64(columns[ZERO, i])
                cell[3] += np.int64(columns[ONE, i])
            i += 1
        if due:
            _carry(cell, every, wide, used)
        k += 1
    return k, i
