"""A summary as a table for people, as wide as their terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..evaluate.summary import FEW, FEW_BUCKETS, FEWEST_BUCKETS, STATISTICS, Block, Plan, Summary, few
from . import diagnosis
from .view import View

if TYPE_CHECKING:
    from rich.table import Table

_WIDEST_TEXT = 14
_AVERAGES = {None: "", "micro": "all labels", "macro": "mean of labels"}
_WHOLE, _MEAN = "all", "mean"
_BAR, _BAR_TITLE, _EIGHTHS = 8, "loss", " ▏▎▍▌▋▊▉"


def render(summary: Summary, view: View) -> str:
    """The summary as text that fits the view, with ANSI colours if it has them."""
    from rich.console import Console, Group
    from rich.text import Text

    output = io.StringIO()
    system: Literal["standard"] | None = "standard" if view.color else None
    console = Console(file=output, width=view.width, force_terminal=view.color, color_system=system, highlight=False)
    lines = list(_lines(summary, view))
    notes = [Text(note, style="yellow") for note in (*_notes(summary, view), *diagnosis.findings(summary))]
    columns = _columns(summary.plan, lines, view)
    shown = [column.name for column in columns]
    legend = [(one.title, one.legend) for one, _ in _measures() if one.legend and one.title in shown]
    if summary.plan.groups:
        legend.append((f"{_WHOLE}, {_MEAN}", "all rows of all groups; plain mean over groups"))
    head = [Text(_partial(summary), style="bold yellow")] if summary.partial else []
    head.append(Text(_title(summary)))
    more = [_short(one) for one in diagnosis.tables(summary, number)]
    console.print(Group(*head, _table(lines, columns), *more, *notes, _grid(_details(summary)), _grid(legend)))
    return "".join(line.rstrip() + "\n" for line in output.getvalue().splitlines())


def _short(lines: diagnosis.Lines) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(lines.columns):
        words = place > 0 and not name and place == len(lines.columns) - 1
        table.add_column(name, justify="left" if place == 0 or words else "right", style="dim" if words else None)
    for line in lines.lines:
        table.add_row(*line)
    return table


def render_markdown(summary: Summary, view: View) -> str:
    """The table in Markdown, with all its columns."""
    columns = _all_columns(summary.plan, list(_lines(summary, view)))
    lines = [[column.name for column in columns], ["--:" if column.numeric else ":--" for column in columns]]
    lines += map(list, zip(*([_escaped(cell) for cell in column.cells] for column in columns), strict=True))
    mark = f"{_partial(summary)}\n\n" if summary.partial else ""
    hidden = "".join(f"\n{note}\n" for note in _of_hidden(summary, view))
    end = f"\n{_joined(summary)}\n" if summary.joined else ""
    for one in diagnosis.tables(summary, number):
        short = (one.columns, [":--", *["--:"] * (len(one.columns) - 1)], *one.lines)
        end += "\n" + "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in short)
    end += "".join(f"\n{_escaped(one)}\n" for one in diagnosis.findings(summary))
    return mark + "".join(f"| {' | '.join(line)} |\n" for line in lines) + hidden + end


def render_html(summary: Summary, view: View) -> str:
    """The table in HTML, for notebooks, and what must be known before trusting it."""
    columns = _all_columns(summary.plan, list(_lines(summary, view)))
    head = "".join(f"<th>{escape(column.name)}</th>" for column in columns)
    cells = zip(*(column.cells for column in columns), strict=True)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in cells)
    title = escape(f"{_partial(summary)} {_title(summary)}" if summary.partial else _title(summary))
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(summary, view))
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


@dataclass(frozen=True)
class _Line:
    """A line of the table: what it is about, and its numbers."""

    names: list[str]
    values: dict[str, Any]
    kind: Literal["group", "all", "mean"]


def _lines(summary: Summary, view: View) -> Iterator[_Line]:
    """The groups that are shown, the whole and the mean over groups, for every model and label."""
    results, plan = summary.results, summary.plan
    for block in results.blocks:
        about = list(_about(block, plan))
        places = view.groups_of(results, block)
        named = [column.take(places).to_list() for column in results.groups]
        for k, place in enumerate(places.tolist()):
            names = [*about, *(_value(column[k]) for column in named)]
            yield _Line(names, {name: column[place] for name, column in block.columns.items()}, "group")
        for kind, columns in (("all", block.columns), ("mean", block.mean)):
            if columns:
                total = [_WHOLE if kind == "all" else _MEAN, *[""] * (len(plan.groups) - 1)] if plan.groups else []
                values = {name: column[-1] for name, column in columns.items()}
                yield _Line([*about, *total], values, kind)  # type: ignore[arg-type]


def _about(block: Block, plan: Plan) -> Iterator[str]:
    if plan.has_models:
        yield block.model or ""
    if plan.has_labels:
        yield block.label or _AVERAGES[block.average]


def _value(value: Any) -> str:
    """A group's value; a text that could be taken for a total, or for nothing, stands in quotes."""
    if value is None:
        return "null"
    return repr(value) if value in (_WHOLE, _MEAN, "null", "") else str(value)


def _measures() -> Iterator[tuple[Any, Any]]:
    """The columns of numbers: how they are shown, and what stands there."""
    for one in STATISTICS:
        if one.shown:
            yield one.shown, (lambda v, n=one.name: f"{v[n]:,}") if one.whole else (lambda v, n=one.name: number(v[n]))
        if one.margin:
            yield one.margin, lambda v, n=one.name: number(v[f"{n}_high"] - v[n])


def _table(lines: Sequence[_Line], columns: Sequence[_Column]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if column.numeric else "fold"
        table.add_column(column.name, justify=justify, overflow=overflow, width=column.width)
    grouped = any(line.kind == "group" for line in lines)
    for row, line in enumerate(lines):
        following = lines[row + 1] if row + 1 < len(lines) else line
        style = "bold" if grouped and line.kind == "all" else None
        ends = (following.kind == "group") != (line.kind == "group")
        table.add_row(*(column.cells[row] for column in columns), end_section=ends, style=style)
    return table


@dataclass(frozen=True)
class _Column:
    """A column of the table, as wide as its longest number and longest word; texts fold."""

    name: str
    cells: list[str]
    numeric: bool
    leaves: int = 0

    @property
    def width(self) -> int:
        longest = max(map(len, self.cells))
        widths = [longest if self.numeric else min(longest, _WIDEST_TEXT), *map(len, self.name.split())]
        return max(widths)


def _columns(plan: Plan, lines: Sequence[_Line], view: View) -> list[_Column]:
    """The columns that fit: a number is shown whole or not at all."""
    columns = _all_columns(plan, lines)
    going = sorted({column.leaves for column in columns if column.leaves})
    for leaves in going:
        if sum(column.width + 2 for column in columns) >= view.width:
            columns = [column for column in columns if column.leaves != leaves]
    bars = _bars(lines) if view.bars else None
    if bars and sum(column.width + 2 for column in [*columns, bars]) < view.width:
        columns.append(bars)
    return columns


def _bars(lines: Sequence[_Line]) -> _Column | None:
    """The log loss of each group as a bar, the largest one full; nothing where there is nothing to compare."""
    losses = [line.values["log_loss"] if line.kind == "group" else math.nan for line in lines]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 2 or not max(finite):
        return None
    return _Column(_BAR_TITLE, [_bar(loss / max(finite)) for loss in losses], numeric=False)


def _bar(share: float) -> str:
    if math.isnan(share):
        return ""
    whole, rest = divmod(round(min(share, 1.0) * 8 * _BAR), 8)
    return ("█" * whole + _EIGHTHS[rest]).rstrip()


def _all_columns(plan: Plan, lines: Sequence[_Line]) -> list[_Column]:
    names = zip(_names(plan), zip(*(line.names for line in lines), strict=True), strict=True)
    texts = [_Column(name, list(cells), numeric=False) for name, cells in names]
    numbers = [
        _Column(shown.title, [cell(line.values) for line in lines], numeric=True, leaves=shown.leaves)
        for shown, cell in _measures()
    ]
    return texts + numbers


def _names(plan: Plan) -> Iterator[str]:
    """The columns that say which result a line is."""
    if plan.has_models:
        yield "model"
    if plan.has_labels:
        yield "label"
    yield from plan.groups


def number(value: float) -> str:
    """Five decimals, or three digits where five decimals would hide the number."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.5f}"
    return f"{value:.3g}"


def _of_hidden(summary: Summary, view: View) -> Iterator[str]:
    if view.hidden(summary.results):
        count, by = summary.results.per_block - 1, view.sort or "rows"
        of = f"the {view.top:,} with the largest {by} are shown" if view.top else "none is shown"
        yield f"Of {count:,} groups {of} (--top N shows more); JSON, CSV and Parquet have all."


def _notes(summary: Summary, view: View) -> Iterator[str]:
    """What a reader must know before trusting the table."""
    yield from _of_hidden(summary, view)
    each = [block.columns for block in summary.results.blocks if block.average is None]
    overall = [block.statistics(-1) for block in summary.results.blocks if block.average is None]
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
    if summary.joined:
        yield _joined(summary)
    yield from _of_clusters(summary)
    if any(np.isnan(found["normalized_entropy"]).any() for found in each):
        yield "-: undefined, because all targets are the same there."
    weak = sum(int(few(found["base_rate"], found["effective_rows"]).sum()) for found in each)
    if weak:
        lines = "one line" if weak == 1 else f"{weak:,} lines"
        yield f"In {lines} fewer than {FEW} positives or negatives count: too few to trust the 95 % interval there."


def _of_clusters(summary: Summary) -> Iterator[str]:
    counts = [int(block.buckets[-1]) for block in summary.results.blocks if block.buckets is not None]
    if not counts:
        return
    count, cluster = min(counts), summary.plan.cluster
    if count < FEWEST_BUCKETS:
        yield f"Rows of {cluster} fall into {count} bucket{'s' * (count != 1)}: too few for any error or interval."
        return
    rough = ", so few that they are rough" if count < FEW_BUCKETS else ""
    yield f"95 % intervals allow for rows of one {cluster} to depend on each other: from {count} buckets{rough}."


def _joined(summary: Summary) -> str:
    counts = summary.joined
    alone = f"{counts['only_in_predictions']:,} stand in predictions alone and {counts['only_in_labels']:,} in labels"
    return f"{counts['matched']:,} keys stand in predictions and labels; {alone} alone."


def _partial(summary: Summary) -> str:
    return f"Partial result: interrupted after {summary.rows:,} rows; the others are not in it."


def _details(summary: Summary) -> list[tuple[str, str]]:
    """More about a single problem over all rows."""
    if len(summary.plan.problems) > 1:
        return []
    found = summary.results.blocks[-1].statistics(-1)
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
