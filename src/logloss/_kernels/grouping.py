"""Which cell each row belongs to, and the rows of a batch brought together by cell.

A key is a few 64-bit words; cells are numbered as their keys come. A hash table with open addressing finds them.
"""

from __future__ import annotations

import numpy as np

from .jit import entry, inline
from .ops import prefetch

_EMPTY = -1

_TOGETHER = 64
"""Rows that wait for memory at the same time."""


@inline
def _hash(words, row):
    h = np.uint64(0)
    for j in range(words.shape[1]):
        h = (h ^ np.uint64(words[row, j])) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(32)
    return h


@inline
def _equal(a, i, b, j):
    same = True
    for k in range(a.shape[1]):
        same &= a[i, k] == b[j, k]
    return same


@inline
def _ask_for(words, row, stop, slots, known, places):
    """The first place of some rows' words in the table; what will be looked at is asked for from memory."""
    for k in range(row, stop):
        places[k] = _hash(words, k) & np.uint64(slots.size - 1)
        prefetch(slots, places[k])
    for k in range(row, stop):
        if slots[places[k]] != _EMPTY:
            prefetch(known, slots[places[k]] * known.shape[1])


@entry
def find_cells(words, row, slots, known, count, cells):
    """Give each row from `row` on the cell of its words; new words become the next cell.

    slots: a power of two of them, -1 where nothing is; known: the words of the cells so far. Returns (row, count): all
    rows, or the row at which there was no room for another cell.
    """
    mask = np.uint64(slots.size - 1)
    asked = row
    while row < words.shape[0]:
        if row == asked:
            asked = min(row + _TOGETHER, words.shape[0])
            _ask_for(words, row, asked, slots, known, cells)
        place = np.uint64(cells[row])
        while slots[place] != _EMPTY and not _equal(known, slots[place], words, row):
            place = (place + np.uint64(1)) & mask
        if slots[place] == _EMPTY:
            if count == known.shape[0]:
                return row, count
            known[count] = words[row]
            slots[place] = count
            count += 1
        cells[row] = slots[place]
        row += 1
    return row, count


@entry
def fill_slots(known, count, slots):
    """Enter the cells so far into new slots, which are all -1."""
    mask = np.uint64(slots.size - 1)
    for cell in range(count):
        place = _hash(known, cell) & mask
        while slots[place] != _EMPTY:
            place = (place + np.uint64(1)) & mask
        slots[place] = cell


@entry
def gather_rows(cells, places, order, ends, met):
    """Bring the rows of each cell together, in the order of the rows. Returns how many cells were met.

    places: -1 for every cell, before and after. order: the rows, cell by cell; met[k] has those before ends[k].
    """
    count = 0
    for row in range(cells.size):
        place = places[cells[row]]
        if place == _EMPTY:
            place = count
            places[cells[row]], met[count], ends[count] = count, cells[row], 0
            count += 1
        cells[row] = place
        ends[place] += 1
    start = 0
    for k in range(count):
        places[met[k]] = _EMPTY
        size, ends[k] = ends[k], start
        start += size
    for row in range(cells.size):
        order[ends[cells[row]]] = row
        ends[cells[row]] += 1
    return count
