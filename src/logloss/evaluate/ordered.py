"""Isotonic regression of all rows in the order of their predictions: the decomposition (CORP) without bins.

Rows of one prediction come with falling targets, so that pooling joins them, as it must. The blocks at any time have
rising means: there are no more of them than distinct predictions, and of n rows with targets 0 and 1 and no weights at
most 0.88 n^(2/3), since they are different fractions whose denominators add up to n. A block takes 24 bytes.

Somebody else sorts, beside a state that is filled: a `Sorter` is of one process and one run. What it finds tells of all
rows at once and cannot be added to that of others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from .clip import Rows
from .corp import plain_scores
from .plan import Plan

if TYPE_CHECKING:
    from .state import State

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

NAME = "ordered"
_WRITERS = itertools.count()
_ORDER = "x, y DESC"


class Sorter(Protocol):
    """Tables of numbers, filled by any thread, and read in order."""

    def put(self, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add rows to a table."""
        ...

    def largest(self, table: str, column: str) -> float:
        """The largest number of a column; NaN where there are no rows."""
        ...

    def sorted(self, tables: Sequence[str], order: str, using: str = "") -> Iterator[Mapping[str, NDArray[Any]]]:
        """The rows of tables of the same columns in an order, in SQL, in pieces."""
        ...


@dataclass(frozen=True)
class Recalibrated:
    """Log loss and Brier score after isotonic regression: (group, score) by problems, the whole last."""

    found: Mapping[tuple[int, ...], Floats]

    def of(self, problems: Sequence[int], group: int = -1) -> tuple[float, float]:
        """Those of one problem or of several together, in a group by its number, or of the whole."""
        log_loss, brier = self.found[(*problems,)][group].tolist()
        return log_loss, brier


class Blocks:
    """Isotonic regression of a sequence that comes in pieces."""

    def __init__(self) -> None:
        self._count = 0
        self._held: tuple[NDArray[Any], ...] = np.empty(0), np.empty(0), np.empty(0, np.int64)

    def add(self, wy: Floats, w: Floats) -> None:
        """Add what comes next."""
        from .._kernels import isotonic

        room = self._count + w.size
        if room > self._held[0].size:
            self._held = tuple(_grown(one, self._count, 2 * room) for one in self._held)
        self._count = int(isotonic.continued(wy, w, *self._held, self._count))

    @property
    def scores(self) -> Floats:
        """Mean log loss and squared error of the fit; NaN for nothing."""
        wy, w = (one[: self._count] for one in self._held[:2])
        if not w.size:
            return np.full(2, math.nan)
        return np.asarray(plain_scores(wy, w, wy / w) / w.sum())


class Ordered:
    """Beside the components of a state: it hands its rows to a sorter, under the numbers that groups have here."""

    def __init__(self, plan: Plan, sorter: Sorter) -> None:
        self._plan, self._sorter = plan, sorter
        self._writer = next(_WRITERS)
        self._theirs: dict[int, Integers] = {}
        """For the writers that were merged, the numbers that their groups have here."""

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem."""
        columns: dict[str, Any] = {"x": rows.predictions + 0.0, "y": rows.targets}  # -0 is 0
        if rows.weights is not None:
            columns["w"] = rows.weights
        columns = {name: np.asarray(column, np.float64) for name, column in columns.items()}
        if self._plan.groups:
            owners = np.repeat(cells, np.diff(rows.ends, prepend=0))
            columns |= {"writer": np.full(owners.size, self._writer, np.int32), "cell": owners.astype(np.int32)}
        if columns["x"].size:
            self._sorter.put(_table(problem), columns)

    def merge(self, other: Ordered, cells: Integers) -> None:
        """Add what another thread has handed over."""
        for writer, places in {other._writer: np.arange(cells.size), **other._theirs}.items():
            self._theirs[writer] = cells[places]

    def fit(self, groups: int) -> Recalibrated:
        """What isotonic regression gives, of every problem, and of all labels of a model together."""
        if self._plan.groups:
            for writer, places in {self._writer: np.arange(groups), **self._theirs}.items():
                columns = {"writer": np.full(places.size, writer), "cell": np.arange(places.size), "place": places}
                self._sorter.put("groups", {name: column.astype(np.int32) for name, column in columns.items()})
        numbers = range(len(self._plan.problems))
        models = itertools.groupby(numbers, lambda number: self._plan.problems[number].model)
        sets = {(*found,) for _, found in models} | {(number,) for number in numbers}
        return Recalibrated({problems: self._fitted(problems, groups) for problems in sets})

    def _fitted(self, problems: tuple[int, ...], groups: int) -> Floats:
        """(group, score), the whole last; groups of single problems only."""
        tables = [_table(problem) for problem in problems]
        found = np.full((groups + 1, 2), math.nan)
        weighted = bool(self._plan.weight_of(self._plan.problems[problems[0]]))
        order, scale = (f"{_ORDER}, w", self._scale(tables)) if weighted else (_ORDER, 1.0)
        passes = [(-1, order, "")]
        if self._plan.groups and len(problems) == 1:
            passes.append((0, f"place, {order}", "JOIN groups USING (writer, cell)"))
        for first, by, using in passes:
            blocks, here = Blocks(), first
            for piece in self._sorter.sorted(tables, by, using):
                w = piece["w"] * scale if weighted else np.ones(piece["y"].size)
                wy = w * piece["y"]
                places = piece["place"] if using else np.full(w.size, first)
                starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
                for start, end in itertools.pairwise([*starts.tolist(), w.size]):
                    if places[start] != here:
                        found[here] = blocks.scores
                        blocks, here = Blocks(), int(places[start])
                    blocks.add(wy[start:end], w[start:end])
            found[here] = blocks.scores
        return found

    def _scale(self, tables: Sequence[str]) -> float:
        """A power of two that makes the largest weight about 1, so that no sum of weights is too large."""
        largest = max((self._sorter.largest(table, "w") for table in tables), default=math.nan)
        return math.ldexp(1.0, -math.frexp(largest)[1]) if largest > 0 else 1.0


def _grown(array: NDArray[Any], count: int, size: int) -> NDArray[Any]:
    """The first numbers of an array, with room for more."""
    found = np.empty(size, array.dtype)
    found[:count] = array[:count]
    return found


def _table(problem: int) -> str:
    return f"rows{problem}"


def unmergeable() -> InvalidInputError:
    """Why what is found of rows in order cannot be saved or added."""
    return InvalidInputError(
        "an exact decomposition is of all rows in one order, and cannot be saved or added to others; it was asked for "
        "by corp='exact'; score all files in one run, or save and add scores with corp='grid' (--corp grid)."
    )


def recalibrate(state: State) -> None:
    """Let a state know its exact decomposition, now that all rows are there, and forget who sorts."""
    ordered = state.components.pop(NAME)
    assert isinstance(ordered, Ordered)
    state.recalibrated = ordered.fit(len(state.groups))
