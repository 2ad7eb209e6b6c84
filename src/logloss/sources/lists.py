"""Columns of lists, one value per label: y with lists of three becomes y[0], y[1] and y[2]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from .._errors import InvalidInputError
from .batch import Batch
from .files import BATCH_ROWS

if TYPE_CHECKING:
    import polars as pl

_FEWEST_ROWS = 1_000


def unpack(batches: Iterator[Batch], columns: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], Iterator[Batch]]:
    """Batches with a column for each place in the lists, and these columns' names by the column of lists.

    All lists must be as long as the first one: batches up to that are read at once, the others when their turn comes.
    A missing list is one of missing values.
    """
    seen: list[Batch] = []
    size = None
    for batch in batches:
        seen.append(batch)
        size = next((size for name in columns if (size := _first_size(batch.frame[name])) is not None), None)
        if size is not None:
            break
    names = {name: tuple(f"{name}[{place}]" for place in range(1 if size is None else size)) for name in columns}
    rows = max(_FEWEST_ROWS, 8 * BATCH_ROWS // max(1, size or 1))
    pieces = (piece for batch in chain(seen, batches) for piece in batch.pieces(rows))
    return names, (_unpacked(piece, names) for piece in pieces)


def _lists(column: pl.Series) -> pl.Series:
    import polars as pl

    if column.dtype == pl.Null:
        return column.cast(pl.List(pl.Float64))
    return column.arr.to_list() if column.dtype == pl.Array else column


def _first_size(column: pl.Series) -> int | None:
    sizes = _lists(column).list.len().drop_nulls()
    return int(sizes[0]) if sizes.len() else None


def _unpacked(batch: Batch, names: dict[str, tuple[str, ...]]) -> Batch:
    import polars as pl

    frame = batch.frame.with_columns(_lists(batch.frame[name]) for name in names)
    for name, places in names.items():
        _require_size(frame[name], len(places), batch)
    columns = [
        pl.col(name).list.get(place, null_on_oob=True).alias(one)
        for name, places in names.items()
        for place, one in enumerate(places)
    ]
    return replace(batch, frame=frame.select(pl.exclude(list(names)), *columns))


def _require_size(lists: pl.Series, size: int, batch: Batch) -> None:
    sizes = lists.list.len()
    wrong = (sizes != size).fill_null(value=False)
    if wrong.any() or size == 0:
        index = int(wrong.arg_max() or 0)
        raise InvalidInputError(
            f"column {lists.name!r} must hold lists of one length, a value for each label; the first has {size}, "
            f"and it has {sizes[index]} {batch.place(index)}; leave out such rows, or fill the lists with nulls."
        )
