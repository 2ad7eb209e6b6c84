"""Dask: parts as delayed calls, on the cluster of the client that there is, or on the threads of this process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from ..evaluate.ranges import BLOCKS, RANGE, ROWS
from .parts import Answer, Part, Work, in_tree, together, told
from .ranges import Exchange

LIBRARIES = ("dask", "distributed")

REASONS = {
    r"KeyError.*\['(.+?)'.* in (?:the|index)": "a partition of the data frame has no column {0!r}; give all the same",
}

_PYTHON = platform.python_version()


def of_files(parts: Sequence[Part]) -> Spread:
    """Parts that every worker can read."""
    return Spread(parts)


def of_table(table: Any, columns: Sequence[str]) -> Spread:
    """The partitions of a Dask data frame."""
    import dask

    one = dask.delayed(lambda number, frame: Part(number, frame, f"partition {number + 1}"))
    own = [name for name in table.columns if _written(name) in columns]  # an index comes along
    return Spread([one(number, frame) for number, frame in enumerate(table[own].to_delayed())])


def _written(name: Any) -> str:
    """What a column is called in Arrow."""
    return str(tuple(map(str, name)) if isinstance(name, tuple) else name)


def empty(table: Any) -> Any:
    """A table without rows that has the same columns."""
    if not hasattr(table, "_meta"):  # the name that Dask's documents give it
        raise UnsupportedTypeError(
            f"a source of Dask must be a data frame; got {type(table).__name__}; make one of it, "
            "as by to_dataframe() or dask.dataframe.from_delayed."
        )
    return table._meta


@dataclass(frozen=True)
class Spread:
    """Parts, or delayed ones, each of which goes to a worker."""

    parts: Sequence[Any]

    def answers(self, work: Work) -> Iterator[Answer]:
        """What is told of each part, and at the end the states of all, added up."""
        import dask

        one = dask.delayed(told(work), nout=2)
        told_at_once, states = zip(*map(one, self.parts), strict=True) if self.parts else ((), ())
        added = in_tree(states, lambda bundle: dask.delayed(together)(list(bundle)))
        yield from _results([*told_at_once, *added])

    def pooled(self, exchange: Exchange) -> Iterator[Any]:
        """The blocks of each range: to bring its rows together is Dask's shuffle."""
        import dask
        import dask.dataframe as dd
        import pyarrow as pa

        def cut(part: Part) -> Any:
            return exchange.cut(part).to_pandas()

        def pool(rows: Any) -> Any:
            return exchange.pool(pa.Table.from_pandas(rows.reset_index())).to_pandas()

        def empty(types: Mapping[str, type]) -> Any:
            return pa.table({name: np.empty(0, dtype) for name, dtype in types.items()}).to_pandas()

        with _client():
            rows = dd.from_delayed([dask.delayed(cut)(part) for part in self.parts], meta=empty(ROWS))
            ranges = rows.set_index(RANGE, divisions=list(range(exchange.ranges.count + 1)))
            for blocks in _results(ranges.map_partitions(pool, meta=empty(BLOCKS)).to_delayed()):
                yield pa.Table.from_pandas(blocks)


def _results(calls: Sequence[Any]) -> Iterator[Any]:
    """What calls give, as they are done."""
    import distributed

    with _client() as client:
        _require_same_python(client)
        futures = client.compute(calls)
        try:
            for _, result in distributed.as_completed(futures, with_results=True):
                yield result
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
        in_memory = {"dataframe.shuffle.method": "tasks"} if here else {}  # the other one is for several processes
        with dask.config.set(in_memory), distributed.Client(**here) as client:
            yield client
