"""A summary as flat columns, one value per result: what CSV, JSON lines, Parquet and data frames are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..evaluate.summary import SCALARS, STATISTICS, Summary, Values

NAMES = ("model", "label", "average")
"""What a result is about, besides its group."""

OVER = "over_groups"
"""The column that tells totals ("all") from groups, where there are groups."""

OF_LABELS, OF_GROUPS = "of_labels", "of_groups"
"""How many labels an average is over, and how many groups a mean."""
BUCKETS = "cluster_buckets"
"""The column that says from how many buckets of clusters the errors come, where there are clusters."""

KEYS = "keys_"
"""What the columns begin with that say how many keys of predictions and labels matched, where they were joined."""


class GroupColumn:
    """The values of a group column: those of the groups, and nothing for the whole, once for each block."""

    def __init__(self, values: Values, blocks: int) -> None:
        self.values = values
        self.blocks = blocks

    def tolist(self) -> list[Any]:
        """The values as Python's, None for the whole."""
        return [*self.values.to_list(), None] * self.blocks


class Counts(list[int | None]):
    """Numbers, some of which are missing."""

    def tolist(self) -> list[int | None]:
        """The numbers as Python's."""
        return self


def columns(summary: Summary) -> dict[str, Any]:
    """Arrays, or what has `tolist`, by name. Those of an interrupted run have one more, "partial"."""
    results, groups = summary.results, summary.plan.groups
    blocks, size = results.blocks, results.per_block
    found: dict[str, Any] = {}
    if summary.partial:
        found["partial"] = np.full(len(results), fill_value=True)
    for name in NAMES:
        found[name] = np.repeat(np.array([getattr(block, name) for block in blocks], object), size)
    if any(block.of_labels is not None for block in blocks):
        of = ([None] * size if block.of_labels is None else block.of_labels.tolist() for block in blocks)
        found[OF_LABELS] = Counts(count for counts in of for count in counts)
    for name, values in zip(groups, results.groups, strict=True):
        found[_free(name)] = GroupColumn(values, len(blocks))
    if groups:
        found[OVER] = np.array([*[None] * (size - 1), "all"] * len(blocks), object)
    for one in STATISTICS:
        found[one.name] = np.concatenate([block.columns[one.name] for block in blocks])
    if any(block.buckets is not None for block in blocks):
        found[BUCKETS] = np.concatenate([_or_missing(block.buckets, size) for block in blocks])
    if summary.diagnosed:
        for name in SCALARS:
            found[name] = np.concatenate([_or_missing(block.scalars.get(name), size) for block in blocks])
    for name, count in summary.joined.items():
        found[f"{KEYS}{name}"] = np.full(len(results), count)
    return found


def _or_missing(values: Any, size: int) -> Any:
    return np.full(size, np.nan) if values is None else values


def _free(name: str) -> str:
    """A group column's name, unless a statistic or another column has it already."""
    taken = {"partial", OVER, OF_LABELS, BUCKETS, *NAMES, *(one.name for one in STATISTICS), *SCALARS}
    return f"group_{name}" if name in taken else name


def portable(value: Any) -> Any:
    """The value with "inf", "-inf" and "nan" for the floats that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
