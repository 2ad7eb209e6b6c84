"""Losses on PyTorch tensors: which way a call goes.

A way is a module that says which calls it `serves`. CPU tensors outside of any transform go to the compiled kernels
(`cpu`; small plain ones by `addressed`, which is asked before anything else), CUDA tensors to one kernel (`gpu`),
traced code on the CPU to the CPU's kernels as operators (`compiled`), and everything else to tensor operations
(`operations`): other devices, `torch.func`, forward mode, targets, weights or numbers that need a gradient.
"""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._spec import reductions
from ..._spec.losses import BY_NAME, PLAIN_LOSS, Primitive, reduced
from ..._spec.options import SIGNED, VARYING, Options
from ..._targets.positives import Positives
from .. import numpy
from .. import operations as shared
from ..operands import check_shapes
from . import addressed, autograd, clamped, compiled, cpu, gpu, operations, overwritten, state
from .arrays import (
    FLOATS,
    TensorArrays,
    as_tensor,
    check_device,
    dense,
    floating,
    from_host,
    kernel_options,
    on_host,
    target_array,
    wide,
)
from .call import Call

__all__ = [
    "checked_denominator",
    "floating",
    "from_host",
    "grad_and_hess",
    "on_host",
    "shifted",
    "target_array",
    "value",
    "value_and_grad",
]

NOW = ("now", SIGNED["now"])
"""`validate` for a device that works ahead: otherwise bad values make the loss NaN there, and nobody waits."""


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
        if isinstance(targets, Positives):
            raise UnsupportedTypeError("compiled code takes targets as tensors; got positive indices.")
        given = [_open(value, logits) for value in primitive.given]
        names, values = (
            list(options.given),
            [_open(value, logits) if name in VARYING else value for name, value in options.given.items()],
        )
        return _traced(primitive.loss.name, given, logits, targets, positive_price, names, values)
    primitive = reduced(primitive)
    kind = addressed.kind_of(primitive, logits, targets) if positive_price is None and not inplace else None
    if kind is not None:
        wants_graph = torch.is_grad_enabled() and logits.requires_grad
        found = addressed.found(kind, primitive, logits, targets, options, wants_graph)
        if found is not None:
            loss, grad, numbers = found  # tensors may change until the backward, numbers do not
            return _apply(logits, targets, Call(primitive, numbers), cpu, (loss, grad)) if wants_graph else loss
        if addressed.is_ordinary(primitive, logits, targets, options):
            call = Call(primitive, options)
            return _apply(logits, targets, call, cpu) if wants_graph else cpu.value(call, logits, targets)
    return _value(Call(primitive, options, inplace), logits, targets, positive_price)


def _open(value: Any, x: Any) -> Any:
    """A number as a tensor: compiled code asks for another value of it without being compiled anew."""
    return as_tensor(value, x) if isinstance(value, float) else value


_apply = state.quick_apply(autograd.Loss)


@torch.compiler.allow_in_graph
def _traced(
    loss: str, given: list[Any], logits: Any, targets: Any, positive_price: Any, names: Any, values: Any
) -> Any:
    """One node of Dynamo's graph; what it does is traced on the next level, with tensors that have no memory."""
    options = Options(**dict(zip(names, values, strict=True)))
    return _value(Call(Primitive(BY_NAME[loss], tuple(given)), options), logits, targets, positive_price)


def _value(call: Call, logits: Any, targets: Any, positive_price: Any) -> Any:
    x, t = _operands(call, logits, targets)
    if call.options.validate in NOW and not x.is_cpu and state.has_memory(x):
        _check_on_host(call, x, t)
    way = _way(call, x, t) if positive_price is None else None
    if way is None:
        return _problem(call, x, t, positive_price).value()
    if way is not compiled and x.requires_grad and torch.is_grad_enabled():
        return (autograd.overwriting if call.inplace else autograd.Loss.apply)(x, t, call, way)
    return way.value(call, x, t)


def value_and_grad(
    primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None
) -> tuple[Any, Any]:
    """The loss, reduced, and its gradient, both without a graph."""
    primitive = reduced(primitive)
    call = Call(primitive, options)
    kind = addressed.kind_of(primitive, logits, targets) if out is None else None
    if kind is not None:
        found = addressed.found(kind, primitive, logits, targets, options, True)
        if found is not None:
            return found[:2]
        if addressed.is_ordinary(primitive, logits, targets, options):
            return cpu.value_and_grad(call, logits, targets)
    with torch.no_grad():
        x, t = _operands(call, logits, targets)
        if out is not None:
            _check_output(out, x)
        way = _way(call, x, t)
        if way is not None and way is not compiled:
            return way.value_and_grad(call, x, t, out)
        problem = _problem(call, x, t)
        loss, grad = problem.value(), problem.gradient()
        return loss, grad if out is None else out.copy_(grad)


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    call = Call(reduced(primitive), options)
    x, t = _operands(call, logits, targets)
    wants_graph = x.requires_grad and torch.is_grad_enabled()
    if cpu.serves(call, x, t) and _alone(call, t) and not wants_graph:
        return cpu.grad_and_hess(call, x, t)
    return shared.grad_and_hess(_problem(call, x, t))


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet, as a tensor."""
    if torch.compiler.is_compiling():
        return _traced_denominator(t, tuple(options.given), tuple(options.given.values()))
    return _denominator(t, options)


@torch.compiler.allow_in_graph
def _traced_denominator(t: Any, names: Any, values: Any) -> Any:
    return _denominator(t, Options(**dict(zip(names, values, strict=True))))


def _denominator(t: Any, options: Options) -> Any:
    call = Call(PLAIN_LOSS, options)
    t = t if isinstance(t, Positives) else t.detach()
    if isinstance(t, Positives):
        return torch.as_tensor(numpy.checked_denominator(t, options), dtype=torch.float64)
    if t.is_cpu and _alone(call, t) and state.has_memory(t):
        return from_host(numpy.checked_denominator(cpu.target_view(t, options), kernel_options(options, t)), t)
    arrays = TensorArrays(t, check_values=False)
    if t.is_cuda and gpu.available() and _alone(call, t) and state.has_memory(t):
        divisor = gpu.denominator(t, options, arrays)
    else:
        targets = dense(t, t.device)
        given = shared.Operands(targets, targets, t.shape, t.shape, targets.dtype)
        divisor = shared.denominator(operations.OPERATIONS, given, options, arrays, wide(t.device))
    shape = reductions.reduced_shape(options, t.shape)
    return torch.as_tensor(divisor, dtype=wide(t.device), device=t.device).expand(shape)


def shifted(x: Any, shift: Any) -> Any:
    """The tensor plus a number or a vector of numbers, rounded once."""
    return (x.to(wide(x.device)) + from_host(shift, x)).to(x.dtype)


# ---- which way ------------------------------------------------------------------------------------------------------


def _operands(call: Call, logits: Any, targets: Any) -> tuple[Any, Any]:
    reductions.check_static(call.options)
    name = call.primitive.loss.quantity.name
    x, t = floating(logits, name), target_array(targets)
    check_shapes(x, t, name)
    if not isinstance(t, Positives):
        check_device("targets", t, x)
    if call.options.reduction == "none" and x.dtype not in (torch.float32, torch.float64):
        return _as_autocast_does(x), t
    return x, t


def _as_autocast_does(x: Any) -> Any:
    """Elementwise losses of half precision are float32 under autocast, as PyTorch's are; reduced ones always are."""
    return x.float() if torch.is_autocast_enabled(x.device.type) else x


_WAYS: tuple[Any, ...] = (gpu, cpu, compiled)


def _way(call: Call, x: Any, t: Any) -> Any:
    """The module whose kernels serve the call; None for tensor operations."""
    if torch.onnx.is_in_onnx_export() or not _alone(call, t):
        return None  # ONNX knows operations, and no operator of ours
    return next((way for way in _WAYS if way.serves(call, x, t)), None)


def _alone(call: Call, t: Any) -> bool:
    """Outside of transforms; of all operands only the logits may need a gradient."""
    if not state.outside_of_transforms():
        return False
    if not torch.is_grad_enabled():
        return True
    tensors = call.tensors if isinstance(t, Positives) else (t, *call.tensors)
    return not any(tensor.requires_grad for tensor in tensors)


def _problem(call: Call, x: Any, t: Any, positive_price: Any = None) -> shared.Problem:
    """The call as tensor operations. Where looking is free, bad values are refused as the kernels refuse them."""
    looks = cpu.serves(call, x, t) and not state.in_transform()
    if looks and call.options.validate:
        cpu.check(call, x, t)
    return clamped.problem(call.primitive, x, t, call.options, looks, positive_price)


def _check_on_host(call: Call, x: Any, t: Any) -> None:
    """Wait for the device, and refuse bad values with the messages of the CPU."""
    host = {name: value.cpu() for name, value in call.options.given.items() if isinstance(value, torch.Tensor)}
    numbers = tuple(one.cpu() if isinstance(one, torch.Tensor) else one for one in call.primitive.given)
    there = Call(call.primitive._replace(given=numbers), call.options.replace(**host))
    cpu.check(there, x.detach().cpu(), t if isinstance(t, Positives) else t.detach().cpu())


def _check_output(out: Any, x: Any) -> None:
    if not isinstance(out, torch.Tensor) or out.dtype not in FLOATS:
        raise UnsupportedTypeError(
            f"out must be a floating tensor; got {type(out).__name__} of dtype {getattr(out, 'dtype', None)!s:.20}. "
            "Use torch.empty_like(logits)."
        )
    floating(out, "out")  # dense
    if out.shape != x.shape:
        raise InvalidInputError(
            f"out must have the logits' shape {tuple(x.shape)}; got {tuple(out.shape)}. Use torch.empty_like(logits)."
        )
    check_device("out", out, x)
    overwritten.check_overlap("out is written", out)
