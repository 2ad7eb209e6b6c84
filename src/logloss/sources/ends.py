"""Text whose lines end in different ways, as where files of two systems were put together: a copy with one way."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .found import Found, kept
from .stores import CHUNK

_SYSTEM, _OTHER = b"\n", b"\r\n"


def with_one_end(found: Found) -> Found | None:
    """A temporary copy of the file whose lines end in a line feed; None if they all end alike, or it cannot be made.

    A carriage return amid a line stays: nobody knows whether a line ends there.
    """
    if found.compression == "zstd" or found.is_utf16:
        return None
    lines = changed = 0
    with kept(found.name) as spool:
        for part in _parts(found):
            if part is None:
                return None
            lines += part.count(_SYSTEM)
            changed += part.count(_OTHER)
            spool.write(part.replace(_OTHER, _SYSTEM))
        spool.flush()
    return replace(found, path=Path(spool.name), keep=(found.keep, spool)) if 0 < changed < lines else None


def _parts(found: Found) -> Iterator[bytes | None]:
    """The text in parts that end between two ends of lines; None where it cannot be read on."""
    held = b""
    with found.open() as raw, gzip.open(raw) if found.compression == "gzip" else raw as file:
        while True:
            try:
                part = file.read(CHUNK)
            except (OSError, EOFError, zlib.error):
                yield None
                return
            if not part:
                break
            part = held + part
            held = b"\r" if part.endswith(b"\r") else b""
            yield part[: len(part) - len(held)]
    yield held
