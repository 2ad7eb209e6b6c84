"""Segments: as plain data, and from it as a table for people or as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..evaluate.summary import SEGMENT
from . import json
from .comparison import PARTIAL, SCHEMA_VERSION
from .diagnosis import Lines
from .notes import number, p_value, signed
from .tabular import printed, table

if TYPE_CHECKING:
    from ..evaluate.summary import Segment, Summary

_COLUMNS = ("segment", "rows", "observed", "predicted", "difference", "at least", "adjusted p")
NOTE = (
    "difference: observed minus predicted; at least: what remains of it, drawn towards 0 as the other segments "
    "suggest, at the near end of a 90 % interval; adjusted p: of the test of cumulated errors, for the number of "
    "segments"
)


def document(
    columns: Sequence[str], depth: int, scans: Sequence[tuple[str | None, str | None, str, Sequence[Segment]]]
) -> dict[str, Any]:
    """All numbers of the segments of each (model, label, reason why some were not tested, segments)."""
    return {
        "columns": list(columns),
        "depth": depth,
        "scans": [
            {"model": model, "label": label, "reason": reason, "segments": [_plain(one) for one in found]}
            for model, label, reason, found in scans
        ],
    }


def of_summary(summary: Summary) -> dict[str, Any] | None:
    """The segments that a run was asked for; None where it was not."""
    scans = [
        (block.model, block.label, block.scan.reason, block.scan.segments)
        for block in summary.results.blocks
        if block.scan and block.scan.asked
    ]
    return document(summary.plan.segments, summary.asked.depth, scans) if scans else None


def _plain(one: Segment) -> dict[str, Any]:
    return {
        "segment": one.name,
        "rows": one.rows,
        "weight": one.weight,
        "observed": one.observed,
        "predicted": one.predicted,
        "difference": one.difference.value,
        "difference_low": one.difference.low,
        "difference_high": one.difference.high,
        "shrunken": one.shrunken.value,
        "shrunken_low": one.shrunken.low,
        "shrunken_high": one.shrunken.high,
        "at_least": one.at_least,
        "ecce_sigma": one.test.value,
        "p": one.test.p_value,
        "adjusted_p": one.p_adjusted,
        "detectable": one.detectable.value,
        "found": one.found,
        "method": one.test.method,
        "note": one.test.reason,
    }


def render_json(found: dict[str, Any]) -> str:
    """One JSON document, full precision."""
    return json.dump({"schema_version": SCHEMA_VERSION, **found})


def render(found: dict[str, Any], width: int, color: bool, top: int) -> str:
    """The worst segments of every model and label, as text."""
    parts: list[Any] = [PARTIAL] if found["partial"] else []
    parts += [one if isinstance(one, str) else table(one.columns, one.lines, width) for one in told(found, top)]
    return printed([*parts, NOTE], width, color)


def told(found: dict[str, Any], top: int) -> Iterator[str | Lines]:
    """The worst segments of every model and label: a sentence and a table each."""
    for one in found["scans"]:
        name = " ".join(text for text in (one["model"], one["label"]) if text is not None)
        yield _headline(name, one)
        lines = tuple(_line(segment) for segment in one["segments"][:top])
        if lines:
            yield Lines("segments", _COLUMNS, lines)
        if len(one["segments"]) > top:
            yield f"The first {top:,} of {len(one['segments']):,} segments; all of them in --json."


def _headline(name: str, one: dict[str, Any]) -> str:
    count, wrong = len(one["segments"]), sum(segment["found"] for segment in one["segments"])
    tested = sum(not math.isnan(segment["adjusted_p"]) for segment in one["segments"])
    about = f"{name}: " if name else ""
    if not count:
        return f"{about}there are no segments to test: {one['reason'].rstrip('.') or 'no row counts'}."
    if not tested:
        return f"{about}none of {count:,} segments can be tested: {one['reason'] or 'there are too few events'}."
    if not wrong:
        return f"{about}in none of {tested:,} segments tested are predictions wrong beyond chance."
    return f"{about}in {wrong:,} of {tested:,} segments tested predictions are wrong beyond chance ({SEGMENT.code})."


def _line(segment: dict[str, Any]) -> tuple[str, ...]:
    return (
        segment["segment"],
        f"{segment['rows']:,}",
        number(segment["observed"]),
        number(segment["predicted"]),
        signed(segment["difference"]),
        number(segment["at_least"]),
        p_value(segment["adjusted_p"]),
    )
