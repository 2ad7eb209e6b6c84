"""Scorers for scikit-learn's model selection: the log loss of what `predict_proba` gives, exact and multi-label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._errors import InvalidInputError, MissingDependencyError
from .metrics import log_loss

__all__ = ["log_loss_scorer"]


def log_loss_scorer(*, pos_label: Any = None, average: str = "micro", eps: float | None = None) -> Any:
    r"""A scorer of scikit-learn: minus the log loss, ``Σ w·(y·log p + (1 - y)·log1p(-p)) / Σ w``; greater is better.

    For `cross_val_score`, `GridSearchCV(scoring=)` and whatever takes one: binary classifiers, and multi-label ones
    whatever shape their `predict_proba` has, which `neg_log_loss` counts as classes. Nothing is clipped unless `eps` is
    given. `make_scorer(logloss.log_loss, response_method="predict_proba", greater_is_better=False)` does the same for
    targets of 0 and 1.

    Args:
        pos_label: the class that is positive, for targets other than 0 and 1; None is scikit-learn's own choice.
        average: "micro" over all elements; "macro", the mean of the labels' log losses.
        eps: floors p and 1 - p, each by itself; None is exact.

    Returns:
        A scorer, called as scorer(estimator, X, y, sample_weight=None); with `enable_metadata_routing` its
        `set_score_request(sample_weight=True)` asks for weights.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        InvalidInputError: an unknown average, eps out of range; in a call, targets other than 0 and 1 without
            `pos_label`, more than two classes, or a label of which the model has seen one class only.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.model_selection import cross_val_score
        >>> from logloss.scorers import log_loss_scorer
        >>> x, y = np.arange(20.0).reshape(-1, 1), np.arange(20) % 3 > 0
        >>> cross_val_score(LogisticRegression(), x, y, scoring=log_loss_scorer()).round(4).tolist()
        [-0.8456, -0.77, -0.6278, -0.5955, -0.5977]

    References:
        Gneiting and Raftery 2007, *Strictly proper scoring rules*; docs/training-loops.md.
    """
    try:
        from sklearn.metrics import make_scorer
    except ImportError as error:
        raise MissingDependencyError(
            "a scorer needs scikit-learn, which is not installed. Run: pip install scikit-learn"
        ) from error
    if average not in ("micro", "macro"):
        raise InvalidInputError(f'average of a scorer must be "micro" or "macro", for it is a number; got {average!r}.')
    log_loss([0.0], [0.5], eps=eps)  # refuses a bad eps here, where it is given
    named = {} if pos_label is None else {"pos_label": pos_label}
    settings = {"average": average, "eps": eps, **named}
    return make_scorer(_log_loss, response_method="predict_proba", greater_is_better=False, **settings)


def _log_loss(y_true: Any, y_proba: Any, *, sample_weight: Any = None, pos_label: Any = None, **options: Any) -> Any:
    """The metric of what scikit-learn hands over: one column of two classes, or a matrix or list for labels."""
    y = np.asarray(y_true.toarray() if hasattr(y_true, "toarray") else y_true)  # SciPy's matrices of labels
    if pos_label is not None:
        y = y == pos_label
    elif y.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"targets must be 0 and 1, or pos_label must say which class is positive; got {y.dtype}. "
            f"Use log_loss_scorer(pos_label={y.reshape(-1)[0].item()!r})."
        )
    if isinstance(y_proba, Sequence):  # one matrix of two columns for each label
        columns = [np.asarray(one) for one in y_proba]
        for label, one in enumerate(columns):
            if one.shape[1] != 2:
                raise InvalidInputError(
                    f"every label must have had two classes in training; got {one.shape[1]} for label {label}, whose "
                    "probabilities do not say of which. Split the data so that each part has both, or leave it out."
                )
        y_proba = np.stack([one[:, 1] for one in columns], axis=1)
    return log_loss(y, y_proba, sample_weight=sample_weight, **options)
