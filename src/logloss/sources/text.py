"""Files of text, CSV and JSON lines, read by DuckDB: every record is a row, or an error says which line is none.

Texts become what is asked for: numbers by the rules of one conversion, over the whole file; groups stay texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from .._errors import InvalidInputError, UnreadableError
from . import engine
from .batch import Batch
from .dialect import Dialect, sniff
from .ends import with_one_end
from .engine import identifier, literal
from .found import Found
from .reading import Reading
from .wanted import Wanted, typed_name

if TYPE_CHECKING:
    import duckdb
    import polars as pl

MISSING = ("", "na", "n/a", "<na>", "null", "none", "\\n")
"""What stands for no number, in small letters; NaN is a number, though in no domain."""

_MOST_SHOWN = 6
_SAMPLE = 20_480
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = f"{_DAY}[ T][0-9:.]+"
_TYPES: dict[str, Callable[[str, str], str]] = {
    # 007 and 1.5 are no whole numbers, and 007 is no number
    "BIGINT": lambda text, _: f"CAST(TRY_CAST({text} AS BIGINT) AS VARCHAR) = {text}",
    "DOUBLE": lambda text, number: f"{number} IS NOT NULL AND left(ltrim({text}, '+-'), 2) NOT BETWEEN '00' AND '09'",
    "BOOLEAN": lambda text, _: f"lower({text}) IN ('true', 'false')",
    "DATE": lambda text, _: f"regexp_full_match({text}, {literal(_DAY)}) AND TRY_CAST({text} AS DATE) IS NOT NULL",
    "TIMESTAMP": lambda text, _: (
        f"regexp_full_match({text}, {literal(_MOMENT)}) AND TRY_CAST({text} AS TIMESTAMP) IS NOT NULL"
    ),
    "TIMESTAMPTZ": lambda text, _: (
        f"regexp_matches({text}, {literal('^' + _MOMENT)}) AND TRY_CAST({text} AS TIMESTAMPTZ) IS NOT NULL"
    ),
}
"""Types of a column for conditions, and what must hold for each of its texts, given also as a number."""


@dataclass(frozen=True)
class _Csv:
    """A CSV file as a table in SQL, all of texts."""

    dialect: Dialect

    @property
    def types(self) -> dict[str, str]:
        return dict.fromkeys(self.dialect.names, "VARCHAR")

    def table(self, _columns: Sequence[str], _numbers: Sequence[str] = ()) -> str:
        return self.dialect.table()

    def expression(self, column: str) -> str:
        return f"c{self.dialect.names.index(column)}"

    def nested(self, _: str) -> str | None:
        return None


@dataclass(frozen=True)
class _Json:
    """A file of JSON objects as a table in SQL: some columns hold lists or structures, the others texts."""

    options: str
    types: dict[str, str]

    def table(self, columns: Sequence[str], numbers: Sequence[str] = ()) -> str:
        """The columns as texts, but those that the reader may take for numbers, which is quicker."""
        plain = {name: "DOUBLE" if name in numbers else "VARCHAR" for name in columns}
        types = [f"{identifier(name)}: {literal(self.nested(name) or kind)}" for name, kind in plain.items()]
        return f"read_json({self.options}, records = true, columns = {{{', '.join(types)}}})"

    def expression(self, column: str) -> str:
        return identifier(column)

    def nested(self, column: str) -> str | None:
        kind = self.types[column]
        return kind if kind.endswith("]") or kind.startswith("STRUCT") else None


_Layout: TypeAlias = _Csv | _Json


@dataclass(frozen=True)
class Text:
    """A file of text and how to read it."""

    found: Found
    reading: Reading

    @cached_property
    def schema(self) -> pl.Schema:
        """The columns: of type Unknown where texts will become what is asked for, else lists or structures."""
        import polars as pl

        with _reading(self.found):
            layout = self._layout
            nested = {name: kind for name in layout.types if (kind := layout.nested(name))}
            types: dict[str, Any] = dict.fromkeys(layout.types, pl.Unknown())
            if nested:
                nulls = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in nested.items())
                with engine.opened(locked=False) as connection:
                    types.update(engine.frame(connection, f"SELECT {nulls}").schema)
            return pl.Schema(types)

    @cached_property
    def _dialect(self) -> Dialect:
        with engine.opened(locked=False) as connection:
            return sniff(connection, self.found, self.reading)

    @cached_property
    def _json(self) -> _Json:
        """The keys of the first records."""
        return self._keys(_SAMPLE)

    def _keys(self, records: int) -> _Json:
        """The keys of so many records, or of all (-1), and what stands under them."""
        options = f"{literal(self.found.pattern)}, compression = {literal(self.found.compression)}"
        with engine.opened(locked=False) as connection:
            query = f"DESCRIBE SELECT * FROM read_json({options}, sample_size = {records}, records = true)"
            return _Json(options, {name: str(kind) for name, kind, *_ in engine.fetch(connection, query)})

    def seek(self, names: Sequence[str]) -> None:
        """Look through the whole file if a name is none of the first keys, or stands for lists or structures."""
        if self.found.format != "JSON lines":
            return
        with _reading(self.found):
            known = self._json
            roots = [name if name in known.types else re.split(r"[.\[]", name)[0] for name in names]
            if any(name not in known.types or known.nested(name) for name in roots):
                self.__dict__["_json"] = self._keys(-1)
                self.__dict__.pop("schema", None)

    @property
    def _layout(self) -> _Layout:
        return self._json if self.found.format == "JSON lines" else _Csv(self._dialect)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Batch]:
        """The rows of these columns, in order.

        Raises InvalidInputError for a line that is no record, or a text that is no number where one is wanted.
        """
        with _reading(self.found), engine.opened(locked=False) as connection:
            self._refuse_repeated(wanted.columns)
            row, failure = 0, None
            ways = self._ways(connection)
            part = _Part(self, connection, next(ways), wanted)
            while True:
                try:
                    for frame in engine.stream(connection, part.query(row), rows):
                        yield Batch(part.checked(frame, row), self.found.name, row)
                        row += frame.height
                except engine.failures() as error:
                    engine.require_memory(error, self.found.name)
                    if not part.careful and engine.is_conversion(error):  # read on from here, with an eye on each text
                        part.careful = True
                        continue
                    failure = failure or error
                    layout = next(ways, None)
                    if layout is None:
                        raise failure from None
                    part = _Part(self, connection, layout, wanted)
                else:
                    return

    def _ways(self, connection: duckdb.DuckDBPyConnection) -> Iterator[_Layout]:
        """The file as its first lines say, and where that fails, as the whole file may be read."""
        first = self._layout
        yield first
        if not isinstance(first, _Csv):
            return
        loose = self.reading.quote is None
        if loose:
            yield from map(_Csv, first.dialect.looser(connection))
        if (copy := with_one_end(self.found)) is not None:  # lives as long as this generator
            dialect = replace(first.dialect, path=copy.pattern, compression=copy.compression)
            yield _Csv(dialect)
            if loose:
                yield from map(_Csv, dialect.looser(connection))

    def _refuse_repeated(self, columns: Sequence[str]) -> None:
        if self.found.format == "JSON lines":
            return
        for column in columns:
            if self._dialect.names.count(column) > 1:
                raise InvalidInputError(
                    f"column {column!r} must be one; {self.found.name} has {self._dialect.names.count(column)} of that "
                    "name; rename the others, or number the columns with header=False (--no-header)."
                )


class _Part:
    """The rows that one reading of a file gives, and whether its texts are numbers where they must be."""

    def __init__(self, text: Text, connection: duckdb.DuckDBPyConnection, layout: _Layout, wanted: Wanted) -> None:
        self._text, self._connection, self._layout, self._wanted = text, connection, layout, wanted
        self._table = layout.table(wanted.columns)
        self._bad: dict[str, tuple[int, str] | None] = {}
        self.careful = text.reading.decimal != "."  # texts that are no numbers, or true and false: half as fast

    def query(self, row: int) -> str:
        """The rows from this one on, in SQL."""
        others = {*self._wanted.groups, *self._wanted.texts, *self._wanted.typed}
        numbers = () if self.careful else tuple(name for name in self._wanted.numbers if name not in others)
        table = self._layout.table(self._wanted.columns, numbers)
        chosen = [f"{self._converted(name)} AS {identifier(name)}" for name in self._wanted.named]
        chosen += [f"{typed} AS {identifier(typed_name(name))}" for name, typed in self._typed().items()]
        offset = f" OFFSET {row}" if row else ""
        return f"SELECT {', '.join(chosen) or 'NULL'} FROM {table}{offset}"

    def checked(self, frame: pl.DataFrame, row: int) -> pl.DataFrame:
        """The frame that starts at this row, if what is missing from its numbers is missing from the file."""
        for name in self._wanted.numbers if self.careful else ():
            if name in self._wanted.texts or self._layout.nested(name) or not frame[name].null_count():
                continue
            if name not in self._bad:
                self._bad[name] = self._first_bad(name)
            bad = self._bad[name]
            if bad and bad[0] < row + frame.height:
                raise InvalidInputError(
                    f"column {name!r} must hold numbers; it is {bad[1]!r} in row {bad[0] + 1:,} of "
                    f"{self._text.found.name} (counted from 1); "
                    f"{_remedy(bad[1], self._text.reading) or self._meanings(name, bad[1])}."
                )
        return frame

    def _converted(self, name: str) -> str:
        expression, nested = self._layout.expression(name), self._layout.nested(name)
        is_number = name in self._wanted.numbers and name not in self._wanted.texts
        if nested or not is_number:
            return f"CAST({expression} AS DOUBLE[])" if nested and nested.endswith("]") and is_number else expression
        if not self.careful:  # the file's reader converts by itself, and fails at the first text that is no number
            return f"CAST({expression} AS DOUBLE)"
        return (
            f"coalesce({self._number(expression)}, CASE lower(trim({expression})) WHEN 'true' THEN 1.0::DOUBLE "
            "WHEN 'false' THEN 0.0::DOUBLE END)"
        )

    def _number(self, expression: str) -> str:
        if self._text.reading.decimal == ",":
            point = f"CASE WHEN contains({expression}, '.') THEN NULL ELSE replace({expression}, ',', '.') END"
            return f"TRY_CAST({point} AS DOUBLE)"
        return f"TRY_CAST({expression} AS DOUBLE)"

    def _missing(self, expression: str) -> str:
        return f"({expression} IS NULL OR lower(trim({expression})) IN ({', '.join(map(literal, MISSING))}))"

    def _first_bad(self, name: str) -> tuple[int, str] | None:
        """Where in the file the first text stands that is no number, and which."""
        text = self._layout.expression(name)
        found = engine.fetch(
            self._connection,
            f"SELECT row, text FROM (SELECT row_number() OVER () - 1 AS row, {text} AS text, "
            f"{self._converted(name)} AS number FROM {self._table}) "
            f"WHERE number IS NULL AND NOT {self._missing('text')} LIMIT 1",
        )
        return (int(found[0][0]), str(found[0][1])) if found else None

    def _meanings(self, name: str, text: str) -> str:
        """What helps somebody whose column holds words: the options, and the words."""
        column = self._layout.expression(name)
        query = f"SELECT DISTINCT {column} FROM {self._table} WHERE {self._converted(name)} IS NULL"
        found = engine.fetch(self._connection, f"{query} AND {column} IS NOT NULL ORDER BY ALL LIMIT {_MOST_SHOWN}")
        return (
            f"if that stands for a missing value, say null={text!r} (--null); if it is an outcome, say which are "
            f"positive by positive= (--positive): its texts are {', '.join(repr(word) for (word,) in found)}"
        )

    def _typed(self) -> dict[str, str]:
        """The columns for expressions, each of the narrowest type that all its texts have."""
        columns = {name: self._layout.expression(name) for name in self._wanted.typed}
        texts = {name: text for name, text in columns.items() if not self._layout.nested(name)}
        for name, text in texts.items():
            kind = self._kind(text)
            value = self._number(f"trim({text})") if kind == "DOUBLE" else f"trim({text})"
            if kind:
                columns[name] = f"CASE WHEN {self._missing(text)} THEN NULL ELSE CAST({value} AS {kind}) END"
        return columns

    def _kind(self, text: str) -> str | None:
        """The first of the types that every text has; None if there is none, and a text is a text."""
        there, trimmed = f"NOT {self._missing(text)}", f"trim({text})"
        for kind, test in _TYPES.items():
            fits = f"coalesce({test(trimmed, self._number(trimmed))}, false)"
            if not engine.fetch(self._connection, f"SELECT 1 FROM {self._table} WHERE {there} AND NOT {fits} LIMIT 1"):
                return kind
        return None


_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


def _remedy(text: str, reading: Reading) -> str:
    """What helps somebody whose column of numbers holds this text; empty if it is none."""
    bare = text.strip()
    if bare.endswith("%"):
        return "divide percentages by 100"
    if reading.decimal == "." and _THOUSANDS.fullmatch(bare):
        other = ", and if it is a decimal point, say decimal=',' (--decimal ,)" if bare.count(",") == 1 else ""
        return f"if the comma separates thousands, take it out of the file{other}"
    if reading.decimal == "." and bare.count(",") == 1 and bare.replace(",", "", 1).lstrip("+-").isdecimal():
        return "if the comma is a decimal point, say decimal=',' (--decimal ,)"
    if reading.decimal == "," and "." in bare:
        return "a point is no decimal comma: leave decimal (--decimal) out, or convert the file"
    return ""


@contextmanager
def _reading(found: Found) -> Iterator[None]:
    """Let the engine find a file, and turn what it raises meanwhile into one sentence with the option that helps."""
    found.mount()
    with suppress(OSError):  # the engine says what that means
        found.require_whole()  # of a damaged file the engine may read other rows, and never end
    try:
        yield
    except engine.failures() as error:
        engine.require_memory(error, found.name)
        raise found.explained(error) or UnreadableError(
            f"{found.name} cannot be read as {found.format} ({engine.reason(error)}); {_cure(found, str(error))}."
        ) from error


def _cure(found: Found, message: str) -> str:
    """What helps against this message of the engine."""
    what = message.partition("Possible")[0].lower()
    if "unicode" in what or "utf-8" in what:
        return "if it is not UTF-8, say encoding='latin-1' or 'utf-16' (--encoding)"
    if "failed to cast" in what or "conversion" in what:
        return "mend that value, or name another column"
    if found.format == "JSON lines":
        return "every line must hold one JSON object; mend that line"
    if "maximum line size" in what:
        return "leave columns of such long texts out of the file, or convert it to Parquet"
    if "quote" in what:
        return "mend that line, or say how fields are quoted: quote='none' (--quote none) where they are not"
    if "number of columns" in what:
        return (
            "mend that line, name the separator: separator=';' (--separator), or if commas are decimal points, "
            "quote the numbers"
        )
    if "state machine" in what:
        return "lines must end in \\n or in \\r\\n: convert it, where a \\r stands alone"
    return "check that it is whole and of that format"
