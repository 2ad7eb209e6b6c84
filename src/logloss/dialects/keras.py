"""Keras 3 on each of its backends, and tf.keras 2 (`backend="tf_keras"`): losses and metrics.

    keras.losses.BinaryCrossentropy(from_logits=True)(y_true, y_pred, sample_weight)
    keras.metrics.BinaryCrossentropy()(y_true, y_pred)         one update of a new metric

A loss averages over `axis`, multiplies the rows that are left by `sample_weight` and divides by their number; the
metric divides by the sum of the weights. What a loss of Keras 3 is given becomes float32, whatever it is, unless
`dtype` says otherwise; its metric and its function compute in the dtype of the predictions. tf.keras 2 computes in that
dtype too, except in metrics, and it alone lets targets and probabilities broadcast. Predictions of integers are refused
where one of the backends refuses them. `name` changes no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from . import pytorch, tensorflow
from ._parts import (
    Array,
    Dialect,
    broadcast,
    count,
    dialect,
    floats,
    in_unit_interval,
    is_floating,
    joint_shape,
    logistic,
    one_of,
    one_shape,
    quietly,
    real,
    sum_to,
    symmetric,
)

EPSILON = 1e-7  # keras.config.epsilon(): p is clipped to [ε, 1 - ε]
BACKENDS = ("tensorflow", "jax", "torch", "numpy", "tf_keras")
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)
TF_KERAS_REDUCTIONS = ("auto", "sum_over_batch_size", "sum", "none")
IN_FLOAT32 = ("jax", "numpy")  # the backends that compute in float32 what is float64


# ---- elements -------------------------------------------------------------------------------------------------------


def _limits(p: Array) -> tuple[Any, Any]:
    """ε and 1-ε as the dtype holds them: half precision has no number between 1-ε and 1."""
    return p.dtype.type(EPSILON), p.dtype.type(1 - EPSILON)


def _clipped(p: Array, t: Array, added: float = 0.0) -> tuple[Array, Array]:
    """p clipped to [ε, 1-ε]: outside, the gradient is 0. tf.keras 2 adds ε within the logarithms as well.

    Slopes are products with reciprocals, as TensorFlow has them: 1/ε is infinite in float16.
    """
    low, high = _limits(p)
    o, added = np.minimum(np.maximum(p, low), high), p.dtype.type(added)
    yes, no = o + added, 1 - o + added
    slope = (1 - t) * (1 / no) - t * (1 / yes)
    return -(t * np.log(yes) + (1 - t) * np.log(no)), np.where((p >= low) & (p <= high), slope, 0).astype(p.dtype)


def _clipped_jax(p: Array, t: Array) -> tuple[Array, Array]:
    """The same; a gradient is multiplied by 0 outside of [ε, 1-ε], which infinity survives, and by 1/2 at its ends."""
    low, high = _limits(p)
    o = np.minimum(np.maximum(p, low), high)
    kept = ((p >= low).astype(p.dtype) + (p > low)) * ((p <= high).astype(p.dtype) + (p < high)) / 4
    return _clipped(p, t)[0], (((1 - t) / (1 - o) - t / o) * kept).astype(p.dtype)


def _clipped_numpy(p: Array, t: Array) -> tuple[Array, Array]:
    """The same; NumPy makes float32 of bfloat16 and a plain number."""
    dtype = p.dtype if p.dtype.kind == "f" else np.dtype(np.float32)
    return _clipped(p.astype(dtype), t.astype(dtype))


def _clipped_torch(p: Array, t: Array) -> tuple[Array, Array]:
    """p clipped, then PyTorch's loss of probabilities, which refuses NaN and targets outside [0, 1]."""
    low, high = _limits(p)
    in_unit_interval("y_true", t)
    o = np.minimum(np.maximum(p, low), high)
    in_unit_interval("y_pred", o)
    loss, above, below = pytorch.probability_terms(o, t)
    slope = above / below.astype(np.promote_types(o.dtype, np.float32))  # weights multiply before it can be infinite
    return loss, np.where((p >= low) & (p <= high), slope, 0)


def _saturating(x: Array, t: Array) -> tuple[Array, Array]:
    """The NumPy backend's way with logits: σ(x), clipped, and its logarithm, which ends at about 16."""
    p = 1 / (1 + np.exp(-x))
    loss, slope = _clipped_numpy(p, t)
    return loss, slope * p * (1 - p)


Elements = Callable[[Array, Array], tuple[Array, Array]]

_PROBABILITIES: dict[str, Elements] = {
    "tensorflow": _clipped,
    "jax": _clipped_jax,
    "numpy": _clipped_numpy,
    "torch": _clipped_torch,
    "tf_keras": lambda p, t: _clipped(p, t, EPSILON),
}
_LOGITS: dict[str, Elements] = {
    "tensorflow": lambda x, t: tensorflow.logit_elements(t, x),
    "jax": symmetric,
    "numpy": _saturating,
    "torch": pytorch.logit_elements,
    "tf_keras": lambda x, t: tensorflow.logit_elements(t, x),
}


def _elements(backend: str, from_logits: bool, x: Array, t: Array) -> tuple[Array, Array]:
    return (_LOGITS if from_logits else _PROBABILITIES)[backend](x, t)


def _focal(
    backend: str, from_logits: bool, x: Array, t: Array, gamma: float, alpha: float | None
) -> tuple[Array, Array]:
    """(1-p_t)^γ times the cross-entropy of σ(x), clipped; TensorFlow remembers the logits of σ(x) and does not clip."""
    p, chain = x, 1
    if from_logits:
        p = 1 / (1 + np.exp(-x)) if backend in ("jax", "numpy") else logistic(x)  # e^-x may be infinite in float16
        chain = p * (1 - p)
    remembers = from_logits and backend in ("tensorflow", "tf_keras")
    loss, slope = _elements(backend, remembers, x if remembers else p, t)
    m = 1 - (t * p + (1 - t) * (1 - p))
    constant = gamma == 0 and (backend == "torch" or (backend == "jax" and isinstance(gamma, int)))  # else NaN
    pull = 0 * m if constant else -gamma * m ** (gamma - 1) * loss  # by p_t, and then by p
    pull = t * pull - (1 - t) * pull
    slope = m**gamma * slope + pull * (chain if remembers else 1)
    if from_logits and not remembers:
        slope = slope.astype(x.dtype) * chain
    balance = 1 if alpha is None else t * alpha + (1 - t) * (1 - alpha)
    return (balance * (m**gamma * loss)).astype(x.dtype), balance * slope


# ---- losses ---------------------------------------------------------------------------------------------------------


class _Loss(Dialect):
    """What the losses share: dtypes, ranks, the mean over `axis`, weights and reductions."""

    def __init__(
        self,
        from_logits: bool,
        label_smoothing: float,
        axis: int | tuple[int, ...],
        reduction: str | None,
        name: str | None,
        dtype: Any,
        backend: str,
    ) -> None:
        one_of("backend", backend, BACKENDS)
        one_of("reduction", reduction, TF_KERAS_REDUCTIONS if backend == "tf_keras" else REDUCTIONS)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis
        self.reduction, self.name, self.dtype, self.backend = reduction, name, dtype, backend

    def _elements(self, x: Array, t: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    @quietly
    def value_and_grad(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Array]:
        """The loss, weighted and reduced, and its gradient with respect to `y_pred`."""
        own = self.backend == "tf_keras"
        given = floats("y_pred", y_pred) if own else real("y_pred", y_pred)
        dtype = np.dtype(self.dtype or (given.dtype if own else np.float32))
        t, x = _same_rank(real("y_true", y_true).astype(dtype), given.astype(dtype), self.backend)
        rows, slope = self.rows(t, x)
        rows = rows if self.backend == "jax" else rows.astype(dtype)
        value, factor = _reduce(rows, sample_weight, self.reduction, self.backend)
        return value, self.gradient(slope, factor, x.shape, given)

    def rows(self, t: Array, x: Array) -> tuple[Array, Array]:
        """The loss of each row, which is the mean over `axis`, and the slopes of its elements."""
        broadcasts = self.backend == "tf_keras" and not self.from_logits
        (joint_shape if broadcasts else one_shape)(y_true=t, y_pred=x)
        inner = np.float32 if self.backend in IN_FLOAT32 and x.dtype == np.float64 else x.dtype
        t, x = t.astype(inner), x.astype(inner)
        if self.label_smoothing:
            t = (t * (1 - self.label_smoothing) + 0.5 * self.label_smoothing).astype(inner)
        loss, slope = self._elements(x, t)
        axes = self._axes(loss.ndim)
        length = math.prod(loss.shape[axis] for axis in axes)
        if self.backend == "torch" and inner == np.float64:  # the mean passes through float32
            return _mean_over(loss.astype(np.float32), axes).astype(inner), slope * float(np.float32(1) / length)
        return _mean_over(loss, axes), slope / length

    def gradient(self, slope: Array, factor: Any, shape: tuple[int, ...], given: Array) -> Array:
        """The slopes of elements times the derivative by each row, in the shape and dtype of the given predictions."""
        gradient = sum_to(shape, slope * np.expand_dims(factor, self._axes(slope.ndim))).reshape(given.shape)
        wide = self.backend == "jax" and given.dtype == np.float64
        return gradient.astype(np.float32 if wide or not is_floating(given.dtype) else given.dtype)

    def _axes(self, ndim: int) -> tuple[int, ...]:
        """The axes that a row's mean goes over; a single number has none, but PyTorch lets it have one."""
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        if not ndim and self.backend == "torch" and set(axes) <= {0, -1}:
            return ()
        if not all(-ndim <= axis < ndim for axis in axes):
            raise InvalidInputError(
                f"axis must name axes of predictions with {ndim} axes; got {self.axis!r}. Use reshape(-1, 1) on both."
            )
        return axes


class BinaryCrossentropy(_Loss):
    """`keras.losses.BinaryCrossentropy`; `label_smoothing` is not checked."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | tuple[int, ...] = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        *,
        backend: str = "tensorflow",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, backend)

    def _elements(self, x: Array, t: Array) -> tuple[Array, Array]:
        return _elements(self.backend, self.from_logits, x, t)


class BinaryFocalCrossentropy(_Loss):
    """`keras.losses.BinaryFocalCrossentropy`; p_t is not clipped, the cross-entropy is."""

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | tuple[int, ...] = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
        *,
        backend: str = "tensorflow",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, backend)
        self.alpha, self.gamma = alpha if apply_class_balancing else None, gamma

    def _elements(self, x: Array, t: Array) -> tuple[Array, Array]:
        return _focal(self.backend, self.from_logits, x, t, self.gamma, self.alpha)


@dialect
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int | tuple[int, ...] = -1,
    *,
    backend: str = "tensorflow",
) -> tuple[Any, Array]:
    """`keras.losses.binary_crossentropy`: the loss of each row, in the dtype of `y_pred`."""
    x = floats("y_pred", y_pred)
    loss = BinaryCrossentropy(from_logits, label_smoothing, axis, "none", backend=backend)
    rows, slope = loss.rows(real("y_true", y_true).astype(x.dtype), x)
    return rows, loss.gradient(slope, np.ones_like(rows), x.shape, x)


def _reduce(rows: Array, sample_weight: Any, reduction: str | None, backend: str) -> tuple[Any, Array]:
    """The rows weighted and reduced, and the derivative by each row."""
    values, weights = rows, np.ones_like(rows)
    if sample_weight is not None:
        values, weights = _ranked(rows, real("sample_weight", sample_weight).astype(rows.dtype), backend)
        try:
            shape = np.broadcast_shapes(values.shape, weights.shape)
        except ValueError:
            raise InvalidInputError(
                f"sample_weight must broadcast with the losses of shape {rows.shape}; got {weights.shape}."
            ) from None
        factor = sum_to(values.shape, np.broadcast_to(weights, shape)).reshape(rows.shape)
        values = values * weights
    else:
        factor = weights
    if reduction in (None, "none") or (values.shape in ((), (0,)) and backend != "tf_keras"):
        return values, factor
    if reduction == "sum":
        return _sum(values, backend), factor
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        divisor = count(weights.shape, "weighted_mean", weight=weights)
    else:
        divisor = count(values.shape, "mean")
    return _mean(values, divisor, backend), factor / divisor if divisor else 0 * factor


def _sum(values: Array, backend: str) -> Any:
    """Rounded to the dtype; NumPy rounds bfloat16 after every addition."""
    return values.sum() if backend == "numpy" else values.dtype.type(values.sum(dtype=np.float64))


def _mean(values: Array, divisor: float, backend: str) -> Any:
    """The sum and what it is divided by are rounded first; 0 where the divisor is. Only TensorFlow divides float64."""
    dtype = np.dtype(np.float32) if values.dtype == np.float64 and backend in ("torch", "numpy") else values.dtype
    total = dtype.type(_sum(values, backend))
    return dtype.type(total / dtype.type(divisor) if divisor else 0)


def _same_rank(a: Array, b: Array, backend: str) -> tuple[Array, Array]:
    """Arrays whose ranks differ by one: a last axis of length 1 is added or taken away."""
    if a.ndim > b.ndim:
        return _same_rank(b, a, backend)[::-1]
    if b.ndim != a.ndim + 1 or b.shape[-1] != 1:
        return a, b
    return (a[:, None], b) if a.ndim == 1 and backend != "tf_keras" else (a, b[..., 0])


def _ranked(rows: Array, weights: Array, backend: str) -> tuple[Array, Array]:
    """Rows, and weights whose rank is theirs where it differed by one; tf.keras 2 never changes the rows."""
    if backend != "tf_keras" or not weights.ndim:
        return _same_rank(rows, weights, backend)
    if weights.ndim == rows.ndim + 1:
        if weights.shape[-1] != 1:
            raise InvalidInputError(
                f"sample_weight must have the rows' shape {rows.shape}; got {weights.shape}. Give one weight per row."
            )
        return rows, weights[..., 0]
    return rows, weights[..., None] if rows.ndim == weights.ndim + 1 else weights


def _mean_over(array: Array, axes: Any) -> Array:
    """In float32 at least, then rounded."""
    return array.mean(axis=tuple(axes), dtype=np.promote_types(array.dtype, np.float32)).astype(array.dtype)


# ---- metrics --------------------------------------------------------------------------------------------------------


class _Metric(Dialect):
    """`keras.metrics.BinaryCrossentropy`, updated once: Σ w·row / Σ w."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        *,
        backend: str = "tensorflow",
    ) -> None:
        self.name, self.loss = name, BinaryCrossentropy(from_logits, label_smoothing, dtype=dtype, backend=backend)

    @quietly
    def value_and_grad(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Array]:
        """The metric and its gradient with respect to `y_pred`."""
        loss, dtype = self.loss, np.dtype(self.loss.dtype or np.float32)
        if loss.backend == "tf_keras":
            given = real("y_pred", y_pred)
            t, x = _same_rank(real("y_true", y_true).astype(dtype), given.astype(dtype), loss.backend)
        else:
            given = x = floats("y_pred", y_pred)
            t = real("y_true", y_true).astype(x.dtype)
        rows, slope = loss.rows(t, x)
        rows = rows.astype(dtype)
        w = None if sample_weight is None else real("sample_weight", sample_weight).astype(dtype)
        value, factor = _averaged(rows, w, loss.backend)
        return value, loss.gradient(slope, factor, x.shape, given)


def _averaged(rows: Array, w: Array | None, backend: str) -> tuple[Any, Array]:
    """Σ w·row / Σ w, where rows that share a weight become their mean first; and its derivative by each row."""
    values, weights = rows, np.ones_like(rows)
    if w is not None:
        values, w = _ranked(rows, w, backend)
        spare = values.ndim - w.ndim
        if spare < 0:
            raise InvalidInputError(f"sample_weight must have the rows' shape {rows.shape}; got {w.shape}. Reshape it.")
        weights = broadcast("sample_weight", w.reshape(w.shape + (1,) * spare), values.shape).reshape(rows.shape)
        if spare and (w.ndim or backend != "tf_keras"):
            values = _mean_over(values, range(w.ndim, values.ndim))
        w = np.broadcast_to(w, values.shape)
        values = values * w
    if backend == "tf_keras":
        number: Any = values.size if w is None else w.sum(dtype=np.float64)
    else:
        number = len(values) if values.ndim else 1
        number = number if w is None else _mean_over(w, range(1, w.ndim)).sum(dtype=np.float64)
        values = _mean_over(values, range(1, values.ndim))
    divisor = count(rows.shape, "weighted_mean", weight=weights)
    return _mean(values, number, backend), weights / divisor if divisor else 0 * weights


losses = SimpleNamespace(**{one.__name__: one for one in (BinaryCrossentropy, BinaryFocalCrossentropy)})
losses.binary_crossentropy = binary_crossentropy
metrics = SimpleNamespace(BinaryCrossentropy=_Metric)
