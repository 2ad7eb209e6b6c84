"""Observed against predicted: the reliability diagram with the distributions under it, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..phrases import interval, number, points, probability
from .parts import (
    BLUE,
    FILL,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    UNIT,
    WIDTH,
    Domain,
    Numbers,
    Spec,
    above,
    across,
    band,
    chart,
    ends,
    field,
    layer,
    line,
    rows,
    signed,
    targets,
    thinned,
    up,
    words,
    zero,
)

_STEP = 0.004
_UNDER = 112


class Groups(NamedTuple):
    """Groups of rows with similar predictions: an array each."""

    predicted: Numbers
    observed: Numbers
    low: Numbers
    high: Numbers
    rows: Numbers


class Distribution(NamedTuple):
    """Rows with and without the outcome between neighbouring edges of the prediction."""

    edges: Numbers
    positives: Numbers
    negatives: Numbers


class Band(NamedTuple):
    """What lies between two curves."""

    x: Numbers
    low: Numbers
    high: Numbers


def reliability(
    target: str,
    corp: tuple[Numbers, Numbers],
    groups: Groups,
    distribution: Distribution,
    chance: Band | None = None,
    curve: Band | None = None,
    domain: Domain = UNIT,
) -> Spec:
    """Isotonic steps and groups with intervals over the diagonal; below, the rows of each outcome.

    `chance` is where the steps of calibrated predictions would be, `curve` the band of a smooth curve, and `domain` the
    part of [0, 1] that is drawn.
    """
    x, y = across("x", None, domain, labels=False), up("y", domain)
    points_ = rows(x=groups.predicted, y=groups.observed, low=groups.low, high=groups.high)
    layers = [line(domain, domain, MUTED, across=x, up=y, strokeWidth=1, strokeDash=[2, 3])]
    if chance:
        layers.insert(0, band(*chance, FILL, across=x, up=y, clip=True))
    if curve:
        layers.append(band(*curve, BLUE, across=x, up=y, fillOpacity=0.18, clip=True))
    interval_ = {"x": field("x"), "y": field("low"), "y2": {"field": "high"}}
    circle = {"filled": True, "fill": GROUND, "stroke": BLUE, "strokeWidth": 1.5, "size": 26, "opacity": 1}
    layers += [
        line(*thinned(*corp, _STEP * (domain[1] - domain[0])), across=x, up=y, clip=True),
        above(f"observed share of {target}"),
        above("dotted: perfect", right=True),
        _named(groups, domain) if groups.rows else _beside(corp, domain),
    ]
    if groups.rows:
        layers += [
            layer(points_, "rule", interval_, stroke=BLUE, strokeWidth=1.25),
            layer(points_, "point", {"x": field("x"), "y": field("y")}, **circle),
            targets(*_around(groups.predicted, domain), domain, _said(groups)),
        ]
    plot = {"width": WIDTH, "height": WIDTH, "layer": layers}
    under = {"width": WIDTH, "height": _UNDER, "layer": _distributions(target, distribution, domain)}
    return chart(vconcat=[plot, under], bounds="flush", spacing=14)


def _named(groups: Groups, domain: Domain) -> Spec:
    """The name of the curve, left of where the upper ends of the intervals reach 70 % of the height."""
    start, size = domain[0], domain[1] - domain[0]
    height = start + 0.7 * size
    reached = [(p - start) / size for p, high in zip(groups.predicted, groups.high, strict=True) if high > height]
    x = start + size * (min(max(0.3, min(reached, default=0.7)), 0.7) - 0.06)
    place = {"across": domain, "up": domain}
    return words(x, start + 0.74 * size, "observed", BLUE, fontWeight=600, align="right", **place)


def _beside(curve: tuple[Numbers, Numbers], domain: Domain) -> Spec:
    """The name of the curve at its right end, where no groups are drawn."""
    x, y, size = curve[0][-1], curve[1][-1], domain[1] - domain[0]
    place: dict[str, Any] = {"fontWeight": 600, "across": domain, "up": domain}
    if x < domain[0] + 0.8 * size:
        return words(x + 0.015 * size, y, "observed", BLUE, align="left", **place)
    lower = y - 0.05 * size if y > domain[0] + 0.15 * size else y + 0.05 * size
    return words(x, lower, "observed", BLUE, align="right", **place)


def _said(groups: Groups) -> list[str]:
    return [
        f"predicted {probability(p)}, observed {probability(o)} ({interval(low, high, probability)}), {n:,.0f} rows"
        for p, o, low, high, n in zip(*groups, strict=True)
    ]


def _around(places: Numbers, domain: Domain = UNIT) -> tuple[list[float], list[float]]:
    """For each place, from the middle to the one before to the middle to the next."""
    middles = [(one + other) / 2 for one, other in pairwise(places)]
    return [domain[0], *middles], [*middles, domain[1]]


def _distributions(target: str, distribution: Distribution, shown: Domain) -> list[Spec]:
    """Bars of square-root height, up with the outcome and down without it: one bin may hold half of all rows."""
    edges, positives, negatives = _within(distribution, shown)
    upper, lower = ([max(n, 0.0) ** 0.5 for n in counts] for counts in (positives, negatives))
    highest, deepest = max(upper, default=0.0), max(lower, default=0.0)
    room = 0.2 * max(highest, deepest, 1e-9)
    domain = (-deepest - room, highest + room)
    tips = [
        f"predicted {probability(a)} to {probability(b)}: {p:,.0f} with {target} = 1, {n:,.0f} with {target} = 0"
        for (a, b), p, n in zip(pairwise(edges), positives, negatives, strict=True)
    ]
    named: dict[str, Any] = {"across": shown, "up": domain, "fontWeight": 600}
    above_, below = _clear(edges, upper, room, shown), _clear(edges, lower, room, shown)
    return [
        _bars(edges, upper, domain, shown, BLUE),
        _bars(edges, [-height for height in lower], domain, shown, ORANGE),
        *([words(above_[0], above_[1], f"{target} = 1", BLUE, align=above_[2], **named)] if highest else []),
        *([words(below[0], -below[1], f"{target} = 0", ORANGE, align=below[2], **named)] if deepest else []),
        targets(edges[:-1], edges[1:], domain, tips),
    ]


def _within(distribution: Distribution, shown: Domain) -> Distribution:
    """The bars that begin and end in the part that is drawn."""
    edges, positives, negatives = distribution
    kept = [place for place, (a, b) in enumerate(pairwise(edges)) if a >= shown[0] - 1e-9 and b <= shown[1] + 1e-9]
    if not kept:
        return Distribution(shown, [0.0], [0.0])
    ends_ = [edges[place] for place in (*kept, kept[-1] + 1)]
    return Distribution(ends_, [positives[place] for place in kept], [negatives[place] for place in kept])


def _bars(edges: Numbers, heights: Sequence[float], domain: Domain, shown: Domain, color: str) -> Spec:
    kept = [(a, b, height) for (a, b), height in zip(pairwise(edges), heights, strict=True) if height]
    left, right, heights = zip(*kept, strict=True) if kept else ((), (), ())
    y = {"field": "y", "type": "quantitative", "scale": {"domain": list(domain), "nice": False}, "axis": None}
    encoding = {"x": across("x", "predicted probability", shown), "x2": {"field": "x2"}, "y": y, "y2": {"datum": 0}}
    return layer(rows(x=left, x2=right, y=heights), "rect", encoding, fill=color, stroke=GROUND, strokeWidth=0.75)


def _clear(edges: Numbers, heights: Sequence[float], room: float, shown: Domain) -> tuple[float, float, str]:
    """Where a label hits no bar: the left or right end, whichever has the lower bars, and the height above them."""
    start, size = shown[0], shown[1] - shown[0]
    sides = {
        "left": [h for a, h in zip(edges, heights, strict=False) if a < start + 0.42 * size],
        "right": [h for a, h in zip(edges, heights, strict=False) if a >= start + 0.58 * size],
    }
    side = min(sides, key=lambda one: max(sides[one], default=0.0))
    lowest = max(sides[side], default=0.0)
    x = start + size * (0.02 if side == "left" else 0.98)
    return x, max(lowest + room / 2, 0.6 * max(heights, default=0.0)), side


def difference(groups: Groups, chance: Band | None = None, shown: Domain = UNIT) -> Spec:
    """Observed minus predicted, in percentage points: what the diagonal of a reliability diagram hides."""
    low, high, middle = (
        [100 * (one - p) for one, p in zip(values, groups.predicted, strict=True)]
        for values in (groups.low, groups.high, groups.observed)
    )
    domain = ends(low, high, 1.0)
    x = across("x", "predicted probability", shown)
    y = up("y", domain, **signed())
    data = rows(x=groups.predicted, y=middle, low=low, high=high)
    layers = [zero(y)]
    if chance:
        lower, upper = (
            [100 * (one - at) for one, at in zip(values, chance.x, strict=True)] for values in (chance.low, chance.high)
        )
        layers.insert(0, band(chance.x, lower, upper, FILL, across=x, up=y, clip=True))
        layers.append(above("grey: by chance", right=True))
    tips = [
        f"predicted {probability(p)}: observed {points(o - p)} points ({interval(a, b, _signed)}), {n:,.0f} rows"
        for p, o, n, a, b in zip(groups.predicted, groups.observed, groups.rows, low, high, strict=True)
    ]
    layers += [
        layer(
            data,
            "rule",
            {"x": {**x, "field": "x"}, "y": field("low"), "y2": {"field": "high"}},
            stroke=BLUE,
            strokeWidth=1.5,
        ),
        layer(data, "point", {"x": field("x"), "y": field("y")}, filled=True, fill=BLUE, size=34, opacity=1),
        above("observed minus predicted, points"),
        *_largest(groups, middle, domain, shown),
        targets(*_around(groups.predicted, shown), domain, tips),
    ]
    return chart(width=WIDTH, height=230, layer=layers)


def _signed(value: float) -> str:
    return number(value, 1, sign=True)


def _largest(groups: Groups, differences: Sequence[float], domain: Domain, shown: Domain) -> list[Spec]:
    """The name of the largest difference, on the side where there is room, clear of the intervals that it crosses."""
    at = max(range(len(differences)), key=lambda place: abs(differences[place]))
    p, size = groups.predicted[at], shown[1] - shown[0]
    side, step = ("left", 0.03) if p < shown[0] + 0.6 * size else ("right", -0.03)
    text = f"{number(differences[at], 1, sign=True)} at {probability(p)}"
    place: dict[str, Any] = {"across": shown, "up": domain}
    place |= {"fontWeight": 600, "align": side}
    where = p + step * size, differences[at]
    return [words(*where, text, GROUND, stroke=GROUND, strokeWidth=4, **place), words(*where, text, INK, **place)]
