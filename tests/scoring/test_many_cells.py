"""Statistics of many cells, computed as arrays, have the digits of exact integers, on usual and on extreme cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from logloss.evaluate import cells as cells_module
from logloss.evaluate.statistics import STATISTICS, statistics
from logloss.scores import score

pytestmark = pytest.mark.numerical

CERTAIN = [0.0, 1.0, 0.5, 1e-6, 2.0**-20]
HEAVY = [0.0, 0.25, 1e6]
EXTREME = [5e-324, 1e-300, 2.0**-53]
"""Beyond a state's usual window: there the integers do it all."""


def table(seed: int, rows: int, groups: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(rows) < 0.02, rng.choice(CERTAIN + EXTREME * (seed == 7), rows), rng.random(rows))
    p = np.round(p, 1) if seed % 3 == 0 else p
    y = (rng.random(rows) < rng.choice([0.01, 0.5])).astype(float)
    y = np.where(rng.random(rows) < 0.1, rng.random(rows), y) if seed % 2 else y
    w = np.where(rng.random(rows) < 0.05, rng.choice(HEAVY + EXTREME * (seed == 7), rows), rng.exponential(3, rows))
    return {"y": y, "p": p, "w": w, "g": rng.integers(0, groups, rows)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("weight", [None, "w"])
def test_arrays_have_the_digits_of_integers(seed: int, weight: str | None, monkeypatch: pytest.MonkeyPatch):
    state = score(table(seed, 4_000, 900), target="y", probability="p", weight=weight, group="g").state
    cells = state.sums.cells(0, state.numbered.sorted()[0])
    found = statistics(cells)
    monkeypatch.setattr(cells_module, "_FEW", 10**9)  # integers only
    exact = statistics(cells)
    for one in STATISTICS:
        np.testing.assert_array_equal(found[one.name], exact[one.name], err_msg=one.name)


@pytest.mark.parametrize("rows", [20, 8])
def test_integers_decide_what_is_open(rows: int, monkeypatch: pytest.MonkeyPatch):
    """Of usual cells few are left to the integers, so that arrays are worth it, and some are, so that both count.

    Sums of few numbers often lie halfway between two float64; that is no reason to ask.
    """
    state = score(table(2, 2_000 * rows, 2_000), target="y", probability="p", group="g").state
    cells, asked = state.sums.cells(0, state.numbered.sorted()[0]), []
    original = cells_module.Quotients._integers

    def counted(self: Any, places: Any) -> Any:
        asked.append(len(places))
        return original(self, places)

    monkeypatch.setattr(cells_module.Quotients, "_integers", counted)
    statistics(cells)
    assert 0 < sum(asked) < 0.002 * len(asked) * len(cells)


def test_the_mean_over_groups():
    found = score(
        {"y": [1, 0, 1], "p": [0.5, 0.25, 0.25], "g": ["a", "a", None]}, target="y", probability="p", group="g"
    )
    (mean,) = found.summary.results.means
    assert mean.statistics.rows == 3
    assert mean.statistics.brier == ((0.25 + 0.0625) / 2 + 0.5625) / 2
    assert math.isnan(mean.statistics.brier_se)
    assert [one.group for one in found.summary.results] == [("a",), (None,), None]
    assert [one.over_groups for one in found.summary.results] == [None, None, "all"]


def test_values_of_several_types_are_one_group_whatever_comes_first():
    parts: list[dict[str, Any]] = [
        {"y": [1], "p": [0.5], "g": np.array([1])},
        {"y": [1], "p": [0.5], "g": np.array([1.0])},
        {"y": [1], "p": [0.5], "g": np.array([math.nan])},
    ]
    scores = [score(part, target="y", probability="p", group="g") for part in parts]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        total = type(scores[0].state)(scores[0].state.plan)
        for at in order:
            total.merge(scores[at].state)
        assert str(total.groups) == "[(1.0,), (None,)]"
