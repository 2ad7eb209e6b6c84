"""Processes that were forked score where that can end, and say where it would not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where processes are forked")

SCRIPT = """
import multiprocessing, sys, numpy as np, logloss as ll
from logloss.sources import processes

def score(source):
    try:
        return ll.score(source, target="y", probability="p").summary.rows
    except ll.InvalidInputError as error:
        return str(error)

def write(place):
    try:
        return KEPT.write(place)
    except ll.InvalidInputError as error:
        return str(error)

TABLE, (before, place) = {"y": np.array([1, 0]), "p": np.array([0.5, 0.25])}, sys.argv[1:]
if before == "score":
    KEPT = ll.score(TABLE, target="y", probability="p")
if before == "polars":
    import polars as pl
    processes._PATIENCE = 1.0
    list(pl.LazyFrame({"a": [1]}).collect_batches())
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply_async(score, [TABLE]).get(timeout=100))
    if before == "score":
        print(pool.apply_async(write, [place]).get(timeout=100))
if before == "score":
    print(score(TABLE))
"""
REFUSED = "scoring must not go on in a process that was forked from one that has scored, or used Polars"


@pytest.mark.parametrize("before", ["nothing", "score", "polars"])
def test_forked_processes(before: str, tmp_path: Path):
    command = [sys.executable, "-c", SCRIPT, before, str(tmp_path / "result.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    lines = done.stdout.splitlines()
    if before == "nothing":
        assert lines == ["2"]
    else:
        assert lines[0].startswith(REFUSED)
        assert lines[0].endswith("start processes by multiprocessing.get_context('spawn') (or 'forkserver').")
    if before == "score":
        assert lines[1:] == [lines[0], "2"]
