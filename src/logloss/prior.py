"""Class balance: a weight that evens it out, and the shift that undoes a weight or a sampling."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np

from ._backends.kinds import backend_of, host
from ._errors import InvalidInputError
from ._spec.options import Options
from ._spec.terms import refuse_truth
from ._targets.positives import Positives
from ._types import A, Array, F, Floats, Numbers, S


@overload
def balanced_pos_weight(
    targets: Numbers | Positives, *, sample_weight: Any = ..., ignore_index: float | None = ..., mask: Any = ...
) -> Any: ...
@overload
def balanced_pos_weight(
    targets: A, *, sample_weight: Any = ..., ignore_index: float | None = ..., mask: Any = ...
) -> A: ...
def balanced_pos_weight(
    targets: Any, *, sample_weight: Any = None, ignore_index: float | None = None, mask: Any = None
) -> Any:
    r"""The `pos_weight` under which positives and negatives weigh the same: ``Σ w·(1 - t) / Σ w·t``, per label.

    Args:
        targets: (N,) or (N, labels), in [0, 1]; bool, any integer, any float, or `Positives`.
        sample_weight: (N,), finite, >= 0.
        ignore_index: elements with this target do not count.
        mask: boolean, True counts.

    Returns:
        A float for (N,), an array of shape (labels,) for (N, labels).

    Raises:
        InvalidInputError: a label without a positive (the weight would be infinite), or targets outside [0, 1].
        UnsupportedTypeError: targets of a framework or dtype that no backend takes.

    Example:
        >>> import logloss as ll
        >>> ll.balanced_pos_weight([1, 0, 0, 0])
        3.0

    References:
        King and Zeng 2001, *Logistic regression in rare events data*, section 4.2.
    """
    owner = backend_of(targets, targets)
    given, sample_weight, mask = map(owner.on_host, (targets, sample_weight, mask))
    backend = host()
    t = backend.target_array(given)
    options = Options(
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        mask=mask,
        reduction="sum",
        axis=0 if len(t.shape) > 1 else None,
    )
    positives, negatives = backend.target_sums(t, options)
    if np.any(np.asarray(positives) == 0):
        where = (
            "" if np.ndim(positives) == 0 else f" label {int(np.flatnonzero(np.asarray(positives) == 0)[0])} has none;"
        )
        raise InvalidInputError(
            f"a balanced weight needs at least one positive per label;{where} the weight would be infinite. "
            "Leave the label out."
        )
    return owner.from_host(negatives / positives, targets)


@overload
def correct_prior(logits: Floats[S, F], *, pos_weight: Any = ..., negative_rate: Any = ...) -> Floats[S, F]: ...
@overload
def correct_prior(logits: Numbers, *, pos_weight: Any = ..., negative_rate: Any = ...) -> Array: ...
@overload
def correct_prior(logits: A, *, pos_weight: Any = ..., negative_rate: Any = ...) -> A: ...
def correct_prior(logits: Any, *, pos_weight: Any = None, negative_rate: Any = None) -> Any:
    r"""Logits of the data as it is, from a model trained on weighted or sampled data.

    ``x - log(pos_weight) + log(negative_rate)``: a well-specified model trained with `pos_weight` a learns odds a
    times too high; one trained on a share r of the negatives, odds 1/r times.

    Args:
        logits: any shape, floating; lists and integers become float64.
        pos_weight: the weight in training, a number or one per label (last axis); positive and finite.
        negative_rate: the share of negatives kept in training, in (0, 1].

    Returns:
        An array of the logits' shape and dtype.

    Raises:
        InvalidInputError: a weight or rate out of range.
        UnsupportedTypeError: logits of a framework or dtype that no backend takes.

    Example:
        >>> import logloss as ll
        >>> ll.correct_prior([0.0], negative_rate=0.1).round(6).tolist()
        [-2.302585]

    References:
        He et al. 2014, *Practical lessons from predicting clicks on ads at Facebook*, section 6.3; Elkan 2001, *The
        foundations of cost-sensitive learning*, theorem 2.
    """
    backend = backend_of(logits, logits)
    x = backend.floating(logits, "logits")
    pos_weight, negative_rate = backend.on_host(pos_weight), backend.on_host(negative_rate)
    kept = _log_in("negative_rate", negative_rate, 1.0, tuple(x.shape))
    return backend.shifted(x, kept - _log_in("pos_weight", pos_weight, math.inf, tuple(x.shape)))


def _log_in(name: str, value: Any, high: float, shape: tuple[int, ...]) -> Any:
    """The logarithm of an option in (0, high], a number or one per label."""
    from ._backends.operands import OptionArrays  # brings Numba

    if value is None:
        return 0.0
    refuse_truth(name, value)
    array = OptionArrays.float64(name, value)
    if array.ndim and array.shape != shape[-1:]:
        raise InvalidInputError(
            f"{name} must be a number or one per label; got shape {array.shape} for logits of shape {shape}. "
            "Give as many as the last axis is long."
        )
    if not ((array > 0.0) & (array <= high) & np.isfinite(array)).all():
        limit = "positive and finite" if high == math.inf else f"in (0, {high:g}]"
        raise InvalidInputError(f"{name} must be {limit}; got {value!r}. Give the one that training used.")
    return np.log(array)
