"""How fast predictions in files are scored, beside the bare reading of the file: `python benchmarks/scoring.py`.

`python benchmarks/scoring.py diagnostics` runs one section: diagnostics and report of `--rows` rows, time and memory.

benchmarks/README.md says what each figure means. Data is generated in a temporary directory. Needs the package
installed; peers come with `pip install -e '.[bench]'`, and a peer that is missing is named in the table.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import logloss as ll
import peers
from harness import Case, Table, as_json, markdown, measure, text, use_cores

BASE = "logloss.score, all statistics"
PART = 10_000_000
"""Rows of the file whose links make up the larger inputs of the scaling section."""

CHILD = """
import json, pathlib, resource, sys, tempfile, time
import logloss as ll
way, source = sys.argv[1:]
given = {"target": "y", "probability": "p"}
page = pathlib.Path(tempfile.mkdtemp(), "report.html")

def read(rows):
    import polars as pl
    scan = pl.LazyFrame(rows) if isinstance(rows, dict) else pl.scan_parquet(rows)
    return sum(one.height for one in scan.select("y", "p").collect_batches(chunk_size=1 << 18))

def shown(rows):
    found = ll.score(rows, diagnostics=True, **given)
    str(found)  # statistics are found when they are asked for
    return found.summary.rows

WAYS = {
    "read": read,
    "score": lambda rows: ll.score(rows, **given).summary.rows,
    "diagnostics": shown,
    "report": lambda rows: ll.report(rows, page, **given).summary.rows,
}
WAYS[way]({"y": [0, 1] * 3000, "p": [0.5, 0.25] * 3000})  # loads kernels and libraries
start = time.perf_counter()
rows = WAYS[way](source)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
status = pathlib.Path("/proc/self/status")
if status.exists():  # on Linux, ru_maxrss counts what the process that started this one used
    peak = 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
page.unlink(missing_ok=True)
page.parent.rmdir()
print(json.dumps({"rows": rows, "seconds": seconds, "peak_bytes": peak}))
"""

SECTIONS = ("scaling", "diagnostics", "files", "texts", "arrays")
WAYS = {"read": "Polars, reading alone", "score": BASE, "diagnostics": "with diagnostics, shown", "report": "report"}


def data(rows: int, seed: int) -> dict[str, Any]:
    """Probabilities whose logits are normal (mean -2, deviation 1.5), and what happened at that rate."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(2 - 1.5 * rng.standard_normal(rows)))
    return {"y": (rng.random(rows) < p).astype(np.int8), "p": p}


def write(path: Path, rows: int) -> None:
    """A Parquet file of that many rows, a million per row group; no more than one group is held in memory."""
    import polars as pl

    parts = path.with_suffix("")
    parts.mkdir()
    for number, start in enumerate(range(0, rows, 1 << 20)):
        pl.DataFrame(data(min(1 << 20, rows - start), number)).write_parquet(parts / f"{number:05}.parquet")
    pl.scan_parquet(parts).sink_parquet(path, row_group_size=1 << 20)
    for part in parts.iterdir():
        part.unlink()
    parts.rmdir()


def _exhaust(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def polars_reader(path: Path, rows: int) -> list[Case]:
    """Polars in batches, as `logloss.score` reads, and Polars' expression of the mean log loss."""
    import polars as pl

    y, p = pl.col("y"), pl.col("p")
    scan = pl.scan_parquet(path)
    each = -(y * p.log() + (1 - y) * (1 - p).log())
    chosen = -pl.when(y == 1).then(p).otherwise(1 - p).log()

    def mean(loss: Any) -> Any:
        return scan.select(loss.mean()).collect(engine="streaming").item()

    def read() -> None:
        _exhaust(scan.select("y", "p").collect_batches(chunk_size=1 << 18))

    return [
        Case("Polars, reading alone", read, rows),
        Case("Polars, mean of -(y log p + (1-y) log(1-p))", partial(mean, each), rows),
        Case("Polars, the same with when/then", partial(mean, chosen), rows),
    ]


def pyarrow_reader(path: Path, rows: int) -> list[Case]:
    """PyArrow's two readers in batches."""
    import pyarrow.dataset
    import pyarrow.parquet

    file, dataset = pyarrow.parquet.ParquetFile(path), pyarrow.dataset.dataset(path)

    def batches() -> None:
        _exhaust(file.iter_batches(1 << 17, columns=["y", "p"]))

    def all_at_once() -> None:
        _exhaust(dataset.to_batches(columns=["y", "p"]))

    return [
        Case("PyArrow dataset, reading alone", all_at_once, rows),
        Case("PyArrow iter_batches, reading alone", batches, rows),
    ]


def duckdb_reader(path: Path, rows: int) -> list[Case]:
    """DuckDB in batches, and its SQL for the mean log loss."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    table = f"read_parquet('{path}')"

    def read() -> None:
        _exhaust(connection.cursor().sql(f"SELECT y, p FROM {table}").to_arrow_reader(1 << 17))

    def mean() -> Any:
        return connection.cursor().execute(f"SELECT avg(-(y * ln(p) + (1 - y) * ln(1 - p))) FROM {table}").fetchone()

    return [Case("DuckDB, reading alone", read, rows), Case("DuckDB SQL, mean log loss", mean, rows)]


READERS = {"PyArrow": pyarrow_reader, "Polars": polars_reader, "DuckDB": duckdb_reader}


def files(directory: Path, rows: int, rounds: int) -> list[Table]:
    """One file: all statistics against reading it, and against the mean log loss alone."""
    path = directory / "rows.parquet"
    write(path, rows)
    ours = [Case(BASE, lambda: ll.score(path, target="y", probability="p"), rows)]
    theirs, absent = peers.installed(READERS, path, rows)
    return [Table(f"A Parquet file of {rows:,} rows", BASE, measure(ours + theirs, rounds), absent)]


def text_readers(path: Path, rows: int) -> list[Case]:
    """The bare reading of two columns of text by DuckDB, as `logloss.score` reads, and by Polars."""
    import duckdb
    import polars as pl

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    is_csv = path.suffix == ".csv"
    table = f"read_{'csv' if is_csv else 'json'}('{path}')"
    scan = pl.scan_csv(path) if is_csv else pl.scan_ndjson(path)

    def duckdb_reads() -> None:
        _exhaust(connection.cursor().sql(f"SELECT y, p FROM {table}").to_arrow_reader(1 << 17))

    def polars_reads() -> None:
        _exhaust(scan.select("y", "p").collect_batches(chunk_size=1 << 18, maintain_order=True))

    return [Case("DuckDB, reading alone", duckdb_reads, rows), Case("Polars, reading alone", polars_reads, rows)]


def texts(directory: Path, rows: int, rounds: int) -> list[Table]:
    """Files of text with two columns that are needed and one that is not: all statistics, and reading alone."""
    import polars as pl

    rows = min(rows, 1 << 22)
    frame = pl.DataFrame({"id": np.arange(rows), **data(rows, 0)})
    tables = []
    for suffix, write_text in (("csv", frame.write_csv), ("jsonl", frame.write_ndjson)):
        path = directory / f"rows.{suffix}"
        write_text(path)
        ours = [Case(BASE, partial(ll.score, path, target="y", probability="p"), rows)]
        theirs, absent = peers.installed({"DuckDB and Polars": text_readers}, path, rows)
        title = f"A file of {'CSV' if suffix == 'csv' else 'JSON lines'}, {rows:,} rows"
        tables.append(Table(title, BASE, measure(ours + theirs, rounds), absent))
        path.unlink()
    return tables


def arrays(rows: int, rounds: int) -> list[Table]:
    """Arrays in memory: all statistics, and the mean log loss alone."""
    made = data(min(rows, 1 << 22), 0)
    y, p = made["y"], made["p"]
    ours = [
        Case(BASE, lambda: ll.score(made, target="y", probability="p"), y.size),
        Case("logloss.log_loss", lambda: ll.log_loss(y, p), y.size),
    ]
    theirs, absent = peers.installed(peers.METRIC, p, y)
    return [Table(f"Arrays of {y.size:,} rows", BASE, measure(ours + theirs, max(3, rounds // 3)), absent)]


def scaling(directory: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """Rows, seconds and peak memory of a new process that scores that many rows, links to one file."""
    found = []
    for rows in sizes:
        part = min(rows, PART)
        source = directory / f"part{part}.parquet"
        if not source.exists():
            write(source, part)
        links = directory / f"links{rows}"
        links.mkdir()
        for number in range(rows // part):
            os.link(source, links / f"{number:04}.parquet")
        found.append(_best([_process("score", str(links / "*.parquet")) for _ in range(2)]))
    return found


def _process(way: str, source: str) -> dict[str, Any]:
    """Rows, seconds and peak memory of a new process."""
    done = subprocess.run([sys.executable, "-c", CHILD, way, source], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest run, with the most memory that any took."""
    return min(runs, key=lambda run: run["seconds"]) | {"peak_bytes": max(run["peak_bytes"] for run in runs)}


def diagnosed(directory: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """New processes that read a file, score it, score it with diagnostics, and write a report if they can, in turn."""
    ways = [way for way in WAYS if way != "report" or importlib.util.find_spec("vl_convert")]
    path = directory / "diagnosed.parquet"
    write(path, rows)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            runs[way].append(_process(way, str(path)))
    path.unlink()
    return [{"way": way, **_best(found)} for way, found in runs.items()]


def diagnosed_lines(found: list[dict[str, Any]], as_markdown: bool) -> str:
    """The section on diagnostics for reading or for a page: each way beside reading, and beside scoring alone."""
    seconds = {one["way"]: one["seconds"] for one in found}
    head = [f"{found[0]['rows']:,} rows", "seconds", "ns/row", "reading ÷ this", "this ÷ score", "peak MB"]
    table = [
        [
            *(WAYS[one["way"]], f"{one['seconds']:.2f}", f"{1e9 * one['seconds'] / one['rows']:.2f}"),
            *(f"{seconds['read'] / one['seconds']:.0%}", f"{one['seconds'] / seconds['score']:.2f}"),
            f"{one['peak_bytes'] / 1e6:.0f}",
        ]
        for one in found
    ]
    table += [[WAYS[way], *["not installed"] * 5] for way in WAYS if way not in seconds]
    if as_markdown:
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * 5], *table))
    return "\n".join(["", *(f"{cells[0]:32}" + "".join(f"{one:>16}" for one in cells[1:]) for cells in (head, *table))])


def scaling_lines(found: list[dict[str, Any]], as_markdown: bool) -> str:
    """The scaling section for reading or for a page."""
    rows = [
        (f"{one['rows']:,}", one["seconds"], one["rows"] / one["seconds"] / 1e6, one["peak_bytes"] / 1e6)
        for one in found
    ]
    if as_markdown:
        lines = [f"| {n} | {s:.2f} | {rate:.0f} | {peak:.0f} |" for n, s, rate, peak in rows]
        return "\n".join(["| rows | seconds | million rows/s | peak memory, MB |", "|--:|--:|--:|--:|", *lines])
    lines = [f"{n:>16}{s:10.2f}{rate:16.1f}{peak:14.0f}" for n, s, rate, peak in rows]
    return "\n".join([f"\n{'rows':>16}{'seconds':>10}{'million rows/s':>16}{'peak MB':>14}", *lines])


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Time and peak memory over rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "logloss", "svg.fonttype": "none"}  # the same file for the same figures
    from matplotlib import pyplot as plt

    rows = [one["rows"] for one in found]
    figure, (time, memory) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    time.loglog(rows, [one["seconds"] for one in found], "o-")
    time.set(xlabel="rows", ylabel="seconds", title="Time, all statistics")
    memory.semilogx(rows, [one["peak_bytes"] / 1e6 for one in found], "o-")
    memory.set(xlabel="rows", ylabel="MB", title="Peak memory of the process", ylim=(0, 700))
    memory.axhline(600, color="gray", linestyle="--", linewidth=1)
    for axes in (time, memory):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time scoring beside reading, and how it grows with the rows.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all if none is named")
    parser.add_argument("--rows", type=int, default=10**8, help="rows of the file that everything reads")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each case")
    parser.add_argument(
        "--scale",
        type=lambda listed: [int(float(one)) for one in listed.split(",") if one],
        default=[10**6, 10**7, 10**8],
        help="rows of the scaling section, e.g. 1e6,1e9",
    )
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--plot", type=Path, help="draw the scaling section into this file")
    arguments = parser.parse_args()
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs Matplotlib, and it is not installed. Use pip install -e '.[bench]'.")
    if unknown := set(arguments.sections) - {*SECTIONS}:
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}.")
    use_cores(2)
    os.environ["POLARS_MAX_THREADS"] = "2"
    facts, tables = measured(arguments, arguments.sections or SECTIONS)
    print("\n".join(map(markdown if arguments.markdown else text, tables)))
    if arguments.json:
        arguments.json.write_text(as_json(tables, facts), encoding="utf-8")
    if arguments.plot and "scaling" in facts:
        plot(facts["scaling"], arguments.plot)


def measured(arguments: argparse.Namespace, sections: Sequence[str]) -> tuple[dict[str, Any], list[Table]]:
    """What the sections find; those of new processes are printed as they end."""
    facts: dict[str, Any] = {}
    tables: list[Table] = []
    rows, rounds = arguments.rows, arguments.rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if "scaling" in sections:
            facts["scaling"] = scaling(directory, arguments.scale)
            print(scaling_lines(facts["scaling"], arguments.markdown), flush=True)
        if "diagnostics" in sections:
            facts["diagnostics"] = diagnosed(directory, rows, rounds)
            print(diagnosed_lines(facts["diagnostics"], arguments.markdown), flush=True)
        for section, tables_of in (("files", files), ("texts", texts)):
            if section in sections:
                tables += tables_of(directory, rows, rounds)
    if "arrays" in sections:
        tables += arrays(rows, rounds)
    return facts, tables


if __name__ == "__main__":
    main()
