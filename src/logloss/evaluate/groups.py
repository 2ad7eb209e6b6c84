"""The groups of a run: values of the group columns, numbered as they come.

A value is a number in 64 bits and its kind. 1, 1.0 and true are one value, as in Python, so that columns of several
types agree; which of them is shown depends on all values of the column and not on which came first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Key = tuple[Any, ...]
"""The values of the group columns that a row has; () without groups, None for a missing value."""

Integers = NDArray[np.int64]

MISSING, WHOLE, LARGE, REAL, TEXT = range(5)
"""Kinds: nothing, an int64, a uint64 beyond it, the bits of a float64, the number of a text."""

_PER_WORD = 16
_MOST_WHOLE = 2.0**63
_DTYPES: dict[type, Any] = {bool: np.bool_, float: np.float64}


class KeyColumn(Protocol):
    """What a batch says of a group column; see `sources.keys`."""

    @property
    def values(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def valid(self) -> NDArray[np.bool_] | None: ...  # noqa: D102
    @property
    def texts(self) -> list[str] | None: ...  # noqa: D102


@dataclass
class Column:
    """The texts of a group column so far, and the types that its numbers had."""

    texts: dict[str, int] = field(default_factory=dict)
    types: set[type] = field(default_factory=set)

    def encode(self, given: KeyColumn) -> tuple[Integers, NDArray[np.uint8]]:
        """The values in 64 bits, and their kinds: one for each, or one for all."""
        bits, kinds = self._encode(given.values, given.texts)
        if given.valid is not None:
            bits, kinds = np.where(given.valid, bits, 0), np.where(given.valid, kinds, MISSING).astype(np.uint8)
        return bits, kinds

    def _encode(self, values: NDArray[Any], texts: list[str] | None) -> tuple[Integers, NDArray[np.uint8]]:
        if texts is None:
            return self.encode_numbers(values)
        places = self.places(texts)
        return (places[values] if texts else np.zeros(values.size, np.int64)), np.array([TEXT], np.uint8)

    def encode_numbers(self, values: NDArray[Any]) -> tuple[Integers, NDArray[np.uint8]]:
        """The same of numbers of which none is missing."""
        if values.size:
            self.types.add({"b": bool, "f": float}.get(values.dtype.kind, int))
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
            whole = (np.abs(values) < _MOST_WHOLE) & (values == np.trunc(values))
            bits = np.where(whole, np.where(whole, values, 0).astype(np.int64), values.view(np.int64))
            return bits, np.where(whole, WHOLE, REAL).astype(np.uint8)
        kinds = np.array([WHOLE], np.uint8)
        if values.dtype == np.uint64 and values.size and values.max() >= 2**63:
            kinds = np.where(values >= 2**63, LARGE, WHOLE).astype(np.uint8)
        return values.astype(np.int64), kinds

    def places(self, texts: Iterable[str]) -> Integers:
        """The numbers of these texts; new ones get the next."""
        known = self.texts
        return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)


@dataclass(frozen=True)
class Values:
    """Some values of a group column: bits, kinds, and what the bits of texts and numbers mean."""

    bits: Integers
    kinds: NDArray[np.uint8]
    texts: tuple[str, ...]
    number: type
    """What numbers are shown as: float if one of the column was, else int, else bool."""

    def missing(self) -> NDArray[np.bool_]:
        """Whether there is no value."""
        return np.equal(self.kinds, MISSING)

    def is_text(self) -> bool:
        """Whether all values that there are, are texts."""
        return bool(np.isin(self.kinds, (MISSING, TEXT)).all())

    def is_whole(self) -> bool:
        """Whether all of them are whole numbers of 64 bits with a sign."""
        return bool(np.isin(self.kinds, (MISSING, WHOLE)).all())

    def take(self, places: Any) -> Values:
        """The values at these places."""
        return Values(self.bits[places], self.kinds[places], self.texts, self.number)

    def to_list(self) -> list[Any]:
        """The values as Python's."""
        real = self.bits.view(np.float64).tolist()
        show = (lambda _: None, self.number, lambda whole: self.number(whole + (1 << 64)), None, self.texts.__getitem__)
        return [
            real[at] if kind == REAL else show[kind](bits)  # type: ignore[misc]
            for at, (kind, bits) in enumerate(zip(self.kinds.tolist(), self.bits.tolist(), strict=True))
        ]

    def ranks(self) -> list[NDArray[Any]]:
        """Keys to sort by, the first one first: numbers in their order, then texts in theirs, then what is missing."""
        if self.kinds.size and (self.kinds == WHOLE).all():
            return [self.bits]
        order = np.zeros(len(self.texts), np.int64)
        order[sorted(range(len(self.texts)), key=self.texts.__getitem__)] = np.arange(len(self.texts))
        text = self.kinds == TEXT
        exact = np.where(self.kinds == REAL, 0, self.bits)
        exact[text] = order[self.bits[text]]
        if text.all():
            return [exact]
        numbers = np.where(self.kinds == REAL, self.bits.view(np.float64), exact.astype(np.float64))
        large = self.kinds == LARGE
        numbers[large] = self.bits[large].view(np.uint64)
        return [np.array([2, 0, 0, 0, 1])[self.kinds], numbers, exact]


class Groups:
    """The groups met so far, each with a number; without group columns there is one, number 0, once a row came."""

    def __init__(self, columns: int) -> None:
        self._columns = [Column() for _ in range(columns)]
        self._known = np.empty((0, columns + -(-columns // _PER_WORD)), np.int64)
        self._slots = np.full(1, -1, np.int64)
        self._places = np.empty(0, np.int64)
        self._count = 0
        self._numbers: dict[Key, int] = {}
        self._room: dict[str, Integers] = {}

    def __len__(self) -> int:
        return self._count

    def of_rows(self, keys: Sequence[KeyColumn], rows: int) -> tuple[Integers, Integers | None, Integers]:
        """(cells, order, ends): in this order, rows up to ends[k] belong to cells[k]. No order means as they are."""
        if not self._columns or not rows:
            self._count = max(self._count, min(rows, 1))
            return np.zeros(min(rows, 1), np.int64), None, np.array([rows] if rows else [], np.int64)
        from .._kernels import grouping

        cells = self.of_each(keys, rows)
        if self._places.size < self._count:
            self._places = np.full(self._known.shape[0], -1, np.int64)
        order, ends, met = (self._scratch(name, rows) for name in ("order", "ends", "met"))
        count = grouping.gather_rows(cells, self._places, order, ends, met)
        return met[:count], order, ends[:count]

    def of_each(self, keys: Sequence[KeyColumn], rows: int) -> Integers:
        """The number of every row's group; the array is the next call's too."""
        return self._cells(self._words([c.encode(key) for c, key in zip(self._columns, keys, strict=True)], rows))

    def of_keys(self, keys: Sequence[Key]) -> Integers:
        """The numbers of these groups; new ones get the next."""
        if not self._columns:
            self._count = max(self._count, min(len(keys), 1))
            return np.zeros(len(keys), np.int64)
        if not keys:
            return np.empty(0, np.int64)
        values = zip(self._columns, zip(*keys, strict=True), strict=True)
        coded = [column_of_values(column, one) for column, one in values]
        return self._cells(self._words(coded, len(keys)))

    def of_groups(self, other: Groups) -> Integers:
        """The numbers here of another run's groups, in their order."""
        if not self._columns or not other._count:
            self._count = max(self._count, other._count)
            return np.zeros(other._count, np.int64)
        words = other._known[: other._count].copy()
        for at, (mine, theirs) in enumerate(zip(self._columns, other._columns, strict=True)):
            mine.types |= theirs.types
            if theirs.texts:
                text = other._kinds(at) == TEXT
                words[text, at] = mine.places(theirs.texts)[words[text, at]]
        return self._cells(words)

    def _words(self, coded: Sequence[tuple[Integers, NDArray[np.uint8]]], rows: int) -> Integers:
        words = self._scratch("words", rows, self._known.shape[1])
        for at, (bits, kinds) in enumerate(coded):
            words[:, at] = bits
            word, place = divmod(at, _PER_WORD)
            shifted = kinds.astype(np.int64) << 4 * place
            words[:, len(coded) + word] = words[:, len(coded) + word] | shifted if place else shifted
        return words

    def _scratch(self, name: str, *shape: int) -> Integers:
        """An array for the time of a call: to ask for new memory with each batch takes longer than to fill it."""
        if (room := self._room.get(name)) is None or room.shape[0] < shape[0]:
            room = self._room[name] = np.empty(shape, np.int64)
        return room[: shape[0]]

    def _kinds(self, column: int) -> NDArray[np.uint8]:
        word, place = divmod(column, _PER_WORD)
        words = self._known[: self._count, len(self._columns) + word]
        return (words >> 4 * place & 15).astype(np.uint8)

    def _cells(self, words: Integers) -> Integers:
        from .._kernels import grouping

        cells, row = self._scratch("cells", words.shape[0]), 0
        while row < cells.size:
            row, self._count = grouping.find_cells(words, row, self._slots, self._known, self._count, cells)
            if row < cells.size:
                self._grow()
        return cells

    def _grow(self) -> None:
        from .._kernels import grouping

        more = max(64, self._count // 2)
        self._known = np.concatenate([self._known, np.empty((more, self._known.shape[1]), np.int64)])
        size = 1 << (3 * self._known.shape[0] // 2).bit_length()
        if size != self._slots.size:
            self._slots = np.full(size, -1, np.int64)
            grouping.fill_slots(self._known, self._count, self._slots)

    def values(self, column: int) -> Values:
        """The values of a column in every group, in the order of the groups' numbers."""
        one = self._columns[column]
        number = next((kind for kind in (float, int) if kind in one.types), bool)
        return Values(self._known[: self._count, column].copy(), self._kinds(column), tuple(one.texts), number)

    def sorted(self) -> tuple[Integers, tuple[Values, ...]]:
        """The numbers of the groups, sorted by their values, and the values of every column in that order."""
        if not self._columns:
            return np.arange(self._count), ()
        columns = [self.values(at) for at in range(len(self._columns))]
        order = np.lexsort([rank for column in columns[::-1] for rank in column.ranks()[::-1]])
        return order, tuple(column.take(order) for column in columns)

    def keys(self) -> list[Key]:
        """All groups, in the order of their numbers."""
        if not self._columns:
            return [()] * self._count
        return list(zip(*(self.values(at).to_list() for at in range(len(self._columns))), strict=True))

    def in_order(self) -> list[Key]:
        """All groups, sorted by their values."""
        keys = self.keys()
        return [keys[number] for number in self.sorted()[0].tolist()]

    def find(self, key: Key) -> int:
        """The number of a group."""
        if len(self._numbers) < self._count:
            self._numbers = {key: number for number, key in enumerate(self.keys())}
        return self._numbers[key]


def column_of_values(column: Column, values: Sequence[Any]) -> tuple[Integers, NDArray[np.uint8]]:
    """As `Column.encode`, of Python's values of any types."""
    bits, kinds = np.zeros(len(values), np.int64), np.full(len(values), MISSING, np.uint8)
    of_type: dict[tuple[type, bool], list[int]] = {}
    for place, value in enumerate(values):
        of_type.setdefault((type(value), type(value) is int and value >= 2**63), []).append(place)
    for (kind, large), places in of_type.items():
        chosen = [values[place] for place in places]
        if kind is str:
            bits[places], kinds[places] = column.places(chosen), TEXT
        elif kind is not type(None):
            dtype = np.uint64 if large else _DTYPES.get(kind, np.int64)
            bits[places], kinds[places] = column.encode_numbers(np.array(chosen, dtype))
    return bits, kinds


def plain(key: Key) -> list[Any]:
    """A group's values as JSON has them."""
    return [{"number": str(value)} if isinstance(value, float) and not math.isfinite(value) else value for value in key]


def key_of(values: Sequence[Any]) -> Key:
    """What `plain` wrote, decoded. Raises ValueError for a number that no column holds."""
    key = tuple(float(value["number"]) if isinstance(value, dict) else value for value in values)
    if any(type(value) is int and not -(2**63) <= value < 2**64 for value in key):
        raise ValueError(f"a group has a number beyond 64 bits: {values}")
    return key
