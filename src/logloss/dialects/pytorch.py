"""PyTorch: `torch.nn.functional`, the functions behind BCELoss, BCEWithLogitsLoss and MultiLabelSoftMarginLoss.

"mean" divides by the number of elements, whatever the weights. Where PyTorch raises RuntimeError for values and
dtypes, `InvalidInputError` (a ValueError) and `UnsupportedTypeError` (a TypeError) are raised here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from ._parts import (
    Array,
    broadcast,
    count,
    dialect,
    floats,
    in_unit_interval,
    is_floating,
    joint_shape,
    log_sigmoid,
    logistic,
    one_dtype,
    one_of,
    one_shape,
    real,
    reduced,
    sigmoid,
    sum_to,
    widest,
)

LOG_FLOOR = -100.0  # of each logarithm in the value of binary_cross_entropy; its gradient does not know it
BACKWARD_EPSILON = np.float32(1e-12)  # the least p·(1-p) that the gradient divides by; 0 in float16
REDUCTIONS = ("none", "mean", "sum")


@dialect
def binary_cross_entropy(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Any, Array]:
    """`F.binary_cross_entropy`: log p and log(1-p) are floored at -100."""
    p, t = _pair(input, target)
    in_unit_interval("input", p)
    in_unit_interval("target", t)
    one_dtype(input=p, target=t)
    return _weighted(*probability_elements(p, t), weight, _legacy(size_average, reduce, reduction))


def probability_elements(p: Array, t: Array) -> tuple[Array, Array]:
    """Elementwise loss and slope of `binary_cross_entropy`."""
    loss, above, below = probability_terms(p, t)
    return loss, above / below


def probability_terms(p: Array, t: Array) -> tuple[Array, Array, Array]:
    """Elementwise loss, and numerator and denominator of its slope."""
    floor = p.dtype.type(LOG_FLOOR)
    loss = (t - 1) * np.maximum(np.log1p(-p), floor) - t * np.maximum(np.log(p), floor)
    return loss, p - t, np.maximum((1 - p) * p, BACKWARD_EPSILON.astype(p.dtype))


@dialect
def binary_cross_entropy_with_logits(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> tuple[Any, Array]:
    """`F.binary_cross_entropy_with_logits`: (1-t)·x - log σ(x), which cancels on the left; dtype of the target."""
    x, t = _pair(input, target)
    price = None if pos_weight is None else broadcast("pos_weight", _subtracted("pos_weight", pos_weight), x.shape)
    return _weighted(*logit_elements(x, t, price), weight, _legacy(size_average, reduce, reduction))


def logit_elements(x: Array, t: Array, pos_weight: Array = None) -> tuple[Array, Array]:
    """Elementwise loss and slope of `binary_cross_entropy_with_logits`."""
    wide = x.astype(np.promote_types(x.dtype, np.float32))
    log_p, p = log_sigmoid(wide).astype(x.dtype), logistic(x)
    slope = p - t
    if pos_weight is not None:
        log_p = (log_p * ((pos_weight - 1) * t + 1)).astype(x.dtype)
        slope = (pos_weight * t + 1 - t) * p - pos_weight * t
    loss = ((1 - t) * x).astype(t.dtype) - log_p
    return loss.astype(t.dtype), slope.astype(x.dtype)


@dialect
def multilabel_soft_margin_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Any, Array]:
    """`F.multilabel_soft_margin_loss`: the mean over the last axis of the input, then the reduction over the rest.

    Input, target and weight broadcast, each way; the result has the widest of their dtypes.
    """
    x, t = floats("input", input), _subtracted("target", target)
    w = np.ones((), x.dtype) if weight is None else real("weight", weight)
    reduction = _legacy(size_average, reduce, reduction)
    one_of("reduction", reduction, REDUCTIONS)
    if x.ndim == 0:
        raise InvalidInputError("input must have an axis of labels; got a single number. Use reshape(1, 1).")
    joint_shape(input=x, target=t, weight=w)
    dtype, axis, labels = _common_dtype(x, t, w), x.ndim - 1, x.shape[-1]
    no = (1 - t).astype(dtype)
    yes, w = t.astype(dtype), w.astype(dtype)
    loss = -(yes * log_sigmoid(x) + no * log_sigmoid(-x)).astype(dtype) * w
    rows = (loss.sum(axis=axis, dtype=np.promote_types(dtype, np.float32)) / labels).astype(dtype)
    slope = np.broadcast_to((no * sigmoid(x) - yes * sigmoid(-x)) * w, loss.shape) / labels
    divisor = 1.0 if reduction == "none" else count(rows.shape, reduction)
    value = rows if reduction == "none" else reduced(rows, slope, divisor)[0]
    return value, sum_to(x.shape, slope / divisor).astype(x.dtype)


def _common_dtype(*arrays: Array) -> Any:
    """PyTorch's for arrays of which one is floating and has axes: neither integers nor single numbers widen it."""
    return widest({one.dtype for one in arrays if one.ndim and is_floating(one.dtype)})


def _pair(input: Any, target: Any) -> tuple[Array, Array]:  # noqa: A002 - PyTorch's name
    """Input and target of one shape, which is asked first, and of floating dtypes."""
    x, t = real("input", input), real("target", target)
    one_shape(input=x, target=t)
    return floats("input", x), floats("target", t)


def _subtracted(name: str, value: Any) -> Array:
    """Numbers that 1 is subtracted from, or that are subtracted from 1: PyTorch does not do that with bool."""
    array = real(name, value)
    if array.dtype == np.bool_:
        raise UnsupportedTypeError(f"{name} must be numbers; got bool. Use {name}.astype('float32').")
    return array


def _weighted(loss: Array, slope: Array, weight: Any, reduction: str) -> tuple[Any, Array]:
    one_of("reduction", reduction, REDUCTIONS)
    if weight is not None:
        w = broadcast("weight", weight, loss.shape)
        loss, slope = (loss * w).astype(loss.dtype), (slope * w).astype(slope.dtype)
    return (loss, slope) if reduction == "none" else reduced(loss, slope, count(loss.shape, reduction))


def _legacy(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """What the arguments before PyTorch 0.4.1 mean."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"
