"""`compare` and `drift`: is a model better than another on the same rows, and what changed between two times?"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ._errors import InvalidInputError
from .engines.progress import Progress
from .evaluate.diagnoses import Estimate
from .evaluate.distribution import MurphyDifference
from .evaluate.drift import Drift
from .evaluate.drift import drift as _drift
from .evaluate.paired import GroupDifference, Paired
from .evaluate.plan import Problem
from .evaluate.sample import interval
from .evaluate.statistics import Statistics
from .evaluate.summary import Block
from .evaluate.verdicts import findings_of_comparison, findings_of_drift
from .reporting import comparison as shown
from .scores import Interrupted, Scores, require_options, score_and_tell
from .sources.outcomes import Meaning
from .sources.reading import Reading

__all__ = ["Changes", "Comparisons", "Interrupted", "Progress", "compare", "compare_and_tell", "drift"]


class Comparisons:
    """The result of `compare`: prints as a table, and gives plain data for programs.

    Attributes:
        scores: the scores of every model, as `score` gives them.
        pairs: every model against the first, of each label.
    """

    def __init__(self, scores: Scores) -> None:
        self.scores = scores
        self.pairs: tuple[Paired, ...] = scores.summary.comparisons

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in the structure of `logloss compare --json`; numbers that are not finite stay floats."""
        summary = self.scores.summary
        return {
            "input": {"sources": list(summary.sources), "rows": summary.rows, "dropped": summary.dropped},
            "partial": summary.partial,
            "weight": summary.plan.weight,
            "weight_kind": summary.plan.weight_kind,
            "cluster": summary.plan.cluster,
            "groups": list(summary.plan.groups),
            "comparisons": [_plain(one, self._of(one.model), self._of(one.baseline)) for one in self.pairs],
        }

    def to_json(self) -> str:
        """The output of `logloss compare --json`."""
        return shown.render_json(self.to_dict())

    def regressions(self, margin: float = 0.0) -> list[str]:
        """A sentence for each model whose log loss is worse than the baseline's by more than a margin, beyond chance.

        That is, by its 95 % interval; and for each of which that cannot be told.
        """
        if not margin >= 0:
            raise InvalidInputError(f"a margin must be 0 or more; got {margin}; give how much worse a model may be.")
        return [said for one in self.pairs if (said := _regression(one, margin))]

    def render(self, width: int = 80, color: bool = False, top: int = 50) -> str:
        """The table as text of at most `width` columns, with the largest groups."""
        return shown.render(self.to_dict(), width, color, top)

    def _of(self, problem: Problem) -> Block:
        each = (block for block in self.scores.summary.results.blocks if block.average is None)
        return next(block for block in each if (block.model, block.label) == (problem.model, problem.label))

    def __str__(self) -> str:
        return self.render()

    __repr__ = __str__


def _plain(one: Paired, model: Block, baseline: Block) -> dict[str, Any]:
    found = one.found
    statistics = {"model": model.statistics(-1), "baseline": baseline.statistics(-1)}
    return {
        "model": one.model.model,
        "baseline": one.baseline.model,
        "label": one.model.label,
        "rows": found.rows,
        "buckets": found.buckets,
        "adjusted_p": one.adjusted,
        "wins": found.wins,
        "ties": max(found.ties, 0.0),
        "losses": found.losses,
        "rows_needed": found.rows_needed.value,
        "differences": {
            name: {
                "baseline": _value(baseline, statistics["baseline"], name),
                "model": _value(model, statistics["model"], name),
                **_estimate(getattr(found, name)),
            }
            for name in shown.TITLES
        },
        "murphy": _murphy(found.murphy),
        "groups": [_group(group) for group in one.groups],
        "findings": [dataclasses.asdict(said) for said in findings_of_comparison(found, _both_names(one))],
    }


def _murphy(found: MurphyDifference) -> dict[str, Any]:
    columns = {name: getattr(found, name).tolist() for name in ("threshold", "difference", "low", "high")}
    runs = {name: [list(run) for run in getattr(found, name)] for name in ("better", "worse")}
    return {**columns, **runs, "note": found.reason}


def _both_names(one: Paired) -> tuple[str, str]:
    return str(one.model.model), str(one.baseline.model)


def _value(block: Block, statistics: Statistics, name: str) -> float:
    found = getattr(statistics, name, None)
    return float(block.scalars[name][-1] if found is None else found)


def _estimate(one: Estimate) -> dict[str, Any]:
    numbers = {"difference": one.value, "se": one.se, "low": one.low, "high": one.high, "p": one.p_value}
    return {**numbers, "method": one.method, "note": one.reason or one.note}


def _group(one: GroupDifference) -> dict[str, Any]:
    found = {"group": list(one.group), "rows": one.rows, **_estimate(one.log_loss)}
    return {**found, "adjusted_p": one.adjusted, "normalized_entropy": one.normalized_entropy}


def _regression(one: Paired, margin: float) -> str:
    found = one.found.log_loss
    label = f" of {one.model.label}" if one.model.label is not None else ""
    name = f"{one.model.model}{label}"
    if math.isnan(found.value) or math.isnan(found.low):
        return f"whether {name} is worse than {one.baseline.model} cannot be told: {found.reason or found.note}."
    if found.low <= margin:
        return ""
    return (
        f"{name} is worse than {one.baseline.model}: log loss {found.value:.6g} higher "
        f"(95 % {found.low:.6g} to {found.high:.6g}), beyond the margin of {margin:g}."
    )


def compare(
    source: Any = None,
    *,
    target: str | Sequence[str],
    probability: Any = None,
    logit: Any = None,
    against: Any = None,
    key: str | Sequence[str] | None = None,
    positive: Any = None,
    negative: Any = None,
    ignore: Any = None,
    **options: Any,
) -> Comparisons:
    """Compare models on the same rows: differences of log loss and what explains it, with intervals and tests.

    With losses l of a model and l' of the first one, the baseline, on the same rows

        D = Σw(l - l') / Σw        SE² = Σw²(l - l' - D)² / (Σw)² · n/(n - 1)

    and from buckets of clusters where these are named. Normalized entropy, Brier score, miscalibration,
    discrimination, AUC and average precision are compared from bins that both models share.

    Args:
        source: predictions of any kind that `score` takes.
        target: column of what happened, as in `score`.
        probability: columns of predicted probabilities by the names of their models, the baseline first; with
            `against`, the name of the column in both, or the baseline's there and the other's here.
        logit: likewise, of logits.
        against: source of the baseline's predictions, if they are not with the others'.
        key: column or columns that tell which rows are the same in `source` and `against`.
        positive: as in `score`.
        negative: as in `score`.
        ignore: as in `score`.
        options: others of `score`: group, weight, where, nulls, invalid, eps, cluster, labels, unmatched.

    Returns:
        Comparisons, which print as a table.

    Raises:
        InvalidInputError: as in `score`; or fewer than two models are named.

    Example:
        >>> import logloss as ll
        >>> rows = {"y": [1, 0, 1, 0], "old": [0.5, 0.5, 0.5, 0.5], "new": [0.75, 0.25, 0.75, 0.5]}
        >>> found = ll.compare(rows, target="y", probability={"old": "old", "new": "new"})
        >>> round(found.pairs[0].found.log_loss.value, 6), found.pairs[0].found.wins
        (-0.304099, 0.75)

    Reference:
        DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
        characteristic curves, Biometrics 1988.
    """
    require_options("compare", options, but=("compare", "corp", "depth", "diagnostics", "prevalence", "thresholds"))
    options["reading"] = Reading.among(options)
    options["meaning"] = Meaning.of(positive, negative, ignore)
    given = {"target": target, "probability": probability, "logit": logit, "key": key}
    return compare_and_tell(source, None, against=against, **given, **options)


def compare_and_tell(
    source: Any,
    tell: Callable[[Progress], None] | None,
    *,
    against: Any = None,
    probability: Any = None,
    logit: Any = None,
    **options: Any,
) -> Comparisons:
    """As `compare`, and tell a function how far it is."""
    if against is not None:
        if options.get("labels") is not None:
            raise InvalidInputError("labels and against are both joined, and one can be; join the others first.")
        names = _names(source, against)
        options |= {"labels": against, "sides": True}
        probability, logit = (_both(one, names) for one in (probability, logit))
    scores = score_and_tell(source, tell, probability=probability, logit=logit, compare=True, **options)
    return Comparisons(scores)


def _names(source: Any, against: Any) -> tuple[str, str]:
    """What the baseline and the other model are called: after their files, if these have different names."""

    def stem(one: Any) -> str:
        one = one[0] if isinstance(one, (list, tuple)) and len(one) == 1 else one
        return PurePath(one).stem if isinstance(one, (str, os.PathLike)) else ""

    first, second = stem(against), stem(source)
    return (first, second) if first and second and first != second else ("baseline", "model")


def _both(given: Any, names: tuple[str, str]) -> Any:
    """The columns of two models in two sources, by their names: the baseline's first."""
    if given is None:
        return None
    columns = list(given.values()) if isinstance(given, Mapping) else [given] if isinstance(given, str) else list(given)
    named = list(given) if isinstance(given, Mapping) else list(names)
    if len(columns) > 2:
        raise InvalidInputError(
            f"two sources have a model each; got {len(columns)} columns; name one, or the baseline's and the other's."
        )
    pairs = [one.partition("=") if isinstance(one, str) else (one, "", "") for one in columns]
    if all(equals for _, equals, _ in pairs) and len(pairs) == 2:
        named, columns = [name for name, _, _ in pairs], [column for _, _, column in pairs]
    return dict(zip(named, columns if len(columns) == 2 else columns * 2, strict=True))


class Changes:
    """The result of `drift`: prints as a table, and gives plain data for programs.

    Attributes:
        before: the earlier scores.
        after: the later ones.
        found: what changed, of every model and label.
    """

    def __init__(self, before: Scores, after: Scores) -> None:
        self.before, self.after = before, after
        self.found: tuple[tuple[Block, Drift], ...] = tuple(_changes(before, after))

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in the structure of `logloss drift --json`."""
        return {
            "before": {"sources": list(self.before.summary.sources), "rows": self.before.summary.rows},
            "after": {"sources": list(self.after.summary.sources), "rows": self.after.summary.rows},
            "changes": [
                {
                    "model": block.model,
                    "label": block.label,
                    "stability": {
                        **_estimate(found.psi),
                        "raw": found.psi.raw,
                        "expected": found.psi.expected,
                        "edges": found.edges.tolist(),
                        "before": found.before.tolist(),
                        "after": found.after.tolist(),
                    },
                    "statistics": {name: _estimate(one) for name, one in found.changes.items()},
                    "findings": [dataclasses.asdict(said) for said in findings_of_drift(found)],
                }
                for block, found in self.found
            ],
        }

    def to_json(self) -> str:
        """The output of `logloss drift --json`."""
        return shown.render_json(self.to_dict())

    def render(self, width: int = 80, color: bool = False) -> str:
        """The table as text of at most `width` columns."""
        return shown.render_changes(self.to_dict(), width, color)

    def __str__(self) -> str:
        return self.render()

    __repr__ = __str__


def drift(before: Scores, after: Scores) -> Changes:
    """What changed between two times: the distribution of predictions, and every statistic, with intervals.

    With shares a of the later predictions and b of the earlier ones in ten cells of equal earlier weight

        population stability index = Σ(a - b) log(a / b)

    less what it is on average if nothing changed, (10 - 1)(1/n + 1/m).

    Args:
        before: scores with diagnostics, of the earlier time.
        after: scores of the same columns, of the later time and other rows.

    Returns:
        Changes, which print as a table.

    Raises:
        InvalidInputError: the scores are of different columns, or have no diagnostics.

    Example:
        >>> import logloss as ll
        >>> rows = {"y": [1, 0] * 600, "p": [0.75, 0.25] * 600}
        >>> scores = ll.score(rows, target="y", probability="p", diagnostics=True)
        >>> ll.drift(scores, scores).found[0][1].changes["log_loss"].value
        0.0

    Reference:
        Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation
        2020.
    """
    return Changes(before, after)


def _changes(before: Scores, after: Scores) -> Iterator[tuple[Block, Drift]]:
    plans = [dataclasses.replace(one.state.plan, where=None, definitions=None) for one in (before, after)]
    if plans[0].problems != plans[1].problems or plans[0].logits != plans[1].logits:
        raise InvalidInputError(
            "drift is between scores of the same columns; these are of others; score both with the same target and "
            "predictions."
        )
    earlier, later = ([b for b in one.summary.results.blocks if b.average is None] for one in (before, after))
    for problem, (first, second) in enumerate(zip(earlier, later, strict=True)):
        bins = [one.state.bins(problem, relative=True) for one in (before, after)]
        found = first.diagnostics, second.diagnostics
        if bins[0] is None or bins[1] is None or found[0] is None or found[1] is None:
            raise InvalidInputError(
                "drift needs bins of the predictions, and one of the scores has none; "
                "score with diagnostics=True (--diagnostics)."
            )
        others = {name: (_of(first, name), _of(second, name)) for name in ("log_loss", "normalized_entropy", "brier")}
        others["base_rate"] = (_rate(first), _rate(second))
        yield second, _drift(bins[0], bins[1], (found[0], found[1]), others)


def _of(block: Block, name: str) -> Estimate:
    statistics = block.statistics(-1)
    value, *spread = (float(getattr(statistics, f"{name}{part}")) for part in ("", "_se", "_low", "_high"))
    return Estimate(value, spread[0], spread[1], spread[2])


def _rate(block: Block) -> Estimate:
    statistics = block.statistics(-1)
    q, effective = statistics.base_rate, statistics.effective_rows
    return interval(q, math.sqrt(q * (1 - q) / effective) if effective > 0 else math.nan)
