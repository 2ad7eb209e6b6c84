"""Numba, imported as a whole where an interrupt may come that the process outlives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def load() -> None:
    """Import Numba with all that it imports when it first compiles.

    Half imported, it stays so: what it registers cannot be registered again, and in a process that goes on after the
    interrupt nothing would ever compile.
    """
    with _uninterrupted():
        from numba.core.registry import cpu_target

        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C, and what cancels a task of Ray, comes when the block is done."""
    if threading.current_thread() is not threading.main_thread():  # nothing interrupts these
        yield
        return
    came: list[Any] = []
    usual = signal.signal(signal.SIGINT, lambda *told: came.append(told))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came and callable(usual):
        usual(*came[0])
