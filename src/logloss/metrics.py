"""The log loss as a metric on arrays: one number for a model, or one per label."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np

from ._backends.kinds import backend_of, host
from ._errors import InvalidInputError
from ._spec.losses import METRIC, Primitive, primitive
from ._spec.options import given_options
from ._types import A, Doubles, Numbers

AVERAGES = ("micro", "macro", None)
_EXACT = Primitive(METRIC)


class _Options(TypedDict, total=False):
    """What type checkers know of a call besides what says whether there are several results."""

    sample_weight: Any
    ignore_index: float | None
    mask: Any
    eps: float | None


@overload
def log_loss(
    y_true: Any, y_proba: Numbers, *, average: Literal["micro", "macro"] = ..., **options: Unpack[_Options]
) -> np.float64: ...
@overload
def log_loss(y_true: Any, y_proba: Numbers, *, average: None, **options: Unpack[_Options]) -> Doubles: ...
@overload
def log_loss(y_true: Any, y_proba: Numbers, *, average: str | None = ..., **options: Unpack[_Options]) -> Any: ...
@overload
def log_loss(y_true: Any, y_proba: A, *, average: str | None = ..., **options: Unpack[_Options]) -> A: ...
def log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    sample_weight: Any = None,
    average: str | None = "micro",
    ignore_index: float | None = None,
    mask: Any = None,
    eps: float | None = None,
) -> Any:
    r"""Log loss of probabilities: ``Σ w·(-y·log p - (1 - y)·log1p(-p)) / Σ w``, binary or multi-label.

    A metric: it divides by the sum of the weights (losses with `reduction="mean"` divide by the number of elements).
    Nothing is clipped unless `eps` is given: one certain and wrong prediction makes the result inf. A label that is
    always 0 or always 1 is as good as any other.

    Args:
        y_true: (N,) or (N, labels), in [0, 1]; bool, any integer, any float, or `Positives`.
        y_proba: the same shape, probabilities of the positive class in [0, 1].
        sample_weight: (N,), finite, >= 0.
        average: "micro" over all elements; "macro", the mean of the labels' log losses; None, one value per label.
        ignore_index: elements with this target do not count.
        mask: boolean, True counts.
        eps: floors p and 1 - p, each by itself; None is exact.

    Returns:
        float64, or for `average=None` an array of shape (labels,).

    Raises:
        InvalidInputError: nothing to count (or no weight), a probability outside [0, 1], shapes that differ, …
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number.

    Example:
        >>> import logloss as ll
        >>> ll.log_loss([1, 0, 1], [0.9, 0.2, 0.7])
        np.float64(0.22839300363692283)
        >>> ll.log_loss([[1, 0], [0, 0]], [[0.8, 0.1], [0.3, 0.4]], average=None).round(4).tolist()
        [0.2899, 0.3081]

    References:
        Good 1952, *Rational decisions*; Gneiting and Raftery 2007, *Strictly proper scoring rules*, section 3.
    """
    if not isinstance(average, str | None) or average not in AVERAGES:
        raise InvalidInputError(
            f'average must be "micro", "macro" or None; got {average!r}. Use None for one value per label.'
        )
    owner, like = backend_of(y_proba, y_true), y_proba
    y_true, y_proba, sample_weight, mask = map(owner.on_host, (y_true, y_proba, sample_weight, mask))
    backend = host()
    y, p = backend.target_array(y_true), backend.floating(y_proba, "y_proba")
    _check_shapes(y.shape, p.shape)
    reduction = "mean" if sample_weight is None else "weighted_mean"
    axis = None if average == "micro" or len(p.shape) < 2 else 0
    given = {"sample_weight": sample_weight, "ignore_index": ignore_index, "mask": mask}
    options = given_options({**given, "reduction": reduction, "axis": axis})
    losses = backend.value(_EXACT if eps is None else primitive(METRIC, eps=eps), p, y, options)
    _check_weight(backend.denominator(y, options), losses)
    if average is None:
        losses = np.atleast_1d(losses)
    elif axis is not None:
        losses = losses.mean()
    return owner.from_host(losses, like)


def _check_weight(total: Any, losses: Any) -> None:
    """Is there something to count, for every label?"""
    if type(total) is float and total != 0.0 and losses.size:
        return
    empty = np.asarray(total) == 0
    if empty.any() or not losses.size:
        which = f"label {int(np.flatnonzero(empty)[0])} has" if empty.ndim and empty.size else "there is"
        raise InvalidInputError(
            f"a log loss needs at least one element of positive weight; {which} none. "
            "Leave it out, or check mask and weights."
        )


def _check_shapes(true: tuple[int, ...], proba: tuple[int, ...]) -> None:
    if true == proba and len(true) in (1, 2):
        return
    if true == proba:
        raise InvalidInputError(
            f"y_true and y_proba must have shape (N,) or (N, labels); got {true}. Use reshape(-1) on both."
        )
    remedy = "Give one probability per target, as (N,) or (N, labels)."
    if len(true) == 1 and proba == (*true, 2):
        remedy = "Both columns of predict_proba? Use y_proba[:, 1]."
    elif len(true) == 1 and len(proba) == 2 and proba[0] == true[0] and proba[1] > 2:
        remedy = "A multiclass model is not multi-label: choose one class's column, or give a 0/1 matrix of targets."
    elif np.prod(true) == np.prod(proba):
        remedy = f"Use y_proba.reshape({true})."
    raise InvalidInputError(f"y_true and y_proba must have one shape; got {true} and {proba}. {remedy}")
