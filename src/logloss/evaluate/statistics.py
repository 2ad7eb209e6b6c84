"""Formulas from moments to the numbers of a report.

Means and variances are quotients of exact integers, so that centring raw moments costs no digits. With weights w, the
variance of a weighted mean and the covariance of two are (importance weights, first-order delta method)

    V_ab = Σw²(a - ā)(b - b̄) / (Σw)² · n/(n - 1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from .moments import Moments

Z95 = 1.959963984540054

FEW = 50
"""Fewer positives or negatives than this, and 95 % intervals need not cover 95 %."""


@dataclass(frozen=True)
class Statistics:
    """What is known about the predictions of a group; `_se` is a standard error, `_low` and `_high` a 95 % interval."""

    rows: int
    weight: float
    effective_rows: float
    base_rate: float
    log_loss: float
    log_loss_se: float
    log_loss_low: float
    log_loss_high: float
    log_loss_bits: float
    finite_log_loss: float
    normalized_entropy: float
    normalized_entropy_se: float
    normalized_entropy_low: float
    normalized_entropy_high: float
    d2: float
    d2_se: float
    d2_low: float
    d2_high: float
    brier: float
    brier_se: float
    brier_low: float
    brier_high: float
    brier_skill: float
    calibration_ratio: float
    calibration_difference: float
    spiegelhalter_z: float
    log_score_z: float
    infinite_rows: int
    infinite_weight: float
    zero_rows: int
    zero_weight: float
    one_rows: int
    one_weight: float

    @property
    def few(self) -> bool:
        """Whether there are too few positives or negatives for the intervals to be trusted."""
        return not min(self.base_rate, 1 - self.base_rate) * self.effective_rows >= FEW


def entropy(part: float, rest: float) -> float:
    """H = -q log q - (1-q) log(1-q), from q and 1-q, each with full relative accuracy."""
    if part == 0 or rest == 0:
        return 0.0
    smaller, larger = min(part, rest), max(part, rest)
    return -smaller * math.log(smaller) - larger * math.log1p(-smaller)


def ratio(part: int, whole: int) -> float:
    """part / whole, correctly rounded; NaN for 0 / 0 and ±inf beyond the largest number."""
    if whole == 0:
        return math.nan if part == 0 else math.inf if part > 0 else -math.inf
    try:
        return part / whole
    except OverflowError:
        return math.inf if (part > 0) == (whole > 0) else -math.inf


def over(a: float, b: float) -> float:
    """a / b with NaN where b is 0."""
    return a / b if b else math.nan


def _mean(m: Moments, term: str) -> float:
    return math.inf if term in m.overflowed else ratio(m[term], m["w"])


def _covariance(m: Moments, a: str, b: str) -> float:
    """V_ab of the columns named by letters; NaN for fewer than two rows or where a product was too large."""
    both = "ww" + (a + b if "ww" + a + b in m.sums else b + a)
    w, ww = m["w"], m["ww"]
    if m.rows < 2 or w == 0 or not m.overflowed.isdisjoint({both, "ww", "ww" + a, "ww" + b}):
        return math.nan
    first, second = m["w" + a], m["w" + b]
    centred = m[both] * w * w - (first * m["ww" + b] + second * m["ww" + a]) * w + first * second * ww
    return ratio(centred * m.one, w**4) * m.rows / (m.rows - 1)


def _root(variance: float) -> float:
    """The square root; rounding of the products may leave a variance of 0 a little below 0."""
    return math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan


def quantile(degrees: float) -> float:
    """The 97.5 % quantile of Student's t, by its expansion around the normal one (Abramowitz and Stegun 26.7.5)."""
    if not degrees > 0:
        return math.nan
    z = Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _with_interval(name: str, value: float, se: float, effective: float) -> dict[str, float]:
    half = quantile(effective - 1) * se
    return {name: value, f"{name}_se": se, f"{name}_low": value - half, f"{name}_high": value + half}


def statistics(m: Moments) -> Statistics:
    """The statistics of a group; NaN where one is not defined, as entropy where all targets are the same."""
    effective = ratio(m["w"] * m["w"], m["ww"] * m.one) if "ww" not in m.overflowed else math.nan
    q, rest = ratio(m["wy"], m["w"]), ratio(m["w"] - m["wy"], m["w"])
    brier = _mean(m, "wq")
    return Statistics(
        rows=m.rows,
        weight=ratio(m["w"], m.one),
        effective_rows=effective,
        base_rate=q,
        **_losses(m, q, rest, effective),
        **_with_interval("brier", brier, _root(_covariance(m, "q", "q")), effective),
        brier_skill=1 - over(brier, q * rest),
        calibration_ratio=ratio(m["wp"], m["wy"]),
        calibration_difference=ratio(m["wp"] - m["wy"], m["w"]),
        spiegelhalter_z=_standardized(m, "ws", "wwvs"),
        log_score_z=math.inf if m["w_infinite"] else -_standardized(m, "wg", "wwvg"),
        infinite_rows=m.infinite,
        infinite_weight=ratio(m["w_infinite"], m.one),
        zero_rows=m.zero,
        zero_weight=ratio(m["w_zero"], m.one),
        one_rows=m.one_,
        one_weight=ratio(m["w_one"], m.one),
    )


def _losses(m: Moments, q: float, rest: float, effective: float) -> dict[str, float]:
    """Log loss, normalized entropy and D². With an infinite loss there is no variance to speak of."""
    infinite = m["w_infinite"] > 0
    loss = math.inf if infinite else _mean(m, "wl")
    uncertainty = entropy(q, rest)
    ne = over(loss, uncertainty)
    se, ne_se = math.nan, math.nan
    if not infinite:
        variance = _covariance(m, "l", "l")
        se = _root(variance)
        if uncertainty > 0:
            slope = -ne * (math.log(rest) - math.log(q))
            both = variance + 2 * slope * _covariance(m, "l", "y") + slope * slope * _covariance(m, "y", "y")
            ne_se = _root(both) / uncertainty
    finite = math.inf if "wl" in m.overflowed else ratio(m["wl"], m["w"] - m["w_infinite"])
    return {
        **_with_interval("log_loss", loss, se, effective),
        "log_loss_bits": loss / math.log(2),
        "finite_log_loss": finite,
        **_with_interval("normalized_entropy", ne, ne_se, effective),
        **_with_interval("d2", 1 - ne, ne_se, effective),
    }


def _standardized(m: Moments, total: str, variance: str) -> float:
    """total / sqrt(variance), about standard normal if the predictions are calibrated."""
    if not m.overflowed.isdisjoint({total, variance}):
        return math.nan
    return over(ratio(m[total], m.one), _root(ratio(m[variance], m.one)))


def macro(parts: list[Statistics]) -> Statistics:
    """The plain mean of every statistic over labels; counts of rows and weights are added."""
    added = {"rows", "weight", "infinite_rows", "infinite_weight", "zero_rows", "zero_weight", "one_rows", "one_weight"}
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(Statistics)):
        total = sum(getattr(part, name) for part in parts)
        values[name] = total if name in added else total / len(parts)
    return without_intervals(Statistics(**values))


def without_intervals(found: Statistics) -> Statistics:
    """The statistics of an average over labels: the labels of a row depend on each other in a way that is not known."""
    names = [field.name for field in fields(found) if field.name.endswith(("_se", "_low", "_high", "_z"))]
    unknown: dict[str, Any] = dict.fromkeys(names, math.nan)
    return replace(found, **unknown)
