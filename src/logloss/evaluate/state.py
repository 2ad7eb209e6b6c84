"""The additive state of a scoring run: for every group and problem, counts and exact sums of raw moments.

Sums are exact, so adding rows and merging states is associative and commutative to the bit: batch size, split over
files or machines, number of threads and order of merging cannot change a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from . import sums
from .clip import Rows, floored
from .moments import UNWEIGHTED_TERMS, WEIGHTED_TERMS, Moments, moments
from .plan import Plan

Key = tuple[Any, ...]
"""The values of the group columns that a row has; () without groups."""

Array = NDArray[Any]
Integers = NDArray[np.int64]

REASONS = ("missing", "invalid")
"""Why rows may have been left out, where that was asked for."""

_COUNTS = 4
_TOGETHER = 1024


class InvalidRowsError(Exception):
    """A batch holds a value that the kernel refuses; whoever made the batch knows which row of which file that is."""


@dataclass(frozen=True)
class Cell:
    """One problem in one group, in plain numbers; a sum (m, e) is m·2^e."""

    problem: int
    group: Key
    counts: list[int]
    overflows: int
    sums: list[tuple[int, int]]


class State:
    """Counts and exact sums per problem of the plan and per group."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._terms = len(WEIGHTED_TERMS if plan.weight else UNWEIGHTED_TERMS)
        self._low = sums.NARROW_LOW
        self._groups: dict[Key, int] = {}
        self._counts = np.zeros((len(plan.problems), 0, _COUNTS), np.int64)
        self._overflows = np.zeros((len(plan.problems), 0), np.int64)
        self._sums = np.zeros((len(plan.problems), 0, self._terms, sums.NARROW_WIDTH), np.int64)
        self._additions = 0
        self.dropped = dict.fromkeys(REASONS, 0)
        self.dropped_weight = dict.fromkeys(REASONS, 0)
        self.clipped = 0

    def drop(self, reason: str, rows: int, weights: NDArray[np.float64]) -> None:
        """Count rows that were left out; of their weights, those that are none themselves count as 0."""
        self.dropped[reason] += rows
        self.dropped_weight[reason] += sums.exact_sum(weights[(weights >= 0) & (weights <= 1e300)])

    def add(self, keys: list[Key], ends: Integers, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add rows that are sorted by group: those up to `ends[k]` belong to `keys[k]`.

        Raises InvalidRowsError, and is then of no further use, where a value is outside its domain.
        """
        cells = self._cells(keys)
        weights = columns[self.plan.weight] if self.plan.weight else None
        for index, problem in enumerate(self.plan.problems):
            rows = Rows(columns[problem.prediction], self.plan.logits, columns[problem.target], weights, ends)
            for part in self._floored(rows):
                self._add_problem(index, part, cells)
        self._count_additions(int(ends[-1]) if ends.size else 0)

    def _floored(self, rows: Rows) -> Iterator[Rows]:
        if self.plan.eps is None:
            return iter([rows])
        parts, changed = floored(rows, self.plan.eps)
        self.clipped += changed
        return parts

    def _add_problem(self, index: int, part: Rows, cells: Integers) -> None:
        from .._kernels import scoring

        x, y = scoring.operand(part.predictions, "f"), scoring.operand(part.targets, "biuf")
        w = scoring.operand(part.weights, "f") if part.weights is not None else scoring.NOTHING
        rows = x.place, y.place, w.place, part.logits, _frozen(part.ends), _frozen(cells)
        status, segment, row = scoring.TOO_NARROW, 0, 0
        while status == scoring.TOO_NARROW:
            arrays = self._sums[index], self._counts[index], self._overflows[index]
            status, segment, row = scoring.add_rows(*rows, segment, row, self._low, *arrays)
            if status == scoring.TOO_NARROW:
                self._widen()
        if status == scoring.INVALID:
            raise InvalidRowsError

    def _widen(self) -> None:
        self._sums, self._low = sums.widen(self._sums, self._low), 0

    def _count_additions(self, blocks: int) -> None:
        self._additions += blocks
        if self._additions >= sums.MOST_ADDITIONS:
            self._carry()

    def _carry(self) -> None:
        sums.carry(self._sums)
        self._additions = 0

    def _cells(self, keys: list[Key]) -> Integers:
        """The numbers of the cells of these groups; new groups get the next ones."""
        groups = self._groups
        cells = np.array([groups.setdefault(key, len(groups)) for key in keys], np.int64)
        if len(groups) > self._counts.shape[1]:
            more = max(len(groups), 2 * self._counts.shape[1]) - self._counts.shape[1]
            self._counts, self._overflows, self._sums = (
                np.concatenate([a, np.zeros((a.shape[0], more, *a.shape[2:]), np.int64)], axis=1)
                for a in (self._counts, self._overflows, self._sums)
            )
        return cells

    def merge(self, other: State) -> None:
        """Add another state's rows to this one. Raises InvalidInputError if the plans differ."""
        if self.plan != other.plan:
            raise InvalidInputError(
                f"only states of the same plan can be merged; {_difference(self.plan, other.plan)}."
            )
        if self._low > other._low:
            self._widen()
        added = other._sums.copy() if self._low == other._low else sums.widen(other._sums, other._low)
        sums.carry(added)
        self._carry()
        cells, size = self._cells(list(other._groups)), len(other._groups)
        self._sums[:, cells] += added[:, :size]
        self._counts[:, cells] += other._counts[:, :size]
        self._overflows[:, cells] |= other._overflows[:, :size]
        self._additions = 1
        for reason in REASONS:
            self.dropped[reason] += other.dropped[reason]
            self.dropped_weight[reason] += other.dropped_weight[reason]
        self.clipped += other.clipped

    @property
    def rows(self) -> int:
        """The number of rows added."""
        return int(self._counts[0, :, 0].sum())

    @property
    def groups(self) -> list[Key]:
        """The groups met, sorted by value."""
        return sorted(self._groups, key=_sortable)

    def moments(self, problems: Sequence[int], group: Key | None) -> Moments:
        """The moments of some problems in one group, or over all groups (None), added up."""
        if self._additions:  # digits without carries can be added up over billions of cells
            self._carry()
        first = 0 if group is None else self._groups[group]
        cells = slice(first, len(self._groups) if group is None else first + 1)
        counts, overflows, digits = (a[:, cells][list(problems)] for a in (self._counts, self._overflows, self._sums))
        integers = sums.to_integers(digits.sum(axis=(0, 1)))
        all_overflows = int(np.bitwise_or.reduce(overflows, axis=None, initial=0))
        return moments(counts.sum(axis=(0, 1)).tolist(), integers, 1 << sums.exponent_of_unit(self._low), all_overflows)

    def moments_of_groups(self, problem: int) -> Iterator[Moments]:
        """The moments of a problem in every group, sorted by value; digits become integers for many groups at once."""
        if self._additions:
            self._carry()
        numbers = [self._groups[group] for group in self.groups]
        one = 1 << sums.exponent_of_unit(self._low)
        for start in range(0, len(numbers), _TOGETHER):
            cells = numbers[start : start + _TOGETHER]
            digits = self._sums[problem, cells]
            integers = sums.to_integers(digits.reshape(-1, digits.shape[-1]))
            counts, overflows = self._counts[problem, cells].tolist(), self._overflows[problem, cells].tolist()
            for k in range(len(cells)):
                yield moments(counts[k], integers[k * self._terms : (k + 1) * self._terms], one, overflows[k])

    def cells(self) -> Iterator[Cell]:
        """What the state holds, in order."""
        exponent = -sums.exponent_of_unit(self._low)
        for problem in range(len(self.plan.problems)):
            for group in self.groups:
                at = problem, self._groups[group]
                exact = [(value, exponent) for value in sums.to_integers(self._sums[at])]
                yield Cell(problem, group, self._counts[at].tolist(), int(self._overflows[at]), exact)

    @classmethod
    def of(cls, plan: Plan, cells: Sequence[Cell]) -> State:
        """The state that holds these cells. Raises ValueError if they do not fit the plan."""
        state = cls(plan)
        values = [value for cell in cells for value in cell.sums]
        if not all(sums.fits_window(*value, state._low, sums.NARROW_WIDTH) for value in values):
            state._widen()
        width = state._sums.shape[-1]
        unit = sums.exponent_of_unit(state._low)
        for cell, number in zip(cells, state._cells([cell.group for cell in cells]), strict=True):
            if len(cell.group) != len(plan.groups) or not 0 <= cell.problem < len(plan.problems):
                raise ValueError(f"a cell does not fit the plan: problem {cell.problem}, group {cell.group}")
            at = cell.problem, number
            state._counts[at] = cell.counts
            state._overflows[at] = cell.overflows
            integers = [sums.shifted(mantissa, exponent + unit) for mantissa, exponent in cell.sums]
            state._sums[at] = [sums.from_integer(integer, width) for integer in integers]
        return state


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: Numba would compile the kernel once more for every mixture of read-only and other arrays."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _sortable(key: Key) -> list[tuple[bool, Any]]:
    """Numbers in their order, then texts in theirs."""
    return [(isinstance(value, str), value) for value in key]


def _difference(a: Plan, b: Plan) -> str:
    """What distinguishes two plans, in words."""
    for name in (field.name for field in fields(Plan)):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            return f"their {name} differ: {mine} and {other}"
    return "they do not differ"
