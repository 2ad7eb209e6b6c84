"""Labels in another source: joined on a key, every key accounted for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main

PREDICTIONS = pl.DataFrame({"id": [3, 1, 2, 4], "p": [0.3, 0.9, 0.25, 0.5], "g": ["a", "b", "a", "b"]})
LABELS = pl.DataFrame({"id": [1, 2, 3, 4], "y": [1, 0, 1, 0], "h": ["u", "u", "v", "v"]})
Y_AND_P: dict[str, Any] = {"target": "y", "probability": "p", "key": "id"}
RIGHT = ll.score(PREDICTIONS.join(LABELS, on="id"), target="y", probability="p", group=["g", "h"]).to_rows()


def written(frame: pl.DataFrame, path: Path) -> Path:
    {".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet, ".jsonl": pl.DataFrame.write_ndjson}[
        path.suffix
    ](frame, path)
    return path


def is_right(found: ll.Scores) -> bool:
    """Whether all numbers are those of the joined table; NaN is NaN."""
    rows = [{name: value for name, value in row.items() if not name.startswith("keys_")} for row in found.to_rows()]
    return repr(rows) == repr(RIGHT)


@pytest.mark.parametrize("one", ["csv", "parquet", "jsonl", "table"])
@pytest.mark.parametrize("other", ["csv", "parquet", "jsonl", "table"])
def test_all_kinds_of_sources(one: str, other: str, tmp_path: Path):
    """Keys that are texts in one source and numbers in the other are the same."""
    source = PREDICTIONS if one == "table" else written(PREDICTIONS, tmp_path / f"p.{one}")
    labels = LABELS if other == "table" else written(LABELS, tmp_path / f"l.{other}")
    found = ll.score(source, labels=labels, **Y_AND_P, group=["g", "h"])
    assert is_right(found)
    assert found.summary.joined == {"matched": 4, "only_in_predictions": 0, "only_in_labels": 0}


def test_keys_that_became_floats():
    labels = LABELS.with_columns(pl.col("id").cast(pl.Float64))
    assert is_right(ll.score(PREDICTIONS, labels=labels, **Y_AND_P, group=["g", "h"]))


def test_conditions_and_expressions_over_both():
    found = ll.score(PREDICTIONS, labels=LABELS, **Y_AND_P, where="g = 'a'", group="x = upper(h)").summary.results
    assert {one.group: one.statistics.rows for one in found} == {("U",): 1, ("V",): 1, None: 2}


def test_unmatched_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    predictions, labels = written(PREDICTIONS.head(3), tmp_path / "p.csv"), written(LABELS[1:], tmp_path / "l.csv")
    message = r"as 2 do; alone in predictions: 1, such as id = '1' and alone in labels: 1, such as id = '4'"
    with pytest.raises(InvalidInputError, match=message):
        ll.score(predictions, labels=labels, **Y_AND_P)
    arguments = ["score", str(predictions), "--labels", str(labels), "--key", "id", "--target", "y"]
    arguments += ["--probability", "p", "--unmatched", "drop"]
    counts = {"matched": 2, "only_in_predictions": 1, "only_in_labels": 1}
    outputs = {}
    for kind in ("table", "json", "csv", "md", "jsonl"):
        assert main([*arguments, "--format", kind]) == 0
        outputs[kind] = capsys.readouterr().out
    assert json.loads(outputs["json"])["input"]["joined"] == counts
    for rows in (next(csv.DictReader(io.StringIO(outputs["csv"]))), json.loads(outputs["jsonl"])):
        assert {name: int(rows[f"keys_{name}"]) for name in counts} == counts
    for kind in ("table", "md"):
        said = " ".join(outputs[kind].split())
        assert "2 keys stand in predictions and labels; alone in predictions 1, alone in labels 1." in said


def test_counts_add(tmp_path: Path):
    one = ll.score(PREDICTIONS.head(2), labels=LABELS, **Y_AND_P, unmatched="drop")
    one.save(tmp_path / "state.json")
    two = ll.score(PREDICTIONS.tail(2), labels=LABELS, **Y_AND_P, unmatched="drop")
    found = ll.merge(ll.load(tmp_path / "state.json"), two).summary
    assert (found.rows, found.joined) == (4, {"matched": 4, "only_in_predictions": 0, "only_in_labels": 4})


def test_several_keys():
    days = pl.DataFrame({"id": [1, 1, 2], "day": ["a", "b", "a"], "p": [0.9, 0.25, 0.5]})
    labels = pl.DataFrame({"day": ["b", "a", "a"], "id": [1, 1, 2], "y": [0, 1, 1]})
    options: dict[str, Any] = {"target": "y", "probability": "p"}
    found = ll.score(days, labels=labels, key="id,day", **options).summary.results
    assert found == ll.score({"y": [1, 0, 1], "p": [0.9, 0.25, 0.5]}, **options).summary.results
    with pytest.raises(InvalidInputError, match=r"one row of the predictions; id = '1' stands in 2; name more columns"):
        ll.score(days, labels=labels, key="id", **options)


def test_one_name_in_both():
    """As a contest's submission and solution have it."""
    submission = pl.DataFrame({"id": [1, 2], "target": [0.9, 0.25]})
    solution = pl.DataFrame({"id": [2, 1], "target": [0, 1]})
    found = ll.score(
        submission, labels=solution, key="id", target="labels.target", probability="predictions.target"
    ).summary.results
    right = ll.score({"y": [1, 0], "p": [0.9, 0.25]}, target="y", probability="p").summary.results
    assert found == right
    with pytest.raises(InvalidInputError, match="there is no column 'target' in the table"):
        ll.score(submission, labels=solution, key="id", target="target", probability="predictions.target")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": pl.concat([LABELS, LABELS.head(1)]), "key": "id"}, "one row of the labels; id = '1' stands in 2"),
        ({"labels": LABELS, "key": "no"}, "there is no column 'no' in the table"),
        ({"labels": LABELS}, "as key"),
        ({"labels": LABELS.clear(), "key": "id"}, "there must be rows to join"),
        ({"key": "id"}, "got no labels"),
        ({"labels": LABELS, "key": "id", "unmatched": "keep"}, "unmatched must be 'error' or 'drop'"),
        ({"labels": LABELS.with_columns(y=7), "key": "id"}, r"'y' \(target\) must be in \[0, 1\]; it is 7.0 in row"),
    ],
)
def test_bad_joins(options: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message):
        ll.score(PREDICTIONS, target="y", probability="p", **options)


def test_many_rows(tmp_path: Path):
    """More than a batch on both sides, in different orders."""
    rng, size = np.random.default_rng(0), 700_000
    table = pl.DataFrame({"id": np.arange(size), "y": rng.integers(0, 2, size), "p": rng.random(size)})
    labels = table.select("id", "y").sample(fraction=1, shuffle=True, seed=1)
    written(table.select("id", "p"), tmp_path / "p.csv")
    found = ll.score(tmp_path / "p.csv", labels=labels, **Y_AND_P).summary.results
    assert found == ll.score(table, target="y", probability="p").summary.results
