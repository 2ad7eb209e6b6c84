"""The additive state of a scoring run: a plan, the groups met, and components that keep something for each of them.

Components are exact, so adding rows and merging states is associative and commutative to the bit: batch size, split
over files or machines, number of threads and order of merging cannot change a result.
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
from .components import COMPONENTS, Component
from .groups import Groups, Key, KeyColumn, Values
from .moments import InvalidRowsError, MomentSums
from .plan import Plan
from .store import Moments

__all__ = ["REASONS", "Cell", "InvalidRowsError", "Key", "State", "Values"]

Integers = NDArray[np.int64]

REASONS = ("missing", "invalid")
"""Why rows may have been left out, where that was asked for."""


@dataclass(frozen=True)
class Cell:
    """The moments of one problem in one group."""

    problem: int
    group: Key
    counts: list[int]
    moments: Moments


class State:
    """What was added of the rows of a plan; see `components` for what that is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.numbered = Groups(len(plan.groups))
        self.components: dict[str, Component] = {name: COMPONENTS[name](plan) for name in plan.components}
        self.dropped = dict.fromkeys(REASONS, 0)
        self.dropped_weight = dict.fromkeys(REASONS, 0)
        self.clipped = 0
        self.joined: dict[str, int] = {}  # how many keys of predictions and labels matched, where they were joined

    @property
    def sums(self) -> MomentSums:
        """The component of moments, which every state has."""
        found = self.components["moments"]
        assert isinstance(found, MomentSums)
        return found

    def drop(self, reason: str, rows: int, weights: NDArray[np.float64]) -> None:
        """Count rows that were left out; of their weights, those that are none themselves count as 0."""
        self.dropped[reason] += rows
        self.dropped_weight[reason] += sums.exact_sum(weights[(weights >= 0) & (weights <= 1e300)])

    def add(self, columns: Mapping[str, NDArray[Any]], keys: Sequence[KeyColumn] = ()) -> None:
        """Add rows: their columns of numbers, and their columns of groups.

        Raises InvalidRowsError, and is then of no further use, where a value is outside its domain.
        """
        rows = next(iter(columns.values())).size
        cells, order, ends = self.numbered.of_rows(keys, rows)
        if order is not None:
            columns = {name: column[order] for name, column in columns.items()}
        weights = columns[self.plan.weight] if self.plan.weight else None
        for index, problem in enumerate(self.plan.problems):
            whole = Rows(columns[problem.prediction], self.plan.logits, columns[problem.target], weights, ends)
            for part in self._floored(whole):
                for component in self.components.values():
                    component.add(index, part, cells)

    def _floored(self, rows: Rows) -> Iterator[Rows]:
        if self.plan.eps is None:
            return iter([rows])
        parts, changed = floored(rows, self.plan.eps)
        self.clipped += changed
        return parts

    def merge(self, other: State) -> None:
        """Add another state's rows to this one. Raises InvalidInputError if the plans differ."""
        if self.plan != other.plan:
            raise InvalidInputError(
                f"only states of the same plan can be merged; {_difference(self.plan, other.plan)}."
            )
        cells = self.numbered.of_groups(other.numbered)
        for name, component in self.components.items():
            component.merge(other.components[name], cells)
        for reason in REASONS:
            self.dropped[reason] += other.dropped[reason]
            self.dropped_weight[reason] += other.dropped_weight[reason]
        self.clipped += other.clipped
        for name, count in other.joined.items():
            self.joined[name] = self.joined.get(name, 0) + count

    @property
    def rows(self) -> int:
        """The number of rows added."""
        return self.sums.rows

    @property
    def groups(self) -> list[Key]:
        """The groups met, sorted by value."""
        keys = self.numbered.keys()
        return [keys[number] for number in self.numbered.sorted()[0].tolist()]

    def moments(self, problems: Sequence[int], group: Key | None) -> Moments:
        """The moments of some problems in one group, or over all groups (None), added up."""
        place = None if group is None else np.array([self.numbered.find(group)])
        return next(self.sums.total(problems, place).exact())

    def moments_of_groups(self, problem: int) -> Iterator[Moments]:
        """The moments of a problem in every group, sorted by value."""
        return self.sums.cells(problem, self.numbered.sorted()[0]).exact()

    def cells(self) -> Iterator[Cell]:
        """The moments that the state holds, in order."""
        groups = self.groups
        for problem in range(len(self.plan.problems)):
            for group, found in zip(groups, self.moments_of_groups(problem), strict=True):
                yield Cell(problem, group, [found.rows, found.infinite, found.zero, found.one_], found)


def _difference(a: Plan, b: Plan) -> str:
    """What distinguishes two plans, in words."""
    for name in (field.name for field in fields(Plan)):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            return f"their {name} differ: {mine} and {other}"
    return "they do not differ"
