"""Several labels: named by lists and patterns, in columns, structures and lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main

TABLE = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "toxic": [1, 0, 1, 0],
        "insult": [0, 0, 1, 1],
        "toxic_pred": [0.9, 0.25, 0.5, 0.5],
        "insult_pred": [0.5, 0.125, 0.75, 0.25],
        "old_toxic": [0.5] * 4,
        "old_insult": [0.25] * 4,
    }
)


def alone(label: str, prediction: str) -> Any:
    return ll.score(TABLE, target=label, probability=prediction).summary.results[0].statistics


def check(found: ll.Scores, model: str | None, predictions: dict[str, str]) -> None:
    results = {(one.model, one.label): one.statistics for one in found.summary.results if one.average is None}
    for label, prediction in predictions.items():
        assert repr(results[model, label]) == repr(alone(label, prediction))  # NaN is NaN


@pytest.mark.parametrize(
    ("target", "probability"),
    [
        (["toxic", "insult"], ["toxic_pred", "insult_pred"]),
        ("toxic,insult", "toxic_pred,insult_pred"),
        ("toxic,insult", "*_pred"),
        (["toxic", "insult"], "*_pred"),
    ],
)
def test_lists_of_columns(target: Any, probability: Any):
    found = ll.score(TABLE, target=target, probability=probability)
    check(found, None, {"toxic": "toxic_pred", "insult": "insult_pred"})
    assert [one.average for one in found.summary.results] == [None, None, "micro", "macro"]


@pytest.mark.parametrize(
    "probability",
    [
        {"new": ["toxic_pred", "insult_pred"], "old": "old_*"},
        ["new=toxic_pred,insult_pred", "old=old_*"],
        ["new=*_pred", "old=old_toxic,old_insult"],
    ],
)
def test_models_of_several_labels(probability: Any):
    found = ll.score(TABLE, target="toxic,insult", probability=probability)
    check(found, "new", {"toxic": "toxic_pred", "insult": "insult_pred"})
    check(found, "old", {"toxic": "old_toxic", "insult": "old_insult"})


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    TABLE.write_csv(tmp_path / "rows.csv")
    arguments = ["score", str(tmp_path / "rows.csv"), "--target", "toxic,insult", "--format", "csv"]
    assert main([*arguments, "--probability", "toxic_pred,insult_pred"]) == 0
    first = capsys.readouterr().out
    assert main([*arguments, "--probability", "*_pred"]) == 0
    assert capsys.readouterr().out == first


def test_a_name_with_a_comma():
    table = TABLE.rename({"toxic": "a,b"})
    found = ll.score(table, target="a,b", probability="toxic_pred").summary.results
    assert found[0].statistics == alone("toxic", "toxic_pred")


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ("toxic,insult", "toxic_pred", r"got 2 \(toxic, insult\) and 1 \(toxic_pred\)"),
        ("toxic", "toxic_pred,insult_pred", r"got 1 \(toxic\) and 2"),
        ("toxic,toxic", "toxic_pred,insult_pred", "a target must be named once"),
        ("toxic,in*", "toxic_pred,insult_pred", "by a list or by a pattern"),
        ("toxic,nothing", "*_pred", "there is no column 'nothing'"),
    ],
)
def test_bad_lists(target: str, probability: str, message: str):
    with pytest.raises(InvalidInputError, match=message):
        ll.score(TABLE, target=target, probability=probability)


def test_a_list_of_both_classes_for_one_target():
    table = pl.DataFrame({"y": [1, 0], "p": [[0.1, 0.9], [0.75, 0.25]]})
    with pytest.raises(InvalidInputError, match=r"if it holds a probability for each class, name one: p\[1\]"):
        ll.score(table, target="y", probability="p")
    right = ll.score({"y": [1, 0], "p": [0.9, 0.25]}, target="y", probability="p").summary.results
    assert ll.score(table, target="y", probability="p[1]").summary.results == right
