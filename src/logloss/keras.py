"""Losses for Keras 3 models, on its TensorFlow, JAX and PyTorch backends: the same numbers on each, in both tails.

They take the place of the losses of the same names in `keras.losses`, with the options of this package's losses. A
model's output is what `from_logits` says it is; nothing is guessed from the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._errors import MissingDependencyError
from .losses import binary_cross_entropy, binary_cross_entropy_with_logits, sigmoid_focal_loss

try:
    import keras
    from keras import ops
except ImportError as error:
    raise MissingDependencyError(
        "logloss.keras needs Keras 3, and it is not installed. Use pip install 'logloss[keras]'."
    ) from error


class _Loss(keras.losses.Loss):
    """What both losses share: options along the axis of labels, shapes as Keras matches them, serialisation."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        *,
        pos_weight: Any = None,
        label_weight: Any = None,
        ignore_index: float | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.options = {
            "label_smoothing": label_smoothing,
            "axis": axis,
            "pos_weight": _plain(pos_weight),
            "label_weight": _plain(label_weight),
            "ignore_index": ignore_index,
        }

    def evaluated(self, loss: Any, y_true: Any, y_pred: Any, **own: Any) -> Any:
        """The mean over the labels that count, one value per sample; Keras weighs and reduces them."""
        return loss(y_pred, _matched(y_true, y_pred), label_axis=self.options["axis"], **self.options, **own)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, "dtype": self.dtype, **self.options}


def _plain(value: Any) -> Any:
    """A number or a list, which can be written to a file."""
    return value if value is None else np.asarray(value).tolist()


def _matched(y_true: Any, y_pred: Any) -> Any:
    """Targets of shape (N,) for predictions of shape (N, 1), and the other way round, as Keras takes them."""
    true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    if len(true) + 1 == len(pred) and pred[-1] == 1:
        return ops.expand_dims(y_true, -1)
    if len(pred) + 1 == len(true) and true[-1] == 1:
        return ops.squeeze(y_true, -1)
    return y_true


@keras.saving.register_keras_serializable(package="logloss")
class BinaryCrossentropy(_Loss):
    r"""Binary cross-entropy as a Keras loss, exact in both tails: per sample the mean over the labels.

    ``-(u·log p + v·log(1 - p))`` with ``u = pos_weight·t'``, ``v = 1 - t'`` and ``t' = t·(1 - s) + s/2``; p = σ(x)
    where the model gives logits x.

    Args:
        from_logits: whether the model gives logits, which is more accurate, or probabilities.
        label_smoothing: s in [0, 1].
        axis: the axis of labels: losses are averaged over it, and `pos_weight` and `label_weight` lie along it.
        reduction: as in Keras: "sum_over_batch_size" (the mean over samples), "sum", "mean_with_sample_weight" or None.
        name: of the loss.
        dtype: of the computation; Keras's `floatx` by default.
        pos_weight: price of missing a positive, a number or one per label; finite, >= 0.
        label_weight: a number or one per label; finite, >= 0.
        ignore_index: labels of this value do not count, nor in the mean over the labels.
        eps: floors probabilities p and 1 - p, each by itself; None is exact, and a certain and wrong prediction then
            costs inf. Keras's own loss has 1e-7.

    Raises:
        InvalidInputError: as `logloss.binary_cross_entropy_with_logits`; in compiled code the loss is NaN instead.

    Example:
        >>> import numpy as np
        >>> from logloss.keras import BinaryCrossentropy
        >>> float(BinaryCrossentropy(from_logits=True)(np.array([[1.0, 0.0]]), np.array([[-100.0, 100.0]])))
        100.0

    References:
        Good 1952, *Rational decisions*.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        *,
        eps: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, **options)
        self.eps = eps

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss per sample."""
        if self.from_logits:
            return self.evaluated(binary_cross_entropy_with_logits, y_true, y_pred)
        return self.evaluated(binary_cross_entropy, y_true, y_pred, eps=self.eps)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make this loss again."""
        return {**super().get_config(), "eps": self.eps}


@keras.saving.register_keras_serializable(package="logloss")
class BinaryFocalCrossentropy(_Loss):
    r"""Focal loss as a Keras loss, exact in both tails: per sample the mean over the labels.

    ``α_t·m^γ`` times the cross-entropy, ``m = t'·σ(-x) + (1 - t')·σ(x)``, ``α_t = α·t' + (1 - α)·(1 - t')``. A
    probability p is taken as the logit log p - log(1 - p) of the nearest number strictly between 0 and 1.

    Args:
        apply_class_balancing: whether alpha counts.
        alpha: the weight of positives in [0, 1].
        gamma: the focus γ, finite, >= 0.
        from_logits: whether the model gives logits, which is more accurate, or probabilities.
        label_smoothing: s in [0, 1].
        axis: the axis of labels: losses are averaged over it, and `pos_weight` and `label_weight` lie along it.
        reduction: as in Keras: "sum_over_batch_size" (the mean over samples), "sum", "mean_with_sample_weight" or None.
        name: of the loss.
        dtype: of the computation; Keras's `floatx` by default.
        **options: `pos_weight`, `label_weight` and `ignore_index`, as for `BinaryCrossentropy`.

    Raises:
        InvalidInputError: as `logloss.sigmoid_focal_loss`; in compiled code the loss is NaN instead.

    Example:
        >>> import numpy as np
        >>> from logloss.keras import BinaryFocalCrossentropy
        >>> round(float(BinaryFocalCrossentropy(from_logits=True)(np.array([[1.0]]), np.array([[0.0]]))), 6)
        0.173287

    References:
        Lin et al. 2017, *Focal loss for dense object detection*, section 3.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, **options)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss per sample."""
        if not self.from_logits:
            limits = np.finfo(self.dtype)
            p = ops.clip(y_pred, float(limits.tiny), 1.0 - float(limits.epsneg))
            y_pred = ops.log(p) - ops.log1p(-p)
        alpha = self.alpha if self.apply_class_balancing else None
        return self.evaluated(sigmoid_focal_loss, y_true, y_pred, gamma=self.gamma, alpha=alpha)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make this loss again."""
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return {**super().get_config(), **own}
