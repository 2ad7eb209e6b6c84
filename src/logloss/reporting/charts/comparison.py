"""Several estimates with intervals: over time, and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ..phrases import interval, number
from .parts import (
    BLUE,
    INK,
    MUTED,
    WIDTH,
    Numbers,
    Spec,
    above,
    across,
    band,
    chart,
    ends,
    layer,
    line,
    rows,
    signed,
    silent,
    up,
    words,
    zero,
    zoomed,
)

_WIDTH, _HEIGHT, _ROW, _NAMES = 344, 92, 22, 118


class Series(NamedTuple):
    """A statistic at each time, with the ends of its intervals."""

    name: str
    values: Numbers
    low: Numbers
    high: Numbers
    digits: int = 4
    signed: bool = False
    unit: str = ""


def series(times: Sequence[str], several: Sequence[Series]) -> Spec:
    """Small pictures above each other that share their times; no statistic gets a second axis."""
    panels = [_panel(times, one, last=one is several[-1]) for one in several]
    return chart(left=0, right=8, top=8, bottom=26, vconcat=panels, bounds="flush", spacing=8)


def _panel(times: Sequence[str], one: Series, *, last: bool) -> Spec:
    known = [value for value in [*one.values, *one.low, *one.high] if math.isfinite(value)] or [0.0]
    lowest, highest = min(known), max(known)
    if one.signed:
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    room = (highest - lowest) or abs(highest) or 1.0
    domain = [lowest - 0.12 * room, highest + 0.9 * room]
    scale = {"domain": domain, "nice": False, "zero": False}
    fitting = max(1, _WIDTH // (7 * max(map(len, times)) + 14))  # names of times that do not touch
    every = math.ceil(len(times) / fitting)
    size = 40 if len(times) <= 20 else 14
    names = [time for place, time in enumerate(times) if place % every == every // 2]
    x: Spec = {
        "field": "x",
        "type": "ordinal",
        "sort": None,
        "scale": {"padding": 0.5},
        "axis": {"title": None, "labelAngle": 0, "grid": False, "labels": last, "values": names, "labelLimit": 84},
    }

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "scale": scale, "axis": None}

    texts = [number(value, one.digits, sign=one.signed) for value in one.values]
    show = partial(number, digits=one.digits, sign=one.signed)
    tips = [
        f"{time}: {one.name} {text} ({interval(low, high, show)})"
        for time, text, low, high in zip(times, texts, one.low, one.high, strict=True)
    ]
    data = rows(x=times, y=one.values, low=one.low, high=one.high, text=texts, tip=tips)
    quiet = silent(data)
    layers = [layer(rows(y=[0]), "rule", {"y": y("y")}, stroke=MUTED)] if one.signed else []
    layers += [
        layer(quiet, "line", {"x": x, "y": y("y")}, stroke=BLUE, strokeWidth=1.5),
        layer(quiet, "rule", {"x": x, "y": y("low"), "y2": {"field": "high"}}, stroke=BLUE, strokeWidth=1.5),
        layer(data, "point", {"x": x, "y": y("y")}, filled=True, fill=BLUE, size=size, opacity=1),
        layer(
            rows(name=[f"{one.name}, {one.unit}" if one.unit else one.name]),
            "text",
            {"x": {"value": 0}, "y": {"value": 4}, "text": {"field": "name"}},
            fill=MUTED,
        ),
    ]
    if len(times) <= 6:
        written = {"x": x, "y": y("high"), "text": {"field": "text"}}
        layers.append(layer(quiet, "text", written, fill=INK, align="center", dy=-9))
    return {"width": _WIDTH, "height": _HEIGHT, "layer": layers}


def forest(
    names: Sequence[str], values: Numbers, low: Numbers, high: Numbers, *, title: str, sides: tuple[str, str]
) -> Spec:
    """A dot with its interval for each name, in the order of the data; `sides` say what lies left and right of 0."""
    domain = ends(low, high, max(abs(value) for value in [*values, 1e-12]) * 0.05)
    known = [f"{place}|{name}" for place, name in enumerate(names)]
    show = partial(number, digits=2, sign=True)
    tips = [
        f"{name}: {show(value)} ({interval(a, b, show)})"
        for name, value, a, b in zip(names, values, low, high, strict=True)
    ]
    label = "substring(datum.value, indexof(datum.value, '|') + 1)"
    axis = {"title": None, "grid": False, "labelColor": INK, "labelLimit": 2 * _NAMES, "labelExpr": label}
    y = {"field": "name", "type": "ordinal", "sort": known, "axis": axis}

    def x(field: str) -> Spec:
        scale = {"domain": list(domain), "nice": False}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": {"title": title, **signed()}}

    data = rows(name=known, x=values, low=low, high=high, tip=tips)
    side = {"x": x("x"), "y": {"value": -10}, "text": {"field": "text"}}
    layers = [
        layer(rows(x=[0]), "rule", {"x": x("x")}, stroke=MUTED),
        layer(silent(data), "rule", {"y": y, "x": x("low"), "x2": {"field": "high"}}, stroke=BLUE, strokeWidth=1.5),
        layer(data, "point", {"y": y, "x": x("x")}, filled=True, fill=BLUE, size=40, opacity=1),
        layer(rows(x=[0], text=[f"◂ {sides[0]}"]), "text", side, fill=MUTED, align="right", dx=-6),
        layer(rows(x=[0], text=[f"{sides[1]} ▸"]), "text", side, fill=MUTED, dx=6),
    ]
    return chart(
        left=_NAMES, right=8, top=26, bottom=42, width=352 - _NAMES - 8, height=_ROW * len(names), layer=layers
    )


def murphy_difference(
    thresholds: Numbers, values: Numbers, low: Numbers, high: Numbers, *, sides: tuple[str, str]
) -> Spec:
    """Elementary scores of one model minus another's over thresholds, with a band; `sides` name below and above 0."""
    least = max((abs(value) for value in values), default=0.0) * 0.05 or 1e-9
    domain = ends([*low, *values], [*high, *values], least)
    shown = zoomed(thresholds)
    x, y = across("x", "threshold probability", shown), up("y", domain, format=".3~f", **signed())
    left = shown[0] + 0.02 * (shown[1] - shown[0])
    layers = [
        zero(y),
        band(thresholds, low, high, across=x, up=y, fillOpacity=0.18),
        line(thresholds, values, across=x, up=y),
        above("difference of elementary scores, thousandths"),
        *(
            words(left, end + way * 0.04 * (domain[1] - domain[0]), text, MUTED, across=shown, up=domain)
            for end, way, text in ((domain[0], 1, f"▾ {sides[0]}"), (domain[1], -1, f"▴ {sides[1]}"))
        ),
    ]
    return chart(width=WIDTH, height=WIDTH // 2, layer=layers)
