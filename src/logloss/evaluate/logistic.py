"""Logistic regression on bins: Newton's method that cannot diverge, and errors of its coefficients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bins import Floats, logit, sigmoid

__all__ = ["Fit", "fit"]

STEPS = 60
SEPARATED_SE, SEPARATED_SIZE = 100.0, 1e3
"""A coefficient beyond the second, or less sure than the first, means that outcomes are separated."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients of logit E y = X b + offset."""

    columns: Floats
    coefficients: Floats
    mean: Floats
    """The fitted probability of each bin."""
    covariance: Floats
    """Inverse information: that of b for weights 1."""
    refusal: str

    def sandwich(self, middle: Floats) -> Floats:
        """The covariance of b from that of the scores."""
        return self.covariance @ middle @ self.covariance

    def importance(self, wwy: Floats, wwn: Floats) -> Floats:
        """Of b for importance weights: scores vary by Σw²y (1-μ)² + Σw²(1-y) μ² in each bin."""
        variance = wwy * (1 - self.mean) ** 2 + wwn * self.mean**2
        return self.sandwich((self.columns * variance[:, None]).T @ self.columns)


def _likelihood(linear: Floats, wy: Floats, w: Floats) -> float:
    """Σ wy·η - w·log(1 + e^η)."""
    return float(np.sum(wy * linear - w * np.logaddexp(0.0, linear)))


def fit(columns: Floats, wy: Floats, w: Floats, offset: Any = 0.0, start: Floats | None = None) -> Fit:
    """The maximum of the likelihood; the first column must be of ones.

    Plain Newton from slope 1 diverges on rare, over-confident predictions. It begins at the base rate, and a step that
    lowers the likelihood is halved.
    """
    size = columns.shape[1]
    shift = np.zeros(len(w)) + offset
    q = float(wy.sum() / w.sum())
    beta = np.zeros(size) if start is None else start
    if start is None and not np.any(shift):
        beta[0] = logit(q)
    best = _likelihood(columns @ beta + shift, wy, w)
    inverse = np.full((size, size), math.nan)
    refusal = "the fit has not converged"
    for _ in range(STEPS):
        mean = sigmoid(columns @ beta + shift)
        information = (columns * (w * mean * (1 - mean))[:, None]).T @ columns
        try:
            inverse = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            refusal = "predictions differ too little for a fit"
            break
        step = inverse @ (columns.T @ (wy - w * mean))
        beta, best, moved = _moved(beta, step, best, columns, shift, wy, w)
        if not np.isfinite(beta).all() or np.abs(beta).max() > SEPARATED_SIZE:
            break
        if moved <= 1e-9 * (1 + float(np.abs(beta).max())):
            refusal = ""
            break
    mean = sigmoid(columns @ beta + shift)
    return Fit(columns, beta, mean, inverse, refusal or _separated(beta, inverse))


def _moved(
    beta: Floats, step: Floats, best: float, columns: Floats, shift: Floats, wy: Floats, w: Floats
) -> tuple[Floats, float, float]:
    """The coefficients after a step, halved until the likelihood does not fall; the likelihood, and how far."""
    for _ in range(50):
        reached = _likelihood(columns @ (beta + step) + shift, wy, w)
        if reached >= best - 1e-12 * abs(best):
            return beta + step, reached, float(np.abs(step).max())
        step = step / 2
    return beta, best, 0.0


def _separated(beta: Floats, inverse: Floats) -> str:
    """Why a fit that has ended is none: no information is left where outcomes are separated."""
    variances = np.diag(inverse)
    sound = np.isfinite(variances).all() and variances.min() > 0
    if sound and variances.max() < SEPARATED_SE**2 and np.abs(beta).max() < SEPARATED_SIZE:
        return ""
    return "the predictions separate the outcomes, so that no finite slope fits best"
