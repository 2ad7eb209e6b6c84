"""The derivatives of the public losses, and what they divide by: what they mean, and nothing of how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np

from ._backends.kinds import backend_of
from ._spec.reductions import check_static
from ._targets.positives import Positives
from ._types import A, Array, Doubles, F, Floats, Numbers, S
from .losses import binary_cross_entropy_with_logits, call_of

_Loss = Callable[..., Any]


@overload
def value_and_grad(
    logits: Floats[S, F], targets: Any, *, loss: _Loss = ..., reduction: Literal["none"], **options: Any
) -> tuple[Floats[S, F], Floats[S, F]]: ...
@overload
def value_and_grad(
    logits: Floats[S, F], targets: Any, *, loss: _Loss = ..., axis: int | tuple[int, ...], **options: Any
) -> tuple[Doubles, Floats[S, F]]: ...
@overload
def value_and_grad(
    logits: Floats[S, F], targets: Any, *, loss: _Loss = ..., out: None = ..., **options: Any
) -> tuple[np.float64, Floats[S, F]]: ...
@overload
def value_and_grad(
    logits: Numbers, targets: Any, *, loss: _Loss = ..., out: Array | None = ..., **options: Any
) -> tuple[Any, Array]: ...
@overload
def value_and_grad(
    logits: A, targets: Any, *, loss: _Loss = ..., out: A | None = ..., **options: Any
) -> tuple[A, A]: ...
def value_and_grad(
    logits: Any,
    targets: Any,
    *,
    loss: Callable[..., Any] = binary_cross_entropy_with_logits,
    out: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    r"""A loss and its gradient with respect to the logits (or probabilities), in one pass over the data.

    For the cross-entropy ``gradient = (v·σ(x) - u·σ(-x)) / denominator``, without cancellation: at most 2 ulp for
    hard targets.

    Args:
        logits: as for `loss` (probabilities for `binary_cross_entropy`).
        targets: as for `loss`.
        loss: one of this package's losses.
        out: where the gradient goes: a floating array of the logits' shape, of any of the dtypes; `out=logits` works in
            place. Inputs are checked before an input is overwritten.
        **options: those of `loss`.

    Returns:
        (value, gradient). The gradient has the logits' dtype, or is `out`; with `reduction="none"` it is
        elementwise, with `axis` it is that of the sum of the values.

    Raises:
        InvalidInputError: as `loss`, and an `out` that does not fit.
        UnsupportedTypeError: as `loss`.

    Example:
        >>> import logloss as ll
        >>> value, gradient = ll.value_and_grad([[9.7], [0.0]], [[0], [1]])
        >>> float(value), gradient.round(5).tolist()
        (5.196604231088621, [[0.49997], [-0.25]])

    References:
        Bishop 2006, *Pattern recognition and machine learning*, section 4.3.2.
    """
    primitive, common = call_of(loss, options)
    return backend_of(logits, targets).value_and_grad(primitive, logits, targets, common, out)


@overload
def grad_and_hess(
    logits: Floats[S, F], targets: Any, *, loss: _Loss = ..., **options: Any
) -> tuple[Floats[S, F], Floats[S, F]]: ...
@overload
def grad_and_hess(logits: Numbers, targets: Any, *, loss: _Loss = ..., **options: Any) -> tuple[Array, Array]: ...
@overload
def grad_and_hess(logits: A, targets: Any, *, loss: _Loss = ..., **options: Any) -> tuple[A, A]: ...
def grad_and_hess(
    logits: Any, targets: Any, *, loss: Callable[..., Any] = binary_cross_entropy_with_logits, **options: Any
) -> tuple[Any, Any]:
    r"""Elementwise first and second derivatives of a loss, not reduced: for boosting and Newton's method.

    For the cross-entropy ``gradient = v·σ(x) - u·σ(-x)`` and ``Hessian = (u + v)·σ(x)·σ(-x)``.

    Args:
        logits: as for `loss`.
        targets: as for `loss`.
        loss: one of this package's losses.
        **options: those of `loss` that weigh and mask; a `reduction`, `axis` or `normalizer` is an error, for nothing
            is reduced.

    Returns:
        (gradient, Hessian diagonal), both of the logits' shape and dtype.

    Raises:
        InvalidInputError: as `loss`.
        UnsupportedTypeError: as `loss`.

    Example:
        >>> import logloss as ll
        >>> gradient, hessian = ll.grad_and_hess([0.0], [1])
        >>> gradient.tolist(), hessian.tolist()
        ([-0.5], [0.25])

    References:
        Friedman, Hastie and Tibshirani 2000, *Additive logistic regression*, section 4.
    """
    for name in ("reduction", "axis", "normalizer"):
        if name in options:
            raise TypeError(
                f"grad_and_hess() reduces nothing: it takes no {name!r}. Multiply the derivatives yourself."
            )
    primitive, common = call_of(loss, {**options, "reduction": "none"})
    return backend_of(logits, targets).grad_and_hess(primitive, logits, targets, common)


@overload
def denominator(targets: Numbers | Positives, *, axis: int | tuple[int, ...], **options: Any) -> Doubles: ...
@overload
def denominator(targets: Numbers | Positives, *, reduction: str = ..., axis: None = ..., **options: Any) -> float: ...
@overload
def denominator(targets: A, *, reduction: str = ..., **options: Any) -> A: ...
def denominator(targets: Any, *, reduction: str = "mean", **options: Any) -> Any:
    r"""What a loss with these options divides by: for gradient accumulation and distributed training.

    Divide the sum over processes by their number and pass it as `normalizer`: the averaged gradients are those of
    one process.

    Args:
        targets: as for the losses.
        reduction: "mean", "weighted_mean", "batchmean" or "sum".
        **options: `sample_weight`, `label_weight`, `weight`, `label_axis`, `ignore_index`, `mask` and `axis`, as for
            the losses.

    Returns:
        A float, or with `axis` an array of the reduced shape.

    Raises:
        InvalidInputError: as the losses.
        UnsupportedTypeError: targets of a framework or dtype that no backend takes.

    Example:
        >>> import logloss as ll
        >>> ll.denominator([1, 0, -1, 1], ignore_index=-1)
        3.0

    References:
        docs/options.md, "What the sum is divided by".
    """
    _, common = call_of(binary_cross_entropy_with_logits, {**options, "reduction": reduction})
    check_static(common)
    backend = backend_of(targets, targets)
    return backend.checked_denominator(backend.target_array(targets), common)
