"""The raw moments of cells (a group, a label, a model), as exact integers.

With w the weight, y the target, p the prediction and l its loss (finite ones only); `_kernels.terms` has all sums.
Moments are raw, never centred: raw ones add without rounding, and exact arithmetic centres them afterwards without
cancellation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._kernels import threads
from .._kernels.terms import COUNTED, WEIGHTED, terms_of
from .._kernels.window import (
    BITS,
    COUNTS,
    DIGITS,
    FINEST,
    HEADER,
    LOWEST,
    NARROW,
    NARROW_DIGITS,
    OVERFLOWS,
    WIDE,
)
from . import sums

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


_LARGE = 1 << 22
"""Bytes from which on NumPy asks for large pages of memory, and those of an array that grows stay large."""


_TOGETHER = 1 << 14
"""Cells that one thread adds at a time."""


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


def moments_of(counts: Sequence[int], sums: Sequence[int], one: int, overflows: int) -> Moments:
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


@dataclass(frozen=True)
class Cells:
    """The moments of many cells: counts (cell, count), overflows (cell), and carried digits (cell, term, digit).

    What the digits lack stands in wide[place[cell]], as (term, digit) with all digits; wide[0] is nothing.
    """

    counts: Integers
    overflows: Integers
    digits: Integers
    place: Integers
    wide: Integers
    relative: bool = False
    """Whether weights are precisions, known up to a factor; Σw² and its like are then Σw, to be multiplied by Σw/n."""

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

    def unusual(self) -> NDArray[np.bool_]:
        """For every cell, whether its digits are not the whole of it, or too large for float64."""
        return np.asarray((self.place > 0) | (np.abs(self.digits[..., -1]) >> BITS != 0).any(1))

    def exact(self) -> Iterator[Moments]:
        """The cells one by one, as integers."""
        names, places = len(self.names), self.place.tolist()
        integers = sums.to_integers(self.digits.reshape(-1, self.digits.shape[-1]))
        counts, overflows = self.counts.tolist(), self.overflows.tolist()
        for k, place in enumerate(places):
            found, one = integers[k * names : (k + 1) * names], 1 << -FINEST
            if place:
                rest = sums.to_integers(self.wide[place])
                found, one = [(a << FINEST - LOWEST) + b for a, b in zip(found, rest, strict=True)], 1 << -LOWEST
            yield moments_of(counts[k], found, one, overflows[k])

    def take(self, places: Any) -> Cells:
        """The cells at these places."""
        counts, overflows, digits, place = self.counts[places], self.overflows[places], self.digits[places], self.place
        return Cells(counts, overflows, digits, place[places], self.wide, self.relative)

    def repeated(self) -> Cells:
        """Those of as many rows as each weight says, without weights: of sums with no higher power of the weight."""
        which = [WEIGHTED_TERMS.index(name) for name in ("w", *(f"w_{name}" for name in COUNTED))]
        counts = np.zeros(self.counts.size, np.int64)
        for digits, lowest in ((self.digits, FINEST), (self.wide[self.place], LOWEST)):
            found = sums.to_integers(np.ascontiguousarray(digits[:, which]).reshape(-1, digits.shape[-1]))
            counts += np.array([one >> -lowest for one in found], np.int64)
        terms = len(UNWEIGHTED_TERMS)
        overflows, digits = self.overflows & (1 << terms) - 1, self.digits[:, :terms]
        return Cells(counts.reshape(self.counts.shape), overflows, digits, self.place, self.wide[:, :terms])

    def whole(self) -> Integers:
        """All digits of all sums, as (cell, term, digit)."""
        digits = self.wide[self.place].copy()
        digits[..., NARROW : NARROW + NARROW_DIGITS] += self.digits
        sums.carry(digits)
        return digits

    @classmethod
    def of_whole(cls, counts: Integers, overflows: Integers, digits: Integers) -> Cells:
        """The cells whose digits `whole` gave, or sums of such, carried."""
        narrow = np.zeros((*digits.shape[:-1], NARROW_DIGITS), np.int64)
        wide = np.concatenate([np.zeros((1, *digits.shape[1:]), np.int64), digits])
        return cls(counts, overflows, narrow, np.arange(1, 1 + len(digits)), wide)

    def __add__(self, other: Cells) -> Cells:
        beyond = np.flatnonzero((self.place > 0) | (other.place > 0))
        place = np.zeros_like(self.place)
        place[beyond] = np.arange(1, 1 + len(beyond))
        digits, wide = self.digits + other.digits, np.zeros((1 + len(beyond), *self.wide.shape[1:]), np.int64)
        wide[1:] = self.wide[self.place[beyond]] + other.wide[other.place[beyond]]
        for carried in (digits, wide):
            sums.carry(carried)
        overflows = self.overflows | other.overflows
        return Cells(self.counts + other.counts, overflows, digits, place, wide, self.relative)


def _own(array: Integers) -> Integers:
    """An array that may be resized: one that came by pickle may not."""
    return array if array.flags.owndata else array.copy()


def _some(start: int, *arrays: Integers) -> tuple[Integers, ...]:
    return tuple(array[start : start + _TOGETHER] for array in arrays)


class Store:
    """The cells of a problem as the kernel adds to them, one for each group; see `_kernels.window`."""

    def __init__(self, terms: int) -> None:
        self.terms = terms
        self.held = np.zeros((0, HEADER + NARROW_DIGITS * terms), np.int64)
        self.wide = np.zeros((1, DIGITS * terms), np.int64)
        self.used = np.ones(1, np.int64)
        self._carried = True

    def grow(self, groups: int) -> None:
        """Have room for so many groups: an eighth more than needed, so that memory does not double."""
        if groups > len(self.held):
            shape = max(groups, groups + groups // 8 if groups > 8 else 8), self.held.shape[1]
            if self.held.nbytes < _LARGE:
                known, self.held = self.held, np.zeros(shape, np.int64)
                self.held[: len(known)] = known
            else:
                self.held = _own(self.held)
                self.held.resize(shape, refcheck=False)  # new places hold 0

    def widen(self, rows: int) -> None:
        """Have room for so many more wide rows."""
        room = int(self.used[0]) + rows
        if room > len(self.wide):
            self.wide = _own(self.wide)
            self.wide.resize((room + len(self.wide) // 8, self.wide.shape[1]), refcheck=False)

    def add(self, *rows: Any) -> bool:
        """Add rows, given as `scoring.add_rows` takes them; False where one is invalid, and then all is lost."""
        from .._kernels import scoring
        from .._kernels.layout import address

        self._carried = False
        status, segment, row = scoring.FULL, 0, 0
        while status == scoring.FULL:
            held, wide = ((address(one), *one.shape) for one in (self.held, self.wide))
            status, segment, row = scoring.add_rows(*rows, segment, row, held, wide, self.used)
            if status == scoring.FULL:
                self.widen(8)
        return bool(status == scoring.DONE)

    def merge(self, other: Store, cells: Integers) -> None:
        """Add the cells of another store: number k is cells[k] here."""
        from .._kernels import digits

        self._carried = False
        theirs = other.held[: cells.size]
        starts = range(0, cells.size, _TOGETHER)
        threads.run([partial(digits.add, self.held, *_some(start, cells, theirs)) for start in starts])
        beyond = np.flatnonzero(theirs[:, WIDE])
        mine = self._give_rows(cells[beyond])
        for wide in (self.wide, added := other.wide[theirs[beyond, WIDE]]):
            digits.carry(wide, 0, self.terms)
        self.wide[mine] += added
        self._spill(cells)

    def put(self, group: int, counts: Sequence[int], overflows: int, values: Sequence[tuple[int, int]]) -> None:
        """Fill an empty cell with counts, overflows and its sums, (mantissa, exponent) each."""
        cell, digits = self.held[group], self._digits[group]
        cell[:COUNTS], cell[OVERFLOWS] = counts, overflows
        for term, (mantissa, exponent) in enumerate(values):
            if sums.is_narrow(mantissa, exponent):
                digits[term] = sums.from_integer(sums.shifted(mantissa, exponent - FINEST), NARROW_DIGITS)
            else:
                place = self._give_rows(np.array([group]))[0]
                self._wide_digits[place, term] = sums.from_integer(sums.shifted(mantissa, exponent - LOWEST), DIGITS)

    @property
    def _digits(self) -> Integers:
        return self.held[:, HEADER:].reshape(len(self.held), NARROW_DIGITS, self.terms).transpose(0, 2, 1)

    @property
    def _wide_digits(self) -> Integers:
        return self.wide.reshape(len(self.wide), DIGITS, self.terms).transpose(0, 2, 1)

    def _give_rows(self, cells: Integers) -> Integers:
        """The wide rows of these cells, new ones where they have none."""
        lacking = cells[self.held[cells, WIDE] == 0]
        self.widen(len(lacking))
        self.held[lacking, WIDE] = self.used[0] + np.arange(len(lacking))
        self.used += len(lacking)
        return np.asarray(self.held[cells, WIDE])

    def _spill(self, cells: Any = slice(None)) -> None:
        """What is too large for the highest narrow digit of these cells goes to their wide rows."""
        top = self.held[:, -self.terms :]
        beyond = np.arange(len(top))[cells][(np.abs(top[cells]) >> BITS != 0).any(1)]
        self._wide_digits[self._give_rows(beyond), :, NARROW + NARROW_DIGITS - 1] += top[beyond]
        top[beyond] = 0

    def carry(self) -> None:
        """Bring all digits but the highest into their range."""
        if not self._carried:
            from .._kernels import digits

            digits.carry(self.held, HEADER, self.terms)
            self._spill()
            digits.carry(self.wide, 0, self.terms)
            self._carried = True

    def cells(self, groups: Integers) -> Cells:
        """The moments of these groups."""
        self.carry()
        held = self.held[groups]
        digits = held[:, HEADER:].reshape(len(held), NARROW_DIGITS, self.terms).transpose(0, 2, 1)
        return Cells(held[:, :COUNTS], held[:, OVERFLOWS], digits, held[:, WIDE], self._wide_digits)

    def total(self) -> Cells:
        """The moments of all groups as one cell."""
        self.carry()
        wide = np.zeros((2, self.terms, DIGITS), np.int64)
        sums.add_up(self._digits, wide[1], NARROW)
        sums.add_up(self._wide_digits, wide[1])
        return Cells(
            self.held[:, :COUNTS].sum(0, keepdims=True),
            np.bitwise_or.reduce(self.held[:, OVERFLOWS], keepdims=True, initial=0),
            np.zeros((1, self.terms, NARROW_DIGITS), np.int64),
            np.ones(1, np.int64),
            wide,
        )
