"""Dask: data frames and files, on threads and on processes of which one is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import polars as pl
import pytest

import logloss as ll
from engines import cases
from engines.conftest import ROOT, table
from logloss.engines import dask as engine

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def client(store: Any) -> Iterator[Any]:
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_files_without_a_cluster(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_files("dask", files, monkeypatch)


def test_files(client: Any, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_files("dask", files, monkeypatch)
    cases.check_diagnostics("dask", files)
    cases.check_bad_value("dask", files, tmp_path)
    cases.check_unreadable("dask", files, tmp_path)


def test_labels(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_labels("dask", tmp_path, monkeypatch)


def test_a_store(client: Any, folder: Path) -> None:
    cases.check_store("dask", folder)


def test_commands(client: Any, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_commands("dask", files[:3], tmp_path, capsys)


def test_example(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_example("dask", capsys)


@pytest.mark.parametrize("partitions", [1, 7, 64])
def test_tables(client: Any, partitions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(5000).with_columns(pl.col("z").round(2))  # many are alike
    cases.check_table(dd.from_pandas(frame.to_pandas(), npartitions=partitions), frame, monkeypatch)


@pytest.mark.parametrize("named", ["numbers", "tuples", "an index"])
def test_tables_of_other_names(client: Any, named: str) -> None:
    """Columns are called by what is written for their names; a group may be the index."""
    frame = table(100).to_pandas()[["y", "z", "country"]]
    options = {"target": "y", "logit": "z", "group": None if named == "tuples" else "country"}
    expected = ll.score(frame, **options)
    if named == "an index":
        frame = frame.set_index("country")
    else:
        frame.columns = [0, 1, 2] if named == "numbers" else pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])
        names = ["0", "1", "2"] if named == "numbers" else ["('a', '1')", "('a', '2')"]
        options = {role: name and names.pop(0) for role, name in options.items()}
    found = ll.score(dd.from_pandas(frame, npartitions=2, sort=False), **options)
    assert [one.statistics.log_loss for one in found.summary.results] == [
        one.statistics.log_loss for one in expected.summary.results
    ]


def test_what_is_no_data_frame(client: Any) -> None:
    with pytest.raises(
        ll.UnsupportedTypeError, match=r"a source of Dask must be a data frame; got Delayed.*; make one"
    ):
        ll.score(dask.delayed(1), target="y", logit="z")


def test_all_of_a_table(client: Any, tmp_path: Path) -> None:
    frame = table(5000)
    cases.check_all_of_a_table(dd.from_pandas(frame.to_pandas(), npartitions=7), frame, tmp_path)


def test_a_killed_worker(client: Any, files: list[str], tmp_path: Path) -> None:
    cases.check_killed(engine, files, tmp_path)


def test_partitions_that_differ_and_another_python(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(50).to_pandas()
    parts = [dask.delayed(whole), dask.delayed(whole.drop(columns="z"))]
    frame = dd.from_delayed(parts, meta=whole, verify_meta=False)
    with pytest.raises(ll.InvalidInputError, match="a partition of the data frame has no column 'z'; give all"):
        ll.score(frame, target="y", logit="z")
    monkeypatch.setattr(engine, "_PYTHON", "3.99.1")
    with pytest.raises(ll.InvalidInputError, match=r"run the Python of the client, 3\.99\.1; .* runs 3\..*; "):
        ll.score(dd.from_pandas(whole, npartitions=1), target="y", logit="z")


def test_a_worker_with_another_version(files: list[str], tmp_path: Path) -> None:
    """It imports a copy of this package that says it is another."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "src" / "logloss" / "__init__.py"
    package.write_text(package.read_text(encoding="utf-8").replace(f'"{ll.__version__}"', '"0.1.9"'), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        command = ["-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-nanny", "--no-dashboard"]
        with subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.DEVNULL) as worker:
            client.wait_for_workers(1)
            with pytest.raises(ll.InvalidInputError) as raised:
                ll.score(files[:2], target="y", logit="z", engine="dask")
            worker.terminate()
    said = f"the same version of logloss; one has 0.1.9, another {ll.__version__}; install the same everywhere."
    assert str(raised.value).endswith(said)
