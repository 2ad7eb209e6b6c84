"""Long integers of many cells at once: `evaluate.sums` says what the digits are."""

from __future__ import annotations

from .jit import entry

_LOW = 0xFFFFFFFF


@entry
def carry(digits):
    """Bring every digit of each row but the highest into [0, 2^32)."""
    for k in range(digits.shape[0]):
        for j in range(digits.shape[1] - 1):
            digits[k, j + 1] += digits[k, j] >> 32
            digits[k, j] &= _LOW


@entry
def add(into, cells, digits):
    """Add the sums of cell k, as if carried, to those of cell cells[k]."""
    for k in range(cells.size):
        for t in range(digits.shape[1]):
            above = 0
            for j in range(digits.shape[2] - 1):
                value = digits[k, t, j] + above
                into[cells[k], t, j] += value & _LOW
                above = value >> 32
            into[cells[k], t, digits.shape[2] - 1] += digits[k, t, digits.shape[2] - 1] + above
