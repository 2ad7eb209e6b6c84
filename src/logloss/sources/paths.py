"""From what a person writes for files to the files meant: directories, quoted globs, lists, and standard input."""

from __future__ import annotations

import bz2
import glob
import os
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, TypeVar

from .._errors import InvalidInputError
from . import engine, stamps, stores, stream, urls
from .engine import literal
from .stores import CHUNK, Remote

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
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BZ2 = b"BZh"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_AT_ONCE = 32
"""Files elsewhere that are asked for at once: for most of a request's time nothing is to be done here."""

_READABLE = ".parquet, .csv, .tsv, .jsonl, .json or .arrow (text also with .gz, .bz2 or .zst)"


@dataclass(frozen=True)
class Found:
    """One file, its format, and the partition that its directories name: day=2026-11-01/x.csv has a column "day"."""

    path: Path | Remote
    name: str
    format: str
    partition: dict[str, str | None] = field(default_factory=dict)
    cut: bool = False  # Ctrl-C came before the end of a pipe
    seen: str = ""  # the stamp before its first byte was read
    keep: Any = None  # a temporary file lives as long as this

    @property
    def pattern(self) -> str:
        """The path as a pattern that means nothing but itself."""
        return stores.literally(str(self.path)) if isinstance(self.path, Path) else self.path.pattern

    @property
    def is_elsewhere(self) -> bool:
        """Whether asking for it takes a network."""
        return not isinstance(self.path, Path)

    @property
    def place(self) -> str:
        """The path as Polars takes it."""
        return str(self.path) if isinstance(self.path, Path) else self.path.place

    def mount(self) -> None:
        """Let this process's engine of text find the file by its pattern."""
        if isinstance(self.path, stores.Object):
            stores.mount(os.getpid())

    @property
    def stamp(self) -> str:
        """What differs once the file has changed."""
        return stamps.of_path(self.path) if isinstance(self.path, Path) else self.path.stamp

    def open(self) -> IO[bytes]:
        """The file's bytes."""
        return self.path.open("rb") if isinstance(self.path, Path) else self.path.open()

    def explained(self, error: BaseException) -> BaseException | None:
        """What a library says of a file that is elsewhere, as one sentence, if it is about reaching it."""
        return None if isinstance(self.path, Path) else urls.explained(self.path.url, error)

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
        with self.open() as file:
            return file.read(4)


def find_files(texts: Sequence[str], format_in: str | None = None) -> tuple[Found, ...]:
    """The files that these texts mean, in order, each once, and the format of all if that is given.

    Raises InvalidInputError if one of them means none, or a file that cannot be read.
    """
    paths = [path for text in texts for path in _expand(text)]
    unique = list({_identity(path): path for path in paths}.values())
    found = tuple(each(_found, unique, not all(path is None or isinstance(path, Path) for path in unique)))
    return found if format_in is None else tuple(replace(one, format=_given(one, format_in)) for one in found)


_One = TypeVar("_One")
_Other = TypeVar("_Other")


def each(function: Callable[[_One], _Other], files: Sequence[_One], elsewhere: bool) -> Iterator[_Other]:
    """The function of every file, in order; of files that are elsewhere many at once, since most of it is waiting."""
    if not elsewhere:
        yield from map(function, files)
        return
    with ThreadPoolExecutor(_AT_ONCE, "logloss-store") as pool:
        yield from pool.map(function, files)


def _identity(path: Path | Remote | None) -> str | None:
    """What is the same for paths of one file; links stay what they are."""
    return os.path.abspath(path) if isinstance(path, Path) else None if path is None else path.url  # noqa: PTH100


def _given(found: Found, format_in: str) -> str:
    """The format that a person names; of Arrow's two, files and streams tell which by themselves."""
    return found.format if format_in == "Arrow IPC" and found.format == "Arrow stream" else format_in


def _expand(text: str, lists: tuple[str, ...] = ()) -> Iterator[Path | Remote | None]:
    """The paths that one text means; None stands for standard input. `lists` names the lists that it stands in."""
    if text in ("", "@"):
        raise InvalidInputError(f"a file must have a name; got {text!r}.")
    path = Path(text)
    if urls.is_remote(text):
        yield from _elsewhere(text)
    elif text == "-":
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
    paths = [path for path in sorted(directory.rglob("*")) if _is_data(path.relative_to(directory)) and path.is_file()]
    if not paths:
        raise _without_data(shown(directory))
    return paths


def _elsewhere(url: str) -> Iterator[Remote]:
    """The files that a URL means."""
    one, several = stores.find(url)
    if one is not None:
        yield one
        return
    found = [path for name, path in several if not name or _is_data(PurePosixPath(name))]
    if not found and (several or url.endswith("/")):
        raise _without_data(url)
    if not found:
        raise InvalidInputError(f"there is no object {url}, and none that it means; check the address.")
    yield from found


def _is_data(path: PurePath) -> bool:
    """Whether a name below a directory is one of data, and no part of it starts with a dot or underscore.

    Spark and others leave such files beside data, and name text "part-…".
    """
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not hidden and bool(_format(path) or re.fullmatch("part-[^.]*", path.name))


def _without_data(directory: str) -> InvalidInputError:
    return InvalidInputError(f"directory {directory} must hold files that end in {_READABLE}; it has none.")


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


def _format(path: PurePath) -> str | None:
    """The format that a name tells."""
    name = path.name.lower()
    stem = next((name.removesuffix(end) for end in _COMPRESSED_TEXT if name.endswith(end)), name)
    found = _FORMATS.get(PurePath(stem).suffix)
    return found if stem == name or found in _TEXTS else None


def _found(path: Path | Remote | None) -> Found:
    if path is None:
        return _standard_input()
    if not isinstance(path, Path):
        return _told(Found(path, urls.public(path.url), "", _partition(urls.key_of(path.url))))
    if path.exists() and not path.is_file():  # a pipe, as of `mkfifo` or the shell's <(command)
        with path.open("rb") as pipe:
            return _spooled(pipe, shown(path))
    name = shown(path)
    if os.fsencode(path) != str(path).encode("utf-8", "replace"):
        raise InvalidInputError(f"a file's name must be UTF-8; got {name}; rename the file.")
    return _told(Found(path, name, "", _partition(path)))


def _told(found: Found) -> Found:
    """The file with its format, which its first bytes tell better than its name."""
    try:
        found = replace(found, seen=found.stamp)
        with found.open() as file:
            start = file.read(8)
    except OSError as error:
        refused = InvalidInputError(f"{found.name} cannot be read ({error.strerror or error}); check the path.")
        raise found.explained(error) or refused from error
    if start.startswith(_BZ2):
        with found.open() as packed, bz2.open(packed) as plain:
            return replace(_spooled(plain, found.name), partition=found.partition)
    return replace(found, format=_format_of(found, start))


def _format_of(found: Found, start: bytes) -> str:
    path = found.path if isinstance(found.path, Path) else urls.key_of(found.path.url)
    told = _format(path)
    binary = _binary(start)
    if binary or told in ("CSV", "TSV") or (told and told not in _TEXTS):
        return binary or str(told)
    if told and path.name.lower().endswith((".jsonl", ".ndjson", ".gz", ".zst")):
        return told
    head = _head(found)
    if b"\0" in head and not head.startswith(_UTF16):
        raise InvalidInputError(
            f"a file of predictions must end in {_READABLE}; got {found.name}; convert or rename it."
        )
    return _sniff(head)


def _partition(path: PurePath) -> dict[str, str | None]:
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
    found = Found(path, name, "", cut=cut, seen=stamps.of_path(path), keep=spool)
    return replace(found, format=_sniff(_head(found)))


def _chunks(pipe: IO[bytes], name: str) -> Iterator[bytes]:
    """What comes out of a pipe, or of a file, which may not change meanwhile."""
    with stamps.steady(name, stamps.of_open(pipe), lambda: stamps.of_open(pipe)):
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


def _head(found: Found) -> bytes:
    """The first bytes of a file, or of what it holds where it is compressed."""
    with found.open() as file:
        head = file.read(4096)
    if not head:
        raise InvalidInputError(f"{found.name} must hold predictions; it is empty.")
    kind = next((kind for mark, kind in _COMPRESSED.items() if head.startswith(mark)), None)
    if kind is None:
        return head
    query = (
        f"FROM read_csv({literal(found.pattern)}, compression = '{kind}', header = false, auto_detect = false, "
        "delim = chr(1), quote = '', escape = '', encoding = 'latin-1', columns = {c: 'VARCHAR'}) LIMIT 1"
    )
    found.mount()
    try:
        with engine.opened(locked=False) as connection:
            line = engine.fetch(connection, query)
    except engine.failures() as error:
        engine.require_memory(error, found.name)
        raise InvalidInputError(
            f"{found.name} is compressed, and cannot be read ({engine.reason(error)}); check that it is whole."
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
