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
from .layer_arguments import Hook, is_one_number, refuse_hook


class Layer(Protocol):
    """A linear layer in one array library: what a sweep asks of it, with chunks as the library holds them."""

    shape: tuple[int, int]
    """Rows and labels."""

    def logits(self, low: int, high: int) -> Any:
        """The chunk of labels low..high, of shape (labels, rows), in memory that the next chunk overwrites."""

    def products(self, low: int, high: int) -> Any:
        """The same without the bias, as `Problem.negatives` takes it."""

    def shifts(self, low: int, high: int) -> Any:
        """The bias of these labels in float32, or None: products are not rounded once more when it is added."""

    def view(self, chunk: Any) -> Array:
        """A chunk's own memory."""

    def picked(self, chunk: Any, low: int, label: Any, row: Any) -> Any:
        """Some logits of a chunk of products that begins at `low`, in float32 if the chunk is narrower."""

    def put(self, chunk: Any, label: Any, row: Any, values: Any) -> None:
        """Write some elements."""

    def add_to_inputs(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """dX += factor·chunkᵀ·W[low:high], without the gain."""

    def weight_grad(self, chunk: Any, low: int, high: int, factor: float) -> Any:
        """factor·chunk·X, where it stays or where the next chunk's goes."""

    def bias_grad(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """db[low:high] = factor·Σ chunk over the rows, or factor times the vector of these sums."""


class Problem:
    """The loss of one batch: what is known before any logit is, and the arithmetic of a chunk, in NumPy.

    `targets` are dense, of shape (rows, labels), or positives; options are NumPy arrays and numbers. Another library's
    arithmetic is a class of its own that replaces the methods below the line.
    """

    def __init__(self, targets: Any, options: Options, shape: tuple[int, int], dtype: Any) -> None:
        virtual = np.broadcast_to(np.zeros((), dtype), shape)  # for what depends on shapes and types alone
        self.whole = numpy.problem_of(PLAIN_LOSS, virtual, targets, options)
        self.shape, self.options, self.terms = shape, options, self.whole.terms
        self.targets = ByLabel.of(targets) if isinstance(targets, Positives) else self.whole.t
        self.dtype = self.whole.x.dtype

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes of (rows, labels) along which there are several losses."""
        return reductions.kept_axes(self.options, 2)

    @property
    def only_negatives_cost(self) -> bool:
        """Positives apart: does every element cost what a negative of price 1 costs?"""
        others = self.terms.prices[1:]  # each a number, or an array of one for each label
        plain = all(type(one) is float for one in others) and others == (0.0, 1.0, 0.0)
        besides = self.terms.row, self.terms.element, self.terms.mask, self.terms.ignored
        return plain and isinstance(self.targets, ByLabel) and all(one is None for one in besides)

    @property
    def positives_apart(self) -> bool:
        """May positives be counted one by one, all others by the kernel of negatives?"""
        return self.only_negatives_cost and self.dtype.itemsize <= 4

    def chunk(self, low: int, high: int) -> tuple[Any, Terms]:
        """Targets and terms of some labels, with labels along the first axis."""
        if isinstance(self.targets, ByLabel):
            return self.marked(self.targets, low, high), transposed(self.terms, low, high)
        return self.targets[:, low:high].T, transposed(self.terms, low, high)

    # ---- NumPy's arithmetic

    @functools.cached_property
    def divisor(self) -> Any:
        """What the sum is divided by: a number, or an array of the reduced shape."""
        return 1.0 if self.options.reduction == "none" else self.whole.denominator()

    @property
    def scale(self) -> Any:
        """What elementwise derivatives are multiplied by: a number, or an array that fits (rows, labels)."""
        return numpy.scale_of(self.whole, self.divisor)

    def divided(self, sums: Any) -> Any:
        """Sums of losses, divided."""
        return numpy.divide(sums, self.divisor)

    def upstream(self, upstream: Any) -> Any:
        """The scale of losses that are multiplied by these, each by its own."""
        if self.kept:
            upstream = np.expand_dims(upstream, reductions.axes_of(self.options, 2))
        return upstream * self.scale

    def check_first(self) -> None:
        """Refuse bad targets and weights before anything is done with what follows from them."""
        self.whole.check_first()

    def total(self) -> Any:
        """A sum to which numbers are added."""
        return ExactEnough()

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Room for single losses."""
        return np.empty(shape, self.dtype)

    def zeros(self, length: int) -> Any:
        """Sums of losses, of which there are none yet."""
        return np.zeros(length)

    @staticmethod
    def ones_like(losses: Any) -> Any:
        """The upstream gradients of losses that are added up."""
        return np.ones_like(losses, np.float64)

    def evaluate(self, x: Any, low: int, high: int, kept: tuple[int, ...], **outputs: Any) -> Any:
        """The sums of a chunk's losses over all but the `kept` axes of (labels, rows); `outputs` go to the kernels."""
        targets, terms = self.chunk(low, high)
        found, flags = cpu.evaluate(CROSS_ENTROPY, x, targets, terms, kept=kept, **outputs)
        if flags and self.options.validate:
            self.whole.refuse()
        return found

    def sums(self, x: Any, low: int, high: int, **outputs: Any) -> Any:
        """What `total` adds of a chunk: a number for each label, which does not depend on the chunk."""
        return self.evaluate(x, low, high, (0,), **outputs)

    def marked(self, targets: ByLabel, low: int, high: int) -> Any:
        """The positives of some labels as kernels take them."""
        return targets.columns(low, high)

    def pairs(self, low: int, high: int) -> tuple[Any, Any]:
        """Label, counted from `low`, and row of every positive of some labels."""
        found: tuple[Any, Any] = self.targets.pairs(low, high)
        return found

    def of_positives(self, x: Any, low: int, label: Any, row: Any) -> tuple[Any, Any]:
        """Losses and gradients of positives whose logits are these."""
        losses, grad = np.empty_like(x), np.empty_like(x)
        terms = picked(self.terms, self.shape, row, label + low)
        cpu.evaluate(CROSS_ENTROPY, x, np.ones(x.shape, np.uint8), terms, losses=losses, grad=grad)
        return losses.astype(np.float64), grad

    @staticmethod
    def held(x: Any, label: Any, row: Any) -> Any:
        """Some logits of a chunk as kernels read them."""
        return readable(x[label, row])

    @staticmethod
    def excess(a: Any, b: Any) -> Any:
        """a - b, 0 where both are infinite."""
        return np.where(a == b, 0.0, a - b)

    def negatives(self, layer: Layer, chunk: Any, low: int, high: int, *, wants_grad: bool) -> tuple[Any, Any]:
        """The sums of losses of a chunk of products; it becomes its gradient, whose sums come second."""
        return sums_of_negatives(layer.view(chunk), layer.shifts(low, high), wants_grad=wants_grad)

    @staticmethod
    def add_by_label(sums: Any, label: Any, numbers: Any) -> None:
        """Each number to the sum of its label."""
        sums += np.bincount(label, numbers, len(sums))


def transposed(terms: Terms, low: int, high: int) -> Terms:
    """The terms of labels low..high for a matrix of (labels, rows)."""

    def cut(value: Any) -> Any:
        if not getattr(value, "ndim", 0):
            return value
        return (value if value.shape[1] == 1 else value[:, low:high]).T

    return _changed(terms, cut)


def picked(terms: Terms, shape: tuple[int, int], row: Array, label: Array) -> Terms:
    """The terms of some elements, in a row."""

    def pick(value: Any) -> Any:
        if not getattr(value, "ndim", 0):
            return value
        return (np.broadcast_to(value, shape) if isinstance(value, np.ndarray) else value.expand(shape))[row, label]

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
            return problem.divided(self._total(factor, wanted, hook))
        refuse_hook(hook, problem.options)
        losses = self._losses()
        if any(wanted):
            self.gradients(problem.upstream(problem.ones_like(losses)), wanted)
        return losses if problem.options.reduction == "none" else problem.divided(losses)

    def _total(self, factor: float, wanted: Wanted, hook: Hook | None) -> Any:
        """The sum of all losses, added exactly enough to be the same for every size of chunks."""
        sums, apart = self.problem.total(), self.problem.positives_apart
        for low, high in self._chunks():
            slopes = None
            if apart:
                chunk = self.layer.products(low, high)
                slopes = self._positives_apart(chunk, low, high, any(wanted), sums)
            else:
                chunk = self.layer.logits(low, high)
                self._all_alike(chunk, low, high, any(wanted), sums)
            self._use(chunk, low, high, factor, wanted, hook, slopes)
        return sums.value()

    def _losses(self) -> Any:
        """The losses summed over the reduced axes, or one for each element."""
        problem, (rows, labels) = self.problem, self.problem.shape
        if not problem.kept:
            losses = problem.empty((rows, labels))
            for low, high in self._chunks():
                x = self.layer.view(self.layer.logits(low, high))
                problem.evaluate(x, low, high, (), losses=losses[:, low:high].T)
            return losses
        along_rows = problem.kept == (0,)
        found = problem.zeros(rows if along_rows else labels)
        for low, high in self._chunks():
            x = self.layer.view(self.layer.logits(low, high))
            if along_rows:
                found += problem.evaluate(x, low, high, (1,))
            else:
                found[low:high] = problem.evaluate(x, low, high, (0,))
        return found

    def gradients(self, scale: Any, wanted: Wanted) -> None:
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
        slopes: Any = None,
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

    def _all_alike(self, chunk: Any, low: int, high: int, wants_grad: bool, sums: Any) -> None:
        """Every element by the general kernel; of a narrow chunk positives are put right afterwards."""
        problem, x = self.problem, self.layer.view(chunk)
        narrow = isinstance(problem.targets, ByLabel) and x.itemsize < 4
        corrected = self._corrected(chunk, low, high) if narrow else None
        sums.add(problem.sums(x, low, high, **({"grad": x} if wants_grad else {})))
        if corrected is not None:
            label, row, more, grad = corrected
            sums.add(more)
            if wants_grad:
                self.layer.put(chunk, label, row, grad)

    def _corrected(self, chunk: Any, low: int, high: int) -> tuple[Any, Any, Any, Any]:
        """Positives, what their losses are more than those of the chunk's own logits, and their gradient."""
        problem = self.problem
        label, row = problem.pairs(low, high)
        exact, grad = problem.of_positives(self.layer.picked(chunk, low, label, row), low, label, row)
        held = problem.held(self.layer.view(chunk), label, row)
        as_summed, _ = problem.of_positives(held, low, label, row)
        return label, row, problem.excess(exact, as_summed), grad

    def _positives_apart(self, chunk: Any, low: int, high: int, wants_grad: bool, sums: Any) -> Any:
        """Positives one by one; at -inf, where they then stand, a negative costs nothing. The gradient's sums."""
        problem = self.problem
        label, row = problem.pairs(low, high)
        losses, grad = problem.of_positives(self.layer.picked(chunk, low, label, row), low, label, row)
        self.layer.put(chunk, label, row, -math.inf)
        found, slopes = problem.negatives(self.layer, chunk, low, high, wants_grad=wants_grad)
        sums.add(found)
        sums.add(losses)
        if slopes is not None:
            self.layer.put(chunk, label, row, grad)
            problem.add_by_label(slopes, label, grad)
        return slopes


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
