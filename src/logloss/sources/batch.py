"""A batch of rows, and its way from columns of any type to float64 arrays sorted by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    gaps: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)  # by target, the rows that have no such label

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
        rows, kept = choice.arg_true(), choice.fill_null(value=False).to_numpy()
        return replace(
            self,
            frame=self.frame.filter(choice),
            kept=rows if self.kept is None else self.kept.gather(rows),
            gaps={target: gap[kept] for target, gap in self.gaps.items()},
        )

    def pieces(self, rows: int) -> Iterator[Batch]:
        """The batch cut into batches of at most so many rows."""
        for start in range(0, self.frame.height, rows):
            kept = None if self.kept is None else self.kept.slice(start, rows)
            first_row = self.first_row + start if kept is None else self.first_row
            gaps = {target: gap[start : start + rows] for target, gap in self.gaps.items()}
            yield replace(self, frame=self.frame.slice(start, rows), first_row=first_row, kept=kept, gaps=gaps)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as float64, NaN where there is no value."""
        import polars as pl

        return _array(self.frame[column].cast(pl.Float64))

    def values(self, column: str) -> NDArray[Any]:
        """A column of numbers in its own type, 0 where there is none: nothing is copied if that is a usual one."""
        found = _plain(self.frame[column])
        return _array(found.fill_null(strategy="zero") if found.null_count() else found)

    def missing(self, column: str, nan: bool = False) -> NDArray[np.bool_] | None:
        """The rows without a value, if there are any; NaN is a number out of its domain, unless asked for."""
        found = self.frame[column]
        nan = nan and found.dtype.is_float()
        if not found.null_count() and not nan:
            return None
        missing = found.is_null()
        wrong = np.asarray((missing | found.is_nan().fill_null(value=False) if nan else missing).to_numpy())
        return wrong if wrong.any() else None


def _array(column: pl.Series) -> NDArray[Any]:
    return np.ascontiguousarray(column.to_numpy())


def _is_plain(dtype: pl.DataType) -> bool:
    import polars as pl

    wide = str(dtype) in ("Int128", "UInt128")  # which NumPy has not
    return dtype == pl.Boolean or (dtype.is_integer() and not wide) or dtype.is_float()


def _plain(column: pl.Series) -> pl.Series:
    """A column of numbers as bool, int or float."""
    import polars as pl

    return column if _is_plain(column.dtype) else column.cast(pl.Float64)


def refuse_missing(batch: Batch, column: str, gap: NDArray[np.bool_] | None = None) -> None:
    """Raise InvalidInputError, naming column and row, if a value is missing, but for rows that do not count."""
    missing = batch.missing(column)
    if missing is None or not (wrong := missing if gap is None else missing & ~gap).any():
        return
    raise InvalidInputError(
        f"column {column!r} must have a value in every row; it has none {batch.place(int(wrong.argmax()))}; "
        "fill such rows in, or leave them out with nulls='drop' (--nulls drop)."
    )
