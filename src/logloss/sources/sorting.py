"""Rows in the order of their predictions: DuckDB keeps and sorts them on disk, so that they need not fit in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import engine
from .engine import Table
from .files import BATCH_ROWS

if TYPE_CHECKING:
    import duckdb

_MEMORY = "512MB"
"""What sorting takes before it spills."""

Columns = Mapping[str, NDArray[Any]]


class Sorter:
    """Tables of numbers, filled by any thread, and read in order. Numbers of a column of one table are of one type."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._tables: set[str] = set()
        self._lock = threading.Lock()

    def put(self, table: str, columns: Columns) -> None:
        """Add rows to a table."""
        import polars as pl

        with self._lock:
            self._connection.register("batch", Table(pl.DataFrame(dict(columns))))
            into = f"INSERT INTO {table}" if table in self._tables else f"CREATE TEMP TABLE {table} AS"
            self._connection.execute(f"{into} SELECT * FROM batch")
            self._connection.unregister("batch")
            self._tables.add(table)

    def sorted(self, tables: Sequence[str], order: str, using: str = "") -> Iterator[Columns]:
        """The rows of tables of the same columns in an order, in SQL, in pieces; `using` may join another table."""
        there = [table for table in tables if table in self._tables]
        if not there:
            return
        rows = " UNION ALL ".join(f"SELECT * FROM {table}" for table in there)
        query = f"SELECT * FROM ({rows}) {using} ORDER BY {order}"
        for frame in engine.stream(self._connection, query, BATCH_ROWS):
            yield {name: np.ascontiguousarray(frame[name].to_numpy()) for name in frame.columns}


@contextmanager
def sorter() -> Iterator[Sorter]:
    """A place for rows to be sorted, which goes with all that is in it."""
    with engine.stored("rows are sorted", _MEMORY) as connection:
        yield Sorter(connection)
