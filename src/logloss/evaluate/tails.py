"""Probabilities in the tails of the distributions that tests refer to, and their quantiles.

NumPy has none of them; `math` has what they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from .statistics import quantile

__all__ = ["chi_squared", "normal", "normal_quantile", "range_of_brownian_motion", "student", "student_quantile"]

MANY_DEGREES = 200
"""From here on the expansion around the normal quantile errs by less than 1e-9."""


def normal(x: float) -> float:
    """P(Z >= x) of a standard normal Z."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """The x of P(Z <= x)."""
    return NormalDist().inv_cdf(probability)


def chi_squared(x: float, degrees: int) -> float:
    """P(X >= x) of χ² with a whole number of degrees, by its finite sum (Abramowitz, Stegun 26.4.4-5)."""
    if x <= 0:
        return 1.0
    half, a = x / 2, 0.5 if degrees % 2 else 1.0
    total = math.erfc(math.sqrt(half)) if degrees % 2 else math.exp(-half)
    while a < degrees / 2:
        total += math.exp(a * math.log(half) - half - math.lgamma(a + 1))
        a += 1
    return min(total, 1.0)


def student(t: float, degrees: float) -> float:
    """P(|T| >= |t|) of Student's t: the incomplete beta function I_x(ν/2, 1/2) at x = ν / (ν + t²)."""
    if math.isnan(t) or not degrees > 0:
        return math.nan
    if math.isinf(degrees):
        return 2 * normal(abs(t))
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t), t * t / (degrees + t * t))


@lru_cache(maxsize=512)
def student_quantile(degrees: float) -> float:
    """The t with P(|T| >= t) = 0.05."""
    if not degrees > 0:
        return math.nan
    if degrees > MANY_DEGREES:
        return float(quantile(degrees))
    return math.exp(bisect(lambda x: student(math.exp(x), degrees) - 0.05, 0.0, 700.0))


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function passes 0, to the last digit or nearly."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b), rest = 1 - x, by its continued fraction where that converges (Abramowitz, Stegun 26.5.8)."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, rest, x)
    front = math.exp(_log_of_beta(a, b) + a * math.log(x) + b * math.log(rest)) / a
    return front / _continued_fraction(a, b, x)


def _log_of_beta(a: float, b: float) -> float:
    """-log B(a, b). For a large a, lgamma(a + b) - lgamma(a) would lose its digits: Stirling's series of both."""
    if a < 1e3:
        return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    ratio = (a + b - 0.5) * math.log1p(b / a) + b * math.log(a) - b + 1 / (12 * (a + b)) - 1 / (12 * a)
    return ratio - math.lgamma(b)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """The denominator of I_x(a, b), by Lentz's method."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        if step == 0:
            continue
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        value *= c * d
        if abs(1.0 - c * d) < 1e-16:
            break
    return value


def range_of_brownian_motion(x: float) -> float:
    """P(max - min of Brownian motion on [0, 1] >= x); both series converge everywhere, each fast on its side.

    8 Σ (-1)^(k-1) k P(Z >= kx), and 1 - Σ (8/x² + 2/((k+½)²π²)) exp(-2(k+½)²π²/x²) (Feller 1951). The first keeps its
    relative accuracy in the tail.
    """
    if not x > 0:
        return 1.0 if x <= 0 else math.nan
    if x >= 1.2:
        return min(1.0, 8 * math.fsum((-1) ** (k - 1) * k * normal(k * x) for k in range(1, 60)))
    total = 0.0
    for k in range(8):
        square = ((k + 0.5) * math.pi) ** 2
        total += (8 / (x * x) + 2 / square) * math.exp(-2 * square / (x * x))
    return max(0.0, 1.0 - total)
