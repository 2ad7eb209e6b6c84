"""A summary as one flat row per result, for programs that read line by line."""

from __future__ import annotations

import json
from typing import Any

from ..evaluate.summary import Summary
from .columns import columns, portable


def rows(summary: Summary) -> list[dict[str, Any]]:
    """What a result is about, the values of its group columns (None over all groups), and its statistics.

    Rows of an interrupted run say so in a column of their own, "partial".
    """
    found = columns(summary)
    return [dict(zip(found, row, strict=True)) for row in zip(*(one.tolist() for one in found.values()), strict=True)]


def render_jsonl(summary: Summary) -> str:
    """One JSON object per line; numbers that JSON lacks are the texts "inf", "-inf" and "nan"."""
    return "".join(json.dumps(portable(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows(summary))
