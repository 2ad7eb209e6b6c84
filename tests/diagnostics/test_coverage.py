"""Simulations: 95 % intervals cover, tests err as often as they say, and debiased numbers are right on average.

Reduced to seconds: R replicates see a coverage of 95 % within ± 3 sqrt(0.95 · 0.05 / R), which the limits allow.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.rows import both, simulated
from logloss.evaluate.auc import area
from logloss.evaluate.corp import isotonic
from logloss.evaluate.cumulative import cumulative
from logloss.evaluate.decisions import net_benefits
from logloss.evaluate.distribution import murphy_difference
from logloss.evaluate.recalibration import in_the_large, line
from logloss.evaluate.reliability import errors
from logloss.evaluate.sample import Sample, Units
from logloss.evaluate.smooth import smooth
from logloss.evaluate.tails import normal_quantile


def sample(p, y, units=None, *, buckets=64, clustered=False, seed=0):
    fine, coarse = both(p, y, units=units, buckets=buckets, seed=seed)
    return Sample(fine.occupied, Units.of(coarse), clustered)


def plain(p, y):
    return Sample(both(p, y, buckets=3)[0].occupied)


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize(
    ("positives", "negatives", "truth"),
    [(20, 1000, 0.76), (50, 50, 0.76), (50, 50, 0.96), (50, 2000, 0.993), (200, 2000, 0.96)],
)
def test_auc(positives, negatives, truth):
    """Plain DeLong with a normal quantile covers 78 % of 0.993 with 50 positives."""
    rng = np.random.default_rng(1)
    shift = math.sqrt(2) * normal_quantile(truth)
    y = np.repeat([1.0, 0.0], [positives, negatives])
    inside = []
    for _ in range(300):
        z = rng.normal(size=y.size) + shift * y
        inside.append(covers(area(plain(1 / (1 + np.exp(-z)), y)), truth))
    assert 0.91 <= np.mean(inside) <= 0.998


@pytest.mark.parametrize(("mean", "rows"), [(0.0, 300), (-4.3, 4000)], ids=["balanced", "rare"])
def test_recalibration_of_independent_rows(mean, rows):
    found = []
    for seed in range(200):
        p, y, _ = simulated(seed, rows, mean=mean, spread=1.2, slope=1.25)
        both_ = line(plain(p, y))
        found.append((covers(both_.slope, 0.8), covers(both_.intercept, 0.0)))
    assert np.all(np.mean(found, axis=0) >= 0.905), np.mean(found, axis=0)


def test_recalibration_of_clusters():
    """Clusters of 50 with an effect of 0.7: the model's own error covers two thirds, that of buckets what it should.

    The truth is what the mean over clusters makes of logits: nearly slope 1 and, by symmetry, 0 in the large.
    """
    by_buckets, alone = [], []
    for seed in range(150):
        p, y, units = simulated(seed, 4000, cluster=50, effect=0.7)
        by_buckets.append(covers(in_the_large(sample(p, y, units, clustered=True, seed=seed)), 0.0))
        alone.append(covers(in_the_large(plain(p, y)), 0.0))
    assert 0.90 <= np.mean(by_buckets) <= 0.995
    assert np.mean(alone) <= 0.80


def test_net_benefit():
    truth, _, _ = simulated(99, 2_000_000)
    inside = []
    exact = _benefit(truth, truth, 0.2)
    for seed in range(300):
        p, y, _ = simulated(seed, 500)
        found = net_benefits(plain(p, y), np.array([0.2]), None)
        inside.append(
            [abs(own[0] - true) <= found.quantile * se[0] for own, se, true in
             ((found.value, found.se, exact[0]), (found.gain, found.gain_se, exact[1]))]
        )  # fmt: skip
    assert np.all(np.mean(inside, axis=0) >= 0.91), np.mean(inside, axis=0)


def _benefit(p, truth, t):
    """Net benefit and the gain over flagging everybody, of calibrated predictions."""
    odds = t / (1 - t)
    worth = truth - odds * (1 - truth)
    return np.mean(np.where(p >= t, worth, 0)), -np.mean(np.where(p < t, worth, 0))


def test_miscalibration_is_debiased_and_its_interval_covers():
    """True MCB 0.00589. The plain value is three times as large at 1,000 rows, and its interval does not cover."""
    truth, values, plain_values, inside, inside_plain = 0.00589, [], [], [], []
    for seed in range(60):
        p, y, _ = simulated(seed, 1000, slope=1.25)
        one = sample(p, y, buckets=128, seed=seed)
        part = isotonic(one, smooth(one)).decomposition.log_loss.miscalibration
        values.append(part.value)
        plain_values.append(part.raw)
        inside.append(covers(part, truth))
        inside_plain.append(part.low + part.raw - part.value <= truth)
    assert np.mean(values) == pytest.approx(truth, abs=3 * np.std(values) / math.sqrt(60) + 1e-4)
    assert np.mean(plain_values) > 2 * truth
    assert np.mean(inside) >= 0.90
    assert np.mean(inside_plain) <= 0.6


def test_what_calibrated_rows_give():
    """Debiased numbers are about 0, tests find something in about 5 %, and the squared error's interval covers 0."""
    tests, squares, shares = [], [], []
    for seed in range(150):
        p, y, _ = simulated(seed, 1000)
        one = sample(p, y, seed=seed)
        found = errors(one)
        tests.append((cumulative(one).ecce.p_value < 0.05, found.ece.p_value < 0.05))
        squares.append(covers(found.squared, 0.0))
        shares.append(found.squared.value)
    assert np.all(np.mean(tests, axis=0) <= 0.105), np.mean(tests, axis=0)
    assert np.mean(squares) >= 0.91
    assert np.mean(shares) == pytest.approx(0.0, abs=3.5 * np.std(shares) / math.sqrt(150))


def test_the_test_of_clusters_errs_as_often_as_it_says():
    """Clusters of 50 with an effect of 1: the Brownian p-value errs in half of all samples."""
    clustered, brownian = [], []
    for seed in range(120):
        p, y, units = simulated(seed, 6000, cluster=50, effect=1.0)
        # What is predicted is right on average over clusters: the mean over the effect of the sigmoid.
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        z = np.log(p) - np.log1p(-p)
        p = (weights / weights.sum()) @ (1 / (1 + np.exp(-(z + nodes[:, None]))))
        one = sample(p, y, units, clustered=True, seed=seed)
        clustered.append(cumulative(one).ecce.p_value < 0.05)
        brownian.append(cumulative(Sample(one.bins)).ecce.p_value < 0.05)
    assert np.mean(clustered) <= 0.12
    assert np.mean(brownian) >= 0.3


def test_differences_of_elementary_scores():
    """Of a model and a noisier one, at each threshold by itself, of independent rows and of clusters."""
    for clusters in (None, 10):
        inside: list[np.ndarray] = []
        for seed in range(121):
            rows = 500_000 if seed == 0 else 1500
            rng = np.random.default_rng(seed)
            z = rng.normal(0.0, 1.2, rows) if clusters is None else np.repeat(rng.normal(0.0, 1.2, rows // 10), 10)
            y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(float)
            units = np.arange(rows) // (clusters or 1) % 128
            models = [1 / (1 + np.exp(-one)) for one in (z, z + rng.normal(0.0, 0.7, rows))]
            fine = [both(p, y, units=units, buckets=128)[0] for p in models]
            if seed == 0:
                whole = murphy_difference((fine[0].coarser(64), fine[1].coarser(64)), None, "")
                truth = dict(zip(whole.threshold.round(9).tolist(), whole.difference.tolist(), strict=True))
                continue
            coarse = [both(p, y, units=units, buckets=128)[1].coarser(64) for p in models]
            found = murphy_difference((fine[0], fine[1]), (coarse[0], coarse[1]), "")
            known = np.isfinite(found.low) & (found.threshold > 0.1) & (found.threshold < 0.9)
            exact = np.array([truth[one] for one in found.threshold.round(9).tolist()])
            inside.append(((found.low <= exact) & (exact <= found.high))[known])
        assert 0.92 <= np.mean(np.concatenate(inside)) <= 0.975, clusters
