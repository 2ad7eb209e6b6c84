"""What a score is made of: one bar from 0 to the score of always predicting the base rate."""

from __future__ import annotations

from typing import Any

from ..phrases import number
from .parts import GREY, INK, MUTED, ORANGE, TINT, Numbers, Spec, chart, layer, rows

_WIDTH, _HEIGHT = 344, 118
_THINNEST = 0.004
_FITS = 0.3


def decomposition(
    score: float, uncertainty: float, discrimination: float, miscalibration: float, name: str = "log loss"
) -> Spec:
    """Score = uncertainty − discrimination + miscalibration: what remains, what is lost, and what is gained."""
    remains = uncertainty - discrimination
    far = max(score, uncertainty)
    costly = max(score, remains + far * _THINNEST)
    layers = [_bars([0, remains, min(costly, far)], [remains, costly, far], [GREY, ORANGE, TINT], far)]
    gained = uncertainty - score
    layers += [
        _line(_middle(remains, costly), _middle(remains, costly), 64, 78, ORANGE, far),
        _text(
            _kept(remains, far), 87, f"miscalibration {number(miscalibration)}", ORANGE, "center", far, fontWeight=600
        ),
        _line(0, score, 29, 29, INK, far, strokeWidth=1.25),
        _text(0, 17, f"{name} {number(score)}", INK, "left", far, fontWeight=600),
        _line(0, uncertainty, 8, 8, MUTED, far),
        _text(far, -3, f"base rate alone {number(uncertainty)}", MUTED, "right", far),
    ]
    if remains > _FITS * far:
        layers.append(_text(remains / 2, 50, f"remains {number(remains)}", INK, "center", far))
    if gained > _FITS * far:
        layers.append(_text(_middle(score, uncertainty), 50, f"removed {number(gained)}", INK, "center", far))
    return chart(left=0, right=8, top=12, bottom=8, width=_WIDTH, height=_HEIGHT, layer=layers)


def _middle(one: float, other: float) -> float:
    return (one + other) / 2


def _kept(x: float, far: float) -> float:
    """Far enough from both ends for a word around it."""
    return min(max(x, 0.24 * far), 0.76 * far)


def _x(field: str, far: float) -> Spec:
    return {"field": field, "type": "quantitative", "scale": {"domain": [0, far], "nice": False}, "axis": None}


def _y(field: str) -> Spec:
    return {"field": field, "type": "quantitative", "scale": {"domain": [0, 100], "reverse": True}, "axis": None}


def _bars(starts: Numbers, stops: Numbers, colors: list[str], far: float) -> Spec:
    data = rows(a=starts, b=stops, top=[36] * 3, bottom=[64] * 3, color=colors)
    fill = {"field": "color", "type": "nominal", "scale": None}
    encoding = {"x": _x("a", far), "x2": {"field": "b"}, "y": _y("top"), "y2": {"field": "bottom"}, "fill": fill}
    return layer(data, "rect", encoding)


def _line(x: float, x2: float, y: float, y2: float, color: str, far: float, **mark: Any) -> Spec:
    encoding = {"x": _x("x", far), "y": _y("y")}
    encoding |= {"y2": {"field": "y2"}} if x == x2 else {"x2": {"field": "x2"}}
    return layer(rows(x=[x], x2=[x2], y=[y], y2=[y2]), "rule", encoding, stroke=color, **mark)


def _text(x: float, y: float, text: str, color: str, align: str, far: float, **mark: Any) -> Spec:
    encoding = {"x": _x("x", far), "y": _y("y"), "text": {"field": "text"}}
    return layer(rows(x=[x], y=[y], text=[text]), "text", encoding, fill=color, align=align, **mark)
