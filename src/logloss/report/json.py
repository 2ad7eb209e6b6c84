"""A summary as JSON: full precision, the same bytes for the same input, and strings for numbers that JSON lacks."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ..evaluate.summary import STATISTICS, Plan, Result, Summary
from .columns import NAMES, OF_GROUPS, OF_LABELS, OVER, portable

SCHEMA_VERSION = 1
"""Rises when a reader of the previous version could misread a document; new fields alone do not raise it."""


def document(summary: Summary) -> dict[str, Any]:
    """The summary as dictionaries, lists, texts and numbers."""
    plan = summary.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "partial": summary.partial,
        "approximate": summary.approximate,
        "input": {
            "sources": list(summary.sources),
            "rows": summary.rows,
            "dropped": summary.dropped,
            "dropped_weight": summary.dropped_weight,
            "clipped": summary.clipped,
            "joined": summary.joined,
            "skipped": list(summary.skipped),
        },
        "plan": _plan(plan),
        "results": [_result(result, plan) for result in summary.results],
        "means_over_groups": [_result(result, plan) for result in summary.results.means],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "problems": [dataclasses.asdict(problem) for problem in plan.problems],
        "predictions": "logit" if plan.logits else "probability",
        "weight": plan.weight,
        "groups": list(plan.groups),
        "where": plan.where,
        "eps": plan.eps,
        "definitions": plan.definitions,
        "outcomes": plan.outcomes,
    }


def _result(result: Result, plan: Plan) -> dict[str, Any]:
    group = None if result.group is None else dict(zip(plan.groups, result.group, strict=True))
    names = {name: getattr(result, name) for name in NAMES}
    return {
        **names,
        "group": group,
        OVER: result.over_groups,
        OF_LABELS: result.of_labels,
        OF_GROUPS: result.of_groups,
        **{one.name: getattr(result.statistics, one.name) for one in STATISTICS},
    }


def render(summary: Summary) -> str:
    """The summary as one JSON document."""
    return dump(document(summary))


def dump(value: dict[str, Any]) -> str:
    """Plain data as one JSON document."""
    return json.dumps(portable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
