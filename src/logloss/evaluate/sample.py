"""What the statistics of a diagnosis share: the occupied bins, the buckets of units, and how intervals are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError
from .bins import Bins, Floats, Occupied, logit, sigmoid
from .diagnoses import Estimate
from .tails import normal_quantile, student, student_quantile

__all__ = ["FEWEST_UNITS", "FEW_UNITS", "Sample", "Units", "draws", "interval", "missing", "spread", "too_few"]

NO_ROWS = "no row has a weight above 0"
ONE_CLASS = "all targets are the same"
SOFT = "targets between 0 and 1 have no binomial error; it takes buckets (diagnostics keep them)"
ONE_BIN = "all predictions lie in one bin"
NO_BUCKETS = "its interval takes buckets, which were not kept"
INFINITE = "a row was given probability 0 and happened, so that the loss is infinite"

FEWEST_UNITS, FEW_UNITS = 3, 10
"""Below the first there is no interval by buckets; below the second it bears a note."""

Z95 = normal_quantile(0.975)
Scale = Literal["plain", "log", "logit"]


def missing(reason: str) -> Estimate:
    """A number that cannot be given."""
    return Estimate(reason=reason)


def draws(seed: int, rows: Any, probability: Any, times: int) -> Floats:
    """Positives of calibrated samples: `times` binomial draws for each bin.

    From the generator whose stream NumPy has promised never to change, so that results do not either.
    """
    rounded = np.maximum(np.rint(rows), 1).astype(np.int64)
    state = np.random.RandomState(seed)
    return state.binomial(rounded, np.clip(probability, 0.0, 1.0), (times, rounded.size)).astype(np.float64)


def interval(value: float, se: float, *, degrees: float = math.inf, scale: Scale = "plain", **more: Any) -> Estimate:
    """An estimate with its 95 % interval: t quantiles, on the scale where the estimate is nearest to normal."""
    t = Z95 if math.isinf(degrees) else student_quantile(degrees)
    if math.isnan(value) or not math.isfinite(se):
        return Estimate(value, **more)
    if scale == "log" and value > 0:
        low, high = value * math.exp(-t * se / value), _exp(math.log(value) + t * se / value)
    elif scale == "logit" and 0 < value < 1:
        middle, half = logit(float(value)), t * se / (value * (1 - value))
        low, high = sigmoid([middle - half, middle + half]).tolist()
    else:
        low, high = value - t * se, value + t * se
    return Estimate(value, se, low, high, **more)


def compared(estimate: Estimate, against: float = 0.0, degrees: float = math.inf) -> Estimate:
    """With the p-value of its difference from a value."""
    if not estimate.se > 0:
        return replace(estimate, note=estimate.note or "its error is 0, so that there is no test")
    return replace(estimate, p_value=student((estimate.value - against) / estimate.se, degrees))


def too_few(buckets: int) -> str:
    """Why no error can be found from so many buckets, or nothing."""
    if buckets >= FEWEST_UNITS:
        return ""
    return f"an error from buckets takes {FEWEST_UNITS} that hold rows; there are {buckets}"


def spread(influence: Floats) -> float:
    """The standard error from influences of buckets, which add up to about 0: sqrt(G/(G-1) Σ I²)."""
    count = influence.size
    return math.sqrt(count / (count - 1) * float(np.sum(influence * influence)))


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


@dataclass(frozen=True, eq=False)
class Units:
    """The non-empty buckets, over the places that any of them occupies: arrays of bucket × place."""

    whole: Occupied
    rows: Floats
    w: Floats
    ww: Floats
    wy: Floats
    wp: Floats

    @staticmethod
    def of(buckets: Bins) -> Units:
        """Those of bucket bins, with one leading axis."""
        if buckets.w.ndim != 2:
            raise InvalidInputError(f"buckets are Bins with one leading axis; got {buckets.w.ndim - 1}.")
        whole = buckets.total().occupied
        used = np.flatnonzero((buckets.w > 0).any(axis=1))

        def at(values: NDArray[Any]) -> Floats:
            return values[np.ix_(used, whole.place)].astype(np.float64)

        return Units(whole, *(at(getattr(buckets, name)) for name in ("rows", "w", "ww", "wy", "wp")))

    @property
    def count(self) -> int:
        """G, the number of non-empty buckets."""
        return len(self.w)

    @cached_property
    def without(self) -> tuple[Floats, Floats, Floats]:
        """Rows, Σw and Σwy of all but one bucket, for each; a place that has lost all rows has exactly 0."""
        rows = self.whole.rows - self.rows
        left = rows > 0
        w = np.where(left, self.whole.w - self.w, 0.0)
        return rows, w, np.where(left, np.clip(self.whole.wy - self.wy, 0.0, w), 0.0)

    @property
    def refusal(self) -> str:
        """Why no error can be found from these buckets, or nothing."""
        return too_few(self.count)

    @property
    def note(self) -> str:
        """What to know of an error from these buckets."""
        few = self.count < FEW_UNITS
        return f"only {self.count} buckets hold rows: the interval is rough" if few else ""

    @property
    def method(self) -> str:
        """How an error by leaving out buckets is called."""
        return f"jackknife over {self.count} buckets"

    def spread(self, influence: Floats) -> float:
        """The standard error from the influence of each bucket."""
        return spread(influence)

    def jackknife(self, left_out: Floats) -> float:
        """The standard error from the statistic without each bucket: (G-1)/G Σ (θ - mean θ)²."""
        centred = left_out - left_out.mean()
        return math.sqrt((self.count - 1) / self.count * float(np.sum(centred * centred)))


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows of one cell, as far as the statistics know them."""

    bins: Occupied
    units: Units | None = None
    clustered: bool = False

    @property
    def by_units(self) -> bool:
        """Whether errors come from buckets alone: rows depend on each other, or targets are soft."""
        return self.clustered or self.bins.soft

    @cached_property
    def refusal(self) -> str:
        """Why nothing that needs both outcomes can be given, or nothing."""
        if not self.bins.w.size:
            return NO_ROWS
        return "" if self.bins.positive_weight > 0 and self.bins.negative_weight > 0 else ONE_CLASS

    @cached_property
    def no_error(self) -> str:
        """Why an error that must come from buckets cannot, or nothing."""
        if self.units is None:
            return "clusters need buckets, which were not kept" if self.clustered else SOFT
        return self.units.refusal

    def from_units(self, value: float, influence: Callable[[Units], Floats], scale: Scale = "plain") -> Estimate:
        """An estimate whose error comes from the influence of each bucket."""
        if self.no_error or self.units is None:
            return Estimate(value, note=self.no_error)
        se = self.units.spread(influence(self.units))
        return interval(
            value, se, degrees=self.units.count - 1, scale=scale, method=self.units.method, note=self.units.note
        )

    def jackknifed(
        self, value: float, left_out: Callable[[Units], Floats], scale: Scale = "plain", **more: Any
    ) -> Estimate:
        """An estimate whose error comes from leaving out each bucket."""
        if self.units is None:
            return Estimate(value, **{"note": NO_BUCKETS, **more})
        if self.units.refusal:
            return Estimate(value, **{"note": self.units.refusal, **more})
        values = left_out(self.units)
        if not np.isfinite(values).all():
            return Estimate(value, **{"note": "no interval: without one of the buckets nothing is defined", **more})
        se = self.units.jackknife(values)
        more = {"method": self.units.method, "note": self.units.note, **more}
        return interval(value, se, degrees=self.units.count - 1, scale=scale, **more)

    @property
    def degrees(self) -> float:
        """Of t where errors come from buckets."""
        return math.inf if self.units is None else self.units.count - 1.0
