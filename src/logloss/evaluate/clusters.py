"""Standard errors and intervals of means of rows that depend on each other in clusters.

With sums over the rows of bucket g of G that have rows, a statistic's influence in g is what it would change if g were
counted a little more, and these are independent between buckets:

    SE² = G/(G - 1) Σ I_g²      log loss, Brier: I_g = (Σwl - mean Σw)_g / Σw
                                normalized entropy: I_g = (I_g of log loss + NE logit(q) I_g of q) / H(q)

with Student's t at G - 1 degrees of freedom. Below three buckets there is no error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bins import Floats, logit
from .buckets import Losses
from .sample import FEWEST_UNITS
from .statistics import INTERVALS, Columns, margins
from .tails import student_quantile


def clustered(columns: Columns, losses: Iterator[Losses]) -> tuple[Columns, NDArray[np.int64]]:
    """The statistics of cells with the errors of clusters, and how many buckets each cell has."""
    found = {name: column.copy() for name, column in columns.items()}
    buckets = np.zeros(len(columns["rows"]), np.int64)
    for place, one in enumerate(losses):
        buckets[place] = one.rows.size
        values = {name: float(columns[name][place]) for name in ("base_rate", "log_loss", "normalized_entropy")}
        for name, value in _errors(one, values).items():
            found[name][place] = value
    return _with_ends(found, buckets), buckets


def _errors(one: Losses, values: dict[str, float]) -> dict[str, float]:
    """Standard errors and test statistics of one cell."""
    names = ("log_loss_se", "normalized_entropy_se", "d2_se", "brier_se", "spiegelhalter_z", "log_score_z")
    found = dict.fromkeys(names, math.nan)
    weight = float(one.w.sum())
    if one.rows.size < FEWEST_UNITS or not weight > 0:
        return found
    with np.errstate(all="ignore"):
        brier, q = (_influence(sums, one.w, weight) for sums in (one.wq, one.wy))
        found["brier_se"] = _error(brier)
        found["spiegelhalter_z"] = _standardized(one.ws)
        if one.beyond.any():
            found["log_score_z"] = math.inf if math.isinf(values["log_loss"]) else math.nan
            return found
        loss = _influence(one.wl, one.w, weight)
        found["log_loss_se"], found["log_score_z"] = _error(loss), -_standardized(one.wg)
        rate, entropy = values["base_rate"], values["log_loss"] / values["normalized_entropy"]
        if entropy > 0 and 0 < rate < 1:
            slope = values["normalized_entropy"] * logit(rate)
            found["normalized_entropy_se"] = found["d2_se"] = _error((loss + slope * q) / entropy)
    return found


def _influence(sums: Floats, w: Floats, weight: float) -> Floats:
    return np.asarray((sums - float(sums.sum()) / weight * w) / weight)


def _error(influence: Floats) -> float:
    count = influence.size
    return math.sqrt(count / (count - 1) * math.fsum((influence * influence).tolist()))


def _standardized(sums: Floats) -> float:
    """A total over the error that it has if its expectation is 0."""
    error = _error(sums - sums.mean())
    return float(sums.sum()) / error if error > 0 else math.nan


def _with_ends(found: Columns, buckets: Any) -> Columns:
    """The same with the ends of intervals."""
    t = np.array([student_quantile(degrees) for degrees in (buckets - 1).tolist()])
    with np.errstate(all="ignore"):
        for name, ends in INTERVALS.items():
            margin = margins(found[f"{name}_se"], t, found["base_rate"], found["effective_rows"])
            found[f"{name}_low"], found[f"{name}_high"] = ends(found[name], margin)
    return found
