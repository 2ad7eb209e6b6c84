"""Modules of losses whose logits never exist."""

from __future__ import annotations

from typing import Any

from .._backends.layers import Hook, chunk_size_of
from ..linear import linear_binary_cross_entropy
from .losses import LossModule


class LinearBCEWithLogitsLoss(LossModule):
    r"""Binary cross-entropy of a linear layer, whose outputs never exist as a whole, as a module.

    ``loss = Σ u·softplus(-x) + v·softplus(x)`` over the denominator, ``x = input·linear_weightᵀ + linear_bias``. In the
    call: ``criterion(input, linear_weight, target, linear_bias=None, sample_weight=None, mask=None,
    normalizer=None)``, as for `logloss.linear_binary_cross_entropy`. The weights belong to the model.

    Args:
        chunk_size: the most labels whose logits exist at a time; None: as many as fit the cache.
        on_weight_grad: called as ``on_weight_grad(start, stop, grad)`` with each chunk of the weights' gradient, which
            is then never held.
        **settings: `reduction`, `pos_weight`, `weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `axis` and `validate`, as for `logloss.linear_binary_cross_entropy`.

    Raises:
        InvalidInputError: a chunk_size below 1, a reduction that does not exist.

    Example:
        >>> import torch
        >>> import logloss as ll
        >>> from logloss.torch import LinearBCEWithLogitsLoss
        >>> head = torch.nn.Linear(4, 1000)
        >>> targets = ll.Positives.from_lists([[3, 999], [0]], labels=1000)
        >>> loss = LinearBCEWithLogitsLoss()(torch.zeros(2, 4), head.weight, targets, torch.zeros(1000))
        >>> loss.backward()
        >>> round(loss.item(), 6), head.weight.grad.shape
        (0.693147, torch.Size([1000, 4]))

    References:
        `logloss.linear_binary_cross_entropy`; docs/linear.md.
    """

    def __init__(self, *, chunk_size: int | None = None, on_weight_grad: Hook | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.chunk_size, self.on_weight_grad = chunk_size_of(chunk_size), on_weight_grad

    def forward(  # type: ignore[override]
        self,
        input: Any,  # noqa: A002 - torch's name
        linear_weight: Any,
        target: Any,
        linear_bias: Any = None,
        **data: Any,
    ) -> Any:
        """The loss of a layer's inputs, weights and targets, as a differentiable tensor."""
        own = {"linear_bias": linear_bias, "chunk_size": self.chunk_size, "on_weight_grad": self.on_weight_grad}
        return linear_binary_cross_entropy(input, linear_weight, target, **own, **self.options(data).given)
