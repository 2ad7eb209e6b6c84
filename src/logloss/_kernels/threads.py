"""The threads that kernels run on: one lazily made pool per process.

Kernels are serial and release the GIL; work is cut into tasks by the data's shape alone, so the number of threads
can change how soon a result comes but never its bits. A forked child finds no pool and makes its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar, cast

from .._errors import InvalidInputError

T = TypeVar("T")

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
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
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInputError(
            f"LOGLOSS_NUM_THREADS must be a positive whole number; got {text!r}. Unset it to use all cores."
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
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InvalidInputError(f"the number of threads must be a positive whole number; got {n!r}.")
    with _lock:
        _count, old, _pool = n, _pool, None
    if old is not None:
        old.shutdown(wait=False)


def _enter_worker() -> None:
    _worker.inside = True


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            # The calling thread works too, so the pool holds one thread less than `count()`; but one at least, where
            # another thread has set the count to 1 after this call had decided to share its work.
            _pool = ThreadPoolExecutor(max(1, count() - 1), thread_name_prefix="logloss", initializer=_enter_worker)
        return _pool


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run the tasks on all threads, this one included; their results in order, or the first exception."""
    helpers = min(count(), len(tasks)) - 1
    if helpers < 1 or getattr(_worker, "inside", False):
        return [task() for task in tasks]
    results: list[T | None] = [None] * len(tasks)
    waiting = iter(range(len(tasks)))  # next() on it is atomic: each task is taken once, whoever is free takes it

    def work() -> None:
        for index in waiting:
            results[index] = tasks[index]()

    futures = [_submit(work) for _ in range(helpers)]
    try:
        work()
    finally:  # whatever happened here, no thread may go on writing after the call has ended
        wait(futures)
    for future in futures:
        future.result()
    return cast("list[T]", results)


def _submit(work: Callable[[], None]) -> Future[None]:
    try:
        return _executor().submit(work)
    except RuntimeError:  # another thread changed the number of threads between the two calls
        return _executor().submit(work)


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here and its lock may be held by one of them."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None
    _worker.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
