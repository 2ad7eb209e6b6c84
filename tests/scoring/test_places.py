"""Where states and results are written: files are replaced, links followed, and pipes and devices written to."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, devices and links of POSIX")

FOUND = ll.score({"y": [1, 0], "p": [0.5, 0.25]}, target="y", probability="p")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("y,p\n1,0.5\n0,0.25\n")
    return path


def run(rows: Path, state: object, *more: str, **streams: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logloss", "score", str(rows), "--target", "y", "--probability", "p"]
    command += ["--save-state", str(state), *more]
    return subprocess.run(command, text=True, check=False, timeout=120, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("write", [ll.Scores.save, lambda scores, path: scores.write(path)], ids=["save", "write"])
def test_a_pipe_is_written_to(write: object, tmp_path: Path):
    pipe, read = tmp_path / "pipe.json", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(FOUND, pipe)  # type: ignore[operator]
    reader.join(60)
    assert len(json.loads(read[0])) > 3
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_is_written_to():
    """One that takes everything, and one that takes nothing; both are what they were."""
    FOUND.save("/dev/null")
    with pytest.raises(InvalidInputError, match=r"/dev/full cannot be written \(No space left on device\)"):
        FOUND.save("/dev/full")
    for device in ("/dev/null", "/dev/full"):
        assert stat.S_ISCHR(os.lstat(device).st_mode)


OPEN = [("/dev/stdout", "pipe"), ("/dev/fd/1", "file"), ("/proc/self/fd/1", "file")]


@pytest.mark.parametrize(("name", "kind"), [one for one in OPEN if os.path.lexists(one[0])])
def test_standard_output(name: str, kind: str, rows: Path, tmp_path: Path):
    """Behind what was printed before, and the name itself stays what it is."""
    with (tmp_path / "out").open("w+") as file:
        file.write("before\n")
        file.flush()
        done = run(rows, name, "--quiet", stdout=subprocess.PIPE if kind == "pipe" else file, stderr=subprocess.PIPE)
        file.seek(0)
        out = done.stdout if kind == "pipe" else file.read().removeprefix("before\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(out)["format"] == "logloss state"
    assert Path(name).is_symlink()


def test_links_are_followed(tmp_path: Path):
    (tmp_path / "there").mkdir()
    real, link, chain = tmp_path / "there" / "state.json", tmp_path / "link.json", tmp_path / "chain.json"
    link.symlink_to(Path("there") / "state.json")  # to nothing yet
    chain.symlink_to(link)
    FOUND.save(chain)
    assert ll.load(real).summary == FOUND.summary
    real.write_text("old")
    FOUND.save(link)
    assert ll.load(link).summary == FOUND.summary
    assert link.is_symlink()
    assert chain.is_symlink()
    assert list((tmp_path / "there").iterdir()) == [real]


def test_links_that_lead_nowhere(tmp_path: Path):
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(InvalidInputError, match=r"loop\.json cannot be written"):
        FOUND.save(loop)
    lost = tmp_path / "lost.json"
    lost.symlink_to(tmp_path / "no" / "state.json")
    with pytest.raises(InvalidInputError, match="its directory does not exist"):
        FOUND.save(lost)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["loop.json", "lost.json"]


def test_a_file_keeps_who_may_read_it(tmp_path: Path):
    path = tmp_path / "state.json"
    path.write_text("old")
    path.chmod(0o600)
    FOUND.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_refused_before_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for place in (tmp_path, tmp_path / "no" / "state.json"):
        assert main(["score", "none.csv", "--target", "y", "--probability", "p", "--save-state", str(place)]) == 2
        assert "cannot be written: it" in capsys.readouterr().err
