"""The compiled CPU kernels on a tensor's own memory, and their place in automatic differentiation.

When the logits need a gradient, one pass computes loss and gradient in the forward; the backward multiplies by what
comes from above. Derivatives of the gradient are those of the plain formula.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.autograd import forward_ad

from ... import _formula, _spec
from ..._errors import InvalidInputError
from ..._kernels import cpu
from ..._spec import Options, Primitive, Terms
from .. import is_filling, numpy
from . import plain
from .arrays import array_options, dense, kernel_options, result_dtype, tensor_of, view

CLAMPED = "clamped_probabilities"
"""torch.nn.BCELoss's: the kernel's probabilities with a floor, and a slope of its own (`plain`)."""

_LARGE = 1 << 22
"""Bytes from which NumPy asks the system for large pages."""


class Call(NamedTuple):
    """One loss, as the public function was called."""

    primitive: Primitive
    options: Options
    given: dict[str, Any]  # the options that are arrays
    inplace: bool = False

    @classmethod
    def of(cls, primitive: Primitive, options: Options, inplace: bool = False) -> Call:
        """A call that knows which of its options are arrays."""
        return cls(primitive, options, array_options(options), inplace)


def problem_of(call: Call, x: Any, t: Any) -> numpy.Problem:
    """The call on views of the tensors' memory."""
    primitive = call.primitive
    if primitive.name == CLAMPED:
        floor = primitive.parameters[0]
        primitive = Primitive("probabilities", (-math.log(floor), floor))
    options = kernel_options(call.options, call.given, x)
    return numpy.Problem(primitive, view(x), target_view(t, call.options), options)


def target_view(t: Any, options: Options) -> Any:
    """Targets for the kernels. Bare bits have no values that an ignored one could be compared with."""
    if is_filling(t):
        return t
    return view(t.float() if t.dtype is torch.bfloat16 and options.ignore_index is not None else t)


def check(call: Call, x: Any, t: Any) -> None:
    """Refuse values outside their domains."""
    problem_of(call, x, t).check_first()


def wrapped(value: Any, call: Call, x: Any) -> Any:
    """A loss from the kernels as a tensor."""
    options = call.options
    if options.reduction == "none":
        losses = tensor_of(np.asarray(value))
        if x.is_contiguous() or losses.stride() == torch.empty_like(x, device="meta").stride():
            return losses
        return room(x).copy_(losses)  # NumPy orders repeated axes in another way, and traced code knows PyTorch's
    if options.axis is None:
        return _scalar(float(value), result_dtype(x))
    return tensor_of(np.asarray(value)).to(result_dtype(x))


_LARGEST = {dtype: torch.finfo(dtype).max for dtype in (torch.float32, torch.float64)}


def _scalar(value: float, dtype: Any) -> Any:
    """A loss as a tensor, infinite where it is too large for the dtype: `scalar_tensor` alone would refuse it."""
    if abs(value) > _LARGEST[dtype]:
        return torch.scalar_tensor(value, dtype=torch.float64, device="cpu").to(dtype)
    return torch.scalar_tensor(value, dtype=dtype, device="cpu")


def room(like: Any, dtype: Any = None) -> Any:
    """Memory for a gradient: `torch.empty_like`, which is quicker where it is small and aligned to cache lines."""
    dtype = dtype or like.dtype
    size = like.numel() * dtype.itemsize
    if size < _LARGE:
        return torch.empty_like(like, dtype=dtype)
    memory = torch.from_numpy(np.empty(size, np.uint8))  # large pages: on fresh memory they are most of the time
    return memory.view(dtype).as_strided(like.shape, torch.empty_like(like, device="meta").stride())


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced."""
    return wrapped(numpy.single(problem_of(call, x, t)), call, x)


def value_and_grad(call: Call, x: Any, t: Any, out: Any = None) -> tuple[Any, Any]:
    """The loss and its gradient, in one pass; into `out` if given, which may be the logits."""
    if out is None:
        out, problem = room(x), problem_of(call, x, t)
        loss, _ = numpy.both(problem, view(out))
    else:
        problem = problem_of(call, x, t)
        loss, _ = numpy.into(problem, view(out))
        torch.autograd.graph.increment_version(out)
    if call.primitive.name == CLAMPED:
        scale = 1.0 if call.options.reduction == "none" else numpy.scale_of(problem, problem.denominator())
        _amend(call, problem, x, t, out, scale)
    return wrapped(loss, call, x), out


def grad_and_hess(call: Call, x: Any, t: Any) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    grad, hess = numpy.derivatives(problem_of(call, x, t))
    return tensor_of(grad), tensor_of(hess)


class Loss(torch.autograd.Function):
    """A loss that keeps its gradient, already divided by the denominator, until the backward asks for it.

    Reduced float16 losses keep none: divided by a large denominator, it would be lost below 6e-8 before a gradient
    scaler's factor arrives. Their backward runs the kernel with that factor.

    `found` are loss and gradient, where they are known already.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, call: Call, found: tuple[Any, Any] | None = None) -> Any:
        ctx.call, ctx.positives = call, None if isinstance(t, torch.Tensor) else t
        if found is not None:
            loss, grad = found
            ctx.save_for_backward(x, grad, t)
            return loss
        late = x.dtype is torch.float16 and call.options.reduction != "none" and not call.inplace
        given = [t] if isinstance(t, torch.Tensor) else []
        given += [value for value in call.given.values() if isinstance(value, torch.Tensor)]
        if late:
            ctx.save_for_backward(x, None, *given)
            return value(call, x, t)
        loss, grad = value_and_grad(call, x, t, x.detach() if call.inplace else None)
        ctx.save_for_backward(None if call.inplace else x, grad, *given)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, None, None, None]:
        x, grad, *given = ctx.saved_tensors  # asks whether targets and weights are still what they were
        t = given[0] if ctx.positives is None else ctx.positives
        if torch.is_grad_enabled() or is_mapped(upstream):
            return differentiable(ctx.call, x, t, upstream, checked=True), None, None, None
        if grad is None:
            return _scaled_by(ctx.call, x, t, upstream), None, None, None
        return _multiplied(ctx.call, grad, upstream), None, None, None


def is_mapped(upstream: Any) -> bool:
    """True where PyTorch asks for many gradients at once (`is_grads_batched`): such a tensor has no memory to view."""
    mapped: bool = torch._C._functorch.is_legacy_batchedtensor(upstream) or torch._C._are_functorch_transforms_active()
    return mapped


def differentiable(call: Call, x: Any, t: Any, upstream: Any, checked: bool) -> Any:
    """The gradient as a function of the logits and of what comes from above."""
    if x is None:
        raise InvalidInputError(
            "a second derivative needs the logits; inplace=True has overwritten them with the gradient. "
            "Leave inplace=True out."
        )
    return plain.Problem(call.primitive, x, t, call.options, checked).gradient(upstream)


def _scaled_by(call: Call, x: Any, t: Any, upstream: Any) -> Any:
    """The gradient times the upstream one, rounded once."""
    problem, grad = problem_of(call, x, t), room(x)
    up = view(raised(upstream.double(), call, x.ndim)) if upstream.ndim else upstream.item()
    scale = up * numpy.scale_of(problem, problem.denominator())
    problem.run(grad=view(grad), scale=scale)
    if call.primitive.name == CLAMPED:
        _amend(call, problem, x, t, grad, scale)
    return grad


def _amend(call: Call, problem: numpy.Problem, x: Any, t: Any, grad: Any, scale: Any) -> None:
    """Torch's slope of probabilities where p·(1-p) comes near its least denominator: 1/p is too steep there."""
    p, grad = torch.atleast_1d(x.detach()), torch.atleast_1d(grad)
    eps = call.primitive.parameters[1]
    near = ((p.double() < 2 * eps) | (p.double() >= 1 - 2 * eps)).nonzero(as_tuple=True)
    if not near[0].numel():
        return

    def there(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return torch.from_numpy(np.broadcast_to(value, p.shape)[tuple(axis.numpy() for axis in near)])

    prices, row, element, mask, ignored = problem.terms
    a1, a0, b1, b0 = map(there, prices)
    terms = Terms((a1, a0, b1, b0), there(row), there(element), there(mask), ignored)
    p, target = p[near].double(), torch.atleast_1d(dense(t, x.device))[near]
    u, v = _formula.prices(target.double(), terms)
    slopes = _formula.clamped_probabilities(torch, p, u, v, call.primitive.parameters)[1] * there(scale)
    counts = plain.counted(target, terms)
    slopes = slopes if counts is None else torch.where(counts, slopes, 0.0)
    grad[near] = (plain.held_by_float16(slopes) if grad.dtype is torch.float16 else slopes).to(grad.dtype)


def _multiplied(call: Call, grad: Any, upstream: Any) -> Any:
    """The kept gradient times the upstream one, in the kept one's memory unless the graph may ask again."""
    factor = raised(upstream, call, grad.ndim) if upstream.ndim else upstream
    if torch._C._autograd._get_current_graph_task_keep_graph():
        return (grad * factor).to(grad.dtype)
    if not factor.ndim and factor.item() == 1.0:
        return grad
    return grad.mul_(factor)


def raised(upstream: Any, call: Call, ndim: int) -> Any:
    """One number per reduced value, with the axes that were reduced of length 1; or the one that all of them share.

    The backward of a sum hands down such a tensor, expanded from one number.
    """
    if not upstream.ndim:
        return upstream
    if call.options.axis is not None:
        for axis in _spec.reduced_axes(call.options.axis, ndim):
            upstream = upstream.unsqueeze(axis)
    shared = all(step == 0 or size == 1 for step, size in zip(upstream.stride(), upstream.shape, strict=True))
    return upstream[(0,) * upstream.ndim] if shared and upstream.numel() else upstream


# ---- the usual case -------------------------------------------------------------------------------------------------

_TYPES = {
    getattr(torch, name): np.dtype(name)
    for name in ("float32", "float64", "uint8", "int8", "bool", "int32", "int64", "uint64")
}
_OWN = (torch.Tensor, torch.nn.Parameter)
_REDUCTIONS = ("mean", "sum", "batchmean")
_apply = super(torch.autograd.Function, Loss).apply
"""`Loss.apply` where nobody need ask whether a transform is active."""


def usual(primitive: Primitive, x: Any, t: Any, options: Options) -> Any:
    """The cross-entropy of contiguous tensors under options that are numbers; None in any other case.

    Asked first: on a thousand elements, finding out what a call is takes longer than the loss.
    """
    if not _is_usual(primitive, x, t, options):
        return None
    options, wants_graph = _as_numbers(options), x.requires_grad and torch.is_grad_enabled()
    found = _by_address(primitive, x, t, options, wants_graph)
    if found is None or not wants_graph:
        return found and found[0]
    return _apply(x, t, Call(primitive, options, {}), found)


def usual_value_and_grad(primitive: Primitive, x: Any, t: Any, options: Options) -> tuple[Any, Any] | None:
    """The same loss and its gradient, without a graph."""
    if not _is_usual(primitive, x, t, options):
        return None
    return _by_address(primitive, x, t, _as_numbers(options), True)


def _is_usual(primitive: Primitive, x: Any, t: Any, options: Options) -> bool:
    """True for tensors whose elements lie in memory one after the other, as they are, reduced to one number."""
    pos_weight, weight, sample_weight, label_weight, _, _, ignore_index, mask, axis, reduction, normalizer, _ = options
    return (
        primitive.name == "cross_entropy"
        and weight is sample_weight is label_weight is ignore_index is mask is axis is normalizer is None
        and (pos_weight is None or _is_number(pos_weight))
        and reduction in _REDUCTIONS
        and type(x) in _OWN
        and type(t) in _OWN
        and x.dtype in _LARGEST
        and t.dtype in _TYPES
        and x.shape == t.shape
        and x.is_cpu
        and t.is_cpu
        and x.layout is torch.strided
        and t.layout is torch.strided
        and x.is_contiguous()
        and t.is_contiguous()
        and not x.is_neg()
        and not t.is_neg()
        and not t.requires_grad
        and outside_of_transforms()
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)  # what a transform has left behind
        and not torch._C._functorch.is_functorch_wrapped_tensor(t)
        and x.data_ptr() != 0  # no elements, or none in memory
        and t.data_ptr() != 0
    )


def outside_of_transforms() -> bool:
    """True where tensors are what they seem: no forward mode, no tracer, no `torch.func`."""
    return (
        forward_ad._current_level < 0 and not torch._C._is_tracing() and not torch._C._are_functorch_transforms_active()
    )


def _is_number(value: Any) -> bool:
    """True for a price whose value can be had now, and that nobody wants a gradient of."""
    if type(value) is not torch.Tensor:
        return type(value) in (float, int)
    return (
        value.numel() == 1 and value.ndim < 2 and value.dtype in _LARGEST and value.is_cpu and not value.requires_grad
    )


def _as_numbers(options: Options) -> Options:
    """The options with the price's value for its tensor."""
    if type(options.pos_weight) is torch.Tensor:
        return options._replace(pos_weight=options.pos_weight.item())
    return options


def _by_address(
    primitive: Primitive, x: Any, t: Any, options: Options, wants_grad: bool
) -> tuple[Any, Any | None] | None:
    """The loss and perhaps its gradient, by addresses since views cost more than a small call.

    None where no plain loop fits: a factor beyond float32, say.
    """
    grad = room(x) if wants_grad else None
    types, into = (_TYPES[x.dtype], _TYPES[t.dtype]), None if grad is None else grad.data_ptr()
    divisor, prices = numpy.denominator(t, options), numpy.terms_of(options, t, x.element_size()).prices
    found = cpu.plain(primitive, prices, x.numel(), x.data_ptr(), t.data_ptr(), into, types, 1.0 / divisor)
    if found is None:
        return None
    total, flags = found
    if flags and options.validate:
        problem_of(Call(primitive, options, {}), x, t).refuse()
    return _scalar(total / divisor, x.dtype), grad
