"""From bins to everything known about calibration, ranking and use; and every scalar of it once, as a record.

Text, JSON, CSV, schema and gates derive from `DIAGNOSTICS`, as those of the plain statistics do from `STATISTICS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from .bins import Bins
from .corp import Isotonic, isotonic
from .cumulative import cumulative
from .decisions import checked, decisions
from .diagnoses import Calibration, Diagnostics, Estimate
from .distribution import distribution
from .findings import findings
from .ranking import discrimination
from .recalibration import difference, impossible, in_the_large, line, ratio
from .reliability import equal_weight, errors, groups
from .sample import NO_ROWS, Sample, Units
from .smooth import Curve, smooth
from .statistics import FEW

__all__ = ["DIAGNOSTICS", "SUFFIXES", "Diagnostic", "Diagnostics", "diagnose", "reasons", "scalars"]

SUFFIXES = {
    "": "value",
    "_se": "se",
    "_low": "low",
    "_high": "high",
    "_raw": "raw",
    "_expected": "expected",
    "_p": "p_value",
}
"""What is written beside a number's name, and the field of `Estimate` that it has."""


_INTERVAL = ("", "_se", "_low", "_high")
_TEST = (*_INTERVAL, "_p")
_RAW = (*_INTERVAL, "_raw")
_NULL = ("", "_raw", "_expected", "_p")
_CHANCE = ("", "_expected")


class Column(NamedTuple):
    """A column of tables for people."""

    title: str
    legend: str


@dataclass(frozen=True)
class Diagnostic:
    """One number of a diagnosis."""

    name: str
    meaning: str
    place: str
    """Its field of `Diagnostics`, and the fields within."""
    parts: tuple[str, ...] = _INTERVAL
    """Which suffixes are given for it."""
    shown: Column | None = None
    """How tables for people call it; None leaves it to JSON and CSV."""

    def find(self, found: Diagnostics) -> Estimate:
        """What it is in a diagnosis."""
        one = attrgetter(self.place)(found)
        return one if isinstance(one, Estimate) else Estimate(one, reason="" if found.weight > 0 else NO_ROWS)


def _parts(score: str, words: str) -> Iterator[Diagnostic]:
    """The decomposition of a score; tables show that of the log loss."""
    shown = score == "log_loss"
    prefix, of = "" if shown else f"{score}_", f"decomposition.{score}"
    gains = f"miscalibration: what recalibration would gain of {words}"
    yield Diagnostic(
        f"{prefix}miscalibration",
        f"MCB: {words} minus that of the isotonically recalibrated predictions, debiased",
        f"{of}.miscalibration",
        tuple(SUFFIXES),
        Column("miscal.", gains) if shown else None,
    )
    gains = f"discrimination: what recalibrated predictions gain of {words} over the base rate"
    yield Diagnostic(
        f"{prefix}discrimination",
        f"DSC: {words} of the base rate minus that of the isotonically recalibrated predictions, debiased",
        f"{of}.discrimination",
        _RAW,
        Column("discrim.", gains) if shown else None,
    )
    yield Diagnostic(
        f"{prefix}uncertainty",
        f"UNC: {words} of always predicting the base rate; score = MCB - DSC + UNC",
        f"{of}.uncertainty",
        ("",),
    )


DIAGNOSTICS: tuple[Diagnostic, ...] = (
    Diagnostic(
        "observed_minus_predicted",
        "mean target minus mean prediction",
        "calibration.difference",
        _TEST,
        Column("obs. - pred.", "mean target minus mean prediction"),
    ),
    Diagnostic("observed_over_expected", "sum of targets ÷ sum of predictions", "calibration.ratio"),
    Diagnostic(
        "calibration_in_the_large",
        "what must be added to every logit so that the means agree",
        "calibration.in_the_large",
        _TEST,
    ),
    Diagnostic(
        "calibration_intercept",
        "a of logit E y = a + b logit p, by maximum likelihood",
        "calibration.intercept",
    ),
    Diagnostic(
        "calibration_slope",
        "b of logit E y = a + b logit p; below 1: over-confident",
        "calibration.slope",
        shown=Column("slope", "calibration slope; 1 is right, below 1 over-confident, above 1 under-confident"),
    ),
    Diagnostic(
        "ici",
        "integrated calibration index: mean of |smooth curve - p| over rows, debiased",
        "calibration.ici",
        _NULL,
        Column("ICI", "mean distance of the smooth calibration curve from the prediction"),
    ),
    Diagnostic("e50", "median of |smooth curve - p|", "calibration.e50", _CHANCE),
    Diagnostic("e90", "90 % quantile of |smooth curve - p|", "calibration.e90", _CHANCE),
    Diagnostic("emax", "maximum of |smooth curve - p|", "calibration.emax", _CHANCE),
    Diagnostic("ici_corp", "mean of |isotonic curve - p|, debiased", "calibration.ici_corp", _NULL),
    Diagnostic(
        "ece",
        "expected calibration error over 15 groups of equal weight, debiased",
        "calibration.ece",
        _NULL,
    ),
    Diagnostic(
        "ece_equal_width",
        "expected calibration error over 15 groups of equal width, debiased",
        "calibration.ece_width",
        _NULL,
    ),
    Diagnostic("mce", "largest calibration error of a group", "calibration.mce", _CHANCE),
    Diagnostic(
        "squared_calibration_error",
        "mean squared calibration error over groups, debiased; may be below 0",
        "calibration.squared_error",
        _RAW,
    ),
    Diagnostic(
        "ecce",
        "empirical cumulative calibration error: range of the cumulated observed minus predicted",
        "calibration.ecce",
        _NULL,
    ),
    Diagnostic(
        "ecce_sigma",
        "ecce in units of its σ; 1.6 is what chance gives on average",
        "calibration.ecce_sigma",
        ("", "_expected", "_p"),
    ),
    *_parts("log_loss", "log loss"),
    *_parts("brier", "Brier score"),
    Diagnostic(
        "auc",
        "area under the ROC curve: how often a positive is predicted higher than a negative",
        "discrimination.auc",
        shown=Column("AUC", "how often a positive is predicted higher than a negative; 0.5 is chance"),
    ),
    Diagnostic("gini", "2 AUC - 1", "discrimination.gini"),
    Diagnostic(
        "average_precision",
        "mean precision over the recalls; a constant prediction has the base rate",
        "discrimination.average_precision",
        shown=Column("AP", "average precision; a constant prediction has the base rate"),
    ),
    Diagnostic(
        "ks",
        "largest difference of the distributions of predictions of positives and negatives",
        "discrimination.ks",
    ),
)


def scalars(found: Diagnostics) -> dict[str, float]:
    """Every number by its name, as `ici`, `auc_low`, `miscalibration_raw`; NaN where it is not known."""
    values = {}
    for one in DIAGNOSTICS:
        estimate = one.find(found)
        for suffix in one.parts:
            values[one.name + suffix] = float(getattr(estimate, SUFFIXES[suffix]))
    return values


def reasons(found: Diagnostics) -> dict[str, str]:
    """Why numbers are missing, or what to know of them: by their names, where there is something to say."""
    said = {one.name: one.find(found) for one in DIAGNOSTICS}
    return {name: text for name, one in said.items() if (text := one.reason or one.note)}


def diagnose(
    bins: Bins,
    buckets: Bins | None = None,
    *,
    thresholds: tuple[float, ...] = (),
    prevalence: float | None = None,
    clustered: bool = False,
    scores: tuple[float, float] | None = None,
    exact: tuple[float, float] | None = None,
) -> Diagnostics:
    """Everything that the bins of one problem tell.

    Args:
        bins: the sums of one cell, at best in `FINE` bins.
        buckets: the same rows by bucket (one leading axis), in `COARSE` bins; without them numbers that need the
            jackknife have no interval.
        thresholds: probabilities between 0 and 1, without the ends, at which rows are flagged.
        prevalence: the share of positives that net benefit assumes; None: the base rate.
        clustered: whether buckets keep clusters of rows together: then intervals and p-values are theirs.
        scores: the exact log loss and Brier score of the rows; None: those of the bins.
        exact: both after isotonic regression of the rows themselves, for the plain decomposition.

    Raises:
        InvalidInputError: a threshold or the prevalence is not between 0 and 1, or shapes do not fit.
    """
    checked(thresholds, prevalence)
    units = None if buckets is None else Units.of(buckets)
    sample = Sample(bins.occupied, units, clustered)
    found = sample.bins
    curve = smooth(sample)
    steps = isotonic(sample, curve, scores, exact)
    some = found.w.size > 0
    whole = Diagnostics(
        rows=int(bins.rows.sum()),
        weight=found.weight,
        base_rate=found.base_rate if some else math.nan,
        mean_prediction=float(np.sum(found.w * found.p)) / found.weight if some else math.nan,
        positives=found.positives,
        negatives=found.rest,
        buckets=0 if units is None else units.count,
        clustered=clustered,
        calibration=_calibration(sample, curve, steps),
        decomposition=steps.decomposition,
        discrimination=discrimination(sample),
        decisions=decisions(sample, tuple(thresholds), prevalence),
        distribution=distribution(found),
        notes=_notes(sample),
    )
    return replace(whole, findings=findings(whole))


def _calibration(sample: Sample, curve: Curve, steps: Isotonic) -> Calibration:
    bins = sample.bins
    found, sums, fitted = errors(sample), cumulative(sample), line(sample)
    return Calibration(
        difference=difference(sample),
        ratio=ratio(sample),
        in_the_large=in_the_large(sample),
        intercept=fitted.intercept,
        slope=fitted.slope,
        ici=curve.ici,
        e50=curve.e50,
        e90=curve.e90,
        emax=curve.emax,
        ici_corp=steps.ici,
        ece=found.ece,
        ece_width=found.ece_width,
        mce=found.mce,
        squared_error=found.squared,
        ecce=sums.ecce,
        ecce_sigma=sums.sigma,
        detectable=sums.detectable,
        zero_rows=int(bins.rows[bins.place == 0].sum()),
        one_rows=int(bins.rows[bins.place == bins.count + 1].sum()),
        impossible_weight=impossible(bins),
        groups=groups(bins, equal_weight(bins)),
        corp=steps.corp,
        smooth=curve.drawn,
    )


def _notes(sample: Sample) -> tuple[str, ...]:
    """What holds for all numbers."""
    said = [sample.refusal]
    if not sample.refusal and min(sample.bins.positives, sample.bins.rest) < FEW:
        said.append(f"fewer than {FEW} positives or negatives: 95 % intervals need not cover 95 %")
    if sample.bins.soft:
        said.append("targets between 0 and 1: errors come from buckets, and no number is debiased")
    if sample.clustered:
        said.append(sample.no_error or (sample.units.note if sample.units else ""))
    return tuple(filter(None, said))
