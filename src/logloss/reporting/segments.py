"""Segments, from plain data: as a table for people, or as JSON."""

from __future__ import annotations

import math
from typing import Any

from . import json
from .comparison import SCHEMA_VERSION, _p, _printed, _signed, _table
from .notes import number

_COLUMNS = ("segment", "rows", "observed", "predicted", "difference", "at least", "adjusted p")
_NOTE = (
    "difference: observed minus predicted; at least: what remains of it, drawn towards 0 as the other segments "
    "suggest, at the near end of a 90 % interval; adjusted p: of the test of cumulated errors, for the number of "
    "segments (Holm)"
)


def render_json(found: dict[str, Any]) -> str:
    """One JSON document, full precision."""
    return json.dump({"schema_version": SCHEMA_VERSION, **found})


def render(found: dict[str, Any], width: int, color: bool, top: int) -> str:
    """The worst segments of every model and label, as text."""
    parts: list[Any] = []
    for one in found["scans"]:
        name = " ".join(text for text in (one["model"], one["label"]) if text is not None)
        parts.append(_headline(name, one))
        lines = [_line(segment) for segment in one["segments"][:top]]
        if lines:
            parts.append(_table(_COLUMNS, lines))
        if len(one["segments"]) > top:
            parts.append(f"The first {top:,} of {len(one['segments']):,} segments; all of them in --json.")
    return _printed([*parts, _NOTE], width, color)


def _headline(name: str, one: dict[str, Any]) -> str:
    count, wrong = len(one["segments"]), sum(segment["found"] for segment in one["segments"])
    tested = sum(not math.isnan(segment["adjusted_p"]) for segment in one["segments"])
    about = f"{name}: " if name else ""
    if not tested:
        return f"{about}none of {count:,} segments can be tested: {one['reason'] or 'there are too few events'}."
    if not wrong:
        return f"{about}in none of {tested:,} segments tested are predictions wrong beyond chance."
    return f"{about}in {wrong:,} of {tested:,} segments tested predictions are wrong beyond chance."


def _line(segment: dict[str, Any]) -> tuple[str, ...]:
    return (
        segment["segment"],
        f"{segment['rows']:,}",
        number(segment["observed"]),
        number(segment["predicted"]),
        _signed(segment["difference"]),
        number(segment["at_least"]),
        _p(segment["adjusted_p"]),
    )
