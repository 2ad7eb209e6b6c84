"""A run as seen from a terminal: progress while it goes on, and what Ctrl-C leaves of it."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import logloss as ll
from logloss.cli import main
from logloss.engines import local
from logloss.reporting import explanation, text
from logloss.reporting.view import View

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals and signals of POSIX")

LOGLOSS = (sys.executable, "-m", "logloss")
COLUMNS = ("--target", "employed", "--probability", "predicted_probability")
PATIENCE = 120
"""Seconds for what takes two, on a machine where kernels have yet to be compiled."""


class Terminal:
    """What a process writes to a terminal."""

    def __init__(self, columns: int = 100) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._screen, self.line = pty.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.text = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until the pattern has been written."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if (found := re.search(pattern, self.text)) is not None:
                return found
            if select.select([self._screen], [], [], 0.1)[0]:
                self.text += os.read(self._screen, 65536).decode()
        raise AssertionError(f"no {pattern!r} within {PATIENCE} s of {self.text!r}")

    def rest(self) -> str:
        """Everything, once all processes have left it."""
        os.close(self.line)
        try:
            while part := os.read(self._screen, 65536):
                self.text += part.decode()
        except OSError:  # how Linux says that nobody can write any more
            pass
        os.close(self._screen)
        return self.text


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Terminal]]:
    terminal = Terminal()
    command = [*LOGLOSS, *map(str, arguments)]
    settings = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal.line, text=True, env=settings
    ) as process:
        try:
            yield process, terminal
        finally:
            process.kill()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, acs_path: Path) -> Path:
    """Half a minute of reading."""
    directory = tmp_path_factory.mktemp("long")
    shutil.copy(acs_path, directory / "0.parquet")
    for number in range(1, 2_500):
        (directory / f"{number}.parquet").hardlink_to(directory / "0.parquet")
    return directory


def test_progress_and_partial_result(long: Path, tmp_path: Path):
    """The line has rows, speed, remaining time and log loss; Ctrl-C leaves a table marked partial, and no state."""
    state = tmp_path / "state.json"
    state.write_text("whole")
    with running("score", long, *COLUMNS, "--save-state", state) as (process, terminal):
        terminal.until(r"[\d,]+ rows, [\d.,]+M? rows/s, [\d:]+ left, log loss 0\.379")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        err = terminal.rest()
    assert process.returncode == 130
    rows = re.match(r"Partial result: interrupted after ([\d,]+) rows", out)
    assert rows
    assert re.search(rf"^ +{rows[1]}  0\.\d{{5}}  0\.379", out, re.MULTILINE)
    assert "\x1b" not in out
    assert err.endswith(
        f"\x1b[2Klogloss: interrupted: the result is partial, of {rows[1]} rows; no state was saved\r\n"
    )
    assert state.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [state]


@pytest.mark.parametrize("command", [pytest.param("report", marks=pytest.mark.frameworks), "compare", "segments"])
def test_other_commands_are_interrupted_as_score_is(long: Path, tmp_path: Path, command: str):
    """A page, tables or JSON of the rows so far, marked partial, and 130; a file is whole, the state is not touched."""
    page, state = tmp_path / "page.html", tmp_path / "state.json"
    state.write_text("whole")
    twice = (f"--probability={name}={COLUMNS[3]}" for name in ("a", "b"))
    more = {
        "report": [*COLUMNS, "-o", page],
        "compare": [*COLUMNS[:2], *twice],
        "segments": [*COLUMNS, "--segments", "sex,race", "--json"],
    }[command]
    with running(command, long, *more, "--save-state", state) as (process, terminal):
        terminal.until(r"[\d,]+ rows, [\d.,]+M? rows/s, [\d:]+ left")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        err = terminal.rest()
    assert process.returncode == 130
    assert "interrupted: the result is partial, of" in err
    assert state.read_text() == "whole"
    told = {"report": page.read_text() if command == "report" else "", "compare": out, "segments": out}[command]
    assert ('"partial": true' if command == "segments" else "artial result") in told
    if command == "report":
        assert told.rstrip().endswith("</html>")
        assert out == ""
    assert {one.name for one in tmp_path.iterdir()} <= {"page.html", "state.json"}


def test_ctrl_c_waits_for_no_thread_that_has_added_nothing(monkeypatch: pytest.MonkeyPatch):
    """As one that still compiles the kernel, which may take half a minute."""
    begun, go_on, waited = threading.Event(), threading.Event(), []

    def compile_for_long(*_: object) -> None:
        begun.set()
        waited.append(not go_on.wait(20))

    def interrupt(_: threading.Thread) -> None:
        assert begun.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "add", compile_for_long)
    monkeypatch.setattr(local, "_wait", interrupt)
    monkeypatch.setattr(local, "_PATIENCE", 0.01)
    try:
        with pytest.raises(KeyboardInterrupt):
            ll.score({"y": [1, 0], "p": [0.75, 0.25]}, target="y", probability="p")
        assert waited == []
    finally:
        go_on.set()


def test_an_interrupted_file_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C while a page is written: the old one is there, and no part of the new one."""
    scores = ll.score({"y": [1, 0], "p": [0.75, 0.25]}, target="y", probability="p")
    place = tmp_path / "scores.json"
    place.write_text("old")
    whole = Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        whole(path, content[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        scores.write(place)
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_places_are_checked_before_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for command in ("score", "compare", "segments"):
        assert main([command, "nothing.csv", *COLUMNS, "--save-state", str(tmp_path / "none" / "state.json")]) == 2
        assert "its directory does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 60])
@pytest.mark.parametrize("name", ["compare", "drift", "segments", "explain", "diagnostics"])
def test_narrow_terminals_show_every_number_whole(name: str, width: int):
    """What a wide table shows stands in a narrow one too, and no line is longer than the terminal."""
    random = np.random.default_rng(0)
    p = random.random(2000)
    rows = {"y": (random.random(2000) < p).astype(int), "p": p, "q": p**2, "g": np.arange(2000) % 3}
    columns = {"target": "y", "probability": "p"}
    scores = ll.score(rows, **columns, diagnostics=True, thresholds=[0.2], segments="g")
    render = {
        "compare": ll.compare(rows, target="y", probability={"a": "p", "b": "q"}, group="g").render,
        "drift": ll.drift(scores, ll.score({**rows, "p": p**2}, **columns, diagnostics=True, segments="g")).render,
        "segments": ll.segments(scores).render,
        "explain": lambda width: explanation.render(ll.explain([1, 0, 1], logit=[5, -2, 0.5]).to_dict(), width),
        "diagnostics": lambda width: text.render(scores.summary, View(width)),
    }[name]
    wide, narrow = render(200), render(width)
    assert max(map(len, narrow.splitlines())) <= width
    pattern = r"[+-]?\d+\.\d+(?:e[+-]\d+)?"
    lost = set(re.findall(pattern, wide)) - set(re.findall(pattern, narrow))
    assert len(lost) <= (8 if name == "diagnostics" else 0), lost  # the table of scores leaves columns out, by design


@pytest.mark.parametrize(("columns", "no_color"), [(120, ""), (50, "1"), (30, "1")])
def test_a_table_on_a_terminal(acs_path: Path, columns: int, no_color: str):
    """As wide as the terminal, with colours unless NO_COLOR is set, and with bars where there is room."""
    terminal = Terminal(columns)
    command = [*LOGLOSS, "score", *[str(acs_path)], *COLUMNS, "--group", "year"]
    settings = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color}
    with subprocess.Popen(command, stdout=terminal.line, stderr=subprocess.PIPE, text=True, env=settings) as process:
        terminal.until("0.37914")
        assert process.wait(PATIENCE) == 0
        shown = terminal.rest()
    assert ("\x1b" in shown) == (not no_color)
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= columns
    assert any(len(line) > columns - 20 for line in lines)
    assert ("█" in shown) == (columns == 120)


def test_nothing_but_the_result_where_nobody_watches(acs_path: Path):
    command = [*LOGLOSS, "score", *[str(acs_path)], *COLUMNS]
    environment = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=PATIENCE)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_a_quick_run_shows_no_progress(acs_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", screen := Screen())
    monkeypatch.setattr("logloss.reporting.progress.DELAY", 60.0)
    assert main(["score", str(acs_path), *COLUMNS]) == 0
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, None)]
)
def test_progress_is_gone_at_the_end(
    acs_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool | None
):
    """NO_COLOR takes the colours; a terminal that cannot rewrite a line gets nothing."""
    for name, value in {"TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", screen := Screen())
    monkeypatch.setattr("logloss.reporting.progress.DELAY", 0.0)
    assert main(["score", *[str(acs_path)], *COLUMNS]) == 0
    shown = screen.getvalue()
    if coloured is None:
        assert shown == ""
    else:
        assert shown.endswith("\x1b[1A\x1b[2K")
        assert ("\x1b[9" in shown) == coloured


class Screen(io.StringIO):
    """A terminal that remembers what was written."""

    def isatty(self) -> bool:
        return True


def test_interrupted_before_the_first_row(tmp_path: Path):
    """Waiting for a pipe into which nobody writes any more."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    command = [*LOGLOSS, "score", str(pipe), *COLUMNS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with pipe.open("wb") as writer:  # when this is open, the process has opened its end
            writer.write(b"employed,predicted_probability\n1,0.5")  # no whole row, if it has been read by now
            writer.flush()
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, "", "logloss: interrupted\n")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much of a pipe is unread")
@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("employed,predicted_probability\n1,0.5\n0,0.25\n0,0.", 2),
        ('{"employed": 1, "predicted_probability": 0.5}\n{"emplo', 1),
        ("employed,predicted_probability\n1,0.5", None),
        ("employed", None),
    ],
    ids=["csv", "json lines", "header", "no line"],
)
def test_interrupted_pipe(tmp_path: Path, content: str, rows: int | None):
    """The lines that came whole are scored."""
    import fcntl
    import termios

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*LOGLOSS, "score", str(pipe), *COLUMNS, "--json"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **streams) as process, pipe.open("wb", buffering=0) as writer:
        writer.write(content.encode())
        while any(fcntl.ioctl(writer, termios.FIONREAD, bytes(4))):
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    if rows is None:
        assert (out, err) == ("", "logloss: interrupted\n")
    else:
        document = json.loads(out)
        assert (document["partial"], document["input"]["rows"]) == (True, rows)


SCRIPT = """
import os, signal, threading, numpy as np, logloss as ll

def tables():
    yield {"y": np.array([1, 0]), "p": np.array([0.5, 0.25])}
    yield {"y": np.array([1]), "p": np.array([0.75])}
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()  # as a pipe that never ends

try:
    ll.score(tables(), target="y", probability="p")
except KeyboardInterrupt as stop:
    scores = stop.scores
assert scores.summary.partial and scores.summary.rows == 3
assert ll.merge(scores).summary.partial
assert scores.to_dict()["partial"] and "Partial result" in scores._repr_html_() and "Partial result" in str(scores)
try:
    scores.save("state.json")
except ll.InvalidInputError as error:
    print(error, os.path.exists("state.json"))
"""


TIMED_OUT = """
import signal, time, numpy as np, logloss as ll

def give_up(*_):
    raise TimeoutError

def tables():
    for count[0] in range(10**9):
        yield {"y": np.array([1, 0]), "p": np.array([0.5, 0.25])}

count = [0]
ll.score({"y": np.array([1, 0]), "p": np.array([0.5, 0.25])}, target="y", probability="p")  # compiled by now
signal.signal(signal.SIGALRM, give_up)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    ll.score(tables(), target="y", probability="p")
except TimeoutError:
    time.sleep(0.5)
    seen = count[0]
    time.sleep(0.2)
    print(count[0] == seen)
"""


def test_other_exceptions_stop_the_reading(tmp_path: Path):
    command = [sys.executable, "-c", TIMED_OUT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "True\n"


def test_interrupted_in_python(tmp_path: Path):
    """Batches added before Ctrl-C count, also while the reader hangs."""
    environment = {**os.environ, "LOGLOSS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment, timeout=PATIENCE
    )
    assert done.stdout == (
        "only whole results can be saved; these are of an interrupted run, and lack rows; run it again. False\n"
    )
