"""Isotonic regression of rows that are in many places: by ranges of the prediction, each of which is pooled by itself.

    rows of a part  → cut →   (range, problem, group, x, y, w), rows that are alike as one
    rows of a range → pool →  (range, set, group, Σwy, Σw), a few blocks in order
    all blocks      → of →    the decomposition

Pooling the blocks of all ranges, in their order, gives the blocks of all rows, for it does not matter which neighbours
are pooled first. Where ranges begin, the bins of a state that has met all rows tell: a range has about as many rows as
any other. All rows of one prediction lie in one range, as they are compared with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from .agreement import agreed
from .bins import sigmoid
from .clip import Rows
from .groups import Groups
from .ordered import WHOLE, Blocks, Recalibrated, columns_of, models_of, regressed, scale_of, scores_of, sets_of
from .plan import Plan
from .state import State

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

RANGE = "range"
ROWS: Mapping[str, type] = {RANGE: np.int32, "problem": np.int32, "place": np.int32} | dict.fromkeys("xyw", np.float64)
BLOCKS: Mapping[str, type] = {RANGE: np.int32, "set": np.int32, "place": np.int32, "wy": np.float64, "w": np.float64}
"""The columns of rows that go to their range, and of blocks that come back: numbers, which any engine can carry."""

_ROUNDING = 1e-9


class Kept:
    """Beside a state that is filled, on one thread: its rows, problem by problem, and the numbers of their groups."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, dict[str, Floats], Integers]] = []

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem."""
        self.pieces.append((problem, columns_of(rows), rows.owners(cells)))


@dataclass(frozen=True)
class Ranges:
    """Where ranges begin. They are numbered through, model by model, in order of the prediction."""

    plan: Plan
    groups: Groups
    edges: tuple[Floats, ...]
    """For each model, the predictions at which its ranges begin, but for the first."""
    scales: tuple[float, ...]
    """For each model, what weights are multiplied by."""

    @classmethod
    def of(cls, state: State, rows: int) -> Ranges:
        """Ranges of about so many rows, by the bins of a state."""
        models = models_of(state.plan)
        edges = tuple(_edges(state, problems, rows) for problems in models)
        return cls(state.plan, state.numbered, edges, tuple(scale_of(state, problems) for problems in models))

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._firsts[-1])

    @property
    def _firsts(self) -> Integers:
        """For each model the number of its first range, and at the end how many there are."""
        return np.cumsum([0, *(edges.size + 1 for edges in self.edges)])

    def cut(self, kept: Kept, groups: Groups) -> Columns:
        """The rows of a part, each with its range; `groups` are those of the part. Rows that are alike are one."""
        _, own = agreed(self.groups, groups, self.plan.groups)
        places = deepcopy(self.groups).of_groups(own)  # a copy, since threads may share this one
        if self.plan.groups and places.max(initial=0) >= len(self.groups):
            raise _changed()
        found = []
        for model, problems in enumerate(models_of(self.plan)):
            for problem in problems:
                pieces = [(columns, cells) for number, columns, cells in kept.pieces if number == problem]
                if pieces:
                    rows = {name: np.concatenate([columns[name] for columns, _ in pieces]) for name in pieces[0][0]}
                    place = places[np.concatenate([cells for _, cells in pieces])]
                    w = rows.get("w", np.ones(place.size)) * self.scales[model]
                    alike = _alike(rows["x"], rows["y"], w, place)
                    number = self._firsts[model] + np.searchsorted(self.edges[model], alike["x"], side="right")
                    found.append({RANGE: number, "problem": np.full(number.size, problem), **alike})
        return _joined(ROWS, found)

    def pool(self, rows: Columns) -> Columns:
        """The blocks of one range, given all of its rows in any order."""
        found = []
        for number in rows[RANGE][:1].tolist():  # one, or none
            here = int(np.searchsorted(self._firsts, number, side="right")) - 1
            for index, (model, problems, grouped) in enumerate(sets_of(models_of(self.plan))):
                if model == here:
                    chosen = np.flatnonzero(np.isin(rows["problem"], problems))
                    for place, blocks in self._pooled({name: rows[name][chosen] for name in rows}, grouped):
                        wy, w = blocks.sums
                        same = {RANGE: number, "set": index, "place": place}
                        found.append(
                            {name: np.full(w.size, value) for name, value in same.items()} | {"wy": wy, "w": w}
                        )
        return _joined(BLOCKS, found)

    def _pooled(self, rows: Columns, grouped: bool) -> Iterator[tuple[int, Blocks]]:
        """The blocks of some problems together, and of each group."""
        x, y, w, place = (rows[name] for name in ("x", "y", "w", "place"))
        for places in [np.full(x.size, WHOLE), *([place] if self.plan.groups and grouped else [])]:
            order = np.lexsort((-y, x, places))
            yield from regressed([(places[order], (w * y)[order], w[order])])

    def recalibrated(self, state: State, blocks: Iterable[Columns]) -> Recalibrated:
        """The decomposition of the state that ranges are of, given the blocks of all of them in any order.

        Raises InvalidInputError where the blocks are not of the weight of the state: rows were others when read anew.
        """
        every = _joined(BLOCKS, blocks)
        order = np.lexsort([every[name] for name in (RANGE, "place", "set")])
        every = {name: column[order] for name, column in every.items()}
        found = {}
        for index, (model, problems, _) in enumerate(sets_of(models_of(self.plan))):
            start, end = np.searchsorted(every["set"], [index, index + 1])
            place, wy, w = (every[name][start:end] for name in ("place", "wy", "w"))
            moments = state.moments(problems, None)
            expected = float(Fraction(moments["w"], moments.one) * Fraction(self.scales[model]))
            if not math.isclose(w[place == WHOLE].sum(), expected, rel_tol=_ROUNDING):
                raise _changed()
            found[problems] = scores_of(regressed([(place, wy, w)]), len(self.groups))
        return Recalibrated(found)


def _edges(state: State, problems: Sequence[int], rows: int) -> Floats:
    """Where ranges of about so many rows begin, at edges of bins."""
    bins = [found for problem in problems if (found := state.bins(problem)) is not None]
    counts = np.sum([one.rows for one in bins], axis=0)
    before = np.cumsum(counts) - counts
    wanted = -(-state.moments(problems, None).rows // rows)
    numbers = np.floor(before / max(int(counts.sum()), 1) * wanted).clip(max=wanted - 1)
    starts = bins[0].edges()[np.flatnonzero(np.diff(numbers))]  # place k + 1 begins at edge k
    return starts if _are_logits(state.plan, problems[0]) else sigmoid(starts)


def _are_logits(plan: Plan, problem: int) -> bool:
    return plan.logits or bool(plan.problems[problem].shift)  # corrected ones are


def _alike(x: Floats, y: Floats, w: Floats, place: Integers) -> Columns:
    """Rows of one prediction and group as one, of their weight and their mean target, without those of no weight."""
    kept = np.flatnonzero(w > 0)
    order = kept[np.lexsort((x[kept], place[kept]))]
    x, place, wy, w = x[order], place[order], (w * y)[order], w[order]
    starts = np.flatnonzero(np.concatenate([[True], (x[1:] != x[:-1]) | (place[1:] != place[:-1])])[: x.size])
    w, wy = (np.add.reduceat(one, starts) if starts.size else one for one in (w, wy))
    return {"place": place[starts], "x": x[starts], "y": wy / w, "w": w}


def _joined(types: Mapping[str, type], found: Iterable[Columns]) -> dict[str, NDArray[Any]]:
    """Columns of these types, one after the other."""
    pieces = [{name: np.empty(0, dtype) for name, dtype in types.items()}, *found]
    return {name: np.concatenate([piece[name] for piece in pieces]).astype(dtype) for name, dtype in types.items()}


def _changed() -> InvalidInputError:
    return InvalidInputError(
        "an engine reads rows twice for corp='exact', and they must be the same both times; they were not; wait until "
        "nobody changes them, write a table that is random to files, or say corp='grid' (--corp grid)."
    )
