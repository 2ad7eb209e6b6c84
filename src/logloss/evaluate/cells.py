"""Quotients of exact sums for many cells at once, each correctly rounded.

A formula such as `lambda m: m["wl"]` is evaluated on exact integers (`Moments`) or, for many cells, on pairs of float64
with a bound of their error (`double.Doubles`). Where that bound leaves open which float64 is the nearest, and wherever
magnitudes are extreme, the integers decide. So every digit is that of the exact path, whatever the number of cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .double import Doubles, quotient
from .store import ROWS, SAME, Cells, Moments

Floats = NDArray[np.float64]

Formula = Callable[[Any], Any]
"""From something that has sums by name (and "one", the unit's inverse) to a sum, or a product of sums."""

_FEW = 64
"""Cells for which integers are the quicker way."""


def ratio(part: int, whole: int) -> float:
    """part / whole, correctly rounded; NaN for 0 / 0 and ±inf beyond the largest number."""
    if whole == 0:
        return math.nan if part == 0 else math.inf if part > 0 else -math.inf
    try:
        return part / whole
    except OverflowError:
        return math.inf if (part > 0) == (whole > 0) else -math.inf


class Quotients:
    """What formulas of statistics ask of cells."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.rows, self.infinite, self.zero, self.one = cells.counts.T
        self._exact: list[Moments | None] = [None] * len(cells)

    @cached_property
    def factor(self) -> Floats | float:
        """What sums with squared weights are to be multiplied by."""
        if not self.cells.relative:
            return 1.0
        with np.errstate(all="ignore"):
            return np.asarray(self.sum("w") / self.rows)

    @cached_property
    def _doubles(self) -> dict[str, Doubles] | None:
        if len(self.cells) <= _FEW:
            return None
        unknown = np.where(self.cells.unusual(), math.inf, 0.0)
        found = dict(zip(self.cells.names, Doubles.of_digits(self.cells.digits, unknown), strict=True))
        counts = [Doubles.of_whole(count) for count in self.cells.counts.T]
        if not {*ROWS} <= found.keys():
            found |= dict.fromkeys(ROWS, counts[0]) | {name: found[other] for name, other in SAME.items()}
            found |= dict(zip(("w_infinite", "w_zero", "w_one"), counts[1:], strict=True))
        return {**found, "one": Doubles.of_whole(np.ones(len(self.cells), np.int64))}

    def quotient(self, part: Formula, whole: Formula, asked: Any = True) -> Floats:
        """part / whole of every cell, correctly rounded; NaN for 0 / 0 and ±inf beyond the largest number.

        Of the cells that are not `asked` for, it may be anything.
        """
        if self._doubles is None:
            values, open_ = np.full(len(self.cells), math.nan), np.ones(len(self.cells), np.bool_)
        else:
            values, open_ = quotient(part(self._doubles), whole(self._doubles))
        places = np.flatnonzero(open_ & asked)
        for place, exact in zip(places.tolist(), self._integers(places), strict=True):
            values[place] = ratio(part(exact), whole(exact))
        return values

    def _integers(self, places: NDArray[np.int64]) -> list[Moments]:
        """The exact moments of the cells at these places, kept for the next formula."""
        new = [place for place in places.tolist() if self._exact[place] is None]
        for place, moments in zip(new, self.cells.take(new).exact() if new else (), strict=True):
            self._exact[place] = moments
        return [self._exact[place] for place in places.tolist()]

    def overflowed(self, *names: str) -> NDArray[np.bool_]:
        """For every cell, whether one of these sums lacks a number that was too large."""
        return self.cells.overflowed(*names)

    def sum(self, term: str) -> Floats:
        """A sum itself."""
        return self.quotient(lambda m: m[term], lambda m: m["one"])

    def mean(self, term: str) -> Floats:
        """A sum ÷ Σw; inf where a number was too large."""
        return np.where(self.overflowed(term), math.inf, self.quotient(lambda m: m[term], lambda m: m["w"]))

    def covariance(self, a: str, b: str, asked: Any = True) -> Floats:
        """V_ab of the columns named by letters; NaN for less than two rows, a product too large, or unasked."""

        def centred(m: Any) -> Any:
            w, first, second = m["w"], m["w" + a], m["w" + b]
            middle = first * m["ww" + b] + second * m["ww" + a]
            return (m["ww" + a + b] * w * w - middle * w + first * second * m["ww"]) * m["one"]

        def fourth(m: Any) -> Any:
            return m["w"] * m["w"] * m["w"] * m["w"]

        known = (self.rows >= 2) & ~self.overflowed("ww" + a + b, "ww", "ww" + a, "ww" + b)
        known &= asked
        found = np.where(known, self.quotient(centred, fourth, known), math.nan)
        with np.errstate(all="ignore"):
            return np.asarray(found * self.factor * self.rows / (self.rows - 1))
