"""How far a run is, told now and then while it goes on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..evaluate.state import State
from ..evaluate.summary import loss_so_far

_PERIOD = 0.2
_MOST_COST = 0.02
"""Seconds between two looks at a state, and the share of a thread's time that they may take."""


@dataclass(frozen=True)
class Progress:
    """Rows read, of how many if that is known, and the log loss of those scored; NaN before the first."""

    rows: int
    total: int | None
    log_loss: float


class Meter:
    """Counts rows as they are read and looks at states as they grow, and tells what it knows."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self.total: int | None = None
        self._tell = tell
        self._lock = threading.Lock()
        self._rows = 0
        self._losses: dict[State, tuple[float, float]] = {}
        self._due: dict[State, float] = {}

    def read(self, rows: int) -> None:
        """So many more rows were read."""
        with self._lock:
            self._rows += rows

    def added(self, state: State) -> None:
        """A thread has added rows to its own state, and adds no more until this returns."""
        now = time.monotonic()
        if now < self._due.get(state, 0.0):
            return
        loss = loss_so_far(state)
        with self._lock:
            self._losses[state] = loss
            losses, weights = (sum(part) for part in zip(*self._losses.values(), strict=True))
            self._tell(Progress(self._rows, self.total, losses / weights if weights else math.nan))
        self._due[state] = now + max(_PERIOD, (time.monotonic() - now) / _MOST_COST)
