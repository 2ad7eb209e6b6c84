"""Comparisons of models and of times, from plain data: as tables for people, or as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from . import json
from .notes import number, p_value, rows_of, signed
from .tabular import printed, table

SCHEMA_VERSION = 1

TITLES = {
    "log_loss": "log loss",
    "normalized_entropy": "normalized entropy",
    "brier": "Brier",
    "miscalibration": "miscalibration",
    "discrimination": "discrimination",
    "auc": "AUC",
    "average_precision": "average precision",
}
"""What models are compared by, and how it is called."""

PARTIAL = "Partial result: interrupted; rows are missing."
_NOTE = "log loss, normalized entropy, Brier and miscalibration: lower is better; the others: higher is better"


def render_json(found: dict[str, Any]) -> str:
    """One JSON document, full precision."""
    return json.dump({"schema_version": SCHEMA_VERSION, **found})


def render(found: dict[str, Any], width: int, color: bool, top: int) -> str:
    """Every model against the baseline, as text."""
    parts: list[Any] = [PARTIAL] if found["partial"] else []
    for one in found["comparisons"]:
        parts += [_headline(one, found), table(_COLUMNS, list(_lines(one)), width), *_shares(one)]
        if one["groups"]:
            parts.append(_groups(one, found["groups"], top, width))
    return printed([*parts, _NOTE], width, color)


_MOST_RUNS = 3
"""Ranges of thresholds that are named."""

_COLUMNS = ("", "baseline", "model", "difference", "95 % interval", "p")


def _headline(one: dict[str, Any], found: dict[str, Any]) -> str:
    loss = one["differences"]["log_loss"]
    name, other = one["model"], one["baseline"]
    label = f" on {one['label']}" if one["label"] is not None else ""
    about = rows_of(one["rows"]) + (f", clustered by {found['cluster']}" if found["cluster"] else "")
    if math.isnan(loss["difference"]) or math.isnan(loss["low"]):
        return f"{name} against {other}{label}, {about}: cannot be told, since {loss['note']}."
    if loss["low"] <= 0 <= loss["high"]:
        return f"{name} against {other}{label}, {about}: no difference beyond chance."
    better = "better" if loss["difference"] < 0 else "worse"
    lower = "lower" if loss["difference"] < 0 else "higher"
    by = number(abs(loss["difference"]))
    return f"{name} is {better} than {other}{label}, {about}: log loss {by} {lower}, p {p_value(one['adjusted_p'])}."


def _lines(one: dict[str, Any]) -> Iterator[Sequence[str]]:
    for name, title in TITLES.items():
        found = one["differences"][name]
        values = (number(found[key]) for key in ("baseline", "model"))
        yield title, *values, signed(found["difference"]), _interval(found), p_value(found["p"])


def _shares(one: dict[str, Any]) -> Iterator[str]:
    wins, ties, losses = (f"{100 * one[name]:.1f} %" for name in ("wins", "ties", "losses"))
    yield f"{one['model']} has the smaller loss on {wins} of rows, the larger on {losses}, the same on {ties}."
    yield from _dominance(one)
    if math.isfinite(one["rows_needed"]):
        yield f"A difference like this would be found in 80 of 100 samples of {one['rows_needed']:,.0f} rows."


def _dominance(one: dict[str, Any]) -> Iterator[str]:
    """At which thresholds a model has the better elementary score."""
    found = one["murphy"]
    if found["note"]:
        return
    said = [
        f"{word} at thresholds {', '.join(_run(*ends) for ends in found[word][:_MOST_RUNS])}"
        f"{' and others' * (len(found[word]) > _MOST_RUNS)}"
        for word in ("better", "worse")
        if found[word]
    ]
    everywhere = bool(found["better"]) != bool(found["worse"])
    tail = ", nowhere the reverse" if everywhere else ""
    if said:
        yield f"By elementary scores {one['model']} is {', '.join(said)}{tail} (95 % at each by itself)."
    else:
        yield "Elementary scores differ at no threshold beyond chance (95 % at each by itself)."


def _run(low: float, high: float) -> str:
    """From and to, or one threshold where both are printed alike."""
    ends = [f"{low:.3g}", f"{high:.3g}"]
    return " to ".join(dict.fromkeys(ends))


def _groups(one: dict[str, Any], names: Sequence[str], top: int, width: int) -> Any:
    largest = sorted(one["groups"], key=lambda group: -group["rows"])[:top]
    kept = [group for group in one["groups"] if any(group is other for other in largest)]
    lines = [
        (
            *("null" if value is None else str(value) for value in group["group"]),
            f"{group['rows']:,}",
            signed(group["difference"]),
            _interval(group),
            p_value(group["adjusted_p"]),
        )
        for group in kept
    ]
    return table((*names, "rows", "log loss", "95 % interval", "adjusted p"), lines, width)


def render_changes(found: dict[str, Any], width: int, color: bool) -> str:
    """What changed, as text."""
    before, after = found["before"], found["after"]
    parts: list[Any] = [f"{rows_of(after['rows'])} after, {before['rows']:,} before: after minus before"]
    for one in found["changes"]:
        name = " ".join(text for text in (one["model"], one["label"]) if text is not None)
        stability = one["stability"]
        lines = [("stability index", number(stability["difference"]), _interval(stability), p_value(stability["p"]))]
        for statistic, change in one["statistics"].items():
            if not math.isnan(change["difference"]):
                lines.append((_title(statistic), signed(change["difference"]), _interval(change), p_value(change["p"])))
        parts += [*([name] if name else []), table(("", "change", "95 % interval", "p"), lines, width)]
        if math.isfinite(stability["expected"]):
            parts.append(
                f"The stability index is {number(stability['raw'])} less what chance gives, "
                f"{number(stability['expected'])}."
            )
        parts += [f"{said['code']} {said['title']}. {said['evidence']}." for said in one["findings"]]
    return printed(parts, width, color)


def _title(statistic: str) -> str:
    """What a statistic is called, of its name: brier_miscalibration, auc."""
    return " ".join(_SPELLED.get(word, word) for word in statistic.split("_"))


_SPELLED = {"brier": "Brier", "auc": "AUC", "ks": "KS", "gini": "Gini", "ici": "ICI", "ece": "ECE"}


def _interval(found: dict[str, Any]) -> str:
    return "" if math.isnan(found["low"]) else f"{signed(found['low'])} to {signed(found['high'])}"
