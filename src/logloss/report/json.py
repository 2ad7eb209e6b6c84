"""A summary as JSON: full precision, the same bytes for the same input, and strings for numbers that JSON lacks."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from ..evaluate.summary import Plan, Result, Summary

SCHEMA_VERSION = 1
"""Rises when a reader of the previous version could misread a document; new fields alone do not raise it."""


def document(summary: Summary) -> dict[str, Any]:
    """The summary as dictionaries, lists, texts and numbers."""
    plan = summary.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "partial": summary.partial,
        "input": {
            "sources": list(summary.sources),
            "rows": summary.rows,
            "dropped": summary.dropped,
            "dropped_weight": summary.dropped_weight,
            "clipped": summary.clipped,
        },
        "plan": _plan(plan),
        "results": [_result(result, plan) for result in summary.results],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "problems": [dataclasses.asdict(problem) for problem in plan.problems],
        "predictions": "logit" if plan.logits else "probability",
        "weight": plan.weight,
        "groups": list(plan.groups),
        "where": plan.where,
        "eps": plan.eps,
    }


def _result(result: Result, plan: Plan) -> dict[str, Any]:
    group = None if result.group is None else dict(zip(plan.groups, result.group, strict=True))
    names = {"model": result.model, "label": result.label, "average": result.average, "group": group}
    return {**names, **dataclasses.asdict(result.statistics)}


def _portable(value: Any) -> Any:
    """The value with "inf", "-inf" and "nan" for the floats that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def render(summary: Summary) -> str:
    """The summary as one JSON document."""
    return dump(document(summary))


def dump(value: dict[str, Any]) -> str:
    """Plain data as one JSON document."""
    return json.dumps(_portable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
