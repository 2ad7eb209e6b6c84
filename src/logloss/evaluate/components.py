"""What a state is made of: components, each of which adds rows, merges, is written and read, and is bounded in size.

Every component keeps something for each problem and group, with the same bits for any order, split and number of
threads. A plan says which ones its state has.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .buckets import Buckets
from .clip import Rows
from .grid import Grid
from .intersections import Intersections
from .moments import MomentSums
from .pairs import Pairs
from .plan import Plan


class Component(Protocol):
    """The five verbs; `cells` are numbers of groups."""

    def __init__(self, plan: Plan) -> None: ...

    def add(self, problem: int, rows: Rows, cells: NDArray[np.int64]) -> None:
        """Add rows of a problem: those up to `rows.ends[k]` belong to cells[k], which may be new; there may be none."""
        ...

    def merge(self, other: Self, cells: NDArray[np.int64]) -> None:
        """Add another run's: its group number k is cells[k] here. The numbers may be new."""
        ...

    def dump(self, cells: NDArray[np.int64]) -> Any:
        """All that it holds as plain data for JSON, the groups in this order."""
        ...

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote: `data` is of the type `document()`, the groups are numbered in its order.

        Raises ValueError for numbers that no run gives; nothing may cost more than the data's own size.
        """
        ...

    @staticmethod
    def document() -> Any:
        """The type of what `dump` writes, for a decoder."""
        ...

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that it takes for so many groups, unless magnitudes are extreme."""
        ...


COMPONENTS: dict[str, type[Component]] = {
    "moments": MomentSums,
    "grid": Grid,
    "buckets": Buckets,
    "pairs": Pairs,
    "segments": Intersections,
}
"""By the name that a plan and a saved state have for it."""
