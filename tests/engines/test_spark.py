"""Spark: data frames and files, on executors in processes of their own, of which one is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyspark.sql import SparkSession

import logloss as ll
from engines import cases, databases
from engines.conftest import table
from logloss.engines import remote
from logloss.engines import spark as engine
from logloss.engines.parts import Answer, Part, Work

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        shutil.which("java") is None, reason="Spark needs Java 17: apt-get install openjdk-17-jre-headless"
    ),
    pytest.mark.filterwarnings(
        "ignore:PySpark does not yet fully support pandas:FutureWarning", "ignore::ResourceWarning"
    ),
]


@pytest.fixture(scope="module")
def port() -> int:
    """For a Connect server, which says of none that it chose itself."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def session(store: Any, port: int) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", value=False)
        builder = builder.config("spark.connect.grpc.binding.port", port)
        session = builder.config("spark.sql.shuffle.partitions", 4).getOrCreate()
        yield session
        session.stop()


def test_files(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_files("spark", files, monkeypatch)
    cases.check_diagnostics("spark", files)
    cases.check_bad_value("spark", files, tmp_path)
    cases.check_unreadable("spark", files, tmp_path)


def test_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases.check_labels("spark", tmp_path, monkeypatch)


def test_a_store(folder: Path) -> None:
    cases.check_store("spark", folder)


def test_commands(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_commands("spark", files[:3], tmp_path, capsys)


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    cases.check_example("spark", capsys)


@pytest.mark.parametrize("partitions", [1, 7, 64])
def test_tables(session: Any, partitions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(5000).with_columns(pl.col("z").round(2))  # many are alike
    cases.check_table(session.createDataFrame(frame.to_arrow()).repartition(partitions), frame, monkeypatch)


def test_all_of_a_table(session: Any, tmp_path: Path) -> None:
    frame = table(5000)
    cases.check_all_of_a_table(session.createDataFrame(frame.to_arrow()).repartition(7), frame, tmp_path)


def test_tables_of_labels(session: Any) -> None:
    """Joined in Spark: the counts and errors of one machine, and keys of several types."""
    frame = table(500).with_row_index("id")
    predictions = frame.drop("y").with_columns(pl.col("id").cast(pl.Float64), day=pl.lit(1))
    labels = frame.select(pl.col("id").cast(pl.String), "y", "age", "country", day=pl.lit("1"))
    columns: dict[str, Any] = {"key": "id,day", "target": "y", "logit": "z", "group": "predictions.country,labels.age"}
    tables = [session.createDataFrame(one.to_arrow()).repartition(3) for one in (predictions, labels)]
    found, expected = ll.score(tables[0], labels=tables[1], **columns), ll.score(predictions, labels=labels, **columns)
    assert repr(found.to_rows()) == repr(expected.to_rows())
    without = labels[20:].with_columns(day=pl.when(pl.col("id") != "30").then("day"))
    for wrong in (without, pl.concat([labels, labels[:1]])):
        said = []
        for one, other in ((predictions, wrong), (tables[0], session.createDataFrame(wrong.to_arrow()))):
            with pytest.raises(ll.InvalidInputError) as raised:
                ll.score(one, labels=other, **columns)
            said.append(re.sub(r"such as id = '\d+'", "such as …", str(raised.value)))
        assert said[0] == said[1]
    with pytest.raises(ll.InvalidInputError, match="or both in Spark; got DataFrame; join them in spark"):
        ll.score(tables[0], labels=labels, **columns)


def test_vectors(session: Any) -> None:
    from pyspark.ml.linalg import Vectors

    rows = [(1, Vectors.dense([0.25, 0.75])), (0, Vectors.dense([0.5, 0.5]))]
    vectors = session.createDataFrame(rows, ["y", "p"])
    expected = ll.score(pl.DataFrame({"y": [1, 0], "p": [0.75, 0.5]}), target="y", probability="p")
    assert ll.score(vectors, target="y", probability="p[1]").summary.results == expected.summary.results


@pytest.mark.parametrize("call", databases.CALLS)
def test_pushdown(session: Any, call: str) -> None:
    options, frame = {"target": "y", **databases.CALLS[call]}, databases.table()
    session.createDataFrame(frame.to_arrow()).createOrReplaceTempView("predictions")
    rows = session.sql(ll.sql("predictions", dialect="spark", **options).text).toArrow()
    databases.assert_close(ll.sql("predictions", **options).scores(rows), ll.score(frame, **options))


def test_a_killed_executor(files: list[str], tmp_path: Path) -> None:
    # a worker's parent is the daemon that forks workers, whose parent is the executor
    cases.check_killed(engine, files, tmp_path, generations=2)


def test_another_python(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.sparkContext, "pythonVer", "3.99")  # as if the driver were of that version
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(ll.InvalidInputError, match=rf"workers run Python {here}, and the driver another; PYSPARK_"):
        ll.score(session.createDataFrame(table(10).to_arrow()), target="y", logit="z")


CLIENT = """
import json, sys
import logloss as ll
from pyspark.sql import SparkSession

files, options = json.loads(sys.argv[1])
table = SparkSession.builder.getOrCreate().read.parquet(files[0])
found = [ll.score(files, engine="spark", **options), ll.score(table, **options)]
print(json.dumps([type(table).__module__, *(repr(one.to_rows()) for one in found)]))
"""


def test_connect(session: Any, port: int, files: list[str]) -> None:
    """A client in a process of its own, which has no Java: files and a data frame, to the bit."""
    service = getattr(session.sparkContext._jvm, "org.apache.spark.sql.connect.service.SparkConnectService")
    service.start(session.sparkContext._jsc.sc())
    try:
        environment = {**os.environ, "SPARK_REMOTE": f"sc://127.0.0.1:{port}", "JAVA_HOME": "/no/such"}
        command = [sys.executable, "-W", "ignore", "-c", CLIENT, json.dumps([files[:3], cases.WEIGHTED])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        kind, *found = json.loads(done.stdout.splitlines()[-1])
    finally:
        service.stop(session._jvm.scala.Option.empty(), session._jvm.scala.Option.empty())
    assert kind == "pyspark.sql.connect.dataframe"
    assert found == [repr(ll.score(one, **cases.WEIGHTED).to_rows()) for one in (files[:3], files[0])]


def heavy(size: int) -> Work:
    """Work whose state is of so many bytes, none of which is ever touched."""
    return lambda part: Answer(part.number, 1, bytes(size))  # a function within one travels to workers


def test_states_that_are_too_large(session: Any) -> None:
    def refused(size: int) -> str:
        answers = engine.of_files([Part(0, None)]).answers(heavy(size))
        with pytest.raises(ll.InvalidInputError) as raised, remote._explained("spark", engine):
            remote._added(answers, None)
        return str(raised.value)

    said = "the run on spark failed: a state is larger than the 2 GB that a value of Spark holds: it has very many gr"
    assert refused(1 << 31).startswith(said)
    settings = session.sparkContext._jsc.sc().conf()
    settings.set("spark.driver.maxResultSize", "1k")
    try:
        assert "states are larger than spark.driver.maxResultSize (1024.0 B) lets the driver take; set" in refused(9999)
    finally:
        settings.set("spark.driver.maxResultSize", "1g")
