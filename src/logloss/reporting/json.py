"""A summary as JSON: full precision, the same bytes for the same input, and strings for numbers that JSON lacks."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

from ..evaluate.summary import STATISTICS, Block, Estimate, Plan, Result, Results, Summary, Threshold, reasons
from .columns import BUCKETS, NAMES, OF_GROUPS, OF_LABELS, OVER, portable

SCHEMA_VERSION = 1
"""Rises when a reader of the previous version could misread a document; new fields alone do not raise it."""

_RESULTS = "results"
_BETWEEN = ",\n      "
"""What stands between the fields of a result, in a document with two spaces for each level."""

_FIELDS = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(_BETWEEN, ": "))
_GROUP = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n        ", ": "))


def document(summary: Summary) -> dict[str, Any]:
    """The summary as dictionaries, lists, texts and numbers."""
    plan = summary.plan
    return {**_head(summary), _RESULTS: list(_results(summary.results, plan)), **_rest(summary)}


def _rest(summary: Summary) -> dict[str, Any]:
    """The document behind its results."""
    from . import segments

    scanned = segments.of_summary(summary)
    means = [_mean(result, summary.plan) for result in summary.results.means]
    return {"means_over_groups": means, **({"segments": scanned} if scanned else {})}


def _head(summary: Summary) -> dict[str, Any]:
    """The document up to its results."""
    return {
        "schema_version": SCHEMA_VERSION,
        "partial": summary.partial,
        "approximate": summary.approximate,
        "corp": "exact" if summary.exact else "grid",
        "input": {
            "sources": list(summary.sources),
            "rows": summary.rows,
            "dropped": summary.dropped,
            "dropped_weight": summary.dropped_weight,
            "clipped": summary.clipped,
            "joined": summary.joined,
            "skipped": list(summary.skipped),
        },
        "plan": _plan(summary.plan),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "problems": [dataclasses.asdict(problem) for problem in plan.problems],
        "predictions": "logit" if plan.logits else "probability",
        "weight": plan.weight,
        "weight_kind": plan.weight_kind,
        "groups": list(plan.groups),
        "where": plan.where,
        "eps": plan.eps,
        "definitions": plan.definitions,
        "outcomes": plan.outcomes,
        "cluster": plan.cluster,
        "segments": list(plan.segments),
    }


def _results(results: Results, plan: Plan) -> Iterator[dict[str, Any]]:
    """All results in order, from their columns: nothing else is made for each."""
    return (one for block in results.blocks for one in _of_block(block, results, plan))


def _of_block(block: Block, results: Results, plan: Plan) -> Iterator[dict[str, Any]]:
    names = {name: getattr(block, name) for name in NAMES}
    groups: list[Any] = [dict(zip(plan.groups, key, strict=True)) for key in results.keys] if results.groups else []
    of_labels = [None] * results.per_block if block.of_labels is None else block.of_labels.tolist()
    columns = [_listed(block.columns[one.name].tolist()) for one in STATISTICS]
    statistics = [one.name for one in STATISTICS]
    for place, values in enumerate(zip(*columns, strict=True)):
        whole = place == results.per_block - 1
        yield {
            **names,
            "group": None if whole else groups[place],
            OVER: "all" if whole and results.groups else None,
            OF_LABELS: of_labels[place],
            OF_GROUPS: None,
            **dict(zip(statistics, values, strict=True)),
            **_more(block, place),
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


def _listed(values: list[Any]) -> list[Any]:
    """The values with one NaN for all, so that lists of them can be compared."""
    return [math.nan if value != value else value for value in values]


def _mean(result: Result, plan: Plan) -> dict[str, Any]:
    names = {name: getattr(result, name) for name in NAMES}
    return {
        **names,
        "group": None if result.group is None else dict(zip(plan.groups, result.group, strict=True)),
        OVER: result.over_groups,
        OF_LABELS: result.of_labels,
        OF_GROUPS: result.of_groups,
        **{one.name: getattr(result.statistics, one.name) for one in STATISTICS},
    }


def render(summary: Summary) -> str:
    """The summary as one JSON document.

    With spaces for each level, the library of Python writes in Python; a result is written field by field in C, unless
    it holds the structures of a diagnosis.
    """
    if summary.diagnosed:
        return dump(document(summary))
    head, end = dump(_head(summary)).removesuffix("\n}\n"), dump(_rest(summary)).removeprefix("{\n")
    results = ",\n".join(map(_written, _results(summary.results, summary.plan)))
    return f'{head},\n  "{_RESULTS}": [\n{results}\n  ],\n{end}'


def _written(result: dict[str, Any]) -> str:
    """A result as a part of the document."""
    group = portable(result["group"])
    before = _FIELDS.encode({name: result[name] for name in NAMES})[1:-1]
    after = _FIELDS.encode({name: _finite(value) for name, value in result.items() if name not in _BEFORE})[1:-1]
    values = f"{{\n        {_GROUP.encode(group)[1:-1]}\n      }}" if group else _GROUP.encode(group)
    return f'    {{\n      {before}{_BETWEEN}"group": {values}{_BETWEEN}{after}\n    }}'


_BEFORE = {*NAMES, "group"}


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def dump(value: dict[str, Any]) -> str:
    """Plain data as one JSON document."""
    return json.dumps(portable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
