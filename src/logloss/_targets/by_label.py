"""Positives in the order of their labels: a range of labels is then a range of positives.

Losses that compute their own logits take labels by chunks, a chunk as a matrix of (labels, rows).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array
from .positives import Positives


class Columns(Positives):
    """The targets of some labels as a matrix (labels, rows), of which kernels ask for pieces."""

    __slots__ = ("_offset",)

    def __init__(self, places: Array, offset: int, shape: tuple[int, int]) -> None:
        """`places`: label·rows + row of every positive, sorted; the matrix begins at `offset`."""
        self.shape, self._places, self._offset = shape, places, offset

    def places(self, start: int, stop: int) -> Array:
        """Where the positives among the elements start..stop are, counted along the rows (what kernels ask for)."""
        return super().places(start + self._offset, stop + self._offset) - self._offset


class ByLabel:
    """Positives of (rows, labels), sorted by label."""

    def __init__(self, row: Any, label: Any, shape: tuple[int, int]) -> None:
        self.shape, self.rows = shape, max(shape[0], 1)
        self.places: Array = np.sort(label * self.rows + row)

    @classmethod
    def of(cls, positives: Positives) -> ByLabel:
        """Positives as they are given."""
        row = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))
        return cls(row, np.asarray(positives.indices), positives.shape)

    def columns(self, low: int, high: int) -> Columns:
        """The targets of labels low..high."""
        return Columns(self.places, low * self.rows, (high - low, self.shape[0]))

    def range_of(self, low: int, high: int) -> slice:
        """Where the positives of labels low..high stand among all."""
        first, last = np.searchsorted(self.places, (low * self.rows, high * self.rows))
        return slice(int(first), int(last))

    def pairs(self, low: int, high: int) -> tuple[Array, Array]:
        """(label, counted from low, and row) of every positive of labels low..high."""
        label, row = np.divmod(self.places[self.range_of(low, high)] - low * self.rows, self.rows)
        return label, row
