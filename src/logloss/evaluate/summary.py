"""The result of a scoring run as plain data: all that a report reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .._kernels import threads
from .._kernels.window import LOWEST
from .averages import counted, macro, mean_over_cells, within_groups
from .averages import without_intervals as _without_intervals
from .clusters import clustered
from .diagnosed import MOST_GROUPS, Asked, over_labels
from .diagnosed import NAMES as SCALARS
from .diagnosed import of_problem as _diagnosis_of
from .diagnoses import Diagnostics, Estimate, Finding, Threshold
from .diagnostics import DIAGNOSTICS, Diagnostic, reasons
from .distribution import MurphyDifference
from .doubts import Doubt, doubts
from .findings import GROUP, SEGMENT
from .groups import Key, Values
from .paired import GroupDifference, Paired, paired
from .plan import FREQUENCY, IMPORTANCE, WEIGHT_KINDS, Plan
from .results import Block, Result, Results
from .sample import FEW_UNITS as FEW_BUCKETS
from .sample import FEWEST_UNITS as FEWEST_BUCKETS
from .scan import Scan, scan
from .segments import Segment
from .state import State
from .statistics import FEW, STATISTICS, WITHIN, Columns, Statistic, Statistics, few, ratio, statistics
from .store import Cells

__all__ = [
    "DIAGNOSTICS",
    "FEW",
    "FEWEST_BUCKETS",
    "FEW_BUCKETS",
    "FREQUENCY",
    "GROUP",
    "IMPORTANCE",
    "MOST_GROUPS",
    "SCALARS",
    "SEGMENT",
    "STATISTICS",
    "WEIGHT_KINDS",
    "Asked",
    "Block",
    "Diagnostic",
    "Diagnostics",
    "Estimate",
    "Finding",
    "GroupDifference",
    "MurphyDifference",
    "Paired",
    "Plan",
    "Result",
    "Results",
    "Scan",
    "Segment",
    "Statistic",
    "Statistics",
    "Summary",
    "Threshold",
    "Values",
    "counted",
    "few",
    "loss_so_far",
    "reasons",
    "summarize",
]

_TOGETHER = 1 << 13
"""Cells whose statistics are computed at a time: their arrays stay in the cache."""


@dataclass(frozen=True)
class Summary:
    """Where the predictions came from, how they were read, and the results: groups in order, then overall."""

    plan: Plan
    sources: tuple[str, ...]
    rows: int
    dropped: dict[str, int]
    dropped_weight: dict[str, float]
    results: Results
    clipped: int = 0  # predictions that were floored at the plan's eps
    partial: bool = False  # the run was interrupted: some rows are counted, others not
    joined: dict[str, int] = field(default_factory=dict)  # how many keys of predictions and labels matched
    skipped: tuple[str, ...] = ()  # why files were left out
    approximate: bool = False  # the sums were rounded, as a database adds
    asked: Asked = field(default_factory=Asked)  # thresholds and prevalence of diagnoses
    exact: bool = False  # plain decompositions are those of the rows in order, not of bins

    doubts: tuple[Doubt, ...] = ()  # whether columns are what they were named as

    pair: Callable[[], tuple[Paired, ...]] = field(default=tuple, compare=False, repr=False)

    @cached_property
    def comparisons(self) -> tuple[Paired, ...]:
        """Every model against the first, where pairs were kept; found when somebody asks."""
        return self.pair()

    @property
    def diagnosed(self) -> bool:
        """Whether bins were kept, so that results have diagnostics."""
        return any(block.diagnosis for block in self.results.blocks)


def summarize(
    state: State,
    sources: tuple[str, ...],
    partial: bool = False,
    skipped: tuple[str, ...] = (),
    approximate: bool = False,
    asked: Asked = Asked(),  # noqa: B008 - it cannot change
) -> Summary:
    """The summary of a state."""
    order, values = state.numbered.sorted()
    if not state.plan.groups:
        order = order[:0]
    numbered = enumerate(state.plan.problems)
    blocks = [
        block
        for model, found in groupby(numbered, key=lambda pair: pair[1].model)
        for block in _of_model(state, model, [index for index, _ in found], order, asked)
    ]
    dropped, weight = dict(state.dropped), _dropped_weight(state)
    results = Results(tuple(blocks), values)
    found = state.plan, sources, state.rows, dropped, weight, results, state.clipped, partial
    each = [block for block in blocks if block.average is None]

    def pairs() -> tuple[Paired, ...]:
        return paired(state, [one.diagnostics for one in each])

    exact = state.recalibrated is not None
    return Summary(*found, dict(state.joined), skipped, approximate, asked, exact, doubts(state), pairs)


def loss_so_far(state: State) -> tuple[float, float]:
    """(Σwl, Σw) over all problems and groups."""
    found = state.moments(range(len(state.plan.problems)), None)
    infinite = found.infinite or "wl" in found.overflowed
    return math.inf if infinite else ratio(found["wl"], found.one), ratio(found["w"], found.one)


def _dropped_weight(state: State) -> dict[str, float]:
    """The weight of the rows left out; without weights, their number."""
    if state.plan.weight is None:
        return {reason: float(rows) for reason, rows in state.dropped.items()}
    return {reason: ratio(total, 1 << -LOWEST) for reason, total in state.dropped_weight.items()}


def _of_model(
    state: State, model: str | None, problems: Sequence[int], order: NDArray[np.int64], asked: Asked
) -> Iterator[Block]:
    grouped, sums = bool(state.plan.groups), state.sums
    keys = state.groups if grouped else []
    by_label = []
    for problem in problems:

        def of_groups(places: NDArray[np.int64], problem: int = problem) -> Cells:
            return sums.cells(problem, places)

        by_label.append(_table(of_groups, order, sums.total([problem])))
        errors, buckets = _with_clusters(state, problem, by_label[-1], keys)
        block = _block(model, state.plan.problems[problem].label, None, errors, grouped)
        diagnosis = _diagnosis_of(state, problem, keys, errors, asked)
        yield replace(block, diagnosis=diagnosis, buckets=buckets, scan=_scan(state, problem, len(keys), asked.depth))
    if len(problems) > 1:
        micro = _table(lambda places: sums.total(problems, places), order, sums.total(problems))
        of = np.sum([counted(one) for one in by_label], axis=0)
        block = _block(model, None, "micro", _without_intervals(micro), grouped, of)
        yield replace(block, diagnosis=over_labels(state, problems, micro, asked))
        yield _block(model, None, "macro", macro(by_label), grouped, of)


def _scan(state: State, problem: int, groups: int, depth: int) -> Scan | None:
    """The segments that were asked for, else those of group columns, where these are several and not too many."""
    asked = bool(state.plan.segments)
    beside = "grid" in state.components and len(state.plan.groups) > 1 and groups <= MOST_GROUPS
    return Scan(lambda: scan(state, problem, depth), asked) if asked or beside else None


def _with_clusters(
    state: State, problem: int, columns: Columns, keys: Sequence[Key]
) -> tuple[Columns, NDArray[np.int64] | None]:
    """The same with errors of clusters, if there are any."""
    if "buckets" not in state.components:
        return columns, None
    found = (state.bucket_losses(problem, key) for key in (*keys, None))
    return clustered(columns, (one for one in found if one is not None))


def _table(of_groups: Callable[[NDArray[np.int64]], Cells], order: NDArray[np.int64], whole: Cells) -> Columns:
    """The statistics of all groups in order, and of the whole."""
    last = statistics(whole)
    found = {name: np.empty(len(order) + 1, column.dtype) for name, column in last.items()}

    def fill(start: int) -> None:
        for name, column in statistics(of_groups(order[start : start + _TOGETHER])).items():
            found[name][start : start + len(column)] = column

    threads.run([partial(fill, start) for start in range(0, len(order), _TOGETHER)])
    for name, column in last.items():
        found[name][-1:] = column
    if len(order):
        found[WITHIN][-1:] = within_groups({name: column[:-1] for name, column in found.items()}, last)
    return found


def _block(
    model: str | None,
    label: str | None,
    average: str | None,
    columns: Columns,
    grouped: bool,
    of_labels: NDArray[np.int64] | None = None,
) -> Block:
    if not grouped or len(columns["rows"]) < 2:
        return Block(model, label, average, columns, None, of_labels)
    groups = {name: column[:-1] for name, column in columns.items()}
    return Block(model, label, average, columns, mean_over_cells(groups), of_labels, int(counted(groups).sum()))
