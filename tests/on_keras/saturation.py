"""Losses of probabilities: every type, lists, the ends of the interval, and models whose sigmoid is saturated."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops
from shared import gradient, same

from logloss.keras import BinaryCrossentropy, BinaryFocalCrossentropy

BACKEND = keras.backend.backend()
FLOOR, REST = -math.log(1e-7), 23 * math.log(2)  # of p, and of 1 - p: 1 - 1e-7 is 1 - 2^-23 in float32
POSITIVE, NEGATIVE = np.array([[1.0]]), np.array([[0.0]])


def types() -> None:
    """By hand: (0.4²·log(1/0.6) + 0.2²·log(1/0.8))/2 with a focus of 2, and log(1/0.48)/2 without."""
    y, p = [[1, 0]], [[0.6, 0.2]]
    policies = ["float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
    for dtype in (*policies, keras.DTypePolicy("mixed_bfloat16"), keras.DTypePolicy("float16")):
        for loss, want in (
            (BinaryFocalCrossentropy(dtype=dtype), 0.04532892),
            (BinaryCrossentropy(dtype=dtype), 0.366984588),
        ):
            got, theirs = loss(y, p), keras.losses.MeanSquaredError(dtype=dtype)(y, p)
            assert got.dtype == theirs.dtype
            same(ops.cast(got, "float32"), want, 1e-2 if "16" in loss.dtype else 1e-6)
    for floatx in ("bfloat16", "float16"):
        keras.config.set_floatx(floatx)
        same(ops.cast(BinaryFocalCrossentropy()(y, p), "float32"), 0.04532892, 1e-2)
        keras.config.set_floatx("float32")


def lists() -> None:
    """By hand: -log 0.4 twice, -log 0.6, and -log 0.4 once more."""
    y, p = [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]
    same(BinaryCrossentropy()(y, p), (3 * math.log(1 / 0.4) + math.log(1 / 0.6)) / 4)
    same(BinaryCrossentropy()([0, 1], [[0.6], [0.4]]), math.log(1 / 0.4))
    same(BinaryCrossentropy(label_smoothing=0.5)([1, 1], [0.25, 0.25]), 0.75 * math.log(4) + 0.25 * math.log(4 / 3))
    same(BinaryFocalCrossentropy()([[1.0]], [[0.5]]), math.log(2) / 4)
    logits = ops.convert_to_tensor([[math.log(3.0)]])
    same(BinaryCrossentropy(from_logits=True)([[0]], [logits[0]]), math.log(4))


def ends() -> None:
    """Loss and slope of a certain and wrong prediction, and of ones that are almost so."""
    for p, y, want in ((0.0, POSITIVE, FLOOR), (1.0, NEGATIVE, REST), (1e-30, POSITIVE, FLOOR), (0.0, NEGATIVE, 0.0),
                       (1.0, POSITIVE, 0.0), (1e-6, POSITIVE, math.log(1e6))):  # fmt: skip
        same(BinaryCrossentropy()(y, np.array([[p]])), want)
    same(BinaryCrossentropy(eps=1e-3)(POSITIVE, NEGATIVE), 3 * math.log(10))
    same(BinaryCrossentropy(eps=1e-7)(NEGATIVE, POSITIVE), FLOOR)
    for p, y in ((NEGATIVE, POSITIVE), (POSITIVE, NEGATIVE)):
        assert np.isinf(ops.convert_to_numpy(BinaryCrossentropy(exact=True)(y, p)))
        assert np.isfinite(ops.convert_to_numpy(BinaryFocalCrossentropy()(y, p)))
    p, y = np.array([[0.0], [1e-20], [0.25], [1.0], [0.75]]), np.array([[1.0], [1.0], [1.0], [0.0], [0.0]])
    slopes = np.array([[-1e7], [-1e20], [-4.0], [2.0**23], [4.0]])
    same(gradient(BinaryCrossentropy(reduction="sum"), y, p), slopes)
    focal = gradient(BinaryFocalCrossentropy(gamma=0.0, reduction="sum"), y, p)
    same(focal[[1, 2, 4]], slopes[[1, 2, 4]], 1e-6)
    assert (np.isfinite(focal) & (np.sign(focal) == np.sign(slopes))).all()
    half = ops.cast(ops.convert_to_tensor([[0.0], [6e-8], [1.0]]), "float16")  # a slope of 1e7 would be infinite
    y = np.array([[1.0], [1.0], [0.0]])
    for loss in (BinaryCrossentropy(reduction="sum"), BinaryFocalCrossentropy(reduction="sum")):
        assert np.isfinite(gradient(loss, y, half, "float16")).all()


def remembered() -> None:
    """The logits behind a sigmoid, in eager code: of every backend."""
    for policy in ("float32", "mixed_float16"):
        layers = (
            keras.layers.Activation("sigmoid", dtype=policy),
            keras.layers.Dense(1, "sigmoid", kernel_initializer="ones", dtype=policy),
        )
        for layer in layers:
            for logit, y in ((-95.0, POSITIVE), (95.0, NEGATIVE), (-18.0, POSITIVE)):
                p = layer(ops.convert_to_tensor([[logit]]))
                same(BinaryCrossentropy()(y, p), abs(logit))
                same(BinaryFocalCrossentropy()(y, p), abs(logit))
                same(BinaryCrossentropy().call(ops.convert_to_tensor(y, "float32"), p), [abs(logit)])
    p = keras.activations.sigmoid(ops.convert_to_tensor([[-95.0]]))
    same(BinaryCrossentropy(eps=1e-7)(POSITIVE, p), FLOOR)
    assert float(BinaryCrossentropy(exact=True)(POSITIVE, p)) > 94.9
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BinaryCrossentropy(from_logits=True)(POSITIVE, p)
    assert any("Use from_logits=False" in str(warning.message) for warning in caught)
    same(BinaryCrossentropy()(POSITIVE, p * 1.0), FLOOR)  # another tensor: nothing is remembered of it
    y, one_hot = ops.convert_to_tensor([[0.0, math.log(3)]]), [[1.0, 0.0]]
    for softmax in (keras.layers.Softmax(), keras.activations.softmax):  # of 1/4 and 3/4
        same(BinaryCrossentropy()(one_hot, softmax(y)), math.log(4))
        same(BinaryFocalCrossentropy(gamma=0.0)(one_hot, softmax(y)), math.log(4))
    if BACKEND == "torch":
        p += 0.25
        same(BinaryCrossentropy()(POSITIVE, p), math.log(4))
    if BACKEND == "tensorflow":
        in_graphs()


def in_graphs() -> None:
    """A graph knows which operation made a tensor, whatever cast it since."""
    import tensorflow as tf

    for cast in (lambda p: p, lambda p: tf.identity(tf.cast(p, tf.float64)), lambda p: tf.cast(p, tf.float16)):
        function = tf.function(lambda x: BinaryCrossentropy()(POSITIVE, cast(tf.sigmoid(x))), autograph=False)  # noqa: B023
        same(function(tf.constant([[-95.0]])), 95.0)
    counted = tf.function(
        lambda x: BinaryCrossentropy()(POSITIVE, tf.cast(tf.cast(tf.sigmoid(x), tf.int32), tf.float32))
    )
    same(counted(tf.constant([[-0.5]])), FLOOR)


def fit(loss: Any, bias: float, policy: str, **settings: Any) -> tuple[list[float], list[float]]:
    """The losses of three steps with a learning rate of 1 from a weight of 0, and weight and bias after them."""
    layer = keras.layers.Dense(
        1, "sigmoid", kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(bias), dtype=policy
    )
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(1.0), loss, **settings)
    x, y = np.full((4, 1), 0.5, "float32"), np.ones((4, 1), "float32")
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    return history.history["loss"], [float(weight.item()) for weight in model.get_weights()]


def trained() -> None:
    """A slope of -1 in the logit moves it by 1 + 0.5² a step. JAX's compiled code knows no logits, and float16 has
    no probability below 6e-8: no arithmetic leads out of there, and nothing becomes infinite or NaN either.
    """
    for bias, policy in ((-95.0, "float32"), (-60.0, "float32"), (-18.0, "mixed_float16"), (-18.0, "mixed_bfloat16")):
        for loss in (BinaryCrossentropy(), BinaryFocalCrossentropy(gamma=0.0)):
            losses, weights = fit(loss, bias, policy)
            assert np.isfinite([*losses, *weights]).all()
            leads_out = BACKEND != "jax" or (bias == -60.0 or policy == "mixed_bfloat16")
            same(weights, [1.5, bias + 3] if leads_out else [0.0, bias], 1e-3)
            if BACKEND != "jax":
                same(losses, [-bias, -bias - 1.25, -bias - 2.5], 1e-2)
            elif type(loss) is BinaryCrossentropy:
                assert max(losses) <= FLOOR * (1 + 1e-6)
        _, theirs = fit(keras.losses.BinaryCrossentropy(), bias, policy)
        assert abs(weights[1] - bias) >= abs(theirs[1] - bias) - 1e-3


def compiled() -> None:
    """What a compiler makes of a step of training is what the step is without one."""
    warnings.simplefilter("ignore")  # PyTorch's compiler has much to say
    for loss in (BinaryCrossentropy(), BinaryCrossentropy(exact=True), BinaryFocalCrossentropy(gamma=2.0)):
        (losses, weights), (slow, slow_weights) = (fit(loss, -0.5, "float32", jit_compile=jit) for jit in (True, False))
        same(losses, slow, 1e-6)
        same(weights, slow_weights, 1e-6)
        assert losses[2] < losses[0]


CHECKS = (types, lists, ends, remembered, trained, compiled)
