"""Files of predictions, read in batches by Polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._errors import InvalidInputError
from . import stream
from .batch import Batch
from .paths import Found, find_files

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 1 << 18
"""Enough that Polars and the kernels work at full speed, little enough that a few batches are a few dozen MB."""

_STREAM = "Arrow stream"
_BATCH_VALUES = 1 << 24
_ROWS_THAT_TELL_TYPES = 10_000


def rows_at_once(most: int, columns: int) -> int:
    """Rows for a batch: `most`, or fewer of a wide table, so that a batch stays below 128 MB."""
    return min(most, max(1 << 10, _BATCH_VALUES // max(1, columns)))


@dataclass(frozen=True)
class File:
    """One file and how to read it; `partition` has the values of columns that its directories name."""

    found: Found
    partition: dict[str, Any]

    @property
    def name(self) -> str:
        """What the file is called in messages."""
        return self.found.name

    def _scan(self, types: Mapping[str, type[pl.DataType]] | None = None) -> pl.LazyFrame:
        """The file as a Polars query, and of text the types that are not what its first rows tell."""
        import polars as pl

        path, kind = self.found.path, self.found.format
        if kind == "Parquet":
            return pl.scan_parquet(path, glob=False, hive_partitioning=False)
        if kind == "Arrow IPC":
            return pl.scan_ipc(path, glob=False, hive_partitioning=False)
        if kind == "JSON lines":
            return pl.scan_ndjson(path, infer_schema_length=_ROWS_THAT_TELL_TYPES, schema_overrides=types)
        return pl.scan_csv(
            path,
            glob=False,
            separator="\t" if kind == "TSV" else ",",
            infer_schema_length=_ROWS_THAT_TELL_TYPES,
            schema_overrides=types,
        )

    @cached_property
    def _own_schema(self) -> pl.Schema:
        import polars as pl

        with _reading(self):
            if self.found.format == _STREAM:
                with self.found.path.open("rb") as file:
                    return pl.read_ipc_stream(next(stream.pieces(file))).schema
            schema = self._scan().collect_schema()
            if self.found.format in ("CSV", "TSV"):
                texts = self._scan(dict.fromkeys(schema, pl.String))  # Polars 2.0 reads on to rows of other types
                if texts.head(1).collect().is_empty():
                    return pl.Schema(dict.fromkeys(schema, pl.Null()))  # a header alone tells no types
            return schema

    @cached_property
    def schema(self) -> pl.Schema:
        """The columns and their types."""
        import polars as pl

        types: dict[type, pl.DataType] = {int: pl.Int64(), str: pl.String(), type(None): pl.Null()}
        literals = {name: types[type(value)] for name, value in self.partition.items()}
        return pl.Schema({**self._own_schema, **literals})

    def total(self) -> int | None:
        """How many rows a Parquet or Arrow file says it has; other formats do not say."""
        import polars as pl

        if self.found.format not in ("Parquet", "Arrow IPC"):
            return None
        with _reading(self):
            return int(self._scan().select(pl.len()).collect().item())

    def batches(self, numbers: Sequence[str], others: Sequence[str]) -> Iterator[Batch]:
        """The rows of these columns, in order, and KeyboardInterrupt after those of a pipe that it cut short."""
        import polars as pl

        # text that starts with whole numbers may go on with others
        whole = [name for name in numbers if name in self._own_schema and self._own_schema[name].is_integer()]
        floats = dict.fromkeys(whole, pl.Float64)
        literals = [pl.lit(value, self.schema[name]).alias(name) for name, value in self.partition.items()]
        names = list(dict.fromkeys([*numbers, *others]))
        row = 0
        with _reading(self):
            rows = rows_at_once(BATCH_ROWS, len(names))
            for scan in self._streamed(names) if self.found.format == _STREAM else [self._scan(floats)]:
                selected = scan.with_columns(literals).select(names)
                for frame in selected.collect_batches(chunk_size=rows, maintain_order=True):
                    yield Batch(frame, self.name, row)
                    row += frame.height
        if self.found.cut:
            raise KeyboardInterrupt

    def _streamed(self, names: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """An Arrow stream as a query for each of its pieces."""
        import polars as pl

        own = [name for name in names if name in self._own_schema]
        with self.found.path.open("rb") as file:
            for piece in stream.pieces(file):
                yield pl.read_ipc_stream(piece, columns=own or None).lazy()


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Turn what Polars and the operating system raise while a file is read into one sentence."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
        raise InvalidInputError(
            f"{file.name} cannot be read as {file.found.format} ({reason}); check that it is whole and of that format."
        ) from error


@dataclass(frozen=True)
class Files:
    """Several files, one after another."""

    files: tuple[File, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Files:
        """The files that paths, directories, globs, "@list.txt" and "-" mean."""
        found = find_files(texts)
        keys = dict.fromkeys(key for one in found for key in one.partition)
        whole = {key for key in keys if all(_is_whole(one.partition.get(key) or "0") for one in found)}
        partitions = (
            {key: int(text) if text is not None and key in whole else text for key, text in one.partition.items()}
            for one in found
        )
        return cls(tuple(map(File, found, partitions)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, in the order in which they are read."""
        return tuple(file.name for file in self.files)

    def schemas(self) -> Iterator[tuple[str, pl.Schema]]:
        """Each file's name with its columns and their types."""
        for file in self.files:
            yield file.name, file.schema

    def total(self) -> int | None:
        """The rows of all files, if each of them says how many it has."""
        known = [file.total() for file in self.files]
        return None if None in known else sum(filter(None, known))

    def batches(self, numbers: Sequence[str], others: Sequence[str]) -> Iterator[Batch]:
        """The rows of these columns, file after file."""
        for file in self.files:
            yield from file.batches(numbers, others)


def _is_whole(text: str) -> bool:
    """Whether a partition's value is a whole number that loses nothing as one: not "007"."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and str(int(text)) == text and len(digits) < 19
