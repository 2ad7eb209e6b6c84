"""A smooth calibration curve: a restricted cubic spline of the logit, fitted by binomial likelihood on bins.

ICI (Austin and Steyerberg 2019) = Σ w |c(p) - p| ÷ Σw; E50 and E90 are quantiles of |c - p|, Emax its maximum. Even of
calibrated predictions none is 0, so that each bears what it is on average then, from fits to binomial draws, and ICI is
debiased by quadrature: sqrt(max(0, ICI² - mean ICI*²)). To subtract the mean would correct too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bins import Floats, sigmoid
from .diagnoses import Estimate, Smooth
from .logistic import Fit, fit
from .recalibration import Inner, covariance, inner_of
from .sample import ONE_BIN, Z95, Sample, draws, missing
from .tails import student_quantile

__all__ = ["Curve", "debiased", "distances", "nowhere", "smooth"]

TIMES, SEED, NEWTON = 50, 7, 6
MANY_EVENTS = 2000
POINTS = 120
FIVE = (0.05, 0.275, 0.5, 0.725, 0.95)
TEN = tuple(np.linspace(0.02, 0.98, 10).tolist())
THREE = (0.1, 0.5, 0.9)
"""The quantiles at which knots stand (Harrell)."""


@dataclass(frozen=True, eq=False)
class Spline:
    """A restricted cubic spline, linear beyond its outer knots, with orthogonal columns of mean square 1."""

    knots: Floats
    center: float
    back: Floats
    """What makes plain columns orthogonal."""

    def __call__(self, z: Floats) -> Floats:
        """The columns at logits."""
        found: Floats = _plain(z, self.knots, self.center) @ self.back
        return found


def _plain(z: Floats, knots: Floats, center: float) -> Floats:
    """1, z, and a cubic for each knot but the last two (Harrell 2015, section 2.4.5)."""
    columns = [np.ones(z.size), z - center]
    if knots.size >= 3:
        last, before, scale = knots[-1], knots[-2], (knots[-1] - knots[0]) ** 2

        def cubic(knot: float) -> Floats:
            found: Floats = np.maximum(z - knot, 0.0) ** 3
            return found

        for knot in knots[:-2].tolist():
            inner = cubic(before) * (last - knot) - cubic(last) * (before - knot)
            columns.append((cubic(knot) - inner / (last - before)) / scale)
    return np.stack(columns, axis=1)


def _spline(inner: Inner, levels: tuple[float, ...]) -> Spline:
    """With knots at weighted quantiles of the logits: each the smallest that the cumulated weight reaches."""
    share = np.cumsum(inner.w) / inner.w.sum()
    places = np.minimum(np.searchsorted(share, np.array(levels) - 1e-12), inner.z.size - 1)
    knots = np.unique(inner.z[places]) if levels else np.empty(0)
    center = float(np.sum(inner.w * inner.z) / inner.w.sum())
    plain = _plain(inner.z, knots, center)
    share = (inner.w / inner.w.sum())[:, None]
    scale = np.sqrt(np.sum(plain * plain * share, axis=0))
    lower = np.linalg.cholesky((plain / scale).T @ (plain / scale * share))
    return Spline(knots, center, np.linalg.inv(lower).T / scale[:, None])


def _fitted(inner: Inner, sample: Sample) -> tuple[str, Spline, Fit] | str:
    """The first of rcs10 (if there are events enough), rcs5, rcs3 and a line that can be fitted; or why none can."""
    refusal = ONE_BIN
    many = min(sample.bins.positives, sample.bins.rest) >= MANY_EVENTS
    for levels in (TEN, FIVE, THREE, ()) if many else (FIVE, THREE, ()):
        if inner.z.size < 2 or inner.z.size < len(levels):
            continue
        try:
            spline = _spline(inner, levels)
        except np.linalg.LinAlgError:
            continue
        if levels and spline.knots.size < 3:
            continue
        found = fit(spline(inner.z), inner.wy, inner.w)
        if not found.refusal:
            return (f"rcs{spline.knots.size}" if levels else "line"), spline, found
        refusal = found.refusal
    return refusal


@dataclass(frozen=True, eq=False)
class Curve:
    """The smooth curve and what is read from it."""

    fitted: Floats
    """Its value in each occupied bin; the mean prediction where there is no curve."""
    drawn: Smooth
    ici: Estimate
    e50: Estimate
    e90: Estimate
    emax: Estimate


def nowhere(sample: Sample, reason: str) -> Curve:
    """No curve, and why."""
    no, empty = missing(reason), np.empty(0)
    return Curve(sample.bins.p, Smooth("", empty, empty, empty, empty, reason), no, no, no, no)


def smooth(sample: Sample) -> Curve:
    """The curve, its band by the delta method, and its distances from the predictions."""
    if sample.refusal:
        return nowhere(sample, sample.refusal)
    inner = inner_of(sample.bins)
    found = inner.refusal or _fitted(inner, sample)
    if isinstance(found, str):
        return nowhere(sample, found)
    name, spline, one = found
    fitted = _everywhere(sample, inner, one.mean)
    observed = distances(fitted, sample.bins.p, sample.bins.w)
    null = None if sample.bins.soft else _null(sample, inner, spline)
    estimates = [debiased(observed[0], None if null is None else null[:, 0], sample, method=name)]
    for place in (1, 2, 3):
        known = null is not None and null.size
        expected = float(null[:, place].mean()) if null is not None and known else math.nan
        note = "" if known else "what chance gives cannot be drawn"
        estimates.append(Estimate(observed[place], expected=expected, method=name, note=note))
    return Curve(fitted, _drawn(name, sample, inner, spline, one), *estimates)


def _everywhere(sample: Sample, inner: Inner, mean: Floats) -> Floats:
    """The curve over all bins: those of 0 and 1 have no logit, and what was observed stands for them."""
    fitted = sample.bins.wy / sample.bins.w
    fitted[inner.keep] = mean
    return fitted


def distances(fitted: Floats, p: Floats, w: Floats) -> tuple[float, float, float, float]:
    """Mean, median, 90 % quantile and maximum of |c - p| over rows."""
    apart = np.abs(fitted - p)
    order = np.argsort(apart, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    places = np.minimum(np.searchsorted(share, [0.5 - 1e-12, 0.9 - 1e-12]), apart.size - 1)
    median, ninety = apart[order][places].tolist()
    return float(np.sum(w * apart) / w.sum()), median, ninety, float(apart.max())


def _null(sample: Sample, inner: Inner, spline: Spline) -> Floats:
    """The four distances of fits to calibrated samples, all fitted at once by Newton's method from the same start."""
    bins, w = sample.bins, inner.w
    rows = np.maximum(np.rint(bins.effective), 1)[inner.keep]
    columns, p = spline(inner.z), bins.p[inner.keep]
    size = columns.shape[1]
    first, second = np.triu_indices(size)
    across = np.ascontiguousarray(columns.T)
    products = across[first] * across[second]
    wy = draws(SEED, rows, p, TIMES) * (w / rows)
    beta = np.tile(fit(columns, p * w, w).coefficients, (TIMES, 1))
    with np.errstate(all="ignore"):
        for _ in range(NEWTON):
            mean = sigmoid(_sums(beta, columns))
            information = np.empty((TIMES, size, size))
            information[:, first, second] = information[:, second, first] = _sums(w * mean * (1 - mean), products)
            score = _sums(wy - w * mean, across)
            try:
                beta = beta + np.linalg.solve(information, score[:, :, None])[:, :, 0]
            except np.linalg.LinAlgError:
                return np.empty((0, 4))
        fitted = sigmoid(_sums(beta, columns))
        settled = np.abs(_sums(wy - w * fitted, across)).max(axis=1) < 1e-6 * w.sum()
    found = []
    for one in fitted[settled]:
        whole = bins.p.copy()
        whole[inner.keep] = one
        found.append(distances(whole, bins.p, bins.w))
    return np.array(found).reshape(-1, 4)


def _sums(rows: Floats, columns: Floats) -> Floats:
    """rows · columnsᵀ, without the threads of a BLAS, which on a busy machine wait for each other for seconds."""
    found: Floats = np.einsum("dn,kn->dk", rows, columns)
    return found


def debiased(raw: float, null: Floats | None, sample: Sample, **more: Any) -> Estimate:
    """A distance from calibrated predictions, less what over-fit adds: sqrt(max(0, D² - mean D*²))."""
    if null is None or not null.size:
        why = "targets between 0 and 1 cannot be drawn" if sample.bins.soft else "there are too few rows to draw from"
        return Estimate(raw, raw=raw, note=f"not debiased: {why}", **more)
    value = math.sqrt(max(0.0, raw**2 - float(np.mean(null**2))))
    expected = float(null.mean())
    if sample.clustered:
        note = "what chance gives is found as if rows were independent; clusters make it larger"
        return Estimate(value, raw=raw, expected=expected, note=note, **more)
    p_value = (1 + int(np.sum(null >= raw))) / (null.size + 1)
    limit = float(np.quantile(null, 0.95))
    note = "" if raw > limit else "not distinguishable from calibrated"
    return Estimate(value, raw=raw, expected=expected, limit=limit, p_value=p_value, note=note, **more)


def _drawn(name: str, sample: Sample, inner: Inner, spline: Spline, found: Fit) -> Smooth:
    """The curve at some logits between the outermost bins, with its band."""
    z = np.linspace(inner.z[0], inner.z[-1], POINTS)
    by_weight = np.interp(np.linspace(0, 1, POINTS), np.cumsum(inner.w) / inner.w.sum(), inner.z)
    z = np.unique(np.concatenate([z[::2], by_weight[::2]]))
    columns = spline(z)
    middle = columns @ found.coefficients
    spread, why = covariance(sample, found, inner, spline)
    if spread is None:
        unknown = np.full(z.size, math.nan)
        return Smooth(name, sigmoid(z), sigmoid(middle), unknown, unknown, why)
    t = student_quantile(sample.degrees) if sample.by_units else Z95
    half = t * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", columns, spread, columns), 0.0))
    return Smooth(name, sigmoid(z), sigmoid(middle), sigmoid(middle - half), sigmoid(middle + half), why)


def thinned(values: Floats, count: int) -> Any:
    """Places of at most `count` of the values, evenly, with both ends."""
    if values.size <= count:
        return np.arange(values.size)
    return np.unique(np.round(np.linspace(0, values.size - 1, count)).astype(np.int64))
