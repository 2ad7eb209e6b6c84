"""What predictions are worth at a threshold: the table of outcomes, net benefit, the decision curve, and gains.

A row is flagged where p >= t, and the whole bin of t is, so that counts are those of the bin's lower edge; the odds
o = t / (1 - t) stay those of t. With W the sum of weights (Vickers and Elkin 2006; Vickers et al. 2023 for intervals)

    NB = (TP - o FP) / W,  treat all: q - (1 - q) o,  interventions avoided: (NB - NB_all) / o

    SE² of NB     = [Σw²y⁺ (1 - NB)² + Σw²(1-y)⁺ (o + NB)² + Σw²⁻ NB²] / W²      (⁺ flagged, ⁻ not)
    NB - NB_all   : o for a true negative, -1 for a missed positive, 0 above, and its variance likewise

With a given prevalence π (case-control data): NB = π TPR - o (1 - π) FPR. Clusters: influences of buckets.

Gains are TPR over the share of rows flagged, π TPR + (1 - π) FPR, and lift is their quotient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .bins import LIMIT, Floats, Occupied, logit, place_of, sigmoid
from .diagnoses import DecisionCurve, Decisions, Estimate, Gains, Threshold
from .reliability import wilson
from .sample import ONE_CLASS, Z95, Sample, Units, missing
from .tails import student_quantile

__all__ = ["checked", "decisions", "net_benefits"]

DEFAULT = (0.05, 0.1, 0.2, 0.3, 0.5)
CURVE = 99


def checked(thresholds: Any, prevalence: float | None) -> None:
    """Refuse thresholds and a prevalence that are not inside (0, 1)."""
    for name, values in (("a threshold", thresholds), ("the prevalence", () if prevalence is None else (prevalence,))):
        for value in values:
            if not 0 < value < 1:
                raise InvalidInputError(
                    f"{name} lies between 0 and 1, without the ends; got {value}. "
                    + ("Give 0.2 for 20 %." if value >= 1 else "At the ends nothing is decided: give one between.")
                )


def _first(thresholds: Floats, count: int) -> Any:
    """The place of the bin of each threshold."""
    return place_of(logit(thresholds), count)


@dataclass(frozen=True, eq=False)
class Flagged:
    """Sums over the rows flagged at each threshold, which lie along the last axis."""

    t: Floats
    w: Floats
    wy: Floats
    wwy: Floats
    ww: Floats
    rows: Floats
    total_w: float
    total_wy: float
    total_ww: float
    total_wwy: float

    @property
    def odds(self) -> Floats:
        return self.t / (1 - self.t)


def _flagged(bins: Occupied, t: Floats) -> Flagged:
    begins = np.searchsorted(bins.place, _first(t, bins.count))

    def above(values: Any) -> Floats:
        found: Floats = np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])[begins]
        return found

    names = ("w", "wy", "wwy", "ww")
    sums: dict[str, Any] = {name: above(getattr(bins, name)) for name in names}
    # Added in the same order, so that nothing is left over where every row is flagged.
    totals: dict[str, Any] = {f"total_{name}": float(np.cumsum(getattr(bins, name)[::-1])[-1]) for name in names}
    return Flagged(t=t, rows=above(bins.rows.astype(np.float64)), **sums, **totals)


def _of_units(units: Units, t: Floats) -> tuple[Floats, Floats]:
    """Σwy and Σw of the flagged rows of each bucket: bucket × threshold."""
    begins = np.searchsorted(units.whole.place, _first(t, units.whole.count))
    member = (np.arange(units.whole.place.size)[:, None] >= begins).astype(np.float64)
    return units.wy @ member, units.w @ member


@dataclass(frozen=True, eq=False)
class Benefits:
    """Net benefit at thresholds, and its difference from flagging everybody, each with its error."""

    value: Floats
    se: Floats
    gain: Floats
    gain_se: Floats
    all: Floats
    quantile: float
    note: str


def net_benefits(sample: Sample, t: Floats, prevalence: float | None) -> Benefits:
    """At thresholds; a sample must have rows, and both outcomes where the prevalence is given."""
    f = _flagged(sample.bins, t)
    odds, weight = f.odds, f.total_w
    fp, tn = f.w - f.wy, (weight - f.total_wy) - (f.w - f.wy)
    if prevalence is not None:
        tpr, fpr = f.wy / f.total_wy, fp / (weight - f.total_wy)
        value, everybody = prevalence * tpr - odds * (1 - prevalence) * fpr, prevalence - (1 - prevalence) * odds
        positive = prevalence**2 * tpr * (1 - tpr) / sample.bins.positives
        negative = odds**2 * (1 - prevalence) ** 2 * fpr * (1 - fpr) / sample.bins.rest
        variance = gain_variance = positive + negative
        gain = value - everybody
    else:
        q = f.total_wy / weight
        value, everybody = (f.wy - odds * fp) / weight, q - (1 - q) * odds
        missed = f.total_wy - f.wy
        gain = (odds * tn - missed) / weight
        below, below_y = f.total_ww - f.ww, f.total_wwy - f.wwy
        variance = f.wwy * (1 - value) ** 2 + (f.ww - f.wwy) * (odds + value) ** 2 + below * value**2
        gain_variance = (below - below_y) * (odds - gain) ** 2 + below_y * (1 + gain) ** 2 + f.ww * gain**2
        variance, gain_variance = variance / weight**2, gain_variance / weight**2
    if not sample.by_units:
        errors = np.sqrt(np.maximum(variance, 0.0)), np.sqrt(np.maximum(gain_variance, 0.0))
        return Benefits(value, errors[0], gain, errors[1], everybody, Z95, "")
    if sample.no_error or sample.units is None:
        unknown = np.full(t.size, math.nan)
        return Benefits(value, unknown, gain, unknown, everybody, math.nan, sample.no_error)
    found = _errors_of_units(sample.units, t, prevalence)
    quantile = student_quantile(sample.units.count - 1)
    return Benefits(value, found[0], gain, found[1], everybody, quantile, sample.units.note)


def _errors_of_units(units: Units, t: Floats, prevalence: float | None) -> tuple[Floats, Floats]:
    """Net benefit is a ratio of sums: the influence of a bucket is its own sum less the value times its weight."""
    odds = t / (1 - t)
    tp, flagged = _of_units(units, t)
    fp = flagged - tp
    w, wy = units.w.sum(axis=1)[:, None], units.wy.sum(axis=1)[:, None]
    n = w - wy
    count = units.count

    def spread(influence: Floats) -> Floats:
        found: Floats = np.sqrt(count / (count - 1) * np.sum(influence**2, axis=0))
        return found

    if prevalence is not None:
        positive = prevalence * (tp - tp.sum(axis=0) / wy.sum() * wy) / wy.sum()
        negative = odds * (1 - prevalence) * (fp - fp.sum(axis=0) / n.sum() * n) / n.sum()
        error = spread(positive - negative)
        return error, error
    benefit = tp - odds * fp
    gain = odds * (n - fp) - (wy - tp)
    return tuple(spread((own - own.sum(axis=0) / w.sum() * w) / w.sum()) for own in (benefit, gain))  # type: ignore[return-value]


def _share(sample: Sample, part: float, whole: float, effective: float, parts: Any, why: str) -> Estimate:
    """A share with Wilson's interval for `effective` rows; of clusters, for as many as have its error by buckets."""
    if not whole > 0:
        return missing(why)
    value, note, method, z = min(max(part / whole, 0.0), 1.0), "", "Wilson", Z95
    if sample.by_units:
        if sample.no_error or sample.units is None:
            return Estimate(value, note=sample.no_error)
        own, all_ = parts(sample.units)
        if not all_.sum() > 0:
            return Estimate(value, note="no interval: the coarser bins of buckets hold no such row")
        se = sample.units.spread((own - value * all_) / all_.sum())
        effective = min(value * (1 - value) / se**2, effective) if se > 0 else effective
        z = student_quantile(sample.degrees)
        note, method = sample.units.note, f"Wilson, error over {sample.units.count} buckets"
    low, high = wilson(np.array([value]), np.array([effective]), z)
    se = math.sqrt(value * (1 - value) / effective) if effective > 0 else math.nan
    return Estimate(value, se, float(low[0]), float(high[0]), method=method, note=note)


def _effective(weight: float, squares: float) -> float:
    return weight**2 / squares if squares > 0 else 0.0


def _threshold(sample: Sample, t: float, prevalence: float | None, found: Benefits, place: int) -> Threshold:
    """The row of one threshold."""
    f = _flagged(sample.bins, np.array([t]))
    w, wy, ww = (float(values[0]) for values in (f.w, f.wy, f.ww))
    weight, positives, odds = f.total_w, f.total_wy, t / (1 - t)
    negatives, fp = weight - positives, w - wy
    n_all, n_positive, n_negative = _effective(weight, f.total_ww), sample.bins.positives, sample.bins.rest
    n_flagged, n_rest = _effective(w, ww), _effective(weight - w, f.total_ww - ww)

    def units(kind: str) -> Any:
        def parts(u: Units) -> tuple[Floats, Floats]:
            tp, flagged = (values[:, 0] for values in _of_units(u, np.array([t])))
            all_, y = u.w.sum(axis=1), u.wy.sum(axis=1)
            n = all_ - y
            return {
                "flagged": (flagged, all_),
                "sensitivity": (tp, y),
                "specificity": (n - (flagged - tp), n),
                "ppv": (tp, flagged),
                "npv": ((all_ - flagged) - (y - tp), all_ - flagged),
            }[kind]

        return parts

    tn, fn = negatives - fp, positives - wy
    shares = {
        "flagged": _share(sample, w, weight, n_all, units("flagged"), ""),
        "sensitivity": _share(sample, wy, positives, n_positive, units("sensitivity"), "there are no positives"),
        "specificity": _share(sample, tn, negatives, n_negative, units("specificity"), "there are no negatives"),
        "ppv": _share(sample, wy, w, n_flagged, units("ppv"), "no row is flagged"),
        "npv": _share(sample, tn, weight - w, n_rest, units("npv"), "every row is flagged"),
    }
    if prevalence is not None:
        shares |= _at_prevalence(shares["sensitivity"], shares["specificity"], prevalence)
    benefit = _estimate(found.value[place], found.se[place], found)
    gain = _estimate(found.gain[place], found.gain_se[place], found)
    ends = {name: getattr(gain, name) / odds for name in ("value", "se", "low", "high")}
    counted = float(
        sigmoid(np.float64(-LIMIT + (float(_first(f.t, sample.bins.count)[0]) - 1) * 64 / sample.bins.count))
    )
    return Threshold(t, counted, **shares, true_positives=wy, false_positives=fp, true_negatives=tn,
                     false_negatives=fn, net_benefit=benefit, gain_over_all=gain,
                     interventions_avoided=replace(gain, **ends))  # fmt: skip


def _at_prevalence(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> dict[str, Estimate]:
    """Flagged share, PPV and NPV that the given prevalence implies; their intervals are not known from shares alone."""
    tp, fp = prevalence * sensitivity.value, (1 - prevalence) * (1 - specificity.value)
    flagged, note = tp + fp, "at the given prevalence, without an interval"
    if math.isnan(flagged):
        return {name: missing(ONE_CLASS) for name in ("flagged", "ppv", "npv")}
    tn = (1 - prevalence) * specificity.value
    return {
        "flagged": Estimate(flagged, note=note),
        "ppv": Estimate(tp / flagged, note=note) if flagged > 0 else missing("no row is flagged"),
        "npv": Estimate(tn / (1 - flagged), note=note) if flagged < 1 else missing("every row is flagged"),
    }


def _estimate(value: Any, se: Any, found: Benefits) -> Estimate:
    half = found.quantile * float(se)
    value = float(value)
    return Estimate(value, float(se), value - half, value + half, note=found.note)


def _curve_thresholds(bins: Occupied) -> Floats:
    """99 thresholds: every hundredth, or as far as the predictions of rare outcomes reach."""
    share = np.cumsum(bins.w) / bins.weight
    top = float(bins.p[np.searchsorted(share, 0.998 - 1e-12)])
    end = 1.0 if top > 0.4 else max(top * 1.25, bins.base_rate * 2, 1e-9)
    return np.arange(1, CURVE + 1) / (CURVE + 1) * min(end, 1.0)


def _gains(sample: Sample, prevalence: float) -> Gains:
    """Linear inside the bin that a share cuts: right for ties, whose order says nothing."""
    if sample.refusal:
        return Gains(*(np.empty(0) for _ in range(3)))
    bins = sample.bins
    captured, false = (
        np.concatenate([[0.0], np.cumsum(values[::-1])]) / total
        for values, total in ((bins.wy, bins.positive_weight), (bins.negatives, bins.negative_weight))
    )
    at = np.concatenate([[0.001, 0.002, 0.005], np.arange(1, 101) / 100])
    found = np.interp(at, prevalence * captured + (1 - prevalence) * false, captured)
    return Gains(at, found, found / at)


def decisions(sample: Sample, thresholds: tuple[float, ...], prevalence: float | None) -> Decisions:
    """The table of thresholds, the decision curve and gains."""
    given, known = prevalence is not None, sample.bins.w.size > 0
    assumed = prevalence if prevalence is not None else sample.bins.base_rate if known else math.nan
    gains = _gains(sample, assumed)
    reason = sample.refusal if given or not known else ""
    if reason:
        empty = np.empty(0)
        curve = DecisionCurve(empty, empty, empty, empty, empty, empty, empty, reason)
        return Decisions((), curve, gains, assumed, given)
    asked = thresholds or DEFAULT
    found = net_benefits(sample, np.array(asked), prevalence)
    rows = tuple(_threshold(sample, t, prevalence, found, place) for place, t in enumerate(asked))
    t = _curve_thresholds(sample.bins)
    benefits, flagged = net_benefits(sample, t, prevalence), _flagged(sample.bins, t)
    half, gain_half = benefits.quantile * benefits.se, benefits.quantile * benefits.gain_se
    curve = DecisionCurve(
        t,
        benefits.value,
        benefits.value - half,
        benefits.value + half,
        benefits.all,
        benefits.gain - gain_half,
        flagged.rows,
    )
    return Decisions(rows, curve, gains, assumed, given)
