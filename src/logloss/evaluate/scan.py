"""All intersections of columns as segments, from the bins of their finest cells.

A segment fixes the values of some columns, at most `depth` of them; its bins are the sum of its cells'. A numeric
column of many values is cut at quantiles first. The columns are those that a run was asked to scan, else its groups.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .bins import Bins, meant
from .diagnoses import Finding
from .groups import Key
from .segments import Cells, Segment, segments
from .state import State
from .verdicts import findings_of_segments

__all__ = ["DEPTH", "Scan", "checked_depth", "columns_of", "scan"]

DEPTH = 2
"""The columns that a segment fixes at most, unless asked for another number."""

MANY_VALUES, PIECES = 12, 5
"""A numeric column of more values than the first is cut into so many pieces."""
MOST_SEGMENTS = 10_000

Chosen = tuple[tuple[int, str], ...]
"""Columns and what they are, of one segment."""


@dataclass(frozen=True, eq=False)
class Scan:
    """The segments of a model and label, found when somebody asks."""

    find: Callable[[], tuple[Segment, ...]]
    asked: bool
    """Whether columns were named for it: else it is of groups, and only a report shows it."""

    @cached_property
    def _found(self) -> tuple[tuple[Segment, ...], str]:
        try:
            found = self.find()
        except InvalidInputError as error:  # too many of them: no reason to lose all other results
            return (), str(error)
        return found, found[0].test.reason if found else ""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments, the worst first."""
        return self._found[0]

    @property
    def reason(self) -> str:
        """Why there are none, or why the first of them was not tested."""
        return self._found[1]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The segments that are miscalibrated beyond chance, where these were asked for."""
        return findings_of_segments(self.segments) if self.asked else ()


def columns_of(state: State) -> tuple[str, ...]:
    """The columns whose intersections are scanned."""
    return state.plan.segments or state.plan.groups


def checked_depth(depth: int) -> int:
    """The same number. Raises InvalidInputError unless a segment can fix so many columns."""
    if depth < 1:
        raise InvalidInputError(f"a segment fixes at least one column; got depth {depth}; give 1, 2 or more.")
    return depth


def scan(state: State, problem: int, depth: int) -> tuple[Segment, ...]:
    """The segments of a state's columns, with at most `depth` columns each, the worst first."""
    checked_depth(depth)
    columns, (keys, rows, cells) = columns_of(state), _cells(state, problem)
    levels = [_levels([key[place] for key in keys], rows) for place in range(len(columns))]
    wanted = _wanted(levels, min(depth, len(columns)))
    sums: dict[Chosen, Bins] = {}
    members: dict[Chosen, list[int]] = {}
    parts, kind = [], state.plan.weight_kind
    for number, (all_chosen, cell) in enumerate(zip(wanted, cells, strict=True)):
        parts.append(meant(cell, kind).occupied)
        for chosen in all_chosen:
            sums[chosen] = sums[chosen] + cell if chosen in sums else cell
            members.setdefault(chosen, []).append(number)
    found = _distinct(sums)
    named = [(_name(chosen, columns), meant(sums[chosen], kind)) for chosen in found]
    own = Cells(parts, [members[chosen] for chosen in found])
    return segments(named, clustered=state.plan.cluster is not None, cells=own)


def _cells(state: State, problem: int) -> tuple[list[Key], list[int], Iterator[Bins]]:
    """The finest cells, sorted by value, their rows and, one at a time, their bins."""
    if (found := state.intersections) is not None:
        return found.keys, found.rows_of_each(problem), found.bins(problem)
    if not state.plan.groups:
        raise InvalidInputError(
            "segments are of columns, and there are none; name them: segments=['a', 'b'] (--segments a,b)."
        )
    if "grid" not in state.components:
        raise InvalidInputError(
            "segments of groups need bins of the predictions; score with diagnostics=True (--diagnostics), "
            "or with segments=['a', 'b'] (--segments a,b)."
        )
    keys = state.groups
    bins = (one for key in keys if (one := state.bins(problem, key)) is not None)
    return keys, [state.moments([problem], key).rows for key in keys], bins


def _levels(given: Sequence[Any], rows: Sequence[int]) -> list[str]:
    """What a column is in each cell: its value, or the piece that holds it."""
    values = _as_numbers(given)
    numbers = sorted({value for value in values if _is_number(value)})
    if len(numbers) <= MANY_VALUES:
        return ["= null" if value is None else f"= {value}" for value in given]
    weight = dict.fromkeys(numbers, 0)
    for value, count in zip(values, rows, strict=True):
        if _is_number(value):
            weight[value] += count
    share = np.cumsum(list(weight.values())) / sum(weight.values())
    piece = np.minimum((np.concatenate([[0.0], share[:-1]]) * PIECES).astype(int), PIECES - 1)
    ends = {int(one): np.flatnonzero(piece == one) for one in np.unique(piece)}
    said = {
        number: f"{numbers[ends[int(one)][0]]} to {numbers[ends[int(one)][-1]]}"
        for number, one in zip(numbers, piece, strict=True)
    }
    return [said.get(value, "= null" if value is None else f"= {value}") for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_CODE = re.compile(r"-?0\d.*")
"""A text that has digits and is no number: 00501."""


def _as_numbers(values: Sequence[Any]) -> Sequence[Any]:
    """The values of a column of text files, whose groups are texts, as numbers if all of them are numbers."""
    if not all(isinstance(value, str) and not _CODE.fullmatch(value) for value in values if value is not None):
        return values
    try:
        return [value if value is None else _number(value) for value in values]
    except ValueError:
        return values


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _wanted(levels: Sequence[Sequence[str]], depth: int) -> list[list[Chosen]]:
    """The segments of each cell."""
    found = [list(_of_cell(cell, depth)) for cell in zip(*levels, strict=True)]
    count = len(set(itertools.chain.from_iterable(found)))
    if count > MOST_SEGMENTS:
        raise InvalidInputError(
            f"at most {MOST_SEGMENTS:,} segments are scanned; there are {count:,}. "
            "Name fewer columns, cut those of many values in SQL ('age = age // 10'), or take a smaller depth."
        )
    return found


def _of_cell(cell: Sequence[str], depth: int) -> Iterator[Chosen]:
    for size in range(1, depth + 1):
        for places in itertools.combinations(range(len(cell)), size):
            yield tuple((place, cell[place]) for place in places)


def _distinct(sums: dict[Chosen, Bins]) -> list[Chosen]:
    """Segments that hold fewer rows than each that they are part of: the others are these under a longer name."""
    rows = {chosen: int(bins.rows.sum()) for chosen, bins in sums.items()}
    wider = {chosen: [tuple(part for part in chosen if part != left) for left in chosen] for chosen in sums}
    return [chosen for chosen in sums if all(rows[one] > rows[chosen] for one in wider[chosen] if one)]


def _name(chosen: Chosen, columns: Sequence[str]) -> str:
    return ", ".join(f"{columns[place]} {level}" for place, level in chosen)
