"""The values that every test compares with: the definitions in multiple precision, sharing nothing with the package.

All arithmetic is mpmath's at 60 digits. Derivatives are worked out by hand beside each definition, and `test_oracle.py`
checks them against mpmath's numerical differentiation.

    x logit · t target in [0, 1] · t' smoothed target t·(1 − s) + s/2
    u, v price of missing a positive, a negative · σ sigmoid, written `s`, and σ(−x), written `c` (its complement)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from mpmath import inf, isinf, isnan, mp, mpf, nan

DIGITS = 60
mp.dps = DIGITS


class Derivatives(NamedTuple):
    """A function's value and its first two derivatives at one point."""

    loss: mpf
    gradient: mpf
    hessian: mpf


def exact(number: Any) -> mpf:
    """A Python or NumPy number of any float type (bfloat16 too) as the very number it stands for."""
    return number if isinstance(number, mpf) else mpf(float(number))


def times(coefficient: Any, value: Any) -> mpf:
    """coefficient·value, where a coefficient of exactly 0 selects even an infinite value away."""
    return mpf(0) if coefficient == 0 else coefficient * value


def softplus(x: Any) -> mpf:
    """log(1 + e^x), with full relative precision in both tails."""
    x = exact(x)
    if isnan(x) or x == inf:
        return x
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def sigmoid(x: Any) -> mpf:
    """1/(1 + e^−x)."""
    x = exact(x)
    if isinf(x):
        return mpf(1) if x > 0 else mpf(0)
    z = mp.exp(-abs(x))
    return (1 if x >= 0 else z) / (1 + z)


def smoothed(t: Any, label_smoothing: Any = 0) -> mpf:
    """t' = t·(1 − s) + s/2."""
    t, s = exact(t), exact(label_smoothing)
    return t * (1 - s) + s / 2


def prices(t: Any, *, pos_weight: Any = 1, label_smoothing: Any = 0, weight: Any = 1) -> tuple[mpf, mpf]:
    """(u, v) of one element: u = w·a·t', v = w·(1 − t')."""
    t = smoothed(t, label_smoothing)
    return exact(weight) * exact(pos_weight) * t, exact(weight) * (1 - t)


def cross_entropy(x: Any, u: Any, v: Any) -> Derivatives:
    """u·softplus(−x) + v·softplus(x), and its derivatives v·σ(x) − u·σ(−x) and (u + v)·σ(x)·σ(−x)."""
    x, u, v = exact(x), exact(u), exact(v)
    if isnan(x):
        return Derivatives(nan, nan, nan)
    s, c = sigmoid(x), sigmoid(-x)
    return Derivatives(times(u, softplus(-x)) + times(v, softplus(x)), v * s - u * c, (u + v) * s * c)


def from_probability(p: Any, u: Any, v: Any) -> Derivatives:
    """−u·log p − v·log(1 − p), and its derivatives in p."""
    p, u, v = exact(p), exact(u), exact(v)
    if isnan(p):
        return Derivatives(nan, nan, nan)
    to_one = 1 - p
    log_p, log_rest = (mp.log(p) if p else -inf), (mp.log1p(-p) if to_one else -inf)
    inverse, inverse_rest = (1 / p if p else inf), (1 / to_one if to_one else inf)
    return Derivatives(
        times(u, -log_p) + times(v, -log_rest),
        times(v, inverse_rest) - times(u, inverse),
        times(u, inverse**2) + times(v, inverse_rest**2),
    )


def from_log_probability(log_p: Any, u: Any, v: Any) -> Derivatives:
    """−u·ℓ − v·log(1 − e^ℓ) for ℓ = log p ≤ 0, and its derivatives in ℓ: −u + v·r and v·r·(1 + r), r = p/(1 − p)."""
    log_p, u, v = exact(log_p), exact(u), exact(v)
    if isnan(log_p):
        return Derivatives(nan, nan, nan)
    rest = -mp.expm1(log_p) if log_p > -inf else mpf(1)
    log_rest = _log_one_minus_exp(log_p, rest)
    odds = mp.exp(log_p) / rest if rest else inf
    return Derivatives(
        times(u, -log_p) + times(v, -log_rest),
        times(v, odds) - u,
        times(v, odds * (1 + odds)),
    )


def _log_one_minus_exp(log_p: mpf, rest: mpf) -> mpf:
    """log(1 − e^ℓ), by log1p where 1 − e^ℓ is next to 1 and by log where it is next to 0."""
    if rest == 0:
        return -inf
    return mp.log(rest) if log_p > -1 else mp.log1p(-mp.exp(log_p))


def focal(
    x: Any, t: Any, *, gamma: Any, alpha: Any = None, pos_weight: Any = 1, label_smoothing: Any = 0, weight: Any = 1
) -> Derivatives:
    """α_t·m^γ·L with m = t'·σ(−x) + (1 − t')·σ(x), L the cross-entropy, α_t = α·t' + (1 − α)·(1 − t')."""
    x, t = exact(x), smoothed(t, label_smoothing)
    u, v = prices(t, pos_weight=pos_weight, weight=weight)
    balance = mpf(1) if alpha is None else exact(alpha) * t + (1 - exact(alpha)) * (1 - t)
    s, c = sigmoid(x), sigmoid(-x)
    # dσ(x)/dx = s·c and dσ(−x)/dx = −s·c; d(s·c)/dx = s·c·(c − s).
    slope = (1 - 2 * t) * s * c
    m = Derivatives(t * c + (1 - t) * s, slope, slope * (c - s))
    return _scaled(balance, _power_times(m, exact(gamma), cross_entropy(x, u, v), at_limit=bool(isinf(x))))


def asymmetric(
    x: Any,
    t: Any,
    *,
    gamma_neg: Any,
    gamma_pos: Any,
    clip: Any,
    pos_weight: Any = 1,
    label_smoothing: Any = 0,
    weight: Any = 1,
) -> Derivatives:
    """(−u·log p − v·log q)·m^g with m = t'·(1 − p) + (1 − t')·(1 − q) and g = γ₊·t' + γ₋·(1 − t').

    p = σ(x) and q = min(1 − p + clip, 1). Below the kink at p = clip the part of the negatives is
    constantly 0; at the kink itself this is the left derivative.
    """
    x, t, clip = exact(x), smoothed(t, label_smoothing), exact(clip)
    u, v = prices(t, pos_weight=pos_weight, weight=weight)
    power = exact(gamma_pos) * t + exact(gamma_neg) * (1 - t)
    s, c = sigmoid(x), sigmoid(-x)
    below_kink = s <= clip
    q = mpf(1) if below_kink else c + clip
    # q' = −s·c above the kink: (−log q)' = s·c/q, and its derivative is s·c·((c − s)·q + s·c)/q².
    if below_kink:
        minus_log_q = Derivatives(mpf(0), mpf(0), mpf(0))
    elif clip == 0:
        minus_log_q = cross_entropy(x, 0, 1)
    else:
        minus_log_q = Derivatives(-mp.log(q), s * c / q, s * c * ((c - s) * q + s * c) / q**2)
    positive = cross_entropy(x, u, 0)
    price = Derivatives(*(a + times(v, b) for a, b in zip(positive, minus_log_q, strict=True)))
    slope = ((1 - t) * (not below_kink) - t) * s * c
    m = Derivatives(t * c + (1 - t) * (0 if below_kink else s - clip), slope, slope * (c - s))
    return _scaled(1, _power_times(m, power, price, at_limit=bool(isinf(x))))


def _power_times(m: Derivatives, power: mpf, price: Derivatives, *, at_limit: bool) -> Derivatives:
    """m^g·L and its derivatives by the product rule; m and L stand with their own derivatives.

    At x = ±∞ the derivatives of m vanish like e^−|x| and L grows no faster than |x|: of the gradient, m^g·L' remains.
    """
    if power == 0:
        return price
    if m.loss == 0:  # m = 0 only where L is 0 too, or vanishes against it
        return Derivatives(mpf(0), mpf(0), mpf(0))
    factor = m.loss**power
    if at_limit:
        return Derivatives(factor * price.loss, factor * price.gradient, mpf(0))
    first = power * m.loss ** (power - 1) * m.gradient
    second = power * (power - 1) * m.loss ** (power - 2) * m.gradient**2 + power * m.loss ** (power - 1) * m.hessian
    return Derivatives(
        factor * price.loss,
        first * price.loss + factor * price.gradient,
        second * price.loss + 2 * first * price.gradient + factor * price.hessian,
    )


def _scaled(factor: Any, values: Derivatives) -> Derivatives:
    return Derivatives(*(times(factor, value) for value in values))


class Format(NamedTuple):
    """A binary floating-point format: its bits of precision, the hidden one included, and its normal exponents."""

    precision: int
    lowest: int
    highest: int


FORMATS = {
    "float16": Format(11, -14, 15),
    "bfloat16": Format(8, -126, 127),
    "float32": Format(24, -126, 127),
    "float64": Format(53, -1022, 1023),
}


def ulp(value: mpf, dtype: Any) -> mpf:
    """The unit in the last place of the format at an exact value: the distance of its neighbours there."""
    form = FORMATS[np.dtype(dtype).name]
    exponent = mp.frexp(value)[1] - 1 if value else form.lowest  # frexp's mantissa lies in [1/2, 1)
    exponent = min(max(exponent, form.lowest), form.highest)
    return mpf(2) ** (exponent - form.precision + 1)


def error_in_ulp(got: Any, want: mpf, dtype: Any, *, term: mpf | None = None) -> float:
    """|got − want| in units in the last place of `want`, or of `term` where a larger term was rounded on the way.

    NaN equals NaN only, and infinity equals infinity or what rounds to it; everything else is infinitely far.
    """
    got = exact(got)
    if isnan(got) or isnan(want):
        return 0.0 if isnan(got) and isnan(want) else math.inf
    form = FORMATS[np.dtype(dtype).name]
    overflow = (2 - mpf(2) ** -form.precision) * mpf(2) ** form.highest  # halfway beyond the largest number
    if isinf(got) or isinf(want):
        same = got == want or (isinf(got) and abs(want) >= overflow and (got > 0) == (want > 0))
        return 0.0 if same else math.inf
    return float(abs(got - want) / ulp(want if term is None else term, dtype))


def assert_ulp(
    got: Any, want: Iterable[mpf], limit: float, *, dtype: Any = None, terms: Iterable[mpf] | None = None
) -> float:
    """Raise unless every number of `got` lies within `limit` ulp of its exact value; the largest error found.

    `dtype` is the format whose ulp counts, by default that of `got`. `terms` gives for each number the larger term
    whose ulp counts.
    """
    array = np.asarray(got)
    numbers, values = list(array.ravel()), list(want)
    if not numbers or len(numbers) != len(values):
        raise AssertionError(f"{len(numbers)} numbers cannot be compared with {len(values)} exact values")
    larger = [None] * len(values) if terms is None else list(terms)
    errors = [
        error_in_ulp(number, value, dtype or array.dtype, term=term)
        for number, value, term in zip(numbers, values, larger, strict=True)
    ]
    worst = max(range(len(errors)), key=errors.__getitem__)
    if errors[worst] > limit:
        raise AssertionError(
            f"element {worst} is {errors[worst]:.3g} ulp off, over the limit of {limit}: "
            f"got {numbers[worst]!r}, exact {mp.nstr(values[worst], 20)}"
        )
    return errors[worst]
