"""Is one model better than another? Paired differences on the same rows, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .diagnoses import Estimate

__all__ = ["Comparison"]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows: differences are the first minus the second.

    Of a loss, a difference below 0 says that the first is better; of discrimination and AUC, one above 0.
    """

    log_loss: Estimate
    normalized_entropy: Estimate
    brier: Estimate
    miscalibration: Estimate
    discrimination: Estimate
    auc: Estimate
    average_precision: Estimate
    rows: int
    buckets: int
    rows_needed: Estimate
    """Rows at which the observed difference of log loss would be found in 80 of 100 samples."""
    wins: float = math.nan
    """Share of rows on which the first has the smaller loss."""
    ties: float = math.nan
    losses: float = math.nan
