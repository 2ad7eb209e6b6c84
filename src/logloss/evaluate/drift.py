"""What changed between two states: the distribution of predictions, and every statistic.

    PSI = Σ (a_i - b_i) log(a_i / b_i)

over cells cut at the deciles of the earlier state. Without any change PSI / (1/n + 1/m) is χ² with B - 1 degrees, so
that its mean, (B - 1)(1/n + 1/m), is taken off: with many cells and few rows it alone passes every customary limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .bins import Bins, Floats, Integers, Occupied, sigmoid
from .diagnoses import Diagnostics, Estimate
from .diagnostics import DIAGNOSTICS
from .sample import NO_ROWS, compared, interval, missing
from .tails import chi_squared

__all__ = ["Drift", "change", "drift", "stability"]

CELLS = 10
ROWS_A_CELL = 50


@dataclass(frozen=True, eq=False)
class Drift:
    """What changed between two states: later minus earlier."""

    psi: Estimate
    """Population stability index, debiased; `raw` is the plain one."""
    edges: Floats
    """Probabilities at which the cells of the index begin and end."""
    before: Floats
    """Share of rows in each cell."""
    after: Floats
    changes: Mapping[str, Estimate] = field(default_factory=dict)
    """Statistics' changes, by the names of `DIAGNOSTICS` and of whatever else was given."""


def _effective(bins: Occupied) -> float:
    return bins.weight**2 / float(bins.ww.sum())


def _cuts(bins: Occupied, cells: int) -> Integers:
    """The places where cells begin, but the first: as near to equal weight as bins allow."""
    share = np.cumsum(bins.w) / bins.weight
    places = np.searchsorted(share, np.arange(1, cells) / cells - 1e-12)
    found: Integers = np.unique(bins.place[np.minimum(places, bins.place.size - 1)] + 1)
    inner: Integers = found[found <= bins.place[-1]]
    return inner


def stability(before: Bins, after: Bins) -> Drift:
    """The index and its cells."""
    count = min(before.count, after.count)
    a, b = after.coarser(count).occupied, before.coarser(count).occupied
    empty = np.empty(0)
    if not a.w.size or not b.w.size:
        return Drift(missing(NO_ROWS), empty, empty, empty)
    n, m = _effective(a), _effective(b)
    cells = min(CELLS, int(min(n, m) / ROWS_A_CELL))
    if cells < 2:
        reason = f"an index takes {2 * ROWS_A_CELL} rows in both states; there are {min(n, m):.0f}"
        return Drift(missing(reason), empty, empty, empty)
    cuts = _cuts(b, cells)
    if not cuts.size:
        return Drift(missing("all earlier predictions lie in one bin"), empty, empty, empty)
    counts = [
        np.bincount(np.searchsorted(cuts, one.place, side="right"), one.w, cuts.size + 1) / one.weight * rows
        for one, rows in ((a, n), (b, m))
    ]
    note = ""
    if any((one == 0).any() for one in counts):
        counts = [one + 0.5 for one in counts]
        note = "a cell is empty: half a row was added to every one"
    shares = [one / one.sum() for one in counts]
    edges = np.concatenate([[0.0], sigmoid((cuts - 1) * (64 / count) - 32), [1.0]])
    return Drift(_index(shares[0], shares[1], n, m, note), edges, shares[1], shares[0])


def _index(a: Floats, b: Floats, n: float, m: float, note: str) -> Estimate:
    """The index with its error: that of each state's shares, and of the χ² itself."""
    raw, unit, degrees = float(np.sum((a - b) * np.log(a / b))), 1 / n + 1 / m, a.size - 1

    def variance(own: Floats, other: Floats, rows: float) -> float:
        slope = np.log(own / other) + 1 - other / own
        return float(np.sum(own * slope**2) - np.sum(own * slope) ** 2) / rows

    se = math.sqrt(max(variance(a, b, n) + variance(b, a, m), 0.0) + 2 * degrees * unit**2)
    expected, p_value = degrees * unit, chi_squared(raw / unit, degrees)
    note = "; ".join(filter(None, ["" if p_value < 0.05 else "not distinguishable from no change", note]))
    return interval(
        raw - expected, se, raw=raw, expected=expected, p_value=p_value, method=f"{a.size} cells", note=note
    )


def change(before: Estimate, after: Estimate) -> Estimate:
    """Later minus earlier, of different rows: SE² adds."""
    if before.reason or after.reason:
        return missing(before.reason or after.reason)
    value = after.value - before.value
    if not math.isfinite(value):
        return missing("the loss is infinite in one of the states")
    if not (before.se >= 0 and after.se >= 0):
        return Estimate(value, note="without an interval, since one of the two has none")
    return compared(interval(value, math.hypot(before.se, after.se), method="independent states"))


def drift(
    before: Bins,
    after: Bins,
    found: tuple[Diagnostics, Diagnostics],
    others: Mapping[str, tuple[Estimate, Estimate]] | None = None,
) -> Drift:
    """The index, and the changes of all statistics that have an error.

    Args:
        before: bins of the earlier state.
        after: bins of the later one.
        found: the diagnoses of the earlier and the later.
        others: statistics that no diagnosis has, as log_loss, of the earlier and the later.
    """
    index = stability(before, after)
    pairs = {one.name: (one.find(found[0]), one.find(found[1])) for one in DIAGNOSTICS if "_se" in one.parts}
    changes = {name: change(*pair) for name, pair in {**(others or {}), **pairs}.items()}
    return Drift(index.psi, index.edges, index.before, index.after, changes)
