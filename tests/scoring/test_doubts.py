"""Columns that were named as what they are not: the sentence says so, and no number or exit code changes."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import dataset

import logloss as ll
from logloss.cli import main
from logloss.reporting import text
from logloss.reporting.page import closing
from logloss.reporting.view import View

ROWS = 400


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    p = random.random(ROWS)
    y = (random.random(ROWS) < p).astype(int)
    return {"y": y, "p": p, "other": 1 - p, "hard": (p > 0.5).astype(int), "x": np.log(p / (1 - p)), "w": 1 + 9 * p}


def said(rows: dict[str, np.ndarray], **named: str | int) -> str:
    return " ".join(text.render(ll.score(rows, **named).summary, View(200)).split())


EXCHANGED = "All predictions in y are exactly 0 or 1, and targets in p lie between: if these were exchanged, say"
OTHER = "Predictions in {} are lower where more happened; the opposite would have a Brier score of"


@pytest.mark.parametrize("weight", [{}, {"weight": "w"}, {"weight": "w", "weight_kind": "precision"}])
def test_doubts_about_columns(rows, weight):
    assert EXCHANGED in said(rows, target="p", probability="y", **weight)
    assert OTHER.format("other") in said(rows, target="y", probability="other", **weight)
    turned = {**rows, "x": -rows["x"]}
    assert "If x is the logit of the other class" in said(turned, target="y", logit="x", **weight)


def test_the_other_score_is_that_of_the_opposite(rows):
    brier = [float(np.mean((rows["y"] - one) ** 2)) for one in (rows["p"], rows["other"])]
    assert f"Brier score of {brier[0]:.5f} instead of {brier[1]:.5f}" in said(rows, target="y", probability="other")
    as_told = ll.score(rows, target="y", probability="other", positive=0)
    assert as_told.summary.results[-1].statistics.brier == pytest.approx(brier[0], rel=1e-14)


def test_a_report_says_so_where_it_says_how_it_was_read(rows):
    read = [*closing.reading(ll.score(rows, target="y", probability="other").summary)]
    assert read[0] == "the table"
    assert read[-1].startswith(OTHER.format("other"))


def test_no_doubt_without_reason(rows):
    """Good ones, thresholded ones, shares, chance, and what is worse than the base rate but not the other way round."""
    random = np.random.default_rng(4)
    shares = {**rows, "y": 0.5 * (rows["y"] + rows["p"])}
    fine = [rows, {**rows, "p": rows["hard"]}, shares, {**rows, "p": random.random(ROWS)}, {**rows, "p": rows["p"] / 9}]
    for one in fine:
        assert not ll.score(one, target="y", probability="p").summary.doubts
    few = {name: values[:12] for name, values in rows.items()}
    assert not ll.score(few, target="y", probability="other").summary.doubts


def test_hints_change_no_exit_code(tmp_path: Path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("y,p\n1,0.7\n0,0.4\n")
    assert main(["score", str(path), "--target", "p", "--probability", "y"]) == 0
    assert "if these were exchanged" in " ".join(capsys.readouterr().out.split())


REFUSED = {
    "two outcomes": ({"y": [1, 2], "p": [0.2, 0.7]}, r"it has 1 and 2: .* positive=2 \(--positive 2\)"),
    "a mask": ({"y": [0.0, 255.0], "p": [0.2, 0.7]}, r"it has 0 and 255: .*positive=255"),
    "with hard predictions": ({"y": [1, 2], "p": [0, 1]}, r"positive=2"),
    "signs": ({"y": [1, -1], "p": [0.2, 0.7]}, r"positive=1, negative=-1 .* or ignore=-1"),
    "exchanged percentages": ({"y": [12.5, 70], "p": [0, 1]}, r"exchanged, name them the other way round: 'p' has"),
    "exchanged logits": ({"y": [-2.5, 0.5], "p": [0, 1]}, r"exchanged, name them the other way round: 'p' has"),
}


@pytest.mark.parametrize(("table", "remedy"), REFUSED.values(), ids=REFUSED.keys())
def test_remedies_fit_the_targets(table, remedy):
    with pytest.raises(ll.InvalidInputError, match=remedy):
        ll.score({name: np.array(values) for name, values in table.items()}, target="y", probability="p")


TEXTS = {
    "a long line": (
        f"y,p,w\n1,0.5,{'x' * 3_000_000}\n",
        r"\(.*Maximum line size .*\); leave columns of such long texts out",
    ),
    "thousands": ('y,p,w\n1,0.5,"1,000"\n', r"it is '1,000' .*separates thousands, .*, and if it is a decimal point"),
    "millions": ('y,p,w\n1,0.5,"1,000,000.5"\n', r"if the comma separates thousands, take it out of the file\."),
    "a decimal comma": ("y;p;w\n1;0.5;0,123\n", r"if the comma is a decimal point, say decimal=','"),
    "spaces in the header": ("y,p, w \n1,0.5,1\n", r"it is ' w ' there, with what surrounds it"),
}


@pytest.mark.parametrize(("lines", "remedy"), TEXTS.values(), ids=TEXTS.keys())
def test_remedies_fit_the_text(tmp_path, lines, remedy):
    path = tmp_path / "rows.csv"
    path.write_text(lines)
    with pytest.raises(ll.InvalidInputError, match=remedy):
        ll.score(path, target="y", probability="p", weight="w")


class Table:
    def __dataframe__(self) -> None: ...


OBJECTS = {
    "a column": (pl.Series("p", [0.5]), r"got Series; put this column beside"),
    "an array": (np.ones((2, 2)), r"got ndarray; name the columns of this array"),
    "an open file": (io.StringIO("y,p\n1,0.5\n"), r"got StringIO; give the path of this file\."),
    "a data set": (dataset.dataset(pa.table({"y": [1], "p": [0.5]})), r"give the reader of this data set"),
    "a connection": (duckdb.connect(), r"give the relation, or query= and database="),
    "another protocol": (Table(), r"got Table; give polars\.from_dataframe"),
    "encoded runs": (
        pa.table({"y": pa.RunEndEncodedArray.from_arrays([2], [1])}),
        r"the table must be of columns that Polars reads; it is a Table, .*; convert them, leave them out",
    ),
    "a structure": (pl.DataFrame({"y": [1], "p": [{"a": 0.5}]}), r"name one of its fields, as p\.a\."),
    "dates": (pl.DataFrame({"y": [1], "p": [date(2026, 1, 1)]}), r"it holds Date; name another column, or convert"),
}


@pytest.mark.parametrize(("source", "remedy"), OBJECTS.values(), ids=OBJECTS.keys())
def test_remedies_fit_the_object(source, remedy):
    with pytest.raises(ll.LoglossError, match=remedy):
        ll.score(source, target="y", probability="p")


@pytest.mark.frameworks
def test_remedies_fit_a_name_that_stands_twice():
    import pandas as pd

    twice = pd.DataFrame([[1, 0.5, 0.5]], columns=["y", "p", "p"])
    with pytest.raises(ll.InvalidInputError, match=r"rename one if there are two of that name\."):
        ll.score(twice, target="y", probability="p")


def test_wide_integers_are_numbers():
    frame = pl.DataFrame({"y": [1, 0], "p": [0.5, 0.5]}).with_columns(pl.col("y").cast(pl.Int128))
    assert ll.score(frame, target="y", probability="p").summary.results[-1].statistics.base_rate == 0.5
