"""Whether a source has the columns that are needed, with types that fit their roles."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .._errors import InvalidInputError

if TYPE_CHECKING:
    import polars as pl

_MOST_NAMES = 12


def check_columns(schemas: Iterable[tuple[str, pl.Schema]], numbers: Sequence[str], groups: Sequence[str]) -> None:
    """Refuse sources that lack a column, or hold another type than is needed or than the other sources hold.

    Raises InvalidInputError with the name of the source and of the column.
    """
    first: tuple[str, pl.Schema] | None = None
    for name, schema in schemas:
        for column in [*numbers, *groups]:
            _require(column, name, schema)
        for column in numbers:
            _require_numbers(column, name, schema[column])
        first = first or (name, schema)
        for column in groups:
            _require_same_type(column, first, (name, schema))


def _require(column: str, name: str, schema: pl.Schema) -> None:
    if column in schema:
        return
    known = list(schema)
    similar = difflib.get_close_matches(column, known, n=1)
    hint = f"did you mean {similar[0]!r}" if similar else "name one of those"
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    shown = ", ".join(known[:_MOST_NAMES]) + more
    raise InvalidInputError(f"there is no column {column!r} in {name}, which has {shown or 'no columns'}; {hint}.")


def _require_numbers(column: str, name: str, dtype: pl.DataType) -> None:
    import polars as pl

    if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise InvalidInputError(
            f"column {column!r} must hold numbers; in {name} it holds {dtype}; name another column or convert this one."
        )


def _require_same_type(column: str, first: tuple[str, pl.Schema], other: tuple[str, pl.Schema]) -> None:
    import polars as pl

    a, b = first[1][column], other[1][column]
    if a != b and not (a.is_integer() and b.is_integer()) and pl.Null not in (a, b):
        raise InvalidInputError(
            f"column {column!r} must have one type everywhere; it is {a} in {first[0]} and {b} in {other[0]}; "
            "convert one of them."
        )
