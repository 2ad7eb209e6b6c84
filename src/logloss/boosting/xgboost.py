"""XGBoost: margins and labels come with a DMatrix, or as scikit-learn has them; a matrix of labels is native."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._backends.kinds import host
from ..dialects.boosting import XGBOOST_HESSIAN_FLOOR, XGBOOST_RATE_FLOOR
from ..losses import binary_cross_entropy_with_logits
from ._shared import Metric, Objective


class XGBoostObjective(Objective):
    r"""A loss as XGBoost's objective: ``xgboost.train(…, obj=)`` and ``XGBClassifier(objective=)``.

    ``gradient = v·σ(x) - u·σ(-x)``, ``Hessian = max((u + v)·σ(x)·σ(-x), 1e-16·(u + v))``, as `binary:logistic` has it.
    What a focal loss bends downwards has the floor too. Soft labels are weighed by `pos_weight` in proportion, where
    `scale_pos_weight` knows labels of exactly 1 only. A matrix of labels is trained on as it is.

    Args:
        loss: a loss of logits: `binary_cross_entropy_with_logits`, `sigmoid_focal_loss` or `asymmetric_loss`.
        **options: numbers of the loss (gamma, alpha, …), `pos_weight`, `weight`, `label_weight`, `label_axis`,
            `label_smoothing`, `ignore_index` and `validate`. Weights of rows come with XGBoost's data.

    Raises:
        InvalidInputError: labels outside [0, 1], or not one for each prediction; a loss of probabilities.

    Example:
        >>> import numpy as np, xgboost
        >>> from logloss.boosting import XGBoostObjective
        >>> x, y = np.arange(8.0).reshape(-1, 1), np.array([0, 0, 0, 1, 0, 1, 1, 1])
        >>> data, objective = xgboost.DMatrix(x, y), XGBoostObjective(pos_weight=2.0)
        >>> start = 1 / (1 + np.exp(-objective.init_score(y)))
        >>> model = xgboost.train({"objective": "binary:logistic", "base_score": start}, data, 9, obj=objective)
        >>> (model.predict(data) > 0.5).astype(int).tolist()  # probabilities
        [0, 0, 0, 0, 1, 1, 1, 1]

    References:
        Chen and Guestrin 2016, *XGBoost: a scalable tree boosting system*; docs/boosting.md.
    """

    floor, rate_floor = XGBOOST_HESSIAN_FLOOR, XGBOOST_RATE_FLOOR

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """(gradient, Hessian) of (labels, margins, weights), or of XGBoost's own (margins, data)."""
        if hasattr(y_pred, "get_label"):
            return self.derivatives(y_true, y_pred.get_label(), y_pred.get_weight())
        return self.derivatives(y_pred, y_true, sample_weight)

    def init_score(self, targets: Any, weights: Any = None) -> Any:
        """What XGBoost's objective starts from: give it as `base_score`, or σ of it beside "binary:logistic".

        An `XGBClassifier` is always beside "binary:logistic", `xgboost.train` where its parameters say so.

        Where every element has the same price this is the logit of the share of positives; otherwise, as in XGBoost,
        one step of Newton's method from 0, -Σ gradient / Σ Hessian.

        Args:
            targets: (N,) or (N, labels), in [0, 1].
            weights: (N,), finite, >= 0.

        Returns:
            A float, or an array of shape (labels,), of which XGBoost takes a list.

        Raises:
            InvalidInputError: targets or weights out of range, or no weight at all.
        """
        share = super().init_score(targets, weights)
        if self.loss is binary_cross_entropy_with_logits and not self.options.keys() - {"ignore_index", "validate"}:
            return share
        targets = host().target_array(targets)
        grad, hess = self.derivatives(np.zeros(targets.shape), targets, weights)
        score = -grad.sum(axis=0) / hess.sum(axis=0)
        return score if targets.ndim > 1 else float(score)


class XGBoostMetric(Metric):
    r"""A loss as XGBoost's metric: ``xgboost.train(…, custom_metric=)`` and ``XGBClassifier(eval_metric=)``.

    ``Σ w·loss / Σ w`` in float64 with nothing clipped, where `logloss` has float32 and ends at 36.84.

    Args:
        loss: a loss of logits.
        from_logits: True beside an objective of this module; False beside XGBoost's own, whose metrics are given
            probabilities. Which of them numbers are is not guessed.
        name: what XGBoost's reports call it.
        **options: as for `XGBoostObjective`.

    Raises:
        InvalidInputError: labels or probabilities outside [0, 1], or not one for each prediction.

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import XGBoostMetric
        >>> XGBoostMetric()(np.array([1.0, 0.0]), np.array([40.0, 40.0]))
        20.0

    References:
        docs/boosting.md.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean of (labels, predictions, weights), or of XGBoost's own (predictions, data) a name and the mean."""
        if hasattr(y_pred, "get_label"):
            return self.__name__, self.value(y_true, y_pred.get_label(), y_pred.get_weight())
        return self.value(y_pred, y_true, sample_weight)
