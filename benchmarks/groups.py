"""What groups cost: `python benchmarks/groups.py` scores rows of a frame with ever more groups, and writes the results.

Needs the package installed. Times are the least of a few; peak memory is that of the process so far.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import logloss as ll
from scoring import data


def least(run: Callable[[], Any], rounds: int) -> float:
    """The least seconds of a few runs."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time scoring with ever more groups.")
    parser.add_argument("--rows", type=int, default=10**7, help="rows of the frame")
    parser.add_argument("--groups", default="0,50,10000,100000,1000000", help="numbers of groups; 0 is no group column")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each case")
    arguments = parser.parse_args()
    import polars as pl

    rng, frame = np.random.default_rng(1), pl.DataFrame(data(arguments.rows, 0))
    columns: dict[str, Any] = {"target": "y", "probability": "p"}
    print(f"{'groups':>10}{'score, s':>12}{'CSV, s':>10}{'Parquet, s':>12}{'table, s':>10}")
    with tempfile.TemporaryDirectory() as name:
        for groups in map(int, arguments.groups.split(",")):
            table = frame.with_columns(g=rng.integers(0, max(groups, 1), arguments.rows))
            options = {**columns, "group": "g"} if groups else columns
            scored = least(lambda table=table, options=options: ll.score(table, **options), arguments.rounds)  # type: ignore[misc]
            found = ll.score(table, **options)
            files = [
                least(lambda found=found, kind=kind: found.write(Path(name) / f"rows.{kind}"), 1)  # type: ignore[misc]
                for kind in ("csv", "parquet")
            ]
            shown = least(lambda found=found: str(found), 1)  # type: ignore[misc]
            print(f"{groups:>10,}{scored:12.3f}{files[0]:10.3f}{files[1]:12.3f}{shown:10.3f}", flush=True)


if __name__ == "__main__":
    main()
