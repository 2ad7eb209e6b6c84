"""Objectives of boosting beside the usual NumPy lines, and training beside a library's own objective.

`python benchmarks/boosting.py [--rows N] [--rounds N]`, all on one thread. Needs XGBoost, LightGBM and CatBoost, which
`pip install -e '.[test]'` brings.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from harness import Case, Table, measure, text, use_cores
from logloss import boosting

DATA = Path(__file__).parent.parent / "examples" / "acs_employment_predictions.parquet"
TREES = 20


def usual(x: Any, y: Any) -> tuple[Any, Any]:
    """What one finds on the web."""
    p = 1.0 / (1.0 + np.exp(-x))
    return p - y, p * (1.0 - p)


def usual_weighted(x: Any, y: Any, w: Any, pos_weight: float) -> tuple[Any, Any]:
    """The same with weights of rows and positives, and a floor."""
    p = 1.0 / (1.0 + np.exp(-x))
    w = np.where(y == 1, pos_weight, 1.0) * w
    return (p - y) * w, np.maximum(p * (1.0 - p), 1e-16) * w


def calls(rows: int, rounds: int) -> list[Table]:
    """One call of an objective: of float32 margins for XGBoost, of float64 scores for LightGBM."""
    rng = np.random.default_rng(0)
    y, w = (rng.random(rows) < 0.3).astype(np.float32), rng.random(rows, dtype=np.float32)
    tables = []
    for name, kind, dtype in (
        ("XGBoost", "XGBoostObjective", np.float32),
        ("LightGBM", "LightGBMObjective", np.float64),
    ):
        x = (2 * rng.standard_normal(rows)).astype(dtype)
        plain, priced = getattr(boosting, kind)(), getattr(boosting, kind)(pos_weight=3.0)
        cases = [
            Case("objective", partial(plain, y, x), rows),
            Case("NumPy", partial(usual, x, y), rows),
            Case("objective, weights, pos_weight", partial(priced, y, x, w), rows),
            Case("NumPy, weights, pos_weight", partial(usual_weighted, x, y, w, 3.0), rows),
        ]
        tables.append(Table(f"{name}: gradient and Hessian, {rows:,} rows", "objective", measure(cases, rounds)))
    return tables


def training(rows: int, rounds: int) -> list[Table]:
    """TREES rounds of training on real data."""
    import lightgbm
    import xgboost
    from catboost import CatBoost, Pool

    table = pl.read_parquet(DATA).head(rows)
    x = table.select("year", "sex", "race", "age").to_numpy().astype(np.float32)
    y = table["employed"].to_numpy().astype(np.float32)
    data, pool = xgboost.DMatrix(x, y), Pool(x, y)
    settings = {"num_leaves": 31, "verbose": -1, "num_threads": 1}
    dataset = lightgbm.Dataset(x, y, params=settings, free_raw_data=False).construct()
    cat = {
        "iterations": TREES, "verbose": False, "thread_count": 1, "allow_writing_files": False,
        "leaf_estimation_iterations": 1, "learning_rate": 0.1, "boosting_type": "Plain", "eval_metric": "Logloss",
    }  # fmt: skip
    xgb = {"nthread": 1, "objective": "binary:logistic", "base_score": 0.5}
    suites = {
        "XGBoost": (
            lambda: xgboost.train(xgb, data, TREES, obj=boosting.XGBoostObjective()),
            lambda: xgboost.train(xgb, data, TREES),
        ),
        "LightGBM": (
            lambda: lightgbm.train({**settings, "objective": boosting.LightGBMObjective()}, dataset, TREES),
            lambda: lightgbm.train({**settings, "objective": "binary"}, dataset, TREES),
        ),
        "CatBoost": (
            lambda: CatBoost({**cat, "loss_function": boosting.CatBoostObjective()}).fit(pool),
            lambda: CatBoost({**cat, "loss_function": "Logloss"}).fit(pool),
        ),
    }
    return [
        Table(
            f"{name}: {TREES} rounds, {len(y):,} rows",
            "its own",
            measure([Case("objective", ours, len(y)), Case("its own", theirs, len(y))], rounds),
        )
        for name, (ours, theirs) in suites.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=277_677, help="rows of the data")
    parser.add_argument("--rounds", type=int, default=9, help="how often everything is timed")
    given = parser.parse_args()
    for table in [*calls(given.rows, given.rounds), *training(given.rows, max(1, given.rounds // 3))]:
        print(text(table))


if __name__ == "__main__":
    use_cores(1)
    main()
