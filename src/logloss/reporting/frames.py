"""A summary as a table of Polars, and the files that Polars writes of it."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import MissingDependencyError
from ..evaluate.summary import Summary
from .columns import Counts, GroupColumn, columns

if TYPE_CHECKING:
    import polars as pl


def frame(summary: Summary) -> pl.DataFrame:
    """One row per result; a group column is of one type, text if its values are of several."""
    import polars as pl

    return pl.DataFrame([_series(name, column) for name, column in columns(summary).items()])


def _series(name: str, column: Any) -> pl.Series:
    import polars as pl

    if isinstance(column, GroupColumn):
        return _group(name, column)
    if isinstance(column, Counts):
        return pl.Series(name, column.tolist(), pl.Int64)
    if column.dtype == object:
        return pl.Series(name, column.tolist(), pl.String)
    return pl.Series(name, column)


def _group(name: str, column: GroupColumn) -> pl.Series:
    """The values of the groups, and null for the whole, once per block; without Python's values where it can."""
    import polars as pl

    values = column.values
    whole = pl.Series(name, [None])
    if values.is_text():
        texts = pl.Series(name, list(values.texts), pl.String)
        places = pl.Series(np.where(values.missing(), len(values.texts), values.bits))
        part = texts.extend_constant(None, 1).gather(places)
    elif values.is_whole() and values.number is int:
        part = pl.Series(name, values.bits).scatter(np.flatnonzero(values.missing()), None)
    else:
        listed = values.to_list()
        kinds = {type(value) for value in listed} - {type(None)}
        part = pl.Series(name, listed if len(kinds) < 2 else [None if one is None else str(one) for one in listed])
    return pl.concat([part, whole.cast(part.dtype)] * column.blocks)


def render_csv(summary: Summary) -> bytes:
    """CSV with a header and full precision; a missing value is empty, and an empty text is quoted."""
    import polars as pl

    found = frame(summary)
    text = [
        pl.col(name).fill_nan(None).cast(pl.String).fill_null("nan")
        for name, kind in found.schema.items()
        if kind.is_float() and found[name].is_nan().any()
    ]
    text += [
        pl.when(pl.col(name)).then(pl.lit("True")).when(pl.col(name).not_()).then(pl.lit("False")).alias(name)
        for name, kind in found.schema.items()
        if kind == pl.Boolean
    ]
    output = io.BytesIO()
    found.with_columns(text).write_csv(output)
    return output.getvalue()


def render_parquet(summary: Summary) -> bytes:
    """Parquet with all digits."""
    output = io.BytesIO()
    frame(summary).write_parquet(output)
    return output.getvalue()


def arrow_table(summary: Summary) -> Any:
    """The table as PyArrow's. Raises MissingDependencyError without PyArrow."""
    return _library("pyarrow").table(frame(summary))


def pandas_frame(summary: Summary) -> Any:
    """The table as that of pandas, whole numbers and their gaps as Int64. Raises MissingDependencyError without it."""
    pandas = _library("pandas")
    found = columns(summary).items()
    listed = GroupColumn, Counts
    return pandas.DataFrame(
        {name: pandas.array(column.tolist()) if isinstance(column, listed) else column for name, column in found}
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"this needs {name}, and it is not installed. Use pip install {name}.") from error
