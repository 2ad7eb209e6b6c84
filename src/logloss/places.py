"""Where results and states are written: half a file never replaces a whole one, and only files are replaced.

A link is followed, and the file that it leads to is replaced; a pipe or a device is written to.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from ._errors import InvalidInputError

_DESCRIPTOR = re.compile(r"/dev/(?:(?P<name>stdout|stderr)|fd/(?P<number>\d+))|/proc/self/fd/(?P<other>\d+)")
_NAMED = {"stdout": 1, "stderr": 2}


def check(path: Path, name: str) -> None:
    """Raise InvalidInputError if nothing can be written there."""
    if not path.name or path.is_dir():
        raise _unwritable(name, "it is a directory")
    try:
        place = path.resolve()
    except (OSError, RuntimeError):
        raise _unwritable(name, "it is a link that leads to itself") from None
    if _descriptor(path) is not None:
        return
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise _unwritable(name, "it may not be written to")
    elif not os.access(place.parent, os.W_OK):
        raise _unwritable(name, "its directory does not exist or cannot be written to")


def write(path: Path, name: str, content: bytes) -> None:
    """Write a file beside its place and move it there when it is whole; to what is no file, write as it is."""
    try:
        if (descriptor := _descriptor(path)) is not None:
            with os.fdopen(os.dup(descriptor), "wb") as open_:  # to open it anew would start a file at its beginning
                open_.write(content)
        elif _is_special(path):
            with path.open("wb") as special:
                special.write(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise InvalidInputError(
            f"{name} cannot be written ({error.strerror or error}); choose another place."
        ) from error


def _replace(place: Path, content: bytes) -> None:
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        with part.open("rb+") as written:  # else the name may survive a power cut, and lead to nothing
            os.fsync(written.fileno())
        with suppress(FileNotFoundError):
            part.chmod(stat.S_IMODE(place.stat().st_mode))  # who may read it has been decided before
        part.replace(place)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _descriptor(path: Path) -> int | None:
    """The open file that a name such as /dev/stdout stands for."""
    found = _DESCRIPTOR.fullmatch(os.path.abspath(path))  # noqa: PTH100 - links stay what they are
    if os.name != "posix" or not found:
        return None
    return _NAMED[found["name"]] if found["name"] else int(found["number"] or found["other"])


def _is_special(path: Path) -> bool:
    """Whether something is there that is no file: a pipe, a device, a socket."""
    return path.exists() and not path.is_file()


def _unwritable(name: str, reason: str) -> InvalidInputError:
    return InvalidInputError(f"{name} cannot be written: {reason}; choose another place.")
