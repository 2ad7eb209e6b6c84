"""Short tables for people: a number stands whole on its line, and where a terminal is too narrow, rows become lists."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType

_LONGEST_WORD, _NARROWEST_WORDS, _GAP = 16, 24, 2
"""A name is cut within a word only beyond that; sentences take so much; and what stands between columns."""
_SPACES = re.compile(r"(?:[ \u00a0]|\x1b\[[\d;]*m)+$")
"""At the end of a line, also beside changes of colours."""


def printed(parts: Iterable[RenderableType], width: int, color: bool) -> str:
    """Parts below each other as text, with ANSI colours if it has them; no line ends in spaces."""
    from rich.console import Console

    output = io.StringIO()
    system: Literal["standard"] | None = "standard" if color else None
    console = Console(
        file=output,
        width=width,
        force_terminal=color,
        color_system=system,
        highlight=False,
        markup=False,  # a group may be called [a], or :smile:
        emoji=False,
    )
    for part in parts:
        console.print(part)
    lines = output.getvalue().split("\n")[:-1]
    return "".join(_SPACES.sub(lambda end: re.sub("[ \u00a0]", "", end[0]), line) + "\n" for line in lines)


def table(
    columns: Sequence[str], lines: Sequence[Sequence[str]], width: int, words: Collection[int] = ()
) -> RenderableType:
    """Lines under their columns, the first one a name; `words` are places of columns of sentences."""
    widths = _widths(columns, lines, width, words)
    if widths is None:
        return listed(columns, lines)
    from rich import box
    from rich.table import Table

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, (column, own) in enumerate(zip(columns, widths, strict=True)):
        style = "dim" if place in words else None
        justify: Any = "left" if place == 0 or place in words else "right"
        found.add_column(column, justify=justify, overflow="fold", style=style, width=own)
    for line in lines:
        found.add_row(*line)
    return found


def listed(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> RenderableType:
    """Each line as its name and, below it, what its columns say."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = [Text("")]
    for name, *cells in lines:
        said = (f"{column} {cell}".strip() for column, cell in zip(columns[1:], cells, strict=True) if cell)
        below = "; ".join(said).replace("95 %", "95\u00a0%")
        parts += [Text(f"{columns[0]} {name}".strip()), Padding(Text(below), (0, 0, 0, 2))]
    return Group(*parts, Text(""))


def _widths(
    columns: Sequence[str], lines: Sequence[Sequence[str]], width: int, words: Collection[int]
) -> list[int] | None:
    """How wide each column is: names and sentences fold between words, then intervals; None if they do not fit so."""
    from rich.cells import cell_len

    cells = [[title, *(line[place] for line in lines)] for place, title in enumerate(columns)]
    widths = [max(map(cell_len, some)) for some in cells]
    least = [max(cell_len(word) for cell in some for word in (cell.split() or [""])) for some in cells]
    least[0] = min(least[0], _LONGEST_WORD)
    least = [min(widths[place], _NARROWEST_WORDS) if place in words else one for place, one in enumerate(least)]
    for _ in range(max(0, sum(widths) + _GAP * len(widths) - width)):
        wider = [place for place, one in enumerate(widths) if one > least[place]]
        if not wider:
            return None
        widths[max(wider, key=lambda place: (place == 0 or place in words, widths[place]))] -= 1
    return widths
