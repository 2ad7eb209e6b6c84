"""The fused GPU kernel on CUDA tensors, and its place in automatic differentiation: nothing here waits for the device.

One launch computes loss and gradient in the forward. The backward multiplies by what comes from above on the device,
where a factor of 1 costs nothing; derivatives of the gradient are those of the plain formula.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch

from ..._spec.options import Options, is_signed
from ..._spec.reductions import axes_of
from ..._spec.terms import Terms, terms, weights_only
from ..._targets.positives import Positives
from .. import operations
from . import autograd
from .arrays import TensorArrays, dense, result_dtype
from .call import Call
from .operations import OPERATIONS

CHECKS = False
"""Bad values make the loss NaN: to look at them would wait for the device."""


def serves(call: Call, x: Any, t: Any) -> bool:
    """Cross-entropy of CUDA logits of up to 32 bits, with targets as a tensor."""
    return (
        x.is_cuda
        and call.primitive.loss.name == "cross_entropy"
        and x.dtype is not torch.float64
        and not isinstance(t, Positives)
        and available()
    )


@functools.cache
def available() -> bool:
    """Triton comes with PyTorch where it supports the device."""
    return importlib.util.find_spec("triton") is not None


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced."""
    return _evaluate(call, x, t, None)


def value_and_grad(call: Call, x: Any, t: Any, out: Any = None, upstream: Any = None) -> tuple[Any, Any]:
    """The loss and its gradient, in one launch; into `out` if given, which may be the logits."""
    grad = torch.empty_like(x) if out is None else out
    return _evaluate(call, x, t, grad, upstream), grad


def _evaluate(call: Call, x: Any, t: Any, grad: Any, upstream: Any = None) -> Any:
    """The loss; its gradient, times the upstream one if there is one, goes into `grad`."""
    from . import launches

    options, arrays = call.options, TensorArrays(x, check_values=False)
    t, checks = dense(t, x.device), {"check": bool(options.validate), "signed": is_signed(options.validate)}
    found = held_in_float32(terms(call.primitive, options, x.shape, t.dtype, arrays), t)
    if options.reduction == "none":
        losses = torch.empty_like(x)
        launches.cross_entropy(x, t, found, loss=losses, grad=grad, **checks)
        return losses
    divisor = denominator(t, options, arrays)
    scale = operations.divide(OPERATIONS, 1.0 if upstream is None else upstream.double(), divisor)
    if isinstance(scale, torch.Tensor):
        scale = autograd.raised(scale.to(torch.float32), call, x.ndim)
    if options.axis is None:
        total = launches.cross_entropy(x, t, found, scale=scale, grad=grad, **checks)
    else:
        losses = torch.empty_like(x, dtype=torch.float32)
        launches.cross_entropy(x, t, found, scale=scale, loss=losses, grad=grad, **checks)
        total = OPERATIONS.total(losses, axes_of(options, x.ndim), torch.float32)
    return operations.divide(OPERATIONS, total, divisor).to(result_dtype(x))


def denominator(t: Any, options: Options, arrays: TensorArrays) -> Any:
    """What the reduction divides by, counted on the device: a number, or a tensor where values decide."""
    from . import launches

    def total(weighted: bool) -> Any:
        found = held_in_float32(weights_only(options, t.shape, t.dtype, arrays), t)
        return launches.total_weight(t, found if weighted else Terms(mask=found.mask, ignored=found.ignored))

    operands = operations.Operands(t, t, t.shape, t.shape, t.dtype)
    count = total if options.axis is None else None
    return operations.denominator(OPERATIONS, operands, options, arrays, torch.float64, total=count)


def held_in_float32(found: Terms, t: Any) -> Terms:
    """The kernel compares in float32: an ignored value that others round to becomes part of the mask."""
    value = found.ignored
    if value is None or value != value or (abs(value) < 2**24 and t.dtype is not torch.float64):
        return found
    return found._replace(ignored=None, mask=operations.counted(OPERATIONS, t, found))


def multiply(grad: Any, factor: Any) -> Any:
    """The gradient times a factor, in place; nothing is touched where that is 1, and nobody waits to know."""
    if factor.ndim or not grad.is_contiguous():
        return grad.mul_(factor)
    from . import launches

    return launches.multiply(grad, factor)
