"""Losses of float32 numbers as float64 has them, compiled, and the largest errors against them, in ulp of float32.

`python -m float32` goes through every float32 of each loss: the table of docs/trust.md, hours on one core. With
`--step 511` it takes every 511th.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numba import njit

import logloss as ll

STRETCH = 1 << 20
"""Numbers of one call."""

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
def of_logit(x, target):
    """Loss and gradient of a logit."""
    a = abs(np.float64(x))
    low, high, below, above = by_series(min(a, 700.0))
    if a > 700.0:
        low, high = 0.0, a
    own_side = (x >= 0.0) == (target != 0)
    sign = -1.0 if target else 1.0
    return (low, sign * below) if own_side else (high, sign * above)


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


class Searched(NamedTuple):
    """A loss of float32 arithmetic, the numbers over which its errors are searched, and how large these may be."""

    function: Any
    search: Any
    last: float
    limits: tuple[float, float]
    sign: int = 1
    numbers: dict[str, float] = {}  # noqa: RUF012 - nobody writes into it


SEARCHED = {
    **{
        f"logits, x {'<>'[sign > 0]} 0": Searched(
            ll.binary_cross_entropy_with_logits, worst(of_logit), math.inf, (2.0, 2.0), sign
        )
        for sign in (1, -1)
    },
    "probabilities": Searched(ll.binary_cross_entropy, worst(of_probability), 1.0, (1.0, 2.0)),
    "log-probabilities": Searched(
        ll.binary_cross_entropy_with_log_probs, worst(of_log_probability), 105.0, (2.0, 2.0), -1
    ),
    **{
        f"focal, gamma = {gamma}": Searched(
            ll.sigmoid_focal_loss, worst(of_focal(gamma)), 104.0, (3 + 2.5 * gamma,) * 2, numbers={"gamma": gamma}
        )
        for gamma in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
    },
    **{
        f"asymmetric, {neg}, {pos}, clip = {clip}, x {'<>'[sign > 0]} 0": Searched(
            ll.asymmetric_loss,
            worst(of_asymmetric(neg, pos, clip)),
            104.0,
            (6 + 5 * max(neg, pos),) * 2,
            sign,
            {"gamma_neg": neg, "gamma_pos": pos, "clip": clip},
        )
        for neg, pos, clip in ((4.0, 1.0, 0.05), (5.0, 0.0, 0.0), (0.0, 0.5, 0.3), (2.5, 2.0, 0.45))
        for sign in (1, -1)
    },
}


class Errors(NamedTuple):
    """The largest errors of losses and gradients in ulp, and a digest of all bits of both."""

    loss: float
    gradient: float
    digest: bytes


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


def hard_errors(one: Searched, first: int, step: int) -> Errors:
    """Those of a stretch of numbers, of targets 0 and 1; the plain loops give the same bits."""
    last = int(np.float32(one.last).view(np.uint32))
    x = one.sign * np.arange(first, min(first + STRETCH * step, last + 1), step, dtype=np.uint32).view(np.float32)
    found, digest = [], hashlib.sha256()
    for target in (0, 1):
        t = np.full(x.shape, target, np.uint8)
        losses, gradient = ll.value_and_grad(x, t, loss=one.function, reduction="none", **one.numbers)
        total, plain = ll.value_and_grad(x, t, loss=one.function, reduction="sum", **one.numbers)
        assert same_bits(plain, gradient)
        exact = losses.sum(dtype=np.float64)
        assert total == exact or abs(total - exact) <= 1e-12 * exact
        digest.update(losses)
        digest.update(gradient)
        found.append(one.search(x, losses, gradient, target))
    loss, slope = np.max(found, axis=0)
    return Errors(loss, slope, digest.digest())


def row(name: str, step: int) -> str:
    """A line of the table: how many numbers, the largest errors of any, and the SHA-256 of the digests of stretches."""
    one, threads = SEARCHED[name], ThreadPoolExecutor(2)
    last = int(np.float32(one.last).view(np.uint32))
    with threads:
        found = list(threads.map(lambda first: hard_errors(one, first, step), range(0, last + 1, STRETCH * step)))
    digest = hashlib.sha256(b"".join(part.digest for part in found)).hexdigest()
    loss, gradient = max(part.loss for part in found), max(part.gradient for part in found)
    return f"| {name} | {last // step + 1:,} | {loss:.3f} | {gradient:.3f} | `{digest[:16]}` |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="float32")
    parser.add_argument("names", nargs="*", metavar="LOSS", help=f"any of {'; '.join(SEARCHED)}")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    for name in asked.names or SEARCHED:
        print(row(name, asked.step), flush=True)


if __name__ == "__main__":
    main()
