"""What charts are put together from: roles of colour, axes, marks, and a size that no font of a machine changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
"""A specification of Vega-Lite, or a part of one."""

Numbers = Sequence[float]
Domain = tuple[float, float]

UNIT: Domain = (0.0, 1.0)

ROLES = ("ink", "muted", "rule", "blue", "orange", "fill", "ground", "grey", "tint")
INK, MUTED, RULE, BLUE, ORANGE, FILL, GROUND, GREY, TINT = (f"var(--{role})" for role in ROLES)
"""Colours by what they are for; the page, or the picture's own style, says which they are."""

WIDTH = 314
"""Of a plot; with the room left and right of it a chart is 352 wide, which fits a phone and a third of a desktop."""

LEFT, RIGHT, TOP, BOTTOM = 30, 8, 30, 42
FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)
_ZOOMS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)

_CONFIG: Spec = {
    "view": {"stroke": None},
    "font": "system-ui",
    "text": {"fontSize": 12, "fill": INK, "baseline": "middle", "align": "left"},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": True,
        "gridColor": RULE,
        "gridWidth": 1,
        "labelColor": MUTED,
        "labelFontSize": 12,
        "labelPadding": 6,
        "labelFlush": False,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
}
_SIGNED = "datum.value == 0 ? '0' : replace(format(datum.value, '+'), '-', '−')"


def chart(*, left: int = LEFT, right: int = RIGHT, top: int = TOP, bottom: int = BOTTOM, **parts: Any) -> Spec:
    """A whole specification. Its size is fixed by explicit padding, so that it is the same with any fonts."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": None,
        "padding": {"left": left, "right": right, "top": top, "bottom": bottom},
        "autosize": {"type": "none"},
        "config": _CONFIG,
        **parts,
    }


def rows(**columns: Iterable[Any]) -> Spec:
    """Data: a row for each place of the columns; what is not finite stands as nothing."""
    names = list(columns)
    lines = zip(*columns.values(), strict=True)
    return {"values": [{name: plain(value) for name, value in zip(names, line, strict=True)} for line in lines]}


def plain(value: Any) -> Any:
    """A value for JSON: numbers of six digits, which is more than a pixel shows."""
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None


def quantity(field: str, domain: Domain, **axis: Any) -> Spec:
    """A channel of numbers on a scale of its own ends."""
    scale = {"domain": [plain(end) for end in domain], "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis or None}


def across(name: str, title: str | None = None, domain: Domain = UNIT, **axis: Any) -> Spec:
    """The x channel of a probability, or of numbers between other ends."""
    axis = {**_ticks(domain), **axis}
    return quantity(name, domain, title=title, grid=False, **axis)


def up(name: str, domain: Domain = UNIT, **axis: Any) -> Spec:
    """The y channel likewise; what it shows is said above the plot, where it is read without turning the head."""
    axis = {**_ticks(domain), **axis}
    return quantity(name, domain, title=None, **axis)


def _ticks(domain: Domain) -> Spec:
    return {"values": list(FIFTHS), "format": ".1~f"} if domain == UNIT else {"tickCount": 5, "format": ".4~f"}


def signed(**axis: Any) -> Spec:
    """An axis of differences: + and − before its numbers."""
    return {"labelExpr": _SIGNED, "tickCount": 5, **axis}


def layer(data: Spec, kind: str, encoding: Mapping[str, Spec], **mark: Any) -> Spec:
    """One mark for all rows. Marks with a "tip" say what it says when they are pointed at; others say nothing."""
    tells = "tip" in (data["values"] or [{}])[0]
    described: Spec = {"description": {"field": "tip"}} if tells else {}
    return {
        "data": data,
        "mark": {"type": kind, **({} if tells else {"aria": False}), **mark},
        "encoding": {**encoding, **described},
    }


def silent(data: Spec) -> Spec:
    """The same rows without what they say."""
    return {"values": [{key: value for key, value in row.items() if key != "tip"} for row in data["values"]]}


def field(name: str) -> Spec:
    """A further channel on the same scale."""
    return {"field": name, "type": "quantitative"}


def words(
    x: float, y: float, text: str, color: str = INK, *, across: Domain = UNIT, up: Domain = UNIT, **mark: Any
) -> Spec:
    """A text within the plot."""
    encoding: Spec = {
        "x": {"field": "x", "type": "quantitative", "scale": {"domain": list(across)}},
        "y": {"field": "y", "type": "quantitative", "scale": {"domain": list(up)}},
        "text": {"field": "text"},
    }
    return layer(rows(x=[x], y=[y], text=[text]), "text", encoding, fill=color, **mark)


def above(text: str, *, right: bool = False, left: int = LEFT) -> Spec:
    """A text above the plot: at the left what y is, at the right what a line of reference is."""
    encoding: Spec = {"x": {"value": WIDTH if right else -left}, "y": {"value": -17}, "text": {"field": "text"}}
    return layer(rows(text=[text]), "text", encoding, fill=MUTED, align="right" if right else "left")


def line(x: Numbers, y: Numbers, color: str = BLUE, *, across: Spec, up: Spec, **mark: Any) -> Spec:
    """A line through points, in their order."""
    encoding: Spec = {"x": {**across, "field": "x"}, "y": {**up, "field": "y"}}
    return layer(rows(x=x, y=y), "line", encoding, stroke=color, **{"strokeWidth": 1.75, **mark})


def zero(up: Spec) -> Spec:
    """The line at 0 over the whole width."""
    return layer(rows(y=[0]), "rule", {"y": {**up, "field": "y"}}, stroke=MUTED, strokeWidth=1)


def band(x: Numbers, low: Numbers, high: Numbers, color: str = BLUE, *, across: Spec, up: Spec, **mark: Any) -> Spec:
    """The area between two curves."""
    encoding: Spec = {"x": {**across, "field": "x"}, "y": {**up, "field": "low"}, "y2": {"field": "high"}}
    return layer(rows(x=x, low=low, high=high), "area", encoding, fill=color, **mark)


def targets(left: Numbers, right: Numbers, domain: Domain, tips: Sequence[str]) -> Spec:
    """Invisible rectangles over the full height that say something: large enough for a finger.

    Their opacity is 0 and their colour is none of CSS's `transparent`, which would get no pointer.
    """
    encoding = {"x": field("left"), "x2": {"field": "right"}, "y": {"datum": domain[0]}, "y2": {"datum": domain[1]}}
    return layer(rows(left=left, right=right, tip=tips), "rect", encoding, fill=INK, fillOpacity=0)


def thinned(x: Numbers, y: Numbers, step: float) -> tuple[list[float], list[float]]:
    """The points of a curve that are more than a step apart, and its ends: no figure grows with the rows."""
    kept_x, kept_y = [float(x[0])], [float(y[0])]
    for one, other in zip(x[1:-1], y[1:-1], strict=True):
        if abs(one - kept_x[-1]) + abs(other - kept_y[-1]) > step:
            kept_x.append(float(one))
            kept_y.append(float(other))
    if len(x) > 1:
        kept_x.append(float(x[-1]))
        kept_y.append(float(y[-1]))
    return kept_x, kept_y


def zoomed(values: Numbers) -> Domain:
    """The part of [0, 1] that holds these probabilities, from 0 or up to 1, if it is a small part; else all of it."""
    known = [value for value in values if math.isfinite(value)]
    lowest, highest = min(known, default=0.0), max(known, default=1.0)
    if highest <= 0.5:
        return 0.0, next(end for end in _ZOOMS if highest * 1.05 <= end)
    if lowest >= 0.5:
        return 1 - next(end for end in _ZOOMS if (1 - lowest) * 1.05 <= end), 1.0
    return UNIT


def ends(low: Numbers, high: Numbers, least: float, room: float = 0.05) -> Domain:
    """A domain that holds intervals and at least ±least, with room beyond."""
    lows = [value for value in low if math.isfinite(value)]
    highs = [value for value in high if math.isfinite(value)]
    bottom, top = min([-least, *lows]), max([least, *highs])
    return bottom - room * (top - bottom), top + room * (top - bottom)
