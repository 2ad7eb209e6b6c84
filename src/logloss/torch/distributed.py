"""Losses without logits over the processes of a group: labels sharded, or a batch of image-text pairs sharded."""

from __future__ import annotations

from typing import Any, Unpack

from .._backends.layer_arguments import Hook, call_of, chunk_size_of, pairs_of
from .._backends.torch import sharded
from .._spec.options import LossOptions, signed


@signed
def sharded_linear_binary_cross_entropy(
    inputs: Any,
    linear_weight: Any,
    targets: Any,
    *,
    linear_bias: Any = None,
    group: Any = None,
    chunk_size: int | None = None,
    on_weight_grad: Hook | None = None,
    **options: Unpack[LossOptions],
) -> Any:
    r"""`logloss.linear_binary_cross_entropy` of labels of which each process has a shard.

    Every process calls it with the same inputs and its own rows of W and b, in the order of ranks. All get the same
    loss, of all labels, and ``dX = Σ_shards G·W``; the gradients of W and b stay where they are. Before anything is
    computed sizes, dtype and options are exchanged, and what differs is an error in every process.

    Args:
        inputs: as for `logloss.linear_binary_cross_entropy`, the same in every process.
        linear_weight: likewise, of the process's own labels.
        targets: `Positives` over all labels, of which each process takes its own; or, likewise, of its own labels.
        linear_bias: likewise, of its own labels.
        group: the process group; None: all processes.
        chunk_size: as for `logloss.linear_binary_cross_entropy`.
        on_weight_grad: likewise, with places among its own labels.
        pos_weight, weight, label_weight, mask: likewise, of its own labels.
        sample_weight, label_axis, label_smoothing, ignore_index, axis, reduction, normalizer, validate: likewise; the
            loss must be one number, and denominators are those of all labels.

    Returns:
        The loss, a differentiable tensor, of the same bits in every process.

    Raises:
        InvalidInputError: no process group; sizes, dtypes or options that differ; what
            `logloss.linear_binary_cross_entropy` refuses, in every process.
        DistributedError: a process that has left, or took longer than the group's timeout.

    Example:
        >>> import torch
        >>> import torch.distributed as dist
        >>> import logloss as ll
        >>> from logloss.torch import sharded_linear_binary_cross_entropy
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> targets = ll.Positives.from_lists([[3], [0]], labels=5)
        >>> sharded_linear_binary_cross_entropy(torch.zeros(2, 4), torch.ones(5, 4), targets)
        tensor(0.6931)
        >>> dist.destroy_process_group()

    References:
        docs/linear.md.
    """
    call = call_of(sharded_linear_binary_cross_entropy, linear_bias, chunk_size, on_weight_grad, options)
    return sharded.linear_value(inputs, linear_weight, targets, *call, group)


def sharded_siglip_loss(
    image_features: Any,
    text_features: Any,
    logit_scale: Any,
    logit_bias: Any = None,
    *,
    groups: Any = None,
    average_positives: bool = False,
    group: Any = None,
    ring: bool = False,
    chunk_size: int | None = None,
) -> Any:
    r"""`logloss.siglip_loss` of a batch of which each process has a part.

    Every image meets every text: ``loss = Σ_{all pairs} / images of all processes``, the same in every process. One
    traversal computes loss and gradients; a process keeps those of its own features, whatever the number of processes.
    Processes may have different numbers of pairs. Each gets the gradient of the loss by its own features, and by scale
    and bias that of all pairs.

    Args:
        image_features: as for `logloss.siglip_loss`, the process's own.
        text_features: likewise; image i belongs to text i of the same process.
        logit_scale: likewise, the same in every process.
        logit_bias: likewise, the same in every process.
        groups: likewise, of the process's own, with numbers that mean the same everywhere.
        average_positives: likewise; k counts an image's positives wherever they are.
        chunk_size: likewise.
        group: as for `sharded_linear_binary_cross_entropy`.
        ring: texts go round from process to process, so that none holds all of them; otherwise all are gathered.

    Returns:
        The loss, a differentiable tensor.

    Raises:
        InvalidInputError: no process group; dtypes, scales or settings that differ; what `logloss.siglip_loss` refuses.
        DistributedError: a process that has left, or took longer than the group's timeout.

    Example:
        >>> import torch
        >>> import torch.distributed as dist
        >>> from logloss.torch import sharded_siglip_loss
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> sharded_siglip_loss(torch.eye(4), torch.eye(4), 10.0, -10.0, ring=True)
        tensor(0.6933)
        >>> dist.destroy_process_group()

    References:
        Zhai et al. 2023, *Sigmoid loss for language image pre-training*, section 3.3; docs/linear.md.
    """
    pairs = pairs_of(None, groups, average_positives)
    size = chunk_size_of(chunk_size)
    return sharded.siglip_value(image_features, text_features, logit_scale, logit_bias, pairs, size, group, bool(ring))
