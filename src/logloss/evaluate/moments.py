"""The raw moments of cells (a group, a label, a model), as exact integers.

With w the weight, y the target, p the prediction and l its loss (finite ones only); `_kernels.terms` has all sums.
Moments are raw, never centred: raw ones add without rounding, and exact arithmetic centres them afterwards without
cancellation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._kernels.terms import COUNTED, WEIGHTED, terms_of
from . import sums
from .clip import Rows
from .plan import Plan

Array = NDArray[Any]
Integers = NDArray[np.int64]

UNWEIGHTED_TERMS, WEIGHTED_TERMS = (tuple(term.name for term in terms_of(weighted)) for weighted in (False, True))
"""What the sums of a state are, in the kernel's order; without weights w = 1."""

ROWS = tuple(term.name for term in WEIGHTED if not term.factors)
SAME = {
    term.name: other.name
    for term in WEIGHTED[len(UNWEIGHTED_TERMS) :]
    for other in terms_of(weighted=False)
    if term.factors == other.factors
}
"""Sums that without weights are the number of rows, and those that are another sum."""

_COUNTS = 1 + len(COUNTED)


class InvalidRowsError(Exception):
    """A batch holds a value that the kernel refuses; whoever made the batch knows which row of which file that is."""


def names_of(plan: Plan) -> tuple[str, ...]:
    """The names of a plan's sums."""
    return WEIGHTED_TERMS if plan.weight else UNWEIGHTED_TERMS


@dataclass(frozen=True)
class Moments:
    """Counts of rows, and sums as integers in units of 1 / `one`."""

    rows: int
    infinite: int
    zero: int
    one_: int
    one: int
    sums: dict[str, int]
    overflowed: frozenset[str]

    def __getitem__(self, term: str) -> int:
        return self.one if term == "one" else self.sums[term]


@dataclass(frozen=True)
class Cells:
    """The moments of many cells: counts (cell, count), overflows (cell), and carried digits (cell, term, digit)."""

    counts: Integers
    overflows: Integers
    digits: Integers
    low: int

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def names(self) -> tuple[str, ...]:
        """What the sums are."""
        return WEIGHTED_TERMS if self.digits.shape[1] == len(WEIGHTED_TERMS) else UNWEIGHTED_TERMS

    def overflowed(self, *names: str) -> NDArray[np.bool_]:
        """For every cell, whether one of these sums lacks a number that was too large."""
        bits = sum(1 << self.names.index(name) for name in names if name in self.names)
        return np.asarray((self.overflows & bits) != 0)

    def exact(self) -> Iterator[Moments]:
        """The cells one by one, as integers."""
        names, one = self.names, 1 << sums.exponent_of_unit(self.low)
        integers = sums.to_integers(self.digits.reshape(-1, self.digits.shape[-1]))
        counts, overflows = self.counts.tolist(), self.overflows.tolist()
        for k in range(len(self)):
            yield _moments(counts[k], integers[k * len(names) : (k + 1) * len(names)], one, overflows[k])

    def take(self, places: Any) -> Cells:
        """The cells at these places."""
        return Cells(self.counts[places], self.overflows[places], self.digits[places], self.low)


def _moments(counts: Sequence[int], sums: Sequence[int], one: int, overflows: int) -> Moments:
    """Name the sums of a cell; those that only weights need follow from the others when there are no weights."""
    rows, infinite, zero, at_one = counts
    names = WEIGHTED_TERMS if len(sums) == len(WEIGHTED_TERMS) else UNWEIGHTED_TERMS
    named = dict(zip(names, sums, strict=True))
    if names is UNWEIGHTED_TERMS:
        named |= dict.fromkeys(ROWS, rows * one)
        named |= {name: named[other] for name, other in SAME.items()}
        named |= {f"w_{name}": count * one for name, count in zip(COUNTED, counts[1:], strict=True)}
    overflowed = frozenset(name for bit, name in enumerate(names) if overflows >> bit & 1)
    return Moments(rows, infinite, zero, at_one, one, named, overflowed)


class MomentSums:
    """Counts and exact sums per problem and group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._terms = len(names_of(plan))
        self._low = sums.NARROW_LOW
        self._groups = 0
        problems = range(len(plan.problems))
        self._counts = [np.zeros((0, _COUNTS), np.int64) for _ in problems]
        self._overflows = [np.zeros(0, np.int64) for _ in problems]
        self._sums = [np.zeros((0, self._terms, sums.NARROW_WIDTH), np.int64) for _ in problems]
        self._additions = 0

    def add(self, problem: int, rows: Rows, cells: Integers) -> None:
        """Add rows of a problem.

        Raises InvalidRowsError, and is then of no further use, where a value is outside its domain.
        """
        from .._kernels import scoring

        self._grow(int(cells.max(initial=-1)) + 1)
        x, y = scoring.operand(rows.predictions, "f"), scoring.operand(rows.targets, "biuf")
        w = scoring.operand(rows.weights, "f") if rows.weights is not None else scoring.NOTHING
        given = x.place, y.place, w.place, rows.logits, _frozen(rows.ends), _frozen(cells)
        status, segment, row = scoring.TOO_NARROW, 0, 0
        while status == scoring.TOO_NARROW:
            arrays = self._sums[problem], self._counts[problem], self._overflows[problem]
            status, segment, row = scoring.add_rows(*given, segment, row, self._low, *arrays)
            if status == scoring.TOO_NARROW:
                self._widen()
        if status == scoring.INVALID:
            raise InvalidRowsError
        self._additions += int(rows.ends[-1]) if rows.ends.size else 0
        if self._additions >= sums.MOST_ADDITIONS:
            self._carry()

    def merge(self, other: MomentSums, cells: Integers) -> None:
        """Add another run's sums."""
        self._grow(int(cells.max(initial=-1)) + 1)
        if self._low > other._low:
            self._widen()
        size = min(cells.size, other._groups)
        cells = cells[:size]
        for mine, theirs in zip(self._sums, other._sums, strict=True):
            sums.add(mine, cells, theirs[:size] if self._low == other._low else sums.widen(theirs[:size], other._low))
        for problem, (counts, overflows) in enumerate(zip(other._counts, other._overflows, strict=True)):
            self._counts[problem][cells] += counts[:size]
            self._overflows[problem][cells] |= overflows[:size]
        self._additions += 1

    def _grow(self, groups: int) -> None:
        """Have room for so many groups: an eighth more than needed, so that memory does not double."""
        self._groups = max(self._groups, groups)
        if groups > self._counts[0].shape[0]:
            room = max(groups, groups + groups // 8 if groups > 8 else 8)
            everything: tuple[list[Any], ...] = (self._counts, self._overflows, self._sums)
            for arrays in everything:
                if not all(array.flags.owndata for array in arrays):  # they came by pickle
                    arrays[:] = [array.copy() for array in arrays]
                for array in arrays:
                    array.resize((room, *array.shape[1:]), refcheck=False)  # new places hold 0

    def _widen(self) -> None:
        self._sums, self._low = [sums.widen(digits, self._low) for digits in self._sums], 0

    def _carry(self) -> None:
        for digits in self._sums:
            sums.carry(digits)
        self._additions = 0

    @property
    def rows(self) -> int:
        """The number of rows added."""
        return int(self._counts[0][:, 0].sum())

    def cells(self, problem: int, groups: Integers) -> Cells:
        """The moments of a problem in these groups."""
        if self._additions:
            self._carry()
        counts, overflows, digits = self._counts[problem], self._overflows[problem], self._sums[problem]
        return Cells(counts[groups], overflows[groups], digits[groups], self._low)

    def total(self, problems: Sequence[int], groups: Integers | None = None) -> Cells:
        """The moments of some problems added up, in these groups; over all groups as one cell."""
        if self._additions:  # digits without carries can be added up over billions of cells
            self._carry()
        if groups is None:
            parts = [
                (self._counts[k].sum(0, keepdims=True), self._overflows[k], self._sums[k].sum(0, keepdims=True))
                for k in problems
            ]
            parts = [(a, np.bitwise_or.reduce(b, keepdims=True, initial=0), c) for a, b, c in parts]
        else:
            parts = [(self._counts[k][groups], self._overflows[k][groups], self._sums[k][groups]) for k in problems]
        counts, overflows, digits = parts[0]
        for more in parts[1:]:
            counts, overflows, digits = counts + more[0], overflows | more[1], digits + more[2]
        sums.carry(digits)
        return Cells(counts, overflows, digits, self._low)

    def dump(self, cells: Integers) -> list[list[dict[str, Any]]]:
        """For every problem and group, counts and sums exact to the last digit."""
        exponent, names = -sums.exponent_of_unit(self._low), names_of(self._plan)
        return [
            [_cell_to_json(moments, names, exponent) for moments in self.cells(problem, cells).exact()]
            for problem in range(len(self._plan.problems))
        ]

    @classmethod
    def load(cls, plan: Plan, data: Any, groups: int) -> Self:
        """What `dump` wrote, decoded. Raises ValueError for what no rows can have added up to."""
        found, names = cls(plan), names_of(plan)
        found._grow(groups)
        values = [[_sums_from_json(cell, names) for cell in cells] for cells in data]
        if not all(
            sums.fits_window(*v, found._low, sums.NARROW_WIDTH) for cells in values for cell in cells for v in cell
        ):
            found._widen()
        if sum(cell.counts[0] for cells in data for cell in cells) > _MOST_ROWS:
            raise ValueError("it has more rows than there can be")
        unit, width = sums.exponent_of_unit(found._low), found._sums[0].shape[-1]
        for problem, cells in enumerate(data):
            for group, cell in enumerate(cells):
                integers = [sums.shifted(mantissa, exponent + unit) for mantissa, exponent in values[problem][group]]
                overflows = sum(1 << names.index(name) for name in set(cell.overflowed))
                _require_possible(_moments(cell.counts, integers, 1 << unit, overflows))
                found._counts[problem][group], found._overflows[problem][group] = cell.counts, overflows
                found._sums[problem][group] = [sums.from_integer(integer, width) for integer in integers]
        return found

    @staticmethod
    def document() -> Any:
        """For every problem and group, a cell."""
        from .documents import MomentCell

        return list[list[MomentCell]]

    @staticmethod
    def size(plan: Plan, groups: int) -> int:
        """The most bytes that so many groups take: 0.9 kB each, 1.5 kB with weights, and the room to grow."""
        cell = 8 * (_COUNTS + 1 + len(names_of(plan)) * sums.NARROW_WIDTH)
        return len(plan.problems) * cell * max(8, groups + groups // 8)


_MOST_ROWS = 2**53
_SIGNED = ("ws", "wg")


def _require_possible(m: Moments) -> None:
    """Refuse sums of a file that no rows have: everything that is computed from them counts on this."""
    if any(value < 0 for name, value in m.sums.items() if name not in _SIGNED):
        raise ValueError("a sum of what cannot be negative is")
    if not (m["wy"] <= m["w"] and m["wp"] <= m["w"] and m["w_infinite"] <= m["w"]):
        raise ValueError("a share is larger than the whole")
    if m.infinite > m.rows or m.zero + m.one_ > m.rows or (m.infinite == 0 and m["w_infinite"] > 0):
        raise ValueError("it counts more rows than it has")
    if m.rows == 0 and any(m.sums.values()):
        raise ValueError("it has sums of no rows")


def _cell_to_json(m: Moments, names: Sequence[str], exponent: int) -> dict[str, Any]:
    return {
        "counts": [m.rows, m.infinite, m.zero, m.one_],
        "overflowed": [name for name in names if name in m.overflowed],
        "sums": {name: sums.to_text(m[name], exponent) for name in names},
    }


def _sums_from_json(cell: Any, names: Sequence[str]) -> list[tuple[int, int]]:
    values = [sums.from_text(cell.sums[name]) for name in names]
    if not all(sums.fits_window(*value, 0, sums.DIGITS) for value in values):
        raise ValueError("a sum is larger, or finer, than sums of numbers can be")
    if not set(cell.overflowed) <= set(names):
        raise ValueError(f"there are no such sums as {', '.join(sorted({*cell.overflowed} - {*names}))}")
    return values


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: Numba would compile the kernel once more for every mixture of read-only and other arrays."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
