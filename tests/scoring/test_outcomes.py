"""Outcomes in words and other numbers: nothing is guessed, and what was seen is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main

P = [0.9, 0.25, 0.5, 0.125]
Y = [1, 0, 1, 0]
Y_AND_P: dict[str, Any] = {"target": "y", "probability": "p"}
RIGHT = ll.score({"y": Y, "p": P}, **Y_AND_P).summary.results

WORDS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "yes and no": (["yes", "no", "yes", "no"], {"positive": "yes"}),
    "t and f": (["t", "f", "t", "f"], {"positive": "t", "negative": "f"}),
    "churn": (["churn", "stay", "churn", "left"], {"positive": "churn", "negative": ["stay", "left"]}),
    "several positives": (["a", "c", "b", "c"], {"positive": ["a", "b"]}),
    "minus one and one": ([1, -1, 1, -1], {"positive": 1, "negative": -1}),
    "one and two": ([2, 1, 2, 1], {"positive": 2}),
    "floats": ([2.0, 1.0, 2.0, 1.0], {"positive": "2"}),
    "texts of numbers": (["1", "0", "1", "0"], {"positive": 1}),
    "truth values": ([False, True, False, True], {"positive": False}),
}


@pytest.mark.parametrize("kind", ["table", "csv", "jsonl"])
@pytest.mark.parametrize("case", WORDS)
def test_meanings(case: str, kind: str, tmp_path: Path):
    values, options = WORDS[case]
    frame = pl.DataFrame({"y": values, "p": P})
    source: Any = frame
    if kind != "table":
        source = tmp_path / f"rows.{kind}"
        {"csv": pl.DataFrame.write_csv, "jsonl": pl.DataFrame.write_ndjson}[kind](frame, source)
    assert ll.score(source, **Y_AND_P, **options).summary.results == RIGHT


def test_other_values_are_refused_with_what_was_seen():
    table = {"y": ["yes", "no", "Yes", "no"], "p": P}
    with pytest.raises(InvalidInputError, match=r"\(positive yes\); it also holds 'no', 'Yes', first in row 2 of"):
        ll.score(table, **Y_AND_P, positive="yes")
    with pytest.raises(InvalidInputError, match=r"it also holds 'Yes', first in row 3 of .*--negative"):
        ll.score(table, **Y_AND_P, positive="yes", negative="no")


def test_ignored_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = pl.DataFrame({"y": [1, -1, 0, 1, 0], "p": [0.9, 0.7, 0.25, 0.5, 0.125]})
    assert ll.score(table, **Y_AND_P, ignore=-1).summary.results == RIGHT
    table.write_csv(tmp_path / "rows.csv")
    arguments = ["score", str(tmp_path / "rows.csv"), "--target", "y", "--probability", "p"]
    assert main([*arguments, "--ignore", "-1"]) == 0
    assert "4 rows" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "--ignore -1" in capsys.readouterr().err
    with pytest.raises(InvalidInputError, match="it also holds 'x'"):
        ll.score({"y": ["1", "x"], "p": [0.5, 0.5]}, **Y_AND_P, ignore=-1)


def test_missing_values_stay_missing():
    table = {"y": ["yes", None, "no"], "p": [0.9, 0.5, 0.25]}
    with pytest.raises(InvalidInputError, match="'y' must have a value in every row; it has none in row 2"):
        ll.score(table, **Y_AND_P, positive="yes", negative="no")
    assert ll.score(table, **Y_AND_P, positive="yes", nulls="drop").summary.dropped["missing"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": "a", "negative": "a"}, "'a' is named twice"),
        ({"negative": "a"}, "there must be positive ones"),
    ],
)
def test_bad_meanings(options: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message):
        ll.score({"y": Y, "p": P}, **Y_AND_P, **options)


def test_states_of_other_meanings_do_not_add():
    one, two = (ll.score({"y": ["a", "b"], "p": [0.5, 0.5]}, **Y_AND_P, positive=value) for value in "ab")
    with pytest.raises(InvalidInputError, match="their outcomes differ"):
        ll.merge(one, two)


@pytest.mark.parametrize("kind", ["table", "csv"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["yes", "no"], r"\(--positive\)"),
        ([1, 2], r"positive=2 \(--positive 2\)"),
        ([1, -1], r"ignore=-1 \(--ignore -1\)"),
    ],
)
def test_messages_name_the_option(values: list[Any], message: str, kind: str, tmp_path: Path):
    frame = pl.DataFrame({"y": values, "p": [0.5, 0.5]})
    frame.write_csv(tmp_path / "rows.csv")
    with pytest.raises(InvalidInputError, match=message) as caught:
        ll.score(frame if kind == "table" else tmp_path / "rows.csv", **Y_AND_P)
    if kind == "csv" and values[0] == "yes":
        assert "its texts are 'no', 'yes'" in str(caught.value)
