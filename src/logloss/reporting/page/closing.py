"""The last section: findings with their codes, what the data were like, what is left out, and the exact command."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...evaluate.summary import reasons
from ..phrases import capital, listed, number, some, whole
from ..svg import short
from .subjects import Subject
from .tables import Table, pairs

if TYPE_CHECKING:
    from ...evaluate.summary import Finding, Summary

_MOST_FINDINGS = 100
_NOT_SHOWN = ("mce", "emax")
"""Numbers that no page has."""

WEIGHTS = {"small": "○ small", "notable": "● notable", "serious": "▲ serious"}

_OPTIONS = (
    ("whom", "For whom not?", "--group sex,region", "groups, and --segments sex,region their intersections"),
    ("changed", "Has it changed?", "--group \"day = date_trunc('day', ts)\"", "windows of time"),
    ("better", "Which model is better?", "--probability a=p1 --probability b=p2", "models"),
)
"""What adds a section that is left out."""


class Told(NamedTuple):
    """A finding as it is shown."""

    key: str
    code: str
    about: str
    severity: str
    weight: str
    title: str
    evidence: str
    explanation: str
    subject: str = ""


def findings(everyone: Sequence[Subject]) -> list[Told]:
    """All findings, the most serious first."""
    order = list(WEIGHTS)[::-1]
    told = [
        Told("", found.code, one.name, found.severity, WEIGHTS[found.severity], *_said(found), subject=one.key)
        for one in everyone
        for found in one.block.findings
    ]
    return list(_with_keys(sorted(told, key=lambda one: order.index(one.severity))[:_MOST_FINDINGS]))


def _with_keys(told: Sequence[Told]) -> Iterator[Told]:
    """With ids: answers lead to the first finding of a code."""
    seen: set[str] = set()
    for one in told:
        key = f"{one.subject}-{one.code}"
        yield one._replace(key="" if key in seen else key)
        seen.add(key)


def _said(found: Finding) -> tuple[str, str, str]:
    return found.title.rstrip("."), _sentence(found.evidence), _sentence(found.explanation)


def _sentence(text: str) -> str:
    """With a capital and without its dot."""
    return capital(text.rstrip(".").replace("`", ""))


def quality(summary: Summary, everyone: Sequence[Subject]) -> Table:
    """What the data were like."""
    plan = summary.plan
    rows = [("rows read", whole(summary.rows), "")]
    rows += [(f"left out: {reason}", whole(count), "") for reason, count in summary.dropped.items() if count]
    if summary.clipped:
        rows.append((f"predictions raised to eps = {plan.eps!r}", whole(summary.clipped), ""))
    for name, title in (("infinite", "infinite losses"), ("zero", "predictions of exactly 0"), ("one", "of exactly 1")):
        counts = [getattr(one.statistics, f"{name}_rows") for one in everyone]
        rows.append((title, whole(sum(counts)), ""))
    effective = everyone[0].statistics.effective_rows
    if plan.weight and math.isfinite(effective):
        rows.append(("rows of equal weight that tell as much", number(effective, 0), ""))
    if plan.groups:
        rows.append(("groups", whole(summary.results.per_block - 1), ""))
    rows += [(f"keys: {name.replace('_', ' ')}", whole(count), "") for name, count in summary.joined.items()]
    return pairs("quality", "Data quality", rows)


def reading(summary: Summary) -> Iterator[str]:
    """How the rows were read, as far as it was not the usual."""
    plan = summary.plan
    files = summary.sources
    yield (
        f"{short(files[0])}"
        if len(files) == 1
        else f"{some(len(files), 'source')}, from {short(files[0])} to {short(files[-1])}"
    )
    for name, value in (
        ("weight", plan.weight),
        ("weights mean", plan.weight_kind if plan.weight else ""),
        ("where", plan.where),
        ("groups", plan.definitions),
        ("outcomes", plan.outcomes),
    ):
        if value:
            yield f"{name}: {short(value, 400)}"


def left_out(keys: Sequence[str], *, diagnosed: bool, figures: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
    """What there is no data for, and which option adds it; `figures`: how many subjects have some, of how many."""
    if figures[0] < figures[1]:
        shown = f"Figures are of the first {figures[0]} of {figures[1]:,} models and labels; name fewer to see others."
        yield shown, "", ""
    if not diagnosed:
        yield "Calibration, ranking and decisions:", "--diagnostics", "adds what they need."
    for key, question, option, what in _OPTIONS:
        if key not in keys:
            yield question, option, f"adds {what}."


def cautions(shown: Sequence[Subject]) -> Iterator[str]:
    """Which numbers are missing or must be read with care, and why."""
    for one in shown:
        found = one.diagnostics
        if found is None:
            continue
        of = f"{one.name}: " if one.name else ""
        yield from (f"{of}{_sentence(note)}." for note in found.notes)
        why: dict[str, list[str]] = {}
        for name, text in reasons(found).items():
            if text not in found.notes and name not in _NOT_SHOWN:
                why.setdefault(text, []).append(name.replace("_", " "))
        yield from (f"{of}{_sentence(text)} ({listed(names, 4)})." for text, names in why.items())


def footer(everyone: Sequence[Subject]) -> str:
    """How intervals were found."""
    told = next((one.diagnostics for one in everyone if one.diagnostics is not None), None)
    clusters = "rows of a cluster are taken together" if told and told.clustered else "rows are taken as independent"
    buckets = f", or the jackknife over {told.buckets} buckets" if told and told.buckets else ""
    return f"Intervals are 95\u00a0%, by the delta method or DeLong\u2019s{buckets}; {clusters}."
