"""Findings that need more than one diagnosis: of groups, of two models, of two states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .comparison import Comparison, holm
from .diagnoses import Diagnostics, Estimate, Finding, Severity
from .drift import Drift
from .findings import (
    DECALIBRATED,
    DRIFTED,
    GROUP,
    LEVEL,
    SAME,
    SEGMENT,
    WORSE,
    chance,
    finding,
    interval,
    ordered,
    points,
    severity_of,
    severity_of_shift,
    size_of,
)
from .segments import Segment

__all__ = ["findings_of_comparison", "findings_of_drift", "findings_of_groups", "findings_of_segments"]

_MOST_GROUPS, _MOST_SEGMENTS = 10, 3


def findings_of_groups(groups: Mapping[str, Diagnostics]) -> tuple[Finding, ...]:
    """Groups that are miscalibrated, by Holm over all groups; the largest errors first, at most so many."""
    names = list(groups)
    adjusted = holm([groups[name].calibration.ecce_sigma.p_value for name in names])
    found = []
    for name, p_value in zip(names, adjusted, strict=True):
        d = groups[name]
        if not p_value < 0.05:
            continue
        one = d.calibration.difference
        found.append((abs(one.value), finding(GROUP, _miscalibrated(name, d.rows, d.base_rate, one, p_value))))
    found.sort(key=lambda pair: -pair[0])
    return tuple(one for _, one in found[:_MOST_GROUPS] if one)


def findings_of_segments(found: Sequence[Segment]) -> tuple[Finding, ...]:
    """Segments that are miscalibrated beyond chance; the largest sure errors first, at most so many."""
    said = (
        finding(SEGMENT, _miscalibrated(one.name, one.rows, one.observed, one.difference, one.p_adjusted))
        for one in [one for one in found if one.found][:_MOST_SEGMENTS]
    )
    return tuple(one for one in said if one)


def _miscalibrated(name: str, rows: int, base_rate: float, one: Estimate, p_value: float) -> tuple[Severity, str, str]:
    """What is said of rows whose predictions are not calibrated, beyond chance after adjustment."""
    severity = severity_of_shift(one.value, base_rate)
    evidence = f"observed minus predicted {interval(one)} in {rows} rows; {chance(p_value)}, after Holm"
    title = f"{name}: predictions are not calibrated, on average {points(abs(one.value))} "
    return severity, title + ("too low" if one.value > 0 else "too high"), evidence


def findings_of_comparison(found: Comparison, names: tuple[str, str]) -> tuple[Finding, ...]:
    """Whether the first is worse, or whether no difference was found."""
    one = found.log_loss
    if math.isnan(one.p_value):
        return ()
    evidence = f"difference of log loss {interval(one)}, p = {one.p_value:.2g}"
    if one.low > 0:
        title = f"{names[0]} is worse than {names[1]}"
        return ordered([finding(WORSE, ("serious", title, evidence))])
    if one.low <= 0 <= one.high:
        needed = found.rows_needed.value
        title = f"No difference between {names[0]} and {names[1]} was found"
        evidence += "" if math.isnan(needed) else f"; a difference of this size takes {needed:,.0f} rows"
        return ordered([finding(SAME, ("small", title, evidence))])
    return ()


def findings_of_drift(found: Drift) -> tuple[Finding, ...]:
    """What has changed, beyond chance."""
    said: list[Finding | None] = []
    index = found.psi
    if index.p_value < LEVEL:
        severity = severity_of(index.value, 0.1, 0.25)
        evidence = f"PSI {interval(index)}, by chance {index.expected:.2g}; {chance(index.p_value)}"
        title = f"Predictions are distributed otherwise, and the change is {size_of(severity)}"
        said.append(finding(DRIFTED, (severity, title, evidence)))
    change = found.changes.get("observed_minus_predicted")
    if change is not None and change.p_value < LEVEL:
        severity = severity_of(abs(change.value), 0.01, 0.05)
        evidence = f"observed minus predicted changed by {interval(change)}; {chance(change.p_value)}"
        word = "lower" if change.value > 0 else "higher"
        title = f"Against what happens, predictions are {points(abs(change.value))} {word} than before"
        said.append(finding(DECALIBRATED, (severity, title, evidence)))
    return ordered(said)
