"""The loss as Hugging Face's Trainer calls it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from .._errors import InvalidInputError
from ..losses import binary_cross_entropy_with_logits, call_of

_OWN = ("reduction", "normalizer", "axis", "ignore_index")


def hf_loss(
    loss: Callable[..., Any] = binary_cross_entropy_with_logits, *, ignore_index: float = -100, **options: Any
) -> Callable[..., Any]:
    r"""A loss as `compute_loss_func` of Hugging Face's Trainer: ``Σ loss / num_items_in_batch``, of any accumulation.

    The Trainer counts the labels other than -100 in all micro-batches of a step (and of all processes), so that eight
    micro-batches of one row give the gradient of one batch of eight, which a mean of means does not. Where it counts
    nothing, in evaluation, the loss is the mean over the labels that count.

    Args:
        loss: a loss of logits, for several labels or one: `binary_cross_entropy_with_logits`, `sigmoid_focal_loss` or
            `asymmetric_loss`.
        ignore_index: labels of this value do not count; the Trainer counts all but -100.
        **options: numbers of the loss (gamma, alpha, …), `pos_weight`, `label_weight`, `label_smoothing` and
            `validate`, as for `logloss.binary_cross_entropy_with_logits`.

    Returns:
        A function of (outputs, labels, num_items_in_batch). Of outputs it takes "logits", or the first that is no mere
        number; labels have the logits' shape, or lack an axis of length 1.

    Raises:
        InvalidInputError: no labels or no logits, shapes that differ; on a CPU, labels outside [0, 1]. A loss of
            probabilities.

    Example:
        >>> import torch
        >>> from logloss.torch import hf_loss
        >>> criterion = hf_loss(pos_weight=[1.0, 2.0])
        >>> outputs, labels = {"logits": torch.zeros(2, 2)}, torch.tensor([[1.0, -100.0], [0.0, 1.0]])
        >>> criterion(outputs, labels, num_items_in_batch=torch.tensor(3))
        tensor(0.9242)

    References:
        Hugging Face Transformers, `Trainer(compute_loss_func=)`; docs/training-loops.md.
    """
    for name in options.keys() & {*_OWN}:
        raise TypeError(f"hf_loss() takes no {name!r}: the Trainer says what the sum is divided by. Leave it out.")
    primitive, _ = call_of(loss, dict(options))
    if primitive.loss.quantity.bounded:
        raise InvalidInputError(
            f"loss must be one of logits, which models give; got {loss.__name__}. Use binary_cross_entropy_with_logits."
        )

    return partial(_loss_of, loss, {**options, "ignore_index": ignore_index})


def _loss_of(loss: Any, options: dict[str, Any], outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    if labels is None:
        raise InvalidInputError(
            'labels must be among the inputs of a batch; got None. Name their column "labels", or name it in '
            "TrainingArguments(label_names=)."
        )
    logits = _logits(outputs)
    targets = labels.reshape(logits.shape) if _fits(labels, logits) else labels
    if logits.shape == (*targets.shape, 2):
        raise InvalidInputError(
            f"there must be one logit for each label; got logits of shape {tuple(logits.shape)}, of two classes, for "
            f"labels of shape {tuple(targets.shape)}. Load the model with num_labels=1."
        )
    if targets.dtype is torch.bool:
        options = {name: value for name, value in options.items() if name != "ignore_index"}
    if num_items_in_batch is None:
        return loss(logits, targets, **options)
    total = loss(logits, targets, reduction="sum", **options)
    count = torch.as_tensor(num_items_in_batch, device=total.device).sum()  # DataParallel: of each GPU
    return total / count.clamp(min=1)  # nothing to count costs nothing


def _logits(outputs: Any) -> Any:
    """The logits of a model's output: by name, or the first of a tuple, where a number before them is a loss."""
    if isinstance(outputs, torch.Tensor):
        return outputs
    if hasattr(outputs, "logits"):
        return outputs.logits
    if hasattr(outputs, "keys"):
        if "logits" not in outputs:
            raise InvalidInputError(
                f'a model\'s outputs must have "logits"; got {", ".join(map(str, outputs.keys())) or "none"}. '
                "Give them this name, or return the logits alone."
            )
        return outputs["logits"]
    return next((one for one in outputs if one.ndim), outputs[0])


def _fits(labels: Any, logits: Any) -> bool:
    """Do they differ by axes of length 1 at the end alone?"""
    return labels.numel() == logits.numel() and tuple(labels.shape) == tuple(logits.shape)[: labels.ndim]
