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
        """What was given as tensors, and in lists: options, and numbers of the loss."""
        found: list[Any] = []
        for value in (*self.options.given.values(), *self.primitive.given):
            several = value if isinstance(value, list | tuple) else (value,)
            found += [one for one in several if isinstance(one, torch.Tensor)]
        return found
