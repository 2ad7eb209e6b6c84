"""From batches to a state: which rows are dropped, refused, counted and named in an error, on every engine alike."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ._errors import InvalidInputError
from .evaluate.plan import Domain, Plan
from .evaluate.state import InvalidRowsError, State
from .sources.batch import Batch, Choice, complete, refuse_missing
from .sources.keys import key_columns


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
    batch = _without_missing(state, batch)
    if plan.drop_invalid:
        batch = _without_invalid(state, batch)
    try:
        cluster = key_columns(batch, [plan.cluster])[0] if plan.cluster is not None else None
        state.add({name: batch.values(name) for name in plan.numbers}, key_columns(batch, plan.groups), cluster)
    except InvalidRowsError:
        raise _refusal(batch, plan) from None


def _without_missing(state: State, batch: Batch) -> Batch:
    """A number must be there, and a cluster. A group's value need not: rows without one are a group of their own.

    Unless they are dropped.
    """
    plan = state.plan
    if not plan.drop_missing:
        refuse_missing(batch, plan.numbers, () if plan.cluster is None else (plan.cluster,))
        return batch
    return _keep(state, batch, complete(batch, plan.numbers, plan.keys), "missing")


def _without_invalid(state: State, batch: Batch) -> Batch:
    outside = [_outside(batch, domain) for domain in state.plan.domains()]
    return _keep(state, batch, ~np.logical_or.reduce(outside), "invalid")


def _keep(state: State, batch: Batch, choice: Choice, reason: str) -> Batch:
    """The rows for which the choice is true; the others are counted."""
    kept, weight = batch.keep(choice), state.plan.weight
    if kept is not batch:
        left = batch.keep(~choice)
        weights = left.numbers(weight) if weight else np.empty(0)
        state.drop(reason, left.frame.height, weights)
    return kept


def _refusal(batch: Batch, plan: Plan) -> InvalidInputError:
    """Which value, of which row, is outside its domain: the first one in the order of rows."""
    found = [(index, domain) for domain in plan.domains() if (index := _first_outside(batch, domain)) is not None]
    index, domain = min(found, key=lambda pair: pair[0])
    value = float(batch.numbers(domain.column)[index])
    return InvalidInputError(
        f"column {domain.column!r} ({domain.role}) must be {domain.rule}; it is {value!r} {batch.place(index)}; "
        f"{domain.remedy}."
    )


def _outside(batch: Batch, domain: Domain) -> NDArray[np.bool_]:
    values = batch.numbers(domain.column)
    return ~((values >= domain.low) & (values <= domain.high))


def _first_outside(batch: Batch, domain: Domain) -> int | None:
    outside = _outside(batch, domain)
    return int(outside.argmax()) if outside.any() else None
