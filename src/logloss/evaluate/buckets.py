"""The component "buckets": bins and losses of clusters, such as users, whose rows depend on each other.

A cluster belongs to the bucket that a hash of its value names: the same one in every file, on every machine and engine,
and 1, 1.0 and true are one value, as in groups. Between buckets there is no dependence, so that what statistics differ
by, bucket by bucket, is their sampling error (Cameron and Miller, A Practitioner's Guide to Cluster-Robust Inference,
2015). A cluster is never seen in a state, and how many there are costs nothing.

Without clusters no bucket is filled: rows that are alike could not be told apart, so a hash of a row's own values would
put them together as if they were a cluster, and a row's number is another one in every order. Rows are then taken to be
independent, and so the bins themselves say how any division of the rows into buckets would have turned out: `divided`
draws one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .bins import COARSE, SUMS, Bins, Floats, Integers
from .clip import Rows
from .grid import RECORD_BYTES, add_to, bins_of, by_problem, require_same_rows, width_of
from .plan import Plan
from .records import LOSS_SCALE, LOSSES, NARROW, ROWS, Records, Sorted, inverse, merge_each

UNITS = 256
"""The buckets that a cluster's hash chooses from."""

_FEW, _MANY_PROBLEMS = 64, 32
"""The buckets of groups, and of each of very many problems."""


def count_of(plan: Plan) -> int:
    """The buckets of every problem of a plan."""
    return UNITS if len(plan.problems) <= _MANY_PROBLEMS else _FEW


@dataclass(frozen=True, eq=False)
class Losses:
    """Sums per bucket, of the buckets that have rows."""

    rows: Integers
    beyond: Integers
    """Rows whose loss is infinite or above 1,024, which the sums lack."""
    w: Floats
    wy: Floats
    wl: Floats
    wq: Floats
    ws: Floats
    wg: Floats


class Buckets:
    """Bins and losses per problem and bucket, and losses per group and bucket."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.count = count_of(plan)
        self.soft = [False for _ in plan.problems]
        self._bins = [Records(width_of(plan)) for _ in plan.problems]
        self._losses = [Records(LOSSES) for _ in plan.problems]
        self._groups = [Records(LOSSES) for _ in plan.problems] if plan.groups else []

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem, which are valid and know their units."""
        assert rows.units is not None
        units = rows.units.astype(np.int64)
        places = units * self.count // UNITS
        self.soft[problem] |= add_to(None, self._bins[problem], rows, places)
        _add_losses(self._losses[problem], rows, places)
        if self._groups:
            _add_losses(self._groups[problem], rows, rows.owners(cells) * _FEW + units * _FEW // UNITS)

    def merge(self, other: Buckets, cells: Integers) -> None:
        """Add another run's buckets."""
        merge_each(self._bins, other._bins)
        merge_each(self._losses, other._losses)
        merge_each(self._groups, other._groups, lambda owners: cells[owners // _FEW] * _FEW + owners % _FEW)
        self.soft = [a or b for a, b in zip(self.soft, other.soft, strict=True)]

    def rows(self, problem: int) -> int:
        """The rows that a problem's buckets hold."""
        return self._bins[problem].rows

    def bins(self, problem: int, relative: bool = False) -> Bins:
        """The coarse bins of every bucket."""
        found = self._bins[problem].sorted()
        return bins_of(found.relative() if relative else found, COARSE, self.soft[problem], self.count)

    def losses(self, problem: int, cell: int | None = None) -> Losses:
        """The sums of losses of every bucket that has rows, in one group or over all of them."""
        if cell is None or not self._groups:
            return _losses(self._losses[problem].sorted())
        return _losses(self._groups[problem].sorted().of(cell * _FEW, _FEW))

    def dump(self, cells: Integers) -> list[dict[str, Any]]:
        """For every problem, the records of its buckets, and of those of its groups in this order."""
        numbers = inverse(cells)

        def renumbered(owners: Integers) -> Integers:
            return np.asarray(numbers[owners // _FEW] * _FEW + owners % _FEW)

        return [
            {
                "soft": self.soft[problem],
                "bins": self._bins[problem].sorted().dump(),
                "losses": self._losses[problem].sorted().dump(),
                "groups": self._groups[problem].sorted(renumbered).dump() if self._groups else None,
            }
            for problem in range(len(self._bins))
        ]

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        if plan.cluster is None:
            raise ValueError("it has buckets of clusters, and its plan has no clusters")
        found = cls(plan)
        for problem, (one, width) in enumerate(by_problem(plan, data)):
            found.soft[problem] = one.soft
            found._bins[problem] = Records.load(width, one.bins, found.count, COARSE + 2)
            found._losses[problem] = Records.load(LOSSES, one.losses, found.count, 1)
            if one.groups is not None:
                found._groups[problem] = Records.load(LOSSES, one.groups, groups * _FEW, 1)
        require_same_rows(found._bins, found._losses, found._groups)
        return found

    @staticmethod
    def document() -> Any:
        """For every problem, its buckets."""
        from .documents import Buckets as Document

        return list[Document]

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that it takes for so many groups."""
        count = count_of(plan)
        bins = count * (COARSE + 2) * RECORD_BYTES * width_of(plan) // NARROW
        losses = (count + (groups * _FEW if plan.groups else 0)) * RECORD_BYTES * LOSSES // NARROW
        return len(plan.problems) * (bins + losses)


def _add_losses(records: Records, rows: Rows, owners: Integers) -> None:
    from .._kernels import grid

    x, y, w = rows.operands()
    status, row = grid.FULL, 0
    while status != grid.DONE:
        records.grow()
        status, row = grid.add_losses(x.place, y.place, w.place, rows.logits, row, rows.count, owners, *records.arrays)
    records.added(rows.count)


def _losses(found: Sorted) -> Losses:
    """The records of every bucket, its scales added up."""
    _, places = np.unique(found.owners, return_inverse=True)

    def total(values: NDArray[Any]) -> Floats:
        return np.asarray(np.bincount(places, values), np.float64)

    sums = [total(found.value(word)) for word in (3, 5, 7, 9, 11, 13)]
    scaled = [LOSS_SCALE if number in (2, 5) else 1.0 for number in range(len(sums))]
    rows, beyond = (total(found.words[:, word]).astype(np.int64) for word in (ROWS, 2))
    return Losses(rows, beyond, *(one * scale for one, scale in zip(sums, scaled, strict=True)))


def divided(bins: Bins, count: int = UNITS) -> Bins | None:
    """The rows of these coarse bins divided at random over buckets; the same rows are always divided alike.

    Rows of one bin and one outcome are interchangeable, so that how many of them each bucket gets is multinomial. With
    weights it is as many rows of equal weight as know as much, (Σw)² ÷ Σw². None for soft targets, which no count
    describes.
    """
    if bins.soft:
        return None
    bins = bins.coarser(min(COARSE, bins.count))
    places = np.flatnonzero(bins.rows)
    found: dict[str, Any] = {name: np.zeros((count, bins.count + 2)) for name in SUMS}
    mean = np.divide(bins.wp, bins.w, out=np.zeros_like(bins.wp), where=bins.w > 0)
    for w, ww, positive in ((bins.wy, bins.wwy, True), (bins.w - bins.wy, bins.ww - bins.wwy, False)):
        with np.errstate(all="ignore"):
            effective = np.maximum(np.rint(np.where(w > 0, w * w / ww, 0.0)), w > 0)
        chosen = places[(w[places] > 0) & np.isfinite(effective[places])]
        parts = drawn(effective[chosen].astype(np.int64), count, seed=positive) / effective[chosen]
        found["w"][:, chosen] += parts * w[chosen]
        found["ww"][:, chosen] += parts * ww[chosen]
        found["wp"][:, chosen] += parts * (w * mean)[chosen]
        found["rows"][:, chosen] += np.rint(parts * effective[chosen])
        if positive:
            found["wy"][:, chosen], found["wwy"][:, chosen] = parts * w[chosen], parts * ww[chosen]
    return Bins(rows=found.pop("rows").astype(np.int64), **found)


def drawn(rows: Integers, count: int, seed: int) -> Integers:
    """So many rows of each kind, dropped into buckets at random: an array of bucket × kind.

    From the generator whose stream NumPy has promised never to change, so that results do not either.
    """
    random, left = np.random.RandomState(seed), rows.copy()
    found = np.empty((count, rows.size), np.int64)
    for bucket in range(count):
        found[bucket] = random.binomial(left, 1 / (count - bucket))
        left -= found[bucket]
    return found
