"""Group columns of a batch as arrays of numbers, so that nothing is done for each row in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .batch import Batch

if TYPE_CHECKING:
    import polars as pl


class KeyColumn(NamedTuple):
    """Values of one group column: bool, whole or real; where there are texts, the places of the values among these."""

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    """False where the value is missing (null, or NaN); None where none is."""
    texts: list[str] | None


def key_columns(batch: Batch, names: Sequence[str]) -> list[KeyColumn]:
    """The group columns of a batch."""
    return [_key_column(batch.frame[name]) for name in names]


def _key_column(column: pl.Series) -> KeyColumn:
    import polars as pl

    if column.dtype == pl.Boolean or (column.dtype.is_integer() and column.dtype not in (pl.Int128, pl.UInt128)):
        return _filled(column, None)
    if column.dtype.is_float():
        return _filled(column.cast(pl.Float64).fill_nan(None), None)
    column = column.cast(pl.String)
    texts = column.drop_nulls().unique()
    places = pl.int_range(texts.len(), eager=True)
    coded = column.replace_strict(texts, places, default=None, return_dtype=pl.Int64) if texts.len() else places
    return _filled(coded if texts.len() else column.is_null().cast(pl.Int64).replace(1, None), texts.to_list())


def _filled(column: pl.Series, texts: list[str] | None) -> KeyColumn:
    valid = np.asarray(column.is_not_null().to_numpy()) if column.null_count() else None
    filled = column if valid is None else column.fill_null(strategy="zero")
    return KeyColumn(np.asarray(filled.to_numpy()), valid, texts)
