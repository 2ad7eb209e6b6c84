"""How a person wants a table: how wide, how long, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from ..evaluate.summary import STATISTICS, Block, Results

TOP = 50
"""Groups that a table shows, unless asked for another number."""


@dataclass(frozen=True)
class View:
    """What a table is fitted to; files for programs have everything, in order."""

    width: int = 80
    color: bool = False
    bars: bool = False
    """Whether a terminal reads it, and can show blocks."""
    top: int = TOP
    sort: str | None = None
    command: str = ""
    """How the result was asked for, as a report tells it."""

    def __post_init__(self) -> None:
        known = [one.name for one in STATISTICS]
        if self.sort is not None and self.sort not in known:
            raise InvalidInputError(
                f"groups must be sorted by a statistic; got {self.sort!r}; the statistics are {', '.join(known)}."
            )
        if self.top < 0:
            raise InvalidInputError(f"top must be at least 0; got {self.top}; 0 shows no group.")

    def groups_of(self, results: Results, block: Block) -> NDArray[np.int64]:
        """The places of the groups that are shown, the largest first where some are not or an order was asked for."""
        count = results.per_block - 1
        if self.sort is None and count <= self.top:
            return np.arange(count)
        values = block.columns[self.sort or "rows"][:count].astype(np.float64)
        order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
        return order[: self.top]

    def hidden(self, results: Results) -> int:
        """How many groups are not shown."""
        return max(0, results.per_block - 1 - self.top) if results.groups else 0
