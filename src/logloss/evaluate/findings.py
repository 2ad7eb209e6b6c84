"""What a person should know, as coded findings; text, JSON, the page and `--fail-if` derive from `RULES`.

A finding is there by evidence, and weighs by size: with many rows everything is far more than chance, and most of it is
small. Codes: 1.. calibration, 2.. data and score, 3.. groups, 4.. use, 5.. comparison, 6.. drift.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .diagnoses import Diagnostics, Estimate, Finding, Severity
from .statistics import FEW

__all__ = ["CODES", "OTHERS", "RULES", "Other", "Rule", "findings"]

LEVEL = 0.01
"""What is less probable than this by chance is a finding; several are looked for at once."""

DOCUMENTATION = "docs/diagnostics.md"


@dataclass(frozen=True)
class Rule:
    """What one code stands for."""

    code: str
    meaning: str
    """When it is found."""
    advice: str
    """What it means for use, and what to do."""
    check: Callable[[Any], tuple[Severity, str, str] | None]
    """Severity, title and evidence, or None."""


Found = tuple[Severity, str, str] | None


def severity_of(size: float, notable: float, serious: float) -> Severity:
    """By size, with the limits of notable and serious."""
    if math.isnan(size) or size < notable:
        return "small"
    return "notable" if size < serious else "serious"


def severity_of_shift(shift: float, base_rate: float) -> Severity:
    """That of a mean error, by its share of the rarer outcome."""
    rarer = min(base_rate, 1 - base_rate)
    return severity_of(abs(shift) / rarer if rarer > 0 else math.inf, 0.05, 0.2)


def points(value: float) -> str:
    """A difference of probabilities, in words."""
    return f"{100 * value:.2g} percentage points"


def interval(one: Estimate, digits: int = 4) -> str:
    """A number with its interval, in words."""
    if math.isnan(one.low):
        return f"{one.value:.{digits}g}"
    return f"{one.value:.{digits}g} (95 % {one.low:.{digits}g} to {one.high:.{digits}g})"


def chance(p_value: float) -> str:
    """How far beyond chance, in words."""
    if math.isnan(p_value):
        return "how far beyond chance is not known"
    if p_value < 1e-6:
        return "far more than chance"
    return f"more than chance, p = {p_value:.2g}"


def _in_the_large(d: Diagnostics) -> Found:
    one = d.calibration.difference
    if not one.p_value < LEVEL:
        return None
    severity = severity_of_shift(one.value, d.base_rate)
    word = "low" if one.value > 0 else "high"
    evidence = f"observed minus predicted {interval(one)}: {chance(one.p_value)}, and {size_of(severity)}"
    return severity, f"On average predictions are {points(abs(one.value))} too {word}", evidence


def size_of(severity: Severity) -> str:
    """The size that a severity stands for, in words."""
    return {"small": "small", "notable": "of notable size", "serious": "large"}[severity]


def _slope(d: Diagnostics, sign: int) -> Found:
    """Over-confident: the whole interval below 1 (sign -1); under-confident: above 1."""
    one = d.calibration.slope
    if not one.p_value < LEVEL or (one.value - 1) * sign <= 0:
        return None
    severity = severity_of(abs(math.log(one.value)) if one.value > 0 else math.inf, 0.05, 0.25)
    word = "too far from the base rate" if sign < 0 else "too close to the base rate"
    evidence = f"calibration slope {interval(one)}: {chance(one.p_value)}, and {size_of(severity)}"
    return severity, f"Predictions lie {word}", evidence


def _shape(d: Diagnostics) -> Found:
    """Miscalibrated in some way, by a test that needs no groups."""
    test, part = d.calibration.ecce_sigma, d.decomposition.log_loss
    if not test.p_value < LEVEL:
        return None
    share = part.miscalibration.value / part.score if part.score > 0 else math.nan
    severity = severity_of(share, 0.01, 0.05)
    size = (
        f"miscalibration costs {100 * share:.2g} % of the log loss" if math.isfinite(share) else "its size is not known"
    )
    evidence = f"cumulated error {test.value:.3g} σ, where chance gives 1.6 on average: {chance(test.p_value)}; {size}"
    return severity, f"Predictions are not calibrated; {size}", evidence


def _infinite(d: Diagnostics) -> Found:
    weight = d.calibration.impossible_weight
    if not weight > 0:
        return None
    return "serious", "Some rows were given probability 0 and happened", f"a weight of {weight:g} of {d.weight:g}"


def _worthless(d: Diagnostics) -> Found:
    part = d.decomposition.log_loss
    if not (math.isfinite(part.score) and part.score >= part.uncertainty > 0):
        return None
    evidence = f"log loss {part.score:.4g}, of the base rate alone {part.uncertainty:.4g}"
    return "serious", "Predictions are no better than the base rate", evidence


def _one_class(d: Diagnostics) -> Found:
    if not d.weight > 0 or 0 < d.base_rate < 1:
        return None
    which = "positive" if d.base_rate >= 1 else "negative"
    return "serious", f"All targets are {which}", f"{d.rows} rows"


def _few_events(d: Diagnostics) -> Found:
    least = min(d.positives, d.negatives)
    if not d.weight > 0 or not 0 < d.base_rate < 1 or least >= FEW:
        return None
    which = "positives" if d.positives <= d.negatives else "negatives"
    evidence = f"{least:.0f} {which} of equal weight; intervals are trusted from {FEW} on"
    return ("notable" if least >= 10 else "serious"), f"There are only {least:.0f} {which}", evidence


def _constant(d: Diagnostics) -> Found:
    if d.weight > 0 and d.calibration.corp.left.size == 1 and d.calibration.groups.rows.size == 1:
        low, high = d.calibration.groups.low[0], d.calibration.groups.high[0]
        if low == high:
            return "notable", "All predictions are the same", f"{low:.4g} for {d.rows} rows"
    return None


def _certain(d: Diagnostics) -> Found:
    rows = d.calibration.zero_rows + d.calibration.one_rows
    if not rows or d.calibration.impossible_weight > 0:
        return None
    return "small", f"{rows} predictions are exactly 0 or 1", "none of them was wrong yet; one that is costs infinity"


def _few_clusters(d: Diagnostics) -> Found:
    if not d.clustered or d.buckets >= 10:
        return None
    return "notable", f"There are only {d.buckets} clusters", "intervals are rough below 10, and missing below 3"


def _useless_threshold(d: Diagnostics) -> Found:
    """At a threshold the model is surely worse than the better of flagging all and none."""
    bad = [one for one in d.decisions.thresholds if one.net_benefit.high < 0 or one.gain_over_all.high < 0]
    if not bad:
        return None
    worst = min(bad, key=lambda one: min(one.net_benefit.value, one.gain_over_all.value))
    default = "nobody" if worst.net_benefit.high < 0 else "everybody"
    own = worst.net_benefit if default == "nobody" else worst.gain_over_all
    evidence = f"net benefit against flagging {default} {interval(own)}"
    return "serious", f"At threshold {worst.threshold:g} flagging {default} is better", evidence


RULES: tuple[Rule, ...] = (
    Rule(
        "LL101",
        "miscalibrated in the large: mean observed and mean predicted differ",
        "Sums and averages of predictions are off by as much. Adding calibration_in_the_large to every logit mends it.",
        _in_the_large,
    ),
    Rule(
        "LL102",
        "over-confident: the calibration slope is below 1",
        "High predictions are too high and low ones too low, as after over-fitting. Dividing logits by a temperature "
        "above 1, or more regularisation, mends it.",
        lambda d: _slope(d, -1),
    ),
    Rule(
        "LL103",
        "under-confident: the calibration slope is above 1",
        "Predictions know more than they say, as after strong regularisation or averaging. Multiplying logits by the "
        "slope mends it.",
        lambda d: _slope(d, 1),
    ),
    Rule(
        "LL104",
        "not calibrated: the cumulated differences are more than chance",
        "Look at the calibration curve for where. Isotonic regression on held-out rows gains up to the miscalibration.",
        _shape,
    ),
    Rule(
        "LL201",
        "infinite losses: a probability of 0 was given to what happened",
        "The log loss is infinite, whatever the other rows are. Clip predictions where they are made, or say `--eps`.",
        _infinite,
    ),
    Rule(
        "LL202",
        "no better than the base rate: the log loss is at least its entropy",
        "Predicting the base rate for everyone would do as well. Recalibration helps if discrimination is above 0.",
        _worthless,
    ),
    Rule(
        "LL203",
        "one class only: all targets are the same",
        "Nothing about ranking, calibration slope or normalized entropy can be said. Take rows of both outcomes.",
        _one_class,
    ),
    Rule(
        "LL204",
        "too few events: fewer than 50 positives or negatives",
        "Intervals may be too short, and miscalibration of a usual size would not be seen. Take more rows.",
        _few_events,
    ),
    Rule(
        "LL205",
        "constant predictions",
        "Nothing is ranked: AUC is 0.5 by definition. Is it the right column?",
        _constant,
    ),
    Rule(
        "LL206",
        "predictions of exactly 0 or 1",
        "One such prediction that is wrong makes the log loss infinite. Is the column rounded or thresholded?",
        _certain,
    ),
    Rule(
        "LL207",
        "few clusters: fewer than 10",
        "Errors between clusters are hardly known from so few. Take a finer cluster if rows depend less than thought.",
        _few_clusters,
    ),
    Rule(
        "LL401",
        "no use at a threshold: flagging everybody or nobody is better",
        "Net benefit weighs a false positive by the odds of the threshold. Recalibrate, or decide without the model.",
        _useless_threshold,
    ),
)
"""What is looked for in every diagnosis."""


def finding(rule: Rule | Other, found: Found) -> Finding | None:
    """The finding of a rule, if it has found anything."""
    if found is None:
        return None
    severity, title, evidence = found
    return Finding(rule.code, severity, title, rule.advice, evidence, f"{DOCUMENTATION}#{rule.code.lower()}")


def findings(d: Diagnostics) -> tuple[Finding, ...]:
    """All findings of one diagnosis, the serious ones first."""
    return ordered([finding(rule, rule.check(d)) for rule in RULES])


def ordered(found: Sequence[Finding | None]) -> tuple[Finding, ...]:
    """Those that are there: serious, notable, small, and by code."""
    rank = {"serious": 0, "notable": 1, "small": 2}
    return tuple(sorted((one for one in found if one), key=lambda one: (rank[one.severity], one.code)))


@dataclass(frozen=True)
class Other:
    """A code that needs more than one diagnosis; `verdicts` finds them."""

    code: str
    meaning: str
    advice: str


GROUP = Other(
    "LL301",
    "a group is miscalibrated: more than chance, among all groups looked at",
    "Predictions mislead for this group. Add what distinguishes it to the model, or recalibrate it alone.",
)
SEGMENT = Other(
    "LL302",
    "a segment is miscalibrated: more than chance, among all intersections of columns looked at",
    "Predictions mislead for these rows. Add what distinguishes them to the model; a segment that holds others may be "
    "wrong because of one of them.",
)
WORSE = Other(
    "LL501",
    "a model is worse than the one it is compared with: its log loss is larger, beyond chance",
    "Keep the other. Look at which groups lose.",
)
SAME = Other(
    "LL502",
    "no difference was found between two models",
    "That is no proof of equality: the interval says what may be, and rows_needed what it takes.",
)
DRIFTED = Other(
    "LL601",
    "predictions are distributed otherwise than before",
    "Inputs or the model changed. By itself it says nothing about errors.",
)
DECALIBRATED = Other(
    "LL602",
    "calibration in the large changed",
    "What is predicted now means something else than before. Recalibrate on recent rows.",
)
OTHERS = (GROUP, SEGMENT, WORSE, SAME, DRIFTED, DECALIBRATED)

_ALL: tuple[Rule | Other, ...] = (*RULES, *OTHERS)
CODES: dict[str, str] = {one.code: one.meaning for one in _ALL}
"""Every code and when it is found."""
