"""The dialects' parameters beside those of the frameworks: names, positions and defaults."""

from __future__ import annotations

import pkgutil
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from dialects import conformance
from dialects.cases import Case
from dialects.frameworks import signature
from logloss.dialects import keras, sklearn, tensorflow

# host, what the framework calls it, and what its dialect does
CALLS = [
    ("torch", "torch.nn.functional:binary_cross_entropy", "pytorch:binary_cross_entropy"),
    ("torch", "torch.nn.functional:binary_cross_entropy_with_logits", "pytorch:binary_cross_entropy_with_logits"),
    ("torch", "torch.nn.functional:multilabel_soft_margin_loss", "pytorch:multilabel_soft_margin_loss"),
    (
        "tensorflow",
        "tensorflow:nn.sigmoid_cross_entropy_with_logits",
        "tensorflow:sigmoid_cross_entropy_with_logits",
    ),
    (
        "tensorflow",
        "tensorflow:nn.weighted_cross_entropy_with_logits",
        "tensorflow:weighted_cross_entropy_with_logits",
    ),
    *(
        ("tensorflow", f"tensorflow:compat.v1.losses.{name}", f"tensorflow:compat.v1.losses.{name}")
        for name in ("sigmoid_cross_entropy", "log_loss")
    ),
    *(
        ("tensorflow", f"{library}:{name}", f"keras:{name}")
        for library in ("keras", "tf_keras")
        for name in (
            "losses.BinaryCrossentropy",
            "losses.BinaryCrossentropy.__call__",
            "losses.BinaryFocalCrossentropy",
            "losses.binary_crossentropy",
            "metrics.BinaryCrossentropy",
        )
    ),
    ("jax", "optax:sigmoid_binary_cross_entropy", "optax:sigmoid_binary_cross_entropy"),
    ("jax", "optax:sigmoid_focal_loss", "optax:sigmoid_focal_loss"),
    ("numpy", "sklearn.metrics:log_loss", "sklearn:log_loss"),
    ("numpy", "sklearn.metrics:d2_log_loss_score", "sklearn:d2_log_loss_score"),
    *(
        ("numpy", f"sklearn._loss:HalfBinomialLoss{method}", f"sklearn:HalfBinomialLoss{method}")
        for method in (
            "",
            ".__call__",
            ".loss",
            ".gradient",
            ".loss_gradient",
            ".gradient_hessian",
            ".constant_to_optimal_zero",
        )
    ),
]
# Caffe and the boosting libraries have no Python function: their parameters are names in a file or in a dictionary, and
# the conformance tests give them.

WITHOUT_MEANING = {  # arguments that choose hardware, threads or memory, and no number
    "sklearn._loss:HalfBinomialLoss": {
        "sample_weight",  # whether Hessians are constant, which those of this loss never are
        "xp",
        "device",
    },
    "sklearn._loss:HalfBinomialLoss.__call__": {"n_threads"},
    "sklearn._loss:HalfBinomialLoss.loss": {"loss_out", "n_threads"},
    "sklearn._loss:HalfBinomialLoss.gradient": {"gradient_out", "n_threads"},
    "sklearn._loss:HalfBinomialLoss.loss_gradient": {"loss_out", "gradient_out", "n_threads"},
    "sklearn._loss:HalfBinomialLoss.gradient_hessian": {"gradient_out", "hessian_out", "n_threads"},
    # one dialect serves Keras 3 too; "auto" is "sum_over_batch_size" where no strategy distributes the batch
    "tf_keras:losses.BinaryCrossentropy": {"reduction"},
    "tf_keras:losses.BinaryFocalCrossentropy": {"reduction"},
}


def different(theirs: Any, ours: Any) -> set[str]:
    """Parameters of the framework's that the dialect lacks, or has elsewhere or with another default."""
    own = {name: (place, kind, default) for place, (name, kind, default) in enumerate(ours)}
    found = set()
    for place, (name, kind, default) in enumerate(theirs):
        there = own.get(name)
        moved = there is not None and kind != "KEYWORD_ONLY" and there[0] != place
        if there is None or moved or there[1:] != (kind, default):
            found.add(name)
    return found


@pytest.fixture(scope="module")
def frameworks() -> dict[str, Any]:
    cases = [Case(host, "signature", path, {}, {}) for host, path, _ in CALLS]
    return {case.function: answer for case, answer in zip(cases, conformance.framework_answers(cases), strict=True)}


@pytest.mark.parametrize(("path", "ours"), [call[1:] for call in CALLS], ids=[call[1] for call in CALLS])
def test_parameters_are_those_of_the_framework(path: str, ours: str, frameworks: dict[str, Any]):
    theirs, own = frameworks[path], signature(f"logloss.dialects.{ours.replace('__call__', 'value_and_grad')}")
    assert all(isinstance(one, tuple) for one in theirs), theirs
    assert different(theirs, own) == WITHOUT_MEANING.get(path, set())


@pytest.mark.parametrize(
    ("ours", "found"),
    [
        ("a, b=1, *, c=None", set()),
        ("a, b=1, *, c=None, d=3", set()),
        ("b=1, a=2, *, c=None", {"a", "b"}),
        ("a, b=2, *, c=None", {"b"}),
        ("a, b=1", {"c"}),
        ("a, b=1, c=None", {"c"}),
    ],
)
def test_the_comparison_can_fail(ours: str, found: set[str], monkeypatch: pytest.MonkeyPatch):
    space: dict[str, Any] = {}
    exec(f"def theirs(a, b=1, *, c=None): ...\ndef ours({ours}): ...", space)
    monkeypatch.setattr(pkgutil, "resolve_name", space.__getitem__)
    assert different(signature("theirs"), signature("ours")) == found


def test_names_in_a_graph_change_no_number():
    x, t = np.array([[0.5, -1.0]], "float32"), np.array([[1.0, 0.0]], "float32")
    one = tensorflow.sigmoid_cross_entropy_with_logits(t, x)
    np.testing.assert_array_equal(tensorflow.sigmoid_cross_entropy_with_logits(t, x, "loss"), one)
    dear = tensorflow.weighted_cross_entropy_with_logits(t, x, 2.0)
    np.testing.assert_array_equal(tensorflow.weighted_cross_entropy_with_logits(t, x, 2.0, "loss"), dear)
    v1 = tensorflow.compat.v1.losses
    for function, third in ((v1.sigmoid_cross_entropy, 0.1), (v1.log_loss, 1e-3)):
        p = np.abs(x) / 2
        total = function(t, p, 2.0, third, reduction="weighted_sum")
        assert total == function(t, p, 2.0, third, "scope", None, "weighted_sum") != function(t, p, 2.0, third)
    metric = keras.metrics.BinaryCrossentropy("bce", "float64", True)
    assert metric(t, x) == pytest.approx(float(one.mean()), rel=1e-6)
    assert (metric.name, metric(t, x).dtype) == ("bce", np.float64)


@pytest.mark.parametrize("function", [sklearn.log_loss, sklearn.d2_log_loss_score])
def test_probabilities_by_their_name_of_scikit_learn_1_8(function: Any):
    y, p = [0, 1, 1], np.array([0.2, 0.7, 0.6])
    with pytest.warns(FutureWarning, match="y_proba") as warned:
        assert function(y, y_pred=p) == function(y, p)
    assert [one.filename for one in warned] == [__file__]
    with pytest.raises(ValueError, match="one argument"):
        function(y, p, y_pred=p)


def test_warnings_name_the_line_of_the_call():
    with pytest.warns(UserWarning, match="sum to one") as warned:
        sklearn.log_loss([0, 1], np.array([[0.5, 0.6], [0.2, 0.8]]))
    assert [one.filename for one in warned] == [__file__]
    with pytest.warns(UserWarning, match="less than two samples") as warned:
        sklearn.d2_log_loss_score([1], np.array([0.5]))
    assert [one.filename for one in warned] == [__file__]
    for function in (sklearn.log_loss, sklearn.d2_log_loss_score):
        with pytest.warns(UserWarning, match=r"those of the sorted labels, \['a', 'b'\]; got \['b', 'a'\]") as warned:
            function(["b", "a"], np.array([0.4, 0.8]), labels=["b", "a"])
        assert [one.filename for one in warned] == [__file__]


def test_warnings_are_those_of_scikit_learn():
    """The same calls are warned of, and no others."""
    y, p = [0, 1, 1], np.array([0.2, 0.7, 0.6])
    columns = np.stack([1 - p, p], axis=1)
    calls = [
        (y, p, {}),
        (y, p, {"labels": [0, 1]}),
        (y, p, {"labels": [1, 0]}),
        (y, columns * 0.9, {}),
        (y, columns * 0.9, {"labels": np.array([1, 0])}),
        ([1], p[:1], {"labels": [0, 1]}),
    ]
    for name in ("log_loss", "d2_log_loss_score"):
        for true, proba, options in calls:
            found = []
            for function in (getattr(metrics, name), getattr(sklearn, name)):
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    value = function(true, proba, **options)
                found.append((value, sum(issubclass(one.category, UserWarning) for one in warned)))
            np.testing.assert_allclose(*found, rtol=1e-12)
