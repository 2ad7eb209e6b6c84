"""What an engine adds to a run: `python benchmarks/engines.py` scores the same files on each, and prints ratios.

Needs the package installed with the engines' extras; an engine that is not installed is reported as absent. All use the
cores of this machine: so the ratio to the local run is what transport costs. Each case is a process of its own, whose
first run is not timed: it starts workers and compiles kernels. `--constants` measures what docs/clusters.md plans with.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import logloss as ll
from harness import use_cores
from logloss.engines.parts import packed, unpacked
from logloss.engines.remote import ENGINES
from logloss.engines.task import Task
from logloss.sources import open_source
from logloss.sources.wanted import Wanted
from scoring import data

COLUMNS: dict[str, Any] = {"target": "y", "probability": "p"}
ASKED = {None: 1.0, "dask": 2.0, "ray": 3.0, "spark": 3.0}
"""Times the local run that an engine may take at most."""

_ROWS_OF_A_FILE = 4_000_000
_SMALL_PARTS = 256
Found = dict[str, Any]


def files_in(folder: Path, rows: int) -> Path:
    """A folder of Parquet files of so many rows in all, most of them links to one."""
    import polars as pl

    found = folder / f"{rows}"
    found.mkdir()
    first = found / "0000.parquet"
    whole, rest = divmod(rows, _ROWS_OF_A_FILE)
    pl.DataFrame(data(_ROWS_OF_A_FILE if whole else rest, 0)).write_parquet(first)
    for number in range(1, whole):
        os.link(first, found / f"{number:04}.parquet")
    if whole and rest:
        pl.DataFrame(data(rest, 1)).write_parquet(found / "rest.parquet")
    return found


@contextmanager
def started(engine: str | None) -> Iterator[None]:
    """The engine's own workers in processes, one for each core that we may use."""
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

            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            builder = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", value=False)
            stack.callback(builder.config("spark.ui.showConsoleProgress", value=False).getOrCreate().stop)
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


def case(engine: str | None, folder: str, rounds: int) -> Found:
    """Times of scoring the files of a folder, and the most memory that this process, the driver, has had."""
    with started(engine):
        times = seconds(lambda: ll.score(folder, engine=engine, **COLUMNS), rounds)
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return {"engine": engine, "seconds": times, "driver_bytes": 1024 * peak}


def in_a_process(engine: str | None, folder: Path, rounds: int) -> Found | None:
    """The same in a process of its own; None if the engine is not installed."""
    asked = json.dumps([engine, str(folder), rounds])
    done = subprocess.run([sys.executable, __file__, "--case", asked], capture_output=True, check=False)
    if done.returncode and b"ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return dict(json.loads(done.stdout.splitlines()[-1]))


def overheads(sizes: list[int], engines: list[str], rounds: int) -> list[Found]:
    """Every engine on every number of rows, printed as they come."""
    found: list[Found] = []
    print(f"{'rows':>12}{'engine':>8}{'s, least':>10}{'median':>8}{'× local':>9}{'asked ≤':>9}{'driver, MB':>12}")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder, local = files_in(Path(name), rows), 0.0
            for engine in (None, *engines):
                one = in_a_process(engine, folder, rounds)
                if one is None:
                    print(f"{rows:>12,}{engine:>8}    absent")
                    continue
                least = min(one["seconds"])
                local = local or least
                found.append({"rows": rows, "ratio": least / local, **one})
                print(
                    f"{rows:>12,}{engine or 'local':>8}{least:10.2f}{statistics.median(one['seconds']):8.2f}"
                    f"{least / local:9.2f}{ASKED[engine]:9.0f}{one['driver_bytes'] / 1e6:12.0f}",
                    flush=True,
                )
    return found


def of_a_core(run: Callable[[], Any]) -> float:
    """Seconds of a core that a call takes, the least of three: other processes on the machine do not count."""
    run()
    found = []
    for _ in range(3):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def constants(groups: int, engines: list[str]) -> Found:
    """What a row, a group in a state, and a part cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = files_in(Path(name), _ROWS_OF_A_FILE)
        arrays = data(_ROWS_OF_A_FILE, 0)

        def read() -> None:
            for _ in open_source(str(folder)).batches(Wanted(("y", "p"))):
                pass

        ns = 1e9 / _ROWS_OF_A_FILE
        size = sum(path.stat().st_size for path in folder.iterdir())
        found = {
            "a row in Parquet, bytes": size / _ROWS_OF_A_FILE,
            "read a row, ns": ns * of_a_core(read),
            "score a row, ns": ns * of_a_core(lambda: ll.score(arrays, **COLUMNS)),
            "score a row with diagnostics, ns": ns * of_a_core(lambda: ll.score(arrays, diagnostics=True, **COLUMNS)),
        }
    return found | of_groups(groups) | of_parts(engines)


def of_groups(groups: int) -> Found:
    """Bytes of a group in a state that travels, and what it costs to write, read and add one."""
    rows = 8 * groups
    numbers = {**data(rows, 0), "g": np.random.default_rng(0).permutation(rows) % groups}
    run = Task({"target": "y", "probability": "p"}, group="g").open(numbers)
    state = run.state()
    written = packed(state)
    other = unpacked(written)
    return {
        "score a row of as many groups, ns": 1e9 / rows * of_a_core(run.state),
        "a group in a state, bytes": len(written) / groups,
        "pack a group, us": 1e6 / groups * of_a_core(lambda: packed(state)),
        "unpack a group, us": 1e6 / groups * of_a_core(lambda: unpacked(written)),
        "add a group, us": 1e6 / groups * of_a_core(lambda: state.merge(other)),
        "a state without groups, bytes": len(pickle.dumps(ll.score(data(10, 0), **COLUMNS).state)),
    }


def of_parts(engines: list[str]) -> Found:
    """What a part costs, whatever is in it: how much longer very many files of one row take than one."""
    import polars as pl

    found = {}
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "one", Path(name) / "many"]
        for folder, count in zip(folders, (1, _SMALL_PARTS), strict=True):
            folder.mkdir()
            for number in range(count):
                pl.DataFrame(data(1, number)).write_parquet(folder / f"{number:04}.parquet")
        for engine in engines:
            one, many = (in_a_process(engine, folder, 2) for folder in folders)
            if one and many:
                found[f"a part on {engine}, ms"] = 1e3 / _SMALL_PARTS * (min(many["seconds"]) - min(one["seconds"]))
    return found


def plot(found: list[Found], path: Path) -> None:
    """Time over rows, times the local run, and memory of the driver."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "logloss", "svg.fonttype": "none"}  # the same file for the same figures
    from matplotlib import pyplot as plt

    figure, (taken, ratio, memory) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for engine in dict.fromkeys(one["engine"] for one in found):
        mine = [one for one in found if one["engine"] == engine]
        rows = [one["rows"] for one in mine]
        style: dict[str, Any] = {"label": engine or "local", "color": "gray" if engine is None else None, "marker": "o"}
        taken.loglog(rows, [min(one["seconds"]) for one in mine], **style)
        memory.semilogx(rows, [one["driver_bytes"] / 1e6 for one in mine], **style)
        if engine is not None:
            ratio.semilogx(rows, [one["ratio"] for one in mine], **style)
    taken.set(xlabel="rows", ylabel="seconds", title="Time, start-up excluded")
    ratio.set(xlabel="rows", ylabel="× local", title="Times the local run", yscale="log")
    ratio.axhline(3, color="gray", linestyle="--", linewidth=1)
    memory.set(xlabel="rows", ylabel="MB", title="Peak memory of the driver")
    memory.set_ylim(bottom=0)
    taken.legend()
    for axes in (taken, ratio, memory):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the same score on every engine.")
    parser.add_argument("--rows", default="1000000,10000000,100000000", help="numbers of rows")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, besides this machine's cores")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each case")
    parser.add_argument("--constants", action="store_true", help="measure what a row, a group and a part cost instead")
    parser.add_argument("--groups", type=int, default=10**6, help="groups of a state for --constants")
    parser.add_argument("--plot", type=Path, help="draw what was measured into this file")
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_cores(2)
    if arguments.case:
        print(json.dumps(case(*json.loads(arguments.case))))
        return
    measured: Any
    engines = [one for one in arguments.engines.split(",") if one]
    if arguments.constants:
        measured = constants(arguments.groups, engines)
        for name, value in measured.items():
            print(f"{name:>34} {value:10.3g}")
    else:
        measured = overheads([int(float(one)) for one in arguments.rows.split(",")], engines, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")
    if arguments.plot:
        plot(measured, arguments.plot)


if __name__ == "__main__":
    main()
