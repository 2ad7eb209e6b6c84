"""Outcomes in words or in other numbers than 0 and 1: which of them is the positive one, said by a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError
from .batch import Batch
from .source import Over
from .wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

_MOST_SHOWN = 6


@dataclass(frozen=True)
class Meaning:
    """The values that are positive, negative and none at all, as texts.

    Without negative ones there may be one other value: of two, either may be a slip of the pen.
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, positive: Any = None, negative: Any = None, ignore: Any = None) -> Meaning:
        """Values as `score` takes them. Raises InvalidInputError for one that stands on two sides."""
        parts = tuple(map(_texts, (positive, negative, ignore)))
        every = [text for part in parts for text in part]
        for text in every:
            if every.count(text) > 1:
                raise InvalidInputError(f"a value must mean one thing; {text!r} is named twice; leave one out.")
        if parts[1] and not parts[0]:
            raise InvalidInputError(
                "with negative values there must be positive ones; got none; name them (--positive)."
            )
        return cls(*parts)

    def __str__(self) -> str:
        parts = (("positive", self.positive), ("negative", self.negative), ("ignored", self.ignore))
        return "; ".join(f"{name} {', '.join(values)}" for name, values in parts if values)


def _texts(values: Any) -> tuple[str, ...]:
    if values is None:
        return ()
    listed = [values] if isinstance(values, (str, bool)) or not hasattr(values, "__iter__") else list(values)
    return tuple(_text(value) for value in listed)


def _text(value: Any) -> str:
    """A value as a file would have it: 1.0 and "1" are the same, True and "true"."""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


@dataclass(frozen=True)
class Outcomes(Over):
    """A source whose columns of targets are read as they are written, and what becomes of their values.

    Those that are to be ignored are gaps; the others become 0, 1 or missing.
    """

    targets: tuple[str, ...]
    meaning: Meaning
    _others: dict[str, list[str]] = field(default_factory=dict)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """The source's columns, with numbers for targets, or lists of them."""
        for name, schema in self.source.schemas():
            yield name, schema.__class__({**schema, **{one: _numbered(schema.get(one)) for one in self._in(schema)}})

    def _in(self, schema: pl.Schema) -> list[str]:
        return [one for one in self.targets if _numbered(schema.get(one)) is not None]

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The source's rows; what is in their targets, or in the places of their lists, `translated` says."""
        numbers = tuple(name for name in wanted.numbers if name not in self.targets)
        texts = tuple(name for name in wanted.numbers if name in self.targets)
        return self.source.batches(replace(wanted, numbers=numbers, texts=(*wanted.texts, *texts)))

    def translated(self, batches: Iterator[Batch], targets: Sequence[str]) -> Iterator[Batch]:
        """Batches with numbers in these columns, and gaps where values are ignored."""
        for batch in batches:
            columns, gaps = [], dict(batch.gaps)
            for name in targets:
                values = _as_texts(batch.frame[name])
                ignored = values.is_in(self.meaning.ignore).fill_null(value=False)
                columns.append(self._numbers(name, values, ignored, batch).alias(name))
                if ignored.any():
                    gaps[name] = ignored.to_numpy()
            yield replace(batch, frame=batch.frame.with_columns(columns), gaps=gaps)

    def _numbers(self, name: str, values: pl.Series, ignored: pl.Series, batch: Batch) -> pl.Series:
        import polars as pl

        meaning = self.meaning
        if not meaning.positive:  # the values are numbers, but for those to be ignored
            numbers = values.cast(pl.Float64, strict=False)
            self._refuse(name, values, numbers.is_null() & ~ignored & values.is_not_null(), batch)
            return pl.select(pl.when(~ignored).then(numbers)).to_series()
        yes, no = values.is_in(meaning.positive), values.is_in(meaning.negative)
        if meaning.negative:
            self._refuse(name, values, ~(yes | no | ignored).fill_null(value=True), batch)
        else:
            others = values.filter(~(yes | ignored)).unique(maintain_order=True).drop_nulls().to_list()
            known = self._others.setdefault(name, [])
            known += [one for one in others if one not in known]
            if len(known) > 1:
                self._refuse(name, values, ~(yes | ignored).fill_null(value=True), batch)
        return pl.select(pl.when(~ignored).then(yes.cast(pl.Float64))).to_series()

    def _refuse(self, name: str, values: pl.Series, wrong: pl.Series, batch: Batch) -> None:
        if not wrong.any():
            return
        seen = values.filter(wrong).unique(maintain_order=True).to_list()
        found = list(dict.fromkeys([*self._others.get(name, []), *seen]))
        shown = ", ".join(map(repr, found[:_MOST_SHOWN])) + (", …" if len(found) > _MOST_SHOWN else "")
        raise InvalidInputError(
            f"column {name!r} (target) must hold values that are said to mean something ({self.meaning}); "
            f"it also holds {shown}, first {batch.place(int(wrong.arg_max() or 0))}; "
            "name them by positive, negative or ignore (--positive, --negative, --ignore)."
        )


def _numbered(dtype: Any) -> Any:
    """The type that numbers instead of these values have; None where there are none."""
    import polars as pl

    if isinstance(dtype, (pl.List, pl.Array)):
        return None if dtype.inner.is_nested() else pl.List(pl.Float64())
    return None if dtype is None or dtype.is_nested() else pl.Float64()


def _as_texts(column: pl.Series) -> pl.Series:
    """Values as `_text` has them."""
    import polars as pl

    given = column.cast(pl.String).str.strip_chars()
    truth = given.str.contains("(?i)^(true|false)$")
    texts = pl.select(pl.when(truth).then(given.str.to_lowercase()).otherwise(given)).to_series()
    numbers = texts.cast(pl.Float64, strict=False)
    whole = numbers.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole == numbers).then(whole.cast(pl.String)).otherwise(texts)).to_series()
