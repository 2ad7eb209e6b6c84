"""What float32 arithmetic must not lose in losses of the focal family."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import logloss as ll
import oracle
import reference

pytestmark = pytest.mark.numerical


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
def test_float64_targets_next_to_one_keep_their_digits(loss: str) -> None:
    x, t = np.float32([20.0, 14.0, 3.0]), 1 - np.array([1e-8, 1e-12, 1e-16])
    losses, gradient = ll.value_and_grad(x, t, loss=reference.LOSSES[loss], reduction="none")
    wanted = [reference.element(loss, a, mp.mpf(b)) for a, b in zip(x.astype(float), t, strict=True)]
    oracle.assert_ulp(losses, [one.loss for one in wanted], 1.0)
    oracle.assert_ulp(gradient, [one.gradient for one in wanted], 1.0)


@pytest.mark.parametrize(
    "own",
    [
        {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05},
        {"gamma_neg": 1.5, "gamma_pos": 0.0, "clip": 2.0**-8},
        {"gamma_neg": 0.0, "gamma_pos": 2.5, "clip": 0.3},
    ],
    ids=str,
)
def test_nothing_cancels_where_an_asymmetric_loss_has_its_kink(own: dict[str, float]) -> None:
    """The float32 on both sides of σ(x) = clip, by hard targets, and once more in a block with a soft one."""
    near = np.float32(mp.log(own["clip"]) - mp.log1p(-own["clip"]))
    x = (near.view(np.int32) - np.arange(-8, 240, dtype=np.int32)).view(np.float32)
    wanted = [oracle.asymmetric(float(value), 0, **own) for value in x]
    assert 0 < sum(one.gradient == 0 for one in wanted) < 10
    t = np.zeros(x.shape, np.float32)
    losses, gradient = ll.value_and_grad(x, t, loss=ll.asymmetric_loss, reduction="none", **own)
    oracle.assert_ulp(losses, [one.loss for one in wanted], 6 + 5 * own["gamma_neg"])
    oracle.assert_ulp(gradient, [one.gradient for one in wanted], 6 + 5 * own["gamma_neg"])
    _, plain = ll.value_and_grad(x, t, loss=ll.asymmetric_loss, reduction="sum", **own)
    assert np.array_equal(plain, gradient)
    t[-1] = 0.5
    beside = ll.value_and_grad(x, t, loss=ll.asymmetric_loss, reduction="none", **own)
    for got, wants in zip(beside, zip(*(one[:2] for one in wanted[:-1]), strict=True), strict=True):
        oracle.assert_ulp(got[:-1], wants, 4.0)  # float64, where σ(x) - clip cancels


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize(
    "own", [{}, {"gamma_neg": 1.5, "gamma_pos": 0.5, "clip": None}, {"gamma_pos": 0.0, "clip": 0.4}]
)
def test_asymmetric_curvature_of_hard_targets(own: dict[str, Any], target: int) -> None:
    """In ulp of its largest term, in float32 arithmetic."""
    x = np.random.default_rng(24).uniform(-30, 30, 200).astype(np.float32)
    _, hessian = ll.grad_and_hess(x, np.full(x.shape, target, np.uint8), loss=ll.asymmetric_loss, **own, weight=1.5)
    for number, value in zip(hessian, x, strict=True):
        bounds = reference.bounds("asymmetric", float(value), float(target), **own, weight=1.5)
        bounds.check(number, "hessian", np.dtype(np.float32))
