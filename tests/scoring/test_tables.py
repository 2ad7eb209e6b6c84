"""Tables for people: bars, order, widths, and names that a terminal would take for something else."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss.cli import main
from logloss.evaluate import results
from logloss.reporting import frames, progress, text
from logloss.reporting.view import View

HALF = 2**-0.5  # costs half of what 1/2 costs
GROUPS = {"y": [1] * 5, "p": [0.5, HALF, 0.5, 2**-0.25, 1.0], "g": ["a", "b", "c", "d", "e"]}
Y_AND_P: dict[str, Any] = {"target": "y", "probability": "p"}


@pytest.fixture(scope="module")
def scores() -> ll.Scores:
    return ll.score(GROUPS, **Y_AND_P, group="g")


def lines(scores: ll.Scores, view: View) -> list[str]:
    return text.render(scores.summary, view).splitlines()


def bars(scores: ll.Scores, **view: Any) -> dict[str, str]:
    shown = lines(scores, View(**{"width": 120, "bars": True, **view}))
    return {line.split()[0]: "".join(re.findall("[█▏▎▍▌▋▊▉]", line)) for line in shown if re.match(" [a-e] ", line)}


def test_bars(scores: ll.Scores):
    """As long as the loss is large, and the largest one is full."""
    assert bars(scores) == {"a": "█" * 8, "b": "█" * 4, "c": "█" * 8, "d": "█" * 2, "e": ""}
    assert set(bars(scores, bars=False).values()) == {""}
    assert set(bars(scores, width=60).values()) == {""}
    infinite = ll.score({**GROUPS, "p": [0.5, HALF, 0.0, 0.5**0.0625, 1.0]}, **Y_AND_P, group="g")
    assert bars(infinite) == {"a": "█" * 8, "b": "█" * 4, "c": "█" * 8, "d": "▌", "e": ""}
    equal = ll.score({**GROUPS, "p": [1.0] * 5}, **Y_AND_P, group="g")
    assert set(bars(equal).values()) == {""}


def first_column(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines() if re.match(" [a-e] ", line)]


def test_sort(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The largest first, ties in their order, and what is undefined behind; every other format keeps its order."""
    pl.DataFrame(GROUPS).write_csv(tmp_path / "rows.csv")
    arguments = ["score", str(tmp_path / "rows.csv"), "--target", "y", "--probability", "p", "--group", "g"]
    assert main([*arguments, "--sort", "log_loss"]) == 0
    assert first_column(capsys.readouterr().out) == ["a", "c", "b", "d", "e"]
    assert main([*arguments, "--sort", "log_loss", "--top", "3"]) == 0
    output = capsys.readouterr().out
    assert first_column(output) == ["a", "c", "b"]
    assert "Of 5 groups the 3 with the largest log_loss are shown" in output
    assert main([*arguments, "--sort", "log_loss", "--format", "md", "--top", "2"]) == 0
    assert re.findall(r"^\| ([a-e]) ", capsys.readouterr().out, re.MULTILINE) == ["a", "c"]
    assert main([*arguments, "--sort", "normalized_entropy", "--top", "1"]) == 0
    assert first_column(capsys.readouterr().out) == ["a"]
    assert main([*arguments, "--sort", "log_loss", "--format", "csv"]) == 0
    csv = pl.read_csv(capsys.readouterr().out.encode())
    assert csv["g"].to_list() == ["a", "b", "c", "d", "e", None]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--sort", "loss"], "sorted by a statistic; got 'loss'"), (["--top", "-1"], "top must be at least 0; got -1")],
)
def test_bad_views(options: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["score", "none.csv", "--target", "y", "--probability", "p", *options]) == 2
    assert message in capsys.readouterr().err


def test_many_groups_are_written_as_columns(monkeypatch: pytest.MonkeyPatch):
    """Nothing is made for each group, but of those that a table shows; the mean over groups stands beside the whole."""
    n = 4_000
    rows = {"y": [1, 0, 1] * n, "p": [0.75, 0.25, 0.5] * n, "g": [k // 2 for k in range(3 * n)]}
    found = ll.score(rows, **Y_AND_P, group="g")
    made: list[int] = []
    original = results._statistics
    monkeypatch.setattr(results, "_statistics", lambda *given: made.append(1) or original(*given))
    for render in (frames.render_csv, frames.render_parquet):
        render(found.summary)
    shown = lines(found, View())
    assert sum(bool(re.match(r" \d+ ", line)) for line in shown) == 50
    assert any("Of 6,000 groups the 50 with the largest rows are shown (--top N shows more)" in line for line in shown)
    whole, mean = found.summary.results.blocks[0].columns["log_loss"][-1], found.summary.results.means[0].statistics
    assert mean.log_loss == pytest.approx(whole, rel=1e-14) == pytest.approx((4 * LN2 - 2 * LN3 + LN2) / 3, rel=1e-14)
    assert len(made) < 5


LN2, LN3 = math.log(2), math.log(3)
NAMES = [
    "[bold]x",
    "[/]",
    ":smile:",
    "\x1b[31mred",
    "two\nlines",
    "日本語日本語日本語",
    "a word that is too long_for_one_line",
]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("color", [False, True])
def test_widths(width: int, color: bool):
    """Nothing is wider than the terminal, and numbers are whole, whatever groups and columns are called."""
    from rich.cells import cell_len

    n = len(NAMES)
    rows = {"y": [1, 0] * n, "p": [0.5] * 2 * n, "[red]": NAMES * 2, "the_other_group_column": NAMES[::-1] * 2}
    found = ll.score(rows, **Y_AND_P, group=["[red]", "the_other_group_column"])
    shown = text.render(found.summary, View(width=width, color=color, bars=True))
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert ("\x1b" in shown) == color
    assert max(map(cell_len, plain.splitlines())) <= width
    assert "…" not in plain
    assert [line for line in plain.splitlines() if line.endswith(" ")] == []
    assert plain.count("0.69315") >= n
    for name in ("[bold]x", "[/]", ":smile:"):
        assert re.search(rf"^ {re.escape(name)}", plain, re.MULTILINE)


def test_names_do_nothing_to_a_terminal(tmp_path: Path):
    found = ll.score({"y": [1], "p": [0.5], "g": ["\x1b]0;title\x07"]}, **Y_AND_P, group="g", where="y = 1 /*\x1b[2J*/")
    shown = str(found)
    assert "\x1b" not in shown
    assert "\\x1b]0;tit" in shown


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, "1,234,567 rows, 2.5M rows/s, 1:30 left, log loss 0.37914"),
        (56, "1,234,567 rows, 1:30 left, log loss 0.37914"),
        (40, "1,234,567 rows, log loss 0.37914"),
        (30, "1,234,567 rows"),
    ],
)
def test_progress_has_whole_numbers(width: int, shown: str):
    task: Any = SimpleNamespace(
        completed=1_234_567, speed=2.5e6, time_remaining=90.0, elapsed=3.0, fields={"log_loss": 0.379136}
    )
    assert progress._numbers(task, width) == shown


@pytest.mark.frameworks
def test_pandas():
    """Whole numbers with gaps stay whole, and everything else is as in the other libraries."""
    import pandas as pd

    rows = {"y": [1, 0, 1, 0], "p": [0.5, 0.25, 0.0, 0.5], "n": [1, 2, None, 2], "t": ["a", None, "b", "a"]}
    rows["b"] = [True, False, None, False]
    found = ll.score(rows, **Y_AND_P, group=["n", "t", "b"])
    table, other = found.to_pandas(), found.to_polars()
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == other.columns
    assert str(table["n"].dtype) == "Int64"
    assert str(table["b"].dtype) == "boolean"
    assert table["rows"].dtype == "int64"
    assert table["log_loss"].dtype == "float64"
    for name in other.columns:
        left = [None if pd.isna(one) else one for one in table[name].tolist()]
        right = [None if one is None or (isinstance(one, float) and math.isnan(one)) else one for one in other[name]]
        assert left == right, name
    labels = ll.score({"y": [[1, 0]], "p": [[0.5, 0.5]]}, target="y", probability="p").to_pandas()
    assert labels["of_labels"].tolist() == [pd.NA, pd.NA, 2, 2]
    assert labels["average"].tolist()[2:] == ["micro", "macro"]
