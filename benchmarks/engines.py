"""What an engine adds to a run: `python benchmarks/engines.py` scores the same files on each, and prints ratios.

Needs the package installed with the engines' extras; an engine that is not installed is reported as absent. All use the
cores of this machine: so the ratio to the local run is what transport costs. A first, untimed run starts workers and
compiles kernels.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import logloss as ll
from logloss.engines.remote import ENGINES
from scoring import data

COLUMNS: dict[str, Any] = {"target": "y", "probability": "p"}
_ROWS_OF_A_FILE = 4_000_000


def files_in(folder: Path, rows: int) -> list[str]:
    """Parquet files of so many rows in all."""
    import polars as pl

    found = []
    for number, start in enumerate(range(0, rows, _ROWS_OF_A_FILE)):
        path = folder / f"{number:04}.parquet"
        pl.DataFrame(data(min(_ROWS_OF_A_FILE, rows - start), number)).write_parquet(path)
        found.append(str(path))
    return found


@contextmanager
def started(engine: str | None) -> Iterator[None]:
    """The engine's own workers in processes, two for two cores."""
    from logloss._kernels import threads

    cores = threads.count()
    with ExitStack() as stack:
        if engine == "dask":
            import distributed

            cluster = distributed.LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=None)
            stack.enter_context(cluster)
            stack.enter_context(distributed.Client(cluster))
        elif engine == "ray":
            import ray

            ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, configure_logging=False)
            stack.callback(ray.shutdown)
        elif engine == "spark":
            from pyspark.sql import SparkSession

            session = (
                SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", value=False).getOrCreate()
            )
            stack.callback(session.stop)
        yield


def seconds(run: Callable[[], Any], rounds: int) -> list[float]:
    """The times of a few runs after one that is not timed."""
    run()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the same score on every engine.")
    parser.add_argument("--rows", default="1000000,10000000,100000000", help="numbers of rows")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each case")
    arguments = parser.parse_args()
    print(f"{'rows':>12}{'engine':>8}{'s, least':>10}{'median':>8}{'× local':>9}")
    for rows in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory() as name:
            files, local = files_in(Path(name), rows), 0.0
            for engine in (None, *ENGINES):
                try:
                    with started(engine):
                        times = seconds(partial(ll.score, files, engine=engine, **COLUMNS), arguments.rounds)
                except ImportError:
                    print(f"{rows:>12,}{engine:>8}    absent")
                    continue
                local = local or min(times)
                print(
                    f"{rows:>12,}{engine or 'local':>8}{min(times):10.2f}{statistics.median(times):8.2f}"
                    f"{min(times) / local:9.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
