"""All intersections of group columns as segments, from the bins of their finest cells.

A segment fixes the values of some columns, at most `depth` of them; its bins are the sum of its cells'. A numeric
column of many values is cut at quantiles first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .bins import Bins, meant
from .segments import Segment, segments
from .state import State

__all__ = ["scan"]

MANY_VALUES, PIECES = 12, 5
"""A numeric column of more values than the first is cut into so many pieces."""
MOST_SEGMENTS = 10_000

Chosen = tuple[tuple[int, str], ...]
"""Columns and what they are, of one segment."""


def scan(state: State, problem: int, depth: int) -> tuple[Segment, ...]:
    """The segments of a state's groups, with at most `depth` columns each, the worst first."""
    columns = state.plan.groups
    if not columns:
        raise InvalidInputError("segments are of group columns, and there are none; name them: group=['a', 'b'].")
    if depth < 1:
        raise InvalidInputError(f"a segment fixes at least one column; got depth {depth}.")
    keys = state.groups
    if state.bins(problem, keys[0] if keys else None) is None:
        raise InvalidInputError("segments need bins of the predictions; score with diagnostics=True (--diagnostics).")
    rows = [state.moments([problem], key).rows for key in keys]
    levels = [_levels([key[place] for key in keys], rows) for place in range(len(columns))]
    wanted = _wanted(levels, min(depth, len(columns)))
    sums: dict[Chosen, Bins] = {}
    for number, key in enumerate(keys):
        cell = state.bins(problem, key)
        assert cell is not None
        for chosen in wanted[number]:
            sums[chosen] = sums[chosen] + cell if chosen in sums else cell
    kind = state.plan.weight_kind
    named = [(_name(chosen, columns), meant(bins, kind)) for chosen, bins in _distinct(sums)]
    return segments(named, clustered=state.plan.cluster is not None)


def _levels(values: Sequence[Any], rows: Sequence[int]) -> list[str]:
    """What a column is in each cell: its value, or the piece that holds it."""
    numbers = sorted({value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)})
    if len(numbers) <= MANY_VALUES:
        return ["= null" if value is None else f"= {value}" for value in values]
    weight = dict.fromkeys(numbers, 0)
    for value, count in zip(values, rows, strict=True):
        if value in weight:
            weight[value] += count
    share = np.cumsum(list(weight.values())) / sum(weight.values())
    piece = np.minimum((np.concatenate([[0.0], share[:-1]]) * PIECES).astype(int), PIECES - 1)
    ends = {int(one): np.flatnonzero(piece == one) for one in np.unique(piece)}
    said = {
        number: f"{numbers[ends[int(one)][0]]} to {numbers[ends[int(one)][-1]]}"
        for number, one in zip(numbers, piece, strict=True)
    }
    return [said.get(value, "= null" if value is None else f"= {value}") for value in values]


def _wanted(levels: Sequence[Sequence[str]], depth: int) -> list[list[Chosen]]:
    """The segments of each cell."""
    found = [list(_of_cell(cell, depth)) for cell in zip(*levels, strict=True)]
    count = len(set(itertools.chain.from_iterable(found)))
    if count > MOST_SEGMENTS:
        raise InvalidInputError(
            f"at most {MOST_SEGMENTS:,} segments are scanned; there are {count:,}. "
            "Name fewer columns, cut those of many values in the group's SQL, or take a smaller depth."
        )
    return found


def _of_cell(cell: Sequence[str], depth: int) -> Iterator[Chosen]:
    for size in range(1, depth + 1):
        for places in itertools.combinations(range(len(cell)), size):
            yield tuple((place, cell[place]) for place in places)


def _distinct(sums: dict[Chosen, Bins]) -> Iterator[tuple[Chosen, Bins]]:
    """Segments that hold fewer rows than each that they are part of: the others are these under a longer name."""
    rows = {chosen: int(bins.rows.sum()) for chosen, bins in sums.items()}
    for chosen, bins in sums.items():
        wider = (tuple(part for part in chosen if part != left) for left in chosen)
        if all(rows[one] > rows[chosen] for one in wider if one):
            yield chosen, bins


def _name(chosen: Chosen, columns: Sequence[str]) -> str:
    return ", ".join(f"{columns[place]} {level}" for place, level in chosen)
