"""The component "grid": rows, weights, targets and predictions per bin of the logit, for the whole and for each group.

The whole of a problem has 2^14 bins, a group 2^10. What a row adds depends on that row alone, and sums are integers
(`_kernels.grid`), so that bins have the same bits for any order, split, number of threads and order of merging. Weights
are summed without rounding, whatever their magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .bins import COARSE, FINE, Bins, Integers
from .clip import Rows
from .plan import Plan
from .records import NARROW, ROWS, WIDE, Records, Sorted, inverse, merge_each

_MANY = 1 << 12
"""Rows from which on a table of all bins is worth its 262 kB, for as long as they are added."""

RECORD_BYTES = 46
"""A record without weights, with what finds it."""


def width_of(plan: Plan, *, soft: bool = False) -> int:
    """The words of a plan's records; `soft`: once a target was neither 0 nor 1."""
    return WIDE if plan.weight or soft else NARROW


def by_problem(plan: Plan, data: Any) -> Iterator[tuple[Any, int]]:
    """What a component wrote of every problem, and the width of its bins. Raises ValueError for other problems."""
    if len(data) != len(plan.problems):
        raise ValueError("it must have something for every problem")
    for one in data:
        if (one.groups is None) != (not plan.groups):
            raise ValueError("it must have something for groups where there are groups")
        yield one, width_of(plan, soft=one.soft)


def require_same_rows(*parts: list[Records]) -> None:
    """Refuse records of which a problem's have not the same rows in all of these; there may be none of groups."""
    for found in zip(*(part for part in parts if part), strict=True):
        if len({one.rows for one in found}) > 1:
            raise ValueError("its parts have different rows")


class Grid:
    """Bins per problem, of the whole and of each group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.soft = [False for _ in plan.problems]
        self._whole = [Records(width_of(plan)) for _ in plan.problems]
        self._groups = [Records(width_of(plan)) for _ in plan.problems] if plan.groups else []

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem, which are valid."""
        whole = self._whole[problem]
        if not self._groups:
            self.soft[problem] |= add_to(whole, None, rows, None)
            return
        self.soft[problem] |= add_to(whole, self._groups[problem], rows, rows.owners(cells))

    def merge(self, other: Grid, cells: Integers) -> None:
        """Add another run's bins."""
        merge_each(self._whole, other._whole)
        merge_each(self._groups, other._groups, lambda owners: cells[owners])
        self.soft = [a or b for a, b in zip(self.soft, other.soft, strict=True)]

    def rows(self, problem: int) -> int:
        """The rows that a problem's bins hold."""
        return self._whole[problem].rows

    def whole(self, problem: int) -> Sorted:
        """The records of a problem over all groups, in fine bins."""
        return self._whole[problem].sorted()

    def of_group(self, problem: int, cell: int) -> Sorted:
        """Those of a problem in one group, in coarse bins."""
        return self._groups[problem].sorted().of(cell)

    def dump(self, cells: Integers) -> list[dict[str, Any]]:
        """For every problem, the records of the whole and of the groups in this order."""
        numbers = inverse(cells)
        found = []
        for problem, whole in enumerate(self._whole):
            groups = self._groups[problem].sorted(lambda owners: numbers[owners]).dump() if self._groups else None
            found.append({"soft": self.soft[problem], "whole": whole.sorted().dump(), "groups": groups})
        return found

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        found = cls(plan)
        for problem, (one, width) in enumerate(by_problem(plan, data)):
            found.soft[problem] = one.soft
            found._whole[problem] = Records.load(width, one.whole, min(groups, 1), FINE + 2)
            if one.groups is not None:
                found._groups[problem] = Records.load(width, one.groups, groups, COARSE + 2)
        require_same_rows(found._whole, found._groups)
        return found

    @staticmethod
    def document() -> Any:
        """For every problem, its bins."""
        from .documents import GridBins

        return list[GridBins]

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that it takes for so many groups of many rows each; groups of few rows take less."""
        record = RECORD_BYTES * width_of(plan) // NARROW
        return len(plan.problems) * record * (FINE + 2 + (groups * (COARSE + 2) if plan.groups else 0))


def add_to(whole: Records | None, parts: Records | None, rows: Rows, owners: NDArray[Any] | None) -> bool:
    """Add valid rows to the fine bins of the whole and to the coarse ones of their owners; whether some were soft."""
    from .._kernels import grid

    x, y, w = rows.operands()
    given = x.place, y.place, w.place, rows.logits, rows.place_of_bins
    numbers = np.zeros(0, np.int64) if owners is None else np.ascontiguousarray(owners, np.int64)
    soft = False
    used = [one for one in (whole, parts) if one is not None]
    nothing = Records(NARROW)
    nothing.slots = np.empty(0, np.int32)
    many = whole is not None and whole.width == NARROW and rows.count >= _MANY
    table = np.zeros(grid.TABLE if many else 0, np.int64)
    status, row = grid.FULL, 0
    while status != grid.DONE:
        for one in used:
            if status == grid.FULL:
                one.grow()
            else:
                one.widen()
        if status == grid.SOFT:
            soft, table = True, table[:0]  # which is empty by then
        arrays = [*(whole or nothing).arrays, *(parts or nothing).arrays]
        status, row = grid.add_rows(*given, row, rows.count, numbers, table, *arrays)
    for one in used:
        one.added(rows.count)
    return soft or (rows.weights is not None and rows.soft)


def bins_of(found: Sorted, count: int, soft: bool, owners: int | None = None) -> Bins:
    """Sorted records as arrays with a place for each bin, and a leading axis for owners if there are several."""
    shape = (count + 2,) if owners is None else (owners, count + 2)
    flat = found.places if owners is None else found.owners * (count + 2) + found.places

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(flat, values, np.prod(shape)).reshape(shape)

    rows = spread(found.words[:, ROWS]).astype(np.int64)
    if found.words.shape[1] == NARROW:
        w, wy = rows.astype(np.float64), spread(found.words[:, 2])
        return Bins(rows, w, w, wy, wy, spread(found.value(3)), soft)
    w, wy, wp = (spread(found.value(word)) for word in (2, 4, 10))
    ww, wwy = (spread(found.value(word, 2)) for word in (6, 8))
    return Bins(rows, w, ww, wy, wwy, wp, soft)
