"""A metric for Keras 3 models, whose sums belong to the compiled step: twice as long as its numbers are."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from .._backends.kinds import backend_of
from .._errors import InvalidInputError
from .._spec.options import Options, switch
from ..losses import binary_cross_entropy, binary_cross_entropy_with_logits, call_of

_SUMS = ("weight", "target", "prediction", "loss")
_STATISTICS = ("log_loss", "normalized_entropy", "calibration_ratio")


def _widest() -> Any:
    """float64, or float32 where JAX has no other type."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX says then that it is none
        return keras.backend.standardize_dtype(ops.cast(0.0, "float64").dtype)


def _over_elements(weight: Any, y_true: Any) -> Any:
    """Weights of the leading axes as ones that broadcast to all."""
    given, wanted = tuple(weight.shape), tuple(y_true.shape)
    while len(given) > len(wanted) and given[-1] == 1:
        weight, given = ops.squeeze(weight, -1), given[:-1]
    if len(given) > len(wanted) or any(a != b for a, b in zip(given, wanted, strict=False) if a not in (1, None) and b):
        raise InvalidInputError(
            f"sample_weight must have the leading axes of labels of shape {wanted}; got shape {given}. "
            "Give a weight for each row, or for each element."
        )
    return ops.expand_dims(weight, tuple(range(len(given), len(wanted)))) if len(given) < len(wanted) else weight


@keras.saving.register_keras_serializable(package="logloss")
class LogLoss(keras.metrics.Metric):
    r"""Log loss of all batches of an epoch, or what explains it: ``Σ w·loss / Σ w`` over all elements.

    Every sum is kept as a pair of numbers, high and low, so that adding batches loses nothing: in float64, or in
    float32 where JAX has no other type; there a batch's own sum is rounded to float32. Nothing is clipped. The logits
    of a model's last sigmoid are used where Keras remembers them, as by `BinaryCrossentropy`. For sums that are exact
    to the last bit, and for intervals, see `logloss.streaming.ScoreSums`.

    Args:
        from_logits: whether the model gives logits, or probabilities.
        statistic: "log_loss"; "normalized_entropy", ÷ the log loss of always predicting the base rate; or
            "calibration_ratio", Σ w·p / Σ w·y.
        name: of the metric.
        dtype: of the result.
        ignore_index: labels of this value do not count.

    Raises:
        InvalidInputError: an unknown statistic; shapes that differ, weights that fit neither rows nor elements.
            Negative weights make the result NaN.

    Example:
        >>> import numpy as np
        >>> from logloss.keras import LogLoss
        >>> metric = LogLoss()
        >>> metric.update_state(np.array([1.0, 0.0]), np.array([0.9, 0.2]))
        >>> metric.update_state(np.array([1.0]), np.array([0.7]))
        >>> round(float(metric.result()), 6)
        0.228393

    References:
        Good 1952, *Rational decisions*; Knuth 1997, *The art of computer programming* 2, 4.2.2, for the pairs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        statistic: str = "log_loss",
        name: str | None = None,
        dtype: Any = None,
        *,
        ignore_index: float | None = None,
    ) -> None:
        if statistic not in _STATISTICS:
            raise InvalidInputError(f"statistic must be one of {', '.join(_STATISTICS)}; got {statistic!r}.")
        super().__init__(name=name or statistic, dtype=dtype)
        if statistic != "calibration_ratio":
            self._direction = "down"  # so that EarlyStopping and ModelCheckpoint know that less is better
        self.from_logits, self.statistic, self.ignore_index = (
            switch("from_logits", from_logits),
            statistic,
            ignore_index,
        )
        self.wide = _widest()
        self.pairs = {
            one: [
                self.add_variable((), initializer="zeros", dtype=self.wide, name=f"{one}_{part}")
                for part in ("high", "low")
            ]
            for one in _SUMS
        }

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and predictions, and weights of its rows, or of its elements."""
        from . import Output, matched

        known = Output(y_pred).logits if not self.from_logits else None
        y_pred = ops.cast(ops.convert_to_tensor(y_pred) if known is None else known, self.wide)
        y_true = ops.cast(matched(ops.convert_to_tensor(y_true), y_pred), self.wide)
        logits = self.from_logits or known is not None
        function = binary_cross_entropy_with_logits if logits else binary_cross_entropy
        primitive, _ = call_of(function, {})
        options = Options(reduction="none", ignore_index=self.ignore_index)
        losses = backend_of(y_pred, y_true).value(primitive, y_pred, y_true, options)
        weight = ops.ones_like(y_true)
        if sample_weight is not None:
            weight = weight * _over_elements(ops.cast(sample_weight, self.wide), y_true)
            weight = ops.where(weight < 0, float("nan"), weight)  # which the statistic will be
        if self.ignore_index is not None:
            nan = self.ignore_index != self.ignore_index
            ignored = ops.isnan(y_true) if nan else y_true == self.ignore_index
            weight = ops.where(ignored, 0.0, weight)
        counts = weight > 0
        values = {"target": y_true, "prediction": ops.sigmoid(y_pred) if logits else y_pred, "loss": losses}
        self._add("weight", ops.sum(weight))
        for one, value in values.items():
            self._add(one, ops.sum(ops.where(counts, weight * ops.where(counts, value, 0.0), 0.0)))

    def _add(self, one: str, value: Any) -> None:
        """Add to a pair: what the high part cannot hold goes to the low one."""
        high, low = self.pairs[one]
        total = high.value + value
        part = total - high.value
        rest = (high.value - (total - part)) + (value - part)
        finite = ops.isfinite(total)  # inf - inf is NaN, and inf has no rest
        low.assign(low.value + ops.where(finite, rest, ops.zeros_like(rest)))
        high.assign(total)

    def result(self) -> Any:
        """The statistic of all that was added; NaN of nothing."""
        weight, target, prediction, loss = (high.value + low.value for high, low in self.pairs.values())
        if self.statistic == "calibration_ratio":
            return ops.cast(prediction / target, self.dtype)
        value = loss / weight
        if self.statistic == "normalized_entropy":
            q = target / weight
            value = value / -(q * ops.log(q) + (1 - q) * ops.log1p(-q))
        return ops.cast(value, self.dtype)

    def reset_state(self) -> None:
        """Forget all that was added."""
        for pair in self.pairs.values():
            for variable in pair:
                variable.assign(np.zeros((), self.wide))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make this metric again."""
        own = {"from_logits": self.from_logits, "statistic": self.statistic, "ignore_index": self.ignore_index}
        return {**super().get_config(), **own}
