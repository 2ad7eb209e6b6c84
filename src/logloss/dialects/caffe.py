"""Caffe: the SigmoidCrossEntropyLoss layer on the CPU.

The value is the layer's top blob, which leaves `loss_weight` to the net; the gradient is what flows back and has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InvalidInputError
from ._parts import Array, count, dialect, floats, one_of, real

# The layer's normalisations as the losses' reductions.
NORMALIZATIONS = {"FULL": "mean", "VALID": "mean", "BATCH_SIZE": "batchmean", "NONE": "sum"}


@dialect
def sigmoid_cross_entropy_loss(
    predictions: Any,
    target: Any,
    *,
    normalization: str | None = None,
    normalize: bool | None = None,
    ignore_label: int | None = None,
    loss_weight: float = 1.0,
) -> tuple[Any, Array]:
    """x·(t - [x >= 0]) - log(1 + e^-|x|), summed one after another; the denominator is at least 1.

    Unset, `normalization` is BATCH_SIZE (`normalize`: VALID if true). A target counts as `ignore_label` once its
    decimals are cut off: 0 ignores every soft target.
    """
    x, t = floats("predictions", predictions), real("target", target)
    if x.size != t.size or x.shape[:1] != t.shape[:1]:
        raise InvalidInputError(
            f"predictions and target must have one count and first dimension; got {x.shape} and {t.shape}."
        )
    t = t.reshape(x.shape).astype(x.dtype)
    counts = None if ignore_label is None else np.trunc(t) != ignore_label
    losses, slope = logit_elements(x, t)
    if counts is not None:
        losses, slope = np.where(counts, losses, 0), np.where(counts, slope, 0)
    divisor = _normalizer(normalization, normalize, counts, x.shape)
    total = np.append(x.dtype.type(0), losses).cumsum(dtype=x.dtype)[-1]  # serially, in the layer's dtype
    return x.dtype.type(total / divisor), (slope * x.dtype.type(loss_weight / divisor)).astype(x.dtype)


def logit_elements(x: Array, t: Array) -> tuple[Array, Array]:
    """Elementwise loss and slope of the layer: log, not log1p, and so the tails are lost."""
    right = x >= 0
    return np.log(1 + np.exp(x - 2 * x * right)) - x * (t - right), np.tanh(x / 2) / 2 + x.dtype.type(0.5) - t


def _normalizer(normalization: str | None, normalize: bool | None, counts: Array, shape: tuple[int, ...]) -> float:
    name = normalization or ("VALID" if normalize else "BATCH_SIZE")
    one_of("normalization", name, NORMALIZATIONS)
    mask = counts if name == "VALID" else None
    return max(1.0, float(count(shape, NORMALIZATIONS[name], mask=mask)))
