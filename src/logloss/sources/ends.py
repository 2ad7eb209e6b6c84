"""Text whose lines end in different ways, as where files of two systems were put together: a copy with one way."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .paths import Found
from .stores import CHUNK

_SYSTEM, _OTHER = b"\n", b"\r\n"


def with_one_end(found: Found) -> Found | None:
    """A temporary copy of the file whose lines end in a line feed; None if they all end alike, or it cannot be made.

    A carriage return amid a line stays: nobody knows whether a line ends there.
    """
    if found.compression == "zstd" or found.is_utf16:
        return None
    spool = tempfile.NamedTemporaryFile(prefix="logloss-")  # noqa: SIM115 - closed and removed with the last reference
    lines = changed = 0
    try:
        for part in _parts(found):
            lines += part.count(_SYSTEM)
            changed += part.count(_OTHER)
            spool.write(part.replace(_OTHER, _SYSTEM))
    except (OSError, EOFError, zlib.error):
        return None
    spool.flush()
    return replace(found, path=Path(spool.name), keep=(found.keep, spool)) if 0 < changed < lines else None


def _parts(found: Found) -> Iterator[bytes]:
    """The text in parts that end between two ends of lines."""
    held = b""
    with found.open() as raw, gzip.open(raw) if found.compression == "gzip" else raw as file:
        while part := file.read(CHUNK):
            part = held + part
            held = b"\r" if part.endswith(b"\r") else b""
            yield part[: len(part) - len(held)]
    yield held
