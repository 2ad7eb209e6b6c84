"""Statistics of several cells together: means over labels and over groups, and what only groups tell of the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Floats
from .statistics import STATISTICS, Columns, entropies, over
from .sums import rounded_sum

__all__ = ["counted", "macro", "mean_over_cells", "within_groups", "without_intervals"]


def within_groups(groups: Columns, whole: Columns) -> Floats:
    """Log loss of the whole ÷ Σ W_g H(q_g) / W, as `WITHIN` says; the sum is exact, so that no order matters."""
    counts = counted(groups)
    q = groups["base_rate"][counts]
    with np.errstate(all="ignore"):
        heights = groups["weight"][counts] * entropies(q, 1 - q)
        return over(whole["log_loss"] * whole["weight"], np.array([_exact_total(heights)]))


def counted(found: Columns) -> NDArray[np.bool_]:
    """The cells that means are over: where nothing counts, as of a label that no row of a group has, all is unknown."""
    return np.asarray(found["weight"] != 0)


def macro(parts: Sequence[Columns]) -> Columns:
    """The plain mean of every statistic over the labels that count; counts of rows and weights are added."""
    there = [counted(part) for part in parts]
    count = sum(one.astype(np.int64) for one in there)
    found: Columns = {}
    with np.errstate(all="ignore"):
        for one in STATISTICS:
            total: Any = 0
            for part, counts in zip(parts, there, strict=True):
                total = total + (part[one.name] if one.added else np.where(counts, part[one.name], 0.0))
            found[one.name] = total if one.added else total / count
    return without_intervals(found)


def mean_over_cells(found: Columns) -> Columns:
    """The same over cells, as one; the sum is exact, so that their order does not matter."""
    counts = counted(found)
    count = int(counts.sum())
    totals = {one.name: _exact_total(found[one.name] if one.added else found[one.name][counts]) for one in STATISTICS}
    return without_intervals(
        {
            one.name: np.array([totals[one.name] if one.added else totals[one.name] / count if count else math.nan])
            for one in STATISTICS
        }
    )


def _exact_total(values: NDArray[Any]) -> Any:
    if values.dtype.kind == "i":
        return int(values.sum())
    return rounded_sum(values) if np.isfinite(values).all() else float(values.sum())


def without_intervals(found: Columns) -> Columns:
    """The statistics of an average over labels: the labels of a row depend on each other in a way that is not known."""
    unknown = {one.name: np.full(len(found[one.name]), math.nan) for one in STATISTICS if one.spread}
    return {**found, **unknown}
