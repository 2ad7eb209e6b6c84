"""Probabilities floored on request: the probability given to what happened is at least eps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .bins import logit

if TYPE_CHECKING:
    from .._kernels.scoring import Operand

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows sorted by group, as the kernel takes them."""

    predictions: Floats
    logits: bool
    targets: Floats
    weights: Floats | None
    ends: NDArray[np.int64]
    units: NDArray[np.uint8] | None = None
    """The bucket of each row's cluster, where there are clusters."""
    bins: NDArray[np.uint16] | None = None
    """Where there are components of bins, the room for the bin of each row: moments are added first, and find it."""

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.ends[-1]) if self.ends.size else 0

    def owners(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """For every row, that of these which stands at its segment's place."""
        return np.repeat(cells, np.diff(self.ends, prepend=0))

    def operands(self) -> tuple[Operand, Operand, Operand]:
        """Predictions, targets and weights as kernels take them."""
        from .._kernels.scoring import NOTHING, operand

        w = NOTHING if self.weights is None else operand(self.weights, "f")
        return operand(self.predictions, "f"), operand(self.targets, "biuf"), w

    @property
    def place_of_bins(self) -> int:
        """The address of the bins, or 0."""
        from .._kernels.layout import address

        return 0 if self.bins is None else address(self.bins)

    def where(self, choice: NDArray[np.bool_]) -> Rows:
        """The rows for which the choice is true."""
        counts = np.concatenate([[0], np.cumsum(choice)])
        weights = None if self.weights is None else self.weights[choice]
        units = None if self.units is None else self.units[choice]
        return Rows(self.predictions[choice], self.logits, self.targets[choice], weights, counts[self.ends], units)


def floored(rows: Rows, eps: float) -> tuple[Iterator[Rows], int]:
    """The same rows with p at least eps where the target is above 0, and 1 - p where it is below 1; how many changed.

    The other rows keep their predictions: a certain and right one stays certain. Rows with 1 - p = eps come as logits,
    since no float64 near 1 has a complement of just that.
    """
    p, y = rows.predictions.astype(np.float64, copy=False), rows.targets
    low = (p >= 0) & (p < eps) & (y > 0)
    high = (p <= 1) & (1 - p < eps) & (y < 1)
    changed = int(low.sum() + high.sum())
    if not changed:
        return iter([rows]), 0
    raised = replace(rows, predictions=np.where(low, eps, p)).where(~high)
    logits = np.full(p.shape, -logit(eps))
    lowered = replace(rows, predictions=logits, logits=True).where(high)
    return iter([raised, lowered]), changed
