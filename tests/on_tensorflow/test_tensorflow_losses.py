"""Losses on TensorFlow tensors: every loss, option and type; eager, in graphs and compiled; to second order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

import logloss as ll
import reference
from cases import ALONE, EDGES, IGNORED, REDUCTIONS
from reference import LOSSES, close, data, message

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits


def compare(loss, x, t, rtol, **options):
    """Against the elementwise reference, and the denominator too."""
    _, _, want = reference.compare(loss, x, t, rtol, **options)
    if want.denominator is not None:
        close(ll.denominator(t, **options).numpy(), want.denominator, max(rtol, 1e-6))


@pytest.mark.parametrize("options", [{}, *REDUCTIONS], ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_reduction(loss, options):
    x, t = (tf.constant(array) for array in data(loss, (2, 3, 4), 1, "soft"))
    compare(loss, x, t, 1e-12, **options)


@pytest.mark.parametrize(("shape", "options"), ALONE.values(), ids=ALONE.keys())
def test_each_option_alone(shape, options):
    """Given as lists, as NumPy arrays and as tensors."""
    x, t = (tf.constant(array, tf.float32) for array in data("logits", shape, 5, "soft"))
    for kind in (lambda value: value, np.asarray, tf.constant):
        given = {name: value if name in ("label_axis", "label_smoothing", "axis") else kind(value)
                 for name, value in options.items()}  # fmt: skip
        compare("logits", x, t, 2e-6, **given)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_types(dtype):
    for loss in LOSSES:
        x, t = data(loss, (2, 3, 4), 3, "soft")
        x = {"probabilities": np.clip(x, 0.01, 0.98), "log_probs": np.clip(x, -8.0, -0.02)}.get(loss, x)
        x, t = tf.cast(x, dtype), tf.cast(t, tf.float32)
        compare(loss, x, t, max(8e-6, 0.008 if dtype == "bfloat16" else 0.001 if dtype == "float16" else 0))
        assert LOSSES[loss](x, t, reduction="none").dtype == x.dtype
        assert LOSSES[loss](x, t).dtype == tf.float32


def test_targets_of_every_type():
    x, t = data("logits", (50,), 4, "int")
    x = tf.constant(x, tf.float32)
    for dtype in ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int64", "float16", "bfloat16", "float64"):
        assert float(bce(x, tf.cast(t, dtype))) == float(bce(x, tf.cast(t, tf.float32)))


def test_soft_targets_wider_than_the_logits():
    """1 - t has the targets' digits: x = 20 and t = 1 - 1e-8, by hand log1p(e^-20) + 20e-8 and σ(20) - t."""
    x, t = tf.constant([20.0]), tf.constant([1 - 1e-8], tf.float64)
    for function in (ll.value_and_grad, tf.function(ll.value_and_grad, autograph=False)):
        value, gradient = function(x, t)
        assert float(value) == pytest.approx(2.0206115e-7, rel=1e-6)
        assert gradient.numpy() == pytest.approx([7.938846e-9], rel=1e-5)


@pytest.mark.parametrize(("value", "dtype"), IGNORED)
def test_ignored_values_of_every_type(value, dtype):
    marker = np.dtype(dtype).type(np.float32(value) if dtype == "float32" else value)
    value = float(marker) if np.dtype(dtype).kind == "f" else value
    t = np.array([0, marker, 1, marker, 0, 1], dtype)
    x = np.array([0.5, np.nan, -1.0, np.inf, 2.0, 3.0], np.float32)
    counts = ~np.isnan(t) if value != value else t != marker
    want = bce(x[counts], t[counts])
    assert float(bce(tf.constant(x), tf.constant(t), ignore_index=value)) == pytest.approx(want, rel=1e-6)
    assert float(ll.denominator(tf.constant(t), ignore_index=value)) == counts.sum()


def twice(x, t):
    """Losses, slopes and curvatures by nested tapes."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            losses = bce(x, t, reduction="none")
        slopes = inner.gradient(losses, x)
    return losses, slopes, outer.gradient(slopes, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_edges(dtype, how):
    """Against the oracle, forward and through tapes; subnormal results may be flushed to 0."""
    x, t = (np.array(column, dtype) for column in zip(*itertools.product(EDGES, [0.0, 0.3, 1.0]), strict=True))
    want = reference.reference("logits", x, t, reduction="none")
    step = {"eager": twice, "graph": tf.function(twice), "xla": tf.function(twice, jit_compile=True)}[how]
    for which, got in zip(("loss", "slope", "hessian"), step(tf.constant(x), tf.constant(t)), strict=True):
        want.check(got.numpy(), which, least=np.finfo(dtype).tiny)


@pytest.mark.parametrize("loss", LOSSES)
def test_graphs_of_a_batch_of_unknown_length(loss):
    """One trace for every length, with and without XLA."""
    rng, pos_weight = np.random.default_rng(3), [1.0, 2.0, 3.0]

    def step(x, t, weight):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = LOSSES[loss](x, t, sample_weight=weight, pos_weight=pos_weight)
        return value, tape.gradient(value, x)

    signature = [tf.TensorSpec((None, 3)), tf.TensorSpec((None, 3), tf.int32), tf.TensorSpec((None,))]
    for xla in (False, True):
        function = tf.function(step, jit_compile=xla, input_signature=signature)
        for length in (2, 5):
            x, t = data(loss, (length, 3), 4, "int")
            x, weight = x.astype(np.float32), rng.random(length).astype(np.float32)
            want = reference.reference(loss, x, t, sample_weight=weight, pos_weight=pos_weight)
            value, gradient = function(tf.constant(x), tf.constant(t, tf.int32), tf.constant(weight))
            np.testing.assert_allclose(value, want.value, rtol=1e-6)
            want.check(gradient.numpy())
        assert function.experimental_get_tracing_count() == 1


def test_gradients_of_targets_and_weights():
    x, t = (tf.constant(array) for array in data("logits", (3, 4), 2, "soft"))
    weight, pos_weight = tf.constant(np.linspace(1, 2, 12).reshape(3, 4)), tf.Variable(np.linspace(1.0, 2.0, 4))

    def loss(t, weight, pos_weight):
        return bce(x, t, weight=weight, pos_weight=pos_weight)

    with tf.GradientTape() as tape:
        tape.watch([t, weight])
        value = loss(t, weight, pos_weight)
    slopes = tape.gradient(value, [t, weight, pos_weight])
    for position, slope in enumerate(slopes):
        for sign in np.random.default_rng(position).choice([-1.0, 1.0], (2, *slope.shape)):
            ends = [loss(*(a + 1e-6 * s * sign if i == position else a for i, a in enumerate((t, weight, pos_weight))))
                    for s in (1, -1)]  # fmt: skip
            assert float(ends[0] - ends[1]) / 2e-6 == pytest.approx(float((slope * sign).numpy().sum()), rel=1e-6)


def test_focal_targets_are_constants():
    x, t = tf.zeros(3), tf.fill(3, 0.5)
    with tf.GradientTape() as tape:
        tape.watch(t)
        value = ll.sigmoid_focal_loss(x, t)
    assert tape.gradient(value, t) is None


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_masked_leaves_no_trace(loss):
    x, t = (array.astype(np.float32) for array in data(loss, (40,), 8, "soft"))
    keep = np.random.default_rng(9).random(40) < 0.6
    want = reference.reference(loss, x[keep], t[keep])
    x[~keep] = np.resize([np.nan, np.inf, -np.inf, 3.0], (~keep).sum())
    t[~keep] = -7
    for options in ({"mask": keep}, {"ignore_index": -7}):
        logits = tf.Variable(x)
        with tf.GradientTape() as tape:
            value = LOSSES[loss](logits, tf.constant(t), **options)
        gradient = tape.gradient(value, logits).numpy()
        np.testing.assert_allclose(value, want.value, rtol=1e-6)
        want.check(gradient[keep])
        assert not gradient[~keep].any()


def test_positives_are_their_dense_matrix():
    x, t = data("logits", (20, 30), 7, "int")
    positives = ll.Positives.from_scipy(scipy.sparse.csr_array(t))
    logits = tf.constant(x, tf.float32)
    for options in ({}, {"axis": 1}, {"pos_weight": np.linspace(0, 3, 30)}):
        want = reference.reference("logits", logits.numpy(), t, **options)
        for function in (ll.value_and_grad, tf.function(ll.value_and_grad)):
            value, gradient = function(logits, positives, **options)
            np.testing.assert_allclose(value, want.value, rtol=1e-6)
            want.check(gradient.numpy())


def test_nothing_to_count_is_zero():
    value, gradient = ll.value_and_grad(tf.ones((2, 3)), tf.ones((2, 3)), ignore_index=1)
    assert float(value) == float(tf.reduce_sum(gradient)) == 0
    assert float(bce(tf.zeros((0, 3)), tf.zeros((0, 3)))) == 0


def test_metrics_and_priors():
    y, p = tf.constant([1, 0, 1]), tf.constant([0.9, 0.2, 0.7])
    assert float(ll.log_loss(y, p)) == pytest.approx(0.228393003, rel=1e-6)
    assert float(ll.balanced_pos_weight(y)) == 0.5
    shifted = ll.correct_prior(tf.zeros((2, 2)), pos_weight=[1.0, math.e])
    np.testing.assert_allclose(shifted, [[0, -1], [0, -1]], rtol=1e-6)


BAD = [
    ({"targets": [0.0, 255.0]}, "A 0-255 mask?"),
    ({"sample_weight": [1.0, -1.0]}, "sample_weight must be finite and not negative"),
    ({"weight": [1.0, math.inf]}, "weight must be finite and not negative"),
    ({"pos_weight": -1.0}, "pos_weight must be finite and not negative"),
    ({"normalizer": 0.0}, "normalizer must be positive and finite"),
]


@pytest.mark.parametrize(("bad", "text"), BAD, ids=str)
def test_bad_values_are_errors_where_they_can_be_seen_and_nan_elsewhere(bad, text):
    x, t = tf.constant([0.5, -1.0]), tf.constant(bad.get("targets", [0.0, 1.0]))
    options = {name: value for name, value in bad.items() if name != "targets"}
    for function in (bce, ll.value_and_grad):
        assert text in message(ll.InvalidInputError, function, x, t, **options)
    assert text in message(ll.InvalidInputError, ll.denominator, t, **options)
    value, gradient = tf.function(lambda x, t: ll.value_and_grad(x, t, **options))(x, t)
    assert np.isnan(value)
    assert np.isnan(gradient).any()


def test_shapes_types_and_kinds():
    x = tf.zeros((3, 4))
    ragged = tf.ragged.constant([[1.0], [2.0, 3.0]])
    assert "Use targets.reshape((3, 4))" in message(ll.InvalidInputError, bce, x, tf.zeros(12))
    assert "Use label_axis=0" in message(ll.InvalidInputError, bce, x, x, pos_weight=tf.ones(3))
    assert "mask must be boolean" in message(ll.InvalidInputError, bce, x, x, mask=tf.ones((3, 4)))
    for labels in (np.zeros((3, 4)), [[0] * 4] * 3):
        text = message(ll.UnsupportedTypeError, bce, x, labels)
        assert "must come from one framework" in text
        assert text.endswith("Use tf.convert_to_tensor(targets).")
    assert "Use to_tensor()" in message(ll.UnsupportedTypeError, bce, ragged, ragged)
    assert "Use tf.sparse.to_dense()" in message(ll.UnsupportedTypeError, bce, x, tf.sparse.from_dense(x))
    slices = tf.IndexedSlices(x, tf.range(3))
    assert "Use tf.convert_to_tensor(targets)." in message(ll.UnsupportedTypeError, bce, x, slices)
    for name, value in (("weight", ragged), ("mask", tf.sparse.from_dense(x)), ("gamma", slices)):
        loss = ll.sigmoid_focal_loss if name == "gamma" else bce
        assert f"{name} must be a tensor; got tens" in message(ll.UnsupportedTypeError, loss, x, x, **{name: value})
    assert "Use tf.math.real(logits)." in message(ll.UnsupportedTypeError, bce, tf.cast(x, tf.complex64), x)
    assert "tensors cannot" in message(ll.UnsupportedTypeError, ll.value_and_grad, x, x, out=x)
    assert "can hold" in message(ll.InvalidInputError, bce, x, tf.cast(x, tf.uint8), ignore_index=-1)
    assert "probabilities must be in [0, 1]" in message(ll.InvalidInputError, ll.binary_cross_entropy, x + 2, x)
    with pytest.raises(ll.InvalidInputError, match="known number of axes"):
        tf.function(bce, autograph=False, input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])(x, x)


def test_lists_of_tensors_are_stacked_and_learnt():
    x, t, price = tf.zeros((2, 3)), tf.ones((2, 3)), tf.Variable(2.0)

    def step(x, t):
        with tf.GradientTape() as tape:
            value = bce(x, t, pos_weight=[price, 3.0, 1])
        return value, tape.gradient(value, price)

    for function in (step, tf.function(step)):
        value, slope = function(x, t)
        assert float(value) == pytest.approx(2 * math.log(2))
        assert float(slope) == pytest.approx(math.log(2) / 3)
    text = message(ll.InvalidInputError, bce, x, t, pos_weight=[tf.zeros(2), tf.zeros(3)])
    assert "pos_weight must be one tensor; got a list of tensors of several shapes or types." in text


def test_errors_keep_their_class_in_converted_code():
    """AutoGraph makes a new error with where it happened, and must know that it may be of ours."""
    x, t = tf.zeros(2), tf.ones(2)
    with pytest.raises(ll.InvalidInputError, match="pos_weight must be a number; got True"):
        tf.function(lambda x: bce(x, t, pos_weight=True))(x)
    for function in (ll.log_loss, lambda t, _: ll.balanced_pos_weight(t)):
        with pytest.raises(ll.UnsupportedTypeError, match=r"got a tensor of a graph of shape \(2,\)"):
            tf.function(function)(t, x)
