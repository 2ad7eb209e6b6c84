"""Runs in parts: on which engine, what it is given, and one sentence where it fails."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .._errors import InvalidInputError, LoglossError, MissingDependencyError
from ..evaluate.ranges import Ranges
from ..evaluate.state import State
from ..sources import open_source
from ..sources.databases import Query
from ..sources.files import Files
from ..sources.labels import keys_of, may_drop
from ..sources.urls import refuse_place
from .local import Interrupted
from .parts import ABSENT, Answer, Part, Total, Work, Worker, no_more_than, readable
from .ranges import Exchange, numbers

ENGINES = ("dask", "ray", "spark")
"""The engines besides this machine's cores; each is a module beside this one, and an extra of its name."""

_ROOTS = {"dask": "dask", "dask_expr": "dask", "ray": "ray", "pyspark": "spark"}
"""Whose a table is, by the package that its type is from."""

_ROWS = 1 << 22
"""Rows of a part: seconds of work, so that one that is lost costs little, and there is enough for many workers."""

_PARTS = 1 << 12
"""Parts of a run; if files have more rows, parts have."""


_REASONS = {ABSENT: "a worker has no {0}; install the same versions on every worker"}
"""As those of an engine, of any of them."""


class Spread(Protocol):
    """Parts where an engine has them."""

    def answers(self, work: Work) -> Iterator[Answer]:
        """The answers to the parts, some perhaps added up."""
        ...

    def pooled(self, exchange: Exchange) -> Iterator[Any]:
        """What each range gives, once the engine has brought its rows together, as Arrow tables."""
        ...


class Engine(Protocol):
    """What the module of an engine has: transport, and nothing of states or rows.

    One that joins tables of its own has a function `joined` as well: from both, the key's columns, and whether keys of
    one alone are left out, to the table of both and how many keys match.
    """

    LIBRARIES: tuple[str, ...]
    REASONS: dict[str, str]
    """Of what the engine says when it fails, a pattern, and what that means and helps; `{0}` is the pattern's group."""

    def of_files(self, parts: Sequence[Part]) -> Spread:
        """Parts of files that every worker can read."""
        ...

    def of_table(self, table: Any, columns: Sequence[str]) -> Spread:
        """The partitions of a table of the engine's own, of which these columns are read."""
        ...

    def empty(self, table: Any) -> Any:
        """A table without rows, of a kind that `score` takes, that has the same columns."""
        ...


@dataclass(frozen=True)
class Found:
    """What a run in parts came to."""

    state: State
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    """Why files were left out."""


def engine_of(source: Any) -> str | None:
    """The engine whose table this is, if it is one."""
    return _ROOTS.get(type(source).__module__.split(".", 1)[0])


def run(
    name: str | None, worker: Worker, source: Any, tell: Callable[[int], None] | None = None, exact: bool = False
) -> Found:
    """The state of a source, computed in parts by an engine, or by this machine (None); rows are told as they are done.

    `exact`: the state is to know the decomposition of all rows in order, for which an engine reads them again.

    Raises InvalidInputError for what is wrong with the data or the cluster, and Interrupted on Ctrl-C.
    """
    task = worker.task
    engine, own = _engine(name), engine_of(source)
    if own is not None:
        if own != name or worker.resume or worker.skip_unreadable:
            raise InvalidInputError(
                f"a table of {own} is scored by {own}, all of it; leave out engine, resume and on_error, or name files."
            )
        return _of_table(own, engine, worker, source, tell, exact)
    if task.labels is not None and worker.skip_unreadable:
        raise InvalidInputError(
            "on_error must be 'fail' where labels are joined, as every key is accounted for; got 'skip'; leave it out."
        )
    names, skipped, parts = _parts(name, worker, source)
    counts: dict[str, int] = {}
    if task.labels is not None:
        files = Files(tuple(file for part in parts for file in part.source.files))
        labels, counts = _compared(name, worker, files)
        worker, names = replace(worker, task=replace(task, part=True), labels=labels.stamps), (*names, *labels.names)
    state, left_out = _state_of(name, engine, worker, engine.of_files(parts), tell, exact)
    state.joined = counts
    return Found(state, names, (*skipped, *left_out))


def _of_table(
    own: str, engine: Engine, worker: Worker, table: Any, tell: Callable[[int], None] | None, exact: bool
) -> Found:
    """What a table of an engine's own came to, joined there with labels if there are any."""
    task, counts = worker.task, {}
    if task.labels is not None:
        if engine_of(task.labels) != own or not hasattr(engine, "joined"):
            raise InvalidInputError(
                f"labels of a table of {own} must be with it, or both in Spark; got {type(task.labels).__name__}; "
                f"join them in {own}."
            )
        table, counts = engine.joined(table, task.labels, keys_of(task.key), may_drop(task.unmatched))
        worker = replace(worker, task=(task := replace(task, labels=None, key=None)))
    columns = engine.empty(table)
    task.open(columns)
    spread = engine.of_table(table, task.asked(columns))
    state, _ = _state_of(own, engine, worker, spread, tell, exact)
    state.joined = counts
    return Found(state, (f"the {own.capitalize()} table",), ())


def _compared(name: str | None, worker: Worker, files: Files) -> tuple[Files, dict[str, int]]:
    """The labels, once all keys have been compared here, as no part knows those of others; and how many match."""
    joined = worker.task.joined(files)
    assert joined is not None
    labels = joined.labels
    if not isinstance(labels, Files) or not _for_all(labels):
        raise InvalidInputError(
            f"{name or 'a run in parts'} must be given labels in files, which its workers read each by itself; "
            f"got {labels.names[0]}; write it to files."
        )
    return labels, joined.compare()


def _for_all(files: Files) -> bool:
    """Whether other processes can read the files."""
    return all(file.found.keep is None for file in files.files)


def _engine(name: str | None) -> Engine:
    if name is not None and name not in ENGINES:
        raise InvalidInputError(f"an engine must be one of {', '.join(ENGINES)}; got {name!r}.")
    module: Any = importlib.import_module(f".{name or 'here'}", __package__)
    try:
        for library in module.LIBRARIES:
            importlib.import_module(library)
    except ImportError as error:
        raise MissingDependencyError(
            f"to run on {name}, install it: pip install 'logloss[{name}]' ({error})."
        ) from error
    return module  # type: ignore[no-any-return]


def _parts(name: str | None, worker: Worker, source: Any) -> tuple[tuple[str, ...], tuple[str, ...], list[Part]]:
    """Files in parts that any worker can read: their names, why others are left out, and the parts."""
    if isinstance(source, Query):
        raise InvalidInputError(
            f"a query is answered by its database, and not by {name or 'parts'}; leave that option out, or let the "
            "database add up, by logloss sql."
        )
    files = open_source(source, reading=worker.task.reading)
    if not isinstance(files, Files) or not _for_all(files):
        raise InvalidInputError(
            f"{name or 'a run in parts'} must be given files, which its workers read each by itself"
            f"{', or a table of its own' if name else ''}; got {files.names[0]}; write it to files."
        )
    reasons: list[str] = []
    if worker.skip_unreadable:
        files, reasons = readable(files)
        if not files.files:
            raise InvalidInputError(f"a file must be readable; none is: {reasons[0]}")
    if worker.resume is not None:
        refuse_place(worker.resume)
        if not Path(worker.resume).is_dir():
            raise InvalidInputError(f"resume must be a directory; {worker.resume!r} is none; make it.")
    plan = worker.task.over(files).plan
    rows = None if worker.skip_unreadable else _ROWS  # a file is left out as a whole
    cut = files.parts((*plan.groups, *plan.segments), rows)
    parts = [Part(number, one) for number, one in enumerate(no_more_than(_PARTS, list(cut)))]
    return files.names, tuple(reasons), parts


def _state_of(
    name: str | None, engine: Engine, worker: Worker, spread: Spread, tell: Callable[[int], None] | None, exact: bool
) -> tuple[State, tuple[str, ...]]:
    """The state of all parts, and why some were left out."""
    with _explained(name, engine):
        total = _added(spread.answers(worker), tell)
    state = _state(total)
    if exact and state.rows:
        ranges = Ranges.of(state, _ROWS)
        with _explained(name, engine):
            blocks = map(numbers, spread.pooled(Exchange(worker.task, ranges)))
            state.recalibrated = ranges.recalibrated(state, blocks)
    return state, total.skipped


def _added(answers: Iterator[Answer], tell: Callable[[int], None] | None) -> Total:
    """All answers added up; with the first error the rest is given up."""
    total = Total()
    try:
        for answer in answers:
            total.add(answer)
            if tell:
                tell(answer.rows)
            if total.error:
                break
    except KeyboardInterrupt:
        if total.state is None:
            raise
        raise Interrupted(_state(total)) from None
    return total


@contextmanager
def _explained(name: str | None, engine: Engine) -> Iterator[None]:
    """One sentence for what an engine raises."""
    try:
        yield
    except (LoglossError, MemoryError):
        raise
    except Exception as error:
        if name is None:  # this machine's own defects
            raise
        raise InvalidInputError(f"the run on {name} failed: {_reason(engine, error)}.") from error


def _state(total: Total) -> State:
    if total.error:
        raise InvalidInputError(total.error)
    if total.state is None:
        raise InvalidInputError("there must be rows to score; there are none; check what was named.")
    return total.state


def _reason(engine: Engine, error: BaseException) -> str:
    """What an error is known to mean, or what the engine says, in its last line."""
    said = f"{type(error).__name__}: {error}"
    for pattern, meaning in (_REASONS | engine.REASONS).items():
        if found := re.search(pattern, said):
            return meaning.format(*found.groups())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
