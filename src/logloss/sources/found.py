"""A file that was named: what it is called, its format by its first bytes; a pipe is kept as a file first."""

from __future__ import annotations

import os
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import IO, Any

from .._errors import InvalidInputError, UnreadableError
from . import packed, stamps, stores, stream, urls
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
_MARGIN = 4096
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
READABLE = ".parquet, .csv, .tsv, .jsonl, .json or .arrow (text also with .gz, .bz2 or .zst)"


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
        return packed.kind_of(self._start) or "none"

    def require_whole(self) -> None:
        """Go through a compressed file, once. Raises UnreadableError if it is damaged, or a list of JSON has no end."""
        self._gone_through  # noqa: B018 - it is read here

    @property
    def is_utf16(self) -> bool:
        """Whether a file of text starts with the mark of UTF-16."""
        return self._start.startswith(_UTF16)

    @cached_property
    def _gone_through(self) -> None:
        kind, is_json = self.compression, self.format == "JSON lines"
        if kind == "none" and not is_json:
            return
        with self.open() as file, _undamaged(self.name):
            whole = packed.ends_its_list(_margins(file)) if kind == "none" else packed.check(file, kind)
        if is_json and not whole:
            raise UnreadableError(
                f"{self.name} must end the list that it begins; it has no ] at its end; write it anew."
            )

    @cached_property
    def _start(self) -> bytes:
        with self.open() as file:
            return file.read(4)


def format_of_name(path: PurePath) -> str | None:
    """The format that a name tells."""
    name = path.name.lower()
    stem = next((name.removesuffix(end) for end in _COMPRESSED_TEXT if name.endswith(end)), name)
    found = _FORMATS.get(PurePath(stem).suffix)
    return found if stem == name or found in _TEXTS else None


def found_of(path: Path | Remote | None) -> Found:
    """The file of a path, or of standard input for None. Raises InvalidInputError if it cannot be read."""
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
    if not start:
        raise InvalidInputError(f"{found.name} must hold predictions; it is empty.")
    if packed.kind_of(start) == "bz2":
        with found.open() as file:
            return replace(_spooled(file, found.name, unpack=True), partition=found.partition)
    return replace(found, format=_format_of(found, start))


def _format_of(found: Found, start: bytes) -> str:
    path = found.path if isinstance(found.path, Path) else urls.key_of(found.path.url)
    told = format_of_name(path)
    binary = _binary(start)
    if binary or told in ("CSV", "TSV") or (told and told not in _TEXTS):
        return binary or str(told)
    if told and path.name.lower().endswith((".jsonl", ".ndjson", ".gz", ".zst")):
        return told
    head = _head(found)
    if b"\0" in head and not head.startswith(_UTF16):
        raise InvalidInputError(
            f"a file of predictions must end in {READABLE}; got {found.name}; convert or rename it."
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


def _spooled(pipe: IO[bytes], name: str, unpack: bool = False) -> Found:
    """A pipe's content as a temporary file: formats are told by their first bytes, and Parquet is read from its end."""
    cut = False
    with kept(name) as spool:
        try:
            for chunk in _chunks(pipe, name, unpack):
                spool.write(chunk)
        except KeyboardInterrupt:
            cut = True
        spool.flush()
    path = Path(spool.name)
    if cut and not _cut_at_a_line(path):
        raise KeyboardInterrupt
    with path.open("rb") as file:
        if not unpack and packed.kind_of(file.read(4)) == "bz2":
            file.seek(0)
            return _spooled(file, name, unpack=True)
    found = Found(path, name, "", cut=cut, seen=stamps.of_path(path), keep=spool)
    return replace(found, format=_sniff(_head(found)))


def _chunks(pipe: IO[bytes], name: str, unpack: bool = False) -> Iterator[bytes]:
    """What comes out of a pipe, or of a file, perhaps of bz2, which may not change meanwhile."""
    with stamps.steady(name, stamps.of_open(pipe), lambda: stamps.of_open(pipe)), _undamaged(name):
        try:
            yield from packed.unpacked(pipe, "bz2") if unpack else iter(lambda: pipe.read1(CHUNK), b"")  # type: ignore[attr-defined]
        except OSError as error:
            raise InvalidInputError(f"{name} cannot be read to its end ({error}); check that it is whole.") from error


@contextmanager
def _undamaged(name: str) -> Iterator[None]:
    """One sentence for a compressed file that is not whole."""
    try:
        yield
    except packed.DamagedError as error:
        raise UnreadableError(f"{name} is damaged ({error}); compress it again, or fetch it anew.") from error


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
        if end == 0 or head.startswith((*packed.MARKS.values(), b"PAR1", b"ARRO", stream.MARK)):
            return False
        file.truncate(start + end)
    return True


def _head(found: Found) -> bytes:
    """The first bytes of a file, or of what it holds where it is compressed."""
    with found.open() as file:
        head = file.read(_MARGIN)
    if not head:
        raise InvalidInputError(f"{found.name} must hold predictions; it is empty.")
    kind = packed.kind_of(head)
    if kind is None:
        return head
    with found.open() as file, _undamaged(found.name):
        return next(filter(None, packed.unpacked(file, kind)), b"")


def _margins(file: IO[bytes]) -> Iterator[bytes]:
    """The first and the last bytes of a file."""
    yield file.read(_MARGIN)
    file.seek(max(0, file.seek(0, os.SEEK_END) - _MARGIN))
    yield file.read()


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
