"""One loss as it was called: what every way is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..._spec.losses import Primitive
from ..._spec.options import Options


class Call(NamedTuple):
    """A loss, its options, and whether the logits may be overwritten."""

    primitive: Primitive
    options: Options
    inplace: bool = False

    @property
    def tensors(self) -> list[Any]:
        """What was given as tensors: options, and numbers of the loss."""
        values = (*self.options.given.values(), *self.primitive.given)
        return [value for value in values if isinstance(value, torch.Tensor)]
