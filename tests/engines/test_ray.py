"""Ray: datasets and files, on a cluster of this machine of which one worker is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import ray

import logloss as ll
from engines import cases
from engines.conftest import table
from logloss.engines import ray as engine
from logloss.engines.parts import Worker
from logloss.engines.task import Task

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


def test_commands(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_commands("ray", files[:3], tmp_path, capsys)


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_example("ray", capsys)


@pytest.mark.parametrize("blocks", [1, 7, 64])
def test_tables(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(5000).with_columns(pl.col("z").round(2))  # many are alike
    cases.check_table(ray.data.from_arrow(frame.to_arrow()).repartition(blocks), frame, monkeypatch)


def test_all_of_a_table(tmp_path: Path) -> None:
    frame = table(5000)
    cases.check_all_of_a_table(ray.data.from_arrow(frame.to_arrow()).repartition(7), frame, tmp_path)


@pytest.mark.parametrize("kinds", [{}, {"y": "Int64", "country": "category"}, {"y": object}], ids=str)
def test_tables_of_pandas(kinds: dict[str, Any]) -> None:
    frame = table(500)
    options: dict[str, Any] = {"target": "y", "logit": "z", "group": "country"}
    found = ll.score(ray.data.from_pandas(frame.to_pandas().astype(kinds)), **options)
    assert found.summary.results == ll.score(frame, **options).summary.results


def test_a_table_without_rows() -> None:
    with pytest.raises(ll.InvalidInputError, match="there must be rows to score; the Ray dataset has none"):
        ll.score(ray.data.from_items([]), target="y", logit="z")


def test_a_killed_worker(files: list[str], tmp_path: Path) -> None:
    cases.check_killed(engine, files, tmp_path)


def test_blocks_that_differ() -> None:
    whole = table(50).to_arrow()
    with pytest.raises(ll.InvalidInputError, match="a block of the dataset has no column 'z'; give all the same"):
        ll.score(ray.data.from_arrow([whole, whole.drop_columns("z")]), target="y", logit="z")


def test_answers_of_blocks_are_added_up_before_the_driver_sees_them() -> None:
    frame = table(640)
    dataset = ray.data.from_arrow(frame.to_arrow()).repartition(64)
    answers = list(engine.of_table(dataset, ["y", "z"]).answers(Worker(Task({"target": "y", "logit": "z"}))))
    assert [answer.rows for answer in answers] == [640]
