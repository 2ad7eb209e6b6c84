"""The result of a scoring run as plain data: all that a report reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from .plan import Plan
from .state import Key, State
from .statistics import FEW, Statistics, macro, ratio, statistics, without_intervals
from .sums import exponent_of_unit

__all__ = ["FEW", "Plan", "Result", "Statistics", "Summary", "summarize"]


@dataclass(frozen=True)
class Result:
    """The statistics of one model and label in one group, or over all groups (group None).

    Over all labels of a model there are two averages: "micro" counts every label of every row as a row, "macro" is the
    plain mean over labels.
    """

    model: str | None
    label: str | None
    average: str | None
    group: Key | None
    statistics: Statistics


@dataclass(frozen=True)
class Summary:
    """Where the predictions came from, how they were read, and the results: groups in order, then overall."""

    plan: Plan
    sources: tuple[str, ...]
    rows: int
    dropped: dict[str, int]
    dropped_weight: dict[str, float]
    results: tuple[Result, ...]
    clipped: int = 0  # predictions that were floored at the plan's eps
    partial: bool = False  # the run was interrupted: some rows are counted, others not


def summarize(state: State, sources: tuple[str, ...], partial: bool = False) -> Summary:
    """The summary of a state."""
    groups = [*state.groups, None] if state.plan.groups else [None]
    numbered = enumerate(state.plan.problems)
    results = [
        result
        for model, found in groupby(numbered, key=lambda pair: pair[1].model)
        for result in _of_model(state, model, [index for index, _ in found], groups)
    ]
    dropped, weight = dict(state.dropped), _dropped_weight(state)
    return Summary(state.plan, sources, state.rows, dropped, weight, tuple(results), state.clipped, partial)


def _dropped_weight(state: State) -> dict[str, float]:
    """The weight of the rows left out; without weights, their number."""
    if state.plan.weight is None:
        return {reason: float(rows) for reason, rows in state.dropped.items()}
    return {reason: ratio(total, 1 << exponent_of_unit(0)) for reason, total in state.dropped_weight.items()}


def _of_model(
    state: State, model: str | None, problems: Sequence[int], groups: Sequence[Key | None]
) -> Iterator[Result]:
    labels = [state.plan.problems[problem].label for problem in problems]
    by_group: dict[Key | None, list[Statistics]] = {group: [] for group in groups}
    for problem, label in zip(problems, labels, strict=True):
        everything = state.moments([problem], None)
        parts = chain(state.moments_of_groups(problem) if state.plan.groups else [], [everything])
        for group, part in zip(groups, parts, strict=True):
            found = statistics(part)
            by_group[group].append(found)
            yield Result(model, label, None, group, found)
    if len(problems) > 1:
        for group in groups:
            yield Result(model, None, "micro", group, without_intervals(statistics(state.moments(problems, group))))
        for group in groups:
            yield Result(model, None, "macro", group, macro(by_group[group]))
