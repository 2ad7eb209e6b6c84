"""What fails around a run: memory, disks, files, the process itself. Nothing is lost, nothing is half there, and one
sentence says why; docs/trust.md lists it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss.cli import main
from logloss.sources import files, open_source
from logloss.sources import found as found_files
from logloss.sources.wanted import Wanted
from worker import AS_ANY_USER, SOURCE, interpreter

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits, signals and permissions")

Y_AND_P = ["--target", "y", "--probability", "p"]
N = 4000
OUTPUTS = {
    "--save-state": "state.json",
    "--output": "out.csv",
    "report": "report.html",
}
WRITING = [*list(OUTPUTS)[:2], pytest.param("report", marks=pytest.mark.frameworks), "--resume"]  # pages need libraries


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of rows of many groups, so that states and outputs are long."""
    folder = tmp_path_factory.mktemp("rows")
    table = pl.DataFrame({"y": [k % 2 for k in range(N)], "p": [(k % 9 + 1) / 10 for k in range(N)], "g": range(N)})
    table.write_csv(folder / "rows.csv")
    for k in range(3):
        table[k * 1000 : (k + 1) * 1000].write_parquet(folder / f"part{k}.parquet")
    return folder


def asked(rows: Path, option: str, place: Path) -> list[str]:
    """A command that writes something long to a place."""
    score = ["score", str(rows / "rows.csv"), *Y_AND_P, "--group", "g", "--format", "json"]
    if option == "report":
        return ["report", str(rows / "rows.csv"), *Y_AND_P, "--output", str(place)]
    if option == "--resume":
        return ["score", *(str(rows / f"part{k}.parquet") for k in range(3)), *score[2:], "--resume", str(place)]
    return [*score, option, str(place)]


def run(*arguments: str, before: str = "", code: int = 0) -> tuple[str, str]:
    """The command in a process of its own, after some code; its output and complaints."""
    program = f"import sys\n{before}\nfrom logloss.cli import main\nsys.exit(main({list(arguments)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def assert_one_sentence(errors: str, *parts: str) -> None:
    assert errors.startswith("logloss: ")
    assert errors.endswith(".\n")
    assert errors.count("\n") == 1
    for part in parts:
        assert part in errors


# ---- memory ---------------------------------------------------------------------------------------------------------

LOADED = """
import contextlib, io
from logloss.cli import main
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.redirect_stderr(io.StringIO()):
    assert main({small!r}) == 0  # all is loaded, compiled and kept
"""

REFUSE_MEMORY = """
import pathlib, resource
sys.stdout = open("/dev/null", "w")
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a process uses")
def test_memory_that_is_refused(rows: Path, tmp_path: Path):
    """The cells of a million groups take more than may be had."""
    many = pl.DataFrame({"g": pl.int_range(1 << 20, eager=True)}).with_columns(y=pl.col("g") % 2, p=pl.lit(0.5))
    many.write_parquet(tmp_path / "many.parquet")
    state = tmp_path / "state.json"
    state.write_text("whole")
    small = asked(rows, "--save-state", tmp_path / "small.json")
    _, errors = run(
        *["score", str(tmp_path / "many.parquet"), *Y_AND_P, "--group", "g", "--save-state", str(state)],
        before=LOADED.format(small=small) + REFUSE_MEMORY,
        code=2,
    )
    assert_one_sentence(errors, "there must be memory for this run; it ran out (", "logloss merge")
    assert state.read_text() == "whole"
    assert {one.name for one in tmp_path.iterdir()} == {"many.parquet", "state.json", "small.json"}


@pytest.mark.parametrize(
    "reason", ["Allocation failure", "Cannot allocate memory (os error 12)", "Out of Memory Error"]
)
@pytest.mark.parametrize("name", ["rows.csv", "part0.parquet"])
def test_a_file_is_not_left_out_for_want_of_memory(
    reason: str, name: str, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refused(*_: Any, **__: Any) -> Any:
        raise OSError(reason)

    monkeypatch.setattr(files.engine, "stream", refused)
    monkeypatch.setattr(files.File, "_scan", refused)
    arguments = ["score", str(rows / name), *Y_AND_P, "--on-error", "skip"]
    assert main(arguments) == 2
    assert_one_sentence(capsys.readouterr().err, f"it ran out ({reason}, while {rows / name} was read)")


# ---- disks ----------------------------------------------------------------------------------------------------------

FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
"""


@pytest.mark.parametrize("option", WRITING)
def test_a_disk_that_fills_while_writing(
    option: str, rows: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """What was there stays as it was; of a score, the result is printed though it cannot be kept."""
    place = tmp_path / OUTPUTS.get(option, "states")
    if option == "--resume":
        place.mkdir()
    else:
        place.write_text("whole")
    small = tmp_path_factory.mktemp("small")
    loaded = LOADED.format(small=asked(rows, option, small if option == "--resume" else small / place.name))
    output, errors = run(*asked(rows, option, place), before=loaded + FULL_DISK, code=2)
    assert_one_sentence(errors, "cannot be written (File too large); choose another place")
    assert list(tmp_path.rglob("*")) == [place]
    if option != "--resume":
        assert place.read_text() == "whole"
    if option in ("--save-state", "--output"):
        assert json.loads(output)["input"]["rows"] == N


@pytest.mark.parametrize("kind", ["bz2", "labels"])
def test_a_disk_that_fills_while_reading(kind: str, rows: Path, tmp_path: Path):
    content = (rows / "rows.csv").read_bytes()
    (tmp_path / "rows.csv.bz2").write_bytes(bz2.compress(content))
    more = ["--labels", str(rows / "part0.parquet"), "--key", "g", "--unmatched", "drop"]
    paths = {"bz2": [str(tmp_path / "rows.csv.bz2"), *Y_AND_P], "labels": [str(rows / "rows.csv"), *more]}
    columns = [] if kind == "bz2" else ["--target", "labels.y", "--probability", "predictions.p"]
    _, errors = run("score", *paths[kind], *columns, before=FULL_DISK, code=2)
    assert_one_sentence(errors, "set TMPDIR to a folder with room")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_nobody_can_be_told(rows: Path):
    """Where standard error is full, the exit code is still the right one."""
    for more, code in ((["--fail-if", "log_loss > 0"], 1), (["--fail-if", "log_loss < 0"], 0), (["--eps", "7"], 2)):
        arguments = [sys.executable, "-m", "logloss", *asked(rows, "--save-state", Path("/dev/null")), *more]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                arguments,
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
                stdout=subprocess.DEVNULL,
                stderr=full,
                check=False,
            )
        assert done.returncode == code, more


@pytest.mark.frameworks
def test_a_directory_that_may_only_be_read(rows: Path, tmp_path: Path):
    place = tmp_path / "closed"
    place.mkdir()
    (place / "state.json").write_text("whole")
    code = "import sys\nfrom logloss.cli import main\n"
    for option in (*OUTPUTS, "--resume"):
        target = place / OUTPUTS[option] if option in OUTPUTS else place
        code += f"assert main({asked(rows, option, target)!r}) == 2\n"
    place.chmod(0o555)
    try:
        output, errors = interpreter(AS_ANY_USER, CODE="import sys\nsys.stdout = sys.stderr\n" + code)
    finally:
        place.chmod(0o755)
    assert output == ""
    lines = [line for line in errors.splitlines() if line.startswith("logloss: ")]
    assert len(lines) == len(OUTPUTS) + 1
    assert all("cannot be written" in line for line in lines)
    assert [one.name for one in place.iterdir()] == ["state.json"]
    assert (place / "state.json").read_text() == "whole"


# ---- files that change ----------------------------------------------------------------------------------------------


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size - 9),
    "appended": lambda path: path.write_bytes(path.read_bytes() + b"1,0.5,9999\n"),
    "overwritten": lambda path: path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4")),
    "replaced": lambda path: path.with_name(f"other-{path.name}").replace(path),
    "removed": lambda path: path.unlink(),
}
WRITTEN: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": pl.DataFrame.write_csv,
    "tsv.gz": lambda table, path: path.write_bytes(gzip.compress(table.write_csv(separator="\t").encode())),
    "jsonl": pl.DataFrame.write_ndjson,
    "parquet": pl.DataFrame.write_parquet,
    "arrow": pl.DataFrame.write_ipc,
    "arrows": pl.DataFrame.write_ipc_stream,
}


def written(folder: Path, ending: str) -> Path:
    """A file of some rows, and another that nothing but its name tells apart."""
    table = pl.DataFrame({"y": [k % 2 for k in range(N)], "p": [(k % 9 + 1) / 10 for k in range(N)], "g": range(N)})
    for name in ("rows", "other-rows"):
        place = folder / f"{name}.{ending}"
        WRITTEN[ending](table, place)
        os.utime(place, ns=(10**18, 10**18))
    return folder / f"rows.{ending}"


def changed_while_read(path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file changes with the first batch, as its other batches are still to be read."""
    name = "_scanned" if path.suffix[1:] in ("parquet", "arrow", "arrows") else "_text_batches"
    read = getattr(files.File, name)

    def changing(self: Any, *arguments: Any) -> Iterator[Any]:
        for batch in read(self, *arguments):
            yield batch
            CHANGES[change](path)

    monkeypatch.setattr(files.File, name, changing)


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        (change, ending)
        for change in CHANGES
        for ending in WRITTEN
        if (change, ending) != ("cut", "arrow")  # it is mapped into memory: the system ends the process
    ],
)
def test_a_file_that_changes_while_it_is_read(
    change: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = written(tmp_path, ending)
    changed_while_read(path, change, monkeypatch)
    with pytest.raises(ll.InvalidInputError, match=r"rows\.\w+(\.gz)? must stay as it is while it is read; it changed"):
        ll.score(str(path), target="y", probability="p")


def test_a_file_that_changes_between_looking_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was learnt of its columns need not hold any more; nor need its other parts be of the same file."""
    path = written(tmp_path, "csv")
    found = open_source([str(path)])
    path.write_text("p,g,y\n0.5,1,1\n")
    for part in (found, *found.parts((), None)):
        with pytest.raises(ll.InvalidInputError, match=r"rows\.csv must stay as it is while it is read; it changed"):
            list(part.batches(Wanted(("y", "p"))))


@pytest.mark.parametrize("kind", ["bz2", "standard input"])
def test_a_file_that_changes_while_it_is_copied(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is unpacked, or comes from `<`, is read from a copy."""
    path = written(tmp_path, "csv")
    if kind == "bz2":
        path.write_bytes(bz2.compress(path.read_bytes()))
    chunks = found_files._chunks

    def changing(*arguments: Any) -> Iterator[bytes]:
        copied = chunks(*arguments)
        yield next(copied)
        CHANGES["appended"](path)
        yield from copied

    monkeypatch.setattr(found_files, "_chunks", changing)
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        with pytest.raises(ll.InvalidInputError, match="must stay as it is while it is read; it changed"):
            ll.score(str(path) if kind == "bz2" else "-", target="y", probability="p")


def test_a_pipe_that_ends_early(tmp_path: Path, rows: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    whole = (rows / "part0.parquet").read_bytes()
    writer = subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'wb').write({whole[:2000]!r})"])
    with pytest.raises(ll.InvalidInputError, match="pipe cannot be read as Parquet"):
        ll.score(str(pipe), target="y", probability="p")
    assert writer.wait(60) == 0


# ---- kill -9 --------------------------------------------------------------------------------------------------------

KILLED = """
import os, pathlib, signal
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def half(self, content, write=pathlib.Path.write_bytes):
    write(self, content[: len(content) // 2])
    killed()
"""
MOMENTS = {
    "half written": "pathlib.Path.write_bytes = half",
    "not yet on the disk": "os.fsync = killed",
    "not yet in its place": "pathlib.Path.replace = killed",
}


@pytest.mark.parametrize(
    ("option", "moment"),
    [
        *(("--save-state", moment) for moment in MOMENTS),
        ("--output", "half written"),
        pytest.param("report", "half written", marks=pytest.mark.frameworks),
    ],
)
def test_a_process_that_is_killed(option: str, moment: str, rows: Path, tmp_path: Path):
    """What was there stays, nothing half takes its name, and the next run does as if nothing had happened."""
    place = tmp_path / OUTPUTS[option]
    place.write_text("whole")
    run(*asked(rows, option, place), before=KILLED + MOMENTS[moment], code=-signal.SIGKILL)
    assert all(one == place or (one.name[0] == "." and one.suffix == ".part") for one in tmp_path.iterdir())
    assert place.read_text() == "whole"
    assert main(asked(rows, option, place)) == 0
    assert place.read_text() != "whole"


AT_THE_SECOND = """
real, count = pathlib.Path.replace, []
def replaced(self, other):
    count.append(0)
    return real(self, other) if len(count) < 2 else killed()
pathlib.Path.replace = replaced
"""


def test_a_run_that_was_killed_goes_on_where_it_was(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = asked(rows, "--resume", tmp_path)
    run(*arguments, before=KILLED + AT_THE_SECOND, code=-signal.SIGKILL)
    (done,) = tmp_path.glob("[!.]*")
    before = done.stat().st_mtime_ns
    assert main(arguments) == 0
    taken_up = capsys.readouterr().out
    assert done.stat().st_mtime_ns == before
    assert len(list(tmp_path.glob("[!.]*"))) == 3
    assert main(arguments[:-2]) == 0
    assert json.loads(taken_up) == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "damage", [b"", b'{"rows": 1', b'{"rows": 1, "state": "{}"}', b'{"rows": "x", "state": ""}', b"[]"]
)
def test_states_of_parts_that_are_damaged_are_found_anew(damage: bytes, rows: Path, tmp_path: Path):
    columns = {"target": "y", "probability": "p", "group": "g"}
    paths = [str(rows / f"part{k}.parquet") for k in range(2)]
    whole = ll.score(paths, resume=tmp_path, **columns)
    kept = {one: one.read_bytes() for one in tmp_path.iterdir()}
    first = next(iter(kept))
    first.write_bytes(damage)
    assert ll.score(paths, resume=tmp_path, **columns).to_json() == whole.to_json()
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == kept
