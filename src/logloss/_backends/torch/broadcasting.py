"""How PyTorch's own losses broadcast `weight` and `pos_weight`, in terms of this package's options."""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import InvalidInputError
from ..._spec.losses import Primitive
from ..._spec.options import SIGNED, Options
from ..._spec.reductions import check_static
from . import value
from .arrays import option_tensor


def evaluate(one: Primitive, logits: Any, targets: Any, options: Options, inplace: bool = False) -> Any:
    """The loss after torch's broadcasting of `weight` and `pos_weight`."""
    positive_price = None
    if not isinstance(logits, torch.Tensor) or logits.is_nested:
        return value(one, logits, targets, options)  # refuses them
    weight, pos_weight = options.weight, options.pos_weight
    if weight is not None:
        check_static(options)
        if options.validate in SIGNED:  # torch takes negative ones
            options = options.replace(validate=SIGNED[options.validate])
        weight = option_tensor("weight", weight, logits)
        if weight.ndim < logits.ndim:
            options = options.replace(weight=_aligned(weight, logits.ndim))
    if isinstance(pos_weight, torch.Tensor | list | tuple):
        pos_weight = option_tensor("pos_weight", pos_weight, logits)
        if pos_weight.ndim:
            options, positive_price = _placed(pos_weight, tuple(logits.shape), options)
    return value(one, logits, targets, options, inplace=inplace, positive_price=positive_price)


def _aligned(value: Any, ndim: int) -> Any:
    """The tensor with as many axes as the logits: torch aligns the last ones."""
    return value.reshape((1,) * (ndim - value.ndim) + tuple(value.shape))


def _placed(pos_weight: Any, shape: tuple[int, ...], options: Options) -> tuple[Options, Any]:
    """`pos_weight` along the label axis where it varies along one axis, else as a price of its own."""
    ndim = len(shape)
    if pos_weight.numel() == 1:
        return options.replace(pos_weight=pos_weight.reshape(())), None
    if pos_weight.ndim == 1 and ndim > 1:
        return options, None
    got = tuple(pos_weight.shape)
    if any(one not in (1, full) for one, full in zip(got[::-1], shape[::-1], strict=False)) or len(got) > ndim:
        raise InvalidInputError(
            f"pos_weight must broadcast to the logits' shape {shape}; got shape {got}. "
            "Give one number per label, with 1 for the axes behind the labels' one."
        )
    aligned = _aligned(pos_weight, ndim)
    varying = [axis for axis, length in enumerate(aligned.shape) if length != 1]
    if len(varying) == 1 and ndim > 1 and options.label_weight is None:
        return options.replace(pos_weight=aligned.reshape(-1), label_axis=varying[0]), None
    return options.replace(pos_weight=None), aligned
