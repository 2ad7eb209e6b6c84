"""Spark: parts and partitions go through `mapInArrow`, and only states come back; classic and Connect alike."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .parts import ABSENT, FAN, Answer, Part, Total, Work

_SCHEMA = "number long, rows long, state binary, error string, skipped string"
LIBRARIES = ("pyspark",)

_PYTHON = f"PYSPARK_PYTHON={sys.executable} names this one, where workers have it"

REASONS = {
    "JAVA_GATEWAY_EXITED": "Spark needs Java 17 or later with all of its modules, and none starts from JAVA_HOME or "
    "PATH; install one (Debian: openjdk-17-jre-headless)",
    r"PYTHON_VERSION_MISMATCH\D*([\d.]*\d)": f"workers run Python {{0}}, and the driver another; {_PYTHON}",
    ABSENT: f"the Python of a worker has no {{0}}; install the same versions on every worker; {_PYTHON}",
}


def of_files(work: Work, parts: Sequence[Part]) -> Iterator[Answer]:
    """The answers to parts that every worker can read."""
    session = _session()
    rows = [(part.number, pickle.dumps(part)) for part in parts]
    table = session.createDataFrame(rows, "number long, part binary").repartitionByRange(len(parts), "number")

    def run(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for part in batch.column("part").to_pylist():
                yield _batch([work(pickle.loads(part))])  # from the driver, as is all that runs here

    yield from _answers(table.mapInArrow(run, _SCHEMA), len(parts))


def of_table(work: Work, table: Any, columns: Sequence[str]) -> Iterator[Answer]:
    """The answers to the partitions of a Spark data frame."""

    def run(batches: Iterable[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        batches = iter(batches)
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is not None:
            rest = (batch for batch in batches if batch.num_rows)
            yield _batch([work(Part(number, _chained(first, rest), f"partition {number + 1}"))])

    plain = _plain(table, columns)
    yield from _answers(plain.mapInArrow(run, _SCHEMA), None)


def empty(table: Any) -> Any:
    """A table without rows that has the same columns."""
    return _plain(table, table.columns).limit(0).toArrow()


def _plain(table: Any, columns: Sequence[str]) -> Any:
    """These columns, with vectors as arrays."""
    from pyspark.sql import functions

    def column(name: str) -> Any:
        found = functions.col(f"`{name}`")
        if type(table.schema[name].dataType).__name__ != "VectorUDT":
            return found
        from pyspark.ml.functions import vector_to_array

        return vector_to_array(found).alias(name)

    return table.select(*map(column, columns))


def _chained(first: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _batch(answers: Iterable[Answer]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([asdict(answer) for answer in answers])


def _answers(rows: Any, count: int | None) -> Iterator[Answer]:
    """Answers added up in a tree, of which the driver sees the last few.

    Spark makes as few partitions of small states as it can, and as many as it may of large ones; a worker reads its
    states one after another, which it could not of those of a group.
    """
    from pyspark.sql import functions

    number = functions.col("number")
    rounds = [number] * (count is None or count > FAN * FAN) + [number % FAN] * (count is None or count > FAN)
    for place in rounds:
        rows = rows.repartition(place).mapInArrow(_added, _SCHEMA)
    for row in rows.toLocalIterator():
        yield Answer(**row.asDict())


def _added(batches: Iterable[Any]) -> Iterator[Any]:
    """The answers of a partition as one, if there are any."""
    total = Total()
    for batch in batches:
        for place in range(batch.num_rows):
            total.add(Answer(**batch.slice(place, 1).to_pylist()[0]))
    if total.count:
        yield _batch([total.answer()])


def _session() -> Any:
    """The session that there is, or that Spark's settings say; a session of its own uses all cores of this machine."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or SparkSession.builder.appName("logloss").getOrCreate()
