"""The additive state of a scoring run: a plan, the groups met, and components that keep something for each of them.

Components are exact, so adding rows and merging states is associative and commutative to the bit: batch size, split
over files or machines, number of threads and order of merging cannot change a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from . import sums
from .agreement import agreed
from .bins import COARSE, FINE, Bins, meant
from .buckets import Buckets, Losses, divided
from .clip import Rows, floored
from .components import COMPONENTS, Component
from .grid import Grid, bins_of
from .groups import Groups, Key, KeyColumn, Values
from .intersections import Intersections
from .moments import InvalidRowsError, MomentSums
from .ordered import Recalibrated, unmergeable
from .pairs import Pairs
from .plan import FREQUENCY, MOST_ALIKE, Plan
from .shift import shifted
from .store import Moments
from .units import units_of

__all__ = ["REASONS", "Cell", "InvalidRowsError", "Key", "State", "Values"]

_NONE: Mapping[str, NDArray[np.bool_]] = {}
_NOTHING: Mapping[str, Any] = {}

REASONS = ("missing", "invalid", "ignored")
"""Why rows may have been left out, where that was asked for."""


@dataclass(frozen=True)
class Cell:
    """The moments of one problem in one group."""

    problem: int
    group: Key
    counts: list[int]
    moments: Moments


class State:
    """What was added of the rows of a plan; see `components` for what that is.

    `beside` are components of this run alone, which neither a plan nor a file knows.
    """

    def __init__(self, plan: Plan, beside: Mapping[str, Any] = _NOTHING) -> None:
        self.plan = plan
        self.numbered = Groups(len(plan.groups))
        self.components: dict[str, Component] = {name: COMPONENTS[name](plan) for name in plan.components} | {**beside}
        self.recalibrated: Recalibrated | None = None
        self.dropped = dict.fromkeys(REASONS, 0)
        self.dropped_weight = dict.fromkeys(REASONS, 0)
        self.rows = 0
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

    def add(
        self,
        columns: Mapping[str, NDArray[Any]],
        keys: Sequence[KeyColumn] = (),
        gaps: Mapping[str, NDArray[np.bool_]] = _NONE,
        cluster: KeyColumn | None = None,
        crossed: Sequence[KeyColumn] = (),
    ) -> None:
        """Add rows: their columns of numbers, of groups, their clusters, of which none is missing, and of segments.

        `gaps` has, for a target, the rows that do not count for it, whatever stands there. Raises InvalidRowsError, and
        is then of no further use, where another value is outside its domain.
        """
        rows = next(iter(columns.values())).size
        cells, order, ends = self.numbered.of_rows(keys, rows)
        if order is not None:
            columns = {name: column[order] for name, column in columns.items()}
            gaps = {name: rows_[order] for name, rows_ in gaps.items()}
        of_row: list[Any] = [None if cluster is None else units_of(cluster), self._crossed(crossed, rows)]
        units, places = (one if one is None or order is None else one[order] for one in of_row)
        for index, problem in enumerate(self.plan.problems):
            name = self.plan.weight_of(problem)
            weights = columns[name] if name else None
            if weights is not None and self.plan.weight_kind == FREQUENCY and not _are_counts(weights):
                raise InvalidRowsError
            x, y = columns[problem.prediction], columns[problem.target]
            whole = Rows(x, self.plan.logits, y, weights, ends, units, places)
            if problem.target in gaps:
                whole = whole.where(~gaps[problem.target])
            whole = shifted(whole, problem.shift)
            for part in self._floored(whole):
                binned = part if len(self.components) == 1 else replace(part, bins=np.empty(part.count, np.uint16))
                for component in self.components.values():
                    if not isinstance(component, Pairs):
                        component.add(index, binned, cells)
            if isinstance(pairs := self.components.get("pairs"), Pairs):  # which floors two models' rows together
                pairs.add(index, whole, cells)
        self.rows += rows

    def _crossed(self, keys: Sequence[KeyColumn], rows: int) -> NDArray[np.int64] | None:
        found = self.intersections
        return None if found is None else found.numbered.of_each(keys, rows)

    @property
    def intersections(self) -> Intersections | None:
        """The bins of every combination of the columns of segments; None where there are none."""
        found = self.components.get("segments")
        return found if isinstance(found, Intersections) else None

    def _floored(self, rows: Rows) -> Iterator[Rows]:
        if self.plan.eps is None:
            return iter([rows])
        parts, changed = floored(rows, self.plan.eps)
        self.clipped += changed
        return parts

    def merge(self, other: State) -> None:
        """Add another state's rows to this one.

        Raises InvalidInputError if the plans differ, if groups are texts in one and in the other no whole numbers, or
        if either knows an exact decomposition.
        """
        if self.recalibrated or other.recalibrated:
            raise unmergeable()
        if self.plan != other.plan:
            raise InvalidInputError(
                f"only states of the same plan can be merged; {_difference(self.plan, other.plan)}."
            )
        self.numbered, theirs = agreed(self.numbered, other.numbered, self.plan.groups)
        cells = self.numbered.of_groups(theirs)
        for name, component in self.components.items():
            component.merge(other.components[name], cells)
        for reason in REASONS:
            self.dropped[reason] += other.dropped[reason]
            self.dropped_weight[reason] += other.dropped_weight[reason]
        self.rows += other.rows
        self.clipped += other.clipped
        for name, count in other.joined.items():
            self.joined[name] = self.joined.get(name, 0) + count

    @property
    def groups(self) -> list[Key]:
        """The groups met, sorted by value."""
        return self.numbered.in_order()

    def moments(self, problems: Sequence[int], group: Key | None) -> Moments:
        """The moments of some problems in one group, or over all groups (None), added up."""
        place = None if group is None else np.array([self.numbered.find(group)])
        return next(self.sums.total(problems, place).exact())

    def moments_of_groups(self, problem: int) -> Iterator[Moments]:
        """The moments of a problem in every group, sorted by value."""
        return self.sums.cells(problem, self.numbered.sorted()[0]).exact()

    def bins(self, problem: int, group: Key | None = None, *, relative: bool = False) -> Bins | None:
        """The bins of a problem in one group, or over all groups (None); None where no grid was kept.

        `relative`: extreme weights are in units of the largest ones, so that squares of them can be told.
        """
        grid = self.components.get("grid")
        if not isinstance(grid, Grid):
            return None
        whole = group is None or not self.plan.groups
        found = grid.whole(problem) if whole else grid.of_group(problem, self.numbered.find(group or ()))
        bins = bins_of(found.relative() if relative else found, FINE if whole else COARSE, grid.soft[problem])
        return meant(bins, self.plan.weight_kind)

    def bucket_bins(self, problem: int, *, relative: bool = False) -> Bins | None:
        """The bins of a problem per bucket of clusters, or without clusters of rows; None where neither is known."""
        buckets = self.components.get("buckets")
        if isinstance(buckets, Buckets):
            return meant(buckets.bins(problem, relative), self.plan.weight_kind)
        bins = self.bins(problem, relative=relative)
        return None if bins is None else divided(bins)

    def bucket_losses(self, problem: int, group: Key | None = None) -> Losses | None:
        """The losses of a problem per bucket of clusters, in one group or over all; None without clusters."""
        buckets = self.components.get("buckets")
        if not isinstance(buckets, Buckets):
            return None
        return buckets.losses(problem, None if group is None else self.numbered.find(group))

    def recalibrated_at(self, problems: Sequence[int], group: Key | None = None) -> tuple[float, float] | None:
        """Log loss and Brier score after isotonic regression of the rows themselves; None where that was not done."""
        if self.recalibrated is None:
            return None
        return self.recalibrated.of(problems, -1 if group is None else self.numbered.find(group))

    def cells(self) -> Iterator[Cell]:
        """The moments that the state holds, in order."""
        groups = self.groups
        for problem in range(len(self.plan.problems)):
            for group, found in zip(groups, self.moments_of_groups(problem), strict=True):
                yield Cell(problem, group, [found.rows, found.infinite, found.zero, found.one_], found)


def _are_counts(weights: NDArray[Any]) -> bool:
    return bool(((weights >= 0) & (weights <= MOST_ALIKE) & (weights == np.floor(weights))).all())


def _difference(a: Plan, b: Plan) -> str:
    """What distinguishes two plans, in words."""
    for name in (field.name for field in fields(Plan)):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            return f"their {name} differ: {mine} and {other}"
    return "they do not differ"
