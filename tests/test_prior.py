"""Class balance: from the definitions, and by fitting models on weighted and on sampled data."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import logloss as ll
from logloss import balanced_pos_weight, correct_prior


def fit(x, t, **options):
    """Intercept and slopes of a logistic regression, by Newton's method."""
    design = np.column_stack([np.ones(len(t)), x])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        gradient, hessian = ll.grad_and_hess(design @ beta, t, **options)
        step = np.linalg.solve(design.T @ (design * hessian[:, None]), design.T @ gradient)
        beta -= step
        if np.abs(step).max() < 1e-13:
            return beta
    raise AssertionError("Newton's method did not converge")


def test_balance_by_hand():
    assert balanced_pos_weight([1, 0, 0, 0]) == 3.0
    assert balanced_pos_weight([True, True, False]) == 0.5
    np.testing.assert_array_equal(balanced_pos_weight([[1, 0], [0, 1], [0, 1], [0, 1]]), [3.0, 1 / 3])
    assert balanced_pos_weight([0.25, 0.25]) == 3.0
    assert balanced_pos_weight([1, 0, 0], sample_weight=[2, 3, 5]) == 4.0
    assert balanced_pos_weight([1, 0, -1, 0, 0], ignore_index=-1) == 3.0
    assert balanced_pos_weight([1, 0, 7, 0], mask=[True, True, False, False]) == 1.0
    np.testing.assert_array_equal(
        balanced_pos_weight(ll.Positives.from_lists([[0], [], [], [0, 1]], labels=2)), [1.0, 3.0]
    )


def test_balance_without_negatives_is_zero_and_small_shares_are_kept():
    weights = np.random.default_rng(100).random(100)
    assert balanced_pos_weight(np.ones(100), sample_weight=weights) == 0.0
    assert balanced_pos_weight([1.0, 0.0], sample_weight=[1e20, 1]) == 1e-20


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64", "bfloat16"])
def test_balance_of_every_type(dtype):
    t = np.random.default_rng(0).integers(0, 2, (1000, 3))
    positives = t.sum(axis=0)
    typed = t.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(balanced_pos_weight(typed), (1000 - positives) / positives)
    np.testing.assert_array_equal(balanced_pos_weight(typed[::-1]), (1000 - positives) / positives)


def test_balance_makes_positives_and_negatives_weigh_the_same():
    rng = np.random.default_rng(1)
    t, w = (rng.random((400, 3)) < [0.05, 0.3, 0.9]).astype(float), rng.exponential(size=400)
    a = balanced_pos_weight(t, sample_weight=w)
    gradient, _ = ll.grad_and_hess(np.zeros(t.shape), t, pos_weight=a, sample_weight=w)
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-12 * w.sum())


def test_balance_by_a_fit():
    """With the balanced weight, a model of the intercept alone predicts one half."""
    t = (np.random.default_rng(2).random(500) < 0.07).astype(float)
    assert fit(np.empty((500, 0)), t, pos_weight=balanced_pos_weight(t)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "options", "text"),
    [
        (
            [0, 0],
            {},
            (
                "a balanced weight needs at least one positive per label; the weight would be infinite. Leave "
                "the label out."
            ),
        ),
        ([[1, 0], [0, 0]], {}, "label 1 has none; the weight would be infinite"),
        ([1, 0], {"sample_weight": [0, 1]}, "needs at least one positive"),
        ([1, 0], {"mask": [False, True]}, "needs at least one positive"),
        ([], {}, "needs at least one positive"),
        ([1, 2], {}, "targets must be in [0, 1]; 1 of 2 values is not, the first at index 1: 2."),
        ([[1, 0], [0, -1]], {}, "index (1, 1): -1"),
        ([1, 0], {"sample_weight": [1, -1]}, "sample_weight must be finite and not negative"),
        ([1, 0], {"sample_weight": [1]}, "sample_weight must have shape (2,)"),
    ],
)
def test_balance_errors(targets, options, text):
    with pytest.raises(ll.InvalidInputError) as caught:
        balanced_pos_weight(targets, **options)
    assert text in str(caught.value)


def test_prior_by_hand():
    np.testing.assert_allclose(
        correct_prior([0.0, 1.0], negative_rate=0.1), [math.log(0.1), 1 + math.log(0.1)], rtol=1e-15
    )
    np.testing.assert_allclose(correct_prior([0.0], pos_weight=4.0), [-math.log(4)], rtol=1e-15)
    np.testing.assert_allclose(
        correct_prior([[0.0, 0.0]], pos_weight=[2.0, 1.0], negative_rate=[1.0, 0.5]),
        [[-math.log(2), math.log(0.5)]],
        rtol=1e-15,
    )
    np.testing.assert_array_equal(correct_prior([0.5, math.inf, -math.inf]), [0.5, math.inf, -math.inf])


def test_prior_keeps_type_and_input():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        x = np.array([1.5, -2.0], dtype)
        result = correct_prior(x, pos_weight=2.0)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, (np.array([1.5, -2.0]) - math.log(2)).astype(dtype))
        np.testing.assert_array_equal(x, np.array([1.5, -2.0], dtype))
    assert correct_prior([1, 2]).dtype == np.float64


def test_prior_undoes_a_weight():
    """A saturated model (two groups) trained with pos_weight, corrected, predicts the groups' rates."""
    rng = np.random.default_rng(3)
    group = rng.integers(0, 2, 4000)
    t = (rng.random(4000) < np.where(group == 1, 0.2, 0.05)).astype(float)
    beta = fit(group[:, None].astype(float), t, pos_weight=9.0)
    logits = correct_prior(np.array([beta[0], beta.sum()]), pos_weight=9.0)
    rates = np.array([t[group == 0].mean(), t[group == 1].mean()])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), rates, rtol=1e-9)


def test_prior_undoes_a_sampling():
    """Every tenth negative kept: the rate of the whole data comes back, exactly for an intercept alone."""
    t = np.repeat([1.0, 0.0], [300, 10_000])
    kept = np.concatenate([np.arange(300), np.arange(300, 10_300, 10)])
    beta = fit(np.empty((len(kept), 0)), t[kept])
    assert 1 / (1 + math.exp(-correct_prior(beta, negative_rate=0.1)[0])) == pytest.approx(t.mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pos_weight": 0.0}, "pos_weight must be positive and finite; got 0.0. Give the one that training used."),
        ({"pos_weight": math.inf}, "got inf"),
        ({"pos_weight": math.nan}, "got nan"),
        ({"negative_rate": 0.0}, "negative_rate must be in (0, 1]; got 0.0. Give the one that training used."),
        ({"negative_rate": 1.5}, "got 1.5"),
        ({"pos_weight": [[1.0]]}, "a number or one per label; got shape (1, 1)"),
        (
            {"pos_weight": [1.0, 2.0]},
            (
                "pos_weight must be a number or one per label; got shape (2,) for logits of shape (4, 3). "
                "Give as many as the last axis is long."
            ),
        ),
        ({"pos_weight": [1.0, 2.0], "negative_rate": [0.1, 0.2, 0.3]}, "pos_weight must be a number or one per label"),
        ({"pos_weight": "abc"}, "pos_weight must hold real numbers; got dtype <U3."),
        ({"negative_rate": 1j}, "negative_rate must hold real numbers; got dtype complex128."),
        ({"pos_weight": np.datetime64("2020")}, "pos_weight must hold real numbers; got dtype datetime64[Y]."),
        ({"pos_weight": [[1.0], [1.0, 2.0]]}, "pos_weight must be a rectangular array"),
    ],
)
def test_prior_errors(options, text):
    with pytest.raises(ll.InvalidInputError) as caught:
        correct_prior(np.zeros((4, 3)), **options)
    assert text in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_prior_beyond_the_type_is_infinite():
    assert correct_prior(np.float16([65504]), pos_weight=1e-300) == math.inf


def test_only_numbers():
    with pytest.raises(ll.UnsupportedTypeError):
        correct_prior(["a"])
    with pytest.raises(ll.UnsupportedTypeError):
        balanced_pos_weight(["yes", "no"])
    with pytest.raises(ll.UnsupportedTypeError, match="pos_weight must not be a masked array"):
        correct_prior([0.0, 0.0], pos_weight=np.ma.masked_array([1.0, 2.0], [True, False]))
