"""Anything as input: whatever a file, a condition, a gate or a state holds, the command answers or says one sentence.

`PYTHONPATH=tests python -m fuzz --seconds 600 csv` tries one format for ten minutes, without a name each of them; with
atheris installed, `--guided` lets the code that is reached choose what is tried next. Hypothesis draws the inputs. Each
format has a process of its own whose memory is bounded, and which ends if one input takes a minute; the input that it
ended at is kept. `test_fuzzing.py` tries a few of each.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gzip
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from bz2 import compress as bzip2
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

MEMORY, PATIENCE = 6 << 30, 60
"""Bytes of addresses for a process, libraries and their threads included, and seconds for one input."""

OUT_OF_MEMORY = "there must be memory for this run"
"""What the command says where it got none; "memory" alone stands in what zstd says of a damaged window's size, too."""

SCHEMA = Path(__file__).parents[1] / "docs" / "score.schema.json"
COLUMNS = ("--target", "y", "--probability", "p")
ROWS = pl.DataFrame({
    "y": [1, 0, 1, 0, 1, 0, 1, 1], "p": [0.5, 0.25, 1.0, 0.0, 1e-300, 0.125, 0.75, 0.5],
    "g": ["a", "b,c", 'é"', "", "a", "b\n", "'", "x"], "w": [1.0, 2.0, 0.0, 0.5, 1e300, 1.0, 3.0, 1.0],
})  # fmt: skip

# ---- inputs ---------------------------------------------------------------------------------------------------------


def _written(write: Callable[[Any], Any]) -> bytes:
    target = io.BytesIO()
    write(target)
    return target.getvalue()


@cache
def _seeds() -> dict[str, bytes]:
    """A whole file of each format, by the ending of its name."""
    csv, lines = ROWS.write_csv().encode(), ROWS.write_ndjson().encode()
    return {
        "csv": csv,
        "jsonl": lines,
        "json": json.dumps(ROWS.to_dicts()).encode(),
        "parquet": _written(ROWS.write_parquet),
        "arrow": _written(ROWS.write_ipc),
        "arrows": _written(ROWS.write_ipc_stream),
        "csv.gz": gzip.compress(csv),
        "csv.zst": _zstd(csv),
        "csv.bz2": bzip2(csv),
    }


def _zstd(content: bytes) -> bytes:
    """Compressed by the library that reads it as well."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.csv", Path(folder) / "packed.csv.zst"
        plain.write_bytes(content)
        duckdb.sql(f"COPY (FROM '{plain}') TO '{packed}' (COMPRESSION zstd)")
        return packed.read_bytes()


PIECES = st.binary(max_size=6) | st.sampled_from([
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(8), b"\n", b"\r", b'"', b",", b";", b"\t", b"'",
    b"nan", b"inf", b"-1", b"1e999", b"[", b"]", b"{", b"}", b":", b"null", b"\xef\xbb\xbf", b"\xff\xfe", b"9" * 400,
])  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with a few places overwritten, put in, taken out or repeated, or the end missing."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        how, piece = draw(st.sampled_from(["over", "over", "in", "out", "twice", "end"])), draw(PIECES)
        length = draw(st.integers(1, 64)) if how in ("out", "twice") else len(piece)
        if how == "end":
            content = content[:place]
        elif how == "twice":
            content = content[: place + length] + content[place:]
        else:
            content = content[:place] + (b"" if how == "out" else piece) + content[place + (how != "in") * length :]
    return content


def _words(*words: str) -> st.SearchStrategy[str]:
    numbers = st.integers(-(10**20), 10**20).map(str) | st.floats().map(str)
    return st.lists(st.sampled_from(words) | numbers | st.text(max_size=3), max_size=12).map(" ".join)


NAMES = st.sampled_from(
    ["y", "p", "g", "w", '"g"', "z", "1", "0.25", "'a'", "null", "true", "''", "1e400", "-1", "[1]"]
)
KINDS = st.sampled_from(["int", "double", "varchar", "boolean", "date", "timestamp", "utinyint", "int[]", "nothing"])
CALLS = st.sampled_from([
    *["abs", "length", "lower", "sqrt", "ln", "round", "floor", "isnan", "coalesce", "md5", "sum", "list_value", "not"],
    *["read_csv", "getenv", "error", "typeof", "random", "nextval", "range", "chr", "-", "~"],
])  # fmt: skip
BETWEEN = st.sampled_from([
    *["and", "or", "=", "<>", "<", ">=", "+", "-", "*", "/", "//", "%", "**", "||", "in", "like", "is", "is not"],
    *["~", "->"],
])  # fmt: skip


def _larger(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.builds("{} {} {}".format, one, BETWEEN, one)
        | st.builds("{}({})".format, CALLS, one)
        | st.builds("({})".format, one)
        | st.builds("case when {} then {} else {} end".format, one, one, one)
        | st.builds("cast({} as {})".format, one, KINDS)
        | st.builds("{} {}".format, one, st.sampled_from(["is null", "in (1, 2)", "between 0 and 1", "[1]", "::text"]))
    )


EXPRESSIONS = st.recursive(NAMES, _larger, max_leaves=6)
SCRAPS = _words(
    *["y", "p", "g", "(", ")", ",", "=", ">=", "and", "not", "'", '"', "--", "/*", ";", "*", "(select 1)", "over ()"],
    *["unnest([1])", "lambda x:", "$1", "?", "date '2026-01-01'", "interval 1 day", "columns(*)", "exists", "from y"],
    *["struct_pack(a := 1)", "{'a': 1}", "a =", "as b", "filter (where true)", "collate nocase", "at time zone 'x'"],
)
CONDITIONS = st.builds("{} {} {}".format, EXPRESSIONS, BETWEEN, EXPRESSIONS) | EXPRESSIONS | SCRAPS
GROUPS = st.builds("x = {}".format, EXPRESSIONS) | st.builds("{}, x = {}".format, NAMES, EXPRESSIONS) | SCRAPS
GATES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["log_loss", "ne", "brier", "rows", "auc", "calibration_ratio", "ratio", "LL001", "x.y", ""]),
    st.sampled_from([">", " > ", ">=", "<", "<= ", "=", "", "=="]),
    st.floats().map(str) | st.integers().map(str) | st.sampled_from(["", "nan", "5%", "1e400", "0x10", "1_0", "٣"]),
) | _words("log_loss", ">", "<", "LL101", "0.5", "and")  # fmt: skip

# ---- what is tried --------------------------------------------------------------------------------------------------


def _of_file(folder: Path, ending: str, content: bytes) -> list[str]:
    place = folder / f"rows.{ending}"
    place.write_bytes(content)
    return ["score", str(place), *COLUMNS, "--json"]


def _of_rows(folder: Path, option: str, text: str) -> list[str]:
    return [*_of_file(folder, "parquet", _seeds()["parquet"]), f"{option}={text}"]


def _of_state(folder: Path, content: bytes) -> list[str]:
    places = [folder / "state.json", folder / "other.json"]
    for place in places:
        place.write_bytes(content)
    return ["merge", *map(str, places), "--json"]


@cache
def _state() -> bytes:
    from logloss.evaluate import storage
    from logloss.scores import score

    found = score(ROWS, target="y", probability="p", group="g", weight="w", diagnostics=True)
    return storage.dumps(found.state, ("here",)).encode()


FIELDS = st.sampled_from(
    ["1", "0", "0.5", "0.25", "true", "NA", "", '"1"', '"0.5', "1e-3", "0,5", "1;0", " 1 ", "nan", "x", "é"]
)
LINES = st.builds("{},{}".format, st.sampled_from("01"), FIELDS) | st.builds("{}\t{}".format, FIELDS, FIELDS)
SCRIBBLE = st.text(st.sampled_from("yp,;\t\"'\n\r01.5-eE+ naNIFé\0[]{}:\\"), max_size=12)
TEXTS = st.builds(
    lambda head, lines, more, end: end.join([head, *lines, *more, "1,0.5"]).encode(),
    st.sampled_from(["y,p"] * 3 + ["y;p", '"y","p"', "y\tp", "p,y,y", "\ufeffy,p", "y,p,", ""]),
    st.lists(LINES, max_size=8),
    st.lists(SCRIBBLE, max_size=2) | st.just([]),
    st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]),
)

INPUTS: dict[str, tuple[Callable[..., list[str]], Callable[[], st.SearchStrategy[Any]]]] = {
    **{
        ending: (lambda folder, content, ending=ending: _of_file(folder, ending, content),
                 lambda ending=ending: changed(_seeds()[ending]))
        for ending in ("csv", "jsonl", "json", "parquet", "arrow", "arrows", "csv.gz", "csv.zst", "csv.bz2")
    },
    "text": (lambda folder, content: _of_file(folder, "csv", content), lambda: TEXTS),
    "where": (lambda folder, text: _of_rows(folder, "--where", text), lambda: CONDITIONS),
    "group": (lambda folder, text: _of_rows(folder, "--group", text), lambda: GROUPS),
    "gate": (lambda folder, text: _of_rows(folder, "--fail-if", text), lambda: GATES),
    "state": (_of_state, lambda: changed(_state())),
}  # fmt: skip
"""What is tried, by name: the command's arguments, given a folder and an input; and how inputs are drawn."""


def answer(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, output and complaints of the command, in this process, with what libraries write by themselves."""
    from logloss.cli import main

    with tempfile.TemporaryFile() as errors, contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())) as output:
        kept = os.dup(2)
        os.dup2(errors.fileno(), 2)
        try:
            complaints = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115, PTH123
            with complaints, contextlib.redirect_stderr(complaints):
                try:
                    code = main(arguments)
                except SystemExit as stop:  # argparse
                    code = int(stop.code or 0)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        output.seek(0)
        errors.seek(0)
        return code, output.read(), errors.read().decode("utf-8", "replace")


@cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def check(arguments: list[str]) -> int:
    """Raise AssertionError unless the command answers as its schema says, or refuses in one sentence; the exit code."""
    code, output, errors = answer(arguments)
    if errors.startswith("\nthread '"):  # Polars says by itself where it gave up; what follows is ours
        errors = errors[errors.find("\nlogloss: ") + 1 :]
    what = f"{arguments}: {code}\n{output[:500]}\n{errors[:2000]}"
    assert code in (0, 1, 2), what
    if code == 2:
        usage = errors.startswith("usage:")
        assert output == "", what
        assert usage or (errors.startswith("logloss: ") and errors.count("\n") == 1 and errors.endswith(".\n")), what
        assert OUT_OF_MEMORY not in errors, what
    else:
        assert all(line.startswith("logloss: ") for line in errors.splitlines()), what
        _validator().validate(json.loads(output))
    return code


# ---- running --------------------------------------------------------------------------------------------------------


def _trial(name: str, folder: Path, counts: dict[int, int]) -> Callable[[Any], None]:
    arguments, _ = INPUTS[name]
    told = os.dup(2)  # while the command runs, 2 is a file

    def trial(content: Any) -> None:
        (folder / "last").write_text(repr(content), encoding="utf-8")
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=told)
        code = check(arguments(folder, content))
        faulthandler.cancel_dump_traceback_later()
        counts[code] = counts.get(code, 0) + 1

    return trial


def _test(trial: Callable[[Any], None], name: str, examples: int) -> Any:
    quiet = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
    phases = (Phase.generate, Phase.shrink)
    return settings(max_examples=examples, phases=phases, **quiet)(given(INPUTS[name][1]())(trial))


def fuzz(name: str, seconds: float, examples: int) -> str:
    """Try one kind of input for so many seconds, or so many examples of it; what came of it."""
    os.environ["RUST_BACKTRACE"] = "0"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    counts = dict[int, int]()
    with tempfile.TemporaryDirectory(prefix="logloss-fuzz-") as folder:
        check(_of_file(Path(folder), "csv", _seeds()["csv"]))  # compiles what is no input's fault
        started = time.monotonic()
        trial = _trial(name, Path(folder), counts)
        for number in itertools.count() if seconds else range(1):
            try:
                seed(number)(_test(trial, name, examples))()
            except BaseException:
                print((Path(folder) / "last").read_text(encoding="utf-8"), file=sys.stderr)
                raise
            if time.monotonic() - started > seconds:
                break
    tried, peak = sum(counts.values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    answered = counts.get(0, 0) + counts.get(1, 0)
    return f"{name}: {tried:,} tried, {answered:,} answered, {counts.get(2, 0):,} refused, {peak:,} MiB at most"


def guided(name: str, seconds: int) -> None:
    """The same by atheris, which keeps what reaches new code; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["logloss"]):
        import logloss.cli
        import logloss.evaluate.documents
        import logloss.scores  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="logloss-fuzz-") as folder:
        test = _test(_trial(name, Path(folder), {}), name, 100)
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-timeout=60"], test.hypothesis.fuzz_one_input)
        atheris.Fuzz()


def _in_processes(names: list[str], more: list[str]) -> Iterator[int]:
    for name in names:
        yield subprocess.run([sys.executable, "-m", "fuzz", name, *more], check=False).returncode


def run() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(INPUTS)}; none: each of them")
    parser.add_argument("--seconds", type=float, default=0.0, help="for each; 0: as many as --examples says")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--guided", action="store_true", help="by atheris")
    asked = parser.parse_args()
    if len(asked.names) == 1:
        if asked.guided:
            guided(asked.names[0], int(asked.seconds))
        print(fuzz(asked.names[0], asked.seconds, asked.examples), flush=True)
        return 0
    more = [f"--seconds={asked.seconds}", f"--examples={asked.examples}", *["--guided"] * asked.guided]
    return max(_in_processes(asked.names or list(INPUTS), more))


if __name__ == "__main__":
    sys.exit(run())
