"""The schemas of the other commands' JSON: `python -m logloss.reporting.schemas compare > docs/compare.schema.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from ..evaluate.summary import WEIGHT_KINDS
from . import comparison, explanation
from .schema import COUNT, NUMBER, NUMBERS, STRING, described, finding, nullable, segments, structure

__all__ = ["SCHEMAS", "render", "schema"]

_MODEL = nullable("name of the model; null for a single one")
_LABEL = nullable("name of the label; null where there is one target")
_STRINGS = {"type": "array", "items": STRING}
_FINDINGS = {"type": "array", "items": finding()}
_VALUES = {"anyOf": [{"type": ["boolean", "string", "null"]}, NUMBER]}
_PARTIAL = described("whether the run was interrupted: some rows are counted, others not", {"type": "boolean"})
_P = "how probable something at least as large is by chance alone"


def _estimate(what: str, **more: Any) -> dict[str, Any]:
    """A difference with its error, as `comparing` writes it."""
    ends = {"low": "lower end of its 95 % interval", "high": "upper end of it", "se": "its standard error", "p": _P}
    return structure(
        what,
        difference=NUMBER,
        **{name: described(meaning, NUMBER) for name, meaning in ends.items()},
        method=described("how the error was found", STRING),
        note=described("why it is not known, or what to know of it; else empty", STRING),
        **more,
    )


def _several(what: str, **properties: Any) -> dict[str, Any]:
    return described(what, {"type": "array", "items": structure("", **properties)})


def _compare() -> dict[str, Any]:
    value = {"baseline": NUMBER, "model": NUMBER}
    group = _estimate(
        "the difference of log losses in a group",
        group=described("values of the group columns, null where one is missing", {"type": "array", "items": _VALUES}),
        rows=COUNT,
        adjusted_p=described("p for the number of groups (Holm)", NUMBER),
        normalized_entropy=described("the difference divided by the entropy of the group's base rate", NUMBER),
    )
    dropped = {"type": "object", "additionalProperties": COUNT}
    pair = {
        "model": _MODEL,
        "baseline": nullable("name of the model that it is compared with"),
        "label": _LABEL,
        "rows": COUNT,
        "buckets": described("buckets from which errors come", COUNT),
        "adjusted_p": described("p of the log loss for the number of comparisons (Holm)", NUMBER),
        "wins": described("share of rows on which the model has the smaller loss", NUMBER),
        "ties": described("share of rows on which both have the same", NUMBER),
        "losses": described("share of rows on which it has the larger", NUMBER),
        "rows_needed": described("rows of which 80 of 100 samples find a difference like this", NUMBER),
        "differences": structure(
            "model minus baseline",
            **{name: _estimate(title, **value) for name, title in comparison.TITLES.items()},
        ),
        "murphy": _murphy(),
        "groups": {"type": "array", "items": group},
        "findings": _FINDINGS,
    }
    return {
        "input": structure("what was read", sources=_STRINGS, rows=COUNT, dropped=dropped),
        "partial": _PARTIAL,
        "weight": nullable("the column of weights"),
        "weight_kind": described("what weights mean for errors and intervals", {"enum": [*WEIGHT_KINDS]}),
        "cluster": nullable("the column whose values tell which rows depend on each other"),
        "groups": _STRINGS,
        "comparisons": _several("every model against the first, of each label", **pair),
    }


def _murphy() -> dict[str, Any]:
    """Elementary scores over thresholds."""
    runs = {"type": "array", "items": NUMBERS}
    return structure(
        "elementary scores of the model minus the baseline's (Murphy's diagram), 95 % intervals pointwise",
        threshold=NUMBERS,
        difference=NUMBERS,
        low=NUMBERS,
        high=NUMBERS,
        better=described("thresholds, from and to, at which the model's is the smaller one beyond chance", runs),
        worse=described("those at which it is the larger one", runs),
        note=described("why there are no intervals; else empty", STRING),
    )


def _drift() -> dict[str, Any]:
    run = structure("", sources=_STRINGS, rows=COUNT)
    stability = _estimate(
        "the population stability index, debiased",
        raw=described("as it stands", NUMBER),
        expected=described("what it is on average if nothing changed", NUMBER),
        edges=described("the logits at which its cells begin and end", NUMBERS),
        before=described("the share of the earlier weight in each cell", NUMBERS),
        after=described("the share of the later weight", NUMBERS),
    )
    statistics = {"type": "object", "additionalProperties": _estimate("after minus before")}
    change = {"model": _MODEL, "label": _LABEL, "stability": stability, "statistics": statistics, "findings": _FINDINGS}
    return {"before": run, "after": run, "changes": _several("of every model and label", **change)}


def _segments() -> dict[str, Any]:
    return {"partial": _PARTIAL, **segments()}


def _explain() -> dict[str, Any]:
    line = {
        "system": described("who gives the number", STRING),
        "call": STRING,
        "dtype": STRING,
        "value": NUMBER,
        "difference": described("value minus the exact mean", NUMBER),
        "reasons": described("why it differs; empty where it does not", _STRINGS),
        "hit": described("whether it is the number that was looked for", {"type": "boolean"}),
    }
    return {
        "quantity": {"enum": ["logits", "probabilities"]},
        "rows": COUNT,
        "weights": described("the sum of the weights", {"type": ["number", "null"]}),
        "exact": described("the exact mean loss, over the weights' sum if there are any", NUMBER),
        "got": nullable("the number that was looked for, as typed"),
        "lines": _several("hits first, and then the nearest first", **line),
    }


SCHEMAS: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
    "compare": (comparison.SCHEMA_VERSION, _compare),
    "drift": (comparison.SCHEMA_VERSION, _drift),
    "segments": (comparison.SCHEMA_VERSION, _segments),
    "explain": (explanation.SCHEMA_VERSION, _explain),
}
"""By command: the version of its JSON, and what a document holds besides."""


def schema(command: str) -> dict[str, Any]:
    """What `logloss COMMAND --json` prints."""
    version, properties = SCHEMAS[command]
    number = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
    about = (
        f"Version {version}. The version rises when a reader of the previous one could misread a document; new fields "
        "alone do not raise it. Numbers that JSON lacks are the texts inf, -inf and nan."
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Output of logloss {command} --json",
        **structure(about, schema_version={"const": version}, **properties()),
        "$defs": {"number": described("a number, or one that JSON lacks", number)},
    }


def render(command: str) -> str:
    """The schema as JSON."""
    return json.dumps(schema(command), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render(sys.argv[1]))
