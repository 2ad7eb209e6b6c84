"""Settings that are variables: their values count when a graph runs, and tapes give their derivatives."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import logloss as ll
from reference import LOSSES, data, message

HOW = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "xla": lambda function: tf.function(function, autograph=False, jit_compile=True),
}
ANNEALED = {
    "pos_weight": ("logits", 1.0, 9.0),
    "label_weight": ("logits", [1.0, 2.0, 3.0], [0.0, 1.0, 5.0]),
    "sample_weight": ("logits", [1.0, 1.0], [0.5, 2.0]),
    "weight": ("logits", [[1.0, 2.0, 3.0]], [[3.0, 0.0, 1.0]]),
    "normalizer": ("logits", 2.0, 3.0),
    "label_smoothing": ("logits", 0.0, 0.4),
    "eps": ("probabilities", 1e-7, 0.4),
    "gamma": ("focal", 2.0, 0.0),
    "alpha": ("focal", 0.25, 0.75),
    "clip": ("asymmetric", 0.0, 0.3),
    "gamma_neg": ("asymmetric", 4.0, 0.5),
    "gamma_pos": ("asymmetric", 1.0, 0.0),
}
"""A loss of each option, and two values of it."""


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("option", ANNEALED)
def test_the_value_of_now_counts(option, how):
    loss, *values = ANNEALED[option]
    x, t = (tf.constant(array, tf.float32) for array in data(loss, (2, 3), 5, "soft"))
    variable = (keras if how == "graph" else tf).Variable(values[0], dtype="float32")
    function = HOW[how](lambda x, t: ll.value_and_grad(x, t, loss=LOSSES[loss], **{option: variable}))
    for value in values:
        variable.assign(value)
        want = ll.value_and_grad(x.numpy(), t.numpy(), loss=LOSSES[loss], **{option: value})
        for got, exact in zip(function(x, t), want, strict=True):
            np.testing.assert_allclose(got, exact, rtol=3e-6, atol=1e-7)


def test_annealed_by_hand():
    """Of a logit of 0 and a positive: log 2, and its price times as much."""
    x, t, price = tf.zeros((2, 3)), tf.ones((2, 3)), tf.Variable(1.0)
    loss = tf.function(lambda x, t: ll.binary_cross_entropy_with_logits(x, t, pos_weight=price))
    assert float(loss(x, t)) == pytest.approx(0.693147181)
    price.assign(5.0)
    assert float(loss(x, t)) == pytest.approx(3.465735903)


LEARNT = [
    ("focal", "int", {"gamma": 1.5, "alpha": 0.3, "label_smoothing": 0.1, "pos_weight": 2.0}),
    ("focal", "soft", {"gamma": 0.5, "alpha": [0.2, 0.3, 0.5], "label_weight": [1.0, 2.0, 3.0]}),
    ("asymmetric", "soft", {"gamma_neg": 2.0, "gamma_pos": 0.5, "clip": 0.3}),
    ("asymmetric", "int", {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05, "label_smoothing": 0.2}),
    ("probabilities", "soft", {"eps": 0.2, "label_smoothing": 0.1}),
    ("logits", "int", {"label_smoothing": 0.1, "pos_weight": [1.0, 2.0, 3.0]}),
]


@pytest.mark.parametrize("how", ["eager", "xla"])
@pytest.mark.parametrize(("loss", "kind", "options"), LEARNT, ids=str)
def test_tapes_differentiate_settings(loss, kind, options, how):
    """First derivatives, and those of the slopes in the logits, against differences of the losses on NumPy."""
    x, t = data(loss, (4, 3), 1, kind)
    variables = {name: tf.Variable(number, dtype=tf.float64) for name, number in options.items()}

    def slopes(x):
        with tf.GradientTape() as outer:
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(x)
                value = LOSSES[loss](x, tf.constant(t), **variables, reduction="sum")
            along_x = tf.reduce_sum(inner.gradient(value, x))
        return inner.gradient(value, variables), outer.gradient(along_x, variables)

    got = HOW[how](slopes)(tf.constant(x))
    for name, number in options.items():
        for direction in np.eye(np.size(number)).reshape(-1, *np.shape(number)):
            values = [(number + step * direction).tolist() for step in (1e-6, -1e-6)]
            ends = [
                ll.value_and_grad(x, t, loss=LOSSES[loss], **{**options, name: value}, reduction="sum")
                for value in values
            ]
            for order in (0, 1):
                change = (np.sum(ends[0][order]) - np.sum(ends[1][order])) / 2e-6
                assert np.vdot(got[order][name], direction) == pytest.approx(change, rel=1e-5, abs=1e-6), name


def test_what_is_out_of_its_interval():
    x, t = tf.fill((2, 3), 0.5), tf.ones((2, 3))
    for loss, name, value in (("focal", "gamma", -1.0), ("focal", "alpha", 1.5), ("asymmetric", "clip", 2.0),
                              ("probabilities", "eps", 0.7), ("logits", "label_smoothing", float("nan"))):  # fmt: skip
        variable = tf.Variable(value)
        text = f"{name} must be a finite number in [0, "
        assert text in message(ll.InvalidInputError, LOSSES[loss], x, t, **{name: variable})
        graph = tf.function(lambda x, t: ll.value_and_grad(x, t, loss=LOSSES[loss], **{name: variable}))  # noqa: B023
        assert all(np.isnan(array).all() for array in graph(x, t))
        variable.assign(0.5)
        assert all(np.isfinite(array).all() for array in graph(x, t))
    text = message(ll.InvalidInputError, ll.sigmoid_focal_loss, x, t, gamma=tf.Variable([1.0, 2.0]))
    assert "gamma must be one real number; got a tensor of shape (2,)" in text
    assert "got [1.5]" not in message(ll.InvalidInputError, ll.sigmoid_focal_loss, x, t, alpha=[0.1, 1.5, 0.3])
    np.testing.assert_allclose(
        ll.sigmoid_focal_loss(x, t, alpha=tf.constant([0.2, 0.3, 0.5])),
        ll.sigmoid_focal_loss(x.numpy(), t.numpy(), alpha=[0.2, 0.3, 0.5]),
        rtol=1e-6,
    )


@pytest.mark.parametrize("option", ["axis", "label_axis", "reduction", "ignore_index", "validate"])
def test_what_cannot_be_a_variable_is_refused(option):
    x, one = tf.zeros((2, 3)), tf.Variable(1)
    bce = ll.binary_cross_entropy_with_logits
    for value in (one, keras.Variable(1.0)):
        assert f"{option} must" in message(ll.InvalidInputError, bce, x, x, **{option: value})
    graph = tf.function(lambda x: bce(x, x, **{option: one}), autograph=False)
    assert f"{option} must" in message(ll.InvalidInputError, graph, x)


def test_variables_as_data():
    x, t = np.array([0.5, -1.0], np.float32), np.array([1.0, 0.0], np.float32)
    bce = ll.binary_cross_entropy_with_logits
    assert float(bce(tf.Variable(x), tf.Variable(t))) == float(bce(tf.constant(x), tf.constant(t)))
    for pair in ((keras.Variable(x), tf.constant(t)), (tf.constant(x), keras.Variable(t)), (keras.Input((3,)),) * 2):
        assert "variable.value for a variable" in message(ll.UnsupportedTypeError, bce, *pair)
