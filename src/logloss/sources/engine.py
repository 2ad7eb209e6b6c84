"""The engine that reads text and computes conditions: DuckDB, whose results come as Polars frames, in order.

A connection for a person's SQL is locked: it sees the one table that it is given, and no files, networks, extensions
or settings, so a condition can be run whoever wrote it.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError

if TYPE_CHECKING:
    import duckdb
    import polars as pl

_LONGEST = 300

_LOCKS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def connect(locked: bool, place: Path | None = None, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A database of its own, in memory or in a file, with the processors that this process may use."""
    import duckdb

    connection = duckdb.connect(place or ":memory:", read_only=read_only)
    for setting in (
        f"SET threads = {_processors()}",
        "SET streaming_buffer_size = '16MB'",
        "SET enable_progress_bar = false",
        "SET TimeZone = 'UTC'",
        *(_LOCKS if locked else ()),
    ):
        connection.execute(setting)
    return connection


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _shared(locked: bool, _process: int) -> duckdb.DuckDBPyConnection:
    """A database in memory for all of a process: to make one takes as long as to read a small file."""
    atexit.register(_shared.cache_clear)  # what lives when the interpreter ends, nanobind complains of
    return connect(locked)


def mount(filesystem: Any) -> None:
    """Let this process's unlocked connections read what a file system of fsspec has."""
    _shared(False, os.getpid()).register_filesystem(filesystem)


@contextmanager
def opened(locked: bool, place: Path | None = None, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that is closed at the end, to nothing but what is registered with it, or to a file."""
    import duckdb

    connection = connect(locked, place, read_only) if place else _shared(locked, os.getpid()).cursor()
    try:
        yield connection
    finally:
        with suppress(duckdb.Error):  # a thread may still be reading what nobody wants any more
            connection.close()


@contextmanager
def stored(purpose: str, memory: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in a directory that goes with it, also where nobody reads to the end.

    `purpose`: what is done in it, for an error, as "rows are sorted". `memory`: how much it may take before it spills
    to the disk, as "1GB"; its own default, most of the machine's, without.
    """
    directory = tempfile.mkdtemp(prefix="logloss-")
    try:
        with opened(locked=False, place=Path(directory) / "rows.db") as connection:
            if memory:
                connection.execute(f"SET memory_limit = {literal(memory)}")
            yield connection
    except failures() as error:
        require_memory(error, "the data")
        raise InvalidInputError(
            f"{purpose} in a temporary database; that failed ({reason(error)}); "
            "set TMPDIR to a folder with room for it."
        ) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


class Table:
    """A table as nothing but its Arrow stream: for the one library, a frame of the other, without PyArrow."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def stream(connection: duckdb.DuckDBPyConnection, query: str, rows: int) -> Iterator[pl.DataFrame]:
    """The result in frames of at most so many rows, in order, as they are computed."""
    import polars as pl

    result = pl.scan_arrow_c_stream(Table(connection.sql(query)))
    yield from result.collect_batches(chunk_size=rows, maintain_order=True)


def frame(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """The whole result."""
    import polars as pl

    return pl.DataFrame(Table(connection.sql(query)))


def fetch(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """A small result, also while another is streamed."""
    return list(connection.cursor().execute(query).fetchall())


def failures() -> tuple[type[BaseException], ...]:
    """What the two libraries and the operating system raise when a file or an expression is not as it should be."""
    import duckdb
    import polars as pl

    return duckdb.Error, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError


_NO_MEMORY = re.compile(
    r"out of memory|cannot allocate memory|allocation failure|failed to allocate|could not allocate|bad_alloc"
    r"|spawn worker thread|resource temporarily unavailable",
    re.IGNORECASE,
)


def require_memory(error: BaseException, name: str) -> None:
    """Raise MemoryError if that is what a library lacked: such a file is a whole one, and is never left out."""
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        raise MemoryError(f"{reason(error)}, while {name} was read") from error


def is_conversion(error: BaseException) -> bool:
    """Whether a text was not of the type that it should be converted to."""
    return any(text in str(error) for text in ("Conversion Error", "Could not convert", "Failed to cast value"))


def reason(error: BaseException) -> str:
    """The part of an engine's message that says what is wrong, as one line."""
    text = str(error).removeprefix("got external error: ")
    lines = []
    for line in text.splitlines():
        if line.startswith("Original Line:") and len(line) > _LONGEST // 2:  # some are of megabytes
            continue
        if line.startswith(("Possible", "LINE ", "*", "The search space")) or not line.strip():
            break
        lines.append(line.strip())
    shown = " ".join(lines)[:_LONGEST] or type(error).__name__
    return shown.partition(" Error: ")[2].strip().rstrip(".:!") or shown.rstrip(".:!")
