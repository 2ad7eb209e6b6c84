"""The results of a run, kept as arrays and seen one by one: a million groups cost what their numbers cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .diagnosed import Diagnosis
from .diagnoses import Diagnostics, Finding
from .groups import Key, Values
from .scan import Scan
from .statistics import STATISTICS, Columns, Statistics


@dataclass(frozen=True)
class Result:
    """The statistics of one model and label in one group, or over all groups (group None).

    Over all labels of a model there are two averages: "micro" counts every label of every row as a row, "macro" is the
    plain mean over labels. `over_groups` tells totals from groups: "all" counts all rows of all groups, "mean" is the
    plain mean over groups; None is a group, or a run without groups. Averages say how many labels they are of, and
    means over groups how many groups: those in which something counts.
    """

    model: str | None
    label: str | None
    average: str | None
    group: Key | None
    statistics: Statistics
    over_groups: str | None = None
    of_labels: int | None = None
    of_groups: int | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """The results of one model and label, or of an average over labels: in every group, over all, and their mean."""

    model: str | None
    label: str | None
    average: str | None
    columns: Columns
    """The groups in order, and behind them the whole."""
    mean: Columns | None
    """The mean over groups, if there are some."""
    of_labels: NDArray[np.int64] | None = None
    """Of an average over labels, of how many in every group, and over all."""
    of_groups: int | None = None
    """Over how many groups the mean is."""
    diagnosis: Diagnosis | None = None
    buckets: NDArray[np.int64] | None = None
    """How many buckets of clusters have rows, where intervals are those of clusters."""
    scan: Scan | None = None
    """The segments of the columns that were named for them, else of several group columns."""

    @property
    def diagnostics(self) -> Diagnostics | None:
        """What the bins of the whole tell; None where none were kept."""
        return self.diagnosis.whole if self.diagnosis else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of the whole, of groups and of segments; none where no bins were kept."""
        of_segments = self.scan.findings if self.scan else ()
        return (self.diagnosis.findings if self.diagnosis else ()) + of_segments

    @property
    def scalars(self) -> Columns:
        """The numbers of diagnoses, of the groups in order and of the whole; none where no bins were kept."""
        return self.diagnosis.scalars if self.diagnosis else {}

    def statistics(self, place: int) -> Statistics:
        """Those of a group, or of the whole."""
        return _statistics(self.columns, place)


def _statistics(columns: Columns, place: int) -> Statistics:
    values = {name: column[place].item() for name, column in columns.items()}
    return Statistics(**{name: math.nan if value != value else value for name, value in values.items()})


@dataclass(frozen=True, eq=False)
class Results(Sequence[Result]):
    """All results in order: by model, each label's groups and then the whole, then the averages over labels."""

    blocks: tuple[Block, ...]
    groups: tuple[Values, ...]
    """The values of the group columns, for every group in order; none where there are no group columns."""
    means: tuple[Result, ...] = field(init=False)
    """The mean over groups of every block."""

    def __post_init__(self) -> None:
        means = [(block, _statistics(block.mean, 0)) for block in self.blocks if block.mean]
        found = (Result(b.model, b.label, b.average, None, one, "mean", of_groups=b.of_groups) for b, one in means)
        object.__setattr__(self, "means", tuple(found))

    @cached_property
    def keys(self) -> list[Key]:
        """The groups in order."""
        return list(zip(*(column.to_list() for column in self.groups), strict=True))

    @property
    def per_block(self) -> int:
        """How many results a block has."""
        return len(self.blocks[0].columns["rows"])

    def __len__(self) -> int:
        return len(self.blocks) * self.per_block

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Result, ...]: ...
    def __getitem__(self, index: int | slice) -> Result | tuple[Result, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        number, place = divmod(index % len(self), self.per_block)
        return self.result(self.blocks[number], place)

    def result(self, block: Block, place: int) -> Result:
        """A block's result: that of a group, or the last one, the whole."""
        whole = place == self.per_block - 1
        over = "all" if whole and self.groups else None
        key = None if whole else self.keys[place]
        of = None if block.of_labels is None else int(block.of_labels[place])
        return Result(block.model, block.label, block.average, key, block.statistics(place), over, of)

    def __iter__(self) -> Iterator[Result]:
        return (result for block in self.blocks for result in self.of(block))

    def of(self, block: Block) -> Iterator[Result]:
        """A block's results: its groups in order, and the whole."""
        return (self.result(block, place) for place in range(self.per_block))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Results):
            return tuple(self) == other if isinstance(other, tuple) else NotImplemented
        mine, theirs = ([(b.model, b.label, b.average) for b in one.blocks] for one in (self, other))
        return (mine, self.keys) == (theirs, other.keys) and all(
            _same(one.columns[statistic.name], two.columns[statistic.name])
            for one, two in zip(self.blocks, other.blocks, strict=True)
            for statistic in STATISTICS
        )

    __hash__ = None  # type: ignore[assignment]


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether all numbers are the same; what is not defined is the same as what is not defined."""
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
