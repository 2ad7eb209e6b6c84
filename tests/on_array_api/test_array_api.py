"""Losses on arrays of libraries that keep to the array API's standard: every loss, option and type, on the oracle."""

from __future__ import annotations

import importlib
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import logloss as ll
from cases import ALONE, IGNORED, REDUCTIONS
from reference import LOSSES, close, data, message, reference

bce = ll.binary_cross_entropy_with_logits
LIBRARIES = ["array_api_strict", "mlx.core", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.fixture(params=LIBRARIES)
def xp(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def array(xp: ModuleType, value: Any, dtype: str = "float32") -> Any:
    if xp.__name__ == "mlx.core":
        return xp.array(np.asarray(value).tolist(), xp.bool_ if dtype == "bool" else getattr(xp, dtype))
    return xp.astype(xp.asarray(np.asarray(value)), getattr(xp, dtype))


def numbers(value: Any) -> np.ndarray:
    if type(value).__module__.startswith("mlx") and "bfloat16" in str(value.dtype):
        value = value.astype(importlib.import_module("mlx.core").float32)
    return value.get() if hasattr(value, "get") else np.asarray(value)


def compare(xp: ModuleType, loss: str, x: Any, t: Any, rtol: float, **options: Any) -> None:
    """Value, gradient, Hessian and denominator against the elementwise reference."""
    want = reference(loss, numbers(x), numbers(t), **options)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    assert type(value) is type(gradient) is type(x)
    assert gradient.dtype == x.dtype
    close(numbers(value), want.value, rtol)
    close(numbers(gradient).astype(float), want.gradient, rtol)
    close(numbers(LOSSES[loss](x, t, **options)), want.value, rtol)
    elementwise = {name: given for name, given in options.items() if name not in ("reduction", "axis", "normalizer")}
    slopes, curvatures = ll.grad_and_hess(x, t, loss=LOSSES[loss], **elementwise)
    close(numbers(slopes).astype(float), want.slopes, rtol)
    close(numbers(curvatures).astype(float), want.hessians, 10 * rtol)
    if want.denominator is not None:
        close(numbers(ll.denominator(t, **options)), want.denominator, 1e-6)


@pytest.mark.parametrize("options", [{}, *REDUCTIONS], ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_reduction(xp: ModuleType, loss: str, options: dict[str, Any]):
    x, t = data(loss, (2, 3, 4), 1, "soft")
    compare(xp, loss, array(xp, x), array(xp, t), 2e-5 if loss in ("focal", "asymmetric") else 4e-6, **options)


@pytest.mark.parametrize("loss", LOSSES)
def test_float64(loss: str):
    xp = importlib.import_module("array_api_strict")
    x, t = (array(xp, one, "float64") for one in data(loss, (2, 3, 4), 1, "soft"))
    compare(xp, loss, x, t, 1e-12, label_smoothing=0.1, pos_weight=[1.0, 2.0, 3.0, 0.0])


@pytest.mark.parametrize(("shape", "options"), ALONE.values(), ids=ALONE.keys())
def test_each_option_alone(xp: ModuleType, shape: tuple[int, ...], options: dict[str, Any]):
    """Given as lists and as the library's own arrays."""
    x, t = (array(xp, one) for one in data("logits", shape, 5, "soft"))
    compare(xp, "logits", x, t, 2e-6, **options)
    own = {
        name: array(xp, value, "bool" if name == "mask" else "float32") if isinstance(value, list) else value
        for name, value in options.items()
    }
    assert numbers(bce(x, t, **own)) == pytest.approx(numbers(bce(x, t, **options)))


def test_focal_losses_with_a_weight_per_label(xp: ModuleType):
    x, t = data("focal", (5, 3), 6, "soft")
    alpha = [0.2, 0.3, 0.5]
    got = ll.sigmoid_focal_loss(array(xp, x), array(xp, t), alpha=alpha, axis=0)
    want = [reference("focal", x[:, k], t[:, k], alpha=alpha[k]).value for k in range(3)]
    close(numbers(got), np.array(want), 1e-5)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64", "uint16", "float32"])
def test_targets_of_every_type(xp: ModuleType, dtype: str):
    x, t = data("logits", (50,), 4, "int")
    x = array(xp, x)
    assert numbers(bce(x, array(xp, t, dtype))) == numbers(bce(x, array(xp, t)))


def test_short_logits():
    xp = importlib.import_module("mlx.core")
    for dtype, rtol in (("float16", 1e-3), ("bfloat16", 8e-3)):
        x, t = (array(xp, one, dtype) for one in data("logits", (2, 3, 4), 3, "soft"))
        compare(xp, "logits", x, t, rtol)
        assert bce(x, t, reduction="none").dtype == x.dtype
        assert bce(x, t).dtype == xp.float32


POINTS = [0.0, -0.0, 1e-6, -0.3, 2.0, -20.0, 50.0, -80.0, 1e4, math.inf, -math.inf]


@pytest.mark.parametrize("target", [0, 1])
def test_both_tails(xp: ModuleType, target: int):
    x = array(xp, POINTS)
    want = reference("logits", numbers(x), np.full(len(POINTS), target), reduction="none")
    value, gradient = ll.value_and_grad(x, array(xp, [target] * len(POINTS), "int32"), reduction="none")
    rtol = 2e-6 if xp.__name__ == "mlx.core" else 1e-6  # its exp errs by more than an ulp
    np.testing.assert_allclose(numbers(value), want.value, rtol=rtol)
    np.testing.assert_allclose(numbers(gradient), want.gradient, rtol=rtol)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_masked_leaves_no_trace(xp: ModuleType, loss: str):
    x, t = data(loss, (40,), 8, "soft")
    keep = np.random.default_rng(9).random(40) < 0.6
    want = ll.value_and_grad(array(xp, x[keep]), array(xp, t[keep]), loss=LOSSES[loss])
    x[~keep] = np.resize([np.nan, np.inf, -np.inf, 3.0], (~keep).sum())
    t[~keep] = -7
    for options in ({"mask": array(xp, keep, "bool")}, {"ignore_index": -7}):
        value, gradient = ll.value_and_grad(array(xp, x), array(xp, t), loss=LOSSES[loss], **options)
        np.testing.assert_allclose(numbers(value), numbers(want[0]), rtol=1e-6)
        np.testing.assert_allclose(numbers(gradient)[keep], numbers(want[1]), rtol=1e-5, atol=1e-9)
        assert not numbers(gradient)[~keep].any()


@pytest.mark.parametrize(("value", "dtype"), [one for one in IGNORED if "float16" not in one[1]])
def test_ignored_values_of_every_type(value: float, dtype: str):
    xp = importlib.import_module("array_api_strict")
    marker = np.dtype(dtype).type(np.float32(value) if dtype == "float32" else value)
    value = float(marker) if np.dtype(dtype).kind == "f" else value
    t = np.array([0, marker, 1, marker, 0, 1], dtype)
    x = np.array([0.5, np.nan, -1.0, np.inf, 2.0, 3.0], np.float32)
    counts = ~np.isnan(t) if value != value else t != marker
    got = bce(xp.asarray(x), xp.asarray(t), ignore_index=value)
    assert float(got) == pytest.approx(bce(x[counts], t[counts]), rel=1e-6)


def test_positives_metrics_and_priors(xp: ModuleType):
    x, t = data("logits", (20, 30), 7, "int")
    positives = ll.Positives.from_scipy(scipy.sparse.csr_array(t))
    logits = array(xp, x)
    assert numbers(bce(logits, positives)) == numbers(bce(logits, array(xp, t, "uint8")))
    y, p = array(xp, [1, 0, 1], "int32"), array(xp, [0.9, 0.2, 0.7])
    assert float(ll.log_loss(y, p)) == pytest.approx(0.228393003, rel=1e-6)
    assert type(ll.log_loss(y, p)) is type(p)
    assert float(ll.balanced_pos_weight(y)) == 0.5
    shifted = ll.correct_prior(array(xp, [[0.0, 0.0]]), pos_weight=[1.0, math.e])
    np.testing.assert_allclose(numbers(shifted), [[0, -1]], rtol=1e-6)


BAD = [
    ({"targets": [0.0, 255.0]}, "A 0-255 mask?"),
    ({"sample_weight": [1.0, -1.0]}, "sample_weight must be finite and not negative"),
    ({"weight": [1.0, math.inf]}, "weight must be finite and not negative"),
    ({"pos_weight": -1.0}, "pos_weight must be finite and not negative"),
    ({"normalizer": 0.0}, "normalizer must be positive and finite"),
    ({"label_smoothing": 2.0}, "label_smoothing must be a finite number in [0, 1]"),
]


@pytest.mark.parametrize(("bad", "text"), BAD, ids=str)
def test_bad_values_have_the_words_of_numpy(xp: ModuleType, bad: dict[str, Any], text: str):
    x, t = array(xp, [0.5, -1.0]), array(xp, bad.get("targets", [0.0, 1.0]))
    options = {name: value for name, value in bad.items() if name != "targets"}
    for function in (bce, ll.value_and_grad):
        assert text in message(ll.InvalidInputError, function, x, t, **options)
    assert text in message(ll.InvalidInputError, ll.denominator, t, **options)
    assert math.isnan(float(bce(array(xp, [math.nan, 0.0]), array(xp, [0, 1]))))


def test_shapes_types_and_kinds(xp: ModuleType):
    x = array(xp, np.zeros((3, 4)))
    assert "Use targets.reshape((3, 4))" in message(ll.InvalidInputError, bce, x, array(xp, np.zeros(12)))
    assert "Use label_axis=0" in message(ll.InvalidInputError, bce, x, x, pos_weight=[1.0] * 3)
    assert "mask must be boolean" in message(ll.InvalidInputError, bce, x, x, mask=array(xp, np.ones((3, 4))))
    assert "must come from one framework" in message(ll.UnsupportedTypeError, bce, x, np.zeros((3, 4)))
    other = importlib.import_module("array_api_strict" if "mlx" in xp.__name__ else "mlx.core").ones((3, 4))
    assert "like the logits, or of NumPy" in message(ll.UnsupportedTypeError, bce, x, x, weight=other)
    truth = array(xp, True, "bool")
    assert "gamma must be a finite" in message(ll.InvalidInputError, ll.sigmoid_focal_loss, x, x, gamma=truth)
    assert "weight must be a number" in message(ll.InvalidInputError, bce, x, x, weight=truth)
    assert "are not written" in message(ll.UnsupportedTypeError, ll.value_and_grad, x, x, out=x)
    assert "complex64" in message(ll.UnsupportedTypeError, bce, array(xp, np.zeros((3, 4)), "complex64"), x)
    assert float(bce(array(xp, [[1, 1]], "int32"), array(xp, [[1, 1]], "int32"))) == pytest.approx(0.31326169)
