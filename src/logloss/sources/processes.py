"""Forked processes: the threads of the library that reads tables are not there, and it waits for them for ever."""

from __future__ import annotations

import os
import threading

from .._errors import InvalidInputError

_IMPORTED = os.getpid()
_PATIENCE = 10.0
"""Seconds for what takes milliseconds where threads are there."""

_used: list[int] = []


def require_own_threads() -> None:
    """Raise InvalidInputError in a process that was forked from one that has used the library."""
    if not _used:
        if os.getpid() != _IMPORTED and not _has_threads():
            raise _left_behind()
        _used.append(os.getpid())
    elif _used[0] != os.getpid():
        raise _left_behind()


def _has_threads() -> bool:
    """Whether the library does anything here: whoever forked this process may have used it for something else."""
    done = threading.Event()

    def run() -> None:
        import polars as pl

        list(pl.LazyFrame({"a": [1]}).select("a").collect_batches())
        done.set()

    threading.Thread(target=run, daemon=True).start()
    return done.wait(_PATIENCE)


def _left_behind() -> InvalidInputError:
    return InvalidInputError(
        "scoring must not go on in a process that was forked from one that has scored, or used Polars: it would wait "
        "for threads that a fork leaves behind; start processes by multiprocessing.get_context('spawn') (or "
        "'forkserver')."
    )
