"""Where predictions come from: files and tables, as batches of columns.

`open_source` finds the source for what a caller gave; `source` says what one is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidInputError
from .batch import Batch
from .databases import Answer, Query
from .derived import Derived, inner_paths
from .files import Files
from .frames import from_tables
from .labels import Joined, keys_of
from .outcomes import Meaning, Outcomes
from .processes import require_own_threads
from .reading import AS_FOUND, Reading
from .source import Over, Source
from .sql import Expression, condition
from .wanted import Wanted

__all__ = ["Source", "derive", "open_source", "seek", "with_labels", "with_meanings"]


@dataclass(frozen=True)
class Counted(Over):
    """A source that says how many rows it hands out."""

    count: Callable[[int], None]

    def batches(self, wanted: Wanted) -> Iterator[Batch]:
        """The source's rows."""
        for batch in super().batches(wanted):
            self.count(batch.frame.height)
            yield batch


def open_source(
    source: Any,
    count: Callable[[int], None] | None = None,
    reading: Reading = AS_FOUND,
) -> Source:
    """The source for a path, several paths, a table or several.

    Nothing but schemas is read yet. `count` is told how many rows each batch has.
    """
    require_own_threads()
    opened = _open(source, reading)
    return Counted(opened, count) if count else opened


def _open(source: Any, reading: Reading) -> Source:
    if isinstance(source, Files):  # a part of files that were found before
        return source
    if isinstance(source, Query):
        return Answer.to(source)
    if isinstance(source, (str, os.PathLike)):
        return Files.of([os.fspath(source)], reading)
    if isinstance(source, (list, tuple)) and all(isinstance(path, (str, os.PathLike)) for path in source):
        if not source:
            raise InvalidInputError("a source must be at least one path; got none.")
        return Files.of([os.fspath(path) for path in source], reading)
    return from_tables(source, reading)


def seek(source: Source, names: Sequence[str]) -> None:
    """Make sure of these columns, before anybody says that there are none."""
    if isinstance(source, Counted):
        seek(source.source, names)
    elif isinstance(source, Joined):
        bare = [name.removeprefix("predictions.").removeprefix("labels.") for name in names]
        seek(source.predictions, bare)
        seek(source.labels, bare)
    elif isinstance(source, Files):
        for file in source.files:
            file.seek(names)


def derive(
    source: Source, names: Sequence[str], where: str | None = None, expressions: Sequence[Expression] = ()
) -> Source:
    """The source with what is to be computed: names that lead into columns, expressions, and a condition.

    Raises InvalidInputError for a condition that is none.
    """
    holds = None if where is None else condition(where)
    about = [name for one in (*expressions, *([holds] if holds else [])) for name in one.columns]
    seek(source, [*names, *about])
    columns = next((list(schema) for _, schema in source.schemas()), [])
    found = inner_paths([name for name in names if name not in {one.name for one in expressions}], columns)
    return Derived(source, holds, tuple(expressions), found) if holds or expressions or found else source


def with_labels(
    predictions: Source, labels: Any, key: Any, unmatched: str, reading: Reading, part: bool = False
) -> Joined | None:
    """Predictions joined with labels from elsewhere, if there are any; or a part of them, with keys compared before."""
    if labels is None:
        if key is not None:
            raise InvalidInputError("a key joins predictions with labels; got no labels; name them (--labels).")
        return None
    opened = _open(labels, reading)
    for side in (predictions, opened):
        seek(side, keys_of(key))
    return Joined.of(predictions, opened, key, unmatched, part)


def with_meanings(source: Source, targets: Sequence[str], meaning: Meaning) -> Outcomes | None:
    """The source with 0 and 1 for what a person says that targets mean, if anything was said."""
    return None if meaning == Meaning() else Outcomes(source, tuple(targets), meaning)
