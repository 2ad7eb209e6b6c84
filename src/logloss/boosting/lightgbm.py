"""LightGBM: scores and labels come with a Dataset, or as scikit-learn has them; labels are one column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dialects.boosting import LIGHTGBM_RATE_FLOOR
from ..losses import binary_cross_entropy_with_logits
from ._shared import Metric, Objective, label_matrix


def _unpacked(targets: Any, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """(scores, labels, weights) of what LightGBM gives: (labels, scores, weights), or (scores, data).

    A matrix of `targets` stands for the labels: of data that are a part of others, as in `lightgbm.cv`, its rows.
    """
    rows = None
    if hasattr(y_pred, "get_label"):
        data, y_pred = y_pred, y_true
        y_true, sample_weight, rows = data.get_label(), data.get_weight(), data.used_indices
    if targets is None:
        return y_pred, y_true, sample_weight
    part = rows is not None and len(y_pred) != len(targets) > max(rows)
    return y_pred, targets[rows] if part else targets, sample_weight


class LightGBMObjective(Objective):
    r"""A loss as LightGBM's objective: ``params["objective"]`` and ``LGBMClassifier(objective=)``.

    ``gradient = v·σ(x) - u·σ(-x)``, ``Hessian = (u + v)·σ(x)·σ(-x)`` without a floor, as `binary` and `cross_entropy`
    have it; what a focal loss bends downwards is 0. LightGBM silently ignores `boost_from_average` for such objectives:
    give `init_score` to its Dataset (or to `fit`), and add it to predictions. Soft labels stay soft.

    Args:
        loss: a loss of logits: `binary_cross_entropy_with_logits`, `sigmoid_focal_loss` or `asymmetric_loss`.
        targets: for several labels, their matrix, since LightGBM keeps one column; train with `num_class` labels.
            Folds of `lightgbm.cv` find their rows in it.
        **options: as for `XGBoostObjective`.

    Raises:
        InvalidInputError: labels outside [0, 1], or not one for each prediction; a loss of probabilities.

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import LightGBMObjective
        >>> objective = LightGBMObjective(label_smoothing=0.1)
        >>> gradient, hessian = objective(np.array([1.0, 0.0]), np.array([0.0, 0.0]))
        >>> gradient.round(6).tolist(), hessian.tolist()
        ([-0.45, 0.45], [0.25, 0.25])

    References:
        Ke et al. 2017, *LightGBM: a highly efficient gradient boosting decision tree*; docs/boosting.md.
    """

    rate_floor = LIGHTGBM_RATE_FLOOR

    def __init__(
        self, loss: Callable[..., Any] = binary_cross_entropy_with_logits, *, targets: Any = None, **options: Any
    ) -> None:
        super().__init__(loss, **options)
        self.targets = label_matrix(targets)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """(gradient, Hessian) of (labels, scores, weights), or of LightGBM's own (scores, data)."""
        return self.derivatives(*_unpacked(self.targets, y_true, y_pred, sample_weight))


class LightGBMMetric(Metric):
    r"""A loss as LightGBM's metric: ``lightgbm.train(…, feval=)`` and ``fit(eval_metric=)``: less is better.

    ``Σ w·loss / Σ w`` with nothing clipped, where `binary_logloss` ends at 34.54. Scores of validation data contain the
    `init_score` of these data alone: give them the one of the training data.

    Args:
        loss: a loss of logits.
        from_logits: True beside an objective of this module; False beside LightGBM's own, whose metrics are given
            probabilities. Which of them numbers are is not guessed.
        name: what LightGBM's reports call it.
        targets: for several labels, the matrix of the data that are measured, as for `LightGBMObjective`.
        **options: as for `XGBoostObjective`.

    Raises:
        InvalidInputError: labels or probabilities outside [0, 1], or not one for each prediction.

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import LightGBMMetric
        >>> LightGBMMetric(from_logits=False)(np.array([1.0, 0.0]), np.array([0.5, 0.75]), np.array([1.0, 2.0]))
        ('logloss', 1.1552453009332422, False)

    References:
        docs/boosting.md.
    """

    def __init__(
        self,
        loss: Callable[..., Any] = binary_cross_entropy_with_logits,
        *,
        from_logits: bool = True,
        name: str = "logloss",
        targets: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(loss, from_logits=from_logits, name=name, **options)
        self.targets = label_matrix(targets)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[str, float, bool]:
        """(name, mean, False) of (labels, predictions, weights), or of LightGBM's own (predictions, data)."""
        return self.__name__, self.value(*_unpacked(self.targets, y_true, y_pred, sample_weight)), False
