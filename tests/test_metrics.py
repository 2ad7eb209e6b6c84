"""The log loss as a metric: against its definition, binary and multi-label, and its errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logloss as ll
import oracle
from logloss import log_loss
from oracle import assert_ulp

pytestmark = pytest.mark.numerical


def definition(y, p, w=None, keep=None):
    """Σ w·(-y·log p - (1-y)·log(1-p)) / Σ w, in mpmath."""
    w = np.ones(len(y)) if w is None else w
    rows = [(a, b, c) for a, b, c, k in zip(y, p, w, np.ones(len(y), bool) if keep is None else keep, strict=True) if k]
    total = sum(oracle.exact(c) * oracle.from_probability(b, *oracle.prices(a)).loss for a, b, c in rows)
    return total / sum(oracle.exact(c) for _, _, c in rows)


def test_three_by_three():
    """The mean over all nine elements: negatives count too, unlike in a multiclass log loss of the same data."""
    y = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
    p = np.array([[0.9, 0.2, 0.8], [0.1, 0.7, 0.3], [0.8, 0.6, 0.1]])
    want = -np.mean(np.where(y == 1, np.log(p), np.log(1 - p)))
    assert log_loss(y, p) == pytest.approx(want, rel=1e-15)
    assert log_loss(y, p) == pytest.approx(0.2455, abs=5e-5)
    assert 3 * log_loss(y, p) == pytest.approx(0.7366, abs=5e-5)  # the sum per row
    assert log_loss(y, p, average="macro") == pytest.approx(want, rel=1e-15)
    np.testing.assert_allclose(
        log_loss(y, p, average=None), -np.where(y == 1, np.log(p), np.log(1 - p)).mean(axis=0), rtol=1e-14
    )


def test_documented_values():
    assert log_loss([1, 0, 1], [0.9, 0.2, 0.7]) == pytest.approx(
        -(math.log(0.9) + math.log(0.8) + math.log(0.7)) / 3, rel=1e-15
    )
    assert log_loss([0.2, 0.8], [0.3, 0.7]) == pytest.approx(-0.2 * math.log(0.3) - 0.8 * math.log(0.7), rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1) | st.floats(2.0**-900, 1),  # w·t must not underflow
            st.floats(0, 1, exclude_min=True, exclude_max=True),
            st.floats(0.01, 100),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_is_the_definition(rows):
    y, p, w = (np.array(column, float) for column in zip(*rows, strict=True))
    # a sum of n float64 and one division: n/2 + 2 ulp at most
    assert_ulp(log_loss(y, p), [definition(y, p)], len(y) / 2 + 4)
    assert_ulp(log_loss(y, p, sample_weight=w), [definition(y, p, w)], len(y) + 6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("targets", ["bool", "int8", "int64", "uint64", "float16", "float32", "float64"])
def test_types_and_sizes(dtype, targets):
    rng = np.random.default_rng(1)
    for size in (1, 255, 257, 100_000, 600_000):
        p, y = (rng.random(size) * 0.998 + 0.001).astype(dtype), rng.integers(0, 2, size).astype(targets)
        wide = p.astype(np.float64)
        want = math.fsum(-np.where(y == 1, np.log(wide), np.log1p(-wide))) / size
        value = log_loss(y, p)
        assert type(value) is np.float64
        assert value == pytest.approx(want, rel=1e-13)


def test_weights_masks_and_ignored_targets():
    rng = np.random.default_rng(2)
    y, p, w = rng.integers(0, 2, 50), rng.random(50), rng.exponential(size=50)
    keep = rng.random(50) < 0.6
    assert_ulp(log_loss(y, p, sample_weight=w, mask=keep), [definition(y, p, w, keep)], 40)
    marked = np.where(keep, y, -1)
    assert_ulp(log_loss(marked, p, sample_weight=w, ignore_index=-1), [definition(y, p, w, keep)], 40)
    assert_ulp(log_loss(marked, p, ignore_index=-1), [definition(y, p, None, keep)], 30)
    assert log_loss(y, p, sample_weight=3 * w) == pytest.approx(log_loss(y, p, sample_weight=w), rel=1e-14)


def test_multi_label_averages():
    rng = np.random.default_rng(3)
    y, p, w = rng.integers(0, 2, (40, 5)), rng.random((40, 5)), rng.exponential(size=40)
    keep = rng.random((40, 5)) < 0.7
    for options, weight, mask in (
        ({}, np.ones(40), np.ones((40, 5), bool)),
        ({"sample_weight": w}, w, np.ones((40, 5), bool)),
        ({"sample_weight": w, "mask": keep}, w, keep),
    ):
        labels = [float(definition(y[:, j], p[:, j], weight, mask[:, j])) for j in range(5)]
        np.testing.assert_allclose(log_loss(y, p, average=None, **options), labels, rtol=1e-14)
        assert log_loss(y, p, average="macro", **options) == pytest.approx(np.mean(labels), rel=1e-14)
        micro = float(definition(y.ravel(), p.ravel(), np.repeat(weight, 5), mask.ravel()))
        assert log_loss(y, p, average="micro", **options) == pytest.approx(micro, rel=1e-14)
        assert log_loss(y, p, **options) == pytest.approx(micro, rel=1e-14)


def test_binary_has_one_label():
    y, p = [1, 0, 0], [0.6, 0.2, 0.3]
    for average in ("micro", "macro"):
        assert log_loss(y, p, average=average) == log_loss(y, p)
    np.testing.assert_array_equal(log_loss(y, p, average=None), [log_loss(y, p)])
    column = np.array(p)[:, None]
    assert log_loss(np.array(y)[:, None], column) == log_loss(y, p)


def test_infinite_is_infinite_and_never_clipped():
    assert log_loss([1, 0], [0.0, 0.5]) == math.inf
    assert log_loss([0, 0], [1.0, 0.5]) == math.inf
    assert log_loss([0, 1], [0.0, 1.0]) == 0.0
    np.testing.assert_array_equal(
        log_loss([[1, 0], [0, 0]], [[0.0, 0.5], [0.5, 0.5]], average=None), [math.inf, pytest.approx(math.log(2))]
    )
    assert log_loss([1, 0], [0.0, 0.5], eps=1e-15) == pytest.approx((-math.log(1e-15) + math.log(2)) / 2, rel=1e-15)
    for dtype in ("float16", "float32", "float64"):  # the same bad prediction whatever the type
        assert log_loss([1], np.zeros(1, dtype)) == math.inf


def test_one_class_is_as_good_as_two():
    assert log_loss([0, 0, 0], [0.1, 0.2, 0.3]) == pytest.approx(
        -(math.log(0.9) + math.log(0.8) + math.log(0.7)) / 3, rel=1e-15
    )
    assert log_loss(np.ones((2, 2)), np.full((2, 2), 0.5), average=None).tolist() == [pytest.approx(math.log(2))] * 2


def test_confident_and_right_keeps_its_digits():
    p = np.full(1000, 1e-12)
    assert log_loss(np.zeros(1000), p) == pytest.approx(-math.log1p(-1e-12), rel=1e-14)


def test_positives():
    positives = ll.Positives.from_lists([[0, 2], [], [1]], labels=3)
    p = np.random.default_rng(4).random((3, 3))
    dense = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    for average in ("micro", "macro", None):
        np.testing.assert_allclose(
            log_loss(positives, p, average=average), log_loss(dense, p, average=average), rtol=1e-15
        )


ERRORS = [
    ([], [], {}, "a log loss needs at least one element of positive weight; there is none."),
    *(
        (np.zeros((3, 0)), np.zeros((3, 0)), {"average": average, "sample_weight": weight}, "there is none.")
        for average in ("micro", "macro", None)
        for weight in (None, [1, 1, 1])
    ),
    ([1, 0], [0.5, 0.5], {"mask": [False, False]}, "there is none. Leave it out, or check mask and weights."),
    ([1, 1], [0.5, 0.5], {"ignore_index": 1}, "there is none"),
    ([1, 0], [0.5, 0.5], {"sample_weight": [0, 0]}, "there is none"),
    ([[1, -1], [0, -1]], [[0.5, 0.5]] * 2, {"ignore_index": -1, "average": None}, "label 1 has none"),
    ([[1, -1], [0, -1]], [[0.5, 0.5]] * 2, {"ignore_index": -1, "average": "macro"}, "label 1 has none"),
    (
        [1, 0],
        [0.5, 1.5],
        {},
        "probabilities must be in [0, 1] and not NaN; 1 of 2 values is not, the first at index 1: 1.5.",
    ),
    ([1, 0], [0.5, np.nan], {}, "the first at index 1: nan"),
    (
        [1, 2],
        [0.5, 0.5],
        {},
        "targets must be in [0, 1]; 1 of 2 values is not, the first at index 1: 2. Labels of 1 and 2?",
    ),
    ([-1, 1], [0.5, 0.5], {}, "Labels of -1 and +1?"),
    ([1, 0], [0.5, 0.5], {"sample_weight": [1, -1]}, "sample_weight must be finite and not negative"),
    ([1, 0], [0.5, 0.5], {"sample_weight": [1]}, "sample_weight must have shape (2,)"),
    (
        [1, 0],
        [0.5, 0.5],
        {"average": "weighted"},
        'average must be "micro", "macro" or None; got \'weighted\'. Use None for one value per label.',
    ),
    ([1, 0], [0.5, 0.5], {"average": np.array(["micro", "macro"])}, "got array(['micro', 'macro']"),
    (
        [1, 0],
        [[0.5, 0.5], [0.2, 0.8]],
        {},
        (
            "y_true and y_proba must have one shape; got (2,) and (2, 2). Both columns of predict_proba? Use"
            " y_proba[:, 1]."
        ),
    ),
    (
        [1, 0],
        [[0.5, 0.3, 0.2]] * 2,
        {},
        ("A multiclass model is not multi-label: choose one class's column, or give a 0/1 matrix of targets."),
    ),
    ([1, 0], [[0.5], [0.2]], {}, "got (2,) and (2, 1). Use y_proba.reshape((2,))."),
    ([[1], [0]], [0.5, 0.2], {}, "got (2, 1) and (2,). Use y_proba.reshape((2, 1))."),
    ([1, 0], [0.5], {}, "Give one probability per target"),
    (1, 0.5, {}, "y_true and y_proba must have shape (N,) or (N, labels); got ()."),
    (np.ones((2, 2, 2)), np.ones((2, 2, 2)), {}, "must have shape (N,) or (N, labels); got (2, 2, 2)."),
    ([1, 0], [0.5, 0.5], {"eps": 0.7}, "eps must be a finite number in [0, 0.5]; got 0.7"),
]


@pytest.mark.parametrize(
    ("y", "p", "options", "text"), ERRORS, ids=[f"{i}-{text[:30]}" for i, (_, _, _, text) in enumerate(ERRORS)]
)
def test_errors(y, p, options, text):
    with pytest.raises(ll.InvalidInputError) as caught:
        log_loss(y, p, **options)
    assert text in str(caught.value)


def test_only_numbers():
    with pytest.raises(ll.UnsupportedTypeError, match="targets must be bool, integer or floating"):
        log_loss(["cat", "dog"], [0.5, 0.5])
    with pytest.raises(TypeError):
        log_loss([1], [0.5], weights=[1])
