"""What a new process pays: the import beyond NumPy's, and the first call with compiled code on disk and without."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = "import numpy, time; start = time.perf_counter(); import logloss; print(time.perf_counter() - start)"
FIRST_CALL = """
import numpy, time
start = time.perf_counter()
import logloss
x = numpy.linspace(-3, 3, 10, dtype="float32")
logloss.value_and_grad(x, (x > 0).astype("float32"))
print(time.perf_counter() - start)
"""
FIRST_METRIC = """
import numpy, time
start = time.perf_counter()
import logloss
logloss.log_loss(numpy.array([0, 1]), numpy.array([0.25, 0.5]))
print(time.perf_counter() - start)
"""


def _seconds(code: str, **environment: str) -> float:
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return float(done.stdout)


def measure(rounds: int = 9) -> dict[str, float]:
    """Seconds, by what they were spent on: medians, but for the calls without compiled code, which happen once."""
    imports = [_seconds(IMPORT) for _ in range(rounds)]
    facts = {
        "import logloss, NumPy imported before, median": statistics.median(imports),
        "the same, least": min(imports),
    }
    for name, code in (("value_and_grad", FIRST_CALL), ("log_loss", FIRST_METRIC)):
        with tempfile.TemporaryDirectory() as cache:
            facts[f"first {name} in a new process, import included, no cache"] = _seconds(code, NUMBA_CACHE_DIR=cache)
            warm = [_seconds(code, NUMBA_CACHE_DIR=cache) for _ in range(rounds)]
            facts[f"first {name} in a new process, import included, warm cache"] = statistics.median(warm)
    return facts
