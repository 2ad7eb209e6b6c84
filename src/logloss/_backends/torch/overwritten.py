"""Logits that a loss with inplace=True has overwritten with their gradient: whoever uses them later is told so.

The same object raises on whatever reads it. What reaches its memory by another way, a view or what it is a view of, is
noticed where a gradient flows back through it.
"""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import InvalidInputError
from . import state

_RULE = "logits must not be used after a loss with inplace=True, which has overwritten them with their gradient"
_REMEDY = "Use them before the loss, or leave inplace=True out."


def check_overlap(purpose: str, tensor: Any) -> None:
    """What is written needs a place for each element."""
    if state.overlaps_itself(tensor):
        raise InvalidInputError(
            f"{purpose}, and needs a place for each element; got a tensor of shape {tuple(tensor.shape)} with strides "
            f"{tuple(tensor.stride())}, such as expand() makes. Use contiguous()."
        )


def check_writable(x: Any) -> None:
    """Only what an operation has computed may be overwritten."""
    check_overlap("inplace=True overwrites the logits", x)
    if state.is_of_leaf(x):
        raise InvalidInputError(
            "inplace=True overwrites the logits with their gradient; logits that are a leaf of the graph would lose "
            "their values. Leave inplace=True out."
        )


def forbid(x: Any) -> None:
    """The loss has overwritten these logits: from now on they are not to be used."""
    if not state.is_one_of_several_views(x):  # of those PyTorch lets nothing go on
        with state.same_version(x):  # that they have changed, the loss has said
            _end(x)
    if type(x) is torch.Tensor:
        x.__class__ = Overwritten


class _End(torch.autograd.Function):
    """Where the graph would go on from the logits, or from what they are a part of."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:  # noqa: ARG004 - called by name
        if upstream.any():  # other parts of the same tensor hand down zeros
            raise InvalidInputError(f"{_RULE}; got a gradient from a later use. {_REMEDY}")
        return upstream


_end = state.quick_apply(_End)


class Overwritten(torch.Tensor):
    """The class of logits that hold their gradient: they may be asked what they are, but not be read."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raise for all but the harmless."""
        if function not in _HARMLESS:
            raise InvalidInputError(f"{_RULE}; got {getattr(function, '__name__', function)!r}. {_REMEDY}")
        with state.without_overrides():
            return function(*args, **(kwargs or {}))

    def __repr__(self) -> str:
        return f"Overwritten(shape={tuple(self.shape)}, dtype={self.dtype})"


_PROPERTIES = "shape dtype device layout ndim grad grad_fn is_leaf requires_grad is_cpu is_cuda is_nested is_quantized"
_METHODS = "size dim numel stride storage_offset element_size is_contiguous data_ptr __len__ __hash__"
_HARMLESS = frozenset(
    (
        *(getattr(torch.Tensor, name).__get__ for name in _PROPERTIES.split()),
        *(getattr(torch.Tensor, name) for name in _METHODS.split()),
    )
)
