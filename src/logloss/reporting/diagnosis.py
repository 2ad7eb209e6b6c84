"""What bins of the predictions tell, as short tables: in the text for people, below the table of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..evaluate.summary import DIAGNOSTICS, Block, Diagnostics, Estimate, Summary, Threshold
from .phrases import capital

_MOST = 50
"""Models and labels that a table shows."""

Number = Callable[[float], str]


@dataclass(frozen=True)
class Lines:
    """A short table: what it is about, its columns, and its lines; the last column may be words."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def tables(summary: Summary, number: Number) -> Iterator[Lines]:
    """The tables of a summary that has diagnostics."""
    told = [(block, block.diagnostics) for block in _shown(summary)]
    found = [(_name(block), one) for block, one in told if one is not None]
    if not found:
        return
    yield _one(found[0][1], number) if len(found) == 1 else _several(found, number)
    if summary.exact:
        yield _decompositions(found, number)
    if summary.asked.thresholds:
        for name, one in found:
            yield _thresholds(name, one.decisions.thresholds, number)


def findings(summary: Summary) -> Iterator[str]:
    """A sentence for each finding, and what holds for all numbers; segments have a table that says as much."""
    for block in _shown(summary):
        one = block.diagnosis
        if one is None:
            continue
        name = f"{_name(block)}: " if _name(block) else ""
        for found in one.findings:
            yield f"{found.code} {name}{found.title}. {_sentence(found.evidence)}"
        for note in one.whole.notes:
            yield f"{name}{_sentence(note)}"


def _shown(summary: Summary) -> list[Block]:
    return [block for block in summary.results.blocks if block.average is None][:_MOST]


def _sentence(text: str) -> str:
    return f"{capital(text.rstrip('.'))}." if text else ""


def _name(block: Block) -> str:
    return " ".join(name for name in (block.model, block.label) if name is not None)


def _one(found: Diagnostics, number: Number) -> Lines:
    lines = []
    for one in DIAGNOSTICS:
        if one.shown:
            estimate = one.find(found)
            lines.append((one.shown.title, number(estimate.value), _interval(estimate, number), one.shown.legend))
    return Lines("diagnostics", ("", "", "95 % interval", ""), tuple(lines))


def _several(found: Sequence[tuple[str, Diagnostics]], number: Number) -> Lines:
    shown = [one for one in DIAGNOSTICS if one.shown]
    lines = tuple((name, *(number(one.find(diagnosis).value) for one in shown)) for name, diagnosis in found)
    return Lines("diagnostics", ("", *(one.shown.title for one in shown if one.shown)), lines)


def _decompositions(found: Sequence[tuple[str, Diagnostics]], number: Number) -> Lines:
    columns = ("exact CORP", "score", "miscal.", "discrim.", "uncertainty")
    lines = []
    for name, one in found:
        for score, parts in (("log loss", one.decomposition.log_loss), ("Brier", one.decomposition.brier)):
            values = parts.score, parts.miscalibration.raw, parts.discrimination.raw, parts.uncertainty
            lines.append((" ".join(filter(None, (name, score))), *map(number, values)))
    return Lines("exact decomposition", columns, tuple(lines))


def _interval(one: Estimate, number: Number) -> str:
    if math.isfinite(one.low) and math.isfinite(one.high):
        return f"{number(one.low)} to {number(one.high)}"
    if math.isfinite(one.expected):
        return f"{number(one.expected)} by chance"
    return ""


def _thresholds(name: str, thresholds: Sequence[Threshold], number: Number) -> Lines:
    columns = ("threshold", "flagged", "sens.", "spec.", "PPV", "NPV", "net benefit", "over all")
    lines = []
    for one in thresholds:
        shares = (one.flagged, one.sensitivity, one.specificity, one.ppv, one.npv, one.net_benefit, one.gain_over_all)
        lines.append((f"{one.threshold:g}", *(number(share.value) for share in shares)))
    return Lines(f"thresholds{f' of {name}' if name else ''}", columns, tuple(lines))
