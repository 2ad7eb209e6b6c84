"""Groups of predictions and their calibration errors: ECE, MCE and the debiased squared error.

    ECE = Σ s_b |ȳ_b - p̄_b|,  s_b = W_b / W

is never 0 for calibrated predictions, but on average Σ s_b σ_b sqrt(2/π), with σ_b the error of ȳ_b then; it is
debiased by quadrature over the total. The squared error

    Σ s_b [(ȳ_b - p̄_b)² - ȳ_b (1 - ȳ_b) / (n_b - 1)]        (Bröcker 2012; Ferro and Fricker 2012)

is unbiased, and the one whose interval covers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .bins import Floats, Integers, Occupied
from .diagnoses import Estimate, Groups
from .sample import SOFT, Z95, Sample, Units, missing
from .tails import normal

__all__ = ["Errors", "errors", "groups", "wilson"]

COUNT = 15
HALF_NORMAL = math.sqrt(2 / math.pi)


def wilson(share: Floats, rows: Floats, z: float = Z95) -> tuple[Floats, Floats]:
    """Wilson's interval of shares among as many rows of equal weight."""
    with np.errstate(divide="ignore", invalid="ignore"):
        square = z * z / rows
        middle = (share + square / 2) / (1 + square)
        half = z / (1 + square) * np.sqrt(share * (1 - share) / rows + square / (4 * rows))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def equal_weight(bins: Occupied) -> Integers:
    """The group of each bin, of about equal weight, as the middle of the bin's weight falls."""
    middle = (np.cumsum(bins.w) - bins.w / 2) / bins.weight
    return np.minimum((middle * COUNT).astype(np.int64), COUNT - 1)


def equal_width(bins: Occupied) -> Integers:
    """The group of each bin by its mean prediction: [a, b), and 1 in the last."""
    return np.minimum((bins.p * COUNT).astype(np.int64), COUNT - 1)


@dataclass(frozen=True, eq=False)
class _Cut:
    """Bins cut into groups."""

    rows: Floats
    w: Floats
    observed: Floats
    predicted: Floats
    effective: Floats
    deviation: Floats
    """The standard deviation of `observed` if predictions are calibrated."""

    @property
    def apart(self) -> Floats:
        return self.observed - self.predicted

    @property
    def share(self) -> Floats:
        found: Floats = self.w / self.w.sum()
        return found


def _cut(bins: Occupied, place: Integers) -> _Cut:
    used, place = np.unique(place, return_inverse=True)

    def total(values: Floats) -> Floats:
        return np.bincount(place, values, used.size).astype(np.float64)

    w, squares = total(bins.w), total(bins.ww)
    variance = total(bins.ww * bins.p * (1 - bins.p))
    return _Cut(
        total(bins.rows.astype(np.float64)),
        w,
        total(bins.wy) / w,
        total(bins.w * bins.p) / w,
        w * w / squares,
        np.sqrt(variance) / w,
    )


def groups(bins: Occupied, place: Integers) -> Groups:
    """The points of a reliability diagram."""
    if not bins.w.size:
        return Groups(*(np.empty(0) for _ in range(9)))
    cut = _cut(bins, place)
    used = np.unique(place)
    low = np.array([bins.p[place == one].min() for one in used])
    high = np.array([bins.p[place == one].max() for one in used])
    ends = wilson(cut.observed, cut.effective)
    return Groups(low, high, cut.rows, cut.w, cut.predicted, cut.observed, *ends, Z95 * cut.deviation)


@dataclass(frozen=True, eq=False)
class Errors:
    """The calibration errors of groups."""

    ece: Estimate
    ece_width: Estimate
    mce: Estimate
    squared: Estimate


def errors(sample: Sample) -> Errors:
    """ECE over both kinds of groups; MCE and squared error over those of equal weight."""
    if not sample.bins.w.size:
        no = missing(sample.refusal)
        return Errors(no, no, no, no)
    weight, width = _cut(sample.bins, equal_weight(sample.bins)), _cut(sample.bins, equal_width(sample.bins))
    return Errors(_ece(sample, weight), _ece(sample, width), _mce(sample, weight), _squared(sample, weight))


def _ece(sample: Sample, cut: _Cut) -> Estimate:
    raw = float(np.sum(cut.share * np.abs(cut.apart)))
    if sample.bins.soft:
        return Estimate(raw, raw=raw, note=f"not debiased: {SOFT}")
    expected = HALF_NORMAL * float(np.sum(cut.share * cut.deviation))
    variance = (1 - HALF_NORMAL**2) * float(np.sum((cut.share * cut.deviation) ** 2))
    value = math.sqrt(max(0.0, raw**2 - expected**2 - variance))
    found = Estimate(value, raw=raw, expected=expected, method=f"{cut.w.size} groups")
    if sample.clustered:
        return replace(found, note="what chance gives is found as if rows were independent; clusters make it larger")
    if variance == 0:
        return replace(found, note="every prediction is 0 or 1, which leaves nothing to chance")
    p_value, limit = normal((raw - expected) / math.sqrt(variance)), expected + 1.6448536 * math.sqrt(variance)
    note = "" if raw > limit else "not distinguishable from calibrated"
    return replace(found, limit=limit, p_value=p_value, note=note)


def _mce(sample: Sample, cut: _Cut) -> Estimate:
    """The largest difference, beside what chance makes of the largest."""
    value = float(np.abs(cut.apart).max())
    if sample.bins.soft:
        return Estimate(value, note="an extreme value of noise")
    normals = np.random.RandomState(17).standard_normal((1000, cut.w.size))
    expected = float(np.abs(normals * cut.deviation).max(axis=1).mean())
    return Estimate(value, expected=expected, note="an extreme value of noise")


def _square(w: Floats, observed: Floats, predicted: Floats, effective: Floats) -> Floats:
    """The debiased squared error over the last axis; groups of one row have no variance and are left out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = (observed - predicted) ** 2 - observed * (1 - observed) / (effective - 1)
    kept = np.where((w > 0) & (effective > 1), w, 0.0)
    with np.errstate(invalid="ignore"):
        found: Floats = np.sum(np.where(kept > 0, own, 0.0) * kept, axis=-1) / kept.sum(axis=-1)
    return found


def _squared(sample: Sample, cut: _Cut) -> Estimate:
    raw = float(np.sum(cut.share * cut.apart**2))
    if sample.bins.soft:
        return Estimate(raw, raw=raw, note=f"not debiased: {SOFT}")
    value = float(_square(cut.w, cut.observed, cut.predicted, cut.effective))
    if math.isnan(value):
        return missing("no group holds two rows")
    return sample.jackknifed(value, _squares_left_out, raw=raw)


def _squares_left_out(units: Units) -> Floats:
    """The squared error without each bucket."""
    place = equal_weight(units.whole)
    member = (place[:, None] == np.unique(place)).astype(np.float64)
    _, w, wy = units.without
    in_group, positive = w @ member, wy @ member
    squares = np.where(w > 0, units.whole.ww - units.ww, 0.0) @ member
    predicted = (w * units.whole.p) @ member
    with np.errstate(divide="ignore", invalid="ignore"):
        return _square(in_group, positive / in_group, predicted / in_group, in_group**2 / squares)
