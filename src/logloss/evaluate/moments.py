"""The raw moments of one cell (a group, a label, a model), as exact integers.

With w the weight, y the target, p the prediction and l its loss (finite ones only); `_kernels.scoring` has all columns.
Moments are raw, never centred: raw ones add without rounding, and exact arithmetic centres them afterwards without
cancellation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNWEIGHTED_TERMS = (
    *("wy", "wp", "wl", "wq", "ws", "wg"),
    *("wwll", "wwly", "wwyy", "wwqq", "wwvs", "wwvg"),
)
"""What the sums of a state are, in the kernel's order; without weights w = 1."""

WEIGHTED_TERMS = (*UNWEIGHTED_TERMS, "w", "ww", "wwy", "wwl", "wwq", "w_infinite", "w_zero", "w_one")


@dataclass(frozen=True)
class Moments:
    """Counts of rows, and sums as integers in units of 1 / `one`."""

    rows: int
    infinite: int
    zero: int
    one_: int
    one: int
    sums: dict[str, int]
    overflowed: frozenset[str]

    def __getitem__(self, term: str) -> int:
        return self.sums[term]


def moments(counts: Sequence[int], sums: Sequence[int], one: int, overflows: int) -> Moments:
    """Name the sums of a cell; those that only weights need follow from the others when there are no weights."""
    rows, infinite, zero, at_one = counts
    names = WEIGHTED_TERMS if len(sums) == len(WEIGHTED_TERMS) else UNWEIGHTED_TERMS
    named = dict(zip(names, sums, strict=True))
    if names is UNWEIGHTED_TERMS:
        named |= {"w": rows * one, "ww": rows * one}
        named |= {"ww" + x: named["w" + x] for x in "ylq"}
        named |= {"w_infinite": infinite * one, "w_zero": zero * one, "w_one": at_one * one}
    overflowed = frozenset(name for bit, name in enumerate(names) if overflows >> bit & 1)
    return Moments(rows, infinite, zero, at_one, one, named, overflowed)
