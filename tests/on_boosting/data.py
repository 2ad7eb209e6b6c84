"""The real data that boosting is tested on: people of the American Community Survey, a row in sixty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

FILES = Path(__file__).parents[2] / "examples"


def employment() -> tuple[Any, Any, Any]:
    """(features, labels, weights): is a person employed, by year, sex, race and age."""
    table = pl.read_parquet(FILES / "acs_employment_predictions.parquet").gather_every(60)
    features = table.select("year", "sex", "race", "age").to_numpy().astype(np.float32)
    weights = np.random.default_rng(7).uniform(0.5, 2.0, len(table)).astype(np.float32)
    return features, table["employed"].to_numpy().astype(np.float32), weights


def yeast() -> tuple[Any, Any]:
    """(features, labels): 14 labels of a gene, of which the features are the logits of another model."""
    table = pl.read_parquet(FILES / "yeast_multilabel_predictions.parquet")
    labels = [f"y_{k}" for k in range(1, 15)]
    logits = [f"logit_lr_{k}" for k in range(1, 15)]
    return table.select(logits).to_numpy().astype(np.float32), table.select(labels).to_numpy().astype(np.float32)
