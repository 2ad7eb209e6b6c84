"""The figures of a report: what a diagnosis says, as charts with titles, descriptions and the numbers they show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import charts
from ..charts.calibration import Band, Distribution, Groups
from ..charts.discrimination import Mark
from ..charts.parts import Spec, zoomed
from ..phrases import NARROW, number, percent, points, probability, some, whole
from . import words
from .tables import Table, data, numbers, sampled

if TYPE_CHECKING:
    from ...evaluate.summary import Diagnostics
    from .subjects import Subject

_ROWS = 25
_FEWEST_FLAGGED, _LEAST_FLAGGED = 20, 0.1
"""A decision curve ends where fewer rows than these, and a smaller share of them, would be flagged."""
_FEWEST_IN_GROUP = 5
"""Groups of fewer rows lie anywhere between 0 and 1, and are not drawn."""
_TENTH, _GAINS = 12, (*range(5), *range(7, 103, 5))
"""Of the shares at which gains are known: 10 %; and 0.1, 0.2, 0.5, 1, 2, and every 5 %."""
_WIDEST_BAND = 1 / 3
"""A band that takes more of the height, on average, covers a diagram and says no more than that rows are few."""


@dataclass(frozen=True)
class Figure:
    """A chart with its words: a title that says the result, a line that says what is drawn, a text instead of it."""

    name: str
    title: str
    subtitle: str
    alt: str
    spec: Spec
    tables: tuple[Table, ...] = ()


Maker = Callable[["Subject", "Diagnostics"], "Figure | None"]


def decomposition(subject: Subject, found: Diagnostics) -> Figure | None:
    """What the log loss is made of."""
    told = found.decomposition.log_loss
    cost, gain = words.parts(found)
    known = (told.score, told.uncertainty, told.miscalibration.value)
    if not all(map(math.isfinite, known)) or told.uncertainty <= 0:
        return None
    subtitle = f"Log loss = base rate alone − discrimination {number(gain)} + miscalibration {number(cost)}, nats a row"
    alt = (
        f"A bar from 0 to {number(told.uncertainty)}, the log loss of the base rate alone. The log loss is "
        f"{number(told.score)}, of which miscalibration is {number(cost)}."
    )
    spec = charts.decomposition(told.score, told.uncertainty, gain, cost)
    return Figure("decomposition", words.removed(subject.statistics), subtitle, alt, spec)


def roc(subject: Subject, found: Diagnostics) -> Figure | None:
    """True against false positives."""
    told = found.discrimination
    if not told.auc or not len(told.roc.threshold):
        return None
    x, y = told.roc.false_positive_rate, told.roc.true_positive_rate
    area, half = words.with_margin(told.auc)
    method = f" ({told.auc.method})" if told.auc.method else ""
    spec = charts.roc(subject.target, x.tolist(), y.tolist(), f"AUC {area}", _mark(x, y, told.roc.threshold))
    columns = sampled([x, y, told.roc.threshold], _ROWS)
    table = data(
        "roc",
        "Data of the ROC curve",
        dict(zip(("false positive rate", "true positive rate", "threshold"), map(numbers, columns), strict=True)),
    )
    alt = f"ROC curve. The area under it is {area}{half}; 0.5 is chance."
    return Figure("roc", words.ranking(told.auc), f"ROC curve; AUC {area}{half}{method}", alt, spec, (table,))


def precision_recall(_: Subject, found: Diagnostics) -> Figure | None:
    """Precision against recall."""
    told = found.discrimination
    if not told.average_precision or not len(told.precision_recall.threshold):
        return None
    x, y, threshold = told.precision_recall.recall, told.precision_recall.precision, told.precision_recall.threshold
    area, half = words.with_margin(told.average_precision)
    spec = charts.precision_recall(
        x.tolist(), y.tolist(), f"average precision {area}", told.base_rate, _mark(x, y, threshold)
    )
    columns = sampled([x, y, threshold], _ROWS)
    table = data(
        "pr",
        "Data of the precision-recall curve",
        dict(zip(("recall", "precision", "threshold"), map(numbers, columns), strict=True)),
    )
    chance = number(told.base_rate, 3)
    alt = f"Precision against recall. Its mean is {area}{half}; a constant prediction has the base rate, {chance}."
    title = words.precision(told.average_precision, told.base_rate)
    return Figure(
        "precision_recall",
        title,
        f"Precision and recall over all thresholds; average {area}{half}",
        alt,
        spec,
        (table,),
    )


def _mark(x: Any, y: Any, threshold: Any, at: float = 0.5) -> Mark | None:
    """The last point at which p ≥ one half still holds."""
    flagged = np.flatnonzero(np.asarray(threshold) >= at)
    if not len(flagged):
        return None
    place = flagged[-1]
    return Mark(float(x[place]), float(y[place]), at)


def reliability(subject: Subject, found: Diagnostics) -> Figure | None:
    """Observed against predicted."""
    told = found.calibration
    if not len(told.corp.observed) or not len(told.groups.predicted):
        return None
    groups, distribution = _groups(found, _FEWEST_IN_GROUP), _distribution(found)
    steps = np.repeat(told.corp.observed, 2), np.column_stack([told.corp.left, told.corp.right]).ravel()
    shown = _shown(found)
    curve = _curve(found, shown)
    band = told.corp.band
    chance = Band(band.tolist(), told.corp.band_low.tolist(), told.corp.band_high.tolist())
    spec = charts.reliability(
        subject.target,
        (steps[1].tolist(), steps[0].tolist()),
        groups,
        distribution,
        chance if len(band) else None,
        curve,
        shown,
    )
    level = f"{100 * told.corp.band_level:.0f}{NARROW}%"
    grey = f"; grey: where it lies by chance ({level})" if len(band) else ""
    blue = "; blue band: a smooth curve with its 95\u00a0% band" if curve else ""
    equal = some(len(groups.rows), "equal group")
    circles = f"; circles: {equal}, 95{NARROW}%" if groups.rows else ""
    few = "" if groups.rows else " Too few rows for groups or a smooth curve."
    subtitle = (
        f"Line: isotonic regression{grey}{blue}{circles}.{few} "
        f"Below: rows by outcome, square-root heights{_beyond(found, shown)}"
    )
    return Figure(
        "reliability",
        words.reliability(found),
        subtitle,
        words.reliability_alt(found),
        spec,
        _calibration_tables(found, subject.target),
    )


def _curve(found: Diagnostics, shown: tuple[float, float]) -> Band | None:
    """The smooth curve's band, where it leaves something of the diagram to be seen."""
    smooth = found.calibration.smooth
    if not len(smooth.predicted) or float(np.mean(smooth.high - smooth.low)) > _WIDEST_BAND * (shown[1] - shown[0]):
        return None
    return Band(smooth.predicted.tolist(), smooth.low.tolist(), smooth.high.tolist())


def _shown(found: Diagnostics) -> tuple[float, float]:
    """The part of [0, 1] in which groups and their intervals lie."""
    told = found.calibration.groups
    return zoomed([*told.predicted.tolist(), *told.observed_low.tolist(), *told.observed_high.tolist()])


def _beyond(found: Diagnostics, shown: tuple[float, float]) -> str:
    """The share of rows that lie beyond the part that is drawn."""
    told = found.distribution
    inside = (told.edges[:-1] >= shown[0] - 1e-9) & (told.edges[1:] <= shown[1] + 1e-9)
    rows = told.positives + told.negatives
    beyond = float(rows[~inside].sum() / rows.sum()) if rows.sum() > 0 else 0.0
    return f"; {percent(beyond)} of them lie beyond this part of the axis" if beyond >= 0.0005 else ""


def _groups(found: Diagnostics, fewest: int = 0) -> Groups:
    """Those of so many rows at least."""
    told, kept = found.calibration.groups, found.calibration.groups.rows >= fewest
    columns = told.predicted, told.observed, told.observed_low, told.observed_high, told.rows
    return Groups(*(one[kept].tolist() for one in columns))


def _distribution(found: Diagnostics) -> Distribution:
    told = found.distribution
    return Distribution(told.edges.tolist(), told.positives.tolist(), told.negatives.tolist())


def _calibration_tables(found: Diagnostics, target: str) -> tuple[Table, ...]:
    groups, bars = _groups(found), _distribution(found)
    return (
        data(
            "distribution",
            "Rows by prediction and outcome",
            {
                "predicted from": numbers(bars.edges[:-1], probability),
                f"{target} = 1": numbers(bars.positives, whole),
                f"{target} = 0": numbers(bars.negatives, whole),
            },
        ),
        data(
            "reliability",
            "Data of the reliability diagram",
            {
                "predicted": numbers(groups.predicted),
                "observed": numbers(groups.observed),
                "95 % from": numbers(groups.low),
                "to": numbers(groups.high),
                "rows": numbers(groups.rows, whole),
            },
        ),
    )


def difference(_: Subject, found: Diagnostics) -> Figure | None:
    """Observed minus predicted."""
    told = found.calibration.groups
    groups = _groups(found, _FEWEST_IN_GROUP)
    if not groups.rows:
        return None
    low, high = told.predicted - told.chance, told.predicted + told.chance
    order = np.argsort(told.predicted, kind="stable")
    x = [0.0, *told.predicted[order].tolist(), 1.0]
    chance = Band(x, [0.0, *low[order].tolist(), 1.0], [0.0, *high[order].tolist(), 1.0])
    spec = charts.difference(groups, chance if np.isfinite(told.chance).all() else None, _shown(found))
    shifts = (np.subtract(one, groups.predicted) for one in (groups.observed, groups.low, groups.high))
    shift, least, most = (numbers(one, lambda value: points(value, 2)) for one in shifts)
    table = data(
        "difference",
        "Data of the differences, in percentage points",
        {
            "predicted": numbers(groups.predicted),
            "difference": shift,
            "95 % from": least,
            "to": most,
        },
    )
    alt = words.difference_alt(found)
    return Figure(
        "difference",
        words.difference(found),
        f"The same, as a difference: what the diagonal hides. 95{NARROW}% intervals",
        alt,
        spec,
        (table,),
    )


def decision_curve(_: Subject, found: Diagnostics) -> Figure | None:
    """Net benefit over thresholds."""
    told = found.decisions.curve
    known = np.isfinite(told.net_benefit)
    if not known.any():
        return None
    fewest = min(_FEWEST_FLAGGED, _LEAST_FLAGGED * found.rows)
    enough = told.threshold[(told.rows_flagged >= fewest) & known]
    last = float(enough.max()) if len(enough) else 1.0
    se = (told.high - told.low) / 2 / 1.96
    arrays = [one[known].tolist() for one in (told.threshold, told.net_benefit, se, told.treat_all)]
    t, benefit, errors, everyone = arrays
    spec = charts.decision_curve(t, benefit, errors, everyone, found.decisions.prevalence, last)
    columns = sampled([*arrays[:2], (1.96 * se[known]).tolist(), arrays[3]], _ROWS)
    table = data(
        "decisions",
        "Data of the decision curve",
        dict(zip(("threshold", "net benefit", "±", "treat all"), map(numbers, columns), strict=True)),
    )
    title = words.usefulness(found)
    alt = f"Decision curve of net benefit over thresholds, against acting on all and on none. {title}."
    subtitle = f"Decision curve{_given(found)}; shaded: gain over the better default"
    return Figure("decision_curve", title, subtitle, alt, spec, (table,))


def _given(found: Diagnostics) -> str:
    return f" at a prevalence of {percent(found.decisions.prevalence)}" if found.decisions.prevalence_given else ""


def gains(_: Subject, found: Diagnostics) -> Figure | None:
    """The share of the positives among the rows predicted highest."""
    told = found.decisions.gains
    if not len(told.share):
        return None
    spec = charts.gains(told.share.tolist(), told.captured.tolist(), found.decisions.prevalence, _TENTH)
    columns = {
        "highest": numbers(told.share[[*_GAINS]], lambda one: percent(one, 1 if one < 0.01 else 0)),
        "of the positives": numbers(told.captured[[*_GAINS]], percent),
        "lift": numbers(told.lift[[*_GAINS]], lambda one: number(one, 2)),
    }
    title = words.gains(float(told.share[_TENTH]), float(told.captured[_TENTH]), found)
    half = percent(float(np.interp(0.5, told.share, told.captured)))
    alt = f"Cumulative gains: the share of the positives among the rows predicted highest. The upper half holds {half}."
    subtitle = f"Cumulative gains{_given(found)}; grey: perfect order; dotted: by chance"
    table = data("gains", "Data of gains and lift", columns)
    return Figure("gains", title, subtitle, alt, spec, (table,))


FIGURES: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (decomposition, roc, precision_recall, reliability, difference, decision_curve, gains)
}
"""Every figure of a diagnosis, by the name that `plot` takes."""
