"""Columns that are computed from those of a source: expressions, values within structures; and rows by a condition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError
from . import engine
from .batch import Batch
from .columns import require
from .engine import Table, identifier
from .source import Over
from .sql import Expression
from .wanted import Wanted, typed_name

if TYPE_CHECKING:
    import duckdb
    import polars as pl

_PATH = re.compile(r"([^.\[\]]+)((?:\.[^.\[\]]+|\[\d+\])+)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_HOLDS = "\x1fholds"


@dataclass(frozen=True)
class Path:
    """A value within a column: field p of m in "m.p", the second element of a list, as Python counts, in "p[1]"."""

    name: str
    root: str
    steps: tuple[str | int, ...]

    def of(self, column: pl.Expr) -> pl.Expr:
        """The value, given the column that it is in."""
        import polars as pl

        for step in self.steps:
            column = column.struct.field(step) if isinstance(step, str) else column.list.get(step, null_on_oob=True)
        return column.alias(self.name) if self.steps else pl.lit(None)

    def type_in(self, schema: pl.Schema) -> Any:
        """The value's type; None if the columns hold no such value."""
        import polars as pl

        kind: Any = schema.get(self.root)
        for step in self.steps:
            if isinstance(step, str) and isinstance(kind, pl.Struct):
                kind = kind.to_schema().get(step)
            elif isinstance(step, int) and isinstance(kind, (pl.List, pl.Array)):
                kind = kind.inner
            else:
                return None
        return kind


def inner_paths(names: Sequence[str], columns: Sequence[str]) -> tuple[Path, ...]:
    """Those of the names that are no columns but lead into one."""
    found = [(name, _PATH.fullmatch(name)) for name in dict.fromkeys(names) if name not in columns]
    return tuple(
        Path(name, one[1], tuple(field or int(place) for field, place in _STEP.findall(one[2])))
        for name, one in found
        if one and one[1] in columns
    )


@dataclass(frozen=True)
class Derived(Over):
    """A source with more columns, and only the rows for which a condition holds; as in SQL, not those where it is null.

    Expressions are computed batch by batch by an engine that sees nothing else.
    """

    where: Expression | None = None
    expressions: tuple[Expression, ...] = ()
    paths: tuple[Path, ...] = ()
    _checked: set[str] = field(default_factory=set)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The source's columns, and the others where it can have them; what expressions give shows when they run."""
        import polars as pl

        for name, schema in self.source.schemas():
            for column in self._about():
                require(_spelled(column, schema), name, schema)
            more: dict[str, Any] = {path.name: kind for path in self.paths if (kind := path.type_in(schema))}
            yield name, pl.Schema({**schema, **more, **{one.name: pl.Unknown() for one in self.expressions}})

    def _about(self) -> tuple[str, ...]:
        """The columns that the expressions name, as they name them."""
        expressions = [*self.expressions, *([self.where] if self.where else [])]
        return tuple(dict.fromkeys(column for one in expressions for column in one.columns))

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows that the condition holds for, which remember their numbers in the source."""
        own = {*(one.name for one in self.expressions), *(one.name for one in self.paths)}
        parts = [tuple(name for name in part if name not in own) for part in wanted.parts]
        schema = next(iter(self.source.schemas()))[1]
        about = tuple(dict.fromkeys(_spelled(column, schema) for column in self._about()))
        roots = tuple(path.root for path in self.paths)
        inner = replace(Wanted(*parts), typed=tuple(dict.fromkeys([*parts[3], *about, *roots])))
        with engine.opened(locked=True) as connection:
            for batch in self.source.batches(inner):
                yield self._computed(batch, connection, about)

    def _computed(self, batch: Batch, connection: duckdb.DuckDBPyConnection, about: Sequence[str]) -> Batch:
        import polars as pl

        frame = batch.frame.with_columns(path.of(pl.col(typed_name(path.root))) for path in self.paths)
        if self.expressions or self.where:
            frame = frame.with_columns(self._values(batch, connection, about).get_columns())
        if self.where is None:
            return replace(batch, frame=frame)
        return replace(batch, frame=frame.drop(_HOLDS)).keep(frame[_HOLDS])

    def _values(self, batch: Batch, connection: duckdb.DuckDBPyConnection, about: Sequence[str]) -> pl.DataFrame:
        """What the expressions give for the rows of a batch."""
        import polars as pl

        table = batch.frame.select(pl.col(typed_name(name)).alias(name) for name in about)
        connection.register("rows", Table(table))
        named = [(one, one.name) for one in self.expressions] + ([(self.where, _HOLDS)] if self.where else [])
        for one, _ in named:
            self._check(one, batch.name, connection)
        chosen = ", ".join(f"({one.text}\n) AS {identifier(name)}" for one, name in named)
        try:
            return engine.frame(connection, f"SELECT {chosen} FROM rows")
        except engine.failures() as error:
            what = "expression" if self.expressions else "condition"
            raise _misfit(what, ", ".join(one.text for one, _ in named), batch.name, error) from error
        finally:
            connection.unregister("rows")

    def _check(self, one: Expression, name: str, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse an expression that does not fit these columns, or is no expression of one row."""
        if (key := f"{name}\0{one.text}") in self._checked:
            return
        try:  # where a condition stands, SQL allows no sums over rows
            connection.execute(f"SELECT 1 FROM rows WHERE ({one.text}\n) IS NULL LIMIT 0").fetchall()
            kind = connection.sql(f"SELECT ({one.text}\n) FROM rows LIMIT 0").types[0]
        except engine.failures() as error:
            what = "condition" if one is self.where else "group"
            raise _misfit(what, one.text, name, error) from error
        if one is self.where and str(kind) not in ("BOOLEAN", '"NULL"'):
            raise InvalidInputError(
                f"a condition must be true or false; {one.text!r} is {kind} in {name}; compare it with something."
            )
        self._checked.add(key)


def _spelled(column: str, schema: pl.Schema) -> str:
    """A column's name as the source spells it: SQL does not tell small letters from capitals."""
    alike = [name for name in schema if name.lower() == column.lower()]
    return alike[0] if column not in schema and len(alike) == 1 else column


def _misfit(what: str, text: str, name: str, error: BaseException) -> InvalidInputError:
    engine.require_memory(error, name)
    return InvalidInputError(f"the {what} {text!r} does not fit {name}: {engine.reason(error)}.")
