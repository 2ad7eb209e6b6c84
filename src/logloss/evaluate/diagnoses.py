"""What is found about predictions beyond means of rows: the fields of every result, with what they mean.

A number that cannot be given is NaN and bears a reason; one that must be read with care bears a note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .bins import Floats

__all__ = [
    "Calibration",
    "Corp",
    "DecisionCurve",
    "Decisions",
    "Decomposition",
    "Diagnostics",
    "Discrimination",
    "Distribution",
    "Estimate",
    "Finding",
    "Gains",
    "Groups",
    "Parts",
    "PrecisionRecall",
    "Roc",
    "Smooth",
    "Threshold",
]


@dataclass(frozen=True)
class Estimate:
    """A number with its sampling error; NaN is what is not known, and then `reason` or `note` says why."""

    value: float = math.nan
    se: float = math.nan
    """Standard error."""
    low: float = math.nan
    """Lower end of the 95 % interval."""
    high: float = math.nan
    """Upper end of it."""
    raw: float = math.nan
    """The plain estimate, over-fit included, where `value` is the debiased one."""
    expected: float = math.nan
    """What the plain estimate is on average if the predictions are calibrated (for drift: if nothing changed)."""
    limit: float = math.nan
    """What the plain estimate exceeds in 5 % of samples if the predictions are calibrated."""
    p_value: float = math.nan
    """How probable something at least as large is by chance alone."""
    method: str = ""
    """How error or interval were found: "DeLong, logit t", "jackknife over 256 buckets", …"""
    reason: str = ""
    """Why there is no value: a full sentence without its dot."""
    note: str = ""
    """What to know before use, or why there is a value and no interval."""

    def __bool__(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    @property
    def distinguishable(self) -> bool:
        """Whether it is more than chance would give: p below 0.05, or above `limit`."""
        if not math.isnan(self.p_value):
            return self.p_value < 0.05
        compared = self.value if math.isnan(self.raw) else self.raw
        return not math.isnan(self.limit) and compared > self.limit


@dataclass(frozen=True, eq=False)
class Groups:
    """Predictions cut into groups, one place each: the points of a reliability diagram."""

    low: Floats
    """The probability at which a group begins."""
    high: Floats
    """The one at which it ends."""
    rows: Floats
    weight: Floats
    predicted: Floats
    """The mean prediction."""
    observed: Floats
    """The share of positives."""
    observed_low: Floats
    """Wilson's 95 % interval of it."""
    observed_high: Floats
    chance: Floats
    """Half of the interval in which `observed` lies by chance if predictions are calibrated, around `predicted`."""


@dataclass(frozen=True, eq=False)
class Corp:
    """The isotonic (CORP) curve: steps, one block each, and where it lies by chance if predictions are calibrated."""

    left: Floats
    """The mean prediction of the first bin of a block."""
    right: Floats
    """The mean prediction of its last bin."""
    observed: Floats
    """The share of positives in the block, which rises from block to block."""
    weight: Floats
    band: Floats
    """Predictions at which the consistency band is given."""
    band_low: Floats
    """Its lower end: 90 % of calibrated samples have their curve between the two, at each place."""
    band_high: Floats
    band_level: float = 0.90
    reason: str = ""
    """Why there is no band."""


@dataclass(frozen=True, eq=False)
class Smooth:
    """A restricted cubic spline of the observed share, with a 95 % band: the curve to draw with an interval."""

    name: str
    """Which curve: "rcs5" (five knots), "rcs10", "line" where values are too few for knots, or "" for none."""
    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Does what was predicted happen as often as predicted? Differences are observed minus predicted."""

    difference: Estimate
    """Mean observed minus mean predicted."""
    ratio: Estimate
    """Observed ÷ expected (O/E); interval on the scale of the logarithm."""
    in_the_large: Estimate
    """What must be added to every logit so that the means agree (slope held at 1)."""
    intercept: Estimate
    """a of logit E y = a + b z."""
    slope: Estimate
    """b of it; below 1 predictions are over-confident, above 1 under-confident."""
    ici: Estimate
    """Mean |curve - p| over rows (integrated calibration index, Eavg) of `smooth`; debiased, `raw` beside it."""
    e50: Estimate
    """Median of |curve - p|."""
    e90: Estimate
    """Its 90 % quantile."""
    emax: Estimate
    """Its maximum: an extreme value of noise, never a headline."""
    ici_corp: Estimate
    """The same mean for the isotonic curve."""
    ece: Estimate
    """Expected calibration error over 15 groups of equal weight; debiased, `raw` beside it."""
    ece_width: Estimate
    """The same over 15 groups of equal width."""
    mce: Estimate
    """The largest difference of a group: like `emax`, never a headline."""
    squared_error: Estimate
    """Debiased mean square of the groups' differences, which may be below 0; the one with a valid interval."""
    ecce: Estimate
    """Range of the cumulated differences (empirical cumulative calibration error, Kuiper's)."""
    ecce_sigma: Estimate
    """`ecce` in units of its σ; 1.6 is what chance gives on average. `p_value` is Brownian, or of the clusters."""
    detectable: Estimate
    """The error, all of one sign, that this test finds in 80 of 100 samples."""
    zero_rows: int
    """Rows predicted exactly 0."""
    one_rows: int
    """Rows predicted exactly 1."""
    impossible_weight: float
    """Weight of the rows that were given probability 0 and happened."""
    groups: Groups
    """15 groups of equal weight."""
    corp: Corp
    smooth: Smooth


@dataclass(frozen=True)
class Parts:
    """Score = miscalibration - discrimination + uncertainty (CORP). The two are debiased; `raw` is the plain one."""

    score: float
    miscalibration: Estimate
    """What recalibration would gain."""
    discrimination: Estimate
    """What the predictions, recalibrated, gain over the base rate."""
    uncertainty: float
    """The score of always predicting the base rate."""


@dataclass(frozen=True)
class Decomposition:
    """Where the scores come from."""

    log_loss: Parts
    brier: Parts


@dataclass(frozen=True, eq=False)
class Roc:
    """The ROC curve, from (0, 0) to (1, 1)."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The curve of precision and recall, as the threshold falls."""

    recall: Floats
    precision: Floats
    threshold: Floats


@dataclass(frozen=True, eq=False)
class Gains:
    """What share of the positives is among the rows predicted highest, at the prevalence of the decisions."""

    share: Floats
    """Share of all rows, the highest predictions first."""
    captured: Floats
    """Share of the positives among them."""
    lift: Floats
    """captured ÷ share."""


@dataclass(frozen=True, eq=False)
class Discrimination:
    """Are positives predicted higher than negatives?"""

    auc: Estimate
    gini: Estimate
    """2 AUC - 1."""
    average_precision: Estimate
    """To be compared with the base rate, which a constant prediction has."""
    ks: Estimate
    """Largest difference of the two cumulative distributions (biased upward on few rows)."""
    base_rate: float
    roc: Roc
    precision_recall: PrecisionRecall


@dataclass(frozen=True)
class Threshold:
    """Rows are flagged where p >= threshold; the whole bin of the threshold is."""

    threshold: float
    """As asked for."""
    counted_at: float
    """Where counting begins: the lower edge of its bin."""
    flagged: Estimate
    """Share of rows flagged."""
    sensitivity: Estimate
    """Share of the positives flagged (recall)."""
    specificity: Estimate
    """Share of the negatives not flagged."""
    ppv: Estimate
    """Share of positives among the flagged (precision)."""
    npv: Estimate
    """Share of negatives among those not flagged."""
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float
    net_benefit: Estimate
    """Against flagging nobody, in true positives per row."""
    gain_over_all: Estimate
    """Net benefit minus that of flagging everybody."""
    interventions_avoided: Estimate
    """gain_over_all ÷ odds(threshold): what flagging by the model saves per row."""


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over thresholds."""

    threshold: Floats
    net_benefit: Floats
    low: Floats
    """95 % interval of net_benefit, at each place."""
    high: Floats
    treat_all: Floats
    gain_low: Floats
    """The lower end of the interval of net_benefit minus treat_all, which is no difference of both ends."""
    rows_flagged: Floats
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Is it worth using at a threshold?"""

    thresholds: tuple[Threshold, ...]
    """Those asked for, and where none were, a few."""
    curve: DecisionCurve
    gains: Gains
    prevalence: float
    """The share of positives that net benefit and gains assume: the given one, or the base rate."""
    prevalence_given: bool


@dataclass(frozen=True, eq=False)
class Distribution:
    """How predictions are distributed, per outcome."""

    edges: Floats
    """Probabilities at which 40 bars begin and end."""
    positives: Floats
    """Weight of the positives in each bar."""
    negatives: Floats


Severity = Literal["small", "notable", "serious"]


@dataclass(frozen=True)
class Finding:
    """Something that a person should know; severity is by size, `evidence` says how sure it is."""

    code: str
    """"LL101"."""
    severity: Severity
    title: str
    """A sentence without its dot."""
    explanation: str
    """What it means and what to do."""
    evidence: str
    """The numbers: size and interval, and how far beyond chance."""
    link: str
    """Its anchor in the documentation."""


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Everything that the bins of one problem (in one group) tell."""

    rows: int
    weight: float
    base_rate: float
    mean_prediction: float
    positives: float
    """Effective number of positives: (Σwy)² ÷ Σw²y."""
    negatives: float
    buckets: int
    """Non-empty buckets that intervals by jackknife used; 0 without."""
    clustered: bool
    """Whether buckets were made of clusters of rows that belong together."""
    calibration: Calibration
    decomposition: Decomposition
    discrimination: Discrimination
    decisions: Decisions
    distribution: Distribution
    notes: tuple[str, ...] = ()
    """What holds for all of it: one class only, no rows, soft targets, few clusters."""
    findings: tuple[Finding, ...] = ()
