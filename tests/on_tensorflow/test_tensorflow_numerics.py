"""`tf.debugging.enable_check_numerics` looks at every operation: on good data it finds neither infinity nor NaN."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

import logloss as ll
from reference import LOSSES

pytestmark = pytest.mark.numerical

POINTS = {
    "probabilities": [0.0, 0.02, 0.5, 0.98, 1.0],
    "log_probs": [0.0, -0.02, -0.5, -5.0, -100.0, -1000.0],
}
LOGITS = [sign * x for x in (0.0, 1.0, 20.0, 89.0, 92.0, 100.0, 200.0, 1e4, 3e4) for sign in (1, -1)]
OWN = {
    "probabilities": [{}, {"eps": 1e-3}],
    "focal": [{}, {"gamma": 0.5, "alpha": 0.25}, {"gamma": tf.Variable(1.5), "label_smoothing": tf.Variable(0.1)}],
    "asymmetric": [{}, {"clip": None, "gamma_pos": 0.0}, {"clip": 0.0, "gamma_neg": tf.Variable(2.0)}],
}
CASES = [(loss, own) for loss in LOSSES for own in OWN.get(loss, [{}])]
OPTIONS = [
    {"mask": [True], "sample_weight": 1.0, "pos_weight": 2.0},
    {"normalizer": 3.0},
    {"reduction": "weighted_mean", "weight": [1.0], "ignore_index": 1},
]


@pytest.fixture
def checked():
    tf.debugging.enable_check_numerics()
    yield
    tf.debugging.disable_check_numerics()


def good_data(loss, dtype):
    """Every pair of a point and a target whose loss is finite."""
    points = [x for x in POINTS.get(loss, LOGITS) if abs(x) < tf.as_dtype(dtype).max]
    certain = {"probabilities": {(0.0, 1.0), (0.0, 0.3), (1.0, 0.0), (1.0, 0.3)}, "log_probs": {(0.0, 0.0), (0.0, 0.3)}}
    pairs = [pair for pair in itertools.product(points, [0.0, 0.3, 1.0]) if pair not in certain.get(loss, set())]
    return (tf.cast(tf.constant(column), dtype) for column in zip(*pairs, strict=True))


def thrice(loss, x, t, **options):
    """Value, gradient and second derivative."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = LOSSES[loss](x, t, **options)
        slopes = inner.gradient(value, x)
    return value, slopes, outer.gradient(slopes, x)


def find_nothing(loss, dtype, **options):
    x, t = good_data(loss, dtype)
    for function in (thrice, tf.function(thrice, autograph=False)):
        for array in function(loss, x, t, **options):
            assert np.isfinite(array).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "own"), CASES, ids=str)
def test_nothing_is_found_on_good_data(loss, own, dtype, checked):
    find_nothing(loss, dtype, **own)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nothing_is_found_with_options(options, checked):
    for loss in ("logits", "probabilities"):
        find_nothing(loss, "float16", **options)


@pytest.mark.parametrize(("loss", "point"), [("probabilities", 1e-30), ("log_probs", -1e-30)])
def test_nothing_is_found_of_a_hessian_that_nobody_wants(loss, point, checked):
    """1/p² is infinite in float32."""
    x, t = tf.constant([point]), tf.constant([1.0 if loss == "probabilities" else 0.0])
    for function in (ll.value_and_grad, tf.function(ll.value_and_grad, autograph=False)):
        value, slope = function(x, t, loss=LOSSES[loss])
        assert float(value) == pytest.approx(30 * math.log(10), rel=1e-6)
        assert abs(float(slope[0])) == pytest.approx(1e30, rel=1e-6)


def test_an_infinite_loss_is_found(checked):
    """So the checks do look."""
    for function in (ll.binary_cross_entropy, tf.function(ll.binary_cross_entropy, autograph=False)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="-Inf"):
            function(tf.zeros(2), tf.ones(2))


def test_bad_data_is_nan_in_a_graph_without_a_constant_that_is():
    """NaN is made where a value breaks a rule, and only there."""
    function = tf.function(lambda x, t: ll.value_and_grad(x, t, reduction="none"), autograph=False)
    losses, slopes = function(tf.zeros(3), tf.constant([0.0, 2.0, 1.0]))
    np.testing.assert_allclose(losses, [math.log(2), math.nan, math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(slopes, [0.5, math.nan, -0.5])
    graph = function.get_concrete_function(*[tf.TensorSpec(3)] * 2).graph
    constants = [tf.make_ndarray(one.get_attr("value")) for one in graph.get_operations() if one.type == "Const"]
    assert constants
    assert all(np.isfinite(one).all() for one in constants if one.dtype.kind == "f")
