"""The Keras losses on each of its backends, each in a process of its own: a backend is chosen once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "worker.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(WORKER.parents[1]), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend(backend):
    done = run(str(WORKER), KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["tails", "options", "masks", "saved", "fitted"]


def test_without_keras_the_command_is_named(tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('as if it were not installed')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import logloss.keras"
    done = run("-c", code)
    assert "MissingDependencyError: logloss.keras needs Keras 3" in done.stderr
    assert "pip install 'logloss[keras]'" in done.stderr
