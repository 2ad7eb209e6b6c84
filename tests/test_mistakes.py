"""The mistakes that `explain --got` looks through: what they make of a loss, and that they are found around all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import logloss as ll
from logloss.dialects.mistakes import MISTAKES, Call, of_batches
from logloss.dialects.readings import GRID

OLD = "scikit-learn < 1.2, Kaggle, Spark, hivemall"


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _cost(p: Any, t: Any) -> Any:
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def _focal(p: Any, t: Any) -> Any:
    return np.abs(t - p) ** 2 * _cost(p, t)  # of hard targets


def _written(eps: float) -> float:
    return float((-HARD * np.log(MANY + eps) - (1 - HARD) * np.log(1 - MANY + eps)).mean())


def _entropy(rate: float) -> float:
    return float(_cost(rate, rate))


MISTAKES_OF_SHAPE = "every target with every prediction: shapes (N,) and (N, 1)"
MANY = np.random.default_rng(5).uniform(0.05, 0.95, 22)
HARD = np.arange(22) % 3 // 2 * 1.0
X = np.log(MANY / (1 - MANY))
SHARES = [_cost(MANY, HARD)[start : start + 5].mean() for start in range(0, 22, 5)]


MISTAKEN = [
    (_cost(_sigmoid(MANY), HARD).mean(), "the sigmoid applied twice"),
    (_cost(1 - MANY, HARD).mean(), "the other class's probability, 1 - p"),
    (_cost(MANY, 1 - HARD).mean(), "the labels 0 and 1 exchanged"),
    (_cost(MANY, 2 * HARD - 1).mean(), "targets of -1 and 1"),
    (_cost(MANY, HARD + 1).mean(), "targets of 1 and 2"),
    (_cost(MANY, 255 * HARD).mean(), "targets of 0 and 255"),
    (-_cost(MANY, HARD).mean(), "the sign turned: a log-likelihood, as scikit-learn's neg_log_loss"),
    (_cost(MANY, HARD).mean() / np.log(2), "logarithms to base 2"),
    (_cost(MANY, HARD).mean() / np.log(10), "logarithms to base 10"),
    (_cost(MANY, HARD).sum(), "a sum, not a mean"),
    (_cost(MANY, HARD).mean() / 22, "divided by the number of elements twice"),
    (2 * _cost(MANY, HARD).mean(), "twice the loss: a deviance"),
    (_cost(MANY, HARD).mean() / 2, "half the loss: averaged over the columns of both classes"),
    (np.exp(_cost(MANY, HARD).mean()), "e to the loss: a perplexity"),
    (np.exp(-_cost(MANY, HARD).mean()), "e to minus the loss: a likelihood"),
    (100 * _cost(MANY, HARD).mean(), "times 100: a percentage"),
    (_cost(np.where(MANY > 0.5, 1 - 1e-15, 1e-15), HARD).mean(), "classes, not probabilities"),
    (_cost(1 - 1e-15, HARD).mean(), "percentages, 100·p"),
    (_cost(1 - 1e-15, HARD).mean(), "the softmax of a single column, which is 1"),
    (_cost(_sigmoid(2 * X), HARD).mean(), "the softmax of two logits, -x and x"),
    (_cost(_sigmoid(2 * MANY - 1), HARD).mean(), "a softmax of both classes' probabilities"),
    (_cost(np.exp(X) / np.exp(X).sum(), HARD).mean(), "a softmax over the rows"),
    (np.mean([_cost(MANY, one) for one in HARD]), "every target with every prediction: shapes (N,) and (N, 1)"),
    (-(HARD * np.log(MANY)).mean(), "the positives alone, divided by all rows"),
    (-((1 - HARD) * np.log(1 - MANY)).mean(), "the negatives alone, divided by all rows"),
    (-np.log(MANY[HARD == 1]).mean(), "the positives alone"),
    (-np.log(1 - MANY[HARD == 0]).mean(), "the negatives alone"),
    ((-np.log(MANY[HARD == 1]).mean() - np.log(1 - MANY[HARD == 0]).mean()) / 2, "both classes weighing the same"),
    ((_cost(MANY, HARD) * np.where(HARD == 1, 15 / 7, 1)).mean(), "a pos_weight of negatives / positives"),
    (_cost(MANY.astype("float32").astype(float), HARD).mean(), "predictions stored in float32"),
    (_cost(MANY.astype("float16").astype(float), HARD).mean(), "predictions stored in float16"),
    (_cost(MANY.round(2), HARD).mean(), "predictions rounded to 2 decimals"),
]
OF_LOGITS = [
    (_cost(_sigmoid(MANY), HARD).mean(), "probabilities taken for logits"),
    (_cost(1 - MANY, HARD).mean(), "the other class's logit, -x"),
    (_cost(_sigmoid(np.log(MANY)), HARD).mean(), "log-probabilities taken for logits"),
    (_cost(_sigmoid((MANY > 0.5) * 1.0), HARD).mean(), "classes taken for logits"),
    ((np.logaddexp(0, 100 * MANY) - 100 * HARD * MANY).mean(), "percentages taken for logits"),
    (_cost(_sigmoid(2 * X), HARD).mean(), "the softmax of two logits, -x and x"),
    (_cost(_sigmoid(2 * MANY - 1), HARD).mean(), "a softmax of both classes' probabilities"),
]


def call_of(system: str, call: str, dtype: str = "float64") -> Call:
    (reading,) = [one for one in GRID if (one.system, one.call, one.dtype) == (system, call, dtype)]
    return Call.of(reading, "probabilities", MANY, HARD, None)


@pytest.mark.parametrize(
    ("system", "call", "table"),
    [(OLD, "log loss with eps=1e-15", MISTAKEN), ("NumPy", "mean(log(1 + e^x) - t·x)", OF_LOGITS)],
)
def test_what_mistakes_make_of_a_loss(system: str, call: str, table: Any):
    right, wrong = call_of(system, call), {}
    for value, text in table:
        made = [
            one for one in (mistake.of_call(right) for mistake in MISTAKES if mistake.text == text) if one is not None
        ]
        if made != [pytest.approx(value, rel=1e-12)]:
            wrong[text] = (made, value)
    assert wrong == {}


def test_what_batches_make_of_a_loss():
    made = dict(of_batches(call_of(OLD, "log loss with eps=1e-15")))
    for text, value in (
        ("means of batches of 5 rows averaged, the last one of 2", np.mean(SHARES)),
        ("the last 2 rows left out, which are no batch of 5", np.mean(SHARES[:-1])),
        ("means of batches of 5 rows added up", np.sum(SHARES)),
        ("means of batches of 5 rows added up and divided by the 22 rows", np.sum(SHARES) / 22),
    ):
        assert made[text] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("got", "system", "why"),
    [
        (_focal(_sigmoid(MANY), HARD).mean(), "optax", "probabilities taken for logits"),
        (_focal(MANY, 1 - HARD).mean(), "tf.keras 2", "the labels 0 and 1 exchanged"),
        (np.mean([_focal(MANY, one) for one in HARD]), "Keras 3 (jax)", MISTAKES_OF_SHAPE),
        (_cost(_sigmoid(MANY), HARD * 0.9 + 0.05).mean(), "Keras 3 (torch)", "labels smoothed by 0.1"),
        (2 * _cost(MANY, HARD).sum(), "Caffe", "twice the loss: a deviance"),
        (np.mean(SHARES), "XGBoost", "means of batches of 5 rows averaged, the last one of 2"),
        (_written(1e-3), "NumPy", "0.001 added within the logarithm of all 22"),
        (np.logaddexp(0, -HARD * X).mean(), "NumPy", "targets 0 and 1 in a formula for -1 and 1"),
        (-np.where(HARD == 1, MANY, 1 - MANY).mean(), "PyTorch", "probabilities taken for their logarithms"),
        (((MANY - HARD) ** 2).mean(), "NumPy", "a Brier score, not a log loss"),
        (_cost(MANY, HARD).mean() / _entropy(HARD.mean()), "NumPy", "a normalised entropy, not a log loss"),
        (
            1 - _cost(MANY, HARD).mean() / _entropy(HARD.mean()),
            "scikit-learn",
            "a share of loss explained, not a log loss",
        ),
    ],
)
def test_mistakes_are_found_around_every_loss(got: float, system: str, why: str):
    found = ll.explain(HARD, probability=MANY, got=f"{got:.7g}")
    assert (system, why) in {(line.system, reason) for line in found.hits for reason in line.reasons}


def test_what_is_right_is_no_mistake():
    found = ll.explain(HARD, probability=MANY, got=f"{_cost(MANY, HARD).mean():.6f}")
    assert any(line.reasons == () for line in found.hits)
    assert not {"the labels 0 and 1 exchanged", "logarithms to base 2"} & {
        r for line in found.hits for r in line.reasons
    }


def test_digits_that_were_cut_off():
    found = ll.explain([1, 0, 1], logit=[5.0, -2.0, 0.5], got="0.2025")  # of 0.20257
    assert "digits cut off, not rounded" in {line.reasons[-1] for line in found.hits}


def test_many_predictions_are_searched_too(monkeypatch: pytest.MonkeyPatch):
    from logloss import explaining

    monkeypatch.setattr(explaining, "MANY", 21)
    found = ll.explain(HARD, probability=MANY, got=f"{-_cost(MANY, HARD).mean():.8g}")
    assert found.hits


@pytest.mark.parametrize("t", [[0.5, 0.3, 1.0], [0, 0, 0], [[0.5, 1], [0, 1], [1, 1]]])
def test_what_some_systems_refuse_is_searched_all_the_same(t: Any):
    p = np.full(np.shape(t), 0.25)
    found = ll.explain(t, probability=p, sample_weight=[1.0, 0.0, 2.0], got="17.3")
    assert not found.hits
    exact = ll.explain(t, probability=p).exact
    found = ll.explain(t, probability=p, got=f"{-exact:.9g}")
    assert "the sign turned" in {reason[:15] for line in found.hits for reason in line.reasons}
