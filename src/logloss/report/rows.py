"""A summary as one flat row per result, for tables of other programs: CSV, Markdown, JSON lines and data frames."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import Any

from ..evaluate.summary import Statistics, Summary

_NAMES = ("model", "label", "average")


def rows(summary: Summary) -> list[dict[str, Any]]:
    """What a result is about, the values of its group columns (None over all groups), and its statistics.

    Rows of an interrupted run say so in a column of their own, "partial".
    """
    groups = summary.plan.groups
    mark = {"partial": True} if summary.partial else {}
    found = []
    for result in summary.results:
        values = result.group or (None,) * len(groups)
        names = {name: getattr(result, name) for name in _NAMES}
        about = {**names, **{_free(name): value for name, value in zip(groups, values, strict=True)}}
        found.append({**mark, **about, **dataclasses.asdict(result.statistics)})
    return found


def _free(name: str) -> str:
    """A group column's name, unless a statistic or another column has it already."""
    taken = {"partial", *_NAMES, *(field.name for field in dataclasses.fields(Statistics))}
    return f"group_{name}" if name in taken else name


def render_csv(summary: Summary) -> str:
    """CSV with a header and full precision; a missing value is empty."""
    output = io.StringIO()
    found = rows(summary)
    writer = csv.DictWriter(output, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return output.getvalue()


def render_jsonl(summary: Summary) -> str:
    """One JSON object per line; numbers that JSON lacks are the texts "inf", "-inf" and "nan"."""
    return "".join(
        json.dumps({name: _portable(value) for name, value in row.items()}, ensure_ascii=False, allow_nan=False) + "\n"
        for row in rows(summary)
    )


def _portable(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
