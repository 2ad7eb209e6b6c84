"""What a report says first: its title, its headline and the line under it, of one model and label or of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..phrases import number, percent, some
from ..svg import short
from . import words
from .subjects import Subject

if TYPE_CHECKING:
    from ...evaluate.summary import Summary


def title(everyone: Sequence[Subject]) -> str:
    """What is predicted by what."""
    targets = list(dict.fromkeys(one.target for one in everyone))
    what = targets[0] if len(targets) == 1 else f"{len(targets):,} labels ({targets[0]} to {targets[-1]})"
    models = list(dict.fromkeys(one.block.model for one in everyone))
    if len(everyone) == 1:
        return f"{what} as predicted by {everyone[0].prediction}"
    return f"{what} as predicted by {'one model' if len(models) == 1 else some(len(models), 'model')}"


def headline(everyone: Sequence[Subject], summary: Summary) -> tuple[str, str, str]:
    """The result in a sentence: before a name, the name, and after it."""
    if len(everyone) == 1:
        one = everyone[0]
        return words.headline(one.target, one.statistics, one.diagnostics)
    if summary.plan.has_models:
        return _of_models(everyone, summary)
    return _of_labels(everyone)


def _of_labels(everyone: Sequence[Subject]) -> tuple[str, str, str]:
    better = sum(one.statistics.d2_low > 0 for one in everyone)
    worse = sum(one.statistics.d2_high < 0 for one in everyone)
    tail = f"; for {worse:,} they are worse" if worse else ""
    count = f"{better:,} of {some(len(everyone), 'label')}"
    return f"For {count} the predictions are better than always predicting the base rate{tail}.", "", ""


def _of_models(everyone: Sequence[Subject], summary: Summary) -> tuple[str, str, str]:
    """The model with the lowest log loss, over its labels if there are several."""
    if summary.plan.has_labels:
        found = [(str(b.model), b.statistics(-1)) for b in summary.results.blocks if b.average == "macro"]
    else:
        found = [(str(one.block.model), one.statistics) for one in everyone]
    name, best = min(found, key=lambda pair: (math.isnan(pair[1].log_loss), pair[1].log_loss))
    share = f", and removes {percent(best.d2)} of the uncertainty" if best.d2 > 0 else ""
    return (
        f"Of {some(len(found), 'model')}, ",
        short(name),
        f" has the lowest log loss: {number(best.log_loss)}{share}.",
    )


def lede(everyone: Sequence[Subject], summary: Summary) -> str:
    """The interval of the headline, and what it is measured against."""
    if len(everyone) == 1:
        return words.lede(everyone[0].statistics)
    if summary.plan.has_models:
        return "All models are scored on the same rows."
    rates = [one.statistics.base_rate for one in everyone]
    return f"Base rates from {percent(min(rates))} to {percent(max(rates))}."


def partial(summary: Summary) -> str:
    """What to know of an interrupted run."""
    return (
        f"Partial result: interrupted after {some(summary.rows, 'row')}; the others are not in it."
        if summary.partial
        else ""
    )
