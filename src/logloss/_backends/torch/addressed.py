"""Ordinary calls: dense CPU tensors of PyTorch's own classes, of which only the logits may need a gradient.

Whether a call is of that kind is asked once for each loss, dtype, device, layout and wrapper of its tensors; what is
left to ask of each call is what can differ between two of one kind. Small steps take longer to be looked at than to be
computed: contiguous tensors under options that are numbers go to the kernels by address, without views.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from ..._kernels import cpu as kernels
from ..._kernels import parameters, plain
from ..._kernels.layout import fits_float32
from ..._spec.losses import Primitive
from ..._spec.options import DEFAULTS, Options, is_validation
from ..._spec.reductions import REDUCTIONS
from .. import numpy
from . import clamped, cpu, state
from .arrays import NUMPY_TARGETS
from .call import Call

_TYPES = {
    getattr(torch, name): np.dtype(name)
    for name in ("float32", "float64", "uint8", "int8", "bool", "int32", "int64", "uint64")
}
_OWN = (torch.Tensor, torch.nn.Parameter)
_NUMBERS = (float, int, bool, str, type(None))
_DENSE = state.kind(torch.empty(0))


class Kind(NamedTuple):
    """Calls of one loss on ordinary tensors of two types."""

    first: Any
    """The first type as NumPy's."""
    alone: Any
    """The plain loops of these types, if there are any: for the loss alone,"""
    with_gradient: Any
    """and for loss and gradient."""
    usual: Any
    """What they take where nothing but the tensors is given."""


_KINDS: dict[Any, Kind | None] = {}
"""The kinds that were met, None for those that go another way."""


def kind_of(primitive: Primitive, x: Any, t: Any) -> Kind | None:
    """The kind of an ordinary call; None for all others."""
    try:
        kind = primitive.loss.name, type(x), type(t), state.kind(x), state.kind(t), x.dtype, t.dtype
    except (AttributeError, TypeError):  # no tensors
        return None
    if kind not in _KINDS:
        _KINDS[kind] = _described(primitive, x, t)
    return _KINDS[kind]


def _described(primitive: Primitive, x: Any, t: Any) -> Kind | None:
    own = type(x) in _OWN and type(t) in _OWN and x.is_cpu and t.is_cpu and not x.is_nested and not t.is_nested
    strided = own and x.layout is t.layout is torch.strided and not x.is_neg() and not t.is_neg()
    if not strided or not all(state.has_memory(one) and not state.outlived_transform(one) for one in (x, t)):
        return None
    if x.dtype not in (torch.float32, torch.float64) or not cpu.has_kernel(Call(primitive, Options())):
        return None
    if t.dtype not in _TYPES:
        return Kind(None, None, None, None) if t.dtype in NUMPY_TARGETS else None
    first, targets = _TYPES[x.dtype], _TYPES[t.dtype]
    loss = clamped.as_kernels(primitive).loss
    alone, with_gradient = (plain.entry(loss, first, targets, gradient) for gradient in (False, True))
    usual = None
    if alone is not None and loss is primitive.loss:
        terms = numpy.terms_of(Primitive(loss), DEFAULTS, t, x.element_size())
        usual = parameters.numbers(loss, terms, first)
    return Kind(first, alone, with_gradient, usual)


def is_ordinary(primitive: Primitive, x: Any, t: Any, options: Options) -> bool:
    """Of a kind of ordinary calls: are the options ordinary, too, and is nobody else at work?"""
    return (
        x.shape == t.shape
        and not t.requires_grad
        and state.outside_of_transforms()
        and not state.is_recorded()
        and options.reduction in REDUCTIONS
        and is_validation(options.validate)
        and all(map(_is_ordinary_option, options.given.values()))
        and all(type(number) in _NUMBERS for number in primitive.given)
    )


def _is_ordinary_option(value: Any) -> bool:
    kind = type(value)
    if kind in _NUMBERS:
        return True
    return kind in _OWN and not value.requires_grad and state.kind(value) == _DENSE


def found(
    kind: Kind, primitive: Primitive, x: Any, t: Any, options: Options, wants_grad: bool
) -> tuple[Any, Any, Options] | None:
    """The loss, the gradient if wanted, and the options as numbers; None where a plain loop cannot serve the call."""
    entry = kind.with_gradient if wants_grad else kind.alone
    if entry is None or (primitive.given and not numpy.are_numbers(primitive.given)):
        return None
    known = _numbers(options)
    if known is None or not _is_plain(x, t):
        return None
    numbers, divisor = kind.usual, float(x.numel())
    if known.given or primitive.given or numbers is None:
        primitive = clamped.as_kernels(primitive)
        numbers = parameters.numbers(primitive.loss, numpy.terms_of(primitive, known, t, x.element_size()), kind.first)
        divisor = numpy.denominator(t, known)
    if numbers is None or not fits_float32(1.0 / divisor):  # a factor beyond float32, say
        return None
    grad = cpu.buffer(x) if wants_grad else None
    into = 0 if grad is None else grad.data_ptr()
    total, flags = kernels.run(entry, x.numel(), x.data_ptr(), t.data_ptr(), into, numbers, 1.0 / divisor)
    if flags and known.validate:
        cpu.problem_of(Call(primitive, known), x, t).refuse()
    return cpu.scalar(total / divisor, x.dtype), grad, known


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
