"""A linear layer and its loss without the layer's outputs: one sweep over chunks of labels, for any array library.

Of the logits gain·W·Xᵀ + b, of shape (labels, rows), each chunk of labels is computed, turned into its own gradient G
in place by the kernels, and used up before the next one: dX += Gᵀ·W, dW = G·X, db = Σ G. Labels come first so that a
chunk's weights, their gradient and its positives (`_targets.by_label`) are ranges of memory. The matrix products are
the library's (`Layer`); what happens to a chunk stands here, once.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._kernels import cpu
from .._kernels.linear import sums_of_negatives
from .._spec import reductions
from .._spec.losses import CROSS_ENTROPY, PLAIN_LOSS
from .._spec.options import Options
from .._spec.terms import Terms
from .._targets.by_label import ByLabel
from .._targets.positives import Positives
from .._types import Array
from . import numpy
from ._diagnosis import readable
from .layers import Hook, is_one_number, refuse_hook


class Layer(Protocol):
    """A linear layer in one array library: what a sweep asks of it, with chunks as the library holds them."""

    shape: tuple[int, int]
    """Rows and labels."""

    def logits(self, low: int, high: int) -> Any:
        """The chunk of labels low..high, of shape (labels, rows), in memory that the next chunk overwrites."""

    def view(self, chunk: Any) -> Array:
        """A chunk's own memory."""

    def picked(self, chunk: Any, low: int, label: Array, row: Array) -> Array:
        """Some elements of a chunk that begins at `low`: as float32 dot products if the chunk is narrower."""

    def put(self, chunk: Any, label: Array, row: Array, values: Any) -> None:
        """Write them."""

    def add_to_inputs(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """dX += factor·chunkᵀ·W[low:high], without the gain."""

    def weight_grad(self, chunk: Any, low: int, high: int, factor: float) -> Any:
        """factor·chunk·X, where it stays or where the next chunk's goes."""

    def bias_grad(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """db[low:high] = factor·Σ chunk over the rows, or factor times the vector of these sums."""


class Problem:
    """The loss of one batch: what is known before any logit is.

    `targets` are dense, of shape (rows, labels), or positives; options are NumPy arrays and numbers.
    """

    def __init__(self, targets: Any, options: Options, shape: tuple[int, int], dtype: Any) -> None:
        virtual = np.broadcast_to(np.zeros((), dtype), shape)  # for what depends on shapes and types alone
        self.whole = numpy.problem_of(PLAIN_LOSS, virtual, targets, options)
        self.shape, self.options, self.terms = shape, options, self.whole.terms
        self.targets = ByLabel.of(targets) if isinstance(targets, Positives) else self.whole.t
        self.kept = reductions.kept_axes(options, 2)

    @functools.cached_property
    def divisor(self) -> Any:
        """What the sum is divided by: a number, or an array of the reduced shape."""
        return 1.0 if self.options.reduction == "none" else self.whole.denominator()

    @property
    def scale(self) -> Any:
        """What elementwise derivatives are multiplied by: a number, or an array that fits (rows, labels)."""
        return numpy.scale_of(self.whole, self.divisor)

    def upstream(self, upstream: Array) -> Array:
        """The scale of losses that are multiplied by these, each by its own."""
        if self.kept:
            upstream = np.expand_dims(upstream, reductions.axes_of(self.options, 2))
        scaled: Array = upstream * self.scale
        return scaled

    @property
    def only_negatives_cost(self) -> bool:
        """Positives apart: does every element cost what a negative of price 1 costs?"""
        _, smooth, no, smooth_too = self.terms.prices
        plain = type(no) is float and (smooth, no, smooth_too) == (0.0, 1.0, 0.0)
        others = self.terms.row, self.terms.element, self.terms.mask, self.terms.ignored
        return plain and isinstance(self.targets, ByLabel) and all(one is None for one in others)

    def check_first(self) -> None:
        """Refuse bad targets and weights before anything is done with what follows from them."""
        self.whole.check_first()

    def chunk(self, low: int, high: int) -> tuple[Any, Terms]:
        """Targets and terms of some labels, with labels along the first axis."""
        if isinstance(self.targets, ByLabel):
            return self.targets.columns(low, high), transposed(self.terms, low, high)
        return self.targets[:, low:high].T, transposed(self.terms, low, high)

    def evaluate(self, x: Array, low: int, high: int, kept: tuple[int, ...], **outputs: Any) -> Any:
        """The sums of a chunk's losses over all but the `kept` axes of (labels, rows); `outputs` go to the kernels."""
        targets, terms = self.chunk(low, high)
        found, flags = cpu.evaluate(CROSS_ENTROPY, x, targets, terms, kept=kept, **outputs)
        if flags and self.options.validate:
            self.whole.refuse()
        return found


def transposed(terms: Terms, low: int, high: int) -> Terms:
    """The terms of labels low..high for a matrix of (labels, rows)."""

    def cut(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or not value.ndim:
            return value
        return (value if value.shape[1] == 1 else value[:, low:high]).T

    return _changed(terms, cut)


def picked(terms: Terms, shape: tuple[int, int], row: Array, label: Array) -> Terms:
    """The terms of some elements, in a row."""

    def pick(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or not value.ndim:
            return value
        return np.broadcast_to(value, shape)[row, label]

    return _changed(terms, pick)


def _changed(terms: Terms, change: Callable[[Any], Any]) -> Terms:
    return terms._replace(
        prices=tuple(map(change, terms.prices)),
        row=change(terms.row),
        element=change(terms.element),
        mask=change(terms.mask),
    )


# ---- the sweep ------------------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """Which gradients are wanted."""

    inputs: bool = False
    weight: bool = False
    bias: bool = False


NOTHING = Wanted()


class Sweep:
    """One traversal of the labels, chunk by chunk (`edges`)."""

    def __init__(self, problem: Problem, layer: Layer, at: list[int]) -> None:
        self.problem, self.layer, self.at = problem, layer, at

    def _chunks(self) -> Iterator[tuple[int, int]]:
        return itertools.pairwise(self.at)

    def value(self, wanted: Wanted = NOTHING, hook: Hook | None = None) -> Any:
        """The loss, reduced, in float64 but for single losses; the layer keeps the gradients of the values' sum."""
        problem = self.problem
        if is_one_number(problem.options):
            factor = float(problem.scale) if any(wanted) else 1.0
            return numpy.divide(self._total(factor, wanted, hook), problem.divisor)
        refuse_hook(hook, problem.options)
        losses = self._losses()
        if any(wanted):
            self.gradients(problem.upstream(np.ones_like(losses, np.float64)), wanted)
        return losses if problem.options.reduction == "none" else numpy.divide(losses, problem.divisor)

    def _total(self, factor: float, wanted: Wanted, hook: Hook | None) -> float:
        """The sum of all losses, added exactly enough to be the same for every size of chunks."""
        sums, apart = ExactEnough(), self.problem.only_negatives_cost and self.problem.whole.x.itemsize <= 4
        for low, high in self._chunks():
            chunk = self.layer.logits(low, high)
            slopes = None
            if apart:
                slopes = self._positives_apart(chunk, low, high, any(wanted), sums)
            else:
                self._all_alike(chunk, low, high, any(wanted), sums)
            self._use(chunk, low, high, factor, wanted, hook, slopes)
        return sums.value()

    def _losses(self) -> Array:
        """The losses summed over the reduced axes, or one for each element."""
        problem, (rows, labels) = self.problem, self.problem.shape
        if not problem.kept:
            losses = np.empty((rows, labels), problem.whole.x.dtype)
            for low, high in self._chunks():
                x = self.layer.view(self.layer.logits(low, high))
                problem.evaluate(x, low, high, (), losses=losses[:, low:high].T)
            return losses
        along_rows = problem.kept == (0,)
        found = np.zeros(rows if along_rows else labels)
        for low, high in self._chunks():
            x = self.layer.view(self.layer.logits(low, high))
            if along_rows:
                found += problem.evaluate(x, low, high, (1,))
            else:
                found[low:high] = problem.evaluate(x, low, high, (0,))
        return found

    def gradients(self, scale: Array, wanted: Wanted) -> None:
        """The layer keeps gradients, of losses that are each multiplied by `scale`, which fits (rows, labels)."""
        for low, high in self._chunks():
            chunk = self.layer.logits(low, high)
            x = self.layer.view(chunk)
            part = (scale if scale.shape[1] == 1 else scale[:, low:high]).T
            self.problem.evaluate(x, low, high, (), scale=part, grad=x)
            self._use(chunk, low, high, 1.0, wanted)

    def _use(
        self,
        chunk: Any,
        low: int,
        high: int,
        factor: float,
        wanted: Wanted,
        hook: Hook | None = None,
        slopes: Array | None = None,
    ) -> None:
        """The products of a chunk that has become its gradient; `slopes` are its sums, where they are known.

        The hook comes last: it may change the weights.
        """
        if wanted.inputs:
            self.layer.add_to_inputs(chunk, low, high, factor)
        if wanted.bias:
            self.layer.bias_grad(chunk if slopes is None else slopes, low, high, factor)
        if wanted.weight:
            grad = self.layer.weight_grad(chunk, low, high, factor)
            if hook is not None:
                hook(low, high, grad)

    def _all_alike(self, chunk: Any, low: int, high: int, wants_grad: bool, sums: ExactEnough) -> None:
        """Every element by the general kernel; of a narrow chunk positives are put right afterwards."""
        problem, x = self.problem, self.layer.view(chunk)
        narrow = isinstance(problem.targets, ByLabel) and x.itemsize < 4
        corrected = self._corrected(chunk, low, high) if narrow else None
        sums.add(problem.evaluate(x, low, high, (0,), **({"grad": x} if wants_grad else {})))
        if corrected is not None:
            label, row, more, grad = corrected
            sums.add(more)
            if wants_grad:
                self.layer.put(chunk, label, row, grad)

    def _corrected(self, chunk: Any, low: int, high: int) -> tuple[Array, Array, Array, Array]:
        """Positives, what their losses are more than those of the chunk's own logits, and their gradient."""
        label, row = self.problem.targets.pairs(low, high)
        exact, grad = self._of_positives(self.layer.picked(chunk, low, label, row), low, label, row)
        as_summed, _ = self._of_positives(readable(self.layer.view(chunk)[label, row]), low, label, row)
        more = np.where(exact == as_summed, 0.0, exact.astype(np.float64) - as_summed)  # both may be infinite
        return label, row, more, grad

    def _positives_apart(self, chunk: Any, low: int, high: int, wants_grad: bool, sums: ExactEnough) -> Any:
        """Positives one by one; at -inf, where they then stand, a negative costs nothing. The gradient's sums."""
        label, row = self.problem.targets.pairs(low, high)
        losses, grad = self._of_positives(self.layer.picked(chunk, low, label, row), low, label, row)
        self.layer.put(chunk, label, row, -math.inf)
        found, slopes = sums_of_negatives(self.layer.view(chunk), wants_grad=wants_grad)
        sums.add(found)
        sums.add(losses.astype(np.float64))
        if slopes is not None:
            self.layer.put(chunk, label, row, grad)
            slopes += np.bincount(label, grad, len(slopes))
        return slopes

    def _of_positives(self, x: Array, low: int, label: Array, row: Array) -> tuple[Array, Array]:
        """Losses and gradients of positives whose logits are these."""
        losses, grad = np.empty_like(x), np.empty_like(x)
        terms = picked(self.problem.terms, self.problem.shape, row, label + low)
        cpu.evaluate(CROSS_ENTROPY, x, np.ones(x.shape, np.uint8), terms, losses=losses, grad=grad)
        return losses, grad


class ExactEnough:
    """A sum of float64 numbers that rounds once: what every addition loses is added up beside it (Knuth's TwoSum).

    About 100 bits are kept, so that the order of adding changes no result.
    """

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, numbers: Array) -> None:
        """Add all of them."""
        lost = 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            while numbers.size > 1:
                half = numbers.size // 2
                a, b = numbers[:half], numbers[half : 2 * half]
                both = a + b
                of_b = both - a
                lost += float(((a - (both - of_b)) + (b - of_b)).sum())
                numbers = both if numbers.size == 2 * half else np.append(both, numbers[-1])
        self._parts += [float(numbers[0]), lost] if numbers.size else []

    def value(self) -> float:
        """The sum. An infinite number leaves no rounding error that is one."""
        finite = [part for part in self._parts[0::2] if math.isfinite(part)]
        if len(finite) < len(self._parts) // 2:
            return sum(self._parts[0::2])
        return math.fsum(self._parts)
