"""Tables in memory and streams of tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import InvalidInputError, LoglossError, UnsupportedTypeError
from .batch import Batch
from .columns import check_alike
from .files import BATCH_ROWS, Files, rows_at_once
from .reading import Reading
from .wanted import Wanted, selection

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Frame:
    """A table: in memory, or a query or Arrow stream that hands out its rows in batches."""

    frame: pl.LazyFrame
    name: str = "the table"
    unreadable: tuple[str, ...] = ()  # columns that no other library can take

    @classmethod
    def of(cls, table: Any, name: str = "the table") -> Frame:
        """A table of any kind, but for columns that hold what only Python can."""
        import polars as pl

        try:
            found = cls(_lazy(table), name)
            found.frame.collect_schema()
        except LoglossError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:
            if hasattr(table, "iloc") and hasattr(table, "columns"):
                return _by_column(table, name)
            if isinstance(table, (pl.DataFrame, pl.LazyFrame)):
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
            raise UnsupportedTypeError(
                f"{name} must be of columns that Polars reads; it is a {type(table).__name__}, and that fails "
                f"({reason}); convert them, leave them out, or give a mapping from names to arrays."
            ) from error
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """What the table is called in messages."""
        return (self.name,)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The table's columns and their types."""
        import polars as pl

        unreadable = dict.fromkeys(self.unreadable, pl.Object())
        yield self.name, pl.Schema({**self.frame.collect_schema(), **unreadable})

    def total(self) -> int | None:
        """Unknown: a query or stream tells by its end."""
        return None

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, in order."""
        import polars as pl

        row = 0
        selected = self.frame.select(selection(wanted))
        rows = rows_at_once(BATCH_ROWS, len(wanted.columns))
        try:
            for frame in selected.collect_batches(chunk_size=rows, maintain_order=True):
                yield Batch(frame, self.name, row)
                row += frame.height
        except pl.exceptions.DuplicateError as error:
            name = re.search("name '(.*)' has", str(error))
            raise InvalidInputError(
                f"column {name[1] if name else ''!r} must be one; {self.name} has several of that name; "
                "rename the others."
            ) from error


@dataclass(frozen=True)
class Frames:
    """Tables one after another, each made when its turn comes; they can be gone through once."""

    first: Frame
    rest: Iterator[Any]

    @property
    def names(self) -> tuple[str, ...]:
        """What the tables are called in messages."""
        return ("the tables",)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The columns of the first table; `batches` checks the others as they come."""
        yield from self.first.schemas()

    def total(self) -> int | None:
        """Unknown: the last table tells by its end."""
        return None

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, table after table."""
        expected = self.first.frame.collect_schema()
        later = (Frame.of(table, f"table {number}") for number, table in enumerate(self.rest, 2))
        for frame in chain([self.first], later):
            others = (*wanted.groups, *wanted.texts, *wanted.typed)
            check_alike((self.first.name, expected), (frame.name, frame.frame.collect_schema()), wanted.numbers, others)
            yield from frame.batches(wanted)


def from_tables(source: Any, reading: Reading) -> Frame | Frames | Files:
    """A table, or an iterable of tables or of paths.

    Raises:
        UnsupportedTypeError: the source is neither.
        InvalidInputError: the iterable is empty.
    """
    if _is_table(source) and not hasattr(source, "to_frame"):  # a column is none
        return Frame.of(source)
    if not isinstance(source, Iterable) or isinstance(source, bytes) or _help(source):
        raise _unsupported(source)
    tables = iter(source)
    first = next(tables, None)
    if first is None:
        raise InvalidInputError("an iterable of tables must give at least one; it is empty.")
    if isinstance(first, (str, os.PathLike)):
        return Files.of([_path(one) for one in chain([first], tables)], reading)
    return Frames(Frame.of(first, "table 1"), tables)


def _path(one: Any) -> str:
    if not isinstance(one, (str, os.PathLike)):
        raise _unsupported(one)
    return str(os.fspath(one))


def _is_table(source: Any) -> bool:
    import polars as pl

    known = isinstance(source, (pl.DataFrame, pl.LazyFrame, Mapping)) or _is_structured(source)
    return known or hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__")


def _is_structured(source: Any) -> bool:
    """Whether this is a NumPy array whose elements have named fields."""
    return isinstance(source, np.ndarray) and source.dtype.names is not None


def _lazy(table: Any) -> pl.LazyFrame:
    import polars as pl

    if isinstance(table, pl.LazyFrame):
        return table
    if isinstance(table, pl.DataFrame):
        return table.lazy()
    if isinstance(table, Mapping):
        return _from_arrays(table)
    if _is_structured(table):
        return _from_arrays({name: table[name] for name in table.dtype.names})
    if hasattr(table, "__arrow_c_stream__"):
        return pl.scan_arrow_c_stream(table)
    if hasattr(table, "__arrow_c_array__"):  # a record batch
        return pl.DataFrame(table).lazy()
    raise _unsupported(table)


def _by_column(table: Any, name: str) -> Frame:
    """A pandas frame with those of its columns that can be taken one by one."""
    import polars as pl

    columns, unreadable = [], []
    for column in dict.fromkeys(table.columns):
        try:
            columns.append(pl.DataFrame(table[[column]]).to_series().alias(str(column)))
        except Exception:  # noqa: BLE001 - as above
            unreadable.append(str(column))
    return Frame(pl.DataFrame(columns).lazy(), name, tuple(unreadable))


def _from_arrays(columns: Mapping[str, Any]) -> pl.LazyFrame:
    import polars as pl

    _require_rows(columns)
    _require_one_index(columns)
    try:
        return pl.DataFrame({name: _values(one) for name, one in columns.items()}, strict=False).lazy()
    except (pl.exceptions.PolarsError, TypeError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InvalidInputError(
            f"a mapping must give one-dimensional arrays of one length by column name; {reason}."
        ) from error


def _require_rows(columns: Mapping[Any, Any]) -> None:
    """Refuse a name that is no text, and one value for all rows: it may be a column's by mistake."""
    for name in columns:
        if not isinstance(name, str):
            raise InvalidInputError(f"a mapping must name its columns by texts; got {name!r}; say {str(name)!r}.")
    alone = [name for name, column in columns.items() if _is_one_value(column)]
    if alone and len(alone) < len(columns):  # else it is one row
        raise InvalidInputError(
            f"a mapping must give one-dimensional arrays of one length by column name; {alone[0]!r} is one value of "
            f"type {type(columns[alone[0]]).__name__}; give one for each row."
        )


def _is_one_value(column: Any) -> bool:
    single = isinstance(column, (str, bytes, Mapping)) or not hasattr(column, "__iter__")
    return single or getattr(column, "ndim", 1) == 0


def _require_one_index(columns: Mapping[str, Any]) -> None:
    """Refuse series that pandas would bring into another order than the one in which they stand."""
    indexed = {name: one.index for name, one in columns.items() if hasattr(getattr(one, "index", None), "equals")}
    first = next(iter(indexed), "")
    for name, index in indexed.items():
        if not index.equals(indexed[first]):
            raise InvalidInputError(
                f"series of a mapping must have one index; those of {first!r} and {name!r} differ; put them in a data "
                "frame, which aligns them, or give .to_numpy() of each if their rows are in the same order."
            )


def _values(column: Any) -> Any:
    """A column as Polars takes it: arrays of objects, and pandas' own arrays, as lists; what is missing, as None."""
    if isinstance(column, np.ndarray):
        masked = isinstance(column, np.ma.MaskedArray)  # of which Polars before 2.1 took what lies under the mask
        return list(map(_known, column.tolist())) if masked or column.dtype == np.object_ else column
    if isinstance(column, list):
        return column if all(type(one).__name__ != "NAType" for one in column) else list(map(_known, column))
    if type(column).__module__.startswith("pandas.") and not hasattr(column, "to_frame"):
        return list(map(_known, column.tolist()))
    if hasattr(column, "__array__") and not (_is_one_value(column) or any(hasattr(column, one) for one in _KNOWN)):
        return np.asarray(column)
    return column


_KNOWN = ("__arrow_c_array__", "__arrow_c_stream__", "to_frame")
"""Methods of what Polars takes better by itself."""


def _known(value: Any) -> Any:
    return None if type(value).__name__ in ("NAType", "NaTType") else value


_HELP = {
    "read": "give the path of this file",
    "to_frame": "put this column beside the other one, in a data frame or a mapping",
    "__array__": "name the columns of this array, as in {'y': rows[:, 0], 'p': rows[:, 1]}",
    "scanner": "give the reader of this data set, scanner().to_reader()",
    "to_reader": "give its reader, to_reader()",
    "fetchone": "give the relation, or query= and database= of this connection",
    "__dataframe__": "give polars.from_dataframe(…) of this table",
}
"""What helps with an object that is not taken, by a method that it has."""


def _help(source: Any) -> str:
    return next((remedy for method, remedy in _HELP.items() if hasattr(source, method)), "")


def _unsupported(source: Any) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        "a source must be a path, several paths, a table with __arrow_c_stream__ (Polars, pandas, PyArrow, DuckDB), "
        "a mapping from names to arrays, a NumPy array with named fields, or an iterable of tables; "
        f"got {type(source).__name__}; {_help(source) or 'make one of these of it'}."
    )
