"""Probabilities floored on request: the probability given to what happened is at least eps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bins import Floats, logit

if TYPE_CHECKING:
    from .._kernels.layout import Operand


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
    crossed: NDArray[np.int64] | None = None
    """The number of each row's intersection, where there are segments."""
    bins: NDArray[np.uint16] | None = None
    """Where there are components of bins, the room for the bin of each row: moments are added first, and find it."""

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.ends[-1]) if self.ends.size else 0

    @property
    def soft(self) -> bool:
        """Whether a target is neither 0 nor 1."""
        return self.targets.dtype.kind == "f" and not ((self.targets == 0) | (self.targets == 1)).all()

    def owners(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """For every row, that of these which stands at its segment's place."""
        return np.repeat(cells, np.diff(self.ends, prepend=0))

    def operands(self) -> tuple[Operand, Operand, Operand]:
        """Predictions, targets and weights as kernels take them."""
        from .._kernels.layout import NOTHING, operand

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
        of_rows: Any = (None if one is None else one[choice] for one in (self.weights, self.units, self.crossed))
        weights, units, crossed = of_rows
        x, y = self.predictions[choice], self.targets[choice]
        return Rows(x, self.logits, y, weights, counts[self.ends], units, crossed)


def floored(rows: Rows, eps: float) -> tuple[Iterator[Rows], int]:
    """The same rows with p at least eps where the target is above 0, and 1 - p where it is below 1; how many changed.

    The other rows keep their predictions: a certain and right one stays certain. Rows with 1 - p = eps come as logits,
    since no float64 near 1 has a complement of just that.
    """
    low, high = _outside(rows, eps)
    changed = int(low.sum() + high.sum())
    if not changed:
        return iter([rows]), 0
    return iter([_raised(rows, low, eps).where(~high), _lowered(rows, eps).where(high)]), changed


def floored_together(rows: Rows, others: Rows, eps: float) -> Iterator[tuple[Rows, Rows]]:
    """The same of two models' predictions for the same rows, in parts in which each is of one kind."""
    both = [(one, *_outside(one, eps)) for one in (rows, others)]
    kinds = [{False: _raised(one, low, eps), True: _lowered(one, eps)} for one, low, _ in both]
    for mine, theirs in itertools.product((False, True), repeat=2):
        chosen = (both[0][2] == mine) & (both[1][2] == theirs)
        if chosen.any():
            yield kinds[0][mine].where(chosen), kinds[1][theirs].where(chosen)


def _outside(rows: Rows, eps: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where p is to be raised to eps, and where 1 - p is; what is no probability at all is left as it is."""
    p, y = rows.predictions.astype(np.float64, copy=False), rows.targets
    return (p >= 0) & (p < eps) & (y > 0), (p <= 1) & (1 - p < eps) & (y < 1)


def _raised(rows: Rows, low: NDArray[np.bool_], eps: float) -> Rows:
    return replace(rows, predictions=np.where(low, eps, rows.predictions.astype(np.float64, copy=False)))


def _lowered(rows: Rows, eps: float) -> Rows:
    return replace(rows, predictions=np.full(rows.targets.shape, -logit(eps)), logits=True)
