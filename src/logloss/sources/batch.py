"""A batch of rows, and its way from columns of any type to float64 arrays sorted by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidInputError

if TYPE_CHECKING:
    import polars as pl


Choice: TypeAlias = "pl.Series | NDArray[np.bool_]"
"""For every row, whether it is meant."""


@dataclass(frozen=True)
class Batch:
    """Rows of one source in their order; `first_row` counts from 0."""

    frame: pl.DataFrame
    name: str
    first_row: int
    kept: pl.Series | None = None  # where rows were left out: the numbers of the others

    def place(self, index: int) -> str:
        """Where the row with this index in the batch stands, for a person."""
        row = self.first_row + (index if self.kept is None else int(self.kept[index]))
        return f"in row {row + 1:,} of {self.name} (counted from 1)"

    def keep(self, choice: Choice) -> Batch:
        """The rows for which the choice is true."""
        import polars as pl

        choice = pl.Series(choice)
        if choice.all(ignore_nulls=False):
            return self
        rows = choice.arg_true()
        return replace(
            self, frame=self.frame.filter(choice), kept=rows if self.kept is None else self.kept.gather(rows)
        )

    def pieces(self, rows: int) -> Iterator[Batch]:
        """The batch cut into batches of at most so many rows."""
        for start in range(0, self.frame.height, rows):
            kept = None if self.kept is None else self.kept.slice(start, rows)
            first_row = self.first_row + start if kept is None else self.first_row
            yield replace(self, frame=self.frame.slice(start, rows), first_row=first_row, kept=kept)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as float64."""
        import polars as pl

        return _array(self.frame[column].cast(pl.Float64))

    def values(self, column: str) -> NDArray[Any]:
        """A column of numbers in its own type: nothing is copied if that is a usual one."""
        return _array(_plain(self.frame[column]))


def _array(column: pl.Series) -> NDArray[Any]:
    return np.ascontiguousarray(column.to_numpy())


def _is_plain(dtype: pl.DataType) -> bool:
    import polars as pl

    return dtype == pl.Boolean or dtype.is_integer() or dtype.is_float()


def _plain(column: pl.Series) -> pl.Series:
    """A column of numbers as bool, int or float."""
    import polars as pl

    return column if _is_plain(column.dtype) else column.cast(pl.Float64)


def complete(batch: Batch, numbers: Sequence[str], groups: Sequence[str]) -> pl.Series:
    """For every row, whether it has a value in all of these columns."""
    import polars as pl

    missing = [_missing(batch.frame[name], nan=name in groups) for name in dict.fromkeys([*numbers, *groups])]
    return (
        ~pl.DataFrame([one.alias(str(k)) for k, one in enumerate(missing)]).select(pl.any_horizontal("*")).to_series()
    )


def refuse_missing(batch: Batch, numbers: Sequence[str], groups: Sequence[str]) -> None:
    """Raise InvalidInputError, naming column and row, if a value is missing."""
    for name in dict.fromkeys([*numbers, *groups]):
        column = batch.frame[name]
        if column.null_count() == 0 and name not in groups:
            continue
        missing = _missing(column, nan=name in groups)
        if missing.any():
            raise InvalidInputError(
                f"column {name!r} must have a value in every row; it has none {batch.place(missing.arg_max() or 0)}; "
                "fill such rows in, or leave them out with nulls='drop' (--nulls drop)."
            )


def _missing(column: pl.Series, nan: bool) -> pl.Series:
    """Null is missing everywhere, NaN in a group column too; elsewhere it is a number out of its domain."""
    missing = column.is_null()
    return missing | column.is_nan().fill_null(value=False) if nan and column.dtype.is_float() else missing
