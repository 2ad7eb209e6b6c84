"""Dask: parts as delayed calls, on the cluster of the client that there is, or on the threads of this process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._errors import InvalidInputError
from .parts import Answer, Part, Work, in_tree, together, told

LIBRARIES = ("dask", "distributed")

REASONS = {
    r"KeyError.*\['(.+?)'.* in (?:the|index)": "a partition of the data frame has no column {0!r}; give all the same",
}

_PYTHON = platform.python_version()


def of_files(work: Work, parts: Sequence[Part]) -> Iterator[Answer]:
    """The answers to parts that every worker can read."""
    import dask

    one = dask.delayed(told(work), nout=2)
    yield from _answers([one(part) for part in parts])


def of_table(work: Work, table: Any, columns: Sequence[str]) -> Iterator[Answer]:
    """The answers to the partitions of a Dask data frame."""
    import dask

    both = told(work)
    one = dask.delayed(lambda number, frame: both(Part(number, frame, f"partition {number + 1}")), nout=2)
    partitions = table[list(columns)].to_delayed()
    yield from _answers([one(number, frame) for number, frame in enumerate(partitions)])


def empty(table: Any) -> Any:
    """A table without rows that has the same columns."""
    return table._meta  # the name that Dask's documents give it


def _answers(calls: Sequence[Any]) -> Iterator[Answer]:
    """What is told of each call, and at the end the states of all, added up."""
    import dask
    import distributed

    told_at_once, states = zip(*calls, strict=True) if calls else ((), ())
    added = in_tree(states, lambda bundle: dask.delayed(together)(list(bundle)))
    with _client() as client:
        _require_same_python(client)
        futures = client.compute([*told_at_once, *added])
        try:
            for _, answer in distributed.as_completed(futures, with_results=True):
                yield answer
        finally:
            client.cancel(futures)


def _require_same_python(client: Any) -> None:
    """Refuse workers to which our functions mean nothing, before that shows in errors that nobody understands."""
    for worker, version in client.run(platform.python_version).items():
        if version.split(".")[:2] != _PYTHON.split(".")[:2]:
            raise InvalidInputError(
                f"all workers must run the Python of the client, {_PYTHON}; {worker} runs {version}; install the same."
            )


@contextmanager
def _client() -> Iterator[Any]:
    """The client of this process or of this task, or one of its own, whose address Dask's settings may name."""
    import dask
    import distributed

    try:
        client = distributed.get_client()
    except ValueError:
        client = None
    if client is not None:
        yield client
    else:
        here = {} if dask.config.get("scheduler-address", None) else {"processes": False, "dashboard_address": None}
        with distributed.Client(**here) as client:
            yield client
