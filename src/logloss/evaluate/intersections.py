"""The component "segments": coarse bins for every combination of values that the columns of segments have together.

A segment is a sum of such intersections (`scan`). They are numbered here, apart from the groups of a run, so that a
scan costs one record for each bin that rows came to, and no other statistic for any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from .agreement import agreed
from .bins import COARSE, Bins, Integers
from .clip import Rows
from .grid import RECORD_BYTES, add_to, bins_of, width_of
from .groups import Groups, Key, key_of, plain
from .plan import Plan
from .records import NARROW, ROWS, Records, inverse, merge_each


class Intersections:
    """The combinations met, and bins per problem for each of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.numbered = Groups(len(plan.segments))
        self.soft = [False for _ in plan.problems]
        self._bins = [Records(width_of(plan)) for _ in plan.problems]

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:  # noqa: ARG002 - groups
        """Add rows of a problem, which are valid and know their intersections."""
        assert rows.crossed is not None
        self.soft[problem] |= add_to(None, self._bins[problem], rows, rows.crossed)

    def merge(self, other: Intersections, cells: Integers) -> None:  # noqa: ARG002 - groups
        """Add another run's, whose intersections have numbers of their own."""
        self.numbered, theirs = agreed(self.numbered, other.numbered, self._plan.segments)
        places = self.numbered.of_groups(theirs)
        merge_each(self._bins, other._bins, lambda owners: places[owners])
        self.soft = [a or b for a, b in zip(self.soft, other.soft, strict=True)]

    def rows(self, problem: int) -> int:
        """The rows that a problem's bins hold."""
        return self._bins[problem].rows

    @property
    def keys(self) -> list[Key]:
        """The intersections met, sorted by value."""
        return self.numbered.in_order()

    def rows_of_each(self, problem: int) -> list[int]:
        """The rows of a problem in every intersection, sorted by value."""
        found = self._bins[problem].sorted()
        counts = np.bincount(found.owners, found.words[:, ROWS], len(self.numbered))
        rows: list[int] = counts[self.numbered.sorted()[0]].astype(np.int64).tolist()
        return rows

    def bins(self, problem: int) -> Iterator[Bins]:
        """The bins of a problem in every intersection, sorted by value, one at a time."""
        found = self._bins[problem].sorted()
        order = self.numbered.sorted()[0].tolist()
        return (bins_of(found.of(number), COARSE, self.soft[problem]) for number in order)

    def dump(self, cells: Integers) -> dict[str, Any]:  # noqa: ARG002 - groups
        """The intersections sorted by value, and for every problem their records in this order."""
        numbers = inverse(self.numbered.sorted()[0])
        return {
            "keys": [plain(key) for key in self.keys],
            "problems": [
                {"soft": soft, "bins": bins.sorted(lambda owners: numbers[owners]).dump()}
                for soft, bins in zip(self.soft, self._bins, strict=True)
            ],
        }

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:  # noqa: ARG003
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        if not plan.segments or len(data.problems) != len(plan.problems):
            raise ValueError("it must have bins of segments for every problem")
        if any(len(key) != len(plan.segments) for key in data.keys):
            raise ValueError("an intersection does not fit the columns of segments")
        found, keys = cls(plan), [key_of(key) for key in data.keys]
        if not np.array_equal(found.numbered.of_keys(keys), np.arange(len(keys))):
            raise ValueError("an intersection is there twice")
        for problem, one in enumerate(data.problems):
            found.soft[problem] = one.soft
            found._bins[problem] = Records.load(width_of(plan, soft=one.soft), one.bins, len(keys), COARSE + 2)
        return found

    @staticmethod
    def document() -> Any:
        """The intersections, and for every problem their bins."""
        from .documents import Intersections as Document

        return Document

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that so many intersections of many rows each take; those of few rows take less."""
        return len(plan.problems) * RECORD_BYTES * width_of(plan) // NARROW * groups * (COARSE + 2)
