"""Gates: conditions on a statistic, such as "ne > 0.9", that make a run fail."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._errors import InvalidInputError
from .statistics import STATISTICS
from .summary import SCALARS, SEGMENT, Block, Summary

_SHORT = {"ne": "normalized_entropy", "ll": "log_loss"}
_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_PATTERN = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")


_FINDING = re.compile(r"\s*(LL\d{3})\s*")


@dataclass(frozen=True)
class Gate:
    """A comparison of a statistic, over all groups, with a limit; or a finding that must not be made."""

    text: str
    statistic: str
    operator: str
    limit: float

    @classmethod
    def of(cls, text: str) -> Gate:
        """The gate that a text such as "ne > 0.9" or "LL101" describes. Raises InvalidInputError if there is none."""
        if finding := _FINDING.fullmatch(text):
            return cls(text, finding[1], "", math.nan)
        known = {one.name for one in STATISTICS} | {*SCALARS}
        match = _PATTERN.fullmatch(text)
        name = _SHORT.get(match[1], match[1]) if match else ""
        try:
            limit = float(match[3]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or name not in known or math.isnan(limit):
            similar = difflib.get_close_matches(match[1] if match else text, [*known, *_SHORT], n=1)
            meant = f"did you mean {similar[0]!r}; " if similar and similar[0] != (match and match[1]) else ""
            raise InvalidInputError(
                'a gate must be a statistic, one of > >= < <=, and a number, as in "ne > 0.9", or the code of a '
                f"finding, as LL101; got {text!r}; {meant}the statistics are {', '.join(sorted(known))}."
            )
        return cls(text, name, match[2], limit)

    @property
    def needs_diagnostics(self) -> bool:
        """Whether bins must have been kept."""
        return self.statistic in SCALARS or (not self.operator and not self.needs_segments)

    @property
    def needs_segments(self) -> bool:
        """Whether segments must have been scanned."""
        return self.statistic == SEGMENT.code

    def failures(self, summary: Summary) -> Iterator[str]:
        """One sentence per model and label for which the condition holds, or cannot be told."""
        if self.needs_diagnostics and not summary.diagnosed:
            raise InvalidInputError(
                f"gate {self.text!r} is about diagnostics, and none were kept; "
                "score with diagnostics=True (--diagnostics)."
            )
        if self.needs_segments and not summary.plan.segments:
            raise InvalidInputError(
                f"gate {self.text!r} is about segments, and none were named; "
                "score with segments=['a', 'b'] (--segments a,b)."
            )
        for block in summary.results.blocks:
            if block.average is None:
                yield from self._failures(block)

    def _failures(self, block: Block) -> Iterator[str]:
        which = " ".join(name for name in (block.model, block.label) if name is not None)
        of = f" of {which}" if which else ""
        if not self.operator:
            for found in block.findings:
                if found.code == self.statistic:
                    yield f"gate {self.text!r} failed{of}: {found.title}."
            return
        scalar = self.statistic in SCALARS
        value = block.scalars[self.statistic][-1].item() if scalar else getattr(block.statistics(-1), self.statistic)
        if math.isnan(value) or _OPERATORS[self.operator](value, self.limit):
            is_ = "is undefined" if math.isnan(value) else f"is {value!r}"
            yield f"gate {self.text!r} failed: {self.statistic}{of} {is_}."
