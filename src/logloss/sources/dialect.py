"""The dialect of a CSV file: separator, quotes, what stands before its header, and the names in it.

DuckDB's sniffer tells it from the first lines, but it may not leave out lines: a file is then read by the rules of its
dialect, and a line that breaks them is an error and never skipped.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from .._errors import InvalidInputError
from . import engine
from .engine import literal
from .found import Found
from .reading import Reading

if TYPE_CHECKING:
    import duckdb

_SNIFFED_ROWS = 20_480
_HEAD = 100
_LINES = 1 << 16
_SEPARATORS = (",", ";", "\t", "|")
_NO_CHARACTER = "(empty)"
_NEVER = "\\x01"


@dataclass(frozen=True)
class Dialect:
    """How the lines of a CSV file are to be taken apart."""

    path: str
    compression: str
    encoding: str
    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    skip: int = 0
    header: bool = True
    parallel: bool = True
    null: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def table(self) -> str:
        """The file as a table in SQL: texts c0, c1, … by place, so that any names will do."""
        return self._read(self.header, len(self.names))

    def _read(self, header: bool, columns: int) -> str:
        types = ", ".join(f"c{place}: 'VARCHAR'" for place in range(columns))
        nulls = ", ".join(map(literal, ["", *self.null]))
        return (
            f"read_csv({literal(self.path)}, auto_detect = false, header = {header}, skip = {self.skip}, "
            f"delim = {literal(self.separator)}, quote = {literal(self.quote)}, escape = {literal(self.escape)}, "
            f"comment = {literal(self.comment)}, encoding = {literal(self.encoding)}, nullstr = [{nulls}], "
            f"compression = {literal(self.compression)}, strict_mode = true, "
            f"parallel = {self.parallel}, columns = {{{types}}})"
        )

    def lines(self) -> str:
        """The file as a table of lines, whatever is in them."""
        whole = replace(self, separator=_NEVER, quote="", escape="", null=())
        read = whole._read(header=False, columns=1).replace(f"'{_NEVER}'", "chr(1)")
        return read.replace("strict_mode = true", "strict_mode = false")  # lines may end in different ways

    def looser(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Dialect]:
        """Other ways to read a file: from its start, and if it breaks the rules of quoting, with every line a row.

        Several threads start amid the file, and may take lines within quotes for rows, which ends in an error. One
        that reads from the start passes over what follows a quote that is open at the end: this is looked for before.
        DuckDB's own leniency is not among them: it leaves out fields, and takes several lines for one.
        """
        if not self.quote:
            return
        if not self._may_end_open(connection):
            yield replace(self, parallel=False)
        lines = _count(connection, f"SELECT count(c0) FROM {self.lines()}")
        escaped, bare = replace(self, escape="\\"), replace(self, quote="", escape="")
        for other, wrong in ((escaped, "false"), (bare, self._opened())):
            rows = _count(connection, f"SELECT count(*) + count(*) FILTER ({wrong}) FROM {other.table()}")
            if other != self and rows is not None and lines is not None and rows == lines - self.header:
                yield other

    def _may_end_open(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the file ends within quotes, or its lines cannot be read."""
        try:
            return self._ends_open(connection)
        except engine.failures() as error:
            engine.require_memory(error, "the file")
            return True

    def _ends_open(self, connection: duckdb.DuckDBPyConnection) -> bool:
        text = f"SELECT c0 FROM {self.lines()} WHERE contains(c0, {literal(self.quote)})"
        is_open = False
        for frame in engine.stream(connection, text, _LINES):
            for line in frame["c0"]:
                is_open = self.is_open(line, is_open)
        return is_open

    def is_open(self, line: str, is_open: bool = False) -> bool:
        """Whether a line ends within quotes, if it begins within them or not."""
        if not is_open and self.comment and line.startswith(self.comment):
            return False
        place = 0
        begin, end = self._quotes
        while found := end.match(line, place) if is_open else begin.search(line, place):
            is_open, place = not is_open, found.end()
        return is_open

    @cached_property
    def _quotes(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """What a quoted field begins with, after the field before it, and all of it behind that."""
        quote, separator, escape = map(re.escape, (self.quote, self.separator, self.escape))
        kept = f"[^{quote}]|{quote}{quote}" if quote == escape else f"[^{quote}{escape}]|{escape}."
        return re.compile(f"(?:^|{separator}) *{quote}"), re.compile(f"(?:{kept})*+{quote}")

    def _opened(self) -> str:
        """Whether a row has a field that starts with a quote and does not end with one: it may go on in other lines."""
        quote = literal(self.quote)
        columns = [f"c{place}" for place in range(len(self.names))]
        return " OR ".join(
            f"(starts_with({one}, {quote}) AND NOT (ends_with({one}, {quote}) AND length({one}) > 1))"
            for one in columns
        )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int | None:
    """The number that a query gives; None if the file cannot be read like that."""
    try:
        return int(engine.fetch(connection, query)[0][0])
    except engine.failures() as error:
        engine.require_memory(error, "the file")
        return None


def sniff(connection: duckdb.DuckDBPyConnection, found: Found, reading: Reading) -> Dialect:
    """The dialect of a file, where nobody said otherwise. Raises InvalidInputError for a file without a line."""
    encoding = reading.encoding or ("utf-16" if found.is_utf16 else "utf-8")
    dialect = Dialect(found.pattern, found.compression, encoding, null=reading.null, header=reading.header)
    if encoding == "utf-8":
        try:
            return _sniff_as(connection, dialect, found, reading)
        except engine.failures() as error:  # bytes that are no UTF-8 may stand where nobody looks: any are Latin-1
            engine.require_memory(error, found.name)
            dialect = _sniff_as(connection, replace(dialect, encoding="latin-1"), found, reading)
            return replace(dialect, encoding=encoding, names=tuple(map(_decoded, dialect.names)))
    return _sniff_as(connection, dialect, found, reading)


def _sniff_as(connection: duckdb.DuckDBPyConnection, dialect: Dialect, found: Found, reading: Reading) -> Dialect:
    head = [line for (line,) in engine.fetch(connection, f"SELECT c0 FROM {dialect.lines()} LIMIT {_HEAD}")]
    skip = next((number for number, line in enumerate(head) if not _is_preamble(line)), None)
    if skip is None:
        raise InvalidInputError(f"{found.name} must hold predictions; it is empty.")
    header = (head[skip] or "").removeprefix("\ufeff")
    separator = reading.separator or _declared(head[:skip]) or _of_tabs(found, header)
    dialect = replace(dialect, skip=skip, separator=separator or dialect.separator)
    dialect = _sniffed(connection, dialect, separator, reading.quote, header)
    if dialect.header and dialect.quote and dialect.is_open(header):
        raise InvalidInputError(
            f"the header of {found.name} must be one line; it ends within quotes; mend it, or say how fields are "
            "quoted: quote='none' (--quote none) where they are not."
        )
    return replace(dialect, names=_names(dialect, header))


def _decoded(name: str) -> str:
    """A name that was read bytewise, as UTF-8 if it is that."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name


def _is_preamble(line: str | None) -> bool:
    """Whether a line before the header is none: blank, a comment, or a spreadsheet's "sep=;"."""
    text = (line or "").removeprefix("\ufeff").removeprefix("\xef\xbb\xbf").strip()
    return not text or text.startswith("#") or text.lower().startswith("sep=")


def _declared(lines: list[str | None]) -> str | None:
    """The separator that a line "sep=;" names."""
    for line in lines:
        name, _, separator = (line or "").strip().partition("=")
        if name.lower().endswith("sep") and len(separator) == 1:
            return separator
    return None


def _of_tabs(found: Found, line: str) -> str | None:
    return "\t" if found.format == "TSV" and "\t" in line else None


def _sniffed(
    connection: duckdb.DuckDBPyConnection, dialect: Dialect, separator: str | None, quote: str | None, header: str
) -> Dialect:
    """What the sniffer finds of separator, quotes and comments; where it finds nothing, what is usual."""
    given = [f"delim = {literal(separator)}"] if separator else []
    given += [] if quote is None else [f"quote = {literal(quote)}"]
    query = (
        f"SELECT Delimiter, Quote, Escape, Comment FROM sniff_csv({literal(dialect.path)}, all_varchar = true, "
        f"sample_size = {_SNIFFED_ROWS}, skip = {dialect.skip}, header = {dialect.header}, "
        f"encoding = {literal(dialect.encoding)}, compression = {literal(dialect.compression)}"
        f"{''.join(', ' + one for one in given)})"
    )
    try:
        found = ["" if one == _NO_CHARACTER else one for one in engine.fetch(connection, query)[0]]
    except engine.failures() as error:
        engine.require_memory(error, "the file")
        most = max(_SEPARATORS, key=header.count)
        found = [separator or most, "", "", ""]
    delimiter, quoted, escape, comment = found
    if delimiter not in header and any(one in header for one in _SEPARATORS):  # lines that differ mislead the sniffer
        delimiter = max(_SEPARATORS, key=header.count)
    if quote == "":
        return replace(dialect, separator=separator or delimiter, quote="", escape="", comment=comment)
    # Where there are no quotes among the first lines, there may be some later.
    quoted = quote or quoted or '"'
    return replace(dialect, separator=separator or delimiter, quote=quoted, escape=escape or quoted, comment=comment)


def _names(dialect: Dialect, line: str) -> tuple[str, ...]:
    """The names in the header; without one, 1, 2 and so on."""
    names = next(
        csv.reader(
            [line],
            delimiter=dialect.separator,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            doublequote=dialect.escape == dialect.quote,
            escapechar=dialect.escape if dialect.escape != dialect.quote else None,
        )
    )
    return tuple(names) if dialect.header else tuple(str(number + 1) for number in range(len(names)))
