"""What people give by mistake: exit code 2 or an exception, one sentence that says what is wrong, and nothing lost."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import logloss as ll
from logloss.cli import main

Y_AND_P = ("--target", "y", "--probability", "p")
GOOD = "y,p,g\n1,0.5,a\n0,0.25,b\n"
TABLE = {"y": [1, 0, 1], "p": [0.5, 0.25, 0.75]}

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run `logloss score` in a directory with a good file; what it says when it refuses, in one line."""
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_text(GOOD)

    def call(*arguments: str) -> str:
        assert main(["score", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        return err

    return call


@pytest.mark.parametrize("text", ["", "@"])
def test_paths_without_a_name(refused: Refused, text: str):
    assert f"a file must have a name; got {text!r}" in refused(text, *Y_AND_P)


def test_lists_of_files_that_name_each_other(refused: Refused):
    Path("a.txt").write_text("good.csv\n@b.txt\n")
    Path("b.txt").write_text("@a.txt\n")
    assert "a list of files must not name itself; a.txt does" in refused("@a.txt", *Y_AND_P)


SECOND = {
    "itself": "good.csv",
    "another path": "../{folder}/./good.csv",
    "an absolute path": "{here}/good.csv",
    "a directory": ".",
    "a pattern": "g*d.csv",
    "a list": "@list.txt",
    "a link": "link.csv",
}


@pytest.mark.parametrize("named", SECOND)
def test_a_file_that_is_named_twice(named: str, refused: Refused):
    """Whichever was meant in its place, it would be left out."""
    Path("list.txt").write_text("good.csv\n")
    if named == "a link":
        Path("link.csv").symlink_to("good.csv")
    second = SECOND[named].format(folder=Path.cwd().name, here=Path.cwd())
    said = "good.csv and .+ are the same|good.csv is named twice"
    assert re.search(f"every file must be named once.*; ({said}); leave one out", refused("good.csv", second, *Y_AND_P))


def test_standard_input_and_links_that_are_read_twice(refused: Refused):
    assert "; standard input is named twice; leave one out" in refused("-", "-", *Y_AND_P)
    Path("link.csv").symlink_to("good.csv")
    assert "; good.csv and link.csv are the same; leave one out" in refused("*.csv", *Y_AND_P)


def test_a_pattern_that_means_a_directory_and_what_is_in_it(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "good.csv").write_text(GOOD)
    assert ll.score(f"{tmp_path}/**", target="y", probability="p").summary.rows == 2


@pytest.mark.parametrize("role", ["target", "probability", "weight", "group"])
def test_empty_names(refused: Refused, role: str):
    """As of a shell variable that is not set: never taken for an option that was not given."""
    options = {"target": "y", "probability": "p", role: ""}
    message = refused("good.csv", *(text for name, value in options.items() for text in (f"--{name}", value)))
    assert f"{role} must name a column; got an empty name" in message


@pytest.mark.parametrize("option", ["--target", "--weight", "--where", "--eps", "--save-state"])
def test_options_that_are_given_twice(option: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["score", "good.csv", option, "1", option, "1"])
    assert f"argument {option}: may be given once only" in capsys.readouterr().err


def test_a_condition_that_compares_numbers_with_texts(refused: Refused):
    assert "the condition \"y = 'one'\" does not fit good.csv" in refused("good.csv", *Y_AND_P, "--where", "y = 'one'")


@pytest.mark.parametrize("place", ["", "missing/state.json", "."])
def test_bad_places_are_refused_before_reading(refused: Refused, place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logloss.scores.score_and_tell", lambda *_, **__: pytest.fail("read for nothing"))
    assert "cannot be written" in refused("good.csv", *Y_AND_P, "--save-state", place)


def test_a_full_disk_does_not_cost_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "good.csv"
    path.write_text(GOOD)
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    assert main(["score", str(path), *Y_AND_P, "--json", "--save-state", str(tmp_path / "state.json")]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["input"]["rows"] == 2
    assert "state.json cannot be written (No space left on device); choose another place.\n" in err
    assert [one.name for one in tmp_path.iterdir()] == ["good.csv"]


def test_columns_that_differ_between_files(refused: Refused):
    Path("other.csv").write_text("y,q\n1,0.5\n")
    assert "there is no column 'p' in other.csv, which has y, q" in refused("good.csv", "other.csv", *Y_AND_P)
    Path("other.csv").write_text("y,p\n1,high\n")
    message = "column 'p' must hold numbers; it is 'high' in row 1 of other.csv (counted from 1)"
    assert message in refused("good.csv", "other.csv", *Y_AND_P)


UNREADABLE = {
    "List": [[1], [2], [1]],
    "Struct": [{"a": 1}] * 3,
    "Binary": [b"a", b"\xff", b"a"],
    "Duration": [timedelta(1)] * 3,
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_groups_that_cannot_be_read(kind: str):
    with pytest.raises(ll.InvalidInputError, match=rf"'g' \(group\) must hold texts, numbers.* it holds {kind}"):
        ll.score({**TABLE, "g": UNREADABLE[kind]}, target="y", probability="p", group="g")


@pytest.mark.parametrize("order", [1, -1])
def test_zero_is_one_group(order: int):
    frame = pl.DataFrame({**TABLE, "g": [-0.0, 0.0, 1.0]})[::order]
    results = ll.score(frame, target="y", probability="p", group="g").summary.results
    assert [str(one.group) for one in results] == ["(0.0,)", "(1.0,)", "None"]


@pytest.mark.parametrize("role", ["target", "probability", "weight", "group", "where"])
def test_arrays_where_names_belong(role: str):
    with pytest.raises(ll.InvalidInputError, match=r"got int; say '5'|a condition must be SQL; got"):
        ll.score(TABLE, **{"target": "y", "probability": "p", role: 5})
    for array in (np.array([1.0, 0.0]), pl.Series([1.0])):
        with pytest.raises(ll.InvalidInputError, match=r"must name a column; got|a condition must be SQL; got"):
            ll.score(TABLE, **{"target": "y", "probability": "p", role: array})


def test_tables_that_do_not_fit_together():
    first = {**TABLE, "g": [1, 2, 3]}
    for other, message in [
        ({"y": [1]}, "there is no column 'p' in table 2"),
        ({**first, "p": ["high"] * 3}, "'p' must have one type everywhere; it is Float64 in table 1 and String in"),
        ({**first, "g": ["a"] * 3}, "'g' must have one type everywhere; it is Int64 in table 1 and String in table 2"),
    ]:
        with pytest.raises(ll.InvalidInputError, match=message):
            ll.score(iter([first, other]), target="y", probability="p", group="g")


def test_numbers_of_other_types_fit_together():
    first = {**TABLE, "g": [1, 2, 3]}
    other = {"y": np.array([True]), "p": np.array([1], np.float32), "g": np.array([1], np.int8)}
    assert ll.score(iter([first, other]), target="y", probability="p", group="g").summary.rows == 4


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        (
            {"p": [0.5, 90.0, 2.0]},
            "if these are percentages, divide them by 100; if the column holds logits, say logit='p' (--logit p).",
        ),
        (
            {"p": [0.5, -2.0, 3.0]},
            "in row 2 of the table (counted from 1); if the column holds logits, say logit='p' (--logit p).",
        ),
        ({"p": [0.5, 1.0 + 2**-23, 0.5]}, "if that is rounding, clip to [0, 1] before"),
        ({"p": [0.5, -1e-9, 0.5]}, "if that is rounding, clip to [0, 1] before"),
        ({"p": [0.5, float("nan"), 0.5]}, "fill such values in, or leave them out with invalid='drop'"),
        ({"y": [1.0, float("nan"), 0.0]}, "fill such values in, or leave them out with invalid='drop'"),
        ({"y": [1.0, -1.0, 1.0]}, "as in positive=1, negative=-1"),
    ],
)
def test_hints_fit_the_value(table: dict[str, Any], hint: str):
    with pytest.raises(ll.InvalidInputError) as caught:
        ll.score({**TABLE, **table}, target="y", probability="p")
    assert hint in str(caught.value)


class Elsewhere:
    """An array of a library that only NumPy's protocol knows."""

    def __init__(self, values: list[float]) -> None:
        self._values = values
        self.ndim = 1

    def __iter__(self) -> Any:
        return iter(self._values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype)


MAPPINGS: dict[str, tuple[dict[Any, Any], str]] = {
    "a number": ({"y": 1, "p": [0.5, 0.25]}, "'y' is one value of type int; give one for each row"),
    "a text": ({**TABLE, "g": "a"}, "'g' is one value of type str; give one for each row"),
    "an array without dimensions": ({"y": np.array(1), "p": [0.5]}, "'y' is one value of type ndarray"),
    "a mapping": ({"y": {0: 1, 1: 0}, "p": [0.5, 0.25]}, "'y' is one value of type dict"),
    "a number as name": ({0: [1], "p": [0.5]}, "must name its columns by texts; got 0; say '0'"),
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_mappings_that_are_none_of_columns(kind: str):
    mapping, message = MAPPINGS[kind]
    with pytest.raises(ll.InvalidInputError, match=message):
        ll.score(mapping, target="y", probability="p")


@pytest.mark.parametrize("number", [float, np.float64])
def test_rows_as_mappings(number: Any):
    """One value each is one row; masks and arrays of other libraries count as what they hold."""
    rows = [{"y": number(y), "p": number(p)} for y, p in zip(*TABLE.values(), strict=True)]
    expected = ll.score(TABLE, target="y", probability="p").summary.results
    assert ll.score(rows, target="y", probability="p").summary.results == expected
    masked = {"y": np.ma.array([1, 0, 1, 1], mask=[0, 0, 0, 1]), "p": Elsewhere([*TABLE["p"], 0.5])}
    assert ll.score(masked, target="y", probability="p", nulls="drop").summary.results == expected


@pytest.mark.frameworks
def test_series_of_different_rows():
    import pandas as pd

    y, p = pd.Series(TABLE["y"], index=[2, 1, 0]), pd.Series(TABLE["p"])
    with pytest.raises(ll.InvalidInputError, match=r"'y' and 'p' differ; put them in a data frame, which aligns them"):
        ll.score({"y": y, "p": p}, target="y", probability="p")
    whole = ll.score(TABLE, target="y", probability="p").summary.results
    for columns in ({"y": y, "p": p.to_numpy()}, {"y": y, "p": p.set_axis(y.index)}):
        assert ll.score(columns, target="y", probability="p").summary.results == whole


def test_columns_that_are_there_twice():
    table = pa.table([[1, 0], [0.75, 0.25], [0.5, 0.5], ["a", "b"], ["a", "b"]], names=["y", "p", "p", "g", "g"])
    for source in (table, table.to_batches()[0], duckdb.sql("SELECT 1 AS y, 0.5 AS p, 0.5 AS p")):
        with pytest.raises(ll.InvalidInputError, match="column 'p' must be one; the table has several of that name"):
            ll.score(source, target="y", probability="p")
    assert ll.score(table.remove_column(2), target="y", probability="p").summary.rows == 2


def test_columns_that_polars_does_not_know():
    relation = duckdb.sql("SELECT 1 AS y, 0.5 AS p, INTERVAL 1 DAY AS unused")
    with pytest.raises(ll.UnsupportedTypeError, match=r"columns that Polars reads.*; convert them, leave them out, or"):
        ll.score(relation, target="y", probability="p")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a threshold in quotes": (
        {"diagnostics": True, "thresholds": "0.5"},
        "thresholds must be given in numbers; got '0.5'",
    ),
    "thresholds in quotes": (
        {"diagnostics": True, "thresholds": ["a"]},
        "thresholds must be given in numbers; got 'a'",
    ),
    "prevalence": ({"diagnostics": True, "prevalence": "x"}, "prevalence must be given in numbers; got 'x'"),
    "depth": ({"segments": "g", "depth": "x"}, "depth must be given in numbers; got 'x'"),
    "for nothing": ({"prevalence": 0.5}, "thresholds and prevalence are for diagnostics, .*; got prevalence=0.5"),
    "a rate": ({"negative_rate": "x"}, r"negative_rate must be in \(0, 1\]; got 'x'"),
    "a weight": ({"pos_weight": "x"}, "pos_weight must be positive and finite; got 'x'"),
    "a key": ({"key": 5, "labels": TABLE}, "columns that both sides share as key; got 5"),
    "a text": ({"null": 5}, "null must be text; got int"),
    "a column": ({"probability": {"a": 5}}, "probability must name a column; got int; say '5'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_values_of_another_type(case: str):
    options, message = WRONG[case]
    with pytest.raises(ll.InvalidInputError, match=message):
        ll.score(TABLE, **{"target": "y", "probability": "p", **options})


def test_options_that_there_are_not(tmp_path: Path):
    columns: dict[str, Any] = {"target": "y", "probability": {"a": "p", "b": "p"}, "grup": "g", "wait": "w"}
    for call in (ll.compare, lambda *given, **options: ll.report(*given, tmp_path / "report.html", **options)):
        with pytest.raises(
            TypeError, match=r"(compare|report)\(\) got an unexpected option 'grup', 'wait'\. It takes .*group"
        ):
            call(TABLE, **columns)
    with pytest.raises(TypeError, match="unexpected option 'diagnostics'"):
        ll.compare(TABLE, target="y", probability={"a": "p", "b": "p"}, diagnostics=True)


COMMANDS = {
    "one row": ("score one.csv --target y --probability p", "y as predicted by p (probability), 1 row in one.csv"),
    "a decimal comma": (
        "score comma.csv --target y --probability p",
        "or if commas are decimal points, quote the numbers",
    ),
    "another case": ("score one.csv --target Y --probability p", "did you mean 'y'"),
    "spaces": ("score spaces.csv --target y --probability p", "name what separates them, as in separator=' '"),
    "UTF-16": ("score utf16.csv --target y --probability p", "if it is UTF-16, say encoding='utf-16' (--encoding)"),
    "nothing": ("score empty.jsonl --target y --probability p", "empty.jsonl must hold predictions; it is empty"),
    "no place": (
        "score one.csv --target y --probability p --output ''",
        "'' cannot be written: it is no name of a file",
    ),
    "over predictions": (
        "score one.csv --target y --probability p --save-state ./one.csv",
        "it is read, and would be lost",
    ),
    "over labels": (
        "score one.csv --labels two.csv --key y --target y --probability p --output two.csv",
        "would be lost",
    ),
    "no state": (
        "score one.csv --target y --probability p --save-state ''",
        "'' cannot be written: it is no name of a file",
    ),
    "a gate of nothing": ("sql t --target y --probability p --fail-if 'll > 1'", "name its rows (--result)"),
    "a file of nothing": ("sql t --target y --probability p --output x.csv", "name its rows (--result)"),
    "a margin": (
        "compare one.csv --target y --probability a=p --probability b=p --fail-on-regression -1",
        "must be 0 or",
    ),
    "no margin": ("compare one.csv --target y --probability a=p --probability b=p --fail-on-regression nan", "got nan"),
    "no threshold": (
        "score one.csv --target y --probability p --threshold 0.5,",
        "must be numbers, with commas between",
    ),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_what_a_stranger_is_told(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("one.csv").write_text("y,p\n1,0.75\n")
    Path("comma.csv").write_text("y,p\n1,0,75\n0,0,25\n")
    Path("spaces.csv").write_text("y p\n1 0.75\n0 0.25\n")
    Path("utf16.csv").write_text("y,p\n1,0.75\n", encoding="utf-16-le")
    Path("empty.jsonl").touch()
    command, message = COMMANDS[case]
    with suppress(SystemExit):
        assert main(shlex.split(command)) == (0 if case == "one row" else 2)
    out, err = capsys.readouterr()
    assert message in out + err
    assert Path("one.csv").read_text() == "y,p\n1,0.75\n"
    assert (err == "") == (case == "one row")
