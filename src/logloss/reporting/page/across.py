"""The sections that look across groups, labels, times and models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...evaluate.summary import GROUP, SEGMENT
from .. import charts
from ..charts.comparison import Series
from ..phrases import capital, listed, number, percent, some, whole
from ..svg import short
from . import words
from .figures import Figure
from .groups import Line, ranked, segments, table
from .sections import CHANGED, WHOM, Answer, Part, Section, answer, findings, together
from .subjects import Subject, column, group_name
from .tables import Cell, Column, Table, data, sortable

if TYPE_CHECKING:
    from ...evaluate.summary import Block, Segment, Summary

MOST_TIMES = 60
"""Times that a figure shows: the last ones."""

_MOST_WINDOWS, _MOST_BESIDE = 1000, 12

_OF_A_LINE = {
    "rows": "rows",
    "base_rate": "base_rate",
    "log_loss": "log_loss",
    "d2": "d2",
    "difference": "observed_minus_predicted",
    "low": "observed_minus_predicted_low",
    "high": "observed_minus_predicted_high",
    "auc": "auc",
}

_OVER_TIME = (
    ("log_loss", "log loss", 1.0, 4, False, ""),
    ("observed_minus_predicted", "observed minus predicted", 100.0, 2, True, "points"),
    ("auc", "AUC", 1.0, 4, False, ""),
)


def _line(name: str, block: Block, place: int) -> Line:
    found = {part: float(column(block, statistic)[place]) for part, statistic in _OF_A_LINE.items()}
    if math.isnan(found["difference"]):
        found["difference"] = -float(block.columns["calibration_difference"][place])
    return Line(name, **found)


def whom(shown: Sequence[Subject], everyone: Sequence[Subject], summary: Summary, *, times: bool) -> Section | None:
    """For whom not? Groups and labels by miscalibration."""
    parts, answers = [], []
    if len({one.block.label for one in everyone}) > 1:
        lines = [_line(one.name, one.block, -1) for one in everyone]
        parts.append(Part("", (), (table("labels", "label", lines),)))
        answers.append(_worst("label", lines))
    if summary.plan.groups and not times:
        names = [group_name(key, summary.plan.groups) for key in summary.results.keys]
        for one in shown:
            scanned = _scanned(one, parts, answers)
            lines = [_line(name, one.block, place) for place, name in enumerate(names)]
            parts.append(Part(one.name, (), (table("groups", "group", lines),)))
            if not scanned:
                answers.append(_worst("group", lines, one.name, one))
    elif summary.plan.segments:
        for one in shown:
            _scanned(one, parts, answers)
    if not parts:
        return None
    explained = (
        "Ranked by the error that is there at least, the end of its interval that is nearer to 0, so that a small "
        "group does not win by chance. Those with fewer than 10 expected events or non-events are not ranked; errors "
        "of segments are drawn towards 0 as far as the others suggest."
    )
    return Section("whom", WHOM, tuple(answers), (explained,), tuple(parts))


def _scanned(one: Subject, parts: list[Part], answers: list[Answer]) -> bool:
    """Whether there are segments of a model and label: then their table and what is said of them are added."""
    scan = one.block.scan
    if scan is None or not scan.segments:
        return False
    parts.append(Part(one.name, (), (segments("segments", scan.segments),)))
    answers.append(_worst_segment(one, scan.segments))
    return True


def _worst_segment(one: Subject, found: Sequence[Segment]) -> Answer:
    """The segment whose error is surely the largest, and how many there are beyond chance."""
    sure = [segment for segment in found if segment.found]
    beyond = _beyond(len(sure), some(len(found), "segment"))
    if not sure:
        return answer(WHOM, "whom", one, ("For none surely.", beyond))
    worst = max(sure, key=lambda segment: (segment.at_least, abs(segment.shrunken.value)))
    shift = f"{number(abs(100 * worst.difference.value), 1)} points {words.too(worst.difference.value)} there."
    asked = any(told.code == SEGMENT.code for told in findings(one))  # or they are of groups, which have a finding each
    code = SEGMENT.code if asked else GROUP.code
    return answer(WHOM, "whom", one, (f"{short(worst.name)}:", f"{shift} {beyond}"), code)


def _worst(what: str, lines: Sequence[Line], name: str = "", subject: Subject | None = None) -> Answer:
    """The one whose error is surely the largest, and how many miss by more than chance."""
    worst = ranked(lines)[0]
    shift = f"{number(abs(100 * worst.difference), 1)} points {words.too(worst.difference)}"
    if not math.isfinite(worst.least):
        largest = f"{shift} there, the largest difference of {some(len(lines), what)}."
        return Answer(WHOM, "whom", f"{worst.name}:", largest, about=name)
    surely = [line for line in ranked(lines) if line.beyond(len(lines))]
    beyond = _beyond(len(surely), some(len(lines), what))
    if not surely:
        return Answer(WHOM, "whom", "For none surely.", beyond, about=name)
    said = f"{worst.name}:", f"{shift} there. {beyond}"
    return answer(WHOM, "whom", subject, said, GROUP.code) if subject else Answer(WHOM, "whom", *said, about=name)


def _beyond(sure: int, of: str) -> str:
    return f"{sure:,} of {of} miss by more than chance allows, after correcting for looking at all of them."


def changed(shown: Sequence[Subject], summary: Summary) -> Section:
    """Has it changed? Every statistic over time."""
    times = [str(key[0]) for key in summary.results.keys]
    answers, parts, paragraphs = [], [], []
    for one in shown:
        verbs, told = _changes(one.block, times)
        moved = [name for name, verb in verbs.items() if verb in ("rose", "fell")]
        title = f"{capital(listed(moved))} changed beyond chance" if moved else "Nothing changed for sure"
        answers.append(answer(CHANGED, "changed", one, ("Yes." if moved else "Not for sure.", told), "LL6"))
        paragraphs += [told] if len(shown) == 1 else []
        figure, table_ = _series(one.block, times, title), _windows(one, times, short(summary.plan.groups[0]))
        beside = len(times) <= _MOST_BESIDE
        parts.append(Part(one.name, (figure, table_) if beside else (figure,), () if beside else (table_,)))
    explained = "The first and the last time are compared; they are taken as samples of different rows."
    return Section("changed", CHANGED, together(answers), (*paragraphs, explained), tuple(parts))


def _several(block: Block) -> Iterator[Series]:
    """The series of a block that have a picture."""
    for name, title, scale, digits, signed, unit in _OVER_TIME:
        values, low, high = (scale * column(block, name + end)[:-1] for end in ("", "_low", "_high"))
        if np.isfinite(values).any():
            yield Series(title, values.tolist(), low.tolist(), high.tolist(), digits, signed, unit)


def _changes(block: Block, times: Sequence[str]) -> tuple[dict[str, str], str]:
    """What became of each series from the first time to the last, and that in a sentence."""
    verbs, told = {}, []
    for one in _several(block):
        se = [(high - low) / 2 / 1.96 for low, high in zip(one.low, one.high, strict=True)]
        unit = f" {one.unit}" if one.unit else ""
        if not all(map(math.isfinite, (se[0], se[-1]))):
            continue
        verbs[one.name], amount = words.change(one.values[0], se[0], one.values[-1], se[-1], one.digits, unit)
        told.append(f"{one.name} {verbs[one.name]} ({amount})")
    changes = "; ".join(told) or "no change can be told from chance"
    return verbs, f"From {times[0]} to {times[-1]}: {changes}."


def _series(block: Block, times: Sequence[str], title: str) -> Figure:
    first = max(0, len(times) - MOST_TIMES)
    several = [
        one._replace(values=one.values[first:], low=one.low[first:], high=one.high[first:]) for one in _several(block)
    ]
    columns = {"time": list(times[first:])}
    for one in several:
        for head, values in ((one.name, one.values), (f"{one.name}, from", one.low), (f"{one.name}, to", one.high)):
            columns[head] = [number(value, one.digits, sign=one.signed) for value in values]
    alt = f"{len(several)} series over {some(len(times) - first, 'time')}. {_changes(block, times)[1]}"
    last = f"; the last {MOST_TIMES} of {len(times):,} times" if first else ""
    spec = charts.series(times[first:], several)
    return Figure(
        "series",
        title,
        f"Over time, with 95\u00a0% intervals{last}",
        alt,
        spec,
        (data("series", "Data of the series", columns),),
    )


def _windows(one: Subject, times: Sequence[str], name: str) -> Table:
    columns = (Column(name, "text"), Column("rows"), Column("log loss"), Column("±", "margin"), Column("base rate"))
    rows = []
    for place, time in enumerate(times[-_MOST_WINDOWS:], max(0, len(times) - _MOST_WINDOWS)):
        line = _line(time, one.block, place)
        low, high = (float(column(one.block, f"log_loss_{end}")[place]) for end in ("low", "high"))
        loss, rate = sortable(number(line.log_loss), line.log_loss), sortable(percent(line.base_rate), line.base_rate)
        rows.append((Cell(time), sortable(whole(line.rows), line.rows), loss, margin((high - low) / 2), rate))
    return Table("times", "Times", columns, tuple(rows), "Rows, log loss and base rate at each", sortable=True)


def margin(half: float) -> Cell:
    """Half of an interval, or nothing where it is not known."""
    return Cell(number(half) if math.isfinite(half) else "")
