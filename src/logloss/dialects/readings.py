"""The finite grid that `logloss explain` looks through: systems × their documented options × reductions × dtypes.

A reading turns data into one number as some system would, and can say what it did that the exact loss does not do. A
new dialect adds its rows to `GRID`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import boosting, caffe, keras, optax, pytorch, sklearn, tensorflow
from ._parts import Array
from .notes import (
    Notes,
    Says,
    adds,
    cancels,
    clips,
    floors,
    hardens,
    ignores_negatives,
    log_floors,
    logit,
    of,
    saturated,
    short,
    sigmoid,
    stored,
    undefined,
)

Weights = Array | None  # a number per row
Compute = Callable[[Array, Array, Weights], Any]
LOGITS, PROBABILITIES = "logits", "probabilities"
FLOATS = ("float32", "float64")
_OLD_EPS = 1e-15


class Reading(NamedTuple):
    """One way to make a number of predictions, targets and perhaps weights."""

    system: str
    call: str
    takes: str
    dtype: str
    compute: Compute
    notes: tuple[Notes, ...] = ()
    divides: str = "elements"  # by what: elements, batch, nothing, or (Keras's sum) the labels of a row
    default: bool = False
    knows_logits: bool = False  # it makes probabilities of logits itself
    weighs: str = "count"  # weighted losses are divided by: the count as ever, the weights' sum, those not 0; or "no"
    needs_weights: bool = False  # without them it is another reading
    rare: bool = False  # looked at only where no other one gives the number


def divisor(reading: Reading, t: Array, w: Weights) -> tuple[float, str]:
    """What a reading divides the sum of its losses by, and in words."""
    labels = t.size // len(t)
    if reading.divides == "nothing":
        return 1, "nothing"
    if reading.divides == "labels":
        return labels, f"the {labels:,} labels"
    each, what = (1, "rows") if reading.divides == "batch" else (labels, "elements")
    if w is not None and reading.weighs == "sum":
        return float(w.sum()) * each, f"the weights' sum ({float(w.sum()) * each:,.6g})"
    if w is not None and reading.weighs == "nonzero":
        counted = int(np.count_nonzero(w)) * each
        return counted, f"the {counted:,} {what} whose weight is not 0"
    number = len(t) * each
    return number, f"the batch ({number:,})" if reading.divides == "batch" else f"the {number:,} {what}"


# ---- shapes and weights ---------------------------------------------------------------------------------------------


def rows(loss: Any) -> Compute:
    """A call of Keras, (targets, predictions, weights) with an axis to average over."""
    return lambda x, t, w: loss(*(array.reshape(len(array), -1) for array in (t, x)), w)


def flat(function: Any) -> Compute:
    """A call that wants vectors, predictions first and weights last."""
    return lambda x, t, w: function(x.reshape(-1), t.reshape(-1), None if w is None else np.repeat(w, x.size // len(x)))


def beside(x: Array, w: Weights) -> Array | None:
    """The weights of rows as elements of their losses."""
    return None if w is None else w.reshape(w.shape + (1,) * (x.ndim - 1)).astype(x.dtype)


def weighted(losses: Array, w: Weights) -> Array:
    """Losses of elements times what their rows weigh."""
    return losses if w is None else losses * beside(losses, w)


# ---- the grid -------------------------------------------------------------------------------------------------------


def of_pytorch() -> Iterator[Reading]:
    """PyTorch."""
    left = cancels(pytorch.logit_elements, "(1-t)·x - log σ(x)")
    losses = (
        ("BCEWithLogitsLoss", LOGITS, pytorch.binary_cross_entropy_with_logits, left),
        ("BCELoss", PROBABILITIES, pytorch.binary_cross_entropy, log_floors),
    )
    for dtype in FLOATS:
        for name, takes, function, notes in losses:
            for reduction, divides in (("mean", "elements"), ("sum", "nothing")):

                def compute(
                    x: Array, t: Array, w: Weights, function: Any = function, reduction: str = reduction
                ) -> Any:
                    return function(x, t.astype(x.dtype), beside(x, w), reduction=reduction)

                default = dtype == "float32" and reduction == "mean"
                call = f"{name}({'' if reduction == 'mean' else f'reduction={reduction!r}'})"
                yield Reading("PyTorch", call, takes, dtype, compute, (notes,), divides, default)

        def soft_margin(x: Array, t: Array, w: Weights) -> Any:
            x, t = (array.reshape(len(array), -1) for array in (x, t))
            return pytorch.multilabel_soft_margin_loss(x, t, beside(x, w))

        yield Reading("PyTorch", "MultiLabelSoftMarginLoss()", LOGITS, dtype, soft_margin, default=dtype == "float32")


def of_tensorflow() -> Iterator[Reading]:
    """TensorFlow."""
    v1, keys = tensorflow.compat.v1.losses, tensorflow.Reduction
    for name, reduce, divides in (("reduce_mean", np.mean, "elements"), ("reduce_sum", np.sum, "nothing")):
        for dtype in FLOATS:

            def compute(x: Array, t: Array, w: Weights, reduce: Any = reduce) -> Any:
                return reduce(weighted(tensorflow.sigmoid_cross_entropy_with_logits(t.astype(x.dtype), x), w))

            call = f"{name}(nn.sigmoid_cross_entropy_with_logits)"
            default = dtype == "float32" and divides == "elements"
            yield Reading("TensorFlow", call, LOGITS, dtype, compute, (), divides, default)
    for key, divides, weighs in (
        (keys.SUM_BY_NONZERO_WEIGHTS, "elements", "nonzero"),
        (keys.SUM, "nothing", "count"),
        (keys.MEAN, "elements", "sum"),
        (keys.SUM_OVER_BATCH_SIZE, "elements", "count"),
    ):
        usual = key == keys.SUM_BY_NONZERO_WEIGHTS
        for name, takes, function, notes in (
            ("sigmoid_cross_entropy", LOGITS, v1.sigmoid_cross_entropy, ()),
            ("log_loss", PROBABILITIES, v1.log_loss, (adds(1e-7),)),
        ):

            def reduced(x: Array, t: Array, w: Weights, function: Any = function, key: str = key) -> Any:
                return function(t, x, 1.0 if w is None else beside(x, w), reduction=key)

            yield Reading(
                "TensorFlow",
                f"compat.v1.losses.{name}({'' if usual else f'reduction={key!r}'})",
                takes,
                "float32",
                reduced,
                notes,
                divides,
                usual,
                weighs=weighs,
                needs_weights=key in (keys.MEAN, keys.SUM_OVER_BATCH_SIZE),
            )


def of_keras() -> Iterator[Reading]:
    """Keras 3 on each backend, and tf.keras 2."""
    for backend in keras.BACKENDS:
        system = "tf.keras 2" if backend == "tf_keras" else f"Keras 3 ({backend})"
        from_p: tuple[Notes, ...] = (clips(keras.EPSILON), *([adds(keras.EPSILON)] if backend == "tf_keras" else []))
        from_x: tuple[Notes, ...] = ()
        if backend == "numpy":
            from_x = (of(sigmoid, clips(keras.EPSILON)),)
        elif backend == "torch":
            from_x = (cancels(pytorch.logit_elements, "(1-t)·x - log σ(x)"),)
        for takes, notes in ((PROBABILITIES, from_p), (LOGITS, from_x)):
            for dtype in FLOATS if backend == "tf_keras" else FLOATS[:1]:  # Keras 3's losses compute in float32 always
                yield from _keras_losses(system, backend, takes, dtype, notes)
            yield from _keras_metrics(system, backend, takes, notes)


def _keras_losses(system: str, backend: str, takes: str, dtype: str, notes: tuple[Notes, ...]) -> Iterator[Reading]:
    fixed: dict[str, Any] = {"backend": backend, "from_logits": takes == LOGITS}
    given = "from_logits=True" if takes == LOGITS else ""
    smoothed, focal = Says("labels smoothed by 0.1"), Says("focal factor (1-p_t)^2 on every loss")
    balanced = Says("positives × 0.25, negatives × 0.75")
    plain, focused = keras.BinaryCrossentropy, keras.BinaryFocalCrossentropy
    variants: tuple[tuple[Any, str, dict[str, Any], tuple[Notes, ...], str], ...] = (
        (plain, "", {}, (), "elements"),
        (plain, "reduction='sum'", {"reduction": "sum"}, (), "labels"),
        (plain, "label_smoothing=0.1", {"label_smoothing": 0.1}, (smoothed,), "elements"),
        (focused, "", {}, (focal,), "elements"),
        (focused, "apply_class_balancing=True", {"apply_class_balancing": True}, (focal, balanced), "elements"),
    )
    for kind, text, options, more, divides in variants:
        call = f"{kind.__name__}({', '.join(part for part in (given, text) if part)})"
        made = kind(**options, **fixed)
        default = dtype == "float32" and kind is plain and not text
        yield Reading(system, call, takes, dtype, rows(made), (*notes, *more), divides, default)
    if backend != "tf_keras":
        name = "mean_with_sample_weight"
        call = f"BinaryCrossentropy({', '.join(part for part in (given, f'reduction={name!r}') if part)})"
        made = plain(reduction=name, **fixed)
        yield Reading(system, call, takes, dtype, rows(made), notes, weighs="sum", needs_weights=True)


def _keras_metrics(system: str, backend: str, takes: str, notes: tuple[Notes, ...]) -> Iterator[Reading]:
    """In the predictions' dtype, where a backend keeps it; in float32 and without weights a metric is the loss."""
    made = keras.metrics.BinaryCrossentropy(from_logits=takes == LOGITS, backend=backend)
    call = f"metrics.BinaryCrossentropy({'from_logits=True' if takes == LOGITS else ''})"
    single = Reading(system, call, takes, "float32", rows(made), notes, default=True, weighs="sum", needs_weights=True)
    yield single
    if backend not in ("jax", "tf_keras"):
        yield single._replace(dtype="float64", notes=(*notes, Says("kept in float32")), default=False, rare=True)


def of_sklearn() -> Iterator[Reading]:
    """scikit-learn."""
    for dtype in FLOATS:
        eps = float(np.finfo(dtype).eps)
        for normalize in (True, False):

            def compute(p: Array, t: Array, w: Weights, normalize: bool = normalize) -> Any:
                labels = [0, 1] if t.ndim == 1 else None
                return sklearn.log_loss(t, p, normalize=normalize, sample_weight=w, labels=labels)

            notes = (clips(eps, f"the {dtype} epsilon {short(eps)}"), ignores_negatives)
            divides, default = ("batch", dtype == "float64") if normalize else ("nothing", False)
            call = f"log_loss({'' if normalize else 'normalize=False'})"
            yield Reading("scikit-learn", call, PROBABILITIES, dtype, compute, notes, divides, default, weighs="sum")

        def half(x: Array, t: Array, w: Weights) -> Any:
            return sklearn.HalfBinomialLoss()(t.astype(x.dtype), x, None if w is None else w.astype(x.dtype))

        default = dtype == "float64"
        yield Reading("scikit-learn", "HalfBinomialLoss()", LOGITS, dtype, flat(half), default=default, weighs="sum")


def of_caffe() -> Iterator[Reading]:
    """Caffe."""
    tails = cancels(caffe.logit_elements, "log(1 + z), not log1p(z),")
    ways = {"BATCH_SIZE": "batch", "FULL": "elements", "VALID": "elements", "NONE": "nothing"}
    for dtype in FLOATS:
        for name, divides in ways.items():

            def compute(x: Array, t: Array, _: Weights, name: str = name) -> Any:
                return caffe.sigmoid_cross_entropy_loss(x, t, normalization=name)

            default = dtype == "float32" and name == "BATCH_SIZE"
            call = f"SigmoidCrossEntropyLoss({'' if name == 'BATCH_SIZE' else f'normalization: {name}'})"
            yield Reading("Caffe", call, LOGITS, dtype, compute, (tails,), divides, default, weighs="no")


def of_optax() -> Iterator[Reading]:
    """optax."""
    for dtype in FLOATS:
        for reduce, divides in ((np.mean, "elements"), (np.sum, "nothing")):

            def compute(x: Array, t: Array, w: Weights, reduce: Any = reduce) -> Any:
                return reduce(weighted(optax.sigmoid_binary_cross_entropy(x, t), w))

            default = dtype == "float32" and divides == "elements"
            call = f"{reduce.__name__}(sigmoid_binary_cross_entropy)"
            yield Reading("optax", call, LOGITS, dtype, compute, (), divides, default)

        def focal(x: Array, t: Array, w: Weights) -> Any:
            return np.mean(weighted(optax.sigmoid_focal_loss(x, t), w))

        notes = (Says("focal factor (1-p_t)^2 on every loss"),)
        yield Reading("optax", "mean(sigmoid_focal_loss)", LOGITS, dtype, focal, notes)


def of_boosting() -> Iterator[Reading]:
    """Boosting libraries; CatBoost takes raw scores only."""
    floor = {name: float(getattr(boosting, name)) for name in ("XGBOOST_FLOOR", "LIGHTGBM_FLOOR")}
    metrics = (
        ("XGBoost", "logloss", boosting.xgboost_logloss, "float32", (stored, floors(floor["XGBOOST_FLOOR"]))),
        (
            "LightGBM",
            "binary_logloss",
            boosting.lightgbm_binary_logloss,
            "float64",
            (hardens(0), floors(floor["LIGHTGBM_FLOOR"])),
        ),
        (
            "LightGBM",
            "cross_entropy",
            boosting.lightgbm_cross_entropy,
            "float64",
            (stored, floors(boosting.LIGHTGBM_CROSS_ENTROPY_FLOOR)),
        ),
    )
    for system, call, function, dtype, notes in metrics:

        def of_shares(p: Array, t: Array, w: Weights, function: Any = function) -> Any:
            return function(p, t, w, raw_score=False)

        usual: Any = {"default": True, "weighs": "sum"}
        of_logits = tuple(of(sigmoid, note) for note in notes)
        yield Reading(system, call, LOGITS, dtype, flat(function), of_logits, **usual)
        yield Reading(system, call, PROBABILITIES, dtype, flat(of_shares), notes, knows_logits=True, **usual)
    plain = cancels(lambda x, t: (np.log(1 + np.exp(x)) - t * x, x), "log(1 + e^x) - t·x")
    for call, function, more in (
        ("Logloss", boosting.catboost_logloss, (hardens(0.5), plain)),
        ("CrossEntropy", boosting.catboost_cross_entropy, (stored, plain)),
    ):
        yield Reading("CatBoost", call, LOGITS, "float64", flat(function), more, default=True, weighs="sum")


def of_formulas() -> Iterator[Reading]:
    """What people write down themselves, and what libraries computed before they clipped by dtype."""

    def written(p: Array, t: Array, w: Weights) -> Any:
        return -np.mean(weighted(t * np.log(p) + (1 - t) * np.log(1 - p), w), dtype=p.dtype)

    def clipped(p: Array, t: Array, w: Weights) -> Any:
        p = np.clip(p, np.asarray(_OLD_EPS, p.dtype), np.asarray(1 - _OLD_EPS, p.dtype))
        return written(p, t, w) if w is None else written(p, t, w) * len(w) / w.sum()

    def softplus(x: Array, t: Array, w: Weights) -> Any:
        return np.mean(weighted(np.logaddexp(0, x) - t * x, w), dtype=x.dtype)

    old = "scikit-learn < 1.2, Kaggle, Spark, hivemall"
    for dtype in FLOATS:
        yield Reading(old, "log loss with eps=1e-15", PROBABILITIES, dtype, clipped, (clips(_OLD_EPS),), weighs="sum")
        yield Reading("NumPy", "-mean(t·log(p) + (1-t)·log(1-p))", PROBABILITIES, dtype, written, (undefined,))
        yield Reading("NumPy", "mean(log(1 + e^x) - t·x)", LOGITS, dtype, softplus)


FAMILIES = (of_sklearn, of_pytorch, of_tensorflow, of_keras, of_caffe, of_optax, of_boosting, of_formulas)
_ALL = tuple(reading for family in FAMILIES for reading in family())
GRID = tuple(reading for reading in _ALL if not reading.needs_weights and not reading.rare)
WEIGHTED = tuple(reading for reading in _ALL if reading.needs_weights and not reading.rare)
RARE = tuple(reading for reading in _ALL if reading.rare)


def mistaken(reading: Reading) -> Reading:
    """The same call given the wrong kind of number."""
    wrong = PROBABILITIES if reading.takes == LOGITS else LOGITS
    return reading._replace(takes=wrong, notes=(Says(f"{wrong} taken for {reading.takes}"),), default=False)


def turned(reading: Reading) -> Reading:
    """A reading of probabilities, of those that a model's sigmoid makes of its logits; or of logits, of theirs."""
    from_logits = reading.takes == PROBABILITIES
    function, name = (sigmoid, "σ(x)") if from_logits else (logit, "log(p / (1 - p))")
    notes = (saturated, *reading.notes) if from_logits else reading.notes

    def compute(x: Array, t: Array, w: Weights) -> Any:
        return reading.compute(function(x), t, w)

    return reading._replace(
        call=f"{reading.call} of {name}",
        takes=LOGITS if from_logits else PROBABILITIES,
        compute=compute,
        notes=tuple(of(function, note) for note in notes),
    )
