"""Training with an objective of this package gives the model that the library's own objective gives."""

from __future__ import annotations

import pickle
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from catboost import CatBoost, CatBoostClassifier, Pool
from scipy.special import expit
from sklearn.base import clone

from logloss import boosting
from on_boosting.data import employment, yeast

X, Y, W = employment()
ROUNDS, CLOSE = 100, 1e-6
XGB = {"max_depth": 4, "eta": 0.1, "nthread": 1}
LGB = {"num_leaves": 15, "learning_rate": 0.1, "verbose": -1, "num_threads": 1, "feature_fraction": 1.0, "seed": 0}
CAT = {
    "depth": 4, "learning_rate": 0.1, "iterations": ROUNDS, "verbose": False, "random_seed": 0, "thread_count": 1,
    "bootstrap_type": "No", "random_strength": 0, "boosting_type": "Plain", "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1, "allow_writing_files": False, "boost_from_average": False,
}  # fmt: skip


def apart(a: Any, b: Any) -> float:
    """The largest difference of two models' logits, which must differ between rows."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    assert a.std() > 0.1
    return float(np.abs(a - b).max())


def test_apart_can_fail():
    assert apart([0.0, 1.0], [0.0, 1.5]) == 0.5
    with pytest.raises(AssertionError):
        apart([1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("pos_weight", [1.0, 3.0])
@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
def test_xgboost(weight: Any, pos_weight: float):
    data = xgboost.DMatrix(X, Y, weight=weight)
    own = {**XGB, "objective": "binary:logistic", "scale_pos_weight": pos_weight}
    theirs = xgboost.train(own, data, ROUNDS).predict(data, output_margin=True)
    objective = boosting.XGBoostObjective(**({} if pos_weight == 1 else {"pos_weight": pos_weight}))
    start = objective.init_score(Y, weight)
    ours = xgboost.train({**XGB, "base_score": start}, data, ROUNDS, obj=objective).predict(data, output_margin=True)
    assert apart(ours, theirs) <= CLOSE
    model = xgboost.XGBClassifier(
        n_estimators=ROUNDS, max_depth=4, learning_rate=0.1, n_jobs=1, objective=objective, base_score=expit(start)
    )
    model = clone(model).fit(X, Y, sample_weight=weight)
    assert apart(model.predict(X, output_margin=True), theirs) <= CLOSE
    assert apart(model.predict_proba(X)[:, 1], expit(theirs)) <= CLOSE


def test_xgboost_with_several_labels():
    features, labels = yeast()
    data = xgboost.DMatrix(features, labels)
    theirs = xgboost.train({**XGB, "objective": "binary:logistic"}, data, 30).predict(data, output_margin=True)
    objective = boosting.XGBoostObjective()
    start = objective.init_score(labels).tolist()
    ours = xgboost.train({**XGB, "base_score": start}, data, 30, obj=objective).predict(data, output_margin=True)
    assert apart(ours, theirs) <= CLOSE


@pytest.mark.parametrize("name", ["binary", "cross_entropy"])
@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
def test_lightgbm(weight: Any, name: str):
    pos_weight = 3.0 if name == "binary" else 1.0  # which cross_entropy does not know
    labels = Y if name == "binary" else (0.8 * Y + 0.1).astype(np.float32)  # and these are not known to binary
    data = lightgbm.Dataset(X, labels, weight=weight, free_raw_data=False)
    own = {**LGB, "objective": name, "scale_pos_weight": pos_weight}
    theirs = lightgbm.train(own, data, ROUNDS).predict(X, raw_score=True)
    objective = boosting.LightGBMObjective(pos_weight=pos_weight)
    start = objective.init_score(labels, weight)
    data = lightgbm.Dataset(X, labels, weight=weight, init_score=np.full(len(labels), start))
    model = lightgbm.train({**LGB, "objective": objective}, data, ROUNDS)
    assert apart(model.predict(X) + start, theirs) <= CLOSE
    if name == "binary":
        model = lightgbm.LGBMClassifier(
            n_estimators=ROUNDS, num_leaves=15, verbose=-1, n_jobs=1, random_state=0, objective=objective
        )
        model = clone(model).fit(X, Y, sample_weight=weight, init_score=np.full(len(Y), start))
        assert apart(model.predict(X, raw_score=True) + start, theirs) <= CLOSE


def test_lightgbm_with_several_labels():
    """The trees of a class know only its own gradient: training on all labels is training on each."""
    features, labels = yeast()
    labels = labels[:, :3]
    objective = boosting.LightGBMObjective(targets=labels)
    data = lightgbm.Dataset(features, labels[:, 0].copy())
    found: dict[str, Any] = {}
    model = lightgbm.train(
        {**LGB, "objective": objective, "num_class": 3, "metric": "none"}, data, 20, valid_sets=[data],
        feval=boosting.LightGBMMetric(targets=labels), callbacks=[lightgbm.record_evaluation(found)],
    )  # fmt: skip
    exact = boosting.XGBoostMetric()(labels, model.predict(features))
    assert found["training"]["logloss"][-1] == pytest.approx(exact, rel=1e-12)
    alone = [
        lightgbm.train({**LGB, "objective": "cross_entropy", "boost_from_average": False},
                       lightgbm.Dataset(features, labels[:, k].copy()), 20).predict(features, raw_score=True)
        for k in range(3)
    ]  # fmt: skip
    assert apart(model.predict(features), np.stack(alone, axis=1)) <= CLOSE


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
def test_catboost(weight: Any):
    pool = Pool(X, Y, weight=weight)
    theirs = CatBoost({**CAT, "loss_function": "Logloss"}).fit(pool)
    objective, metric = boosting.CatBoostObjective(), boosting.CatBoostMetric()
    ours = CatBoost({**CAT, "loss_function": objective, "eval_metric": metric}).fit(pool)
    raw = {"prediction_type": "RawFormulaVal"}
    assert apart(ours.predict(pool, **raw), theirs.predict(pool, **raw)) <= CLOSE
    reported = ours.get_evals_result()["learn"]["CatBoostMetric"][-1]
    exact = boosting.XGBoostMetric()(Y, ours.predict(pool, **raw), weight)
    assert reported == pytest.approx(exact, rel=1e-12)


def test_catboost_starts_from_the_average_where_that_is_asked_for():
    start = CatBoost({**CAT, "iterations": 2, "boost_from_average": True, "loss_function": "Logloss"})
    _, bias = start.fit(Pool(X, Y, weight=W)).get_scale_and_bias()
    assert boosting.CatBoostObjective().init_score(Y, W) == pytest.approx(bias, abs=1e-6)


def test_catboost_with_several_labels():
    features, labels = yeast()
    features, labels = features[:300], labels[:300, :3]
    pool = Pool(features, labels, weight=W[:300])
    settings = {**CAT, "iterations": 20}
    theirs = CatBoost({**settings, "loss_function": "MultiCrossEntropy"}).fit(pool).predict(pool)
    objective, metric = boosting.CatBoostMultiLabelObjective(), boosting.CatBoostMultiLabelMetric()
    ours = CatBoost({**settings, "loss_function": objective, "eval_metric": metric}).fit(pool)
    logits = ours.predict(pool, prediction_type="RawFormulaVal")
    assert apart(logits, theirs) <= CLOSE
    (reported,) = ours.get_evals_result()["learn"].values()
    assert reported[-1] == pytest.approx(boosting.XGBoostMetric()(labels, logits, W[:300]), rel=1e-12)


def test_catboost_s_own_classes_of_several_labels_are_pickled():
    for kind in (boosting.CatBoostMultiLabelObjective, boosting.CatBoostMultiLabelMetric):
        one = kind(pos_weight=[1.0, 2.0])
        assert repr(pickle.loads(pickle.dumps(one))) == repr(one)


@pytest.mark.parametrize("kind", ["XGBoost", "LightGBM", "CatBoost"])
def test_objectives_are_copied_pickled_and_cloned(kind: str):
    objective, metric = getattr(boosting, f"{kind}Objective")(pos_weight=2.0), getattr(boosting, f"{kind}Metric")()
    assert repr(pickle.loads(pickle.dumps(objective))) == f"{kind}Objective(pos_weight=2.0)"
    assert isinstance(pickle.loads(pickle.dumps(metric)), type(metric))
    estimator = {
        "XGBoost": lambda: xgboost.XGBClassifier(objective=objective),
        "LightGBM": lambda: lightgbm.LGBMClassifier(objective=objective),
        "CatBoost": lambda: CatBoostClassifier(loss_function=objective, eval_metric=metric),
    }[kind]()
    name = "loss_function" if kind == "CatBoost" else "objective"
    assert clone(estimator).get_params()[name] is objective


def test_metrics_in_training():
    """What the libraries report in training with these metrics is the loss of their predictions."""
    metric, report = boosting.XGBoostMetric(), {}
    data = xgboost.DMatrix(X, Y, weight=W)
    settings = {"obj": boosting.XGBoostObjective(), "custom_metric": metric, "evals": [(data, "train")]}
    model = xgboost.train({**XGB, "disable_default_eval_metric": 1}, data, 3, **settings,
                          evals_result=report, verbose_eval=False)  # fmt: skip
    exact = metric(Y, model.predict(data, output_margin=True), W)
    assert report["train"]["logloss"][-1] == pytest.approx(exact, rel=1e-6)  # XGBoost prints it and reads it again

    fitted = xgboost.XGBClassifier(n_estimators=3, eval_metric=boosting.XGBoostMetric(from_logits=False))
    fitted.fit(X, Y, sample_weight=W, eval_set=[(X, Y)], sample_weight_eval_set=[W], verbose=False)
    margins = fitted.predict(X, output_margin=True)
    assert fitted.evals_result()["validation_0"]["logloss"][-1] == pytest.approx(metric(Y, margins, W), rel=1e-5)

    found: dict[str, Any] = {}
    data = lightgbm.Dataset(X, Y, weight=W, free_raw_data=False)
    model = lightgbm.train({**LGB, "objective": boosting.LightGBMObjective(), "metric": "none"}, data, 3,
                           valid_sets=[data], valid_names=["train"], feval=boosting.LightGBMMetric(),
                           callbacks=[lightgbm.record_evaluation(found)])  # fmt: skip
    assert found["train"]["logloss"][-1] == pytest.approx(metric(Y, model.predict(X), W), rel=1e-12)
