"""States from strangers: whatever a file holds, it is scores or one sentence, at once and in little memory."""

from __future__ import annotations

import json
import math
import os
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logloss._errors import InvalidInputError
from logloss.evaluate import storage
from logloss.scores import Scores, score

EXAMPLES = int(os.environ.get("LOGLOSS_MUTATIONS", "1500"))
"""Run once with 100,000."""

TABLE = {"y": [1, 0, 1, 0, 1], "p": [0.5, 0.25, 0.0, 0.125, 1.0], "w": [1.0, 2.0, 0.5, 1e-9, 3.0], "g": list("aabbc")}
SEEDS = [
    score(TABLE, target="y", probability="p"),
    score(TABLE, target="y", probability="p", weight="w", group="g"),
    score({**TABLE, "g": [0.5, math.inf, None, 1.0, 2.0]}, target="y", probability="p", group="g", eps=1e-9),
    score(
        {**TABLE, "z": [-1, 1, 0, None, 1], "q": [0.5] * 5, "v": [0.0, 1.0, 2.0, 3.0, 1e300]},
        target="z,y",
        probability="q,p",
        weight="v,w",
        ignore=-1,
        nulls="drop",
    ),
]
TEXTS = [storage.dumps(one.state, ("here",)) for one in SEEDS]

EDGES = [0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**30, 1e308, -0.5, 0.5]
NUMBERS = st.sampled_from(EDGES) | st.integers() | st.floats()
MANTISSAS = st.integers(-(2**80), 2**80) | st.just(2**3000)
SUMS = st.builds("{:x}p{}".format, MANTISSAS, st.integers(-1200, 1200) | st.just(10**9))
OTHERS = st.text(max_size=8) | st.none() | st.booleans() | st.builds(list) | st.builds(dict) | st.builds(lambda: [[[]]])
VALUES = NUMBERS | SUMS | OTHERS


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    document = json.loads(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([path for path in places(document) if path] or [("plan",)]))
        parent = document
        for key in path:
            parent = parent[key]
        change = draw(st.sampled_from(["value", "value", "value", "remove", "twice"]))
        if change == "remove" or (change == "twice" and isinstance(parent, dict)):
            del parent[last]
        elif change == "twice":
            parent.append(parent[last])
        else:
            parent[last] = draw(VALUES)
    text = json.dumps(document)
    cut = draw(st.integers(0, 60))
    return text[: len(text) - cut] if cut < 4 else text


def read(text: str) -> Scores | None:
    """The scores, used in every way; None where the file was refused."""
    try:
        found = Scores(*storage.loads(text, "file"))
    except InvalidInputError as error:
        if not str(error).startswith(("file must be", "a group column", "target and prediction")):
            raise
        return None
    assert str(found)
    assert found.to_json()
    return found


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_mutations(text: str):
    read(text)


@pytest.mark.parametrize("text", TEXTS)
def test_the_seeds_are_read(text: str):
    found = read(text)
    assert found is not None
    assert storage.dumps(found.state, ("here",)) == text


BOMBS = {
    "exponent": lambda d: d["cells"][0]["sums"].update(wl="1p999999999"),
    "large exponent": lambda d: d["cells"][0]["sums"].update(wl="1p9999"),
    "digits": lambda d: d["cells"][0]["sums"].update(wl="f" * 10**6 + "p0"),
    "counts": lambda d: d["cells"][0].update(counts=[2**62, 0, 0, 0]),
    "problems without cells": lambda d: d["plan"].update(
        problems=[{"target": f"y{k}", "prediction": f"p{k}"} for k in range(4_000)]
    ),
    "negative": lambda d: d["cells"][0]["sums"].update(wl="-1p0"),
    "share": lambda d: d["cells"][0]["sums"].update(wy="1p40"),
    "rows": lambda d: d.update(rows=2**40),
    "group": lambda d: d["cells"][0].update(group=[10**400]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(bomb: str):
    document = json.loads(TEXTS[1])
    BOMBS[bomb](document)
    assert_refused(json.dumps(document))


def test_deep_nesting():
    assert_refused('{"format": "logloss state", "version": 1, "plan": ' + "[" * 100_000)


def assert_refused(text: str) -> None:
    """Within 50 ms (the best of three, on a busy machine) and 50 MB."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert read(text) is None
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
    tracemalloc.start()
    try:
        assert read(text) is None
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
