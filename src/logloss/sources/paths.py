"""From what a person writes for files to the files meant: directories, quoted globs, lists, and standard input."""

from __future__ import annotations

import bz2
import glob
import os
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from .._errors import InvalidInputError
from . import engine, stream
from .engine import literal

_FORMATS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".json": "JSON lines",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".arrow": "Arrow IPC",
    ".ipc": "Arrow IPC",
    ".feather": "Arrow IPC",
    ".arrows": "Arrow stream",
}
_TEXTS = ("CSV", "TSV", "JSON lines")
_COMPRESSED_TEXT = (".gz", ".zst", ".bz2")
CHUNK = 1 << 20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BZ2 = b"BZh"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_READABLE = ".parquet, .csv, .tsv, .jsonl, .json or .arrow (text also with .gz, .bz2 or .zst)"


@dataclass(frozen=True)
class Found:
    """One file, its format, and the partition that its directories name: day=2026-11-01/x.csv has a column "day"."""

    path: Path
    name: str
    format: str
    partition: dict[str, str | None] = field(default_factory=dict)
    cut: bool = False  # Ctrl-C came before the end of a pipe
    keep: Any = None  # a temporary file lives as long as this

    @property
    def pattern(self) -> str:
        """The path as a pattern that means nothing but itself."""
        return re.sub(r"[*?\[]", lambda one: f"[{one[0]}]", str(self.path))

    @property
    def compression(self) -> str:
        """How a file of text is compressed, by its first bytes."""
        return next((kind for mark, kind in _COMPRESSED.items() if self._start.startswith(mark)), "none")

    @property
    def is_utf16(self) -> bool:
        """Whether a file of text starts with the mark of UTF-16."""
        return self._start.startswith(_UTF16)

    @cached_property
    def _start(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(4)


def find_files(texts: Sequence[str], format_in: str | None = None) -> tuple[Found, ...]:
    """The files that these texts mean, in order, each once, and the format of all if that is given.

    Raises InvalidInputError if one of them means none, or a file that cannot be read.
    """
    paths = [path for text in texts for path in _expand(text)]
    by_place = {path and os.path.abspath(path): path for path in paths}  # noqa: PTH100 - links stay what they are
    found = tuple(map(_found, by_place.values()))
    return found if format_in is None else tuple(replace(one, format=_given(one, format_in)) for one in found)


def _given(found: Found, format_in: str) -> str:
    """The format that a person names; of Arrow's two, files and streams tell which by themselves."""
    return found.format if format_in == "Arrow IPC" and found.format == "Arrow stream" else format_in


def _expand(text: str, lists: tuple[str, ...] = ()) -> Iterator[Path | None]:
    """The paths that one text means; None stands for standard input. `lists` names the lists that it stands in."""
    if text in ("", "@"):
        raise InvalidInputError(f"a file must have a name; got {text!r}.")
    path = Path(text)
    if text == "-":
        yield None
    elif path.is_dir():
        yield from _within(path)
    elif path.exists():
        yield path
    elif text in lists:
        raise InvalidInputError(f"a list of files must not name itself; {shown(Path(text[1:]))} does; leave it out.")
    elif text.startswith("@"):
        for line in _lines(Path(text[1:])):
            yield from _expand(line, (*lists, text))
    elif glob.has_magic(text):
        yield from _matching(text)
    else:
        raise InvalidInputError(f"there is no file {shown(path)}; check the path.")


def _within(directory: Path) -> list[Path]:
    paths = [path for path in sorted(directory.rglob("*")) if path.is_file() and not _hidden(path, directory)]
    readable = [path for path in paths if _format(path) or re.fullmatch("part-[^.]*", path.name)]  # as Spark names text
    if not readable:
        raise InvalidInputError(f"directory {shown(directory)} must hold files that end in {_READABLE}; it has none.")
    return readable


def _hidden(path: Path, directory: Path) -> bool:
    """Whether a name below the directory starts with a dot or underscore: what Spark and others leave beside data."""
    return any(part.startswith((".", "_")) for part in path.relative_to(directory).parts)


def _matching(pattern: str) -> Iterator[Path]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not matches:
        raise InvalidInputError(f"no file matches {pattern}; check the pattern.")
    for match in matches:
        if Path(match).is_dir():
            yield from _within(Path(match))
        else:
            yield Path(match)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the list of files {shown(path)} cannot be read ({error}); check the path.") from error
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise InvalidInputError(f"the list of files {shown(path)} must name a file; it is empty.")
    return lines


def _format(path: Path) -> str | None:
    """The format that a name tells."""
    name = path.name.lower()
    stem = next((name.removesuffix(end) for end in _COMPRESSED_TEXT if name.endswith(end)), name)
    found = _FORMATS.get(Path(stem).suffix)
    return found if stem == name or found in _TEXTS else None


def _found(path: Path | None) -> Found:
    if path is None:
        return _standard_input()
    if path.exists() and not path.is_file():  # a pipe, as of `mkfifo` or the shell's <(command)
        with path.open("rb") as pipe:
            return _spooled(pipe, shown(path))
    name = shown(path)
    if os.fsencode(path) != str(path).encode("utf-8", "replace"):
        raise InvalidInputError(f"a file's name must be UTF-8; got {name}; rename the file.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read ({error.strerror or error}); check the path.") from error
    if start.startswith(_BZ2):
        with bz2.open(path) as plain:
            return replace(_spooled(plain, name), partition=_partition(path))
    return Found(path, name, _format_of(path, name, start), _partition(path))


def _format_of(path: Path, name: str, start: bytes) -> str:
    """The format of a file, which its first bytes tell better than its name."""
    told = _format(path)
    binary = _binary(start)
    if binary or told in ("CSV", "TSV") or (told and told not in _TEXTS):
        return binary or str(told)
    if told and path.name.lower().endswith((".jsonl", ".ndjson", ".gz", ".zst")):
        return told
    head = _head(path, name)
    if b"\0" in head and not head.startswith(_UTF16):
        raise InvalidInputError(f"a file of predictions must end in {_READABLE}; got {name}; convert or rename it.")
    return _sniff(head)


def _partition(path: Path) -> dict[str, str | None]:
    pairs = (part.split("=", 1) for part in path.parts[:-1] if "=" in part)
    return {key: _partition_value(text) for key, text in pairs}


def _partition_value(text: str) -> str | None:
    """What a directory's name stands for: writers escape characters as in URLs, and have a name for a missing value."""
    return None if text == "__HIVE_DEFAULT_PARTITION__" else urllib.parse.unquote(text)


def shown(path: Path) -> str:
    """A path for a message; bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _standard_input() -> Found:
    if sys.stdin.isatty():
        raise InvalidInputError(
            "standard input must be a file or pipe with predictions; it is a terminal; name a file."
        )
    return _spooled(sys.stdin.buffer, "standard input")


def _spooled(pipe: IO[bytes], name: str) -> Found:
    """A pipe's content as a temporary file: formats are told by their first bytes, and Parquet is read from its end."""
    cut = False
    with kept(name) as spool:
        try:
            for chunk in _chunks(pipe, name):
                spool.write(chunk)
        except KeyboardInterrupt:
            cut = True
        spool.flush()
    path = Path(spool.name)
    if cut and not _cut_at_a_line(path):
        raise KeyboardInterrupt
    with path.open("rb") as file:
        packed = file.read(3) == _BZ2
    if packed:
        with bz2.open(path) as plain:
            return _spooled(plain, name)
    return Found(path, name, _sniff(_head(path, name)), cut=cut, keep=spool)


def _chunks(pipe: IO[bytes], name: str) -> Iterator[bytes]:
    """What comes out of a pipe, or of a compressed file."""
    try:
        while chunk := pipe.read1(CHUNK):  # type: ignore[attr-defined]
            yield chunk
    except (OSError, EOFError) as error:
        raise InvalidInputError(f"{name} cannot be read to its end ({error}); check that it is whole.") from error


@contextmanager
def kept(name: str) -> Iterator[Any]:
    """A temporary file, removed with the last reference, for what is read; where that fails, one sentence."""
    try:
        yield tempfile.NamedTemporaryFile(prefix="logloss-")  # noqa: SIM115 - lives as long as what is read
    except OSError as error:
        raise InvalidInputError(
            f"{name} must be kept in a temporary file while it is read; that failed ({error.strerror}); "
            "set TMPDIR to a folder with room for what it holds, or name uncompressed files."
        ) from error


def _cut_at_a_line(path: Path) -> bool:
    """Leave out a last line that did not come whole. False where no line did, or lines are not what is read."""
    with path.open("r+b") as file:
        head = file.read(4)
        start = max(0, file.seek(0, os.SEEK_END) - CHUNK)
        file.seek(start)
        end = file.read().rfind(b"\n") + 1
        if end == 0 or head.startswith((*_COMPRESSED, _BZ2, b"PAR1", b"ARRO", stream.MARK)):
            return False
        file.truncate(start + end)
    return True


def _head(path: Path, name: str) -> bytes:
    """The first bytes of a file, or of what it holds where it is compressed."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise InvalidInputError(f"{name} must hold predictions; it is empty.")
    kind = next((kind for mark, kind in _COMPRESSED.items() if head.startswith(mark)), None)
    if kind is None:
        return head
    found = Found(path, name, "CSV")
    query = (
        f"FROM read_csv({literal(found.pattern)}, compression = '{kind}', header = false, auto_detect = false, "
        "delim = chr(1), quote = '', escape = '', encoding = 'latin-1', columns = {c: 'VARCHAR'}) LIMIT 1"
    )
    try:
        with engine.opened(locked=False) as connection:
            line = engine.fetch(connection, query)
    except engine.failures() as error:
        engine.require_memory(error, name)
        raise InvalidInputError(
            f"{name} is compressed, and cannot be read ({engine.reason(error)}); check that it is whole."
        ) from error
    return str(line[0][0] if line else "").encode("latin-1", "replace")


def _binary(head: bytes) -> str | None:
    """The format of a file that is no text."""
    if head.startswith(b"PAR1"):
        return "Parquet"
    if head.startswith(b"ARROW1"):
        return "Arrow IPC"
    return "Arrow stream" if head.startswith(stream.MARK) else None


def _sniff(head: bytes) -> str:
    if binary := _binary(head):
        return binary
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        return "JSON lines"
    first = head.split(b"\n", 1)[0]
    return "TSV" if first.count(b"\t") > first.count(b",") else "CSV"
