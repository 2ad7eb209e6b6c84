"""Completion by shells, as docs/scoring.md has it: what a person gets who presses Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import shtab

from logloss.arguments import parser
from worker import SOURCE

ASK = """
source completion.bash
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$(complete -p logloss | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the completion that docs/scoring.md makes, and files."""
    folder = tmp_path_factory.mktemp("completion")
    command = [sys.executable, "-m", "shtab", "--shell=bash", "logloss.arguments.parser"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    written = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    (folder / "completion.bash").write_text(written)
    (folder / "predictions.parquet").touch()
    (folder / "predicted").mkdir()
    return folder


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("logloss sc", {"score"}),
        ("logloss score --prob", {"--probability"}),
        ("logloss score --nulls ''", {"error", "drop"}),
        ("logloss score pred", {"predictions.parquet", "predicted"}),
        ("logloss score --labels predictions", {"predictions.parquet"}),
        ("logloss drift predictions", {"predictions.parquet"}),
        ("logloss score --resume pred", {"predicted"}),
    ],
)
def test_what_is_offered(words: str, offered: set[str], folder: Path):
    done = subprocess.run(
        ["bash", "-c", ASK.format(words=words)], cwd=folder, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_every_shell_completes_files(shell: str):
    script = shtab.complete(parser(), shell)
    assert "probability" in script
    assert shtab.FILE[shell].split(" ")[0].strip("(") in script
