"""Tables of the page: what a cell shows, and by what it is sorted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..phrases import UNDEFINED, number


class Interval(NamedTuple):
    """An interval drawn in a row: positions from 0 to 128, where 64 is no difference."""

    low: str
    high: str
    middle: str


class Cell(NamedTuple):
    """What a cell shows; `value`, if it is a number with more digits or a text, is what it is sorted by."""

    text: str
    value: str = ""
    drawn: Interval | None = None
    muted: bool = False


class Column(NamedTuple):
    """A head: its title, and what it is like."""

    title: str
    kind: str = "number"
    """"number", "text" (left), "margin" (half of an interval, left and muted) or "drawn" (not sorted by)."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under heads; the first cell of a row is its name."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    subtitle: str = ""
    sorted_by: int = -1
    """The column that is marked as the one by which the rows stand, the largest first; -1: in their own order."""
    rising: bool = False
    """Whether they stand the smallest first."""
    sortable: bool = False
    filtered: str = ""
    """An example of what the filter takes; empty where there is no filter."""


def pairs(
    key: str,
    title: str,
    rows: Iterable[tuple[str, str, str]],
    head: tuple[str, str, str] = ("", "", ""),
    subtitle: str = "",
) -> Table:
    """A small table of names, values and half intervals; those without a value are left out."""
    columns = (Column(head[0], "text"), Column(head[1]), Column(head[2], "margin"))
    kept = tuple((Cell(name), Cell(value), Cell(half)) for name, value, half in rows if value != UNDEFINED)
    return Table(key, title, columns, kept, subtitle)


def data(key: str, title: str, columns: Mapping[str, Iterable[str]]) -> Table:
    """The numbers of a figure, as it shows them."""
    cells = zip(*columns.values(), strict=True)
    return Table(key, title, tuple(map(Column, columns)), tuple(tuple(map(Cell, row)) for row in cells))


def numbers(values: Iterable[float], show: Callable[[float], str] = number) -> list[str]:
    """A column of texts."""
    return [show(float(value)) for value in values]


def sampled(columns: Sequence[Any], most: int) -> list[list[float]]:
    """At most so many places of a curve, evenly, with both ends."""
    count = len(columns[0])
    places = range(count) if count <= most else [round(k * (count - 1) / (most - 1)) for k in range(most)]
    return [[float(column[place]) for place in places] for column in columns]


def sortable(text: str, value: float) -> Cell:
    """A cell with all digits to sort by."""
    return Cell(text, f"{value:.6g}" if math.isfinite(value) else "nan" if math.isnan(value) else str(value))


def drawn(value: float, low: float, high: float, limit: float) -> Cell:
    """The interval as a line with a dot, from −limit to +limit; a cell that is empty where nothing is known."""
    if not all(map(math.isfinite, (value, low, high))) or limit <= 0:
        return Cell("")
    places = (64 + 60 * min(max(one / limit, -1), 1) for one in (low, high, value))
    return Cell("", "", Interval(*(f"{place:.1f}".removesuffix(".0") for place in places)))
