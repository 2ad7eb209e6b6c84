"""Whether predictions are worth acting on: the decision curve of net benefit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..phrases import PLUS_MINUS, number, probability
from .parts import (
    BLUE,
    MUTED,
    ORANGE,
    TINT,
    WIDTH,
    Domain,
    Numbers,
    Spec,
    above,
    across,
    band,
    chart,
    layer,
    line,
    rows,
    targets,
    up,
    words,
)

_BELOW = -0.1


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
    x, y = across("x", "threshold probability"), up("y", domain, tickCount=5, format=".3~f")
    default = [max(0.0, one) for one in everyone]
    low, high = ([one + sign * width for one, width in zip(nb, half, strict=True)] for sign in (-1, 1))
    layers = [
        layer(rows(y=[0]), "rule", {"y": y}, stroke=MUTED, strokeWidth=1),
        line([0, *t], [base_rate, *everyone], ORANGE, across=x, up=y, strokeWidth=1.5, strokeDash=[5, 3], clip=True),
        band(t, default, [max(a, b) for a, b in zip(default, nb, strict=True)], TINT, across=x, up=y, fillOpacity=0.55),
        band(t, low, high, BLUE, across=x, up=y, fillOpacity=0.18, clip=True),
        line(t, nb, BLUE, across=x, up=y, strokeWidth=2, clip=True),
        above("net benefit per row"),
        *_names(t, nb, everyone, base_rate, domain),
        targets(*_cells(t), domain, _said(t, nb, half, everyone)),
    ]
    return chart(width=WIDTH, height=WIDTH, layer=layers)


def _names(
    t: Sequence[float], nb: Sequence[float], everyone: Sequence[float], base: float, domain: Domain
) -> list[Spec]:
    """Names beside their curves: the model's to the right of it, that of treating all left of where it falls."""
    place = next((i for i, one in enumerate(nb) if one < 0.75 * base), len(nb) - 1)
    fallen = next((at for at, one in zip(t, everyone, strict=True) if one < 0.4 * base), 0.5)
    x = min((t[place] if nb else 0.5) + 0.04, 0.72)
    y = min(0.82 * base, domain[1])
    names = [
        words(x, y, "this model", BLUE, up=domain, fontWeight=600),
        words(0.02, 0.55 * domain[0], "treat none", MUTED, up=domain),
    ]
    if fallen > 0.3:
        return [*names, words(fallen - 0.03, 0.4 * base, "treat all", ORANGE, up=domain, fontWeight=600, align="right")]
    return [
        *names,
        words(
            0.98,
            y - 0.09 * (domain[1] - domain[0]),
            "dashed: treat all",
            ORANGE,
            up=domain,
            fontWeight=600,
            align="right",
        ),
    ]


def _cells(t: Sequence[float]) -> tuple[list[float], list[float]]:
    half = (t[1] - t[0]) / 2 if len(t) > 1 else 0.5
    return [max(0.0, one - half) for one in t], [min(1.0, one + half) for one in t]


def _said(t: Sequence[float], nb: Sequence[float], half: Sequence[float], everyone: Sequence[float]) -> list[str]:
    return [
        f"threshold {probability(at)}: net benefit {number(one)}{PLUS_MINUS}{number(width)}; of all {number(other)}"
        for at, one, width, other in zip(t, nb, half, everyone, strict=True)
    ]
