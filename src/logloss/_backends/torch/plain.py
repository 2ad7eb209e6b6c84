"""Losses as tensor operations: on every device, traceable, vectorisable, and differentiable to any order.

The formula gives each loss with its first and second derivative; automatic differentiation is told so instead of
differentiating the formula, whose selections would lose terms at 0 and at infinity. Losses are linear in the prices,
so their derivatives with respect to prices are the same formula at prices of 1 and 0, and targets and weights get
their gradients from the prices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ... import _formula, _reduce, _spec
from ..._errors import UnsupportedTypeError
from ..._spec import Options, Primitive, Terms
from .arrays import TensorArrays, dense, result_dtype, wide

_Formula = Callable[..., _formula.Triple]


_FORMULAS: dict[str, _Formula] = {
    "cross_entropy": lambda x, u, v, _t, _p: _formula.cross_entropy(torch, x, u, v),
    "probabilities": lambda x, u, v, _t, p: _formula.probabilities(torch, x, u, v, p[1]),
    "log_probabilities": lambda x, u, v, _t, _p: _formula.log_probabilities(torch, x, u, v),
    "focal": lambda x, u, v, t, p: _formula.focal(torch, x, u, v, t, p),
    "asymmetric": lambda x, u, v, t, p: _formula.asymmetric(torch, x, u, v, t, p),
    "clamped_probabilities": lambda x, u, v, _t, p: _formula.clamped_probabilities(torch, x, u, v, p),
}
_FOCUSED = ("focal", "asymmetric")
_INSIDE = {"probabilities": 0.5, "clamped_probabilities": 0.5, "log_probabilities": -1.0}
"""What stands in for an element that does not count, where 0 is not inside the domain."""


def derivative(order: int, primitive: Primitive, *arrays: Any) -> Any:
    """The loss (0), its slope (1) or its curvature (2) of each element from x, u, v and t, differentiable again."""
    if order == 2:
        return _FORMULAS[primitive.name](*arrays, primitive.parameters)[2]
    return _Differentiable.apply(order, primitive, *arrays)


class _Differentiable(torch.autograd.Function):
    """An order of the formula, whose derivative is the next order."""

    @staticmethod
    def forward(order: int, primitive: Primitive, x: Any, u: Any, v: Any, t: Any) -> Any:
        return _FORMULAS[primitive.name](x, u, v, t, primitive.parameters)[order]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 - called by name
        ctx.order, ctx.primitive, *arrays = inputs
        ctx.save_for_backward(*arrays)
        ctx.save_for_forward(*arrays)
        ctx.set_materialize_grads(False)  # a change of 0 times a derivative of inf would be NaN

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        if upstream is None:
            return (None,) * 6
        x, u, v, t = ctx.saved_tensors
        _, _, by_x, by_u, by_v, _ = ctx.needs_input_grad
        return (
            None,
            None,
            upstream * derivative(ctx.order + 1, ctx.primitive, x, u, v, t) if by_x else None,
            upstream * derivative(ctx.order, ctx.primitive, x, *_units(u), t) if by_u else None,
            upstream * derivative(ctx.order, ctx.primitive, x, *_units(u)[::-1], t) if by_v else None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, _order: None, _primitive: None, dx: Any, du: Any, dv: Any, _dt: Any) -> Any:
        x, u, v, t = ctx.saved_tensors
        change = torch.zeros_like(x)
        if dx is not None:
            change = change + dx * derivative(ctx.order + 1, ctx.primitive, x, u, v, t)
        if du is not None:
            change = change + du * derivative(ctx.order, ctx.primitive, x, *_units(u), t)
        if dv is not None:
            change = change + dv * derivative(ctx.order, ctx.primitive, x, *_units(u)[::-1], t)
        return change

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], order: int, primitive: Primitive, *arrays: Any) -> Any:
        """Elements do not know of each other: the axis that is mapped over becomes one more of all arrays."""
        front = (
            array.expand(info.batch_size, *array.shape) if dim is None else array.movedim(dim, 0)
            for dim, array in zip(in_dims[2:], arrays, strict=True)
        )
        return derivative(order, primitive, *front), 0


def _units(price: Any) -> Any:
    return torch.ones_like(price), torch.zeros_like(price)


class Problem:
    """One loss on tensors: operands in the arithmetic's type, and what counts.

    `checked`: targets and weights are known to be in their domains; otherwise those that are not make the loss NaN.
    `positive_price` multiplies the price of missing a positive, as a tensor that broadcasts against the logits.
    """

    def __init__(
        self, primitive: Primitive, x: Any, t: Any, options: Options, checked: bool, positive_price: Any = None
    ) -> None:
        self.primitive, self.options, self.shape = primitive, options, x.shape
        self.dtypes = x.dtype, result_dtype(x)
        self.arrays = TensorArrays(x, check_values=checked)
        self.targets = dense(t, x.device)
        terms = _spec.terms(options, x.shape, self.targets.dtype, self.arrays)
        self.counts = counted(self.targets, terms)
        dtype = _arithmetic(primitive, x)
        given, x, t = x, x.to(dtype), self.targets.to(dtype)
        if primitive.name == "clamped_probabilities" and given.dtype is torch.float16 and x.requires_grad:
            x.register_hook(held_by_float16)
        if self.counts is not None:
            x = torch.where(self.counts, x, _INSIDE.get(primitive.name, 0.0))
            t = torch.where(self.counts, t, 0.0)
        u, v = _formula.prices(t, _cast(terms, dtype))
        if positive_price is not None:
            price = self.arrays.real("pos_weight", positive_price)
            self.arrays.check("pos_weight", price, positive=False)
            u = u * price.to(dtype)
        if options.validate and not checked:
            fine = _in_domain(primitive, x, t, u, v)
            u, v = torch.where(fine, u, math.nan), torch.where(fine, v, math.nan)
        self.operands = x, u, v, _without_gradient(primitive, t)

    def elementwise(self, order: int) -> Any:
        values = derivative(order, self.primitive, *self.operands)
        return values if self.counts is None else torch.where(self.counts, values, 0.0)

    def axes(self) -> tuple[int, ...]:
        return () if self.options.axis is None else _spec.reduced_axes(self.options.axis, len(self.shape))

    def value(self) -> Any:
        """The loss, reduced."""
        losses = self.elementwise(0)
        if self.options.reduction == "none":
            return losses.to(self.dtypes[0])
        total = losses.sum(dim=self.axes() or None, dtype=wide(losses.device))
        return divide(total, self.denominator()).to(self.dtypes[1])

    def gradient(self, upstream: Any = None) -> Any:
        """The derivative of the sum of all values, or of Σ upstream·value, with respect to the logits."""
        slopes = self.elementwise(1)
        up = torch.ones((), dtype=slopes.dtype, device=slopes.device) if upstream is None else upstream
        if self.options.reduction != "none":
            up = divide(up.to(wide(slopes.device)), self.denominator())
            for axis in self.axes():
                up = up.unsqueeze(axis) if up.ndim else up
        gradient = slopes * up.to(slopes.dtype)
        if self.dtypes[0] is torch.float16 and self.primitive.name == "clamped_probabilities":
            gradient = held_by_float16(gradient)
        return gradient.to(self.dtypes[0])

    def denominator(self) -> Any:
        return denominator(self.targets, self.options, self.arrays)


def denominator(t: Any, options: Options, arrays: TensorArrays, total: Callable[[bool], Any] | None = None) -> Any:
    """What the reduction divides by: a number, or a tensor where values decide. `total` may count in another way."""

    def total_weight(weighted: bool) -> Any:
        terms = _spec.weights_only(options, t.shape, t.dtype, arrays)
        weight = torch.ones((), dtype=wide(t.device), device=t.device)
        if weighted:
            for factor in (terms.prices[0], terms.row, terms.element):
                if factor is not None:  # a number without axes would not widen the product
                    weight = weight * (factor.to(weight.dtype) if isinstance(factor, torch.Tensor) else factor)
        counts = counted(t, terms)
        weight = weight if counts is None else torch.where(counts, weight, 0.0)
        axes = None if options.axis is None else _spec.reduced_axes(options.axis, t.ndim)
        return weight.expand(t.shape).sum(dim=axes, dtype=wide(t.device))

    divisor = _reduce.denominator(options, t.shape, total or total_weight, arrays)
    if options.normalizer is None or arrays.check_values:
        return divisor
    return torch.where(divisor > 0, divisor, math.nan)


def counted(t: Any, terms: Terms) -> Any:
    """Which elements count; None if all do."""
    if terms.ignored is None:
        return terms.mask
    kept = (t == t) if terms.ignored != terms.ignored else (t != terms.ignored)
    return kept if terms.mask is None else kept & terms.mask


def _arithmetic(primitive: Primitive, x: Any) -> Any:
    """float32 for the cross-entropy of logits of up to 32 bits, float64 otherwise, as in the kernels."""
    if primitive.name == "cross_entropy" and x.dtype != torch.float64:
        return torch.float32
    return wide(x.device)


def _cast(terms: Terms, dtype: Any) -> Terms:
    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) else value

    return Terms(tuple(cast(price) for price in terms.prices), cast(terms.row), cast(terms.element))


def _in_domain(primitive: Primitive, x: Any, t: Any, u: Any, v: Any) -> Any:
    fine = (t >= 0) & (t <= 1) & (u >= 0) & (u < math.inf) & (v >= 0) & (v < math.inf)
    if primitive.name.endswith("probabilities"):
        fine = fine & ((x <= 0) if primitive.name.startswith("log") else (x >= 0) & (x <= 1))
    return fine


def held_by_float16(slope: Any) -> Any:
    """A slope of 1e12 as float16 holds it: as inf, it would become NaN where a saturated sigmoid multiplies it by 0."""
    largest = torch.finfo(torch.float16).max
    return slope.clamp(-largest, largest)


def _without_gradient(primitive: Primitive, t: Any) -> Any:
    """The targets that focus a loss; elsewhere they act through the prices alone."""
    if t.requires_grad and primitive.name in _FOCUSED:
        raise UnsupportedTypeError(
            f"targets of the {primitive.name} loss must need no gradient: its focus depends on them; "
            "got targets with requires_grad=True. Use targets.detach(), or binary_cross_entropy_with_logits."
        )
    return t.detach()


def divide(total: Any, divisor: Any) -> Any:
    """total / divisor, 0 where nothing counts."""
    if not isinstance(divisor, torch.Tensor):
        return total * 0.0 if type(divisor) is float and divisor == 0.0 else total / divisor
    nothing = divisor == 0
    return torch.where(nothing, 0.0, total / torch.where(nothing, 1.0, divisor))
