"""Vega-Lite specifications as small SVG: the same bytes every time, colours by role, and no style of their own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from .._errors import MissingDependencyError

_SVG = "http://www.w3.org/2000/svg"
_MAJOR = "6."
"""Of Vega-Lite, which specifications are written for."""

PALETTE: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#16191d",
        "muted": "#5b6470",
        "rule": "#e3e6ea",
        "blue": "#0a5fb0",
        "orange": "#b34e00",
        "fill": "#e6e9ed",
        "ground": "#ffffff",
        "grey": "#c9cfd6",
        "tint": "#cfe2f5",
        "soft": "#f6f7f9",
    },
    "dark": {
        "ink": "#e8eaed",
        "muted": "#9aa3ad",
        "rule": "#2a2f35",
        "blue": "#6cb2f7",
        "orange": "#f0a060",
        "fill": "#2a2f36",
        "ground": "#121417",
        "grey": "#4b535c",
        "tint": "#1d3a57",
        "soft": "#1a1d21",
    },
}
"""The colours of the roles. Texts have a contrast of 4.5 at least; blue and orange differ for every kind of sight."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST = 64
_PACKAGES = {"vl_convert": "vl-convert-python", "jinja2": "Jinja2"}

_DROPPED = {"role", "aria-roledescription", "aria-hidden", "aria-label", "pointer-events", "font-family", "class"}
_DEFAULTS = {
    "opacity": "1",
    "stroke-width": "1",
    "text-anchor": "start",
    "font-size": "12",
    "transform": "translate(0,0)",
}
_COORDINATES = {"d", "transform", "x", "y", "x1", "y1", "x2", "y2", "width", "height"}
_SHARED = ("fill", "fill-opacity", "stroke", "font-weight", "text-anchor", "stroke-width", "stroke-dasharray")
_ALIKE = {"text", "line", "path", "rect"}


def legal(text: str) -> str:
    """The text with a mark for every character that XML forbids: the renderer ends the process when it meets one."""
    return _FORBIDDEN.sub("\ufffd", text)


def short(text: object, most: int = _MOST, *, one_line: bool = True) -> str:
    """A name as it is shown: legal, in one line, and cut in the middle if it is long."""
    shown = legal(str(text))
    shown = " ".join(shown.split()) if one_line else shown
    if len(shown) <= most:
        return shown
    tail = most // 5
    return f"{shown[: most - tail - 1]}…{shown[-tail:]}"


def missing(library: str) -> MissingDependencyError:
    """What to say where a library of charts or pages is not installed."""
    name = _PACKAGES.get(library, library)
    return MissingDependencyError(
        f"charts and reports need {name}, and it is not installed. Use pip install 'logloss[report]'."
    )


def render(spec: Mapping[str, Any], key: str, alt: str) -> str:
    """The chart as an SVG element whose ids begin with the key.

    Raises MissingDependencyError without vl-convert-python.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise missing("vl_convert") from error
    versions = [one for one in vl_convert.get_vegalite_versions() if one.startswith(_MAJOR)]
    newest = versions[-1] if versions else None
    drawn = vl_convert.vegalite_to_svg(_legal(spec), vl_version=newest, allowed_base_urls=[])
    return ET.tostring(_cleaned(ET.fromstring(drawn), spec, key, legal(alt)), encoding="unicode")


def _legal(value: Any) -> Any:
    """A specification all of whose texts are legal."""
    if isinstance(value, str):
        return legal(value)
    if isinstance(value, Mapping):
        return {_legal(name): _legal(one) for name, one in value.items()}
    return [_legal(one) for one in value] if isinstance(value, list | tuple) else value


def _cleaned(root: ET.Element, spec: Mapping[str, Any], key: str, alt: str) -> ET.Element:
    ET.register_namespace("", _SVG)
    width, height = root.attrib["width"], _height(spec) or root.attrib["height"]
    ids = {one.attrib["id"]: f"{key}-{place}" for place, one in enumerate(_with_id(root))}
    _clean(root, ids)
    _hoist(root)
    _flatten(root)
    root.attrib.clear()
    root.attrib.update(width=width, height=height, viewBox=f"0 0 {width} {height}", role="img")
    root.attrib["aria-label"] = alt
    return root


def _height(spec: Mapping[str, Any]) -> str | None:
    """The height of charts above each other, of which Vega counts the padding only."""
    if "vconcat" not in spec:
        return None
    padding, parts = spec["padding"], spec["vconcat"]
    inner = sum(part["height"] for part in parts) + spec["spacing"] * (len(parts) - 1)
    return str(inner + padding["top"] + padding["bottom"])


def _with_id(root: ET.Element) -> list[ET.Element]:
    return [one for one in root.iter() if "id" in one.attrib]


def _kind(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _clean(element: ET.Element, ids: Mapping[str, str]) -> None:
    """Drop what has no effect, shorten numbers, and give ids their names."""
    for child in list(element):
        _clean(child, ids)
        if _is_empty(child):
            element.remove(child)
    element.text = element.text if element.text and element.text.strip() else None
    element.tail = None
    told = element.attrib
    tip = told.get("aria-label") if told.get("aria-roledescription", "").endswith("mark") else None
    for name, value in list(told.items()):
        shown = _value(name, value, ids)
        if name in _DROPPED or _DEFAULTS.get(name) == shown:
            del told[name]
        else:
            told[name] = shown
    if tip:
        told["data-tip"] = tip


def _is_empty(element: ET.Element) -> bool:
    kind, told = _kind(element), element.attrib
    if kind == "path":
        return not told.get("d") or ("fill" not in told and "stroke" not in told)
    return kind in ("g", "defs") and not len(element)


def _value(name: str, value: str, ids: Mapping[str, str]) -> str:
    if name in _COORDINATES:
        return re.sub(r"-?\d*\.\d+(?:e-?\d+)?", _tenth, value)
    if name == "clip-path":
        return re.sub(r"#(\w+)", lambda found: f"#{ids[found.group(1)]}", value)
    if name == "id":
        return ids[value]
    return value.removesuffix("px") if name == "font-size" else value


def _tenth(found: re.Match[str]) -> str:
    number = f"{float(found.group()):.1f}".removesuffix(".0")
    return "0" if number == "-0" else number


def _hoist(element: ET.Element) -> None:
    """What all marks of a group have in common moves to the group."""
    for child in element:
        _hoist(child)
    kinds = {_kind(child) for child in element}
    if _kind(element) != "g" or len(element) < 2 or len(kinds) > 1 or not kinds <= _ALIKE:
        return
    for name in _SHARED:
        values = {child.attrib.get(name) for child in element}
        if len(values) == 1 and (value := values.pop()) is not None:
            element.attrib[name] = value
            for child in element:
                del child.attrib[name]


def _flatten(element: ET.Element) -> None:
    """A group without attributes is only its children."""
    children: list[ET.Element] = []
    for child in element:
        _flatten(child)
        children += list(child) if _kind(child) == "g" and not child.attrib else [child]
    element[:] = children


def themed(svg: str, mode: str) -> str:
    """The picture with the colours of one palette in it, for what knows no variables of CSS."""
    return re.sub(r"var\(--(\w+)\)", lambda found: PALETTE[mode][found.group(1)], svg)


def standalone(svg: str) -> str:
    """The picture with a style of its own: dark where a reader's screen is. Scoped by a class, for notebooks."""
    font = 'font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
    light, dark = (";".join(f"--{role}:{color}" for role, color in PALETTE[mode].items()) for mode in PALETTE)
    style = f".logloss-chart{{{font};background:var(--ground);{light}}}"
    style += f"@media (prefers-color-scheme:dark){{.logloss-chart{{{dark}}}}}"
    start, end = svg.split(">", 1)
    return f'{start} class="logloss-chart"><style>{style}</style>{end}'
