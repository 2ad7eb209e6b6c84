"""What people do around a loss by mistake, and what that makes of its number: the table of `logloss explain --got`.

Each mistake is tried around every reading of the grid, so that a new dialect has all of them. `of_call` turns the
right call of a reading into what the mistake gives, or None where it cannot have been made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._errors import LoglossError
from . import sklearn
from ._parts import Array
from .notes import Says, adds, clips, logit, short, sigmoid
from .readings import LOGITS, PROBABILITIES, RARE, Reading, Weights, divisor, weighted

EPSILONS = (1e-16, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, float(np.finfo("float32").eps), 1e-6, 1e-5, 1e-4, 1e-3)
BATCHES = (*range(2, 11), 16, 20, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1000, 1024, 2048, 4096)


class Call(NamedTuple):
    """A reading called rightly: the predictions as both quantities, in its dtype, and the number that it gave."""

    reading: Reading
    logits: Array
    probabilities: Array
    t: Array
    w: Weights
    value: float

    @classmethod
    def of(cls, reading: Reading, quantity: str, x: Array, t: Array, w: Weights) -> Call:
        """The call for predictions that are given as one of the quantities."""
        given = x.astype(reading.dtype)
        logits, p = (given, sigmoid(given)) if quantity == LOGITS else (logit(given), given)
        call = cls(reading, logits, p, t, None if reading.weighs == "no" else w, math.nan)
        return call._replace(value=call.again())

    @property
    def right(self) -> Array:
        """The predictions as the reading takes them."""
        return self.logits if self.reading.takes == LOGITS else self.probabilities

    def again(self, *, x: Array | None = None, t: Array | None = None, rows: Any = ..., w: Any = True) -> float:
        """The number for other predictions, targets or rows, or with other weights than its own; NaN if refused."""
        x, t = self.right if x is None else x.astype(self.reading.dtype), self.t if t is None else t
        w = self.w if w is True else w
        try:
            return float(self.reading.compute(x[rows], t[rows], None if w is None else w[rows]))
        except LoglossError:
            return math.nan

    def differs(self, value: float) -> bool:
        """Whether a number is not this one, which another order of sums would change as well."""
        return not abs(value - self.value) <= 4 * float(np.finfo(self.reading.dtype).eps) * abs(self.value)

    def divisor(self, rows: Any = ...) -> float:
        """What it divides by, of all or some rows."""
        return divisor(self.reading, self.t[rows], None if self.w is None else self.w[rows])[0]


class Mistake(NamedTuple):
    """One kind: in words, and what it makes of a call."""

    text: str
    of_call: Callable[[Call], float | None]
    same_data: bool = False  # what a reading notes of the right predictions and targets holds for it


# ---- the table ------------------------------------------------------------------------------------------------------


def _given(takes: str, text: str, wrong: Callable[[Call], Array]) -> Mistake:
    """Other predictions than the reading takes."""
    return Mistake(text, lambda call: call.again(x=wrong(call)) if call.reading.takes == takes else None)


def _rounded(digits: int) -> Mistake:
    return Mistake(
        f"predictions rounded to {digits} decimal{'s' * (digits > 1)}",
        lambda call: call.again(x=call.right.round(digits)),
    )


def _kept(dtype: str) -> Mistake:
    return Mistake(f"predictions stored in {dtype}", lambda call: call.again(x=call.right.astype(dtype)))


def _labelled(text: str, wrong: Callable[[Array], Array]) -> Mistake:
    """Other targets."""
    return Mistake(text, lambda call: call.again(t=wrong(call.t)))


def _scaled(text: str, wrong: Callable[[float], float]) -> Mistake:
    """Something done to the number itself."""
    return Mistake(text, lambda call: float(wrong(call.value)), True)


def _everyone_with_everyone(call: Call) -> float | None:
    """A loss is linear in the target, and so is the mean over all pairs of a prediction and a hard target."""
    if call.t.ndim > 1 or call.w is not None:
        return None
    share = float(call.t.mean())
    ones, zeros = (call.again(t=np.full_like(call.t, value)) for value in (1.0, 0.0))
    rows = len(call.t) if call.reading.divides == "nothing" else 1
    return (share * ones + (1 - share) * zeros) * rows


def _of_class(positive: bool, alone: bool) -> Mistake:
    """The losses of one class, over its own number or that of all rows."""

    def of_call(call: Call) -> float | None:
        own = (call.t == 1) if positive else (call.t == 0)
        if call.t.ndim > 1 or not own.any() or own.all() or (not alone and not _is_hard(call.t)):
            return None
        share = 1.0 if alone else call.divisor(own) / call.divisor()
        return call.again(rows=own) * share

    name = "positives" if positive else "negatives"
    return Mistake(f"the {name} alone" + ("" if alone else ", divided by all rows"), of_call)


def _balanced(call: Call) -> float | None:
    """The mean of both classes' means."""
    if call.t.ndim > 1 or not _is_hard(call.t) or not 0 < call.t.mean() < 1 or call.reading.divides == "nothing":
        return None
    return math.fsum(call.again(rows=call.t == label) for label in (0, 1)) / 2


def _priced(call: Call) -> float | None:
    """The mean where a positive costs as many times more as there are more negatives."""
    balanced = _balanced(call) if call.w is None else None
    return None if balanced is None else balanced * 2 * float((call.t == 0).mean())


def _is_hard(t: Array) -> bool:
    return bool(((t == 0) | (t == 1)).all())


def _counted(text: str, factor: Callable[[Call], float | None]) -> Mistake:
    """The number times something that the call knows: its divisor, its labels, its weights."""

    def of_call(call: Call) -> float | None:
        times = factor(call)
        return None if times is None else call.value * times

    return Mistake(text, of_call, True)


def _weights_apart(call: Call) -> float | None:
    return None if call.w is None else call.again(w=None) * float(call.w.mean())


def _over_count(call: Call) -> float | None:
    return None if call.w is None or call.reading.weighs == "no" else call.divisor() / call.t.size


def _over_weights(call: Call) -> float | None:
    if call.w is None or call.reading.weighs == "no":
        return None
    return call.divisor() / float(call.w.sum() * (call.t.size // len(call.t)))


MISTAKES = (
    Mistake("the weights left out", lambda call: None if call.w is None else call.again(w=None)),
    _counted("divided by the number of elements, not by the weights' sum", _over_count),
    _counted("divided by the weights' sum, not by a number of elements", _over_weights),
    Mistake("the mean loss times the mean weight, as Keras makes it of arrays with one axis", _weights_apart),
    Mistake("the weights applied twice", lambda call: None if call.w is None else call.again(w=call.w**2)),
    _given(LOGITS, "probabilities taken for logits", lambda call: call.probabilities),
    _given(PROBABILITIES, "logits taken for probabilities", lambda call: call.logits),
    _given(PROBABILITIES, "the sigmoid applied twice", lambda call: sigmoid(call.probabilities)),
    _given(LOGITS, "the other class's logit, -x", lambda call: -call.logits),
    _given(PROBABILITIES, "the other class's probability, 1 - p", lambda call: 1 - call.probabilities),
    _labelled("the labels 0 and 1 exchanged", lambda t: 1 - t),
    _labelled("targets of -1 and 1", lambda t: 2 * t - 1),
    _labelled("targets of 1 and 2", lambda t: t + 1),
    _labelled("targets of 0 and 255", lambda t: 255 * t),
    _labelled("soft targets made 0 or 1: above 0.5 is 1", lambda t: (t > 0.5).astype(t.dtype)),
    _scaled("logarithms to base 2", lambda value: value / math.log(2)),
    _scaled("logarithms to base 10", lambda value: value / math.log(10)),
    _scaled("the sign turned: a log-likelihood, as scikit-learn's neg_log_loss", lambda value: -value),
    _counted("a sum, not a mean", lambda call: call.divisor()),
    _counted("divided by the number of elements twice", lambda call: 1 / call.t.size),
    _counted("summed over labels, not averaged", lambda call: len(call.t) and call.t.size / len(call.t)),
    _scaled("twice the loss: a deviance", lambda value: 2 * value),
    _scaled("half the loss: averaged over the columns of both classes", lambda value: value / 2),
    _scaled("e to the loss: a perplexity", np.exp),
    _scaled("e to minus the loss: a likelihood", lambda value: np.exp(-value)),
    _scaled("times 100: a percentage", lambda value: 100 * value),
    _given(PROBABILITIES, "classes, not probabilities", lambda call: call.probabilities > 0.5),
    _given(LOGITS, "classes taken for logits", lambda call: call.probabilities > 0.5),
    _given(PROBABILITIES, "percentages, 100·p", lambda call: 100 * call.probabilities),
    _given(LOGITS, "percentages taken for logits", lambda call: 100 * call.probabilities),
    _given(LOGITS, "log-probabilities taken for logits", lambda call: np.log(call.probabilities)),
    _given(LOGITS, "the softmax of two logits, -x and x", lambda call: 2 * call.logits),
    _given(PROBABILITIES, "the softmax of two logits, -x and x", lambda call: sigmoid(2 * call.logits)),
    _given(LOGITS, "a softmax of both classes' probabilities", lambda call: 2 * call.probabilities - 1),
    _given(PROBABILITIES, "a softmax of both classes' probabilities", lambda call: sigmoid(2 * call.probabilities - 1)),
    _given(PROBABILITIES, "the softmax of a single column, which is 1", lambda call: np.ones_like(call.probabilities)),
    _given(PROBABILITIES, "a softmax over the rows", lambda call: _softmax(call.logits)),
    Mistake("every target with every prediction: shapes (N,) and (N, 1)", _everyone_with_everyone),
    *(_of_class(positive, alone) for positive in (True, False) for alone in (False, True)),
    Mistake("both classes weighing the same", _balanced),
    Mistake("a pos_weight of negatives / positives", _priced),
    *map(_kept, ("float32", "float16")),
    *map(_rounded, (1, 2, 3, 4, 6)),
)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


# ---- batches --------------------------------------------------------------------------------------------------------


def of_batches(call: Call) -> Iterator[tuple[str, float]]:
    """Means of batches of some rows, put together. All batches but the last one have one size: two calls are enough."""
    number = len(call.t)
    if call.reading.divides not in ("elements", "batch") or (call.w is not None and call.reading.weighs != "count"):
        return
    for size in BATCHES:
        whole, rest = divmod(number, size)
        if not whole or number == size:
            continue
        full = call.again(rows=slice(whole * size)) if rest else call.value
        last = call.again(rows=slice(whole * size, None)) if rest else 0.0
        total, batches = whole * full + last, whole + bool(rest)
        if rest:
            yield f"means of batches of {size:,} rows averaged, the last one of {rest:,}", total / batches
            yield f"the last {rest:,} rows left out, which are no batch of {size:,}", full
        yield f"means of batches of {size:,} rows added up", total
        yield f"means of batches of {size:,} rows added up and divided by the {number:,} rows", total / number


# ---- formulas and other scores --------------------------------------------------------------------------------------


def _of_epsilons() -> Iterator[Reading]:
    """The formula as it is written, with an epsilon somewhere; and scikit-learn's, which is that of half precision."""

    def clipped(p: Array, t: Array, w: Weights, eps: float) -> Any:
        return _mean(-t * np.log(o := np.clip(p, eps, 1 - eps)) - (1 - t) * np.log1p(-o), w)

    def added(p: Array, t: Array, w: Weights, eps: float) -> Any:
        return _mean(-t * np.log(p + eps) - (1 - t) * np.log(1 - p + eps), w)

    def half(p: Array, t: Array, w: Weights) -> Any:
        return sklearn.log_loss(t, p, sample_weight=w, labels=[0, 1] if t.ndim == 1 else None)

    for eps in EPSILONS:
        for function, call, note in (
            (clipped, "log loss of p in [ε, 1 - ε]", clips(eps)),
            (added, "log loss of p + ε and 1 - p + ε", adds(eps)),
        ):

            def compute(p: Array, t: Array, w: Weights, function: Any = function, eps: float = eps) -> Any:
                return function(p, t, w, eps)

            yield Reading(
                "NumPy", f"{call}, ε = {short(eps)}", PROBABILITIES, "float64", compute, (note,), weighs="sum"
            )
    eps = float(np.finfo("float16").eps)
    yield Reading(
        "scikit-learn",
        "log_loss()",
        PROBABILITIES,
        "float16",
        half,
        (clips(eps, f"the float16 epsilon {short(eps)}"),),
        weighs="sum",
    )


def _of_other_scores() -> Iterator[Reading]:
    """What is no log loss, and taken for one."""

    def margin(x: Array, t: Array, w: Weights) -> Any:
        return _mean(np.logaddexp(0, -t * x), w)

    def nll(p: Array, t: Array, w: Weights) -> Any:
        return _mean(-t * p - (1 - t) * (1 - p), w)

    def squared(p: Array, t: Array, w: Weights) -> Any:
        return _mean((p - t) ** 2, w)

    def rooted(p: Array, t: Array, w: Weights) -> Any:
        return np.sqrt(squared(p, t, w))

    def absolute(p: Array, t: Array, w: Weights) -> Any:
        return _mean(np.abs(p - t), w)

    def wrong(p: Array, t: Array, w: Weights) -> Any:
        return _mean((p > 0.5) != (t > 0.5), w)

    def right(p: Array, t: Array, w: Weights) -> Any:
        return 1 - wrong(p, t, w)

    def normalised(p: Array, t: Array, w: Weights) -> Any:
        rate = _mean(t, w)
        loss = _mean(-t * np.log(p) - (1 - t) * np.log1p(-p), w)
        return loss / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))

    def explained(p: Array, t: Array, w: Weights) -> Any:
        return sklearn.d2_log_loss_score(t, p, sample_weight=w, labels=[0, 1])

    for system, call, takes, compute, text in (
        ("NumPy", "mean(log(1 + e^(-t·x)))", LOGITS, margin, "targets 0 and 1 in a formula for -1 and 1"),
        ("PyTorch", "NLLLoss()", PROBABILITIES, nll, "probabilities taken for their logarithms"),
        ("NumPy", "mean((p - t)²)", PROBABILITIES, squared, "a Brier score, not a log loss"),
        ("NumPy", "sqrt(mean((p - t)²))", PROBABILITIES, rooted, "a root mean squared error, not a log loss"),
        ("NumPy", "mean(|p - t|)", PROBABILITIES, absolute, "a mean absolute error, not a log loss"),
        ("NumPy", "mean((p > 0.5) != t)", PROBABILITIES, wrong, "an error rate, not a log loss"),
        ("NumPy", "mean((p > 0.5) == t)", PROBABILITIES, right, "an accuracy, not a log loss"),
        ("NumPy", "loss / entropy of the targets", PROBABILITIES, normalised, "a normalised entropy, not a log loss"),
        ("scikit-learn", "d2_log_loss_score()", PROBABILITIES, explained, "a share of loss explained, not a log loss"),
    ):
        yield Reading(system, call, takes, "float64", compute, (Says(text),), weighs="sum")


def _mean(losses: Array, w: Weights) -> Any:
    return np.mean(losses) if w is None else np.mean(weighted(np.asarray(losses, w.dtype), w)) * len(w) / w.sum()


OTHERS = (*RARE, *_of_epsilons(), *_of_other_scores())
"""Readings beyond the grid: they are tried where nothing in it gives the number."""
