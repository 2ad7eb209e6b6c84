"""Binary cross-entropy of a linear layer over many labels, whose outputs never exist as a whole."""

from __future__ import annotations

from typing import Any, NamedTuple, Unpack

from ._backends import kinds
from ._backends.layer_arguments import Hook, call_of
from ._spec.options import LossOptions, signed


class LinearGradients(NamedTuple):
    """The gradients of a loss of a linear layer; None for a bias that there is not, and for weights given to a hook."""

    inputs: Any
    linear_weight: Any
    linear_bias: Any


@signed
def linear_binary_cross_entropy(
    inputs: Any,
    linear_weight: Any,
    targets: Any,
    *,
    linear_bias: Any = None,
    chunk_size: int | None = None,
    on_weight_grad: Hook | None = None,
    **options: Unpack[LossOptions],
) -> Any:
    r"""Binary cross-entropy of ``X·Wᵀ + b`` without ever holding these rows × labels logits.

    ``loss = Σ u·softplus(-x_ij) + v·softplus(x_ij)`` over the denominator, with ``x_ij = Σ_d X_id·W_jd + b_j``. Labels
    are taken by chunks; of tensors that need gradients the same sweep computes ``dX = G·W``, ``dW = Gᵀ·X`` and ``db =
    Σ_i G_ij`` from each chunk's ``G = v·σ(x) - u·σ(-x)``. Beside these it needs the memory of one chunk. Without
    gradients (`torch.no_grad`) only the loss is computed.

    Args:
        inputs: X, shape (rows, features): the last layer's inputs. NumPy arrays, or tensors on the CPU or on a CUDA
            device; float16, bfloat16, float32 or (not on a GPU) float64. Under autocast, products are in its type.
        linear_weight: W, shape (labels, features), as `torch.nn.Linear` has it; of the same dtype.
        targets: shape (rows, labels), in [0, 1]: a dense array of bool, any integer or any float; `Positives`, which
            never become dense; a SciPy sparse matrix; or a matrix of integers (rows, width) with the positive labels of
            each row, filled up with -1, where width is not the number of labels.
        linear_bias: b, shape (labels,), of the same dtype; or None.
        chunk_size: the most labels of a chunk; None: as many as fit the cache, 8 MiB of logits (on a GPU the bytes of
            a float32 dX, at least 64 MiB). The loss does not depend on it.
        on_weight_grad: called as ``on_weight_grad(start, stop, grad)`` with the gradient of W[start:stop] when these
            have been read for the last time, so that an optimiser may change them; dW is then never held, and W.grad
            stays None. It runs in the forward: the backward's upstream gradient must be 1.
        pos_weight, weight, sample_weight, label_weight, label_axis, label_smoothing, mask, normalizer, validate: as for
            `binary_cross_entropy_with_logits`, of logits of shape (rows, labels).
        ignore_index, axis, reduction: likewise. Dense targets alone can be ignored; with `axis` the backward computes
            the logits again, and "none" does hold rows × labels losses.

    Returns:
        The loss: float64, or of tensors a differentiable one in float32 (float64 for float64). "none" gives losses of
        that type, of shape (rows, labels).

    Raises:
        InvalidInputError: parts that do not fit each other, an index out of range or given twice, a chunk_size below 1,
            no label at all, and all that `binary_cross_entropy_with_logits` refuses; a second derivative, for the
            logits are not kept.
        UnsupportedTypeError: arrays of other libraries or devices, tensors mixed with arrays.

    Example:
        >>> import numpy as np
        >>> import logloss as ll
        >>> X, W = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> targets = ll.Positives.from_lists([[0, 2], [1]], labels=3)
        >>> float(ll.linear_binary_cross_entropy(X, W, targets).round(12))
        0.801407934289
        >>> float(ll.binary_cross_entropy_with_logits(X @ W.T, targets).round(12))
        0.801407934289

    References:
        Wijmans et al. 2024, *Cut your losses in large-vocabulary language models*, section 4, for the softmax; docs/
        linear.md.
    """
    arguments = call_of(linear_binary_cross_entropy, linear_bias, chunk_size, on_weight_grad, options)
    return kinds.linear_of(inputs).value(inputs, linear_weight, targets, *arguments)


@signed
def linear_value_and_grad(
    inputs: Any,
    linear_weight: Any,
    targets: Any,
    *,
    linear_bias: Any = None,
    chunk_size: int | None = None,
    on_weight_grad: Hook | None = None,
    **options: Unpack[LossOptions],
) -> tuple[Any, LinearGradients]:
    r"""The loss of `linear_binary_cross_entropy`, and its gradients by inputs, weights and bias, in one sweep.

    ``dX = G·W``, ``dW = Gᵀ·X`` and ``db_j = Σ_i G_ij``, with G the gradient by the logits, divided by the denominator.

    Args:
        inputs: as for `linear_binary_cross_entropy`.
        linear_weight: as for `linear_binary_cross_entropy`.
        targets: as for `linear_binary_cross_entropy`.
        linear_bias: as for `linear_binary_cross_entropy`.
        chunk_size: as for `linear_binary_cross_entropy`.
        on_weight_grad: as for `linear_binary_cross_entropy`; the gradient of the weights is then None.
        pos_weight, weight, sample_weight, label_weight, label_axis, label_smoothing, mask, normalizer, validate:
            as for `linear_binary_cross_entropy`.
        ignore_index, axis, reduction: likewise; with "none" or `axis`, gradients are those of the sum of the values.

    Returns:
        (value, `LinearGradients`), the gradients of their arguments' shape and dtype, without a graph.

    Raises:
        InvalidInputError: as `linear_binary_cross_entropy`.
        UnsupportedTypeError: as `linear_binary_cross_entropy`.

    Example:
        >>> import logloss as ll
        >>> value, grads = ll.linear_value_and_grad([[2.0]], [[0.0], [0.0]], [[1, 0]], reduction="sum")
        >>> float(value.round(6)), grads.linear_weight.tolist()
        (1.386294, [[-1.0], [1.0]])

    References:
        docs/linear.md.
    """
    arguments = call_of(linear_value_and_grad, linear_bias, chunk_size, on_weight_grad, options)
    value, grads = kinds.linear_of(inputs).value_and_grad(inputs, linear_weight, targets, *arguments)
    return value, LinearGradients(*grads)
