"""Compressed text: its kinds, what they hold, and whether a file is whole.

The engine that reads text compares no check sum of gzip, and takes the middle of a zstd file for its end.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Any

MARKS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
"""How files of each kind begin."""

_NEW: dict[str, Callable[[], Any]] = {"gzip": partial(zlib.decompressobj, 31), "bz2": bz2.BZ2Decompressor}
_CHUNK, _MOST = 1 << 16, 1 << 20
_SKIPPED = {bytes([0x50 + k, 0x2A, 0x4D, 0x18]) for k in range(16)}
_OTHER = "something else follows what is compressed"


class DamagedError(Exception):
    """Compressed content that is not whole, and why."""


def kind_of(start: bytes) -> str | None:
    """How a file that starts like this is compressed."""
    found = next((kind for kind, mark in MARKS.items() if start.startswith(mark)), None)
    return "zstd" if start[:4] in _SKIPPED else found  # frames that hold nothing may come first


def check(file: IO[bytes], kind: str) -> bool:
    """Go through a compressed file; whether it ends a list of JSON if it begins one, where that is known.

    Raises DamagedError if it is not whole.
    """
    if kind == "zstd":
        return all(_frames(file))
    return ends_its_list(unpacked(file, kind))


def ends_its_list(text: Iterable[bytes]) -> bool:
    """Whether the last sign is a bracket if the first one is."""
    first = last = b""
    for part in text:
        if bare := part.strip():
            first, last = first or bare[:1], bare[-1:]
    return first != b"[" or last == b"]"


def unpacked(file: IO[bytes], kind: str) -> Iterator[bytes]:
    """What all members of a file of gzip or bz2 hold. Raises DamagedError if that is not what was compressed."""
    packed = file.read(_CHUNK)
    while packed:
        while len(packed) < len(MARKS[kind]) and (more := file.read(_CHUNK)):
            packed += more
        if not packed.startswith(MARKS[kind]):
            raise DamagedError(_OTHER)
        member = _NEW[kind]()
        while not member.eof:
            if not packed and getattr(member, "needs_input", True) and not (packed := file.read(_CHUNK)):
                raise DamagedError("its end is missing")
            try:
                content = member.decompress(packed, _MOST)
            except (zlib.error, OSError) as error:
                raise DamagedError(str(error).rpartition(": ")[2].lower()) from error
            yield content
            packed = getattr(member, "unconsumed_tail", b"")
        packed = member.unused_data or file.read(_CHUNK)


def _frames(file: IO[bytes]) -> Iterator[bool]:
    """True for each block of a zstd file, which say how long they are; the engine compares their check sums."""

    def read(length: int) -> bytes:
        found = file.read(length)
        if len(found) < length:
            raise DamagedError("its end is missing")
        return found

    while start := file.read(4):
        if start in _SKIPPED:
            read(int.from_bytes(read(4), "little"))
            continue
        if start != MARKS["zstd"]:
            raise DamagedError(_OTHER)
        (header,) = read(1)
        single = header >> 5 & 1  # then there is no byte of a window, and always a size of the content
        read((0, 1, 2, 4)[header & 3] + (single, 2, 4, 8)[header >> 6] + 1 - single)
        last = False
        while not last:
            block = int.from_bytes(read(3), "little")
            last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            read(1 if kind == 1 else length)
            yield True
        read(header & 4)  # the check sum
