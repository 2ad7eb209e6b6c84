"""A query as source: what a database answers, in batches as they come.

DuckDB and PostgreSQL (by ADBC) answer in Arrow; other databases in rows, which Polars makes columns of. Nothing is
written: files are opened for reading and answer a SELECT only, and no transaction is ever committed.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError, LoglossError, MissingDependencyError, UnreadableError
from . import engine
from .batch import Batch
from .frames import Frame, Frames
from .urls import is_remote, public, scheme_of
from .wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

_ROWS = 1 << 16
"""Rows that are asked for at once where a database answers in rows."""

_CONNECTING = "check the address, and that the server is there and lets this user in"
_ONLY_READ = "write a SELECT, for a query only reads; what changes data is for the database's own tools"
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_SQLITE, _DUCKDB = b"SQLite format 3\0", b"DUCK"


@dataclass(frozen=True)
class Query:
    """A query, and the database that it is for: a file of DuckDB or SQLite, a URL, or a connection."""

    text: str
    database: Any

    @property
    def name(self) -> str:
        """What the answer is called in messages and reports."""
        if isinstance(self.database, (str, os.PathLike)):
            return f"the query of {public(os.fspath(self.database))}"
        return "the query"


def query_of(source: Any, query: Any, database: Any) -> Any:
    """The source, if there is one, or the query. Raises InvalidInputError for both, neither, or half of a query."""
    if query is None and database is None:
        if source is None:
            raise InvalidInputError("there must be a source; got none; name files, or give a query and its database.")
        return source
    if source is not None:
        raise InvalidInputError("a source must be one; got files or a table, and a query too; leave one of them out.")
    if not isinstance(query, str) or not query.strip() or database is None:
        raise InvalidInputError(
            f"a query must be SQL, and have a database; got query={query!r} and "
            f"{'no database' if database is None else 'its database'}; give both (--query, --database)."
        )
    return Query(query, database)


@dataclass(frozen=True)
class Answer:
    """What a database answers to a query, which can be gone through once."""

    rows: Frame | Frames
    name: str
    held: ExitStack
    """What is closed after the last row."""

    @classmethod
    def to(cls, query: Query) -> Answer:
        """The answer, of which nothing but the columns is known yet."""
        with _failing(query.name, "mend it, and look up the names in it"), ExitStack() as held:
            rows = _rows(_asked(query, held), query.name)
            found = cls(rows, query.name, held.pop_all())
            weakref.finalize(found, found.held.close)  # where nobody reads the rows, as they lack a column
            return found

    @property
    def names(self) -> tuple[str, ...]:
        """What the answer is called."""
        return (self.name,)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The columns of the answer."""
        return self.rows.schemas()

    def total(self) -> int | None:
        """Unknown: the last row tells by its end."""
        return None

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, in the order of the answer."""
        with self.held, _failing(self.name, "check its SQL, and that the database is there to the end"):
            yield from self.rows.batches(wanted)


def _rows(table: Any, name: str) -> Frame | Frames:
    if table is None:
        raise InvalidInputError(f"{name} must give rows; it gives none; write a SELECT.")
    if not isinstance(table, Iterator):
        return Frame(_plain(Frame.of(table, name).frame), name)
    first = next(table, None)
    if first is None:
        raise InvalidInputError(f"there must be rows to score; {name} has none; check what it asks for.")
    return Frames(Frame.of(first, name), table)


def _asked(query: Query, held: ExitStack) -> Any:
    """What answers a query: a table as an Arrow stream, or tables one after another; None where nothing does."""
    database = query.database
    if isinstance(database, (str, os.PathLike)):
        place = os.fspath(database)
        if not is_remote(place):
            return _of_file(Path(place), query.text, held)
        if scheme_of(place) in ("postgresql", "postgres"):
            return _of_postgres(place, query.text, held)
        database = _engine(place, held)
    if type(database).__name__ == "DuckDBPyConnection":
        return _relation(database, query.text)
    return _in_rows(database, query.text)


def _of_file(path: Path, text: str, held: ExitStack) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise InvalidInputError(
            f"a database must be there; {path} cannot be read ({error.strerror or error}); check the path."
        ) from error
    if start == _SQLITE:
        connection = sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True, check_same_thread=False)
        held.callback(connection.close)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
        return _in_rows(connection, text)
    if _DUCKDB in start:
        duck = held.enter_context(engine.opened(locked=False, place=path, read_only=True))
        _refuse_writing(duck, text)
        return _relation(duck, text)
    raise InvalidInputError(
        f"a database must be a file of DuckDB or SQLite, or a URL such as postgresql://user@host/name; {path} is none; "
        "name such a file, or score this one as it is."
    )


def _refuse_writing(connection: Any, text: str) -> None:
    """Raise InvalidInputError for what is no SELECT of DuckDB: a file that is opened for reading may write others."""
    kinds = [statement.type.name for statement in connection.extract_statements(text)]
    if kind := next((kind for kind in kinds if kind not in ("SELECT", "MULTI")), None):  # MULTI: PIVOT is several
        raise InvalidInputError(f"a query must be a SELECT; got {kind} in {text!r:.60}; {_ONLY_READ}.")


def _relation(connection: Any, text: str) -> Any:
    relation = connection.sql(text)
    return None if relation is None else engine.Table(relation)


def _of_postgres(url: str, text: str, held: ExitStack) -> Any:
    try:
        import adbc_driver_postgresql.dbapi as postgres
    except ImportError as error:
        raise _missing(url, error) from error
    with _failing(f"the query of {public(url)}", _CONNECTING):
        connection = postgres.connect(url)
    held.callback(connection.close)
    cursor = connection.cursor()
    held.callback(cursor.close)
    cursor.execute("SET TRANSACTION READ ONLY")
    cursor.execute(text)
    return cursor.fetch_arrow() if cursor.description else None


def _engine(url: str, held: ExitStack) -> Any:
    try:
        import sqlalchemy

        found = sqlalchemy.create_engine(url)
    except ImportError as error:
        raise _missing(url, error) from error
    except sqlalchemy.exc.ArgumentError as error:  # no such dialect, or no URL
        raise InvalidInputError(
            f"a database must be a URL that SQLAlchemy knows; got {public(url)} ({public(engine.reason(error))}); "
            "check it, and install the dialect that it needs."
        ) from error
    held.callback(found.dispose)
    with _failing(f"the query of {public(url)}", _CONNECTING):
        return held.enter_context(found.connect().execution_options(stream_results=True, max_row_buffer=_ROWS))


def _missing(url: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"to ask {public(url)}, install what does: pip install 'logloss[database]', and the driver of other databases "
        f"than PostgreSQL ({public(str(error))})."
    )


def _in_rows(connection: Any, text: str) -> Iterator[Any]:
    import polars as pl

    options: dict[str, Any] = {"iter_batches": True, "batch_size": _ROWS, "infer_schema_length": None}
    yield from pl.read_database(text, connection, **options)


def _plain(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The table with numbers where PostgreSQL has such of any length, which are texts of a type of theirs in Arrow."""
    import polars as pl

    numeric = [
        name
        for name, kind in frame.collect_schema().items()
        if isinstance(kind, pl.BaseExtension) and '"numeric"' in str(kind)
    ]
    return frame.with_columns(pl.col(name).ext.storage().cast(pl.Float64) for name in numeric)


@contextmanager
def _failing(name: str, remedy: str) -> Iterator[None]:
    """Turn what a database and its driver raise into one sentence: every driver has exceptions of its own."""
    try:
        yield
    except (LoglossError, GeneratorExit):
        raise
    except Exception as error:
        if str(error) in ("not authorized", "authorization denied"):  # what SQLite was told to refuse
            remedy = _ONLY_READ
        if "same thread" in str(error):
            remedy = "our threads ask for its rows: connect with check_same_thread=False, or give the path"
        raise UnreadableError(f"{name} cannot be answered ({public(engine.reason(error))}); {remedy}.") from error
