"""Exact sums of predictions that come in batches: for metrics in training loops, over steps and over processes.

Sums are the integers that `logloss score` adds up, so that any split into batches and any order of adding gives the
same digits. They are plain arrays of int64 that add element by element, as `torch.distributed` reduces them.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ._backends.kinds import backend_of, host
from ._errors import InvalidInputError
from ._kernels.window import DIGITS
from ._spec.options import given_options, switch
from .evaluate.averages import macro, without_intervals
from .evaluate.clip import Rows
from .evaluate.moments import InvalidRowsError, MomentSums
from .evaluate.plan import Plan, Problem
from .evaluate.statistics import STATISTICS, Statistics, statistics
from .evaluate.store import WEIGHTED_TERMS, Cells
from .evaluate.sums import carry

__all__ = ["ScoreSums"]

_COUNTS = 4
_PROBABILITIES, _LOGITS = (Plan((Problem("y", "p"),), logits=logits, weight="w") for logits in (False, True))
_HERE = np.zeros(1, np.int64)  # the number of the one cell
NAMES = tuple(one.name for one in STATISTICS)


class ScoreSums:
    r"""What scores of predictions are computed from, of one label or several: adds up, exactly.

    ``Σ w, Σ w·y, Σ w·loss, …`` of every label, as integers.

    Attributes:
        counts: (labels, 4), int64: rows, and those whose loss is infinite, whose prediction is 0, and 1.
        overflowed: (labels, sums), int64: how often a sum lacks a number that was too large.
        digits: (labels, sums, digits), int64: the sums in base 2⁵⁰, carried or not.

    Example:
        >>> import logloss as ll
        >>> from logloss.streaming import ScoreSums
        >>> whole = ScoreSums.of([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.1])
        >>> parts = ScoreSums.of([1, 0], [0.9, 0.2]) + ScoreSums.of([1, 0], [0.6, 0.1])
        >>> parts.statistics().log_loss == whole.statistics().log_loss
        True
        >>> round(whole.statistics().normalized_entropy, 6)
        0.340725

    References:
        Demmel and Nguyen 2013, *Fast reproducible floating-point summation*; docs/training-loops.md.
    """

    def __init__(self, labels: int = 1) -> None:
        self.counts = np.zeros((labels, _COUNTS), np.int64)
        self.overflowed = np.zeros((labels, len(WEIGHTED_TERMS)), np.int64)
        self.digits = np.zeros((labels, len(WEIGHTED_TERMS), DIGITS), np.int64)

    @classmethod
    def from_arrays(cls, counts: Any, overflowed: Any, digits: Any) -> Self:
        """The sums whose arrays these are, or are the sums of."""
        found = cls(0)
        found.counts, found.overflowed, found.digits = (
            np.asarray(one, np.int64) for one in (counts, overflowed, digits)
        )
        return found

    @classmethod
    def of(
        cls,
        y_true: Any,
        predictions: Any,
        *,
        sample_weight: Any = None,
        from_logits: bool = False,
        ignore_index: float | None = None,
    ) -> Self:
        """The sums of a batch.

        Args:
            y_true: (N,) or (N, labels), in [0, 1]; bool, any integer, any float.
            predictions: the same shape: probabilities in [0, 1], or logits.
            sample_weight: (N,), in [0, 1e300].
            from_logits: whether predictions are logits.
            ignore_index: elements with this target do not count.

        Returns:
            Sums for every label.

        Raises:
            InvalidInputError: shapes that differ, or a number out of range; the message says which and where.
        """
        from ._backends.operands import OptionArrays  # brings Numba

        backend, from_logits = backend_of(predictions, y_true), switch("from_logits", from_logits)
        y_true, predictions, sample_weight = map(backend.on_host, (y_true, predictions, sample_weight))
        t, x = np.asarray(host().target_array(y_true)), host().floating(predictions, "predictions")
        if t.shape != x.shape or x.ndim not in (1, 2):
            deep = t.shape == x.shape and x.ndim > 2
            remedy = "Use reshape(-1), or reshape(-1, labels)" if deep else "Give one prediction per target"
            raise InvalidInputError(
                f"y_true and predictions must both have shape (N,) or (N, labels); got {t.shape} and {x.shape}. "
                f"{remedy}."
            )
        if x.dtype.itemsize < 4 or x.dtype.kind != "f":  # float16 and bfloat16
            x = x.astype(np.float32)
        w = np.ones(len(x)) if sample_weight is None else OptionArrays.float64("sample_weight", sample_weight)
        if w.shape != x.shape[:1]:
            raise InvalidInputError(f"sample_weight must have shape {x.shape[:1]}; got {w.shape}. Give one per row.")
        targets, values = (one[:, None] if one.ndim == 1 else one for one in (t, x))
        found = cls(values.shape[1])
        try:
            for label in range(len(found.counts)):
                found._add(label, targets[:, label], values[:, label], w, from_logits, ignore_index)
        except InvalidRowsError:
            plan = _LOGITS if from_logits else _PROBABILITIES
            raise _refusal(plan, {"y": t, "p": x, "w": w}, ignore_index) from None
        return found

    def _add(self, label: int, t: Any, x: Any, w: Any, from_logits: bool, ignore_index: float | None) -> None:
        if ignore_index is not None:
            kept = _counted(t, ignore_index)
            t, x, w = t[kept], x[kept], w[kept]
        if not x.size:
            return
        plan = _LOGITS if from_logits else _PROBABILITIES
        sums = MomentSums(plan)
        t, x = np.ascontiguousarray(t), np.ascontiguousarray(x)
        sums.add(0, Rows(x, from_logits, t, np.ascontiguousarray(w), np.array([len(x)])), _HERE)
        cells = sums.cells(0, _HERE)
        self.counts[label] = cells.counts[0]
        self.overflowed[label] = cells.overflows[0] >> np.arange(len(WEIGHTED_TERMS)) & 1
        self.digits[label] = cells.whole()[0]

    def __add__(self, other: ScoreSums) -> ScoreSums:
        """The sums of both; carried, so that any number of them may be added one after another."""
        if self.counts.shape != other.counts.shape:
            raise InvalidInputError(
                f"sums must be of as many labels; got {len(self.counts)} and {len(other.counts)}. Keep them apart."
            )
        found = ScoreSums.from_arrays(
            self.counts + other.counts, self.overflowed + other.overflowed, self.digits + other.digits
        )
        carry(found.digits)
        return found

    def statistics(self, average: str = "micro") -> Any:
        """All statistics of `logloss score`: log loss, normalized entropy, calibration, intervals, … by name.

        Args:
            average: "micro" over all elements of all labels; "macro", the mean of the labels' statistics. Of several
                labels neither has intervals.

        Returns:
            An object with an attribute for each statistic (docs/scoring.md).

        Raises:
            InvalidInputError: nothing to count, or no weight.
        """
        parts = [statistics(self._cells(slice(label, label + 1))) for label in range(len(self.counts))]
        self._require_weight([float(part["weight"][0]) for part in parts], average)
        if len(parts) == 1:
            found = parts[0]
        elif average == "macro":
            found = macro(parts)
        else:
            found = without_intervals(statistics(self._cells(slice(None), together=True)))
        return Statistics(**{name: found[name][0].item() for name in NAMES})

    def of_labels(self, name: str) -> Any:
        """One statistic of every label, as an array of shape (labels,)."""
        found = statistics(self._cells(slice(None)))
        self._require_weight(found["weight"].tolist(), "macro")
        return found[name]

    def _cells(self, which: slice, together: bool = False) -> Cells:
        counts, overflowed, digits = self.counts[which], self.overflowed[which], self.digits[which].copy()
        if together:
            counts, overflowed, digits = (one.sum(0, keepdims=True) for one in (counts, overflowed, digits))
        carry(digits)
        bits = ((overflowed > 0) << np.arange(len(WEIGHTED_TERMS))).sum(1)
        return Cells.of_whole(counts, bits, digits)

    @staticmethod
    def _require_weight(weights: list[float], average: str) -> None:
        if not any(weights) or (average == "macro" and not all(weights)):
            raise InvalidInputError(
                "a score needs at least one element of positive weight, of every label; there is none. "
                "Check targets, weights and ignore_index."
            )


def _counted(t: Any, ignore_index: float | None) -> Any:
    """Where a target is one."""
    if ignore_index is None:
        return np.ones(t.shape, bool)
    return ~np.isnan(t) if ignore_index != ignore_index else t != ignore_index


def _refusal(plan: Plan, columns: dict[str, Any], ignore_index: float | None) -> InvalidInputError:
    """Which value is out of range: the first one that counts. What is wrong with targets, the losses know best."""
    whole = {"reduction": "sum", "axis": None, "ignore_index": ignore_index}
    try:
        host().target_sums(columns["y"], given_options(whole))
    except InvalidInputError as error:
        return error
    for domain in plan.domains():
        values = columns[domain.column]
        outside = ~((values >= domain.low) & (values <= domain.high))
        if domain.column != "w":
            outside &= _counted(columns["y"], ignore_index)
        if outside.any():
            place = tuple(np.argwhere(outside)[0].tolist())
            at = place[0] if len(place) == 1 else place
            told = "logits? Use from_logits=True" if domain.role == "probability" else domain.remedy
            remedy = f"{told[0].upper()}{told[1:]}."
            return InvalidInputError(
                f"every {domain.role} must be {domain.rule}; got {values[place].item()!r} at index {at}. {remedy}"
            )
    return InvalidInputError("a number is out of range; check targets, predictions and weights.")
