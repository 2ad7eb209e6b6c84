"""Ray: datasets and files, on a cluster of this machine of which one worker is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from engines import cases
from engines.conftest import table
from logloss.engines import ray as engine

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]


@pytest.fixture(scope="module", autouse=True)
def cluster(store: Any) -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_files(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_files("ray", files, monkeypatch)
    cases.check_diagnostics("ray", files)
    cases.check_bad_value("ray", files, tmp_path)
    cases.check_unreadable("ray", files, tmp_path)


def test_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_labels("ray", tmp_path, monkeypatch)


def test_a_store(folder: Path) -> None:
    cases.check_store("ray", folder)


@pytest.mark.parametrize("blocks", [1, 7, 64])
def test_tables(blocks: int) -> None:
    frame = table(5000)
    cases.check_table(ray.data.from_arrow(frame.to_arrow()).repartition(blocks), frame)


def test_a_killed_worker(files: list[str], tmp_path: Path) -> None:
    cases.check_killed(engine, files, tmp_path)
