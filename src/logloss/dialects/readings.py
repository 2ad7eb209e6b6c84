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

Notes = Callable[[Array, Array], Iterator[str]]
Compute = Callable[[Array, Array], Any]
LOGITS, PROBABILITIES = "logits", "probabilities"
FLOATS = ("float32", "float64")
_OLD_EPS = 1e-15


class Reading(NamedTuple):
    """One way to make a number of predictions and targets."""

    system: str
    call: str
    takes: str
    dtype: str
    compute: Compute
    notes: tuple[Notes, ...] = ()
    divides: str = "elements"  # by what: elements, batch or nothing
    default: bool = False
    knows_logits: bool = False  # it makes probabilities of logits itself


# ---- what a system does that the exact loss does not ----------------------------------------------------------------


def short(number: float) -> str:
    """1e-7, not 1e-07."""
    return f"{number:.3g}".replace("e-0", "e-")


def clips(eps: float, name: str = "") -> Notes:
    """Probabilities moved into [ε, 1-ε]."""

    def notes(p: Array, _: Array) -> Iterator[str]:
        if number := int(np.count_nonzero((p < eps) | (p > 1 - eps))):
            yield f"{number:,} of {p.size:,} probabilities clipped at {name or short(eps)}"

    return notes


def floors(eps: float) -> Notes:
    """The probability of what happened raised to ε."""

    def notes(p: Array, t: Array) -> Iterator[str]:
        if number := int(np.count_nonzero(((t > 0) & (p < eps)) | ((t < 1) & (1 - p < eps)))):
            yield f"{number:,} of {p.size:,} losses end at {-np.log(eps):.4g} (probabilities floored at {short(eps)})"

    return notes


def log_floors(p: Array, t: Array) -> Iterator[str]:
    """PyTorch's floor of the logarithms."""
    if number := int(np.count_nonzero(((t > 0) & (np.log(p) < -100)) | ((t < 1) & (np.log1p(-p) < -100)))):
        yield f"{number:,} of {p.size:,} losses end at 100 (logarithms floored at -100)"


def undefined(p: Array, t: Array) -> Iterator[str]:
    """A certain prediction that came true."""
    if number := int(np.count_nonzero(((t == 0) & (p == 0)) | ((t == 1) & (p == 1)))):
        yield f"{number:,} of {p.size:,} losses are 0 · ∞ = NaN (0 · log 0)"


def adds(p: Array, _: Array) -> Iterator[str]:
    """An epsilon within the logarithm changes every loss."""
    yield f"1e-7 added within the logarithm of all {p.size:,}"


def hardens(threshold: float) -> Notes:
    """Soft targets taken for classes."""

    def notes(_: Array, t: Array) -> Iterator[str]:
        if number := int(np.count_nonzero((t > 0) & (t < 1))):
            yield f"{number:,} soft target{'s' * (number > 1)} made 0 or 1: above {threshold:g} is 1"

    return notes


def cancels(elements: Callable[[Array, Array], tuple[Array, Array]], how: str) -> Notes:
    """Small losses lost by subtracting near-equal numbers."""

    def notes(x: Array, t: Array) -> Iterator[str]:
        wide, soft = x.astype(np.float64), np.asarray(t, np.float64)
        exact = soft * np.logaddexp(0, -wide) + (1 - soft) * np.logaddexp(0, wide)
        off = np.abs(elements(x, t.astype(x.dtype))[0] - exact) > 1e-3 * exact
        if number := int(np.count_nonzero(off)):
            yield f"{number:,} of {x.size:,} small losses lost or off by over 0.1 % ({how} in {x.dtype})"

    return notes


def stored(_: Array, t: Array) -> Iterator[str]:
    """Targets that float32 does not hold."""
    if number := int(np.count_nonzero(t != t.astype(np.float32))):
        yield f"{number:,} target{'s' * (number > 1)} rounded to float32"


def says(text: str) -> Notes:
    """A remark without a count."""

    def notes(*_: Array) -> Iterator[str]:
        yield text

    return notes


def ignores_negatives(_: Array, t: Array) -> Iterator[str]:
    """A matrix of labels read as one-hot classes."""
    if t.ndim == 2:
        yield f"{int(np.count_nonzero(t == 0)):,} negatives ignored: multi-label read as multi-class"


def sigmoid(x: Array) -> Array:
    """σ(x) as a model's last layer computes it."""
    return 1 / (1 + np.exp(-x))


def of_sigmoid(function: Any) -> Any:
    """What a function of probabilities makes of logits."""
    return lambda x, t: function(sigmoid(x), t)


# ---- shapes ---------------------------------------------------------------------------------------------------------


def rows(loss: Any) -> Compute:
    """A call of Keras, (targets, predictions) with an axis to average over."""
    return lambda x, t: loss(*(array.reshape(len(array), -1) for array in (t, x)))


def flat(function: Any) -> Compute:
    """A call that wants vectors, predictions first."""
    return lambda x, t: function(x.reshape(-1), t.reshape(-1))


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

                def compute(x: Array, t: Array, function: Any = function, reduction: str = reduction) -> Any:
                    return function(x, t.astype(x.dtype), reduction=reduction)

                default = dtype == "float32" and reduction == "mean"
                call = f"{name}({'' if reduction == 'mean' else f'reduction={reduction!r}'})"
                yield Reading("PyTorch", call, takes, dtype, compute, (notes,), divides, default)

        def soft_margin(x: Array, t: Array) -> Any:
            return pytorch.multilabel_soft_margin_loss(x.reshape(len(x), -1), t.reshape(len(t), -1))

        yield Reading("PyTorch", "MultiLabelSoftMarginLoss()", LOGITS, dtype, soft_margin, default=dtype == "float32")


def of_tensorflow() -> Iterator[Reading]:
    """TensorFlow."""
    v1, keys = tensorflow.compat.v1.losses, tensorflow.Reduction
    for name, reduce, divides in (("reduce_mean", np.mean, "elements"), ("reduce_sum", np.sum, "nothing")):
        for dtype in FLOATS:

            def compute(x: Array, t: Array, reduce: Any = reduce) -> Any:
                return reduce(tensorflow.sigmoid_cross_entropy_with_logits(t.astype(x.dtype), x))

            call = f"{name}(nn.sigmoid_cross_entropy_with_logits)"
            default = dtype == "float32" and divides == "elements"
            yield Reading("TensorFlow", call, LOGITS, dtype, compute, (), divides, default)
    for key, divides in ((keys.SUM_BY_NONZERO_WEIGHTS, "elements"), (keys.SUM, "nothing")):
        for name, takes, function, notes in (
            ("sigmoid_cross_entropy", LOGITS, v1.sigmoid_cross_entropy, ()),
            ("log_loss", PROBABILITIES, v1.log_loss, (adds,)),
        ):

            def reduced(x: Array, t: Array, function: Any = function, key: str = key) -> Any:
                return function(t, x, reduction=key)

            call = f"compat.v1.losses.{name}({'' if divides == 'elements' else f'reduction={key!r}'})"
            yield Reading("TensorFlow", call, takes, "float32", reduced, notes, divides, divides == "elements")


def of_keras() -> Iterator[Reading]:
    """Keras 3 on each backend, and tf.keras 2."""
    for backend in keras.BACKENDS:
        system = "tf.keras 2" if backend == "tf_keras" else f"Keras 3 ({backend})"
        from_p: tuple[Notes, ...] = (clips(keras.EPSILON), *([adds] if backend == "tf_keras" else []))
        from_x: tuple[Notes, ...] = ()
        if backend == "numpy":
            from_x = (of_sigmoid(clips(keras.EPSILON)),)
        elif backend == "torch":
            from_x = (cancels(pytorch.logit_elements, "(1-t)·x - log σ(x)"),)
        for takes, notes in ((PROBABILITIES, from_p), (LOGITS, from_x)):
            for dtype in FLOATS if backend == "tf_keras" else FLOATS[:1]:  # Keras 3 computes in float32 always
                yield from _keras_losses(system, backend, takes, dtype, notes)


def _keras_losses(system: str, backend: str, takes: str, dtype: str, notes: tuple[Notes, ...]) -> Iterator[Reading]:
    fixed: dict[str, Any] = {"backend": backend, "from_logits": takes == LOGITS}
    given = "from_logits=True" if takes == LOGITS else ""
    smoothed, focal = says("labels smoothed by 0.1"), says("focal factor (1-p_t)^2 on every loss")
    balanced = says("positives × 0.25, negatives × 0.75")
    plain, focused = keras.BinaryCrossentropy, keras.BinaryFocalCrossentropy
    variants: tuple[tuple[Any, str, dict[str, Any], tuple[Notes, ...], str], ...] = (
        (plain, "", {}, (), "elements"),
        (plain, "reduction='sum'", {"reduction": "sum"}, (), "batch sum"),
        (plain, "label_smoothing=0.1", {"label_smoothing": 0.1}, (smoothed,), "elements"),
        (focused, "", {}, (focal,), "elements"),
        (focused, "apply_class_balancing=True", {"apply_class_balancing": True}, (focal, balanced), "elements"),
    )
    for kind, text, options, more, divides in variants:
        call = f"{kind.__name__}({', '.join(part for part in (given, text) if part)})"
        made = kind(**options, **fixed)
        default = dtype == "float32" and kind is plain and not text
        yield Reading(system, call, takes, dtype, rows(made), (*notes, *more), divides, default)


def of_sklearn() -> Iterator[Reading]:
    """scikit-learn."""
    for dtype in FLOATS:
        eps = float(np.finfo(dtype).eps)
        for normalize in (True, False):

            def compute(p: Array, t: Array, normalize: bool = normalize) -> Any:
                labels = [0, 1] if t.ndim == 1 else None
                return sklearn.log_loss(t, p, normalize=normalize, labels=labels)

            notes = (clips(eps, f"the {dtype} epsilon {short(eps)}"), ignores_negatives)
            divides, default = ("batch", dtype == "float64") if normalize else ("nothing", False)
            call = f"log_loss({'' if normalize else 'normalize=False'})"
            yield Reading("scikit-learn", call, PROBABILITIES, dtype, compute, notes, divides, default)

        def half(x: Array, t: Array) -> Any:
            return sklearn.HalfBinomialLoss()(t.reshape(-1).astype(x.dtype), x.reshape(-1))

        yield Reading("scikit-learn", "HalfBinomialLoss()", LOGITS, dtype, half, default=dtype == "float64")


def of_caffe() -> Iterator[Reading]:
    """Caffe."""
    tails = cancels(caffe.logit_elements, "log(1 + z), not log1p(z),")
    ways = {"BATCH_SIZE": "batch", "FULL": "elements", "VALID": "elements", "NONE": "nothing"}
    for dtype in FLOATS:
        for name, divides in ways.items():

            def compute(x: Array, t: Array, name: str = name) -> Any:
                return caffe.sigmoid_cross_entropy_loss(x, t, normalization=name)

            default = dtype == "float32" and name == "BATCH_SIZE"
            call = f"SigmoidCrossEntropyLoss({'' if name == 'BATCH_SIZE' else f'normalization: {name}'})"
            yield Reading("Caffe", call, LOGITS, dtype, compute, (tails,), divides, default)


def of_optax() -> Iterator[Reading]:
    """optax."""
    for dtype in FLOATS:
        for reduce, divides in ((np.mean, "elements"), (np.sum, "nothing")):

            def compute(x: Array, t: Array, reduce: Any = reduce) -> Any:
                return reduce(optax.sigmoid_binary_cross_entropy(x, t))

            default = dtype == "float32" and divides == "elements"
            call = f"{reduce.__name__}(sigmoid_binary_cross_entropy)"
            yield Reading("optax", call, LOGITS, dtype, compute, (), divides, default)

        def focal(x: Array, t: Array) -> Any:
            return np.mean(optax.sigmoid_focal_loss(x, t))

        notes = (says("focal factor (1-p_t)^2 on every loss"),)
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

        def of_margins(x: Array, t: Array, function: Any = function) -> Any:
            return function(x, t)

        def of_shares(p: Array, t: Array, function: Any = function) -> Any:
            return function(p, t, raw_score=False)

        of_logits = tuple(of_sigmoid(note) for note in notes)
        yield Reading(system, call, LOGITS, dtype, flat(of_margins), of_logits, default=True)
        yield Reading(system, call, PROBABILITIES, dtype, flat(of_shares), notes, default=True, knows_logits=True)
    plain = cancels(lambda x, t: (np.log(1 + np.exp(x)) - t * x, x), "log(1 + e^x) - t·x")
    for call, function, more in (
        ("Logloss", boosting.catboost_logloss, (hardens(0.5), plain)),
        ("CrossEntropy", boosting.catboost_cross_entropy, (stored, plain)),
    ):
        yield Reading("CatBoost", call, LOGITS, "float64", flat(function), more, default=True)


def of_formulas() -> Iterator[Reading]:
    """What people write down themselves, and what libraries computed before they clipped by dtype."""

    def written(p: Array, t: Array) -> Any:
        return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p), dtype=p.dtype)

    def clipped(p: Array, t: Array) -> Any:
        return written(np.clip(p, np.asarray(_OLD_EPS, p.dtype), np.asarray(1 - _OLD_EPS, p.dtype)), t)

    def softplus(x: Array, t: Array) -> Any:
        return np.mean(np.logaddexp(0, x) - t * x, dtype=x.dtype)

    old = "scikit-learn < 1.2, Kaggle, Spark, hivemall"
    for dtype in FLOATS:
        for reading in (
            Reading(old, "log loss with eps=1e-15", PROBABILITIES, dtype, clipped, (clips(_OLD_EPS),)),
            Reading("NumPy", "-mean(t·log(p) + (1-t)·log(1-p))", PROBABILITIES, dtype, written, (undefined,)),
            Reading("NumPy", "mean(log(1 + e^x) - t·x)", LOGITS, dtype, softplus),
        ):
            yield reading
            if dtype == "float64":
                yield from _turned(reading)


def _turned(reading: Reading) -> Iterator[Reading]:
    """The same of the other class's probability or logit, and in logarithms to other bases."""
    compute, of_logits = reading.compute, reading.takes == LOGITS

    def of_other(x: Array, t: Array) -> Any:
        return compute(-x if of_logits else 1 - x, t)

    name, kind = ("-x", "logit") if of_logits else ("1 - p", "probability")
    notes = (*reading.notes, says(f"the other class's {kind}, {name}"))
    yield reading._replace(call=f"{reading.call} of {name}", compute=of_other, notes=notes)
    for base in (2, 10):

        def in_base(x: Array, t: Array, base: int = base) -> Any:
            return compute(x, t) / np.log(base)

        notes = (*reading.notes, says(f"logarithms to base {base}"))
        yield reading._replace(call=f"{reading.call} to base {base}", compute=in_base, notes=notes)


FAMILIES = (of_sklearn, of_pytorch, of_tensorflow, of_keras, of_caffe, of_optax, of_boosting, of_formulas)
GRID = tuple(reading for family in FAMILIES for reading in family())


def mistaken(reading: Reading) -> Reading:
    """The same call given the wrong kind of number."""
    wrong = PROBABILITIES if reading.takes == LOGITS else LOGITS
    return reading._replace(takes=wrong, notes=(says(f"{wrong} taken for {reading.takes}"),), default=False)


def after_sigmoid(reading: Reading) -> Reading:
    """A reading of probabilities, of those that a model's sigmoid makes of its logits."""

    def saturated(p: Array, _: Array) -> Iterator[str]:
        if number := int(np.count_nonzero((p == 0) | (p == 1))):
            yield f"{number:,} of {p.size:,} probabilities σ(x) are 0 or 1 in {p.dtype}"

    notes = tuple(of_sigmoid(note) for note in (saturated, *reading.notes))
    return reading._replace(
        call=f"{reading.call} of σ(x)", takes=LOGITS, compute=of_sigmoid(reading.compute), notes=notes
    )
