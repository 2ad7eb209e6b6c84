"""`segments`: for whom are predictions wrong? All intersections of group columns, tested together and ranked."""

from __future__ import annotations

from typing import Any

from .evaluate.scan import DEPTH, columns_of, scan
from .evaluate.segments import Segment
from .reporting import segments as shown
from .scores import Scores

__all__ = ["Segments", "segments"]


class Segments:
    """The result of `segments`: prints as a table, and gives plain data for programs.

    Attributes:
        scores: the scores whose segments these are.
        found: the segments of every model and label, the worst first.
    """

    def __init__(self, scores: Scores, depth: int) -> None:
        self.scores, self.depth = scores, depth
        problems = scores.state.plan.problems
        self.found: tuple[tuple[Segment, ...], ...] = tuple(
            scan(scores.state, place, depth) for place in range(len(problems))
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in the structure of `logloss segments --json`; numbers that are not finite stay floats."""
        plan = self.scores.state.plan
        scans = [
            (problem.model, problem.label, found[0].test.reason if found else "", found)
            for problem, found in zip(plan.problems, self.found, strict=True)
        ]
        partial = self.scores.summary.partial
        return {"partial": partial, **shown.document(columns_of(self.scores.state), self.depth, scans)}

    def to_json(self) -> str:
        """The output of `logloss segments --json`."""
        return shown.render_json(self.to_dict())

    def render(self, width: int = 80, color: bool = False, top: int = 50) -> str:
        """The table as text of at most `width` columns, with the worst segments."""
        return shown.render(self.to_dict(), width, color, top)

    def __str__(self) -> str:
        return self.render()

    __repr__ = __str__


def segments(scores: Scores, depth: int = DEPTH) -> Segments:
    """For whom predictions are wrong: all values of some columns, and all intersections of up to `depth` columns.

    Each segment is tested by its cumulated errors, C_k = Σ_{b <= k}(y - p) / W in order of the prediction, whose range
    is that of a Brownian motion if predictions are calibrated; p-values are adjusted for all segments (Holm). The list
    is ordered by what is surely wrong: the near end of the interval of a difference that is drawn towards 0 as the
    other segments suggest, so that tiny segments do not win. Numeric columns of many values are cut into five pieces.

    Args:
        scores: scores of score(…, segments=["a", "b"]); or with diagnostics, and then the groups' columns are scanned.
        depth: how many columns a segment fixes at most, at least 1.

    Returns:
        Segments, which print as a table.

    Raises:
        InvalidInputError: there are no such columns, or no diagnostics for groups; or more than 10,000 segments.

    Example:
        >>> import logloss as ll
        >>> rows = {"y": [1, 0, 0, 0] * 200, "p": [0.25] * 800, "a": ["u", "v"] * 400, "b": ["s"] * 400 + ["t"] * 400}
        >>> scores = ll.score(rows, target="y", probability="p", segments=["a", "b"])
        >>> [(one.name, round(one.difference.value, 2)) for one in ll.segments(scores, depth=1).found[0] if one.found]
        [('a = v', -0.25), ('a = u', 0.25)]

    Reference:
        Arrieta-Ibarra, Gujral, Tannen, Tygert and Xu, Metrics of calibration for probabilistic predictions, JMLR 2022;
        Efron and Morris, Data analysis using Stein's estimator and its generalizations, JASA 1975.
    """
    return Segments(scores, depth)
