"""Compressed text: its kinds, what they hold, and whether a file is whole.

The engine that reads text compares no check sum of gzip, and takes the middle of a zstd file for its end.
"""

from __future__ import annotations

import bz2
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MARKS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
"""How files of each kind begin."""

_NEW: dict[str, Callable[[], Any]] = {
    "gzip": partial(zlib.decompressobj, 31),
    "zstd": zstd.ZstdDecompressor,
    "bz2": bz2.BZ2Decompressor,
}
_FAILURES = (zlib.error, zstd.ZstdError, OSError)
_CHUNK, _MOST = 1 << 16, 1 << 20
_LONGEST_MARK = 4
_SKIPPED = {bytes([0x50 + k, 0x2A, 0x4D, 0x18]) for k in range(16)}
"""How frames of zstd begin that hold nothing of the content; they may come first."""


class DamagedError(Exception):
    """Compressed content that is not whole, and why."""


def kind_of(start: bytes) -> str | None:
    """How a file that starts like this is compressed."""
    found = next((kind for kind, mark in MARKS.items() if start.startswith(mark)), None)
    return "zstd" if start[:4] in _SKIPPED else found


def check(file: IO[bytes], kind: str) -> bool:
    """Go through a compressed file; whether it ends a list of JSON if it begins one.

    Raises DamagedError if it is not whole.
    """
    return ends_its_list(unpacked(file, kind))


def ends_its_list(text: Iterable[bytes]) -> bool:
    """Whether the last sign is a bracket if the first one is."""
    first = last = b""
    for part in text:
        if bare := part.strip():
            first, last = first or bare[:1], bare[-1:]
    return first != b"[" or last == b"]"


def unpacked(file: IO[bytes], kind: str) -> Iterator[bytes]:
    """What all members of a file hold. Raises DamagedError if that is not what was compressed."""
    packed = file.read(_CHUNK)
    while packed:
        while len(packed) < _LONGEST_MARK and (more := file.read(_CHUNK)):
            packed += more
        if kind_of(packed) != kind:
            raise DamagedError("something else follows what is compressed")
        member = _NEW[kind]()
        while not member.eof:
            if not packed and getattr(member, "needs_input", True) and not (packed := file.read(_CHUNK)):
                raise DamagedError("its end is missing")
            try:
                content = member.decompress(packed, _MOST)
            except _FAILURES as error:
                raise DamagedError(str(error).rpartition(": ")[2].lower()) from error
            yield content
            packed = getattr(member, "unconsumed_tail", b"")
        packed = member.unused_data or file.read(_CHUNK)
