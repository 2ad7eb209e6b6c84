"""Short tables for people: a number stands whole on its line, and where a terminal is too narrow, rows become lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

_NARROWEST_TEXT, _NARROWEST_WORDS, _GAP = 12, 24, 2


def table(
    columns: Sequence[str], lines: Sequence[Sequence[str]], width: int, words: Collection[int] = ()
) -> RenderableType:
    """Lines under their columns, the first one a name; `words` are places of columns of sentences, which fold too."""
    if _needed(columns, lines, words) > width:
        return listed(columns, lines)
    from rich import box
    from rich.table import Table

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        folds = place == 0 or place in words
        style = "dim" if place in words else None
        found.add_column(column, justify="left" if folds else "right", overflow="fold", style=style, no_wrap=not folds)
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


def _needed(columns: Sequence[str], lines: Sequence[Sequence[str]], words: Collection[int]) -> int:
    """The columns of a terminal that are needed at least."""
    from rich.cells import cell_len

    total = -_GAP
    for place, title in enumerate(columns):
        longest = max((cell_len(line[place]) for line in lines), default=0)
        if place in words:
            longest = min(longest, _NARROWEST_WORDS)
        elif place == 0:
            longest = min(longest, _NARROWEST_TEXT)
        total += max([longest, *map(cell_len, title.split())]) + _GAP
    return total
