"""The schema of the JSON output: `python -m logloss.reporting.schema > docs/score.schema.json`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

from ..evaluate.summary import DIAGNOSTICS, STATISTICS, WEIGHT_KINDS, Finding, Threshold
from .columns import BUCKETS, OF_GROUPS, OF_LABELS, OVER
from .json import SCHEMA_VERSION

_NUMBER = {"$ref": "#/$defs/number"}
_COUNT = {"type": "integer", "minimum": 0}
_COUNT_OR_NONE = {"type": ["integer", "null"], "minimum": 0}
_REASONS = {
    "missing": "rows without a value in a needed column",
    "invalid": "rows with a number out of its domain",
    "ignored?": "rows whose target is to be ignored",
}
_PARTS = {
    "_se": "standard error of ",
    "_low": "lower end of the 95 % interval of ",
    "_high": "upper end of the 95 % interval of ",
    "_raw": "the plain estimate, over-fit included, of ",
    "_expected": "what the plain estimate is on average if the predictions are calibrated, of ",
    "_p": "how probable something at least as large is by chance alone, of ",
}


def _text(description: str = "") -> dict[str, Any]:
    return _described(description, {"type": ["string", "null"]})


def _described(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, **schema} if description else dict(schema)


def _object(description: str, **properties: Any) -> dict[str, Any]:
    """An object of which all properties are required, but those that came later: they end in "?"."""
    required = [name for name in properties if not name.endswith("?")]
    properties = {name.removesuffix("?"): schema for name, schema in properties.items()}
    return _described(description, {"type": "object", "required": required, "properties": properties})


def _input() -> dict[str, Any]:
    weights = "their weight; without weights, their number; weights that are missing or invalid themselves count as 0"
    sources = {"type": "array", "items": {"type": "string"}}
    return _object(
        "what was read",
        sources=_described("names of files, as they were given", sources),
        rows=_described("rows scored; of several labels, those that count for one of them at least", _COUNT),
        dropped=_object(
            "rows left out, where --nulls drop, --invalid drop or --ignore asked for it; of several labels, rows that "
            "have none left",
            **{reason: _described(meaning, _COUNT) for reason, meaning in _REASONS.items()},
        ),
        dropped_weight=_object(weights, **dict.fromkeys(_REASONS, _NUMBER)),
        clipped=_described("predictions floored at eps", _COUNT),
        joined=_described(
            "keys of predictions and labels, where they were joined",
            {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(("matched", "only_in_predictions", "only_in_labels"), _COUNT),
            },
        ),
        **{"skipped?": _described("why files were left out, where --on-error skip asked for it", sources)},
    )


def _plan() -> dict[str, Any]:
    problem = _object(
        "a column of predictions for a column of targets",
        target={"type": "string"},
        prediction={"type": "string"},
        model=_text("name of the model; null for a single one"),
        label=_text(),
        **{"weight?": _text("the column of this label's own weights; null where all labels have the same, or none")},
        **{"shift?": _described("what was added to logits, to undo how the model was trained", {"type": "number"})},
    )
    floor = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 0.5}
    return _object(
        "what was computed",
        problems={"type": "array", "minItems": 1, "items": problem},
        predictions={"enum": ["probability", "logit"]},
        weight=_text("the column of weights; of labels with weights of their own, how these were named"),
        groups={"type": "array", "items": {"type": "string"}},
        where=_text("the condition, in SQL"),
        eps=_described("floor of the probability given to what happened; null if nothing is clipped", floor),
        definitions=_text("the groups that are expressions, in SQL; null if there are none"),
        outcomes=_text("what the values of targets mean; null if they are 0 to 1"),
        **{
            "cluster?": _text("the column whose values tell which rows depend on each other"),
            "weight_kind?": _described("what weights mean for errors and intervals", {"enum": [*WEIGHT_KINDS]}),
        },
    )


def _result() -> dict[str, Any]:
    average = (
        "over all labels of a model: "
        "micro counts every label of every row as a row, macro is the plain mean over labels"
    )
    over = (
        "tells totals from groups: all counts all rows of all groups, mean is the plain mean over groups; "
        "null in a group, and without groups"
    )
    values = {"anyOf": [{"type": ["boolean", "string", "null"]}, _NUMBER]}
    return _object(
        "",
        model=_text("name of the model; null for a single one"),
        label=_text("name of the label; null where there is one target, and in averages over labels"),
        average=_described(average, {"enum": [None, "micro", "macro"]}),
        group=_described(
            "values of the group columns, null where one is missing; null over all groups",
            {"type": ["object", "null"], "additionalProperties": values},
        ),
        **{
            f"{OVER}?": _described(over, {"enum": [None, "all", "mean"]}),
            f"{OF_LABELS}?": _described("how many labels an average is over: those that count there", _COUNT_OR_NONE),
            f"{OF_GROUPS}?": _described("how many groups a mean is over: those in which rows count", _COUNT_OR_NONE),
        },
        **{one.name: _described(one.meaning, _COUNT if one.whole else _NUMBER) for one in STATISTICS},
        **{f"{BUCKETS}?": _described("buckets of clusters that have rows, from which errors come", _COUNT)},
        **_diagnosis(),
    )


def _diagnosis() -> dict[str, Any]:
    """What results have besides, where bins were kept; all but the numbers only over all groups."""
    texts = {"type": "array", "items": {"type": "string"}}
    finding = _object("", **{field.name: {"type": "string"} for field in dataclasses.fields(Finding)})
    numbers = {name: _described(meaning, _NUMBER) for name, meaning in _scalars()}
    return {
        "diagnostics?": _object("what bins of the predictions tell; nan where it is not known", **numbers),
        "reasons?": _described(
            "why numbers are missing, or what to know of them",
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        "thresholds?": {
            "type": "array",
            "items": _object("what flagging from a probability on gives", **_thresholds()),
        },
        "findings?": {"type": "array", "items": finding},
        "notes?": _described("what holds for all of it", texts),
    }


def _scalars() -> Iterator[tuple[str, str]]:
    for one in DIAGNOSTICS:
        for part in one.parts:
            yield one.name + part, f"{_PARTS[part]}{one.name}" if part else one.meaning


def _thresholds() -> dict[str, Any]:
    names = []
    for field in dataclasses.fields(Threshold):
        names += [field.name + part for part in (("", "_low", "_high") if field.type == "Estimate" else ("",))]
    return dict.fromkeys(names, _NUMBER)


def schema() -> dict[str, Any]:
    """What `logloss score --json` prints."""
    order = "by model: each label's groups in order and then the whole, then the averages over labels"
    results = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/result"}}
    means = {"type": "array", "items": {"$ref": "#/$defs/result"}}
    document = _object(
        f"Version {SCHEMA_VERSION}. The version rises when a reader of the previous one could misread a document; new "
        "fields alone do not raise it. Numbers that JSON lacks are the texts inf, -inf and nan.",
        schema_version={"const": SCHEMA_VERSION},
        partial={
            "description": "whether the run was interrupted: some rows are counted, others not",
            "type": "boolean",
        },
        **{
            "approximate?": _described("whether a database added up, and rounded", {"type": "boolean"}),
            "corp?": _described(
                "what plain decompositions (_raw) are of: bins, or all rows in order", {"enum": ["grid", "exact"]}
            ),
        },
        input=_input(),
        plan=_plan(),
        results=_described(order, results),
        **{"means_over_groups?": _described("for each model and label, the plain mean over groups", means)},
    )
    number = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of logloss score --json and logloss merge --json",
        **document,
        "$defs": {"number": _described("a number, or one that JSON lacks", number), "result": _result()},
    }


def render() -> str:
    """The schema as JSON."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
