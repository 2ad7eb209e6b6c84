"""Memory is bounded: a file may be larger than what the process that scores it may use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet
import pytest

ROWS = 40_000_000
BOUND = 600_000_000
CHILD = """
import json, pathlib, resource, sys
import logloss as ll
found = ll.score(sys.argv[1], target="y", probability="p", weight=sys.argv[2] or None).summary
one = found.results[0].statistics
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
status = pathlib.Path("/proc/self/status")
if status.exists():  # on Linux, ru_maxrss counts what the process that started this one used
    peak = 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
print(json.dumps({"rows": one.rows, "base_rate": one.base_rate, "peak": peak}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose columns as float64 are larger than the bound; few values, so that it is written in no time."""
    path = tmp_path_factory.mktemp("large") / "rows.parquet"
    row = pl.int_range(ROWS // 40, eager=True)
    part = pl.DataFrame(
        {"y": (row % 4 == 0).cast(pl.Float64), "p": (row % 97 + 1) / 100, "w": row % 5 + 1.0}
    ).to_arrow()
    with pyarrow.parquet.ParquetWriter(path, part.schema) as writer:
        for _ in range(40):
            writer.write_table(part)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
@pytest.mark.parametrize("weight", ["", "w"])
def test_a_file_larger_than_the_bound(large: Path, weight: str):
    assert ROWS * 8 * 2 > BOUND
    done = subprocess.run([sys.executable, "-c", CHILD, str(large), weight], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["rows"] == ROWS
    assert weight or found["base_rate"] == 0.25
    assert found["peak"] < BOUND
