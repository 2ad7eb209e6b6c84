"""What a scoring run computes: which columns are predicted by which, weighted by what, for which groups."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .._errors import InvalidInputError


@dataclass(frozen=True)
class Problem:
    """One column of predictions for one column of targets."""

    target: str
    prediction: str
    model: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Domain:
    """The numbers that a column may hold, and what to do about others."""

    column: str
    role: str
    low: float
    high: float
    rule: str
    remedy: str


@dataclass(frozen=True)
class Plan:
    """The columns of a run and their roles; states of the same plan add."""

    problems: tuple[Problem, ...]
    logits: bool = False
    weight: str | None = None
    groups: tuple[str, ...] = ()
    where: str | None = None
    drop_missing: bool = False
    drop_invalid: bool = False
    eps: float | None = None

    def __post_init__(self) -> None:
        for problem in self.problems:
            if problem.target == problem.prediction:
                raise InvalidInputError(
                    f"target and prediction must be different columns; both are {problem.target!r}; name the other one."
                )
        if len(set(self.groups)) < len(self.groups):
            raise InvalidInputError(
                f"a group column must be named once; got {', '.join(self.groups)}; leave out the repetition."
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
    def numbers(self) -> tuple[str, ...]:
        """The columns that must hold numbers, each once."""
        return tuple(dict.fromkeys(domain.column for domain in self.domains()))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that must be read, each once."""
        return tuple(dict.fromkeys([*self.numbers, *self.groups]))

    def domains(self) -> Iterator[Domain]:
        """The rules that the numbers must keep, as `_kernels.scoring` checks them."""
        for problem in self.problems:
            remedy = "0 and 1 are usual, shares between them allowed, and -1 and 1 become so by (target + 1) / 2"
            yield Domain(problem.target, "target", 0, 1, "in [0, 1]", remedy)
            name = problem.prediction
            if self.logits:
                yield Domain(name, "logit", -math.inf, math.inf, "a number", "leave out rows without a prediction")
            else:
                yield Domain(name, "probability", 0, 1, "in [0, 1]", f"if the column holds logits, say --logit {name}")
        if self.weight:
            remedy = "0 is the weight of rows that must not count"
            yield Domain(self.weight, "weight", 0, 1e300, "in [0, 1e300]", remedy)
