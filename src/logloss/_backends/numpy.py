"""Losses on NumPy arrays: dtypes, shapes, outputs and reductions around the compiled kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _reduce, _spec
from .._errors import InvalidInputError
from .._kernels import cpu
from .._spec import Options, Primitive, Terms
from ._diagnosis import explain
from .operands import Array, OptionArrays, check_shapes, floating, output, target_array

_ARRAYS = OptionArrays()
_FLOAT32, _FLOAT64 = (float(np.finfo(dtype).max) for dtype in (np.float32, np.float64))
_QUANTITY = {"probabilities": "probabilities", "log_probabilities": "log_probs"}


def on_host(value: Any) -> Any:
    """What a statistic is computed from: the array itself."""
    return value


def returned(value: Any, like: Any) -> Any:  # noqa: ARG001 - other libraries put it where `like` is
    """A statistic as its caller gets it."""
    return value


def shifted(x: Array, shift: Any) -> Array:
    """The array plus a number or a vector of numbers, rounded once."""
    with np.errstate(over="ignore"):  # what the type cannot hold is infinite
        moved: Array = (x.astype(np.float64) + shift).astype(x.dtype)
    return moved


# ---- evaluation -----------------------------------------------------------------------------------------------------


class Problem:
    """One loss on one pair of arrays, which `problem_of` has checked: what all public functions share."""

    def __init__(self, primitive: Primitive, x: Array, t: Any, options: Options) -> None:
        self.primitive, self.x, self.t, self.options = primitive, x, t, options
        self.terms = terms_of(options, t, x.itemsize)

    def denominator(self) -> Any:
        return denominator(self.t, self.options)

    def run(self, loss: Any = None, grad: Any = None, hess: Any = None, scale: Any = 1.0) -> Any:
        """Evaluate into the outputs; the sum of losses over the reduced axes."""
        kept = () if self.options.axis is None else _kept(self.options, self.x.ndim)
        total, flags = cpu.evaluate(self.primitive, self.x, self.t, self.terms, scale, loss, grad, hess, kept)
        if flags and self.options.validate:
            self.refuse()
        return total

    def check_first(self) -> None:
        """Before anything is overwritten: are targets, weights and probabilities in their domains?"""
        if not self.options.validate:
            return
        if self.primitive.name in _QUANTITY:
            self.run()
        elif cpu.check(self.t, self.terms) or (self.x.itemsize <= 4 and _exceeds_float32(self.terms)):
            self.refuse()

    def refuse(self) -> None:
        raise InvalidInputError(explain(self.x, self.t, self.terms, _QUANTITY.get(self.primitive.name)))


def problem_of(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Problem:
    """The loss on what a caller gave."""
    _spec.check_reduction(options)
    x, t = floating(logits, _QUANTITY.get(primitive.name, "logits")), target_array(targets)
    check_shapes(x, t)
    return Problem(primitive, x, t, options)


def _kept(options: Options, ndim: int) -> tuple[int, ...]:
    """The axes that stay when a loss is reduced over `axis`."""
    if options.axis is None:
        return ()
    reduced = _spec.reduced_axes(options.axis, ndim)
    return tuple(axis for axis in range(ndim) if axis not in reduced)


def terms_of(options: Options, t: Any, itemsize: int) -> Terms:
    """The coefficients of these options as kernels take them, for logits of so many bytes."""
    terms = _spec.terms(options, tuple(t.shape), getattr(t, "dtype", None), _ARRAYS)
    if terms is not _spec.PLAIN:
        terms = hold_ignored(terms, t)
        _check_prices(terms, itemsize)
    return terms


def _check_prices(terms: Terms, itemsize: int) -> None:
    """Logits of up to 32 bits are computed with in float32, and so are the prices that belong to them."""
    wide = itemsize > 4
    limit, bits, remedy = (_FLOAT64, "64", "Divide both") if wide else (_FLOAT32, "up to 32", "Use float64 logits")
    largest = max(price if type(price) is float else float(price.max(initial=0.0)) for price in terms.prices)
    if largest > limit:
        raise InvalidInputError(
            f"pos_weight times label_weight must be at most {limit:.1e} for logits of {bits} bits; got {largest:g}. "
            f"{remedy}."
        )


def _exceeds_float32(terms: Terms) -> bool:
    """Is a weight finite as it is given, but not in the arithmetic of the kernels?"""
    weights = [weight for weight in (terms.row, terms.element) if weight is not None and weight.itemsize > 4]
    return any(weight.max(initial=0) > _FLOAT32 for weight in weights)


def hold_ignored(terms: Terms, t: Any) -> Terms:
    """Kernels compare in float32: an ignored value that float32 cannot tell from others becomes part of the mask."""
    value = terms.ignored
    if value is None or value != value or _stands_out(value, t.dtype):
        return terms
    counts = t != t.dtype.type(value)
    return terms._replace(ignored=None, mask=counts if terms.mask is None else counts & terms.mask)


def _stands_out(value: float, dtype: Any) -> bool:
    """No other target rounds to it in float32, where 2 stands for all that float32 cannot hold."""
    if abs(value) >= 2**24 or float(np.float32(value)) != value or value == 2.0:
        return False
    return bool(dtype.kind != "f" or dtype.itemsize <= 4)


def denominator(t: Any, options: Options) -> Any:
    """What the reduction divides by, for targets that are arrays or positive indices."""

    def total(weighted: bool) -> Any:
        dtype = getattr(t, "dtype", None)
        terms = hold_ignored(_spec.weights_only(options, t.shape, dtype, _ARRAYS), t)
        if not weighted:
            terms = Terms(mask=terms.mask, ignored=terms.ignored)
        if terms.mask is None and terms.ignored is None and terms.element is None:
            return _product_of_sums(terms, t.shape, _kept(options, len(t.shape)))
        if terms.mask is not None and not weighted and terms.ignored is None and options.axis is None:
            return float(np.count_nonzero(np.broadcast_to(terms.mask, t.shape)))
        return cpu.tally(t, terms, _kept(options, len(t.shape)))[0]

    return _reduce.denominator(options, t.shape, total, _ARRAYS)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet: targets and weights are checked as a loss would."""
    if options.validate:
        terms = hold_ignored(_spec.terms(options, t.shape, getattr(t, "dtype", None), _ARRAYS), t)
        if cpu.check(t, terms):
            raise InvalidInputError(explain(np.empty(0), t, terms, None))
    divisor = denominator(t, options)
    return divisor if options.axis is None else np.full(_reduce.reduced_shape(options, t.shape), divisor)


def target_sums(t: Any, options: Options) -> tuple[Any, Any]:
    """Σ w·t and Σ w·(1-t) over the reduced axes."""
    # at log p = -1 a positive costs its price: t, and then 1 - t
    problem = Problem(_spec.LOG_PROBABILITIES, np.broadcast_to(np.float64(-1.0), t.shape), t, options)
    sums = []
    for prices in ((1.0, 0.0, 0.0, 0.0), (-1.0, 1.0, 0.0, 0.0)):
        problem.terms = problem.terms._replace(prices=prices)
        sums.append(problem.run())
    return sums[0], sums[1]


def _product_of_sums(terms: Terms, shape: tuple[int, ...], kept: tuple[int, ...]) -> Any:
    """The sum of the weights where every element counts: of a label's weight and a row's, each a vector."""
    ones = np.ones((1,) * len(shape))
    label, row = (ones * (1.0 if weight is None else weight) for weight in (terms.prices[0], terms.row))
    if label.shape == row.shape:  # along one axis, or none
        label, row = label * row, ones
    reduced = tuple(axis for axis in range(len(shape)) if axis not in kept)
    repeated = math.prod(shape[axis] for axis in reduced if label.shape[axis] == row.shape[axis] == 1)
    sums = label.sum(axis=reduced) * row.sum(axis=reduced) * repeated
    return np.broadcast_to(sums, [shape[axis] for axis in kept]) if kept else float(sums)


def _divide(total: Any, denominator: Any) -> Any:
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
    factors = np.asarray(_divide(1.0, denominator))
    if problem.options.axis is None:
        return float(factors)
    axes = _spec.reduced_axes(problem.options.axis, problem.x.ndim)
    return np.expand_dims(factors, axes) if factors.ndim else float(factors)


def like(x: Array) -> Array:
    """An array that lies in memory as x does."""
    return np.empty(x.shape, x.dtype) if x.flags.c_contiguous else np.empty_like(x)


def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    return single(problem_of(primitive, logits, targets, options))


def single(problem: Problem) -> Any:
    """The loss alone."""
    options = problem.options
    if options.reduction == "none":
        losses = like(problem.x)
        problem.run(loss=losses)
        return losses[()]
    return _divide(problem.run(), problem.denominator())


def value_and_grad(
    primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None
) -> tuple[Any, Array]:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    problem = problem_of(primitive, logits, targets, options)
    if out is not None:
        return into(problem, output(out, problem.x))
    return both(problem, like(problem.x))


def into(problem: Problem, out: Array) -> tuple[Any, Array]:
    """The gradient into the caller's array. If that holds an input, inputs are checked before it is written."""
    inputs = [problem.x, problem.t]
    if problem.terms is not _spec.PLAIN:
        inputs += problem.terms[1:4]
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
    return _divide(total, denominator), grad


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> tuple[Array, Array]:
    """The elementwise first and second derivatives."""
    return derivatives(problem_of(primitive, logits, targets, options))


def derivatives(problem: Problem) -> tuple[Array, Array]:
    """The elementwise derivatives alone."""
    grad, hess = like(problem.x), like(problem.x)
    problem.run(grad=grad, hess=hess)
    return grad, hess
