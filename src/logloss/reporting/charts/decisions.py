"""Whether predictions are worth acting on: the decision curve of net benefit, and cumulative gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..phrases import PLUS_MINUS, number, percent, probability
from .parts import (
    BLUE,
    GREY,
    MUTED,
    ORANGE,
    TINT,
    UNIT,
    WIDTH,
    Domain,
    Numbers,
    Spec,
    above,
    across,
    band,
    chart,
    field,
    layer,
    line,
    rows,
    targets,
    up,
    words,
    zero,
    zoomed,
)

_BELOW = -0.1
_WIDEST = 0.25
"""A band whose half is more of the height, on average, would cover the diagram."""
_EVERY = 3
"""So many thresholds share a place that says something."""
_LEAST_SHARE, _STEP = 0.05, 5
"""Of gains every fifth hundredth does."""
_RIGHT: dict[str, Any] = {"fontWeight": 600, "align": "right"}


def decision_curve(
    thresholds: Numbers, benefit: Numbers, se: Numbers, treat_all: Numbers, base_rate: float, last: float = 1.0
) -> Spec:
    """Net benefit of acting on the predictions, on all and on none; shaded where predictions gain.

    `last` is the largest threshold for which the curve is drawn: beyond it few rows are flagged.
    """
    top = max([base_rate, *(one for one in benefit if math.isfinite(one))]) * 1.06 or 1.0
    domain = (_BELOW * top, top)
    kept = [place for place, t in enumerate(thresholds) if t <= last and math.isfinite(benefit[place])]
    t, nb, half, everyone = ([values[place] for place in kept] for values in (thresholds, benefit, se, treat_all))
    half = [1.96 * one if math.isfinite(one) else 0.0 for one in half]
    shown = zoomed(t)
    x, y = across("x", "threshold probability", shown), up("y", domain, tickCount=5, format=".3~f")
    places = slice(min(1, len(t) - 1), None, _EVERY)  # of hundredths, 0.5 is one of them
    default = [max(0.0, one) for one in everyone]
    low, high = ([one + sign * width for one, width in zip(nb, half, strict=True)] for sign in (-1, 1))
    layers = [
        zero(y),
        line([0, *t], [base_rate, *everyone], ORANGE, across=x, up=y, strokeWidth=1.5, strokeDash=[5, 3], clip=True),
        band(t, default, [max(a, b) for a, b in zip(default, nb, strict=True)], TINT, across=x, up=y, fillOpacity=0.55),
        *(
            [band(t, low, high, BLUE, across=x, up=y, fillOpacity=0.18, clip=True)]
            if sum(half) < _WIDEST * len(half) * top
            else []
        ),
        line(t, nb, BLUE, across=x, up=y, strokeWidth=2, clip=True),
        above("net benefit per row"),
        *_names(t, nb, everyone, base_rate, shown, domain),
        targets(*_cells(t[places]), domain, _said(*(one[places] for one in (t, nb, half, everyone)))),
    ]
    return chart(width=WIDTH, height=WIDTH, layer=layers)


def gains(share: Numbers, captured: Numbers, base_rate: float, marked: int) -> Spec:
    """The share of the positives among the rows predicted highest, beside perfect order and none; one has a name."""
    x, y = across("x", "share of rows, the highest predictions first"), up("y")
    told = [(one, other) for one, other in zip(share, captured, strict=True) if one >= _LEAST_SHARE][::_STEP]
    said = [f"highest {percent(s, 0)}: {percent(c)} of the positives, lift {number(c / s, 2)}" for s, c in told]
    point, encoding = (share[marked], captured[marked]), {"x": field("x"), "y": field("y")}
    name = f"{percent(point[1])} in the highest {percent(point[0], 0)}"
    layers = [
        line([0, 1], [0, 1], MUTED, across=x, up=y, strokeWidth=1, strokeDash=[2, 3]),
        line([0, base_rate, 1], [0, 1, 1], GREY, across=x, up=y, strokeWidth=1.5),
        line([0, *share], [0, *captured], across=x, up=y, strokeWidth=2),
        layer(rows(x=[point[0]], y=[point[1]]), "point", encoding, filled=True, fill=BLUE, size=44, opacity=1),
        above("share of the positives"),
        words(0.98, 0.1, name, BLUE, **_RIGHT),
        targets(*_cells([one for one, _ in told]), UNIT, said),
    ]
    return chart(width=WIDTH, height=WIDTH, layer=layers)


def _names(
    t: Sequence[float], nb: Sequence[float], everyone: Sequence[float], base: float, shown: Domain, domain: Domain
) -> list[Spec]:
    """Names where they hit nothing: the model's above its curve, that of treating all left of where it falls."""
    size, height = shown[1] - shown[0], domain[1] - domain[0]
    place: dict[str, Any] = {"across": shown, "up": domain}
    x, y = _free(t, nb, shown, domain)
    names = [
        words(x, y, "this model", BLUE, fontWeight=600, **place),
        words(shown[1] - 0.02 * size, 0.55 * domain[0], "treat none", MUTED, align="right", **place),
    ]
    fallen = next((at for at, one in zip(t, everyone, strict=True) if one < 0.35 * base), shown[1])
    if everyone and min(everyone) >= 0.35 * base:
        return [*names, words(t[-1], everyone[-1] - 0.06 * height, "treat all", ORANGE, **_RIGHT, **place)]
    if fallen > shown[0] + 0.35 * size:
        return [*names, words(fallen - 0.04 * size, 0.35 * base, "treat all", ORANGE, **_RIGHT, **place)]
    return [*names, words(x, y - 0.07 * height, "dashed: treat all", ORANGE, fontWeight=600, **place)]


def _free(t: Sequence[float], nb: Sequence[float], shown: Domain, domain: Domain) -> tuple[float, float]:
    """A place for two short lines above the curve, as far left as there is one."""
    size, height = shown[1] - shown[0], domain[1] - domain[0]
    for share in (0.3, 0.4, 0.5, 0.6, 0.63):
        x = shown[0] + share * size
        under = max(
            (one for at, one in zip(t, nb, strict=True) if x - 0.02 * size <= at <= x + 0.34 * size), default=0.0
        )
        if under < domain[1] - 0.2 * height:
            return x, under + 0.13 * height
    return x, domain[1] - 0.05 * height


def _cells(t: Sequence[float]) -> tuple[list[float], list[float]]:
    half = (t[1] - t[0]) / 2 if len(t) > 1 else 0.5
    return [max(0.0, one - half) for one in t], [min(1.0, one + half) for one in t]


def _said(t: Sequence[float], nb: Sequence[float], half: Sequence[float], everyone: Sequence[float]) -> list[str]:
    return [
        f"threshold {probability(at)}: net benefit {number(one)}{PLUS_MINUS}{number(width)}; of all {number(other)}"
        for at, one, width, other in zip(t, nb, half, everyone, strict=True)
    ]
