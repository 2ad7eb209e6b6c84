"""Recorded runs: Caffe's own layer beside its dialect; torchvision, timm and others beside the public losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logloss as ll
from logloss import dialects
from logloss.dialects import caffe, keras

DATA = Path(__file__).parent / "data"
CAFFE = json.loads((DATA / "caffe_sigmoid_cross_entropy.json").read_text())["cases"]
PEERS = json.loads((DATA / "peers.json").read_text())
SETTINGS = ("normalization", "normalize", "ignore_label", "loss_weight")
EPS, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
FAR = 17.0  # from here on timm's floor of 1e-8 and float32's σ(x) = 1 are in the way


def numbers(values: Any, dtype: str = "float32") -> Any:
    return np.array(values, dtype=object).astype(dtype)


# ---- Caffe ----------------------------------------------------------------------------------------------------------


def test_caffe_is_all_there():
    assert len(CAFFE) == 414


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_caffe(dtype: str):
    wrong = {}
    for case in (case for case in CAFFE if case["dtype"] == dtype):
        x = numbers(case["logits"], dtype).reshape(case["shape"])
        t = numbers(case["targets"], dtype).reshape(case.get("targets_shape") or case["shape"])
        settings = {name: case[name] for name in SETTINGS}
        value, gradient = dialects.value_and_grad(caffe.sigmoid_cross_entropy_loss, x, t, **settings)
        expected, slopes = numbers(case["loss"], dtype), numbers(case["gradient"], dtype).reshape(x.shape)
        eps = float(np.finfo(dtype).eps)
        near = np.allclose(value, expected, rtol={"float32": 1e-6, "float64": 1e-12}[dtype], atol=0, equal_nan=True)
        if not near or not np.allclose(
            gradient, slopes, rtol=0, atol=4 * eps * abs(case["loss_weight"]), equal_nan=True
        ):
            wrong[case["id"]] = (value, expected)
    assert wrong == {}


# ---- peers ----------------------------------------------------------------------------------------------------------


def peers(system: str) -> list[Any]:
    found = [
        pytest.param(case, id=f"{number}-{case.get('input', 'features')}")
        for number, case in enumerate(PEERS["cases"])
        if case["system"].startswith(system)
    ]
    assert found
    return found


def arrays(case: Any) -> tuple[Any, Any]:
    given = PEERS["inputs"][case["input"]]
    return numbers(given["logits" if "logits" in given else "probabilities"]), numbers(given["targets"])


def assert_near(case: Any, ours: Any, terms: Any, where: Any, slope_terms: Any = None) -> None:
    """Elements within 4 ulp of the peer's largest intermediate term, where the peer is sound; values reduced, 1e-6."""
    value, gradient = ours
    expected, slopes = numbers(case["value"]), numbers(case["gradient"])
    if expected.ndim:
        assert np.all(np.abs(value - expected)[where] <= 4 * EPS * terms[where] + TINY)
    elif where.all() or case["system"].startswith(("torchvision", "seg")):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    allowed = 4 * EPS * (terms if slope_terms is None else slope_terms) + TINY
    assert np.all(np.abs(gradient - slopes)[where] <= allowed[where])


def focal_terms(x: Any, t: Any, gamma: float, alpha: float | None) -> tuple[Any, Any]:
    """The largest terms of torchvision's (1-p_t)^γ·((1-t)·x - log σ(x)) and of its derivative, each with its factors.

    1 - p_t, and 1 - p in the derivative of p, lose what 1 has no room for: an ulp of 1 is multiplied by what they are.
    """
    p, q = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    m = np.maximum(t * q + (1 - t) * p, TINY)
    halves = np.maximum((1 - t) * np.abs(x), np.logaddexp(0, -x))
    plain = t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    power, steep = m**gamma, gamma * m ** (gamma - 1)
    bent = gamma * abs(gamma - 1) * m ** (gamma - 2)
    balance = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    value = np.maximum(power * halves, steep * plain)
    slope = np.maximum.reduce(
        [power * np.maximum(p, t), steep * halves * p, steep * np.abs(p - t), bent * plain * p * q]
    )
    return balance * value, balance * slope


@pytest.mark.parametrize("case", peers("torchvision"))
def test_focal_loss_beside_torchvision(case: Any):
    x, t = arrays(case)
    options = {**case["options"], "alpha": None if case["options"]["alpha"] < 0 else case["options"]["alpha"]}
    ours = ll.value_and_grad(x, t, loss=ll.sigmoid_focal_loss, **options)
    with np.errstate(over="ignore"):
        terms, slope_terms = focal_terms(x.astype(float), t.astype(float), options["gamma"], options["alpha"])
    where = ~np.isnan(numbers(case["gradient"]))  # for γ < 1 its gradient is NaN where 1 - p_t is 0
    assert where.all() or 0 < options["gamma"] < 1
    assert np.isfinite(ours[1]).all()
    assert_near(case, ours, terms, where, slope_terms / (x.size if options["reduction"] == "mean" else 1))


@pytest.mark.parametrize("case", peers("timm.loss.Asymmetric"))
def test_asymmetric_loss_beside_timm(case: Any):
    x, t = arrays(case)
    names = {"smoothing": "label_smoothing"}
    options = {names.get(name, name): value for name, value in case["options"].items()}
    ours = ll.value_and_grad(x, t, loss=ll.asymmetric_loss, **{"reduction": "batchmean", **options})
    assert_near(case, ours, np.maximum(np.abs(x), 1), np.abs(x) < FAR)


@pytest.mark.parametrize("case", peers("segmentation_models"))
def test_options_beside_segmentation_models(case: Any):
    x, t = arrays(case)
    options = {"ignore_index": -100, **case["options"]}
    smooth = 2 * (options.pop("smooth_factor", None) or 0.0)  # s on each side, where s/2 is meant here
    if options.get("weight") is not None:
        options["weight"] = np.float32(options["weight"])
    mean = options.get("reduction", "mean") == "mean"
    total = {"normalizer": float(x.size), "reduction": "sum"} if mean else {}  # ignored elements stay in its mean
    if options["ignore_index"] is None or not (t == options["ignore_index"]).any():
        options.pop("ignore_index")
    ours = ll.value_and_grad(x, t, **{**options, "label_smoothing": smooth, **total})
    assert_near(case, ours, np.maximum(np.abs(x), 1), np.ones(x.shape, bool))


@pytest.mark.parametrize("case", peers("timm.loss.BinaryCrossEntropy"))
def test_options_beside_timm(case: Any):
    x, t = arrays(case)
    options = case["options"]
    smoothing = options["smoothing"] if options.get("smooth_dense") else 0.0  # dense targets are not smoothed
    if case["input"] == "random_index":
        labels = x.shape[1]  # s/C everywhere, which is our s/2 with another s
        t = np.eye(labels, dtype="float32")[t.astype(int)] * (1 - options["smoothing"]) + options["smoothing"] / labels
    if options.get("target_threshold"):
        t = (t > options["target_threshold"]).astype("float32")
    reduction = "batchmean" if options.get("sum_classes") else options.get("reduction", "mean")
    more = {"pos_weight": options["pos_weight"]} if "pos_weight" in options else {}
    ours = ll.value_and_grad(x, t, label_smoothing=smoothing, reduction=reduction, **more)
    assert_near(case, ours, np.maximum(np.abs(x), 1), np.ones(x.shape, bool))


@pytest.mark.parametrize("case", peers("tf_keras"))
def test_tf_keras(case: Any):
    x, t = arrays(case)
    loss = keras.losses.BinaryCrossentropy(**case["options"], backend="tf_keras")
    value, gradient = dialects.value_and_grad(loss, t, x)
    np.testing.assert_allclose(value, numbers(case["value"]), rtol=1e-6, atol=1e-9)
    slopes = numbers(case["gradient"])
    assert np.all(np.abs(gradient - slopes) <= 4 * EPS * np.maximum(np.abs(slopes), 1))


@pytest.mark.parametrize("case", peers("open_clip"))
def test_siglip_is_binary_cross_entropy(case: Any):
    """Its loss is that of the matrix of all pairs with the identity as targets, divided by the batch."""
    images, texts = numbers(case["image_features"], "float64"), numbers(case["text_features"], "float64")
    options = case["options"]
    logits = options["logit_scale"] * images @ texts.T + options["logit_bias"]
    value, gradient = ll.value_and_grad(logits, np.eye(len(logits)), reduction="batchmean")
    np.testing.assert_allclose(value, numbers(case["value"], "float64"), rtol=1e-6)
    slopes = numbers(case["image_gradient"], "float64")
    np.testing.assert_allclose(options["logit_scale"] * gradient @ texts, slopes, rtol=1e-5, atol=1e-5)
