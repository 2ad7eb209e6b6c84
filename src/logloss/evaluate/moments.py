"""The component of moments: what `store` holds, for every problem of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._kernels.window import HEADER, LOWEST, NARROW_DIGITS
from . import sums
from .clip import Rows
from .plan import FREQUENCY, Plan
from .store import UNWEIGHTED_TERMS, WEIGHTED_TERMS, Cells, Moments, Store, moments_of

Integers = NDArray[np.int64]


class InvalidRowsError(Exception):
    """A batch holds a value that the kernel refuses; whoever made the batch knows which row of which file that is."""


def names_of(plan: Plan) -> tuple[str, ...]:
    """The names of a plan's sums."""
    return WEIGHTED_TERMS if plan.weight else UNWEIGHTED_TERMS


class MomentSums:
    """Counts and exact sums per problem and group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._groups = 0
        self._stores = [Store(len(names_of(plan))) for _ in plan.problems]

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem.

        Raises InvalidRowsError, and is then of no further use, where a value is outside its domain.
        """
        self._grow(int(cells.max(initial=-1)) + 1)
        x, y, w = rows.operands()
        given = x.place, y.place, w.place, self._plan.power, rows.logits, rows.place_of_bins
        if not self._stores[problem].add(*given, _frozen(rows.ends), _frozen(cells)):
            raise InvalidRowsError

    def merge(self, other: MomentSums, cells: Integers) -> None:
        """Add another run's sums."""
        self._grow(int(cells.max(initial=-1)) + 1)
        for mine, theirs in zip(self._stores, other._stores, strict=True):
            mine.merge(theirs, cells[: other._groups])

    def _grow(self, groups: int) -> None:
        self._groups = max(self._groups, groups)
        for store in self._stores:
            store.grow(groups)

    @property
    def rows(self) -> int:
        """The number of rows added."""
        return self.rows_of(0)

    def rows_of(self, problem: int) -> int:
        """Those of a problem, each of which may stand for several."""
        return int(self._stores[problem].held[:, 0].sum())

    def cells(self, problem: int, groups: Integers) -> Cells:
        """The moments of a problem in these groups."""
        return self._meant(self._stores[problem].cells(groups))

    def total(self, problems: Sequence[int], groups: Integers | None = None) -> Cells:
        """The moments of some problems added up, in these groups; over all groups as one cell."""
        stores = [self._stores[problem] for problem in problems]
        found = reduce(add, (one.total() if groups is None else one.cells(groups) for one in stores))
        return self._meant(found)

    def _meant(self, cells: Cells) -> Cells:
        """The cells as weights of this kind mean them."""
        if self._plan.power != 1:
            return cells
        return cells.repeated() if self._plan.weight_kind == FREQUENCY else replace(cells, relative=True)

    def dump(self, cells: Integers) -> list[list[dict[str, Any]]]:
        """For every problem and group, counts and sums exact to the last digit."""
        names = names_of(self._plan)
        return [[_cell_to_json(moments, names) for moments in store.cells(cells).exact()] for store in self._stores]

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        found, names = cls(plan), names_of(plan)
        found._grow(groups)
        if sum(cell.counts[0] for cells in data for cell in cells) > _MOST_ROWS:
            raise ValueError("it has more rows than there can be")
        for store, cells in zip(found._stores, data, strict=True):
            for group, cell in enumerate(cells):
                values = _sums_from_json(cell, names)
                overflows = sum(1 << names.index(name) for name in set(cell.overflowed))
                integers = [sums.shifted(mantissa, exponent - LOWEST) for mantissa, exponent in values]
                _require_possible(moments_of(cell.counts, integers, 1 << -LOWEST, overflows))
                store.put(group, cell.counts, overflows, values)
        return found

    @staticmethod
    def document() -> Any:
        """For every problem and group, a cell."""
        from .documents import MomentCell

        return list[list[MomentCell]]

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that so many groups take: 0.4 kB each, 0.7 kB with weights, and the room to grow."""
        cell = 8 * (HEADER + len(names_of(plan)) * NARROW_DIGITS)
        return len(plan.problems) * cell * max(8, groups + groups // 8)


_MOST_ROWS = 2**53
_SIGNED = ("ws", "wg")


def _require_possible(m: Moments) -> None:
    """Refuse sums of a file that no rows have: everything that is computed from them counts on this."""
    if any(value < 0 for name, value in m.sums.items() if name not in _SIGNED):
        raise ValueError("a sum of what cannot be negative is")
    if not (m["wy"] <= m["w"] and m["wp"] <= m["w"] and m["w_infinite"] <= m["w"]):
        raise ValueError("a share is larger than the whole")
    if m.infinite > m.rows or m.zero + m.one_ > m.rows or (m.infinite == 0 and m["w_infinite"] > 0):
        raise ValueError("it counts more rows than it has")
    if m.rows == 0 and any(m.sums.values()):
        raise ValueError("it has sums of no rows")


def _cell_to_json(m: Moments, names: Sequence[str]) -> dict[str, Any]:
    exponent = 1 - m.one.bit_length()
    return {
        "counts": [m.rows, m.infinite, m.zero, m.one_],
        "overflowed": [name for name in names if name in m.overflowed],
        "sums": {name: sums.to_text(m[name], exponent) for name in names},
    }


def _sums_from_json(cell: Any, names: Sequence[str]) -> list[tuple[int, int]]:
    values = [sums.from_text(cell.sums[name]) for name in names]
    if not all(sums.is_possible(*value) for value in values):
        raise ValueError("a sum is larger, or finer, than sums of numbers can be")
    if not set(cell.overflowed) <= set(names):
        raise ValueError(f"there are no such sums as {', '.join(sorted({*cell.overflowed} - {*names}))}")
    return values


def _frozen(array: Integers) -> Integers:
    """A read-only view: Numba would compile the kernel once more for every mixture of read-only and other arrays."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
