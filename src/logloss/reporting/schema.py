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

STRING = {"type": "string"}
NUMBER = {"$ref": "#/$defs/number"}
NUMBERS = {"type": "array", "items": NUMBER}
COUNT = {"type": "integer", "minimum": 0}
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


def nullable(description: str = "") -> dict[str, Any]:
    """A text, or null."""
    return described(description, {"type": ["string", "null"]})


def described(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with a word about what it is."""
    return {"description": description, **schema} if description else dict(schema)


def structure(description: str, **properties: Any) -> dict[str, Any]:
    """An object of which all properties are required, but those that came later: they end in "?"."""
    required = [name for name in properties if not name.endswith("?")]
    properties = {name.removesuffix("?"): schema for name, schema in properties.items()}
    return described(description, {"type": "object", "required": required, "properties": properties})


def _input() -> dict[str, Any]:
    weights = "their weight; without weights, their number; weights that are missing or invalid themselves count as 0"
    sources = {"type": "array", "items": {"type": "string"}}
    return structure(
        "what was read",
        sources=described("names of files, as they were given", sources),
        rows=described("rows scored; of several labels, those that count for one of them at least", COUNT),
        dropped=structure(
            "rows left out, where --nulls drop, --invalid drop or --ignore asked for it; of several labels, rows that "
            "have none left",
            **{reason: described(meaning, COUNT) for reason, meaning in _REASONS.items()},
        ),
        dropped_weight=structure(weights, **dict.fromkeys(_REASONS, NUMBER)),
        clipped=described("predictions floored at eps", COUNT),
        joined=described(
            "keys of predictions and labels, where they were joined",
            {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(("matched", "only_in_predictions", "only_in_labels"), COUNT),
            },
        ),
        **{"skipped?": described("why files were left out, where --on-error skip asked for it", sources)},
    )


def _plan() -> dict[str, Any]:
    problem = structure(
        "a column of predictions for a column of targets",
        target={"type": "string"},
        prediction={"type": "string"},
        model=nullable("name of the model; null for a single one"),
        label=nullable(),
        **{"weight?": nullable("the column of this label's own weights; null where all labels have the same, or none")},
        **{"shift?": described("what was added to logits, to undo how the model was trained", {"type": "number"})},
    )
    floor = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 0.5}
    return structure(
        "what was computed",
        problems={"type": "array", "minItems": 1, "items": problem},
        predictions={"enum": ["probability", "logit"]},
        weight=nullable("the column of weights; of labels with weights of their own, how these were named"),
        groups={"type": "array", "items": {"type": "string"}},
        where=nullable("the condition, in SQL"),
        eps=described("floor of the probability given to what happened; null if nothing is clipped", floor),
        definitions=nullable("the groups that are expressions, in SQL; null if there are none"),
        outcomes=nullable("what the values of targets mean; null if they are 0 to 1"),
        **{
            "cluster?": nullable("the column whose values tell which rows depend on each other"),
            "segments?": {"type": "array", "items": {"type": "string"}},
            "weight_kind?": described("what weights mean for errors and intervals", {"enum": [*WEIGHT_KINDS]}),
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
    values = {"anyOf": [{"type": ["boolean", "string", "null"]}, NUMBER]}
    return structure(
        "",
        model=nullable("name of the model; null for a single one"),
        label=nullable("name of the label; null where there is one target, and in averages over labels"),
        average=described(average, {"enum": [None, "micro", "macro"]}),
        group=described(
            "values of the group columns, null where one is missing; null over all groups",
            {"type": ["object", "null"], "additionalProperties": values},
        ),
        **{
            f"{OVER}?": described(over, {"enum": [None, "all", "mean"]}),
            f"{OF_LABELS}?": described("how many labels an average is over: those that count there", _COUNT_OR_NONE),
            f"{OF_GROUPS}?": described("how many groups a mean is over: those in which rows count", _COUNT_OR_NONE),
        },
        **{one.name: described(one.meaning, COUNT if one.whole else NUMBER) for one in STATISTICS},
        **{f"{BUCKETS}?": described("buckets of clusters that have rows, from which errors come", COUNT)},
        **_diagnosis(),
    )


def finding() -> dict[str, Any]:
    """A coded finding."""
    return structure("", **{field.name: STRING for field in dataclasses.fields(Finding)})


def _diagnosis() -> dict[str, Any]:
    """What results have besides, where bins were kept; all but the numbers only over all groups."""
    texts = {"type": "array", "items": {"type": "string"}}
    numbers = {name: described(meaning, NUMBER) for name, meaning in _scalars()}
    return {
        "diagnostics?": structure("what bins of the predictions tell; nan where it is not known", **numbers),
        "reasons?": described(
            "why numbers are missing, or what to know of them",
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        "thresholds?": {
            "type": "array",
            "items": structure("what flagging from a probability on gives", **_thresholds()),
        },
        "findings?": {"type": "array", "items": finding()},
        "notes?": described("what holds for all of it", texts),
    }


def _scalars() -> Iterator[tuple[str, str]]:
    for one in DIAGNOSTICS:
        for part in one.parts:
            yield one.name + part, f"{_PARTS[part]}{one.name}" if part else one.meaning


def _thresholds() -> dict[str, Any]:
    names = []
    for field in dataclasses.fields(Threshold):
        names += [field.name + part for part in (("", "_low", "_high") if field.type == "Estimate" else ("",))]
    return dict.fromkeys(names, NUMBER)


def segments() -> dict[str, Any]:
    """The segments of every model and label, as `reporting.segments` writes them."""
    names = {name: described(meaning, NUMBER) for name, meaning in _OF_SEGMENTS.items()}
    segment = structure(
        "",
        segment=described("what its rows have in common", {"type": "string"}),
        rows=COUNT,
        **names,
        found=described("whether it is miscalibrated, beyond what chance finds among so many", {"type": "boolean"}),
        **{"method?": described("how its p was adjusted: Holm, or max-T where few events were expected", STRING)},
        note=described("why it was not tested; empty if it was", STRING),
    )
    scan = structure(
        "",
        model=nullable("name of the model; null for a single one"),
        label=nullable("name of the label; null where there is one target"),
        reason=described("why there are none, or why the first was not tested; else empty", {"type": "string"}),
        segments=described("the worst first", {"type": "array", "items": segment}),
    )
    return {
        "columns": {"type": "array", "items": {"type": "string"}},
        "depth": described("the columns that a segment fixes at most", {"type": "integer", "minimum": 1}),
        "scans": {"type": "array", "items": scan},
    }


_OF_SEGMENTS = {
    "weight": "Σw",
    "observed": "the weighted mean of its targets",
    "predicted": "the weighted mean of its predictions",
    "difference": "observed minus predicted",
    "difference_low": "lower end of the 95 % interval of difference",
    "difference_high": "upper end of the 95 % interval of difference",
    "shrunken": "difference, drawn towards 0 as the other segments suggest",
    "shrunken_low": "lower end of the 90 % interval of shrunken",
    "shrunken_high": "upper end of the 90 % interval of shrunken",
    "at_least": "the end of that interval nearer to 0, and 0 if it holds 0: what segments are ranked by",
    "ecce_sigma": "the range of cumulated errors in σ; nan where it was not tested",
    "p": "how probable something at least as large is by chance in this segment alone",
    "adjusted_p": "the same for all segments that were tested",
    "detectable": "the error, all of one sign, that the test finds in 80 of 100 samples, alone",
}


def schema() -> dict[str, Any]:
    """What `logloss score --json` prints."""
    order = "by model: each label's groups in order and then the whole, then the averages over labels"
    results = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/result"}}
    means = {"type": "array", "items": {"$ref": "#/$defs/result"}}
    document = structure(
        f"Version {SCHEMA_VERSION}. The version rises when a reader of the previous one could misread a document; new "
        "fields alone do not raise it. Numbers that JSON lacks are the texts inf, -inf and nan.",
        schema_version={"const": SCHEMA_VERSION},
        partial={
            "description": "whether the run was interrupted: some rows are counted, others not",
            "type": "boolean",
        },
        **{
            "approximate?": described("whether a database added up, and rounded", {"type": "boolean"}),
            "corp?": described(
                "what plain decompositions (_raw) are of: bins, or all rows in order", {"enum": ["grid", "exact"]}
            ),
        },
        input=_input(),
        plan=_plan(),
        results=described(order, results),
        **{"means_over_groups?": described("for each model and label, the plain mean over groups", means)},
        **{"segments?": structure("for whom predictions are wrong, where --segments asked for it", **segments())},
    )
    number = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of logloss score --json and logloss merge --json",
        **document,
        "$defs": {"number": described("a number, or one that JSON lacks", number), "result": _result()},
    }


def render() -> str:
    """The schema as JSON."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
