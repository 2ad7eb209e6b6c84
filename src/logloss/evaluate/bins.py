"""Sums per bin of the logit, from which everything about calibration, ranking and use is computed.

K bins of equal width cut the logits from -32 to 32; place 0 holds predictions of exactly 0 and place K + 1 those of
exactly 1. Bins of 2^14 lie wholly in bins of 2^10, so that states of different K add once the finer one is coarser.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from .plan import FREQUENCY, PRECISION

__all__ = ["COARSE", "FINE", "LIMIT", "Bins", "Floats", "Integers", "Occupied", "logit", "meant", "place_of", "sigmoid"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LIMIT = 32.0
"""Logits beyond ±32 lie in the outermost bins."""

FINE, COARSE = 2**14, 2**10
"""The bins of the whole of a problem; those of groups, segments and buckets."""

SUMS = ("rows", "w", "ww", "wy", "wwy", "wp")


def place_of(logits: Any, count: int) -> Integers:
    """The place of each logit among `count` bins: 0 for -inf, count + 1 for inf."""
    logits = np.asarray(logits, np.float64)
    inner = np.floor((np.clip(logits, -LIMIT, LIMIT) + LIMIT) * (count / (2 * LIMIT)))
    places = 1 + np.minimum(inner, count - 1).astype(np.int64)
    return np.where(np.isinf(logits), np.where(logits > 0, count + 1, 0), places)


@dataclass(frozen=True, eq=False)
class Bins:
    """Sums per bin: arrays whose last axis has K + 2 places; leading axes are cells or buckets."""

    rows: Integers
    """Rows in each bin."""
    w: Floats
    """Σw; without weights, the rows."""
    ww: Floats
    """Σw²."""
    wy: Floats
    """Σwy."""
    wwy: Floats
    """Σw²y: what variances per class need."""
    wp: Floats
    """Σwp."""
    soft: bool = False
    """Whether a target was neither 0 nor 1: then no variance is a binomial one."""

    def __post_init__(self) -> None:
        shapes = {getattr(self, one.name).shape for one in fields(self) if one.name != "soft"}
        if len(shapes) != 1 or not (shape := shapes.pop()) or shape[-1] < 3:
            raise InvalidInputError(
                "the arrays of Bins have one shape, whose last axis has a place for each bin and one at either end; "
                f"got {sorted(shapes) or shape}."
            )

    @property
    def count(self) -> int:
        """K, the number of bins between the two places at the ends."""
        return int(self.w.shape[-1]) - 2

    def coarser(self, count: int) -> Bins:
        """The same with fewer bins, in which these lie wholly."""
        if count == self.count:
            return self
        if count < 1 or self.count % count:
            raise InvalidInputError(
                f"bins become coarser where the new number of bins divides the old one, {self.count}; got {count}. "
                f"Give a divisor of it."
            )

        def joined(values: NDArray[Any]) -> NDArray[Any]:
            inner = values[..., 1:-1].reshape(*values.shape[:-1], count, -1).sum(axis=-1)
            return np.concatenate([values[..., :1], inner, values[..., -1:]], axis=-1)

        return self._with(joined)

    def _with(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Bins:
        sums: dict[str, Any] = {name: change(getattr(self, name)) for name in SUMS}
        return Bins(**sums, soft=self.soft)

    def total(self) -> Bins:
        """The sum over all leading axes."""
        last = self.w.shape[-1]

        def added(values: NDArray[Any]) -> NDArray[Any]:
            found: NDArray[Any] = values.reshape(-1, last).sum(axis=0)
            return found

        return self._with(added)

    def __add__(self, other: Bins) -> Bins:
        """Both together, in the bins of the coarser one."""
        count = min(self.count, other.count)
        a, b = self.coarser(count), other.coarser(count)
        sums: dict[str, Any] = {name: getattr(a, name) + getattr(b, name) for name in SUMS}
        return Bins(**sums, soft=self.soft or other.soft)

    def edges(self) -> Floats:
        """The logits at which bins begin and end: K + 1 of them."""
        return np.linspace(-LIMIT, LIMIT, self.count + 1)

    @cached_property
    def occupied(self) -> Occupied:
        """The places of one cell that hold weight, in order of the prediction.

        A weight so small that its square is 0 beside the others decides nothing, and counts as none.
        """
        if self.w.ndim != 1:
            raise InvalidInputError(f"only Bins of one cell have occupied places; got {self.w.ndim - 1} leading axes.")
        place = np.flatnonzero((self.w > 0) & (self.ww > 0))
        sums: dict[str, Any] = {name: getattr(self, name)[place] for name in SUMS}
        return Occupied(place, **sums, count=self.count, soft=self.soft)


def meant(bins: Bins, kind: str) -> Bins:
    """Bins whose weights are of a kind: of frequencies those of so many rows; the variance of precisions is Σw · Σw/n.

    Of sums of such bins it is found anew.
    """
    if kind == FREQUENCY:
        return Bins(np.rint(bins.w).astype(np.int64), bins.w, bins.w, bins.wy, bins.wy, bins.wp, bins.soft)
    if kind == PRECISION:
        factor = float(bins.w.sum()) / max(int(bins.rows.sum()), 1)
        return replace(bins, ww=bins.w * factor, wwy=bins.wy * factor)
    return bins


@dataclass(frozen=True, eq=False)
class Occupied:
    """The places of one cell that hold weight, in order of the prediction."""

    place: Integers
    rows: Integers
    w: Floats
    ww: Floats
    wy: Floats
    wwy: Floats
    wp: Floats
    count: int
    soft: bool

    @cached_property
    def p(self) -> Floats:
        """The mean prediction of each."""
        return self.within(self.wp / self.w)

    def within(self, means: Floats) -> Floats:
        """Means of predictions of these places, along the last axis, with what rounding has put outside put back."""
        inner = np.clip(means, *self._ends)
        found: Floats = np.where(self.place == 0, 0.0, np.where(self.place == self.count + 1, 1.0, inner))
        return found

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        """The least and the largest probability of each bin."""
        return sigmoid(self.left), sigmoid(self.left + 2 * LIMIT / self.count)

    @cached_property
    def left(self) -> Floats:
        """The logit at which each begins; -32 and 32 for those at the ends."""
        return np.clip((self.place - 1) * (2 * LIMIT / self.count) - LIMIT, -LIMIT, LIMIT)

    @cached_property
    def z(self) -> Floats:
        """The logit of the mean prediction, infinite at the ends."""
        with np.errstate(divide="ignore"):
            return np.where(self.at_end, np.where(self.place == 0, -np.inf, np.inf), logit(self.p))

    @cached_property
    def at_end(self) -> NDArray[np.bool_]:
        """Whether its predictions are exactly 0 or exactly 1."""
        return np.isin(self.place, (0, self.count + 1))

    @cached_property
    def negatives(self) -> Floats:
        """Σw(1 - y); rounding may not leave it below 0."""
        return np.maximum(self.w - self.wy, 0.0)

    @cached_property
    def wwn(self) -> Floats:
        """Σw²(1 - y)."""
        return np.maximum(self.ww - self.wwy, 0.0)

    @cached_property
    def effective(self) -> Floats:
        """(Σw)² ÷ Σw²: how many rows of equal weight know as much."""
        return self.w * self.w / self.ww

    @cached_property
    def weight(self) -> float:
        """Σw over all bins."""
        return float(self.w.sum())

    @cached_property
    def positive_weight(self) -> float:
        """Σwy over all bins."""
        return float(self.wy.sum())

    @cached_property
    def negative_weight(self) -> float:
        """Σw(1 - y) over all bins."""
        return float(self.negatives.sum())

    @property
    def base_rate(self) -> float:
        """The weighted mean of the targets."""
        return self.positive_weight / self.weight

    @cached_property
    def unit(self) -> bool:
        """Whether every row has the weight 1."""
        return bool((self.w == self.rows).all() and (self.ww == self.rows).all())

    @cached_property
    def positives(self) -> float:
        """How many positives of equal weight know as much: (Σwy)² ÷ Σw²y."""
        squared = float(self.wwy.sum())
        return self.positive_weight**2 / squared if squared > 0 else 0.0

    @cached_property
    def rest(self) -> float:
        """How many negatives of equal weight know as much."""
        squared = float(self.wwn.sum())
        return self.negative_weight**2 / squared if squared > 0 else 0.0


@overload
def logit(p: float) -> float: ...
@overload
def logit(p: Floats) -> Floats: ...
def logit(p: float | Floats) -> float | Floats:
    """log(p ÷ (1 - p)), of one number inside (0, 1) by `math`, whose digits are the same on every machine."""
    if isinstance(p, float):
        return math.log(p) - math.log1p(-p)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(logits: Any) -> Floats:
    """1 ÷ (1 + exp(-z)), without overflow."""
    logits = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(logits))
    found: Floats = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return found
