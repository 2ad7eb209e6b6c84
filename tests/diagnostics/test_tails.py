"""Tail probabilities, and what is said of one rate, against SciPy and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.stats

from logloss.evaluate.bins import logit, sigmoid
from logloss.evaluate.corp import entropy
from logloss.evaluate.tails import (
    chi_squared,
    normal,
    normal_quantile,
    range_of_brownian_motion,
    student,
    student_quantile,
)


@pytest.mark.parametrize("degrees", [0.7, 1, 2.5, 5, 30, 199.5, 201, 1100, 1e6])
@pytest.mark.parametrize("t", [0.0, 0.1, 1.0, 3.1, -3.1, 30.0])
def test_student(degrees, t):
    assert student(t, degrees) == pytest.approx(2 * scipy.stats.t.sf(abs(t), degrees), rel=1e-8)


@pytest.mark.parametrize("degrees", [0.7, 1, 2, 5, 30, 199.5, 201, 1100, 1e6, 1e9])
def test_student_quantile(degrees):
    assert student_quantile(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-9)


@pytest.mark.parametrize("q", [1e-300, 1e-18, 1e-5, 0.3, 0.5, 1 - 2**-53])
def test_entropy_and_logit_of_a_rate(q):
    with mpmath.workdps(330):
        exact, rest = mpmath.mpf(q), 1 - mpmath.mpf(q)
        height, odds = float(-exact * mpmath.log(exact) - rest * mpmath.log(rest)), float(mpmath.log(exact / rest))
    assert entropy(q) == pytest.approx(height, rel=1e-15)
    assert logit(q) == pytest.approx(odds, rel=1e-15)
    assert logit(np.array([q]))[0] == pytest.approx(logit(q), rel=1e-15)
    assert sigmoid(logit(q)) == pytest.approx(q, rel=1e-12)


def test_student_of_nothing():
    assert math.isnan(student(1.0, 0))
    assert math.isnan(student_quantile(-1))
    assert student(math.inf, 4) == 0
    assert student(1.0, math.inf) == 2 * normal(1.0)


@pytest.mark.parametrize("degrees", [1, 2, 9, 10, 99])
@pytest.mark.parametrize("x", [0.0, 0.3, 9.0, 80.0, 400.0])
def test_chi_squared(degrees, x):
    assert chi_squared(x, degrees) == pytest.approx(scipy.stats.chi2.sf(x, degrees), rel=1e-11)


def test_normal():
    assert normal(30.0) == pytest.approx(scipy.stats.norm.sf(30.0), rel=1e-12)
    assert normal_quantile(0.975) == pytest.approx(scipy.stats.norm.ppf(0.975), rel=1e-14)


@pytest.mark.parametrize("x", [0.4, 0.8, 1.1999, 1.2, 1.5145, 2.4977, 5.0, 13.252, 30.0])
def test_the_range_of_brownian_motion(x):
    """Feller's sum with 40 digits."""
    with mpmath.workdps(60):
        exact = 8 * mpmath.nsum(
            lambda k: (-1) ** (k - 1) * k * mpmath.erfc(k * mpmath.mpf(x) / mpmath.sqrt(2)) / 2, [1, 400], method="d"
        )
        assert range_of_brownian_motion(x) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(
    ("probability", "x"),
    [(0.5, 1.5145), (0.1, 2.2412), (0.05, 2.4977), (0.01, 3.0233), (0.001, 3.6623), (1e-6, 5.1577)],
)
def test_its_quantiles(probability, x):
    assert range_of_brownian_motion(x) == pytest.approx(probability, rel=2e-3)


def test_its_ends():
    assert range_of_brownian_motion(0.0) == 1.0
    assert math.isnan(range_of_brownian_motion(math.nan))
