"""The command line as a newcomer meets it: output, exit codes, and one sentence for every mistake."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import logloss
from logloss.cli import main

Run = Callable[..., tuple[int, str, str]]
ACS_COLUMNS = ("--target", "employed", "--probability", "predicted_probability")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "predictions.csv"
        path.write_text(text)
        return path

    return write


def test_table(run: Run, acs_path: Path):
    code, out, err = run("score", acs_path, *ACS_COLUMNS, "--group", "year")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["2018", "70,131", "0.50508", "0.37633", "0.00379", "0.54297", "0.45703", "0.12129"] in rows
    assert ["all", "277,677", "0.50130", "0.37914", "0.00192", "0.54698", "0.45302", "0.12238"] in rows
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_json(run: Run, acs_path: Path):
    code, out, err = run("score", acs_path, *ACS_COLUMNS, "--group", "year,sex", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema_version"] == 1
    none = {"missing": 0, "invalid": 0, "ignored": 0}
    sources = {"sources": [str(acs_path)], "rows": 277_677}
    assert document["input"] == {
        **sources,
        "dropped": none,
        "dropped_weight": none,
        "clipped": 0,
        "joined": {},
        "skipped": [],
    }
    assert document["plan"]["groups"] == ["year", "sex"]
    assert len(document["results"]) == 9
    assert document["results"][0]["group"] == {"year": 2015, "sex": 1}
    assert document["results"][-1]["group"] is None
    assert f"{document['results'][-1]['log_loss']:.6f}" == "0.379136"


def test_groups_may_be_named_one_by_one(run: Run, acs_path: Path):
    together = run("score", acs_path, *ACS_COLUMNS, "--group", "year,sex", "--json")
    assert run("score", acs_path, *ACS_COLUMNS, "--group", "year", "--group", "sex", "--json") == together


def test_same_input_same_bytes(acs_path: Path):
    outputs = {
        process("score", acs_path, *ACS_COLUMNS, "--group", "year", "--json", LOGLOSS_NUM_THREADS=threads).stdout
        for threads in ("1", "3")
    }
    assert len(outputs) == 1


def test_numbers_that_json_lacks_are_texts(run: Run, csv: Callable[[str], Path]):
    code, out, _ = run("score", csv("y,p\n1,0\n1,1\n"), "--target", "y", "--probability", "p", "--json")
    assert code == 0
    result = json.loads(out, parse_constant=pytest.fail)["results"][0]
    assert (result["log_loss"], result["normalized_entropy"], result["infinite_rows"]) == ("inf", "nan", 1)


def test_infinite_losses_are_told(run: Run, csv: Callable[[str], Path]):
    code, out, _ = run("score", csv("y,p\n1,0\n0,0.5\n1,0.5\n"), "--target", "y", "--probability", "p")
    assert code == 0
    assert "inf" in out
    assert "1 row has infinite loss" in out


def test_logits(run: Run, csv: Callable[[str], Path]):
    code, out, _ = run("score", csv("y,z\n1,0\n0,0\n"), "--target", "y", "--logit", "z", "--json")
    assert (code, json.loads(out)["results"][0]["log_loss"]) == (0, 0.6931471805599453)


def test_weights(run: Run, csv: Callable[[str], Path]):
    path = csv("y,p,w\n1,0.5,1\n0,0.75,3\n")
    code, out, _ = run("score", path, "--target", "y", "--probability", "p", "--weight", "w", "--json")
    assert code == 0
    assert json.loads(out)["results"][0]["log_loss"] == pytest.approx(1.75 * 0.6931471805599453, rel=1e-15)


Y_AND_P = ("--target", "y", "--probability", "p")
BAD_TABLES = {
    "missing column": ("y,q\n1,0.5\n", "there is no column 'p' in {path}, which has y, q; did you mean 'q'?"),
    "text": ("y,p\n1,high\n", "column 'p' must hold numbers; it is 'high' in row 1 of {path}"),
    "probability": ("y,p\n1,0.5\n0,1.5\n", "column 'p' (probability) must be in [0, 1]; it is 1.5 in row 2 of {path}"),
    "NaN": ("y,p\n1,0.5\n0,NaN\n", "column 'p' (probability) must be in [0, 1]; it is nan in row 2 of {path}"),
    "target": ("y,p\n2,0.5\n", "column 'y' (target) must be in [0, 1]; it is 2.0 in row 1 of {path}"),
    "null": ("y,p\n1,0.5\n,0.5\n", "column 'y' must have a value in every row; it has none in row 2 of {path}"),
    "header only": ("y,p\n", "there must be rows to score; {path} has none"),
    "empty": ("", "{path} must hold predictions; it is empty"),
    "ragged": (
        "y,p\n1,0.5\n1,0.5,7,8\n",
        "{path} cannot be read as CSV (CSV Error on Line: 3 Original Line: 1,0.5,7,8",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(run: Run, csv: Callable[[str], Path], case: str):
    text, message = BAD_TABLES[case]
    path = csv(text)
    assert_refused(run("score", path, *Y_AND_P), message.format(path=path).removesuffix("did you mean 'q'?"))


def assert_refused(result: tuple[int, str, str], message: str) -> None:
    """Exit code 2, nothing on stdout, and one line on stderr that says this."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_bad_logit(run: Run, csv: Callable[[str], Path]):
    result = run("score", csv("y,z\n1,3\n0,NaN\n"), "--target", "y", "--logit", "z")
    assert_refused(result, "column 'z' (logit) must be a number; it is nan in row 2 of")


@pytest.mark.parametrize("weight", ["-1", "inf", "NaN"])
def test_bad_weight(run: Run, csv: Callable[[str], Path], weight: str):
    result = run("score", csv(f"y,p,w\n1,0.5,1\n1,0.5,{weight}\n"), *Y_AND_P, "--weight", "w")
    assert_refused(result, f"column 'w' (weight) must be in [0, 1e300]; it is {float(weight)!r} in row 2 of")


def test_only_zero_weights(run: Run, csv: Callable[[str], Path]):
    result = run("score", csv("y,p,w\n1,0.5,0\n"), *Y_AND_P, "--weight", "w")
    assert_refused(result, "some weight must be positive")


def test_a_missing_value_is_a_group(run: Run, csv: Callable[[str], Path]):
    code, out, _ = run("score", csv("y,p,g\n1,0.5,a\n1,0.25,\n"), *Y_AND_P, "--group", "g", "--json")
    results = json.loads(out)["results"]
    assert (code, [one["group"] for one in results]) == (0, [{"g": "a"}, {"g": None}, None])
    assert [(one["rows"], one["brier"]) for one in results] == [(1, 0.25), (1, 0.5625), (2, 0.40625)]


def test_the_first_bad_row_of_a_large_file(run: Run, tmp_path: Path):
    p = [0.5] * 1_000_000
    p[600_000], p[999_999] = 1.5, -1.0
    pl.DataFrame({"y": [1] * 1_000_000, "p": p}).write_parquet(tmp_path / "large.parquet", row_group_size=50_000)
    assert_refused(run("score", tmp_path / "large.parquet", *Y_AND_P), "it is 1.5 in row 600,001 of")


def test_the_file_of_a_bad_row_is_named(run: Run, tmp_path: Path):
    pl.DataFrame({"y": [1], "p": [0.5]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": [1, 0], "p": [0.5, 2.0]}).write_parquet(tmp_path / "b.parquet")
    result = run("score", tmp_path / "a.parquet", tmp_path / "b.parquet", *Y_AND_P)
    assert_refused(result, f"it is 2.0 in row 2 of {tmp_path / 'b.parquet'}")


def test_bad_files(run: Run, tmp_path: Path, acs_path: Path):
    assert_refused(run("score", tmp_path / "none.parquet", *Y_AND_P), "there is no file")
    assert_refused(run("score", tmp_path, *Y_AND_P), "it has none")
    (tmp_path / "text.parquet").write_text("this is no Parquet file")
    assert_refused(run("score", tmp_path / "text.parquet", *Y_AND_P), "text.parquet cannot be read as Parquet")
    (tmp_path / "cut.parquet").write_bytes(acs_path.read_bytes()[:100_000])
    assert_refused(run("score", tmp_path / "cut.parquet", *Y_AND_P), "cut.parquet cannot be read as Parquet")
    (tmp_path / "predictions.xlsx").write_bytes(b"PK\x03\x04\0\0")
    assert_refused(run("score", tmp_path / "predictions.xlsx", *Y_AND_P), "a file of predictions must end in .parquet")


def test_damaged_pages(run: Run, tmp_path: Path, acs_path: Path):
    """The footer is whole, so the damage shows only while rows are read."""
    content = bytearray(acs_path.read_bytes())
    content[4:-20_000] = bytes(len(content) - 20_004)
    (tmp_path / "damaged.parquet").write_bytes(content)
    assert_refused(
        run("score", tmp_path / "damaged.parquet", *ACS_COLUMNS), "damaged.parquet cannot be read as Parquet"
    )


def test_text_files_that_are_not_whole(run: Run, tmp_path: Path):
    lines = "y,p\n" + "".join(f"1,0.{number}\n" for number in range(10_000, 60_000))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(lines.encode())[:50_000])
    assert_refused(run("score", tmp_path / "cut.csv.gz", *Y_AND_P), "cut.csv.gz is damaged (its end is missing)")
    (tmp_path / "cut.jsonl").write_text('{"y": 1, "p": 0.5}\n{"y": 1, "p"')
    assert_refused(run("score", tmp_path / "cut.jsonl", *Y_AND_P), "cut.jsonl cannot be read as JSON lines")
    (tmp_path / "other.arrow").write_text("no Arrow file at all")
    assert_refused(run("score", tmp_path / "other.arrow", *Y_AND_P), "other.arrow cannot be read as Arrow IPC")


def test_text_of_another_encoding(run: Run, tmp_path: Path):
    (tmp_path / "latin.csv").write_bytes("y,p,g\n1,0.5,Malmö\n".encode("latin-1"))
    assert_refused(run("score", tmp_path / "latin.csv", *Y_AND_P, "--group", "g"), "latin.csv cannot be read as CSV")


def test_group_types_must_agree(run: Run, tmp_path: Path):
    pl.DataFrame({"y": [1], "p": [0.5], "g": [1.5]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": [1], "p": [0.5], "g": ["1"]}).write_parquet(tmp_path / "b.parquet")
    result = run("score", tmp_path / "a.parquet", tmp_path / "b.parquet", *Y_AND_P, "--group", "g")
    assert_refused(result, "column 'g' must have one type everywhere; it is Float64 in")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--target", "y"),
            "must be named as probability or as logit; which of them it holds is never guessed; p may be meant",
        ),
        ((*Y_AND_P, "--logit", "p"), "argument --logit: not allowed with argument --probability"),
        (("--target", "y", "--probability", "y"), "target and prediction must be different columns; both are 'y'"),
        ((*Y_AND_P, "--group", "g,g"), "a group column must be named once; got g, g"),
        ((*Y_AND_P, "--prob", "p"), "there is no option --prob; did you mean --probability; see logloss score --help"),
        ((*Y_AND_P, "-o", "x"), "there is no option -o; did you mean --on-error or --output; see"),
        ((*Y_AND_P, "--where", "y"), "a condition must be true or false; 'y' is BIGINT in"),
        ((*Y_AND_P, "--labels", __file__, "--format-in", "csv"), "got none; name them (key=, --key)."),
        ((*Y_AND_P, "--fail-if", "logloss > 1"), "got 'logloss > 1'; did you mean 'log_loss'; the statistics are"),
        ((*Y_AND_P, "q"), "'q' belongs to no option; an option takes one value, and is given again for another"),
        (("--probability", "p"), "the column of targets must be named (target); y may be meant"),
    ],
)
def test_bad_usage(run: Run, csv: Callable[[str], Path], options: tuple[str, ...], message: str):
    assert_refused(run("score", csv("y,p,g\n1,0.5,a\n"), *options), message)


@pytest.mark.parametrize(
    ("gate", "code", "message"),
    [
        ("ne > 0.5", 1, "gate 'ne > 0.5' failed: normalized_entropy is 0.546979"),
        ("ne > 0.9", 0, ""),
        ("log_loss<=0.4", 1, "log_loss is 0.379135"),
        ("ll >= 0.4", 0, ""),
        ("brier_skill < 0.5", 0, ""),
    ],
)
def test_gates(run: Run, acs_path: Path, gate: str, code: int, message: str):
    found, out, err = run("score", acs_path, *ACS_COLUMNS, "--group", "sex", "--fail-if", gate)
    assert found == code
    assert "277,677" in out
    assert message in err
    assert err.count("\n") == code


def test_an_undefined_number_passes_no_gate(run: Run, csv: Callable[[str], Path]):
    code, _, err = run("score", csv("y,p\n1,0.5\n"), *Y_AND_P, "--fail-if", "ne > 5", "--fail-if", "ll > 5")
    assert (code, err) == (1, "logloss: gate 'ne > 5' failed: normalized_entropy is undefined.\n")


@pytest.mark.parametrize("gate", ["ne", "ne > high", "ne == 1", "quality > 1", "ne > nan", ""])
def test_bad_gates(run: Run, acs_path: Path, gate: str):
    assert_refused(run("score", acs_path, *ACS_COLUMNS, "--fail-if", gate), "a gate must be a statistic")


DIRTY = "y,p,g\n1,0.5,a\n,0.5,a\n0,0.25,\n0,1.5,a\n2,0.5,b\n0,0.25,b\n,7,b\n"


def test_rows_are_dropped_on_request(run: Run, csv: Callable[[str], Path]):
    options = (*Y_AND_P, "--group", "g", "--nulls", "drop", "--invalid", "drop")
    code, out, err = run("score", csv(DIRTY), *options)
    assert (code, err) == (0, "")
    assert "3 rows were left out for want of a value." in out
    assert "2 rows were left out for want of a valid number." in out
    code, out, _ = run("score", csv(DIRTY), *options, "--json")
    document = json.loads(out)
    assert document["input"]["rows"] == 2
    assert document["input"]["dropped"] == {"missing": 3, "invalid": 2, "ignored": 0}
    assert document["results"][-1]["log_loss"] == 0.4904146265058631


def test_only_what_was_asked_for_is_dropped(run: Run, csv: Callable[[str], Path]):
    path = csv(DIRTY)
    assert_refused(run("score", path, *Y_AND_P, "--nulls", "drop"), "it is 1.5 in row 4 of")
    assert_refused(run("score", path, *Y_AND_P, "--invalid", "drop"), "it has none in row 2 of")
    dirty = csv("y,p\n1,NaN\n")
    assert_refused(run("score", dirty, *Y_AND_P, "--nulls", "drop"), "it is nan in row 1 of")
    assert_refused(run("score", dirty, *Y_AND_P, "--invalid", "drop"), "there must be rows to score")


def test_the_weight_of_dropped_rows(run: Run, csv: Callable[[str], Path], tmp_path: Path):
    """Exact, and so the same however the rows are split; a weight that is none itself counts as 0."""
    lines = ["1,0.5,1", ",0.5,0.1", "0,,0.2", "0,0.5,", "0,2,0.3", "3,0.5,1e-9", "1,0.5,-1", "0,0.25,2"]
    options = (*Y_AND_P, "--weight", "w", "--nulls", "drop", "--invalid", "drop")
    states = []
    for number, part in enumerate((lines, lines[:3], lines[3:6], lines[6:])):
        states.append(tmp_path / f"{number}.json")
        run("score", csv("\n".join(["y,p,w", "1,0.5,1", *part, ""])), *options, "--save-state", states[-1])
    for found in (run("merge", states[0], "--json"), run("merge", *states[:0:-1], "--json")):
        assert json.loads(found[1])["input"]["dropped"] == {"missing": 3, "invalid": 3, "ignored": 0}
        assert json.loads(found[1])["input"]["dropped_weight"] == {
            "missing": 0.1 + 0.2,
            "invalid": 0.300000001,
            "ignored": 0.0,
        }
    assert "3 rows of weight 0.30000 were left out for want of a value." in run("merge", states[0])[1]
    code, out, _ = run("score", csv("y,p\n1,0.5\n,0.5\n"), *Y_AND_P, "--nulls", "drop", "--json")
    assert (code, json.loads(out)["input"]["dropped_weight"]) == (0, {"missing": 1, "invalid": 0, "ignored": 0})


def test_dropped_rows_are_counted_across_states(run: Run, csv: Callable[[str], Path], tmp_path: Path):
    states = [tmp_path / "state.json", tmp_path / "other.json"]
    for state in states:
        assert run("score", csv(DIRTY), *Y_AND_P, "--nulls", "drop", "--invalid", "drop", "--save-state", state)[0] == 0
    code, out, _ = run("merge", *states, "--json")
    assert (code, json.loads(out)["input"]["dropped"]) == (0, {"missing": 4, "invalid": 4, "ignored": 0})
    assert_refused(run("merge", *states, states[0]), "state.json is named twice; leave one out")


def test_version_of_a_tree_that_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _: 1 / 0)
    assert run("--version") == (0, f"logloss {logloss.__version__}\n", "")


def test_help_shows_examples_first(run: Run):
    code, out, _ = run("score", "--help")
    assert code == 0
    assert out.startswith("examples:\n  logloss score predictions.parquet")
    assert run("--help")[1] == run()[1]
    assert run("--help")[1].startswith("examples:\n  logloss score predictions.parquet")


def test_internal_errors_are_one_line(run: Run, acs_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logloss.scores.score_and_tell", lambda *_, **__: 1 / 0)
    code, out, err = run("score", acs_path, *ACS_COLUMNS)
    assert (code, out) == (101, "")
    assert "internal error, please report it: ZeroDivisionError at test_cli.py:" in err
    assert err.count("\n") == 1


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logloss", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}, timeout=300
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")
def test_a_closed_pipe_ends_quietly(acs_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "logloss", "score", str(acs_path), *ACS_COLUMNS]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written(acs_path: Path):
    command = [sys.executable, "-m", "logloss", "score", str(acs_path), *ACS_COLUMNS]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    message = "logloss: the output cannot be written (No space left on device); send it elsewhere.\n"
    assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")
@pytest.mark.parametrize(("closed", "path", "code"), [(">&-", None, 0), ("2>&-", "none.csv", 2)])
def test_closed_streams(acs_path: Path, closed: str, path: str | None, code: int):
    command = shlex.join([sys.executable, "-m", "logloss", "score", path or str(acs_path), *ACS_COLUMNS])
    done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_signs_that_an_encoding_lacks_are_written_plainly(run: Run, csv: Callable[[str], Path]):
    done = process("score", csv("y,p,g\n1,0.5,ü\n0,0.5,ü\n"), *Y_AND_P, "--group", "g", PYTHONIOENCODING="ascii")
    lines = done.stdout.splitlines()
    assert any(re.fullmatch(r" -+", line) for line in lines)
    assert any(line.startswith(r" \xfc") for line in lines)
    assert "+-" in done.stdout
    assert " D2 " in done.stdout
    assert "\\u" not in done.stdout
