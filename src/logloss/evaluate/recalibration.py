"""Calibration in the large, intercept and slope: logistic recalibration (Cox 1958) on bins.

logit E y = a + b z, with z the logit of a bin's mean prediction, not its middle. Weights are importance weights; the
error of clusters is the sandwich with the scores of buckets, s_g = Σ_b (Y_gb - W_gb μ_b)(1, z_b), and t(G - 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bins import Floats, Occupied, sigmoid
from .diagnoses import Estimate
from .logistic import Fit, fit
from .sample import ONE_BIN, ONE_CLASS, Sample, Units, compared, interval, missing
from .tails import normal

__all__ = ["Inner", "Line", "covariance", "difference", "impossible", "in_the_large", "inner_of", "line", "ratio"]

NO_LOGIT = "every prediction is 0 or 1, which have no logit"


@dataclass(frozen=True, eq=False)
class Inner:
    """The bins with a finite logit, and whether those at the ends hold what no finite slope can fit."""

    keep: NDArray[np.bool_]
    z: Floats
    w: Floats
    wy: Floats
    refusal: str
    note: str


def inner_of(bins: Occupied) -> Inner:
    """Those of the occupied bins."""
    keep = ~bins.at_end
    w, wy = bins.w[keep], bins.wy[keep]
    refusal, note = "", ""
    rows = int(bins.rows[~keep].sum())
    if not w.size:
        refusal = NO_LOGIT
    elif not 0 < wy.sum() < w.sum():
        refusal = ONE_CLASS
    elif rows:
        note = f"without {rows} rows predicted exactly 0 or 1"
        if impossible(bins) > 0:
            note += ", some of which happened otherwise: no finite slope fits them"
    return Inner(keep, bins.z[keep], w, wy, refusal, note)


def impossible(bins: Occupied) -> float:
    """The weight of what happened though it was given probability 0."""
    zero, one = bins.place == 0, bins.place == bins.count + 1
    return float(bins.wy[zero].sum() + bins.negatives[one].sum())


Basis = Callable[[Floats], Floats]
"""The columns of a regression, at logits."""


def covariance(sample: Sample, found: Fit, inner: Inner, basis: Basis, *, offset: bool = False) -> tuple[Any, str]:
    """The covariance of the coefficients, None where there is none; and what there is to say of it."""
    bins = sample.bins
    if not sample.by_units:
        if bins.unit:
            return found.covariance, ""
        return found.importance(bins.wwy[inner.keep], bins.wwn[inner.keep]), ""
    if sample.no_error or sample.units is None:
        return None, sample.no_error
    scores = _scores(sample.units, found, basis, offset=offset)
    count = sample.units.count
    return found.sandwich(count / (count - 1) * scores.T @ scores), sample.units.note


def _scores(units: Units, found: Fit, basis: Basis, *, offset: bool) -> Floats:
    """The score of each bucket."""
    keep = ~units.whole.at_end
    z = units.whole.z[keep]
    columns = basis(z)
    mean = sigmoid(columns @ found.coefficients + (z if offset else 0.0))
    scores: Floats = (units.wy[:, keep] - units.w[:, keep] * mean) @ columns
    return scores


def _method(sample: Sample) -> str:
    if sample.by_units:
        return f"sandwich over {sample.units.count} buckets" if sample.units else ""
    return "maximum likelihood" if sample.bins.unit else "sandwich"


def _ones(z: Floats) -> Floats:
    return np.ones((z.size, 1))


def in_the_large(sample: Sample) -> Estimate:
    """The a of logit E y = a + z."""
    if sample.refusal:
        return missing(sample.refusal)
    inner = inner_of(sample.bins)
    if inner.refusal:
        return missing(inner.refusal)
    found = fit(_ones(inner.z), inner.wy, inner.w, inner.z)
    if found.refusal:
        return missing(found.refusal)
    spread, why = covariance(sample, found, inner, _ones, offset=True)
    value = float(found.coefficients[0])
    note = "; ".join(filter(None, [why, inner.note]))
    if spread is None:
        return Estimate(value, note=note)
    degrees = sample.degrees if sample.by_units else math.inf
    return compared(
        interval(value, math.sqrt(spread[0, 0]), degrees=degrees, method=_method(sample), note=note),
        degrees=degrees,
    )


@dataclass(frozen=True, eq=False)
class Line:
    """Intercept and slope."""

    intercept: Estimate
    slope: Estimate


def line(sample: Sample) -> Line:
    """a and b of logit E y = a + b z."""
    inner = None if sample.refusal else inner_of(sample.bins)
    refusal = sample.refusal or (inner.refusal if inner else "")
    if not refusal and inner and inner.z.size < 2:
        refusal = ONE_BIN
    if refusal or inner is None:
        return Line(missing(refusal), missing(refusal))
    center = float(np.sum(inner.w * inner.z) / np.sum(inner.w))

    def basis(z: Floats) -> Floats:
        return np.stack([np.ones(z.size), z - center], axis=1)

    found = fit(basis(inner.z), inner.wy, inner.w)
    if found.refusal:
        return Line(missing(found.refusal), missing(found.refusal))
    spread, why = covariance(sample, found, inner, basis)
    a, b = found.coefficients.tolist()
    note = "; ".join(filter(None, [why, inner.note]))
    if spread is None:
        return Line(Estimate(a - b * center, note=note), Estimate(b, note=note))
    degrees = sample.degrees if sample.by_units else math.inf
    back = np.array([1.0, -center])
    errors = math.sqrt(back @ spread @ back), math.sqrt(spread[1, 1])
    values = a - b * center, b
    both = [
        compared(interval(value, se, degrees=degrees, method=_method(sample), note=note), against, degrees)
        for value, se, against in zip(values, errors, (0.0, 1.0), strict=True)
    ]
    return Line(*both)


def difference(sample: Sample) -> Estimate:
    """Mean observed minus mean predicted.

    Its variance is that of y - p, Σ w²(y - p - mean)² ÷ (Σw)²; its test that of calibrated ones, Σ w² p(1-p).
    """
    bins = sample.bins
    if not bins.w.size:
        return missing(sample.refusal)
    value = float(np.sum(bins.wy - bins.w * bins.p)) / bins.weight
    if sample.by_units:
        found = sample.from_units(value, lambda u: ((u.wy - u.wp) - value * u.w).sum(axis=1) / float(u.w.sum()))
        return compared(found, degrees=sample.degrees)
    residual = bins.wwy * (1 - bins.p - value) ** 2 + bins.wwn * (bins.p + value) ** 2
    found = interval(value, math.sqrt(float(residual.sum())) / bins.weight, method="moments")
    sigma = math.sqrt(float(np.sum(bins.ww * bins.p * (1 - bins.p)))) / bins.weight
    if sigma == 0:
        return replace(found, note="every prediction is 0 or 1, which leaves nothing to chance")
    return replace(found, p_value=2 * normal(abs(value) / sigma))


def ratio(sample: Sample) -> Estimate:
    """Observed ÷ expected; the error of its logarithm is that of Σw(y - r p) ÷ Σwy."""
    bins = sample.bins
    expected = float(np.sum(bins.w * bins.p))
    if not bins.w.size or expected == 0:
        return missing(sample.refusal if not bins.w.size else "every prediction is 0")
    value = bins.positive_weight / expected
    if sample.by_units:
        return sample.from_units(value, lambda u: (u.wy - value * u.wp).sum(axis=1) / expected, "log")
    residual = bins.wwy * (1 - value * bins.p) ** 2 + bins.wwn * (value * bins.p) ** 2
    found = interval(value, math.sqrt(float(residual.sum())) / expected, scale="log", method="moments, logarithm")
    return replace(found, note="no positives") if value == 0 else found
