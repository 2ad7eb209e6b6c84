"""All cores of this machine: each thread takes batches from the one reader and adds them to a state of its own.

The calling thread only waits, so that Ctrl-C reaches it at once and never amid an addition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from .._errors import InvalidInputError
from ..evaluate.plan import Plan
from ..evaluate.state import State
from ..partial import add
from ..sources.batch import Batch
from .progress import Meter

_PATIENCE = 2.0
"""Seconds that an interrupted run waits for a thread that reads; one that waits for a pipe may never come back."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came; the state holds the batches that were added before it."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state


class _Shared:
    """Batches handed out one at a time, in order, with their number, until someone stops it."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = enumerate(batches)
        self._lock = threading.Lock()
        self._stopped = False
        self.abandoned = False

    def stop(self) -> None:
        """Hand out no more; what was handed out is still added."""
        self._stopped = True

    def abandon(self) -> None:
        """Hand out no more, and add no more."""
        self._stopped = self.abandoned = True

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        while True:
            with self._lock:
                taken = None if self._stopped else next(self._batches, None)
            if taken is None:
                return
            yield taken


class _Worker:
    """One thread's state, and the first batch it could not add."""

    def __init__(self, state: State, batches: _Shared, meter: Meter | None) -> None:
        self.state = state
        self.failure: tuple[int, InvalidInputError] | None = None
        self.error: BaseException | None = None
        self.adding = threading.Lock()
        self.added = False
        self._batches = batches
        self._meter = meter

    def run(self) -> None:
        try:
            for number, batch in self._batches:
                with self.adding:
                    if self._batches.abandoned:
                        return
                    self._add(number, batch)
                    self.added = True
                if self._meter:
                    self._meter.added(self.state)
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self.error = error
            self._batches.stop()

    def _add(self, number: int, batch: Batch) -> None:
        try:
            add(self.state, batch)
        except InvalidInputError as error:
            self.failure = number, error
            self._batches.stop()


def partial(
    batches: Iterator[Batch], plan: Plan, meter: Meter | None = None, empty: Callable[[Plan], State] = State
) -> State:
    """The state of these batches, of which the meter is told; `empty` gives each thread one to add them to.

    Raises InvalidInputError for the first batch that holds an invalid value, and Interrupted on Ctrl-C.
    """
    from .._kernels import threads

    shared = _Shared(batches)
    workers = [_Worker(empty(plan), shared, meter) for _ in range(threads.count())]
    running = [threading.Thread(target=worker.run, name="logloss-score", daemon=True) for worker in workers]
    try:
        for thread in running:
            thread.start()
        for thread in running:
            _wait(thread)
    except KeyboardInterrupt:
        shared.abandon()
        for thread in running:
            thread.join(_PATIENCE / len(running))
        begun = [worker for worker in workers if worker.added]  # others may compile for long, and have nothing yet
        for worker in begun:
            worker.adding.acquire()  # one that still runs is reading, and will not add what it reads
        raise Interrupted(_sum(begun) if begun else empty(plan)) from None
    finally:  # whatever else was raised here, by a signal's handler say, the others end with the batch they are at
        shared.stop()
    state = _sum(workers)
    if any(isinstance(worker.error, KeyboardInterrupt) for worker in workers):  # it came while a pipe was read
        raise Interrupted(state)
    return state


def _wait(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(0.1)  # without a limit, Windows would not hear Ctrl-C


def _sum(workers: Sequence[_Worker]) -> State:
    try:
        _raise_first(workers)
    finally:  # a traceback knows its worker: in a circle, they would keep what was read, and copies of pipes, for long
        for worker in workers:
            worker.failure = None
            if not isinstance(worker.error, KeyboardInterrupt):
                worker.error = None
    state = workers[0].state
    for worker in workers[1:]:
        state.merge(worker.state)
    return state


def _raise_first(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.error and not isinstance(worker.error, KeyboardInterrupt):
            raise worker.error
    if any(worker.failure for worker in workers):  # every batch before the first one was taken by then, and looked at
        raise min((worker.failure for worker in workers if worker.failure), key=lambda failure: failure[0])[1]
