"""Negatives drawn at random: the mean of loss and gradient over all that can be drawn is that of all labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import logloss as ll
from logloss.sampling import weighted
from reference import message

LABELS = 7
TARGETS = ll.Positives.from_lists([[1, 4], [], [4]], LABELS)


@pytest.mark.parametrize("probabilities", [None, [3.0, 1.0, 0.5, 2.0, 1.0, 0.25, 4.0]], ids=["uniform", "popularity"])
def test_the_expectation_is_the_loss_of_all_labels(probabilities: list[float] | None):
    """Every outcome of two draws, each with its probability: nothing is left to chance."""
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(3, 4)), rng.normal(size=(LABELS, 4)), rng.normal(size=LABELS)
    chances = None if probabilities is None else np.array(probabilities)
    kept = np.array([1, 4])
    others = [0, 2, 3, 5, 6]
    q = np.ones(LABELS) if chances is None else chances
    q = q / q[others].sum()
    mean, by_x, by_w = 0.0, np.zeros_like(x), np.zeros_like(w)
    for drawn in itertools.product(others, repeat=2):
        some = weighted(TARGETS, kept, np.array(drawn), chances)
        assert some.targets.shape == (3, len(some.labels))
        value, grads = ll.linear_value_and_grad(
            x,
            w[some.labels],
            some.targets,
            linear_bias=b[some.labels],
            label_weight=some.label_weight,
            normalizer=some.normalizer,
            pos_weight=2.0,
        )
        chance = q[drawn[0]] * q[drawn[1]]
        mean += chance * value
        by_x += chance * grads.inputs
        by_w[some.labels] += chance * grads.linear_weight
    want, grads = ll.linear_value_and_grad(x, w, TARGETS, linear_bias=b, pos_weight=2.0)
    assert mean == pytest.approx(want, rel=1e-13)
    np.testing.assert_allclose(by_x, grads.inputs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(by_w, grads.linear_weight, rtol=0, atol=1e-14)


@pytest.mark.parametrize("probabilities", [None, np.arange(1.0, LABELS + 1)], ids=["uniform", "popularity"])
def test_labels_are_drawn_as_often_as_they_should_be(probabilities: np.ndarray | None):
    count = 20_000
    some = ll.sample_labels(TARGETS, count, probabilities=probabilities, rng=np.random.default_rng(1))
    assert some.labels.tolist() == list(range(LABELS))
    assert some.label_weight[[1, 4]].tolist() == [1.0, 1.0]
    others = some.label_weight[[0, 2, 3, 5, 6]]  # times drawn, over how many times expected
    assert np.abs(others - 1.0).max() < 5 / np.sqrt(count / 28)
    assert some.targets.indices.tolist() == TARGETS.indices.tolist()


def test_few_labels_and_many():
    everywhere = ll.Positives.from_lists([[0, 1, 2]], 3)
    assert ll.sample_labels(everywhere, 5).label_weight.tolist() == [1.0, 1.0, 1.0]
    nowhere = ll.sample_labels(ll.Positives.from_lists([[], []], 10**6), 100, rng=np.random.default_rng(0))
    assert nowhere.label_weight.sum() == pytest.approx(10**6)
    assert nowhere.normalizer == 2e6


def test_bad_input_says_rule_value_and_remedy():
    assert "positive whole number" in message(ll.InvalidInputError, ll.sample_labels, TARGETS, 0)
    text = message(ll.InvalidInputError, ll.sample_labels, TARGETS, 3, probabilities=[1.0] * 6 + [0.0])
    assert "got 0 at index 6" in text
    assert "(7,)" in message(ll.InvalidInputError, ll.sample_labels, TARGETS, 3, probabilities=[1.0])
    text = message(ll.InvalidInputError, ll.sample_labels, TARGETS, 3, probabilities=["1"] * 7)
    assert "probabilities must hold real numbers" in text
    assert ll.sample_labels(TARGETS, 3, rng=0)[0].tolist() == ll.sample_labels(TARGETS, 3, rng=0)[0].tolist()
    assert "got ndarray" in message(ll.UnsupportedTypeError, ll.sample_labels, np.zeros((2, 3)), 3)
