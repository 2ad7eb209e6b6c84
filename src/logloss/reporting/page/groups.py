"""The table of groups and labels: for whom predictions are off, by the error that is surely there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ..phrases import UNDEFINED, number, p_value, percent, points, some, whole
from ..svg import short
from .tables import Cell, Column, Table, drawn, sortable

if TYPE_CHECKING:
    from ...evaluate.summary import Segment

MOST = 1000
"""Rows of groups and labels in a page; all of them are in the other formats."""

_LEAST_SCALE = 0.01
_FEWEST_EXPECTED = 10


@dataclass(frozen=True)
class Line:
    """A group or label and what is known about its calibration."""

    name: str
    rows: float
    base_rate: float
    log_loss: float
    d2: float
    difference: float
    """Observed minus predicted."""
    low: float
    high: float
    auc: float

    @property
    def enough(self) -> bool:
        """Whether enough events and non-events were expected for its interval to be trusted."""
        expected = self.rows * (self.base_rate - self.difference)
        return min(expected, self.rows - expected) >= _FEWEST_EXPECTED

    @property
    def least(self) -> float:
        """The error that is there at least: the nearer end of the interval, or 0 if it holds 0; NaN of too few rows."""
        if not self.enough or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return math.nan
        return max(self.low, -self.high, 0.0)

    def beyond(self, looked_at: int) -> bool:
        """Whether the error is more than chance allows among so many that were looked at (Bonferroni)."""
        if math.isnan(self.least):
            return False
        se = (self.high - self.low) / 2 / NormalDist().inv_cdf(0.975)
        return bool(abs(self.difference) > -NormalDist().inv_cdf(0.025 / looked_at) * se)


def ranked(lines: Sequence[Line]) -> list[Line]:
    """By the error that is surely there, the largest first; then by the difference itself, where it is known."""

    def key(line: Line) -> tuple[bool, float, float]:
        least = line.least
        return math.isnan(least), -least if least == least else 0.0, -abs(line.difference)

    return sorted(lines, key=key)


def table(key: str, what: str, lines: Sequence[Line]) -> Table:
    """All that fit, ranked; `what` is "group" or "label"."""
    shown = ranked(lines)[:MOST]
    limit = _scale([(line.low, line.high, line.least > 0) for line in shown])
    with_intervals = any(math.isfinite(line.low) for line in shown)
    with_auc = any(math.isfinite(line.auc) for line in shown)
    columns = [Column(what, "text"), Column("difference")]
    columns += [Column(number(100 * limit, 0), "drawn"), Column("at least")] if with_intervals else []
    columns += [Column("rows"), Column("base rate"), Column("log loss"), Column("D²")]
    columns += [Column("AUC")] if with_auc else []
    rows = tuple(tuple(_cells(line, limit, with_intervals, with_auc)) for line in shown)
    of = f"first {MOST:,} of {len(lines):,}; all of them in --json" if len(lines) > MOST else some(len(lines), what)
    subtitle = f"Observed minus predicted, percentage points; {of}"
    place = next((i for i, one in enumerate(columns) if one.title == "at least"), -1)
    title = f"{what.capitalize()}s by miscalibration"
    return Table(key, title, tuple(columns), rows, subtitle, place, sortable=True, filtered=shown[0].name)


def segments(key: str, found: Sequence[Segment]) -> Table:
    """Single values of the group columns and pairs of them, by the error that is there at least."""
    shown = sorted(found, key=lambda one: (-one.at_least, -abs(one.shrunken.value)))[:MOST]
    limit = _scale([(one.difference.low, one.difference.high, one.at_least > 0) for one in shown])
    heads = ("at least", "p", "rows", "observed", "predicted")
    columns = (
        Column("segment", "text"),
        Column("difference"),
        Column(number(100 * limit, 0), "drawn"),
        *map(Column, heads),
    )
    rows = tuple(tuple(_of_segment(one, limit)) for one in shown)
    of = f"first {len(shown):,} of {len(found):,}" if len(found) > MOST else some(len(found), "segment")
    subtitle = f"Observed minus predicted, percentage points; p adjusted for all segments; {of}"
    name = short(shown[0].name, 48)
    return Table(key, "Segments by miscalibration", columns, rows, subtitle, 3, sortable=True, filtered=name)


def _of_segment(one: Segment, limit: float) -> list[Cell]:
    told = one.difference
    return [
        Cell(short(one.name, 96)),
        sortable(points(told.value), told.value),
        drawn(told.value, told.low, told.high, limit),
        sortable(points(one.at_least).lstrip("+"), one.at_least),
        sortable(p_value(one.p_adjusted), one.p_adjusted),
        sortable(whole(one.rows), one.rows),
        sortable(number(one.observed, 3), one.observed),
        sortable(number(one.predicted, 3), one.predicted),
    ]


def _cells(line: Line, limit: float, with_intervals: bool, with_auc: bool) -> list[Cell]:
    cells = [Cell(line.name), sortable(points(line.difference), line.difference)]
    if with_intervals:
        least = line.least
        cells += [
            drawn(line.difference, line.low, line.high, limit),
            sortable(points(least).lstrip("+") if least == least else UNDEFINED, least),
        ]
    cells += [
        sortable(whole(line.rows), line.rows),
        sortable(number(line.base_rate, 3), line.base_rate),
        sortable(number(line.log_loss), line.log_loss),
        sortable(percent(line.d2) if math.isfinite(line.d2) else UNDEFINED, line.d2),
    ]
    return [*cells, sortable(number(line.auc, 3), line.auc)] if with_auc else cells


def _scale(intervals: Sequence[tuple[float, float, bool]]) -> float:
    """The end of the scale on which intervals are drawn, in whole points: those of sure errors fit, or most of all."""
    ends = [(max(abs(low), abs(high)), sure) for low, high, sure in intervals if math.isfinite(low + high)]
    if not ends:
        return _LEAST_SCALE
    firm = [end for end, sure in ends if sure]
    widest = max(firm) if firm else float(np.quantile([end for end, _ in ends], 0.75))
    return max(_LEAST_SCALE, math.ceil(100 * widest) / 100)
