"""Lengths that only a running graph knows: the same rules as in eager code, compiled by XLA or not."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import logloss as ll
from reference import LOSSES, message

bce = ll.binary_cross_entropy_with_logits
ROWS, ANY, VECTOR = tf.TensorSpec((None, 2)), tf.TensorSpec((None, None)), tf.TensorSpec((None,))
LOG_2 = np.log(2.0)


def compiled(function, *signature, xla):
    return tf.function(function, input_signature=signature, jit_compile=xla, autograph=False)


def fails(function, *arrays, text=""):
    """The graph does not run; XLA has no words for it."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        function(*arrays)
    assert text in str(caught.value)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_logits_and_targets_have_one_shape(loss, xla):
    """One row never counts as many, and neither do as many elements in another shape."""
    function = compiled(lambda x, t: ll.value_and_grad(-x, t, loss=LOSSES[loss]), ANY, ANY, xla=xla)
    text = "" if xla else "logits and targets must have one shape"
    for one, other in (((1, 2), (4, 2)), ((4, 2), (1, 2)), ((4, 1), (4, 2)), ((2, 6), (3, 4)), ((0, 2), (1, 2))):
        fails(function, tf.zeros(one), tf.ones(other), text=text)
    x = tf.fill((4, 2), 0.5 if loss == "log_probs" else -0.5)
    value, gradient = function(x, tf.ones((4, 2)))
    want = ll.value_and_grad(-x, tf.ones((4, 2)), loss=LOSSES[loss])
    np.testing.assert_allclose(value, want[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, want[1], rtol=1e-6)


OPTIONS = {
    "sample_weight": (VECTOR, {}, (1,)),
    "weight": (ROWS, {}, (3, 2)),
    "mask": (tf.TensorSpec((None, 2), tf.bool), {}, (3, 2)),
    "pos_weight": (VECTOR, {}, (3,)),
    "label_weight": (VECTOR, {}, (4,)),
    "normalizer": (VECTOR, {"axis": -1}, (1,)),
}
"""What is known of an option, what goes with it, and lengths that do not fit logits of shape (4, 2)."""


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_as_long_as_the_logits(option, xla):
    known, company, wrong = OPTIONS[option]
    right = {"pos_weight": (2,), "label_weight": (2,), "weight": (4, 2), "mask": (4, 2)}.get(option, (4,))

    def step(x, t, value):
        return ll.value_and_grad(x, t, **{option: value}, **company)

    function = compiled(step, ROWS, ROWS, known, xla=xla)
    x, t = tf.zeros((4, 2)), tf.ones((4, 2))
    for got, want in zip(
        function(x, t, tf.ones(right, known.dtype)), step(x, t, tf.ones(right, known.dtype)), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    fails(function, x, t, tf.ones(wrong, known.dtype))
    if len(right) == 2:  # the logits are not made as many as the weights
        fails(function, x[:1], t[:1], tf.ones(right, known.dtype))
        assert float(function(x, t, tf.ones((1, 2), known.dtype))[0]) == pytest.approx(
            LOG_2
        )  # 1 in place of any length


def test_assertions_say_what_was_wrong():
    function = compiled(lambda x, t, w: bce(x, t, sample_weight=w), ROWS, ROWS, VECTOR, xla=False)
    text = "sample_weight must be as long as axes (0,) of the logits; got lengths"
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        function(tf.zeros((4, 2)), tf.zeros((4, 2)), tf.ones(1))
    assert text in str(caught.value).replace("\\'", "'")


@pytest.mark.parametrize("xla", [False, True])
def test_lengths_known_on_one_side_only(xla):
    """A constant says how many rows there must be."""
    two = tf.ones((2, 3))
    for options in (
        {"mask": np.ones((2, 3), bool)},
        {"sample_weight": [1.0, 1.0]},
        {"weight": np.ones((2, 3))},
        {"normalizer": [3.0, 3.0], "axis": 1},
        {"pos_weight": [1.0, 1.0, 1.0], "mask": [[True], [True]]},
    ):
        for signature in ((None, 3), (None, None)):
            function = compiled(lambda x, t: bce(x, t, **options), *[tf.TensorSpec(signature)] * 2, xla=xla)  # noqa: B023
            assert np.mean(function(two - 1, two)) == pytest.approx(LOG_2)
            for rows in (1, 4):
                fails(function, tf.zeros((rows, 3)), tf.ones((rows, 3)))
    for signature in (((None, 3), (2, None)), ((None, None), (2, 3)), ((2, 3), (None, None))):
        function = compiled(bce, *map(tf.TensorSpec, signature), xla=xla)
        assert float(function(two - 1, two)) == pytest.approx(LOG_2)
    denominator = compiled(lambda t: ll.denominator(t, mask=np.ones((2, 3), bool), axis=0), ANY, xla=xla)
    np.testing.assert_array_equal(denominator(two), [2, 2, 2])


def test_what_is_known_to_differ_is_refused_when_the_graph_is_made():
    x = tf.TensorSpec((None, 3))
    for options, text in (
        ({"mask": np.ones((2, 4), bool)}, "(None, 3), or 1 in place of any length; got shape (2, 4)"),
        ({"sample_weight": np.ones((2, 1))}, "one weight per row of logits of shape (None, 3); got shape (2, 1)"),
        ({"weight": np.ones(2)}, "got shape (2,). Nothing broadcasts silently"),
        ({"pos_weight": np.ones(4)}, "a vector of length 3"),
        ({"normalizer": np.ones(2)}, "have the reduced shape (); got shape (2,)"),
    ):
        function = tf.function(lambda x, t: bce(x, t, **options), autograph=False)  # noqa: B023
        assert text in message(ll.InvalidInputError, function.get_concrete_function, x, x)
    function = tf.function(bce, autograph=False)
    assert "got (None, 3) and (None, 4)" in message(
        ll.InvalidInputError, function.get_concrete_function, x, tf.TensorSpec((None, 4))
    )


def test_static_lengths_cost_nothing():
    """No operation of a graph compares lengths that are known."""
    function = tf.function(lambda x, t, w: bce(x, t, weight=w), autograph=False)
    graph = function.get_concrete_function(*[tf.TensorSpec((4, 2))] * 3).graph
    assert not {"Assert", "Shape", "Reshape"} & {operation.type for operation in graph.get_operations()}


def test_sessions_of_graphs_compare_lengths_too():
    x, t, w = np.zeros((4, 3)), np.ones((4, 3)), np.ones(4)
    with tf.Graph().as_default():
        arrays = [tf.compat.v1.placeholder(tf.float32, (None, 3)[: one.ndim]) for one in (x, t, w)]
        value = bce(arrays[0], arrays[1], sample_weight=arrays[2])
        slopes = tf.compat.v1.gradients(value, arrays[0])
        with tf.compat.v1.Session() as session:

            def evaluated(*given):
                return session.run([value, *slopes], dict(zip(arrays, given, strict=True)))

            assert evaluated(x, t, w)[0] == pytest.approx(LOG_2)
            fails(evaluated, x[:1], t, w[:1])
            fails(evaluated, x, t, w[:1])
