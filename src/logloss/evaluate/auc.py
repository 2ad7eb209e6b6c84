"""AUC with DeLong's error, from bins, and its interval.

In complement form, which keeps its digits near 1: with U_b the share of negatives above a bin plus half of those in it,
and T_b the share of positives below plus half,

    1 - A = e = Σ Y U / ΣY,   Var = n1/(n1-1) Σ Σw²y (U-e)² / (ΣY)² + n0/(n0-1) Σ Σw²(1-y) (T-e)² / (ΣN)²

is DeLong's for weights of 1. The interval is t's on the scale of the logit, with degrees of freedom from the kurtosis
of the placements. Where these are fewer than 20, few rows decide, and it is united with Newcombe's fifth (2006), which
does not use them: plain DeLong then covers 78 to 93 % instead of 95.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .bins import Floats, Occupied
from .diagnoses import Estimate
from .sample import Z95, Sample, Units, interval, missing
from .tails import bisect

__all__ = ["area", "gini", "influence"]

FEW_DEGREES = 20


@dataclass(frozen=True, eq=False)
class Placements:
    """Where each bin stands among the other class."""

    u: Floats
    t: Floats
    e: float

    @staticmethod
    def of(positives: Floats, negatives: Floats) -> Placements:
        """Those of bins in order of the prediction."""
        all_positives, all_negatives = positives.sum(), negatives.sum()
        above = all_negatives - np.cumsum(negatives)
        u = np.maximum(above + negatives / 2, 0.0) / all_negatives
        t = (np.cumsum(positives) - positives / 2) / all_positives
        return Placements(u, t, float(np.sum(positives * u) / all_positives))


def _kurtosis(weight: Floats, values: Floats, mean: float) -> float:
    """The fourth central moment over the squared second; 1 at least."""
    centred = values - mean
    second = float(np.sum(weight * centred**2) / weight.sum())
    return float(np.sum(weight * centred**4) / weight.sum()) / second**2 if second > 0 else 1.0


def area(sample: Sample) -> Estimate:
    """The AUC."""
    if sample.refusal:
        return missing(sample.refusal)
    bins = sample.bins
    found = Placements.of(bins.wy, bins.negatives)
    value = 1 - found.e
    if bins.w.size == 1:
        return Estimate(value, note="all predictions are the same: 0.5 by definition, without an error")
    n1, n0 = bins.positives, bins.rest
    if n1 <= 1 or n0 <= 1:
        return Estimate(value, note="an error takes two rows of either outcome")
    v1 = n1 / (n1 - 1) * float(np.sum(bins.wwy * (found.u - found.e) ** 2)) / bins.positive_weight**2
    v0 = n0 / (n0 - 1) * float(np.sum(bins.wwn * (found.t - found.e) ** 2)) / bins.negative_weight**2
    k1, k0 = _kurtosis(bins.wy, found.u, found.e), _kurtosis(bins.negatives, found.t, found.e)
    spread = v1**2 * (k1 - 1) / n1 + v0**2 * (k0 - 1) / n0
    degrees = 2 * (v1 + v0) ** 2 / spread if spread > 0 else 0.0
    if sample.by_units:
        estimate = sample.from_units(value, lambda units: influence(units)[1], "logit")
    else:
        estimate = interval(
            value, math.sqrt(v1 + v0), degrees=max(degrees, 1.0), scale="logit", method="DeLong, logit t"
        )
    if estimate.se >= 0 and not degrees >= FEW_DEGREES and not bins.soft:
        word = "no pair is" if v1 + v0 == 0 else "few rows are"
        note = "; ".join(filter(None, [f"{word} misranked: the interval is widened", estimate.note]))
        return replace(_newcombe(bins, estimate), note=note)
    return estimate


def _newcombe(bins: Occupied, estimate: Estimate) -> Estimate:
    """United with Newcombe's fifth: the θ with |A - θ| = z sqrt(V(θ))."""
    n1, n0, value = bins.positives, bins.rest, estimate.value
    m = (n1 + n0) / 2 - 1

    def variance(theta: float) -> float:
        return theta * (1 - theta) * (1 + m * (1 - theta) / (2 - theta) + m * theta / (1 + theta)) / (n1 * n0)

    low = bisect(lambda x: value - x - Z95 * math.sqrt(variance(x)), 0.0, value) if value > 0 else 0.0
    high = bisect(lambda x: Z95 * math.sqrt(variance(x)) - (x - value), value, 1.0) if value < 1 else 1.0
    method = f"{estimate.method} and Newcombe 5" if estimate.method else "Newcombe 5"
    return replace(estimate, low=min(estimate.low, low), high=max(estimate.high, high), method=method)


def influence(units: Units) -> tuple[float, Floats]:
    """The AUC, and what each bucket adds to it (infinitesimal jackknife): as if it were left out, without ranking anew.

    I_g = Σ_b Y_gb (1 - U_b - A) / ΣY + Σ_b N_gb (1 - T_b - A) / ΣN.
    """
    whole = units.whole
    found = Placements.of(whole.wy, whole.negatives)
    area_ = 1 - found.e
    positive = units.wy @ (found.e - found.u) / whole.positive_weight
    negative = (units.w - units.wy) @ (found.e - found.t) / whole.negative_weight
    return area_, positive + negative


def gini(auc: Estimate) -> Estimate:
    """2 AUC - 1."""
    return replace(auc, value=2 * auc.value - 1, se=2 * auc.se, low=2 * auc.low - 1, high=2 * auc.high - 1)
