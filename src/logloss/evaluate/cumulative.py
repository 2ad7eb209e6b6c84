"""Cumulated calibration errors (Arrieta-Ibarra, Gujral, Tannen, Tygert, Xu 2022), which need no groups.

C_k = Σ_{b <= k} (Y - P) / W over bins in order of the prediction; ECCE = max(0, C) - min(0, C). In units of
σ = sqrt(Σ Σw² p̄ (1 - p̄)) / W it is the range of a Brownian motion if predictions are calibrated: 1.6 on average and
above 2.50 in 5 % of samples, so that it is no z. With clusters its p-value comes from random signs of buckets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .bins import Floats, Occupied
from .diagnoses import Estimate
from .sample import SOFT, Sample, Units, missing
from .tails import range_of_brownian_motion

__all__ = ["Cumulative", "cumulative"]

MEAN_RANGE, MEAN_SQUARE = math.sqrt(8 / math.pi), 4 * math.log(2)
CRITICAL = 2.4977
"""What the range exceeds in 5 % of samples."""
POWER = 0.47
"""What an error of one sign needs beyond that, to be found in 80 of 100 samples."""
TIMES, SEED, GROUPS = 999, 19, 128


@dataclass(frozen=True, eq=False)
class Cumulative:
    """The errors and what is known of them."""

    ecce: Estimate
    sigma: Estimate
    detectable: Estimate


def _range(curves: Floats) -> Floats:
    """max(0, C) - min(0, C) over the last axis."""
    found: Floats = np.maximum(curves.max(axis=-1), 0.0) - np.minimum(curves.min(axis=-1), 0.0)
    return found


def cumulative(sample: Sample) -> Cumulative:
    """ECCE, plain and in σ, and the error that its test would find."""
    bins = sample.bins
    if not bins.w.size:
        no = missing(sample.refusal)
        return Cumulative(no, no, no)
    curve = np.cumsum(bins.wy - bins.w * bins.p) / bins.weight
    raw = float(_range(curve))
    sigma = math.sqrt(float(np.sum(bins.ww * bins.p * (1 - bins.p)))) / bins.weight
    reason = SOFT if bins.soft else "every prediction is 0 or 1, which leaves nothing to chance" if sigma == 0 else ""
    if reason:
        return Cumulative(Estimate(raw, raw=raw, note=reason), missing(reason), missing(reason))
    value = math.sqrt(max(0.0, raw**2 - MEAN_SQUARE * sigma**2))
    p_value, note = (range_of_brownian_motion(raw / sigma), "") if not sample.clustered else _of_clusters(sample)
    note = note or ("" if p_value < 0.05 else "not distinguishable from calibrated")
    limit = math.nan if sample.clustered else CRITICAL * sigma
    found = Estimate(value, raw=raw, expected=MEAN_RANGE * sigma, limit=limit, p_value=p_value, note=note)
    in_sigma = Estimate(raw / sigma, expected=MEAN_RANGE, p_value=p_value, note=note)
    reach = Estimate((CRITICAL + POWER) * sigma)
    if sample.clustered:
        reach = missing("σ is that of independent rows")
    return Cumulative(found, in_sigma, reach)


def _of_clusters(sample: Sample) -> tuple[float, str]:
    """The p-value by multipliers of buckets: R* = range of sqrt(G/(G-1)) Σ ξ_g D_g, D_g = C_g - C/G, ξ ~ N(0, 1)."""
    if sample.no_error or sample.units is None:
        return math.nan, sample.no_error
    units = sample.units
    curves = _curves(units)
    observed = float(_range(curves.sum(axis=0)))
    centred = curves - curves.mean(axis=0)
    signs = np.random.RandomState(SEED).standard_normal((TIMES, units.count))
    drawn = _range(math.sqrt(units.count / (units.count - 1)) * (signs @ centred))
    return (1 + int(np.sum(drawn >= observed))) / (TIMES + 1), units.note


def _curves(units: Units) -> Floats:
    """The cumulative curve of each bucket, over about 128 groups of equal weight."""
    whole: Occupied = units.whole
    share = np.cumsum(whole.w) / whole.weight
    ends = np.unique(np.searchsorted(share, np.arange(1, GROUPS + 1) / GROUPS - 1e-12))
    steps = np.cumsum(units.wy - units.wp, axis=1) / whole.weight
    found: Floats = steps[:, np.minimum(ends, whole.w.size - 1)]
    return found
