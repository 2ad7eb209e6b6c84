"""Losses on NumPy arrays: dtypes, shapes, outputs and reductions around the compiled kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .._kernels import cpu
from .._spec import reductions
from .._spec.losses import LOG_PROBABILITY, PLAIN_LOSS, Primitive, reduced
from .._spec.options import DEFAULTS, ELEMENTWISE, Options, is_signed
from .._spec.terms import Terms, terms, weights_only
from .._types import Array, Shape
from ._diagnosis import FLOAT32, check_prices, explain
from .operands import OptionArrays, check_shapes, floating, output, target_array
from .repeated import repeated

__all__ = ["floating", "target_array"]

_ARRAYS = OptionArrays()


def on_host(value: Any) -> Any:
    """What a statistic is computed from: the array itself."""
    return value


def from_host(value: Any, like: Any) -> Any:  # noqa: ARG001 - other libraries put it where `like` is
    """A statistic as its caller gets it."""
    return value


def shifted(x: Array, shift: Any) -> Array:
    """The array plus a number or a vector of numbers, rounded once."""
    with np.errstate(over="ignore"):  # what the type cannot hold is infinite
        moved: Array = (x.astype(np.float64) + shift).astype(x.dtype)
    return moved


# ---- the common case ------------------------------------------------------------------------------------------------

PLAIN_OPTIONS = {
    "pos_weight": (float, int),
    "label_weight": (float, int),
    "label_axis": (int,),
    "label_smoothing": (float, int),
    "reduction": (str,),
    "validate": (bool,),
}
"""The options that a plain loop serves, where their values are of these types."""
_LOOPS: dict[Any, Any] = {}
"""The plain loop of each kind of call, None for kinds that have none, and what it takes of defaults: asked once."""
_UNKNOWN = None, None


def _by_loop(
    primitive: Primitive, x: Any, t: Any, options: Options, wants_grad: bool, out: Any = None
) -> tuple[Any, Any] | None:
    """The loss, and the gradient if wanted, by the plain loop of such calls; None where there is none."""
    if type(x) is not np.ndarray or type(t) is not np.ndarray or x.shape != t.shape:
        return None
    if primitive.given and not are_numbers(primitive.given):
        return None
    for name, given in options.given.items():
        if type(given) not in PLAIN_OPTIONS.get(name, ()):
            return None
    kind = primitive.loss.name, primitive.loss.wide, wants_grad, x.dtype, t.dtype, x.flags.carray, t.flags.carray
    loop, usual = _LOOPS.get(kind, _UNKNOWN)
    if usual is None:
        loop = cpu.loop(primitive.loss, x, t, wants_grad)
        usual = () if loop is None else loop.numbers(terms_of(Primitive(primitive.loss), DEFAULTS, t, x.itemsize))
        _LOOPS[kind] = loop, usual
    if loop is None or not x.size or options.reduction not in TO_ONE_NUMBER:
        return None
    if out is None:
        out = np.empty(x.shape, x.dtype) if wants_grad else None
    elif not _takes(out, x, t):
        return None
    plain = not primitive.given and ELEMENTWISE.isdisjoint(options.given)
    numbers = usual if plain else loop.numbers(terms_of(primitive, options, t, x.itemsize))
    if numbers is None:
        return None
    divisor = denominator(t, options) if options.given else float(x.size)
    total, flags = loop(x, t, out, numbers, 1.0 / divisor)
    if flags and options.validate:
        problem_of(primitive, x, t, options).refuse()
    return np.float64(total / divisor), out


def are_numbers(values: Any) -> bool:
    """Are a loss's own numbers such of Python, whose values a plain loop takes as they are?"""
    return all(value is None or type(value) in (float, int) for value in values)


TO_ONE_NUMBER = ("mean", "sum", "batchmean")


def _takes(out: Any, x: Array, t: Array) -> bool:
    """May a plain loop write the gradient there, before all inputs are checked?"""
    if type(out) is not np.ndarray or out.shape != x.shape or out.dtype != x.dtype or not out.flags.carray:
        return False
    owns = out.flags.owndata
    return not (_overlap(out, owns, x) or _overlap(out, owns, t))


# ---- evaluation -----------------------------------------------------------------------------------------------------


class Problem:
    """One loss on one pair of arrays, which `problem_of` has checked: what all public functions share."""

    def __init__(self, primitive: Primitive, x: Array, t: Any, options: Options) -> None:
        self.primitive, self.loss, self.x, self.t, self.options = primitive, primitive.loss, x, t, options
        self.repeated = repeated(primitive, x, t, options)
        self.terms = self._terms_of(options) if self.repeated is None else self.repeated.terms(options, self._terms_of)

    def _terms_of(self, options: Options) -> Terms:
        return terms_of(self.primitive, options, self.t, self.x.itemsize)

    def denominator(self) -> Any:
        return denominator(self.t, self.options, self.terms, None if self.repeated is None else self.repeated.counts)

    def run(self, loss: Any = None, grad: Any = None, hess: Any = None, scale: Any = 1.0) -> Any:
        """Evaluate into the outputs; the sum of losses over the reduced axes."""
        kept = () if self.options.axis is None else reductions.kept_axes(self.options, self.x.ndim)
        kinds = None if self.repeated is None else self.repeated.kinds
        total, flags = cpu.evaluate(self.loss, self.x, self.t, self.terms, scale, loss, grad, hess, kept, kinds)
        if flags and self.options.validate:
            self.refuse()
        return total

    def check_first(self) -> None:
        """Before anything is overwritten: are targets, weights and probabilities in their domains?"""
        if not self.options.validate:
            return
        if self.loss.quantity.bounded:
            self.run()
        elif cpu.check(self.t, self.terms) or (self.x.itemsize <= 4 and _exceeds_float32(self.terms)):
            self.refuse()

    def refuse(self) -> None:
        quantity = self.loss.quantity
        name, signed = quantity.name if quantity.bounded else None, is_signed(self.options.validate)
        message = explain(self.x, self.t, self.terms, name, signed)
        if message or not signed:
            raise InvalidInputError(message)


def problem_of(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Problem:
    """The loss on what a caller gave."""
    if options is not DEFAULTS:
        reductions.check_static(options)
    x, t = floating(logits, primitive.loss.quantity.name), target_array(targets)
    if x.shape != t.shape:
        check_shapes(x, t, primitive.loss.quantity.name)
    return Problem(primitive, x, t, options)


def terms_of(primitive: Primitive, options: Options, t: Any, itemsize: int) -> Terms:
    """The coefficients of these options as kernels take them, for logits of so many bytes."""
    found = terms(primitive, options, tuple(t.shape), t.dtype, _ARRAYS)
    if options.given:
        if found.ignored is not None:
            found = hold_ignored(found, t)
        check_prices(found, itemsize)
    return found


def _exceeds_float32(found: Terms) -> bool:
    """Is a weight finite as it is given, but not in the arithmetic of the kernels?"""
    weights = [weight for weight in (found.row, found.element) if weight is not None and weight.itemsize > 4]
    return any(weight.max(initial=0) > FLOAT32 for weight in weights)


def hold_ignored(found: Terms, t: Any) -> Terms:
    """Kernels compare in float32: an ignored value that float32 cannot tell from others becomes part of the mask."""
    value = found.ignored
    if value is None or value != value or _stands_out(value, t.dtype):
        return found
    counts = t != t.dtype.type(value)
    return found._replace(ignored=None, mask=counts if found.mask is None else counts & found.mask)


def _stands_out(value: float, dtype: Any) -> bool:
    """No other target rounds to it in float32, where 2 stands for all that float32 cannot hold."""
    if abs(value) >= 2**24 or float(np.float32(value)) != value or value == 2.0:
        return False
    return bool(dtype.kind != "f" or dtype.itemsize <= 4)


def denominator(t: Any, options: Options, known: Terms | None = None, kinds: Any = None) -> Any:
    """What the reduction divides by, for targets that are arrays or positive indices.

    `known` are the terms of these options, `kinds` what is kept for others of the kind.
    """

    def total(weighted: bool) -> Any:
        if weighted or known is None:
            found = hold_ignored(weights_only(options, t.shape, t.dtype, _ARRAYS), t)
        else:
            found = known
        kept = reductions.kept_axes(options, len(t.shape))
        if not weighted:
            found = Terms(mask=found.mask, ignored=found.ignored)
        if found.mask is None and found.ignored is None and found.element is None:
            return _product_of_sums(found, t.shape, kept)
        if found.mask is not None and not weighted and found.ignored is None and options.axis is None:
            mask = found.mask if found.mask.shape == t.shape else np.broadcast_to(found.mask, t.shape)
            return float(np.count_nonzero(mask))
        return cpu.tally(t, found, kept, None if weighted else kinds)[0]

    return reductions.denominator(options, t.shape, total, _ARRAYS)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet: targets and weights are checked as a loss would."""
    if options.validate:
        found = hold_ignored(terms(PLAIN_LOSS, options, t.shape, t.dtype, _ARRAYS), t)
        if cpu.check(t, found):
            raise InvalidInputError(explain(np.empty(0), t, found, None))
    divisor = denominator(t, options)
    return divisor if options.axis is None else np.full(reductions.reduced_shape(options, t.shape), divisor)


def target_sums(t: Any, options: Options) -> tuple[Any, Any]:
    """Σ w·t and Σ w·(1-t) over the reduced axes."""
    # at log p = -1 a positive costs its price: t, and then 1 - t
    problem = Problem(Primitive(LOG_PROBABILITY), np.broadcast_to(np.float64(-1.0), t.shape), t, options)
    sums = []
    for prices in ((1.0, 0.0, 0.0, 0.0), (-1.0, 1.0, 0.0, 0.0)):
        problem.terms = problem.terms._replace(prices=prices)
        sums.append(problem.run())
    return sums[0], sums[1]


def _product_of_sums(found: Terms, shape: Shape, kept: tuple[int, ...]) -> Any:
    """The sum of the weights where every element counts: of a label's weight and a row's, each a vector."""
    ones = np.ones((1,) * len(shape))
    label, row = (ones * (1.0 if weight is None else weight) for weight in (found.prices[0], found.row))
    if label.shape == row.shape:  # along one axis, or none
        label, row = label * row, ones
    reduced = tuple(axis for axis in range(len(shape)) if axis not in kept)
    repeated = math.prod(shape[axis] for axis in reduced if label.shape[axis] == row.shape[axis] == 1)
    sums = label.sum(axis=reduced) * row.sum(axis=reduced) * repeated
    return np.broadcast_to(sums, [shape[axis] for axis in kept]) if kept else float(sums)


def divide(total: Any, denominator: Any) -> Any:
    """total / denominator, 0 where nothing counts."""
    if type(denominator) is float and type(total) is float:
        return np.float64(total / denominator) if denominator else np.float64(0.0)
    denominator = np.asarray(denominator)
    nothing = denominator == 0
    return np.where(nothing, 0.0, total / np.where(nothing, 1.0, denominator))[()]


def scale_of(problem: Problem, denominator: Any) -> Any:
    """What the elementwise derivatives are multiplied by, broadcastable against the logits."""
    if type(denominator) is float:
        return 1.0 / denominator if denominator else 0.0
    factors = np.asarray(divide(1.0, denominator))
    if problem.options.axis is None:
        return float(factors)
    axes = reductions.axes_of(problem.options, problem.x.ndim)
    return np.expand_dims(factors, axes) if factors.ndim else float(factors)


def like(x: Array) -> Array:
    """An array that lies in memory as x does."""
    return np.empty(x.shape, x.dtype) if x.flags.c_contiguous else np.empty_like(x)


def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    primitive = reduced(primitive)
    found = _by_loop(primitive, logits, targets, options, False)
    return loss_alone(problem_of(primitive, logits, targets, options)) if found is None else found[0]


def loss_alone(problem: Problem) -> Any:
    """The loss alone."""
    options = problem.options
    if options.reduction == "none":
        losses = like(problem.x)
        problem.run(loss=losses)
        return losses[()]
    return divide(problem.run(), problem.denominator())


def value_and_grad(
    primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None
) -> tuple[Any, Array]:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    primitive = reduced(primitive)
    found = _by_loop(primitive, logits, targets, options, True, out)
    if found is not None:
        return found
    problem = problem_of(primitive, logits, targets, options)
    return both(problem, like(problem.x)) if out is None else into(problem, output(out, problem.x))


def into(problem: Problem, out: Array) -> tuple[Any, Array]:
    """The gradient into the caller's array. If that holds an input, inputs are checked before it is written."""
    inputs = [problem.x, problem.t, *problem.terms[1:4]]
    owns = out.flags.owndata
    overlaps = [array for array in inputs if isinstance(array, np.ndarray) and _overlap(out, owns, array)]
    if not overlaps:
        return both(problem, out)
    problem.check_first()
    same = len(overlaps) == 1 and overlaps[0] is problem.x and _same_memory(out, problem.x)
    value, gradient = both(problem, problem.x if same else like(out))
    if not same:
        out[...] = gradient
    return value, out


def _overlap(a: Array, owns: bool, b: Array) -> bool:
    """May a, which `owns` its memory or not, share memory with b? Two owners cannot, and that is quickly asked."""
    return a is b or (not (owns and b.flags.owndata) and np.may_share_memory(a, b))


def _same_memory(a: Array, b: Array) -> bool:
    return (
        a.dtype == b.dtype and a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]
    )


def both(problem: Problem, grad: Array) -> tuple[Any, Array]:
    """The loss, and its gradient into `grad`."""
    options = problem.options
    if options.reduction == "none":
        losses = like(problem.x)
        problem.run(loss=losses, grad=grad)
        return losses[()], grad
    denominator = problem.denominator()
    total = problem.run(grad=grad, scale=scale_of(problem, denominator))
    return divide(total, denominator), grad


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> tuple[Array, Array]:
    """The elementwise first and second derivatives."""
    primitive = reduced(primitive)
    found = _by_curved_loop(primitive, logits, targets, options)
    return derivatives(problem_of(primitive, logits, targets, options)) if found is None else found


def _by_curved_loop(primitive: Primitive, x: Any, t: Any, options: Options) -> tuple[Array, Array] | None:
    """Both by the loop that boosting needs; None where there is none."""
    if type(x) is not np.ndarray or type(t) is not np.ndarray or x.shape != t.shape or not x.size:
        return None
    weights, prices = options.given.get("sample_weight"), options.without({"sample_weight"})
    if primitive != PLAIN_LOSS or not all(
        type(one) in PLAIN_OPTIONS.get(name, ()) for name, one in prices.given.items()
    ):
        return None
    if weights is not None and not (_is_weight_of_each(weights) and weights.shape == x.shape):
        return None
    entry = cpu.curvature_entry(x, t)
    if entry is None:
        return None
    grad, hess = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    flags = cpu.derivatives(entry, x, t, weights, terms_of(primitive, prices, t, x.itemsize).prices, grad, hess)
    if flags and options.validate:
        problem_of(primitive, x, t, options).refuse()
    return grad, hess


def _is_weight_of_each(weights: Any) -> bool:
    return type(weights) is np.ndarray and weights.dtype == np.float32 and weights.ndim == 1 and weights.flags.carray


def derivatives(problem: Problem) -> tuple[Array, Array]:
    """The elementwise derivatives alone."""
    grad, hess = like(problem.x), like(problem.x)
    problem.run(grad=grad, hess=hess)
    return grad, hess
