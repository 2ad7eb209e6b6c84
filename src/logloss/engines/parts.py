"""A run in parts: what a worker is given, what it answers, and how answers add up. Nothing here knows an engine.

An answer is a value, never a change of something shared. So a part that is done twice, because its worker died or was
slow, counts once. States travel as pickles, as all does between the processes of an engine; in files they are JSON, and
safe to read from anyone.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._errors import LoglossError, UnreadableError
from ..evaluate import storage
from ..evaluate.state import State
from ..sources.files import File, Files
from .task import Task


@dataclass(frozen=True)
class Part:
    """Some of the rows of a run, by number; `name` says which in messages, if the source does not."""

    number: int
    source: Any
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of a part: its state, packed, none if it has no rows; or why there is no state.

    `skipped` is why the part could not be read, where such parts may be left out; a line for each after adding up.
    """

    number: int
    rows: int = 0
    state: bytes = b""
    error: str = ""
    skipped: str = ""


Work = Callable[[Part], Answer]


@dataclass(frozen=True)
class Worker:
    """All that a worker does: from a part to its answer. What is wrong with the data is an answer as well.

    In the folder `resume` are the answers to parts of files that were done before, by a run that did not end.
    """

    task: Task
    skip_unreadable: bool = False
    resume: str | None = None
    labels: tuple[str, ...] = ()
    """What differs once labels elsewhere have changed."""

    def __call__(self, part: Part) -> Answer:
        """The answer to a part."""
        place = self._place(part)
        if place is not None and place.exists():
            return _read(place, part.number)
        answer = self._answer(part)
        if place is not None and not answer.error and not answer.skipped:
            _write(place, answer)
        return answer

    def _answer(self, part: Part) -> Answer:
        rows = [0]

        def count(more: int) -> None:
            rows[0] += more

        try:
            state = self.task.open(part.source, count).state()
        except UnreadableError as error:
            if self.skip_unreadable:
                return Answer(part.number, skipped=str(error))
            return Answer(part.number, error=str(error))
        except LoglossError as error:
            return Answer(part.number, rows[0], error=f"{part.name}: {error}" if part.name else str(error))
        return Answer(part.number, rows[0], packed(state))

    def _place(self, part: Part) -> Path | None:
        """Where the answer to a part is kept, under a name that changes with the file and with the question."""
        if self.resume is None:
            return None
        (file,) = part.source.files
        asked = (self.task, file.name, file.first, file.rows, file.found.stamp, part.source.texts, self.labels)
        return Path(self.resume) / f"{hashlib.sha256(repr(asked).encode()).hexdigest()[:32]}.json"


def packed(state: State) -> bytes:
    """A state as it travels; of no rows there is none, since its plan need not be that of the others."""
    return pickle.dumps(state, pickle.HIGHEST_PROTOCOL) if state.rows or any(state.dropped.values()) else b""


def unpacked(state: bytes) -> State:
    """What `packed` gave."""
    found: State = pickle.loads(state)
    return found


def _read(place: Path, number: int) -> Answer:
    document = json.loads(place.read_text(encoding="utf-8"))
    text = document["state"]
    state = packed(storage.loads(text, str(place))[0]) if text else b""
    return Answer(number, document["rows"], state)


def _write(place: Path, answer: Answer) -> None:
    """Write a file that is whole once it has its name, whoever else writes the same."""
    text = storage.dumps(unpacked(answer.state), ()) if answer.state else ""
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    part.write_text(json.dumps({"rows": answer.rows, "state": text}), encoding="utf-8")
    part.replace(place)


def together(answers: Iterable[Answer]) -> Answer:
    """Several answers as one: states add, and of errors that of the first part remains."""
    found = sorted(answers, key=lambda answer: (answer.number, answer.error))
    rows = sum(answer.rows for answer in found)
    skipped = "\n".join(answer.skipped for answer in found if answer.skipped)
    number, error = next(((one.number, one.error) for one in found if one.error), (found[0].number, ""))
    if error:
        return Answer(number, rows, error=error, skipped=skipped)
    try:
        state = _sum([answer.state for answer in found if answer.state])
    except LoglossError as failure:
        return Answer(number, rows, error=str(failure), skipped=skipped)
    return Answer(number, rows, state, skipped=skipped)


def _sum(states: Sequence[bytes]) -> bytes:
    if len(states) <= 1:
        return b"".join(states)
    total, *others = map(unpacked, states)
    for other in others:
        total.merge(other)
    return packed(total)


def bundles(parts: Sequence[Any]) -> list[list[Any]]:
    """As many bundles as there are parts in each: added up where they are, n states come back as about √n."""
    size = max(1, round(len(parts) ** 0.5))
    return [list(parts[start : start + size]) for start in range(0, len(parts), size)]


def readable(files: Files) -> tuple[Files, list[str]]:
    """Those of the files whose columns can be read, and why the others cannot."""
    good: list[File] = []
    reasons = []
    for file in files.files:
        try:
            file.schema  # noqa: B018 - it is read here
        except UnreadableError as error:
            reasons.append(str(error))
        else:
            good.append(file)
    return Files(tuple(good), files.texts), reasons
