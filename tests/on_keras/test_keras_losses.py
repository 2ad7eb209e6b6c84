"""The Keras losses on each of its backends, each in a process of its own: a backend is chosen once."""

from __future__ import annotations

import math
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


CHECKS = {
    "losses": ["tails", "options", "masks", "saved", "fitted"],
    "saturation": ["types", "lists", "ends", "remembered", "trained", "compiled"],
    "settings metrics": [
        "annealed",
        "annealed_in_other_ways",
        "per_label",
        "written",
        "refused",
        "reported",
        "batches",
        "weighed",
        "rebuilt",
    ],
}


@pytest.mark.parametrize("checks", CHECKS)
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend(backend, checks):
    done = run(str(WORKER), *checks.split(), KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == CHECKS[checks]


def test_the_backend_without_gradients():
    """By hand, in float32: (-log 1e-7 + 23·log 2 + log 4)/3."""
    code = (
        "from logloss.keras import BinaryCrossentropy as B, BinaryFocalCrossentropy as F\n"
        "y, p = [[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.25]]\n"
        "print(float(B()(y, p)), float(B(exact=True)(y, p)), float(F(gamma=0.0)([[1.0]], [[0.25]])))"
    )
    done = run("-c", code, KERAS_BACKEND="numpy")
    want = [(7 * math.log(10) + 23 * math.log(2) + math.log(4)) / 3, math.inf, math.log(4)]
    assert list(map(float, done.stdout.split())) == pytest.approx(want, rel=1e-6), done.stderr[-3000:]


def test_without_keras_the_command_is_named(tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('as if it were not installed')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import logloss.keras"
    done = run("-c", code)
    assert "MissingDependencyError: logloss.keras needs Keras 3" in done.stderr
    assert "pip install 'logloss[keras]'" in done.stderr
