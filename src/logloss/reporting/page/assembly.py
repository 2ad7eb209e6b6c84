"""From a summary to the page: one HTML file with one style and one script, which its policy allows by their hashes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..phrases import some
from ..svg import PALETTE, legal, missing, render, short
from . import across, closing, headlines, sections, versus
from .figures import Figure
from .sections import FIRST_SUBJECTS, MOST_SUBJECTS, Part, Section
from .subjects import Subject, are_times, subjects

if TYPE_CHECKING:
    from ...evaluate.summary import Summary

_FOLDER = Path(__file__).parent
_MOST_OF_COMMAND = 4000
_MOST_DIAGNOSED = 50
"""Models and labels whose findings are looked for; of more, those with figures."""

_MOST_CAUTIONS = 12
_NO_COMMAND = "Scores.report, in Python"


def page(summary: Summary, command: str) -> str:
    """The report as HTML: the same bytes for the same summary and command.

    Raises MissingDependencyError without what `logloss[report]` installs.
    """
    from ... import __version__

    everyone = subjects(summary)
    shown = _chosen(everyone)
    built = list(_sections(everyone, shown, summary))
    style, script = _style(), _script()
    found = closing.findings(everyone if len(everyone) <= _MOST_DIAGNOSED else shown)
    first, name, last = headlines.headline(everyone, summary)
    context = {
        "title": headlines.title(everyone),
        "headline": (first, name, last),
        "lede": headlines.lede(everyone, summary),
        "rows": some(summary.rows, "row"),
        "partial": headlines.partial(summary),
        "sections": [_drawn(section) for section in built],
        "left_out": list(
            closing.left_out(
                [one.key for one in built], diagnosed=_diagnosed(everyone), figures=(len(shown), len(everyone))
            )
        ),
        "findings": found,
        "codes": {one.key for one in found},
        "quality": closing.quality(summary, everyone),
        "reading": list(closing.reading(summary)),
        "cautions": list(closing.cautions(shown))[:_MOST_CAUTIONS],
        "command": short(command or _NO_COMMAND, _MOST_OF_COMMAND, one_line=False),
        "version": __version__,
        "footer": closing.footer(everyone),
        "style": _markup(style),
        "script": _markup(script),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    return legal(str(_template().render(**context))) + "\n"


def _diagnosed(everyone: Sequence[Subject]) -> bool:
    return any(one.block.diagnosis is not None for one in everyone)


def _chosen(everyone: Sequence[Subject]) -> list[Subject]:
    """Those that get figures: all that fit, else the first ones."""
    return list(everyone if len(everyone) <= MOST_SUBJECTS else everyone[:FIRST_SUBJECTS])


def _sections(everyone: Sequence[Subject], shown: Sequence[Subject], summary: Summary) -> Iterator[Section]:
    times = bool(summary.plan.groups) and are_times(summary.results.keys)
    yield sections.good(shown, everyone)
    if _diagnosed(shown):
        yield sections.calibrated(shown)
    found = across.whom(shown, everyone, summary, times=times)
    if found:
        yield found
    if useful := sections.useful(shown):
        yield useful
    if times:
        yield across.changed(shown, summary)
    if better := versus.better(everyone, summary):
        yield better


@dataclass(frozen=True)
class _Drawn:
    """A figure with its picture, as the template takes it."""

    name: str
    title: str
    subtitle: str
    svg: Any
    tables: tuple[Any, ...]


def _drawn(section: Section) -> dict[str, Any]:
    parts = [_part(section.key, place, part) for place, part in enumerate(section.parts)]
    names = [part.name for part in section.parts if part.name]
    return {**section.__dict__, "parts": parts, "choices": list(dict.fromkeys(names)) if len(names) > 2 else []}


def _part(key: str, place: int, part: Part) -> dict[str, Any]:
    items = [
        _picture(item, f"{key}-{place}-{item.name}-c") if isinstance(item, Figure) else item for item in part.items
    ]
    return {"name": part.name, "wide": part.wide, "shown": items}


def _picture(figure: Figure, key: str) -> _Drawn:
    return _Drawn(
        figure.name, figure.title, figure.subtitle, _markup(render(figure.spec, key, figure.alt)), figure.tables
    )


def _markup(text: str) -> Any:
    """What the template takes as it stands: our own style and script, and pictures that an XML writer has escaped."""
    from markupsafe import Markup

    return Markup(text)


@cache
def _template() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise missing("jinja2") from error
    loader = jinja2.FileSystemLoader(_FOLDER)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("page.html.j2")


@cache
def _style() -> str:
    """The palette and the style, without what only its readers need."""
    light, dark = (";".join(f"--{role}:{color}" for role, color in PALETTE[mode].items()) for mode in ("light", "dark"))
    text = (_FOLDER / "page.css").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    roles = f":root{{{light};color-scheme:light}}"
    roles += f"@media screen and (prefers-color-scheme:dark){{:root{{{dark};color-scheme:dark}}}}"
    return roles + "".join(line.strip() for line in text.splitlines())


@cache
def _script() -> str:
    lines = (_FOLDER / "page.js").read_text(encoding="utf-8").splitlines()
    return "\n".join(stripped for line in lines if (stripped := line.strip()))


def _hash(content: str) -> str:
    """As a content security policy names what it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
