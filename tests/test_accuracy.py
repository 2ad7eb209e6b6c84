"""How accurate the compiled kernels are: every float32, dense samples of float64, a billion terms.

The reference of the exhaustive search is float64 by Taylor's series, itself held to mpmath here. Errors are in units in
the last place of the exact float32 (float64) result.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest

import logloss as ll
import oracle
from float32 import SEARCHED, STRETCH, by_series, error, hard_errors, loop, same_bits, ulp

pytestmark = pytest.mark.numerical

LARGEST = int(np.float32(104.0).view(np.uint32))  # beyond, e^-|x| is below half the smallest float32
CHUNK = (1 << 16) - 1  # with one before it and in four cases, as much as a call leaves to one thread


@loop
def _largest_errors(a, right, wrong):
    """The largest error of a loss and that of a gradient."""
    loss = gradient = 0
    for i in range(a.size):
        low, high, below, above = by_series(a[i])
        loss = max(loss, error(right[0][i], low), error(wrong[0][i], high))
        gradient = max(gradient, error(-right[1][i], below), error(wrong[1][i], above))
    return np.int64(loss).view(np.float64), np.int64(gradient).view(np.float64)


@loop
def _backward(got, direction):
    """How many steps of |got| go against the direction by over 1 ulp of the larger of the two."""
    backward = 0
    for i in range(1, got.size):
        before, after = abs(np.float64(got[i - 1])), abs(np.float64(got[i]))
        backward += direction * (before - after) > ulp(max(before, after))
    return backward


def _results(a: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Loss and gradient for logits a >= 0 whose target is on their own side, and for those whose target is not.

    They are the general kernel's. The plain one must give the same gradient and sum, and -a the mirror image.
    """
    x = np.stack([a, -a, a, -a])
    targets = np.repeat(np.uint8([[1], [0], [0], [1]]), a.size, axis=1)
    losses, gradient = ll.value_and_grad(x, targets, reduction="none")
    for side in (slice(0, 2), slice(2, 4)):
        total, plain = ll.value_and_grad(x[side], targets[side], reduction="sum")
        assert same_bits(plain, gradient[side])
        assert abs(total - losses[side].sum(dtype=np.float64)) <= 1e-12 * total
    assert same_bits(losses[1::2], losses[0::2])
    assert same_bits(gradient[1::2], -gradient[0::2])
    return [(losses[0], gradient[0]), (losses[2], gradient[2])]


class Found(NamedTuple):
    """Largest errors in ulp, and how often a result steps in the wrong direction as |x| grows."""

    loss: float
    gradient: float
    backward: int
    """Steps of over 1 ulp."""


def _compare(a: np.ndarray, right: Any, wrong: Any) -> Found:
    """Results of targets on the logits' own side and on the other, against the reference."""
    assert right[1].max() <= 0 <= wrong[1].min()
    steps = (_backward(right[0], -1.0), _backward(right[1], -1.0), _backward(wrong[1], 1.0), _backward(wrong[0], 1.0))
    return Found(*_largest_errors(a, right, wrong), sum(steps))


def _scan(first: int) -> Found:
    """The errors of both signs and both targets for the float32 whose bits follow `first`."""
    start = max(first - 1, 0)  # one before, so that the step between two chunks is seen too
    a = np.arange(start, min(first + CHUNK, LARGEST + 1), dtype=np.uint32).view(np.float32)
    return _compare(a, *_results(a))


def test_every_float32_logit() -> None:
    np.empty(1 << 24, np.uint8)  # once this is freed, glibc keeps what chunks free: new pages take half the time
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(_scan, range(0, LARGEST + 1, CHUNK)))
    largest, total = Found(*np.max(found, axis=0)), Found(*np.sum(found, axis=0))
    print(largest, total)
    assert largest.loss <= 2.0
    assert largest.gradient <= 2.0
    assert total.backward == 0


def test_the_reference_of_the_search_agrees_with_mpmath() -> None:
    a = np.concatenate([np.geomspace(1e-30, 104.0, 500), np.linspace(0, 4, 100)])
    exact = (
        [oracle.softplus(-x) for x in a],
        [oracle.softplus(x) for x in a],
        [oracle.sigmoid(-x) for x in a],
        [oracle.sigmoid(x) for x in a],
    )
    for got, want in zip(np.transpose([by_series(x) for x in a]), exact, strict=True):
        oracle.assert_ulp(got, want, 100.0)  # of float64: a millionth of a float32 ulp


def test_the_search_sees_errors() -> None:
    a = np.linspace(0.5, 50, 1000, dtype=np.float32)
    right, wrong = _results(a)
    clean = _compare(a, right, wrong)
    assert max(clean.loss, clean.gradient) < 2
    assert clean.backward == 0
    off = right[0].copy()
    off[500] += 4 * np.spacing(off[500])
    assert _compare(a, (off, right[1]), wrong).loss > 2
    assert _compare(a, right, (wrong[0], np.full_like(wrong[1], 0.9))).gradient > 2
    swapped = right[0].copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    assert _compare(a, (swapped, right[1]), wrong).backward == 1
    swapped = wrong[0].copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    assert _compare(a, right, (swapped, wrong[1])).backward == 1


def _sample(dtype: type) -> np.ndarray:
    rng = np.random.default_rng(20)
    magnitude = np.concatenate(
        [10.0 ** rng.uniform(-30, 2.87, 3000), rng.uniform(0, 750, 2000), rng.uniform(0, 3, 3000)]
    )
    return (magnitude * rng.choice([-1, 1], magnitude.size)).astype(dtype)


@pytest.mark.parametrize("target", [0, 1])
def test_float64_hard_targets(target: int) -> None:
    x = _sample(np.float64)
    losses, gradient = ll.value_and_grad(x, np.full(x.shape, target), reduction="none")
    _, hessian = ll.grad_and_hess(x, np.full(x.shape, target))
    wanted = [oracle.cross_entropy(value, target, 1 - target) for value in x]
    oracle.assert_ulp(losses, [one.loss for one in wanted], 2.0)
    oracle.assert_ulp(gradient, [one.gradient for one in wanted], 2.0)
    oracle.assert_ulp(hessian, [one.hessian for one in wanted], 4.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"pos_weight": 3.7, "label_smoothing": 0.1}])
def test_soft_targets(dtype: type, options: dict[str, float]) -> None:
    """The loss in its own ulp; the gradient, which has a zero at σ(x) = t, in ulp of its larger term."""
    x = _sample(dtype)
    t = np.random.default_rng(21).beta(0.5, 0.5, x.size).astype(dtype)
    losses, gradient = ll.value_and_grad(x, t, reduction="none", **options)
    prices = [oracle.prices(value, **options) for value in t]
    wanted = [oracle.cross_entropy(value, *price) for value, price in zip(x, prices, strict=True)]
    larger = [
        max(u * oracle.sigmoid(-value), v * oracle.sigmoid(value)) for value, (u, v) in zip(x, prices, strict=True)
    ]
    oracle.assert_ulp(losses, [one.loss for one in wanted], 4.0)
    oracle.assert_ulp(gradient, [one.gradient for one in wanted], 5.0, terms=larger)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("options", [{}, {"sample_weight": np.ones(4)}])
def test_float64_targets_next_to_one_keep_their_digits(dtype: type, options: dict[str, Any]) -> None:
    """1 - t is taken in the target's type: rounding t to float32 first would lose the price of the negative."""
    x, t = np.array([50.0, 20.0, 50.0, 3.0], dtype), 1 - np.array([1e-10, 1e-12, 0.0, 1e-16])
    losses, _ = ll.value_and_grad(x, t, reduction="none", **options)
    total = ll.binary_cross_entropy_with_logits(x, t, reduction="sum", **options)
    wanted = [oracle.cross_entropy(a, b, 1 - b).loss for a, b in zip(x.astype(float), map(mp.mpf, t), strict=True)]
    oracle.assert_ulp(losses, wanted, 4.0)
    oracle.assert_ulp(np.float32([total]), [mp.fsum(wanted)], 4.0)


def _probabilities() -> np.ndarray:
    rng = np.random.default_rng(22)
    tails = 10.0 ** rng.uniform(-323, 0, 3000)
    return np.concatenate([tails, 1 - 10.0 ** rng.uniform(-16, 0, 2000), rng.random(3000), [0.5, 1 - 2.0**-53, 5e-324]])


@pytest.mark.parametrize("target", [0, 1])
def test_float64_probabilities(target: int) -> None:
    p = _probabilities()
    losses = ll.binary_cross_entropy(p, np.full(p.shape, target), reduction="none")
    oracle.assert_ulp(losses, [oracle.from_probability(value, target, 1 - target).loss for value in p], 1.0)


def _check_hard_targets(name: str, step: int) -> None:
    one = SEARCHED[name]
    starts = range(0, int(np.float32(one.last).view(np.uint32)) + 1, STRETCH * step)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda first: hard_errors(one, first, step), starts))
    loss, slope = max(part.loss for part in found), max(part.gradient for part in found)
    print(name, loss, slope)
    assert loss <= one.limits[0]
    assert slope <= one.limits[1]


@pytest.mark.parametrize("name", SEARCHED)
def test_float32_arithmetic(name: str) -> None:
    _check_hard_targets(name, step=511)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name",
    [
        "probabilities",
        "log-probabilities",
        "focal, gamma = 2.0",
        "asymmetric, 4.0, 1.0, clip = 0.05, x > 0",
        "asymmetric, 4.0, 1.0, clip = 0.05, x < 0",
    ],
)
def test_every_float32(name: str) -> None:
    _check_hard_targets(name, step=1)


def test_never_less_accurate_than_the_textbook() -> None:
    """σ(x) - t in float32, what frameworks compute, is off by over 10 % in one tail; the kernel is not."""
    x = np.linspace(-20, -15, 100, dtype=np.float32)
    gradient = ll.value_and_grad(-x, np.ones(100), reduction="none")[1]
    subtracted = 1 / (1 + np.exp(x)) - np.float32(1)  # σ(x) - t
    exact = np.array([float(-oracle.sigmoid(value)) for value in x])
    assert np.abs(gradient / exact - 1).max() < 2.5e-7
    assert np.abs(subtracted / exact - 1).max() > 0.1


def _sum_of(n: int, chunk: int) -> tuple[float, mp.mpf]:
    """The kernel's sum of n float32 losses and the exact sum of the same losses."""
    rng = np.random.default_rng(23)
    base = rng.normal(scale=4, size=chunk).astype(np.float32)
    targets = (rng.random(chunk) < 0.2).astype(np.uint8)
    x, t = np.resize(base, n), np.resize(targets, n)
    exact = math.fsum(ll.binary_cross_entropy_with_logits(base, targets, reduction="none").astype(np.float64))
    rest = n % chunk
    assert rest == 0
    return float(ll.binary_cross_entropy_with_logits(x, t, reduction="sum")), mp.mpf(exact) * (n // chunk)


@pytest.mark.parametrize("n", [1 << 20, 1 << 25])
def test_sum_of_float32_losses_is_exact(n: int) -> None:
    got, exact = _sum_of(n, 1 << 20)
    assert abs(got - exact) <= mp.mpf("1e-12") * exact


@pytest.mark.exhaustive
def test_sum_of_a_billion_float32_losses_is_exact() -> None:
    got, exact = _sum_of(1 << 30, 1 << 20)
    assert abs(got - exact) <= mp.mpf("1e-12") * exact
