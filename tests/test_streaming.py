"""Exact sums of batches: the statistics of `score`, whatever the batches, their order and their arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll
from logloss.streaming import NAMES, ScoreSums

RNG = np.random.default_rng(11)
ROWS, LABELS = 300, 3
Y = RNG.integers(0, 2, (ROWS, LABELS))
X = 4 * RNG.standard_normal((ROWS, LABELS))
W = np.ldexp(RNG.random(ROWS), RNG.integers(-60, 60, ROWS))  # so far apart that sums of floats would differ


def same(a: Any, b: Any) -> bool:
    """Are all statistics the same to the bit? What is not defined is the same as what is not."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in NAMES]
    assert any(math.isfinite(one) and one for one, _ in pairs)
    return all(one == other or (one != one and other != other) for one, other in pairs)


def test_same_can_fail():
    one, other = (ScoreSums.of([1, 0], p).statistics() for p in ([0.5, 0.25], [0.5, np.nextafter(0.25, 1)]))
    assert same(one, one)
    assert not same(one, other)


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
def test_the_statistics_are_those_of_score(weight: Any):
    table = {f"y{k}": Y[:, k] for k in range(LABELS)} | {f"x{k}": X[:, k] for k in range(LABELS)}
    given: dict[str, Any] = {} if weight is None else {"weight": "w"}
    frame = pl.DataFrame(table | ({} if weight is None else {"w": weight}))
    results = ll.score(frame, target="y*", logit="x*", **given).summary.results
    sums = ScoreSums.of(Y, X, sample_weight=weight, from_logits=True)
    wanted = {one.average: one.statistics for one in results}
    assert same(sums.statistics("micro"), wanted["micro"])
    assert same(sums.statistics("macro"), wanted["macro"])
    alone = ScoreSums.of(Y[:, 0], X[:, 0], sample_weight=weight, from_logits=True).statistics()
    assert same(alone, next(one.statistics for one in results if one.label == "0"))
    assert weight is not None or alone.log_loss_low < alone.log_loss < alone.log_loss_high
    by_label = [one.statistics.log_loss for one in results if one.average is None]
    assert sums.of_labels("log_loss").tolist() == by_label


@pytest.mark.parametrize("size", [1, 7, 128])
def test_batches_and_their_order_change_no_bit(size: int):
    whole = ScoreSums.of(Y, X, sample_weight=W, from_logits=True)
    starts = RNG.permutation(range(0, ROWS, size))
    total = ScoreSums(LABELS)
    for start in starts:
        part = slice(start, start + size)
        total = total + ScoreSums.of(Y[part], X[part], sample_weight=W[part], from_logits=True)
    assert same(total.statistics(), whole.statistics())
    added = [sum(getattr(one, name) for one in (whole, total)) for name in ("counts", "overflowed", "digits")]
    assert same(ScoreSums.from_arrays(*added).statistics("macro"), (whole + total).statistics("macro"))


def test_what_is_ignored_does_not_count():
    gaps = np.where(RNG.random(Y.shape) < 0.3, -1, Y)
    sums = ScoreSums.of(gaps, X, from_logits=True, ignore_index=-1)
    for label in range(LABELS):
        kept = gaps[:, label] >= 0
        alone = ScoreSums.of(Y[kept, label], X[kept, label], from_logits=True).statistics()
        assert sums.of_labels("log_loss")[label] == alone.log_loss
    missing = ScoreSums.of(np.where(gaps < 0, np.nan, gaps), X, from_logits=True, ignore_index=math.nan)
    assert same(missing.statistics(), sums.statistics())


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_a_batch_of_nothing_changes_nothing(shape: tuple[int, ...]):
    nothing = ScoreSums.of(np.empty(shape), np.empty(shape))
    whole = ScoreSums.of(np.ones((2, *shape[1:])), np.full((2, *shape[1:]), 0.25))
    assert same((whole + nothing).statistics(), whole.statistics())


def test_a_certain_and_wrong_prediction_costs_everything():
    found = ScoreSums.of([1, 0, 1], np.array([0.0, 0.5, 0.5], np.float16)).statistics()
    assert (found.log_loss, found.infinite_rows, found.zero_rows) == (math.inf, 1, 1)
    assert found.finite_log_loss == pytest.approx(math.log(2), rel=1e-15)


REFUSALS = {
    "logits": (([1, 0], [0.5, 3.0]), {}, r"probability must be in \[0, 1\]; got 3.0 at index 1.*from_logits=True"),
    "targets": (([1, 2], [0.5, 0.5]), {}, r"targets must be in .* Use targets - 1\.$"),
    "one that does not count before one that does": (
        ([[1, -100], [1, 0]], [[0.5, 7.0], [0.5, 3.0]]), {"ignore_index": -100}, r"got 3.0 at index \(1, 1\)"
    ),
    "images": ((np.ones((2, 3, 4)), np.ones((2, 3, 4))), {}, r"Use reshape\(-1\)"),
    "weights": (([1, 0], [0.5, 0.5]), {"sample_weight": [1.0, -1.0]}, "weight must be"),
    "shapes": (([1, 0], [[0.5], [0.5]]), {}, "must both have shape"),
    "weights in words": (([1, 0], [0.5, 0.5]), {"sample_weight": ["1", "1"]}, "must hold real numbers"),
    "a switch in words": (([1, 0], [0.5, 0.5]), {"from_logits": "no"}, "from_logits must be True or False; got 'no'"),
    "weights of another shape": (([1, 0], [0.5, 0.5]), {"sample_weight": [1.0]}, "one per row"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_numbers_are_refused(case: str):
    arrays, options, said = REFUSALS[case]
    with pytest.raises(ll.InvalidInputError, match=said):
        ScoreSums.of(*arrays, **options)


def test_nothing_to_count_is_an_error():
    with pytest.raises(ll.InvalidInputError, match="positive weight"):
        ScoreSums().statistics()
    with pytest.raises(ll.InvalidInputError, match="as many labels; got 1 and 2"):
        ScoreSums() + ScoreSums(2)
