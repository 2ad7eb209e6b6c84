"""Objectives and metrics for XGBoost, LightGBM and CatBoost: gradient and Hessian in one pass, with every option.

An objective gives trees the derivatives of one of this package's losses of logits; a metric is the mean of such a loss.
Each serves the native and the scikit-learn interface of its library. A model trained with an objective predicts logits;
libraries know no link for it. No library is imported here.
"""

from .catboost import CatBoostMetric, CatBoostMultiLabelMetric, CatBoostMultiLabelObjective, CatBoostObjective
from .lightgbm import LightGBMMetric, LightGBMObjective
from .xgboost import XGBoostMetric, XGBoostObjective

__all__ = [
    "CatBoostMetric",
    "CatBoostMultiLabelMetric",
    "CatBoostMultiLabelObjective",
    "CatBoostObjective",
    "LightGBMMetric",
    "LightGBMObjective",
    "XGBoostMetric",
    "XGBoostObjective",
]
