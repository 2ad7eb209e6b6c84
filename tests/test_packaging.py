"""What is published: small, complete, and the same bytes whoever builds it."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import logloss

ROOT = Path(__file__).parent.parent
LARGEST = 1_000_000


def build(source: Path, into: Path, *targets: str, **environment: str) -> dict[str, Path]:
    """The archives that are built of a tree, by their ending."""
    command = [sys.executable, "-W", "ignore", "-m", "hatchling", "build", "-d", str(into)]
    wanted = [argument for target in targets for argument in ("-t", target)]
    done = subprocess.run(
        [*command, *wanted], cwd=source, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in into.iterdir()}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(ROOT, tmp_path_factory.mktemp("first"), "sdist", "wheel")


def test_archives_are_small(archives: dict[str, Path]):
    assert {path.name: path.stat().st_size for path in archives.values() if path.stat().st_size >= LARGEST} == {}
    assert len(archives) == 2


def test_whoever_builds_gets_the_same_bytes(archives: dict[str, Path], tmp_path: Path):
    again = build(ROOT, tmp_path / "again", "sdist", "wheel", TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    assert {name: path.read_bytes() for name, path in again.items()} == {
        name: path.read_bytes() for name, path in archives.items()
    }
    with tarfile.open(archives[".gz"]) as file:
        file.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("logloss-*")
    assert build(unpacked, tmp_path / "third", "wheel")[".whl"].read_bytes() == archives[".whl"].read_bytes()


def test_a_wheel_holds_the_package_and_nothing_else(archives: dict[str, Path]):
    with zipfile.ZipFile(archives[".whl"]) as wheel:
        names = wheel.namelist()
        metadata = email.message_from_bytes(wheel.read(next(name for name in names if name.endswith("METADATA"))))
    files = (ROOT / "src" / "logloss").rglob("*")
    own = {
        str(path.relative_to(ROOT / "src")) for path in files if path.suffix in (".py", ".css", ".js", ".j2", ".typed")
    }
    assert {name for name in names if ".dist-info/" not in name} == own
    core = sorted(one.partition(">")[0] for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one)
    assert core == ["backports-zstd", "duckdb", "msgspec", "numba", "numpy", "polars", "rich"]


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0].isalpha())
    assert fields["version"] == logloss.__version__
    assert {"cff-version", "message", "title", "type", "license"} <= fields.keys()
