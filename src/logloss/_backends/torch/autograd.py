"""Losses in automatic differentiation, whichever kernels compute them.

One pass computes loss and gradient in the forward; the backward multiplies by what comes from above. Derivatives of the
gradient are those of the formula.
"""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import InvalidInputError
from ..._spec.reductions import reduced_axes
from . import clamped, overwritten, state
from .arrays import wide
from .call import Call


class Loss(torch.autograd.Function):
    """A loss that keeps its gradient, already divided by the denominator, until the backward asks for it.

    Reduced float16 losses keep none: divided by a large denominator, it would be lost below 6e-8 before a gradient
    scaler's factor arrives. Their backward runs the kernel with that factor.

    `way` has the kernels; `found` are loss and gradient, where they are known already.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, call: Call, way: Any, found: tuple[Any, Any] | None = None) -> Any:
        ctx.call, ctx.way, ctx.positives = call, way, None if isinstance(t, torch.Tensor) else t
        if found is not None:
            loss, grad = found
            ctx.save_for_backward(x, grad, t)
            return loss
        given = [t] if isinstance(t, torch.Tensor) else []
        given += call.tensors
        if x.dtype is torch.float16 and call.options.reduction != "none" and not call.inplace:
            ctx.save_for_backward(x, None, *given)
            return way.value(call, x, t)
        loss, grad = way.value_and_grad(call, x, t, x.detach() if call.inplace else None)
        ctx.save_for_backward(None if call.inplace else x, grad, *given)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, None, None, None, None]:
        x, grad, *given = ctx.saved_tensors  # asks whether targets and weights are still what they were
        t = given[0] if ctx.positives is None else ctx.positives
        if torch.is_grad_enabled() or state.is_mapped(upstream):
            found = differentiable(ctx.call, x, t, upstream, checked=ctx.way.CHECKS)
        elif grad is None:
            _, found = ctx.way.value_and_grad(ctx.call, x, t, upstream=raised(upstream, ctx.call, x.ndim))
        else:
            found = _multiplied(ctx.way, grad, raised(upstream, ctx.call, grad.ndim) if upstream.ndim else upstream)
        return found, None, None, None, None


def overwriting(x: Any, t: Any, call: Call, way: Any) -> Any:
    """The loss, whose gradient takes the place of the logits: nobody may use these afterwards."""
    overwritten.check_writable(x)
    loss = Loss.apply(x, t, call, way)
    overwritten.forbid(x)
    return loss


def differentiable(call: Call, x: Any, t: Any, upstream: Any, checked: bool) -> Any:
    """The gradient as a function of the logits and of what comes from above."""
    if x is None:
        raise InvalidInputError(
            "a second derivative needs the logits; inplace=True has overwritten them with the gradient. "
            "Leave inplace=True out."
        )
    return clamped.problem(call.primitive, x, t, call.options, checked).gradient(upstream.to(wide(x.device)))


def _multiplied(way: Any, grad: Any, factor: Any) -> Any:
    """The kept gradient times the upstream one, in the kept one's memory unless the graph may ask again."""
    if state.graph_is_kept():
        return (grad * factor).to(grad.dtype)
    return way.multiply(grad, factor)


def raised(upstream: Any, call: Call, ndim: int) -> Any:
    """One number per reduced value, with the axes that were reduced of length 1; or the one that all of them share.

    The backward of a sum hands down such a tensor, expanded from one number.
    """
    if not upstream.ndim:
        return upstream
    if call.options.axis is not None:
        for axis in reduced_axes(call.options.axis, ndim):
            upstream = upstream.unsqueeze(axis)
    shared = all(step == 0 or size == 1 for step, size in zip(upstream.stride(), upstream.shape, strict=True))
    return upstream[(0,) * upstream.ndim] if shared and upstream.numel() else upstream
