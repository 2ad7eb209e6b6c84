"""What is asked of every framework and of its dialect: edges, random numbers, and every option."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401 - gives NumPy the name bfloat16
import numpy as np

LOGITS = [0.0, 1e-8, 0.5, 1.0, 5.0, 9.39, 10.0, 15.0, 17.0, 20.0, 37.5, 50.0, 85.0, 100.0, 120.0, 1000.0, np.inf]
PROBABILITIES = [0.0, 1e-30, 1e-12, 1e-9, 1e-7, 1e-4, 0.3, 0.5, 0.75, 0.999, 1 - 1e-6, 1 - 2**-23, 1 - 2**-24, 1.0]
TARGETS = [0.0, 0.3, 0.5, 1.0]
HALVES = ("float16", "bfloat16")


class Case(NamedTuple):
    """One call: `elements` of the edge grid are compared one by one, the rest (reduced random numbers) relatively."""

    host: str
    system: str
    function: str
    arrays: dict[str, Any]
    options: dict[str, Any]
    precision: str = "float32"
    elements: bool = False

    @property
    def id(self) -> str:
        """What pytest and the table call it."""
        options = ", ".join(f"{name}={short(value)}" for name, value in self.options.items() if name != "backend")
        return f"{self.title} {self.precision} {'elements' if self.elements else ''}({options})"

    @property
    def title(self) -> str:
        """System, backend and function."""
        backend = f"[{self.host}]" if self.system == "keras" else ""
        return f"{self.system}{backend}.{self.function}"


def short(value: Any) -> str:
    return f"array{value.shape}".replace(" ", "") if isinstance(value, np.ndarray) else str(value)


def edges(quantity: list[float], dtype: str, both_signs: bool = True, targets: Any = TARGETS) -> tuple[Any, Any]:
    """A column of every edge value with every target."""
    values = [sign * one for one in quantity for sign in ((1, -1) if both_signs else (1,))]
    pairs = np.array(list(itertools.product(values, targets)))
    return pairs[:, :1].astype(dtype), pairs[:, 1:].astype(dtype)


def random(quantity: str, dtype: str, shape: tuple[int, ...] = (7, 5), hard: bool = False) -> tuple[Any, Any]:
    rng = np.random.default_rng(20)
    x = rng.normal(0, 3, shape)
    t = rng.random(shape)
    t = (t > 0.5).astype(float) if hard else t
    return (x if quantity == "logits" else 1 / (1 + np.exp(-x))).astype(dtype), t.astype(dtype)


def weights(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    w = np.random.default_rng(21).random(shape) * 2
    return np.where(w < 0.4, 0, w).astype(dtype)


def of_pytorch() -> Iterator[Case]:
    probabilities, logits, soft_margin = (
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "multilabel_soft_margin_loss",
    )
    for dtype in ("float32", "float64", *HALVES):

        def case(name: str, pair: Any, elements: bool = False, dtype: str = dtype, **options: Any) -> Case:
            return Case("torch", "pytorch", name, {"input": pair[0], "target": pair[1]}, options, dtype, elements)

        yield case(probabilities, edges(PROBABILITIES, dtype, False), True, reduction="none")
        yield case(logits, edges(LOGITS, dtype), True, reduction="none")
        price = np.array([3.0], dtype)
        yield case(logits, edges(LOGITS, dtype), True, reduction="none", pos_weight=price)
        yield case(soft_margin, edges(LOGITS, dtype), True, reduction="none")
        for name, reduction in itertools.product((probabilities, logits, soft_margin), ("mean", "sum", "none")):
            pair = random("probabilities" if name == probabilities else "logits", dtype)
            yield case(name, pair, reduction=reduction)
            for shape in ((7, 5), (5,), (7, 1)):
                yield case(name, pair, reduction=reduction, weight=weights(shape, dtype))
        pair = random("logits", dtype)
        for shape in ((5,), (7, 5), (1,)):
            yield case(logits, pair, pos_weight=weights(shape, dtype), weight=weights((7, 1), dtype))
        for legacy in ({"size_average": False}, {"reduce": False}, {"size_average": True, "reduce": True}):
            yield case(logits, pair, **legacy)
    x, t = random("logits", "float32")
    for mixed in ((x, t.astype("float64")), (x.astype("float64"), t)):
        yield case(logits, mixed, dtype="float32", reduction="none")
    yield from of_pytorch_broadcast(x, t)


def of_pytorch_broadcast(x: Any, t: Any) -> Iterator[Case]:
    """The soft margin, whose input, target and weight broadcast against each other and have dtypes of their own."""

    def case(x: Any, t: Any, dtype: str = "float32", **options: Any) -> Case:
        return Case("torch", "pytorch", "multilabel_soft_margin_loss", {"input": x, "target": t}, options, dtype)

    yield case(x, (t > 0.5).astype("int64"))
    single, many = np.array(0.3), np.broadcast_to(t, (3, 7, 5)).copy()
    for reduction in ("mean", "sum", "none"):
        for target in (t[0], t[:, :1], many, single, single.astype("float32"), t.astype("float64")):
            yield case(x, target, reduction=reduction)
        yield case(x[0], t, reduction=reduction)
        yield case(x[:, :1], t, reduction=reduction)
        yield case(x[:0], t[:0], reduction=reduction)
        yield case(x[:, :0], t[:, :0], reduction=reduction)
        for weight in (
            weights((2, 7, 5)),
            weights((7, 1), "float64"),
            weights((), "float64"),
            np.array([2, 0, 1, 1, 3]),
        ):
            yield case(x, t, reduction=reduction, weight=weight)
        yield case(x.astype("float16"), t.astype("bfloat16"), "bfloat16", reduction=reduction)
        yield case(x.astype("float16"), t.astype("float64"), "float16", reduction=reduction)


def of_tensorflow() -> Iterator[Case]:
    one, dear = "sigmoid_cross_entropy_with_logits", "weighted_cross_entropy_with_logits"
    for dtype in ("float32", "float64", *HALVES):
        for x, t in (edges(LOGITS, dtype), random("logits", dtype)):
            arrays = {"labels": t, "logits": x}
            yield Case("tensorflow", "tensorflow", one, arrays, {}, dtype, True)
            for price in (0.0, 1.0, 3.0):
                yield Case("tensorflow", "tensorflow", dear, arrays, {"pos_weight": price}, dtype, True)
    arrays = {"labels": t.astype("float32"), "logits": x.astype("float32")}
    for price in (weights((5,)), weights((7, 1), "float64"), weights((2, 7, 5)), np.array([0, 1, 2, 3, 4], "uint8")):
        yield Case("tensorflow", "tensorflow", dear, arrays, {"pos_weight": price}, "float32", False)
    yield from of_tensorflow_v1()


def of_tensorflow_v1() -> Iterator[Case]:
    logits, log_loss = "compat.v1.losses.sigmoid_cross_entropy", "compat.v1.losses.log_loss"
    reductions = (
        "none",
        "weighted_sum",
        "weighted_mean",
        "weighted_sum_over_batch_size",
        "weighted_sum_by_nonzero_weights",
    )
    x, t = edges(PROBABILITIES, "float32", False)
    yield Case(
        "tensorflow", "tensorflow", log_loss, {"labels": t, "predictions": x}, {"reduction": "none"}, "float32", True
    )
    for name, dtype in itertools.product((logits, log_loss), ("float32", "float64", *HALVES)):
        x, t = random("logits" if name == logits else "probabilities", dtype)
        keys = ("multi_class_labels", "logits") if name == logits else ("labels", "predictions")
        precision = dtype if dtype in HALVES else "float32"

        def case(
            keys: Any = keys, name: str = name, t: Any = t, x: Any = x, precision: str = precision, **options: Any
        ) -> Case:
            return Case("tensorflow", "tensorflow", name, dict(zip(keys, (t, x), strict=True)), options, precision)

        yield case()
        for reduction, shape in itertools.product(reductions, ((), (7, 5), (7, 1), (1, 5))):
            yield case(reduction=reduction, weights=weights(shape) if shape else 2.0)
        yield case(weights=0.0)
        if name == logits:
            yield case(label_smoothing=0.1)
            yield case(label_smoothing=-0.1)
            yield case(t=(t > 0.5).astype("int64"))
        else:
            yield case(epsilon=1e-3)
            yield case(x=(x > 0.5).astype("int32"))


def of_keras() -> Iterator[Case]:
    for host in ("tensorflow", "jax", "torch", "numpy"):
        yield from of_keras_on(host, "keras", {"backend": host})
        yield from of_keras_3(host)
    yield from of_keras_on("tensorflow", "tf_keras", {"backend": "tf_keras"})
    yield from of_tf_keras()


def of_keras_on(host: str, system: str, fixed: dict[str, Any]) -> Iterator[Case]:
    plain, focal = "losses.BinaryCrossentropy", "losses.BinaryFocalCrossentropy"

    def case(name: str, pair: Any, elements: bool = False, precision: str = "float32", **options: Any) -> Case:
        arrays = {"y_true": pair[1], "y_pred": pair[0]}
        return Case(host, system, name, arrays, {**options, **fixed}, precision, elements)

    finite = [x for x in LOGITS if np.isfinite(x)]
    for name in (plain, focal):
        yield case(name, edges(PROBABILITIES, "float32", False), True, reduction="none")
        yield case(name, edges(finite, "float32"), True, reduction="none", from_logits=True)
        for hard in (True, False):
            many = random("logits", "float32", (227, 1), hard)
            yield case(name, many, True, reduction="none", from_logits=True)
            yield case(name, random("probabilities", "float32", (227, 1), hard), True, reduction="none")
        p, x = random("probabilities", "float32"), random("logits", "float32")
        for from_logits, pair in ((False, p), (True, x)):
            yield case(name, pair, from_logits=from_logits)
            yield case(name, pair, from_logits=from_logits, label_smoothing=0.2)
            yield case(name, pair, from_logits=from_logits, axis=0, reduction="sum")
            yield case(name, pair, from_logits=from_logits, sample_weight=weights((7,)))
            yield case(name, pair, from_logits=from_logits, sample_weight=weights((7, 1)), reduction="none")
    for dtype in HALVES:
        many = np.full((1200, 1), 60, dtype), np.zeros((1200, 1), dtype)  # their sum is infinite in float16
        for name in (plain, focal):
            half = {"dtype": dtype} if system == "keras" else {}
            yield case(name, edges(PROBABILITIES, dtype, False), True, dtype, reduction="none", **half)
            yield case(name, edges(finite, dtype), True, dtype, reduction="none", from_logits=True, **half)
            yield case(name, random("probabilities", dtype), False, dtype, **half)
            weight = weights((7,), dtype)
            yield case(name, random("logits", dtype), False, dtype, from_logits=True, sample_weight=weight, **half)
            yield case(name, many, False, dtype, from_logits=True, **half)
    for gamma in (0, 0.0):  # whose derivative is 0, or 0 · ∞
        yield case(focal, edges(PROBABILITIES, "float32", False), True, reduction="none", gamma=gamma)
        yield case(focal, edges(finite, "float32"), True, reduction="none", gamma=gamma, from_logits=True)
    yield case(focal, p, apply_class_balancing=True, alpha=0.3, gamma=1.5)
    yield case(focal, x, from_logits=True, apply_class_balancing=True, gamma=3.0)
    metric = "metrics.BinaryCrossentropy"
    yield case(metric, p)
    yield case(metric, x, from_logits=True, label_smoothing=0.1, sample_weight=weights((7,)))
    certain = np.array([[1.0, 0.0, 0.5, 1 - 1e-9]]), np.array([[0.0, 1.0, 1.0, 0.0]])
    for dtype in ("float32", "float64", "float16") if host != "jax" else ("float32", "float16"):
        pair = certain[0].astype(dtype), certain[1].astype(dtype)
        for name in (metric, "losses.binary_crossentropy"):
            for from_logits in (False, True):
                yield case(
                    name, pair, precision="float16" if dtype == "float16" else "float32", from_logits=from_logits
                )
    cube = random("probabilities", "float32", (4, 3, 2))
    for name, shape in itertools.product((plain, metric), ((4,), (4, 1), (4, 3), (1, 3), (4, 3, 1), ())):
        if shape != (4,) or name == metric or system == "tf_keras":  # rows (4, 3) of a loss broadcast against it
            yield case(name, cube, sample_weight=weights(shape))
    for name in (plain, focal, metric, "losses.binary_crossentropy"):
        yield case(name, (cube[0][:0], cube[1][:0]))


def of_keras_3(host: str) -> Iterator[Case]:
    name, fixed = "losses.BinaryCrossentropy", {"backend": host}
    x, t = random("probabilities", "float64")
    wide = "float64" if host == "tensorflow" else "float32"

    def case(pair: Any = (x, t), function: str = name, precision: str = "float32", **options: Any) -> Case:
        return Case(host, "keras", function, {"y_true": pair[1], "y_pred": pair[0]}, {**options, **fixed}, precision)

    yield case()
    if host != "jax":  # which says that float64 needs a switch
        yield case(dtype="float64", precision=wide)
        yield case(dtype="float64", precision=wide, from_logits=True, sample_weight=weights((7,)))
    yield case(function="losses.binary_crossentropy", pair=random("probabilities", "float32"))
    for reduction in ("sum", "mean", "mean_with_sample_weight", None):
        for shape in ((7,), (7, 1), (7, 7)):
            yield case(reduction=reduction, sample_weight=weights(shape))
    yield case((x[0], t[0]), sample_weight=weights((5,)))
    yield case((x[:, 0], t[:, :1]))
    yield case((x[:, :1], t[:, 0]), sample_weight=weights((7,)))
    yield case((x, t), axis=(0, 1))
    if host == "torch":  # for which a single number has an axis
        steep = np.full((4, 1), 1e-5, "float16"), np.ones((4, 1), "float16")  # slopes that only weights make finite
        small = {"dtype": "float16", "sample_weight": np.full(4, 1e-3, "float16")}
        for function in (name, "losses.BinaryFocalCrossentropy"):
            yield case(steep, function, "float16", **small)
        for function in (name, "losses.BinaryFocalCrossentropy", "losses.binary_crossentropy"):
            yield case((x[0, 0].reshape(()), t[0, 0].reshape(())), function)
        yield case(
            (x[0, 0].reshape(()), t[0, 0].reshape(())), "metrics.BinaryCrossentropy", sample_weight=weights((1,))
        )


def of_tf_keras() -> Iterator[Case]:
    """Targets that broadcast, and ranks that differ."""
    x, t = random("probabilities", "float32", (4, 3, 1))

    def case(x: Any, t: Any, function: str = "losses.BinaryCrossentropy", **options: Any) -> Case:
        arrays, options = {"y_true": t, "y_pred": x}, {**options, "backend": "tf_keras"}
        return Case("tensorflow", "tf_keras", function, arrays, options)

    for function in ("losses.BinaryCrossentropy", "losses.BinaryFocalCrossentropy", "metrics.BinaryCrossentropy"):
        for target in (t[:1], t[:, :1], t[..., 0], t[0, 0, 0].reshape(())):
            yield case(x, target, function)
        yield case(x[:1], t, function)
        yield case(x[..., 0], t, function, sample_weight=weights((4, 1)))
    yield case(x, t[:1], "losses.binary_crossentropy")
    for reduction in ("sum", "none", "sum_over_batch_size"):
        yield case(x[:0], t[:0], reduction=reduction)


def of_optax() -> Iterator[Case]:
    for dtype in ("float32", "float64", *HALVES):
        for x, t in (edges(LOGITS, dtype), random("logits", dtype)):
            yield Case("jax", "optax", "sigmoid_binary_cross_entropy", {"logits": x, "labels": t}, {}, dtype, True)
        x, t = edges([one for one in LOGITS if np.isfinite(one)], dtype)
        for options in ({}, {"gamma": 0.5}, {"alpha": 0.25, "gamma": 1.0}, {"alpha": 1.0, "gamma": 0.0}, {"gamma": 3}):
            yield Case("jax", "optax", "sigmoid_focal_loss", {"logits": x, "labels": t}, options, dtype, True)
    x, t = random("logits", "float32")
    for pair in ((x, t[:, :1]), (x[0], t), (x, (t > 0.5).astype("int32"))):
        arrays = {"logits": pair[0], "labels": pair[1]}
        yield Case("jax", "optax", "sigmoid_binary_cross_entropy", arrays, {})
    arrays = {"logits": x, "labels": t}
    for gamma in (np.float32(1.5), np.float64(1.5), weights((5,)), weights((2, 7, 5)), weights((7, 1), "float64")):
        yield Case("jax", "optax", "sigmoid_focal_loss", arrays, {"gamma": gamma, "alpha": np.float32(0.3)})
    half = {"logits": x.astype("float16"), "labels": t.astype("float16")}
    for alpha in (0.3, np.float32(0.3), np.float16(0.3), np.array([0, 1, 0, 1, 1])):
        yield Case("jax", "optax", "sigmoid_focal_loss", half, {"alpha": alpha}, "float16")


def of_sklearn() -> Iterator[Case]:
    for dtype in ("float32", "float64", *HALVES):
        x, t = random("probabilities", dtype, (40,), hard=True)
        known = "float32" if dtype == "bfloat16" else dtype  # to scikit-learn, which takes bfloat16 in y_proba alone
        t = t.astype(known)
        matrix = np.random.default_rng(3).dirichlet([1, 1, 1], 40).astype(dtype)
        words = np.array(["a", "b", "c"])[np.arange(40) % 3]
        w = weights((40,), known)
        edge, hard = (column.reshape(-1) for column in edges(PROBABILITIES, dtype, False, [0.0, 1.0]))
        for y, p in ((t, x), (hard.astype(known), edge), (words, matrix), (t.astype(int), np.stack([1 - x, x], 1))):
            for options in ({}, {"normalize": False}, {"sample_weight": weights((len(y),), known)}):
                yield Case("numpy", "sklearn", "log_loss", {"y_true": y, "y_proba": p}, options, dtype)
            yield Case("numpy", "sklearn", "d2_log_loss_score", {"y_true": y, "y_proba": p}, {}, dtype)
        yield Case("numpy", "sklearn", "d2_log_loss_score", {"y_true": t, "y_proba": x}, {"sample_weight": w}, dtype)
        yield Case("numpy", "sklearn", "log_loss", {"y_true": 0 * t, "y_proba": x}, {"labels": [0, 1]}, dtype)
        if dtype in HALVES:
            continue  # which HalfBinomialLoss refuses
        y, columns = np.eye(3)[[0, 1, 2, 0]], matrix[:4]
        yield Case("numpy", "sklearn", "log_loss", {"y_true": y, "y_proba": columns}, {}, dtype)
        yield from of_sklearn_otherwise(x, matrix, columns, dtype)
        x, t = (column.reshape(-1) for column in edges(LOGITS, dtype))
        arrays = {"y_true": t, "raw_prediction": x}
        for method in ("loss", "gradient", "loss_gradient", "gradient_hessian"):
            yield Case("numpy", "sklearn", f"HalfBinomialLoss.{method}", arrays, {}, dtype, True)
        x, t = random("logits", dtype, (40,))
        arrays = {"y_true": t, "raw_prediction": x}
        for options in ({}, {"sample_weight": w}):
            yield Case("numpy", "sklearn", "HalfBinomialLoss", arrays, options, dtype)
            yield Case("numpy", "sklearn", "HalfBinomialLoss.gradient_hessian", arrays, options, dtype)


def of_sklearn_otherwise(x: Any, matrix: Any, columns: Any, dtype: str) -> Iterator[Case]:
    """Labels out of order, whole numbers for no and yes, a column of targets, one row, lists, and constants."""

    def case(y: Any, p: Any, function: str = "log_loss", **options: Any) -> Case:
        return Case("numpy", "sklearn", function, {"y_true": y, "y_proba": p}, options, dtype)

    words = np.array(["a", "b", "c"])[np.arange(40) % 3]
    for function in ("log_loss", "d2_log_loss_score"):
        yield case(words, matrix, function, labels=["c", "a", "b"])
        yield case(words[:, None], matrix, function)
        yield case([0, 1, 1, 0], x[:4], function, labels=[1, 0], sample_weight=[1, 0, 2, 1])
        yield case(np.array([[2, 0, 0], [0, 2, 0], [0, 2, 2], [2, 0, 0]]), columns, function)
        yield case([0, 1, 1, 0], x[:4, None], function)
    yield case([1], x[:1], "d2_log_loss_score")
    yield case([2], np.ones((1, 2, 2)), "d2_log_loss_score")
    t = np.array([0.0, 0.25, 1.0])
    for given in (dtype, "float16", "int64"):
        for weight in ({}, {"sample_weight": np.array([1.0, 2.0, 0.5])}):
            arrays = {"y_true": t.astype(given)}
            name = "HalfBinomialLoss.constant_to_optimal_zero"
            yield Case("numpy", "sklearn", name, arrays, weight, "float32" if dtype == "float32" else "float64")


def of_boosting() -> Iterator[Case]:
    x, t = random("logits", "float64", (40,))
    far = np.array([20.0, -20.0, 100.0, -100.0, 16.0, 17.0, -40.0, 40.0])
    hard = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    systems = ("xgboost_logloss", "lightgbm_binary_logloss", "lightgbm_cross_entropy")
    for name in (*systems, "catboost_logloss", "catboost_cross_entropy"):
        precision = "float32" if name == "xgboost_logloss" else "float64"
        near = np.array([16.0, -16.0, 20.0, -20.0]), np.array([0.0, 0.0, 1.0, 0.0])
        for margin, label in ((x, (t > 0.5) * 1.0), (far, hard), near, (x, np.float32(t).astype(float))):
            yield Case("numpy", "boosting", name, {"preds": margin, "labels": label}, {}, precision)
        w = weights((40,), "float32").astype(float) + 0.5
        if name == "lightgbm_cross_entropy":
            precision = "float32"  # which is what it adds up its weights in
        yield Case("numpy", "boosting", name, {"preds": x, "labels": (t > 0.5) * 1.0}, {"weights": w}, precision)
    arrays = {"preds": x, "labels": (t > 0.5) * 1.0}
    for name in ("xgboost_logloss", "catboost_logloss", "catboost_cross_entropy"):
        yield Case("numpy", "boosting", name, arrays, {"weights": np.zeros(40)})
    yield Case("numpy", "boosting", "xgboost_logloss", arrays, {"scale_pos_weight": 3.0})
    yield Case("numpy", "boosting", "lightgbm_binary_logloss", arrays, {"sigmoid": 2.0}, "float64")


def everything() -> list[Case]:
    families = (of_pytorch, of_tensorflow, of_keras, of_optax, of_sklearn, of_boosting)
    return [case for family in families for case in family()]
