"""What a run wants of a source's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_MARK = "\x1fsql:"  # no \0: names end there in C


@dataclass(frozen=True)
class Wanted:
    """Columns by what they are for; in text files that decides what their texts become.

    `numbers` and `groups` (text in text files) and `texts` (outcomes as they are written) keep their names in a batch;
    `typed` columns, which expressions are about, come beside them under `typed_name`.
    """

    numbers: tuple[str, ...]
    groups: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The columns by what they are for, in the order of the fields."""
        return self.numbers, self.groups, self.texts, self.typed

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that keep their names, each once."""
        return tuple(dict.fromkeys([*self.numbers, *self.groups, *self.texts]))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are to be read, each once."""
        return tuple(dict.fromkeys([*self.named, *self.typed]))


def typed_name(column: str) -> str:
    """What a column is called in a batch that is there for expressions."""
    return _MARK + column


def selection(wanted: Wanted) -> list[pl.Expr]:
    """The columns of a batch, of a table whose columns have types of their own."""
    import polars as pl

    return [*map(pl.col, wanted.named), *(pl.col(name).alias(typed_name(name)) for name in wanted.typed)]
