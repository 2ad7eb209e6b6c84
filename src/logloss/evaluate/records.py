"""Records of integer sums, found by key: what `_kernels.grid` adds to, and how it grows, merges, is written and read.

A record costs its words and six bytes for finding it, and there is one only where a row came: a group of 100 rows has
at most 100 of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Owner = Callable[[Integers], Integers]
"""Gives owners other numbers."""

LOW_BITS, UNIT, PLACE_BITS, SCALE_BITS, SCALE_OF_ONE = 38, 60, 15, 9, 160
KEY, ROWS = 0, 1
NARROW, WIDE, LOSSES, JOINT, WIDE_JOINT, SUM = 5, 12, 15, 7, 14, 4
"""As in `_kernels.records`, which needs a compiler; a test holds that they are the same."""

LOSS_SCALE = 1024.0
"""The kernel's unit of losses."""

PAIRS = {
    NARROW: (3,),
    WIDE: (2, 4, 6, 8, 10),
    LOSSES: (3, 5, 7, 9, 11, 13),
    JOINT: (3, 5),
    WIDE_JOINT: (2, 4, 6, 8, 10, 12),
    SUM: (2,),
}
"""Where the sums of two words are, by the width of the records."""

WIDENED = {NARROW: WIDE, JOINT: WIDE_JOINT}
"""The width with weights, of those without."""

_BLOCK = 256
_MOST_ADDITIONS = 2**24
_MOST_ROWS = 2**40
_USUAL_SCALE = 24
"""Weights of 2^±192: the squares of their sums are no extreme numbers."""

_SIGNED = {LOSSES: (11, 13), SUM: (2,)}


def inverse(cells: Integers) -> Integers:
    """The number that each group gets where they are written in this order."""
    numbers = np.empty(cells.size, np.int64)
    numbers[cells] = np.arange(cells.size)
    return numbers


def merge_each(mine: Sequence[Records], others: Sequence[Records], owner: Owner | None = None) -> None:
    """Add another run's records, those of each problem to this run's."""
    for one, other in zip(mine, others, strict=True):
        one.merge(other, owner)


class Records:
    """Sums by owner, scale and place."""

    def __init__(self, width: int) -> None:
        self.slots = np.full(1, -1, np.int32)
        self.words = np.zeros((0, width), np.int64)
        self.used = np.zeros(1, np.int64)
        self._additions = 0
        self._sorted: Sorted | None = None

    @property
    def width(self) -> int:
        """The words of a record."""
        return self.words.shape[1]

    @property
    def arrays(self) -> tuple[NDArray[np.int32], Integers, Integers]:
        """What the kernels take."""
        return self.slots, self.words, self.used

    @property
    def count(self) -> int:
        """How many records there are."""
        return int(self.used[0])

    @property
    def rows(self) -> int:
        """The rows added."""
        return int(self.words[: self.count, ROWS].sum())

    def grow(self, more: int = _BLOCK) -> None:
        """Have room for so many more records."""
        needed = self.count + more
        if needed > len(self.words):
            room = max(needed, self.count + self.count // 2 + 2 * _BLOCK)
            if not self.words.flags.owndata:  # one that came by pickle
                self.words = self.words.copy()
            self.words.resize((room, self.width), refcheck=False)  # new places hold 0
        if 2 * needed > self.slots.size:
            from .._kernels import records as kernel

            self.slots = np.full(1 << (2 * len(self.words) - 1).bit_length(), -1, np.int32)
            kernel.fill(self.slots, self.words, self.count)

    def added(self, rows: int) -> None:
        """So many numbers were added to sums, which carry before they overflow."""
        self._additions += rows
        self._sorted = None
        if self._additions >= _MOST_ADDITIONS:
            self.carry()

    def carry(self) -> None:
        """Bring every low part into [0, 2^38): then equal sums have equal words."""
        words = self.words[: self.count]
        for word in PAIRS[self.width]:
            words[:, word] += words[:, word + 1] >> LOW_BITS
            words[:, word + 1] &= (1 << LOW_BITS) - 1
        self._additions = 0
        if words.size and words[:, ROWS].max() > _MOST_ROWS:
            raise InvalidInputError(
                f"a bin of the diagnostics holds at most 2^40 rows; got {int(words[:, ROWS].max()):,}; "
                "score without diagnostics."
            )

    def widen(self) -> None:
        """Turn records without weights into those that have them: w = 1."""
        if self.width not in WIDENED:
            return
        self.carry()
        old, self.words = self.words, np.zeros((len(self.words), WIDENED[self.width]), np.int64)
        self.words[:, :2] = old[:, :2]
        ones = 1 << UNIT - LOW_BITS
        for word, count in ((2, ROWS), (4, 2), (6, ROWS), (8, 2)):
            self.words[:, word] = old[:, count] * ones
        self.words[:, 10:] = old[:, 3:]

    def merge(self, other: Records, owner: Owner | None = None) -> None:
        """Add another run's records; `owner` gives the number here of an owner there, if it is another one."""
        from .._kernels import records as kernel

        if self.width < other.width:
            self.widen()
        if other.width < self.width:
            other = other.copy()
            other.widen()
        self.carry()
        other.carry()
        self.grow(other.count)
        added = other.words[: other.count]
        keys = added[:, KEY].copy()
        shift = PLACE_BITS + SCALE_BITS
        if owner is not None:
            keys = (owner(keys >> shift) << shift) | (keys & ((1 << shift) - 1))
        kernel.merge(keys, added, *self.arrays)
        self.carry()
        self._sorted = None

    def copy(self) -> Records:
        """The same, by itself."""
        other = Records(self.width)
        other.slots, other.words, other.used = self.slots.copy(), self.words.copy(), self.used.copy()
        other._additions = self._additions
        return other

    def sorted(self, owner: Owner | None = None) -> Sorted:
        """The records in the order of their keys, once `owner` has renumbered the owners."""
        if owner is not None:
            return self._in_order(owner)
        if self._sorted is None:
            self._sorted = self._in_order(None)
        return self._sorted

    def _in_order(self, owner: Owner | None) -> Sorted:
        self.carry()
        words = self.words[: self.count].copy()
        keys = words[:, KEY]
        owners, rest = keys >> PLACE_BITS + SCALE_BITS, keys & ((1 << PLACE_BITS + SCALE_BITS) - 1)
        scales, places = (rest >> PLACE_BITS) - SCALE_OF_ONE, rest & ((1 << PLACE_BITS) - 1)
        owners = owners if owner is None else owner(owners)
        order = np.lexsort([scales, places, owners])
        return Sorted(owners[order], places[order], scales[order], words[order])

    @classmethod
    def load(cls, width: int, data: Any, owners: int, places: int) -> Self:
        """What `Sorted.dump` wrote. Raises ValueError for what no rows can have added up to."""
        found = cls(width)
        columns = [data.owners, data.places, data.scales, *data.words]
        if len(data.words) != width - 1 or len({*map(len, columns)}) != 1:
            raise ValueError("its records are not of one shape")
        keys = np.array(columns[:3], np.int64).reshape(3, -1)
        words = np.array(data.words, np.int64).reshape(width - 1, -1).T
        _require_possible(keys, words, width, owners, places)
        found.grow(len(words))
        packed = (keys[0] << SCALE_BITS | keys[2] + SCALE_OF_ONE) << PLACE_BITS | keys[1]
        from .._kernels import records as kernel

        kernel.merge(packed, np.concatenate([packed[:, None], words], axis=1), *found.arrays)
        return found


def _require_possible(keys: Integers, words: Integers, width: int, owners: int, places: int) -> None:
    """Refuse records of a file that no rows have: everything that is computed from them counts on this."""
    if keys.size and not ((keys >= [[0], [0], [-134]]) & (keys < [[owners], [places], [130]])).all():
        raise ValueError("a bin is beyond all bins, or of a group that there is not")
    if width in WIDENED and keys[2].any():
        raise ValueError("weights have a scale, and there are none")
    order = np.lexsort([keys[2], keys[1], keys[0]])
    if not np.array_equal(order, np.arange(order.size)) or (np.diff(keys, axis=1) == 0).all(axis=0).any():
        raise ValueError("its bins are not in order")
    counts = words[:, ROWS - 1]
    if words.size and not ((counts > 0) & (counts <= _MOST_ROWS)).all():
        raise ValueError("a bin has rows that there cannot be")
    _require_possible_sums(words, width)


def _require_possible_sums(words: Integers, width: int) -> None:
    """The same of the sums of every record."""
    counts = words[:, ROWS - 1]
    ones = counts << UNIT - LOW_BITS
    for word in PAIRS[width]:
        high, low = words[:, word - 1], words[:, word]
        if not ((low >= 0) & (low < 1 << LOW_BITS)).all():
            raise ValueError("a sum is not carried")
        least = -ones if word in _SIGNED.get(width, ()) else 0
        if not ((high >= least) & ((high < ones) | ((high == ones) & (low == 0)))).all():
            raise ValueError("a sum of what is at most 1 is larger than the number of rows")
    weighted = width in WIDENED.values()
    if not weighted and width != SUM and not ((words[:, 1] >= 0) & (words[:, 1] <= counts)).all():
        raise ValueError("it counts more rows than it has")
    for part, whole in ((4, 2), (6, 2), (8, 6), *((p, 2) for p in range(10, width, 2))) if weighted else ():
        less, more = words[:, part - 1 : part + 1], words[:, whole - 1 : whole + 1]
        if ((less[:, 0] > more[:, 0]) | ((less[:, 0] == more[:, 0]) & (less[:, 1] > more[:, 1]))).any():
            raise ValueError("a part of the weight is more than the whole")


class Sorted:
    """Records in order: owner, place and scale of each, and its words."""

    def __init__(self, owners: Integers, places: Integers, scales: Integers, words: Integers) -> None:
        self.owners, self.places, self.scales, self.words = owners, places, scales, words

    def relative(self) -> Sorted:
        """The same with weights in units of the largest ones, where they are extreme: no ratio of sums changes.

        Squares of weights would overflow, or vanish, although ratios of them do not.
        """
        weighed = (self.words[:, 2:4] != 0).any(axis=1)
        if self.words.shape[1] in WIDENED or not weighed.any() or np.abs(self.scales).max() <= _USUAL_SCALE:
            return self
        highest = self.scales[weighed].max()
        kept = weighed & (self.scales > highest - _USUAL_SCALE)  # others are below 2^-184 of the largest
        words = self.words.copy()
        words[~kept, 2:] = 0
        return Sorted(self.owners, self.places, np.where(kept, self.scales - highest, 0), words)

    def of(self, owner: int, count: int = 1) -> Sorted:
        """Those of an owner, or of so many from it on."""
        start, end = np.searchsorted(self.owners, [owner, owner + count])
        return Sorted(self.owners[start:end], self.places[start:end], self.scales[start:end], self.words[start:end])

    def value(self, word: int, power: int = 1) -> Floats:
        """A sum of two words of every record, for that power of the weight."""
        low = np.ldexp(self.words[:, word + 1].astype(np.float64), -UNIT)
        found = np.ldexp(self.words[:, word].astype(np.float64), LOW_BITS - UNIT) + low
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.ldexp(found, 8 * power * self.scales))

    def dump(self) -> dict[str, Any]:
        """Plain lists, a column for each."""
        words = self.words[:, 1:].T.tolist() if self.words.size else [[] for _ in range(self.words.shape[1] - 1)]
        columns = {"owners": self.owners, "places": self.places, "scales": self.scales}
        return {**{name: column.tolist() for name, column in columns.items()}, "words": words}
