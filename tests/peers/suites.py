"""Runs a peer's own tests of its losses, from the installed package, with ours in their places.

    python suites.py optax outcomes.json

runs optax's and writes what became of each. In a process of its own: places in a foreign package change, PyTorch's
package for tests sets global switches, and Keras chooses a backend once. TensorFlow's wheel holds no tests of losses.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import logloss as ll


class Calls:
    """How often ours were called: a test that never calls them says nothing about them."""

    total = 0


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def counting(*arguments: Any, **options: Any) -> Any:
        Calls.total += 1
        return function(*arguments, **options)

    return counting


def place_in_keras() -> None:
    from keras.src.losses import losses

    from logloss import keras as ours

    losses.BinaryCrossentropy = counted(ours.BinaryCrossentropy)
    losses.BinaryFocalCrossentropy = counted(ours.BinaryFocalCrossentropy)


def place_in_optax() -> None:
    """Behind optax's names, and `jnp.asarray`: its tests give NumPy arrays."""
    import jax.numpy as jnp
    from optax.losses import _classification

    def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
        return ll.binary_cross_entropy_with_logits(jnp.asarray(logits), jnp.asarray(labels), reduction="none")

    def sigmoid_focal_loss(logits: Any, labels: Any, alpha: Any = None, gamma: Any = 2.0) -> Any:
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        return ll.sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma, reduction="none")

    _classification.sigmoid_binary_cross_entropy = counted(sigmoid_binary_cross_entropy)
    _classification.sigmoid_focal_loss = counted(sigmoid_focal_loss)


class HalfBinomial:
    """What scikit-learn's HalfBinomialLoss asks of its compiled functions."""

    def loss(self, y_true: Any, raw_prediction: Any, sample_weight: Any, loss_out: Any, **_threads: int) -> None:
        options = {"sample_weight": sample_weight, "reduction": "none"}
        loss_out[:] = ll.binary_cross_entropy_with_logits(raw_prediction, y_true, **options)

    def loss_gradient(
        self, y_true: Any, raw_prediction: Any, sample_weight: Any, loss_out: Any, gradient_out: Any, **_threads: int
    ) -> None:
        options = {"sample_weight": sample_weight, "reduction": "none"}
        loss_out[:], gradient_out[:] = ll.value_and_grad(raw_prediction, y_true, **options)

    def gradient(self, gradient_out: Any, **given: Any) -> None:
        self.loss_gradient(loss_out=gradient_out.copy(), gradient_out=gradient_out, **given)

    def gradient_hessian(
        self, y_true: Any, raw_prediction: Any, sample_weight: Any, gradient_out: Any, hessian_out: Any, **_threads: int
    ) -> None:
        gradient_out[:], hessian_out[:] = ll.grad_and_hess(raw_prediction, y_true, sample_weight=sample_weight)


def place_in_sklearn() -> None:
    """Under the methods of HalfBinomialLoss, whose `closs` stays theirs: a test compares the two."""
    from sklearn._loss.loss import BaseLoss, HalfBinomialLoss

    def over_ours(method: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(self: Any, *arguments: Any, **options: Any) -> Any:
            ours = copy.copy(self)
            ours.closs = HalfBinomial()
            return method(ours, *arguments, **options)

        return evaluate

    for name in ("loss", "gradient", "loss_gradient", "gradient_hessian"):
        setattr(HalfBinomialLoss, name, counted(over_ours(getattr(BaseLoss, name))))


class Suite(NamedTuple):
    """The tests of a module that `wanted` selects, as pytest's -k does."""

    module: str
    wanted: str = ""
    place: Callable[[], None] | None = None


SUITES = {
    "torch": Suite("torch_samples"),
    "keras": Suite("keras.src.losses.losses_test", "BinaryCrossentropyTest or BinaryFocal", place_in_keras),
    "optax": Suite("optax.losses._classification_test", "SigmoidCrossEntropy or SigmoidFocal", place_in_optax),
    "scikit-learn": Suite(
        "sklearn._loss.tests.test_loss",
        "Binomial and not specific_fit and not predict_proba and not init_gradient",  # those evaluate no loss
        place_in_sklearn,
    ),
}

# No settings of ours but this: a warning of their code is theirs.
SETTINGS = ["-c", os.devnull, "-p", "no:cacheprovider", "-o", "filterwarnings=error:::logloss"]
SETTINGS += ["-o", "python_functions=test_* check_*", "--tb=line"]


class Recorder:
    """Keeps what became of each test."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.outcomes: dict[str, Any] = {"passed": [], "skipped": [], "failed": {}, "idle": []}

    @staticmethod
    def name(nodeid: str) -> str:
        """`Class::test parameters`: no brackets, which patterns of names would read as sets."""
        return nodeid.split("::", 1)[-1].replace("[", " ").removesuffix("]")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        before = Calls.total
        yield
        if self.suite.place and Calls.total == before:
            self.outcomes["idle"].append(self.name(item.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = self.name(report.nodeid)
        if report.failed:
            self.outcomes["failed"][name] = str(getattr(report.longrepr, "reprcrash", report.longrepr))
        elif report.skipped or report.when == "call":
            self.outcomes[report.outcome].append(name)


def main(name: str, written: str) -> int:
    suite = SUITES[name]
    if suite.place:
        suite.place()
    spec = importlib.util.find_spec(suite.module)
    status = pytest.main([spec.origin, "-k", suite.wanted, *SETTINGS], plugins=[recorder := Recorder(suite)])
    Path(written).write_text(json.dumps(recorder.outcomes))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
