"""Rows chosen by a condition in SQL, over the columns of one row: it reaches no other rows, files or networks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._errors import InvalidInputError
from .batch import Batch

if TYPE_CHECKING:
    import polars as pl

    from . import Source

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_CALLED = re.compile(r"(\w+)\s*\(")
_QUERY = re.compile(r"\b(select|from|over)\b", re.IGNORECASE)
_FUNCTIONS = (
    *("abs", "ceil", "floor", "round", "sqrt", "ln", "exp", "pow", "mod", "coalesce", "nullif", "cast", "greatest"),
    *("least", "lower", "upper", "length", "left", "right", "substr", "trim", "concat", "starts_with", "ends_with"),
)
_OPERATORS = ("and", "or", "not", "in", "between", "like", "ilike", "is", "case", "when", "then", "else")


def condition(text: str) -> pl.Expr:
    """The condition as a Polars expression.

    Raises InvalidInputError if it is none, or would look at anything but the columns of one row: Polars would open
    files for `x IN (SELECT … FROM read_csv('…'))`, and what a sum ranges over would depend on the batch.
    """
    import polars as pl

    if not isinstance(text, str):
        raise InvalidInputError(f"a condition must be SQL; got {type(text).__name__}; filter the table itself.")
    bare = _QUOTED.sub("''", text)
    foreign = [word for word in _CALLED.findall(bare) if word.lower() not in (*_FUNCTIONS, *_OPERATORS)]
    foreign += _QUERY.findall(bare)
    if foreign:
        raise InvalidInputError(
            f"a condition must be about the columns of one row; {text!r} has {foreign[0]!r} in it; "
            f"the functions that it may call are {', '.join(_FUNCTIONS)}."
        )
    try:
        expression = pl.sql_expr(text)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInputError(
            f"a condition must be SQL, as in \"year >= 2016 and country = 'SE'\"; {text!r} is not ({error})."
        ) from error
    if not expression.meta.root_names():
        raise InvalidInputError(f"a condition must be about the columns of one row; {text!r} names none.")
    return expression


@dataclass(frozen=True)
class Filtered:
    """The rows of a source for which a condition holds; as in SQL, not those for which it is null."""

    source: Source
    text: str
    expression: pl.Expr

    @classmethod
    def of(cls, source: Source, text: str) -> Filtered:
        """The rows of the source for which the condition holds."""
        return cls(source, text, condition(text))

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts of the source are called."""
        return self.source.names

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The source's columns; a condition that does not fit them is refused."""
        import polars as pl

        for name, schema in self.source.schemas():
            try:
                kind = pl.LazyFrame(schema=schema).select(self.expression.alias("")).collect_schema()[""]
            except pl.exceptions.PolarsError as error:
                raise self._misfit(name, error) from error
            if kind != pl.Boolean:
                raise InvalidInputError(f"a condition must be true or false; {self.text!r} is {kind} in {name}.")
            yield name, schema

    def total(self) -> int | None:
        """How many rows the condition is asked of."""
        return self.source.total()

    def batches(self, numbers: Sequence[str], others: Sequence[str]) -> Iterator[Batch]:
        """The rows that the condition holds for, which remember their numbers in the source."""
        import polars as pl

        needed = [name for name in self.expression.meta.root_names() if name not in numbers]
        for batch in self.source.batches(numbers, [*others, *needed]):
            try:
                holds = batch.frame.select(self.expression.alias("")).to_series()
            except pl.exceptions.PolarsError as error:
                raise self._misfit(batch.name, error) from error
            yield batch.keep(holds)

    def _misfit(self, name: str, error: Exception) -> InvalidInputError:
        reason = next(iter(str(error).splitlines()), "")
        return InvalidInputError(f"the condition {self.text!r} does not fit {name}: {reason}.")
