"""The diagnostics of a run's results: found when somebody asks, since they cost far more than the sums they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from .auc import area
from .bins import COARSE, Bins, meant
from .cumulative import cumulative
from .diagnoses import Finding
from .diagnostics import DIAGNOSTICS, SUFFIXES, Diagnostics, diagnose, scalars
from .recalibration import difference
from .sample import Sample, Units
from .scan import DEPTH
from .state import Key, State
from .statistics import Columns
from .verdicts import findings_of_groups

MOST_GROUPS = 1000
"""Groups that are diagnosed, and tested for findings: the largest ones."""

MANY_PROBLEMS = 32
"""Models and labels above which each is diagnosed from coarse bins, and without a jackknife of rows."""

_BRIEF = ("", "_low", "_high")
_CERTAIN = ("", "_raw", "_expected")
"""Parts of a number that are not about its sampling error."""

NAMES = tuple(one.name + part for one in DIAGNOSTICS for part in one.parts)
"""The numbers of a diagnosis, in order."""


@dataclass(frozen=True)
class Asked:
    """What a person wants to know beyond what the rows say."""

    thresholds: tuple[float, ...] = ()
    prevalence: float | None = None
    depth: int = DEPTH
    """The columns that a segment fixes at most."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the bins of a block tell: of the whole, and numbers of every group."""

    find: Callable[[], Diagnostics]
    groups: Callable[[], Columns] = field(default=dict)
    """The numbers of the groups in order, without the whole; none where there are no groups."""
    shown: Callable[[], Columns] = field(default=dict)
    """What tables of many groups and labels show, which costs little: of the groups in order and of the whole."""
    accused: Callable[[], tuple[Finding, ...]] = field(default=tuple)
    """Findings about groups."""
    certain: bool = False
    """Whether only numbers are known, and not their errors: those of an average over labels."""

    @cached_property
    def whole(self) -> Diagnostics:
        """All that is known of the whole."""
        return self.find()

    @cached_property
    def scalars(self) -> Columns:
        """The numbers of the groups in order and of the whole, by name."""
        whole, groups = scalars(self.whole), self.groups()
        found = {name: np.append(groups.get(name, ()), whole[name]) for name in NAMES}
        return _without_errors(found) if self.certain else found

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of the whole, and of groups."""
        return self.whole.findings + self.accused()

    @cached_property
    def brief(self) -> Columns:
        """Observed minus predicted and AUC, with intervals, of the groups in order and of the whole."""
        return self.shown()


def of_problem(state: State, problem: int, order: Sequence[Key], rows: Columns, asked: Asked) -> Diagnosis | None:
    """The diagnosis of a problem in these groups and over all of them; None where the state has no bins."""
    if "grid" not in state.components:
        return None
    clustered = state.plan.cluster is not None

    def whole() -> Diagnostics:
        return _diagnose(*_bins(state, problem), asked, clustered, _scores(rows, -1), state.recalibrated_at([problem]))

    def largest() -> list[int]:
        found: list[int] = np.argsort(-rows["rows"][: len(order)], kind="stable")[:MOST_GROUPS].tolist()
        return found

    def groups() -> Columns:
        found = {name: np.full(len(order), math.nan) for name in NAMES}
        for place in largest():
            exact = state.recalibrated_at([problem], order[place])
            scores = _scores(rows, place) if exact else None
            one = _diagnose(state.bins(problem, order[place], relative=True), None, asked, False, scores, exact)
            for name, value in scalars(one).items():
                found[name][place] = value
        return _without_errors(found) if clustered else found

    def shown() -> Columns:
        cells = [_briefly(state.bins(problem, key, relative=True), None, False) for key in order]
        whole = _bins(state, problem) if clustered else (state.bins(problem, relative=True), None)
        found = [*(_unsure(cell) if clustered else cell for cell in cells), _briefly(*whole, clustered)]
        return {name: np.array([cell[name] for cell in found]) for name in found[-1]}

    def accused() -> tuple[Finding, ...]:
        if clustered:  # tests of groups take rows to be independent
            return ()
        tests = {}
        for key in (order[place] for place in largest()):
            name = ", ".join(f"{a} = {b}" for a, b in zip(state.plan.groups, key, strict=True))
            tests[name] = _test(state.bins(problem, key, relative=True))
        return findings_of_groups({name: test for name, test in tests.items() if test is not None})

    return Diagnosis(whole, groups, shown, accused)


def over_labels(state: State, problems: Sequence[int], rows: Columns, asked: Asked) -> Diagnosis | None:
    """That of all labels of a model together, each label of a row as a row of its own: numbers without errors."""
    if "grid" not in state.components:
        return None

    def whole() -> Diagnostics:
        total = state.bins(problems[0], relative=True)
        for problem in problems[1:]:
            more = state.bins(problem, relative=True)
            assert total is not None
            assert more is not None
            total = meant(total + more, state.plan.weight_kind)
        exact = state.recalibrated_at(problems)
        return _diagnose(total, None, asked, False, _scores(rows, -1) if exact else None, exact)

    unknown = np.full(len(rows["rows"]) - 1, math.nan)
    return Diagnosis(whole, lambda: dict.fromkeys(NAMES, unknown), certain=True)


_Pair = tuple[float, float]
"""Of log loss and of the Brier score."""


def _scores(rows: Columns, place: int) -> _Pair:
    return float(rows["log_loss"][place]), float(rows["brier"][place])


def _briefly(bins: Bins | None, buckets: Bins | None, clustered: bool) -> dict[str, float]:
    assert bins is not None
    sample = Sample(bins.occupied, Units.of(buckets) if clustered and buckets is not None else None, clustered)
    found = {"observed_minus_predicted": difference(sample), "auc": area(sample)}
    return {name + end: float(getattr(one, SUFFIXES[end])) for name, one in found.items() for end in _BRIEF}


def _test(bins: Bins | None) -> Any:
    """What findings about groups read of a diagnosis: a test of calibration, and the difference of the means."""
    assert bins is not None
    sample = Sample(bins.occupied, None, False)
    if not sample.bins.w.size:
        return None
    calibration = SimpleNamespace(ecce_sigma=cumulative(sample).sigma, difference=difference(sample))
    return SimpleNamespace(rows=int(bins.rows.sum()), base_rate=sample.bins.base_rate, calibration=calibration)


def _unsure(found: dict[str, float]) -> dict[str, float]:
    """Without errors: those of groups are not known where rows depend on each other."""
    return {name: math.nan if name.endswith(("_low", "_high")) else value for name, value in found.items()}


def _bins(state: State, problem: int) -> tuple[Bins | None, Bins | None]:
    """The bins of a problem and its buckets; of very many problems coarse ones, and buckets of clusters alone."""
    bins = state.bins(problem, relative=True)
    many = len(state.plan.problems) > MANY_PROBLEMS
    if many and bins is not None:
        bins = bins.coarser(COARSE)
    without = many and state.plan.cluster is None
    return bins, None if without else state.bucket_bins(problem, relative=True)


def _diagnose(
    bins: Bins | None,
    buckets: Bins | None,
    asked: Asked,
    clustered: bool = False,
    scores: _Pair | None = None,
    exact: _Pair | None = None,
) -> Diagnostics:
    assert bins is not None
    of: Any = {"thresholds": asked.thresholds, "prevalence": asked.prevalence, "clustered": clustered}
    return diagnose(bins, buckets, **of, scores=scores, exact=exact)


def _without_errors(found: Columns) -> Columns:
    unknown = {one.name + part for one in DIAGNOSTICS for part in one.parts if part not in _CERTAIN}
    return {name: np.full(len(values), math.nan) if name in unknown else values for name, values in found.items()}
