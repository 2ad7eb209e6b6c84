"""Average precision, KS, and the curves of ranking: ROC, precision and recall.

Average precision is Σ_k (R_k - R_{k-1}) Prec_k over distinct predictions, falling. Of a bin only its sums are known.
Most bins hold many distinct predictions, and their expected value under random order counts, where the j-th of P
positives stands behind N j / (P + 1) of N negatives: Σ_j (a + j) / (a + c + j + N j / (P + 1)), a and c those above. An
atom, one prediction that many rows share, counts as one step. For many positives, or weights, the sum over j is the
integral from 1/2 to P + 1/2 of (a + t) / (a + c + k t), k = 1 + N / (P + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .auc import area, gini
from .bins import Floats, Occupied, sigmoid
from .diagnoses import Discrimination, Estimate, PrecisionRecall, Roc
from .sample import SOFT, Z95, Sample, Units, missing
from .smooth import thinned

__all__ = ["average_precision", "discrimination", "precision_left_out"]

SUMMED = 64
"""Bins with more positives than this are integrated."""
ATOM_ROWS, ATOM_RATIO = 8, 50
FEW_FOR_KS = 1000
POINTS = 150


def _atoms(bins: Occupied) -> NDArray[np.bool_]:
    """Which bins hold one prediction that many rows share, as far as their neighbours tell."""
    rows = np.zeros(bins.count + 4)
    rows[bins.place + 1] = bins.rows
    left, right = rows[bins.place], rows[bins.place + 2]
    alone = (bins.rows >= ATOM_ROWS) & ((left == 0) | (right == 0))
    found: NDArray[np.bool_] = alone | (bins.rows > ATOM_RATIO * np.maximum(left, right)) | bins.at_end
    return found


def average_precision(wy: Floats, w: Floats, atoms: NDArray[np.bool_], *, counted: bool) -> Floats:
    """Average precision over the last axis, bins rising; `counted` says that weights are counts."""
    negatives = np.maximum(w - wy, 0.0)
    a = np.cumsum(wy[..., ::-1], axis=-1)[..., ::-1] - wy
    c = np.cumsum(negatives[..., ::-1], axis=-1)[..., ::-1] - negatives
    step = wy * _over(a + wy, a + c + wy + negatives)
    k = 1 + negatives / (wy + 1)
    small = (wy <= SUMMED) & counted & ~atoms
    terms = np.where(atoms, step, 0.0)
    large = ~atoms & ~small
    terms[large] = _integral(a[large], c[large], k[large], wy[large])
    for j in range(1, int(wy[small].max(initial=0)) + 1):
        now = small & (wy >= j)
        terms[now] += (a[now] + j) / (a[now] + c[now] + k[now] * j)
    positives = wy.sum(axis=-1)
    found: Floats = np.where(positives > 0, terms.sum(axis=-1) / np.where(positives > 0, positives, 1.0), math.nan)
    return found


def _over(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)


def _integral(a: Floats, c: Floats, k: Floats, positives: Floats) -> Floats:
    """From 1/2 to P + 1/2 (of fewer than one, from P/2 to 3P/2)."""
    start = np.minimum(0.5, positives / 2)
    logarithm = np.log1p(_over(k * positives, a + c + k * start))
    found: Floats = positives / k + (a - (a + c) / k) / k * logarithm
    return found


def precision_left_out(units: Units) -> Floats:
    """Average precision without each bucket."""
    rows, w, wy = units.without
    counted = bool((w == rows).all()) and not units.whole.soft
    unit = 1.0 if counted else _typical(units.whole)
    return average_precision(wy / unit, w / unit, _atoms(units.whole), counted=counted)


def _typical(bins: Occupied) -> float:
    """Σw² ÷ Σw: what one row weighs, where weights are no counts."""
    return float(bins.ww.sum()) / bins.weight


def _precision(sample: Sample) -> Estimate:
    bins = sample.bins
    if not bins.w.size or bins.positive_weight == 0:
        return missing(sample.refusal)
    counted = bins.unit and not bins.soft
    unit = 1.0 if counted else _typical(bins)
    value = float(average_precision(bins.wy / unit, bins.w / unit, _atoms(bins), counted=counted))
    if sample.refusal:
        return Estimate(value, note=sample.refusal)
    return sample.jackknifed(value, precision_left_out, "logit")


def _ks(sample: Sample) -> Estimate:
    """The largest difference of the cumulative distributions at edges of bins."""
    if sample.refusal:
        return missing(sample.refusal)
    bins = sample.bins
    positives = np.cumsum(bins.wy) / bins.positive_weight
    negatives = np.cumsum(bins.negatives) / bins.negative_weight
    place = int(np.argmax(negatives - positives))
    value = float(negatives[place] - positives[place])
    few = min(bins.positives, bins.rest) < FEW_FOR_KS
    if few or sample.by_units:
        why = SOFT if bins.soft else "no interval for clusters"
        return Estimate(value, note="biased upward on few rows, so that it has no interval" if few else why)
    shares = float(positives[place]), float(negatives[place])
    variance = shares[0] * (1 - shares[0]) / bins.positives + shares[1] * (1 - shares[1]) / bins.rest
    se = math.sqrt(variance)
    return Estimate(value, se, value - Z95 * se, value + Z95 * se, method="envelope")


@dataclass(frozen=True, eq=False)
class _Above:
    """What lies in the bins from each on upward, from none to all, thinned."""

    positives: Floats
    negatives: Floats
    threshold: Floats


def _above(bins: Occupied) -> _Above:
    """Cumulated from the top; the places kept lie evenly along the ROC curve."""
    positives = np.concatenate([[0.0], np.cumsum(bins.wy[::-1])])
    negatives = np.concatenate([[0.0], np.cumsum(bins.negatives[::-1])])
    threshold = np.concatenate([[np.inf], np.where(bins.at_end, bins.p, sigmoid(bins.left))[::-1]])
    way = _over(positives, np.full_like(positives, positives[-1]))
    way = way + _over(negatives, np.full_like(negatives, negatives[-1]))
    steps = np.searchsorted(way, np.linspace(0, way[-1], POINTS))
    kept = np.unique(np.concatenate([thinned(way, 30), np.minimum(steps, way.size - 1)]))
    return _Above(positives[kept], negatives[kept], threshold[kept])


def discrimination(sample: Sample) -> Discrimination:
    """Everything about ranking."""
    bins = sample.bins
    auc = area(sample)
    empty = np.empty(0)
    roc, curve = Roc(empty, empty, empty), PrecisionRecall(empty, empty, empty)
    if not sample.refusal:
        above = _above(bins)
        recall = above.positives / bins.positive_weight
        roc = Roc(above.negatives / bins.negative_weight, recall, above.threshold)
        some = above.positives + above.negatives > 0
        precision = (above.positives / np.where(some, above.positives + above.negatives, 1.0))[some]
        curve = PrecisionRecall(recall[some], precision, above.threshold[some])
    base = bins.base_rate if bins.w.size else math.nan
    return Discrimination(
        auc,
        gini(auc),
        _precision(sample),
        _ks(sample),
        base,
        roc,
        curve,
    )
