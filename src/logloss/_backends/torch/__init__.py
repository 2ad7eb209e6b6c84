"""Losses on PyTorch tensors: which way a call goes.

A CPU tensor outside of any transform goes to the compiled kernels (`kernels`, which are asked for the usual case before
anything else), a CUDA tensor to the fused kernel (`fused`), traced code on the CPU to the CPU's kernels as operators
(`operators`), and everything else to tensor operations (`plain`): other devices, `torch.func`, forward mode, targets or
weights that need a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from ... import _reduce, _spec
from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._spec import Options, Primitive
from .. import is_filling, numpy
from ..operands import check_shapes
from . import fused, kernels, operators, plain
from .arrays import (
    FLOATS,
    TensorArrays,
    check_device,
    floating,
    kernel_options,
    on_host,
    returned,
    target_array,
    wide,
)
from .kernels import Call

__all__ = [
    "checked_denominator",
    "floating",
    "grad_and_hess",
    "on_host",
    "returned",
    "shifted",
    "target_array",
    "value",
    "value_and_grad",
]

NOW = "now"
"""`validate` for a device that works ahead: otherwise bad values make the loss NaN there, and nobody waits."""

_QUANTITY = {
    "probabilities": "probabilities",
    "clamped_probabilities": "probabilities",
    "log_probabilities": "log_probs",
}


def value(
    primitive: Primitive,
    logits: Any,
    targets: Any,
    options: Options,
    *,
    inplace: bool = False,
    positive_price: Any = None,
) -> Any:
    """The loss, reduced, as a differentiable tensor."""
    if torch.compiler.is_compiling():
        if is_filling(targets):
            raise UnsupportedTypeError("compiled code takes targets as tensors; got positive indices.")
        return _traced(*primitive, logits, targets, positive_price, *options)
    if positive_price is None and not inplace:
        loss = kernels.usual(primitive, logits, targets, options)
        if loss is not None:
            return loss
    return _value(Call.of(primitive, options, inplace), logits, targets, positive_price)


@torch.compiler.allow_in_graph
def _traced(
    name: str, parameters: tuple[float, ...], logits: Any, targets: Any, positive_price: Any, *options: Any
) -> Any:
    """One node of Dynamo's graph; what it does is traced on the next level, with tensors that have no memory."""
    return _value(Call.of(Primitive(name, tuple(parameters)), Options(*options)), logits, targets, positive_price)


def _value(call: Call, logits: Any, targets: Any, positive_price: Any) -> Any:
    x, t = _operands(call, logits, targets)
    if call.options.validate == NOW and not x.is_cpu and _has_memory(x):
        _check_on_host(call, x, t)
    way = _kernels_for(call, x, t) if positive_price is None else None
    if way is None:
        return _plain(call, x, t, positive_price).value()
    if not _has_memory(x):
        return operators.value(call, x, t)
    if x.requires_grad and torch.is_grad_enabled():
        return way.Loss.apply(_writable(x) if call.inplace else x, t, call)
    return way.value(call, x, t)


def value_and_grad(
    primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None
) -> tuple[Any, Any]:
    """The loss, reduced, and its gradient, both without a graph."""
    if out is None:
        found = kernels.usual_value_and_grad(primitive, logits, targets, options)
        if found is not None:
            return found
    call = Call.of(primitive, options)
    with torch.no_grad():
        x, t = _operands(call, logits, targets)
        if out is not None:
            _check_output(out, x)
        way = _kernels_for(call, x, t)
        if way is not None and _has_memory(x):
            return way.value_and_grad(call, x, t, out)
        problem = _plain(call, x, t)
        loss, grad = problem.value(), problem.gradient()
        return loss, grad if out is None else out.copy_(grad)


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    call = Call.of(primitive, options)
    x, t = _operands(call, logits, targets)
    wants_graph = x.requires_grad and torch.is_grad_enabled()
    if x.is_cpu and _alone(call, t) and _has_memory(x) and not wants_graph:
        return kernels.grad_and_hess(call, x, t)
    problem = _plain(call, x, t)
    return problem.elementwise(1).to(x.dtype), problem.elementwise(2).to(x.dtype)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet, as a tensor."""
    return _traced_denominator(t, *options) if torch.compiler.is_compiling() else _denominator(t, options)


@torch.compiler.allow_in_graph
def _traced_denominator(t: Any, *options: Any) -> Any:
    return _denominator(t, Options(*options))


def _denominator(t: Any, options: Options) -> Any:
    call = Call.of(_spec.CROSS_ENTROPY, options)
    t = t.detach()
    if t.is_cpu and _alone(call, t) and _has_memory(t):
        views = kernel_options(options, call.given, t)
        return returned(numpy.checked_denominator(kernels.target_view(t, options), views), t)
    way = fused if t.is_cuda and fused.available() and _alone(call, t) and _has_memory(t) else plain
    divisor = way.denominator(t, options, TensorArrays(t, check_values=False))
    shape = _reduce.reduced_shape(options, t.shape)
    return torch.as_tensor(divisor, dtype=wide(t.device), device=t.device).expand(shape)


def shifted(x: Any, shift: Any) -> Any:
    """The tensor plus a number or a vector of numbers, rounded once."""
    return (x.to(wide(x.device)) + returned(shift, x)).to(x.dtype)


# ---- which way ------------------------------------------------------------------------------------------------------


def _operands(call: Call, logits: Any, targets: Any) -> tuple[Any, Any]:
    _spec.check_reduction(call.options)
    x, t = floating(logits, _QUANTITY.get(call.primitive.name, "logits")), target_array(targets)
    check_shapes(x, t)
    if not is_filling(t):
        check_device("targets", t, x)
    if call.options.reduction == "none" and x.dtype not in (torch.float32, torch.float64):
        return _as_autocast_does(x), t
    return x, t


def _as_autocast_does(x: Any) -> Any:
    """Elementwise losses of half precision are float32 under autocast, as PyTorch's are; reduced ones always are."""
    return x.float() if torch.is_autocast_enabled(x.device.type) else x


def _kernels_for(call: Call, x: Any, t: Any) -> Any:
    """The module whose kernels serve the call: a CPU's, or a GPU's; None for tensor operations."""
    if not _alone(call, t):
        return None
    if fused.serves(call, x, t):
        return fused if _has_memory(x) else None
    return kernels if x.is_cpu and (_has_memory(x) or _is_traced(x)) else None


def _is_traced(x: Any) -> bool:
    """True where operators are recorded. Other tensors without memory, distributed ones say, know PyTorch's only."""
    return torch._C._len_torch_dispatch_stack() > 0 or isinstance(x, FakeTensor)


def _alone(call: Call, t: Any) -> bool:
    """Outside of transforms; of all operands only the logits may need a gradient."""
    if not kernels.outside_of_transforms():
        return False
    if not torch.is_grad_enabled():
        return True
    operands = (t, *call.given.values())
    return not any(isinstance(value, torch.Tensor) and value.requires_grad for value in operands)


def _has_memory(x: Any) -> bool:
    """False for the tensors of tracers, and for subclasses that only know operations."""
    own = type(x).__torch_dispatch__ is torch._C._disabled_torch_dispatch_impl
    return own and torch._C._len_torch_dispatch_stack() == 0


def _plain(call: Call, x: Any, t: Any, positive_price: Any = None) -> plain.Problem:
    """The call as tensor operations. Where looking is free, bad values are refused as the kernels refuse them."""
    aside = torch._C._is_tracing() or torch._C._are_functorch_transforms_active()
    looks = x.is_cpu and _has_memory(x) and not aside
    if looks:
        kernels.check(call, x, t)
    return plain.Problem(call.primitive, x, t, call.options, looks, positive_price)


def _check_on_host(call: Call, x: Any, t: Any) -> None:
    """Wait for the device, and refuse bad values with the messages of the CPU."""
    host = {name: value.cpu() for name, value in call.given.items() if isinstance(value, torch.Tensor)}
    options = call.options._replace(**host)
    kernels.check(Call.of(call.primitive, options), x.detach().cpu(), t if is_filling(t) else t.detach().cpu())


def _writable(x: Any) -> Any:
    _check_overlap("inplace=True overwrites the logits", x)
    if x.is_leaf or (x._is_view() and x._base.is_leaf and x._base.requires_grad):
        raise InvalidInputError(
            "inplace=True overwrites the logits with their gradient; logits that are a leaf of the graph would lose "
            "their values. Leave inplace=True out."
        )
    return x


def _check_output(out: Any, x: Any) -> None:
    if not isinstance(out, torch.Tensor) or out.dtype not in FLOATS:
        raise UnsupportedTypeError(
            f"out must be a floating tensor; got {type(out).__name__}{getattr(out, 'dtype', '')!s:.20}."
        )
    if out.shape != x.shape:
        raise InvalidInputError(
            f"out must have the logits' shape {tuple(x.shape)}; got {tuple(out.shape)}. Use torch.empty_like(logits)."
        )
    check_device("out", out, x)
    _check_overlap("out is written", out)


def _check_overlap(purpose: str, tensor: Any) -> None:
    if torch._debug_has_internal_overlap(tensor) == 1:
        raise InvalidInputError(
            f"{purpose}, and needs a place for each element; got a tensor of shape {tuple(tensor.shape)} with strides "
            f"{tuple(tensor.stride())}, such as expand() makes. Use contiguous()."
        )
