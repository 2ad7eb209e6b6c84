"""Columns that are probably not what they were named as, as a state's sums tell: reason to look, and never an error.

With hard targets y² = y, and the sums of q = (y - p)² and s = (y - p)(1 - 2p) hold Σyp: how target and prediction go
together, and the Brier score of 1 - p, follow from what every state has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .cells import ratio
from .plan import Problem
from .state import State
from .store import Moments

_BEYOND_CHANCE = 5.0
"""Standard errors of a correlation that is 0, beyond which it is taken for one."""

_ROUNDING = 1e-9
"""Databases round their sums, each in its own order."""


@dataclass(frozen=True)
class Doubt:
    """What seems wrong about a problem's columns.

    exchanged: all predictions are 0 or 1, and targets are not; other class: predictions are lower where more happened,
    so that 1 - p is better than p and better than the base rate.
    """

    kind: Literal["exchanged", "other class"]
    problem: Problem
    brier: float = math.nan
    turned: float = math.nan
    """The Brier scores of p and of 1 - p."""


def doubts(state: State) -> tuple[Doubt, ...]:
    """Those about the problems of a state, in their order."""
    numbered = enumerate(state.plan.problems)
    found = (_doubt(problem, state.moments([index], None)) for index, problem in numbered)
    return tuple(doubt for doubt in found if doubt)


def _doubt(problem: Problem, m: Moments) -> Doubt | None:
    if m["w"] == 0 or {"w", "ww", "wwy", "wwyy", "wy", "wp", "wq", "ws"} & m.overflowed:
        return None
    if ratio(m["wwyy"], m["wwy"]) < 1 - _ROUNDING:
        return Doubt("exchanged", problem) if m.zero + m.one_ == m.rows else None
    y, p, brier, s = (ratio(m[name], m["w"]) for name in ("wy", "wp", "wq", "ws"))
    together = (s - y + p) / 2 - (brier - y)  # the mean of yp
    covariance, variance = together - y * p, (brier - y + 2 * together) - p * p
    turned, base = 1 + brier - 2 * y - 2 * p + 4 * together, y * (1 - y)
    if not (covariance < 0 < base * variance and turned < base < brier):
        return None
    effective = ratio(m["w"] * m["w"], m["ww"] * m.one)
    errors = -covariance * math.sqrt(effective / (base * variance))
    return Doubt("other class", problem, brier, turned) if errors > _BEYOND_CHANCE else None
