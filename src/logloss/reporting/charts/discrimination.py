"""How well predictions tell outcomes apart: the ROC curve, and precision against recall."""

from __future__ import annotations

from typing import NamedTuple

from ..phrases import number
from .parts import (
    BLUE,
    INK,
    MUTED,
    WIDTH,
    Numbers,
    Spec,
    above,
    across,
    chart,
    field,
    layer,
    line,
    rows,
    thinned,
    up,
    words,
)

_STEP = 0.012
_RIGHT = 0.8
"""Right of it a label stands at the left of its point."""


class Mark(NamedTuple):
    """The point of a curve at a threshold."""

    x: float
    y: float
    threshold: float


def roc(
    target: str, false_positive_rate: Numbers, true_positive_rate: Numbers, label: str, mark: Mark | None = None
) -> Spec:
    """True against false positives over all thresholds."""
    layers = _curve(false_positive_rate, true_positive_rate, ([0, 1], [0, 1]), f"false positives among {target} = 0")
    layers += [
        above(f"true positives among {target} = 1"),
        words(0.98, 0.08, "by chance", MUTED, align="right"),
        words(0.62, 0.45, label, BLUE, fontWeight=600),
    ]
    return chart(width=WIDTH, height=WIDTH, layer=[*layers, *_marked(mark, 1)])


def precision_recall(
    recall: Numbers, precision: Numbers, label: str, base_rate: float, mark: Mark | None = None
) -> Spec:
    """Precision against recall over all thresholds; chance is the base rate."""
    under = base_rate - 0.05 if base_rate > 0.12 else base_rate + 0.05
    layers = _curve(recall, precision, ([0, 1], [base_rate, base_rate]), "recall")
    layers += [
        above("precision"),
        words(0.02, under, f"base rate {number(base_rate, 3)}", MUTED),
        words(0.96, _free(recall, precision, base_rate), label, BLUE, fontWeight=600, align="right"),
    ]
    return chart(width=WIDTH, height=WIDTH, layer=[*layers, *_marked(mark, -1)])


def _free(recall: Numbers, precision: Numbers, base_rate: float) -> float:
    """The height at which a label at the right hits neither the curve nor the line of chance."""
    right = [y for x, y in zip(recall, precision, strict=True) if x > 0.4]
    return max((0.3, 0.5, 0.7, 0.12, 0.93), key=lambda y: min(0.15, *(abs(y - one) for one in [*right, base_rate])))


def _curve(xs: Numbers, ys: Numbers, chance: tuple[Numbers, Numbers], title: str) -> list[Spec]:
    x, y = across("x", title), up("y")
    return [
        line(*chance, MUTED, across=x, up=y, strokeWidth=1, strokeDash=[2, 3]),
        line(*thinned(xs, ys, _STEP), across=x, up=y, strokeWidth=2),
    ]


def _marked(mark: Mark | None, side: int) -> list[Spec]:
    """The point at the threshold in use, named on one side of the curve."""
    if mark is None:
        return []
    name = f"p ≥ {number(mark.threshold, 3).rstrip('0').rstrip('.')}"
    tip = f"{name}: {number(mark.x, 3)} across, {number(mark.y, 3)} up"
    encoding = {"x": field("x"), "y": field("y")}
    side = -1 if mark.x > _RIGHT else side
    x, y = min(max(mark.x + 0.03 * side, 0.02), 0.98), max(mark.y - 0.05, 0.04)
    return [
        layer(rows(x=[mark.x], y=[mark.y], tip=[tip]), "point", encoding, filled=True, fill=BLUE, size=44, opacity=1),
        words(x, y, name, INK, align="left" if side > 0 else "right"),
    ]
