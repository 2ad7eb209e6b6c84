"""Sentences made from intervals: what can be said, how large it is, and how sure, each apart from the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...evaluate.summary import FEW
from ..phrases import NARROW, PLUS_MINUS, digits_for, measured, number, p_value, percent, points, probability, some

if TYPE_CHECKING:
    from ...evaluate.summary import Diagnostics, Estimate, Statistics

_SMALL_SHIFT = 0.005
"""A mean error below this is not what is said first."""

_AT_PLACES = "off at some places"
_UNEVEN = 0.2
_WIDE = 0.05
_LEVEL = 0.05
_ONE_SIDED = 0.8


def with_margin(one: Estimate) -> tuple[str, str]:
    """An estimate, and its margin as " ± 0.0011" or as an interval, or nothing."""
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return number(one.value), ""
    value, half = measured(one.value, (one.high - one.low) / 2, least=3)
    if not half:
        return value, ""
    if lopsided(one.value, one.low, one.high):
        return value, f" ({span(one.low, one.high)})"
    return value, f"{PLUS_MINUS}{half}"


def lopsided(value: float, low: float, high: float) -> bool:
    """Whether an interval lies so unevenly around its estimate that ± would mislead."""
    return abs((high - value) - (value - low)) > _UNEVEN * (high - low)


def span(low: float, high: float, most: int = 6) -> str:
    """An interval with the digits that it allows itself."""
    digits = digits_for((high - low) / 2, most=most)
    return f"{number(low, digits)} to {number(high, digits)}"


def parts(found: Diagnostics) -> tuple[float, float]:
    """Miscalibration, which is at least 0, and the discrimination that the log loss leaves beside it."""
    told = found.decomposition.log_loss
    cost = max(told.miscalibration.value, 0.0)
    return cost, told.uncertainty - told.score + cost


def removed(statistics: Statistics) -> str:
    """How much of the uncertainty is gone."""
    if not math.isfinite(statistics.log_loss):
        return "An infinite loss outweighs everything"
    if not statistics.d2 > 0:
        return "No better than always predicting the base rate"
    return f"{_share(statistics)} of the uncertainty is removed"


def _share(statistics: Statistics) -> str:
    """D² as a share, or as a range where it is known to five points only."""
    low, high = statistics.d2_low, statistics.d2_high
    if math.isfinite(high - low) and high - low > 2 * _WIDE and low > 0:
        return f"{number(100 * low, 0)} to {percent(high, 0)}"
    return percent(statistics.d2)


def ranking(auc: Estimate) -> str:
    """What the AUC says of pairs."""
    if auc.low > 0.5:
        wide = auc.high - auc.low > 2 * _WIDE
        share = f"{number(100 * auc.low, 0)} to {percent(auc.high, 0)}" if wide else percent(auc.value)
        return f"Ranks {share} of pairs rightly"
    if auc.high < 0.5:
        return f"Ranks pairs the wrong way round: {percent(auc.value)} rightly"
    return "Cannot be told apart from ranking by chance"


def precision(average: Estimate, base_rate: float) -> str:
    """Average precision against that of a constant prediction."""
    if average.low > base_rate:
        return f"Precision {number(average.value, 3)} on average, where chance has {number(base_rate, 3)}"
    return f"Average precision {number(average.value, 3)}; chance has {number(base_rate, 3)}"


def too(difference: float) -> str:
    """The direction of observed minus predicted in words."""
    return "too low" if difference > 0 else "too high"


def miscalibrated(found: Diagnostics) -> bool:
    """Whether there is more than chance, as the findings say, or what was given probability 0 happened."""
    return found.calibration.impossible_weight > 0 or any(one.code.startswith("LL1") for one in found.findings)


def _tested(found: Diagnostics) -> bool:
    """Whether anything can be said of calibration beyond chance."""
    return math.isfinite(found.calibration.ecce_sigma.value)


def size(found: Diagnostics) -> str:
    """How much it is, "small", "notable" or "large": as the findings about calibration say."""
    if found.calibration.impossible_weight > 0:
        return "large"
    weights = [one.severity for one in found.findings if one.code.startswith("LL1")]
    return "large" if "serious" in weights else "notable" if "notable" in weights else "small"


def fault(found: Diagnostics) -> str:
    """What is wrong with predictions that are not calibrated, in two words."""
    told = found.calibration
    shift = told.difference
    if shift.distinguishable and abs(shift.value) >= _SMALL_SHIFT:
        return too(shift.value)
    if told.slope.high < 1:
        return "over-confident"
    if told.slope.low > 1:
        return "under-confident"
    return too(shift.value) if shift.distinguishable else _AT_PLACES


def reliability(found: Diagnostics) -> str:
    """The title of the reliability diagram."""
    if not miscalibrated(found):
        return "Cannot be told apart from calibrated" if _tested(found) else "Observed against predicted"
    return {
        "small": f"Close to the diagonal, and a little {fault(found)}",
        "notable": f"Off the diagonal: {fault(found)}",
        "large": f"Far from the diagonal: {fault(found)}",
    }[size(found)]


def reliability_alt(found: Diagnostics) -> str:
    """The reliability diagram in words."""
    groups = found.calibration.groups
    above = int((groups.observed > groups.predicted).sum())
    largest = int(np.argmax(np.abs(groups.observed - groups.predicted)))
    count = some(len(groups.predicted), "group")
    places = probability(groups.predicted[largest]), probability(groups.observed[largest])
    return (
        f"Reliability diagram of {count} of equal size: the observed share lies above the predicted one in {above}. "
        f"The largest difference is at {places[0]}, where {places[1]} was observed."
    )


def _largest(found: Diagnostics) -> tuple[float, float]:
    groups = found.calibration.groups
    shift = groups.observed - groups.predicted
    at = int(np.argmax(np.abs(shift)))
    return float(groups.predicted[at]), float(shift[at])


def difference(found: Diagnostics) -> str:
    """The title of the figure of differences: what those groups say that chance does not explain."""
    groups = found.calibration.groups
    beyond = (groups.observed_low > groups.predicted) | (groups.observed_high < groups.predicted)
    if not beyond.any() or (by_chance(int(beyond.sum()), len(beyond)) and not miscalibrated(found)):
        return "No more than chance would give"
    shifts = (groups.observed - groups.predicted)[beyond]
    at = probability(_largest(found)[0])
    share = abs(shifts.sum()) / np.abs(shifts).sum()
    if share > _ONE_SIDED:
        mostly = "" if share == 1 else "mostly "
        return f"Predictions are {mostly}{too(shifts.sum())}, most at {at}"
    return f"Too low at some places, too high at others, most at {at}"


def by_chance(count: int, intervals: int) -> bool:
    """Whether as many 95 % intervals or more miss the truth in one of a hundred samples at least."""
    fewer = sum(math.comb(intervals, k) * 0.05**k * 0.95 ** (intervals - k) for k in range(count))
    return 1 - fewer > 0.01


def difference_alt(found: Diagnostics) -> str:
    """The differences in words."""
    at, shift = _largest(found)
    count = some(len(found.calibration.groups.predicted), "group")
    return (
        f"Observed minus predicted in {count}; the largest difference is {points(shift)} points at {probability(at)}."
    )


def useful_range(found: Diagnostics) -> tuple[float, float] | None:
    """The longest run of thresholds at which acting on predictions is surely better than both defaults."""
    told = found.decisions.curve
    better = (told.low > 0) & (told.gain_low > 0)
    best: tuple[int, int] | None = None
    start = None
    for place, good in enumerate([*better.tolist(), False]):
        if good and start is None:
            start = place
        elif not good and start is not None:
            if best is None or place - start > best[1] - best[0]:
                best = start, place
            start = None
    return None if best is None else (float(told.threshold[best[0]]), float(told.threshold[best[1] - 1]))


def usefulness(found: Diagnostics) -> str:
    """The title of the decision curve."""
    ends = useful_range(found)
    if ends is None:
        return "At no threshold surely better than acting on all or on none"
    return f"Better than both defaults from {probability(ends[0])} to {probability(ends[1])}"


def gains(share: float, captured: float, found: Diagnostics) -> str:
    """The title of the figure of gains: what a share of the rows, those predicted highest, holds of the positives."""
    if found.positives < FEW:
        return f"Of {some(round(found.positives), 'positive')}, so that much of the curve may be chance"
    held = f"The highest {percent(share, 0)} hold {percent(captured)} of the positives"
    if found.discrimination.auc.low > 0.5:
        return f"{held}: lift {number(captured / share, 1)}"
    return f"{held}; by chance {percent(share, 0)}"


def evidence(found: Diagnostics) -> str:
    """How sure it is that predictions are not calibrated."""
    told = found.calibration.ecce_sigma
    if not miscalibrated(found):
        return f"What is there may be chance{_unseen(found)}."
    sure = "This is far more than chance" if told.p_value < 1e-4 else "This is more than chance"
    tail = f" (p {_compared(told.p_value)})" if told.p_value < _LEVEL else ""
    return f"{sure}{tail}, and {size(found)}."


def _compared(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def headline(target: str, statistics: Statistics, found: Diagnostics | None) -> tuple[str, str, str]:
    """The result in a sentence, around the target's name: what stands before it, the name, and what follows."""
    if math.isinf(statistics.log_loss):
        rows = some(statistics.infinite_rows, "row was", "rows were")
        return f"{rows} given probability 0 for what happened: the log loss of ", target, " is infinite."
    if math.isnan(statistics.d2):
        return "All rows have the same outcome: nothing can be said about telling outcomes of ", target, " apart."
    if statistics.d2 <= 0:
        first = "The predictions are no better than always predicting the base rate of "
    elif not statistics.d2_low > 0:
        first = "The predictions cannot be told apart from always predicting the base rate of "
    else:
        first = f"The predictions remove {_share(statistics)} of the uncertainty about "
    return first, target, f"{_second_half(found, statistics.d2_low > 0)}."


def _second_half(found: Diagnostics | None, better: bool) -> str:
    if found is None:
        return ""
    if not miscalibrated(found):
        return ", and cannot be told apart from calibrated ones" if better and _tested(found) else ""
    shift, wrong = found.calibration.difference, fault(found)
    if wrong.startswith("too"):
        amount = abs(100 * shift.value)
        digits = 1 if amount >= 0.1 else digits_for(50 * (shift.high - shift.low))
        return f", and are on average {number(amount, digits)} percentage points {wrong}"
    if wrong == _AT_PLACES:
        return ", and are miscalibrated at places"
    return f", and are {wrong}"


def lede(statistics: Statistics) -> str:
    """The interval of the headline's share, and what it is measured against."""
    if not math.isfinite(statistics.d2_low):
        return f"The base rate is {percent(statistics.base_rate)}."
    ends = f"{span(100 * statistics.d2_low, 100 * statistics.d2_high, 1)}{NARROW}%"
    return f"95{NARROW}% interval {ends}, against always predicting the base rate of {percent(statistics.base_rate)}."


def goodness(statistics: Statistics, found: Diagnostics | None) -> tuple[str, str]:
    """Is it good? The verdict, and the numbers."""
    loss, half = measured(statistics.log_loss, (statistics.log_loss_high - statistics.log_loss_low) / 2, least=3)
    margin = f"{PLUS_MINUS}{half}" if half else ""
    uncertain = statistics.log_loss / statistics.normalized_entropy if statistics.normalized_entropy > 0 else math.nan
    base = f" against {number(uncertain)} for the base rate" if math.isfinite(uncertain) else ""
    auc = f"; AUC {''.join(with_margin(found.discrimination.auc))}" if found and found.discrimination.auc else ""
    numbers = f"Log loss {loss}{margin}{base}{auc}."
    if math.isinf(statistics.log_loss):
        return "Infinitely bad: something impossible happened.", numbers
    if math.isnan(statistics.d2):
        return "It cannot be said: one outcome only.", numbers
    if statistics.d2_low > 0:
        return "Better than the base rate.", numbers
    if statistics.d2_high < 0:
        return "Worse than the base rate.", numbers
    return "It cannot be told apart from the base rate.", numbers


def calibration(found: Diagnostics) -> tuple[str, str]:
    """Is it calibrated? The verdict, and the numbers."""
    told = found.decomposition.log_loss
    cost = max(told.miscalibration.value, 0.0)
    means = f"Observed {percent(found.base_rate)}, predicted {percent(found.mean_prediction)}"
    if found.calibration.impossible_weight > 0:
        return "No: what was given probability 0 happened.", f"{means}."
    if not _tested(found) and not miscalibrated(found):
        return "It cannot be said.", f"{means}."
    if not miscalibrated(found):
        return "Nothing speaks against it.", f"{means}{_unseen(found)}."
    costs = f" Miscalibration costs {number(cost)} of {number(told.score)}." if math.isfinite(cost) else ""
    verdict = {"small": "Almost: slightly", "notable": "Not quite:", "large": "No:"}[size(found)]
    return f"{verdict} {fault(found)}.", f"{means}.{costs}"


def _unseen(found: Diagnostics) -> str:
    """What error would often be missed with so few rows."""
    seen = found.calibration.detectable.value
    return f"; an error below {number(100 * seen, 1)} points would often not be seen" if seen > 0 else ""


def usefulness_answer(found: Diagnostics) -> tuple[str, str]:
    """Useful at my threshold? The verdict, and what is gained at the threshold nearest to one half."""
    ends = useful_range(found)
    verdict = (
        f"Yes, from {probability(ends[0])} to {probability(ends[1])}." if ends else "Not surely, at any threshold."
    )
    if not found.decisions.thresholds:
        return verdict, ""
    at = min(found.decisions.thresholds, key=lambda one: abs(one.threshold - 0.5))
    nb, gain = at.net_benefit, at.gain_over_all
    better = gain if gain.value < nb.value else nb
    over = "acting on all" if better is gain else "acting on none"
    if not better:
        return verdict, ""
    if better.value == 0:
        return verdict, f"At {probability(at.threshold)} it gains nothing over {over}."
    value, half = measured(1000 * better.value, 500 * (better.high - better.low), least=0)
    margin = f"{PLUS_MINUS}{half}" if half else ""
    return verdict, f"At {probability(at.threshold)} it gains {value}{margin} net hits per 1,000 rows over {over}."


def change(before: float, before_se: float, after: float, after_se: float, digits: int, unit: str) -> tuple[str, str]:
    """What became of a statistic between two times, "held", "rose" or "fell", and by how much."""
    shift, half = after - before, 1.96 * math.hypot(before_se, after_se)
    if not math.isfinite(half):
        return "changed", f"{number(shift, digits, sign=True)}{unit}"
    value, margin = measured(shift, half, sign=True, least=0)
    verb = "held" if abs(shift) <= half else "rose" if shift > 0 else "fell"
    return verb, f"{value}{PLUS_MINUS}{margin}{unit}"
