"""Small steps: contiguous CPU tensors under options that are numbers, by address, for views cost more than the loss.

Whether a call is of that kind is asked once for each loss, dtype, device, layout and wrapper of its tensors; what is
left to ask of each call is what can differ between two of one kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..._kernels import cpu as kernels
from ..._kernels import entries
from ..._spec.losses import Primitive
from ..._spec.options import Options
from .. import numpy
from . import cpu, state
from .call import Call

_TYPES = {
    getattr(torch, name): np.dtype(name)
    for name in ("float32", "float64", "uint8", "int8", "bool", "int32", "int64", "uint64")
}
_OWN = (torch.Tensor, torch.nn.Parameter)
_KINDS: dict[Any, Any] = {}
"""NumPy's names of both types for each kind of call, None for kinds that go another way: asked once, kept."""


def found(primitive: Primitive, x: Any, t: Any, options: Options, wants_grad: bool) -> tuple[Any, Any, Options] | None:
    """The loss, the gradient if wanted, and the options as numbers; None for all calls that are not of this kind."""
    types = _types(primitive, x, t)
    if types is None or primitive.given or not _is_plain(x, t):
        return None
    numbers = _numbers(options)
    return None if numbers is None else _by_address(primitive, x, t, numbers, types, wants_grad)


def _types(primitive: Primitive, x: Any, t: Any) -> Any:
    """The types of logits and targets for a kind of call that goes this way."""
    try:
        kind = primitive.loss.name, type(x), type(t), state.kind(x), state.kind(t), x.dtype, t.dtype
    except (AttributeError, TypeError):  # no tensors
        return None
    types = _KINDS.get(kind, _KINDS)
    if types is _KINDS:
        types = _KINDS[kind] = _served(primitive, x, t)
    return types


def _served(primitive: Primitive, x: Any, t: Any) -> Any:
    own = type(x) in _OWN and type(t) in _OWN and x.is_cpu and t.is_cpu and not x.is_nested and not t.is_nested
    strided = own and x.layout is t.layout is torch.strided and not x.is_neg() and not t.is_neg()
    if not strided or not all(state.has_memory(one) and not state.outlived_transform(one) for one in (x, t)):
        return None
    if primitive.loss.name not in entries.WITH_GRADIENT or x.dtype not in _TYPES or t.dtype not in _TYPES:
        return None
    types = _TYPES[x.dtype], _TYPES[t.dtype]
    return None if entries.plain(primitive.loss.name, *types) is None else types


def _is_plain(x: Any, t: Any) -> bool:
    """True for elements that lie in memory one after the other, outside of every transform."""
    return (
        x.shape == t.shape
        and x.is_contiguous()
        and t.is_contiguous()
        and not t.requires_grad
        and state.outside_of_transforms()
        and not state.is_recorded()
        and x.data_ptr() != 0  # no elements, or none in memory
        and t.data_ptr() != 0
    )


def _numbers(options: Options) -> Options | None:
    """The options with numbers for tensors of one number; None where an option is not of this kind."""
    for name, given in options.given.items():
        if type(given) in numpy.PLAIN_OPTIONS.get(name, ()):
            continue
        if name != "pos_weight" or not _is_number(given):
            return None
        options = options.replace(pos_weight=given.item())
    return options if options.reduction in numpy.TO_ONE_NUMBER else None


def _is_number(value: Any) -> bool:
    """True for a price whose value can be had now, and that nobody wants a gradient of."""
    return (
        type(value) is torch.Tensor
        and value.numel() == 1
        and value.ndim < 2
        and value.dtype in (torch.float32, torch.float64)
        and value.is_cpu
        and not value.requires_grad
    )


def _by_address(
    primitive: Primitive, x: Any, t: Any, options: Options, types: tuple[Any, Any], wants_grad: bool
) -> tuple[Any, Any, Options] | None:
    """None where no plain loop fits: a factor beyond float32, say."""
    grad = cpu.buffer(x) if wants_grad else None
    divisor = numpy.denominator(t, options)
    terms = numpy.terms_of(primitive, options, t, x.element_size())
    into = None if grad is None else grad.data_ptr()
    result = kernels.plain(primitive.loss, terms, x.numel(), x.data_ptr(), t.data_ptr(), into, types, 1.0 / divisor)
    if result is None:
        return None
    total, flags = result
    if flags and options.validate:
        cpu.problem_of(Call(primitive, options), x, t).refuse()
    return cpu.scalar(total / divisor, x.dtype), grad, options
