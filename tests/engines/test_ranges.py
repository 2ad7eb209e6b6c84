"""The exact decomposition by ranges of the prediction, without an engine: of parts in any order, it is the whole's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll
from diagnostics.test_ordered import several
from logloss.engines.parts import Part
from logloss.engines.ranges import Exchange, numbers
from logloss.engines.task import Task
from logloss.evaluate.ordered import WHOLE, Blocks
from logloss.evaluate.ranges import Ranges
from logloss.evaluate.state import State


def exchanged(
    parts: Sequence[pl.DataFrame], size: int, options: Mapping[str, Any]
) -> tuple[State, Ranges, pl.DataFrame, list[Any]]:
    """What an engine does: the state, its ranges, the rows of all parts in another order, and the blocks of each."""
    given = {name: one for name, one in options.items() if name != "group"}
    task = Task(given, group=options.get("group"))
    state = task.open(list(parts)).state()
    exchange = Exchange(task, Ranges.of(state, size))
    cut = [exchange.cut(Part(number, part)) for number, part in enumerate(parts)]
    assert cut[0].equals(exchange.cut(Part(0, parts[0])))  # a part that is done twice
    rows = pl.concat([pl.DataFrame(one) for one in cut]).sample(fraction=1, shuffle=True, seed=1)
    return state, exchange.ranges, rows, [exchange.pool(one.to_arrow()) for one in rows.partition_by("range")]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [1, 7, 64])
def test_parts_are_the_whole(weighted: bool, count: int) -> None:
    """Two models of two labels in two groups; the second model's predictions are shared by many rows."""
    columns, _, options = several(weighted)
    frame = pl.DataFrame(columns)
    parts = [frame[start::count] for start in range(count)]
    state, ranges, rows, blocks = exchanged(parts, 300, options)
    assert ranges.count == rows["range"].n_unique() == 16  # of each model 2,400 predictions
    assert rows.group_by("problem", "x").agg(pl.col("range").n_unique())["range"].max() == 1
    found, expected = ranges.recalibrated(state, map(numbers, blocks)), ll.score(frame, **options, corp="exact").state
    assert len(found.found) == 6
    for problems, scores in found.found.items():
        for group in (None, *expected.groups):
            place = WHOLE if group is None else state.numbered.find(group)
            assert scores[place] == pytest.approx(expected.recalibrated_at(problems, group), abs=1e-12, nan_ok=True)


def test_the_pooled_curve_is_that_of_all_rows() -> None:
    random = np.random.default_rng(3)
    z = np.concatenate([random.normal(0, 2, 3000).round(2), [-np.inf, np.inf, -0.0, 0.0, 700.0, -700.0]])
    y = (random.random(z.size) < 1 / (1 + np.exp(-0.5 * z.clip(-9, 9)))).astype(float)
    w = random.random(z.size) * 1e300
    frame = pl.DataFrame({"y": y, "z": z, "w": w})
    options = {"target": "y", "logit": "z", "weight": "w", "diagnostics": True}
    state, ranges, _, blocks = exchanged([frame[:1000], frame[1000:1000], frame[1000:]], 100, options)
    assert len(blocks) > 20
    whole, pieces = Blocks(), Blocks()
    order = np.lexsort((-y, z))
    whole.add((w * ranges.scales[0] * y)[order], w[order] * ranges.scales[0])
    for one in sorted(map(numbers, blocks), key=lambda one: one["range"][0]):
        pieces.add(one["wy"], one["w"])
    for mine, theirs in zip(pieces.sums, whole.sums, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    found = ranges.recalibrated(state, map(numbers, blocks)).of([0])
    assert found == pytest.approx(tuple(whole.scores), abs=1e-12)
    with pytest.raises(ll.InvalidInputError, match=r"must be the same both times; they were not; .*--corp grid"):
        ranges.recalibrated(state, map(numbers, blocks[1:]))
