"""Ray: parts as tasks, and datasets block by block, on the cluster that this process is connected to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._errors import InvalidInputError
from ..evaluate.ranges import RANGE
from .parts import FAN, Answer, Part, Work, in_tree, together, told
from .ranges import Exchange

LIBRARIES = ("ray",)

REASONS = {
    "Version mismatch": "the cluster has another version of Ray or of Python; install the same as there",
    r"""KeyError.*(?:Field|olumn).*?["'](.+?)["']""": "a block of the dataset has no column {0!r}; give all the same",
}

_MOST_DONE = 64
"""Results that are fetched at once, or what there is after a second."""

_CORES = (0.5, 0.25)
"""Of a core, what each round of adding up the answers to blocks asks for: rounds that ask alike would be one task for
each block, in which there is nothing to add up. Nobody knows the number of blocks before."""


def of_files(parts: Sequence[Part]) -> Files:
    """Parts that every worker can read."""
    _connect()
    return Files(parts)


def of_table(table: Any, columns: Sequence[str]) -> Blocks:
    """The blocks of a Ray dataset."""
    _connect()
    return Blocks(table.select_columns(list(columns)))


def empty(table: Any) -> Any:
    """A table without rows that has the same columns."""
    import pyarrow as pa

    schema = table.schema()
    if schema is None:
        raise InvalidInputError("there must be rows to score; the Ray dataset has none; check what was named.")
    # Blocks may be of pandas; of what Arrow has no type for, as objects, only the rows tell.
    kinds = [kind if isinstance(kind, pa.DataType) else pa.null() for kind in schema.types]
    return pa.schema(list(zip(map(str, schema.names), kinds, strict=True))).empty_table()


@dataclass(frozen=True)
class Files:
    """Parts, each of which is a task."""

    parts: Sequence[Part]

    def answers(self, work: Work) -> Iterator[Answer]:
        """The answers, and the states of all, added up."""
        import ray

        waiting = self._begun(work)
        try:
            while waiting:
                done, waiting = ray.wait(waiting, num_returns=min(len(waiting), _MOST_DONE), timeout=1.0)
                yield from ray.get(done)
        finally:
            for one in waiting:
                ray.cancel(one)

    def pooled(self, exchange: Exchange) -> Iterator[Any]:
        """The blocks of each range."""
        import ray

        def cut(part: Part) -> Any:
            return exchange.cut(part)

        call = ray.remote(cut)
        return _pooled(exchange, ray.data.from_arrow_refs([call.remote(part) for part in self.parts]))

    def _begun(self, work: Work) -> list[Any]:
        """What is told of each part, and the states of all: a state that nobody here refers to makes room."""
        import ray

        call, add = ray.remote(num_returns=2)(told(work)), ray.remote(lambda *answers: together(answers))
        told_at_once, states = zip(*map(call.remote, self.parts), strict=True)
        return [*told_at_once, *in_tree(states, lambda bundle: add.remote(*bundle))]


@dataclass(frozen=True)
class Blocks:
    """A dataset, block by block."""

    dataset: Any

    def answers(self, work: Work) -> Iterator[Answer]:
        """The answers to the blocks, and those of several added up."""

        def one(block: Any) -> dict[str, list[Any]]:
            return _row(work(Part(0, block)))

        def several(rows: Mapping[str, Any]) -> dict[str, list[Any]]:
            return _row(together(_answers(rows)))

        answers = self.dataset.map_batches(one, batch_format="pyarrow", batch_size=None)
        for cores in _CORES:
            answers = answers.map_batches(several, batch_size=FAN, num_cpus=cores)
        for row in answers.iter_rows():
            yield Answer(**row)

    def pooled(self, exchange: Exchange) -> Iterator[Any]:
        """The blocks of each range."""

        def cut(block: Any) -> Any:
            return exchange.cut(Part(0, block))

        return _pooled(exchange, self.dataset.map_batches(cut, batch_format="pyarrow", batch_size=None))


def _pooled(exchange: Exchange, rows: Any) -> Iterator[Any]:
    """The blocks of each range: to bring its rows together is Ray's shuffle."""
    ranges = rows.groupby(RANGE, num_partitions=exchange.ranges.count)
    blocks = ranges.map_groups(exchange.pool, batch_format="pyarrow")
    yield from blocks.iter_batches(batch_format="pyarrow", batch_size=None)


def _row(answer: Answer) -> dict[str, list[Any]]:
    return {name: [value] for name, value in asdict(answer).items()}


def _answers(rows: Mapping[str, Any]) -> Iterator[Answer]:
    columns = {name: values.tolist() for name, values in rows.items()}
    for values in zip(*columns.values(), strict=True):
        yield Answer(**dict(zip(columns, values, strict=True)))


def _connect() -> None:
    """Connect to the cluster whose address Ray's settings name, or begin one here; what is connected stays."""
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
