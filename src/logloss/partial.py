"""From batches to a state: which rows are dropped, refused, counted and named in an error, on every engine alike.

A row without a label, or without its prediction, may still count for other labels; it is left out where none is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._errors import InvalidInputError
from .evaluate.plan import Domain, Plan
from .evaluate.state import InvalidRowsError, State
from .sources.batch import Batch, refuse_missing
from .sources.keys import key_columns

_ROUNDING = 1e-5
"""So far beyond 0 or 1, a probability is that: sums of float32 shares end there."""

_Rows: TypeAlias = NDArray[np.bool_]
_Wrong: TypeAlias = Iterable[tuple[str | None, _Rows]]
"""Rows that are not as they should be, for a target or (None) for all of them."""


def partial(batches: Iterable[Batch], plan: Plan) -> State:
    """The state of these batches: all that an engine has to run, wherever it runs it, and to merge.

    Raises InvalidInputError for the first batch that holds an invalid value.
    """
    state = State(plan)
    for batch in batches:
        add(state, batch)
    return state


def add(state: State, batch: Batch) -> None:
    """Add a batch to a state, which is of no further use if this raises."""
    plan = state.plan
    batch = _left_out(state, batch, (), "ignored")
    if plan.drop_missing:
        batch = _left_out(state, batch, _missing(batch, plan), "missing")
    else:
        for domain in plan.domains():
            refuse_missing(batch, domain.column, batch.gaps.get(domain.target or ""))
        if plan.cluster is not None:
            refuse_missing(batch, plan.cluster)
    if plan.drop_invalid:
        batch = _left_out(state, batch, ((one.target, _outside(batch, one)) for one in plan.domains()), "invalid")
    try:
        cluster = key_columns(batch, [plan.cluster])[0] if plan.cluster is not None else None
        numbers = {name: batch.values(name) for name in plan.numbers}
        crossed = key_columns(batch, plan.segments)
        state.add(numbers, key_columns(batch, plan.groups), batch.gaps, cluster, crossed)
    except InvalidRowsError:
        raise _refusal(batch, plan) from None


def _missing(batch: Batch, plan: Plan) -> Iterator[tuple[str | None, _Rows]]:
    """A number and a cluster must be there; where rows may be dropped, a group's value too, else it is a group."""
    for domain in plan.domains():
        if (wrong := batch.missing(domain.column)) is not None:
            yield domain.target, wrong
    for key in plan.keys:
        if (wrong := batch.missing(key, nan=True)) is not None:
            yield None, wrong


def _left_out(state: State, batch: Batch, wrong: _Wrong, reason: str) -> Batch:
    """The batch with more gaps, without the rows that are left with nothing; these are counted."""
    plan = state.plan
    gaps, nothing = dict(batch.gaps), np.zeros(batch.frame.height, np.bool_)
    for target, rows in wrong:
        if target is None:
            nothing = nothing | rows
        else:
            gaps[target] = gaps[target] | rows if target in gaps else rows
    if len(gaps) == len(plan.targets):
        nothing = nothing | np.logical_and.reduce(list(gaps.values()))
    batch = replace(batch, gaps=gaps)
    kept = batch.keep(~nothing) if nothing.any() else batch
    if kept is not batch:
        left = batch.keep(nothing)
        weights = [left.numbers(name) for name in plan.weights]
        state.drop(reason, left.frame.height, np.concatenate([np.empty(0), *weights]))
    return replace(kept, gaps={target: rows for target, rows in kept.gaps.items() if rows.any()})


def _refusal(batch: Batch, plan: Plan) -> InvalidInputError:
    """Which value, of which row, is outside its domain: the first one in the order of rows."""
    found = [(index, domain) for domain in plan.domains() if (index := _first_outside(batch, domain)) is not None]
    index, domain = min(found, key=lambda pair: pair[0])
    values = batch.numbers(domain.column)
    value = float(values[index])
    return InvalidInputError(
        f"column {domain.column!r} ({domain.role}) must be {domain.rule}; it is {value!r} {batch.place(index)}; "
        f"{_remedy_of_target(batch, plan, domain, value) or _remedy(domain, value, values)}."
    )


def _remedy(domain: Domain, value: float, values: NDArray[np.float64]) -> str:
    """What helps against this value, given those around it."""
    if math.isnan(value):
        return "fill such values in, or leave them out with invalid='drop' (--invalid drop)"
    if domain.role != "probability":
        return domain.remedy
    if 0 < max(value - 1, -value) <= _ROUNDING:
        return "if that is rounding, clip to [0, 1] before, or leave it out with invalid='drop' (--invalid drop)"
    if np.nanmin(values) >= 0 and np.nanmax(values) <= 100:
        return f"if these are percentages, divide them by 100; {domain.remedy}"
    return domain.remedy


def _remedy_of_target(batch: Batch, plan: Plan, domain: Domain, value: float) -> str:
    """What helps where targets are few outcomes, or what predictions should be; empty where neither is known."""
    if domain.role != "target" or math.isnan(value):
        return ""
    outcomes = _distinct(batch.numbers(domain.column))
    if len(outcomes) in (1, 2):
        low, high = outcomes[0], outcomes[-1]
        of_two = f"it has {low} and {high}: if {high} is the positive outcome, say positive={high} (--positive {high})"
        return of_two if 0 <= int(low) < int(high) else ""
    predicted = [one.prediction for one in plan.problems if one.target == domain.column]
    if all(np.isin(batch.numbers(one), (0, 1)).all() for one in predicted):
        return f"if target and prediction were exchanged, name them the other way round: {predicted[0]!r} has 0 and 1"
    return ""


def _distinct(values: NDArray[np.float64]) -> list[str]:
    """Whole numbers as texts in their order; none at all if another number is among them."""
    found = np.unique(values[~np.isnan(values)])
    return [str(int(one)) for one in found] if (found == np.floor(found)).all() and abs(found).max() < 2**53 else []


def _outside(batch: Batch, domain: Domain) -> _Rows:
    values = batch.numbers(domain.column)
    inside = (values >= domain.low) & (values <= domain.high)
    return ~(inside & (values == np.floor(values)) if domain.whole else inside)


def _first_outside(batch: Batch, domain: Domain) -> int | None:
    outside = _outside(batch, domain)
    if (gap := batch.gaps.get(domain.target or "")) is not None:
        outside &= ~gap
    return int(outside.argmax()) if outside.any() else None
