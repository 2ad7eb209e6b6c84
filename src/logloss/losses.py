"""The public losses on arrays: what they mean, and nothing of how they are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, Unpack, overload

import numpy as np

from ._backends.kinds import backend_of
from ._spec import losses as rows
from ._spec.losses import Loss, Primitive, primitive
from ._spec.options import DEFAULTS, FIELDS, AlongAxes, LossOptions, Options, ToOneNumber, Unreduced, signed
from ._types import A, Doubles, F, Floats, Numbers, S

_F = TypeVar("_F", bound=Callable[..., Any])
_ROWS: dict[Callable[..., Any], Primitive] = {}
"""Each public loss with its defaults."""


def _of(loss: Loss) -> Callable[[_F], _F]:
    """A public function is the door of this row."""

    def register(function: _F) -> _F:
        _ROWS[function] = Primitive(loss)
        return function

    return register


@overload
def binary_cross_entropy_with_logits(
    logits: Floats[S, F], targets: Any, **options: Unpack[Unreduced]
) -> Floats[S, F]: ...
@overload
def binary_cross_entropy_with_logits(logits: Numbers, targets: Any, **options: Unpack[AlongAxes]) -> Doubles: ...
@overload
def binary_cross_entropy_with_logits(logits: Numbers, targets: Any, **options: Unpack[ToOneNumber]) -> np.float64: ...
@overload
def binary_cross_entropy_with_logits(logits: Numbers, targets: Any, **options: Unpack[LossOptions]) -> Any: ...
@overload
def binary_cross_entropy_with_logits(logits: A, targets: Any, **options: Unpack[LossOptions]) -> A: ...
@signed
@_of(rows.CROSS_ENTROPY)
def binary_cross_entropy_with_logits(logits: Any, targets: Any, **options: Unpack[LossOptions]) -> Any:
    r"""Binary cross-entropy of logits: the log loss of σ(x), exact in both tails.

    ``loss = u·softplus(-x) + v·softplus(x)`` with ``u = w·(pos_weight·t')``, ``v = w·(1 - t')``, w the product of
    the weights and ``t' = t·(1 - s) + s/2`` the smoothed target. It keeps full relative accuracy for every logit and
    target: at most 2 ulp for targets of 0 and 1, in float32 and float64. x = +inf with t = 1 costs 0, with t = 0
    inf; NaN only for NaN.

    Args:
        logits: any shape; float16, bfloat16, float32 or float64; any real, ±inf allowed. Lists and integers become
            float64.
        targets: the logits' shape, in [0, 1]; bool, any integer, any float, or `Positives`. Nothing broadcasts.
        pos_weight: price of missing a positive relative to a negative: a number, or one per label; finite, >= 0.
        weight: per element: as many axes as the logits, each as long or of length 1; finite, >= 0.
        sample_weight: per row, shape (N,), along axis 0; finite, >= 0.
        label_weight: per label, a number or a vector along `label_axis`; finite, >= 0.
        label_axis: the axis of labels for `pos_weight` and `label_weight`: -1, or 1 for (N, C, H, W).
        label_smoothing: s in [0, 1]: a target t becomes t·(1 - s) + s/2.
        ignore_index: elements with this target do not count (-1, 255, NaN, …).
        mask: boolean, the logits' shape (or 1 in place of any length): True counts. What does not count has gradient 0,
            even if NaN.
        axis: reduce over these axes only: -1 gives one value per row, 0 one per label.
        reduction: "none"; "sum"; "mean", ÷ number of counted elements; "weighted_mean", ÷ sum of their weights
            (`pos_weight` not included); "batchmean", ÷ length of axis 0.
        normalizer: replaces the denominator (a global count in distributed training); > 0.
        validate: check targets and weights in the same pass; without it, values out of range give meaningless numbers.
            On a GPU and in traced code they make loss and gradient NaN; "now" waits for the GPU, and raises.

    Returns:
        The loss: float64, or for "none" an array of the logits' shape and dtype. With nothing to count it is 0. Of
            a framework's arrays it is one of them, in the logits' dtype but at least float32.

    Raises:
        InvalidInputError: shapes that differ, a target outside [0, 1], a negative weight, … (a `ValueError`); the
            message says which, where and what to do.
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number (a `TypeError`).

    Example:
        >>> import logloss as ll
        >>> ll.binary_cross_entropy_with_logits([5.0, -2.0, 0.5], [1, 0, 1])
        np.float64(0.20257344790406573)
        >>> ll.binary_cross_entropy_with_logits([[9.7], [0.0]], [[0], [1]], reduction="sum")
        np.float64(10.393208462177242)

    References:
        Good 1952, *Rational decisions*, for the logarithmic score; Mächler 2012, *Accurately computing log(1 -
        exp(-|a|))*.
    """
    return _value(binary_cross_entropy_with_logits, logits, targets, **options)


@overload
def binary_cross_entropy(
    probabilities: Floats[S, F], targets: Any, *, eps: float | None = ..., **options: Unpack[Unreduced]
) -> Floats[S, F]: ...
@overload
def binary_cross_entropy(
    probabilities: Numbers, targets: Any, *, eps: float | None = ..., **options: Unpack[AlongAxes]
) -> Doubles: ...
@overload
def binary_cross_entropy(
    probabilities: Numbers, targets: Any, *, eps: float | None = ..., **options: Unpack[ToOneNumber]
) -> np.float64: ...
@overload
def binary_cross_entropy(
    probabilities: Numbers, targets: Any, *, eps: float | None = ..., **options: Unpack[LossOptions]
) -> Any: ...
@overload
def binary_cross_entropy(
    probabilities: A, targets: Any, *, eps: float | None = ..., **options: Unpack[LossOptions]
) -> A: ...
@_of(rows.PROBABILITY)
def binary_cross_entropy(
    probabilities: Any, targets: Any, *, eps: float | None = None, **options: Unpack[LossOptions]
) -> Any:
    r"""Binary cross-entropy of probabilities: ``-u·log p - v·log1p(-p)``, exact unless `eps` is given.

    p = 0 with t > 0 is inf, and so is p = 1 with t < 1: a certain and wrong prediction costs everything. Where there
    are logits, `binary_cross_entropy_with_logits` knows more: a float32 probability cannot come closer to 1 than 6e-8.
    Of float32 with hard targets, losses are within 1 ulp and gradients within 2, soft ones within 5 of the larger term.

    Args:
        probabilities: any shape; float16, bfloat16, float32 or float64; in [0, 1].
        targets: the same shape, in [0, 1]; bool, any integer, any float, or `Positives`.
        eps: floors p and 1 - p, each by itself: the largest loss is -log(eps). In [0, 0.5]; None is exact.
        **options: `pos_weight`, `weight`, `sample_weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `mask`, `axis`, `reduction`, `normalizer` and `validate`, as for
            `binary_cross_entropy_with_logits`.

    Returns:
        The loss: float64, or for "none" an array of the probabilities' shape and dtype.

    Raises:
        InvalidInputError: a probability outside [0, 1] or NaN, and all that `binary_cross_entropy_with_logits` refuses.
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number.

    Example:
        >>> import logloss as ll
        >>> ll.binary_cross_entropy([0.5, 0.25], [1, 0])
        np.float64(0.4904146265058631)
        >>> ll.binary_cross_entropy([0.0, 0.5], [1, 1])
        np.float64(inf)
        >>> ll.binary_cross_entropy([0.0], [1], eps=1e-7)
        np.float64(16.11809565095832)

    References:
        Good 1952, *Rational decisions*; docs/arrays.md for the precision of the arithmetic.
    """
    return _value(binary_cross_entropy, probabilities, targets, eps=eps, **options)


@overload
def binary_cross_entropy_with_log_probs(
    log_probs: Floats[S, F], targets: Any, **options: Unpack[Unreduced]
) -> Floats[S, F]: ...
@overload
def binary_cross_entropy_with_log_probs(log_probs: Numbers, targets: Any, **options: Unpack[AlongAxes]) -> Doubles: ...
@overload
def binary_cross_entropy_with_log_probs(
    log_probs: Numbers, targets: Any, **options: Unpack[ToOneNumber]
) -> np.float64: ...
@overload
def binary_cross_entropy_with_log_probs(log_probs: Numbers, targets: Any, **options: Unpack[LossOptions]) -> Any: ...
@overload
def binary_cross_entropy_with_log_probs(log_probs: A, targets: Any, **options: Unpack[LossOptions]) -> A: ...
@_of(rows.LOG_PROBABILITY)
def binary_cross_entropy_with_log_probs(log_probs: Any, targets: Any, **options: Unpack[LossOptions]) -> Any:
    r"""Binary cross-entropy of log-probabilities: ``-u·x - v·log(1 - e^x)`` for x = log p.

    Accurate for p near 0 and near 1: of float32 with hard targets, loss and gradient are within 2 ulp. For products of
    probabilities, which underflow, and for models that give logarithms.

    Args:
        log_probs: any shape; float16, bfloat16, float32 or float64; at most 0, -inf allowed.
        targets: the same shape, in [0, 1]; bool, any integer, any float, or `Positives`.
        **options: `pos_weight`, `weight`, `sample_weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `mask`, `axis`, `reduction`, `normalizer` and `validate`, as for
            `binary_cross_entropy_with_logits`.

    Returns:
        The loss: float64, or for "none" an array of the shape and dtype of `log_probs`.

    Raises:
        InvalidInputError: a logarithm above 0 or NaN, and all that `binary_cross_entropy_with_logits` refuses.
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number.

    Example:
        >>> import logloss as ll
        >>> ll.binary_cross_entropy_with_log_probs([-1e-20], [0])
        np.float64(46.051701859880914)

    References:
        Mächler 2012, *Accurately computing log(1 - exp(-|a|))*; docs/arrays.md for the precision of the arithmetic.
    """
    return _value(binary_cross_entropy_with_log_probs, log_probs, targets, **options)


@overload
def sigmoid_focal_loss(
    logits: Floats[S, F], targets: Any, *, gamma: Any = ..., alpha: Any = ..., **options: Unpack[Unreduced]
) -> Floats[S, F]: ...
@overload
def sigmoid_focal_loss(
    logits: Numbers, targets: Any, *, gamma: Any = ..., alpha: Any = ..., **options: Unpack[AlongAxes]
) -> Doubles: ...
@overload
def sigmoid_focal_loss(
    logits: Numbers, targets: Any, *, gamma: Any = ..., alpha: Any = ..., **options: Unpack[ToOneNumber]
) -> np.float64: ...
@overload
def sigmoid_focal_loss(
    logits: Numbers, targets: Any, *, gamma: Any = ..., alpha: Any = ..., **options: Unpack[LossOptions]
) -> Any: ...
@overload
def sigmoid_focal_loss(
    logits: A, targets: Any, *, gamma: Any = ..., alpha: Any = ..., **options: Unpack[LossOptions]
) -> A: ...
@_of(rows.FOCAL)
def sigmoid_focal_loss(
    logits: Any, targets: Any, *, gamma: Any = 2.0, alpha: Any = None, **options: Unpack[LossOptions]
) -> Any:
    r"""Focal loss: ``α_t·m^γ`` times the cross-entropy; ``m = t'·σ(-x) + (1 - t')·σ(x)``: how wrong the model is.

    ``α_t = α·t' + (1 - α)·(1 - t')``, or 1 where alpha is None. γ = 0 without alpha equals
    `binary_cross_entropy_with_logits` bit for bit; gradients are finite for every γ >= 0. Of float32 with hard targets,
    loss and gradient are within 3 + 2.5·γ ulp where γ is a multiple of 1/2 up to 5: there m^γ is a product in float32.
    For other γ it comes from log m in float64.

    Args:
        logits: any shape; float16, bfloat16, float32 or float64; any real, ±inf allowed.
        targets: the same shape, in [0, 1]; soft targets as in torchvision, Keras and optax.
        gamma: the focus γ, finite, >= 0. A number of the framework may be traced, or learnt.
        alpha: the weight of positives in [0, 1], a number or one per label along `label_axis`; None weighs neither
            side. (torchvision's default is 0.25, optax's None.)
        **options: `pos_weight`, `weight`, `sample_weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `mask`, `axis`, `reduction`, `normalizer` and `validate`, as for
            `binary_cross_entropy_with_logits`.

    Returns:
        The loss: float64, or for "none" an array of the logits' shape and dtype.

    Raises:
        InvalidInputError: gamma or alpha out of range, and all that `binary_cross_entropy_with_logits` refuses.
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number.

    Example:
        >>> import logloss as ll
        >>> ll.sigmoid_focal_loss([0.0], [1], gamma=2.0)
        np.float64(0.17328679513998632)

    References:
        Lin et al. 2017, *Focal loss for dense object detection*, section 3; docs/arrays.md for the precision of the
        arithmetic.
    """
    return _value(sigmoid_focal_loss, logits, targets, gamma=gamma, alpha=alpha, **options)


@overload
def asymmetric_loss(
    logits: Floats[S, F],
    targets: Any,
    *,
    gamma_neg: Any = ...,
    gamma_pos: Any = ...,
    clip: Any = ...,
    **options: Unpack[Unreduced],
) -> Floats[S, F]: ...
@overload
def asymmetric_loss(
    logits: Numbers,
    targets: Any,
    *,
    gamma_neg: Any = ...,
    gamma_pos: Any = ...,
    clip: Any = ...,
    **options: Unpack[AlongAxes],
) -> Doubles: ...
@overload
def asymmetric_loss(
    logits: Numbers,
    targets: Any,
    *,
    gamma_neg: Any = ...,
    gamma_pos: Any = ...,
    clip: Any = ...,
    **options: Unpack[ToOneNumber],
) -> np.float64: ...
@overload
def asymmetric_loss(
    logits: Numbers,
    targets: Any,
    *,
    gamma_neg: Any = ...,
    gamma_pos: Any = ...,
    clip: Any = ...,
    **options: Unpack[LossOptions],
) -> Any: ...
@overload
def asymmetric_loss(
    logits: A,
    targets: Any,
    *,
    gamma_neg: Any = ...,
    gamma_pos: Any = ...,
    clip: Any = ...,
    **options: Unpack[LossOptions],
) -> A: ...
@_of(rows.ASYMMETRIC)
def asymmetric_loss(
    logits: Any,
    targets: Any,
    *,
    gamma_neg: Any = 4.0,
    gamma_pos: Any = 1.0,
    clip: Any = 0.05,
    **options: Unpack[LossOptions],
) -> Any:
    r"""Asymmetric loss for multi-label data: easy negatives are focused away and the easiest dropped.

    ``loss = M^Γ·(u·softplus(-x) - v·log q)`` with ``q = min(1 - σ(x) + clip, 1)``, ``M = t'·σ(-x) + (1 - t')·(1 -
    q)`` and ``Γ = gamma_pos·t' + gamma_neg·(1 - t')``. A negative with σ(x) <= clip costs 0.

    Of float32 with hard targets, loss and gradient are within 6 + 5·γ ulp, γ being the larger exponent, where both are
    multiples of 1/2 up to 5 and the clip is 0 or in [1/256, 1/2): there M^Γ is a product in float32, and nothing
    cancels next to σ(x) = clip. Else it comes from log M in float64.

    Args:
        logits: any shape; float16, bfloat16, float32 or float64; any real, ±inf allowed.
        targets: the same shape, in [0, 1]; soft targets as in timm.
        gamma_neg: the focus of negatives, finite, >= 0.
        gamma_pos: the focus of positives, finite, >= 0.
        clip: the probability below which negatives cost nothing, in [0, 1]; None is 0.
        **options: `pos_weight`, `weight`, `sample_weight`, `label_weight`, `label_axis`, `label_smoothing`,
            `ignore_index`, `mask`, `axis`, `reduction`, `normalizer` and `validate`, as for
            `binary_cross_entropy_with_logits`.

    Returns:
        The loss: float64, or for "none" an array of the logits' shape and dtype.

    Raises:
        InvalidInputError: a focus or clip out of range, and all that `binary_cross_entropy_with_logits` refuses.
        UnsupportedTypeError: arrays of different frameworks or of a dtype that is no number.

    Example:
        >>> import logloss as ll
        >>> ll.asymmetric_loss([0.0, -4.0], [1, 0])
        np.float64(0.17328679513998632)

    References:
        Ridnik et al. 2021, *Asymmetric loss for multi-label classification*, section 2; docs/arrays.md for the
        precision of the arithmetic.
    """
    own = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip}
    return _value(asymmetric_loss, logits, targets, **own, **options)


# ---- from a public loss to its mathematics --------------------------------------------------------------------------


def _value(function: Callable[..., Any], logits: Any, targets: Any, **given: Any) -> Any:
    one, options = call_of(function, given)
    return backend_of(logits, targets).value(one, logits, targets, options)


def call_of(function: Callable[..., Any], given: dict[str, Any]) -> tuple[Primitive, Options]:
    """The loss behind a public function, and the options that all losses share, of what a caller gave."""
    default = _ROWS.get(function) if callable(function) else None
    if default is None:
        names = ", ".join(known.__name__ for known in _ROWS)
        raise TypeError(f"loss must be one of this package's losses ({names}); got {function!r}.")
    if not given:
        return default, DEFAULTS
    loss = default.loss
    own = {number.name: given.pop(number.name) for number in loss.numbers if number.name in given}
    if not given.keys() <= FIELDS.keys():
        unknown = sorted(given.keys() - FIELDS.keys())
        names = ", ".join((*(number.name for number in loss.numbers), *FIELDS))
        raise TypeError(
            f"{function.__name__}() got an unexpected option {', '.join(map(repr, unknown))}. It takes {names}."
        )
    return primitive(loss, **own) if own else default, Options(**given) if given else DEFAULTS
