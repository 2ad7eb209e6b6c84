"""`segments`: intersections of group columns, from rows to the command line."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

import logloss as ll
from diagnostics.rows import ACS, binned, simulated
from logloss.cli import main
from logloss.evaluate.bins import COARSE
from logloss.evaluate.segments import segments

NAMES = {"target": "y", "probability": "p"}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Predictions that are wrong for one intersection only."""
    p, y, _ = simulated(31, 24_000, mean=-1.0)
    rng = np.random.default_rng(7)
    columns = {
        "a": rng.choice(["u", "v", "w"], p.size),
        "b": rng.integers(0, 4, p.size),
        "age": rng.integers(18, 90, p.size),
        "c": rng.integers(0, 300, p.size),
    }
    off = (columns["a"] == "v") & (columns["b"] == 2)
    y = np.where(off & (rng.random(p.size) < 0.25), 1.0, y)
    return pl.DataFrame({"y": y, "p": p, **columns})


@pytest.fixture(scope="module")
def scores(rows):
    return ll.score(rows, **NAMES, group=["a", "b", "age"], diagnostics=True)


def test_the_intersection_that_is_off_comes_first(scores):
    (found,) = ll.segments(scores).found
    assert found[0].name == "a = v, b = 2"
    assert found[0].p_adjusted < 1e-6
    assert 0.05 < found[0].at_least < found[0].difference.value
    wrong = {one.name for one in found if one.found}
    assert all("a = v" in name or "b = 2" in name for name in wrong)


def test_segments_are_those_of_their_rows(rows, scores):
    found = {one.name: one for one in ll.segments(scores).found[0]}
    part = rows.filter((pl.col("a") == "u") & (pl.col("b") == 1))
    (alone,) = segments([("x", binned(part["p"], part["y"], bins=COARSE))])
    own = found["a = u, b = 1"]
    assert own.rows == part.height
    assert own.difference.value == pytest.approx(alone.difference.value, abs=1e-12)
    assert own.difference.se == pytest.approx(alone.difference.se, rel=1e-9)
    assert own.test.value == pytest.approx(alone.test.value, abs=1e-9)


def test_numbers_of_many_values_are_cut(rows, scores):
    (found,) = ll.segments(scores, depth=1).found
    pieces = [one for one in found if one.name.startswith("age")]
    assert len(pieces) == 5
    assert sum(one.rows for one in pieces) == rows.height
    assert all(0.1 * rows.height < one.rows < 0.3 * rows.height for one in pieces)
    first = next(one for one in pieces if one.name.startswith("age 18 to "))
    assert first.rows == rows.filter(pl.col("age") <= int(first.name.split()[-1])).height
    assert {one.name for one in found if one.name.startswith("a =")} == {"a = u", "a = v", "a = w"}


def test_depth(scores):
    counts = [len(ll.segments(scores, depth).found[0]) for depth in (1, 2, 3, 9)]
    assert counts == [3 + 4 + 5, 12 + 12 + 15 + 20, 12 + 12 + 15 + 20 + 60, 12 + 12 + 15 + 20 + 60]


def test_columns_that_say_the_same_are_scanned_once():
    p, y, _ = simulated(3, 3000)
    same = np.arange(3000) % 2
    table = pl.DataFrame({"y": y, "p": p, "a": same, "b": same + 5})
    (found,) = ll.segments(ll.score(table, **NAMES, group=["a", "b"], diagnostics=True)).found
    assert {one.name for one in found} == {"a = 0", "a = 1", "b = 5", "b = 6"}


def test_clusters_are_not_tested(rows):
    scores = ll.score(rows, **NAMES, group=["a", "b"], cluster="c", diagnostics=True)
    found = ll.segments(scores)
    assert all(math.isnan(one.p_adjusted) and "clusters" in one.test.reason for one in found.found[0])
    assert found.found[0][0].name == "a = v, b = 2"
    assert "depend on each other" in str(found)


@pytest.mark.parametrize(
    ("options", "depth", "said"),
    [
        ({"group": ["a"]}, 1, "diagnostics=True"),
        ({"diagnostics": True}, 1, "there are none"),
        ({"group": ["a"], "diagnostics": True}, 0, "got depth 0"),
        ({"group": ["text", "c"], "diagnostics": True}, 2, "at most 10,000 segments"),
    ],
)
def test_what_cannot_be_scanned(rows, options, depth, said):
    table = rows.with_columns(text=pl.int_range(rows.height).cast(pl.String)).head(11_000)
    with pytest.raises(ll.InvalidInputError, match=said):
        ll.segments(ll.score(table, **NAMES, **options), depth)


def test_the_command(rows, tmp_path, capsys):
    path, state = tmp_path / "rows.parquet", tmp_path / "state.json"
    rows.write_parquet(path)
    named = [str(path), "--target", "y", "--probability", "p", "--group", "a,b"]
    assert main(["segments", *named, "--depth", "2", "--json", "--save-state", str(state)]) == 0
    document = json.loads(capsys.readouterr().out)
    (scan,) = document["scans"]
    assert scan["segments"][0]["segment"] == "a = v, b = 2"
    assert scan["segments"][0]["found"] is True
    assert main(["segments", str(state), "--top", "2"]) == 0
    text = capsys.readouterr().out
    assert "segments tested predictions are wrong beyond chance" in text
    assert "The first 2 of 19 segments" in text
    assert main(["segments", *named, "--depth", "0"]) == 2
    assert "got depth 0" in capsys.readouterr().err


def test_the_example_file():
    scores = ll.score(
        str(ACS),
        target="employed",
        probability="predicted_probability",
        group=["year", "sex", "race"],
        diagnostics=True,
    )
    (found,) = ll.segments(scores).found
    assert found[0].name == "sex = 2, race = 2"
    assert found[0].difference.value == pytest.approx(0.0325, abs=1e-4)
    assert sum(one.rows for one in found if one.name.count("=") == 1) == 3 * 277_677
