"""One summary in every format: full precision for programs, whole numbers for people, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from logloss.cli import main
from logloss.reporting import frames, rows, text
from logloss.reporting.json import document, dump, render
from logloss.reporting.view import View
from logloss.scores import Scores, score


@pytest.fixture(scope="module")
def scores() -> Scores:
    table = {"y": [1, 0, 1, 0, 1], "p": [0.5, 0.25, 0.0, 0.125, 1.0], "model": ["a|b", "a|b", "a|b", "<c>", "<c>"]}
    return score(table, target="y", probability={"first": "p", "second": "p"}, group="model")


def test_csv(scores: Scores):
    lines = list(csv.DictReader(io.StringIO(frames.render_csv(scores.summary).decode())))
    assert len(lines) == 6
    assert (lines[0]["model"], lines[0]["group_model"], lines[0]["rows"]) == ("first", "<c>", "2")
    assert [float(line["log_loss"]) for line in lines] == [one.statistics.log_loss for one in scores.summary.results]
    assert (lines[1]["log_loss"], lines[2]["group_model"]) == ("inf", "")


def test_json_lines(scores: Scores):
    lines = [json.loads(line, parse_constant=pytest.fail) for line in rows.render_jsonl(scores.summary).splitlines()]
    assert [line["log_loss"] for line in lines[:2]] == [scores.summary.results[0].statistics.log_loss, "inf"]
    assert lines[1]["log_loss_se"] == "nan"


def test_json_has_every_statistic(scores: Scores):
    results = json.loads(render(scores.summary))["results"]
    flat = scores.to_rows()
    for result, row in zip(results, flat, strict=True):
        group = {"group_model": (result.pop("group") or {"model": None})["model"]}
        means = {"of_labels", "of_groups"}  # of one label, and in lines that are no means, there is nothing to say
        assert {**result, **group}.keys() - means == row.keys()
        assert result["brier"] == row["brier"]


def test_markdown(scores: Scores):
    lines = text.render_markdown(scores.summary, View()).splitlines()
    assert lines[1] == "| :-- | :-- |" + " --: |" * 9
    assert lines[3].startswith(r"| first | a\|b | 3 | 0.66667 | inf |")
    assert len(lines) == 2 + 2 * (2 + 2)  # of two models the groups, the whole and the mean over groups


def test_html_escapes(scores: Scores):
    html = scores._repr_html_()
    assert "<td>&lt;c&gt;</td>" in html
    assert "<c>" not in html


def test_html_has_the_warnings(scores: Scores):
    html = scores._repr_html_()
    assert "<p>2 rows have infinite loss" in html
    assert "<p>In 6 lines fewer than 50 positives or negatives count" in html


def test_tables_of_other_libraries(scores: Scores):
    polars, arrow = pl.DataFrame(scores), pa.table(scores)
    assert polars["rows"].to_list() == arrow["rows"].to_pylist() == [2, 3, 5, 2, 3, 5]
    assert polars["group_model"].to_list() == ["<c>", "a|b", None] * 2


@pytest.mark.frameworks
def test_a_table_of_pandas(scores: Scores):
    import pandas as pd

    assert pd.DataFrame.from_arrow(scores)["model"].tolist() == ["first"] * 3 + ["second"] * 3


def test_partial_results_are_marked_in_every_format(scores: Scores):
    partial = Scores(scores.state, ("rows",), partial=True)
    summary, mark = partial.summary, "Partial result: interrupted after 5 rows"
    assert json.loads(render(summary))["partial"] is True
    assert json.loads(render(scores.summary))["partial"] is False
    assert {json.loads(line)["partial"] for line in rows.render_jsonl(summary).splitlines()} == {True}
    assert {line["partial"] for line in csv.DictReader(io.StringIO(frames.render_csv(summary).decode()))} == {"True"}
    assert "partial" not in frames.render_csv(scores.summary).decode()
    assert text.render(summary, View()).startswith(mark)
    assert text.render_markdown(summary, View()).startswith(mark)
    assert f"<caption>{mark}" in partial._repr_html_()


@pytest.mark.parametrize(("positives", "warned"), [(49, True), (50, False)])
def test_few_positives_are_warned_of(positives: int, warned: bool):
    y = [1] * positives + [0] * 500
    found = str(score({"y": y, "p": [0.1 + 0.5 * one for one in y]}, target="y", probability="p"))
    assert ("In one line fewer than 50 positives or negatives count" in " ".join(found.split())) == warned


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 120])
def test_numbers_are_shown_whole_or_not_at_all(scores: Scores, width: int):
    lines = text.render(scores.summary, View(width)).splitlines()
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert "log loss" in "".join(lines)
    assert "Brier" in "".join(lines) or width < 100
    assert "finite" in "".join(lines) or width < 60


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0.00000"), (0.379136, "0.37914"), (1e-3, "0.00100"), (9.99e-4, "0.000999"), (1.5e-9, "1.5e-09")],
)
def test_small_numbers_keep_their_digits(value: float, expected: str):
    assert text.number(value) == expected


def test_numbers_that_are_not_finite():
    assert [text.number(value) for value in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "-"]


def test_colours_only_where_asked(scores: Scores):
    assert "\x1b[" in text.render(scores.summary, View(color=True))
    assert "\x1b[" not in text.render(scores.summary, View())
    assert str(scores) == repr(scores) == text.render(scores.summary, View())


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "md", "table"])
def test_formats_of_the_command_line(kind: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rows.csv"
    path.write_text("y,p\n1,0.5\n0,0.25\n")
    arguments = ["score", str(path), "--target", "y", "--probability", "p", "--format", kind]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert ("0.4904146265058631" in first) == (kind in ("json", "jsonl", "csv"))


def test_merge_of_saved_states(tmp_path: Any, capsys: pytest.CaptureFixture[str]):
    for name, content in [("a", "y,p\n1,0.5\n"), ("b", "y,p\n0,0.25\n"), ("all", "y,p\n1,0.5\n0,0.25\n")]:
        (tmp_path / f"{name}.csv").write_text(content)
        state = str(tmp_path / f"{name}.json")
        options = ["--target", "y", "--probability", "p", "--save-state", state]
        assert main(["score", str(tmp_path / f"{name}.csv"), *options]) == 0
    capsys.readouterr()
    states = [str(tmp_path / "b.json"), str(tmp_path / "a.json")]
    assert main(["merge", *states, "--format", "csv", "--save-state", str(tmp_path / "sum.json")]) == 0
    merged = capsys.readouterr().out
    for state in ("all.json", "sum.json"):
        assert main(["merge", str(tmp_path / state), "--format", "csv"]) == 0
        assert capsys.readouterr().out == merged
    assert main(["merge", str(tmp_path / "a.csv")]) == 2
    assert "must be a state that logloss saved" in capsys.readouterr().err


def test_json_is_written_as_the_library_would(scores: Scores):
    """Field by field in C, and yet the same bytes, whatever names and values there are."""
    table = {
        "y": [1, 0, 1, 1],
        "p": [0.5, 0.0, 0.25, 0.0],
        "g": ["a", None, '\0"x', "é"],
        "h": [1.5, math.inf, 2, None],
    }
    lists = score({"y": [[1, 0]], "p": [[0.5, 0.25]]}, target="y", probability="p")
    grouped = score(table, target="y", probability={"\0": "p", "b\n": "p"}, group=["g", "h"])
    plain = score(table, target="y", probability="p")
    for one in (scores, lists, grouped, plain):
        assert render(one.summary) == dump(document(one.summary))
