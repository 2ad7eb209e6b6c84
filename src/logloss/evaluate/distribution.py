"""How predictions are distributed, per outcome; and Murphy's diagram of elementary scores, of two models.

M(θ) = [θ FP(θ) + (1 - θ) FN(θ)] / W, with FP the negatives with p >= θ and FN the positives below (Ehm et al. 2016). It
is exact at the edges of bins. NB(θ) = q - M(θ) / (1 - θ), ∫ M dz is the log loss and ∫ 2 M dθ the Brier score. Every
proper score is such a mean of elementary ones, so that a model below another at all θ is better by any of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bins import COARSE, Bins, Floats, Integers, Occupied, sigmoid
from .diagnoses import Distribution
from .sample import FEW_UNITS, NO_ROWS
from .smooth import thinned
from .tails import student_quantile

__all__ = ["NO_DIFFERENCE", "MurphyDifference", "distribution", "murphy_difference"]

BARS = 40
EDGES = 200


def distribution(bins: Occupied) -> Distribution:
    """Bars of equal width."""
    place = np.minimum((bins.p * BARS).astype(np.int64), BARS - 1)
    positives, negatives = (np.bincount(place, w, BARS).astype(np.float64) for w in (bins.wy, bins.negatives))
    return Distribution(np.linspace(0.0, 1.0, BARS + 1), positives, negatives)


def _mistakes(bins: Bins) -> tuple[Floats, Floats]:
    """FP(θ) / W and FN(θ) / W at every edge; of several cells, what each has of those of all."""
    weight = float(bins.w.sum())
    negatives = bins.w - bins.wy
    false_positives = np.cumsum(negatives[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return false_positives / weight, np.cumsum(bins.wy, axis=-1)[..., :-1] / weight


def _kept(theta: Floats, w: Floats) -> Integers:
    """Up to 200 of the edges, around where predictions lie."""
    filled = np.flatnonzero(w > 0)
    first, last = max(int(filled[0]) - 1, 0), min(int(filled[-1]), theta.size - 1)
    if first >= last:
        first, last = max(first - 1, 0), min(last + 1, theta.size - 1)
    return np.asarray(first + thinned(theta[first : last + 1], EDGES))


@dataclass(frozen=True, eq=False)
class MurphyDifference:
    """Elementary scores of one model minus those of another, each with a 95 % interval of its own (pointwise)."""

    threshold: Floats
    difference: Floats
    low: Floats
    high: Floats
    reason: str = ""
    """Why there are no intervals."""

    @property
    def better(self) -> tuple[tuple[float, float], ...]:
        """The thresholds, from and to, at which the first has the smaller score beyond chance."""
        return tuple(_runs(self.threshold, self.high < 0))

    @property
    def worse(self) -> tuple[tuple[float, float], ...]:
        """Those at which it has the larger one."""
        return tuple(_runs(self.threshold, self.low > 0))


NO_DIFFERENCE = MurphyDifference(np.empty(0), np.empty(0), np.empty(0), np.empty(0), NO_ROWS)
"""Where nothing counts."""


def _runs(threshold: Floats, choice: Any) -> Iterator[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], choice, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2).tolist():
        yield float(threshold[start]), float(threshold[end - 1])


def murphy_difference(bins: tuple[Bins, Bins], buckets: tuple[Bins, Bins] | None, why: str) -> MurphyDifference:
    """The diagram of one model minus that of another, on the same rows.

    Its error comes from the influence of buckets that both share, I_g = d_g - d w_g, with d_g what g has of the
    difference d, and w_g of the weight. Where fewer than ten know a difference of positives, or of negatives, there is
    none: an outcome that was not seen would change it most. `why` there are no errors at all, if that is so.
    """
    count = min(COARSE, *(one.count for one in buckets or bins))
    cells = [one.coarser(count) for one in buckets or bins]
    theta, w = sigmoid(cells[0].edges()), np.atleast_2d(cells[0].w).sum(axis=1)
    flagged, missed = (np.atleast_2d(a - b) for a, b in zip(*map(_mistakes, cells), strict=True))
    apart = theta * flagged + (1 - theta) * missed
    total = apart.sum(axis=0)
    kept = _kept(theta, sum(np.atleast_2d(one.w).sum(axis=0) for one in cells))
    unknown = np.full(kept.size, math.nan)
    if buckets is None or why:
        return MurphyDifference(theta[kept], total[kept], unknown, unknown, why)
    used = w > 0
    influence = apart[used][:, kept] - total[kept] * (w[used] / w.sum())[:, None]
    groups = int(used.sum())
    half = student_quantile(groups - 1.0) * np.sqrt(groups / (groups - 1) * (influence**2).sum(axis=0))
    half[np.minimum(*((one[:, kept] != 0).sum(axis=0) for one in (flagged, missed))) < FEW_UNITS] = math.nan
    return MurphyDifference(theta[kept], total[kept], total[kept] - half, total[kept] + half)
