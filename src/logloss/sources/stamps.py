"""What tells that a file has changed: its size and its time. A pipe has neither: what comes out of it, comes once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .._errors import InvalidInputError, UnreadableError


def of_path(path: Path) -> str:
    """What differs once the file has changed."""
    return _of(path.stat())


def of_open(file: IO[bytes]) -> str:
    """The same of what an open file, packed or not, lies in; nothing of a pipe."""
    try:
        found = os.fstat(file.fileno())
    except OSError:  # it lies in no file
        return ""
    return _of(found) if stat.S_ISREG(found.st_mode) else ""


def _of(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns}"


@contextmanager
def steady(name: str, before: object, now: Callable[[], object]) -> Iterator[None]:
    """What is read here is of one file: one sentence if `now` is not what was `before`, whatever else went wrong."""
    try:
        yield
    except InvalidInputError as error:
        if now() != before:
            raise _changed(name) from error
        raise
    if now() != before:
        raise _changed(name)


def _changed(name: str) -> UnreadableError:
    return UnreadableError(f"{name} must stay as it is while it is read; it changed; score it again, or a copy of it.")
