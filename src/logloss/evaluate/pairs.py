"""The component "pairs": two models on the same rows, the first model of each label being the baseline of the others.

It keeps the bins that both have together, from which any statistic of either, and how the two vary together, can be
told if rows are independent; and per group exact sums of the differences of their losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from .bins import Bins, Floats, Integers
from .buckets import UNITS, drawn
from .clip import Rows, floored_together
from .plan import FREQUENCY, Plan
from .records import JOINT, LOSS_SCALE, ROWS, SUM, WIDE_JOINT, WIDENED, Records, Sorted, inverse, merge_each

DIFFERENCE, SQUARE, WEIGHTED, WINS, DEFEATS, BEYOND = range(6)
PAIRED = 256
"""As in `_kernels.grid`."""

_SUMS = 6
_BY_ROW = 64
"""Rows of a bin up to which each is drawn by itself."""


def pairs_of(plan: Plan) -> list[tuple[int, int]]:
    """(problem, baseline): the problems of all models but the first, each with the first model's of the same label."""
    first: dict[str | None, int] = {}
    found = []
    for index, problem in enumerate(plan.problems):
        if problem.label in first:
            found.append((index, first[problem.label]))
        else:
            first[problem.label] = index
    return found


@dataclass(frozen=True)
class Differences:
    """Sums over the rows of a cell, with t = w(l - l'), l a model's loss and l' its baseline's.

    Where weights are no importances, tt is the sum of w(l - l')².
    """

    t: float
    tt: float
    wt: float
    wins: float
    """Σw of the rows on which the model has the smaller loss."""
    defeats: float
    beyond: int
    """Rows whose difference is not finite, or too large to be added."""


class Pairs:
    """Joint bins and sums of differences per pair of problems, and of these per group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.pairs = pairs_of(plan)
        self._baselines = {baseline for _, baseline in self.pairs}
        self._held: dict[int, Rows] = {}
        self.soft = [False for _ in self.pairs]
        self._joint = [Records(WIDE_JOINT if plan.weight else JOINT) for _ in self.pairs]
        self._sums = [Records(SUM) for _ in self.pairs]

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem; those of a baseline are held until its rivals' have come."""
        if problem in self._baselines:
            self._held[problem] = rows
            return
        for number, (model, baseline) in enumerate(self.pairs):
            if model == problem:
                self._add(number, rows, self._held[baseline], cells)
        if problem == len(self._plan.problems) - 1:
            self._held = {}

    def _add(self, number: int, rows: Rows, others: Rows, cells: Integers) -> None:
        if not np.array_equal(rows.ends, others.ends):
            raise InvalidInputError(
                "models are compared on the same rows, and one has a value where another has none; "
                "leave such rows out, with nulls='drop' (--nulls drop)."
            )
        eps = self._plan.eps
        for mine, theirs in iter([(rows, others)]) if eps is None else floored_together(rows, others, eps):
            self._add_part(number, mine, theirs, cells)

    def _add_part(self, number: int, rows: Rows, others: Rows, cells: Integers) -> None:
        from .._kernels import grid

        (x, y, w), (other, _, _) = rows.operands(), others.operands()
        count, owners = rows.count, rows.owners(cells)
        joint, sums = self._joint[number], self._sums[number]
        power = 1 if self._plan.power == 1 else 2
        status, row = grid.FULL, 0
        while status != grid.DONE:
            if status == grid.SOFT:
                joint.widen()
                self.soft[number] = True
            joint.grow()
            sums.grow(_SUMS * 256)
            status, row = grid.add_pairs(
                *(x.place, other.place, y.place, w.place, power, rows.logits, others.logits, row, count, owners),
                *joint.arrays,
                *sums.arrays,
            )
        joint.added(count)
        sums.added(count)
        self.soft[number] |= rows.soft

    def merge(self, other: Pairs, cells: Integers) -> None:
        """Add another run's pairs."""
        merge_each(self._joint, other._joint)
        merge_each(self._sums, other._sums, lambda owners: cells[owners])
        self.soft = [a or b for a, b in zip(self.soft, other.soft, strict=True)]

    def differences(self, number: int, cell: int | None = None) -> Differences:
        """The sums of a pair in one group, or over all."""
        found = self._sums[number].sorted()
        return _differences(found if cell is None else found.of(cell))

    def buckets(self, number: int) -> tuple[Bins, Bins] | None:
        """The rows of both models divided at random over the same buckets; None for soft targets."""
        return None if self.soft[number] else _divided(self._joint[number].sorted().relative(), self._plan)

    def dump(self, cells: Integers) -> list[dict[str, Any]]:
        """For every pair, its records, those of groups in this order."""
        numbers = inverse(cells)
        return [
            {
                "soft": self.soft[number],
                "joint": joint.sorted().dump(),
                "sums": self._sums[number].sorted(lambda owners: numbers[owners]).dump(),
            }
            for number, joint in enumerate(self._joint)
        ]

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        found = cls(plan)
        if len(data) != len(found.pairs):
            raise ValueError("it must have sums for every pair of models")
        for number, one in enumerate(data):
            found.soft[number] = one.soft
            width = WIDE_JOINT if plan.weight or one.soft else JOINT
            found._joint[number] = Records.load(width, one.joint, PAIRED + 2, PAIRED + 2)
            found._sums[number] = Records.load(SUM, one.sums, groups, _SUMS)
        return found

    @staticmethod
    def document() -> Any:
        """For every pair, its sums."""
        from .documents import PairedSums

        return list[PairedSums]

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that it takes for so many groups."""
        joint = (PAIRED + 2) ** 2 * 10 * (WIDE_JOINT if plan.weight else JOINT)
        return len(pairs_of(plan)) * (joint + groups * _SUMS * 300)


def _differences(found: Sorted) -> Differences:
    def total(kind: int, power: int = 1) -> float:
        return math.fsum(found.value(2, power)[found.places == kind].tolist())

    beyond = int(found.words[found.places == BEYOND, ROWS].sum())
    sums = (total(DIFFERENCE), total(SQUARE, 2), total(WEIGHTED), total(WINS), total(DEFEATS))
    return Differences(sums[0] * LOSS_SCALE, sums[1] * LOSS_SCALE**2, sums[2] * LOSS_SCALE, *sums[3:], beyond)


def _divided(found: Sorted, plan: Plan) -> tuple[Bins, Bins]:
    """As `buckets.divided`, of rows that lie in a bin of each of two models."""
    at, kinds = np.unique(found.owners * (PAIRED + 2) + found.places, return_inverse=True)

    def total(values: NDArray[Any]) -> Floats:
        """Of all scales of weights together."""
        return np.asarray(np.bincount(kinds, values, at.size), np.float64)

    rows = total(found.words[:, ROWS])
    if found.words.shape[1] in WIDENED:
        w, wy, firsts = rows, total(found.words[:, 2]), (3, 5)
        ww, wwy = w, wy
    else:
        w, wy, firsts = total(found.value(2)), total(found.value(4)), (10, 12)
        ww, wwy = total(found.value(6, 2)), total(found.value(8, 2))
    if plan.power == 1:
        factor = 1.0 if plan.weight_kind == FREQUENCY else float(w.sum() / rows.sum())
        ww, wwy = w * factor, wy * factor
    weights = np.concatenate([wy, w - wy])
    squares = np.concatenate([wwy, ww - wwy])
    used = (weights > 0) & (squares > 0)
    weights, squares = weights[used], squares[used]
    places = [np.concatenate([one, one])[used] for one in np.divmod(at, PAIRED + 2)]
    means = [np.concatenate([total(found.value(word)) / np.where(w > 0, w, 1)] * 2)[used] for word in firsts]
    positive = np.repeat([1.0, 0.0], rows.size)[used]
    effective = np.maximum(np.rint(weights * weights / squares), 1).astype(np.int64)
    cell, unit, count = _drawn(effective)
    share = count / effective[cell]
    sums = {
        "rows": count.astype(np.float64),
        "w": share * weights[cell],
        "ww": share * squares[cell],
        "wy": share * weights[cell] * positive[cell],
        "wwy": share * squares[cell] * positive[cell],
    }
    return tuple(  # type: ignore[return-value]
        _scattered(unit * (PAIRED + 2) + place[cell], {**sums, "wp": sums["w"] * mean[cell]})
        for place, mean in zip(places, means, strict=True)
    )


def _drawn(effective: Integers) -> tuple[Integers, Integers, Integers]:
    """(cell, bucket, rows there), of so many rows in every cell."""
    few = np.flatnonzero(effective <= _BY_ROW)
    cell = np.repeat(few, effective[few])
    unit = np.random.RandomState(0).randint(0, UNITS, cell.size)
    many = np.flatnonzero(effective > _BY_ROW)
    counts = drawn(effective[many], UNITS, seed=1)
    units = np.broadcast_to(np.arange(UNITS)[:, None], counts.shape)
    return (
        np.concatenate([cell, np.tile(many, UNITS)]),
        np.concatenate([unit, units.ravel()]),
        np.concatenate([np.ones(cell.size, np.int64), counts.ravel()]),
    )


def _scattered(at: Integers, sums: dict[str, Floats]) -> Bins:
    shape = (UNITS, PAIRED + 2)
    found: dict[str, Any] = {
        name: np.bincount(at, values, shape[0] * shape[1]).reshape(shape) for name, values in sums.items()
    }
    return Bins(rows=found.pop("rows").astype(np.int64), **found)
