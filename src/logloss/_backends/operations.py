"""Losses as array operations: what JAX, TensorFlow, PyTorch's tensor operations and the array API share.

`Operations` is what an array library must offer; the formula is written in nothing else. A library that differentiates
by itself is told the derivatives: the formula gives each loss with its slope and curvature, and `derivative` says that
each order's derivative is the next. To differentiate its selections would lose terms at 0 and at infinity. Losses are
linear in the prices, so their derivatives with respect to those are the formula at prices of 1 and 0.

What breaks a rule makes its price NaN, and so its loss and gradient: compiled code needs no second result, and where
values are at hand a loss that is no NaN has nothing wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import _formula
from .._errors import InvalidInputError
from .._spec import reductions
from .._spec.losses import Loss, Primitive, Quantity
from .._spec.options import VARYING, Options, is_signed
from .._spec.terms import Arrays, Terms, terms, weights_only
from ._diagnosis import check_prices, explain
from .operands import OptionArrays


class Operations(Protocol):
    """An array library: NumPy's names that `_formula` asks for, and these."""

    bool: Any

    def where(self, condition: Any, a: Any, b: Any) -> Any: ...

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another type."""

    def is_wider(self, array: Any, dtype: Any) -> bool:
        """Is it a floating array of more digits than this type?"""

    def total(self, array: Any, axes: tuple[int, ...], dtype: Any) -> Any:
        """The sum over these axes, in this type."""

    def expand(self, array: Any, axes: tuple[int, ...]) -> Any:
        """The array with new axes of length 1 at these places."""

    def derivative(self, order: int, loss: Loss, x: Any, u: Any, v: Any, rest: tuple[Any, ...]) -> Any:
        """The loss (0), its slope (1) or its curvature (2) of each element; `rest` is (yes, no, parameters)."""

    def constant(self, number: float, like: Any) -> Any:
        """A number in the type of an array."""

    def fixed(self, t: Any, loss: Loss) -> Any:
        """Targets of which nobody may want a gradient."""


class Dtypes(NamedTuple):
    """The types of the arithmetic, of sums and denominators, and of a reduced loss."""

    arithmetic: Any
    sums: Any
    result: Any


class Operands(NamedTuple):
    """Logits and targets of one shape, with None for a length not known yet, and its lengths as numbers."""

    x: Any
    t: Any
    shape: tuple[Any, ...]
    lengths: tuple[Any, ...]
    target_dtype: Any
    """The targets' type, as `Arrays.representable` knows it; None for positive indices."""


def formula(xp: Any, loss: Loss, x: Any, u: Any, v: Any, rest: tuple[Any, ...]) -> _formula.Triple:
    """Loss, slope and curvature of each element."""
    return _formula.of(loss)(xp, x, u, v, *rest)


class Setting:
    """One loss on one pair of arrays: its coefficients in the arithmetic's type, what counts, what sums are divided by.

    `checked`: targets and weights are known to be in their domains; otherwise those that are not make the loss NaN.
    """

    def __init__(
        self,
        xp: Any,
        primitive: Primitive,
        given: Operands,
        options: Options,
        arrays: Arrays,
        dtypes: Dtypes,
        *,
        checked: bool = False,
    ) -> None:
        reductions.check_static(options)
        self.xp, self.loss, self.given, self.options, self.arrays = xp, primitive.loss, given, options, arrays
        self.dtypes, self.checked = dtypes, checked or not options.validate
        self.terms = _cast(xp, terms(primitive, options, given.shape, given.target_dtype, arrays), dtypes.arithmetic)

    def axes(self) -> tuple[int, ...]:
        """The axes that are reduced."""
        return reductions.axes_of(self.options, len(self.given.shape))

    def denominator(self) -> Any:
        """What the reduction divides by."""
        return denominator(self.xp, self.given, self.options, self.arrays, self.dtypes.sums, checked=self.checked)

    def scale(self, upstream: Any = 1.0) -> Any:
        """What slopes are multiplied by: a number, or an array that broadcasts against the elements."""
        scale = upstream
        if self.options.reduction != "none":
            scale = divide(self.xp, upstream, self.denominator())
            if self.options.axis is not None and len(getattr(scale, "shape", ())):
                scale = self.xp.expand(scale, self.axes())
        return scale if isinstance(scale, float) else self.xp.cast(scale, self.dtypes.arithmetic)

    def reduced(self, losses: Any) -> Any:
        """Losses of the elements, summed and divided."""
        return self.mean(self.xp.total(losses, self.axes(), self.dtypes.sums))

    def mean(self, total: Any) -> Any:
        """A sum, divided, in the sum's own type, which kernels have wider than the arithmetic's."""
        divisor = self.denominator()
        divisor = self.xp.cast(divisor, total.dtype) if hasattr(divisor, "dtype") else divisor
        return self.xp.cast(divide(self.xp, total, divisor), self.dtypes.result)

    def as_given(self, array: Any) -> Any:
        """Elementwise results have the logits' type."""
        return self.xp.cast(array, self.given.x.dtype)


class Problem(Setting):
    """A setting with its operands in the arithmetic's type.

    `positive_price` multiplies the price of missing a positive, as an array that broadcasts against the logits.
    """

    def __init__(self, *setting: Any, checked: bool = False, positive_price: Any = None) -> None:
        super().__init__(*setting, checked=checked)
        xp, found, loss = self.xp, self.terms, self.loss
        self.counts = counted(xp, self.given.t, found)
        x, t, rest = self._arithmetic()
        if loss.focused:
            t, rest = xp.fixed(t, loss), xp.fixed(rest, loss)
        u, v = _formula.prices(t, rest, found)
        if positive_price is not None:
            u = u * positive_price
        if not self.checked:
            fine = self._in_domain(x, t, rest, (*found.prices, found.row, positive_price), found.element)
            for parameter in found.parameters:  # NaN where it was out of its interval
                fine = fine if isinstance(parameter, float) else fine & (parameter == parameter)
            u, v = xp.where(fine, u, math.nan), xp.where(fine, v, math.nan)
        yes = no = None  # the target acts through the prices
        if loss.focused:
            yes, no = _formula.smoothed(t, rest, found)
        self.operands = x, u, v, (yes, no, found.parameters)

    def _arithmetic(self) -> tuple[Any, Any, Any]:
        """x, t and 1 - t in the arithmetic's type, this from the targets' own digits."""
        xp, dtype = self.xp, self.dtypes.arithmetic
        x, t = xp.cast(self.given.x, dtype), xp.cast(self.given.t, dtype)
        wider = xp.is_wider(self.given.t, dtype)
        rest = xp.cast(1 - self.given.t, dtype) if wider else None
        if self.counts is not None:
            x, t = xp.where(self.counts, x, self.loss.quantity.inside), xp.where(self.counts, t, 0.0)
            rest = xp.where(self.counts, rest, 1.0) if wider else None
        return x, t, rest if wider else 1 - t

    def _in_domain(self, x: Any, t: Any, rest: Any, factors: tuple[Any, ...], weight: Any) -> Any:
        if weight is not None and is_signed(self.options.validate):
            weight = self.xp.abs(weight)
        fine, factors = (t >= 0) & (rest >= 0), (*factors, weight)
        for factor in factors:
            if factor is not None and not isinstance(factor, float):
                fine = fine & (factor >= 0) & ~self.xp.isinf(factor)
        return fine & self.loss.quantity.holds(x) if self.loss.quantity.bounded else fine

    def elementwise(self, order: int) -> Any:
        """The loss (0), slope (1) or curvature (2) of each element, 0 where it does not count."""
        values = self.xp.derivative(order, self.loss, *self.operands)
        return values if self.counts is None else self.xp.where(self.counts, values, 0.0)

    def value(self) -> Any:
        """The loss, reduced."""
        losses = self.elementwise(0)
        return self.as_given(losses) if self.options.reduction == "none" else self.reduced(losses)

    def gradient(self, upstream: Any = 1.0) -> Any:
        """The derivative of Σ upstream·value with respect to the logits."""
        return self.as_given(self.scaled_slopes(upstream))

    def scaled_slopes(self, upstream: Any = 1.0) -> Any:
        """The same in the arithmetic's type."""
        slopes, scale = self.elementwise(1), self.scale(upstream)
        return slopes if isinstance(scale, float) and scale == 1.0 else slopes * scale


def value(problem: Problem) -> Any:
    """The loss, reduced."""
    return problem.value()


def value_and_grad(problem: Problem) -> tuple[Any, Any]:
    """The loss, reduced, and its gradient."""
    return problem.value(), problem.gradient()


def value_and_slopes(problem: Problem) -> tuple[Any, Any]:
    """The loss, reduced, and its gradient in the arithmetic's type."""
    return problem.value(), problem.scaled_slopes()


def grad_and_hess(problem: Problem) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    return problem.as_given(problem.elementwise(1)), problem.as_given(problem.elementwise(2))


def denominator(
    xp: Any,
    given: Operands,
    options: Options,
    arrays: Arrays,
    dtype: Any,
    *,
    checked: bool = False,
    total: Callable[[bool], Any] | None = None,
) -> Any:
    """What the reduction divides by: a number, or an array where values decide. `total` may count in another way."""

    def total_weight(weighted: bool) -> Any:
        found = weights_only(options, given.shape, given.target_dtype, arrays)
        weight = xp.cast(given.t, dtype) * 0.0 + 1.0  # of the targets' shape
        for factor in (found.prices[0], found.row, found.element) if weighted else ():
            if factor is not None:
                weight = weight * (factor if isinstance(factor, float) else xp.cast(factor, dtype))
        counts = counted(xp, given.t, found)
        weight = weight if counts is None else xp.where(counts, weight, 0.0)
        return xp.total(weight, reductions.axes_of(options, len(given.shape)), dtype)

    known = options.normalizer is not None
    divisor = reductions.denominator(options, given.shape if known else given.lengths, total or total_weight, arrays)
    if not known:
        return divisor
    divisor = xp.cast(divisor, dtype)
    if checked:
        return divisor
    return xp.where((divisor > 0) & ~xp.isinf(divisor), divisor, math.nan)


def counted(xp: Any, t: Any, found: Terms) -> Any:
    """Which elements count; None if all do."""
    mask = None if found.mask is None else xp.cast(found.mask, xp.bool)
    if found.ignored is None:
        return mask
    kept = (t == t) if found.ignored != found.ignored else (t != xp.constant(found.ignored, t))
    return kept if mask is None else kept & mask


def _cast(xp: Any, found: Terms, dtype: Any) -> Terms:
    """The coefficients that are arrays, in the arithmetic's type."""

    def cast(one: Any) -> Any:
        return one if one is None or isinstance(one, float) else xp.cast(one, dtype)

    return found._replace(
        prices=tuple(map(cast, found.prices)),
        row=cast(found.row),
        element=cast(found.element),
        smoothing=tuple(map(cast, found.smoothing)),
        parameters=tuple(map(cast, found.parameters)),
    )


def divide(xp: Any, total: Any, divisor: Any) -> Any:
    """total / divisor, 0 where nothing counts."""
    if isinstance(divisor, float):
        return total / divisor if divisor else total * 0.0
    if not hasattr(divisor, "dtype"):  # a length that is a symbol
        return total / divisor
    nothing = divisor == 0
    return xp.where(nothing, 0.0, total / xp.where(nothing, 1.0, divisor))


def refuse(primitive: Primitive, x: Any, t: Any, options: Options, on_host: Callable[[Any], Any]) -> None:
    """Raise what NumPy arrays of these values would, if one of them breaks a rule: a NaN logit breaks none."""
    given = {name: on_host(value) for name, value in options.given.items() if name in VARYING}
    options = options.replace(**given)
    primitive = primitive._replace(given=tuple(map(on_host, primitive.given)))
    x, t = on_host(x), on_host(t)
    found = terms(primitive, options, t.shape, getattr(t, "dtype", None), OptionArrays())
    if options.normalizer is not None:
        reductions.normalizer(options.normalizer, reductions.reduced_shape(options, t.shape), OptionArrays())
    check_prices(found, x.dtype.itemsize)
    with np.errstate(invalid="ignore"):
        message = explain(x, t, found, checked_name(primitive.loss.quantity))
    if message:
        raise InvalidInputError(message)


def checked_name(quantity: Quantity) -> str | None:
    """The name of what must lie in an interval; None where any number will do."""
    return quantity.name if quantity.bounded else None
