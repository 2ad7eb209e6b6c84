"""What a source is, and one over another: what it does not change, it passes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .batch import Batch
from .wanted import Wanted

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

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, in order."""
        ...


@dataclass(frozen=True)
class Over:
    """A source over another one, the same until told otherwise."""

    source: Source

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

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The source's rows."""
        return self.source.batches(wanted)
