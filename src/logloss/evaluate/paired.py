"""Every model against the first one on the same rows: over all of them, and per group.

With t = w(l - l') of a row, the difference of log losses and its error for independent rows are

    D = Σt / Σw        SE² = (Σt² - 2D Σwt + D² Σw²) / (Σw)² · n/(n - 1)

and for clusters those of the buckets' sums. Tests of groups and labels are adjusted together (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .buckets import Buckets, Losses
from .comparison import Comparison, Model, compare, holm
from .corp import entropy
from .diagnoses import Estimate
from .groups import Key
from .pairs import Differences, Pairs
from .plan import PRECISION, Problem
from .sample import INFINITE, NO_ROWS, compared, interval, missing, spread, too_few
from .state import State


@dataclass(frozen=True)
class GroupDifference:
    """The difference of two models in one group."""

    group: Key
    rows: int
    log_loss: Estimate
    normalized_entropy: float
    """The difference of these: for its size; what is tested is log loss."""
    adjusted: float = math.nan
    """The p-value, adjusted for all groups and labels."""


@dataclass(frozen=True)
class Paired:
    """A model against the baseline, of one label."""

    model: Problem
    baseline: Problem
    found: Comparison
    groups: tuple[GroupDifference, ...]
    adjusted: float = math.nan
    """The p-value of the difference of log losses, adjusted for all models and labels."""


def paired(state: State, diagnoses: Sequence[object]) -> tuple[Paired, ...]:
    """All comparisons of a state with pairs, given the diagnoses of its problems."""
    component = state.components.get("pairs")
    if not isinstance(component, Pairs):
        return ()
    problems = state.plan.problems
    found = [
        Paired(
            problems[model],
            problems[baseline],
            _whole(state, component, number, (diagnoses[model], diagnoses[baseline])),
            tuple(_of_groups(state, component, number)),
        )
        for number, (model, baseline) in enumerate(component.pairs)
    ]
    wholes = holm([one.found.log_loss.p_value for one in found])
    tested = holm([group.log_loss.p_value for one in found for group in one.groups])
    return tuple(
        replace(
            one,
            adjusted=wholes[place],
            groups=tuple(replace(group, adjusted=tested.pop(0)) for group in one.groups),
        )
        for place, one in enumerate(found)
    )


def _whole(state: State, pairs: Pairs, number: int, diagnoses: tuple[object, object]) -> Comparison:
    model, baseline = pairs.pairs[number]
    clustered = isinstance(state.components.get("buckets"), Buckets)
    buckets = (
        (state.bucket_bins(model, relative=True), state.bucket_bins(baseline, relative=True))
        if clustered
        else pairs.buckets(number) or (None, None)
    )
    weight = _weight(state, model, None)
    sums = _differences(state, pairs, number, None, weight)
    first, second = (
        Model(_bins(state, problem), some, diagnosis)  # type: ignore[arg-type]
        for problem, some, diagnosis in zip((model, baseline), buckets, diagnoses, strict=True)
    )
    independent = _independent(sums, *weight)
    found = compare(
        first,
        second,
        independent_se=independent.se if independent.se > 0 else None,
        clustered=clustered,
        wins=sums.wins / weight[1],
        losses=sums.defeats / weight[1],
    )
    if clustered:
        return replace(found, log_loss=_clustered(state, model, baseline, None))
    return replace(found, log_loss=independent) if independent else found


def _bins(state: State, problem: int) -> object:
    return state.bins(problem, relative=True)


def _of_groups(state: State, pairs: Pairs, number: int) -> Iterator[GroupDifference]:
    if not state.plan.groups:
        return
    model, baseline = pairs.pairs[number]
    clustered = isinstance(state.components.get("buckets"), Buckets)
    for group in state.groups:
        rows, w, ww, q = weight = _weight(state, model, group)
        sums = _differences(state, pairs, number, group, weight)
        found = _clustered(state, model, baseline, group) if clustered else _independent(sums, rows, w, ww, q)
        height = entropy(q) if 0 < q < 1 else math.nan
        yield GroupDifference(group, rows, found, found.value / height)


_Weight = tuple[int, float, float, float]
"""(rows, Σw, Σw², base rate), as weights of this kind mean them."""


def _weight(state: State, problem: int, group: Key | None) -> _Weight:
    found = state.moments([problem], group)
    w, ww = (found[name] / found.one for name in ("w", "ww"))
    if state.plan.weight_kind == PRECISION and found.rows:
        ww *= w / found.rows
    return found.rows, w, ww, found["wy"] / found["w"] if found["w"] else math.nan


def _differences(state: State, pairs: Pairs, number: int, group: Key | None, weight: _Weight) -> Differences:
    """The sums of a pair in a group, or over all; those of squares as weights of this kind mean them."""
    found = pairs.differences(number, None if group is None else state.numbered.find(group))
    _, w, ww, _ = weight
    if state.plan.power != 1 or not w > 0:
        return found
    return replace(found, tt=found.tt * (ww / w), wt=found.t * (ww / w))


def _independent(sums: Differences, rows: int, w: float, ww: float, _: float) -> Estimate:
    """The difference of log losses if rows are independent."""
    if sums.beyond:
        return missing(f"one loss is infinite: {INFINITE}")
    if not w > 0:
        return missing(NO_ROWS)
    value = sums.t / w
    if rows < 2:
        return Estimate(value, note="one row has no error")
    variance = (sums.tt / w / w - 2 * value * (sums.wt / w / w) + value * value * (ww / w / w)) * rows / (rows - 1)
    found = interval(value, math.sqrt(max(variance, 0.0)), degrees=w / ww * w - 1, method="pairs of rows")
    return compared(found, degrees=w / ww * w - 1)


def _clustered(state: State, model: int, baseline: int, group: Key | None) -> Estimate:
    """The same with the error of clusters."""
    one, other = state.bucket_losses(model, group), state.bucket_losses(baseline, group)
    assert isinstance(one, Losses)
    assert isinstance(other, Losses)
    if one.beyond.any() or other.beyond.any():
        return missing(f"one loss is infinite, or above 1,024: {INFINITE}")
    w = float(one.w.sum())
    if not w > 0:
        return missing(NO_ROWS)
    apart = one.wl - other.wl
    value, count = float(apart.sum()) / w, one.rows.size
    if why := too_few(count):
        return Estimate(value, note=why)
    found = interval(
        value, spread((apart - value * one.w) / w), degrees=count - 1.0, method=f"{count} buckets of clusters"
    )
    return compared(found, degrees=count - 1.0)
