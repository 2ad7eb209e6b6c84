"""The result of a run: what it prints, how it adds to others, is saved and read again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import places
from ._errors import InvalidInputError
from .evaluate import storage
from .evaluate.decisions import checked
from .evaluate.ordered import unmergeable
from .evaluate.scan import DEPTH, checked_depth
from .evaluate.state import State
from .evaluate.summary import Asked, Summary, summarize
from .reporting import frames, json, rows, text
from .reporting.formats import FORMATS, Format, format_of
from .reporting.view import TOP, View
from .sources.found import shown
from .sources.processes import require_own_threads
from .sources.urls import public, refuse_place

if TYPE_CHECKING:
    import polars as pl

    from .reporting.plot import Plot

__all__ = ["Asked", "Interrupted", "Scores", "asked_of", "check_place", "load", "merge"]


class Scores:
    """The result of `score`: prints as a table, gives plain data for programs, and adds to others by `merge`.

    Attributes:
        summary: all numbers, as dataclasses.
        state: the additive state that they were computed from.
    """

    def __init__(
        self,
        state: State,
        sources: tuple[str, ...],
        partial: bool = False,
        skipped: tuple[str, ...] = (),
        approximate: bool = False,
        asked: Asked = Asked(),  # noqa: B008 - it cannot change
    ) -> None:
        self.state = state
        self.summary: Summary = summarize(state, sources, partial, skipped, approximate, asked)

    def __reduce__(self) -> tuple[type[Scores], tuple[Any, ...]]:
        """A pickle has the sums: what follows from them is found again, when somebody asks."""
        of = self.summary
        return Scores, (self.state, of.sources, of.partial, of.skipped, of.approximate, of.asked)

    def at(
        self, *, thresholds: float | Sequence[float] = (), prevalence: float | None = None, depth: int = DEPTH
    ) -> Scores:
        """The same with other thresholds and prevalence, and other segments: nothing is read again."""
        asked = asked_of(self.summary.diagnosed, thresholds, prevalence, depth)
        found = self.summary
        return Scores(self.state, found.sources, found.partial, found.skipped, found.approximate, asked)

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

    def write(
        self, path: str | os.PathLike[str], *, top: int = TOP, sort: str | None = None, command: str = ""
    ) -> None:
        """Write the results to a file, in the format that its ending names; half a file never replaces a whole one.

        `top` and `sort` are for tables: how many groups, by which statistic; `command` is for reports (.html): how the
        results were asked for. Raises InvalidInputError if it cannot be written, or if no format has this ending.
        """
        self._write(format_of(os.fspath(path)), path, View(top=top, sort=sort, command=public(command)))

    def report(self, path: str | os.PathLike[str], *, command: str = "") -> None:
        """Write the report: one HTML file that needs nothing else. `score` with diagnostics=True fills all of it.

        `command` is what it says that it was made by. Raises InvalidInputError if it cannot be written, and
        MissingDependencyError without the libraries of `logloss[report]`.
        """
        self._write(FORMATS["html"], path, View(command=public(command)))

    def _write(self, chosen: Format, path: str | os.PathLike[str], view: View) -> None:
        check_place(path)
        require_own_threads()
        chosen.require()
        rendered = chosen.render(self.summary, view)
        places.write(Path(path), shown(Path(path)), rendered.encode() if isinstance(rendered, str) else rendered)

    def plot(self, name: str = "reliability", *, model: str | None = None, label: str | None = None) -> Plot:
        """A figure of the report as an object that notebooks show; `.svg()`, `.save(path)` and `.spec` give it away.

        Figures are reliability, difference, decomposition, roc, precision_recall, decision_curve and gains; of several
        models or labels the one that is meant is named. Raises InvalidInputError if there is no such figure, or nothing
        to show, as without diagnostics.
        """
        from .reporting.page.plots import plot

        return plot(self.summary, name, model, label)

    def _repr_html_(self) -> str:
        return text.render_html(self.summary, View())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file that `load` and `logloss merge` read; half a file never replaces a whole one.

        Raises InvalidInputError if it cannot be written, or if the scores are those of an interrupted run, or have an
        exact decomposition.
        """
        if self.summary.partial:
            raise InvalidInputError(
                "only whole results can be saved; these are of an interrupted run, and lack rows; run it again."
            )
        if self.summary.approximate:
            raise InvalidInputError(
                "only exact states can be saved; a database added these up, and they would not merge to the bit; "
                "save the rows that it returned."
            )
        if self.summary.exact:
            raise unmergeable()
        check_place(path)
        places.write(Path(path), shown(Path(path)), storage.dumps(self.state, self.summary.sources).encode())

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
        >>> import logloss as ll, polars as pl
        >>> table = pl.DataFrame({"y": [1, 0, 1, 0], "p": [0.5, 0.25, 0.75, 0.125]})
        >>> parts = [ll.score(part, target="y", probability="p") for part in (table.head(1), table.tail(3))]
        >>> merge(*parts).summary.results == ll.score(table, target="y", probability="p").summary.results
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
    sources = tuple(source for one in scores for source in one.summary.sources)
    return Scores(total, sources, partial, asked=scores[0].summary.asked)


def load(path: str | os.PathLike[str]) -> Scores:
    """Read scores that `Scores.save` or `logloss score --save-state` wrote.

    Args:
        path: the file; JSON that holds nothing but names and numbers, safe to load from anyone.

    Returns:
        Scores equal to those that were saved.

    Raises:
        InvalidInputError: the file cannot be read, or is no such file.

    Example:
        >>> import logloss as ll, polars as pl, tempfile
        >>> scores = ll.score(pl.DataFrame({"y": [1, 0], "p": [0.75, 0.25]}), target="y", probability="p")
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
    """Raise InvalidInputError if nothing can be written there."""
    refuse_place(os.fspath(path))
    if not os.fspath(path):
        raise InvalidInputError("'' cannot be written: it is no name of a file; choose another place.")
    places.check(Path(path), shown(Path(path)))


def asked_of(diagnostics: bool, thresholds: Any, prevalence: Any, depth: Any = DEPTH) -> Asked:
    """What is asked of diagnostics and segments.

    Raises InvalidInputError for what lies outside (0, 1) or needs diagnostics, and for a depth below 1.
    """
    given = tuple(thresholds) if isinstance(thresholds, Iterable) and not isinstance(thresholds, str) else (thresholds,)
    asked: dict[str, Any] = {"thresholds": given, "prevalence": (prevalence or 0.0,), "depth": (depth,)}
    for name, values in asked.items():
        if wrong := [one for one in values if not isinstance(one, Real)]:
            raise InvalidInputError(f"{name} must be given in numbers; got {wrong[0]!r}; write it without quotes.")
    for name, one in (("thresholds", given), ("prevalence", prevalence)):
        if one not in ((), None) and not diagnostics:
            raise InvalidInputError(
                f"thresholds and prevalence are for diagnostics, and none were asked for; got {name}={one}; "
                "add diagnostics=True (--diagnostics), or leave them out."
            )
    checked(given, prevalence)
    return Asked(tuple(map(float, given)), prevalence, checked_depth(depth))
