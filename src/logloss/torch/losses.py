"""Drop-ins for PyTorch's losses of logits and probabilities, and modules of the focal family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .._backends.operands import OptionArrays
from .._backends.torch import clamped, state
from .._backends.torch.arrays import holds_tensors
from .._backends.torch.broadcasting import evaluate
from .._spec.losses import ASYMMETRIC, FOCAL, PLAIN_LOSS, PROBABILITY, Loss, Primitive, primitive
from .._spec.options import FIELDS, Options, given_options, switch
from .._spec.reductions import check_static
from .._spec.terms import number, refuse_truth
from ..dialects import pytorch

# What torch.nn.BCELoss does to probabilities near 0 and 1: a floor of logarithms, and of the gradient's denominator.
_TORCH_BCE = Primitive(clamped.LOSS, (math.exp(pytorch.LOG_FLOOR), float(pytorch.BACKWARD_EPSILON)))


def binary_cross_entropy_with_logits(
    input: Any,  # noqa: A002 - torch's name
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
    **options: Any,
) -> Any:
    r"""Binary cross-entropy of logits with the signature of `torch.nn.functional.binary_cross_entropy_with_logits`.

    ``loss = u·softplus(-x) + v·softplus(x)``, exact in both tails: as `logloss.binary_cross_entropy_with_logits`, but
    `weight` and `pos_weight` broadcast as in torch.

    Args:
        input: logits, any shape; float16, bfloat16, float32 or float64.
        target: the same shape, in [0, 1]; bool, any integer, any float.
        weight: broadcasts to the logits' shape as torch broadcasts; finite, negative too, as in torch.
        size_average: deprecated in torch; see `reduction`.
        reduce: deprecated in torch; see `reduction`.
        reduction: "none", "sum", "mean" (÷ number of counted elements), "weighted_mean" or "batchmean".
        pos_weight: price of missing a positive; broadcasts as torch broadcasts, (C, 1, 1) for (N, C, H, W) included.
        **options: `sample_weight`, `label_weight`, `label_axis` (of `label_weight`, and of a one-dimensional
            `pos_weight`), `label_smoothing`, `ignore_index`, `mask`, `axis`, `normalizer` and `validate`, as for
            `logloss.binary_cross_entropy_with_logits`.

    Returns:
        The loss, a differentiable tensor: of the logits' dtype but at least float32, or for "none" of the logits'
        shape and dtype.

    Raises:
        InvalidInputError: shapes that differ, a target outside [0, 1], a negative `sample_weight`, … (a
            `ValueError`). On GPUs and in `torch.func` such values give NaN instead.
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
    if options and (unknown := options.keys() - FIELDS.keys()):
        raise TypeError(f"binary_cross_entropy_with_logits() got an unexpected option {min(unknown)!r}.")
    reduction = reduction if size_average is reduce is None else _reduction(size_average, reduce, reduction)
    given = {**options, "weight": weight, "pos_weight": pos_weight, "reduction": reduction}
    return evaluate(PLAIN_LOSS, input, target, given_options(given))


_SETTINGS = {name: option for name, option in FIELDS.items() if not option.of_batch}
"""What a module's constructor takes; the other options come with the data."""
_DEFAULTS = tuple((name, option.default) for name, option in _SETTINGS.items())
_SAVED = ("weight", "pos_weight")
"""The buffers of torch's own modules: a state dict goes both ways, so no other is in it."""


class LossModule(torch.nn.Module):
    """What all modules share: settings in the constructor, data in the call."""

    def __init__(self, *, inplace: bool = False, **settings: Any) -> None:
        super().__init__()
        unknown = settings.keys() - _SETTINGS.keys()
        if unknown:
            names = ", ".join((*_SETTINGS, "inplace"))
            raise TypeError(f"{type(self).__name__}() got an unexpected setting {min(unknown)!r}. It takes {names}.")
        for name, option in _SETTINGS.items():
            value = settings.get(name, option.default)
            if option.kind == "real":
                self.register_buffer(name, _buffer(name, value), persistent=name in _SAVED)
            else:
                setattr(self, name, value)
        check_static(Options(axis=self.axis, reduction=self.reduction, validate=self.validate))
        self.inplace = switch("inplace", inplace)

    def _apply(self, function: Any, recurse: bool = True) -> Any:
        """What every `.to()` ends in. Numbers of Python are float64, which not every device has."""
        try:
            return super()._apply(function, recurse)
        except TypeError:
            for name, value in self._buffers.items():
                if value is not None and value.dtype is torch.float64:
                    self._buffers[name] = value.to(torch.float32)
            return super()._apply(function, recurse)

    def primitive(self) -> Primitive:
        """The loss of this module; its settings may have been changed since the last call."""
        return PLAIN_LOSS

    def forward(self, input: Any, target: Any, **data: Any) -> Any:  # noqa: A002 - torch's name
        """The loss of these logits (or probabilities) and targets, as a differentiable tensor.

        With the data come `sample_weight`, `mask` and `normalizer`.
        """
        return evaluate(self.primitive(), input, target, self.options(data), self.inplace)

    def options(self, data: dict[str, Any]) -> Options:
        """The settings, and what came with the data."""
        unknown = data.keys() - (FIELDS.keys() - _SETTINGS.keys())
        if unknown:
            names = ", ".join(name for name, option in FIELDS.items() if option.of_batch)
            raise TypeError(
                f"the call got an unexpected option {min(unknown)!r}. It takes {names}; settings go to the constructor."
            )
        own, buffers = self.__dict__, self._buffers  # nn.Module's own way to a buffer takes as long as the loss
        for name, default in _DEFAULTS:
            value = own[name] if name in own else buffers[name] if name in buffers else getattr(self, name)
            if value is not default:
                data[name] = value
        return Options(**data)

    def extra_repr(self) -> str:
        """The settings that are not the defaults."""
        plain = {name: option.default for name, option in _SETTINGS.items() if option.kind != "real"}
        changed = [
            f"{name}={_shown(getattr(self, name))}"
            for name, default in {**plain, "inplace": False}.items()
            if name != "reduction" and _shown(getattr(self, name)) != _shown(default)
        ]
        return ", ".join([f"reduction={self.reduction!r}", *changed])


class BCEWithLogitsLoss(LossModule, torch.nn.BCEWithLogitsLoss):
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


class BCELoss(LossModule, torch.nn.BCELoss):
    r"""`torch.nn.BCELoss`: ``-t·max(log p, -100) - (1-t)·max(log1p(-p), -100)``, safe under autocast.

    The gradient is torch's, ``(p - t) / max(p·(1-p), 1e-12)``, finite where a sigmoid is saturated.
    `BCEWithLogitsLoss` of the logits is more accurate and faster.

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
        self.exact, self.inplace = switch("exact", exact), False

    def primitive(self) -> Primitive:
        """Exact, or with torch's clamps."""
        return Primitive(PROBABILITY) if self.exact else _TORCH_BCE


class SigmoidFocalLoss(LossModule):
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

    def __init__(self, gamma: Any = 2.0, alpha: Any = None, **settings: Any) -> None:
        super().__init__(**settings)
        _set_numbers(self, FOCAL, gamma=gamma, alpha=alpha)

    def primitive(self) -> Primitive:
        """Focal, or the cross-entropy where nothing focuses."""
        return primitive(FOCAL, gamma=self.gamma, alpha=self.alpha)

    def extra_repr(self) -> str:
        """The parameters and the settings that are not the defaults."""
        return f"gamma={_shown(self.gamma)}, alpha={_shown(self.alpha)}, {super().extra_repr()}"


class AsymmetricLoss(LossModule):
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

    def __init__(self, gamma_neg: Any = 4.0, gamma_pos: Any = 1.0, clip: Any = 0.05, **settings: Any) -> None:
        super().__init__(**settings)
        _set_numbers(self, ASYMMETRIC, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)

    def primitive(self) -> Primitive:
        """Asymmetric, or the cross-entropy where nothing is focused or clipped."""
        return primitive(ASYMMETRIC, gamma_neg=self.gamma_neg, gamma_pos=self.gamma_pos, clip=self.clip)

    def extra_repr(self) -> str:
        """The parameters and the settings that are not the defaults."""
        own = (f"{one.name}={_shown(getattr(self, one.name))}" for one in ASYMMETRIC.numbers)
        return ", ".join([*own, super().extra_repr()])


# ---- torch's conventions --------------------------------------------------------------------------------------------


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction, from the deprecated arguments if one of them is given."""
    return reduction if size_average is None and reduce is None else state.legacy_reduction(size_average, reduce)


def _buffer(name: str, value: Any) -> Any:
    """Numbers of Python stay double; a tensor or an array keeps its type."""
    if value is None or isinstance(value, torch.Tensor):
        return value
    if holds_tensors(value):
        return torch.stack([torch.as_tensor(one) for one in value])
    refuse_truth(name, value)
    array = OptionArrays.real(name, value)
    return torch.as_tensor(array, dtype=None if hasattr(value, "dtype") else torch.float64)


def _shown(value: Any) -> str:
    """A setting in one line, whatever holds it."""
    return repr(value.tolist() if isinstance(value, torch.Tensor) else value)


def _set_numbers(module: LossModule, loss: Loss, **values: Any) -> None:
    """The numbers of a loss as attributes: vectors as buffers, which move with the module, parameters to be learnt."""
    for one in loss.numbers:
        value = values[one.name]
        if isinstance(value, list | tuple | np.ndarray) and one.per_label:
            value = _buffer(one.name, value)
        if isinstance(value, torch.Tensor):
            if not isinstance(value, torch.nn.Parameter):
                module.register_buffer(one.name, value, persistent=False)
                continue
        else:
            number(one, value)
        setattr(module, one.name, value)
