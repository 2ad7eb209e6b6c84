"""Sigmoid loss of image-text pairs, whose similarities never exist as a whole."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._backends import kinds
from ._backends.layer_arguments import chunk_size_of, pairs_of


class SigLIPGradients(NamedTuple):
    """The gradients of a sigmoid loss of pairs; None for a bias that there is not."""

    image_features: Any
    text_features: Any
    logit_scale: Any
    logit_bias: Any


def siglip_loss(
    image_features: Any,
    text_features: Any,
    logit_scale: Any,
    logit_bias: Any = None,
    *,
    targets: Any = None,
    groups: Any = None,
    average_positives: bool = False,
    chunk_size: int | None = None,
) -> Any:
    r"""Sigmoid loss of image-text pairs (SigLIP), without ever holding the images × texts similarities.

    ``loss = (Σ_{positive} p_i·softplus(-x_ij) + Σ_{other} softplus(x_ij)) / images`` with ``x_ij = t·⟨u_i, v_j⟩ + b``
    and p = 1, or 1/k with `average_positives`. Texts are taken by chunks; of tensors that need gradients the same sweep
    computes all four of them from each chunk's G = dloss/dx: ``dU = t·G·V``, ``dV = t·Gᵀ·U``, ``dt = Σ G_ij·⟨u_i,
    v_j⟩`` and ``db = Σ G_ij``. It equals open_clip's `SigLipLoss`.

    Args:
        image_features: U, shape (images, features), normalised where the model normalises: arrays and dtypes as for the
            inputs of `linear_binary_cross_entropy`.
        text_features: V, shape (texts, features), of the same dtype; as many as there are images, or another number.
        logit_scale: t, one number: as it multiplies (open_clip's models keep its logarithm).
        logit_bias: b, one number; None is 0.
        targets: which pairs are positive, where that is not image i with text i: as for
            `linear_binary_cross_entropy`, of shape (images, texts), a boolean mask say.
        groups: (image_groups, text_groups), vectors of whole numbers: all pairs of one group are positive.
        average_positives: each of an image's k positives has the weight 1/k.
        chunk_size: the most texts of a chunk, which are the labels here: as for `linear_binary_cross_entropy`.

    Returns:
        The loss: float64, or of tensors a differentiable one in float32 (float64 for float64), whatever the features'
        type.

    Raises:
        InvalidInputError: features of different numbers or dtypes, a scale or bias that is not one finite number,
            groups or targets that do not fit, a chunk_size below 1; a second derivative.
        UnsupportedTypeError: arrays of other libraries or devices.

    Example:
        >>> import logloss as ll
        >>> images, texts = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
        >>> round(float(ll.siglip_loss(images, texts, 10.0, -10.0)), 6)
        0.693193

    References:
        Zhai et al. 2023, *Sigmoid loss for language image pre-training*, section 3; docs/linear.md.
    """
    pairs = pairs_of(targets, groups, average_positives)
    module = kinds.siglip_of(image_features)
    return module.value(image_features, text_features, logit_scale, logit_bias, pairs, chunk_size_of(chunk_size))


def siglip_value_and_grad(
    image_features: Any,
    text_features: Any,
    logit_scale: Any,
    logit_bias: Any = None,
    *,
    targets: Any = None,
    groups: Any = None,
    average_positives: bool = False,
    chunk_size: int | None = None,
) -> tuple[Any, SigLIPGradients]:
    r"""The loss of `siglip_loss`, and its gradients by images, texts, scale and bias, in one sweep.

    ``dU = t·G·V``, ``dV = t·Gᵀ·U``, ``dt = Σ G_ij·⟨u_i, v_j⟩`` and ``db = Σ G_ij``, with G = dloss/dx.

    Args:
        image_features: as for `siglip_loss`.
        text_features: as for `siglip_loss`.
        logit_scale: as for `siglip_loss`.
        logit_bias: as for `siglip_loss`.
        targets: as for `siglip_loss`.
        groups: as for `siglip_loss`.
        average_positives: as for `siglip_loss`.
        chunk_size: as for `siglip_loss`.

    Returns:
        (value, `SigLIPGradients`), without a graph.

    Raises:
        InvalidInputError: as `siglip_loss`.
        UnsupportedTypeError: as `siglip_loss`.

    Example:
        >>> import logloss as ll
        >>> value, grads = ll.siglip_value_and_grad([[1.0]], [[2.0]], 0.0, 0.0)
        >>> float(value.round(6)), float(grads.logit_scale), float(grads.logit_bias)
        (0.693147, -1.0, -0.5)

    References:
        Zhai et al. 2023, *Sigmoid loss for language image pre-training*, section 3; docs/linear.md.
    """
    pairs = pairs_of(targets, groups, average_positives)
    module, size = kinds.siglip_of(image_features), chunk_size_of(chunk_size)
    value, grads = module.value_and_grad(image_features, text_features, logit_scale, logit_bias, pairs, size)
    return value, SigLIPGradients(*grads)
