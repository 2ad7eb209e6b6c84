"""Isotonic regression of all rows in the order of their predictions: the decomposition (CORP) without bins.

Rows of one prediction come with falling targets, so that pooling joins them, as it must. The blocks at any time have
rising means: there are no more of them than distinct predictions, and of n rows with targets 0 and 1 and no weights at
most 0.88 n^(2/3), since they are different fractions whose denominators add up to n. A block takes 24 bytes.

Somebody else sorts, beside a state that is filled: a `Sorter` is of one process and one run; `ranges` is of many. What
is found tells of all rows at once and cannot be added to that of others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
WHOLE = -1
"""The place of all groups together, after those of the groups."""

_WRITERS = itertools.count()
_ORDER = "x, y DESC"


class Sorter(Protocol):
    """Tables of numbers, filled by any thread, and read in order."""

    def put(self, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add rows to a table."""
        ...

    def sorted(self, tables: Sequence[str], order: str, using: str = "") -> Iterator[Mapping[str, NDArray[Any]]]:
        """The rows of tables of the same columns in an order, in SQL, in pieces."""
        ...


@dataclass(frozen=True)
class Recalibrated:
    """Log loss and Brier score after isotonic regression: (group, score) by problems, the whole last."""

    found: Mapping[tuple[int, ...], Floats]

    def of(self, problems: Sequence[int], group: int = WHOLE) -> tuple[float, float]:
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
    def sums(self) -> tuple[Floats, Floats]:
        """Σwy and Σw of each block."""
        return self._held[0][: self._count], self._held[1][: self._count]

    @property
    def scores(self) -> Floats:
        """Mean log loss and squared error of the fit; NaN for nothing."""
        wy, w = self.sums
        if not w.size:
            return np.full(2, math.nan)
        return np.asarray(plain_scores(wy, w, wy / w) / w.sum())


def regressed(pieces: Iterable[tuple[Integers, Floats, Floats]]) -> Iterator[tuple[int, Blocks]]:
    """The blocks of each place, from pieces of places, wy and w: rows of a place stand together, and in order."""
    blocks, here = Blocks(), None
    for places, wy, w in pieces:
        starts = np.flatnonzero(np.diff(places, prepend=places[:1] - 1))
        for start, end in itertools.pairwise([*starts.tolist(), w.size]):
            if here is not None and places[start] != here:
                yield here, blocks
                blocks = Blocks()
            here = int(places[start])
            blocks.add(wy[start:end], w[start:end])
    if here is not None:
        yield here, blocks


def scores_of(found: Iterable[tuple[int, Blocks]], groups: int) -> Floats:
    """(group, score), the whole last; NaN where there is no weight."""
    scores = np.full((groups + 1, 2), math.nan)
    for place, blocks in found:
        scores[place] = blocks.scores
    return scores


def models_of(plan: Plan) -> list[tuple[int, ...]]:
    """The problems of each model: its labels."""
    numbers = range(len(plan.problems))
    return [(*found,) for _, found in itertools.groupby(numbers, lambda number: plan.problems[number].model)]


def sets_of(models: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, tuple[int, ...], bool]]:
    """What is decomposed: a model's number, some of its problems together, and whether each group of them is, too."""
    for number, problems in enumerate(models):
        yield from ((number, (one,), True) for one in problems)
        if len(problems) > 1:
            yield number, problems, False


def scale_of(state: State, problems: Sequence[int]) -> float:
    """A power of two that makes the sum of all weights about 1, so that none of weights is too large."""
    moments = state.moments(problems, None)
    return math.ldexp(1.0, min(moments.one.bit_length() - moments["w"].bit_length(), 1023)) if moments["w"] else 1.0


def columns_of(rows: Rows) -> dict[str, Floats]:
    """Predictions, targets and, if there are any, weights."""
    columns: dict[str, Any] = {"x": rows.predictions + 0.0, "y": rows.targets}  # -0 is 0
    if rows.weights is not None:
        columns["w"] = rows.weights
    return {name: np.asarray(column, np.float64) for name, column in columns.items()}


class Ordered:
    """Beside the components of a state: it hands its rows to a sorter, under the numbers that groups have here."""

    def __init__(self, plan: Plan, sorter: Sorter) -> None:
        self._plan, self._sorter = plan, sorter
        self._writer = next(_WRITERS)
        self._theirs: dict[int, Integers] = {}
        """For the writers that were merged, the numbers that their groups have here."""

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem."""
        columns: dict[str, NDArray[Any]] = {**columns_of(rows)}
        if self._plan.groups:
            owners = rows.owners(cells)
            columns |= {"writer": np.full(owners.size, self._writer, np.int32), "cell": owners.astype(np.int32)}
        if columns["x"].size:
            self._sorter.put(_table(problem), columns)

    def merge(self, other: Ordered, cells: Integers) -> None:
        """Add what another thread has handed over."""
        for writer, places in {other._writer: np.arange(cells.size), **other._theirs}.items():
            self._theirs[writer] = cells[places]

    def fit(self, state: State) -> Recalibrated:
        """What isotonic regression gives, of every problem, and of all labels of a model together."""
        groups, models = len(state.numbered), models_of(self._plan)
        if self._plan.groups:
            for writer, places in {self._writer: np.arange(groups), **self._theirs}.items():
                columns = {"writer": np.full(places.size, writer), "cell": np.arange(places.size), "place": places}
                self._sorter.put("groups", {name: column.astype(np.int32) for name, column in columns.items()})
        scales = [scale_of(state, problems) for problems in models]
        return Recalibrated(
            {
                problems: scores_of(self._blocks(problems, grouped, scales[model]), groups)
                for model, problems, grouped in sets_of(models)
            }
        )

    def _blocks(self, problems: tuple[int, ...], grouped: bool, scale: float) -> Iterator[tuple[int, Blocks]]:
        """Those of some problems together, and of each group."""
        weighted = bool(self._plan.weight_of(self._plan.problems[problems[0]]))
        order = f"{_ORDER}, w" if weighted else _ORDER
        passes = [(order, "")]
        if self._plan.groups and grouped:
            passes.append((f"place, {order}", "JOIN groups USING (writer, cell)"))
        for by, using in passes:
            yield from regressed(
                self._piece(piece, scale if weighted else None)
                for piece in self._sorter.sorted([_table(problem) for problem in problems], by, using)
            )

    @staticmethod
    def _piece(piece: Mapping[str, NDArray[Any]], scale: float | None) -> tuple[Integers, Floats, Floats]:
        rows = piece["y"].size
        w = np.ones(rows) if scale is None else piece["w"] * scale
        return piece.get("place", np.full(rows, WHOLE)), w * piece["y"], w


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
    state.recalibrated = ordered.fit(state)
