"""The published schema of --json: what the program prints keeps to it, and it describes all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import logloss as ll
from logloss.reporting import schemas
from logloss.reporting.json import SCHEMA_VERSION
from logloss.reporting.schema import render
from logloss.scores import Scores, merge, score

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "score.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

RNG = np.random.default_rng(0)
Y, P, W = RNG.integers(0, 2, 60), RNG.random(60), RNG.exponential(1, 60)
GROUPS = {"text": ["a", "b"] * 30, "whole": [1, 2] * 30, "real": [0.5, np.inf] * 30, "truth": [True, False] * 30}
TABLE = {"y": Y, "p": P, "q": 1 - P, "w": W, "z": P - 0.5, **GROUPS}
CERTAIN = {"y": [1, 0, 1, 1], "p": [0.0, 0.0, 1.0, 0.5]}

RUNS: dict[str, Any] = {
    "plain": lambda: score(TABLE, target="y", probability="p"),
    "groups": lambda: score(TABLE, target="y", probability="p", group=list(GROUPS), weight="w", where="p > 0.1"),
    "models": lambda: score(TABLE, target="y", probability={"a": "p", "b": "q"}),
    "logits": lambda: score(TABLE, target="y", logit="z"),
    "labels": lambda: score({"y": Y.reshape(20, 3), "p": P.reshape(20, 3)}, target="y", probability="p"),
    "infinite": lambda: score(CERTAIN, target="y", probability="p"),
    "eps": lambda: score(CERTAIN, target="y", probability="p", eps=1e-15),
    "one class": lambda: score({"y": [1], "p": [0.5]}, target="y", probability="p"),
    "dropped": lambda: score({"y": [1, None], "p": [0.5, 2]}, target="y", probability="p", nulls="drop"),
    "joined": lambda: score(
        {"id": [1, 2], "p": [0.5, 0.5]},
        labels={"id": [1, 2], "y": [0, 1]},
        key="id",
        target="y",
        probability="p",
        group="sure = p > 0.9",
    ),
    "segments": lambda: score(TABLE, target="y", probability="p", segments=["text", "whole"]),
    "merged": lambda: merge(*[score(TABLE, target="y", probability="p")] * 2),
    "partial": lambda: Scores(score(TABLE, target="y", probability="p").state, ("table",), partial=True),
}


@pytest.mark.parametrize("run", RUNS)
def test_outputs_keep_to_the_schema(run: str):
    document = json.loads(RUNS[run]().to_json(), parse_constant=pytest.fail)
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    assert list(undescribed(document, SCHEMA)) == []


def undescribed(value: Any, schema: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Fields that the schema has no entry for."""
    if isinstance(value, dict):
        for name, item in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if below is None:
                yield f"{path}.{name}"
            else:
                yield from undescribed(item, resolved(below), f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from undescribed(item, resolved(schema["items"]), f"{path}[]")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference names."""
    place = schema.get("$ref", "").removeprefix("#/$defs/")
    return {**SCHEMA["$defs"][place], **schema} if place else schema


def _drift() -> Any:
    before = score(TABLE, target="y", probability="p", diagnostics=True)
    return ll.drift(before, score({**TABLE, "p": P**3}, target="y", probability="p", diagnostics=True))


MODELS: dict[str, Any] = {"target": "y", "probability": {"a": "p", "b": "q"}}
LABELS: dict[str, Any] = {"target": ["y", "t"], "probability": {"a": ["p", "q"], "b": ["q", "p"]}}
OTHERS: dict[str, Any] = {
    "compare": lambda: ll.compare(TABLE, **MODELS, group=["text", "real"], weight="w"),
    "compare clusters": lambda: ll.compare(TABLE, **MODELS, cluster="whole", nulls="drop"),
    "compare labels": lambda: ll.compare({**TABLE, "t": 1 - Y}, **LABELS),
    "compare infinite": lambda: ll.compare({**CERTAIN, "q": [0.5] * 4}, **MODELS),
    "drift": _drift,
    "segments": lambda: ll.segments(score(TABLE, target="y", probability="p", segments=list(GROUPS)), 3),
    "segments none": lambda: ll.segments(score(CERTAIN | {"g": [1] * 4}, target="y", probability="p", segments="g")),
    "explain": lambda: ll.explain([1, 0, 1], probability=[0.0, 0.0, 1.0]),
    "explain got": lambda: ll.explain([1, 0, 1], logit=[5, -2, 0.5], got="0.2026"),
}


@pytest.mark.parametrize("run", OTHERS)
def test_other_commands_keep_to_theirs(run: str):
    command = run.split(maxsplit=1)[0]
    text = (Path(__file__).parents[2] / "docs" / f"{command}.schema.json").read_text(encoding="utf-8")
    assert text == schemas.render(command)  # python -m logloss.reporting.schemas COMMAND writes it
    schema = json.loads(text)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    document = json.loads(OTHERS[run]().to_json(), parse_constant=pytest.fail)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert list(undescribed(document, schema)) == []
    for wrong in ({**document, "schema_version": 9}, dict(list(document.items())[:-1])):
        assert not validator.is_valid(wrong)


def test_segments_are_the_same_in_every_document():
    """What a run's JSON has under "segments" is what the command prints, but for the version."""
    found = score(TABLE, target="y", probability="p", segments=list(GROUPS))
    alone = json.loads(ll.segments(found).to_json())
    assert (alone.pop("schema_version"), alone.pop("partial")) == (schemas.SCHEMAS["segments"][0], False)
    assert json.loads(found.to_json())["segments"] == alone


def test_the_published_schema_is_that_of_the_program():
    """`python -m logloss.reporting.schema > docs/score.schema.json` writes it."""
    assert (Path(__file__).parents[2] / "docs" / "score.schema.json").read_text(encoding="utf-8") == render()


def test_the_schema_is_one_of_this_version():
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema_version=2),
        lambda document: document.pop("partial"),
        lambda document: document["input"].update(rows=-1),
        lambda document: document["results"][0].update(log_loss="Infinity"),
        lambda document: document["results"][0].pop("d2_se"),
        lambda document: document["plan"].update(predictions="guess"),
        lambda document: document.update(results=[]),
    ],
    ids=["version", "partial", "rows", "log loss", "missing", "predictions", "results"],
)
def test_the_schema_can_refuse(change: Any):
    document = json.loads(RUNS["plain"]().to_json())
    change(document)
    assert not VALIDATOR.is_valid(document)


def test_an_undescribed_field_is_noticed():
    document = json.loads(RUNS["plain"]().to_json())
    document["results"][0]["colour"] = "red"
    assert list(undescribed(document, SCHEMA)) == ["$.results[].colour"]
