"""The scorer of scikit-learn, in cross-validation, in a grid, and with weights that are routed."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

import logloss as ll
from logloss.scorers import log_loss_scorer

RNG = np.random.default_rng(5)
X = RNG.standard_normal((200, 3))
Y = (RNG.random((200, 3)) < 1 / (1 + np.exp(-X))).astype(int)
W = RNG.random(200)
FOLDS = KFold(4)


def by_hand(estimator: Any, y: Any, weight: Any = None) -> list[float]:
    """Minus the log loss of each fold, of probabilities for the class 1."""
    scores = []
    for train, test in FOLDS.split(X):
        proba = estimator.fit(X[train], y[train]).predict_proba(X[test])
        proba = np.stack([one[:, 1] for one in proba], axis=1) if isinstance(proba, list) else proba
        proba = proba[:, 1] if y.ndim == 1 else proba
        scores.append(-ll.log_loss(y[test], proba, sample_weight=None if weight is None else weight[test]))
    return scores


def test_cross_validation_of_two_classes():
    y, model = Y[:, 0], LogisticRegression()
    wanted = by_hand(model, y)
    assert cross_val_score(model, X, y, scoring=log_loss_scorer(), cv=FOLDS).tolist() == wanted
    usual = make_scorer(ll.log_loss, response_method="predict_proba", greater_is_better=False)
    assert cross_val_score(model, X, y, scoring=usual, cv=FOLDS).tolist() == wanted
    words = np.where(y == 1, "yes", "no")
    assert cross_val_score(model, X, words, scoring=log_loss_scorer(pos_label="yes"), cv=FOLDS).tolist() == wanted
    assert pickle.loads(pickle.dumps(log_loss_scorer()))(model.fit(X, y), X, y) == -ll.log_loss(
        y, model.predict_proba(X)[:, 1]
    )


@pytest.mark.parametrize("kind", [OneVsRestClassifier, MultiOutputClassifier])
def test_several_labels_whatever_the_shape(kind: Any):
    model = kind(LogisticRegression())
    found = cross_val_score(model, X, Y, scoring=log_loss_scorer(), cv=FOLDS).tolist()
    assert found == pytest.approx(by_hand(model, Y), rel=1e-14)  # sums of another layout


def test_weights_are_routed():
    y = Y[:, 0]
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=False)
        scorer = log_loss_scorer().set_score_request(sample_weight=True)
        found = cross_val_score(model, X, y, scoring=scorer, cv=FOLDS, params={"sample_weight": W})
    assert found.tolist() == by_hand(LogisticRegression(), y, W)


def test_a_grid_takes_the_best():
    grid = GridSearchCV(LogisticRegression(), {"C": [1e-4, 1.0]}, scoring=log_loss_scorer(average="macro"), cv=FOLDS)
    grid.fit(X, Y[:, 0])
    assert grid.best_params_ == {"C": 1.0}
    assert grid.best_score_ == pytest.approx(np.mean(by_hand(LogisticRegression(), Y[:, 0])), rel=1e-15)


def test_words_without_a_positive_class_are_refused():
    words = np.where(Y[:, 0] == 1, "yes", "no")
    model = LogisticRegression().fit(X, words)
    with pytest.raises(ll.InvalidInputError, match=r"log_loss_scorer\(pos_label='(yes|no)'\)"):
        log_loss_scorer()(model, X, words)


def test_labels_may_be_sparse():
    model = OneVsRestClassifier(LogisticRegression()).fit(X, Y)
    assert log_loss_scorer()(model, X, scipy.sparse.csr_matrix(Y)) == log_loss_scorer()(model, X, Y)


@pytest.mark.parametrize("only", [0, 1])
def test_a_label_of_which_one_class_was_seen_is_refused(only: int):
    """Its one column is 1 for whichever class that was: a loss of 0, or of infinity, which nobody made."""
    once = np.column_stack([Y[:, :2], np.full(len(Y), only)])
    model = RandomForestClassifier(2, max_depth=1, random_state=0).fit(X, once)
    with pytest.raises(ll.InvalidInputError, match="two classes in training; got 1 for label 2"):
        log_loss_scorer()(model, X, Y)


def test_settings_are_refused_where_they_are_given():
    with pytest.raises(ll.InvalidInputError, match='"micro" or "macro"'):
        log_loss_scorer(average=None)  # type: ignore[arg-type]
    with pytest.raises(ll.InvalidInputError, match="eps"):
        log_loss_scorer(eps=2.0)
