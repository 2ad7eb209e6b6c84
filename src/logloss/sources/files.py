"""Files of predictions, read in batches: Parquet and Arrow by Polars, text by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import UnreadableError
from . import engine, stamps, stream
from .batch import Batch
from .columns import texts_among
from .paths import Found, each, find_files
from .reading import AS_FOUND, Reading
from .text import Text
from .wanted import Wanted, selection, typed_name

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 1 << 18
"""Enough that Polars and the kernels work at full speed, little enough that a few batches are a few dozen MB."""

_STREAM = "Arrow stream"
_BATCH_VALUES = 1 << 24


def rows_at_once(most: int, columns: int) -> int:
    """Rows for a batch: `most`, or fewer of a wide table, so that a batch stays below 128 MB."""
    return min(most, max(1 << 10, _BATCH_VALUES // max(1, columns)))


@dataclass(frozen=True)
class File:
    """One file and how to read it; `partition` has the values of columns that its directories name."""

    found: Found
    partition: dict[str, Any]
    reading: Reading = AS_FOUND
    first: int = 0  # of a Parquet or Arrow file, the first of its rows that are meant, and how many are
    rows: int | None = None

    @property
    def name(self) -> str:
        """What the file is called in messages."""
        return self.found.name

    @cached_property
    def _text(self) -> Text | None:
        """The file as text, if it is text."""
        return Text(self.found, self.reading) if self.found.format in ("CSV", "TSV", "JSON lines") else None

    def _scan(self) -> pl.LazyFrame:
        """The file as a Polars query."""
        import polars as pl

        scan = pl.scan_parquet if self.found.format == "Parquet" else pl.scan_ipc
        whole = scan(self.found.place, glob=False, hive_partitioning=False)
        return whole if self.rows is None else whole.slice(self.first, self.rows)

    def parts(self, rows: int | None) -> Iterator[File]:
        """The file cut into parts of so many rows, where its format allows it."""
        total = 0 if rows is None else self.total() or 0
        if rows is None or total <= rows:
            yield self
            return
        for start in range(0, total, rows):
            yield replace(self, first=start, rows=min(rows, total - start))

    @cached_property
    def _own_schema(self) -> pl.Schema:
        import polars as pl

        if self._text:
            return self._text.schema
        with _reading(self):
            if self.found.format == _STREAM:
                with self.found.open() as file:
                    return pl.read_ipc_stream(next(stream.pieces(file))).schema
            return self._scan().collect_schema()

    @cached_property
    def schema(self) -> pl.Schema:
        """The columns and their types; of a text, Unknown."""
        import polars as pl

        types: dict[type, pl.DataType] = {int: pl.Int64(), str: pl.String(), type(None): pl.Null()}
        literals = {name: types[type(value)] for name, value in self.partition.items()}
        return pl.Schema({**self._own_schema, **literals})

    def seek(self, names: Sequence[str]) -> None:
        """Make sure of these columns, if the file has them: of text, the first rows do not tell all."""
        if self._text:
            self._text.seek([name for name in names if name not in self.partition])
            self.__dict__.pop("_own_schema", None)
            self.__dict__.pop("schema", None)

    def total(self) -> int | None:
        """How many rows a Parquet or Arrow file says it has; other formats do not say."""
        import polars as pl

        if self.found.format not in ("Parquet", "Arrow IPC"):
            return None
        with _reading(self):
            return int(self._scan().select(pl.len()).collect().item())

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, in order, and KeyboardInterrupt after those of a pipe that it cut short."""
        rows, before = rows_at_once(BATCH_ROWS, len(wanted.columns)), (self._now()[0], self.found.seen)
        with stamps.steady(self.name, before, self._now):
            yield from self._text_batches(self._text, wanted, rows) if self._text else self._scanned(wanted, rows)
        if self.found.cut:
            raise KeyboardInterrupt

    def _now(self) -> tuple[int, str]:
        """Which of the file system's files this is, and its stamp; of one elsewhere its reader takes care."""
        try:
            return self.found.path.stat().st_ino if isinstance(self.found.path, Path) else 0, self.found.stamp
        except OSError:  # it has been removed
            return 0, ""

    def _scanned(self, wanted: Wanted, rows: int) -> Iterator[Batch]:
        import polars as pl

        literals = [pl.lit(value, self.schema[name]).alias(name) for name, value in self.partition.items()]
        row = self.first
        with _reading(self):
            for scan in self._streamed(wanted.columns) if self.found.format == _STREAM else [self._scan()]:
                selected = scan.with_columns(literals).select(selection(wanted))
                for frame in selected.collect_batches(chunk_size=rows, maintain_order=True):
                    yield Batch(frame, self.name, row)
                    row += frame.height

    def _text_batches(self, text: Text, wanted: Wanted, rows: int) -> Iterator[Batch]:
        """The rows of text, with the columns that its directories name."""
        import polars as pl

        named = {name: pl.lit(value, self.schema[name]) for name, value in self.partition.items()}
        own = Wanted(*(tuple(name for name in part if name not in named) for part in wanted.parts))
        columns = [value.alias(name) for name, value in named.items() if name in wanted.named]
        columns += [value.alias(typed_name(name)) for name, value in named.items() if name in wanted.typed]
        for batch in text.batches(own, rows):
            yield replace(batch, frame=batch.frame.with_columns(columns)) if columns else batch

    def _streamed(self, names: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """An Arrow stream as a query for each of its pieces."""
        import polars as pl

        own = [name for name in names if name in self._own_schema]
        with self.found.open() as file:
            for piece in stream.pieces(file):
                yield pl.read_ipc_stream(piece, columns=own or None).lazy()


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Turn what Polars and the operating system raise while a file is read into one sentence."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        engine.require_memory(error, file.name)
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
        raise file.found.explained(error) or UnreadableError(
            f"{file.name} cannot be read as {file.found.format} ({reason}); check that it is whole and of that format."
        ) from error


@dataclass(frozen=True)
class Files:
    """Several files, one after another."""

    files: tuple[File, ...]
    texts: tuple[str, ...] = ()  # groups that are texts, as they are in some other part of the same run

    @classmethod
    def of(cls, texts: Sequence[str], reading: Reading = AS_FOUND) -> Files:
        """The files that paths, directories, globs, "@list.txt" and "-" mean, read as a person said."""
        found = find_files(texts, reading.format)
        keys = dict.fromkeys(key for one in found for key in one.partition)
        whole = {key for key in keys if all(_is_whole(one.partition.get(key) or "0") for one in found)}
        partitions = (
            {key: int(text) if text is not None and key in whole else text for key, text in one.partition.items()}
            for one in found
        )
        return cls(tuple(File(one, partition, reading) for one, partition in zip(found, partitions, strict=True)))

    def parts(self, groups: Sequence[str], rows: int | None) -> Iterator[Files]:
        """The files one by one, large ones cut into parts of so many rows; these groups are alike in all."""
        texts = tuple(texts_among(self.schemas(), groups))
        for parts in each(lambda file: list(file.parts(rows)), self.files, self._are_elsewhere):
            for part in parts:
                yield Files((part,), texts)

    @property
    def _are_elsewhere(self) -> bool:
        return any(file.found.is_elsewhere for file in self.files)

    @property
    def stamps(self) -> tuple[str, ...]:
        """What differs once the files have changed."""
        return tuple(file.found.stamp for file in self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, in the order in which they are read."""
        return tuple(file.name for file in self.files)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """Each file's name with its columns and their types."""
        schemas = each(lambda file: file.schema, self.files, self._are_elsewhere)
        yield from zip(self.names, schemas, strict=True)

    def total(self) -> int | None:
        """The rows of all files, if each of them says how many it has."""
        known = list(each(File.total, self.files, self._are_elsewhere))
        return None if None in known else sum(filter(None, known))

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The rows of these columns, file after file; groups that are texts in one file are so in all."""
        import polars as pl

        names = {*self.texts, *texts_among(self.schemas(), wanted.groups)}
        texts = [pl.col(name).cast(pl.String) for name in wanted.groups if name in names]
        for file in self.files:
            for batch in file.batches(wanted):
                yield replace(batch, frame=batch.frame.with_columns(texts)) if texts else batch


def _is_whole(text: str) -> bool:
    """Whether a partition's value is a whole number that loses nothing as one: not "007"."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and str(int(text)) == text and len(digits) < 19
