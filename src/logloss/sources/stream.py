"""Arrow IPC streams in pieces of bounded size: Polars reads such a stream as a whole, so it is cut between messages.

A message is 0xFFFFFFFF, the length of its metadata, the metadata (a flatbuffer) and a body, of which it has the length.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

MARK = b"\xff\xff\xff\xff"
_END = MARK + bytes(4)
_PIECE = 1 << 24
"""Bytes of record batches that make a piece."""

_DICTIONARY = 2  # the type of a message's header


class _Message(NamedTuple):
    kind: int
    content: bytes


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The stream as short streams, each with the schema and all dictionaries so far; the first has no rows.

    Raises OSError where the stream ends within a message, or something else stands there.
    """
    messages = _messages(file)
    head = next(messages, _Message(0, b"")).content
    yield head + _END
    batches: list[bytes] = []
    for message in messages:
        if message.kind == _DICTIONARY:
            if batches:  # they are to be read with the dictionaries before them
                yield head + b"".join(batches) + _END
                batches = []
            head += message.content
            continue
        batches.append(message.content)
        if sum(map(len, batches)) >= _PIECE:
            yield head + b"".join(batches) + _END
            batches = []
    if batches:
        yield head + b"".join(batches) + _END


def _messages(file: IO[bytes]) -> Iterator[_Message]:
    """The messages up to the end, which the writer may have marked or not."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)

    def read(length: int) -> bytes:
        if not 0 <= length <= size - file.tell():
            raise OSError("the stream ends within a message")
        return file.read(length)

    while file.tell() < size:
        prefix = read(8)
        mark, length = struct.unpack("<4si", prefix)
        if mark != MARK:
            raise OSError("something else stands where a message must begin")
        if length == 0:
            return
        metadata = read(length)
        kind, length = _kind_and_length(metadata)
        yield _Message(kind, prefix + metadata + read(length))


def _kind_and_length(metadata: bytes) -> tuple[int, int]:
    """The fields 1 and 3 of the flatbuffer: the type of the header, and the length of the body."""
    try:
        (table,) = struct.unpack_from("<I", metadata)
        fields = table - struct.unpack_from("<i", metadata, table)[0]
        size, _, _, kind, _, length = struct.unpack_from("<6H", metadata, fields)
        kinds = struct.unpack_from("<B", metadata, table + kind) if kind else (0,)
        lengths = struct.unpack_from("<q", metadata, table + length) if size >= 12 and length else (0,)
    except struct.error as error:
        raise OSError(f"a message's metadata is damaged: {error}") from error
    return int(kinds[0]), int(lengths[0])
