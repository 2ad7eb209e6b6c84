"""Ray: parts as tasks, and datasets block by block, on the cluster that this process is connected to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .parts import Answer, Part, Work, bundles, together

LIBRARIES = ("ray",)


def of_files(work: Work, parts: Sequence[Part]) -> Iterator[Answer]:
    """The answers to parts that every worker can read."""
    import ray

    _connect()
    call, add = ray.remote(_calling(work)), ray.remote(lambda *answers: together(answers))
    waiting = [add.remote(*bundle) for bundle in bundles([call.remote(part) for part in parts])]
    try:
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        for one in waiting:
            ray.cancel(one)


def of_table(work: Work, table: Any, columns: Sequence[str]) -> Iterator[Answer]:
    """The answers to the blocks of a Ray dataset, and those of several added up."""
    _connect()

    def one(block: Any) -> dict[str, list[Any]]:
        return _row(work(Part(0, block)))

    def several(rows: Mapping[str, Any]) -> dict[str, list[Any]]:
        return _row(together(_answers(rows)))

    answers = table.select_columns(list(columns)).map_batches(one, batch_format="pyarrow", batch_size=None)
    for row in answers.map_batches(several, batch_size=16).iter_rows():
        yield Answer(**row)


def empty(table: Any) -> Any:
    """A table without rows that has the same columns."""
    return table.schema().base_schema.empty_table()


def _calling(work: Work) -> Work:
    """The same as a function, which is what a task must be."""
    return lambda part: work(part)  # noqa: PLW0108


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
