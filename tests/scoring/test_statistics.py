"""Standard errors, intervals and tests of calibration, against their definitions, known values and simulation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import polars as pl
import pytest
import scipy.stats

from logloss.evaluate.statistics import Statistics, quantile
from logloss.scores import score


def run(y: np.ndarray, p: np.ndarray, w: np.ndarray | None = None) -> Statistics:
    table = {"y": y, "p": p, "w": np.ones_like(p) if w is None else w}
    return score(table, target="y", probability="p", weight=None if w is None else "w").summary.results[-1].statistics


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    p = rng.beta(1, 3, 2000)
    return (rng.random(2000) < p**1.2).astype(float), p, rng.exponential(2, 2000)


def test_known_standard_errors_of_real_predictions(acs: pl.DataFrame):
    """1.130e-3 and 1.629e-3 by an independent implementation of the delta method."""
    table = acs.filter(pl.col("year") >= 2016)
    found = score(table, target="employed", probability="predicted_probability").summary.results[0].statistics
    assert f"{found.log_loss_se:.6f}" == "0.001130"
    assert f"{found.normalized_entropy_se:.6f}" == "0.001629"


@pytest.mark.parametrize("weighted", [False, True])
def test_standard_errors_by_their_definition(sample: tuple[np.ndarray, ...], weighted: bool):
    y, p, w = sample
    if not weighted:
        w = np.ones_like(w)
    found = run(y, p, w if weighted else None)
    losses, squares = -np.where(y == 1, np.log(p), np.log1p(-p)), (p - y) ** 2
    n, q = y.size, np.average(y, weights=w)
    entropy = -q * math.log(q) - (1 - q) * math.log1p(-q)

    def se(influence: np.ndarray) -> float:
        return math.sqrt((w**2 * influence**2).sum() * n / (n - 1)) / w.sum()

    loss = np.average(losses, weights=w)
    slope = -loss / entropy**2 * math.log((1 - q) / q)
    assert found.log_loss_se == pytest.approx(se(losses - loss), rel=1e-12)
    assert found.brier_se == pytest.approx(se(squares - np.average(squares, weights=w)), rel=1e-12)
    expected = se((losses - loss) / entropy + slope * (y - q))
    assert found.normalized_entropy_se == pytest.approx(expected, rel=1e-12)
    assert found.d2_se == found.normalized_entropy_se
    assert found.effective_rows == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration(sample: tuple[np.ndarray, ...], weighted: bool):
    y, p, w = sample
    if not weighted:
        w = np.ones_like(w)
    found = run(y, p, w if weighted else None)
    z = np.log(p) - np.log1p(-p)
    q = np.average(y, weights=w)
    spiegelhalter = (w * (y - p) * (1 - 2 * p)).sum() / math.sqrt((w**2 * (1 - 2 * p) ** 2 * p * (1 - p)).sum())
    log_score = -(w * (y - p) * z).sum() / math.sqrt((w**2 * p * (1 - p) * z**2).sum())
    assert found.spiegelhalter_z == pytest.approx(spiegelhalter, rel=1e-11)
    assert found.log_score_z == pytest.approx(log_score, rel=1e-11)
    assert found.calibration_ratio == pytest.approx((w * p).sum() / (w * y).sum(), rel=1e-13)
    assert found.calibration_difference == pytest.approx(np.average(p - y, weights=w), rel=1e-11)
    assert found.brier_skill == pytest.approx(1 - found.brier / (q * (1 - q)), rel=1e-13)
    assert found.log_loss_bits == pytest.approx(found.log_loss / math.log(2), rel=1e-15)


def test_the_scale_of_weights_changes_nothing(sample: tuple[np.ndarray, ...]):
    y, p, w = sample
    a, b = run(y, p, w), run(y, p, w * 2.0**60)
    assert b.weight == a.weight * 2.0**60
    assert dataclasses.replace(b, weight=a.weight) == a


def test_a_constant_loss_has_no_spread():
    """Raw moments are centred exactly: nothing but the rounding of each square is left."""
    found = run(np.array([0.0, 1.0] * 5000), np.full(10_000, 0.5))
    assert found.log_loss == math.log(2)
    assert found.log_loss_se < 1e-9
    assert found.brier_se == 0


@pytest.mark.parametrize("degrees", [3, 10, 49, 99, 1e6])
def test_quantile(degrees: float):
    assert quantile(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-2 if degrees < 10 else 2e-4)


def test_one_row_has_no_interval():
    found = run(np.array([1.0]), np.array([0.5]))
    assert math.isnan(found.log_loss_se)
    assert math.isnan(found.log_loss_high)


def test_infinite_losses_have_no_interval():
    found = run(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.25, 0.5]))
    assert (found.log_loss, found.infinite_rows, found.infinite_weight, found.zero_weight) == (math.inf, 1, 1.0, 1.0)
    assert found.finite_log_loss == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2, rel=1e-15)
    assert math.isnan(found.log_loss_se)
    assert found.log_score_z == math.inf
    assert math.isfinite(found.brier_se)


def test_weights_of_rare_rows():
    found = run(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.5]), np.array([0.5, 0.25, 2.0]))
    assert (found.infinite_weight, found.zero_weight, found.one_weight) == (0.75, 0.5, 0.25)
    assert found.finite_log_loss == math.log(2)


def test_few_outcomes_have_no_interval():
    y = np.array([1.0] * 49 + [0.0] * 1000)
    few = run(y, np.full(y.size, 0.1))
    assert few.few
    assert math.isnan(few.brier_low)
    assert few.brier_se > 0
    assert not run(np.append(y, 1.0), np.full(y.size + 1, 0.1)).few


def test_intervals_are_those_of_the_logarithm():
    random = np.random.default_rng(4)
    p = random.uniform(0.05, 0.95, 400)
    found = run((random.random(400) < p).astype(float), p)
    t = 1.9659272  # 97.5 % quantile at 399 degrees of freedom
    for name in ("log_loss", "normalized_entropy", "brier"):
        value, se, low, high = (getattr(found, name + part) for part in ("", "_se", "_low", "_high"))
        assert (low, high) == pytest.approx((value * math.exp(-t * se / value), value * math.exp(t * se / value)))
    assert (found.d2_low, found.d2_high) == (1 - found.normalized_entropy_high, 1 - found.normalized_entropy_low)


@pytest.mark.parametrize(
    ("positives", "negatives", "samples"),
    [(60, 60, 8_000), (85, 450, 6_000), (400, 100, 6_000), (85, 2_000, 3_000), (2_000, 85, 3_000)],
)
def test_intervals_cover(positives: int, negatives: int, samples: int):
    """95 % intervals cover the true value, which is that of all samples together, in 93 to 97 % of samples.

    There is none in those that happen to have fewer than 50 of one kind.
    """
    rng = np.random.default_rng(positives + 10 * negatives)
    n = positives + negatives
    prevalence = positives / n
    y = rng.random((samples, n)) < prevalence
    z = rng.normal(np.where(y, 1.0, -1.0) + math.log(prevalence / (1 - prevalence)), 1.4)
    frame = {"y": y.ravel(), "z": z.ravel(), "sample": np.repeat(np.arange(samples), n)}
    results = [one.statistics for one in score(frame, target="y", logit="z", group="sample").summary.results]
    whole = results.pop()
    for name in ("log_loss", "normalized_entropy", "d2", "brier"):
        ends = [np.array([getattr(one, f"{name}_{end}") for one in results]) for end in ("low", "high")]
        assert np.isnan(ends[0]).tolist() == [one.few for one in results]
        low, high = (end[~np.isnan(end)] for end in ends)
        assert low.size > 0.85 * samples
        true = getattr(whole, name)
        covered = np.mean((low <= true) & (true <= high))
        assert 0.93 <= covered <= 0.97, (name, covered)


def test_intervals_of_clusters_cover():
    """Clusters of 20 rows that are alike: as independent rows they cover 60 %."""
    rng = np.random.default_rng(8)
    samples, clusters, size = 1500, 30, 20
    effect = np.repeat(rng.normal(0.0, 1.5, (samples, clusters)), size, axis=1)
    z = rng.normal(0.0, 0.5, effect.shape) + np.repeat(rng.normal(0.0, 1.5, (samples, clusters)), size, axis=1)
    y = rng.random(z.shape) < 1 / (1 + np.exp(-z - effect))
    columns = {"sample": np.repeat(np.arange(samples), z.shape[1]), "cluster": np.arange(z.size) // size}
    frame = {"y": y.ravel(), "z": z.ravel(), **columns}
    covered = []
    for cluster in ("cluster", None):
        results = [
            one.statistics
            for one in score(frame, target="y", logit="z", group="sample", cluster=cluster).summary.results
        ]
        true = results.pop().log_loss
        covered.append(np.mean([one.log_loss_low <= true <= one.log_loss_high for one in results]))
    assert 0.925 <= covered[0] <= 0.97, covered
    assert covered[1] < 0.75


def test_within_groups_the_base_rate_is_the_groups_own():
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0, 1, 1])
    group = np.repeat(["a", "b", "c"], [4, 4, 2])
    rate = np.where(group == "a", 0.25, np.where(group == "b", 0.75, 1.0))
    own, better = (
        [
            one.statistics
            for one in score({"y": y, "p": p, "g": group}, target="y", probability="p", group="g").summary.results
        ]
        for p in (rate, np.clip(rate + 0.2 * (y - rate), 0, 1))
    )
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert own[-1].within_group_normalized_entropy == pytest.approx(1.0, abs=1e-15)
    assert own[-1].normalized_entropy < 0.8
    found = better[-1]
    assert found.within_group_normalized_entropy == pytest.approx(found.log_loss * 10 / (8 * entropy), rel=1e-14)
    assert better[0].within_group_normalized_entropy == better[0].normalized_entropy
    alone = score({"y": y, "p": rate}, target="y", probability="p").summary.results[0].statistics
    assert alone.within_group_normalized_entropy == alone.normalized_entropy
