"""What trees are given, without training: derivatives of every option, floors, starting points and refusals."""

from __future__ import annotations

import math
import re
from typing import Any

import array_api_strict
import numpy as np
import pytest
from mpmath import mp, mpf

import logloss as ll
from logloss import boosting

XGB, LGB, CAT = boosting.XGBoostObjective, boosting.LightGBMObjective, boosting.CatBoostObjective
LABELS, MARGINS, WEIGHTS = np.array([1.0, 0.0, 0.25, 1.0]), np.array([0.5, -2.0, 3.0, -4.0]), np.array([1.0, 2, 0.5, 3])


class Data:
    """What XGBoost and LightGBM hand to native functions."""

    def __init__(self, label: Any, weight: Any, rows: list[int] | None = None) -> None:
        self.label, self.weight, self.used_indices = label, weight, rows

    def get_label(self) -> Any:
        return self.label

    def get_weight(self) -> Any:
        return self.weight


OPTIONS: list[tuple[Any, dict[str, Any]]] = [
    (ll.binary_cross_entropy_with_logits, {}),
    (ll.binary_cross_entropy_with_logits, {"pos_weight": 3.0}),
    (ll.binary_cross_entropy_with_logits, {"label_smoothing": 0.2}),
    (ll.binary_cross_entropy_with_logits, {"ignore_index": 0.25}),
    (ll.sigmoid_focal_loss, {"gamma": 1.5, "alpha": 0.3}),
    (ll.asymmetric_loss, {"gamma_neg": 2.0, "clip": 0.1}),
]


@pytest.mark.parametrize(("loss", "options"), OPTIONS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_all_libraries_get_the_derivatives_of_the_loss(loss: Any, options: dict[str, Any]):
    grad, hess = ll.grad_and_hess(MARGINS, LABELS, loss=loss, sample_weight=WEIGHTS, **options)
    bent = hess < 0  # where the loss is concave, which focal ones are
    assert bent.any() == (loss is not ll.binary_cross_entropy_with_logits)
    for kind, floor in ((XGB, 1e-16), (LGB, 0.0)):
        objective = kind(loss, **options)
        found = objective(LABELS, MARGINS, WEIGHTS)
        np.testing.assert_array_equal(found[0], grad)
        np.testing.assert_array_equal(found[1][~bent], hess[~bent])
        prices = WEIGHTS * (options.get("pos_weight", 1.0) * LABELS + 1 - LABELS)
        np.testing.assert_allclose(found[1][bent], floor * prices[bent], rtol=1e-15)
        native = objective(MARGINS, Data(LABELS, WEIGHTS))
        np.testing.assert_array_equal(np.array(native), np.array(found))
    pairs = np.array(list(CAT(loss, **options).calc_ders_range(MARGINS, LABELS, WEIGHTS)))
    np.testing.assert_array_equal(-pairs[:, 0], grad)
    np.testing.assert_array_equal(-pairs[:, 1], np.maximum(hess, 0.0))


def test_xgboost_s_floor_is_that_of_its_own_objective():
    """max(σ(x)·σ(-x), 1e-16), times the weights; pos_weight among them."""
    margins, weights = np.array([36.0, 37.0, -40.0, 90.0]), np.array([1.0, 1e6, 2.0, 3.0])
    _, hess = XGB(pos_weight=5.0)(np.array([0.0, 1.0, 0.0, 1.0]), margins, weights)
    with mp.workdps(30):
        exact = [mpf(1) / (1 + mp.exp(-x)) / (1 + mp.exp(x)) for x in map(float, margins)]
        wanted = [float(max(one, mpf("1e-16")) * w) for one, w in zip(exact, [1.0, 5e6, 2.0, 15.0], strict=True)]
    np.testing.assert_allclose(hess, wanted, rtol=1e-14)
    assert LGB()(np.array([1.0]), np.array([800.0]))[1].tolist() == [0.0]  # as LightGBM has it


def test_starting_points():
    labels, weights = np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert XGB().init_score(labels, weights) == pytest.approx(math.log(5 / 5), abs=1e-15)
    assert LGB(pos_weight=7.0).init_score(labels) == 0.0  # LightGBM's own does not know scale_pos_weight there
    assert LGB().init_score([1, 0, 0, 0, 0]) == pytest.approx(math.log(1 / 4), rel=1e-15)
    assert XGB(pos_weight=3.0).init_score([1, 0, 0, 0]) == pytest.approx(4 * (3 / 6 - 1 / 2), abs=1e-15)
    assert XGB().init_score([0, 0]) == pytest.approx(math.log(1e-6 / (1 - 1e-6)), rel=1e-12)
    assert LGB().init_score([1, 1]) == pytest.approx(-math.log(1e-15), rel=1e-2)  # 1 - 1e-15 has few digits
    assert CAT(ignore_index=-1).init_score([1, -1, 0, 0]) == pytest.approx(-math.log(2), rel=1e-15)
    several = XGB().init_score(np.array([[1, 0], [0, 0], [0, 1], [0, 1]]))
    np.testing.assert_allclose(several, [-math.log(3), 0.0], rtol=1e-15)


def test_arrays_of_other_libraries_go_in_and_out():
    """XGBoost takes CuPy's arrays back, with labels of NumPy: as here, arrays that keep to the array API's standard."""
    margins = array_api_strict.asarray(MARGINS)
    grad, hess = XGB()(LABELS, margins, WEIGHTS)
    assert isinstance(grad, type(margins))
    assert isinstance(hess, type(margins))
    np.testing.assert_allclose(
        np.asarray(hess), ll.grad_and_hess(MARGINS, LABELS, sample_weight=WEIGHTS)[1], rtol=1e-15
    )


def test_metrics_divide_by_the_weights():
    p = 1 / (1 + np.exp(-MARGINS))
    exact = float(np.sum(WEIGHTS * -(LABELS * np.log(p) + (1 - LABELS) * np.log1p(-p))) / WEIGHTS.sum())
    assert boosting.XGBoostMetric()(LABELS, MARGINS, WEIGHTS) == pytest.approx(exact, rel=1e-14)
    assert boosting.XGBoostMetric(from_logits=False)(LABELS, p, sample_weight=WEIGHTS) == pytest.approx(
        exact, rel=1e-14
    )
    assert boosting.XGBoostMetric(name="nll")(MARGINS, Data(LABELS, np.empty(0)))[0] == "nll"
    assert boosting.LightGBMMetric()(MARGINS, Data(LABELS, WEIGHTS))[1:] == (pytest.approx(exact, rel=1e-14), False)
    metric = boosting.CatBoostMetric(pos_weight=2.0)
    total, weight = metric.evaluate([MARGINS], LABELS, WEIGHTS)
    assert weight == WEIGHTS.sum()  # a price is no weight
    assert metric.get_final_error(total, weight) == pytest.approx(
        float(ll.binary_cross_entropy_with_logits(
            MARGINS, LABELS, sample_weight=WEIGHTS, pos_weight=2.0, reduction="weighted_mean")), rel=1e-14)  # fmt: skip
    assert metric.is_max_optimal() is False


def test_a_matrix_of_labels_stands_for_lightgbm_s_column():
    """And of it the rows of a fold."""
    matrix, logits = np.stack([LABELS, 1 - LABELS], axis=1), np.stack([MARGINS, MARGINS], axis=1)
    for rows in (None, [0, 2]):
        part = slice(None) if rows is None else rows
        data = Data(LABELS[part], WEIGHTS[part], rows)
        grad, _ = LGB(targets=matrix)(logits[part], data)
        np.testing.assert_array_equal(grad, ll.grad_and_hess(logits, matrix, sample_weight=WEIGHTS)[0][part])
        for given in (matrix, matrix[part]):  # of all rows, or of those of the fold
            found = boosting.LightGBMMetric(targets=given)(logits[part], data)[1]
            exact = ll.binary_cross_entropy_with_logits(
                logits[part], matrix[part], sample_weight=WEIGHTS[part], reduction="weighted_mean"
            )
            assert found == pytest.approx(exact, rel=1e-14)


REFUSALS = {
    "labels out of range": (lambda: XGB()(np.array([0.0, 2.0]), np.zeros(2)), r"in \[0, 1\]"),
    "labels of ±1": (lambda: LGB()(np.array([-1.0, 1.0]), np.zeros(2)), r"\(targets \+ 1\) / 2"),
    "negative weights": (lambda: XGB()(LABELS, MARGINS, -WEIGHTS), "not negative"),
    "both columns of probabilities": (lambda: XGB()(LABELS, np.zeros((4, 2))), "predict_proba"),
    "too few labels": (lambda: LGB()(LABELS[:3], MARGINS), r"label for each prediction; got \(3,\) for \(4,\)"),
    "a matrix that lies on its side": (lambda: XGB()(np.zeros((2, 3)), np.zeros((3, 2))), r"got \(2, 3\) for \(3, 2\)"),
    "no labels": (lambda: LGB()(MARGINS, Data(None, None)), "must have labels"),
    "a loss of probabilities": (lambda: XGB(ll.binary_cross_entropy), "one of logits"),
    "logits for probabilities": (
        lambda: boosting.XGBoostMetric(from_logits=False)(LABELS, MARGINS), "leave out from_logits=False",
    ),
    "two ways": (lambda: boosting.LightGBMMetric(ll.sigmoid_focal_loss, from_logits=False), "Leave one out"),
    "a matrix of other rows": (
        lambda: LGB(targets=np.ones((3, 2)))(np.zeros((4, 2)), Data(LABELS, None, [5])), r"got \(3, 2\) for \(4, 2\)",
    ),
    "a masked matrix": (
        lambda: LGB(targets=[np.ma.masked_array([1, 0], [True, False])]), "masks would be lost",
    ),
    "a ragged matrix": (lambda: boosting.LightGBMMetric(targets=[[1], [1, 0]]), "rectangular array"),
    "a weight of a word": (lambda: XGB()(LABELS, MARGINS, "balanced"), "sample_weight must hold real numbers"),
    "a switch of a word": (lambda: boosting.XGBoostMetric(from_logits="no"), "from_logits must be True or False"),
    "no weight": (lambda: boosting.XGBoostMetric()(LABELS, MARGINS, np.zeros(4)), "positive weight"),
    "no weight to start from": (lambda: LGB().init_score(LABELS, np.zeros(4)), "some weight must be positive"),
}  # fmt: skip


def test_lists_and_numbers_are_arrays():
    want = XGB()(LABELS, MARGINS, np.full(4, 2.0))
    np.testing.assert_array_equal(XGB()(LABELS.tolist(), MARGINS.tolist(), 2.0), want)
    matrix = np.stack([LABELS, 1 - LABELS], axis=1) > 0.5
    positives = ll.Positives.from_lists([np.flatnonzero(row) for row in matrix], labels=2)
    np.testing.assert_array_equal(LGB(targets=positives).targets, matrix)


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_with_a_remedy(case: str):
    call, said = REFUSALS[case]
    with pytest.raises(ll.LoglossError, match=said) as caught:
        call()
    assert re.search(r"\.$", str(caught.value))


@pytest.mark.parametrize(("name", "said"), [("reduction", "library's own matter"), ("sample_weight", "with the data")])
def test_options_that_are_not_the_loss_s_are_refused(name: str, said: str):
    with pytest.raises(TypeError, match=said):
        XGB(**{name: 1})
    with pytest.raises(TypeError, match="unexpected option 'gama'"):
        LGB(ll.sigmoid_focal_loss, gama=1.0)
