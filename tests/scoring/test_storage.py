"""Saved states: exact, readable, the same bytes for the same state, and refused in one sentence where damaged."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logloss._errors import InvalidInputError
from logloss.comparing import compare
from logloss.evaluate import storage
from logloss.evaluate.plan import Plan, Problem
from logloss.evaluate.state import State
from logloss.scores import load, merge, score
from logloss.segmenting import segments

COLUMNS: dict[str, Any] = {"target": "employed", "probability": "predicted_probability", "group": ["year", "sex"]}


@pytest.mark.parametrize("weight", [None, "age"])
def test_saved_and_loaded(acs: pl.DataFrame, tmp_path: Path, weight: str | None):
    scores = score(acs, **COLUMNS, weight=weight)
    scores.save(tmp_path / "state.json")
    assert load(tmp_path / "state.json").summary == scores.summary
    assert json.loads((tmp_path / "state.json").read_text())["plan"]["weight"] == weight


def test_parts_merge_to_the_whole(acs: pl.DataFrame, tmp_path: Path):
    whole = score(acs, **COLUMNS)
    parts = [score(acs.slice(start, 100_000), **COLUMNS) for start in (0, 100_000, 200_000)]
    for order in ([0, 1, 2], [2, 0, 1]):
        merged = merge(*(parts[number] for number in order))
        assert merged.summary.results == whole.summary.results
        assert storage.dumps(merged.state, ()) == storage.dumps(whole.state, ())


@pytest.mark.parametrize(
    "through", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"]
)
def test_results_travel(through: Any):
    """Also between processes that are no engine's."""
    table = {"y": [1, 0, 1, 0], "p": [0.5, 0.25, 0.75, 0.5], "q": [0.5] * 4, "g": ["a", "a", "b", "b"]}
    columns: dict[str, Any] = {"target": "y", "probability": {"one": "p", "other": "q"}, "group": "g", "segments": "g"}
    scores = score(table, **columns, diagnostics=True, cluster="g", thresholds=0.5)
    for found in (scores, compare(table, **columns), segments(scores)):
        assert through(found).to_json() == found.to_json()
    assert storage.dumps(through(scores).state, ()) == storage.dumps(scores.state, ())
    assert repr(through(scores.summary.results[0])) == repr(scores.summary.results[0])


@settings(deadline=None)
@given(st.floats(0, 1e300), st.floats(0, 1), st.floats(0, 1))
def test_any_sum_is_kept_exactly(weight: float, p: float, y: float):
    plan = Plan((Problem("y", "p"),), weight="w", groups=("g",))
    scores = score(
        {"y": [y, 1.0], "p": [p, 0.5], "w": [weight, 1.0], "g": ["a", "b"]},
        target="y",
        probability="p",
        weight="w",
        group="g",
    )
    text = storage.dumps(scores.state, ("here",))
    state, sources = storage.loads(text, "text")
    assert (state.plan, sources) == (plan, ("here",))
    assert storage.dumps(state, sources) == text
    assert next(state.cells()).counts == next(scores.state.cells()).counts


def test_a_loaded_state_goes_on(acs: pl.DataFrame, tmp_path: Path):
    first, second = score(acs.head(100_000), **COLUMNS), score(acs.tail(177_677), **COLUMNS)
    first.save(tmp_path / "state.json")
    assert merge(load(tmp_path / "state.json"), second).summary.results == score(acs, **COLUMNS).summary.results


def test_different_plans(acs: pl.DataFrame):
    a, b = score(acs, **COLUMNS), score(acs, **COLUMNS, where="year > 2015")
    with pytest.raises(InvalidInputError, match="their where differ: None and year > 2015"):
        merge(a, b)
    with pytest.raises(InvalidInputError, match="got none"):
        merge()


def test_an_empty_state():
    empty = State(Plan((Problem("y", "p"),)))
    assert list(storage.loads(storage.dumps(empty, ()), "text")[0].cells()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("format"), "its format is ''"),
        (lambda document: document.update(format="picture"), "its format is 'picture'"),
        (lambda document: document.update(version=9), "its version is 9, and this program reads versions 1 and 2"),
        (lambda document: document["cells"][0]["sums"].pop("wl"), "'wl' is missing"),
        (lambda document: document["cells"][0]["sums"].update(wl="1"), "matching regex"),
        (lambda document: document["cells"][0].update(problem=5), "does not fit the plan: problem 5"),
        (lambda document: document["cells"][0].update(group=[1]), "does not fit the plan"),
        (lambda document: document["plan"].update(colour="red"), "colour"),
    ],
)
def test_damaged_states(acs: pl.DataFrame, tmp_path: Path, change: Any, message: str):
    path = tmp_path / "state.json"
    score(acs.head(10), **COLUMNS).save(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_states(tmp_path: Path, acs_path: Path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "half.json").write_text('{"format": "logloss')
    for path in (tmp_path / "none.json", tmp_path / "list.json", tmp_path / "half.json", acs_path):
        with pytest.raises(InvalidInputError, match=path.name):
            load(path)


def test_half_a_file_never_replaces_a_whole_one(acs: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state.json"
    path.write_text("whole")
    original = Path.write_bytes

    def full_disk(self: Path, content: bytes) -> int:
        original(self, content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(InvalidInputError, match=r"cannot be written .*No space left"):
        score(acs.head(10), **COLUMNS).save(path)
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def _state_of(values: Any, path: Path, kind: str) -> Any:
    """Saved and read again: what a state remembers of its groups is what its file says."""
    frame = pl.DataFrame({"y": [1, 0, 1], "p": [0.5, 0.25, 0.75], "g": values})
    source = path / f"rows.{kind}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](source)
    score(source, target="y", probability="p", group="g").save(path / f"{kind}.json")
    return load(path / f"{kind}.json")


@pytest.mark.parametrize(
    "order", [["csv", "parquet", "jsonl"], ["parquet", "csv", "jsonl"], ["jsonl", "parquet", "csv"]]
)
def test_states_of_files_agree_on_groups(order: list[str], tmp_path: Path):
    """Whole numbers are the texts that text files have, in whatever order states come, as within one run."""
    states = [_state_of([1, 2, None], tmp_path, kind) for kind in order]
    merged = merge(*states)
    assert merged.state.groups == [("1",), ("2",), (None,)]
    whole = score([tmp_path / f"rows.{kind}" for kind in order], target="y", probability="p", group="g")
    assert storage.dumps(merged.state, ()) == storage.dumps(whole.state, ())
    assert merge(merged, states[0]).state.groups == merged.state.groups


@pytest.mark.parametrize(
    ("values", "message"), [([1.5, 2.0, None], "numbers with decimals"), ([True, False, None], "truth values")]
)
def test_other_groups_are_of_one_type_in_all_states(values: Any, message: str, tmp_path: Path):
    states = _state_of(values, tmp_path, "parquet"), _state_of(values, tmp_path, "csv")
    with pytest.raises(InvalidInputError, match=f"those of 'g' are texts in one and {message} in another"):
        merge(*states)
    with pytest.raises(InvalidInputError, match="must have one type everywhere"):
        score([tmp_path / "rows.parquet", tmp_path / "rows.csv"], target="y", probability="p", group="g")
