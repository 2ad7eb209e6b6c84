"""A few hundred inputs of every kind (`fuzz`), the same each time; and that what is looked for would be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz
from worker import SOURCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")

KINDS = [list(fuzz.INPUTS)[start::3] for start in range(3)]


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: kinds[0])
def test_inputs_of_every_kind(kinds: list[str]):
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "fuzz", kind, "--examples=25"],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind in kinds
    ]
    for kind, process in zip(kinds, processes, strict=True):
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        assert output.startswith(f"{kind}: 25 tried"), output


FAULTS = {
    "a traceback": (2, "", "Traceback (most recent call last):\n"),
    "two sentences": (2, "", "logloss: one.\nlogloss: two.\n"),
    "an output that is refused": (2, "{}", "logloss: one.\n"),
    "a defect": (101, "", "logloss: internal error, please report it.\n"),
    "memory": (2, "", "logloss: there must be memory for this run.\n"),
    "no JSON": (0, "{", ""),
    "a warning": (0, "{}", "RuntimeWarning\n"),
    "another schema": (0, '{"input": 1}', ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fuzz, "answer", lambda _: FAULTS[fault])
    with pytest.raises((AssertionError, ValueError, fuzz.jsonschema.ValidationError)):
        fuzz.check([])
