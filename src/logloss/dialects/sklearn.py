"""scikit-learn: `log_loss` and `d2_log_loss_score` of class probabilities, and the `HalfBinomialLoss` of its learners.

Probabilities are clipped at the machine epsilon of their dtype, so float32 predictions of the same model score less.
Targets are classes: soft targets are refused, and a 0/1 matrix counts Σ y·log p only, without (1-y)·log(1-p).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from ._parts import (
    Array,
    Dialect,
    count,
    dialect,
    in_unit_interval,
    one_dtype,
    one_shape,
    quietly,
    real,
    row_weights,
)

# ---- sklearn.metrics ------------------------------------------------------------------------------------------------


@dialect
def log_loss(
    y_true: Any,
    y_proba: Any = None,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = "deprecated",
) -> tuple[float, Array]:
    """`sklearn.metrics.log_loss`; a mean divides by the sum of the weights. The gradient is 0 where p is clipped."""
    p = _probabilities(_renamed(y_proba, y_pred))
    hot, columns = _classes(y_true, p, labels)
    weights = _weights(sample_weight, hot)
    value, slope = _clipped(hot, columns, weights, normalize)
    return value, _as_given(slope, p)


@dialect
def d2_log_loss_score(
    y_true: Any, y_proba: Any = None, *, sample_weight: Any = None, labels: Any = None, y_pred: Any = "deprecated"
) -> tuple[float, Array]:
    """`sklearn.metrics.d2_log_loss_score`: 1 - loss / loss of the class frequencies."""
    p = _probabilities(_renamed(y_proba, y_pred))
    if len(p) < 2:
        warnings.warn("D² of less than two samples is undefined: NaN.", UserWarning, stacklevel=4)
        return math.nan, np.full_like(p, math.nan)
    hot, columns = _classes(y_true, p, labels)
    weights = _weights(sample_weight, hot)
    null = np.broadcast_to(np.average(hot, axis=0, weights=weights), hot.shape)
    loss, slope = _clipped(hot, columns, weights, False)
    worst, _ = _clipped(hot, null, weights, False)
    return 1 - loss / worst, _as_given(-slope / worst, p)


def _clipped(hot: Array, p: Array, weights: Array | None, normalize: bool) -> tuple[float, Array]:
    """-Σ y·log p with p clipped to [ε, 1-ε], and its gradient with respect to each column."""
    eps = np.finfo(p.dtype).eps
    inside, p = (p >= eps) & (p <= 1 - eps), np.clip(p, eps, 1 - eps)
    rows = -np.where(hot == 0, 0, hot * np.log(p)).astype(p.dtype).sum(axis=1)
    w = 1 if weights is None else weights
    reduction = "weighted_mean" if normalize else "sum"
    divisor = count(rows.shape, reduction, sample_weight=weights)
    value = float((rows * w).sum(dtype=np.float64) / divisor)
    return value, np.where(inside, -hot / p, 0) * np.reshape(w, (-1, 1)) / divisor


def _as_given(slope: Array, p: Array) -> Array:
    """The gradient of two columns as that of the one that was given."""
    if slope.shape != p.shape:
        slope = (slope[:, 1] - slope[:, 0]).reshape(p.shape)
    return slope.astype(p.dtype)


def _renamed(y_proba: Any, y_pred: Any) -> Any:
    """Probabilities by either of their names: `y_pred` until scikit-learn 1.9, and until 1.11 with a warning."""
    if isinstance(y_pred, str) and y_pred == "deprecated":
        return y_proba
    if y_proba is not None:
        raise InvalidInputError("y_proba and y_pred are one argument; got both. Leave y_pred out.")
    warnings.warn("y_pred is y_proba since scikit-learn 1.9. Use y_proba.", FutureWarning, stacklevel=5)
    return y_pred


def _probabilities(y_proba: Any) -> Array:
    p = real("y_proba", y_proba, np.float64)
    p = p if p.dtype in (np.float16, np.float32, np.float64) else p.astype(np.float64)
    if p.ndim not in (1, 2) or p.size == 0:
        raise InvalidInputError(f"y_proba must have shape (N,) or (N, classes), N > 0; got {p.shape}.")
    in_unit_interval("y_proba", p)
    return p


def _classes(y_true: Any, p: Array, labels: Any) -> tuple[Array, Array]:
    """Targets as a 0/1 column per class, and as many columns of probabilities."""
    y = np.asarray(y_true)
    if len(y) != len(p):
        raise InvalidInputError(f"y_true and y_proba must have one length; got {len(y)} and {len(p)}.")
    hot = _indicators(y) if y.ndim == 2 and y.shape[1] > 1 else _one_hot(y.reshape(-1), labels)
    columns = p.reshape(len(p), -1)
    if columns.shape[1] == 1:
        columns = np.concatenate([1 - columns, columns], axis=1)
    if not np.isclose(columns.sum(axis=1), 1, rtol=math.sqrt(np.finfo(p.dtype).eps)).all():
        warnings.warn("The rows of y_proba do not sum to one; nothing is rescaled.", UserWarning, stacklevel=5)
    if hot.shape[1] != columns.shape[1]:
        raise InvalidInputError(
            f"y_true (or labels) and y_proba must have one number of classes; got {hot.shape[1]} and "
            f"{columns.shape[1]}. Give all of them as labels=."
        )
    return hot, columns


def _indicators(y: Array) -> Array:
    if not np.isin(y, (0, 1)).all():
        raise InvalidInputError("y_true with several columns must hold 0 and 1; found another value. Use classes.")
    return y.astype(np.float64)


def _one_hot(y: Array, labels: Any) -> Array:
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        raise InvalidInputError("y_true must hold classes; got soft targets. Use logloss.log_loss.")
    classes = np.unique(y if labels is None else np.asarray(labels))
    if len(classes) < 2:
        raise InvalidInputError(f"y_true (or labels) must hold at least two classes; got {classes}. Use labels=[0, 1].")
    if not np.isin(y, classes).all():
        raise InvalidInputError(f"y_true must hold only the classes in labels; got {np.setdiff1d(y, classes)} as well.")
    return (y[:, None] == classes).astype(np.float64)


def _weights(value: Any, rows: Array) -> Array | None:
    if value is None:
        return None
    weights: Array = row_weights(value, rows.shape[:1])
    if not np.isfinite(weights).all() or not weights.any():
        raise InvalidInputError("sample_weight must be finite, and at least one must not be 0. Leave it out for ones.")
    return weights


# ---- sklearn._loss --------------------------------------------------------------------------------------------------


class HalfBinomialLoss(Dialect):
    """`sklearn._loss.HalfBinomialLoss`: of logits, in float64 inside, in the inputs' dtype outside.

    Called it gives the mean, over the weights; its methods are elementwise. `loss` and `loss_gradient` differ in bits.
    """

    def value_and_grad(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """The weighted mean and its gradient."""
        losses, divisor = self.loss(y_true, raw_prediction), len(np.atleast_1d(y_true))
        weights = _weights(sample_weight, losses)
        total = count((divisor,), "weighted_mean", sample_weight=weights)
        value = np.average(losses, weights=weights)
        return value, (self.gradient(y_true, raw_prediction, sample_weight) / total).astype(losses.dtype)

    @quietly
    def loss(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> Array:
        """log(1 + e^x) - t·x, by ranges of x; small losses of confident positives cancel."""
        t, x, dtype = _vectors(y_true, raw_prediction)
        e = np.exp(x)
        ranges = [x <= -37, x <= -2, x <= 18, x <= 33.3]
        return _times(np.select(ranges, [e, np.log1p(e), np.log(1 + e), x + 1 / e], x) - t * x, sample_weight, dtype)

    @quietly
    def gradient(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> Array:
        """σ(x) - t, accurate in both tails."""
        t, x, dtype = _vectors(y_true, raw_prediction)
        e = np.exp(-x)
        return _times(np.where(x > -37, ((1 - t) - t * e) / (1 + e), np.exp(x) - t), sample_weight, dtype)

    @quietly
    def loss_gradient(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """(loss, gradient) as the learners use them; the loss is computed otherwise than in `loss`."""
        t, x, dtype = _vectors(y_true, raw_prediction)
        e, z = np.exp(x), np.exp(-x)
        left, right = np.where(x <= -37, e, np.log1p(e)) - t * x, np.where(x <= 18, np.log1p(z), z) + (1 - t) * x
        losses = _times(np.where(x <= -2, left, right), sample_weight, dtype)
        return losses, self.gradient(y_true, raw_prediction, sample_weight)

    @quietly
    def gradient_hessian(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """(gradient, Hessian diagonal)."""
        _, x, dtype = _vectors(y_true, raw_prediction)
        e = np.exp(-x)
        hessian = _times(np.where(x > -37, e / (1 + e) ** 2, np.exp(x)), sample_weight, dtype)
        return self.gradient(y_true, raw_prediction, sample_weight), hessian

    @quietly
    def constant_to_optimal_zero(self, y_true: Any, sample_weight: Any = None) -> Array:
        """t·log t + (1-t)·log(1-t): what makes the best possible loss 0."""
        t = real("y_true", y_true, np.float64)
        entropy = sum(np.where(share == 0, 0, share * np.log(share)) for share in (t, 1 - t))
        return entropy if sample_weight is None else entropy * real("sample_weight", sample_weight, np.float64)


def _vectors(y_true: Any, raw_prediction: Any) -> tuple[Array, Array, Any]:
    t, x = real("y_true", y_true, np.float64), real("raw_prediction", raw_prediction, np.float64)
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 1:
        raise InvalidInputError(f"raw_prediction must have one dimension; got shape {x.shape}. Use reshape(-1).")
    if x.dtype not in (np.float32, np.float64):
        raise UnsupportedTypeError(f"raw_prediction must be float32 or float64; got {x.dtype}. Use astype('float64').")
    one_shape(y_true=t, raw_prediction=x)
    one_dtype(y_true=t, raw_prediction=x)
    return t.astype(np.float64), x.astype(np.float64), x.dtype


def _times(values: Array, sample_weight: Any, dtype: Any) -> Array:
    if sample_weight is not None:
        values = values * row_weights(sample_weight, values.shape)
    return values.astype(dtype)
