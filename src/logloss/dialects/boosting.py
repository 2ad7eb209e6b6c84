"""Boosting libraries: the log loss that their training reports, and the gradient that their trees are given.

`preds` are raw scores (margins, logits), or probabilities with `raw_score=False`. Labels and weights are stored in
float32; a value divides by the sum of the weights. The gradient belongs to the objective of raw scores: it is that of
a sum, not of a mean, and probabilities have none (None). No metric knows the class weights that a gradient has. What
training refuses is refused, though a library may score it once it has a model. Of weights whose sum is 0 XGBoost and
CatBoost make a loss of 0, LightGBM NaN or an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from ._parts import Array, count, dialect, in_unit_interval, not_negative, one_shape, real

XGBOOST_FLOOR = np.float32(1e-16)  # of p and of 1-p
XGBOOST_HESSIAN_FLOOR = 1e-16
XGBOOST_RATE_FLOOR = 1e-6  # of the share of positives that training starts from, and of that of negatives
LIGHTGBM_FLOOR = np.float32(1e-15)  # binary_logloss, whose logarithm is taken in float32
LIGHTGBM_RATE_FLOOR = 1e-15
LIGHTGBM_CROSS_ENTROPY_FLOOR = 1e-12


@dialect
def xgboost_logloss(
    preds: Any, labels: Any, weights: Any = None, *, scale_pos_weight: float = 1.0, raw_score: bool = True
) -> tuple[float, Any]:
    """XGBoost's `logloss` and the gradient of `binary:logistic`, in float32; p = 1 exactly from a margin of 17 on."""
    x, t, w = _columns(preds, labels, weights)
    x = x.astype(np.float32)
    in_unit_interval("labels", t)
    not_negative("weights", w)
    if np.isinf(w).any():
        raise InvalidInputError("weights must be finite; got inf. Scale them.")
    p = 1 / (np.exp(np.minimum(-x, np.float32(88.7))) + 1 + XGBOOST_FLOOR) if raw_score else x
    yes, no = np.log(np.maximum(p, XGBOOST_FLOOR)), np.log(np.maximum(1 - p, XGBOOST_FLOOR))
    loss = -(np.where(t == 0, 0, t * yes) + np.where(t == 1, 0, (1 - t) * no)) * w
    w = np.where(t == 1, w * np.float32(scale_pos_weight), w)
    return _mean(loss, weights, empty=0.0), (p - t) * w if raw_score else None


@dialect
def lightgbm_binary_logloss(
    preds: Any,
    labels: Any,
    weights: Any = None,
    *,
    sigmoid: float = 1.0,
    scale_pos_weight: float = 1.0,
    raw_score: bool = True,
) -> tuple[float, Any]:
    """LightGBM's `binary_logloss` and the gradient of `binary`: a label above 0 is 1, be it 0.3 or 2."""
    x, t, w = _lightgbm_columns(preds, labels, weights)
    p, positive = (1 / (1 + np.exp(-sigmoid * x)) if raw_score else x), t > 0
    hit = np.where(positive, p, 1 - p)
    loss = np.where(hit > LIGHTGBM_FLOOR, -np.log(hit), -np.log(LIGHTGBM_FLOOR)) * w
    y = np.where(positive, 1, -1)
    response = -y * sigmoid / (1 + np.exp(y * sigmoid * x))
    gradient = (response * np.where(positive, scale_pos_weight, 1) * w).astype(np.float32)
    return _mean(loss, None if weights is None else w, empty=math.nan), gradient if raw_score else None


@dialect
def lightgbm_cross_entropy(
    preds: Any, labels: Any, weights: Any = None, *, raw_score: bool = True
) -> tuple[float, Any]:
    """LightGBM's `cross_entropy`, metric and objective, of soft labels."""
    x, t, w = _lightgbm_columns(preds, labels, weights)
    in_unit_interval("labels", t)
    not_negative("weights", w)
    if not w.any():
        raise InvalidInputError("weights must have a sum above 0; got 0. Leave them out for ones.")
    p = 1 / (1 + np.exp(-x)) if raw_score else x
    yes, no = (np.log(np.maximum(share, LIGHTGBM_CROSS_ENTROPY_FLOOR)) for share in (p, 1 - p))
    loss = -(t * yes + (1 - t) * no) * w
    e = np.exp(-x)
    gradient = np.where(x > -37, ((1 - t) - t * e) / (1 + e), np.exp(x) - t) * w
    return _mean(loss, None if weights is None else w), gradient.astype(np.float32) if raw_score else None


@dialect
def catboost_logloss(preds: Any, labels: Any, weights: Any = None) -> tuple[float, Array]:
    """CatBoost's `Logloss`: a label above 0.5 is 1, else 0; otherwise `catboost_cross_entropy`."""
    labels = real("labels", labels).astype(np.float32)
    if np.isnan(labels).any():
        raise InvalidInputError("labels must not be NaN; got one that is. Leave its row out.")
    labels = (labels > 0.5).astype(np.float32)
    return catboost_cross_entropy.value_and_grad(preds, labels, weights)  # type: ignore[attr-defined, no-any-return]


@dialect
def catboost_cross_entropy(preds: Any, labels: Any, weights: Any = None) -> tuple[float, Array]:
    """CatBoost's `CrossEntropy`: log(1 + e^x) - t·x as it stands. Its gradient t - p has the likelihood's sign."""
    x, t, w = _columns(preds, labels, weights)
    in_unit_interval("labels", t)
    e = np.exp(x)
    loss = np.where(np.isfinite(e), np.log(1 + e) - t * x, (1 - t) * x) * w
    return _mean(loss, weights, empty=0.0), (t - (1 - 1 / (1 + e))) * w


def _lightgbm_columns(preds: Any, labels: Any, weights: Any) -> tuple[Array, Array, Array]:
    """The same as LightGBM stores them, at least one row: 0 for NaN, 1e38 for infinity."""
    x, t, w = _columns(preds, labels, weights)
    if not x.size:
        raise InvalidInputError(f"preds must hold at least one row; got shape {x.shape}. Leave the data out.")
    t, w = (np.nan_to_num(column, nan=0.0, posinf=1e38, neginf=-1e38) for column in (t, w))
    return x, t, w


def _columns(preds: Any, labels: Any, weights: Any) -> tuple[Array, Array, Array]:
    """Scores in float64, labels and weights as the float32 that they are stored in."""
    x, t = real("preds", preds, np.float64).astype(np.float64), real("labels", labels).astype(np.float32)
    w = np.ones_like(t) if weights is None else real("weights", weights).astype(np.float32)
    one_shape(preds=x, labels=t)
    if w.shape != t.shape[:1]:
        raise InvalidInputError(f"weights must have one number per row, {t.shape[:1]}; got shape {w.shape}.")
    return x, t, w


def _mean(loss: Array, weights: Any, empty: float = math.nan) -> float:
    """Σ loss / Σ w, or what the library makes of a sum of 0."""
    divisor = count(loss.shape, "weighted_mean", sample_weight=None if weights is None else np.float32(weights))
    return float(loss.sum(dtype=np.float64) / divisor) if divisor else empty
