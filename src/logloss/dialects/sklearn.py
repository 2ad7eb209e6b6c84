"""scikit-learn: `log_loss` and `d2_log_loss_score` of class probabilities, and the `HalfBinomialLoss` of its learners.

Probabilities are clipped at the machine epsilon of their dtype, so float32 predictions of the same model score less.
Targets are classes: soft targets are refused, and a 0/1 matrix counts Σ y·log p only, without (1-y)·log(1-p).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .._backends.operands import array_of
from .._errors import InvalidInputError, UnsupportedTypeError
from ._parts import (
    Array,
    Dialect,
    broadcast,
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
    hot, columns, weights = _checked(y_true, p, sample_weight, labels)
    value, slope = _clipped(hot, columns, weights, normalize)
    return value, _as_given(slope, p)


@dialect
def d2_log_loss_score(
    y_true: Any, y_proba: Any = None, *, sample_weight: Any = None, labels: Any = None, y_pred: Any = "deprecated"
) -> tuple[float, Array]:
    """`sklearn.metrics.d2_log_loss_score`: 1 - loss / loss of the class frequencies; NaN of less than two rows.

    Of those only the lengths are checked.
    """
    given = real("y_proba", _renamed(y_proba, y_pred), np.float64)
    _one_length(y_proba=given, y_true=y_true, sample_weight=sample_weight)
    if len(given) < 2:
        warnings.warn("D² of less than two samples is undefined: NaN.", UserWarning, stacklevel=4)
        return math.nan, np.full(given.shape, math.nan)
    p = _probabilities(given)
    hot, columns, weights = _checked(y_true, p, sample_weight, labels)
    null = np.broadcast_to(np.average(hot, axis=0, weights=weights), hot.shape)
    loss, slope = _clipped(hot, columns, weights, False)
    worst, _ = _clipped(hot, null, weights, False)
    if worst == 0:
        raise InvalidInputError("D² needs class frequencies of some loss; got 0, to divide by. Use log_loss.")
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


def _one_length(**arguments: Any) -> None:
    """Refuse what has no length, or another one; None is not given."""
    shapes = {name: array_of(name, value).shape for name, value in arguments.items() if value is not None}
    if not all(shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        names, got = " and ".join(shapes), " and ".join(map(str, shapes.values()))
        raise InvalidInputError(f"{names} must be arrays of one length; got shapes {got}. Give one of each per row.")


def _checked(y_true: Any, p: Array, sample_weight: Any, labels: Any) -> tuple[Array, Array, Array | None]:
    """Targets as a 0/1 column per class, as many columns of probabilities, and weights."""
    _one_length(y_proba=p, y_true=y_true, sample_weight=sample_weight)
    hot = _one_hot(array_of("y_true", y_true), _label_classes(labels))
    weights = _weights(sample_weight, hot)
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
    return hot, columns, weights


def _label_classes(labels: Any) -> Array | None:
    """The classes that `labels` names, sorted as the columns are whatever order they are given in."""
    if labels is None:
        return None
    given = array_of("labels", labels)
    classes = np.unique(given)
    if given.shape != classes.shape or len(classes) < 2 or _are_soft(given):
        raise InvalidInputError(f"labels must be at least two different classes; got {labels!r}. Use labels=[0, 1].")
    if not (classes == given).all():
        warnings.warn(
            f"The columns of y_proba are those of the sorted labels, {classes.tolist()}; got {given.tolist()}.",
            UserWarning,
            stacklevel=6,
        )
    return classes


def _one_hot(y: Array, classes: Array | None) -> Array:
    if y.ndim == 2 and y.shape[1] > 1:
        if classes is not None:
            raise InvalidInputError("labels go with a column of classes; got y_true with several. Leave labels out.")
        return _indicators(y)
    if y.ndim > 2 or not y.size:
        raise InvalidInputError(f"y_true must have shape (N,) or (N, classes); got {y.shape}. Use reshape(-1).")
    y = y.reshape(-1)
    if _are_soft(y):
        raise InvalidInputError("y_true must hold classes; got soft targets. Use logloss.log_loss.")
    classes = np.unique(y) if classes is None else classes
    if len(classes) < 2:
        raise InvalidInputError(f"y_true must hold at least two classes; got {classes}. Use labels=[0, 1].")
    if not np.isin(y, classes).all():
        raise InvalidInputError(f"y_true must hold only the classes in labels; got {np.setdiff1d(y, classes)} as well.")
    return (y[:, None] == classes).astype(np.float64)


def _are_soft(y: Array) -> bool:
    return y.dtype.kind == "f" and bool((y != np.floor(y)).any())


def _indicators(y: Array) -> Array:
    """A column per class as it is: scikit-learn takes any two whole numbers for no and yes, and weighs by them."""
    if y.dtype.kind not in "biuf" or _are_soft(y) or len(np.unique(y)) > 2:
        raise InvalidInputError("y_true with several columns must hold 0 and 1; found another value. Use classes.")
    return y.astype(np.float64)


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
    Lengths that differ are refused: scikit-learn reads past the end of the shorter array.
    """

    def value_and_grad(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """The weighted mean and its gradient."""
        losses = self.loss(y_true, raw_prediction)
        _one_length(raw_prediction=losses, sample_weight=sample_weight)
        weights = _weights(sample_weight, losses)
        total = count(losses.shape, "weighted_mean", sample_weight=weights)
        slopes = self.gradient(y_true, raw_prediction) * (1 if weights is None else weights)
        return np.average(losses, weights=weights), (slopes / total).astype(losses.dtype)

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
        dtype = np.float32 if t.dtype == np.float32 else np.float64
        shares = t.astype(dtype), (1 - t).astype(dtype)
        entropy: Array = sum(np.where(share == 0, 0, share * np.log(share)) for share in shares)
        if sample_weight is None:
            return entropy
        weights = broadcast("sample_weight", real("sample_weight", sample_weight, np.float64), t.shape)
        return (entropy * weights).astype(dtype)


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
        weights = real("sample_weight", sample_weight, dtype)
        _one_length(raw_prediction=values, sample_weight=weights)
        one_dtype(raw_prediction=np.empty(0, dtype), sample_weight=weights)
        values = values * row_weights(weights, values.shape)
    return values.astype(dtype)
