"""Statistics from bins against packages that see the rows, where bins lose nothing: one distinct prediction per bin."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from diagnostics.rows import binned, both, logit, simulated
from logloss.evaluate.bins import COARSE, FINE, Bins, place_of
from logloss.evaluate.corp import plain_scores
from logloss.evaluate.decisions import net_benefits
from logloss.evaluate.diagnostics import diagnose
from logloss.evaluate.logistic import fit
from logloss.evaluate.ranking import average_precision
from logloss.evaluate.recalibration import in_the_large, line
from logloss.evaluate.sample import Sample, Units

pytestmark = pytest.mark.frameworks

ROWS = 4000


def rounded(seed, **more):
    """Predictions of two decimals: atoms, each alone in its bin."""
    p, y, units = simulated(seed, ROWS, slope=1.3, **more)
    return np.clip(np.round(p, 2), 0.01, 0.99), y, units


@pytest.fixture(scope="module")
def atoms():
    return rounded(3)


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(5).exponential(1.0, ROWS)


def direct_delong(p, y):
    """AUC and its variance over all pairs (DeLong, DeLong, Clarke-Pearson 1988)."""
    above = np.sign(p[y == 1][:, None] - p[y == 0][None, :]) / 2 + 0.5
    v1, v0 = above.mean(axis=1), above.mean(axis=0)
    return above.mean(), v1.var(ddof=1) / v1.size + v0.var(ddof=1) / v0.size


def test_auc_and_delongs_error_over_all_pairs(atoms):
    p, y, _ = atoms
    area, variance = direct_delong(p, y)
    found = diagnose(binned(p, y)).discrimination.auc
    assert found.value == pytest.approx(area, abs=1e-14)
    assert found.se**2 == pytest.approx(variance, rel=1e-12)


def test_ranking_with_weights_is_scikit_learns(atoms, weights):
    from sklearn.metrics import average_precision_score, roc_auc_score

    p, y, _ = atoms
    found = diagnose(binned(p, y, weights)).discrimination
    assert found.auc.value == pytest.approx(roc_auc_score(y, p, sample_weight=weights), abs=1e-13)
    bins = binned(p, y, weights).occupied
    step = average_precision(bins.wy, bins.w, np.ones(bins.w.size, bool), counted=False)
    assert step == pytest.approx(average_precision_score(y, p, sample_weight=weights), abs=1e-13)


@pytest.mark.parametrize(("decimals", "tolerance"), [(2, 1e-12), (3, 1e-3), (16, 4e-4)])
def test_average_precision_is_scikit_learns(decimals, tolerance):
    from sklearn.metrics import average_precision_score

    p, y, _ = simulated(11, 20_000, mean=-2.0)
    p = np.clip(np.round(p, decimals), 0.01, 0.99)
    found = diagnose(binned(p, y)).discrimination.average_precision.value
    assert found == pytest.approx(average_precision_score(y, p), abs=tolerance)


def test_the_roc_curve_lies_on_scikit_learns(atoms):
    from sklearn.metrics import roc_curve

    p, y, _ = atoms
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
    found = diagnose(binned(p, y)).discrimination.roc
    exact = set(zip(fpr.round(12).tolist(), tpr.round(12).tolist(), strict=True))
    own = set(
        zip(found.false_positive_rate.round(12).tolist(), found.true_positive_rate.round(12).tolist(), strict=True)
    )
    assert own <= exact
    assert {(0.0, 0.0), (1.0, 1.0)} <= own


def test_the_isotonic_curve_is_scipys(atoms, weights):
    from scipy.optimize import isotonic_regression

    p, y, _ = atoms
    corp = diagnose(binned(p, y, weights)).calibration.corp
    order = np.argsort(p, kind="stable")
    distinct, place = np.unique(p[order], return_inverse=True)
    w = np.bincount(place, weights[order])
    mean = np.bincount(place, (weights * y)[order]) / w
    exact = isotonic_regression(mean, weights=w).x
    steps = np.searchsorted(corp.left, distinct + 1e-9, side="right") - 1
    np.testing.assert_allclose(corp.observed[steps], exact, atol=1e-12)
    assert corp.weight.sum() == pytest.approx(weights.sum())


def test_the_decomposition_is_model_diagnostics(atoms):
    from model_diagnostics.scoring import LogLoss, SquaredError, decompose

    p, y, _ = atoms
    found = diagnose(binned(p, y)).decomposition
    for score, own in ((LogLoss(), found.log_loss), (SquaredError(), found.brier)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exact = decompose(y, p, scoring_function=score)
        assert own.miscalibration.raw == pytest.approx(exact["miscalibration"].item(), abs=1e-12)
        assert own.discrimination.raw == pytest.approx(exact["discrimination"].item(), abs=1e-12)
        assert own.uncertainty == pytest.approx(exact["uncertainty"].item(), abs=1e-12)
        assert own.score == pytest.approx(exact["score"].item(), abs=1e-12)


def glm(p, y, **fitting):
    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both_ = sm.GLM(y, sm.add_constant(logit(p)), family=sm.families.Binomial()).fit(**fitting)
        one = sm.GLM(y, np.ones_like(p), family=sm.families.Binomial(), offset=logit(p)).fit(**fitting)
    return both_, one


def test_recalibration_is_statsmodels(atoms):
    p, y, _ = atoms
    exact, large = glm(p, y)
    sample = Sample(binned(p, y).occupied)
    found = line(sample)
    for own, place in ((found.intercept, 0), (found.slope, 1)):
        assert own.value == pytest.approx(exact.params[place], abs=1e-9)
        assert own.se == pytest.approx(exact.bse[place], rel=1e-6)
    assert in_the_large(sample).value == pytest.approx(large.params[0], abs=1e-9)
    assert in_the_large(sample).se == pytest.approx(large.bse[0], rel=1e-6)


def test_its_error_with_clusters_is_statsmodels():
    p, y, units = rounded(6, cluster=20, effect=0.7)
    exact, large = glm(p, y, cov_type="cluster", cov_kwds={"groups": units, "use_correction": False})
    count = units[-1] + 1
    fine, buckets = binned(p, y), binned(p, y, bins=FINE, bucket=units)
    sample = Sample(fine.occupied, Units.of(buckets), clustered=True)
    correction = np.sqrt(count / (count - 1))
    found = line(sample)
    assert found.slope.se == pytest.approx(exact.bse[1] * correction, rel=1e-6)
    assert found.intercept.se == pytest.approx(exact.bse[0] * correction, rel=1e-6)
    assert in_the_large(sample).se == pytest.approx(large.bse[0] * correction, rel=1e-6)


def test_its_error_with_weights_is_a_sandwich(atoms, weights):
    """Σw²(y - μ)² x xᵀ between inverse informations, row by row."""
    p, y, _ = atoms
    found = line(Sample(binned(p, y, weights).occupied))
    x = np.stack([np.ones(ROWS), logit(p)], axis=1)
    one = fit(x, weights * y, weights)
    mean = 1 / (1 + np.exp(-x @ one.coefficients))
    bread = np.linalg.inv((x * (weights * mean * (1 - mean))[:, None]).T @ x)
    meat = (x * (weights * (y - mean))[:, None]).T @ (x * (weights * (y - mean))[:, None])
    assert found.slope.value == pytest.approx(one.coefficients[1], abs=1e-9)
    assert found.slope.se == pytest.approx(np.sqrt((bread @ meat @ bread)[1, 1]), rel=1e-9)


def test_errors_of_thresholds_by_rows(atoms, weights):
    """Net benefit is a mean of rows: 1 for a true positive, -odds for a false one."""
    p, y, _ = atoms
    found = diagnose(binned(p, y, weights), thresholds=(0.3,)).decisions.thresholds[0]
    odds, flagged = 3 / 7, p >= 0.3
    benefit = np.where(flagged, np.where(y == 1, 1.0, -odds), 0.0)
    gain = benefit - np.where(y == 1, 1.0, -odds)
    for own, rows in ((found.net_benefit, benefit), (found.gain_over_all, gain)):
        mean = np.average(rows, weights=weights)
        assert own.value == pytest.approx(mean, abs=1e-12)
        assert own.se == pytest.approx(np.sqrt(np.sum(weights**2 * (rows - mean) ** 2)) / weights.sum(), rel=1e-9)
    assert found.sensitivity.value == pytest.approx(np.average(flagged[y == 1], weights=weights[y == 1]), abs=1e-12)
    assert found.ppv.value == pytest.approx(np.average(y[flagged], weights=weights[flagged]), abs=1e-12)


@pytest.mark.parametrize(
    ("prevalence", "shares", "captured"),
    [
        (None, [0.1, 0.25, 0.5, 0.75, 0.8], [0.2, 0.5, 0.5, 1, 1]),
        (0.2, [0.05, 0.1, 0.5, 0.55, 0.6], [0.25, 0.5, 0.5, 0.75, 1]),
    ],
)
def test_gains_by_hand(prevalence, shares, captured):
    """A positive, a negative, a positive, a negative; at a prevalence of 0.2 each is 0.1, 0.4, 0.1, 0.4 of the rows."""
    found = diagnose(binned([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0]), prevalence=prevalence).decisions.gains
    places = np.searchsorted(found.share, np.array(shares) - 1e-9)
    assert found.captured[places] == pytest.approx(captured, abs=1e-12)
    assert found.lift[places] == pytest.approx(np.divide(captured, shares), rel=1e-9)


def test_wilsons_interval_is_statsmodels(atoms):
    from statsmodels.stats.proportion import proportion_confint

    p, y, _ = atoms
    found = diagnose(binned(p, y), thresholds=(0.3,)).decisions.thresholds[0]
    exact = proportion_confint(((p >= 0.3) & (y == 1)).sum(), (y == 1).sum(), method="wilson")
    assert (found.sensitivity.low, found.sensitivity.high) == pytest.approx(exact, abs=1e-12)


def test_buckets_of_dependent_rows_give_the_clusters_error():
    """A mean difference's error by clusters is that of statsmodels' regression on a constant."""
    import statsmodels.api as sm

    p, y, units = rounded(8, cluster=10, effect=1.0)
    found = diagnose(binned(p, y), binned(p, y, bins=COARSE, bucket=units), clustered=True).calibration.difference
    exact = sm.OLS(y - p, np.ones(ROWS)).fit(cov_type="cluster", cov_kwds={"groups": units, "use_correction": False})
    count = units[-1] + 1
    assert found.value == pytest.approx(exact.params[0], abs=1e-12)
    assert found.se == pytest.approx(exact.bse[0] * np.sqrt(count / (count - 1)), rel=1e-9)


def test_influences_of_auc_are_delongs():
    """With every row its own bucket, the influences' error is DeLong's but for n/(n-1) within classes."""
    p, y, _ = rounded(9)
    p, y = p[:400], y[:400]
    _, variance = direct_delong(p, y)
    each = binned(p, y, bins=FINE, bucket=np.arange(400))
    found = diagnose(binned(p, y), each, clustered=True).discrimination.auc
    assert found.se == pytest.approx(np.sqrt(variance), rel=0.01)


def test_expected_errors_are_those_of_simulated_calibrated_rows():
    rng = np.random.default_rng(2)
    p, y, _ = simulated(2, 2000)
    found = diagnose(binned(p, y)).calibration
    again = [diagnose(binned(p, (rng.random(p.size) < p) * 1.0)).calibration for _ in range(40)]
    for name in ("ici", "ici_corp", "ece", "ecce"):
        values = [getattr(one, name).raw for one in again]
        error = np.std(values) / np.sqrt(len(values))
        assert getattr(found, name).expected == pytest.approx(np.mean(values), abs=4 * error), name


def test_bins_nest_and_add():
    p, y, _ = simulated(4, 5000)
    p[:3] = 0.0, 1.0, 1e-300
    fine, coarse = binned(p, y), binned(p, y, bins=COARSE)
    halves = binned(p[:2000], y[:2000]) + binned(p[2000:], y[2000:], bins=COARSE)
    for name in ("rows", "w", "ww", "wy", "wwy", "wp"):
        np.testing.assert_allclose(getattr(fine.coarser(COARSE), name), getattr(coarse, name), atol=1e-9)
        np.testing.assert_allclose(getattr(halves, name), getattr(coarse, name), atol=1e-9)
    assert place_of([-np.inf, -40, -32, 0, 31.999, 32, 40, np.inf], 4).tolist() == [0, 1, 1, 3, 4, 4, 4, 5]
    fine, buckets = both(p, y)
    np.testing.assert_allclose(buckets.total().wy, coarse.wy)
    assert isinstance(buckets, Bins)


def test_scores_of_certain_predictions():
    """A probability of 0 costs nothing where it is right, and infinitely much where it is wrong."""
    right = plain_scores(np.array([0.0, 3.0]), np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    wrong = plain_scores(np.array([1.0, 3.0]), np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert right.tolist() == [0.0, 0.0]
    assert wrong.tolist() == [np.inf, 1.0]


# What dcurves 1.1.7 gives, by threshold.
COHORT = {
    0.05: 0.1055438596, 0.10: 0.0874074074, 0.15: 0.0792156863, 0.20: 0.0673333333, 0.25: 0.0640000000,
    0.35: 0.0501538462,
}  # fmt: skip
CASE_CONTROL = {
    0.05: 0.0741723627, 0.10: 0.0453162578, 0.15: 0.0262987013, 0.20: 0.0167370130, 0.30: 0.0133441558,
    0.50: -0.0114718615,
}  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "expected", "prevalence"), [("cancer", COHORT, None), ("case", CASE_CONTROL, 0.15)]
)
def test_net_benefit_is_that_of_dcurves(outcome, expected, prevalence):
    table = np.genfromtxt(Path(__file__).parent / "data" / "decision_curves.csv", delimiter=",", names=True)
    bins = binned(table[f"{outcome}_prediction"], table[outcome])
    found = diagnose(bins, thresholds=tuple(expected), prevalence=prevalence).decisions
    q = table[outcome].mean() if prevalence is None else prevalence
    for one in found.thresholds:
        assert one.net_benefit.value == pytest.approx(expected[one.threshold], abs=6e-11), one.threshold
        everybody = q - (1 - q) * one.threshold / (1 - one.threshold)
        assert one.net_benefit.value - one.gain_over_all.value == pytest.approx(everybody, abs=1e-15)
    assert found.prevalence == pytest.approx(q)


def test_an_interval_at_a_given_prevalence_covers():
    """Cases and controls drawn apart; the benefit of the population is known from many rows."""
    rng = np.random.default_rng(31)
    z = rng.normal(-2, 1.2, 1_000_000)
    p = 1 / (1 + np.exp(-z))
    ill = rng.random(p.size) < p
    odds, prevalence = 0.2 / 0.8, ill.mean()
    truth = np.mean(np.where(p >= 0.2, p - odds * (1 - p), 0))
    inside = []
    for _ in range(200):
        cases, controls = rng.choice(p[ill], 200), rng.choice(p[~ill], 200)
        bins = binned(np.concatenate([cases, controls]), np.repeat([1, 0], 200))
        found = net_benefits(Sample(bins.occupied), np.array([0.2]), prevalence)
        inside.append(abs(found.value[0] - truth) <= found.quantile * found.se[0])
    assert 0.90 <= np.mean(inside) <= 0.995
