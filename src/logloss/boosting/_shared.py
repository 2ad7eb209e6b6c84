"""What objectives and metrics of all libraries share: a loss with its options, and the data of a call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from .._backends.kinds import framework_of, host
from .._errors import InvalidInputError
from .._spec.options import FIELDS, given_options, switch
from .._targets.positives import Positives
from ..derivatives import denominator, grad_and_hess
from ..losses import binary_cross_entropy, binary_cross_entropy_with_logits, call_of

_SETTINGS = [*(name for name, option in FIELDS.items() if option.elementwise and not option.of_batch), "validate"]
"""The options that are part of a loss; the others come with the data, or reduce, which boosting does itself."""


class _Settings:
    """A loss and its options, of which data come with every call."""

    def __init__(self, loss: Callable[..., Any], options: dict[str, Any]) -> None:
        for name in options.keys() & FIELDS.keys() - set(_SETTINGS):
            reason = "comes with the data of the library" if FIELDS[name].of_batch else "is the library's own matter"
            raise TypeError(f"{type(self).__name__}() takes no {name!r}, which {reason}. It takes {_names()}.")
        primitive, _ = call_of(loss, dict(options))
        if primitive.loss.quantity.bounded:
            raise InvalidInputError(
                f"loss must be one of logits, for these are what trees add up; got {loss.__name__}. "
                "Use binary_cross_entropy_with_logits."
            )
        self.loss, self.options = loss, options

    def __repr__(self) -> str:
        plain = self.loss is binary_cross_entropy_with_logits
        shown = [] if plain else [f"loss={self.loss.__name__}"]
        return f"{type(self).__name__}({', '.join([*shown, *(f'{k}={v!r}' for k, v in self.options.items())])})"

    def __deepcopy__(self, memo: Any) -> Self:
        """Itself: it does not change, and scikit-learn's `clone` asks whether an estimator kept what it was given."""
        return self


def _names() -> str:
    return f"the numbers of its loss, {', '.join(_SETTINGS)}"


class Objective(_Settings):
    """What the objectives of all libraries share."""

    floor = 0.0
    """The least curvature of an element whose prices are 1."""
    rate_floor = 0.0
    """The least share of positives, and of negatives, that training starts from."""

    def __init__(self, loss: Callable[..., Any] = binary_cross_entropy_with_logits, **options: Any) -> None:
        super().__init__(loss, options)

    def derivatives(self, logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Gradient and Hessian as the library wants them."""
        logits = _array(logits)
        targets, weights = _matched(logits, targets), _of_kind(logits, given(weights))
        grad, hess = grad_and_hess(logits, targets, loss=self.loss, sample_weight=weights, **self.options)
        return grad, self._floored(hess, logits, targets, weights)

    def _floored(self, hess: Any, logits: Any, targets: Any, weights: Any) -> Any:
        """The Hessian, at least the floor times the element's prices, which at 0 are four times the cross-entropy's."""
        if not hess.size:
            return hess
        xp = hess.__array_namespace__()
        concave = self.loss is not binary_cross_entropy_with_logits  # in places
        flat = self.floor and max(float(xp.max(logits)), -float(xp.min(logits))) > _FLAT
        if not concave and not flat:
            return hess
        least = 0.0
        if self.floor:
            options = {name: self.options[name] for name in self.options.keys() & FIELDS.keys()}
            _, quarter = grad_and_hess(xp.zeros_like(logits), targets, sample_weight=weights, **options)
            least = 4.0 * self.floor * quarter
        return xp.where(hess < least, least, hess)

    def init_score(self, targets: Any, weights: Any = None) -> Any:
        """The logit that training starts from, a number or one per label: that of the share of positives.

        Libraries leave this out for objectives that are not their own, and start from 0 (XGBoost from 0.5).

        Args:
            targets: (N,) or (N, labels), in [0, 1].
            weights: (N,), finite, >= 0.

        Returns:
            A float, or an array of shape (labels,): what the library's own objective would start from.

        Raises:
            InvalidInputError: targets or weights out of range, or no weight at all.
        """
        targets = host().target_array(targets)
        options = {"sample_weight": given(weights), "ignore_index": self.options.get("ignore_index")}
        reduced = {"reduction": "sum", "axis": 0 if targets.ndim > 1 else None}
        positives, negatives = host().target_sums(targets, given_options({**options, **reduced}))
        if not np.all(positives + negatives > 0):
            raise InvalidInputError("some weight must be positive; got none, at least of one label. Check the weights.")
        rate = np.clip(positives / (positives + negatives), self.rate_floor, 1.0 - self.rate_floor)
        with np.errstate(divide="ignore"):
            score = np.log(rate) - np.log1p(-rate)
        return score if targets.ndim > 1 else float(score)


_FLAT = 36.0
"""Nearer to 0 than this, σ(x)·σ(-x) is larger than any floor."""


def given(weights: Any) -> Any:
    """Weights of rows; XGBoost says by an empty array that there are none."""
    return None if weights is None or not np.size(weights) else weights


def label_matrix(targets: Any) -> Any:
    """The labels that are given to an objective instead of to its library, None where they are not."""
    targets = None if targets is None else host().target_array(targets)
    return targets.dense() if isinstance(targets, Positives) else targets


def _of_kind(predictions: Any, data: Any) -> Any:
    """Labels or weights as an array of the predictions' library: XGBoost may have CuPy's beside NumPy's."""
    if data is None or framework_of(data) == framework_of(predictions):
        return data
    return predictions.__array_namespace__().asarray(data) if hasattr(predictions, "__array_namespace__") else data


def _array(value: Any) -> Any:
    """An array of any library as it is, a list as one of NumPy."""
    return value if hasattr(value, "shape") else np.asarray(value)


def _matched(predictions: Any, targets: Any) -> Any:
    """The targets in the shape of the predictions, and of their kind."""
    if targets is None:
        raise InvalidInputError("the data must have labels; got None. Give the library's data set its labels.")
    targets = _array(_of_kind(predictions, targets))
    got, wanted = tuple(targets.shape), tuple(predictions.shape)
    if got == wanted:
        return targets
    if math.prod(got) == math.prod(wanted) and 1 in (len(got), len(wanted)):
        return targets.reshape(wanted)  # XGBoost may hand out a matrix of labels as a vector, row by row
    remedy = "Give one label for each prediction."
    if len(wanted) == 2 and got == wanted[:1]:
        remedy = (
            "Both columns of predict_proba? An objective takes logits, a metric one column. "
            "Several labels? Give LightGBM's objective and metric the matrix: targets=."
        )
    raise InvalidInputError(f"there must be a label for each prediction; got {got} for {wanted}. {remedy}")


class Metric(_Settings):
    """What the metrics of all libraries share: Σ w·loss / Σ w."""

    def __init__(
        self,
        loss: Callable[..., Any] = binary_cross_entropy_with_logits,
        *,
        from_logits: bool = True,
        name: str = "logloss",
        **options: Any,
    ) -> None:
        super().__init__(loss, options)
        if not from_logits and loss is not binary_cross_entropy_with_logits:
            raise InvalidInputError(f"{loss.__name__} is a loss of logits; got from_logits=False. Leave one out.")
        self.from_logits, self.__name__ = switch("from_logits", from_logits), name

    def parts(self, predictions: Any, targets: Any, weights: Any) -> tuple[float, float]:
        """(Σ w·loss, Σ w)."""
        loss = self.loss if self.from_logits else binary_cross_entropy
        predictions = _array(predictions)
        targets, options = _matched(predictions, targets), {**self.options, "sample_weight": given(weights)}
        unpriced = {name: value for name, value in options.items() if name in FIELDS and FIELDS[name].weighs}
        try:
            total = loss(predictions, targets, reduction="sum", **options)
        except InvalidInputError as error:
            if not str(error).startswith("probabilities"):
                raise
            beside = "Beside an objective of logloss.boosting predictions are logits: leave out from_logits=False."
            raise InvalidInputError(f"{error} {beside}") from None
        return float(total), float(denominator(targets, reduction="weighted_mean", **unpriced))

    def value(self, predictions: Any, targets: Any, weights: Any) -> float:
        """Σ w·loss / Σ w."""
        total, weight = self.parts(predictions, targets, weights)
        if weight == 0:
            raise InvalidInputError("a metric needs at least one element of positive weight; got none. Check the data.")
        return total / weight
