"""A summary as a table for people, as wide as their terminal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from ..evaluate.summary import IMPORTANCE, STATISTICS, Block, Plan, Summary
from . import diagnosis, segments
from .notes import notes, number, of_hidden, of_joined, of_partial, rows_of
from .tabular import printed, table
from .view import View

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_WIDEST_TEXT = 14
_MOST_SEGMENTS = 10
_AVERAGES = {None: "", "micro": "all labels", "macro": "mean of labels"}
_WHOLE, _MEAN = "all", "mean"
_BAR, _BAR_TITLE, _EIGHTHS = 8, "loss", " ▏▎▍▌▋▊▉"
_NARROWEST_TEXT, _WIDTH_FOR_GRID = 4, 60


def render(summary: Summary, view: View) -> str:
    """The summary as text that fits the view, with ANSI colours if it has them."""
    from rich.text import Text

    lines = list(_lines(summary, view))
    said = [Text(note, style="yellow") for note in (*notes(summary, view), *diagnosis.findings(summary))]
    columns = _columns(summary.plan, lines, view)
    shown = [column.name for column in columns]
    legend = [(one.title, one.legend) for one, _ in _measures(lines) if one.legend and one.title in shown]
    if summary.plan.groups:
        legend.append((f"{_WHOLE}, {_MEAN}", f"all rows of all groups; plain mean over {_of_groups(summary)}"))
    legend += _of_averages(summary)
    head = [Text(of_partial(summary), style="bold yellow")] if summary.partial else []
    head.append(Text(_title(summary)))
    scanned = list(_scanned(summary, view))
    if scanned:
        legend.append(("segments", segments.NOTE))
    tables = (*diagnosis.tables(summary, number), *scanned)
    more = [Text(one) if isinstance(one, str) else _short(one, view.width) for one in tables]
    explained = [_grid(part, view.width) for part in (_details(summary), legend)]
    return printed([*head, _table(lines, columns), *more, *said, *explained], view.width, view.color)


def _scanned(summary: Summary, view: View) -> Iterator[str | diagnosis.Lines]:
    """The worst segments of a run that was asked for them."""
    found = segments.of_summary(summary)
    return segments.told(found, min(view.top, _MOST_SEGMENTS)) if found else iter(())


def _short(lines: diagnosis.Lines, width: int) -> RenderableType:
    """A short table; a last column without a title is words."""
    last = len(lines.columns) - 1
    return table(lines.columns, lines.lines, width, words=() if last == 0 or lines.columns[last] else (last,))


def render_markdown(summary: Summary, view: View) -> str:
    """The table in Markdown, with all its columns."""
    columns = _all_columns(summary.plan, list(_lines(summary, view)))
    lines = [[column.name for column in columns], ["--:" if column.numeric else ":--" for column in columns]]
    lines += map(list, zip(*([_escaped(cell) for cell in column.cells] for column in columns), strict=True))
    mark = f"{of_partial(summary)}\n\n" if summary.partial else ""
    hidden = "".join(f"\n{note}\n" for note in of_hidden(summary, view))
    end = f"\n{of_joined(summary)}\n" if summary.joined else ""
    for one in (*diagnosis.tables(summary, number), *_scanned(summary, view)):
        if isinstance(one, str):
            end += f"\n{_escaped(one)}\n"
            continue
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
    title = escape(f"{of_partial(summary)} {_title(summary)}" if summary.partial else _title(summary))
    said = "".join(f"<p>{escape(note)}</p>" for note in notes(summary, view))
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{said}"


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _title(summary: Summary) -> str:
    plan = summary.plan
    kind = "logit" if plan.logits else "probability"
    if plan.eps is not None:
        kind += f", at least {plan.eps!r} for what happened"
    weight = f", weighted by {plan.weight}{_kind(plan)}" if plan.weight else ""
    where = f" with {plan.where}" if plan.where else ""
    source = summary.sources[0] if len(summary.sources) == 1 else f"{len(summary.sources):,} files"
    return _printable(f"{_subject(plan)} ({kind}){weight}, {rows_of(summary.rows)}{where} in {source}")


def _kind(plan: Plan) -> str:
    """What weights mean, if it is not the usual."""
    return "" if plan.weight_kind == IMPORTANCE else f" ({plan.weight_kind})"


def _printable(text: str) -> str:
    """A text that does nothing to a terminal, and stays on its line."""
    return "".join(
        one if unicodedata.category(one)[0] != "C" else one.encode("unicode_escape").decode() for one in text
    )


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
        yield _printable(block.model or "")
    if plan.has_labels:
        yield _printable(block.label or "") or _AVERAGES[block.average]


def _value(value: Any) -> str:
    """A group's value; a text that could be taken for a total, or for nothing, stands in quotes."""
    if value is None:
        return "null"
    return repr(value) if value in (_WHOLE, _MEAN, "null", "") else _printable(str(value))


def _of_groups(summary: Summary) -> str:
    """The groups that means are over; where they differ between labels, nobody reads all the numbers."""
    counts = {block.of_groups for block in summary.results.blocks}
    known = len(counts) == 1 and None not in counts
    if not known:
        return "the groups in which something counts"
    count = counts.pop()
    return "1 group" if count == 1 else f"{count:,} groups"


def _of_averages(summary: Summary) -> Iterator[tuple[str, str]]:
    found = next((block.of_labels for block in summary.results.blocks if block.of_labels is not None), None)
    if found is not None:
        yield _AVERAGES["micro"], "every label of every row counts as a row"
        yield _AVERAGES["macro"], f"plain mean over {found[-1]:,} labels"


def _measures(lines: Sequence[_Line]) -> Iterator[tuple[Any, Any]]:
    """The columns of numbers: how they are shown, and what stands there."""
    for one in STATISTICS:
        if one.shown and (not one.shown.when or any(line.values[one.shown.when] > 0 for line in lines)):
            yield one.shown, (lambda v, n=one.name: f"{v[n]:,}") if one.whole else (lambda v, n=one.name: number(v[n]))
        if one.margin:
            yield one.margin, lambda v, n=one.name: number((v[f"{n}_high"] - v[f"{n}_low"]) / 2)


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
    limit: int | None = None

    @cached_property
    def width(self) -> int:
        """In columns of a terminal, of which some characters take two."""
        from rich.cells import cell_len

        longest = max(map(cell_len, self.cells))
        widths = [longest if self.numeric else min(longest, _WIDEST_TEXT), *map(cell_len, self.name.split())]
        return max(widths) if self.limit is None else self.limit


def _columns(plan: Plan, lines: Sequence[_Line], view: View) -> list[_Column]:
    """The columns that fit: a number is shown whole or not at all."""
    columns = _all_columns(plan, lines)
    going = sorted({column.leaves for column in columns if column.leaves})
    for leaves in going:
        if sum(column.width + 2 for column in columns) >= view.width:
            columns = [column for column in columns if column.leaves != leaves]
    columns = _narrowed(columns, view.width)
    bars = _bars(lines) if view.bars else None
    if bars and sum(column.width + 2 for column in [*columns, bars]) < view.width:
        columns.append(bars)
    return columns


def _narrowed(columns: list[_Column], width: int) -> list[_Column]:
    """The columns with texts that fold earlier, the widest first, where numbers would not fit beside them."""
    excess = sum(column.width + 2 for column in columns) - width + 1
    for _ in range(max(0, excess)):
        texts = [column for column in columns if not column.numeric and column.width > _NARROWEST_TEXT]
        if not texts:
            break
        widest = max(texts, key=lambda column: column.width)
        columns = [replace(one, limit=one.width - 1) if one is widest else one for one in columns]
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
    texts = [_Column(_printable(name), list(cells), numeric=False) for name, cells in names]
    numbers = [
        _Column(shown.title, [cell(line.values) for line in lines], numeric=True, leaves=shown.leaves)
        for shown, cell in _measures(lines)
    ]
    return texts + numbers


def _names(plan: Plan) -> Iterator[str]:
    """The columns that say which result a line is."""
    if plan.has_models:
        yield "model"
    if plan.has_labels:
        yield "label"
    yield from plan.groups


def _details(summary: Summary) -> list[tuple[str, str]]:
    """More about a single problem over all rows."""
    if len(summary.plan.problems) > 1:
        return []
    found = summary.results.blocks[-1].statistics(-1)
    ratio, difference = number(found.calibration_ratio), f"{found.calibration_difference:+.5f}"
    spiegelhalter, log_score = _z(found.spiegelhalter_z), _z(found.log_score_z)
    within = found.within_group_normalized_entropy
    told = f"{number(within)} with the base rate of each group, which groups alone would give"
    return [
        *([("normalized entropy", told)] if summary.plan.groups and math.isfinite(within) else []),
        ("calibration", f"mean prediction ÷ base rate {ratio}, mean prediction - base rate {difference}"),
        ("", f"Spiegelhalter z {spiegelhalter}, log score z {log_score}: within ±2 if calibrated"),
        ("Brier skill", f"{number(found.brier_skill)} = 1 - Brier ÷ Brier of always predicting the base rate"),
    ]


def _z(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else number(value)


def _grid(lines: Sequence[tuple[str, str]], width: int) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if width < _WIDTH_FOR_GRID:
        return Group(*(Text(f"{name}: {meaning}" if name else meaning, style="dim") for name, meaning in lines))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim", min_width=18)
    grid.add_column(style="dim")
    for name, meaning in lines:
        grid.add_row(name, meaning)
    return grid
