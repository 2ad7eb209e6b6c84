"""What a scoring run computes: which columns are predicted by which, weighted by what, for which groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .._errors import InvalidInputError

IMPORTANCE, FREQUENCY, PRECISION = WEIGHT_KINDS = "importance", "frequency", "precision"
"""What weights mean, which estimates do not tell and errors do.

importance: how much a row counts, as an inverse probability of having been sampled (Stata's pweight); frequency: that
so many rows were alike (fweight, statsmodels' freq_weights); precision: the inverse of a row's variance, up to a factor
(aweight, statsmodels' var_weights).
"""

MOST_ALIKE = 2**32
"""The most rows that one may stand for."""


@dataclass(frozen=True)
class Problem:
    """One column of predictions for one column of targets."""

    target: str
    prediction: str
    model: str | None = None
    label: str | None = None
    weight: str | None = None  # of this label alone; else the plan's
    shift: float = 0.0
    """What is added to logits, to undo how the model was trained."""

    def unpacked(self, places: Mapping[str, Sequence[str]], weight: str | None = None) -> Iterator[Problem]:
        """The problem itself, or one for each place of its lists, labelled 0, 1, 2 and so on.

        `weight` is the plan's column of weights, which may hold lists, too.
        """
        if (self.target in places) != (self.prediction in places):
            one, other = (self.target, self.prediction) if self.target in places else (self.prediction, self.target)
            raise InvalidInputError(
                "a target and its prediction must both hold lists, a value for each label, or both numbers; "
                f"{one!r} holds lists and {other!r} numbers; name another column, or "
                f"if it holds a probability for each class, name one: {one}[1]."
            )
        weights = places.get(self.weight or weight or "")
        if self.target not in places:
            if weights:
                raise InvalidInputError(
                    f"weights in lists must stand beside targets in lists; {self.weight or weight!r} holds lists and "
                    f"{self.target!r} numbers; name another column."
                )
            yield self
        for place, (target, prediction) in enumerate(
            zip(places.get(self.target, ()), places.get(self.prediction, ()), strict=True)
        ):
            label = f"{self.label}[{place}]" if self.label else str(place)
            yield replace(
                self,
                target=target,
                prediction=prediction,
                label=label,
                weight=weights[place] if weights else self.weight,
            )


@dataclass(frozen=True)
class Domain:
    """The numbers that a column may hold, and what to do about others.

    `target` is the label that it is about: a row without such a number may still count for others. None: for all.
    """

    target: str | None
    column: str
    role: str
    low: float
    high: float
    rule: str
    remedy: str
    whole: bool = False
    """Whether only whole numbers are in it."""


@dataclass(frozen=True)
class Plan:
    """The columns of a run and their roles; states of the same plan add."""

    problems: tuple[Problem, ...]
    logits: bool = False
    weight: str | None = None  # a column; of problems that have their own, how those were named
    groups: tuple[str, ...] = ()
    where: str | None = None
    drop_missing: bool = False
    drop_invalid: bool = False
    eps: float | None = None
    definitions: str | None = None  # of groups that are expressions
    outcomes: str | None = None  # what values of targets mean, if not 0 and 1
    components: tuple[str, ...] = ("moments",)  # what its states keep; see `components`
    cluster: str | None = None  # whose rows depend on each other
    segments: tuple[str, ...] = ()  # columns whose intersections are scanned for miscalibration
    weight_kind: str = IMPORTANCE

    def __post_init__(self) -> None:
        if self.weight_kind not in WEIGHT_KINDS:
            kinds = ", ".join(map(repr, WEIGHT_KINDS))
            raise InvalidInputError(f"weight_kind must be one of {kinds}; got {self.weight_kind!r}; choose one.")
        if self.weight_kind != IMPORTANCE and not self.weight:
            raise InvalidInputError(
                f"weight_kind says what weights mean; got {self.weight_kind!r} and no weights; "
                "name their column (weight=, --weight)."
            )
        for problem in self.problems:
            if problem.target == problem.prediction:
                raise InvalidInputError(
                    f"target and prediction must be different columns; both are {problem.target!r}; name the other one."
                )
        for what, columns in (("a group column", self.groups), ("a column of segments", self.segments)):
            if len(set(columns)) < len(columns):
                raise InvalidInputError(
                    f"{what} must be named once; got {', '.join(columns)}; leave out the repetition."
                )

    @property
    def has_models(self) -> bool:
        """Whether models are named."""
        return any(problem.model is not None for problem in self.problems)

    @property
    def has_labels(self) -> bool:
        """Whether there are labels to tell apart."""
        return any(problem.label is not None for problem in self.problems)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of targets, each once: one for each label."""
        return tuple(dict.fromkeys(problem.target for problem in self.problems))

    @property
    def power(self) -> int:
        """The power of the weight beside squares: 0 without weights, 2 for importances, and 1 for other kinds."""
        return 0 if not self.weight else 2 if self.weight_kind == IMPORTANCE else 1

    def weight_of(self, problem: Problem) -> str | None:
        """The column of a problem's weights."""
        return problem.weight or self.weight

    @property
    def weights(self) -> tuple[str, ...]:
        """The columns of weights, each once."""
        return tuple(dict.fromkeys(one for problem in self.problems if (one := self.weight_of(problem))))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that must hold numbers, each once."""
        return tuple(dict.fromkeys(domain.column for domain in self.domains()))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that must be read, each once."""
        return tuple(dict.fromkeys([*self.numbers, *self.keys]))

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns whose values tell rows apart, each once: groups, segments and clusters."""
        cluster = [self.cluster] if self.cluster is not None else []
        return tuple(dict.fromkeys([*self.groups, *self.segments, *cluster]))

    def unpacked(self, places: Mapping[str, Sequence[str]]) -> Plan:
        """The plan for columns of lists, given the columns that their places became: a label for each place.

        Raises InvalidInputError unless a target and its prediction both hold lists, or both numbers.
        """
        problems = [part for problem in self.problems for part in problem.unpacked(places, self.weight)]
        return replace(self, problems=tuple(problems))

    def domains(self) -> Iterator[Domain]:
        """The rules that the numbers must keep, as `_kernels.scoring` checks them."""
        for problem in self.problems:
            of, name = problem.target, problem.prediction
            yield Domain(of, of, "target", 0, 1, "in [0, 1]", _OTHER_TARGETS)
            if self.logits:
                yield Domain(of, name, "logit", -math.inf, math.inf, "a number", "leave out rows without a prediction")
            else:
                remedy = f"if the column holds logits, say logit={name!r} (--logit {name})"
                yield Domain(of, name, "probability", 0, 1, "in [0, 1]", remedy)
            if problem.weight:
                yield self._weights(of, problem.weight)
        if self.weight and any(problem.weight is None for problem in self.problems):
            yield self._weights(None, self.weight)

    def _weights(self, target: str | None, column: str) -> Domain:
        if self.weight_kind != FREQUENCY:
            remedy = "0 is the weight of rows that must not count"
            return Domain(target, column, "weight", 0, 1e300, "in [0, 1e300]", remedy)
        rule = f"a whole number in [0, {MOST_ALIKE}], of rows that are alike"
        remedy = "other weights are importances or precisions: weight_kind='importance' (--weight-kind importance)"
        return Domain(target, column, "weight", 0, MOST_ALIKE, rule, remedy, whole=True)


_OTHER_TARGETS = (
    "0 and 1 are usual, shares between them allowed; for others say which value is positive and which is "
    "no label, as in positive=1, negative=-1 (--positive 1 --negative -1) or ignore=-1 (--ignore -1)"
)
