"""What a report is about: each model and label, with its groups, as the summary has them."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..svg import short

if TYPE_CHECKING:
    from ...evaluate.summary import Block, Diagnostics, Statistics, Summary

_WHEN = re.compile(r"\d{4}(-?(W|Q)\d{1,2}|-\d{2}(-\d{2}([T ]\d{2}(:\d{2}){0,2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?)?)?")
_YEARS = range(1900, 2200)


@dataclass(frozen=True)
class Subject:
    """A model's predictions of one label (or an average over labels), with names that are safe to show."""

    key: str
    """What ids of its figures begin with."""
    name: str
    """Which of several it is; empty where there is one."""
    target: str
    prediction: str
    block: Block
    statistics: Statistics

    @property
    def diagnostics(self) -> Diagnostics | None:
        """What its bins tell; found when it is asked for."""
        return self.block.diagnostics


def subjects(summary: Summary) -> list[Subject]:
    """All models and labels, in order; without averages over labels."""
    blocks = [block for block in summary.results.blocks if block.average is None]
    return [
        _subject(place, block, problem, summary)
        for place, (block, problem) in enumerate(zip(blocks, summary.plan.problems, strict=True))
    ]


def _subject(place: int, block: Block, problem: Any, summary: Summary) -> Subject:
    names = [problem.model if summary.plan.has_models else None, problem.label if summary.plan.has_labels else None]
    name = " · ".join(short(one) for one in names if one is not None)
    target, prediction = short(problem.target), short(problem.prediction)
    return Subject(f"s{place}", name, target, prediction, block, block.statistics(-1))


def group_name(key: Sequence[Any], columns: Sequence[str]) -> str:
    """A group as "sex = 2 · race = 1"."""
    return " · ".join(f"{short(column, 32)} = {_value(value)}" for column, value in zip(columns, key, strict=True))


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return repr(value) if value in ("", "null") else short(value, 48)


def are_times(keys: Sequence[Sequence[Any]]) -> bool:
    """Whether the groups are windows of time: values of one column, all of them dates, times, months or years."""
    values = [key[0] for key in keys if len(key) == 1 and key[0] is not None]
    return len(values) > 1 and len(values) == len(keys) and all(map(_is_time, values))


def _is_time(value: Any) -> bool:
    if isinstance(value, dt.date):
        return True
    if isinstance(value, int) and not isinstance(value, bool):
        return value in _YEARS
    return isinstance(value, str) and _WHEN.fullmatch(value) is not None and int(value[:4]) in _YEARS


def column(block: Block, name: str) -> Any:
    """A statistic of all groups and the whole; NaN where this run did not find it."""
    if name in block.columns:
        return block.columns[name]
    brief = block.diagnosis.brief if block.diagnosis else {}
    return brief.get(name, np.full(len(block.columns["rows"]), math.nan))
