"""Calls that a framework answers with an error, and so must its dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dialects.cases import Case

P, T, PAIR = np.array([0.3, 0.8], "float32"), np.array([0.0, 1.0], "float32"), np.zeros((2, 2), "float32")


def refused() -> list[Case]:
    """All of them."""
    return [*_refused_by_pytorch(), *_refused_by_tensorflow(), *_refused_by_keras(), *_refused_by_others()]


def _refused_by_pytorch() -> Iterator[Case]:
    def case(name: str, x: Any, t: Any, **options: Any) -> Case:
        return Case("torch", "pytorch", name, {"input": x, "target": t}, options)

    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        yield case(name, P, T[:1])
        yield case(name, P, T.astype("int64"))
        yield case(name, P.astype("int64"), T)
        yield case(name, P, T, reduction="bad")
        yield case(name, P, T, weight=np.ones((3, 2), "float32"))
    yield case("binary_cross_entropy", P + 1, T)
    yield case("binary_cross_entropy", P * np.float32(np.nan), T)
    yield case("binary_cross_entropy", P, T + 1)
    yield case("binary_cross_entropy", P, T.astype("float64"))
    yield case("binary_cross_entropy_with_logits", P, T, pos_weight=np.ones(3, "float32"))
    yield case("binary_cross_entropy_with_logits", P, T, pos_weight=np.ones(2, bool))
    yield case("binary_cross_entropy_with_logits", P, np.zeros(3, "int64"))  # the shape is asked first
    soft_margin = "multilabel_soft_margin_loss"
    yield case(soft_margin, P, T, reduction="bad")
    yield case(soft_margin, np.array(1.0, "float32"), np.array(1.0, "float32"))
    yield case(soft_margin, P, T.astype(bool))
    yield case(soft_margin, P.astype("int64"), T)
    yield case(soft_margin, P, np.zeros(3, "float32"))
    yield case(soft_margin, P, T, weight=np.ones((2, 3), "float32"))


def _refused_by_tensorflow() -> Iterator[Case]:
    def case(name: str, arrays: dict[str, Any], **options: Any) -> Case:
        return Case("tensorflow", "tensorflow", name, arrays, options)

    for name, more in (
        ("sigmoid_cross_entropy_with_logits", {}),
        ("weighted_cross_entropy_with_logits", {"pos_weight": 2.0}),
    ):
        yield case(name, {"labels": T[:1], "logits": P}, **more)
        yield case(name, {"labels": T.astype("int32"), "logits": P}, **more)
        yield case(name, {"labels": T.astype("float64"), "logits": P}, **more)
    weighted = "weighted_cross_entropy_with_logits"
    for price in ([1.0, 2.0], None, np.ones(3, "float32")):
        yield case(weighted, {"labels": T, "logits": P}, pos_weight=price)
    v1 = "compat.v1.losses."
    for weights in (None, np.ones((1, 2, 2), "float32")):
        yield case(v1 + "sigmoid_cross_entropy", {"multi_class_labels": PAIR, "logits": PAIR}, weights=weights)
        yield case(v1 + "log_loss", {"labels": PAIR, "predictions": PAIR}, weights=weights)
    yield case(v1 + "sigmoid_cross_entropy", {"multi_class_labels": PAIR[:1], "logits": PAIR.astype(bool)})
    yield case(
        v1 + "sigmoid_cross_entropy", {"multi_class_labels": PAIR, "logits": PAIR}, weights=np.ones(2, "float32")
    )
    yield case(v1 + "sigmoid_cross_entropy", {"multi_class_labels": T, "logits": P}, reduction="bad")
    yield case(v1 + "sigmoid_cross_entropy", {"multi_class_labels": PAIR[:1], "logits": PAIR})
    yield case(v1 + "log_loss", {"labels": PAIR[:1], "predictions": PAIR})
    yield case(v1 + "log_loss", {"labels": PAIR, "predictions": PAIR}, weights=np.ones((3, 2), "float32"))


def _refused_by_keras() -> Iterator[Case]:
    for host in ("tensorflow", "jax", "torch", "numpy"):

        def case(x: Any, t: Any, function: str = "losses.BinaryCrossentropy", host: str = host, **options: Any) -> Case:
            return Case(host, "keras", function, {"y_true": t, "y_pred": x}, {**options, "backend": host})

        yield case(P, T, reduction="bad")
        yield case(P[:, None], np.zeros((3, 1), "float32"))
        yield case(PAIR, T)
        yield case(PAIR, PAIR, sample_weight=np.ones(3, "float32"))
        yield case(PAIR, PAIR, "metrics.BinaryCrossentropy", sample_weight=np.ones((2, 2), "float32"))
        yield case(P, T, "metrics.BinaryCrossentropy", sample_weight=np.ones(2, "float32"))
        for function in ("losses.BinaryCrossentropy", "losses.BinaryFocalCrossentropy", "losses.binary_crossentropy"):
            yield case(P, T, function, axis=1)
        if host != "torch":  # which takes a single number for its own axis
            for function in ("losses.BinaryCrossentropy", "losses.binary_crossentropy", "metrics.BinaryCrossentropy"):
                yield case(P[0].reshape(()), T[0].reshape(()), function)
    for host in ("tensorflow", "torch"):
        for function in ("losses.binary_crossentropy", "metrics.BinaryCrossentropy"):
            arrays = {"y_true": T, "y_pred": P.astype("int64")}
            yield Case(host, "keras", function, arrays, {"backend": host})
    for name in ("losses.BinaryCrossentropy", "losses.BinaryFocalCrossentropy"):
        yield Case("torch", "keras", name, {"y_true": T[:, None] * 2, "y_pred": P[:, None]}, {"backend": "torch"})
        yield Case("torch", "keras", name, {"y_true": T[:, None], "y_pred": P[:, None] * np.nan}, {"backend": "torch"})

    yield from _refused_by_tf_keras()


def _refused_by_tf_keras() -> Iterator[Case]:
    def case(x: Any, t: Any, function: str = "losses.BinaryCrossentropy", **options: Any) -> Case:
        return Case("tensorflow", "tf_keras", function, {"y_true": t, "y_pred": x}, {**options, "backend": "tf_keras"})

    yield case(P[:, None], np.zeros((3, 1), "float32"))
    yield case(PAIR, PAIR[:1], from_logits=True)
    yield case(np.zeros((4, 3, 1), "float32"), np.zeros((3, 1), "float32"))  # its last axis goes first
    yield case(PAIR.astype("int64"), PAIR)
    yield case(P, T, axis=1)
    for function in ("losses.BinaryCrossentropy", "metrics.BinaryCrossentropy"):
        yield case(PAIR, PAIR, function, sample_weight=np.ones((2, 2), "float32"))
        yield case(PAIR, PAIR, function, sample_weight=np.ones(3, "float32"))


def _refused_by_others() -> Iterator[Case]:
    for x, t in ((P.astype("int32"), T), (P, np.zeros(3, "float32"))):
        yield Case("jax", "optax", "sigmoid_binary_cross_entropy", {"logits": x, "labels": t}, {})

    yield Case("jax", "optax", "sigmoid_focal_loss", {"logits": P, "labels": T}, {"gamma": np.ones(3, "float32")})
    yield from _refused_by_sklearn()
    x, negative = P.astype("float64"), np.array([-1.0, 1.0])

    def boosting(name: str, labels: Any, **options: Any) -> Case:
        return Case("numpy", "boosting", name, {"preds": x, "labels": labels}, options)

    for name in ("xgboost_logloss", "lightgbm_cross_entropy", "catboost_cross_entropy"):
        yield boosting(name, T + 1)
        yield boosting(name, T - 1)
    for name in ("xgboost_logloss", "catboost_logloss", "catboost_cross_entropy"):
        yield boosting(name, T * np.nan)
    for name in ("xgboost_logloss", "lightgbm_cross_entropy"):
        yield boosting(name, T, weights=negative)
    yield boosting("xgboost_logloss", T, weights=np.array([np.inf, 1.0]))
    yield boosting("xgboost_logloss", T, weights=np.array([np.nan, 1.0]))
    yield boosting("lightgbm_cross_entropy", T, weights=np.zeros(2))
    for name in ("lightgbm_binary_logloss", "lightgbm_cross_entropy"):
        yield Case("numpy", "boosting", name, {"preds": x[:0], "labels": T[:0]}, {})


def _refused_by_sklearn() -> Iterator[Case]:
    def log_loss(y: Any, p: Any, function: str = "log_loss", **options: Any) -> Case:
        return Case("numpy", "sklearn", function, {"y_true": y, "y_proba": p}, options)

    for p in (P * np.float32(np.nan), P * np.float32(np.inf), P + 1, P - 1, P[:0], P[:1], np.ones((2, 3)) / 3):
        yield log_loss([0, 1], np.asarray(p, "float32"))
    for y in ([0.3, 0.7], [1, 1], [0, 1, 1], [[0, 2], [1, 0]]):
        yield log_loss(y, P)
    yield log_loss([1, 1], P, labels=[1])
    yield log_loss([1, 2], P, labels=[0, 1])
    for labels in ([], [0, 1, 0], [1, 1], [0.3, 0.7]):
        yield log_loss([0, 1], P, labels=labels)
    yield log_loss([[0, 1], [1, 0]], np.full((2, 2), 0.5), labels=[0, 1])
    yield log_loss([0, 1], np.full((2, 2, 2), 0.5))
    yield log_loss(np.zeros((2, 2, 2)), P)
    for weight in ([0.0, 0.0], [np.nan, 1.0], [1.0], [[1.0], [1.0]]):
        yield log_loss([0, 1], P, sample_weight=np.array(weight))
    d2 = "d2_log_loss_score"
    yield log_loss([0, 1], P[:1], d2)  # though D² of one row is NaN
    yield log_loss([0], P[:1], d2, sample_weight=np.ones(2))
    yield log_loss([0, 1], P, d2, sample_weight=np.ones(3))
    loss = "HalfBinomialLoss.loss"
    pair = {"y_true": T, "raw_prediction": P}
    yield Case("numpy", "sklearn", loss, pair, {"sample_weight": np.ones(2, "int64")})
    yield Case("numpy", "sklearn", loss, pair, {"sample_weight": np.array(1.0, "float32")})
    yield Case("numpy", "sklearn", "HalfBinomialLoss", pair, {"sample_weight": np.array(2.0)})
    arrays = {"y_true": T}
    options = {"sample_weight": np.ones(3)}
    yield Case("numpy", "sklearn", "HalfBinomialLoss.constant_to_optimal_zero", arrays, options)
    for t, x in ((PAIR, PAIR), (T, P.astype("float64")), (T.astype("int64"), P.astype("int64"))):
        yield Case("numpy", "sklearn", "HalfBinomialLoss.loss", {"y_true": t, "raw_prediction": x}, {})
