"""Dask: data frames and files, on threads and on processes of which one is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import distributed
import pytest

from engines import cases
from engines.conftest import table
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


@pytest.mark.parametrize("partitions", [1, 7, 64])
def test_tables(client: Any, partitions: int) -> None:
    frame = table(5000)
    cases.check_table(dd.from_pandas(frame.to_pandas(), npartitions=partitions), frame)


def test_a_killed_worker(client: Any, files: list[str], tmp_path: Path) -> None:
    cases.check_killed(engine, files, tmp_path)
