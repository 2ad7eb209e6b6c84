"""The formats of a result, each once: its name, the endings of its files, and who writes it.

The command line offers what stands here, and `--output` goes by the endings. Renderers are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath
from typing import TYPE_CHECKING

from .._errors import InvalidInputError
from .svg import missing

if TYPE_CHECKING:
    from ..evaluate.summary import Summary
    from .view import View


@dataclass(frozen=True)
class Format:
    """A way to write a summary down."""

    name: str
    endings: tuple[str, ...]
    render: Callable[[Summary, View], str | bytes]
    printed: bool = True
    """Whether it is for standard output, too."""
    needs: tuple[str, ...] = ()
    """Libraries that are installed on demand."""

    def require(self) -> None:
        """Raise MissingDependencyError if a library is missing that this format needs."""
        for library in self.needs:
            if find_spec(library) is None:
                raise missing(library)


def _table(summary: Summary, view: View) -> str:
    from . import text

    return text.render(summary, view)


def _json(summary: Summary, _: View) -> str:
    from . import json

    return json.render(summary)


def _jsonl(summary: Summary, _: View) -> str:
    from . import rows

    return rows.render_jsonl(summary)


def _csv(summary: Summary, _: View) -> bytes:
    from . import frames

    return frames.render_csv(summary)


def _md(summary: Summary, view: View) -> str:
    from . import text

    return text.render_markdown(summary, view)


def _parquet(summary: Summary, _: View) -> bytes:
    from . import frames

    return frames.render_parquet(summary)


def _html(summary: Summary, view: View) -> str:
    from .page.assembly import page

    return page(summary, view.command)


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("table", (".txt",), _table),
        Format("json", (".json",), _json),
        Format("jsonl", (".jsonl", ".ndjson"), _jsonl),
        Format("csv", (".csv",), _csv),
        Format("md", (".md",), _md),
        Format("parquet", (".parquet",), _parquet, printed=False),
        Format("html", (".html", ".htm"), _html, printed=False, needs=("vl_convert", "jinja2")),
    )
}


def format_of(path: str) -> Format:
    """The format that a file's name asks for. Raises InvalidInputError if none does."""
    ending = PurePath(path).suffix.lower()
    for one in FORMATS.values():
        if ending in one.endings:
            return one
    known = ", ".join(ending for one in FORMATS.values() for ending in one.endings)
    raise InvalidInputError(f"the format of {path} must be told by its ending, one of {known}; it ends in {ending!r}.")


def render(name: str, summary: Summary, view: View) -> str:
    """What standard output gets."""
    rendered = FORMATS[name].render(summary, view)
    return rendered.decode() if isinstance(rendered, bytes) else rendered
