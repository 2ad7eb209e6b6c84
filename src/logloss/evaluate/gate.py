"""Gates: conditions on a statistic, such as "ne > 0.9", that make a run fail."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._errors import InvalidInputError
from .statistics import STATISTICS
from .summary import Summary

_SHORT = {"ne": "normalized_entropy", "ll": "log_loss"}
_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_PATTERN = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Gate:
    """A comparison of a statistic, over all groups, with a limit."""

    text: str
    statistic: str
    operator: str
    limit: float

    @classmethod
    def of(cls, text: str) -> Gate:
        """The gate that a text such as "ne > 0.9" describes. Raises InvalidInputError if it describes none."""
        known = {one.name for one in STATISTICS}
        match = _PATTERN.fullmatch(text)
        name = _SHORT.get(match[1], match[1]) if match else ""
        try:
            limit = float(match[3]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or name not in known or math.isnan(limit):
            raise InvalidInputError(
                f'a gate must be a statistic, one of > >= < <=, and a number, as in "ne > 0.9"; got {text!r}; '
                f"the statistics are {', '.join(sorted(known))}."
            )
        return cls(text, name, match[2], limit)

    def failures(self, summary: Summary) -> Iterator[str]:
        """One sentence per model and label for which the condition holds, or cannot be told."""
        for block in summary.results.blocks:
            if block.average is not None:
                continue
            value = getattr(block.statistics(-1), self.statistic)
            if math.isnan(value) or _OPERATORS[self.operator](value, self.limit):
                which = " ".join(name for name in (block.model, block.label) if name is not None)
                of = f" of {which}" if which else ""
                is_ = "is undefined" if math.isnan(value) else f"is {value!r}"
                yield f"gate {self.text!r} failed: {self.statistic}{of} {is_}."
