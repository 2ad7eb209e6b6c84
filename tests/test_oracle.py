"""The oracle: against hand-worked values and numerical differentiation, at its limits, and that it can fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from mpmath import inf, isnan, mp, mpf, nan

import oracle
from names import named
from oracle import Derivatives, assert_ulp, error_in_ulp, prices

LOGITS = [-45.25, -7.5, -1.0, -0.125, 0.375, 1.0, 6.5, 30.0]
TARGETS = [0.0, 0.25, 0.5, 1.0]
OPTIONS = [{}, {"pos_weight": 3.5, "weight": 0.75}, {"label_smoothing": 0.2, "pos_weight": 0.5}]
FOCAL = [{"gamma": g, "alpha": a} for g in (0.0, 0.5, 1.0, 2.0, 3.5) for a in (None, 0.25)]
ASYMMETRIC = [
    {"gamma_neg": n, "gamma_pos": p, "clip": c} for n, p in ((4.0, 1.0), (0.0, 0.0), (0.5, 2.5)) for c in (0.0, 0.05)
]


def close(got: mpf, want: mpf, digits: int = 30) -> bool:
    return bool(abs(got - want) <= mpf(10) ** -digits * max(abs(want), mpf(10) ** -digits))


def assert_derivatives(function: Callable[[Any], Derivatives], point: float) -> None:
    """The stated derivatives against mpmath's differences of the value, at twice the digits."""
    stated = function(point)
    with mp.workdps(2 * oracle.DIGITS):
        numeric = [mp.diff(lambda x: function(x).loss, mpf(point), order) for order in (1, 2)]
    assert close(stated.gradient, numeric[0]), (point, stated.gradient, numeric[0])
    assert close(stated.hessian, numeric[1]), (point, stated.hessian, numeric[1])


def test_hand_worked_values():
    assert close(oracle.softplus(0), mp.log(2), 55)
    assert close(oracle.sigmoid(mp.log(3)), mpf(3) / 4, 55)
    assert close(oracle.softplus(mp.log(3)), mp.log(4), 55)
    loss, gradient, hessian = oracle.cross_entropy(mp.log(3), 2, 5)  # 2·log(4/3) + 5·log 4, 5·3/4 − 2/4, 7·3/16
    assert close(loss, 2 * mp.log(mpf(4) / 3) + 5 * mp.log(4), 55)
    assert close(gradient, mpf(13) / 4, 55)
    assert close(hessian, mpf(21) / 16, 55)
    assert close(oracle.from_probability(0.25, 1, 1).loss, mp.log(mpf(16) / 3), 55)
    assert close(oracle.from_log_probability(mp.log(mpf(1) / 4), 0, 1).loss, mp.log(mpf(4) / 3), 55)
    focal = oracle.focal(mp.log(3), 1, gamma=2, alpha=0.25)  # 1/4·(1/4)²·log(4/3)
    assert close(focal.loss, mp.log(mpf(4) / 3) / 64, 55)


def test_asymmetric_loss_agrees_with_its_published_bound():
    """A false positive costs at most −log(clip)·(1 − clip)^γ₋: 2.440043 for the defaults."""
    defaults = {"gamma_neg": 4, "gamma_pos": 1, "clip": 0.05}
    assert float(oracle.asymmetric(200.0, 0, **defaults).loss) == pytest.approx(2.440043, abs=5e-7)
    assert float(oracle.asymmetric(0.0, 1, **defaults).loss) == pytest.approx(0.346574, abs=5e-7)
    assert float(oracle.asymmetric(0.0, 0, **defaults).loss) == pytest.approx(0.024515, abs=5e-7)


def test_tails_keep_relative_precision():
    assert close(oracle.softplus(-1000) * mp.exp(1000), mpf(1), 50)
    assert close(oracle.cross_entropy(800.0, 1, 0).gradient * mp.exp(800), mpf(-1), 50)
    assert close(oracle.from_probability(1e-300, 0, 1).loss / mpf(1e-300), mpf(1), 50)
    assert close(oracle.from_log_probability(-1e-300, 0, 1).loss, -mp.log(mpf(1e-300)), 50)


def test_smoothing_and_prices():
    assert prices(1, pos_weight=3, label_smoothing=0.5, weight=2) == (mpf("4.5"), mpf("0.5"))
    assert prices(0, pos_weight=3, label_smoothing=0.5, weight=2) == (mpf("1.5"), mpf("1.5"))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("t", TARGETS)
def test_derivatives_of_cross_entropy(t: float, options: dict[str, float]):
    u, v = prices(t, **options)
    for x in LOGITS:
        assert_derivatives(partial(oracle.cross_entropy, u=u, v=v), x)


@pytest.mark.parametrize("t", TARGETS)
def test_derivatives_from_probabilities(t: float):
    u, v = prices(t, pos_weight=3)
    for p in (2.0**-40, 0.125, 0.5, 0.75, 1 - 2.0**-20):
        assert_derivatives(partial(oracle.from_probability, u=u, v=v), p)
        assert_derivatives(partial(oracle.from_log_probability, u=u, v=v), math.log(p))


@pytest.mark.parametrize("parameters", FOCAL, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_derivatives_of_focal_loss(parameters: dict[str, float], options: dict[str, float]):
    for t in TARGETS:
        for x in LOGITS:
            assert_derivatives(partial(oracle.focal, t=t, **parameters, **options), x)


@pytest.mark.parametrize("parameters", ASYMMETRIC, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_derivatives_of_asymmetric_loss(parameters: dict[str, float], options: dict[str, float]):
    for t in TARGETS:
        for x in LOGITS:
            assert_derivatives(partial(oracle.asymmetric, t=t, **parameters, **options), x)


def test_the_three_inputs_tell_one_loss():
    for x in LOGITS:
        p = oracle.sigmoid(x)
        want = oracle.cross_entropy(x, 2, 3).loss
        assert close(oracle.from_probability(p, 2, 3).loss, want)
        assert close(oracle.from_log_probability(-oracle.softplus(-x), 2, 3).loss, want)


def test_no_focus_is_plain_cross_entropy():
    for x in [*LOGITS, inf, -inf]:
        for t in TARGETS:
            plain = oracle.cross_entropy(x, *prices(t))
            assert oracle.focal(x, t, gamma=0) == plain
            assert oracle.asymmetric(x, t, gamma_neg=0, gamma_pos=0, clip=0) == plain


@pytest.mark.parametrize(
    ("function", "limits"),
    [
        (partial(oracle.cross_entropy, u=2, v=0), {inf: (0, 0, 0), -inf: (inf, -2, 0)}),
        (partial(oracle.cross_entropy, u=0, v=3), {inf: (inf, 3, 0), -inf: (0, 0, 0)}),
        (partial(oracle.cross_entropy, u=2, v=3), {inf: (inf, 3, 0), -inf: (inf, -2, 0)}),
        (partial(oracle.focal, t=1, gamma=2), {inf: (0, 0, 0), -inf: (inf, -1, 0)}),
        (partial(oracle.focal, t=0, gamma=0.5), {inf: (inf, 1, 0), -inf: (0, 0, 0)}),
        (partial(oracle.focal, t=0.25, gamma=2, alpha=0.5), {inf: (inf, 27 / 128, 0), -inf: (inf, -1 / 128, 0)}),
        (partial(oracle.asymmetric, t=1, gamma_neg=4, gamma_pos=1, clip=0.05), {inf: (0, 0, 0), -inf: (inf, -1, 0)}),
        (
            partial(oracle.asymmetric, t=0, gamma_neg=2, gamma_pos=1, clip=0.5),
            {inf: (mp.log(2) / 4, 0, 0), -inf: (0, 0, 0)},
        ),
        (partial(oracle.asymmetric, t=0, gamma_neg=2, gamma_pos=1, clip=0), {inf: (inf, 1, 0), -inf: (0, 0, 0)}),
        (partial(oracle.from_probability, u=2, v=0), {0: (inf, -inf, inf), 1: (0, -2, 2)}),
        (partial(oracle.from_probability, u=0, v=3), {0: (0, 3, 3), 1: (inf, inf, inf)}),
        (partial(oracle.from_log_probability, u=2, v=3), {-inf: (inf, -2, 0), 0: (inf, inf, inf)}),
        (partial(oracle.from_log_probability, u=0, v=3), {-inf: (0, 0, 0)}),
    ],
    ids=named,
)
def test_limits(function: Callable[[Any], Derivatives], limits: dict[Any, tuple[Any, Any, Any]]):
    for point, want in limits.items():
        got = function(point)
        assert all(g == w if w in (inf, -inf) else close(g, mpf(w), 50) for g, w in zip(got, want, strict=True)), got


@pytest.mark.parametrize("function", [oracle.cross_entropy, oracle.from_probability, oracle.from_log_probability])
def test_nan_stays_nan(function: Callable[..., Derivatives]):
    assert all(isnan(value) for value in function(nan, 1, 1))


@pytest.mark.parametrize(
    ("name", "neighbours"),
    [
        ("float64", (1.0, np.nextafter(1.0, 2.0))),
        ("float64", (2.0**-1074, 2.0**-1073)),
        ("float32", (np.float32(8), np.nextafter(np.float32(8), np.float32(9)))),
        ("float16", (np.float16(1), np.nextafter(np.float16(1), np.float16(2)))),
        ("bfloat16", (ml_dtypes.bfloat16(1), np.nextafter(ml_dtypes.bfloat16(1), ml_dtypes.bfloat16(2)))),
        ("float32", (np.finfo(np.float32).smallest_subnormal, np.float32(0))),
    ],
    ids=str,
)
def test_ulp_is_the_distance_of_neighbours(name: str, neighbours: tuple[Any, Any]):
    here, there = map(oracle.exact, neighbours)
    assert oracle.ulp(here, name) == abs(here - there)
    assert error_in_ulp(neighbours[1], here, name) == 1.0


@pytest.mark.parametrize(
    ("got", "want", "error"),
    [
        (math.nan, nan, 0.0),
        (math.inf, inf, 0.0),
        (math.inf, -inf, math.inf),
        (math.nan, inf, math.inf),
        (0.0, nan, math.inf),
        (math.inf, mpf(3.5e38), 0.0),  # beyond float32
        (math.inf, mpf(3.4e38), math.inf),  # within it
        (3.4028234663852886e38, inf, math.inf),
        (0.0, mpf(2) ** -150, 0.5),
        (0.0, mpf(1), 2.0**23),
    ],
)
def test_error_in_ulp_of_special_values(got: float, want: mpf, error: float):
    assert error_in_ulp(np.float32(got), want, np.float32) == error


def test_assert_ulp_returns_the_largest_error():
    assert assert_ulp(np.array([1.0, 2.0]), [mpf(1), mpf(2) + mpf(2) ** -52], 1) == 0.5


@pytest.mark.parametrize(
    ("got", "want", "limit"),
    [
        (np.float32([1.0, 1.0]), [mpf(1), mpf(1) + mpf(2) ** -22], 1.0),
        (np.float32([np.nan]), [mpf(1)], 1e9),
        (np.float32([0.0]), [mpf(2) ** -148], 1.0),
        (np.float32([1.0]), [mpf(1), mpf(1)], 1e9),
        (np.float32([]), [], 1e9),
    ],
    ids=["two-ulp", "nan", "subnormal", "length", "empty"],
)
def test_assert_ulp_can_fail(got: np.ndarray, want: list[mpf], limit: float):
    with pytest.raises(AssertionError):
        assert_ulp(got, want, limit)


def test_assert_ulp_measures_by_the_larger_term_on_request():
    got, want = np.float32([2.0**-24]), [mpf(0)]  # what is left of 1/2 − 1/2 after one rounding
    with pytest.raises(AssertionError):
        assert_ulp(got, want, 1)
    assert assert_ulp(got, want, 1, terms=[mpf(0.5)]) == 1.0
