"""How predictions are distributed, per outcome; and Murphy's diagram of elementary scores.

M(θ) = [θ FP(θ) + (1 - θ) FN(θ)] / W, with FP the negatives with p >= θ and FN the positives below (Ehm et al. 2016). It
is exact at the edges of bins. NB(θ) = q - M(θ) / (1 - θ), ∫ M dz is the log loss and ∫ 2 M dθ the Brier score.
"""

from __future__ import annotations

import math

import numpy as np

from .bins import Bins, Floats, Occupied, sigmoid
from .diagnoses import Distribution, Murphy
from .smooth import thinned

__all__ = ["distribution", "murphy"]

BARS = 40
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
EDGES = 200


def distribution(bins: Occupied) -> Distribution:
    """Bars of equal width, and quantiles."""
    edges = np.linspace(0.0, 1.0, BARS + 1)
    place = np.minimum((bins.p * BARS).astype(np.int64), BARS - 1)
    parts = [(weight, float(weight.sum())) for weight in (bins.wy, bins.negatives)]
    means = [float(np.sum(weight * bins.p)) / total if total > 0 else math.nan for weight, total in parts]
    bars = [np.bincount(place, weight, BARS).astype(np.float64) for weight, _ in parts]
    quantiles = [_quantiles(bins.p, weight, total) for weight, total in parts]
    return Distribution(edges, bars[0], bars[1], LEVELS, quantiles[0], quantiles[1], means[0], means[1])


def _quantiles(p: Floats, weight: Floats, total: float) -> Floats:
    """The smallest prediction whose cumulated weight reaches each level; NaN where there is no weight."""
    if not total > 0:
        return np.full(LEVELS.size, math.nan)
    return p[np.minimum(np.searchsorted(np.cumsum(weight) / total, LEVELS - 1e-12), p.size - 1)]


def elementary(bins: Bins) -> tuple[Floats, Floats]:
    """θ and M(θ) at every edge of the bins."""
    weight = float(bins.w.sum())
    theta = sigmoid(bins.edges())
    negatives = bins.w - bins.wy
    false_positives = np.cumsum(negatives[::-1])[::-1][1:]
    false_negatives = np.cumsum(bins.wy)[:-1]
    return theta, (theta * false_positives + (1 - theta) * false_negatives) / weight


def murphy(bins: Bins) -> Murphy:
    """The diagram at up to 200 edges around where predictions lie."""
    weight = float(bins.w.sum())
    if not weight > 0:
        return Murphy(np.empty(0), np.empty(0), np.empty(0))
    theta, score = elementary(bins)
    filled = np.flatnonzero(bins.w > 0)
    first, last = max(int(filled[0]) - 1, 0), min(int(filled[-1]), theta.size - 1)
    if first >= last:
        first, last = max(first - 1, 0), min(last + 1, theta.size - 1)
    kept = first + thinned(theta[first : last + 1], EDGES)
    q = float(bins.wy.sum()) / weight
    t = theta[kept]
    return Murphy(t, score[kept], np.where(t <= q, t * (1 - q), (1 - t) * q))
