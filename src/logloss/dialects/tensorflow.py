"""TensorFlow: `tf.nn` cross-entropies of logits, and `tf.compat.v1.losses`, which compute and weigh in float32.

tensorflow.sigmoid_cross_entropy_with_logits(labels=…, logits=…)
tensorflow.compat.v1.losses.log_loss(labels, predictions, …)

`name`, `scope` and `loss_collection` say where in a graph a loss stands: they are taken, and change no number.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from ._parts import (
    Array,
    count,
    dialect,
    element_weights,
    floats,
    is_floating,
    joint_shape,
    one_dtype,
    one_of,
    one_shape,
    real,
    reduced,
    sum_to,
    tail,
)


class Reduction:
    """`tf.compat.v1.losses.Reduction`: the names of its reductions."""

    NONE = "none"
    SUM = "weighted_sum"
    MEAN = "weighted_mean"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    SUM_OVER_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"


_KEYS = sorted({value for name, value in vars(Reduction).items() if not name.startswith("_")})


@dialect
def sigmoid_cross_entropy_with_logits(
    labels: Any = None,
    logits: Any = None,
    name: str | None = None,  # noqa: ARG001
) -> tuple[Array, Array]:
    """`tf.nn.sigmoid_cross_entropy_with_logits`: max(x, 0) - x·t + log(1 + e^-|x|), one loss per element."""
    return logit_elements(*_pair(labels, logits))


def logit_elements(t: Array, x: Array) -> tuple[Array, Array]:
    """Elementwise loss and slope of `sigmoid_cross_entropy_with_logits`."""
    z, right = tail(x), x >= 0
    loss = np.where(right, x, 0) - x * t + np.log1p(z)
    return loss, (right - t - np.where(right, z, -z) / (1 + z)).astype(x.dtype)


@dialect
def weighted_cross_entropy_with_logits(
    labels: Any,
    logits: Any,
    pos_weight: Any,
    name: str | None = None,  # noqa: ARG001
) -> tuple[Array, Array]:
    """`tf.nn.weighted_cross_entropy_with_logits`: cancels on the left, and its gradient is wrong at x = 0.

    `pos_weight` broadcasts, each way; 1 is subtracted in its own dtype: a 0 of uint8 weighs 256.
    """
    t, x = _pair(labels, logits)
    if isinstance(pos_weight, list | tuple):
        raise UnsupportedTypeError("pos_weight must be a number or an array; got a list. Use numpy.asarray.")
    over = real("pos_weight", pos_weight)
    joint_shape(logits=x, pos_weight=over)
    z = tail(x)
    price = 1 + (over - 1).astype(x.dtype) * t
    loss = (1 - t) * x + price * (np.log1p(z) + np.maximum(-x, 0))
    slope = 1 - t - price * (np.sign(x) * z / (1 + z) + (x < 0))  # sign(0) = 0: |x| and max(-x, 0) have slope 0 there
    return loss, sum_to(x.shape, slope).astype(x.dtype)


def _pair(labels: Any, logits: Any) -> tuple[Array, Array]:
    if labels is None or logits is None:
        missing = "labels" if labels is None else "logits"
        raise InvalidInputError(f"labels and logits must both be given; {missing} is None. Pass an array.")
    x, t = real("logits", logits), real("labels", labels)
    one_shape(logits=x, labels=t)
    one_dtype(logits=floats("logits", x), labels=t)
    return t, x


# ---- tf.compat.v1.losses --------------------------------------------------------------------------------------------


@dialect
def _sigmoid_cross_entropy(
    multi_class_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,  # noqa: ARG001
    loss_collection: str | None = "losses",  # noqa: ARG001
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> tuple[Any, Array]:
    """`tf.compat.v1.losses.sigmoid_cross_entropy`; a negative `label_smoothing` is ignored."""
    _given(multi_class_labels=multi_class_labels, logits=logits)
    x, t = real("logits", logits), real("multi_class_labels", multi_class_labels)
    one_shape(logits=x, multi_class_labels=t)
    t = t.astype(floats("logits", x).dtype)
    if label_smoothing > 0:
        t = (t * (1 - label_smoothing) + 0.5 * label_smoothing).astype(x.dtype)
    return _compute_weighted_loss(*logit_elements(t, x), weights, reduction)


@dialect
def _log_loss(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,  # noqa: ARG001
    loss_collection: str | None = "losses",  # noqa: ARG001
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> tuple[Any, Array]:
    """`tf.compat.v1.losses.log_loss`: epsilon is added within the logarithms and nothing is clipped.

    Predictions may be integers, which have no gradient in TensorFlow; here it is float32.
    """
    _given(labels=labels, predictions=predictions)
    given = real("predictions", predictions)
    p, t = given.astype(np.float32), real("labels", labels).astype(np.float32)
    one_shape(predictions=p, labels=t)
    yes, no = p + np.float32(epsilon), (1 - p) + np.float32(epsilon)
    loss, slope = -t * np.log(yes) - (1 - t) * np.log(no), (1 - t) / no - t / yes
    value, gradient = _compute_weighted_loss(loss, slope, weights, reduction)
    return value, gradient.astype(given.dtype) if is_floating(given.dtype) else gradient


def _compute_weighted_loss(loss: Array, slope: Array, weights: Any, reduction: str) -> tuple[Any, Array]:
    """`tf.compat.v1.losses.compute_weighted_loss`: in float32, whatever the dtype."""
    one_of("reduction", reduction, _KEYS)
    _given(weights=weights)
    w = real("weights", weights).astype(np.float32)
    w = element_weights(w, loss.shape)
    losses = loss.astype(np.float32) * w
    if reduction == Reduction.NONE:
        return losses.astype(loss.dtype), (slope * w).astype(slope.dtype)
    divisor = np.float32(_divisor(w, losses.shape, reduction))
    if divisor == 0:
        return loss.dtype.type(0), np.zeros_like(slope)
    value, _ = reduced(losses, slope, divisor)
    return value.astype(loss.dtype), (slope * (w / divisor)).astype(slope.dtype)


def _divisor(w: Array, shape: tuple[int, ...], reduction: str) -> Any:
    if reduction == Reduction.SUM:
        return 1.0
    if reduction == Reduction.MEAN:
        return count(shape, "weighted_mean", weight=w)
    return count(shape, "mean", mask=None if reduction == Reduction.SUM_OVER_BATCH_SIZE else w != 0)


def _given(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is None:
            raise InvalidInputError(f"{name} must be given; got None. Pass an array.")


_losses = SimpleNamespace(sigmoid_cross_entropy=_sigmoid_cross_entropy, log_loss=_log_loss, Reduction=Reduction)
compat = SimpleNamespace(v1=SimpleNamespace(losses=_losses))
