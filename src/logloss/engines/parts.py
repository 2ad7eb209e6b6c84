"""A run in parts: what a worker is given, what it answers, and how answers add up. Nothing here knows an engine.

An answer is a value, never a change of something shared. So a part that is done twice, because its worker died or was
slow, counts once. States travel as pickles, as all does between the processes of an engine; in files they are JSON, and
safe to read from anyone.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .._errors import InvalidInputError, LoglossError, UnreadableError
from .._kernels import whole
from ..evaluate import storage
from ..evaluate.state import State
from ..places import write
from ..sources.files import File, Files
from .task import Task

T = TypeVar("T")

ABSENT = r"No module named '(\w+)"
"""What Python says on a worker that lacks a package, whatever an engine makes of that."""


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

    def __reduce__(self) -> tuple[Callable[[bytes], Work], tuple[bytes]]:
        return _arrived, (_sealed(vars(self)),)

    def __call__(self, part: Part) -> Answer:
        """The answer to a part; files that may be left out, or were done before, are done one by one."""
        whole.load()  # a process that Ray has cancelled a task in gets others
        alone = self.skip_unreadable or self.resume is not None
        if not alone or len(part.source.files) == 1:
            return self._kept(part)
        return together(
            self._kept(replace(part, source=Files((file,), part.source.texts))) for file in part.source.files
        )

    def _kept(self, part: Part) -> Answer:
        try:
            place = self._place(part)
        except OSError as error:
            return self._unreadable(part, f"{part.source.names[0]} cannot be read ({error.strerror}); check the path.")
        answer = None if place is None else _read(place, part.number)
        if answer is not None:
            return answer
        answer = self._answer(part)
        if place is None or answer.error or answer.skipped:
            return answer
        return _written(place, answer)

    def _answer(self, part: Part) -> Answer:
        rows = [0]

        def count(more: int) -> None:
            rows[0] += more

        try:
            state = self.task.open(part.source, count).state()
        except UnreadableError as error:
            return self._unreadable(part, str(error))
        except LoglossError as error:
            return Answer(part.number, rows[0], error=f"{part.name}: {error}" if part.name else str(error))
        return Answer(part.number, rows[0], packed(state))

    def _unreadable(self, part: Part, reason: str) -> Answer:
        return Answer(part.number, skipped=reason) if self.skip_unreadable else Answer(part.number, error=reason)

    def _place(self, part: Part) -> Path | None:
        """Where the answer to a part is kept, under a name that changes with the file and with the question."""
        if self.resume is None:
            return None
        (file,) = part.source.files
        asked = (self.task, file.name, file.first, file.rows, file.found.stamp, part.source.texts, self.labels)
        return Path(self.resume) / f"{hashlib.sha256(repr(asked).encode()).hexdigest()[:32]}.json"


def packed(state: State) -> bytes:
    """A state as it travels; of no rows there is none, since its plan need not be that of the others."""
    return _sealed(state) if state.rows or any(state.dropped.values()) else b""


def unpacked(state: bytes) -> State:
    """What `packed` gave. Raises InvalidInputError if another version of this package did."""
    found: State = _opened(state)
    return found


def _sealed(content: Any) -> bytes:
    """A value as it travels to other processes: behind the version of this package, which alone may open it."""
    from .. import __version__

    stream = io.BytesIO()
    for one in (__version__, content):
        pickle.dump(one, stream, pickle.HIGHEST_PROTOCOL)
    return stream.getvalue()


def _opened(sealed: bytes) -> Any:
    from .. import __version__

    stream = io.BytesIO(sealed)
    if (theirs := pickle.load(stream)) != __version__:
        raise InvalidInputError(
            f"the driver and all workers must have the same version of logloss; one has {__version__}, another "
            f"{theirs}; install the same everywhere."
        )
    return pickle.loads(memoryview(sealed)[stream.tell() :])


def _arrived(sealed: bytes) -> Work:
    """The worker that was sent; where the version is another, one that only says so."""
    try:
        return Worker(**_opened(sealed))
    except InvalidInputError as error:
        return partial(_refused, str(error))


def _refused(reason: str, part: Part) -> Answer:
    return Answer(part.number, error=reason)


def _read(place: Path, number: int) -> Answer | None:
    """The answer that stands there; None if there is none, or one that is damaged: then it is found anew."""
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
        text, rows = document["state"], int(document["rows"])
        return Answer(number, rows, packed(storage.loads(text, str(place))[0]) if text else b"")
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _written(place: Path, answer: Answer) -> Answer:
    """The answer, now in a file that is whole once it has its name, whoever else writes the same; or why it is not."""
    text = storage.dumps(unpacked(answer.state), ()) if answer.state else ""
    try:
        write(place, f"the state {place}", json.dumps({"rows": answer.rows, "state": text}).encode())
    except InvalidInputError as error:
        return Answer(answer.number, answer.rows, error=str(error))
    return answer


class Total:
    """Answers added up. It keeps a state, not its bytes: to unpack and pack these takes as long as to add them."""

    def __init__(self) -> None:
        self.rows = 0
        self.state: State | None = None
        self._numbers: list[int] = []
        self._errors: list[tuple[int, str]] = []
        self._skipped: list[tuple[int, str]] = []

    def add(self, answer: Answer) -> None:
        """Add an answer: states add up until there is an error."""
        self.rows += answer.rows
        self._numbers.append(answer.number)
        if answer.skipped:
            self._skipped.append((answer.number, answer.skipped))
        if answer.error:
            self._fail(answer.number, answer.error)
        elif answer.state and not self._errors:
            self._merge(answer.number, answer.state)

    @property
    def count(self) -> int:
        """How many answers there were."""
        return len(self._numbers)

    @property
    def error(self) -> str:
        """That of the first part which has one."""
        return min(self._errors)[1] if self._errors else ""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Why parts were left out, in the order of the parts."""
        return tuple(line for _, lines in sorted(self._skipped) for line in lines.split("\n"))

    def answer(self) -> Answer:
        """All of them as one, with the number of the first part, or of the first that has an error."""
        number = min(self._errors)[0] if self._errors else min(self._numbers)
        state = b"" if self.state is None else packed(self.state)
        return Answer(number, self.rows, state, self.error, "\n".join(self.skipped))

    def _merge(self, number: int, packed: bytes) -> None:
        try:
            state = unpacked(packed)
            if self.state is None:
                self.state = state
            else:
                self.state.merge(state)
        except LoglossError as error:
            self._fail(number, str(error))

    def _fail(self, number: int, error: str) -> None:
        self._errors.append((number, error))
        self.state = None


def together(answers: Iterable[Answer]) -> Answer:
    """Several answers as one."""
    total = Total()
    for answer in answers:
        total.add(answer)
    return total.answer()


def told(work: Work) -> Callable[[Part], tuple[Answer, Answer]]:
    """The same in two: what a driver is told at once, rows and errors, and the state, which workers add up first."""

    def both(part: Part) -> tuple[Answer, Answer]:
        answer = work(part)
        return replace(answer, state=b"", skipped=""), replace(answer, rows=0, error="")

    return both


FAN = 8
"""States that are added up at once: where each of them is large, a worker has to hold so many."""


def in_tree(found: Sequence[T], add: Callable[[Sequence[T]], T]) -> list[T]:
    """At most `FAN` of them, after as many rounds of `add` as it takes: what is left for the driver."""
    while len(found) > FAN:
        found = [add(bundle) for bundle in bundles(found, FAN)]
    return list(found)


def bundles(found: Sequence[T], size: int) -> list[Sequence[T]]:
    """So many neighbours together."""
    return [found[start : start + size] for start in range(0, len(found), size)]


def no_more_than(most: int, pieces: Sequence[Files]) -> list[Files]:
    """At most so many pieces, of neighbours together: a run adds up as many states as it has.

    How many are put together is a power of two: it stays the same while files are added to a run that is taken up.
    """
    size = 1
    while len(pieces) > size * most:
        size *= 2
    return [_joined(bundle) for bundle in bundles(pieces, size)]


def _joined(pieces: Sequence[Files]) -> Files:
    """Pieces as one; what was cut of the same file is one cut."""
    files: list[File] = []
    for file in (file for piece in pieces for file in piece.files):
        if files and files[-1].found is file.found and files[-1].rows is not None and file.rows is not None:
            files[-1] = replace(files[-1], rows=files[-1].rows + file.rows)
        else:
            files.append(file)
    return Files(tuple(files), pieces[0].texts)


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
