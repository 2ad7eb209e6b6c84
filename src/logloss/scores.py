"""`score`, `merge` and `load`: from sources of predictions to the numbers that describe them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import InvalidInputError
from .engines import local
from .engines.progress import Meter, Progress
from .evaluate import storage
from .evaluate.gate import Gate
from .evaluate.problems import Predictions, make_plan
from .evaluate.state import State
from .evaluate.summary import Summary, summarize
from .report import frames, json, rows, text
from .report.formats import format_of
from .report.view import TOP, View
from .sources import Source, derive, open_source, with_labels, with_meanings
from .sources.columns import check_columns, lists_among
from .sources.lists import unpack
from .sources.outcomes import Meaning
from .sources.paths import shown
from .sources.reading import AS_FOUND, Reading
from .sources.sql import group_by
from .sources.wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Gate",
    "Interrupted",
    "Meaning",
    "Progress",
    "Reading",
    "Scores",
    "check_place",
    "load",
    "merge",
    "score",
    "score_and_tell",
]


class Scores:
    """The result of `score`: prints as a table, gives plain data for programs, and adds to others by `merge`.

    Attributes:
        summary: all numbers, as dataclasses.
        state: the additive state that they were computed from.
    """

    def __init__(self, state: State, sources: tuple[str, ...], partial: bool = False) -> None:
        self.state = state
        self.summary: Summary = summarize(state, sources, partial)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in the structure of `logloss score --json`; numbers that are not finite stay floats."""
        return json.document(self.summary)

    def to_json(self) -> str:
        """The output of `logloss score --json`."""
        return json.render(self.summary)

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat dictionary per result, as the lines of `logloss score --format csv`."""
        return rows.rows(self.summary)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow stream: `pl.DataFrame(scores)`, `pa.table(scores)` and others take it."""
        return frames.frame(self.summary).__arrow_c_stream__(requested_schema)

    def to_polars(self) -> pl.DataFrame:
        """The rows as a Polars data frame; a group column whose values are of several types is text."""
        return frames.frame(self.summary)

    def to_arrow(self) -> Any:
        """The rows as an Arrow table; needs PyArrow."""
        return frames.arrow_table(self.summary)

    def to_pandas(self) -> Any:
        """The rows as a pandas data frame; needs pandas."""
        return frames.pandas_frame(self.summary)

    def write(self, path: str | os.PathLike[str], *, top: int = TOP, sort: str | None = None) -> None:
        """Write the results to a file, in the format that its ending names; half a file never replaces a whole one.

        `top` and `sort` are for tables: how many groups, by which statistic. Raises InvalidInputError if it cannot be
        written, or if no format has this ending.
        """
        check_place(path)
        rendered = format_of(os.fspath(path)).render(self.summary, View(top=top, sort=sort))
        _write(Path(path), rendered.encode() if isinstance(rendered, str) else rendered)

    def _repr_html_(self) -> str:
        return text.render_html(self.summary, View())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file that `load` and `logloss merge` read; half a file never replaces a whole one.

        Raises InvalidInputError if it cannot be written, or if the scores are those of an interrupted run.
        """
        if self.summary.partial:
            raise InvalidInputError(
                "only whole results can be saved; these are of an interrupted run, and lack rows; run it again."
            )
        check_place(path)
        _write(Path(path), storage.dumps(self.state, self.summary.sources).encode())

    def __str__(self) -> str:
        return text.render(self.summary, View())

    __repr__ = __str__


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended `score` early.

    Attributes:
        scores: the scores of the rows added before, marked partial.
    """

    def __init__(self, scores: Scores) -> None:
        super().__init__()
        self.scores = scores


def merge(*scores: Scores) -> Scores:
    """Add up scores of parts: the result is that of scoring all their rows at once, to the bit.

    The sums of the parts are exact and are added exactly: Σ over all rows = Σ over parts of Σ over their rows.

    Args:
        *scores: results of `score` or `load`, of the same columns, groups and condition; at least one.

    Returns:
        Scores of all rows together.

    Raises:
        InvalidInputError: there are none, or they are of different columns; the message says how they differ.

    Example:
        >>> import polars as pl
        >>> table = pl.DataFrame({"y": [1, 0, 1, 0], "p": [0.5, 0.25, 0.75, 0.125]})
        >>> parts = [score(part, target="y", probability="p") for part in (table.head(1), table.tail(3))]
        >>> merge(*parts).summary.results == score(table, target="y", probability="p").summary.results
        True

    Reference:
        Demmel and Nguyen, Fast Reproducible Floating-Point Summation, 2013.
    """
    if not scores:
        raise InvalidInputError("there must be scores to merge; got none; give at least one.")
    total = State(scores[0].state.plan)
    for one in scores:
        total.merge(one.state)
    partial = any(one.summary.partial for one in scores)
    return Scores(total, tuple(source for one in scores for source in one.summary.sources), partial)


def load(path: str | os.PathLike[str]) -> Scores:
    """Read scores that `Scores.save` or `logloss score --save-state` wrote.

    Args:
        path: the file; JSON that holds nothing but names and numbers, safe to load from anyone.

    Returns:
        Scores equal to those that were saved.

    Raises:
        InvalidInputError: the file cannot be read, or is no such file.

    Example:
        >>> import polars as pl, tempfile
        >>> scores = score(pl.DataFrame({"y": [1, 0], "p": [0.75, 0.25]}), target="y", probability="p")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     scores.save(f"{directory}/state.json")
        ...     load(f"{directory}/state.json").summary == scores.summary
        True

    Reference:
        RFC 8259 (JSON).
    """
    name = shown(Path(path))
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{name} cannot be read as a saved state ({error}); check the path.") from error
    return Scores(*storage.loads(content, name))


def check_place(path: str | os.PathLike[str]) -> None:
    """Raise InvalidInputError if no file can be written there."""
    place = Path(path)
    if not place.name or place.is_dir() or not os.access(place.parent, os.W_OK):
        reason = "it is a directory" if place.is_dir() else "its directory does not exist or cannot be written to"
        raise InvalidInputError(f"{shown(place)} cannot be written: {reason}; choose another place.")


def _write(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there when it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInputError(
            f"{shown(path)} cannot be written ({error.strerror or error}); choose another place."
        ) from error


def score(
    source: Any,
    *,
    target: str | Sequence[str],
    probability: Predictions = None,
    logit: Predictions = None,
    group: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    nulls: str = "error",
    invalid: str = "error",
    eps: float | None = None,
    positive: Any = None,
    negative: Any = None,
    ignore: Any = None,
    labels: Any = None,
    key: str | Sequence[str] | None = None,
    unmatched: str = "error",
    separator: str | None = None,
    decimal: str | None = None,
    null: str | Sequence[str] | None = None,
    encoding: str | None = None,
    header: bool = True,
    quote: str | None = None,
    format_in: str | None = None,
) -> Scores:
    """Score predictions of any size in one pass: log loss and what explains it, overall and per group.

    With weights w (1 without), targets y and losses l of the predictions p:

        log loss = Σwl / Σw        base rate q = Σwy / Σw        Brier = Σw(p - y)² / Σw
        normalized entropy = log loss / H(q)        D² = 1 - normalized entropy

    with standard errors and 95 % intervals by the delta method, where H(q) is the log loss of always predicting q. All
    sums are exact, so the result does not depend on the order of rows, on how they are split over files, or on the
    number of threads.

    Args:
        source: a path or several (Parquet, CSV, TSV, JSON lines, Arrow IPC), where a path may be a directory, a glob,
            "@list.txt" or "-" for standard input; a table (Polars, pandas, PyArrow, DuckDB, whatever has
            `__arrow_c_stream__`); a mapping from column names to arrays; or an iterable of tables.
        target: column of what happened, in [0, 1].
        probability: column of predicted probabilities, in [0, 1]; 0 for something that happened gives inf. For several
            models, their names with a column each. For several labels, a pattern such as "p_*", with `target` "y_*":
            columns pair by what * stands for; or lists of columns in both, in the same order. Columns of lists, in
            `target` and here, hold a value for each label; the labels are then 0, 1, 2 and so on. "m.p" is the field p
            of a column m, and "p[1]" the second element of lists.
        logit: column of predicted logits, instead of probabilities; ±inf allowed.
        group: column or columns whose values get a result each; also SQL with names, as in
            "country, young = age < 30".
        weight: column of weights, in [0, 1e300].
        where: condition in SQL about the columns of a row; other rows are left out.
        nulls: "drop" leaves out rows that lack a value in one of the columns, and counts them; "error" refuses them.
        invalid: "drop" leaves out rows with a number outside its domain, and counts them; "error" refuses them.
        eps: the least probability that counts as given to what happened: p is floored at eps where the target is above
            0, 1 - p where it is below 1, as in `log_loss(eps=eps)`, and how often is counted. In [0, 0.5]; None clips
            nothing.
        positive: value or values of the target that are 1, where it holds words or other numbers, as "yes" or 2.
        negative: value or values that are 0; without them there may be one other value, and that is 0.
        ignore: value or values that are no label, as -1; rows of nothing else are left out.
        labels: source of the labels, of any kind that `source` can be, if they are not with the predictions; a column
            that both have is called "predictions.x" or "labels.x".
        key: column or columns that tell which label belongs to which prediction; each key stands in one row.
        unmatched: "drop" leaves out keys of one side alone, and counts them; "error" refuses them.
        separator: character between the fields of CSV, where it is not found; "tab" is one.
        decimal: "," for numbers in text with a decimal comma.
        null: text or texts that stand for a missing value, besides the usual ones (empty, NA, NULL, None and so on).
        encoding: "utf-8", "latin-1" or "utf-16", for text that is not UTF-8.
        header: False for CSV whose first line is a row: the columns are then named 1, 2 and so on.
        quote: character around fields of CSV, where it is not found; "none" where quotes mean nothing.
        format_in: "csv", "tsv", "json", "parquet" or "arrow", where content and name do not tell.

    Returns:
        Scores, which prints as a table.

    Raises:
        InvalidInputError: a file, column or value breaks a rule; the message says which and where.
        UnsupportedTypeError: the source is of a kind that cannot be read.
        KeyboardInterrupt: Ctrl-C; the exception's `scores` are those of the rows so far, if there are any.

    Example:
        >>> import polars as pl
        >>> table = pl.DataFrame({"y": [1, 0, 1, 0], "p": [0.75, 0.25, 0.75, 0.25]})
        >>> score(table, target="y", probability="p").summary.results[0].statistics.log_loss  # -log 0.75
        0.2876820724517809

    Reference:
        He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, 2014 (normalized entropy).
    """
    return score_and_tell(
        source,
        None,
        where=where,
        target=target,
        probability=probability,
        logit=logit,
        weight=weight,
        group=group,
        nulls=nulls,
        invalid=invalid,
        eps=eps,
        meaning=Meaning.of(positive, negative, ignore),
        labels=labels,
        key=key,
        unmatched=unmatched,
        reading=Reading.of(
            separator=separator,
            decimal=decimal,
            null=null,
            encoding=encoding,
            header=header,
            quote=quote,
            format_in=format_in,
        ),
    )


def score_and_tell(
    source: Any,
    tell: Callable[[Progress], None] | None,
    *,
    where: str | None = None,
    group: str | Sequence[str] | None = None,
    labels: Any = None,
    key: str | Sequence[str] | None = None,
    unmatched: str = "error",
    meaning: Meaning = Meaning(),  # noqa: B008 - it cannot change
    reading: Reading = AS_FOUND,
    **options: Any,
) -> Scores:
    """As `score`, and tell a function how far it is, about five times a second and from several threads."""
    meter = Meter(tell) if tell else None
    opened = open_source(source, meter.read if meter else None, reading)
    joined = with_labels(opened, labels, key, unmatched, reading)
    opened = joined or opened
    columns = _columns(opened)
    groups, expressions = group_by(group, columns)
    definitions = "; ".join(f"{one.name} = {one.text}" for one in expressions) or None
    plan = make_plan(
        columns, where=where, group=groups, definitions=definitions, outcomes=str(meaning) or None, **options
    )
    opened = derive(opened, plan.columns, where, expressions)
    opened = with_meanings(opened, [problem.target for problem in plan.problems], meaning)
    lists = lists_among(opened.schemas(), [name for name in plan.numbers if name != plan.weight])
    check_columns(opened.schemas(), plan.numbers, plan.groups, lists)
    if meter:
        meter.total = opened.total()
    batches = opened.batches(Wanted(plan.numbers, plan.groups))
    if lists:
        places, batches = unpack(batches, lists)
        plan = plan.unpacked(places)
    try:
        state = local.partial(batches, plan, meter)
    except local.Interrupted as stop:
        if stop.state.rows == 0:
            raise
        raise Interrupted(Scores(stop.state, opened.names, partial=True)) from None
    _require_rows(state, opened.names, where)
    state.joined = joined.counts if joined else {}
    return Scores(state, opened.names)


def _columns(opened: Source) -> list[str]:
    """The columns of the first part of a source."""
    return next((list(schema) for _, schema in opened.schemas()), [])


def _require_rows(state: State, names: tuple[str, ...], where: str | None) -> None:
    source = names[0] if len(names) == 1 else f"the {len(names):,} files"
    if state.rows == 0:
        kind = f" with {where}" if where else ""
        raise InvalidInputError(f"there must be rows to score; {source} has none{kind}; check what was named.")
    if state.plan.weight and state.moments([0], None)["w"] == 0:
        raise InvalidInputError(f"some weight must be positive; {source} has none; check the column of weights.")
