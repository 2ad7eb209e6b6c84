"""optax: elementwise losses of logits, accurate in both tails; labels take the logits' dtype and both broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InvalidInputError
from ._parts import Array, dialect, floats, log_sigmoid, real, sum_to, symmetric


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
    log_m = np.logaddexp(log_sigmoid(x) + np.log(1 - t), log_sigmoid(-x) + np.log(t))  # log((1-t)·σ(x) + t·σ(-x))
    # m'/m: σ(x)·σ(-x)·(1 - 2t)/m, as a product of factors that do not underflow together
    pull = (1 - 2 * t) * np.exp(log_sigmoid(x) + log_sigmoid(-x) - log_m)
    factor = np.exp(gamma * log_m) * (1 if alpha is None else alpha * t + (1 - alpha) * (1 - t))
    slope = factor * (slope + gamma * pull * loss)
    return (factor * loss).astype(x.dtype), sum_to(x.shape, slope.astype(x.dtype))


def _pair(logits: Any, labels: Any) -> tuple[Array, Array]:
    x = floats("logits", logits)
    t = real("labels", labels).astype(x.dtype)
    try:
        np.broadcast_shapes(x.shape, t.shape)
    except ValueError:
        raise InvalidInputError(
            f"logits and labels must broadcast; got shapes {x.shape} and {t.shape}. Reshape one of them."
        ) from None
    return x, t
