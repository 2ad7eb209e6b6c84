"""Several models on the same rows: side by side, and row by row against the first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import charts
from ..phrases import PLUS_MINUS, UNDEFINED, capital, listed, measured, number, p_value, percent, points, some, whole
from ..svg import short
from .across import margin
from .figures import Figure
from .sections import BETTER, Answer, Part, Section, estimate
from .subjects import Subject, column, group_name
from .tables import Cell, Column, Table, data, numbers, sampled, sortable

if TYPE_CHECKING:
    from ...evaluate.summary import Block, Estimate, MurphyDifference, Paired, Summary

_MOST_PAIRS = 6
_MOST_LINES = 24
"""Groups of a figure: those with the most rows."""

_SCALES = 1, 1000, 1000, 1000
"""Thresholds as they are, scores in thousandths."""

_NAME = 18
"""Characters of a name that fit beside a figure."""

_STATISTICS = (
    ("log loss", "log_loss"),
    ("normalized entropy", "normalized_entropy"),
    ("Brier score", "brier"),
    ("miscalibration", "miscalibration"),
    ("discrimination", "discrimination"),
    ("AUC", "auc"),
    ("average precision", "average_precision"),
)


def better(everyone: Sequence[Subject], summary: Summary) -> Section | None:
    """Which model is better?"""
    lines = [(name, block, block.statistics(-1)) for name, block in models(everyone, summary)]
    if len(lines) < 2:
        return None
    found = summary.comparisons[:_MOST_PAIRS]
    answers = [_verdict(one) for one in found] or [_by_intervals(lines)]
    explained = [
        "The models are scored on the same rows. Differences are row by row: what is hard for both is no difference."
        if found
        else "The models are scored on the same rows, so that their intervals may overlap where the difference is sure."
    ]
    explained += [_needed(one) for one in found if one.found.rows_needed]
    parts = [Part("", (), (_side_by_side(lines),))]
    parts += [Part(_name(one) if len(found) > 1 else "", tuple(_figures(one, summary))) for one in found]
    return Section("better", BETTER, tuple(answers), tuple(explained), tuple(parts))


def _name(one: Paired) -> str:
    names = f"{short(one.model.model)} against {short(one.baseline.model)}"
    return names if one.model.label is None else f"{short(one.model.label)}: {names}"


def _verdict(one: Paired) -> Answer:
    """What the interval of the difference of log losses allows to say."""
    told = one.found.log_loss
    model, baseline = short(one.model.model), short(one.baseline.model)
    about = "" if one.model.label is None else short(one.model.label)
    if not (math.isfinite(told.low) and math.isfinite(told.high)):
        return Answer(BETTER, "better", f"It cannot be said of {model} and {baseline}.", _reason(told), about=about)
    value, half = measured(told.value, (told.high - told.low) / 2, sign=True, least=3)
    numbers = (
        f"Its log loss differs by {value}{PLUS_MINUS}{half} on the same {some(one.found.rows, 'row')}{_wins(one)}."
    )
    if told.high < 0:
        return Answer(BETTER, "better", f"{model} is better than {baseline}.", numbers, about=about)
    if told.low > 0:
        return Answer(BETTER, "better", f"{model} is worse than {baseline}.", numbers, about=about)
    return Answer(BETTER, "better", f"No difference of {model} from {baseline} was found.", numbers, about=about)


def _reason(told: Estimate) -> str:
    return f"{capital(told.reason)}." if told.reason else ""


def _wins(one: Paired) -> str:
    return f"; it is closer on {percent(one.found.wins)} of them" if math.isfinite(one.found.wins) else ""


def _needed(one: Paired) -> str:
    rows = whole(one.found.rows_needed.value)
    return f"To find the difference of {short(one.model.model)} in 80 of 100 samples takes {rows} rows."


def _figures(one: Paired, summary: Summary) -> Iterator[Figure | Table]:
    if one.groups:
        yield _forest(one, summary)
    if len(one.found.murphy.threshold):
        yield _murphy(one, one.found.murphy)
    rows = []
    for title, name in _STATISTICS:
        told: Estimate = getattr(one.found, name)
        _, value, half = estimate(title, told.value, told.low, told.high, sign=True)
        rows.append((Cell(title), Cell(value), Cell(half), Cell(p_value(told.p_value))))
    columns = (Column("statistic", "text"), Column("difference"), Column("±", "margin"), Column("p"))
    subtitle = f"{short(one.model.model)} minus {short(one.baseline.model)}, row by row; 95\u00a0% intervals"
    yield Table("paired", "Differences", columns, tuple(row for row in rows if row[1].text != UNDEFINED), subtitle)


def _forest(one: Paired, summary: Summary) -> Figure:
    """The differences of the largest groups, below that of all rows."""
    largest = sorted(one.groups, key=lambda group: -group.rows)[:_MOST_LINES]
    shown = [group for group in one.groups if group in largest and math.isfinite(group.log_loss.low)]
    names = ["all rows", *(group_name(group.group, summary.plan.groups) for group in shown)]
    told = [one.found.log_loss, *(group.log_loss for group in shown)]
    values, low, high = ([1000 * float(getattr(est, part)) for est in told] for part in ("value", "low", "high"))
    sides = "better", "worse"
    spec = charts.forest(
        [short(name, _NAME) for name in names],
        values,
        low,
        high,
        title="difference of log loss, thousandths",
        sides=sides,
    )
    columns = {
        "group": names,
        "rows": [whole(one.found.rows), *(whole(group.rows) for group in shown)],
        "difference": [number(value, 3, sign=True) for value in values],
        "95 % from": [number(value, 3, sign=True) for value in low],
        "to": [number(value, 3, sign=True) for value in high],
        "p, adjusted": [p_value(one.adjusted), *(p_value(group.adjusted) for group in shown)],
    }
    title = _by_group(one)
    rest = len(one.groups) - len(shown)
    left_out = f"; {some(rest, 'smaller group')} not shown" if rest else ""
    subtitle = f"{_name(one)}, row by row, 95\u00a0% intervals{left_out}"
    alt = f"Differences of log loss in {some(len(shown), 'group')} and over all rows. {title}."
    table = data("forest", "Data of the differences by group, in thousandths", columns)
    return Figure("forest", title, subtitle, alt, spec, (table,))


def _murphy(one: Paired, told: MurphyDifference) -> Figure:
    """The difference of Murphy's diagrams."""
    arrays = [(scale * array).tolist() for scale, array in zip(_SCALES, _arrays(told), strict=True)]
    spec = charts.murphy_difference(*arrays, sides=("better", "worse"))
    columns = sampled(arrays, _MOST_LINES)
    names = ("threshold", "difference", "95 % from", "to")
    table = data(
        "murphy", "Data of the elementary scores, in thousandths", dict(zip(names, map(numbers, columns), strict=True))
    )
    title = _dominance(told)
    subtitle = f"{_name(one)}: elementary scores, of which every proper score is a mean; 95\u00a0% at each threshold"
    return Figure(
        "murphy", title, subtitle, f"Difference of elementary scores over thresholds. {title}.", spec, (table,)
    )


def _arrays(told: MurphyDifference) -> tuple[Any, ...]:
    return told.threshold, told.difference, told.low, told.high


def _dominance(told: MurphyDifference) -> str:
    """Where the model has the better elementary score, beyond chance."""
    if told.reason or not (told.better or told.worse):
        return "No threshold at which the scores differ beyond chance"
    if told.better and told.worse:
        return "Better at some thresholds, worse at others"
    return f"{'Better' if told.better else 'Worse'} wherever the scores differ beyond chance"


def _by_group(one: Paired) -> str:
    """In how many groups the model is better or worse beyond chance, after adjusting for all of them."""
    sure = [group.log_loss.value for group in one.groups if group.adjusted < 0.05]
    good, bad = sum(value < 0 for value in sure), sum(value > 0 for value in sure)
    if not sure:
        return f"In none of {some(len(one.groups), 'group')} a difference beyond chance"
    said = [f"{word} in {count:,}" for word, count in (("better", good), ("worse", bad)) if count]
    return f"{capital(listed(said))} of {some(len(one.groups), 'group')}"


def _by_intervals(lines: Sequence[tuple[str, Block, Any]]) -> Answer:
    """Without pairs: the lowest log loss, and whether the intervals keep apart."""
    best_name, _, best = min(lines, key=lambda line: (math.isnan(line[2].log_loss), line[2].log_loss))
    apart = all(best.log_loss_high < other.log_loss_low for name, _, other in lines if name != best_name)
    verdict = f"{best_name} has the lowest log loss{'' if apart else ', but not for sure'}."
    return Answer(BETTER, "better", verdict, f"{number(best.log_loss)}, of {some(len(lines), 'model')}.")


def _side_by_side(lines: Sequence[tuple[str, Block, Any]]) -> Table:
    heads = ("log loss", "±", "D²", "Brier", "AUC", "observed − predicted")
    columns = (Column("model", "text"), *map(Column, heads))
    rows = tuple(_of_model(*line) for line in lines)
    return Table("models", "Models", columns, rows, "All rows; differences in percentage points", sortable=True)


def _of_model(name: str, block: Block, s: Any) -> tuple[Cell, ...]:
    auc, shift = float(column(block, "auc")[-1]), -s.calibration_difference
    return (
        Cell(name),
        sortable(number(s.log_loss), s.log_loss),
        margin((s.log_loss_high - s.log_loss_low) / 2),
        sortable(percent(s.d2), s.d2),
        sortable(number(s.brier), s.brier),
        sortable(number(auc) if math.isfinite(auc) else UNDEFINED, auc),
        sortable(points(shift, 2), shift),
    )


def models(everyone: Sequence[Subject], summary: Summary) -> list[tuple[str, Block]]:
    """Each model's results: those of its one label, or the mean over labels."""
    if not summary.plan.has_models:
        return []
    if not summary.plan.has_labels:
        return [(one.name, one.block) for one in everyone]
    return [(short(block.model), block) for block in summary.results.blocks if block.average == "macro"]
