"""What holds for every input: symmetry, linearity, convexity, derivatives, optima."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import logloss as ll
from reference import LOSSES

pytestmark = pytest.mark.numerical

logit = st.floats(-800, 800, allow_nan=False)
any_logit = st.floats(allow_nan=False)
soft = st.floats(0, 1)
hard = st.integers(0, 1)
weight = st.floats(2**-10, 2**10)
few = settings(max_examples=60, deadline=None)


def bce(x, t, **options):
    return ll.binary_cross_entropy_with_logits(np.asarray(x, float), np.asarray(t, float), **options)


@few
@given(hnp.arrays(np.float64, st.integers(1, 40), elements=any_logit), st.integers(0, 2**40))
def test_mirror(x, seed):
    """loss(x, t) = loss(-x, 1-t) bit for bit for hard targets, and the gradient changes its sign."""
    t = np.random.default_rng(seed).integers(0, 2, x.shape)
    for dtype in (np.float64, np.float32):
        with np.errstate(over="ignore"):
            y = x.astype(dtype)
        for loss in (ll.binary_cross_entropy_with_logits, ll.sigmoid_focal_loss):
            value, gradient = ll.value_and_grad(y, t, loss=loss, reduction="none")
            mirrored, opposite = ll.value_and_grad(-y, 1 - t, loss=loss, reduction="none")
            np.testing.assert_array_equal(value, mirrored)
            np.testing.assert_array_equal(gradient, -opposite)
            np.testing.assert_array_equal(
                ll.grad_and_hess(y, t, loss=loss)[1], ll.grad_and_hess(-y, 1 - t, loss=loss)[1]
            )


@few
@given(st.floats(0, 0.5))
def test_mirror_of_probabilities_that_both_exist(p):
    p = 1 - (1 - p)  # so that 1 - p is exact
    for target in (0, 1):
        assert ll.binary_cross_entropy([p], [target]) == ll.binary_cross_entropy([1 - p], [1 - target])


@few
@given(st.lists(st.tuples(logit, soft, weight), min_size=1, max_size=30), weight)
def test_linear_in_weights(rows, factor):
    x, t, w = map(np.array, zip(*rows, strict=True))
    once = bce(x, t, sample_weight=w, reduction="sum")
    assert bce(x, t, sample_weight=w * factor, reduction="sum") == pytest.approx(once * factor, rel=1e-14)
    other = np.arange(1.0, 1 + len(x))
    both = bce(x, t, weight=w + other, reduction="sum")
    assert both == pytest.approx(once + bce(x, t, weight=other, reduction="sum"), rel=1e-14)
    assert bce(x, t, sample_weight=w, reduction="weighted_mean") == pytest.approx(
        bce(x, t, sample_weight=w * factor, reduction="weighted_mean"), rel=1e-14
    )


@few
@given(logit, logit, st.floats(0, 1), soft)
def test_convex(a, b, share, t):
    middle = share * a + (1 - share) * b
    bound = share * bce([a], [t]) + (1 - share) * bce([b], [t])
    assert bce([middle], [t]) <= bound * (1 + 1e-15) + 1e-15 * max(abs(a), abs(b))  # `middle` itself is rounded
    assert (ll.grad_and_hess([a, b], [t, t])[1] >= 0).all()


@few
@given(any_logit, any_logit)
def test_monotone(a, b):
    """The loss of a positive never grows with the logit, its gradient never falls, but for one ulp."""
    low, high = sorted((a, b))
    value, gradient = ll.value_and_grad([low, high], [1, 1], reduction="none")
    assert value[0] >= value[1] or value[1] <= np.nextafter(value[0], math.inf)
    assert gradient[0] <= gradient[1] or gradient[1] >= np.nextafter(gradient[0], -math.inf)


@pytest.mark.parametrize("loss", ["logits", "focal", "asymmetric"])
@settings(max_examples=100, deadline=None)
@given(x=st.floats(-12, 12), t=soft, seed=st.integers(0, 1000))
@example(x=0.0, t=0.5, seed=0)
def test_derivatives_are_differences_of_the_loss(loss, x, t, seed):
    """Central differences, for t within [0, 1] and random options; the asymmetric loss has a kink at σ(x) = clip."""
    rng = np.random.default_rng(seed)
    own = {
        "focal": {"gamma": rng.choice([0.5, 1.0, 2.5]), "alpha": 0.3},
        "asymmetric": {"gamma_neg": 2.0, "gamma_pos": 0.5, "clip": 0.1},
    }
    options = {**own.get(loss, {}), "pos_weight": 1 + rng.random(), "label_smoothing": rng.choice([0.0, 0.1])}
    kink = math.log(0.1 / 0.9)
    if loss == "asymmetric" and abs(x - kink) < 0.01:
        return
    differences(loss, x, t, options)


def differences(loss, x, t, options, step=2.0**-13):
    """Gradient from loss and Hessian from gradient, with an error of the order of step²."""
    points = x + step * np.array([-1.0, 0.0, 1.0])
    value, gradient = ll.value_and_grad(points, np.full(3, t), loss=LOSSES[loss], reduction="none", **options)
    hessian = ll.grad_and_hess(points, np.full(3, t), loss=LOSSES[loss], **options)[1]
    width = points[2] - points[0]
    scale = 1 + abs(value[1])
    assert (value[2] - value[0]) / width == pytest.approx(gradient[1], rel=1e-6, abs=1e-6 * scale)
    assert (gradient[2] - gradient[0]) / width == pytest.approx(hessian[1], rel=1e-6, abs=1e-6 * scale)


@settings(max_examples=100, deadline=None)
@given(p=st.floats(0.02, 0.98), t=soft)
def test_derivatives_of_probabilities_are_differences(p, t):
    differences("probabilities", p, t, {"pos_weight": 2.0}, step=2.0**-18)
    differences("log_probs", math.log(p), t, {"pos_weight": 2.0}, step=2.0**-18)


@few
@given(st.floats(1e-6, 1 - 1e-6))
def test_minimum_is_at_the_logit_of_the_target(t):
    best = math.log(t) - math.log1p(-t)
    around = bce([best - 0.01, best, best + 0.01], [t] * 3, reduction="none")
    assert around[1] == min(around)
    assert abs(ll.value_and_grad([best], [t])[1][0]) <= 1e-15
    assert around[1] == pytest.approx(-t * math.log(t) - (1 - t) * math.log1p(-t), rel=1e-10)


@few
@given(st.lists(st.tuples(logit, hard), min_size=1, max_size=30), st.integers(1, 5))
def test_pos_weight_repeats_positives(rows, times):
    x, t = map(np.array, zip(*rows, strict=True))
    repeated = np.repeat(np.arange(len(x)), np.where(t == 1, times, 1))
    assert bce(x, t, pos_weight=times, reduction="sum") == pytest.approx(
        bce(x[repeated], t[repeated], reduction="sum"), rel=1e-14
    )


@few
@given(st.lists(st.tuples(logit, soft), min_size=1, max_size=30))
def test_soft_target_is_a_mixture(rows):
    x, t = map(np.array, zip(*rows, strict=True))
    ends = t * bce(x, np.ones_like(t), reduction="none") + (1 - t) * bce(x, np.zeros_like(t), reduction="none")
    np.testing.assert_allclose(bce(x, t, reduction="none"), ends, rtol=4e-15)
    smooth = bce(x, t, label_smoothing=0.25, reduction="none")
    np.testing.assert_allclose(smooth, bce(x, 0.75 * t + 0.125, reduction="none"), rtol=4e-15)


@few
@given(st.lists(soft, min_size=2, max_size=50))
def test_intercept_is_the_logit_of_the_base_rate(targets):
    """Newton from 0 on one shared logit ends where the mean gradient is 0: at log(ȳ/(1-ȳ))."""
    t = np.array(targets)
    rate = t.mean()
    if not 1e-3 < rate < 1 - 1e-3:
        return
    intercept = 0.0
    for _ in range(60):
        gradient, hessian = ll.grad_and_hess(np.full(t.shape, intercept), t)
        intercept -= min(1.0, max(-1.0, gradient.sum() / hessian.sum()))
    assert intercept == pytest.approx(math.log(rate / (1 - rate)), rel=1e-9, abs=1e-12)


@few
@given(hnp.arrays(np.float64, st.integers(1, 300), elements=logit), st.integers(0, 2**40))
def test_a_column_is_a_vector(x, seed):
    t = np.random.default_rng(seed).random(x.shape)
    for loss in (ll.binary_cross_entropy_with_logits, ll.asymmetric_loss):
        flat, column = ll.value_and_grad(x, t, loss=loss), ll.value_and_grad(x[:, None], t[:, None], loss=loss)
        assert flat[0] == column[0]
        np.testing.assert_array_equal(flat[1], column[1][:, 0])


@few
@given(
    st.lists(st.tuples(logit, soft, weight), min_size=1, max_size=30), st.sampled_from([2.0**k for k in range(-8, 9)])
)
def test_denominators_scale(rows, factor):
    """A count ignores weights, a sum of weights scales with them, and no mean changes when everything stands twice."""
    x, t, w = map(np.array, zip(*rows, strict=True))
    assert ll.denominator(t, sample_weight=w) == len(t) == ll.denominator(t, sample_weight=w * factor)
    weighted = {"reduction": "weighted_mean"}
    assert ll.denominator(t, sample_weight=w * factor, **weighted) == factor * ll.denominator(
        t, sample_weight=w, **weighted
    )
    for reduction in ("mean", "weighted_mean", "batchmean"):
        twice = bce(np.tile(x, 2), np.tile(t, 2), sample_weight=np.tile(w, 2), reduction=reduction)
        assert twice == pytest.approx(bce(x, t, sample_weight=w, reduction=reduction), rel=1e-14)


@few
@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-700, 700)), st.integers(0, 2**40))
def test_logits_probabilities_and_logarithms_agree(x, seed):
    t = np.random.default_rng(seed).integers(0, 2, x.shape)
    log_p = -bce(x, np.ones_like(x), reduction="none")  # log σ(x)
    from_logs = ll.binary_cross_entropy_with_log_probs(log_p, t, reduction="none")
    known = np.abs(x) < 30  # beyond, log σ(x) no longer tells x
    np.testing.assert_allclose(from_logs[known], bce(x, t, reduction="none")[known], rtol=1e-2)
    from_p = ll.binary_cross_entropy(np.exp(log_p), t, reduction="none")
    near = np.abs(x) < 15
    np.testing.assert_allclose(from_p[near], bce(x, t, reduction="none")[near], rtol=1e-8)


@few
@given(hnp.arrays(np.float64, st.integers(1, 30), elements=logit), st.floats(0, 4), st.floats(0, 4))
def test_more_focus_costs_less(x, gamma, more):
    t = np.ones(x.shape)
    less = ll.sigmoid_focal_loss(x, t, gamma=gamma + more, reduction="none")
    assert (less <= ll.sigmoid_focal_loss(x, t, gamma=gamma, reduction="none") * (1 + 1e-12)).all()
