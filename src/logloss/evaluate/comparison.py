"""Is one model better than another? Paired differences on the same rows, with intervals.

Errors come from buckets that both models share. A mean loss, and all that is a smooth function of means, has an
influence for every bucket; so has AUC, I_g^a - I_g^b; MCB, DSC and average precision are found again without each.

    rows needed for an effect δ: ((z_{1-α/2} + z_power) sd(d) / δ)² · deff,  deff = SE²_buckets / SE²_independent
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._errors import InvalidInputError
from .auc import influence
from .bins import Bins, Floats, logit
from .corp import entropy, left_out, sums_of_scores
from .diagnoses import Diagnostics, Estimate
from .diagnostics import diagnose
from .distribution import NO_DIFFERENCE, MurphyDifference, murphy_difference
from .ranking import precision_left_out
from .sample import INFINITE, NO_BUCKETS, NO_ROWS, ONE_CLASS, Units, compared, interval, missing
from .tails import normal_quantile

__all__ = ["Comparison", "Model", "compare", "holm", "rows_needed"]


PAIRS = "pairs of rows"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows: differences are the first minus the second.

    Of a loss, a difference below 0 says that the first is better; of discrimination and AUC, one above 0.
    """

    log_loss: Estimate
    normalized_entropy: Estimate
    brier: Estimate
    miscalibration: Estimate
    discrimination: Estimate
    auc: Estimate
    average_precision: Estimate
    rows: int
    buckets: int
    rows_needed: Estimate
    """Rows at which the observed difference of log loss would be found in 80 of 100 samples."""
    wins: float = math.nan
    """Share of rows on which the first has the smaller loss."""
    ties: float = math.nan
    losses: float = math.nan
    murphy: MurphyDifference = NO_DIFFERENCE
    """Elementary scores over thresholds."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model's bins, its bins by bucket, and its diagnosis."""

    bins: Bins
    buckets: Bins | None = None
    found: Diagnostics | None = None

    def diagnosed(self, *, clustered: bool) -> Diagnostics:
        """The diagnosis, made here if it was not given."""
        return self.found if self.found is not None else diagnose(self.bins, self.buckets, clustered=clustered)


def _units(first: Model, second: Model) -> tuple[Units, Units] | None:
    """The buckets of both, which must hold the same rows."""
    totals = [(int(one.bins.rows.sum()), float(one.bins.w.sum()), float(one.bins.wy.sum())) for one in (first, second)]
    if totals[0][0] != totals[1][0] or not np.allclose(totals[0], totals[1], rtol=1e-9):
        raise InvalidInputError(
            "models are compared on the same rows; the first has "
            f"{totals[0][0]} rows with a weight of {totals[0][1]:g}, {totals[0][2]:g} of it positive, the second "
            f"{totals[1][0]} with {totals[1][1]:g} and {totals[1][2]:g}. Join them on a key first."
        )
    if first.buckets is None or second.buckets is None:
        return None
    each = [one.w.sum(axis=-1) for one in (first.buckets, second.buckets)]
    if each[0].shape != each[1].shape or not np.allclose(each[0], each[1], rtol=1e-9, atol=0):
        raise InvalidInputError(
            "models are compared by buckets that hold the same rows; these do not. "
            "Keep both states with the same number of buckets, the same unit and the same seed."
        )
    return Units.of(first.buckets), Units.of(second.buckets)


def compare(
    first: Model,
    second: Model,
    *,
    independent_se: float | None = None,
    clustered: bool = False,
    wins: float = math.nan,
    losses: float = math.nan,
) -> Comparison:
    """Differences of everything, the first minus the second.

    Args:
        first: bins, buckets and diagnosis of one model.
        second: the same of the other, on the same rows.
        independent_se: the error of the mean difference of the losses if rows are independent, from pairs of rows. It
            is used where there are no clusters, and for the rows needed where there are.
        clustered: whether buckets keep clusters of rows together.
        wins: the share of rows on which the first has the smaller loss.
        losses: the share on which the second has.

    Raises:
        InvalidInputError: the models do not have the same rows.
    """
    units = _units(first, second)
    rows = int(first.bins.rows.sum())
    a, b = first.diagnosed(clustered=clustered), second.diagnosed(clustered=clustered)
    if not a.weight > 0:
        no = missing(NO_ROWS)
        return Comparison(no, no, no, no, no, no, no, rows, 0, no)
    parts, ranks = (a.decomposition, b.decomposition), (a.discrimination, b.discrimination)
    scores = [(one.log_loss.score, one.brier.score) for one in parts]
    loss = _mean_difference(units, 0, scores[0][0], scores[1][0])
    if independent_se is not None and not clustered and loss:
        loss = compared(interval(loss.value, independent_se, method=PAIRS))
    return Comparison(
        log_loss=loss,
        normalized_entropy=_entropy_difference(units, loss, a.base_rate),
        brier=_mean_difference(units, 1, scores[0][1], scores[1][1]),
        miscalibration=_by_buckets(units, [one.log_loss.miscalibration for one in parts], _part_error(0)),
        discrimination=_by_buckets(units, [one.log_loss.discrimination for one in parts], _part_error(1)),
        auc=_by_buckets(units, [one.auc for one in ranks], _auc_error),
        average_precision=_by_buckets(units, [one.average_precision for one in ranks], _precision_error),
        rows=rows,
        buckets=units[0].count if units else 0,
        rows_needed=_needed(loss, independent_se, rows),
        wins=wins,
        ties=1 - wins - losses,
        losses=losses,
        murphy=_murphy(first, second, units),
    )


Pair = tuple[Units, Units] | None


def _murphy(first: Model, second: Model, units: Pair) -> MurphyDifference:
    both = None if first.buckets is None or second.buckets is None else (first.buckets, second.buckets)
    return murphy_difference((first.bins, second.bins), both, _no_error(units))


def _with_error(value: float, units: Pair, se: float) -> Estimate:
    """A difference with the error of its buckets, and its p-value."""
    assert units is not None
    degrees = units[0].count - 1.0
    found = interval(value, se, degrees=degrees, method=units[0].method, note=units[0].note)
    return compared(found, degrees=degrees)


def _no_error(units: Pair) -> str:
    return NO_BUCKETS if units is None else units[0].refusal


def _apart(units: tuple[Units, Units], index: int) -> Floats:
    """The difference of the sums of a score over each bucket."""
    found: Floats = sums_of_scores(units[0])[:, index] - sums_of_scores(units[1])[:, index]
    return found


def _mean_difference(units: Pair, index: int, first: float, second: float) -> Estimate:
    """Of log loss (0) or Brier score (1)."""
    if math.isinf(first) or math.isinf(second):
        which = "both losses are" if math.isinf(first) and math.isinf(second) else "one loss is"
        return missing(f"{which} infinite: {INFINITE}")
    value = first - second
    if (why := _no_error(units)) or units is None:
        return Estimate(value, note=why)
    apart = _apart(units, index)
    w = units[0].w.sum(axis=1)
    return _with_error(value, units, units[0].spread((apart - apart.sum() / w.sum() * w) / w.sum()))


def _entropy_difference(units: Pair, loss: Estimate, q: float) -> Estimate:
    """Of normalized entropy: also the base rate varies, by ∂/∂q = difference / H² · logit q."""
    if not loss:
        return loss
    if not 0 < q < 1:
        return missing(ONE_CLASS)
    height = entropy(q)
    value = loss.value / height
    if (why := _no_error(units)) or units is None:
        return Estimate(value, note=why)
    apart = _apart(units, 0)
    w, wy = units[0].w.sum(axis=1), units[0].wy.sum(axis=1)
    slope = value / height * logit(q)
    alone = (apart - apart.sum() / w.sum() * w) / height / w.sum()
    own = alone + slope * (wy - q * w) / w.sum()
    # What the base rate adds comes from buckets; the difference itself keeps the error that it has.
    added = units[0].spread(own) ** 2 - units[0].spread(alone) ** 2
    se = math.sqrt(max((loss.se / height) ** 2 + added, 0.0))
    degrees = math.inf if loss.method == PAIRS else units[0].count - 1.0
    found = interval(value, se, degrees=degrees, method=loss.method, note=loss.note)
    return compared(found, degrees=degrees)


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """Values alone; or why there is none."""
    if first.reason or second.reason:
        return missing(first.reason or second.reason)
    if not math.isfinite(first.value) or not math.isfinite(second.value):
        return missing(INFINITE)
    return Estimate(first.value - second.value, raw=first.raw - second.raw)


def _by_buckets(units: Pair, both: Sequence[Estimate], error: Callable[[Units, Units], float]) -> Estimate:
    """The difference of two estimates with the error that the buckets of both have."""
    found = _difference(*both)
    if not found:
        return found
    if (why := _no_error(units)) or units is None:
        return replace(found, note=why)
    return replace(_with_error(found.value, units, error(*units)), raw=found.raw)


def _part_error(place: int) -> Callable[[Units, Units], float]:
    """Of miscalibration (0) or discrimination (1): that of the plain ones."""
    return lambda a, b: a.jackknife(left_out(a, 0)[place] - left_out(b, 0)[place])


def _auc_error(a: Units, b: Units) -> float:
    return a.spread(influence(a)[1] - influence(b)[1])


def _precision_error(a: Units, b: Units) -> float:
    return a.jackknife(precision_left_out(a) - precision_left_out(b))


def _needed(loss: Estimate, independent_se: float | None, rows: int) -> Estimate:
    if not loss.se > 0 or loss.value == 0:
        return missing(loss.reason or "there is no difference, or no error of it")
    se = independent_se or loss.se
    return Estimate(rows_needed(loss.value, se * math.sqrt(rows), design_effect=(loss.se / se) ** 2))


def rows_needed(effect: float, deviation: float, *, power: float = 0.8, design_effect: float = 1.0) -> float:
    """Rows at which a mean difference is found at the 5 % level with the given probability.

    Args:
        effect: the difference to be found, not 0.
        deviation: the standard deviation of a row's difference.
        power: the probability of finding it.
        design_effect: how many times the variance of independent rows clusters have.
    """
    reach = (normal_quantile(0.975) + normal_quantile(power)) * deviation / effect
    return math.ceil(reach * reach * design_effect)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that of all tests together 5 % err (Holm 1979); those that are not known stay so.

    In order of size, the k-th of m is multiplied by m - k + 1, and none is less than the one before.
    """
    known = sorted((value, place) for place, value in enumerate(p_values) if not math.isnan(value))
    adjusted, least = [math.nan] * len(p_values), 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        adjusted[place] = least
    return adjusted
