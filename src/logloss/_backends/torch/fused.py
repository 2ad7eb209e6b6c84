"""The fused GPU kernel on CUDA tensors, and its place in automatic differentiation: nothing here waits for the device.

One launch computes loss and gradient in the forward. The backward multiplies by what comes from above on the device,
where a factor of 1 costs nothing; derivatives of the gradient are those of the plain formula.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch

from ... import _spec
from ..._spec import Options, Terms
from . import plain
from .arrays import TensorArrays, dense, result_dtype
from .kernels import Call, differentiable, is_mapped, raised


def serves(call: Call, x: Any, t: Any) -> bool:
    """Cross-entropy of CUDA logits of up to 32 bits, with targets as a tensor."""
    return (
        x.is_cuda
        and call.primitive.name == "cross_entropy"
        and x.dtype is not torch.float64
        and isinstance(t, torch.Tensor)
        and available()
    )


@functools.cache
def available() -> bool:
    """Triton comes with PyTorch where it supports the device."""
    return importlib.util.find_spec("triton") is not None


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced."""
    return _evaluate(call, x, t, None)


def value_and_grad(call: Call, x: Any, t: Any, out: Any = None) -> tuple[Any, Any]:
    """The loss and its gradient, in one launch; into `out` if given, which may be the logits."""
    grad = torch.empty_like(x) if out is None else out
    return _evaluate(call, x, t, grad), grad


def _evaluate(call: Call, x: Any, t: Any, grad: Any, upstream: Any = None) -> Any:
    """The loss; its gradient, times the upstream one if there is one, goes into `grad`."""
    from ..._kernels import gpu

    options, arrays = call.options, TensorArrays(x, check_values=False)
    t, check = dense(t, x.device), bool(options.validate)
    terms = _held_in_float32(_spec.terms(options, x.shape, t.dtype, arrays), t)
    if options.reduction == "none":
        losses = torch.empty_like(x)
        gpu.cross_entropy(x, t, terms, loss=losses, grad=grad, check=check)
        return losses
    divisor = denominator(t, options, arrays)
    scale = plain.divide(1.0 if upstream is None else upstream.double(), divisor)
    if isinstance(scale, torch.Tensor):
        scale = raised(scale.to(torch.float32), call, x.ndim)
    if options.axis is None:
        total = gpu.cross_entropy(x, t, terms, scale=scale, grad=grad, check=check)
    else:
        losses = torch.empty_like(x, dtype=torch.float32)
        gpu.cross_entropy(x, t, terms, scale=scale, loss=losses, grad=grad, check=check)
        total = losses.sum(_spec.reduced_axes(options.axis, x.ndim))
    return plain.divide(total, divisor).to(result_dtype(x))


def denominator(t: Any, options: Options, arrays: TensorArrays) -> Any:
    """What the reduction divides by, counted on the device: a number, or a tensor where values decide."""
    from ..._kernels import gpu

    def total(weighted: bool) -> Any:
        terms = _held_in_float32(_spec.weights_only(options, t.shape, t.dtype, arrays), t)
        return gpu.total_weight(t, terms if weighted else Terms(mask=terms.mask, ignored=terms.ignored))

    return plain.denominator(t, options, arrays, total if options.axis is None else None)


def _held_in_float32(terms: Terms, t: Any) -> Terms:
    """The kernel compares in float32: an ignored value that others round to becomes part of the mask."""
    value = terms.ignored
    if value is None or value != value or (abs(value) < 2**24 and t.dtype is not torch.float64):
        return terms
    return terms._replace(ignored=None, mask=plain.counted(t, terms))


class Loss(torch.autograd.Function):
    """A loss that keeps its gradient, already divided by the denominator, until the backward asks for it.

    Reduced float16 losses keep none: divided by a large denominator, it would be lost below 6e-8 before a gradient
    scaler's factor arrives. Their backward launches the kernel with that factor.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, call: Call) -> Any:
        ctx.call = call
        given = [value for value in call.given.values() if isinstance(value, torch.Tensor)]
        if x.dtype is torch.float16 and call.options.reduction != "none" and not call.inplace:
            ctx.save_for_backward(x, t, None, *given)
            return value(call, x, t)
        loss, grad = value_and_grad(call, x, t, x.detach() if call.inplace else None)
        ctx.save_for_backward(None if call.inplace else x, t, grad, *given)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, None, None]:
        x, t, grad, *_ = ctx.saved_tensors  # asks whether targets and weights are still what they were
        if torch.is_grad_enabled() or is_mapped(upstream):
            return differentiable(ctx.call, x, t, upstream, checked=False), None, None
        if grad is None:
            grad = torch.empty_like(x)
            _evaluate(ctx.call, x, t, grad, upstream)
            return grad, None, None
        return _multiplied(grad, raised(upstream, ctx.call, grad.ndim)), None, None


def _multiplied(grad: Any, upstream: Any) -> Any:
    """The kept gradient times the upstream one, in the kept one's memory unless the graph may ask again."""
    if torch._C._autograd._get_current_graph_task_keep_graph():
        return (grad * upstream).to(grad.dtype)
    if upstream.ndim or not grad.is_contiguous():
        return grad.mul_(upstream)
    from ..._kernels import gpu

    return gpu.multiply(grad, upstream)
