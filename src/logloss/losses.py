"""The public losses on arrays: what they mean, and nothing of how they are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _spec
from ._backends import backend_of
from ._spec import Options, Primitive


def binary_cross_entropy_with_logits(
    logits: Any,
    targets: Any,
    *,
    pos_weight: Any = None,
    weight: Any = None,
    sample_weight: Any = None,
    label_weight: Any = None,
    label_axis: int = -1,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    mask: Any = None,
    axis: int | tuple[int, ...] | None = None,
    reduction: str = "mean",
    normalizer: Any = None,
    validate: bool | str = True,
) -> Any:
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
    options = Options(
        pos_weight,
        weight,
        sample_weight,
        label_weight,
        label_axis,
        label_smoothing,
        ignore_index,
        mask,
        axis,
        reduction,
        normalizer,
        validate,
    )
    return backend_of(logits, targets).value(_spec.CROSS_ENTROPY, logits, targets, options)


def binary_cross_entropy(probabilities: Any, targets: Any, *, eps: float | None = None, **options: Any) -> Any:
    r"""Binary cross-entropy of probabilities: ``-u·log p - v·log1p(-p)``, exact unless `eps` is given.

    p = 0 with t > 0 is inf, and so is p = 1 with t < 1: a certain and wrong prediction costs everything. Where there
    are logits, `binary_cross_entropy_with_logits` knows more: a float32 probability cannot come closer to 1 than 6e-8.

    Args:
        probabilities: any shape; float16, bfloat16, float32 or float64; in [0, 1]. Arithmetic is in float64.
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
        Good 1952, *Rational decisions*.
    """
    return _value(binary_cross_entropy, probabilities, targets, {"eps": eps, **options})


def binary_cross_entropy_with_log_probs(log_probs: Any, targets: Any, **options: Any) -> Any:
    r"""Binary cross-entropy of log-probabilities: ``-u·x - v·log(1 - e^x)`` for x = log p.

    Accurate for p near 0 and near 1. For products of probabilities, which underflow, and for models that give
    logarithms.

    Args:
        log_probs: any shape; float16, bfloat16, float32 or float64; at most 0, -inf allowed. Arithmetic is in float64.
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
        Mächler 2012, *Accurately computing log(1 - exp(-|a|))*.
    """
    return _value(binary_cross_entropy_with_log_probs, log_probs, targets, options)


def sigmoid_focal_loss(
    logits: Any, targets: Any, *, gamma: float = 2.0, alpha: float | None = None, **options: Any
) -> Any:
    r"""Focal loss: ``α_t·m^γ`` times the cross-entropy; ``m = t'·σ(-x) + (1 - t')·σ(x)``: how wrong the model is.

    ``α_t = α·t' + (1 - α)·(1 - t')``, or 1 where alpha is None. γ = 0 without alpha equals
    `binary_cross_entropy_with_logits` bit for bit; gradients are finite for every γ >= 0. Arithmetic is in float64,
    m^γ in log space.

    Args:
        logits: any shape; float16, bfloat16, float32 or float64; any real, ±inf allowed.
        targets: the same shape, in [0, 1]; soft targets as in torchvision, Keras and optax.
        gamma: the focus γ, finite, >= 0.
        alpha: the weight of positives in [0, 1]; None weighs neither side. (torchvision's default is 0.25, optax's
            None.)
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
        Lin et al. 2017, *Focal loss for dense object detection*, section 3.
    """
    return _value(sigmoid_focal_loss, logits, targets, {"gamma": gamma, "alpha": alpha, **options})


def asymmetric_loss(
    logits: Any,
    targets: Any,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float | None = 0.05,
    **options: Any,
) -> Any:
    r"""Asymmetric loss for multi-label data: easy negatives are focused away and the easiest dropped.

    ``loss = M^Γ·(u·softplus(-x) - v·log q)`` with ``q = min(1 - σ(x) + clip, 1)``, ``M = t'·σ(-x) + (1 - t')·(1 -
    q)`` and ``Γ = gamma_pos·t' + gamma_neg·(1 - t')``. A negative with σ(x) <= clip costs 0. Arithmetic is in float64.

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
        Ridnik et al. 2021, *Asymmetric loss for multi-label classification*, section 2.
    """
    own = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip}
    return _value(asymmetric_loss, logits, targets, {**own, **options})


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
    primitive, common = _split(loss, options)
    return backend_of(logits, targets).value_and_grad(primitive, logits, targets, common, out)  # type: ignore[no-any-return]


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
    primitive, common = _split(loss, {**options, "reduction": "none"})
    return backend_of(logits, targets).grad_and_hess(primitive, logits, targets, common)  # type: ignore[no-any-return]


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
    _, common = _split(binary_cross_entropy_with_logits, {**options, "reduction": reduction})
    _spec.check_reduction(common)
    backend = backend_of(targets, targets)
    return backend.checked_denominator(backend.target_array(targets), common)


# ---- from a public loss to its mathematics --------------------------------------------------------------------------

_OWN: dict[Callable[..., Any], tuple[str, ...]] = {
    binary_cross_entropy_with_logits: (),
    binary_cross_entropy: ("eps",),
    binary_cross_entropy_with_log_probs: (),
    sigmoid_focal_loss: ("gamma", "alpha"),
    asymmetric_loss: ("gamma_neg", "gamma_pos", "clip"),
}


def _value(loss: Callable[..., Any], logits: Any, targets: Any, options: dict[str, Any]) -> Any:
    primitive, common = _split(loss, options)
    return backend_of(logits, targets).value(primitive, logits, targets, common)


def _split(loss: Callable[..., Any], options: dict[str, Any]) -> tuple[Primitive, Options]:
    """The primitive of a public loss and the options that all losses share."""
    if not options and loss is binary_cross_entropy_with_logits:
        return _spec.CROSS_ENTROPY, _spec.DEFAULTS
    if not callable(loss) or loss not in _OWN:
        names = ", ".join(known.__name__ for known in _OWN)
        raise TypeError(f"loss must be one of this package's losses ({names}); got {loss!r}.")
    own = {name: options[name] for name in _OWN[loss] if name in options}
    try:
        common = Options(**{name: given for name, given in options.items() if name not in own})
    except TypeError:
        unknown = sorted(set(options) - set(own) - set(Options._fields))
        raise TypeError(
            f"{loss.__name__}() got an unexpected option {unknown[0]!r}. "
            f"It takes {', '.join((*_OWN[loss], *Options._fields))}."
        ) from None
    return _primitive(loss, own, common), common


def _primitive(loss: Callable[..., Any], own: dict[str, Any], common: Options) -> Primitive:
    if loss is binary_cross_entropy:
        return _spec.probabilities(own.get("eps"))
    if loss is binary_cross_entropy_with_log_probs:
        return _spec.LOG_PROBABILITIES
    if loss is sigmoid_focal_loss:
        return _spec.focal(own.get("gamma", 2.0), own.get("alpha"), common.label_smoothing)
    if loss is asymmetric_loss:
        shift = own.get("clip", 0.05)
        return _spec.asymmetric(own.get("gamma_neg", 4.0), own.get("gamma_pos", 1.0), shift, common.label_smoothing)
    return _spec.CROSS_ENTROPY
