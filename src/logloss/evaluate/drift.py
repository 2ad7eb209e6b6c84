"""What changed between two states: the distribution of predictions, and every statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bins import Floats
from .diagnoses import Estimate

__all__ = ["Drift"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What changed between two states: later minus earlier."""

    psi: Estimate
    """Population stability index, debiased; `raw` is the plain one."""
    edges: Floats
    """Probabilities at which the cells of the index begin and end."""
    before: Floats
    """Share of rows in each cell."""
    after: Floats
    changes: Mapping[str, Estimate] = field(default_factory=dict)
    """Statistics' changes, by the names of `DIAGNOSTICS` and log_loss, normalized_entropy, brier, base_rate."""
