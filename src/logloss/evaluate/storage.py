"""States as JSON: readable, safe to load from anyone, and the same bytes for the same state.

A sum is written exactly, as hexadecimal digits and a power of two: "-1f3p-40" is -0x1f3 · 2^-40.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .._kernels.window import LOWEST
from . import sums
from .buckets import Buckets
from .components import COMPONENTS
from .grid import Grid
from .groups import Key, key_of, plain
from .intersections import Intersections
from .plan import IMPORTANCE, Plan, Problem
from .state import REASONS, State

_UNIT = -LOWEST

FORMAT, VERSIONS = "logloss state", (1, 2)
"""The version rises when an older reader would misread a file: 2 has missing and infinite group values, labels with
gaps, weights that are no importances, or components other than moments. A state without these is still written as 1."""


def dumps(state: State, sources: tuple[str, ...]) -> str:
    """The state, and the names of what was added to it, as JSON text."""
    order, _ = state.numbered.sorted()
    keys = state.groups
    others = {name: one.dump(order) for name, one in state.components.items() if name != "moments"}
    plan = dataclasses.asdict(state.plan)
    for problem in plan["problems"]:
        if problem["weight"] is None:  # as in the first files
            del problem["weight"]
        if not problem["shift"]:
            del problem["shift"]
    values = {value for key in keys for value in key if value is None or isinstance(value, float)}
    gaps = state.rows != state.sums.rows
    important = state.plan.weight_kind == IMPORTANCE
    finite = all(value is not None and math.isfinite(value) for value in values)
    usual = important and not gaps and not others and finite
    if not others:
        del plan["components"]
    if important:
        del plan["weight_kind"]
    for name in ("cluster", "segments"):  # as a reader knows it that knows none
        if not plan[name]:
            del plan[name]
    document = {
        "format": FORMAT,
        "version": VERSIONS[0] if usual else VERSIONS[1],
        "sources": list(sources),
        "plan": plan,
        "dropped": state.dropped,
        "dropped_weight": {reason: sums.to_text(total, -_UNIT) for reason, total in state.dropped_weight.items()},
        "clipped": state.clipped,
        "joined": state.joined,
        **({"rows": state.rows} if gaps else {}),
        "cells": [
            {"problem": problem, "group": plain(key), **cell}
            for problem, cells in enumerate(state.sums.dump(order))
            for key, cell in zip(keys, cells, strict=True)
        ],
        **({"components": others} if others else {}),
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str, name: str) -> tuple[State, tuple[str, ...]]:
    """The state and sources that `dumps` wrote. Raises InvalidInputError, naming the file, if the text is not that."""
    try:
        return _loads(text.encode())
    except (ValueError, LookupError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidInputError(
            f"{name} must be a state that logloss saved; it is not ({reason}); name a file that --save-state wrote."
        ) from error


def _loads(content: bytes) -> tuple[State, tuple[str, ...]]:
    from . import documents

    _require_version(documents.decode(content, documents.Head))
    document = documents.decode(content, documents.State)
    plan = _plan(document.plan)
    keys, cells = _arranged(document.cells, plan)
    state = State(plan)
    numbers = state.numbered.of_keys(keys)
    if not np.array_equal(numbers, np.arange(len(keys))):
        raise ValueError("a group is there twice")
    for component in plan.components:
        kind = COMPONENTS[component]
        data = cells if component == "moments" else documents.decode(document.components[component], kind.document())
        state.components[component] = kind.load(plan, data, len(keys))
    _require_same_rows(state)
    state.dropped = {reason: getattr(document.dropped, reason) for reason in REASONS}
    for reason in REASONS:
        mantissa, exponent = sums.from_text(getattr(document.dropped_weight, reason))
        if mantissa < 0 or not sums.is_possible(mantissa, exponent):
            raise ValueError("the weight of rows left out is none")
        state.dropped_weight[reason] = sums.shifted(mantissa, exponent + _UNIT)
    state.rows = _rows(document)
    state.clipped = document.clipped
    state.joined = dict(document.joined)
    return state, tuple(document.sources)


def _rows(document: Any) -> int:
    """The rows added: those of the first problem, unless labels have gaps."""
    by_problem = [0] * len(document.plan.problems)
    for cell in document.cells:
        by_problem[cell.problem] += cell.counts[0]
    rows = by_problem[0] if document.rows is None else document.rows
    if not max(by_problem) <= rows <= sum(by_problem):
        raise ValueError(f"it has {rows} rows, and labels of {min(by_problem)} to {max(by_problem)}")
    return int(rows)


def _require_same_rows(state: State) -> None:
    """Refuse components that tell of different rows."""
    for problem in range(len(state.plan.problems)):
        rows = state.sums.rows_of(problem)
        for component in state.components.values():
            if isinstance(component, (Grid, Buckets, Intersections)) and component.rows(problem) != rows:
                raise ValueError("its components tell of different rows")


def _require_version(head: Any) -> None:
    if head.format != FORMAT:
        raise ValueError(f"its format is {head.format!r}")
    if head.version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise ValueError(f"its version is {head.version}, and this program reads versions {known}")


def _plan(document: Any) -> Plan:
    import msgspec

    values = msgspec.to_builtins(document)
    unknown = {*document.components} - {*COMPONENTS}
    if unknown or "moments" not in document.components or len({*document.components}) < len(document.components):
        raise ValueError(
            f"its components are {', '.join(document.components)}; this program knows {', '.join(COMPONENTS)}"
        )
    problems = tuple(Problem(**problem) for problem in values["problems"])
    if len(set(problems)) < len(problems):
        raise ValueError("a problem is there twice")
    several = {name: tuple(values[name]) for name in ("groups", "components", "segments")}
    return Plan(**{**values, "problems": problems, **several})


def _arranged(cells: Sequence[Any], plan: Plan) -> tuple[list[Key], list[list[Any]]]:
    """The groups in their order, and the cells by problem and group: exactly one for each, so that none is made up."""
    keys: dict[Key, int] = {}
    by_problem: list[dict[Key, Any]] = [{} for _ in plan.problems]
    for cell in cells:
        key = key_of(cell.group)
        if len(key) != len(plan.groups) or cell.problem >= len(plan.problems):
            raise ValueError(f"a cell does not fit the plan: problem {cell.problem}, group {cell.group}")
        keys.setdefault(key, len(keys))
        by_problem[cell.problem][key] = cell
    if len(cells) != len(keys) * len(plan.problems) or any(len(found) < len(keys) for found in by_problem):
        raise ValueError("it must have one cell for every problem and group")
    return list(keys), [[found[key] for key in keys] for found in by_problem]
