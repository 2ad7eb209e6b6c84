"""`segments`: intersections of group columns, from rows to the command line."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

import logloss as ll
from diagnostics.rows import ACS, binned, simulated
from logloss import arguments
from logloss.cli import main
from logloss.evaluate.bins import COARSE
from logloss.evaluate.scan import DEPTH
from logloss.evaluate.segments import segments
from logloss.reporting import formats
from logloss.reporting.view import View

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
    assert arguments.DEPTH == DEPTH
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
    table = rows.with_columns(text="n" + pl.int_range(rows.height).cast(pl.String)).head(11_000)
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


@pytest.fixture(scope="module")
def named(rows):
    return ll.score(rows, **NAMES, segments=["a", "b", "age"], group="a")


def test_named_segments_are_those_of_groups(scores, named):
    """In the same pass as the scores of other groups, and to the bit."""
    assert plain(ll.segments(named)) == plain(ll.segments(scores))
    assert [one.group for one in named.summary.results] == [("u",), ("v",), ("w",), None]
    assert {"partial": False, **named.to_dict()["segments"]} == ll.segments(named).to_dict()
    deeper = named.at(depth=3)
    assert deeper.to_dict()["segments"]["scans"] == ll.segments(named, 3).to_dict()["scans"]


def plain(found):
    return json.dumps(found.to_dict()["scans"])


def test_states_of_segments_add_and_are_saved(rows, named, tmp_path):
    """The same bits for any split and order, through files too; texts and whole numbers agree as those of groups do."""
    parts = [rows[10_000:], rows[:3000], rows[3000:10_000]]
    options = {**NAMES, "segments": ["a", "b", "age"], "group": "a"}
    for number, part in enumerate(parts):
        ll.score(part, **options).save(tmp_path / f"{number}.json")
    merged = ll.merge(*(ll.load(tmp_path / f"{number}.json") for number in range(3)))
    assert merged.to_dict()["segments"] == named.to_dict()["segments"]
    merged.save(tmp_path / "all.json")
    named.save(tmp_path / "whole.json")
    saved = [json.loads((tmp_path / name).read_text()) for name in ("all.json", "whole.json")]
    assert saved[0]["components"] == saved[1]["components"]
    with pytest.raises(ll.InvalidInputError, match="their segments differ"):
        ll.merge(named, ll.score(rows, **{**options, "segments": "a"}))


def test_segments_of_text_files_are_those_of_tables(rows, named, tmp_path):
    """Numbers of many values are cut, though groups of text files are texts; codes with leading zeros are none."""
    rows.with_columns(zip=pl.format("0{}", pl.col("age"))).write_csv(tmp_path / "rows.csv")
    found = ll.score(str(tmp_path / "rows.csv"), **NAMES, segments="a,b,age,zip", depth=1)
    assert found.state.plan.segments == ("a", "b", "age", "zip")
    (tmp_path / "parts").mkdir()
    in_parts = ll.score(str(tmp_path / "rows.csv"), **NAMES, segments="a,b,age,zip", depth=1, resume=tmp_path / "parts")
    assert in_parts.to_dict()["segments"] == found.to_dict()["segments"]
    names = {one.name: one.rows for one in ll.segments(found, 1).found[0]}
    of_table = {one.name: one.rows for one in ll.segments(named, 1).found[0]}
    assert of_table.items() <= names.items()
    assert sum(name.startswith("zip = 0") for name in names) == rows["age"].n_unique()


def test_segments_of_expressions_weights_labels_and_gaps():
    """Each label has its own; rows without one of its values are a segment, and a row counts for labels that it has."""
    p, y, _ = simulated(3, 4000)
    table = pl.DataFrame({"y_a": y, "y_b": np.where(np.arange(4000) < 100, np.nan, 1 - y), "p_a": p, "p_b": 1 - p})
    table = table.with_columns(y_b=pl.col("y_b").fill_nan(None), w=pl.lit(2.0), g=pl.Series([None, "x"] * 2000))
    options = {"target": "y_*", "probability": "p_*", "nulls": "error", "weight": "w"}
    found = ll.score(table.with_columns(y_b=pl.col("y_b").fill_null(0)), **options, segments="g, sure = p_a > 0.5")
    one, other = ({s.name: s for s in scan} for scan in ll.segments(found).found)
    assert {"g = null", "g = x", "sure = True"} <= one.keys() == other.keys()
    assert one["g = x"].rows == 2000
    assert one["g = x"].weight == 4000
    dropped = ll.score(table, **{**options, "nulls": "drop"}, segments="sure = p_a > 0.5")
    rows = [sum(s.rows for s in scan) for scan in ll.segments(dropped, 1).found]
    assert rows == [4000, 3900]


def test_what_segments_find_is_told_in_every_format(rows, named, tmp_path, capsys):
    codes = [one.code for one in named.summary.results.blocks[0].findings]
    assert codes
    assert set(codes) == {"LL302"}
    for format_ in (str(named), formats.render("md", named.summary, View())):
        assert "segments tested predictions are wrong beyond chance (LL302)" in format_
        assert "a = v, b = 2" in format_
        assert "The first 10 of 59 segments" in format_
    rows.write_parquet(tmp_path / "rows.parquet")
    command = ["score", str(tmp_path / "rows.parquet"), "--target", "y", "--probability", "p"]
    assert main([*command, "--segments", "a,b", "--fail-if", "LL302", "--quiet"]) == 1
    assert "gate 'LL302' failed: a = v, b = 2" in capsys.readouterr().err
    assert main([*command, "--fail-if", "LL302"]) == 2
    assert "add --segments" in capsys.readouterr().err
    assert main([*command, "--segments", "a", "--depth", "0"]) == 2
    assert "got depth 0" in capsys.readouterr().err


def test_too_many_segments_cost_no_result(rows):
    table = rows.head(11_000).with_columns(text="n" + pl.int_range(11_000).cast(pl.String))
    found = ll.score(table, **NAMES, segments=["text"])
    assert found.to_dict()["segments"]["scans"][0]["segments"] == []
    assert "there are no segments to test: at most 10,000" in str(found)


def test_one_name_stands_for_one_expression(rows):
    with pytest.raises(ll.InvalidInputError, match="must stand for one expression; 'old' is"):
        ll.score(rows, **NAMES, group="old = age > 50", segments="old = age > 60, a")
    same = ll.score(rows, **NAMES, group="old = age > 50", segments="old = age > 50, a")
    assert same.state.plan.definitions.count("old") == 1


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
