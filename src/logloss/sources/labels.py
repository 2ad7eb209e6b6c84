"""Predictions and their labels from two sources, joined on a key by DuckDB, on disk: neither needs to fit in memory."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError
from . import engine
from .batch import Batch
from .columns import require
from .engine import Table
from .files import BATCH_ROWS, Files
from .wanted import Wanted, typed_name

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from .source import Source

SIDES = ("predictions", "labels")
_PURPOSE = "predictions and labels are joined"
MATCHED, ONLY_PREDICTIONS, ONLY_LABELS = "matched", "only_in_predictions", "only_in_labels"


@dataclass(frozen=True)
class Joined:
    """The rows of predictions that have labels, with the columns of both.

    A column that both have, but for the keys, is called "predictions.x" and "labels.x". `counts` is filled when rows
    are read. Of the columns in `alike`, which both have, the values must be the same.
    """

    predictions: Source
    labels: Source
    keys: tuple[str, ...]
    drop: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    alike: tuple[str, ...] = ()
    part: bool = False
    """Whether the predictions are a part of those whose keys have been compared, so that all others are labels only."""

    @classmethod
    def of(cls, predictions: Source, labels: Source, key: Any, unmatched: str, part: bool = False) -> Joined:
        """The two sources. Raises InvalidInputError if the key is no name, or no column of both."""
        keys, drop = keys_of(key), may_drop(unmatched)
        for side in (predictions, labels):
            for name, schema in side.schemas():
                for one in keys:
                    require(one, name, schema)
        return cls(predictions, labels, keys, drop, part=part)

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts of both sources are called."""
        return (*self.predictions.names, *self.labels.names)

    def _columns(self) -> dict[str, tuple[int, str]]:
        """Where each column comes from: which side, and its name there."""
        sides = [list(next(iter(side.schemas()))[1]) for side in (self.predictions, self.labels)]
        found: dict[str, tuple[int, str]] = {}
        for place, (columns, others) in enumerate([sides, sides[::-1]]):
            for name in columns:
                if name not in self.keys:
                    found[f"{SIDES[place]}.{name}" if name in others else name] = place, name
        return found | {key: (0, key) for key in self.keys}

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The columns of both, for each part of the predictions."""
        import polars as pl

        places, labels = self._columns(), next(iter(self.labels.schemas()))[1]
        for name, schema in self.predictions.schemas():
            sides = schema, labels
            kinds = {one: sides[side].get(column) for one, (side, column) in places.items()}
            yield name, pl.Schema({one: kind for one, kind in kinds.items() if kind is not None})

    def total(self) -> int | None:
        """The rows of the predictions."""
        return self.predictions.total()

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of the predictions that have labels, in no order; they remember their numbers."""
        with self._stored(self._more(wanted)) as (connection, stored):
            self._refuse_contradictions(connection, stored)
            columns = [{place: one for place, one in names.items() if one in self._given(wanted)} for names in stored]
            chosen = [name for names in columns for name in names]
            query = f"SELECT {', '.join(['predictions.row', *chosen])} FROM predictions JOIN labels {self._using()}"
            names = ["row", *(name for names in columns for name in names.values())]
            of = self.predictions.names
            name = of[0] if len(of) == 1 else f"the {len(of):,} files of predictions"
            for frame in engine.stream(connection, query, BATCH_ROWS):
                frame.columns = names
                yield Batch(frame.drop("row"), name, 0, frame["row"])

    def _given(self, wanted: Wanted) -> set[str]:
        return {*wanted.named, *map(typed_name, wanted.typed)}

    def _more(self, wanted: Wanted) -> Wanted:
        """What is read: the columns that must be alike of both sides, as numbers or as texts, as they are wanted."""

        def both(names: Sequence[str]) -> tuple[str, ...]:
            pairs = [[f"{side}.{one}" for side in SIDES] for one in self.alike]
            return tuple(dict.fromkeys([*names, *(one for pair in pairs if {*pair} & {*names} for one in pair)]))

        return replace(wanted, numbers=both(wanted.numbers), texts=both(wanted.texts))

    def _refuse_contradictions(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[dict[str, str]]) -> None:
        """Refuse rows of one key that differ in a column of which both sides must say the same."""
        keys = ", ".join(f"k{place}" for place in range(len(self.keys)))
        of = [{name: place for place, name in side.items()} for side in columns]
        for name in self.alike:
            mine, theirs = (of[side].get(f"{SIDES[side]}.{name}") for side in (0, 1))
            if mine is None or theirs is None:
                continue
            query = f"SELECT {keys}, predictions.row + 1, {mine}, {theirs} FROM predictions JOIN labels {self._using()}"
            query += f" WHERE {mine} IS DISTINCT FROM {theirs} ORDER BY predictions.row LIMIT 1"
            for found in engine.fetch(connection, query):
                row, here, there = found[-3:]
                place = f"row {row:,} of {self.predictions.names[0]} (counted from 1)"
                raise InvalidInputError(
                    f"column {name!r} must say the same on both sides; of {_shown(self.keys, found)} it is {here!r} "
                    f"in {place} and {there!r} in {self.labels.names[0]}; "
                    "correct one of them, or leave the column out of the baseline's."
                )

    def compare(self) -> dict[str, int]:
        """The counts, of which only keys are read. Raises InvalidInputError for keys that do not match as they must."""
        with self._stored(Wanted(())):
            return self.counts

    @contextmanager
    def _stored(self, wanted: Wanted) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[dict[str, str]]]]:
        """A database with both tables, and what their columns are to be called, once keys have been compared."""
        if self.part:
            kept = _kept(self, wanted)
            with closing(kept.connection.cursor()) as connection:
                yield connection, [self.store(connection, 0, wanted), kept.columns]
            return
        with engine.stored(_PURPOSE) as connection:
            columns = [self.store(connection, side, wanted) for side in (0, 1)]
            self._refuse_duplicates(connection)
            self._count(connection)
            yield connection, columns

    def _using(self) -> str:
        return f"USING ({', '.join(f'k{place}' for place in range(len(self.keys)))})"

    def wanted_of(self, side: int, wanted: Wanted) -> tuple[list[list[str]], Wanted]:
        """What is wanted of one side, as it is called here and there."""
        places = self._columns()
        here = [[one for one in part if places.get(one, (side, one))[0] == side] for part in wanted.parts]
        parts = [tuple(places[one][1] if one in places else one for one in part) for part in here]
        numbers, groups, texts, typed = parts
        return here, Wanted(numbers, tuple(dict.fromkeys([*groups, *self.keys])), texts, typed)

    def store(self, connection: duckdb.DuckDBPyConnection, side: int, wanted: Wanted) -> dict[str, str]:
        """Put what is needed of one side into a table, and say what its columns are to be called."""
        import polars as pl

        source = (self.predictions, self.labels)[side]
        here, own = self.wanted_of(side, wanted)
        numbers, groups, texts, typed = own.numbers, own.groups[: len(here[1])], own.texts, own.typed
        named = dict(zip([*numbers, *groups, *texts], [*here[0], *here[1], *here[2]], strict=True))
        named |= {typed_name(one): typed_name(other) for one, other in zip(typed, here[3], strict=True)}
        table, row, rows = SIDES[side], 0, 0
        new = f"CREATE {'TEMP ' if self.part and side == 0 else ''}TABLE {table}"
        for batch in source.batches(own):
            row = row if rows else batch.first_row  # of a part, its first row in the file
            keys = [_as_text(batch.frame[key]).alias(f"k{place}") for place, key in enumerate(self.keys)]
            values = [
                _plain(batch.frame[name], name in numbers).alias(f"{table}{place}") for place, name in enumerate(named)
            ]
            frame = pl.DataFrame([*values, *keys]).with_row_index("row", row)
            connection.register("batch", Table(frame))
            into = f"INSERT INTO {table}" if rows else f"{new} AS"
            connection.execute(f"{into} SELECT * FROM batch")
            connection.unregister("batch")
            row, rows = row + frame.height, rows + frame.height
        columns = {f"{table}{place}": name for place, name in enumerate(named.values())}
        if rows == 0 and not self.part:
            raise InvalidInputError(f"there must be rows to join; {source.names[0]} has none; check what was named.")
        if rows == 0:
            every = ["row BIGINT", *(f"k{place} VARCHAR" for place in range(len(self.keys)))]
            connection.execute(f"{new} ({', '.join([*every, *(f'{one} VARCHAR' for one in columns)])})")
        return columns

    def _refuse_duplicates(self, connection: duckdb.DuckDBPyConnection) -> None:
        keys = ", ".join(f"k{place}" for place in range(len(self.keys)))
        for table in SIDES:
            query = f"SELECT {keys}, count(*) FROM {table} WHERE ({keys}) IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
            for found in engine.fetch(connection, f"{query} LIMIT 1"):
                raise repeated(self.keys, table, found)

    def _count(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Count what is matched and what is not, which is refused unless it may be left out."""
        joined = f"FROM predictions JOIN labels {self._using()}"
        (matched,) = engine.fetch(connection, f"SELECT count(*) {joined}")[0]
        rows = [engine.fetch(connection, f"SELECT count(*) FROM {table}")[0][0] for table in SIDES]
        examples = [None if self.drop else self._unmatched(connection, *SIDES[::step]) for step in (1, -1)]
        self.counts.update(counted(self.keys, matched, rows, examples, self.drop))

    def _unmatched(self, connection: duckdb.DuckDBPyConnection, table: str, other: str) -> Sequence[Any] | None:
        keys = ", ".join(f"k{place}" for place in range(len(self.keys)))
        found = engine.fetch(connection, f"SELECT {keys} FROM {table} ANTI JOIN {other} {self._using()} LIMIT 1")
        return found[0] if found else None


def keys_of(key: Any) -> tuple[str, ...]:
    """The columns of a key. Raises InvalidInputError if there are none."""
    keys = tuple(key.split(",")) if isinstance(key, str) else tuple(key) if isinstance(key, (list, tuple)) else ()
    if not keys or not all(isinstance(one, str) and one for one in keys):
        got = "none" if key is None else repr(key)
        raise InvalidInputError(
            f"labels need the columns that both sides share as key; got {got}; name them (key=, --key)."
        )
    return keys


def may_drop(unmatched: str) -> bool:
    """Whether keys of one side alone may be left out. Raises InvalidInputError for what is no answer."""
    if unmatched not in ("error", "drop"):
        raise InvalidInputError(f"unmatched must be 'error' or 'drop'; got {unmatched!r}.")
    return unmatched == "drop"


def repeated(keys: Sequence[str], side: str, found: Sequence[Any]) -> InvalidInputError:
    """What is wrong with a key that stands in several rows of a side: its values, and in how many."""
    return InvalidInputError(
        f"a key must stand in one row of the {side}; {_shown(keys, found)} stands in {found[-1]:,}; "
        "name more columns as key (--key id,day), or leave the repetitions out."
    )


def counted(
    keys: Sequence[str], matched: int, rows: Sequence[int], examples: Sequence[Sequence[Any] | None], drop: bool
) -> dict[str, int]:
    """How many keys match, of so many rows of both sides; with an example of a key that does not, for each.

    Raises InvalidInputError for keys that do not match, unless they may be left out.
    """
    alone = [count - matched for count in rows]
    if any(alone) and not drop:
        said = [
            f"alone in {side}: {count:,}{f', such as {_shown(keys, example)}' if example else ''}"
            for side, count, example in zip(SIDES, alone, examples, strict=True)
            if count
        ]
        raise InvalidInputError(
            f"every key must stand in predictions and labels, as {matched:,} do; {' and '.join(said)}; "
            "leave them out with unmatched='drop' (--unmatched drop)."
        )
    return dict(zip((MATCHED, ONLY_PREDICTIONS, ONLY_LABELS), (matched, *alone), strict=True))


def _shown(keys: Sequence[str], values: Sequence[Any]) -> str:
    return " and ".join(f"{key} = {value!r}" for key, value in zip(keys, values, strict=False))


@dataclass(frozen=True)
class _Kept:
    """Labels in a database, for the parts that a process joins with them."""

    connection: duckdb.DuckDBPyConnection
    columns: dict[str, str]


_last: list[tuple[Any, _Kept]] = []
_keeping = threading.Lock()


def _kept(joined: Joined, wanted: Wanted) -> _Kept:
    """The labels of a join: read once in each process, as long as the same ones are asked for."""
    assert isinstance(joined.labels, Files)
    asked = os.getpid(), joined.labels, joined.labels.stamps, joined.keys, joined.wanted_of(1, wanted)
    with _keeping:
        if not _last or _last[0][0] != asked:
            with ExitStack() as held:
                connection = held.enter_context(engine.stored(_PURPOSE))
                kept = _Kept(connection, joined.store(connection, 1, wanted))
                weakref.finalize(kept, held.pop_all().close)
            _last[:] = [(asked, kept)]
        return _last[0][1]


def _as_text(column: pl.Series) -> pl.Series:
    """A key as text, so that 7 in one file is "7" in another; whole numbers that became floats are whole again."""
    import polars as pl

    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole == column).all():
            column = whole
    return column.cast(pl.String)


def _plain(column: pl.Series, is_number: bool) -> pl.Series:
    """A column in a type that all batches share."""
    import polars as pl

    if column.dtype.is_nested():
        return column
    if is_number:
        return column.cast(pl.Float64)
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    return column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum, pl.Null) else column
