"""The sections of a report: the questions in order, each with its figures, tables and a few sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..phrases import NARROW, UNDEFINED, listed, measured, number, p_value, percent, probability, some
from . import figures, words
from .figures import Figure
from .subjects import Subject
from .tables import Cell, Column, Table, pairs

if TYPE_CHECKING:
    from ...evaluate.summary import Diagnostics, Estimate, Finding, Threshold

_MOST_LINES = 2
MOST_SUBJECTS, FIRST_SUBJECTS = 14, 6
"""Models and labels that get figures each; of more, the first six do, and all others stand in tables: a megabyte."""


@dataclass(frozen=True)
class Answer:
    """A question, and what this report says to it: verdict, numbers, and the finding that says more."""

    question: str
    section: str
    verdict: str
    numbers: str = ""
    code: str = ""
    about: str = ""
    """Which of several models or labels it is said of."""

    @property
    def bold(self) -> str:
        """What is printed first."""
        return f"{self.about}: {self.verdict}" if self.about else self.verdict


@dataclass(frozen=True)
class Part:
    """Figures and tables of one of several models or labels; a section of one has one part without a name."""

    name: str
    items: tuple[Figure | Table, ...]
    wide: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Section:
    """A question with all that answers it."""

    key: str
    question: str
    answers: tuple[Answer, ...]
    paragraphs: tuple[str, ...]
    parts: tuple[Part, ...]
    small: tuple[Table, ...] = field(default=())
    """Tables beside the paragraphs."""


GOOD, CALIBRATED, WHOM = "Is it good?", "Is it calibrated?", "For whom not?"
_LOG_LOSS = (
    "Log loss is the mean of −log of the probability that was given to what happened: 0 is perfect, and the base rate "
    "alone is the yardstick."
)
USEFUL, CHANGED, BETTER = "Useful at my threshold?", "Has it changed?", "Which model is better?"


def good(shown: Sequence[Subject], everyone: Sequence[Subject]) -> Section:
    """Is it good?"""
    key = "good"
    few = len(everyone) <= _MOST_LINES
    answers = [
        answer(GOOD, key, one, words.goodness(one.statistics, one.diagnostics if few else None), "LL2" if few else "")
        for one in everyone
    ]
    parts = tuple(
        Part(one.name, tuple(_made(one, "decomposition", "@scores", "roc", "precision_recall"))) for one in shown
    )
    return Section(key, GOOD, together(answers), tuple(_about_loss(shown)), parts)


def answer(question: str, key: str, one: Subject, said: tuple[str, str], codes: str = "") -> Answer:
    """What is said of a subject, with the first finding whose code begins like this."""
    verdict, numbers = said
    found = (told.code for told in findings(one) if told.code.startswith(codes)) if codes else ()
    code = next(iter(found), "")
    return Answer(question, key, verdict, numbers, f"{one.key}-{code}" if code else "", one.name)


def together(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """Of more than two models or labels, a line for each verdict with the names that it holds for."""
    if len(answers) <= _MOST_LINES:
        return tuple(answers)
    names: dict[str, list[str]] = {}
    for one in answers:
        names.setdefault(one.verdict.split(",")[0].rstrip("."), []).append(one.about)
    first = answers[0]
    return tuple(
        Answer(first.question, first.section, f"{verdict}:", f"{listed(of, 8)}.") for verdict, of in names.items()
    )


def findings(one: Subject) -> Sequence[Finding]:
    """What is worth a word about a subject."""
    return one.block.findings


def _made(one: Subject, *names: str) -> list[Figure | Table]:
    """The figures of these names that there is data for; "@scores" is the table of scores."""
    found: list[Figure | Table] = []
    for name in names:
        if name == "@scores":
            found.append(_scores(one))
        elif one.diagnostics is not None:
            figure = figures.FIGURES[name](one, one.diagnostics)
            found += [figure] if figure else []
    return found


def _about_loss(shown: Sequence[Subject]) -> list[str]:
    first = shown[0].statistics
    if len(shown) > 1 or not math.isfinite(first.log_loss) or not first.normalized_entropy > 0:
        return [_LOG_LOSS]
    base = first.log_loss / first.normalized_entropy
    change = base - first.log_loss
    less = f"{number(abs(change))} {'less' if change >= 0 else 'more'}"
    told = [
        f"The base rate alone costs {number(base)} nats a row. The predictions cost {number(first.log_loss)}: {less}."
    ]
    found = shown[0].diagnostics
    if found is not None:
        parts = found.decomposition.log_loss
        cost, gain = words.parts(found)
        if math.isfinite(parts.miscalibration.value):
            sure = "" if parts.miscalibration.distinguishable else ", and that may be chance"
            told.append(f"Recalibration could win back about {number(cost)}{sure}.")
            told.append(
                f"The remaining {number(parts.uncertainty - gain)} is what these predictions cannot tell apart."
            )
    return told


def _scores(one: Subject) -> Table:
    """The scores of all rows with their margins."""
    s = one.statistics
    rows = [
        estimate("log loss", s.log_loss, s.log_loss_low, s.log_loss_high),
        estimate("D², share removed", s.d2, s.d2_low, s.d2_high),
        estimate("Brier score", s.brier, s.brier_low, s.brier_high),
    ]
    if one.diagnostics is not None:
        told = one.diagnostics.discrimination
        named = [("AUC", told.auc), ("average precision", told.average_precision), ("KS", told.ks)]
        rows += [estimate(name, it.value, it.low, it.high) for name, it in named]
    return pairs("scores", "Scores of all rows", rows, ("statistic", "estimate", "±"))


def estimate(
    name: str, value: float, low: float, high: float, *, scale: float = 1, sign: bool = False, least: int = 3
) -> tuple[str, str, str]:
    """A row of a small table."""
    if not high - low > 0 or math.isinf(high - low):
        digits = 4 if scale == 1 else least if high == low else 2
        return name, number(value * scale, digits, sign=sign), ""
    shown, half = measured(value * scale, (high - low) / 2 * scale, sign=sign, least=least)
    return name, shown, words.span(low * scale, high * scale) if words.lopsided(value, low, high) else half


def calibrated(shown: Sequence[Subject]) -> Section:
    """Is it calibrated?"""
    key = "calibrated"
    told = [(one, one.diagnostics) for one in shown if one.diagnostics is not None]
    answers = tuple(answer(CALIBRATED, key, one, words.calibration(found), "LL1") for one, found in told)
    several = len(told) > 1
    parts = tuple(
        Part(one.name, (*_made(one, "reliability", "difference"), *([_calibration(found)] if several else [])))
        for one, found in told
    )
    small = () if several else tuple(_calibration(found) for _, found in told)
    paragraphs = [_about_calibration(found) for _, found in told[:1]] if not several else []
    explained = (
        "Calibrated predictions come true as often as they say. Size and evidence are two things: with many rows the "
        "smallest error is beyond chance, with few rows a large one is not."
    )
    return Section(key, CALIBRATED, together(answers), (*paragraphs, explained), parts, small)


def _about_calibration(found: Diagnostics) -> str:
    groups = found.calibration.groups
    above = int((groups.observed > groups.predicted).sum())
    places = f"Observed shares lie above predicted ones in {above} of {some(len(groups.predicted), 'group')}."
    return f"{places} {words.evidence(found)}"


def _calibration(found: Diagnostics) -> Table:
    """The numbers of calibration."""
    told, shift = found.calibration, found.calibration.difference
    rows = [
        estimate("observed − predicted, points", shift.value, shift.low, shift.high, scale=100, sign=True, least=1),
        estimate("intercept (0)", told.intercept.value, told.intercept.low, told.intercept.high, sign=True),
        estimate("slope (1)", told.slope.value, told.slope.low, told.slope.high),
        _debiased("mean error (ICI), points", told.ici),
        _debiased("90 % of rows below, points", told.e90),
        _debiased("mean error of groups (ECE), points", told.ece),
        ("largest sum of errors (ECCE), σ", number(told.ecce_sigma.value, 1), ""),
        ("its p", p_value(told.ecce_sigma.p_value), ""),
    ]
    return pairs("calibration", "Calibration", rows)


def _debiased(name: str, one: Estimate) -> tuple[str, str, str]:
    return name, number(100 * one.value, 2), ""


def useful(shown: Sequence[Subject]) -> Section | None:
    """Useful at my threshold?"""
    key = "useful"
    told = [(one, one.diagnostics) for one in shown if one.diagnostics is not None]
    if not told:
        return None
    answers = tuple(answer(USEFUL, key, one, words.usefulness_answer(found), "LL4") for one, found in told)
    several = len(told) > 1
    tables = [_gained(found.decisions.thresholds) for _, found in told]
    parts = tuple(
        Part(
            one.name,
            (*_made(one, "decision_curve", "gains"), *([table] if several else [])),
            (_thresholds(found.decisions.thresholds),),
        )
        for (one, found), table in zip(told, tables, strict=True)
    )
    explained = (
        f"A threshold of t says that a false alarm costs t{NARROW}÷{NARROW}(1{NARROW}−{NARROW}t) of a hit. Net benefit "
        "counts hits less false alarms at that price, per row. It is compared with acting on all rows and on none."
    )
    first = "If only so many rows can be acted on, gains say how many of the positives the highest predictions hold."
    return Section(key, USEFUL, together(answers), (explained, first), parts, () if several else tuple(tables))


def _gained(thresholds: Sequence[Threshold]) -> Table:
    rows = []
    for one in thresholds:
        better = one.gain_over_all if one.gain_over_all.value < one.net_benefit.value else one.net_benefit
        rows.append(estimate(probability(one.threshold), better.value, better.low, better.high, scale=1000, least=0))
    subtitle = "Hits more per 1,000 rows, net, than the better of acting on all and on none"
    return pairs("gained", "What is gained", rows, ("threshold", "gain", "±"), subtitle)


def _thresholds(thresholds: Sequence[Threshold]) -> Table:
    titles = ["threshold", "flagged", "sensitivity", "specificity", "PPV", "NPV", "net benefit", "±"]
    rows = []
    for one in thresholds:
        rates = (one.flagged, one.sensitivity, one.specificity, one.ppv, one.npv)
        _, value, half = estimate("", one.net_benefit.value, one.net_benefit.low, one.net_benefit.high)
        shown = [
            probability(one.threshold),
            *(percent(rate.value) if rate else UNDEFINED for rate in rates),
            value,
            half,
        ]
        rows.append(tuple(map(Cell, shown)))
    columns, subtitle = tuple(map(Column, titles)), f"Flagged: p{NARROW}≥{NARROW}threshold"
    return Table("thresholds", "Thresholds", columns, tuple(rows), subtitle, 0, rising=True, sortable=True)
