"""From the names and patterns that a person gives to the columns that are meant: one problem per model and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._errors import InvalidInputError
from .._spec.losses import EPS
from .._spec.terms import number
from .plan import IMPORTANCE, Plan, Problem
from .shift import both, correction

_TARGETS = ("y", "y_true", "target", "label", "clicked", "click", "outcome")
_PREDICTIONS = ("p", "y_proba", "y_pred_proba", "y_prob", "prob", "pred", "probability", "predicted_probability")
_LOGITS = ("z", "logit", "logits")
_MOST_NAMES = 12

Columns = str | Sequence[str]
"""A column; a pattern with one `*` for all labels; or one column for each label, as a list or between commas."""

Predictions = Columns | Mapping[str, Columns] | None
"""Columns; of several models, by their names. A list beside a target that is no list means models."""


def make_plan(
    columns: Sequence[str],
    *,
    target: Columns | None,
    probability: Predictions = None,
    logit: Predictions = None,
    weight: Columns | None = None,
    weight_kind: str = IMPORTANCE,
    group: str | Sequence[str] | None = None,
    where: str | None = None,
    nulls: str = "error",
    invalid: str = "error",
    eps: float | None = None,
    definitions: str | None = None,
    outcomes: str | None = None,
    diagnostics: bool = False,
    compare: bool | None = False,
    cluster: str | None = None,
    negative_rate: float | None = None,
    pos_weight: float | None = None,
    segments: str | Sequence[str] | None = None,
) -> Plan:
    """The plan for a source with these columns.

    `compare`: whether pairs of models are kept; None means if there are several.
    Raises InvalidInputError if arguments are missing or contradict each other, or if labels do not pair.
    """
    roles = {"target": target, "probability": probability, "logit": logit, "weight": weight, "group": group}
    roles |= {"cluster": cluster, "segments": segments}
    for role, given in roles.items():
        _require_names(role, given)
    if not target:
        raise InvalidInputError(f"the column of targets must be named (target); {_suggestion(columns, _TARGETS)}.")
    if not probability and not logit:
        names = (*_PREDICTIONS, *_LOGITS)
        raise InvalidInputError(
            "the column of predictions must be named as probability or as logit; "
            f"which of them it holds is never guessed; {_suggestion(columns, names)}."
        )
    if logit and eps is not None:
        raise InvalidInputError("eps is a floor of probabilities, and these are logits; leave it out.")
    if probability and logit:
        raise InvalidInputError("predictions must be named as probability or as logit, not as both; leave one out.")
    targets = _listed(target, columns)
    predictions = probability or logit
    if len(targets) > 1 and isinstance(predictions, (list, tuple)) and len(predictions) > 1:
        predictions = _one_model(predictions)
    problems = [
        Problem(target_column, column, model, label)
        for model, names in _models(predictions, columns).items()
        for label, target_column, column in _pairs(targets, _listed(names, columns), columns)
    ]
    weights = () if weight is None else _listed(weight, columns)
    if len(weights) > 1 or any("*" in name and name not in columns for name in weights):
        problems = _weighted(problems, targets, weights, columns)
    if shift := correction(negative_rate, pos_weight):
        if eps is not None:
            raise InvalidInputError("eps is a floor of probabilities, and corrected ones are logits; leave it out.")
        problems = list(both(problems, shift))
    if compare is None:
        compare = len({problem.model for problem in problems}) > 1
    elif compare:
        _require_pairs(problems)
    for name, choice in (("nulls", nulls), ("invalid", invalid)):
        if choice not in ("error", "drop"):
            raise InvalidInputError(f"{name} must be 'error' or 'drop'; got {choice!r}.")
    groups, crossed = ((one,) if isinstance(one, str) else tuple(one or ()) for one in (group, segments))
    return Plan(
        tuple(problems),
        logits=bool(logit),
        weight=",".join(weights) or None,
        groups=groups,
        where=where,
        drop_missing=nulls == "drop",
        drop_invalid=invalid == "drop",
        eps=number(EPS, eps) or None,
        definitions=definitions,
        outcomes=outcomes,
        components=components_of(diagnostics, cluster is not None, compare, bool(crossed)),
        cluster=cluster,
        segments=crossed,
        weight_kind=weight_kind,
    )


def _require_pairs(problems: Sequence[Problem]) -> None:
    models = list(dict.fromkeys(problem.model for problem in problems))
    if len(models) < 2:
        raise InvalidInputError(
            "a comparison takes two models, the baseline first; got one; "
            "name both, as in probability={'old': 'p1', 'new': 'p2'} (--probability old=p1 --probability new=p2)."
        )


def components_of(diagnostics: bool, clusters: bool, pairs: bool, segments: bool) -> tuple[str, ...]:
    """What a state keeps."""
    chosen = {"moments": True, "grid": diagnostics or pairs, "buckets": clusters, "pairs": pairs, "segments": segments}
    return tuple(name for name, wanted in chosen.items() if wanted)


def _require_names(role: str, given: Any) -> None:
    """Refuse an array where a column is to be named, and an empty name, as of a shell variable that is not set."""
    several = role != "cluster"
    if isinstance(given, Mapping):
        given = [name for one in given.values() for name in (one if isinstance(one, (list, tuple)) else [one])]
    for name in given if several and isinstance(given, (list, tuple)) else [given]:
        if name is not None and not isinstance(name, str):
            kind = type(name).__name__
            is_number = isinstance(name, int)  # as pandas may name columns
            remedy = f"say {str(name)!r}" if is_number else "put arrays into a mapping from names"
            raise InvalidInputError(f"{role} must name a column; got {kind}; {remedy}.")
        if name == "":
            raise InvalidInputError(f"{role} must name a column; got an empty name.")


def _suggestion(columns: Sequence[str], usual: Sequence[str]) -> str:
    found = [name for name in columns if name.lower() in usual]
    numbered = [str(place + 1) for place in range(len(columns))]
    if any(name.replace(".", "", 1).isdecimal() for name in columns) and list(columns) != numbered:
        return "the file seems to have no header: header=False (--no-header) names the columns 1, 2, and so on"
    if not columns:  # those of a table elsewhere
        return f"usual names are {', '.join(usual[:3])}"
    shown = ", ".join(columns[:_MOST_NAMES]) + (" and more" if len(columns) > _MOST_NAMES else "")
    return f"{', '.join(found)} may be meant" if found else f"the columns are {shown}"


def _listed(given: Columns, columns: Sequence[str]) -> tuple[str, ...]:
    """One column or pattern, or one for each label."""
    if isinstance(given, str):
        return (given,) if given in columns else tuple(given.split(","))
    return tuple(given)


def _one_model(predictions: Sequence[str]) -> Columns | Sequence[str]:
    """A list beside a list of targets: a column for each, unless commas or names tell that each is a model."""
    return predictions if any("," in one or "=" in one for one in predictions) else ",".join(predictions)


def _models(predictions: Predictions, columns: Sequence[str]) -> dict[str | None, Columns]:
    """Each model's name and columns. One of them needs no name, and several are names themselves."""
    if isinstance(predictions, Mapping):
        return {name: column for name, column in predictions.items()}  # noqa: C416 - names of type str | None
    texts = [predictions] if isinstance(predictions, str) else list(predictions or ())
    named = [_named(text, columns) for text in texts]
    models: dict[str | None, Columns] = {(name or (one if len(named) > 1 else None)): one for name, one in named}
    if len(models) < len(named):
        raise InvalidInputError(f"every model must have a name of its own; got {', '.join(texts)}; write name=column.")
    return models


def _named(text: str, columns: Sequence[str]) -> tuple[str | None, str]:
    """("a", "p1") for "a=p1", unless a column has that very name."""
    name, equals, column = text.partition("=")
    return (name, column) if equals and name and column and text not in columns else (None, text)


def _pairs(
    targets: Sequence[str], predictions: Sequence[str], columns: Sequence[str]
) -> list[tuple[str | None, str, str]]:
    """(label, target column, prediction column): one without a label, or one for each label."""
    if len(targets) == len(predictions) == 1:
        return _matched(targets[0], predictions[0], columns)
    if len(predictions) == 1 and predictions[0].count("*") == 1:  # toxic,insult and *_pred
        predictions = [predictions[0].replace("*", name) for name in targets]
    if len(targets) != len(predictions):
        raise InvalidInputError(
            f"for several labels there must be a prediction for each target; got {len(targets)} "
            f"({', '.join(targets)}) and {len(predictions)} ({', '.join(predictions)}); name as many, or a pattern: "
            "'*_p' with a * for the target's name."
        )
    if any("*" in name and name not in columns for name in [*targets, *predictions]):
        raise InvalidInputError(
            f"labels must be named by a list or by a pattern; got both in {', '.join([*targets, *predictions])}; "
            "name every column, or give one pattern."
        )
    if len(set(targets)) < len(targets):
        raise InvalidInputError(f"a target must be named once; got {', '.join(targets)}; leave out the repetition.")
    return [(target, target, prediction) for target, prediction in zip(targets, predictions, strict=True)]


def _weighted(
    problems: Sequence[Problem], targets: Sequence[str], weights: Sequence[str], columns: Sequence[str]
) -> list[Problem]:
    """The problems with weights of their own: a column for each target, or a pattern with a * for the label's name."""
    labels = {problem.target: problem.label for problem in problems}
    shown = ", ".join(weights)
    if len(labels) == 1:
        raise InvalidInputError(f"one target has one column of weights; got {shown}; name one.")
    if len(weights) == 1 and weights[0].count("*") == 1:
        own = {target: weights[0].replace("*", str(label)) for target, label in labels.items()}
    elif len(weights) == len(targets) == len(labels) and not any("*" in name for name in weights):
        own = dict(zip(targets, weights, strict=True))
    else:
        raise InvalidInputError(
            f"weights of labels must be a column for each target, in the same order, or a pattern with a * for the "
            f"label's name; got {shown} for {', '.join(targets)}; name as many, or a pattern."
        )
    missing = [name for name in own.values() if name not in columns]
    if missing:
        raise InvalidInputError(f"every label must have its weights; {missing[0]!r} is no column; name others.")
    return [replace(problem, weight=own[problem.target]) for problem in problems]


def _matched(target: str, prediction: str, columns: Sequence[str]) -> list[tuple[str | None, str, str]]:
    """As `_pairs`, of one column or pattern each: labels are what `*` stands for."""
    patterns = [name for name in (target, prediction) if "*" in name and name not in columns]
    if not patterns:
        return [(None, target, prediction)]
    if len(patterns) == 1 or any(pattern.count("*") > 1 for pattern in patterns):
        raise InvalidInputError(
            f"for several labels, target and prediction must each have one *; got {target!r} and {prediction!r}."
        )
    predicted = _matching(prediction, columns)
    targets = {label: name for label, name in _matching(target, columns).items() if name not in predicted.values()}
    alone = [targets[label] for label in targets if label not in predicted]
    alone += [predicted[label] for label in predicted if label not in targets]
    if not columns:
        raise InvalidInputError(
            f"a pattern stands for columns that are known; got {target!r} and {prediction!r}, and a database knows its "
            "own; name each, with commas between them."
        )
    if alone or not targets:
        raise InvalidInputError(
            f"{target!r} and {prediction!r} must match columns in pairs, by what * stands for; "
            + (f"{alone[0]!r} has no counterpart." if alone else "they match no column.")
        )
    return [(label, name, predicted[label]) for label, name in targets.items()]


def _matching(pattern: str, columns: Sequence[str]) -> dict[str, str]:
    """The columns that a pattern matches, by what its * stands for."""
    start, _, end = pattern.partition("*")
    fixed = len(start) + len(end)
    matches = [name for name in columns if len(name) > fixed and name.startswith(start) and name.endswith(end)]
    return {name[len(start) : len(name) - len(end)]: name for name in matches}
