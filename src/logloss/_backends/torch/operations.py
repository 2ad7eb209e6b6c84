"""Losses as tensor operations: on every device, traceable, vectorisable, and differentiable to any order.

Automatic differentiation is told the derivatives: that of each order of the formula is the next, and a loss is linear
in its prices. Numbers of a loss that are learnt are differentiated through the formula.
"""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import UnsupportedTypeError
from ..._spec.losses import Loss, Primitive
from ..._spec.options import Options
from ..._targets.positives import Positives
from .. import operations
from ..operations import Dtypes, Operands, formula
from .arrays import TensorArrays, dense, result_dtype, wide

# ---- derivatives ----------------------------------------------------------------------------------------------------


def derivative(order: int, loss: Loss, x: Any, u: Any, v: Any, rest: tuple[Any, ...]) -> Any:
    """The loss (0), its slope (1) or its curvature (2) of each element, differentiable again."""
    yes, no, parameters = rest
    if order == 2 or torch.onnx.is_in_onnx_export():  # what is exported is not differentiated
        return formula(OPERATIONS, loss, x, u, v, rest)[order]
    return _Differentiable.apply(order, loss, x, u, v, yes, no, *parameters)


def _order(order: int, loss: Loss, x: Any, u: Any, v: Any, *rest: Any) -> Any:
    """An order of the formula; rest: t', 1-t' and the parameters."""
    return formula(OPERATIONS, loss, x, u, v, (*rest[:2], rest[2:]))[order]


class _Differentiable(torch.autograd.Function):
    """An order of the formula, whose derivative is the next order."""

    @staticmethod
    def forward(order: int, loss: Loss, x: Any, u: Any, v: Any, *rest: Any) -> Any:
        return _order(order, loss, x, u, v, *rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004 - called by name
        ctx.order, ctx.loss, *arrays = inputs
        tensors = [one for one in arrays if isinstance(one, torch.Tensor)]
        ctx.others = [None if isinstance(one, torch.Tensor) else (one,) for one in arrays]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)  # a change of 0 times a derivative of inf would be NaN

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        needed = ctx.needs_input_grad[2:]
        if upstream is None:
            return (None,) * (2 + len(needed))
        x, u, v, *rest = arrays = _arrays(ctx)
        found: list[Any] = [None] * len(arrays)
        if needed[0]:
            found[0] = upstream * _next(ctx, x, u, v, rest)
        if needed[1]:
            found[1] = upstream * _again(ctx, x, *_units(u), rest)
        if needed[2]:
            found[2] = upstream * _again(ctx, x, *_units(v)[::-1], rest)
        learnt = [k for k in range(3, len(arrays)) if needed[k]]
        if learnt:
            function, values = _of_learnt(ctx, arrays, learnt)
            for k, slope in zip(learnt, torch.func.vjp(function, *values)[1](upstream), strict=True):
                found[k] = slope
        return None, None, *found

    @staticmethod
    def jvp(ctx: Any, _order: None, _loss: None, dx: Any, du: Any, dv: Any, *drest: Any) -> Any:
        x, u, v, *rest = arrays = _arrays(ctx)
        change = torch.zeros_like(x)
        if dx is not None:
            change = change + dx * _next(ctx, x, u, v, rest)
        if du is not None:
            change = change + du * _again(ctx, x, *_units(u), rest)
        if dv is not None:
            change = change + dv * _again(ctx, x, *_units(v)[::-1], rest)
        learnt = [k for k in range(3, len(arrays)) if drest[k - 3] is not None]
        if learnt:  # the derivative along a direction is the derivative of the pullback, which is linear
            function, values = _of_learnt(ctx, arrays, learnt)
            pull = torch.func.vjp(function, *values)[1]
            along = torch.func.vjp(pull, torch.zeros_like(change))[1]
            change = change + along(tuple(drest[k - 3] for k in learnt))[0]
        return change

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], order: int, loss: Loss, *arrays: Any) -> Any:
        """Elements do not know of each other: the axis that is mapped over becomes one more of all arrays."""
        dims = in_dims[2:]
        ndim = arrays[0].ndim - (dims[0] is not None)

        def front(array: Any, dim: int | None) -> Any:
            if not isinstance(array, torch.Tensor) or (dim is None and array.ndim < ndim):
                return array
            if dim is None:
                return array.expand(info.batch_size, *array.shape)
            array = array.movedim(dim, 0)
            return array.reshape(info.batch_size, *(1,) * (ndim + 1 - array.ndim), *array.shape[1:])

        x, u, v, yes, no, *parameters = map(front, arrays, dims)
        return derivative(order, loss, x, u, v, (yes, no, tuple(parameters))), 0


def _arrays(ctx: Any) -> list[Any]:
    """What the forward was called with."""
    tensors = iter(ctx.saved_tensors)
    return [next(tensors) if other is None else other[0] for other in ctx.others]


def _next(ctx: Any, x: Any, u: Any, v: Any, rest: list[Any]) -> Any:
    return derivative(ctx.order + 1, ctx.loss, x, u, v, (*rest[:2], tuple(rest[2:])))


def _again(ctx: Any, x: Any, u: Any, v: Any, rest: list[Any]) -> Any:
    return derivative(ctx.order, ctx.loss, x, u, v, (*rest[:2], tuple(rest[2:])))


def _of_learnt(ctx: Any, arrays: list[Any], learnt: list[int]) -> tuple[Any, list[Any]]:
    """The formula as a function of what is learnt, and its values."""

    def function(*values: Any) -> Any:
        given = list(arrays)
        for k, value in zip(learnt, values, strict=True):
            given[k] = value
        return _order(ctx.order, ctx.loss, *given)

    return function, [arrays[k] for k in learnt]


def _units(price: Any) -> tuple[Any, Any]:
    return torch.ones_like(price), torch.zeros_like(price)


# ---- operations -----------------------------------------------------------------------------------------------------


class _Operations:
    """PyTorch as `operations.Operations`."""

    abs, exp, expm1, log, log1p, isinf, where = map(
        staticmethod, (torch.abs, torch.exp, torch.expm1, torch.log, torch.log1p, torch.isinf, torch.where)
    )
    bool = torch.bool
    derivative = staticmethod(derivative)

    @staticmethod
    def signbit(x: Any) -> Any:
        return x < 0  # which every exporter knows; of -0 the formula gives the same from either side

    @staticmethod
    def cast(array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    @staticmethod
    def is_wider(array: Any, dtype: Any) -> Any:
        return array.dtype is torch.float64 and dtype is torch.float32

    @staticmethod
    def total(array: Any, axes: tuple[int, ...], dtype: Any) -> Any:
        if not axes:  # to PyTorch, no axes are all of them
            return array.to(dtype)
        return array.sum(dtype=dtype) if len(axes) == array.ndim else array.sum(dim=axes, dtype=dtype)

    @staticmethod
    def expand(array: Any, axes: tuple[int, ...]) -> Any:
        for axis in axes:
            array = array.unsqueeze(axis)
        return array

    @staticmethod
    def constant(number: float, like: Any) -> Any:  # noqa: ARG004 - PyTorch compares with numbers
        return number

    @staticmethod
    def fixed(t: Any, loss: Loss) -> Any:
        if t.requires_grad:
            raise UnsupportedTypeError(
                f"targets of the {loss.name} loss must need no gradient: its focus depends on them; "
                "got targets with requires_grad=True. Use targets.detach(), or binary_cross_entropy_with_logits."
            )
        return t.detach()


OPERATIONS = _Operations()


# ---- problems -------------------------------------------------------------------------------------------------------


def dtypes(loss: Loss, x: Any) -> Dtypes:
    """The kernels' arithmetic, as far as the device has it."""
    narrow = loss.bits(x.element_size()) == 32
    return Dtypes(torch.float32 if narrow else wide(x.device), wide(x.device), result_dtype(x))


def problem(
    primitive: Primitive,
    x: Any,
    t: Any,
    options: Options,
    checked: bool,
    positive_price: Any = None,
    kind: type[operations.Problem] = operations.Problem,
) -> operations.Problem:
    """The loss on tensors; `checked` values are known to be in their domains, others make the loss NaN."""
    arrays, types = TensorArrays(x, check_values=checked), dtypes(primitive.loss, x)
    if positive_price is not None:
        positive_price = arrays.real("pos_weight", positive_price)
        arrays.check("pos_weight", positive_price, positive=False)
        positive_price = positive_price.to(types.arithmetic)
    targets = dense(t, x.device)
    target_dtype = None if isinstance(t, Positives) else targets.dtype
    shape = tuple(x.shape)
    operands = Operands(x, targets, shape, shape, target_dtype)
    return kind(OPERATIONS, primitive, operands, options, arrays, types, checked=checked, positive_price=positive_price)
