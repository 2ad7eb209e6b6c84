"""Every statistic once: its name, what it means, how it adds over labels, where tables show it, and its formula.

Means and variances are quotients of exact integers, so that centring raw moments costs no digits. With weights w, the
variance of a weighted mean and the covariance of two are (importance weights, first-order delta method)

    V_ab = Σw²(a - ā)(b - b̄) / (Σw)² · n/(n - 1)

Losses are skewed, so 95 % intervals are those of the logarithm: x · exp(± t · SE / x), with Student's t.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import Floats, Quotients, ratio
from .store import Cells

__all__ = ["FEW", "STATISTICS", "Shown", "Statistic", "Statistics", "quantile", "ratio", "statistics"]

Z95 = 1.959963984540054

FEW = 50
"""Fewer positives or negatives than this, and there is no 95 % interval: it need not cover 93 %."""

Columns = dict[str, NDArray[Any]]
"""Statistics of many cells: an array for each name."""


def _each(function: Callable[..., float], values: Floats) -> Floats:
    """A function of Python's, element by element: NumPy's own logarithms and powers differ in the last digit."""
    return np.fromiter(map(function, values.tolist()), np.float64, values.size)


def _log(values: Floats) -> Floats:
    return _each(math.log, values)


def entropies(part: Floats, rest: Floats) -> Floats:
    """H = -q log q - (1-q) log(1-q), from q and 1-q, each with full relative accuracy."""
    smaller, larger = np.where(rest < part, rest, part), np.where(rest > part, rest, part)
    one = (part == 0) | (rest == 0)
    smaller, larger = np.where(one, 0.5, smaller), np.where(one, 0.5, larger)
    return np.where(one, 0.0, -smaller * _log(smaller) - larger * _each(math.log1p, -smaller))


def over(a: Floats, b: Floats) -> Floats:
    """a / b with NaN where b is 0."""
    return np.where(b == 0, math.nan, a / b)


def _root(variance: Floats) -> Floats:
    """The square root; rounding of the products may leave a variance of 0 a little below 0."""
    return np.where(np.isfinite(variance), np.sqrt(np.where(variance < 0, 0.0, variance)), math.nan)


def quantile(degrees: Any) -> Any:
    """The 97.5 % quantile of Student's t, by its expansion around the normal one (Abramowitz and Stegun 26.7.5)."""
    degrees = np.asarray(degrees, np.float64)
    z = Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    distinct, places = np.unique(degrees.ravel(), return_inverse=True)
    squares, cubes = (_each(lambda one, power=power: _power(one, power), distinct)[places] for power in (2, 3))
    with np.errstate(all="ignore"):
        found = z + first / degrees + second / squares.reshape(degrees.shape) + third / cubes.reshape(degrees.shape)
    return np.where(degrees > 0, found, math.nan)[()]


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


Ends = tuple[Floats, Floats]


def of_logarithm(value: Floats, margin: Floats) -> Ends:
    """The ends of the interval of what cannot be negative, given t standard errors."""
    factor = _each(_exp, over(margin, value))
    return np.where(margin == 0, value, value / factor), np.where(margin == 0, value, value * factor)


def of_rest(value: Floats, margin: Floats) -> Ends:
    """The same of what is 1 less such a number."""
    low, high = of_logarithm(1 - value, margin)
    return 1 - high, 1 - low


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf if x == x else math.nan


def margins(se: Floats, t: Floats, base_rate: Floats, effective_rows: Floats) -> Floats:
    """t standard errors, where there are outcomes enough for an interval of them."""
    return np.where(few(base_rate, effective_rows), math.nan, t * se)


class Found:
    """What the formulas share, of all cells."""

    def __init__(self, cells: Cells) -> None:
        self.sums = Quotients(cells)

    @cached_property
    def effective(self) -> Floats:
        """(Σw)² ÷ Σw²."""
        found = self.sums.quotient(lambda m: m["w"] * m["w"], lambda m: m["ww"] * m["one"])
        return np.where(self.sums.overflowed("ww"), math.nan, found / self.sums.factor)

    @cached_property
    def q(self) -> Floats:
        """The base rate."""
        return self.sums.quotient(lambda m: m["wy"], lambda m: m["w"])

    @cached_property
    def rest(self) -> Floats:
        """1 - q, with full relative accuracy."""
        return self.sums.quotient(lambda m: m["w"] - m["wy"], lambda m: m["w"])

    @cached_property
    def entropy(self) -> Floats:
        """H(q)."""
        return entropies(self.q, self.rest)

    @cached_property
    def certain(self) -> NDArray[np.bool_]:
        """Whether a loss is infinite: then there is no variance to speak of."""
        return self.sums.sum("w_infinite") > 0

    @cached_property
    def loss(self) -> Floats:
        """The log loss."""
        return np.where(self.certain, math.inf, self.sums.mean("wl"))

    @cached_property
    def ne(self) -> Floats:
        """Normalized entropy."""
        return over(self.loss, self.entropy)

    @cached_property
    def loss_variance(self) -> Floats:
        """V_ll."""
        return self.sums.covariance("l", "l")

    @cached_property
    def loss_se(self) -> Floats:
        """The standard error of the log loss."""
        return np.where(self.certain, math.nan, _root(self.loss_variance))

    @cached_property
    def ne_se(self) -> Floats:
        """The standard error of normalized entropy."""
        known = ~self.certain & (self.entropy > 0)
        q, rest = np.where(known, self.q, 0.5), np.where(known, self.rest, 0.5)
        slope = -self.ne * (_log(rest) - _log(q))
        both = self.loss_variance + 2 * slope * self.sums.covariance("l", "y", known)
        both = both + slope * slope * self.sums.covariance("y", "y", known)
        return np.where(known, _root(both) / self.entropy, math.nan)

    @cached_property
    def finite_loss(self) -> Floats:
        """The log loss of the rows with a finite one."""
        found = self.sums.quotient(lambda m: m["wl"], lambda m: m["w"] - m["w_infinite"])
        return np.where(self.sums.overflowed("wl"), math.inf, found)

    @cached_property
    def brier(self) -> Floats:
        """The Brier score."""
        return self.sums.mean("wq")

    @cached_property
    def brier_se(self) -> Floats:
        """Its standard error."""
        return _root(self.sums.covariance("q", "q"))

    @cached_property
    def t(self) -> Floats:
        """How many standard errors make half an interval."""
        return np.asarray(quantile(self.effective - 1))

    def margin(self, se: Floats) -> Floats:
        """Half of an interval on the scale where it is even."""
        return margins(se, self.t, self.q, self.effective)

    def standardized(self, total: str, variance: str) -> Floats:
        """total / sqrt(variance), about standard normal if the predictions are calibrated."""
        unknown = self.sums.overflowed(total, variance)
        return np.where(
            unknown, math.nan, over(self.sums.sum(total), _root(self.sums.sum(variance) * self.sums.factor))
        )


class Shown(NamedTuple):
    """A column of tables for people."""

    title: str
    legend: str
    leaves: int
    """Which column gives way first where a table is too wide: the one with the least number; 0 stays."""
    when: str = ""
    """A statistic that must be positive somewhere, or there is nothing to show."""


@dataclass(frozen=True)
class Statistic:
    """One number of a result."""

    name: str
    meaning: str
    formula: Callable[[Found], NDArray[Any]]
    whole: bool = False
    added: bool = False
    """Over labels, whether it adds; others are averaged."""
    spread: bool = False
    """Whether it is about the sampling error, which for averages over labels is not known."""
    shown: Shown | None = None
    margin: Shown | None = None
    """Half of its interval, beside it."""
    ends: Callable[[Floats, Floats], Ends] | None = None
    """From the value and t standard errors to the 95 % interval, which is given as `_low` and `_high`."""


def _with_interval(
    name: str,
    meaning: str,
    value: Callable[[Found], Floats],
    se: Callable[[Found], Floats],
    ends: Callable[[Floats, Floats], Ends] = of_logarithm,
    **more: Any,
) -> Iterator[Statistic]:
    yield Statistic(name, meaning, value, ends=ends, **more)
    yield Statistic(f"{name}_se", f"standard error of {name}", se, spread=True)
    of = f"of the 95 % interval of {name}; nan where fewer than {FEW} positives or negatives count"
    for place, (part, which) in enumerate((("low", "lower"), ("high", "upper"))):

        def end(f: Found, place: int = place) -> Floats:
            return ends(value(f), f.margin(se(f)))[place]

        yield Statistic(f"{name}_{part}", f"{which} end {of}", end, spread=True)


def _counted(
    name: str, which: str, count: Callable[[Found], NDArray[Any]], shown: Shown | None = None
) -> Iterator[Statistic]:
    yield Statistic(f"{name}_rows", f"rows whose {which}", count, whole=True, added=True, shown=shown)
    weight = f"sum of the weights of rows whose {which}"
    yield Statistic(f"{name}_weight", weight, lambda f: f.sums.sum(f"w_{name}"), added=True)


WITHIN = "within_group_normalized_entropy"
"""What cells alone do not tell of the whole; see `within_groups`."""

STATISTICS: tuple[Statistic, ...] = (
    Statistic(
        "rows",
        "rows counted; over all labels (average micro or macro), of every label",
        lambda f: f.sums.rows,
        whole=True,
        added=True,
        shown=Shown("rows", "", 0),
    ),
    Statistic("weight", "sum of weights; without weights, the rows", lambda f: f.sums.sum("w"), added=True),
    Statistic("effective_rows", "(sum of weights)² ÷ sum of squared weights", lambda f: f.effective),
    Statistic(
        "base_rate",
        "q, the weighted mean of the targets",
        lambda f: f.q,
        shown=Shown("base rate", "share of positive targets", 4),
    ),
    *_with_interval(
        "log_loss",
        "weighted mean of -y log p - (1 - y) log(1 - p), in nats; inf if one of them is",
        lambda f: f.loss,
        lambda f: f.loss_se,
        shown=Shown("log loss", "mean of -log(probability given to what happened), in nats; 0 is perfect", 0),
        margin=Shown("±", "half of a 95 % interval of log loss", 3),
    ),
    Statistic("log_loss_bits", "log_loss ÷ log 2", lambda f: f.loss / math.log(2)),
    Statistic(
        "finite_log_loss",
        "log loss of the rows whose loss is finite",
        lambda f: f.finite_loss,
        shown=Shown("finite loss", "log loss of the rows whose loss is finite", 7, when="infinite_rows"),
    ),
    *_with_interval(
        "normalized_entropy",
        "log_loss ÷ H(q), where H(q) is the log loss of always predicting the base rate; "
        "nan where all targets are the same",
        lambda f: f.ne,
        lambda f: f.ne_se,
        shown=Shown(
            "normalized entropy",
            "log loss ÷ log loss of always predicting the base rate; below 1 is better than that",
            5,
        ),
    ),
    Statistic(
        WITHIN,
        "log_loss ÷ the mean over rows of H(q) with the base rate of the row's group: what is left of the uncertainty "
        "that groups alone do not remove; in a group, and without groups, normalized_entropy",
        lambda f: f.ne,
    ),
    *_with_interval(
        "d2",
        "1 - normalized_entropy",
        lambda f: 1 - f.ne,
        lambda f: f.ne_se,
        of_rest,
        shown=Shown("D²", "1 - normalized entropy: the share of uncertainty that the predictions remove", 2),
    ),
    *_with_interval(
        "brier",
        "weighted mean of (p - y)²",
        lambda f: f.brier,
        lambda f: f.brier_se,
        shown=Shown("Brier", "mean of (probability - target)²; 0 is perfect", 1),
    ),
    Statistic("brier_skill", "1 - brier ÷ (q (1 - q))", lambda f: 1 - over(f.brier, f.q * f.rest)),
    Statistic(
        "calibration_ratio",
        "sum of predictions ÷ sum of targets, weighted",
        lambda f: f.sums.quotient(lambda m: m["wp"], lambda m: m["wy"]),
    ),
    Statistic(
        "calibration_difference",
        "weighted mean of p - y",
        lambda f: f.sums.quotient(lambda m: m["wp"] - m["wy"], lambda m: m["w"]),
    ),
    Statistic(
        "spiegelhalter_z",
        "Spiegelhalter's z; about standard normal if the predictions are calibrated",
        lambda f: f.standardized("ws", "wwvs"),
        spread=True,
    ),
    Statistic(
        "log_score_z",
        "the same test for the log score",
        lambda f: np.where(f.certain, math.inf, -f.standardized("wg", "wwvg")),
        spread=True,
    ),
    *_counted(
        "infinite",
        "loss is inf",
        lambda f: f.sums.infinite,
        Shown("inf rows", "rows whose loss is infinite", 6, when="infinite_rows"),
    ),
    *_counted("zero", "prediction is 0", lambda f: f.sums.zero),
    *_counted("one", "prediction is 1", lambda f: f.sums.one),
)

INTERVALS = {one.name: one.ends for one in STATISTICS if one.ends}
"""How the interval of a statistic is made, for those that have one."""

if TYPE_CHECKING:

    class Statistics:
        """What is known about the predictions of a group: a field for each of STATISTICS."""

        def __init__(self, **values: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    Statistics = dataclasses.make_dataclass(
        "Statistics", [(one.name, int if one.whole else float) for one in STATISTICS], frozen=True
    )
    Statistics.__module__ = __name__  # where pickles look for it
    Statistics.__doc__ = (
        "What is known about the predictions of a group; `_se` is a standard error, `_low` and `_high` ends."
    )
    Statistics.few = property(lambda self: bool(few(self.base_rate, self.effective_rows)))


def few(base_rate: Any, effective_rows: Any) -> Any:
    """Whether there are too few positives or negatives for the intervals to be trusted."""
    with np.errstate(invalid="ignore"):  # squares of tiny weights are 0, which makes infinitely many rows of one kind
        return ~(np.minimum(base_rate, 1 - base_rate) * effective_rows >= FEW)


def statistics(cells: Cells) -> Columns:
    """The statistics of cells; NaN where one is not defined, as entropy where all targets are the same."""
    found = Found(cells)
    with np.errstate(all="ignore"):
        return {one.name: np.asarray(one.formula(found)) for one in STATISTICS}
