"""One figure of a summary as an object, for notebooks and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._errors import InvalidInputError
from ..phrases import some
from ..plot import Plot
from .figures import FIGURES
from .subjects import Subject, subjects

if TYPE_CHECKING:
    from ...evaluate.summary import Diagnostics, Summary


def plot(summary: Summary, name: str, model: str | None = None, label: str | None = None) -> Plot:
    """The figure of this name, of the one model and label, or of those that are named.

    Raises InvalidInputError if there is no such figure, or no data for it.
    """
    if name not in FIGURES:
        raise InvalidInputError(f"a plot must be one of {', '.join(FIGURES)}; got {name!r}; choose one of them.")
    subject = _chosen(subjects(summary), model, label)
    found = subject.diagnostics
    if found is None:
        raise InvalidInputError(
            f"a plot must have diagnostics to show; these scores have none ({name!r}); score with diagnostics=True."
        )
    figure = FIGURES[name](subject, found)
    if figure is None:
        raise InvalidInputError(f"{name!r} must have data to show; {_lacking(name, found)}.")
    return Plot(name, figure.title, figure.alt, figure.spec)


def _lacking(name: str, found: Diagnostics) -> str:
    """Why there is no such figure, and what helps."""
    if not 0 < found.base_rate < 1:
        return f"the base rate of these rows is {found.base_rate:g}; score rows of both outcomes"
    if name == "decomposition":
        return "the loss of these rows is infinite; eps= floors predictions of 0 for what happened"
    return f"no group of these {some(found.rows, 'row')} has as many as it takes; score more"


def _chosen(everyone: list[Subject], model: str | None, label: str | None) -> Subject:
    """The only one that bears these names."""
    wanted = [
        one
        for one in everyone
        if (model is None or one.block.model == model) and (label is None or one.block.label == label)
    ]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(one.name for one in everyone[:12])
    raise InvalidInputError(
        f"a plot is of one model and label; model={model!r} and label={label!r} name {len(wanted)} of {names}; "
        "name the one that is meant."
    )
