"""`explain`: what every system makes of the same predictions, how far that is from the exact loss, and why."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from ._errors import InvalidInputError, LoglossError
from .dialects.readings import GRID, LOGITS, PROBABILITIES, Reading, after_sigmoid, mistaken
from .losses import binary_cross_entropy, binary_cross_entropy_with_logits
from .reporting import explanation
from .sources import open_source, seek
from .sources.batch import refuse_missing
from .sources.columns import check_columns
from .sources.wanted import Wanted

__all__ = ["Explanation", "Line", "explain", "explain_arguments"]

Array = Any
ROUNDING = 1e-14  # relatively: nobody asks why


@dataclass(frozen=True)
class Line:
    """One system's number: the call, its dtype, the difference from the exact mean, and the reasons for it."""

    system: str
    call: str
    dtype: str
    value: float
    difference: float
    reasons: tuple[str, ...]
    hit: bool = False


@dataclass(frozen=True)
class Explanation:
    """The result of `explain`: prints as a table.

    Attributes:
        quantity: "logits" or "probabilities".
        rows: how many targets.
        exact: the exact mean loss.
        got: the number that was looked for, as typed; or None.
        lines: the systems at their defaults; or the whole grid, hits first and the nearest before the others.
    """

    quantity: str
    rows: int
    exact: float
    got: str | None
    lines: tuple[Line, ...]

    @property
    def hits(self) -> tuple[Line, ...]:
        """The lines that give the number looked for, to the digits typed."""
        return tuple(line for line in self.lines if line.hit)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)

    def to_json(self) -> str:
        """The output of `logloss explain --json`."""
        return explanation.render_json(self.to_dict())

    def __str__(self) -> str:
        return explanation.render(self.to_dict(), width=80)

    __repr__ = __str__


def explain(target: Any, *, logit: Any = None, probability: Any = None, got: float | str | None = None) -> Explanation:
    r"""What every system makes of these predictions, how far it is from the exact mean loss, and why.

    The difference is ``value - mean(-t·log p - (1-t)·log(1-p))``, the mean being exact. Without `got` every system
    speaks once, at its defaults; systems that take the other quantity are asked for σ(x), or left out.

    Args:
        target: (N,) or (N, labels), in [0, 1].
        logit: the same shape, any real; give this or `probability`.
        probability: the same shape, in [0, 1].
        got: a number that somebody reported; all of the grid (docs/why-numbers-differ.md) is searched for what produces
            it, to the digits typed (or to two ulp of the dtype, for a sum's order is nobody's promise).

    Returns:
        An `Explanation`.

    Raises:
        InvalidInputError: shapes that differ, numbers out of their domain, or a `got` that is no number.
        UnsupportedTypeError: arrays of a framework.

    Example:
        >>> import logloss as ll
        >>> found = ll.explain([1, 0, 1], probability=[0.0, 0.0, 1.0], got="5.1416")
        >>> [(line.system, line.call, line.reasons) for line in found.hits if line.dtype == "float32"]
        [('tf.keras 2', 'BinaryCrossentropy()', ...

    References:
        docs/why-numbers-differ.md.
    """
    if (logit is None) == (probability is None):
        raise InvalidInputError("explain needs logits or probabilities, one of them. Give logit= or probability=.")
    quantity, given = (LOGITS, logit) if probability is None else (PROBABILITIES, probability)
    loss = binary_cross_entropy_with_logits if quantity == LOGITS else binary_cross_entropy
    exact = float(loss(given, target))
    x, t = (np.atleast_1d(np.asarray(array, np.float64)) for array in (given, target))
    if x.size == 0:
        raise InvalidInputError("explain needs at least one target; got none. Give some.")
    wanted = None if got is None else _Wanted(str(got))
    lines = [_line(reading, x, t, exact, wanted) for reading in _readings(quantity, wanted is not None)]
    if wanted is not None:
        lines = [*_exact_lines(loss, x, t, exact, wanted), *lines]
        lines.sort(key=lambda line: (not line.hit, len(line.reasons) if line.hit else wanted.distance(line.value)))
    return Explanation(quantity, len(t), exact, None if got is None else str(got), tuple(lines))


class _Wanted:
    """A number as somebody typed it."""

    def __init__(self, text: str) -> None:
        try:
            number = Decimal(text)
            self.value, exponent = float(number), number.as_tuple().exponent
        except InvalidOperation:
            raise InvalidInputError(f"got must be a number such as 0.6931; got {text!r}.") from None
        self.half = 0.5 * 10.0**exponent if isinstance(exponent, int) else 0.0

    def distance(self, value: float) -> float:
        """How far away a value is; infinite for NaN."""
        if value == self.value:
            return 0.0
        distance = abs(value - self.value)
        return distance if distance == distance else math.inf

    def hit(self, value: float, dtype: str) -> bool:
        """Whether it is this number to the digits typed, or to two ulp: the order of a sum is nobody's promise."""
        if math.isnan(value) or math.isnan(self.value):
            return math.isnan(value) and math.isnan(self.value)
        ulp = float(np.spacing(np.asarray(abs(value), dtype)))
        return self.distance(value) <= max(self.half * (1 + 1e-9), 2 * ulp)


def _readings(quantity: str, everything: bool) -> Iterator[Reading]:
    for reading in GRID:
        if reading.takes == quantity and (reading.default or everything):
            yield reading
        if reading.takes != quantity and reading.default and everything:
            yield mistaken(reading)
        asked = everything or (reading.default and reading.system in ("scikit-learn", "PyTorch"))
        if asked and quantity == LOGITS and reading.takes == PROBABILITIES and not reading.knows_logits:
            yield after_sigmoid(reading)


def _line(reading: Reading, x: Array, t: Array, exact: float, wanted: _Wanted | None) -> Line:
    given = x.astype(reading.dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = float(reading.compute(given, t))
        except LoglossError as error:
            return Line(reading.system, reading.call, reading.dtype, math.nan, math.nan, (f"refuses: {error}",))
        difference = value - exact if value != exact else 0.0
        reasons = tuple(_reasons(reading, given, t)) if _worth(difference, exact) else ()
    if not reasons and _worth(difference, exact):
        reasons = (f"{reading.dtype} rounding",)
    hit = wanted is not None and wanted.hit(value, reading.dtype)
    return Line(reading.system, reading.call, reading.dtype, value, difference, reasons, hit)


def _worth(difference: float, exact: float) -> bool:
    return difference != 0 and not (math.isfinite(exact) and abs(difference) <= ROUNDING * abs(exact))


def _reasons(reading: Reading, x: Array, t: Array) -> Iterator[str]:
    for note in reading.notes:
        yield from note(x, t)
    batch, elements = len(t), t.size
    if reading.divides == "nothing" and elements > 1:
        yield f"a sum: divided by nothing, not by the {elements:,} elements"
    if reading.divides == "batch" and batch != elements:
        yield f"divided by the batch ({batch:,}), not by the {elements:,} elements"
    if reading.divides == "batch sum" and batch > 1:
        yield f"a sum over the batch: not divided by its {batch:,} rows"


def _exact_lines(loss: Any, x: Array, t: Array, exact: float, wanted: _Wanted) -> Iterator[Line]:
    for reduction in ("mean", "sum", *(["batchmean"] if t.ndim > 1 else [])):
        value = float(loss(x, t, reduction=reduction))
        reasons = () if value == exact else (f"reduction={reduction!r}",)
        call = f"{loss.__name__}(reduction={reduction!r})"
        yield Line("logloss", call, "float64", value, value - exact, reasons, wanted.hit(value, "float64"))


def explain_arguments(
    files: Sequence[str],
    *,
    target: Sequence[str],
    logit: Sequence[str] | None = None,
    probability: Sequence[str] | None = None,
    got: str | None = None,
) -> Explanation:
    """`explain` of a command line: of numbers, or of the columns of files; several columns are labels, in order."""
    predictions = list(logit or probability or ())
    if len(predictions) != len(target):
        raise InvalidInputError(
            f"there must be one prediction for each target; got {len(predictions)} and {len(target)}. "
            "Name files before the options."
        )
    t, x = _read(files, target, predictions) if files else (_numbers(target), _numbers(predictions))
    return explain(t, logit=x if logit else None, probability=x if probability else None, got=got)


def _numbers(texts: Sequence[str]) -> Array:
    try:
        return np.array([float(text) for text in texts])
    except ValueError as error:
        raise InvalidInputError(f"without files, values must be numbers; {error}.") from None


def _read(files: Sequence[str], targets: Sequence[str], predictions: Sequence[str]) -> tuple[Array, Array]:
    """The columns, in memory."""
    columns, source = [*targets, *predictions], open_source(list(files))
    seek(source, columns)
    check_columns(source.schemas(), columns, ())
    parts = []
    for batch in source.batches(Wanted(tuple(dict.fromkeys(columns)))):
        for name in columns:
            refuse_missing(batch, name)
        parts.append(np.stack([batch.numbers(name) for name in columns], axis=1))
    table = np.concatenate(parts) if parts else np.empty((0, len(columns)))
    if len(targets) == 1:
        return table[:, 0], table[:, 1]
    return table[:, : len(targets)], table[:, len(targets) :]
