"""Modules of losses whose logits never exist."""

from __future__ import annotations

from typing import Any

import torch

from .._backends.layer_arguments import Hook, chunk_size_of, hook_of, pairs_of
from ..linear import linear_binary_cross_entropy
from ..siglip import siglip_loss
from .losses import LossModule


class LinearBCEWithLogitsLoss(LossModule):
    r"""Binary cross-entropy of a linear layer, whose outputs never exist as a whole, as a module.

    ``loss = Σ u·softplus(-x) + v·softplus(x)`` over the denominator, ``x = input·linear_weightᵀ + linear_bias``. In the
    call: ``criterion(input, linear_weight, target, linear_bias=None, sample_weight=None, mask=None,
    normalizer=None)``, as for `logloss.linear_binary_cross_entropy`. The weights belong to the model.

    Args:
        chunk_size, on_weight_grad: as for `logloss.linear_binary_cross_entropy`.
        **settings: `reduction`, `pos_weight`, `weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `axis` and `validate`, as for that function.

    Raises:
        InvalidInputError: a chunk_size below 1, a reduction that does not exist.
        TypeError: a setting that does not exist, a hook that cannot be called.

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
        if "inplace" in settings:
            raise TypeError("LinearBCEWithLogitsLoss() takes no setting 'inplace': there are no logits to overwrite.")
        super().__init__(**settings)
        self.chunk_size, self.on_weight_grad = chunk_size_of(chunk_size), hook_of(on_weight_grad)

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

    def extra_repr(self) -> str:
        """The settings."""
        own = {"chunk_size": self.chunk_size, "on_weight_grad": self.on_weight_grad}
        return ", ".join([super().extra_repr(), *(f"{name}={one!r}" for name, one in own.items() if one is not None)])


class SigLIPLoss(torch.nn.Module):
    r"""Sigmoid loss of image-text pairs, whose similarities never exist as a whole, as a module.

    ``loss = (Σ_{positive} softplus(-x_ij) + Σ_{other} softplus(x_ij)) / images``, ``x_ij = t·⟨u_i, v_j⟩ + b``. Called
    as open_clip's `SigLipLoss`, ``criterion(image_features, text_features, logit_scale, logit_bias)``, with `targets`
    or `groups` for other pairs than image i with text i. Scale and bias are the model's parameters, with gradients.

    Args:
        average_positives, chunk_size: as for `logloss.siglip_loss`.

    Raises:
        InvalidInputError: a chunk_size below 1.

    Example:
        >>> import torch
        >>> from logloss.torch import SigLIPLoss
        >>> features = torch.eye(4)
        >>> scale, bias = torch.tensor(10.0, requires_grad=True), torch.tensor(-10.0, requires_grad=True)
        >>> loss = SigLIPLoss()(features, features, scale, bias)
        >>> loss.backward()
        >>> round(loss.item(), 6), round(scale.grad.item(), 6), round(bias.grad.item(), 6)
        (0.693283, -0.5, -0.499864)

    References:
        Zhai et al. 2023, *Sigmoid loss for language image pre-training*, section 3; `logloss.siglip_loss`.
    """

    def __init__(self, *, average_positives: bool = False, chunk_size: int | None = None) -> None:
        super().__init__()
        self.average_positives = pairs_of(None, None, average_positives).average
        self.chunk_size = chunk_size_of(chunk_size)

    def forward(
        self,
        image_features: Any,
        text_features: Any,
        logit_scale: Any,
        logit_bias: Any = None,
        *,
        targets: Any = None,
        groups: Any = None,
    ) -> Any:
        """The loss of these features, as a differentiable tensor."""
        return siglip_loss(
            image_features,
            text_features,
            logit_scale,
            logit_bias,
            targets=targets,
            groups=groups,
            average_positives=self.average_positives,
            chunk_size=self.chunk_size,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"average_positives={self.average_positives}, chunk_size={self.chunk_size}"
