"""A summary as a table for people, as wide as their terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from ..evaluate.summary import FEW, Plan, Result, Summary

if TYPE_CHECKING:
    from rich.table import Table

_LEGEND = (
    ("base rate", "share of positive targets"),
    ("log loss", "mean of -log(probability given to what happened), in nats; 0 is perfect"),
    ("±", "half of a 95 % interval of log loss"),
    ("normalized entropy", "log loss ÷ log loss of always predicting the base rate; below 1 is better than that"),
    ("D²", "1 - normalized entropy: the share of uncertainty that the predictions remove"),
    ("Brier", "mean of (probability - target)²; 0 is perfect"),
)
_MEASURES = ("rows", "base rate", "log loss", "±", "normalized entropy", "D²", "Brier")
_WIDEST_TEXT = 14
_AVERAGES = {None: "", "micro": "all labels", "macro": "mean of labels"}


def render(summary: Summary, width: int, color: bool = False) -> str:
    """The summary as text of at most `width` columns, with ANSI colours if asked."""
    from rich.console import Console, Group
    from rich.text import Text

    output = io.StringIO()
    system: Literal["standard"] | None = "standard" if color else None
    console = Console(file=output, width=width, force_terminal=color, color_system=system, highlight=False)
    notes = [Text(note, style="yellow") for note in _notes(summary)]
    columns = _columns(summary, width)
    shown = [column.name for column in columns]
    legend = _grid([line for line in _LEGEND if line[0] in shown])
    head = [Text(_partial(summary), style="bold yellow")] if summary.partial else []
    head.append(Text(_title(summary)))
    console.print(Group(*head, _table(summary, columns), *notes, _grid(_details(summary)), legend))
    return "".join(line.rstrip() + "\n" for line in output.getvalue().splitlines())


def render_markdown(summary: Summary) -> str:
    """The table in Markdown, with all its columns."""
    columns = _all_columns(summary)
    lines = [[column.name for column in columns], ["--:" if column.numeric else ":--" for column in columns]]
    lines += map(list, zip(*([_escaped(cell) for cell in column.cells] for column in columns), strict=True))
    mark = f"{_partial(summary)}\n\n" if summary.partial else ""
    return mark + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render_html(summary: Summary) -> str:
    """The table in HTML, for notebooks, and what must be known before trusting it."""
    columns = _all_columns(summary)
    head = "".join(f"<th>{escape(column.name)}</th>" for column in columns)
    cells = zip(*(column.cells for column in columns), strict=True)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in cells)
    title = escape(f"{_partial(summary)} {_title(summary)}" if summary.partial else _title(summary))
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(summary))
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _title(summary: Summary) -> str:
    plan = summary.plan
    kind = "logit" if plan.logits else "probability"
    if plan.eps is not None:
        kind += f", at least {plan.eps!r} for what happened"
    weight = f", weighted by {plan.weight}" if plan.weight else ""
    where = f" with {plan.where}" if plan.where else ""
    source = summary.sources[0] if len(summary.sources) == 1 else f"{len(summary.sources):,} files"
    return f"{_subject(plan)} ({kind}){weight}, {summary.rows:,} rows{where} in {source}"


def _subject(plan: Plan) -> str:
    if len(plan.problems) == 1:
        return f"{plan.problems[0].target} as predicted by {plan.problems[0].prediction}"
    targets = list(dict.fromkeys(problem.target for problem in plan.problems))
    models = len({problem.model for problem in plan.problems})
    what = targets[0] if len(targets) == 1 else f"{len(targets)} labels ({targets[0]} to {targets[-1]})"
    return f"{what} as predicted by {'one model' if models == 1 else f'{models} models'}"


def _table(summary: Summary, columns: Sequence[_Column]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if column.numeric else "fold"
        table.add_column(column.name, justify=justify, overflow=overflow, width=column.width)
    grouped = bool(summary.plan.groups)
    for row, result in enumerate(summary.results):
        following = summary.results[row + 1] if row + 1 < len(summary.results) else result
        style = "bold" if grouped and result.group is None else None
        ends = (following.group is None) != (result.group is None)
        table.add_row(*(column.cells[row] for column in columns), end_section=ends, style=style)
    return table


@dataclass(frozen=True)
class _Column:
    """A column of the table, as wide as its longest number and longest word; texts fold."""

    name: str
    cells: list[str]
    numeric: bool

    @property
    def width(self) -> int:
        longest = max(map(len, self.cells))
        return max(longest if self.numeric else min(longest, _WIDEST_TEXT), *map(len, self.name.split()))


def _columns(summary: Summary, width: int) -> list[_Column]:
    """The columns that fit: a number is shown whole or not at all."""
    columns = _all_columns(summary)
    for name in ("Brier", "D²", "±", "base rate", "normalized entropy"):
        if sum(column.width + 2 for column in columns) >= width:
            columns = [column for column in columns if column.name != name or not column.numeric]
    return columns


def _all_columns(summary: Summary) -> list[_Column]:
    texts = list(_names(summary.plan))
    cells = zip(*(_cells(result, summary.plan) for result in summary.results), strict=True)
    named = [*((name, False) for name in texts), *((name, True) for name in _MEASURES)]
    return [_Column(name, list(column), numeric) for (name, numeric), column in zip(named, cells, strict=True)]


def _names(plan: Plan) -> Iterator[str]:
    """The columns that say which result a line is."""
    if plan.has_models:
        yield "model"
    if plan.has_labels:
        yield "label"
    yield from plan.groups


def _cells(result: Result, plan: Plan) -> Iterator[str]:
    if plan.has_models:
        yield result.model or ""
    if plan.has_labels:
        yield result.label or _AVERAGES[result.average]
    if plan.groups:
        yield from ("all", *[""] * (len(plan.groups) - 1)) if result.group is None else map(str, result.group)
    found = result.statistics
    yield f"{found.rows:,}"
    yield number(found.base_rate)
    yield number(found.log_loss)
    yield number(found.log_loss_high - found.log_loss)
    for value in (found.normalized_entropy, found.d2, found.brier):
        yield number(value)


def number(value: float) -> str:
    """Five decimals, or three digits where five decimals would hide the number."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.5f}"
    return f"{value:.3g}"


def _notes(summary: Summary) -> Iterator[str]:
    """What a reader must know before trusting the table."""
    each = [result.statistics for result in summary.results if result.average is None]
    overall = [result.statistics for result in summary.results if result.average is None and result.group is None]
    infinite = sum(found.infinite_rows for found in overall)
    if infinite:
        rows = "1 row has" if infinite == 1 else f"{infinite:,} rows have"
        finite = f" The others have {number(overall[0].finite_log_loss)} on average." if len(overall) == 1 else ""
        yield f"{rows} infinite loss: what was predicted with probability 0 happened. Nothing was clipped.{finite}"
    if summary.clipped:
        predictions = "1 prediction" if summary.clipped == 1 else f"{summary.clipped:,} predictions"
        yield f"{predictions} of less than eps = {summary.plan.eps!r} for what happened counted as eps."
    for reason, meaning in (("missing", "a value"), ("invalid", "a valid number")):
        if summary.dropped[reason]:
            rows, were = (
                ("1 row", "was") if summary.dropped[reason] == 1 else (f"{summary.dropped[reason]:,} rows", "were")
            )
            weight = f" of weight {number(summary.dropped_weight[reason])}" if summary.plan.weight else ""
            yield f"{rows}{weight} {were} left out for want of {meaning}."
    if any(math.isnan(found.normalized_entropy) for found in each):
        yield "-: undefined, because all targets are the same there."
    few = sum(found.few for found in each)
    if few:
        lines = "one line" if few == 1 else f"{few:,} lines"
        yield f"In {lines} fewer than {FEW} positives or negatives count: too few to trust the 95 % interval there."


def _partial(summary: Summary) -> str:
    return f"Partial result: interrupted after {summary.rows:,} rows; the others are not in it."


def _details(summary: Summary) -> list[tuple[str, str]]:
    """More about a single problem over all rows."""
    if len(summary.plan.problems) > 1:
        return []
    found = summary.results[-1].statistics
    ratio, difference = number(found.calibration_ratio), f"{found.calibration_difference:+.5f}"
    spiegelhalter, log_score = _z(found.spiegelhalter_z), _z(found.log_score_z)
    return [
        ("calibration", f"mean prediction ÷ base rate {ratio}, mean prediction - base rate {difference}"),
        ("", f"Spiegelhalter z {spiegelhalter}, log score z {log_score}: within ±2 if calibrated"),
        ("Brier skill", f"{number(found.brier_skill)} = 1 - Brier ÷ Brier of always predicting the base rate"),
    ]


def _z(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else number(value)


def _grid(lines: Sequence[tuple[str, str]]) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim", min_width=18)
    grid.add_column(style="dim")
    for name, meaning in lines:
        grid.add_row(name, meaning)
    return grid
