"""Timing side by side: cases run in turn, round after round, so that a ratio compares what ran at the same time.

A case's figures are the least and the median of its rounds: the least is what the code can do, the median what it did.
Both are printed, and ratios are taken of both. Nothing is discarded. Before each timing the process rests, for a
library's idle threads may spin for milliseconds, and the case runs once untimed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

SHORTEST, REST = 1e-3, 5e-3
"""Seconds that one timing lasts at least (a faster call is repeated within it), and of rest before it."""


@dataclass
class Case:
    """One thing to time: `run` does it once on `elements` elements; `before` prepares each timing, untimed."""

    name: str
    run: Callable[[], object]
    elements: int
    before: Callable[[], object] | None = None


@dataclass
class Result:
    """The seconds of each round of a case, per call."""

    name: str
    elements: int
    seconds: list[float] = field(default_factory=list)

    @property
    def least(self) -> float:
        """Nanoseconds per element of the fastest round."""
        return 1e9 * min(self.seconds) / self.elements

    @property
    def median(self) -> float:
        """Nanoseconds per element of the middle round."""
        return 1e9 * statistics.median(self.seconds) / self.elements


@dataclass
class Table:
    """The results of one suite; ratios are to the case `base`, times `scale` where a base stands for more bytes."""

    title: str
    base: str
    results: list[Result]
    absent: list[str] = field(default_factory=list)
    note: str = ""

    def ratios(self, result: Result) -> tuple[float, float]:
        """(least, median) of a result over those of the base."""
        base = next(one for one in self.results if one.name == self.base)
        return result.least / base.least, result.median / base.median


def use_cores(count: int) -> None:
    """Bind the process to `count` cores before any library asks how many there are."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in ("OMP_NUM_THREADS", "LOGLOSS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = str(count)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _time(case: Case, repeats: int) -> float:
    if case.before is not None:
        case.before()
    start = time.perf_counter()
    for _ in range(repeats):
        case.run()
    return (time.perf_counter() - start) / repeats


def measure(cases: Iterable[Case], rounds: int) -> list[Result]:
    """Warm every case up, then time all of them in turn, `rounds` times; the order turns from round to round."""
    cases = list(cases)
    repeats: dict[str, int] = {}
    for case in cases:
        _time(case, 2)
        repeats[case.name] = 1 if case.before else max(1, int(SHORTEST / max(_time(case, 1), 1e-9)))
    results = {case.name: Result(case.name, case.elements) for case in cases}
    for turn in range(rounds):
        at = turn % len(cases)
        for case in cases[at:] + cases[:at]:
            time.sleep(REST)
            _time(case, 1)
            results[case.name].seconds.append(_time(case, repeats[case.name]))
    return list(results.values())


def machine() -> dict[str, Any]:
    """Where the figures were taken: processor, cores, Python and the libraries installed."""
    names = ("numpy", "numba", "polars", "torch", "jax", "optax", "tensorflow-cpu", "tensorflow", "scikit-learn")
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    """The processor's name and widest vectors, from Linux's /proc/cpuinfo; elsewhere what Python knows."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = next((name for name in ("avx512f", "avx2") if name in facts.get("flags", "").split()), "")
    return " ".join(
        part
        for part in (
            facts.get("model name", platform.machine()),
            f"family {facts['cpu family']}" if "cpu family" in facts else "",
            f"model {facts['model']}" if "model" in facts else "",
            vectors,
        )
        if part
    )


def text(table: Table) -> str:
    """A table for reading."""
    lines = [f"\n{table.title}", *([table.note] if table.note else [])]
    lines.append(f"{'':46}{'ns/element':>20}{'÷ ' + table.base:>44}")
    lines.append(f"{'':46}{'least':>10}{'median':>10}{'least':>34}{'median':>10}")
    for result in table.results:
        least, median = table.ratios(result)
        lines.append(f"{result.name:46}{result.least:10.3f}{result.median:10.3f}{least:34.2f}{median:10.2f}")
    return "\n".join(lines + [f"{name}: not installed" for name in table.absent])


def markdown(table: Table) -> str:
    """A table for a page: the least times and their ratios, with the ratio of the medians beside it."""
    lines = [f"| {table.title} | ns per element | × {table.base} | median |", "|---|--:|--:|--:|"]
    for result in table.results:
        least, median = table.ratios(result)
        lines.append(f"| {result.name} | {result.least:.2f} | {least:.2f} | {median:.2f} |")
    return "\n".join(lines + [f"| {name} | not installed | | |" for name in table.absent])


def as_json(tables: list[Table], facts: dict[str, Any]) -> str:
    """Everything measured, for other programs."""
    return json.dumps({"machine": machine(), "facts": facts, "tables": [asdict(table) for table in tables]}, indent=1)
