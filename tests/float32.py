"""Losses of float32 numbers as float64 has them, compiled, and the largest errors against them, in ulp of float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

part = njit(error_model="numpy", forceinline=True, fastmath={"contract"})
loop = njit(error_model="numpy", nogil=True)


@part
def by_series(a):
    """softplus(-a), softplus(a), σ(-a), σ(a) of a >= 0 in float64 by Taylor's series, unlike the kernels."""
    x = -np.float64(a)
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    e = 1.0
    for k in range(12, 0, -1):
        e = 1.0 + e * (r * (1.0 / k))
    z = e * np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    s = z / (2.0 + z)
    series, square = 0.0, s * s
    for k in range(14, -1, -1):
        series = series * square + 2.0 / (2 * k + 1)
    above = 1.0 / (1.0 + z)
    return s * series, s * series - x, z * above, above


@part
def ulp(exact):
    """The unit in the last place of float32 at a number that is not negative."""
    power = np.int64(np.float64(exact).view(np.int64) & (0x7FF << 52)).view(np.float64)
    return max(power, 2.0**-126) * 2.0**-23


@part
def error(got, exact):
    """|got - exact| in ulp, as bits: their order is that of the errors, NaN above all, and maxima come in vectors."""
    return np.float64(abs(got - exact) / ulp(exact)).view(np.int64)


@part
def of_probability(x, target):
    """Loss and gradient of a probability in float64."""
    p = np.float64(x)
    return (-math.log(p), -1.0 / p) if target else (-math.log1p(-p), 1.0 / (1.0 - p))


@part
def of_log_probability(x, target):
    """Loss and gradient of a logarithm of one."""
    if target:
        return -np.float64(x), -1.0
    rest, e = -math.expm1(x), math.exp(x)
    return (-math.log(rest) if rest < 0.5 else -math.log1p(-e)), e / rest


def of_focal(gamma: float) -> Any:
    """Loss and gradient of a focal loss of a logit x >= 0."""

    @part
    def of_logit(x, target):
        low, high, below, above = by_series(x)
        softplus, m, rest = (low, below, above) if target else (high, above, below)
        power = m**gamma
        slope = power * (m + gamma * rest * softplus)
        return power * softplus, (-slope if target else slope)

    return of_logit


def of_asymmetric(gamma_neg: float, gamma_pos: float, clip: float) -> Any:
    """Loss and gradient of an asymmetric loss of a logit."""

    @part
    def of_logit(x, target):
        low, high, below, above = by_series(abs(x))
        softplus, sigma, rest = (low, above, below) if x >= 0.0 else (high, below, above)  # of -x
        if target:
            power = rest**gamma_pos
            return power * softplus, -power * (rest + gamma_pos * sigma * softplus)
        if sigma <= clip:
            return 0.0, 0.0
        over, q = sigma - clip, rest + clip
        if clip == 0.0:
            cost = high if x >= 0.0 else low
            return over**gamma_neg * cost, over**gamma_neg * (sigma + gamma_neg * rest * cost)
        cost = -math.log1p(-over) if over < 0.5 else -math.log(q)
        return over**gamma_neg * cost, over**gamma_neg * sigma * rest * (1.0 / q + gamma_neg * cost / over)

    return of_logit


def worst(of: Any) -> Any:
    """The largest errors of losses and gradients of one target."""

    @loop
    def search(x, losses, gradient, target):
        loss = slope = 0
        for i in range(x.size):
            exactly, steep = of(np.float64(x[i]), target)
            if math.isinf(exactly) or exactly == 0.0:
                loss = max(loss, np.float64(0.0 if losses[i] == exactly else np.inf).view(np.int64))
            else:
                loss = max(loss, error(losses[i], exactly))
            if abs(steep) > 3.4028235e38:
                slope = max(slope, np.float64(0.0 if abs(gradient[i]) > 3.4e38 else np.inf).view(np.int64))
            else:
                slope = max(slope, error(gradient[i] * np.sign(steep), abs(steep)))
        return np.int64(loss).view(np.float64), np.int64(slope).view(np.float64)

    return search
