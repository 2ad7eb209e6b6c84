"""States as JSON: readable, safe to load, and the same bytes for the same state.

A sum is written exactly, as hexadecimal digits and a power of two: "-1f3p-40" is -0x1f3 · 2^-40.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .._errors import InvalidInputError
from .moments import UNWEIGHTED_TERMS, WEIGHTED_TERMS
from .plan import Plan, Problem
from .state import REASONS, Cell, State
from .sums import exponent_of_unit, shifted

_UNIT = exponent_of_unit(0)

FORMAT, VERSION = "logloss state", 1
"""The version rises when an older reader would misread a file."""


def dumps(state: State, sources: tuple[str, ...]) -> str:
    """The state, and the names of what was added to it, as JSON text."""
    terms = WEIGHTED_TERMS if state.plan.weight else UNWEIGHTED_TERMS
    document = {
        "format": FORMAT,
        "version": VERSION,
        "sources": list(sources),
        "plan": dataclasses.asdict(state.plan),
        "dropped": state.dropped,
        "dropped_weight": {reason: _to_text(sum_, -_UNIT) for reason, sum_ in state.dropped_weight.items()},
        "clipped": state.clipped,
        "cells": [_cell_to_json(cell, terms) for cell in state.cells()],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str, name: str) -> tuple[State, tuple[str, ...]]:
    """The state and sources that `dumps` wrote. Raises InvalidInputError, naming the file, if the text is not that."""
    try:
        document = json.loads(text)
        _require_version(document)
        plan = _plan(document["plan"])
        terms = WEIGHTED_TERMS if plan.weight else UNWEIGHTED_TERMS
        cells = [_cell_from_json(cell, terms) for cell in document["cells"]]
        state = State.of(plan, cells)
        state.dropped = {reason: int(document["dropped"][reason]) for reason in REASONS}
        for reason, text_ in document.get("dropped_weight", {}).items():
            mantissa, exponent = _from_text(text_)
            state.dropped_weight[reason] = shifted(mantissa, exponent + _UNIT)
        state.clipped = int(document.get("clipped", 0))  # files of before there was an eps
        return state, tuple(document["sources"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidInputError(
            f"{name} must be a state that logloss saved; it is not ({reason}); name a file that --save-state wrote."
        ) from error


def _require_version(document: dict[str, Any]) -> None:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}")
    if document["version"] != VERSION:
        raise ValueError(f"its version is {document['version']}, and this program reads version {VERSION}")


def _cell_to_json(cell: Cell, terms: tuple[str, ...]) -> dict[str, Any]:
    return {
        "problem": cell.problem,
        "group": list(cell.group),
        "counts": list(cell.counts),
        "overflowed": [name for bit, name in enumerate(terms) if cell.overflows >> bit & 1],
        "sums": {name: _to_text(*value) for name, value in zip(terms, cell.sums, strict=True)},
    }


def _cell_from_json(cell: dict[str, Any], terms: tuple[str, ...]) -> Cell:
    return Cell(
        problem=int(cell["problem"]),
        group=tuple(cell["group"]),
        counts=[int(count) for count in cell["counts"]],
        overflows=sum(1 << terms.index(name) for name in cell["overflowed"]),
        sums=[_from_text(cell["sums"][name]) for name in terms],
    )


def _plan(document: dict[str, Any]) -> Plan:
    problems = tuple(Problem(**problem) for problem in document["problems"])
    return Plan(**{**document, "problems": problems, "groups": tuple(document["groups"])})


def _to_text(mantissa: int, exponent: int) -> str:
    zeros = (mantissa & -mantissa).bit_length() - 1 if mantissa else 0
    return f"{mantissa >> zeros:x}p{exponent + zeros if mantissa else 0}"


def _from_text(text: str) -> tuple[int, int]:
    mantissa, _, exponent = text.partition("p")
    return int(mantissa, 16), int(exponent)
