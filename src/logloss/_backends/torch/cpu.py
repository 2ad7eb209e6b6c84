"""The compiled CPU kernels on a tensor's own memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..._errors import InvalidInputError
from ..._kernels import entries
from ..._spec.losses import PROBABILITIES
from ..._spec.options import Options
from ..._targets.positives import Positives
from .. import numpy
from . import clamped, state
from .arrays import holds_tensors, kernel_options, kernel_view, option_tensor, result_dtype, tensor_of, view
from .call import Call

CHECKS = True
"""Bad values are refused before anything else is computed of them."""
_LARGE = 1 << 22
"""Bytes from which NumPy asks the system for large pages."""


class _IntervalError(InvalidInputError, RuntimeError):
    """Probabilities, or what comes with them, outside of their intervals: PyTorch's BCELoss raises a RuntimeError."""


class _Problem(numpy.Problem):
    """The loss on views of tensors, with PyTorch's kind of error besides ours."""

    def refuse(self) -> None:
        try:
            super().refuse()
        except InvalidInputError as error:
            if self.loss.quantity is PROBABILITIES:
                raise _IntervalError(*error.args) from None
            raise


def serves(call: Call, x: Any, t: Any) -> bool:
    """CPU tensors in eager code, and losses that have a kernel."""
    tensors = call.tensors if isinstance(t, Positives) else (t, *call.tensors)
    return x.is_cpu and state.has_memory(x) and all(map(state.has_memory, tensors)) and has_kernel(call)


def has_kernel(call: Call) -> bool:
    """False for losses of other frameworks, which are formulas alone."""
    return (clamped.as_kernels(call.primitive).loss.name, 64) in entries.GENERAL


def problem_of(call: Call, x: Any, t: Any) -> numpy.Problem:
    """The call on views of the tensors' memory."""
    primitive = clamped.as_kernels(call.primitive)
    named = zip(primitive.loss.numbers, primitive.given, strict=bool(primitive.given))
    given = tuple(_known(one.name, value, x) for one, value in named)
    options = kernel_options(call.options, x)
    return _Problem(primitive._replace(given=given), view(x), target_view(t, call.options), options)


def _known(name: str, number: Any, x: Any) -> Any:
    """A number of the loss, or one for each label, as the kernels read it."""
    if not isinstance(number, torch.Tensor) and not holds_tensors(number):
        return number
    number = option_tensor(name, number, x)
    return number.item() if number.numel() == 1 else kernel_view(number)


def target_view(t: Any, options: Options) -> Any:
    """Targets for the kernels. Bare bits have no values that an ignored one could be compared with."""
    if isinstance(t, Positives):
        return t
    return view(t.float() if t.dtype is torch.bfloat16 and options.ignore_index is not None else t)


def check(call: Call, x: Any, t: Any) -> None:
    """Refuse values outside their domains."""
    problem_of(call, x, t).check_first()


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced."""
    return _as_tensor(numpy.loss_alone(problem_of(call, x, t)), call, x)


def value_and_grad(call: Call, x: Any, t: Any, out: Any = None, upstream: Any = None) -> tuple[Any, Any]:
    """The loss and its gradient, in one pass; into `out` if given, which may be the logits."""
    problem = problem_of(call, x, t)
    if upstream is not None:
        return None, _scaled_by(call, problem, x, upstream)
    grad = buffer(x) if out is None else out
    if clamped.is_too_steep(call.primitive, grad):
        loss, slopes = numpy.both(problem, view(buffer(x, torch.float32)))
        grad.copy_(clamped.hold(tensor_of(slopes)))
    elif out is None:
        loss, _ = numpy.both(problem, view(grad))
    else:
        loss, _ = numpy.into(problem, view(grad))
        torch.autograd.graph.increment_version(out)
    return _as_tensor(loss, call, x), grad


def grad_and_hess(call: Call, x: Any, t: Any) -> tuple[Any, Any]:
    """The elementwise first and second derivatives."""
    grad, hess = numpy.derivatives(problem_of(call, x, t))
    return tensor_of(grad), tensor_of(hess)


def multiply(grad: Any, factor: Any) -> Any:
    """The gradient times a factor, in place; nothing is touched where that is 1."""
    return grad if not factor.ndim and factor.item() == 1.0 else grad.mul_(factor)


def _scaled_by(call: Call, problem: numpy.Problem, x: Any, upstream: Any) -> Any:
    """The gradient times the upstream one, rounded once."""
    grad = buffer(x)
    up = view(upstream.double()) if upstream.ndim else upstream.item()
    scale = up * numpy.scale_of(problem, problem.denominator())
    if clamped.is_too_steep(call.primitive, grad):
        slopes = buffer(x, torch.float32)
        problem.run(grad=view(slopes), scale=scale)
        return grad.copy_(clamped.hold(slopes))
    problem.run(grad=view(grad), scale=scale)
    return grad


# ---- results --------------------------------------------------------------------------------------------------------

_LARGEST = {dtype: torch.finfo(dtype).max for dtype in (torch.float32, torch.float64)}


def _as_tensor(value: Any, call: Call, x: Any) -> Any:
    """A loss from the kernels as a tensor."""
    options = call.options
    if options.reduction == "none":
        losses = tensor_of(np.asarray(value))
        if x.is_contiguous() or losses.stride() == torch.empty_like(x, device="meta").stride():
            return losses
        return buffer(x).copy_(losses)  # NumPy orders repeated axes in another way, and traced code knows PyTorch's
    if options.axis is None:
        return scalar(float(value), result_dtype(x))
    return tensor_of(np.asarray(value)).to(result_dtype(x))


def scalar(value: float, dtype: Any) -> Any:
    """A loss as a tensor, infinite where it is too large for the dtype: `scalar_tensor` alone would refuse it."""
    if abs(value) > _LARGEST[dtype]:
        return torch.scalar_tensor(value, dtype=torch.float64, device="cpu").to(dtype)
    return torch.scalar_tensor(value, dtype=dtype, device="cpu")


def buffer(like: Any, dtype: Any = None) -> Any:
    """Memory for a gradient: `torch.empty_like`, which is quicker where it is small and aligned to cache lines."""
    dtype = dtype or like.dtype
    size = like.numel() * dtype.itemsize
    if size < _LARGE:
        return torch.empty_like(like, dtype=dtype)
    memory = torch.from_numpy(np.empty(size, np.uint8))  # large pages: on fresh memory they are most of the time
    return memory.view(dtype).as_strided(like.shape, torch.empty_like(like, device="meta").stride())
