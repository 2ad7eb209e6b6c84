"""Predictions corrected for how their model was trained: on a share of the negatives, or with weighted positives.

A well-specified model that learnt from a share r of the negatives, with positives of weight a, has odds a / r times too
high, so that its logits are corrected by log r - log a (`logloss.correct_prior`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .clip import Rows
from .plan import Problem

CORRECTED = "corrected"


def correction(negative_rate: Any, pos_weight: Any) -> float:
    """What is added to logits. Raises InvalidInputError for a rate outside (0, 1] or a weight that is none."""
    if negative_rate is not None and not (isinstance(negative_rate, Real) and 0 < float(negative_rate) <= 1):
        raise InvalidInputError(
            f"negative_rate must be in (0, 1]; got {negative_rate!r}; give the share of negatives kept in training."
        )
    if pos_weight is not None and not (isinstance(pos_weight, Real) and 0 < float(pos_weight) < math.inf):
        raise InvalidInputError(
            f"pos_weight must be positive and finite; got {pos_weight!r}; give the one that training used."
        )
    return math.log(1 if negative_rate is None else negative_rate) - math.log(1 if pos_weight is None else pos_weight)


def both(problems: list[Problem], shift: float) -> Iterator[Problem]:
    """The problems as they are, and then all of them corrected."""
    yield from (replace(one, model=one.model or "as predicted") for one in problems)
    for one in problems:
        yield replace(one, model=f"{one.model} {CORRECTED}" if one.model else CORRECTED, shift=shift)


def shifted(rows: Rows, shift: float) -> Rows:
    """The rows with corrected predictions, as logits."""
    if not shift:
        return rows
    if rows.logits:
        return replace(rows, predictions=rows.predictions.astype(np.float64) + shift)
    from .._kernels import grid, layout

    logits = np.empty(rows.predictions.size)
    grid.logits_of(layout.operand(rows.predictions, "f").place, shift, logits)
    return replace(rows, predictions=logits, logits=True)
