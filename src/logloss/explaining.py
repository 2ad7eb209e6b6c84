"""`explain`: what every system makes of the same predictions, how far that is from the exact loss, and why."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ._errors import InvalidInputError, LoglossError, UnsupportedTypeError
from .dialects.mistakes import MISTAKES, OTHERS, Call, of_batches
from .dialects.notes import Says
from .dialects.readings import GRID, LOGITS, PROBABILITIES, WEIGHTED, Reading, divisor, mistaken, turned
from .dialects.typed import Typed, remedy
from .losses import binary_cross_entropy, binary_cross_entropy_with_logits
from .reporting import explanation
from .sources import Source, open_source, seek, with_meanings
from .sources.batch import Batch, refuse_missing
from .sources.columns import check_columns
from .sources.outcomes import Meaning
from .sources.reading import AS_FOUND
from .sources.reading import Reading as Text
from .sources.wanted import Wanted

__all__ = ["Explanation", "Line", "explain", "explain_arguments"]

Array = Any
ROUNDING = 1e-14  # relatively: nobody asks why
MANY = 20_000  # of more predictions, mistakes are tried only around defaults that take them as they are
LOSSES: dict[str, Any] = {LOGITS: binary_cross_entropy_with_logits, PROBABILITIES: binary_cross_entropy}
REMEDIES = {
    "For logits use binary_cross_entropy_with_logits.": "Logits? Give them as logit= (--logit).",
    "Use mask= to leave it out.": "Leave its row out.",
    "use ignore_index=float('nan') or mask=.": "leave its row out.",
}


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
        weights: the sum of the weights; or None.
        exact: the exact mean loss, over the weights' sum if there are any.
        got: the number that was looked for, as typed; or None.
        lines: the systems at their defaults; or the whole grid, hits first and the nearest before the others. Where
            nothing in the grid gives the number, hits are what mistakes make of it.
    """

    quantity: str
    rows: int
    exact: float
    got: str | None
    lines: tuple[Line, ...]
    weights: float | None = None

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


def explain(
    target: Any,
    *,
    logit: Any = None,
    probability: Any = None,
    sample_weight: Any = None,
    got: float | str | None = None,
) -> Explanation:
    r"""What every system makes of these predictions, how far it is from the exact mean loss, and why.

    The difference is ``value - mean(-t·log p - (1-t)·log(1-p))``, the mean being exact: with weights, Σ w·loss / Σ w.
    Without `got` every system speaks once, at its defaults; systems that take the other quantity are asked for σ(x), or
    left out.

    Args:
        target: (N,) or (N, labels), in [0, 1].
        logit: the same shape, any real; give this or `probability`.
        probability: the same shape, in [0, 1].
        sample_weight: (N,), finite and not negative: given to every system as it takes weights.
        got: a number that somebody reported; all of the grid (docs/why-numbers-differ.md) is searched for what produces
            it, to the digits typed (or to two ulp of the dtype, for a sum's order is nobody's promise), and if nothing
            does, the mistakes that people make around each of it.

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
    wanted = None if got is None else Typed(str(got))
    data = _Data.of(quantity, given, target, sample_weight)
    lines = [_line(reading, data, wanted) for reading in _readings(data, wanted is not None)]
    if wanted is not None:
        lines = [*_exact_lines(data, wanted), *lines]
        if not any(line.hit for line in lines):
            lines = [*_mistaken(data, wanted), *lines]
        lines.sort(key=lambda line: (not line.hit, len(line.reasons) if line.hit else wanted.distance(line.value)))
    weights = None if data.w is None else float(data.w.sum())
    return Explanation(quantity, len(data.t), data.exact, None if got is None else str(got), tuple(lines), weights)


@dataclass(frozen=True)
class _Data:
    """Predictions, targets and weights in float64, and their exact loss."""

    quantity: str
    x: Array
    t: Array
    w: Array | None
    exact: float

    @property
    def grid(self) -> tuple[Reading, ...]:
        """What can be made of them."""
        return GRID if self.w is None else (*GRID, *WEIGHTED)

    @classmethod
    def of(cls, quantity: str, given: Any, target: Any, weight: Any) -> _Data:
        """Refuse what is no such data, in the words of the losses."""
        loss = LOSSES[quantity]
        _refuse_two_columns(given, target)
        try:
            found = loss(given, target, sample_weight=weight, reduction="weighted_mean")
        except InvalidInputError as error:
            raise InvalidInputError(_with_remedies(str(error))) from None
        if not isinstance(found, np.generic | np.ndarray):
            kind = f"{type(found).__module__}.{type(found).__name__}"
            raise UnsupportedTypeError(f"explain computes with NumPy arrays; got {kind}. Use numpy.asarray.")
        x, t = (np.atleast_1d(np.asarray(array, np.float64)) for array in (given, target))
        w = None if weight is None else np.asarray(weight, np.float64)
        if x.size == 0:
            raise InvalidInputError("explain needs at least one target; got none. Give some.")
        if np.isnan(x).any():
            place = int(np.argmax(np.isnan(x.reshape(-1))))
            raise InvalidInputError(f"{quantity} must not be NaN; got nan at index {place}. Leave its row out.")
        if w is not None and not w.any():
            raise InvalidInputError("sample_weight must have a sum above 0; got 0. Leave it out for ones.")
        return cls(quantity, x, t, w, float(loss(x, t, sample_weight=w, reduction="weighted_mean")))


def _refuse_two_columns(given: Any, target: Any) -> None:
    """What classifiers give for two classes."""
    shapes = np.shape(given), np.shape(target)
    if shapes[0] == (*shapes[1], 2):
        raise InvalidInputError(
            f"predictions and targets must have one shape; got {shapes[0]} and {shapes[1]}. "
            "A column for each of two classes? Give that of the positive one, [:, 1]."
        )


def _with_remedies(message: str) -> str:
    """What a loss says, with what `explain` has instead of its options."""
    for theirs, ours in REMEDIES.items():
        message = message.replace(theirs, ours)
    return message


def _readings(data: _Data, everything: bool) -> Iterator[Reading]:
    for reading in data.grid:
        if reading.takes == data.quantity and (reading.default or everything):
            yield reading
        if reading.takes != data.quantity and reading.default and everything:
            yield mistaken(reading)
        asked = everything or (reading.default and reading.system in ("scikit-learn", "PyTorch"))
        if asked and data.quantity == LOGITS and reading.takes == PROBABILITIES and not reading.knows_logits:
            yield turned(reading)


def _line(reading: Reading, data: _Data, wanted: Typed | None) -> Line:
    given, weights = data.x.astype(reading.dtype), None if reading.weighs == "no" else data.w
    with _silence():
        try:
            value = float(reading.compute(given, data.t, weights))
        except LoglossError as error:
            return Line(reading.system, reading.call, reading.dtype, math.nan, math.nan, (f"refuses: {error}",))
        difference = value - data.exact if value != data.exact else 0.0
        reasons = tuple(_reasons(reading, given, data)) if _worth(difference, data.exact) else ()
    if not reasons and _worth(difference, data.exact):
        reasons = (f"{reading.dtype} rounding",)
    hit = wanted is not None and wanted.hit(value, reading.dtype)
    return Line(reading.system, reading.call, reading.dtype, value, difference, reasons, hit)


@contextmanager
def _silence() -> Iterator[None]:
    """Frameworks give inf and NaN without a word, and what they warn of is no matter here."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _worth(difference: float, exact: float) -> bool:
    return difference != 0 and not (math.isfinite(exact) and abs(difference) <= ROUNDING * abs(exact))


def _reasons(reading: Reading, x: Array, data: _Data) -> Iterator[str]:
    for note in reading.notes:
        yield from note(x, data.t)
    t, w = data.t, data.w
    if w is not None and reading.weighs == "no":
        yield "takes no weights"
        w = None
    exact = Reading("", "", "", "", reading.compute, weighs="sum")
    (theirs, name), (ours, right) = divisor(reading, t, w), divisor(exact, t, w)
    if theirs != ours:
        if reading.divides == "labels":
            yield f"a sum over the batch: not divided by its {len(t):,} rows"
        else:
            yield f"{'a sum: ' if reading.divides == 'nothing' else ''}divided by {name}, not by {right}"


def _exact_lines(data: _Data, wanted: Typed) -> Iterator[Line]:
    loss, weights = LOSSES[data.quantity], ["weighted_mean"] if data.w is not None else []
    for reduction in (*weights, "mean", "sum", *(["batchmean"] if data.t.ndim > 1 else [])):
        value = float(loss(data.x, data.t, sample_weight=data.w, reduction=reduction))
        reasons = () if value == data.exact else (f"reduction={reduction!r}",)
        call = f"{loss.__name__}(reduction={reduction!r})"
        yield Line("logloss", call, "float64", value, value - data.exact, reasons, wanted.hit(value, "float64"))


def _mistaken(data: _Data, wanted: Typed) -> Iterator[Line]:
    """The lines of mistakes that give the number, likely ones first."""
    if math.isnan(wanted.value):
        return  # which far too many could give, and those that refuse do
    most = data.t.size <= MANY
    readings = [one for one in data.grid if most or (one.default and one.takes == data.quantity)]
    readings.sort(key=lambda reading: reading.takes != data.quantity)
    with _silence():
        yield from _otherwise(data, wanted, readings)
        calls = [Call.of(one, data.quantity, data.x, data.t, data.w) for one in readings]
        found = ((mistake.of_call(call), call, mistake) for mistake in MISTAKES for call in calls)
        for value, call, mistake in found:
            if value is not None and call.differs(value) and wanted.hit(value, call.reading.dtype):
                yield _mistake(data, call, value, mistake.text, mistake.same_data)
        for call in calls:
            for text, value in of_batches(call) if call.reading.default else ():
                if wanted.hit(value, call.reading.dtype):
                    yield _mistake(data, call, value, text, True)


def _otherwise(data: _Data, wanted: Typed, readings: Sequence[Reading]) -> Iterator[Line]:
    """Rightly computed, but of what the given numbers are made from, by a rarer formula, or with digits cut off."""
    for reading in (*readings, *OTHERS):
        own = reading.takes == data.quantity
        line = _line(reading if own else turned(reading), data, wanted)
        if line.hit and not (own and reading in readings):
            yield line
        elif own and wanted.cut(line.value):
            yield replace(line, hit=True, reasons=(*line.reasons, "digits cut off, not rounded"))


def _mistake(data: _Data, call: Call, value: float, text: str, same: bool) -> Line:
    reading = call.reading
    notes = reading.notes if same else [note for note in reading.notes if isinstance(note, Says)]
    reasons = (text, *(reason for note in notes for reason in note(call.right, data.t)))
    return Line(reading.system, reading.call, reading.dtype, value, value - data.exact, reasons, True)


def explain_arguments(
    files: Sequence[str],
    *,
    target: Sequence[str],
    logit: Sequence[str] | None = None,
    probability: Sequence[str] | None = None,
    weight: Sequence[str] | None = None,
    got: str | None = None,
    nulls: str = "error",
    meaning: Meaning | None = None,
    reading: Text = AS_FOUND,
) -> Explanation:
    """`explain` of a command line: of numbers, or of the columns of files; several columns are labels, in order."""
    predictions = list(logit or probability or ())
    if len(predictions) != len(target):
        raise InvalidInputError(
            f"there must be one prediction for each target; got {len(predictions)} and {len(target)}. "
            "Name files before the options."
        )
    if files and weight and len(weight) > 1:
        raise InvalidInputError(f"weights must be one column; got {', '.join(weight)}. Name files before the options.")
    if files:
        batches = _batches(open_source(list(files), reading=reading), target, [*predictions, *(weight or ())], meaning)
        t, x, w = _read(batches, target, predictions, weight or (), nulls == "drop")
    else:
        t, x, w = (_numbers(texts) if texts else None for texts in (target, predictions, weight))
    return explain(t, logit=x if logit else None, probability=x if probability else None, sample_weight=w, got=got)


def _numbers(texts: Sequence[str]) -> Array:
    for text in texts:
        try:
            float(text)
        except ValueError:
            raise InvalidInputError(f"without files, values must be numbers; got {text!r}.{remedy(text)}") from None
    return np.array([float(text) for text in texts])


def _batches(source: Source, targets: Sequence[str], others: Sequence[str], meaning: Meaning | None) -> Iterator[Batch]:
    """The rows of files, with what outcomes in words mean."""
    columns = list(dict.fromkeys([*targets, *others]))
    seek(source, columns)
    outcomes = with_meanings(source, targets, meaning or Meaning())
    check_columns((outcomes or source).schemas(), columns, ())
    batches = (outcomes or source).batches(Wanted(tuple(columns)))
    return outcomes.translated(batches, targets) if outcomes else batches


def _read(
    batches: Iterator[Batch], targets: Sequence[str], predictions: Sequence[str], weight: Sequence[str], drop: bool
) -> tuple[Array, Array, Array | None]:
    """The columns, in memory; rows without a value are left out or refused."""
    columns, parts = [*targets, *predictions, *weight], []
    for batch in batches:
        missing = [gap for name in columns if (gap := batch.missing(name)) is not None]
        if drop and missing:
            batch = batch.keep(~np.any(missing, axis=0))  # noqa: PLW2901
        for name in columns:
            refuse_missing(batch, name)
        parts.append(np.stack([batch.numbers(name) for name in columns], axis=1))
    table = np.concatenate(parts) if parts else np.empty((0, len(columns)))
    labels = len(targets)
    t, x, w = table[:, :labels], table[:, labels : 2 * labels], table[:, -1] if weight else None
    return (t[:, 0], x[:, 0], w) if labels == 1 else (t, x, w)
