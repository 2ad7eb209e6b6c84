"""The isotonic (CORP) curve, the decomposition it gives, and how much of both is over-fit.

Pooled-adjacent-violators over bins, blocks B with Y_B positives of W_B (Dimitriadis, Gneiting, Jordan 2021):

    S_C = -(1/W) Σ_B [Y_B log c_B + (W_B - Y_B) log(1 - c_B)],  c_B = Y_B / W_B
    MCB = S - S_C,  DSC = UNC - S_C,  S = MCB - DSC + UNC

Isotonic regression fits noise too. What it gains by that over the truth c0,

    o = (1/W) E[Σ CE(Y*, c0) - S_C(Y*)],  Y* ~ Bin(n_b, c0_b),

is found from draws and taken from both MCB and DSC, so that their identity stays true. c0 is the smooth curve, made
monotone; the isotonic curve itself would not do, since its flat pieces over-fit less. The error is that of the plain
statistic, by leaving out buckets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .bins import Floats, Occupied
from .diagnoses import Corp, Decomposition, Estimate, Parts
from .sample import INFINITE, SOFT, Sample, Units, draws, missing
from .smooth import Curve, debiased, distances, thinned

__all__ = ["Isotonic", "entropy", "isotonic", "left_out", "plain_scores", "sums_of_scores"]

GAINS, GAIN_SEED = 60, 11
NULLS, NULL_SEED = 199, 13
BAND_PLACES = 80


@dataclass(frozen=True, eq=False)
class Isotonic:
    """What isotonic regression gives."""

    corp: Corp
    ici: Estimate
    decomposition: Decomposition


def _regressed(wy: Floats, w: Floats, p: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Sums after isotonic regression of each row, and the curve at some places; see the kernel."""
    from .._kernels import isotonic as kernels

    out, curve = np.zeros((len(wy), 3)), np.zeros((len(wy), at.size))
    kernels.scores(np.ascontiguousarray(wy), np.ascontiguousarray(w), p, at.astype(np.int64), out, curve)
    return out, curve


def plain_scores(wy: Floats, w: Floats, p: Floats) -> Floats:
    """The sums of log loss and squared error of probabilities p; rows of wy in, rows out."""
    rest = np.maximum(w - wy, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(wy > 0, wy * -np.log(p), 0.0) + np.where(rest > 0, rest * -np.log1p(-p), 0.0)
    return np.stack([loss.sum(axis=-1), (wy * (1 - p) ** 2 + rest * p**2).sum(axis=-1)], axis=-1)


def entropy(q: float) -> float:
    """H(q), the log loss of always predicting q."""
    return -q * math.log(q) - (1 - q) * math.log1p(-q) if 0 < q < 1 else 0.0


def _uncertainty(q: float) -> tuple[float, float]:
    return entropy(q), q * (1 - q)


@dataclass(frozen=True, eq=False)
class Chance:
    """What isotonic regression finds in samples without anything to find."""

    overfit: Floats
    """o, of log loss and Brier score."""
    gains: Floats
    """What it gains of calibrated samples, of both, and its mean distance: draw × 3."""
    curves: Floats
    """The curves of calibrated samples at the places of the band."""


def _chance(bins: Occupied, truth: Floats, at: Floats) -> Chance:
    rows = np.maximum(np.rint(bins.effective), 1)
    scale = bins.w / rows
    found = []
    for seed, p, times, places in ((GAIN_SEED, truth, GAINS, at[:0]), (NULL_SEED, bins.p, NULLS, at)):
        wy = draws(seed, rows, p, times) * scale
        w = np.broadcast_to(bins.w, wy.shape)
        out, curves = _regressed(wy, w, bins.p, places)
        out[:, :2] = plain_scores(wy, bins.w, p) - out[:, :2]
        found.append((out / bins.weight, curves))
    return Chance(found[0][0][:, :2].mean(axis=0), *found[1])


def isotonic(
    sample: Sample,
    curve: Curve,
    scores: tuple[float, float] | None = None,
    exact: tuple[float, float] | None = None,
) -> Isotonic:
    """The curve with its band, its distances, and the decomposition of log loss and Brier score.

    `scores`: those of the rows, or else they are those of the bins.
    `exact`: the scores after isotonic regression of the rows themselves, for the plain decomposition. What bins lose by
    their width they do not over-fit either, so that debiased values are those of the bins.
    """
    bins = sample.bins
    if not bins.w.size:
        return _nothing(sample.refusal)
    from .._kernels import isotonic as kernels

    block_y, block_w, ends = kernels.blocks(bins.wy, bins.w)
    starts = np.concatenate([[0], ends[:-1] + 1])
    fitted = np.repeat(block_y / block_w, ends - starts + 1)
    at = thinned(bins.p, BAND_PLACES)
    truth = np.where(bins.at_end, bins.wy / bins.w, np.maximum.accumulate(curve.fitted))
    chance = None if bins.soft else _chance(bins, truth, at)
    low, high = (np.empty(0), np.empty(0)) if chance is None else np.quantile(chance.curves, [0.05, 0.95], axis=0)
    drawn = Corp(
        bins.p[starts],
        bins.p[ends],
        block_y / block_w,
        block_w,
        bins.p[at] if chance else np.empty(0),
        low,
        high,
        reason="" if chance else SOFT,
    )
    ici, *_ = distances(fitted, bins.p, bins.w)
    null = None if chance is None else chance.gains[:, 2]
    recalibrated = plain_scores(bins.wy, bins.w, fitted) / bins.weight
    plain = scores or (plain_scores(bins.wy, bins.w, bins.p) / bins.weight).tolist()
    parts = [_parts(sample, index, plain[index], float(recalibrated[index]), chance) for index in range(2)]
    if exact is not None:
        parts = [_of_rows(part, fit) for part, fit in zip(parts, exact, strict=True)]
    found = debiased(ici, null, sample, method="isotonic")
    return Isotonic(drawn, found, Decomposition(*parts))


def _nothing(reason: str) -> Isotonic:
    no, empty = missing(reason), np.empty(0)
    parts = Parts(math.nan, no, no, math.nan)
    corp = Corp(empty, empty, empty, empty, empty, empty, empty, reason=reason)
    return Isotonic(corp, no, Decomposition(parts, parts))


def sums_of_scores(units: Units) -> Floats:
    """The sums of log loss and squared error over each bucket: with its own mean prediction in every bin.

    The mean over all buckets would be noise of the bins, which drowns the difference of two models that are alike.
    """
    held = units.w > 0
    means = units.whole.within(np.where(held, units.wp, units.whole.p) / np.where(held, units.w, 1.0))
    return plain_scores(units.wy, units.w, means)


def left_out(units: Units, index: int) -> tuple[Floats, Floats]:
    """MCB and DSC of the plain kind without each bucket."""
    _, w, wy = units.without
    weight = w.sum(axis=1)
    out, _ = _regressed(wy, w, units.whole.p, np.empty(0))
    recalibrated = out[:, index] / weight
    own = sums_of_scores(units)[:, index]
    plain = (own.sum() - own) / weight if np.isfinite(own).all() else np.full(own.size, math.inf)
    shares = (wy.sum(axis=1) / weight).tolist()
    uncertainty = np.array([_uncertainty(q)[index] for q in shares])
    return plain - recalibrated, uncertainty - recalibrated


def _parts(sample: Sample, index: int, score: float, recalibrated: float, chance: Chance | None) -> Parts:
    """The decomposition of one score."""
    uncertainty = _uncertainty(sample.bins.base_rate)[index]
    raw = score - recalibrated, uncertainty - recalibrated
    overfit = 0.0 if chance is None else float(chance.overfit[index])
    values = raw[0] - overfit, raw[1] - overfit
    infinite = math.isinf(score)
    without = left_out(sample.units, index) if sample.units and not sample.units.refusal else None
    found = []
    for place in range(2):
        if infinite and place == 0:
            found.append(Estimate(math.inf, raw=math.inf, note=INFINITE))
            continue
        one = sample.jackknifed(values[place], lambda _, place=place: without[place])  # type: ignore[index,misc]
        found.append(replace(one, raw=raw[place]))
    if chance is None:
        found = [
            replace(one, note=one.note or "not debiased: targets between 0 and 1 cannot be drawn") for one in found
        ]
    elif not infinite:
        found[0] = _against_chance(sample, found[0], chance.gains[:, index])
    if sample.refusal:
        found[1] = replace(found[1], se=math.nan, low=math.nan, high=math.nan, note=sample.refusal)
    return Parts(score, found[0], found[1], uncertainty)


def _of_rows(parts: Parts, recalibrated: float) -> Parts:
    """The same with the plain decomposition of the rows; what is between it and the debiased one is over-fit."""
    miscalibration = replace(parts.miscalibration, raw=parts.score - recalibrated)
    discrimination = replace(parts.discrimination, raw=parts.uncertainty - recalibrated)
    return replace(parts, miscalibration=miscalibration, discrimination=discrimination)


def _against_chance(sample: Sample, found: Estimate, gains: Floats) -> Estimate:
    """With what calibrated samples give. The jackknife's error is too large there, so that the test is of the draws."""
    found = replace(found, expected=float(gains.mean()))
    if sample.clustered:
        said = "no test with clusters: calibrated rows are drawn as if they were independent"
        return replace(found, note="; ".join(filter(None, [found.note, said])))
    p_value = (1 + int(np.sum(gains >= found.raw))) / (gains.size + 1)
    limit = float(np.quantile(gains, 0.95))
    note = found.note if found.raw > limit else "; ".join(filter(None, ["not distinguishable from 0", found.note]))
    return replace(found, limit=limit, p_value=p_value, note=note)
