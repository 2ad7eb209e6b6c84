"""A summary as JSON: full precision, the same bytes for the same input, and strings for numbers that JSON lacks."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ..evaluate.summary import STATISTICS, Block, Estimate, Plan, Result, Summary, Threshold, reasons
from .columns import BUCKETS, NAMES, OVER, portable

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
            "joined": summary.joined,
        },
        "plan": _plan(plan),
        "results": [
            {**_result(result, plan), **_more(block, place)}
            for block in summary.results.blocks
            for place, result in enumerate(summary.results.of(block))
        ],
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
        "cluster": plan.cluster,
    }


def _result(result: Result, plan: Plan) -> dict[str, Any]:
    group = None if result.group is None else dict(zip(plan.groups, result.group, strict=True))
    names = {name: getattr(result, name) for name in NAMES}
    return {
        **names,
        "group": group,
        OVER: result.over_groups,
        **{one.name: getattr(result.statistics, one.name) for one in STATISTICS},
    }


def _more(block: Block, place: int) -> dict[str, Any]:
    """What bins and buckets tell of a result, where they were kept."""
    found: dict[str, Any] = {}
    if block.buckets is not None:
        found[BUCKETS] = int(block.buckets[place])
    if block.diagnosis is not None:
        found["diagnostics"] = {name: values[place].item() for name, values in block.scalars.items()}
        whole = block.diagnostics
        if whole is not None and place == len(block.columns["rows"]) - 1:
            found["reasons"] = reasons(whole)
            found["thresholds"] = [threshold(one) for one in whole.decisions.thresholds]
            found["findings"] = [dataclasses.asdict(one) for one in block.findings]
            found["notes"] = list(whole.notes)
    return found


def threshold(one: Threshold) -> dict[str, Any]:
    """A threshold's numbers: estimates with the ends of their intervals beside them."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(one):
        value = getattr(one, field.name)
        if isinstance(value, Estimate):
            parts = {"": value.value, "_low": value.low, "_high": value.high}
            found |= {f"{field.name}{part}": number for part, number in parts.items()}
        else:
            found[field.name] = value
    return found


def render(summary: Summary) -> str:
    """The summary as one JSON document."""
    return dump(document(summary))


def dump(value: dict[str, Any]) -> str:
    """Plain data as one JSON document."""
    return json.dumps(portable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
