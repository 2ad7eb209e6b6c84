"""The numbers that people meet in forums, to the last bit, and a dialect's door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import logloss as ll
from logloss import dialects
from logloss.dialects import boosting, caffe, keras, optax, pytorch, sklearn, tensorflow

F = np.float32
ROW = {"reduction": "none"}


def column(value: float, dtype: Any = F) -> Any:
    return np.array([[value]], dtype)


def keras_loss(p: float, t: float, backend: str, given: Any = F, **options: Any) -> Any:
    loss = keras.losses.BinaryCrossentropy(reduction="none", backend=backend, **options)
    return loss(column(t, given), column(p, given))


def tf1(p: float, t: float) -> Any:
    return tensorflow.compat.v1.losses.log_loss(column(t), column(p))


def from_probability() -> list[Any]:
    """(p, t, what a system makes of them), the table of worst cases."""
    table: dict[str, tuple[Any, tuple[float, float, float]]] = {
        "torch": (lambda p, t: pytorch.binary_cross_entropy(column(p), column(t), **ROW), (100, 100, 0)),
        "torch float16": (
            lambda p, t: pytorch.binary_cross_entropy(column(p, "f2"), column(t, "f2"), **ROW),
            (100, 100, 0),
        ),
        "keras tensorflow": (lambda p, t: keras_loss(p, t, "tensorflow"), (16.118095, 15.942385, 1.1920929e-07)),
        "keras jax": (lambda p, t: keras_loss(p, t, "jax"), (16.118095, 15.942385, 1.1920930e-07)),
        "keras numpy": (lambda p, t: keras_loss(p, t, "numpy"), (16.118095, 15.942385, 1.1920930e-07)),
        "keras torch": (lambda p, t: keras_loss(p, t, "torch"), (16.118095, 15.942385, 1.0000001e-07)),
        "tf_keras": (lambda p, t: keras_loss(p, t, "tf_keras"), (15.424949, 15.333239, 0)),
        "tf1 log_loss": (tf1, (16.118095, 16.118095, -1.1920928e-07)),
    }
    pairs = ((0, 1), (1, 0), (0, 0))
    return [
        pytest.param(of, p, t, F(value), id=f"{name}-{p}-{t}")
        for name, (of, values) in table.items()
        for (p, t), value in zip(pairs, values, strict=True)
    ]


@pytest.mark.parametrize(("of", "p", "t", "value"), from_probability())
def test_worst_case_of_probabilities(of: Any, p: float, t: float, value: Any):
    got = of(p, t).item()
    assert got == value or (abs(value) < 1e-6 and abs(got - value) <= np.spacing(abs(value)))  # TensorFlow's own log


@pytest.mark.parametrize(
    ("dtype", "value", "right"),
    [
        ("f8", 36.04365338911715, 2.220446049250313e-16),
        ("f4", 15.942384719848633, 1.1920930376163597e-07),
        ("f2", 6.9296875, 0.0009775161743164062),
    ],
)
def test_sklearn_clips_at_the_epsilon_of_the_dtype(dtype: str, value: float, right: float):
    assert sklearn.log_loss([1, 0], np.array([0, 1], dtype)) == value
    assert sklearn.log_loss([0, 1], np.array([0, 1], dtype)) == pytest.approx(right, rel=1e-6)


def test_float64_of_keras():
    double = {"dtype": "float64"}
    assert keras_loss(0, 1, "tensorflow", "f8", **double) == pytest.approx(16.118095650958, rel=1e-13)
    assert keras_loss(1, 0, "tensorflow", "f8", **double) == pytest.approx(16.118095651485, rel=1e-13)
    assert keras_loss(1, 0, "torch", "f8", **double) == 16.11809539794922
    assert keras_loss(1, 0, "numpy", "f8", **double) == 15.942384719848633
    assert keras_loss(0, 1, "tf_keras", "f8") == pytest.approx(15.4249484704, rel=1e-11)
    assert keras_loss(0.5, 1, "tf_keras", "f8") == pytest.approx(0.6931469806, rel=1e-9)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "numpy"])
def test_float16_of_keras_does_not_clip_at_1(backend: str):
    assert keras_loss(1, 0, backend, "f2", dtype="float16") == np.inf
    assert keras_loss(1, 0, "torch", "f2", dtype="float16") == 100


def test_boosting():
    assert boosting.xgboost_logloss([0.0, 1.0], [1, 0], raw_score=False) == pytest.approx(36.841362, abs=1e-6)
    assert boosting.xgboost_logloss([17.0], [0]) == pytest.approx(36.841362, abs=1e-6)
    assert boosting.lightgbm_binary_logloss([0.0], [1], raw_score=False) == 34.538776397705078
    assert boosting.lightgbm_cross_entropy([0.0], [1], raw_score=False) == pytest.approx(27.6310211, abs=1e-7)
    assert boosting.catboost_cross_entropy([20.0, 20.0], [1, 1]) == 2.061153026033935e-09
    assert boosting.catboost_cross_entropy([40.0], [1]) == 0


def test_boosting_of_numbers_that_are_none():
    """What LightGBM stores for NaN and infinity, and what XGBoost and CatBoost make of no weight at all."""
    x, t = [0.5, -1.0, 2.0], [0, 1, 1]
    softplus = [np.log1p(np.exp(one)) for one in (0.5, 1.0, -2.0)]
    for loss in (boosting.lightgbm_binary_logloss, boosting.lightgbm_cross_entropy):
        assert loss(x, t, [1, np.nan, 1]) == pytest.approx((softplus[0] + softplus[2]) / 2, rel=1e-7)
        assert loss(x, t, [1, np.inf, 1]) == pytest.approx(softplus[1], rel=1e-7)
        assert loss(x, [0, np.nan, 1]) == pytest.approx(
            (softplus[0] + np.log1p(np.exp(-1)) + softplus[2]) / 3, rel=1e-7
        )
    for loss in (boosting.xgboost_logloss, boosting.catboost_logloss, boosting.catboost_cross_entropy):
        assert loss(x, t, [0, 0, 0]) == 0.0
    assert np.isnan(boosting.lightgbm_binary_logloss(x, t, [0, 0, 0]))


LOGITS = {
    "torch": lambda x, t: pytorch.binary_cross_entropy_with_logits(x, t, reduction="none"),
    "tensorflow": lambda x, t: tensorflow.sigmoid_cross_entropy_with_logits(t, x),
    "weighted": lambda x, t: tensorflow.weighted_cross_entropy_with_logits(t, x, 1.0),
    "optax": optax.sigmoid_binary_cross_entropy,
    "soft margin": lambda x, t: pytorch.multilabel_soft_margin_loss(x, t, reduction="none"),
    "sklearn": lambda x, t: sklearn.HalfBinomialLoss().loss(t[:, 0], x[:, 0]),
    "caffe": caffe.sigmoid_cross_entropy_loss,
}


@pytest.mark.parametrize(
    ("x", "t", "values"),
    [
        (-20, 0, (0.0, 2.0611537e-09, 0.0, 2.0611537e-09, 2.0611537e-09, 2.0611537e-09, 0.0)),
        (20, 1, (2.0611537e-09, 2.0611537e-09, 2.0611537e-09, 2.0611537e-09, 2.0611537e-09, 2.061153e-09, 0.0)),
        (-10, 0, (4.5776367e-05, 4.539890e-05, 4.5776367e-05, 4.539890e-05, 4.539890e-05, 4.53989e-05, 4.541771e-05)),
        (20, 0, (20, 20, 20, 20, 20, 20, 20)),
        (-120, 1, (120, 120, 120, 120, 120, 120, 120)),
    ],
)
def test_logits_in_float32(x: float, t: float, values: Any):
    for (name, of), value in zip(LOGITS.items(), values, strict=True):
        assert float(np.squeeze(of(column(x), column(t)))) == pytest.approx(value, rel=3e-7), name


INF = np.array([[np.inf]] * 3 + [[-np.inf]] * 3 + [[np.nan]], F), np.array([[0], [1], [0.5]] * 2 + [[0]], F)


@pytest.mark.parametrize(
    ("name", "loss", "gradient"),
    [
        ("torch", "inf nan inf nan nan nan nan", "1 0 .5 0 -1 -.5 nan"),
        ("tensorflow", "nan nan nan nan inf inf nan", "1 0 .5 0 -1 -.5 nan"),
        ("optax", "inf nan inf nan inf inf nan", "1 0 .5 0 -1 -.5 nan"),
        ("caffe", "nan nan nan nan nan nan nan", "1 0 .5 0 -1 -.5 nan"),
    ],
)
def test_logits_that_are_not_finite(name: str, loss: str, gradient: str):
    functions: dict[str, Any] = {
        "torch": lambda x, t: dialects.value_and_grad(pytorch.binary_cross_entropy_with_logits, x, t, **ROW),
        "tensorflow": lambda x, t: dialects.value_and_grad(tensorflow.sigmoid_cross_entropy_with_logits, t, x),
        "optax": lambda x, t: dialects.value_and_grad(optax.sigmoid_binary_cross_entropy, x, t),
        "caffe": lambda x, t: dialects.value_and_grad(caffe.sigmoid_cross_entropy_loss, x, t, normalization="NONE"),
    }
    got = [functions[name](x[None], t[None]) for x, t in zip(*INF, strict=True)]
    np.testing.assert_array_equal([float(np.squeeze(value)) for value, _ in got], np.array(loss.split(), float))
    np.testing.assert_array_equal([slope.item() for _, slope in got], np.array(gradient.split(), float))


def test_gradients_of_clipped_probabilities():
    p, t = np.array([0, 1e-30, 1, 0], F), np.array([1, 1, 1, 0], F)
    _, slope = dialects.value_and_grad(pytorch.binary_cross_entropy, p, t, reduction="none")
    assert slope.tolist() == [-999999995904.0, -999999995904.0, 0.0, 0.0]
    _, slope = dialects.value_and_grad(pytorch.binary_cross_entropy, p.astype(float), t.astype(float), reduction="sum")
    assert slope[0] == pytest.approx(-1000000003995.8, rel=1e-13)
    _, slope = dialects.value_and_grad(pytorch.binary_cross_entropy, p.astype("f2"), t.astype("f2"), reduction="none")
    np.testing.assert_array_equal(slope, [-np.inf, -np.inf, np.nan, np.nan])
    assert not dialects.value_and_grad(keras.losses.BinaryCrossentropy(), t[:2, None], p[:2, None])[1].any()


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda p: dialects.value_and_grad(sklearn.log_loss, [0, 1, 1], p, sample_weight=[1, 2, 0.5]), (3,)),
        (lambda p: dialects.value_and_grad(sklearn.log_loss, [0, 1, 2], p), (3, 3)),
        (lambda p: dialects.value_and_grad(sklearn.d2_log_loss_score, [0, 1, 1], p), (3,)),
        (
            lambda p: dialects.value_and_grad(
                keras.metrics.BinaryCrossentropy(dtype="float64"), [[0, 1], [1, 0]], p, [1, 3]
            ),
            (2, 2),
        ),
        (
            lambda x: dialects.value_and_grad(sklearn.HalfBinomialLoss(), np.array([0.0, 0.5, 1.0]), x, [1, 2, 0.5]),
            (3,),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The rows of y_proba do not sum to one")
def test_gradients_that_no_framework_gives(function: Any, shape: tuple[int, ...]):
    """They are the derivatives of the values, by central differences."""
    p, step = np.random.default_rng(5).uniform(0.2, 0.8, shape), 1e-6
    _, gradient = function(p)
    for place in np.ndindex(shape):
        shift = np.zeros(shape)
        shift[place] = step
        slope = (function(p + shift)[0] - function(p - shift)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(float(slope), rel=1e-6, abs=1e-8)


def test_what_is_no_dialect_is_refused():
    with pytest.raises(ll.UnsupportedTypeError, match=r"logloss\.value_and_grad"):
        dialects.value_and_grad(ll.binary_cross_entropy, [0.5], [1])


def test_arrays_of_frameworks_are_refused():
    class Tensor:
        __module__ = "torch"

    with pytest.raises(ll.UnsupportedTypeError, match=r"numpy\.asarray"):
        pytorch.binary_cross_entropy(Tensor(), np.ones(1))
