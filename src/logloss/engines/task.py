"""What a run reads and keeps: from the words of a person to batches and a plan, the same on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ..evaluate.plan import Plan, Problem
from ..evaluate.problems import make_plan
from ..evaluate.state import State
from ..partial import partial
from ..sources import Source, derive, open_source, with_labels, with_meanings
from ..sources.batch import Batch
from ..sources.columns import check_columns, lists_among
from ..sources.labels import Joined
from ..sources.lists import unpack
from ..sources.outcomes import Meaning, Outcomes
from ..sources.reading import AS_FOUND, Reading
from ..sources.sql import group_by, once
from ..sources.wanted import Wanted


@dataclass(frozen=True)
class Task:
    """Which columns mean what, and how files are read: all of a run but its source. Other machines can be sent one."""

    options: dict[str, Any]
    """What `evaluate.problems.make_plan` takes."""
    where: str | None = None
    group: str | Sequence[str] | None = None
    labels: Any = None
    key: str | Sequence[str] | None = None
    unmatched: str = "error"
    meaning: Meaning = field(default_factory=Meaning)
    reading: Reading = AS_FOUND
    sides: bool = False
    """Of models by their names, whether the first one's predictions are with the labels, and columns are named as they
    are in either source."""
    segments: str | Sequence[str] | None = None
    part: bool = False
    """Whether keys of predictions and labels have been compared over all parts, and each can be joined by itself."""

    def open(self, source: Any, count: Callable[[int], None] | None = None) -> Run:
        """The run over a source: schemas are read and checked, and no rows yet.

        `count` is told how many rows each batch has. Raises InvalidInputError for what does not fit.
        """
        return self.over(open_source(source, count, self.reading))

    def over(self, opened: Source) -> Run:
        """The same over a source that is open."""
        joined = self.joined(opened)
        if self.sides and joined is not None:
            joined = replace(joined, alike=_of_both(self.options, _columns(joined)))
        opened = joined or opened
        columns = _columns(opened)
        (groups, of_groups), (segments, of_segments) = (group_by(one, columns) for one in (self.group, self.segments))
        options = self.options
        if self.sides:
            options, groups, segments = _on_sides(options, groups, segments, columns)
        expressions = once([*of_groups, *of_segments])
        definitions = "; ".join(f"{one.name} = {one.text}" for one in expressions) or None
        more: dict[str, Any] = {"definitions": definitions, "outcomes": str(self.meaning) or None}
        plan = make_plan(columns, where=self.where, group=groups, segments=segments, **more, **options)
        if self.sides:  # labels that lists name are called as in either source
            plan = replace(plan, problems=tuple(map(_without_side, plan.problems)))
        opened = derive(opened, plan.columns, self.where, expressions)
        outcomes = with_meanings(opened, plan.targets, self.meaning)
        opened = outcomes or opened
        lists = lists_among(opened.schemas(), plan.numbers)
        check_columns(opened.schemas(), plan.numbers, plan.keys, lists)
        return Run(opened, plan, tuple(lists), outcomes, lambda: joined.counts if joined else {})

    def joined(self, opened: Source) -> Joined | None:
        """The predictions with labels from elsewhere, if there are any."""
        return with_labels(opened, self.labels, self.key, self.unmatched, self.reading, self.part)

    def asked(self, table: Any) -> tuple[str, ...]:
        """The columns that are read of tables like this one, which has no rows."""
        spy = _Asked(open_source(table, reading=self.reading))
        _, batches = self.over(spy).start()
        for _ in batches:
            pass
        return tuple(dict.fromkeys(spy.columns))


@dataclass(frozen=True)
class Run:
    """A source that has been opened, and the plan for its columns."""

    source: Source
    plan: Plan
    lists: tuple[str, ...]
    outcomes: Outcomes | None
    joined: Callable[[], dict[str, int]]
    """How many keys of predictions and labels matched, once all rows are read."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts of the source are called."""
        return self.source.names

    def start(self) -> tuple[Plan, Iterator[Batch]]:
        """The rows, and the plan for them: columns of lists have become columns for their labels."""
        plan, batches = self.plan, self.source.batches(Wanted(self.plan.numbers, self.plan.keys))
        if self.lists:
            places, batches = unpack(batches, self.lists)
            plan = plan.unpacked(places)
        return plan, self.outcomes.translated(batches, plan.targets) if self.outcomes else batches

    def state(self) -> State:
        """The state of all rows, on one thread."""
        plan, batches = self.start()
        state = partial(batches, plan)
        state.joined = self.joined()
        return state


@dataclass(frozen=True)
class _Asked:
    """A source that remembers which of its columns were wanted."""

    source: Source
    columns: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.names

    def schemas(self) -> Iterator[tuple[str, Any]]:
        return self.source.schemas()

    def total(self) -> int | None:
        return self.source.total()

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        self.columns.extend(wanted.columns)
        return self.source.batches(wanted)


def _without_side(problem: Problem) -> Problem:
    return replace(problem, label=problem.label and problem.label.removeprefix("predictions."))


def _of_both(options: dict[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Targets and weights that both sources have: a comparison is of the same rows only if these are the same."""
    named = [text for role in ("target", "weight") for text in _texts(options.get(role))]
    both = [one.partition(".")[2] for one in columns if one.startswith("predictions.")]
    return tuple(name for name in both if any(fnmatchcase(name, text.replace("[", "[[]")) for text in named))


def _texts(given: Any) -> list[str]:
    names = given.split(",") if isinstance(given, str) else given or ()
    return [name for name in names if isinstance(name, str)]


def _on_sides(
    options: dict[str, Any], groups: Any, segments: Any, columns: Sequence[str]
) -> tuple[dict[str, Any], Any, Any]:
    """Columns as a join calls them that both sources have: the first model's are in the labels' one."""

    def at(name: Any, side: str) -> Any:
        if not isinstance(name, str):
            return [at(one, side) for one in name] if isinstance(name, (list, tuple)) else name
        if "," in name and name not in columns:
            return ",".join(at(one, side) for one in name.split(","))
        start, star, _ = (joined := f"{side}.{name}").partition("*")
        own = name in columns or (star and any(one.startswith(start.partition(".")[2]) for one in columns))
        there = joined in columns or (star and any(one.startswith(start) for one in columns))
        return joined if there and not own else name

    found = dict(options)
    for role in ("target", "weight", "cluster"):
        found[role] = at(options.get(role), "predictions")
    for role in ("probability", "logit"):
        if options.get(role):
            sides = ["labels", *["predictions"] * (len(options[role]) - 1)]
            found[role] = {name: at(options[role][name], side) for name, side in zip(options[role], sides, strict=True)}
    keys = [tuple(at(name, "predictions") for name in one or ()) for one in (groups, segments)]
    return found, keys[0], keys[1]


def _columns(opened: Source) -> list[str]:
    """The columns of the first part of a source."""
    return next((list(schema) for _, schema in opened.schemas()), [])
