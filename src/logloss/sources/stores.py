"""Files that are elsewhere: objects in the stores of Amazon, Google and Azure, and what a web address gives.

Objects are listed, and read in ranges, by obstore; Polars reads Parquet and Arrow through the same library in Rust,
so the same variables configure both. Credentials come from where the vendor's own tools look for them, and from
nowhere else.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from .._errors import InvalidInputError, MissingDependencyError, UnreadableError
from . import engine
from .urls import VENDORS, WEB, explained, parted, public, scheme_of

CHUNK = 1 << 20
_WINDOW = 1 << 23
"""Bytes that a reader of an object holds, and asks for at once: a request takes as long as a megabyte."""

_PATIENCE = timedelta(seconds=10)
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")
"""How the names of variables begin that stores and credentials may depend on."""

_MOUNTED = "logloss-store"
"""What an object's name begins with for the engine that reads text."""


class Remote(Protocol):
    """A file that is elsewhere."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    @property
    def stamp(self) -> str:
        """What differs once it has changed."""
        ...

    @property
    def pattern(self) -> str:
        """Its name for the engine that reads text."""
        ...

    @property
    def place(self) -> str:
        """Its name for the library that reads tables."""
        ...

    def open(self) -> IO[bytes]:
        """Its content."""
        ...


@dataclass(frozen=True)
class Object:
    """An object in a store."""

    url: str
    size: int
    stamp: str

    @property
    def pattern(self) -> str:
        """A name without any mark of a pattern."""
        return f"{_MOUNTED}://{urllib.parse.quote(self.url, safe='')}"

    @property
    def place(self) -> str:
        """The address."""
        return self.url

    def open(self) -> IO[bytes]:
        """The object, read in ranges as they are asked for."""
        return _opened(self.url, self.size)


class Address:
    """What a web address gives, once copied to a temporary file in each process that reads it.

    Servers need not send parts of files, nor say how large a file is.
    """

    def __init__(self, url: str, stamp: str = "") -> None:
        self.url, self.stamp = url, stamp
        self._copy: Any = None
        self._copying = threading.Lock()

    def __reduce__(self) -> tuple[type[Address], tuple[str, str]]:
        return Address, (self.url, self.stamp)

    @property
    def place(self) -> str:
        """The path of the copy, which lives as long as this."""
        with self._copying:
            if self._copy is None:
                with _failing(self.url):
                    self._copy, self.stamp = _copied(self.url)
        return str(self._copy.name)

    @property
    def pattern(self) -> str:
        """The path as a pattern."""
        return literally(self.place)

    def open(self) -> IO[bytes]:
        """The copy."""
        return Path(self.place).open("rb")


def literally(path: str) -> str:
    """A path as a pattern that means nothing but itself."""
    return re.sub(r"[*?\[]", lambda one: f"[{one[0]}]", path)


def find(url: str) -> tuple[Remote | None, list[tuple[str, Remote]]]:
    """The file that a URL names, or the objects that it means as pattern or directory, with their names below it.

    Raises InvalidInputError if it means none.
    """
    scheme = scheme_of(url)
    if scheme in WEB:
        found = Address(url)
        found.place  # noqa: B018 - it is copied here
        return found, []
    if scheme not in VENDORS:
        raise InvalidInputError(
            f"a URL must begin with https://, {'://, '.join(VENDORS)}://; got {public(url)}; copy the file here."
        )
    root, key = parted(url)
    if not root.rstrip("/").partition("://")[2]:
        raise InvalidInputError(f"a URL must name a bucket, as in {scheme}://bucket/file.parquet; got {url}.")
    with _failing(url):
        if key and not key.endswith("/") and (one := _head(root, key)) is not None:
            return one, []
        begin = re.split(r"[*?\[]", key)[0]
        is_pattern = begin != key
        prefix = begin.rpartition("/")[0] if is_pattern else key.rstrip("/")
        objects = _listed(root, prefix)
        return None, _matching(objects, key, root) if is_pattern else _below(objects, prefix, root)


def _below(objects: Iterator[Object], prefix: str, root: str) -> list[tuple[str, Remote]]:
    start = len(root) + (len(prefix) + 1 if prefix else 0)
    return [(one.url[start:], one) for one in objects]


def _matching(objects: Iterator[Object], pattern: str, root: str) -> list[tuple[str, Remote]]:
    """The objects that a pattern means; where it means a directory, those below it, by their names there."""
    from fsspec.utils import glob_translate

    whole = re.compile(glob_translate(pattern.rstrip("/")))
    found: list[tuple[str, Remote]] = []
    for one in objects:
        parts = one.url[len(root) :].split("/")
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if whole.match("/".join(parts[:end]))), 0)
        if end:
            found.append(("/".join(parts[end:]), one))
    return found


def _listed(root: str, prefix: str) -> Iterator[Object]:
    """The objects of a directory, by name."""
    batches = _library(root).list(_store(root), prefix=prefix or None)
    for one in sorted((one for batch in batches for one in batch), key=lambda one: str(one["path"])):
        if one["size"] or "." in PurePosixPath(one["path"]).name:  # not what stands for a directory
            yield _object(root, one)


def _head(root: str, key: str) -> Object | None:
    library = _library(root)
    try:
        return _object(root, library.head(_store(root), key))
    except FileNotFoundError:
        return None
    except library.exceptions.BaseError:
        library.get_range(
            _store(root), key, start=0, length=1
        )  # its answer says why, that to a question about it does not
        raise


def _object(root: str, found: Any) -> Object:
    return Object(f"{root}{found['path']}", found["size"], f"{found['e_tag']} {found['last_modified']}")


def _opened(url: str, size: int | None = None) -> IO[bytes]:
    root, key = parted(url)
    with _failing(url):
        reader = _library(root).open_reader(_store(root), key, buffer_size=_WINDOW, size=size)
    return io.BufferedReader(_Ranges(reader), CHUNK)


class _Ranges(io.RawIOBase):
    """An object as a file of Python's."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            content = memoryview(self._reader.read(len(buffer)))
        except Exception as error:
            raise OSError(str(error)) from error  # what whoever reads files expects
        buffer[: len(content)] = content
        return len(content)


def _store(root: str) -> Any:
    """The store of a bucket, with the settings and credentials that hold now."""
    settings = tuple(sorted((name, os.environ[name]) for name in os.environ if name.startswith(_SETTINGS)))
    return _connected(root, settings, os.getpid())


def _library(root: str) -> Any:
    """The library that reads a store, whose module it is; the others that it takes are there, too."""
    scheme = scheme_of(root)
    try:
        for name in ("fsspec", *(["boto3"] if VENDORS[scheme] == "Amazon S3" else [])):
            importlib.import_module(name)
        return importlib.import_module("obstore")
    except ImportError as error:
        raise MissingDependencyError(
            f"to read {scheme}:// URLs, install what does: pip install 'logloss[stores]' ({error})."
        ) from error


@lru_cache(8)
def _connected(root: str, _settings: tuple[tuple[str, str], ...], _process: int) -> Any:
    from obstore.store import from_url

    options: dict[str, Any] = {
        "client_options": {"allow_http": True, "connect_timeout": _PATIENCE},  # http: where an endpoint says so
        "retry_config": {"max_retries": 5, "retry_timeout": 3 * _PATIENCE},
    }
    is_public = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1")
    if VENDORS[scheme_of(root)] == "Amazon S3" and not is_public:
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider()
    return from_url(root, **options)


@lru_cache(1)
def mount(_process: int) -> None:
    """Let the engine that reads text in this process find objects by their patterns."""
    from fsspec import AbstractFileSystem

    class Objects(AbstractFileSystem):  # type: ignore[misc]
        """Objects by their URLs."""

        protocol = _MOUNTED
        cachable = False

        def open(self, path: str, *_: Any, **__: Any) -> IO[bytes]:
            return _opened(self._url(path))

        def info(self, path: str, **_: Any) -> dict[str, Any]:
            found = _head(*parted(self._url(path)))
            return {"name": path, "size": found.size if found else 0, "type": "file"}

        def glob(self, path: str, **_: Any) -> list[str]:
            return [self._strip_protocol(path)]

        def _url(self, path: str) -> str:
            return urllib.parse.unquote(self._strip_protocol(path))

    engine.mount(Objects())


def _copied(url: str) -> tuple[Any, str]:
    """What an address gives, as a temporary file, and what differs once that has changed."""
    spool = tempfile.NamedTemporaryFile(prefix="logloss-")  # noqa: SIM115 - closed and removed with the last reference
    asked = urllib.request.Request(url, headers={"User-Agent": "logloss"})
    with _answer(asked) as answer:
        while chunk := answer.read(CHUNK):
            spool.write(chunk)
        size = answer.headers.get("Content-Length", "")
        if size and int(size) != spool.tell():
            raise OSError(f"the connection ended after {spool.tell():,} of {int(size):,} bytes")
        stamp = " ".join([size, *(answer.headers.get(name, "") for name in ("ETag", "Last-Modified"))])
    spool.flush()
    return spool, stamp


def _answer(asked: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(asked, timeout=6 * _PATIENCE.total_seconds())
    except urllib.error.HTTPError as error:
        error.close()
        raise


@contextmanager
def _failing(url: str) -> Iterator[None]:
    """Turn what libraries raise about a URL into one sentence: each has exceptions of its own."""
    try:
        yield
    except (InvalidInputError, MissingDependencyError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = next(iter(public(str(error)).strip().splitlines()), type(error).__name__).rstrip(".:")
        raise explained(url, error) or UnreadableError(
            f"{public(url)} cannot be read ({reason}); check the address, and try again."
        ) from error
