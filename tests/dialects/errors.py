"""The figures of docs/numerics.md: how many units in the last place each framework's formula errs, by the logit.

PYTHONPATH=tests python -m dialects.errors        # computes with the dialects, compares with mpmath, and writes them
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import logloss as ll
import oracle
from logloss import dialects
from logloss.dialects import caffe, keras, optax, pytorch, tensorflow
from logloss.reporting import svg
from logloss.reporting.charts import parts

FOLDER = Path(__file__).parents[2] / "docs" / "figures"
MARGINS = (-20, 40)
STEP, POINTS = 0.5, 8
LEAST, MOST = 0.1, 1e9  # ulp; errors beyond are drawn there
ALL = 24 * np.log10(2)  # the error of 0, or of twice the value, next below a power of 2
WIDTH, HEIGHT = 288, 96
LEFT, RIGHT = 44, 14

Pair = tuple[np.ndarray, np.ndarray]
Formula = Callable[[np.ndarray, np.ndarray], Pair]


def _by_one(function: Callable[..., object]) -> Formula:
    """Loss and slope of elements that a framework only gives as a sum."""

    def formula(x: np.ndarray, t: np.ndarray) -> Pair:
        each = [
            dialects.value_and_grad(function, x[place, None, None], t[place, None, None]) for place in range(len(x))
        ]
        return np.array([value for value, _ in each]), np.array([slope.item() for _, slope in each])

    return formula


def _of_sigmoid(loss: Callable[[np.ndarray, np.ndarray], Pair]) -> Formula:
    """A loss of probabilities after a float32 sigmoid, whose derivative p·(1 − p) the chain rule takes."""

    def formula(x: np.ndarray, t: np.ndarray) -> Pair:
        with np.errstate(over="ignore"):
            p = np.float32(1) / (np.float32(1) + np.exp(-x))
        value, slope = loss(p, t)
        with np.errstate(invalid="ignore"):
            return value, np.where(p * (1 - p) == 0, 0, slope * p * (1 - p))

    return formula


def _keras(p: np.ndarray, t: np.ndarray) -> Pair:
    return dialects.value_and_grad(keras.losses.BinaryCrossentropy(reduction="none"), t[:, None], p[:, None])


FIGURES: dict[str, dict[str, Formula]] = {
    "errors-of-logits": {
        "logloss": lambda x, t: ll.value_and_grad(x, t, reduction="none"),
        "PyTorch, BCEWithLogitsLoss": lambda x, t: (
            pytorch.binary_cross_entropy_with_logits(x, t, reduction="none"),
            dialects.value_and_grad(pytorch.binary_cross_entropy_with_logits, x, t, reduction="sum")[1],
        ),
        "TensorFlow, sigmoid_cross_entropy_with_logits": lambda x, t: dialects.value_and_grad(
            tensorflow.sigmoid_cross_entropy_with_logits, t, x
        ),
        "optax, sigmoid_binary_cross_entropy": lambda x, t: dialects.value_and_grad(
            optax.sigmoid_binary_cross_entropy, x, t
        ),
        "Caffe, SigmoidCrossEntropyLoss": _by_one(caffe.sigmoid_cross_entropy_loss),
    },
    "errors-of-probabilities": {
        "logloss, binary_cross_entropy": _of_sigmoid(
            lambda p, t: ll.value_and_grad(p, t, loss=ll.binary_cross_entropy, reduction="none")
        ),
        "PyTorch, BCELoss": _of_sigmoid(
            lambda p, t: (
                pytorch.binary_cross_entropy(p, t, reduction="none"),
                dialects.value_and_grad(pytorch.binary_cross_entropy, p, t, reduction="sum")[1],
            )
        ),
        "Keras 3, BinaryCrossentropy": _of_sigmoid(lambda p, t: tuple(np.ravel(one) for one in _keras(p, t))),
    },
}
"""Each figure: its panels by title, and the loss and slope that each computes of float32 logits and targets."""


class Errors(NamedTuple):
    """The largest error in each window of margins, in ulp of the exact value."""

    margins: np.ndarray
    loss: np.ndarray
    slope: np.ndarray


def measured(formula: Formula) -> Errors:
    """Errors of both targets against mpmath. The margin is the logit towards the class that happened."""
    starts = np.arange(*MARGINS, STEP)
    margin = (starts[:, None] + STEP * (np.arange(POINTS) + 0.5) / POINTS).astype(np.float32)
    worst = np.zeros((2, *margin.shape))
    for target in (0.0, 1.0):
        x = (margin if target else -margin).ravel()
        got = formula(x, np.full_like(x, target))
        wanted = [oracle.cross_entropy(one, target, 1 - target) for one in x.tolist()]
        for place, values in enumerate(got):
            errors = [
                oracle.error_in_ulp(one, want[place], np.float32) for one, want in zip(values, wanted, strict=True)
            ]
            worst[place] = np.maximum(worst[place], np.reshape(errors, margin.shape))
    return Errors(starts + STEP / 2, *worst.max(axis=2))


def panel(title: str, errors: Errors) -> parts.Spec:
    """One formula: the error of its loss, and that of its gradient."""
    ticks = "datum.value == 0 ? '1 ulp' : datum.value == 2 ? '100' : datum.value == 4 ? '10⁴' : 'all'"
    up = parts.up("y", (-1.0, 8.0), values=[0, 2, 4, ALL], labelExpr=ticks)
    across = parts.across("x", None, MARGINS, values=[-20, -10, 0, 10, 20, 30, 40])
    loss, slope = (np.log10(np.clip(one, LEAST, MOST)) for one in (errors.loss, errors.slope))
    layers = [
        parts.line(errors.margins, slope, parts.ORANGE, across=across, up=up, strokeDash=[5, 3], clip=True),
        parts.line(errors.margins, loss, parts.BLUE, across=across, up=up, clip=True),
        parts.above(title, left=LEFT),
    ]
    return {"width": WIDTH, "height": HEIGHT, "layer": layers}


def figure(name: str) -> str:
    """The picture of a figure, as it stands in its file."""
    panels = [panel(title, measured(formula)) for title, formula in FIGURES[name].items()]
    spec = parts.chart(left=LEFT + RIGHT, right=RIGHT, top=34, bottom=30, vconcat=panels, bounds="flush", spacing=54)
    said = "Largest error in ulp by the margin: " + "; ".join(FIGURES[name])
    return svg.standalone(svg.render(spec, name, said)) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in FIGURES:
        (FOLDER / f"{name}.svg").write_text(figure(name), encoding="utf-8")


if __name__ == "__main__":
    main()
