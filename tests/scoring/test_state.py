"""The laws of the additive state: nothing about how rows come in can change a bit of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logloss import _errors
from logloss._kernels import scoring, threads
from logloss.engines import local
from logloss.evaluate.moments import MomentSums
from logloss.evaluate.plan import Plan, Problem
from logloss.evaluate.state import State
from logloss.evaluate.store import Moments
from logloss.scores import score
from logloss.sources import frames
from logloss.sources.batch import Batch

PLAN = Plan((Problem("y", "p"),), weight="w", groups=("g",))
ROW = st.tuples(
    st.floats(0, 1),
    st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-300, 1 - 2.0**-53]),
    st.floats(0, 1e200),
    st.sampled_from(["a", "b", "c"]),
)
ROWS = st.lists(ROW, max_size=30)


def table(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    schema = {"y": pl.Float64, "p": pl.Float64, "w": pl.Float64, "g": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def state(rows: Sequence[tuple[Any, ...]], size: int = 1000, plan: Plan = PLAN) -> State:
    frame = table(rows)
    batches = (Batch(frame[i : i + size], "rows", i) for i in range(0, frame.height, size))
    return local.partial(batches, plan)


def merged(*states: State) -> State:
    total = State(states[0].plan)
    for one in states:
        total.merge(one)
    return total


def content(one: State) -> list[Any]:
    """All that a state holds, as exact numbers without a unit."""
    cells = [(problem, group) for problem in range(len(one.plan.problems)) for group in [*one.groups, None]]
    return [(*cell, numbers(one.moments([cell[0]], cell[1]))) for cell in cells]


def numbers(m: Moments) -> tuple[Any, ...]:
    return m.rows, m.infinite, m.zero, m.one_, m.overflowed, *((value << 1088) // m.one for value in m.sums.values())


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merging_is_associative_and_commutative(a: list[Any], b: list[Any], c: list[Any]):
    whole = content(state([*a, *b, *c]))
    assert content(merged(merged(state(a), state(b)), state(c))) == whole
    assert content(merged(state(a), merged(state(b), state(c)))) == whole
    assert content(merged(state(c), state(b), state(a))) == whole


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_the_empty_state_is_neutral(rows: list[Any]):
    whole = content(state(rows))
    assert content(merged(State(PLAN), state(rows))) == whole
    assert content(merged(state(rows), State(PLAN))) == whole


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 7), st.randoms())
def test_batches_and_order_do_not_matter(rows: list[Any], size: int, random: Any):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert content(state(shuffled, size)) == content(state(rows))


def test_merging_leaves_the_other_state_as_it_was():
    a, b = state([(1.0, 0.5, 1.0, "a")]), state([(1.0, 0.25, 1e300, "b")])
    before = content(b)
    merged(a, b)
    a.merge(b)
    assert content(b) == before


@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_do_not_matter(acs: pl.DataFrame, count: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "BATCH_ROWS", 10_000)
    columns = {"target": "employed", "probability": "predicted_probability", "weight": "age", "group": "year"}
    expected = content(score(acs, **columns).state)
    usual = threads.count()
    threads.set_count(count)
    try:
        assert content(score(acs, **columns).state) == expected
    finally:
        threads.set_count(usual)


def test_splits_over_files_do_not_matter(acs: pl.DataFrame, tmp_path: Any):
    columns = {"target": "employed", "probability": "predicted_probability", "group": "sex"}
    parts = []
    for number, (start, rows) in enumerate([(0, 1), (1, 99_999), (100_000, 0), (100_000, 177_677)]):
        parts.append(tmp_path / f"part{number}.parquet")
        acs.slice(start, rows).write_parquet(parts[-1], row_group_size=5_000 + 1_000 * number)
    assert content(score(parts, **columns).state) == content(score(acs, **columns).state)
    assert content(score(parts[::-1], **columns).state) == content(score(acs, **columns).state)


def test_states_of_different_plans_do_not_merge():
    other = State(Plan((Problem("y", "p"),), logits=True, weight="w", groups=("g",)))
    with pytest.raises(_errors.InvalidInputError, match="logits differ: False and True"):
        State(PLAN).merge(other)


def test_overflowing_products_are_infinite_not_wrong():
    """w² is beyond the largest number: what needs it is unknown, and everything else is still exact."""
    moments = state([(1.0, 0.5, 1e200, "a"), (0.0, 0.5, 1e200, "a")]).moments([0], None)
    assert "ww" in moments.overflowed
    assert "wl" not in moments.overflowed
    assert moments["wy"] * 2 == moments["w"] == 2 * int(1e200) * moments.one


CERTAIN = [0.0, 1.0, 0.5, 5e-324, 1e-310, 1e-300, 1e-20, 1e-9, 2.0**-53, 0.5 + 2.0**-53, 0.5 - 2.0**-54, 1 - 2.0**-53]
FAR = [
    0.0,
    -0.0,
    1e-300,
    -1e-17,
    1e-16,
    2.0**-53,
    40.0,
    -40.0,
    745.2,
    -745.2,
    -746.0,
    800.0,
    -1e4,
    1e300,
    np.inf,
    -np.inf,
]
SOFT = [0.5, 0.25, 1e-300, 5e-324, 1 - 2.0**-53]
HEAVY = [0.0, 1e-300, 1e300, 1e150, 1e-12, 5e-324, 2.0**-30]


def some(rng: np.random.Generator, usual: Any, rare: Sequence[float], often: float) -> Any:
    return np.where(rng.random(len(usual)) < often, rng.choice(rare, len(usual)), usual)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("weight", [None, "w"])
def test_what_stands_in_a_block_does_not_matter(kind: str, weight: str | None, seed: int):
    """Rows alone in their block, and rows beside extreme ones: each adds the same, whichever way its block goes."""
    rng = np.random.default_rng(seed)
    n, often = int(rng.integers(1, 700)), rng.choice([0, 0.02, 1], 3)
    x = rng.random(n) if kind == "probability" else rng.normal(0, 3, n)
    columns = {
        "y": some(rng, rng.integers(0, 2, n).astype(float), SOFT, often[0]),
        "x": some(rng, x, CERTAIN if kind == "probability" else FAR, often[1]),
        "w": some(rng, rng.exponential(3, n), HEAVY, often[2]),
        "g": rng.integers(0, max(1, n // int(rng.integers(1, 6))), n),
    }
    together, apart = (
        score(columns, target="y", **{kind: "x"}, weight=weight, group=group).state.moments([0], None)
        for group in (None, "g")
    )
    assert numbers(together) == numbers(apart)


@pytest.mark.parametrize(
    "target", [pl.Boolean, pl.Int8, pl.UInt8, pl.Int16, pl.UInt32, pl.Int64, pl.UInt64, pl.Float32]
)
@pytest.mark.parametrize("prediction", [pl.Float32, pl.Float64])
def test_the_type_of_a_column_does_not_matter(target: Any, prediction: Any):
    """Columns are read in their own type; the state is that of the same numbers as float64."""
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"y": rng.integers(0, 2, 999), "p": rng.random(999), "g": rng.integers(0, 3, 999)})
    frame = frame.cast({"y": target, "p": prediction})
    plain = frame.cast({"y": pl.Float64, "p": pl.Float64})
    for group in (None, "g"):
        own, same = (score(one, target="y", probability="p", group=group).state for one in (frame, plain))
        assert content(own) == content(same)


def test_groups_are_read_together_as_alone(acs: pl.DataFrame):
    found = score(acs, target="employed", probability="predicted_probability", group=["year", "sex"]).state
    alone = [found.moments([0], group) for group in found.groups]
    assert list(found.moments_of_groups(0)) == alone
    assert len(alone) > 2


def test_many_groups():
    rng = np.random.default_rng(5)
    n, groups = 30_000, 4_000
    frame = pl.DataFrame({"y": rng.integers(0, 2, n), "p": rng.random(n), "g": rng.integers(0, groups, n)})
    found = score(frame, target="y", probability="p", group="g")
    counts = frame.group_by("g").agg(rows=pl.len(), base=pl.col("y").mean()).sort("g")
    results = found.summary.results[:-1]
    assert [one.group[0] for one in results if one.group] == counts["g"].to_list()
    assert [one.statistics.rows for one in results] == counts["rows"].to_list()
    assert [one.statistics.base_rate for one in results] == pytest.approx(counts["base"].to_list())


@pytest.mark.parametrize(("weight", "most"), [(None, 500), ("w", 800)])
def test_a_group_costs_what_the_component_says(weight: str | None, most: int):
    """One extreme number is paid for by its own group."""
    n = 30_000
    frame = pl.DataFrame({"y": [1.0] * n, "p": [1e-300] + [0.5] * (n - 1), "w": [1.0] * n, "g": range(n)})
    found = score(frame, target="y", probability="p", weight=weight, group="g").state
    store = found.sums._stores[0]
    assert store.held.nbytes <= MomentSums.size(found.plan, n) <= most * n
    assert store.wide.nbytes < 200_000


def test_the_kernel_compiles_once(acs: pl.DataFrame, tmp_path: Any):
    """Weights, groups, logits, files and frames: all share one compiled kernel."""
    columns = {"target": "employed", "probability": "predicted_probability"}
    score(acs, **columns)
    score(acs, **columns, weight="age", group="year")
    score({"y": np.array([1, 0]), "z": np.array([0.5, 0.25])}, target="y", logit="z")
    acs.head(10).write_csv(tmp_path / "rows.csv")
    score(tmp_path / "rows.csv", **columns, weight="age", where="age > 20")
    assert len(scoring.add_rows.signatures) == 1
