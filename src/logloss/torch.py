"""Drop-ins for PyTorch's binary cross-entropies: change the import, keep the training loop.

`BCEWithLogitsLoss`, `BCELoss` and `binary_cross_entropy_with_logits` take every argument of their namesakes in
`torch.nn` and `torch.nn.functional`, and this package's options: settings in the constructor, data in the call.
docs/coming-from-torch-nn.md lists every difference.
"""

from __future__ import annotations

import math
from typing import Any

from . import _spec
from ._errors import InvalidInputError, MissingDependencyError
from ._spec import Options, Primitive
from .dialects import pytorch

try:
    import torch
except ImportError:
    raise MissingDependencyError(
        "logloss.torch needs PyTorch, which is not installed. Run: pip install 'logloss[torch]'"
    ) from None

from ._backends import torch as _backend

__all__ = ["AsymmetricLoss", "BCELoss", "BCEWithLogitsLoss", "SigmoidFocalLoss", "binary_cross_entropy_with_logits"]

# What torch.nn.BCELoss does to probabilities near 0 and 1: a floor of logarithms, and of the gradient's denominator.
_TORCH_BCE = Primitive("clamped_probabilities", (math.exp(pytorch.LOG_FLOOR), float(pytorch.BACKWARD_EPSILON)))


def binary_cross_entropy_with_logits(
    input: Any,  # noqa: A002 - torch's name
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
    *,
    sample_weight: Any = None,
    label_weight: Any = None,
    label_axis: int = -1,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    mask: Any = None,
    axis: int | tuple[int, ...] | None = None,
    normalizer: Any = None,
    validate: bool | str = True,
) -> Any:
    r"""Binary cross-entropy of logits with the signature of `torch.nn.functional.binary_cross_entropy_with_logits`.

    ``loss = u·softplus(-x) + v·softplus(x)``, exact in both tails: as `logloss.binary_cross_entropy_with_logits`, but
    `weight` and `pos_weight` broadcast as in torch.

    Args:
        input: logits, any shape; float16, bfloat16, float32 or float64.
        target: the same shape, in [0, 1]; bool, any integer, any float.
        weight: broadcasts to the logits' shape as torch broadcasts; finite, >= 0.
        size_average: deprecated in torch; see `reduction`.
        reduce: deprecated in torch; see `reduction`.
        reduction: "none", "sum", "mean" (÷ number of counted elements), "weighted_mean" or "batchmean".
        pos_weight: price of missing a positive; broadcasts as torch broadcasts, (C, 1, 1) for (N, C, H, W) included.
        sample_weight: per row, shape (N,).
        label_weight: per label, a number or a vector along `label_axis`.
        label_axis: the axis of labels for `label_weight`, and for a one-dimensional `pos_weight`.
        label_smoothing: s in [0, 1]: a target t becomes t·(1 - s) + s/2.
        ignore_index: elements with this target do not count.
        mask: boolean, the logits' shape (or 1 in place of any length): True counts.
        axis: reduce over these axes only.
        normalizer: replaces the denominator; > 0.
        validate: check targets and weights in the same pass.

    Returns:
        The loss, a differentiable tensor: of the logits' dtype but at least float32, or for "none" of the logits'
        shape and dtype.

    Raises:
        InvalidInputError: shapes that differ, a target outside [0, 1], a negative weight, … (a `ValueError`). On GPUs
            and in `torch.func` such values give NaN instead.
        UnsupportedTypeError: arrays that are no tensors, or of a dtype that is no number.

    Example:
        >>> import torch
        >>> from logloss.torch import binary_cross_entropy_with_logits
        >>> logits = torch.tensor([5.0, -2.0, 0.5], requires_grad=True)
        >>> loss = binary_cross_entropy_with_logits(logits, torch.tensor([1, 0, 1]))
        >>> loss.backward()
        >>> round(loss.item(), 6), [round(slope, 6) for slope in logits.grad.tolist()]
        (0.202573, [-0.002231, 0.039734, -0.125847])

    References:
        `torch.nn.functional.binary_cross_entropy_with_logits`; docs/coming-from-torch-nn.md.
    """
    data = Options(
        pos_weight,
        weight,
        sample_weight,
        label_weight,
        label_axis,
        label_smoothing,
        ignore_index,
        mask,
        axis,
        reduction if size_average is reduce is None else _reduction(size_average, reduce, reduction),
        normalizer,
        validate,
    )
    return _evaluate(_spec.CROSS_ENTROPY, input, target, data)


class _Loss(torch.nn.Module):
    """What all modules share: settings in the constructor, data in the call."""

    def __init__(
        self,
        *,
        weight: Any = None,
        pos_weight: Any = None,
        label_weight: Any = None,
        label_axis: int = -1,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        axis: int | tuple[int, ...] | None = None,
        reduction: str = "mean",
        validate: bool | str = True,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        _spec.check_reduction(Options(axis=axis, reduction=reduction))
        self.register_buffer("weight", _buffer(weight))
        self.register_buffer("pos_weight", _buffer(pos_weight))
        # not saved: torch's modules have no such buffer, and a state dict goes both ways
        self.register_buffer("label_weight", _buffer(label_weight), persistent=False)
        self.label_axis, self.label_smoothing, self.ignore_index = label_axis, label_smoothing, ignore_index
        self.axis, self.reduction, self.validate, self.inplace = axis, reduction, validate, inplace

    def primitive(self) -> Primitive:
        """The loss of this module; its settings may have been changed since the last call."""
        return _spec.CROSS_ENTROPY

    def forward(
        self,
        input: Any,  # noqa: A002 - torch's name
        target: Any,
        *,
        sample_weight: Any = None,
        mask: Any = None,
        normalizer: Any = None,
    ) -> Any:
        """The loss of these logits (or probabilities) and targets, as a differentiable tensor."""
        options = Options(
            self.pos_weight,
            self.weight,
            sample_weight,
            self.label_weight,
            self.label_axis,
            self.label_smoothing,
            self.ignore_index,
            mask,
            self.axis,
            self.reduction,
            normalizer,
            self.validate,
        )
        return _evaluate(self.primitive(), input, target, options, self.inplace)

    def extra_repr(self) -> str:
        """The settings that are not the defaults."""
        plain = {"label_axis": -1, "label_smoothing": 0.0, "ignore_index": None, "axis": None, "validate": True}
        settings = {name: getattr(self, name) for name in (*plain, "inplace")}
        changed = [f"{name}={value!r}" for name, value in settings.items() if value != plain.get(name, False)]
        return ", ".join([f"reduction={self.reduction!r}", *changed])


class BCEWithLogitsLoss(_Loss, torch.nn.BCEWithLogitsLoss):
    r"""`torch.nn.BCEWithLogitsLoss`, exact in both tails, with loss and gradient in one pass.

    ``loss = u·softplus(-x) + v·softplus(x)``. In the call: ``criterion(input, target, sample_weight=None, mask=None,
    normalizer=None)``, as for `binary_cross_entropy_with_logits`.

    Args:
        weight: broadcasts to the logits' shape as torch broadcasts; a buffer.
        size_average: deprecated in torch; see `reduction`.
        reduce: deprecated in torch; see `reduction`.
        reduction: "none", "sum", "mean" (÷ number of counted elements), "weighted_mean" or "batchmean".
        pos_weight: price of missing a positive; broadcasts as torch broadcasts; a buffer.
        **settings: `label_weight` (a buffer that state dicts leave out), `label_axis`, `label_smoothing`,
            `ignore_index`, `axis` and `validate`, as for `binary_cross_entropy_with_logits`; `inplace`: the forward may
            overwrite the logits with their gradient, which saves a buffer of their size. A backward that needs the
            logits' values is then an error.

    Raises:
        InvalidInputError: a reduction that does not exist.

    Example:
        >>> import torch
        >>> from logloss.torch import BCEWithLogitsLoss
        >>> criterion = BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 3.0]), ignore_index=-1)
        >>> criterion(torch.tensor([[0.0, 0.0]]), torch.tensor([[-1, 1]]))
        tensor(2.0794)

    References:
        `torch.nn.BCEWithLogitsLoss`; docs/coming-from-torch-nn.md.
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
        **settings: Any,
    ) -> None:
        reduction = _reduction(size_average, reduce, reduction)
        super().__init__(weight=weight, pos_weight=pos_weight, reduction=reduction, **settings)


class BCELoss(_Loss, torch.nn.BCELoss):
    r"""`torch.nn.BCELoss`: ``-t·max(log p, -100) - (1-t)·max(log1p(-p), -100)``, safe under autocast.

    The gradient is torch's, ``(p - t) / max(p·(1-p), 1e-12)``, finite where a sigmoid is saturated. Arithmetic is in
    float64. `BCEWithLogitsLoss` of the logits is more accurate and faster.

    Args:
        weight: broadcasts to the probabilities' shape as torch broadcasts; a buffer.
        size_average: deprecated in torch; see `reduction`.
        reduce: deprecated in torch; see `reduction`.
        reduction: "none", "sum", "mean" (÷ number of counted elements), "weighted_mean" or "batchmean".
        exact: clamp nothing: p = 0 with t > 0 is inf, and the gradient is that of the loss.
        **settings: `pos_weight`, `label_weight`, `label_axis`, `label_smoothing`, `ignore_index`, `axis` and
            `validate`, as for `binary_cross_entropy_with_logits`.

    Raises:
        InvalidInputError: a reduction that does not exist.

    Example:
        >>> import torch
        >>> from logloss.torch import BCELoss
        >>> p, t = torch.tensor([0.0, 0.25]), torch.tensor([1.0, 0.0])
        >>> BCELoss()(p, t), BCELoss(exact=True)(p, t)
        (tensor(50.1438), tensor(inf))

    References:
        `torch.nn.BCELoss`; docs/coming-from-torch-nn.md.
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        exact: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(weight=weight, reduction=_reduction(size_average, reduce, reduction), **settings)
        self.exact, self.inplace = exact, False

    def primitive(self) -> Primitive:
        """Exact, or with torch's clamps."""
        return _spec.probabilities(None) if self.exact else _TORCH_BCE


class SigmoidFocalLoss(_Loss):
    r"""Focal loss of logits as a module: `logloss.sigmoid_focal_loss`.

    Args:
        gamma: the focus, finite, >= 0.
        alpha: the weight of positives in [0, 1]; None weighs neither side (torchvision's default is 0.25).
        **settings: `reduction` ("mean"; torchvision's default is "none"), `weight`, `pos_weight`, `label_weight`,
            `label_axis`, `label_smoothing`, `ignore_index`, `axis`, `validate` and `inplace`, as for
            `BCEWithLogitsLoss`.

    Raises:
        InvalidInputError: gamma or alpha out of range.

    Example:
        >>> import torch
        >>> from logloss.torch import SigmoidFocalLoss
        >>> SigmoidFocalLoss(gamma=2.0, alpha=0.25)(torch.tensor([0.0, -3.0]), torch.tensor([1, 0]))
        tensor(0.0217)

    References:
        Lin et al. 2017, *Focal loss for dense object detection*, section 3.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.gamma, self.alpha = gamma, alpha
        self.primitive()

    def primitive(self) -> Primitive:
        """Focal, or the cross-entropy where nothing focuses."""
        return _spec.focal(self.gamma, self.alpha, self.label_smoothing)

    def extra_repr(self) -> str:
        """The parameters and the settings that are not the defaults."""
        return f"gamma={self.gamma}, alpha={self.alpha}, {super().extra_repr()}"


class AsymmetricLoss(_Loss):
    r"""Asymmetric loss of logits as a module: `logloss.asymmetric_loss`.

    Args:
        gamma_neg: the focus of negatives, finite, >= 0.
        gamma_pos: the focus of positives, finite, >= 0.
        clip: the probability below which negatives cost nothing, in [0, 1]; None is 0.
        **settings: `reduction` ("mean"; timm's default is "batchmean"), `weight`, `pos_weight`, `label_weight`,
            `label_axis`, `label_smoothing`, `ignore_index`, `axis`, `validate` and `inplace`, as for
            `BCEWithLogitsLoss`.

    Raises:
        InvalidInputError: a focus or clip out of range.

    Example:
        >>> import torch
        >>> from logloss.torch import AsymmetricLoss
        >>> AsymmetricLoss()(torch.tensor([0.0, -4.0]), torch.tensor([1, 0]))
        tensor(0.1733)

    References:
        Ridnik et al. 2021, *Asymmetric loss for multi-label classification*, section 2.
    """

    def __init__(
        self, gamma_neg: float = 4.0, gamma_pos: float = 1.0, clip: float | None = 0.05, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip
        self.primitive()

    def primitive(self) -> Primitive:
        """Asymmetric, or the cross-entropy where nothing is focused or clipped."""
        return _spec.asymmetric(self.gamma_neg, self.gamma_pos, self.clip, self.label_smoothing)

    def extra_repr(self) -> str:
        """The parameters and the settings that are not the defaults."""
        own = f"gamma_neg={self.gamma_neg}, gamma_pos={self.gamma_pos}, clip={self.clip}"
        return f"{own}, {super().extra_repr()}"


# ---- torch's conventions --------------------------------------------------------------------------------------------


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction, from the deprecated arguments if one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    name: str = torch.nn._reduction.legacy_get_string(size_average, reduce)
    return name


def _buffer(value: Any) -> Any:
    return value if value is None or isinstance(value, torch.Tensor) else torch.as_tensor(value)


def _evaluate(primitive: Primitive, logits: Any, targets: Any, options: Options, inplace: bool = False) -> Any:
    """The loss after torch's broadcasting of `weight` and `pos_weight`."""
    positive_price = None
    weight, pos_weight = options.weight, options.pos_weight
    if not isinstance(logits, torch.Tensor):
        return _backend.value(primitive, logits, targets, options)  # refuses them
    if isinstance(weight, torch.Tensor) and weight.ndim < logits.ndim:
        options = options._replace(weight=_aligned(weight, logits.ndim))
    if isinstance(pos_weight, torch.Tensor) and pos_weight.ndim:
        options, positive_price = _placed(pos_weight, tuple(logits.shape), options)
    return _backend.value(primitive, logits, targets, options, inplace=inplace, positive_price=positive_price)


def _aligned(value: Any, ndim: int) -> Any:
    """The tensor with as many axes as the logits: torch aligns the last ones."""
    return value.reshape((1,) * (ndim - value.ndim) + tuple(value.shape))


def _placed(pos_weight: Any, shape: tuple[int, ...], options: Options) -> tuple[Options, Any]:
    """`pos_weight` along the label axis where it varies along one axis, else as a price of its own."""
    ndim = len(shape)
    if pos_weight.numel() == 1:
        return options._replace(pos_weight=pos_weight.reshape(())), None
    if pos_weight.ndim == 1 and ndim > 1:
        return options, None
    got = tuple(pos_weight.shape)
    if any(one not in (1, full) for one, full in zip(got[::-1], shape[::-1], strict=False)) or len(got) > ndim:
        raise InvalidInputError(
            f"pos_weight must broadcast to the logits' shape {shape}; got shape {got}. "
            "Give one number per label, with 1 for the axes behind the labels' one."
        )
    aligned = _aligned(pos_weight, ndim)
    varying = [axis for axis, length in enumerate(aligned.shape) if length != 1]
    if len(varying) == 1 and ndim > 1 and options.label_weight is None:
        return options._replace(pos_weight=aligned.reshape(-1), label_axis=varying[0]), None
    return options._replace(pos_weight=None), aligned
