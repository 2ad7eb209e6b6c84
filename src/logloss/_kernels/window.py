"""Where the digits of exact sums stand, and what a cell holds. Nothing here is compiled.

A sum is a long integer of 50-bit digits, each in an int64, so that carries can wait (Neal, *Fast Exact Summation Using
Small and Large Superaccumulators*, 2015). Digit j of all of them counts 2^(50j - 1100). Of these a cell has the narrow
window, which holds nearly everything; what is larger or finer goes to a wide row with all digits, if a cell needs one.
"""

from __future__ import annotations

BITS = 50

DIGITS, LOWEST = 45, -1100
"""All digits: from below the smallest subnormal number to above 2^64 times the largest number."""

NARROW, NARROW_DIGITS = 19, 4
"""The narrow window: from 2^-150 to 2^50."""

FINEST, TOP = LOWEST + BITS * NARROW, LOWEST + BITS * (NARROW + NARROW_DIGITS)
"""The narrow window holds multiples of 2^FINEST below 2^TOP."""

ADDITIONS = 11
"""A cell is carried every 2^11 rows: a row adds at most 2^50 to a digit of 2^63, and two cells can still be added."""

COUNTS, OVERFLOWS, WIDE, HEADER = 4, 4, 5, 6
"""A cell: counts (rows, infinite losses, p = 0, p = 1), a bit per sum that lacks a number beyond 2^1022, the number of
its wide row or 0, and behind this header digit by digit those of all its sums."""
