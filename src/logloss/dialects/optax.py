"""optax: elementwise losses of logits, accurate in both tails; labels take the logits' dtype and both broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._parts import Array, dialect, floats, is_floating, joint_shape, log_sigmoid, real, sum_to, symmetric, widest


@dialect
def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> tuple[Array, Array]:
    """`optax.sigmoid_binary_cross_entropy`: -t·log σ(x) - (1-t)·log σ(-x), one loss per element."""
    x, t = _pair(logits, labels)
    loss, slope = symmetric(x, t)
    return loss, sum_to(x.shape, slope)


@dialect
def sigmoid_focal_loss(
    logits: Any, labels: Any, *, alpha: float | None = None, gamma: float = 2.0
) -> tuple[Array, Array]:
    """`optax.sigmoid_focal_loss`: the focal factor (1-p_t)^γ as e^(γ·log(1-p_t)), finite for γ < 1."""
    x, t = _pair(logits, labels)
    loss, slope = symmetric(x, t)
    gamma, alpha = _setting("gamma", gamma, x), None if alpha is None else _setting("alpha", alpha, x)
    joint_shape(logits=x, labels=t, gamma=np.asarray(gamma), alpha=np.asarray(0.0 if alpha is None else alpha))
    dtype = widest({x.dtype, *(one.dtype for one in (gamma, alpha) if isinstance(one, np.ndarray))})
    log_m = np.logaddexp(log_sigmoid(x) + np.log(1 - t), log_sigmoid(-x) + np.log(t))  # log((1-t)·σ(x) + t·σ(-x))
    # m'/m: σ(x)·σ(-x)·(1 - 2t)/m, as a product of factors that do not underflow together
    pull = (1 - 2 * t) * np.exp(log_sigmoid(x) + log_sigmoid(-x) - log_m)
    factor = np.exp(gamma * log_m) * (1 if alpha is None else alpha * t + (1 - alpha) * (1 - t))
    slope = factor * (slope + gamma * pull * loss)
    return (factor * loss).astype(dtype), sum_to(x.shape, slope).astype(x.dtype)


def _setting(name: str, value: Any, x: Array) -> Any:
    """A Python number, which widens nothing, or an array, which may: to float64 only beside logits of float64."""
    if not hasattr(value, "dtype"):
        return value
    array = real(name, value)
    wide = array.dtype == np.float64 and x.dtype != np.float64
    return array.astype(np.float32) if wide or not is_floating(array.dtype) else array


def _pair(logits: Any, labels: Any) -> tuple[Array, Array]:
    x = floats("logits", logits)
    t = real("labels", labels).astype(x.dtype)
    joint_shape(logits=x, labels=t)
    return x, t
