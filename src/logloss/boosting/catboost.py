"""CatBoost: objects with methods that it calls for a thousand rows, or for one; derivatives of the likelihood."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._errors import MissingDependencyError
from ..losses import binary_cross_entropy_with_logits
from ._shared import Metric, Objective


class CatBoostObjective(Objective):
    r"""A loss as CatBoost's: ``CatBoost({"loss_function": …, "eval_metric": …})``.

    ``der1 = u·σ(-x) - v·σ(x)`` and ``der2 = -(u + v)·σ(x)·σ(-x)``, for CatBoost climbs the likelihood; what a focal
    loss bends downwards is 0. CatBoost asks for a thousand rows at a time, and for pairs of Python's numbers, so that
    training takes several times as long as with its own.

    Args:
        loss: a loss of logits: `binary_cross_entropy_with_logits`, `sigmoid_focal_loss` or `asymmetric_loss`.
        **options: as for `XGBoostObjective`.

    Raises:
        InvalidInputError: labels outside [0, 1]; a loss of probabilities.

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import CatBoostObjective
        >>> CatBoostObjective().calc_ders_range(np.array([0.0]), np.array([1.0]), None)
        [(0.5, -0.25)]

    References:
        Prokhorenkova et al. 2018, *CatBoost: unbiased boosting with categorical features*; docs/boosting.md.
    """

    no_jit = True
    """CatBoost would compile `calc_ders_range`, which is compiled where it matters."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """For each row the pair of first and second derivative."""
        grad, hess = self.derivatives(np.asarray(approxes), np.asarray(targets), weights)
        return list(zip((-grad).tolist(), (-hess).tolist(), strict=True))


def CatBoostMultiLabelObjective(  # noqa: N802 - it makes an instance of a class that must be one of CatBoost's
    loss: Callable[..., Any] = binary_cross_entropy_with_logits, **options: Any
) -> Any:
    r"""A loss as CatBoost's of several labels: as `CatBoostObjective`, for a matrix of labels.

    CatBoost asks row by row, each a call of Python: for small data.

    Args:
        loss: a loss of logits: `binary_cross_entropy_with_logits`, `sigmoid_focal_loss` or `asymmetric_loss`.
        **options: as for `XGBoostObjective`.

    Returns:
        An object for ``CatBoost({"loss_function": …, "eval_metric": CatBoostMultiLabelMetric()})``.

    Raises:
        MissingDependencyError: CatBoost is not installed.
        InvalidInputError: labels outside [0, 1]; a loss of probabilities.

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import CatBoostMultiLabelObjective
        >>> objective = CatBoostMultiLabelObjective(pos_weight=[1.0, 3.0])
        >>> objective.calc_ders_multi(np.zeros(2), np.ones(2), 1.0)[0].tolist()
        [0.5, 1.5]

    References:
        docs/boosting.md.
    """

    class MultiLabelObjective(Objective, _class_of_catboost("MultiTargetCustomObjective")):  # type: ignore[misc]
        no_jit = True

        def __reduce__(self) -> Any:
            return partial(CatBoostMultiLabelObjective, self.loss, **self.options), ()

        def calc_ders_multi(self, approxes: Any, targets: Any, weight: Any) -> tuple[Any, Any]:
            """Of one row the first derivatives, and the matrix of the second."""
            x, t = np.asarray(approxes, np.float64)[None], np.asarray(targets)[None]
            grad, hess = self.derivatives(x, t, None if weight is None else np.array([weight], np.float64))
            return -grad[0], -np.diag(hess[0])

    return MultiLabelObjective(loss, **options)


def _class_of_catboost(name: str) -> Any:
    """What an object must be an instance of for CatBoost to give it several labels."""
    try:
        import catboost
    except ImportError as error:
        raise MissingDependencyError(
            "several labels need CatBoost, which is not installed. Run: pip install catboost"
        ) from error
    return getattr(catboost, name)


class CatBoostMetric(Metric):
    r"""A loss as CatBoost's metric: ``CatBoost({"eval_metric": …})``: Σ w·loss / Σ w of logits, exactly.

    Args:
        loss: a loss of logits.
        **options: as for `XGBoostObjective`.

    Raises:
        InvalidInputError: labels outside [0, 1].

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import CatBoostMetric
        >>> CatBoostMetric().evaluate([np.array([0.0, 40.0])], np.array([1.0, 1.0]), None)
        (0.6931471805599453, 2.0)

    References:
        docs/boosting.md.
    """

    no_jit = True

    def __init__(self, loss: Callable[..., Any] = binary_cross_entropy_with_logits, **options: Any) -> None:
        super().__init__(loss, **options)

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """(Σ w·loss, Σ w)."""
        return self.parts(np.asarray(approxes[0]), np.asarray(target), weight)

    def get_final_error(self, error: float, weight: float) -> float:
        """Σ w·loss / Σ w."""
        return error / weight if weight else 0.0

    def is_max_optimal(self) -> bool:
        """Less is better."""
        return False


def CatBoostMultiLabelMetric(  # noqa: N802 - as above
    loss: Callable[..., Any] = binary_cross_entropy_with_logits, **options: Any
) -> Any:
    r"""A loss as CatBoost's metric of several labels: Σ w·loss / Σ w over all elements, as `CatBoostMetric`.

    Args:
        loss: a loss of logits.
        **options: as for `XGBoostObjective`.

    Returns:
        An object for ``CatBoost({"eval_metric": …})``.

    Raises:
        MissingDependencyError: CatBoost is not installed.
        InvalidInputError: labels outside [0, 1].

    Example:
        >>> import numpy as np
        >>> from logloss.boosting import CatBoostMultiLabelMetric
        >>> metric = CatBoostMultiLabelMetric()
        >>> metric.evaluate((np.zeros(1), np.array([40.0])), (np.array([1.0]), np.array([1.0])), None)
        (0.6931471805599453, 2.0)

    References:
        docs/boosting.md.
    """

    class MultiLabelMetric(CatBoostMetric, _class_of_catboost("MultiTargetCustomMetric")):  # type: ignore[misc]
        def __reduce__(self) -> Any:
            return partial(CatBoostMultiLabelMetric, self.loss, **self.options), ()

        def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
            """(Σ w·loss, Σ w) of the logits and the targets of one label after another."""
            return self.parts(np.stack(approxes, axis=1), np.stack(target, axis=1), weight)

    return MultiLabelMetric(loss, **options)
