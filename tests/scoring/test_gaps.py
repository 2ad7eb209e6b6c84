"""Labels with gaps and weights of their own: each is scored on the rows that have it; means say over how many."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main
from logloss.evaluate import storage
from logloss.evaluate.plan import Plan, Problem
from logloss.evaluate.state import State

TABLE: dict[str, list[Any]] = {
    "y_a": [1, 0, 1, None],
    "p_a": [0.9, 0.2, 0.8, None],
    "y_b": [None, 1, -1, 0],
    "p_b": [0.5, 0.8, 0.9, 0.2],
    "w_a": [1.0, 2.0, 1.0, 7.0],
    "w_b": [5.0, 3.0, 1.0, 1.0],
}
LABELS: dict[str, Any] = {"target": "y_*", "probability": "p_*", "ignore": -1, "nulls": "drop"}
A, B = -(math.log(0.9) + 2 * math.log(0.8)) / 3, -math.log(0.8)
WEIGHTED_A, WEIGHTED_B = -(math.log(0.9) + 3 * math.log(0.8)) / 4, -math.log(0.8)


def losses(found: ll.Scores) -> list[Any]:
    return [(one.label or one.average, one.statistics.rows, one.of_labels) for one in found.summary.results]


def check(found: ll.Scores, a: float, b: float, weights: tuple[int, int]) -> None:
    assert losses(found) == [("a", 3, None), ("b", 2, None), ("micro", 5, 2), ("macro", 5, 2)]
    micro = (weights[0] * a + weights[1] * b) / sum(weights)
    expected = [a, b, micro, (a + b) / 2]
    got = [one.statistics.log_loss for one in found.summary.results]
    assert got == pytest.approx(expected, rel=1e-15)
    assert (found.summary.rows, found.summary.dropped["missing"]) == (4, 0)


def file_of(kind: str, directory: Path) -> Any:
    frame = pl.DataFrame(TABLE)
    path = directory / f"rows.{kind}"
    write = {"csv": pl.DataFrame.write_csv, "jsonl": pl.DataFrame.write_ndjson, "parquet": pl.DataFrame.write_parquet}
    if kind in write:
        write[kind](frame, path)
    return path if kind in write else frame


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "table"])
def test_gaps(kind: str, tmp_path: Path):
    source = file_of(kind, tmp_path)
    found = ll.score(source, **LABELS)
    check(found, A, B, (3, 2))
    assert "3 labels of rows are missing, invalid or ignored" in " ".join(str(found).split())
    assert "plain mean over 2 labels" in str(found)
    check(ll.score(source, **LABELS, weight="w_*"), WEIGHTED_A, WEIGHTED_B, (4, 4))


@pytest.mark.parametrize("weight", ["w_*", "w_a,w_b", ["w_a", "w_b"]])
def test_weights_of_labels(weight: Any):
    options = {**LABELS, "target": ["y_a", "y_b"], "probability": "p_a,p_b"}
    if weight == "w_*":
        options |= {"target": "y_*", "probability": "p_*"}
    found = ll.score(TABLE, **options, weight=weight)
    assert [one.statistics.weight for one in found.summary.results] == [4.0, 4.0, 8.0, 8.0]
    assert found.to_dict()["plan"]["weight"] == ("w_*" if weight == "w_*" else "w_a,w_b")
    assert [one["weight"] for one in found.to_dict()["plan"]["problems"]] == ["w_a", "w_b"]


def test_lists_have_gaps_and_weights():
    """A missing list is a row without labels; a gap within one is a gap of its label."""
    rows = {
        "y": [[1, None], [0, 1], [1, -1], [None, 0], [-1, None]],
        "p": [[0.9, 0.5], [0.2, 0.8], [0.8, 0.9], [None, 0.2], [0.5, 0.5]],
        "w": [[1.0, 5.0], [2.0, 3.0], [1.0, 1.0], [7.0, 1.0], [9.0, 9.0]],
    }
    options: dict[str, Any] = {"target": "y", "probability": "p", "ignore": -1, "nulls": "drop"}
    found = ll.score(rows, **options, weight="w")
    got = [one.statistics.log_loss for one in found.summary.results[:2]]
    assert got == pytest.approx([WEIGHTED_A, WEIGHTED_B], rel=1e-15)
    assert found.summary.dropped == {"missing": 1, "invalid": 0, "ignored": 0}
    words = {"y": [["yes", "?"], ["no", "yes"]], "p": [[0.75, 0.5], [0.5, 0.25]]}
    found = ll.score(words, target="y", probability="p", positive="yes", negative="no", ignore="?")
    assert [one.statistics.brier for one in found.summary.results[:2]] == [(0.0625 + 0.25) / 2, 0.5625]


def test_invalid_numbers_are_gaps_too():
    rows = {"y_a": [1, 0, 1], "p_a": [0.5, 7.0, 0.5], "y_b": [1, 0, 1], "p_b": [0.25, 0.25, math.nan]}
    found = ll.score(rows, target="y_*", probability="p_*", invalid="drop")
    assert losses(found) == [("a", 2, None), ("b", 2, None), ("micro", 4, 2), ("macro", 4, 2)]
    with pytest.raises(InvalidInputError, match=r"'p_a' \(probability\) .* it is 7.0 in row 2"):
        ll.score(rows, target="y_*", probability="p_*")


def test_models_are_compared_on_the_same_rows():
    rows = {"y": [1, 0, 1], "p": [0.5, 0.25, 0.5], "q": [0.5, None, 0.25]}
    found = ll.score(rows, target="y", probability={"one": "p", "two": "q"}, nulls="drop")
    assert [one.statistics.rows for one in found.summary.results] == [2, 2]
    assert found.summary.dropped["missing"] == 1
    labels = {"y_a": [1, 0, 1], "y_b": [1, 1, 0], "p_a": [0.5] * 3, "p_b": [0.5] * 3, "q_a": [0.5] * 3}
    labels["q_b"] = [0.5, None, 0.5]
    found = ll.score(labels, target="y_*", probability={"one": "p_*", "two": "q_*"}, nulls="drop")
    rows_of = [(one.model, one.statistics.rows) for one in found.summary.results if one.label == "b"]
    assert rows_of == [("one", 2), ("two", 2)]
    assert "1 label of a row is missing" in str(found)


def test_what_does_not_count_is_not_looked_at():
    """An ignored label needs no prediction and no weight; another one does, and the message has its row."""
    rows = {"y_a": [1, -1], "p_a": [0.5, None], "w_a": [1.0, -3.0], "y_b": [1, 0], "p_b": [0.5, 0.5], "w_b": [1, 1]}
    options = {"target": "y_*", "probability": "p_*", "weight": "w_*"}
    found = ll.score(rows, **options, ignore=-1)
    assert [one.statistics.rows for one in found.summary.results] == [1, 2, 3, 3]
    with pytest.raises(InvalidInputError, match="'p_a' must have a value in every row; it has none in row 2"):
        ll.score({**rows, "y_a": [1, 0]}, **options, ignore=-1)
    with pytest.raises(InvalidInputError, match=r"'w_a' \(weight\) must be .* it is -3.0 in row 2"):
        ll.score({**rows, "y_a": [1, 0], "p_a": [0.5, 0.5]}, **options)


def test_groups_in_which_a_label_is_missing():
    """Nothing is known of it there; means are over the labels and the groups in which something counts."""
    rows = {"y_a": [1, 0, 1], "p_a": [0.5] * 3, "y_b": [1, None, None], "p_b": [0.25] * 3, "g": ["x", "x", "y"]}
    found = ll.score(rows, target="y_*", probability="p_*", nulls="drop", group="g")
    table = {(one.label or one.average, one.group): one for one in found.summary.results}
    assert math.isnan(table["b", ("y",)].statistics.log_loss)
    assert (table["macro", ("y",)].of_labels, table["macro", ("x",)].of_labels) == (1, 2)
    assert table["macro", ("y",)].statistics.brier == 0.25
    means = {one.label or one.average: (one.of_groups, one.statistics.brier) for one in found.summary.results.means}
    assert means == {"a": (2, 0.25), "b": (1, 0.5625), "micro": (2, pytest.approx(0.3020833)), "macro": (2, 0.328125)}
    assert "no row has the label there" in " ".join(str(found).split())


def test_parts_add_up(tmp_path: Path):
    whole = ll.score(TABLE, **LABELS, weight="w_*")
    parts = [ll.score(pl.DataFrame(TABLE)[[k]], **LABELS, weight="w_*") for k in (2, 0, 3, 1)]
    for number, part in enumerate(parts):
        part.save(tmp_path / f"{number}.json")
        assert ll.load(tmp_path / f"{number}.json").summary == part.summary
    merged = ll.merge(*(ll.load(tmp_path / f"{number}.json") for number in range(4)))
    assert merged.summary.results == whole.summary.results
    assert merged.summary.rows == 4
    assert storage.dumps(merged.state, ()) == storage.dumps(whole.state, ())
    with pytest.raises(InvalidInputError, match="their problems differ"):
        ll.merge(whole, ll.score(TABLE, **LABELS))


def test_gaps_of_a_state():
    """What an engine hands over: whatever stands where a target has no label."""
    state = State(Plan((Problem("a", "p"), Problem("b", "p"))))
    columns = {"a": np.array([1, 9]), "b": np.array([0, 1]), "p": np.array([0.5, 0.25])}
    state.add(columns, gaps={"a": np.array([False, True])})
    assert [state.moments([k], None).rows for k in range(2)] == [1, 2]
    assert state.rows == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "y_a", "probability": "p_a", "weight": "w_*"}, "one target has one column of weights"),
        ({"target": "y_*", "probability": "p_*", "weight": "w_a,w_b,w_a"}, "got w_a, w_b, w_a for y_\\*"),
        ({"target": "y_*", "probability": "p_*", "weight": "v_*"}, "'v_a' is no column"),
        ({"target": "y_a,y_b", "probability": "p_a,p_b", "weight": "w_a,w_*"}, "a pattern with a \\*"),
    ],
)
def test_bad_weights(options: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message):
        ll.score(TABLE, **options)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pl.DataFrame(TABLE).write_csv(tmp_path / "rows.csv")
    arguments = ["score", str(tmp_path / "rows.csv"), "--target", "y_*", "--probability", "p_*", "--weight", "w_*"]
    assert main([*arguments, "--ignore", "-1", "--nulls", "drop", "--format", "csv"]) == 0
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    place = lines[0].index("of_labels")
    assert [line[place] for line in lines] == ["of_labels", "", "", "2", "2"]


def test_infinite_losses_of_groups():
    """The finite loss stands beside the number of infinite ones, and the note says what would clip them."""
    rows = {"y": [1, 0, 1, 1], "p": [0.0, 0.5, 0.5, 0.25], "g": ["a", "a", "b", "b"]}
    found = ll.score(rows, target="y", probability="p", group="g")
    lines = [line.split() for line in str(found).splitlines()]
    assert ["a", "2", "0.50000", "inf", "-", "0.69315", "inf", "-inf", "0.62500", "1"] in lines
    assert ["b", "2", "1.00000", "1.03972", "-", "1.03972", "-", "-", "0.40625", "0"] in lines
    assert "--eps 1e-15 (eps=1e-15)" in " ".join(str(found).split())
    assert "finite" not in str(ll.score({**rows, "p": [0.5] * 4}, target="y", probability="p", group="g"))
    logits = ll.score({"y": [1, 0], "z": [-math.inf, 0.0]}, target="y", logit="z")
    assert "1 row has infinite loss" in str(logits)
    assert "--eps" not in str(logits)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"y": [1, 0, 1, 1], "w": [0, 0, 1, 1]}, "all targets are the same there; or all weights are 0 there"),
        ({"y": [1, 0, 1, 0], "w": [0, 0, 1, 1]}, "because all weights are 0 there."),
        ({"y": [1, 0, 1, 1], "w": [1, 1, 1, 1]}, "all targets are the same there; or a mean is of such numbers."),
    ],
)
def test_why_numbers_are_undefined(rows: dict[str, Any], reason: str):
    found = ll.score({**rows, "p": [0.5] * 4, "g": list("aabb")}, target="y", probability="p", weight="w", group="g")
    assert reason in " ".join(str(found).split())
    assert [one.of_groups for one in found.summary.results.means] == [1 if 0 in rows["w"] else 2]


def test_a_label_that_is_always_the_same_has_its_reason():
    rows = {"y_a": [1, 0], "y_b": [1, 1], "p_a": [0.5, 0.5], "p_b": [0.5, 0.5]}
    text = " ".join(str(ll.score(rows, target="y_*", probability="p_*")).split())
    assert "-: undefined, because all targets are the same there; or a mean is of such numbers." in text


def test_weights_whose_squares_are_none():
    """Infinitely many effective rows, all of one kind: a warning of nothing."""
    found = ll.score({"y": [1, 1], "p": [0.5, 0.5], "w": [1e-200, 1e-200]}, target="y", probability="p", weight="w")
    assert "2  1.00000  0.69315" in str(found)
