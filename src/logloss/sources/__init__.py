"""Where predictions come from: files and tables, as batches of columns.

A source has `names`, `schemas()` and `batches(columns)`; `open_source` finds the right one for what a caller gave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import InvalidInputError
from .batch import Batch
from .files import Files
from .frames import from_tables
from .where import Filtered

if TYPE_CHECKING:
    import polars as pl


class Source(Protocol):
    """Rows in batches, from somewhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts of the source are called in messages and reports."""
        ...

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """Each part's name with its columns and their types."""
        ...

    def total(self) -> int | None:
        """How many rows there are to read, if that can be known without reading them."""
        ...

    def batches(self, numbers: Sequence[str], others: Sequence[str]) -> Iterator[Batch]:
        """The rows of these columns, in order."""
        ...


@dataclass(frozen=True)
class Counted:
    """A source that says how many rows it hands out."""

    source: Source
    count: Callable[[int], None]

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts of the source are called."""
        return self.source.names

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The source's columns."""
        return self.source.schemas()

    def total(self) -> int | None:
        """The source's rows."""
        return self.source.total()

    def batches(self, numbers: Sequence[str], others: Sequence[str]) -> Iterator[Batch]:
        """The source's rows."""
        for batch in self.source.batches(numbers, others):
            self.count(batch.frame.height)
            yield batch


def open_source(source: Any, where: str | None = None, count: Callable[[int], None] | None = None) -> Source:
    """The source for a path, several paths, a table or several, with the rows for which the condition `where` holds.

    Nothing but schemas is read yet. `count` is told how many rows each batch has, before the condition is asked.
    """
    opened = _open(source)
    if count:
        opened = Counted(opened, count)
    return opened if where is None else Filtered.of(opened, where)


def _open(source: Any) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return Files.of([os.fspath(source)])
    if isinstance(source, (list, tuple)) and all(isinstance(path, (str, os.PathLike)) for path in source):
        if not source:
            raise InvalidInputError("a source must be at least one path; got none.")
        return Files.of([os.fspath(path) for path in source])
    return from_tables(source)
