"""Tests of segments with few events, all at once, by what calibrated predictions would give (Westfall and Young 1993).

The range of a Brownian motion describes cumulated errors from about 10 expected events on. For fewer the outcomes
themselves are drawn: of the n rows of a cell and bin with mean prediction p̄, Bin(n, p̄) are positive, and a segment's
T* is computed from its cells as its T is. A segment is adjusted by how often the largest T* of all of them reaches its
own T. Segments share cells, and their T* rise and fall together: so the adjustment is no larger than it must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bins import Floats, Integers, Occupied

__all__ = ["MaxT", "max_t"]

MOST_DRAWS, FEWEST_DRAWS, WORK, SEED = 999, 199, 1e7, 23
"""So many draws, or fewer where more numbers than WORK would have to be drawn."""
_TOGETHER = 64
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class MaxT:
    """p-values of each segment alone, and adjusted for all that were drawn together."""

    alone: Floats
    adjusted: Floats
    draws: int


@dataclass(frozen=True, eq=False)
class _Member:
    """A segment's atoms in order of the prediction, and where each of its bins begins among them."""

    atoms: Integers
    starts: Integers
    scale: float


def max_t(cells: Sequence[Occupied], members: Sequence[Sequence[int]], tests: Sequence[float]) -> MaxT:
    """The p-values of tests of segments, given their cells: `members` are numbers of these, `tests` ECCE in σ.

    Rows have the weight 1, and targets are 0 or 1.
    """
    used = sorted({number for one in members for number in one})
    sizes = [cells[number].place.size for number in used]
    firsts = dict(zip(used, np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist(), strict=True))
    rows = np.concatenate([cells[number].rows for number in used])
    p = np.concatenate([cells[number].p for number in used])
    places = np.concatenate([cells[number].place for number in used])
    chosen = [_member(one, firsts, cells, places, rows * p * (1 - p)) for one in members]
    draws = int(np.clip(WORK / rows.size, FEWEST_DRAWS, MOST_DRAWS))
    observed = np.asarray(tests) * (1 - _ROUNDING)
    alone, adjusted = np.zeros(len(members)), np.zeros(len(members))
    random = np.random.RandomState(SEED)  # whose stream NumPy has promised never to change
    for start in range(0, draws, _TOGETHER):
        count = min(_TOGETHER, draws - start)
        apart = random.binomial(rows, p, (count, rows.size)) - rows * p
        by_chance = np.stack([_range_in_sigma(apart, one) for one in chosen])
        alone += (by_chance >= observed[:, None]).sum(axis=1)
        adjusted += (by_chance.max(axis=0) >= observed[:, None]).sum(axis=1)
    return MaxT((1 + alone) / (draws + 1), (1 + adjusted) / (draws + 1), draws)


def _member(
    numbers: Sequence[int], firsts: dict[int, int], cells: Sequence[Occupied], places: Integers, variance: Floats
) -> _Member:
    atoms = np.concatenate([np.arange(firsts[one], firsts[one] + cells[one].place.size) for one in numbers])
    atoms = atoms[np.argsort(places[atoms], kind="stable")]
    starts = np.flatnonzero(np.diff(places[atoms], prepend=-1))
    return _Member(atoms, starts, float(np.sqrt(variance[atoms].sum())))


def _range_in_sigma(apart: Floats, one: _Member) -> Floats:
    """ECCE in σ of each draw: rows of one bin are added before errors are cumulated, since their order says nothing."""
    curves = np.cumsum(np.add.reduceat(apart[:, one.atoms], one.starts, axis=1), axis=1)
    found: Floats = (np.maximum(curves.max(axis=1), 0.0) - np.minimum(curves.min(axis=1), 0.0)) / one.scale
    return found
