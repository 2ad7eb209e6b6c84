"""The threads that kernels run on: one lazily made pool per process.

Kernels are serial and release the GIL; work is cut into tasks by the data's shape alone, so the number of threads
can change how soon a result comes but never its bits. A forked child finds no pool and makes its own.

The pool is a queue and not `concurrent.futures`: waking a thread takes about as long as a kernel needs for 40,000
elements, so a call waits for tasks that a thread has begun, never for a thread that has not woken up yet.
"""

from __future__ import annotations

import functools
import operator
import os
import re
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from .._errors import InvalidInputError

T = TypeVar("T")

Work = Callable[[], object]

_lock = threading.Lock()
_pool: SimpleQueue[Work | None] | None = None
"""What the threads wait on; None tells one of them to end."""
_count: int | None = None
_worker = threading.local()


def _cores() -> int:
    """The cores this process may use: fewer than the machine's under taskset or in a container with a cpuset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _from_environment() -> int:
    text = os.environ.get("LOGLOSS_NUM_THREADS", "")
    if not text:
        return _cores()
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise InvalidInputError(
            "LOGLOSS_NUM_THREADS must be a positive whole number of at most nine digits; "
            f"got {text[:40]!r}. Unset it to use all cores."
        )
    return int(text)


def count() -> int:
    """How many threads kernels use: `set_num_threads`, else LOGLOSS_NUM_THREADS, else the cores of this process."""
    global _count
    if _count is None:
        _count = _from_environment()
    return _count


def set_count(n: int) -> None:
    """Use n threads from now on; calls that are running keep theirs."""
    global _count, _pool
    try:
        whole = 0 if isinstance(n, (bool, np.bool_)) else operator.index(n)
    except TypeError:
        whole = 0
    if whole < 1:
        raise InvalidInputError(
            f"the number of threads must be a positive whole number; got {n!r}. Use 1 for the calling thread alone."
        )
    with _lock:
        if _pool is not None:
            for _ in range(count() - 1):
                _pool.put(None)
        _count, _pool = whole, None


def _submit(work: Work) -> None:
    """Have a thread of the pool do this work, as soon as one is free."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = SimpleQueue()
            for k in range(count() - 1):  # the calling thread works too
                threading.Thread(target=_serve, args=(_pool,), name=f"logloss_{k}", daemon=True).start()
        _pool.put(work)


def _serve(pool: SimpleQueue[Work | None]) -> None:
    """The life of a thread."""
    _worker.inside = True
    while (work := pool.get()) is not None:
        work()
        del work  # what has been done keeps no array alive


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run the tasks on all threads, this one included; their results in order, or the first exception."""
    helpers = min(count(), len(tasks)) - 1
    if helpers < 1 or getattr(_worker, "inside", False):
        return [task() for task in tasks]
    results: list[Any] = [None] * len(tasks)
    errors: list[BaseException] = []
    waiting = iter(range(len(tasks)))  # next() on it is atomic: each task is taken once, whoever is free takes it
    doors = [threading.Lock() for _ in range(helpers)]  # whoever holds a helper's may work, or say that all is done

    def work() -> None:
        for index in waiting:
            results[index] = tasks[index]()

    def help_through(door: threading.Lock) -> None:
        if door.acquire(blocking=False):
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                errors.append(error)
            finally:
                door.release()

    for door in doors:
        _submit(functools.partial(help_through, door))
    try:
        work()
    finally:  # whatever happened here, no thread may go on writing after the call has ended
        for _ in waiting:
            pass
        for door in doors:
            door.acquire()
    if errors:
        raise errors[0]
    return results


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here and its lock may be held by one of them."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None
    _worker.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
