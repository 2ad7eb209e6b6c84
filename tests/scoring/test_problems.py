"""Which columns are meant: models, labels by pattern, and what is suggested where nothing is named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from logloss._errors import InvalidInputError
from logloss.evaluate.plan import Problem
from logloss.evaluate.problems import Predictions, make_plan
from logloss.evaluate.statistics import Statistics
from logloss.scores import Scores, score

COLUMNS = ["y_1", "y_2", "y_hat_1", "y_hat_2", "p", "a=b", "clicked", "w"]
YEAST = Path(__file__).parents[2] / "examples" / "yeast_multilabel_predictions.parquet"


def problems(target: str, probability: Predictions) -> list[tuple[str | None, str | None, str, str]]:
    plan = make_plan(COLUMNS, target=target, probability=probability)
    return [(one.model, one.label, one.target, one.prediction) for one in plan.problems]


def test_one_column():
    assert problems("y_1", "p") == problems("y_1", ["p"]) == [(None, None, "y_1", "p")]


def test_several_models():
    assert problems("y_1", {"new": "p", "old": "y_2"}) == [("new", None, "y_1", "p"), ("old", None, "y_1", "y_2")]
    assert problems("y_1", ["new=p", "old=y_2"]) == problems("y_1", {"new": "p", "old": "y_2"})
    assert problems("y_1", ["p", "y_2"]) == [("p", None, "y_1", "p"), ("y_2", None, "y_1", "y_2")]


def test_a_column_may_have_an_equals_sign():
    assert problems("y_1", "a=b") == [(None, None, "y_1", "a=b")]
    assert problems("y_1", "a=p") == [("a", None, "y_1", "p")]


def test_labels_pair_by_what_the_star_stands_for():
    expected = [(None, "1", "y_1", "y_hat_1"), (None, "2", "y_2", "y_hat_2")]
    assert problems("y_*", "y_hat_*") == expected
    assert problems("y_*", {"m": "y_hat_*"}) == [("m", *one[1:]) for one in expected]


def test_a_star_in_a_name_is_taken_literally():
    assert make_plan(["y*", "p"], target="y*", probability="p").problems == (Problem("y*", "p"),)


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ("y_*", "p", "must each have one"),
        ("y_*", "*_hat_*", "must each have one"),
        ("y_*", "y_hat_*1", "must each have one|has no counterpart"),
        ("y_hat_*", "q_*", "has no counterpart"),
        ("t_*", "q_*", "they match no column"),
        ("y_1", ["m=p", "m=w"], "every model must have a name of its own"),
        ("y_1", "y_1", "must be different columns"),
        (None, "p", "clicked may be meant"),
        ("y_1", None, "never guessed; p may be meant"),
    ],
)
def test_bad_names(target: str, probability: Predictions, message: str):
    with pytest.raises(InvalidInputError, match=message):
        make_plan(COLUMNS, target=target, probability=probability)


def test_without_candidates_the_columns_are_shown():
    with pytest.raises(InvalidInputError, match=r"the columns are q0, q1, .*, q11 and more"):
        make_plan([f"q{i}" for i in range(20)], target=None, probability="q1")


def test_both_kinds_of_predictions():
    with pytest.raises(InvalidInputError, match="not as both"):
        make_plan(COLUMNS, target="y_1", probability="p", logit="w")


@pytest.fixture(scope="module")
def yeast() -> Scores:
    return score(YEAST, target="y_*", probability={"hgb": "p_hgb_*"})


def labels(scores: Scores, average: str | None = None) -> list[Statistics]:
    return [one.statistics for one in scores.summary.results if one.average == average]


def test_multi_label_is_not_multi_class(yeast: Scores):
    """Every label is a binary problem of its own: negatives count, and rows need not sum to one."""
    frame = pl.read_parquet(YEAST)
    y = np.stack([frame[f"y_{k}"].to_numpy() for k in range(1, 15)], axis=1)
    p = np.stack([frame[f"p_hgb_{k}"].to_numpy() for k in range(1, 15)], axis=1)
    losses = -np.where(y == 1, np.log(p), np.log1p(-p))
    assert [found.log_loss for found in labels(yeast)] == pytest.approx(losses.mean(axis=0), rel=1e-13)
    micro, macro = labels(yeast, "micro")[0], labels(yeast, "macro")[0]
    assert micro.log_loss == pytest.approx(losses.mean(), rel=1e-13)
    assert micro.rows == macro.rows == losses.size
    assert macro.normalized_entropy == pytest.approx(
        np.mean([found.normalized_entropy for found in labels(yeast)]), rel=1e-13
    )
    assert math.isnan(micro.log_loss_se)  # the labels of a row are not independent
    assert math.isnan(macro.log_loss_se)


def test_models_and_labels_beside_each_other(yeast: Scores):
    frame = pl.read_parquet(YEAST).rename({f"logit_lr_{k}": f"z_{k}" for k in range(1, 15)})
    sigmoids = [(1 / (1 + (-pl.col(f"z_{k}")).exp())).alias(f"p_lr_{k}") for k in range(1, 15)]
    both = score(frame.with_columns(sigmoids), target="y_*", probability=["lr=p_lr_*", "hgb=p_hgb_*"])
    assert [(one.model, one.label) for one in both.summary.results[:2]] == [("lr", "1"), ("lr", "2")]
    assert [one for one in both.summary.results if one.model == "hgb"] == list(yeast.summary.results)
    logits = score(YEAST, target="y_*", logit="logit_lr_*")
    for found, expected in zip(labels(both), labels(logits), strict=False):
        assert found.log_loss == pytest.approx(expected.log_loss, rel=1e-12)
