"""Whether a source has the columns that are needed, with types that fit their roles."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError

if TYPE_CHECKING:
    import polars as pl

_MOST_NAMES = 12


def check_columns(
    schemas: Iterable[tuple[str, pl.Schema]], numbers: Sequence[str], groups: Sequence[str], lists: Sequence[str] = ()
) -> None:
    """Refuse sources that lack a column, or hold another type than is needed or than the other sources hold.

    Columns of numbers hold one in each row; those also named in `lists`, a list of them.

    Raises InvalidInputError with the name of the source and of the column.
    """
    first: tuple[str, pl.Schema] | None = None
    for name, schema in schemas:
        for column in [*numbers, *groups]:
            require(column, name, schema)
        for column in numbers:
            _require_numbers(column, name, schema[column], column in lists)
        first = first or (name, schema)
        for column in groups:
            _require_values(column, name, schema[column])
            if not _are_keys(first[1][column], schema[column]):
                _require_same_type(column, first, (name, schema))


def _are_keys(a: pl.DataType, b: pl.DataType) -> bool:
    """Whether groups of these types become texts: of whole numbers in one file, and texts in another."""
    import polars as pl

    text = pl.String, pl.Unknown
    return all(kind in (*text, pl.Null) or kind.is_integer() for kind in (a, b)) and (a in text or b in text)


def texts_among(schemas: Iterable[tuple[str, pl.Schema]], columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold texts in some parts of a source, and something else in others."""
    import polars as pl

    kinds: dict[str, set[bool]] = {column: set() for column in columns}
    for _, schema in schemas:
        for column in columns:
            if column in schema and schema[column] != pl.Null:
                kinds[column].add(schema[column] in (pl.String, pl.Unknown))
    return [column for column, found in kinds.items() if len(found) > 1]


def require(column: str, name: str, schema: pl.Schema) -> None:
    """Refuse a source without this column."""
    if column in schema:
        return
    known = list(schema)
    similar = [name for name in known if name.lower() == column.lower()] or difflib.get_close_matches(
        column, [name for name in known if not _is_number(name)], n=1
    )
    hint = (
        f"did you mean {similar[0]!r}" if similar else "name one of those, or the file that has it (labels=, --labels)"
    )
    if any(map(_is_number, known)) and not all(name.isdecimal() for name in known):
        hint = "the file seems to have no header: header=False (--no-header) names the columns 1, 2, and so on"
    if len(known) == 1 and (sign := next((one for one in ";|\t, " if one in known[0].strip()), "")):
        hint = f"if that is more than one, name what separates them, as in separator={sign!r} (--separator)"
    if any("\0" in name for name in known):
        hint = "if it is UTF-16, say encoding='utf-16' (--encoding)"
    if (padded := next((name for name in known if name.strip() == column), None)) is not None:
        hint = f"it is {padded!r} there, with what surrounds it: name it so, or rename it"
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    shown = ", ".join(known[:_MOST_NAMES]) + more
    raise InvalidInputError(f"there is no column {column!r} in {name}, which has {shown or 'no columns'}; {hint}.")


def _is_number(name: str) -> bool:
    """Whether a column's name is a number, which stands in a row rather than in a header."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def lists_among(schemas: Iterable[tuple[str, pl.Schema]], columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold lists in some part of a source."""
    found = {column for _, schema in schemas for column in columns if _inner(schema.get(column)) is not None}
    return [column for column in columns if column in found]


def _inner(dtype: Any) -> Any:
    """The type of the values in lists of any length, or of one length; None if the type is no list."""
    import polars as pl

    return dtype.inner if isinstance(dtype, (pl.List, pl.Array)) else None


def _require_numbers(column: str, name: str, dtype: Any, in_lists: bool) -> None:
    import polars as pl

    element = _inner(dtype) if in_lists and dtype != pl.Null else dtype
    if element is None or _inner(element) is not None or not _is_numeric(element):
        rule = "lists of numbers, as it does elsewhere" if in_lists else "numbers"
        raise InvalidInputError(
            f"column {column!r} must hold {rule}; in {name} it holds {dtype}; {_conversion(column, element or dtype)}."
        )


def _conversion(column: str, dtype: Any) -> str:
    """What makes numbers of a column of this type."""
    import polars as pl

    if isinstance(dtype, pl.Struct) and dtype.fields:
        return f"name one of its fields, as {column}.{dtype.fields[0].name}"
    if dtype == pl.Object:
        return "convert it, or rename one if there are two of that name"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "name another column, convert this one, or say which outcomes are positive (--positive)"
    return "name another column, or convert this one"


def _require_values(column: str, name: str, dtype: pl.DataType) -> None:
    """Refuse groups of lists, bytes and the like: a group must have a value that can be read."""
    import polars as pl

    texts = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Null, pl.Unknown)
    if not (dtype.is_numeric() or dtype in texts):
        raise InvalidInputError(
            f"column {column!r} (group) must hold texts, numbers, dates or truth values; in {name} it holds {dtype}; "
            "convert it."
        )


def check_alike(
    first: tuple[str, pl.Schema], other: tuple[str, pl.Schema], numbers: Sequence[str], others: Sequence[str]
) -> None:
    """Refuse a table that does not continue another: numbers may be of any type, other columns must be of the same."""
    for column in dict.fromkeys([*numbers, *others]):
        require(column, *other)
        one, two = (schema[column] for _, schema in (first, other))
        if column in others or not (_is_numeric(one) and _is_numeric(two)):
            _require_same_type(column, first, other)


def _is_numeric(dtype: Any) -> bool:
    import polars as pl

    element = dtype if (inner := _inner(dtype)) is None else inner
    return bool(element.is_numeric()) or element in (pl.Boolean, pl.Null, pl.Unknown)


def _require_same_type(column: str, first: tuple[str, pl.Schema], other: tuple[str, pl.Schema]) -> None:
    import polars as pl

    a, b = first[1][column], other[1][column]
    if a != b and not (a.is_integer() and b.is_integer()) and pl.Null not in (a, b):
        raise InvalidInputError(
            f"column {column!r} must have one type everywhere; it is {a} in {first[0]} and {b} in {other[0]}; "
            "convert one of them."
        )
