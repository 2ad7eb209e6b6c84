"""What PyTorch knows of itself and tells nobody: every private call of this package, behind a name that says why."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad


def in_transform() -> bool:
    """Is `torch.jit.trace` or a transform of `torch.func` at work?"""
    return bool(torch._C._is_tracing() or torch._C._are_functorch_transforms_active())


def outside_of_transforms() -> bool:
    """True where tensors are what they seem: no forward mode, no tracer, no `torch.func`."""
    return forward_ad._current_level < 0 and not in_transform()


def outlived_transform(x: Any) -> bool:
    """Is this what a transform has left behind?"""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))


def is_recorded() -> bool:
    """Are operations recorded instead of run?"""
    return torch._C._len_torch_dispatch_stack() > 0


def is_traced(x: Any) -> bool:
    """True where operators are recorded. Other tensors without memory, distributed ones say, know PyTorch's only."""
    return is_recorded() or isinstance(x, FakeTensor)


def has_memory(x: Any) -> bool:
    """False for the tensors of tracers, for subclasses that only know operations, and where there are no values."""
    own = type(x).__torch_dispatch__ is torch._C._disabled_torch_dispatch_impl and not (x.is_meta or x._is_zerotensor())
    return own and not is_recorded() and not torch._is_functional_tensor(x)


def is_mapped(upstream: Any) -> bool:
    """True where PyTorch asks for many gradients at once (`is_grads_batched`): such a tensor has no memory to view."""
    mapped: bool = torch._C._functorch.is_legacy_batchedtensor(upstream) or torch._C._are_functorch_transforms_active()
    return mapped


def graph_is_kept() -> bool:
    """May the backward that runs now be run again?"""
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())


def in_backward() -> bool:
    """Does a backward run now?"""
    return bool(torch._C._current_graph_task_id() != -1)


def overlaps_itself(tensor: Any) -> bool:
    """Do several elements share a place in memory, as `expand` makes them?"""
    return bool(torch._debug_has_internal_overlap(tensor) == 1)


def is_of_leaf(x: Any) -> bool:
    """Is its memory that of a leaf of the graph?"""
    return bool(x.is_leaf or (x._is_view() and x._base.is_leaf and x._base.requires_grad))


def is_one_of_several_views(x: Any) -> bool:
    """Does it come from chunk, split or unbind, or from no_grad()? No operation may overwrite such a tensor."""
    default = torch._C._autograd.CreationMeta.DEFAULT
    return bool(x._is_view() and torch._C._autograd._get_creation_meta(x) != default)


def same_version(x: Any) -> AbstractContextManager[Any]:
    """What is done within does not count as a change of the tensor."""
    return torch.autograd._unsafe_preserve_version_counter(x)


def without_overrides() -> AbstractContextManager[Any]:
    """Tensors are what they are made of, whatever their class says."""
    return torch._C.DisableTorchFunctionSubclass()


def kind(tensor: Any) -> int:
    """Device, layout, negation and wrappers of a tensor as one number."""
    return torch._C._dispatch_keys(tensor).raw_repr()


def quick_apply(function: Any) -> Any:
    """`function.apply` where nobody need ask whether a transform is active."""
    return super(torch.autograd.Function, function).apply


def legacy_reduction(size_average: bool | None, reduce: bool | None) -> str:
    """The reduction that two arguments deprecated in PyTorch mean, with its warning."""
    name: str = torch.nn._reduction.legacy_get_string(size_average, reduce)
    return name
