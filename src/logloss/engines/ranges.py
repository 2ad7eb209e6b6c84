"""The second reading of a run, for what all rows tell in one order: who sends rows to whom is for an engine to say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..evaluate import ordered
from ..evaluate.ranges import Columns, Kept, Ranges
from ..evaluate.state import State
from ..partial import add
from .parts import Part
from .task import Task


@dataclass(frozen=True)
class Exchange:
    """What workers do: each part is cut to rows that have a range, and the rows of a range are pooled where they meet.

    Both are functions of values alone, so that they may be repeated. Rows travel as Arrow tables of numbers.
    """

    task: Task
    ranges: Ranges

    def cut(self, part: Part) -> Any:
        """The rows of a part, in the columns `evaluate.ranges.ROWS`. Nothing is checked or added up again."""
        plan, batches = self.task.open(part.source).start()
        kept = Kept()
        state = State(replace(plan, components=()), {ordered.NAME: kept})
        for batch in batches:
            add(state, batch)
        return _table(self.ranges.cut(kept, state.numbered))

    def pool(self, rows: Any) -> Any:
        """The blocks of a range, in the columns `evaluate.ranges.BLOCKS`, given all of its rows."""
        return _table(self.ranges.pool(numbers(rows)))


def numbers(table: Any) -> Columns:
    """The columns of an Arrow table of numbers."""
    return {name: table[name].to_numpy() for name in table.column_names}


def _table(columns: Columns) -> Any:
    import pyarrow as pa

    return pa.table(dict(columns))
