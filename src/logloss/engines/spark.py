"""Spark: parts and partitions go through `mapInArrow`, and only states come back; classic and Connect alike."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..evaluate.ranges import BLOCKS, RANGE, ROWS
from ..sources.labels import SIDES, counted, repeated
from .parts import ABSENT, FAN, Answer, Part, Total, Work
from .ranges import Exchange

_SCHEMA = "number long, rows long, state binary, error string, skipped string"
_BATCH = 1 << 16
"""Rows that go to Spark at once."""

LIBRARIES = ("pyspark",)

_PYTHON = f"PYSPARK_PYTHON={sys.executable} names this one, where workers have it"

_MANY = "it has very many groups; group less, or score parts of the data by themselves and merge their saved states"

REASONS = {
    "JAVA_GATEWAY_EXITED": "Spark needs Java 17 or later with all of its modules, and none starts from JAVA_HOME or "
    "PATH; install one (Debian: openjdk-17-jre-headless)",
    r"PYTHON_VERSION_MISMATCH\D*([\d.]*\d)": f"workers run Python {{0}}, and the driver another; {_PYTHON}",
    r"array cannot contain more than \d+ bytes|BufferHolder by size": "a state is larger than the 2 GB that a value of "
    f"Spark holds: {_MANY}",
    r"bigger than (spark\.driver\.maxResultSize \([^)]+\))": "states are larger than {0} lets the driver take; set it "
    "higher, or group less",
    ABSENT: f"the Python of a worker has no {{0}}; install the same versions on every worker; {_PYTHON}",
}


def of_files(parts: Sequence[Part]) -> Spread:
    """Parts that every worker can read."""
    rows = [(part.number, pickle.dumps(part)) for part in parts]
    table = _session().createDataFrame(rows, "number long, part binary").repartitionByRange(len(parts), "number")

    def read(batches: Iterable[Any]) -> Iterator[Part]:
        for batch in batches:
            yield from map(pickle.loads, batch.column("part").to_pylist())  # from the driver, as is all that runs here

    return Spread(table, read, len(parts))


def of_table(table: Any, columns: Sequence[str]) -> Spread:
    """The partitions of a Spark data frame."""

    def read(batches: Iterable[Any]) -> Iterator[Part]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        named = (batch.rename_columns(list(columns)) for batch in batches if batch.num_rows)
        first = next(named, None)
        if first is not None:
            yield Part(number, _chained(first, named), f"partition {number + 1}")

    return Spread(_plain(table, columns).toDF(*(f"c{place}" for place in range(len(columns)))), read)  # names have dots


@dataclass(frozen=True)
class Spread:
    """Rows, how a worker makes parts of those that it is given, and how many parts there are, if that is known."""

    rows: Any
    read: Callable[[Iterable[Any]], Iterator[Part]]
    count: int | None = None

    def answers(self, work: Work) -> Iterator[Answer]:
        """The answers to the parts, added up in a tree, of which the driver sees the last few.

        Spark makes as few partitions of small states as it can, and as many as it may of large ones; a worker reads its
        states one after another, which it could not of those of a group.
        """
        from pyspark.sql import functions

        read = self.read

        def run(batches: Iterable[Any]) -> Iterator[Any]:
            for part in read(batches):
                yield _batch([work(part)])

        rows, number = self.rows.mapInArrow(run, _SCHEMA), functions.col("number")
        several, many = (self.count is None or self.count > most for most in (FAN, FAN * FAN))
        for place in [number] * many + [number % FAN] * several:
            rows = rows.repartition(place).mapInArrow(_added, _SCHEMA)
        for row in rows.toLocalIterator():
            yield Answer(**row.asDict())

    def pooled(self, exchange: Exchange) -> Iterator[Any]:
        """The blocks of each range: to bring its rows together is Spark's shuffle."""
        read = self.read

        def cut(batches: Iterable[Any]) -> Iterator[Any]:
            for part in read(batches):
                yield from exchange.cut(part).to_batches(max_chunksize=_BATCH)

        def pool(rows: Any) -> Any:
            return exchange.pool(rows)

        rows = self.rows.mapInArrow(cut, _schema(ROWS))
        yield rows.groupBy(RANGE).applyInArrow(pool, _schema(BLOCKS)).toArrow()


def _schema(types: Mapping[str, type]) -> str:
    """Columns as Spark names their types."""
    names: dict[type, str] = {np.int32: "int", np.float64: "double"}
    return ", ".join(f"{column} {names[dtype]}" for column, dtype in types.items())


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


def joined(table: Any, labels: Any, keys: Sequence[str], drop: bool) -> tuple[Any, dict[str, int]]:
    """Predictions with labels from another table, and how many keys match; as in files, keys are compared as texts.

    A column that both have is called "predictions.x" and "labels.x". Raises InvalidInputError for keys that are
    repeated, or do not match as they must.
    """
    from pyspark.sql import functions

    texts = [f"logloss_key{place}" for place in range(len(keys))]
    names = [f"`{text}`" for text in texts]
    sides = []
    for side, one, other in zip(SIDES, (table, labels), (labels, table), strict=True):
        kept = [name for name in one.columns if name not in keys or side == SIDES[0]]
        both = {name for name in kept if name in other.columns and name not in keys}
        columns = [functions.col(f"`{name}`").alias(f"{side}.{name}" if name in both else name) for name in kept]
        sides.append(
            one.select(*columns, *(_text(one, key).alias(text) for key, text in zip(keys, texts, strict=True)))
        )
    counts = _compared(sides, names, keys, drop)
    matched = sides[0].join(sides[1], texts)
    return matched.drop(*texts), counts


def _compared(sides: Sequence[Any], names: Sequence[str], keys: Sequence[str], drop: bool) -> dict[str, int]:
    """The counts of keys, in one pass over those of both sides."""
    from pyspark.sql import functions

    every = [functions.col(name) for name in names]
    one, other = (side.select(*every, *_marks(place)) for place, side in enumerate(sides))
    times = [functions.sum(name).alias(name) for name in SIDES]
    known = functions.lit(True)
    for column in every:
        known = known & column.isNotNull()
    both = [functions.col(name) for name in SIDES]
    found = (
        one.unionAll(other)
        .groupBy(*every)
        .agg(*times)
        .agg(
            functions.sum(functions.when(known & (both[0] > 0) & (both[1] > 0), 1).otherwise(0)),
            *map(functions.sum, both),
            *(
                functions.first(functions.when(known & (here > 1), functions.struct(*every, here)), True)
                for here in both
            ),
            *(
                functions.first(functions.when((here > 0) & (~known | (there == 0)), functions.struct(*every)), True)
                for here, there in (both, both[::-1])
            ),
        )
        .collect()[0]
    )
    matched, *rows = (value or 0 for value in found[:3])
    for side, several in zip(SIDES, found[3:5], strict=True):
        if several is not None:
            raise repeated(keys, side, several)
    return counted(keys, matched, rows, found[5:], drop)


def _marks(place: int) -> list[Any]:
    from pyspark.sql import functions

    return [functions.lit(int(place == here)).alias(name) for here, name in enumerate(SIDES)]


def _text(table: Any, key: str) -> Any:
    """A key as text; whole numbers that became floats are whole again."""
    from pyspark.sql import functions

    found = functions.col(f"`{key}`")
    if table.schema[key].dataType.typeName() not in ("float", "double"):
        return found.cast("string")
    return functions.when(found == found.cast("long"), found.cast("long").cast("string")).otherwise(
        found.cast("string")
    )


def _chained(first: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _batch(answers: Iterable[Answer]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([asdict(answer) for answer in answers])


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
