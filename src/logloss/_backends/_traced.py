"""Losses as operations that a framework traces, compiles and differentiates: what JAX and TensorFlow share.

`xp` is the framework: the functions that `_formula` asks for, and of arrays `cast`, `total` (a sum over axes),
`constant` (a number in the type of an array), `expand` (a new axis) and `derivative` (an order of the formula, which
differentiates into the next).

What breaks a rule makes its price NaN, and so its loss and gradient: compiled code needs no second result, and where
values are at hand a loss that is no NaN has nothing wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import _formula, _reduce, _spec
from .._errors import InvalidInputError
from .._spec import Options, Primitive, Terms
from ._diagnosis import explain
from .operands import OptionArrays

ARRAYS = ("pos_weight", "weight", "sample_weight", "label_weight", "mask", "normalizer")
"""The options whose values are arrays."""
FOCUSED = ("focal", "asymmetric")
"""Losses that depend on the target not through the prices alone."""
QUANTITY = {"probabilities": "probabilities", "log_probabilities": "log_probs"}
_INSIDE = {"probabilities": 0.5, "log_probabilities": -1.0}
"""What stands in for an element that does not count, where 0 is not inside the domain."""


class Operands(NamedTuple):
    """Logits and targets, the shape of both with None for a length not known yet, and its lengths as numbers."""

    x: Any
    t: Any
    shape: tuple[Any, ...]
    lengths: tuple[Any, ...]
    dtype: Any
    """The targets' type as NumPy names it."""


def formula(xp: Any, primitive: Primitive, x: Any, u: Any, v: Any, t: Any) -> _formula.Triple:
    """Loss, slope and curvature of each element."""
    function = getattr(_formula, primitive.name)
    if primitive.name in FOCUSED:
        return function(xp, x, u, v, t, primitive.parameters)  # type: ignore[no-any-return]
    return function(xp, x, u, v, *primitive.parameters[1:])  # type: ignore[no-any-return]


class Problem:
    """One loss on one pair of arrays: operands in the arithmetic's type, and what counts."""

    def __init__(self, xp: Any, primitive: Primitive, given: Operands, options: Options, arrays: Any) -> None:
        _spec.check_reduction(options)
        self.xp, self.primitive, self.given, self.options, self.arrays = xp, primitive, given, options, arrays
        terms = _spec.terms(options, given.shape, given.dtype, arrays)
        self.counts = _counted(xp, given.t, terms)
        x, t = xp.cast(given.x, arrays.dtype), xp.cast(given.t, arrays.dtype)
        if self.counts is not None:
            x, t = xp.where(self.counts, x, _INSIDE.get(primitive.name, 0.0)), xp.where(self.counts, t, 0.0)
        weights = (None if one is None else xp.cast(one, arrays.dtype) for one in terms[1:3])
        terms = Terms(terms.prices, *weights)
        u, v = _formula.prices(t, terms)
        if options.validate:
            fine = _in_domain(primitive, x, t, terms)
            u, v = xp.where(fine, u, math.nan), xp.where(fine, v, math.nan)
        self.operands = x, u, v, t

    def elementwise(self, order: int) -> Any:
        """The loss (0), slope (1) or curvature (2) of each element, 0 where it does not count."""
        values = self.xp.derivative(order, self.primitive, *self.operands)
        return values if self.counts is None else self.xp.where(self.counts, values, 0.0)

    def as_given(self, array: Any) -> Any:
        """Elementwise results have the logits' type."""
        return self.xp.cast(array, self.given.x.dtype)


def value(problem: Problem) -> Any:
    """The loss, reduced."""
    losses = problem.elementwise(0)
    if problem.options.reduction == "none":
        return problem.as_given(losses)
    axes = _axes(problem.options, problem.given.shape)
    return _divide(problem.xp, problem.xp.total(losses, axes), _denominator(problem))


def value_and_grad(problem: Problem) -> tuple[Any, Any]:
    """The loss, reduced, and its gradient."""
    slopes = problem.elementwise(1)
    if problem.options.reduction != "none":
        scale = _divide(problem.xp, 1.0, _denominator(problem))
        if problem.options.axis is not None and len(getattr(scale, "shape", ())):
            for axis in _axes(problem.options, problem.given.shape) or ():
                scale = problem.xp.expand(scale, axis)
        slopes = slopes * scale
    return value(problem), problem.as_given(slopes)


def grad_and_hess(problem: Problem) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    return problem.as_given(problem.elementwise(1)), problem.as_given(problem.elementwise(2))


def _denominator(problem: Problem) -> Any:
    return denominator(problem.xp, problem.given, problem.options, problem.arrays)


def denominator(xp: Any, given: Operands, options: Options, arrays: Any) -> Any:
    """What the reduction divides by: a number, or an array where values decide."""

    def total(weighted: bool) -> Any:
        terms = _spec.weights_only(options, given.shape, given.dtype, arrays)
        weight = xp.cast(given.t, arrays.dtype) * 0.0 + 1.0  # of the targets' shape
        for factor in (terms.prices[0], terms.row, terms.element) if weighted else ():
            weight = (
                weight
                if factor is None
                else weight * (factor if isinstance(factor, float) else xp.cast(factor, arrays.dtype))
            )
        counts = _counted(xp, given.t, terms)
        return xp.total(weight if counts is None else xp.where(counts, weight, 0.0), _axes(options, given.shape))

    known = options.normalizer is not None
    divisor = _reduce.denominator(options, given.shape if known else given.lengths, total, arrays)
    if not known:
        return divisor
    divisor = xp.cast(divisor, arrays.dtype)
    return xp.where((divisor > 0) & (divisor < math.inf), divisor, math.nan) if options.validate else divisor


def _axes(options: Options, shape: tuple[Any, ...]) -> tuple[int, ...] | None:
    return None if options.axis is None else _spec.reduced_axes(options.axis, len(shape))


def _counted(xp: Any, t: Any, terms: Terms) -> Any:
    """Which elements count; None if all do."""
    mask = None if terms.mask is None else xp.cast(terms.mask, xp.bool)
    if terms.ignored is None:
        return mask
    kept = (t == t) if terms.ignored != terms.ignored else (t != xp.constant(terms.ignored, t))
    return kept if mask is None else kept & mask


def _in_domain(primitive: Primitive, x: Any, t: Any, terms: Terms) -> Any:
    fine = (t >= 0) & (t <= 1)
    for factor in (*terms.prices, terms.row, terms.element):
        if factor is not None and not isinstance(factor, float):
            fine = fine & (factor >= 0) & (factor < math.inf)
    if primitive.name in QUANTITY:
        fine = fine & ((x <= 0) if primitive.name == "log_probabilities" else (x >= 0) & (x <= 1))
    return fine


def _divide(xp: Any, total: Any, divisor: Any) -> Any:
    """total / divisor, 0 where nothing counts."""
    if isinstance(divisor, float):
        return total / divisor if divisor else total * 0.0
    nothing = divisor == 0
    return xp.where(nothing, 0.0, total / xp.where(nothing, 1.0, divisor))


def refuse(primitive: Primitive, x: Any, t: Any, options: Options, on_host: Callable[[Any], Any]) -> None:
    """Raise what NumPy arrays of these values would, if one of them breaks a rule: a NaN logit breaks none."""
    given = {name: on_host(getattr(options, name)) for name in ARRAYS}
    options = options._replace(**given)
    x, t = on_host(x), on_host(t)
    terms = _spec.terms(options, t.shape, getattr(t, "dtype", None), OptionArrays())
    if options.normalizer is not None:
        _spec.normalizer(options.normalizer, _reduce.reduced_shape(options, t.shape), OptionArrays())
    with np.errstate(invalid="ignore"):
        message = explain(x, t, terms, QUANTITY.get(primitive.name))
    if message:
        raise InvalidInputError(message)
