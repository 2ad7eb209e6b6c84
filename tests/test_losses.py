"""Loss, gradient and Hessian of each loss against the exact values, over the corners of their domains."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import logloss as ll
import oracle
from cases import FLOATS
from reference import HARD, LOSSES, bounds, rounded

pytestmark = pytest.mark.numerical

SIZES = [0.0, 5e-324, 1e-40, 1e-12, 0.5, 5.0, 20.0, 88.0, 104.0, 700.0, 745.5, 1e6, math.inf]
LOGITS = [*SIZES, *(-size for size in SIZES)]
PROBABILITIES = [0.0, 5e-324, 1e-300, 1e-20, 1e-3, 0.25, 0.5, 0.7, 0.75, 1 - 2**-8, 1 - 2**-24, 1 - 2**-53, 1.0]
LOG_PROBS = [-math.inf, -800.0, -745.0, -50.0, -5.0, -1.0, -0.7, -0.69, -0.1, -1e-5, -1e-20, -5e-324, -0.0]
SOFT = [0.0, 1e-30, 0.5, 0.9, 1 - 2**-24, 1.0]
DOMAINS = {
    "logits": LOGITS,
    "probabilities": PROBABILITIES,
    "log_probs": LOG_PROBS,
    "focal": LOGITS,
    "asymmetric": LOGITS,
}

PLAIN_OPTIONS = [
    {},
    {"pos_weight": 3.3},
    {"pos_weight": 0.0},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0, "pos_weight": 1e-3},
]
FOCAL_OPTIONS = [
    *({"gamma": gamma} for gamma in (0.5, 1.0, 2.0, 5.0)),
    {"gamma": 0.0, "alpha": 0.25},
    {"gamma": 2.0, "alpha": 0.25, "pos_weight": 3.3},
    {"gamma": 0.5, "alpha": 1.0, "label_smoothing": 0.1},
]
ASYMMETRIC_OPTIONS = [
    {},
    {"gamma_neg": 0.5, "gamma_pos": 0.5, "clip": None},
    {"gamma_neg": 2.0, "gamma_pos": 0.0, "clip": 0.0, "pos_weight": 3.3},
    {"gamma_neg": 0.0, "gamma_pos": 0.0, "clip": 0.2},
    {"gamma_neg": 1.0, "gamma_pos": 5.0, "clip": 0.5, "label_smoothing": 0.1},
]
OPTIONS = {
    "logits": PLAIN_OPTIONS,
    "probabilities": [*PLAIN_OPTIONS, {"eps": 1e-7}, {"eps": 0.3, "label_smoothing": 0.1}],
    "log_probs": PLAIN_OPTIONS,
    "focal": FOCAL_OPTIONS,
    "asymmetric": ASYMMETRIC_OPTIONS,
}
CASES = [
    pytest.param(loss, options, id=f"{loss}-{'-'.join(f'{k}={v}' for k, v in options.items()) or 'plain'}")
    for loss in LOSSES
    for options in OPTIONS[loss]
]


def grid(loss, dtype, targets):
    """Every point of the domain with every target, as the dtype holds them; what it cannot tell apart stands once."""
    points = np.unique(rounded(DOMAINS[loss], dtype).astype(np.float64))
    if loss == "logits":
        points = np.concatenate([points, [-0.0]])
    pairs = list(itertools.product(points, targets))
    x = rounded([pair[0] for pair in pairs], dtype)
    return x, np.array([pair[1] for pair in pairs], np.float64 if dtype == np.float64 else np.float32)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("loss", "options"), CASES)
def test_value_gradient_and_hessian_are_exact_to_a_few_ulp(loss, options, dtype):
    x, t = grid(loss, FLOATS[dtype], SOFT)
    product = loss == "focal" and options.get("gamma", 2.0) in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
    product |= loss == "asymmetric" and options.get("clip") != 0.5
    wide = dtype == "float64" or (loss in ("focal", "asymmetric") and not product)
    arithmetic = np.dtype(np.float32 if not wide else np.float64)
    wanted = [bounds(loss, float(a), float(b), **options) for a, b in zip(x, t, strict=True)]
    losses, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], reduction="none", **options)
    again, hessian = ll.grad_and_hess(x, t, loss=LOSSES[loss], **options)
    np.testing.assert_array_equal(gradient.view(np.uint8), again.view(np.uint8))
    for got, which in ((losses, "loss"), (gradient, "gradient"), (hessian, "hessian")):
        assert got.dtype == x.dtype
        for number, bound in zip(got, wanted, strict=True):
            bound.check(number, which, arithmetic)


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_gives_nan_and_nothing_else_does(loss):
    if loss in ("probabilities", "log_probs"):
        with pytest.raises(ll.InvalidInputError):
            LOSSES[loss]([np.nan], [1])
        return
    x = np.array([np.nan, 1.0, -np.nan, np.inf])
    for array in (
        *ll.value_and_grad(x, [1, 0, 0, 1], loss=LOSSES[loss], reduction="none"),
        *ll.grad_and_hess(x, [1, 0, 0, 1], loss=LOSSES[loss]),
    ):
        np.testing.assert_array_equal(np.isnan(array), [True, False, True, False])


def test_infinite_logits_cost_nothing_or_everything():
    x, t = [math.inf, -math.inf, math.inf, -math.inf], [1, 0, 0, 1]
    value, gradient = ll.value_and_grad(x, t, reduction="none")
    np.testing.assert_array_equal(value, [0, 0, math.inf, math.inf])
    np.testing.assert_array_equal(gradient, [0, 0, 1, -1])
    np.testing.assert_array_equal(ll.grad_and_hess(x, t)[1], 0)


def test_certain_probabilities_cost_nothing_or_everything():
    value = ll.binary_cross_entropy([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0, 1, 1, 0, 0.5, 0.5], reduction="none")
    np.testing.assert_array_equal(value, [0, 0, math.inf, math.inf, math.inf, math.inf])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("target", HARD)
def test_every_16_bit_logit_is_rounded_once(dtype, target):
    x = np.arange(1 << 16, dtype=np.uint16).view(FLOATS[dtype])
    losses, gradient = ll.value_and_grad(x, np.full(x.shape, target, np.uint8), reduction="none")
    hessian = ll.grad_and_hess(x, np.full(x.shape, target, np.uint8))[1]
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        z = np.exp(-np.abs(wide))
        toward = np.where(np.signbit(wide) == bool(target), np.abs(wide), 0.0)
        sigmoid_of_wrong = np.where((wide > 0) == bool(target), z, 1.0) / (1 + z)
        want = (np.log1p(z) + toward, sigmoid_of_wrong * (1 - 2 * target), z / (1 + z) ** 2)
    for got, exactly in zip((losses, gradient, hessian), want, strict=True):
        assert_half_ulp(got, np.where(np.isnan(wide), np.nan, exactly))


def assert_half_ulp(got, want):
    """Nearest neighbour of a float64 that is itself right to 1e-15; 0.501 leaves room for the float32 arithmetic."""
    form = oracle.FORMATS[got.dtype.name]
    with np.errstate(invalid="ignore"):
        number = got.astype(np.float64)
    np.testing.assert_array_equal(np.isnan(number), np.isnan(want))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(number[~finite], want[~finite])
    exponent = np.clip(np.frexp(want[finite])[1] - 1, form.lowest, form.highest)
    off = np.abs(number[finite] - want[finite]) / np.ldexp(1.0, exponent - form.precision + 1)
    assert off.max() <= 0.501


def test_the_float64_reference_of_the_16_bit_test_is_right():
    for x in np.arange(0, 1 << 16, 997, dtype=np.uint16).view(np.float16):
        if np.isfinite(x):
            z = math.exp(-abs(float(x)))
            assert math.log1p(z) == pytest.approx(float(oracle.softplus(-abs(float(x)))), rel=4e-16)


def test_focal_loss_without_focus_is_the_cross_entropy_to_the_bit():
    rng = np.random.default_rng(1)
    for dtype in FLOATS.values():
        x, t = rounded(rng.normal(0, 20, 4001), dtype), rng.random(4001).astype(np.float32)
        plain = ll.value_and_grad(x, t, reduction="none", pos_weight=1.7)
        off = {"gamma_neg": 0.0, "gamma_pos": 0.0, "clip": 0.0}
        for other in (
            ll.value_and_grad(x, t, loss=ll.sigmoid_focal_loss, gamma=0.0, reduction="none", pos_weight=1.7),
            ll.value_and_grad(x, t, loss=ll.asymmetric_loss, **off, reduction="none", pos_weight=1.7),
        ):
            for a, b in zip(plain, other, strict=True):
                np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


# ---- worked examples ------------------------------------------------------------------------------------------------


def test_focal_gradients_next_to_a_hard_target_are_finite():
    for target, smoothing in ((1e-310, 0.0), (0.0, 1e-309)):
        value, gradient = ll.value_and_grad([-800.0], [target], loss=ll.sigmoid_focal_loss, label_smoothing=smoothing)
        assert (value, gradient) == (0.0, 0.0)


def test_two_examples_of_a_multi_label_article():
    value, gradient = ll.value_and_grad([[9.7], [0.0]], [[0], [1]])
    assert value == 5.196604231088621
    np.testing.assert_allclose(gradient, [[0.4999693601301917], [-0.25]], rtol=4e-16)
    assert ll.binary_cross_entropy_with_logits([5.0], [1]) == pytest.approx(0.0067153485, abs=5e-11)
    assert ll.binary_cross_entropy_with_logits([5.0, -2.0, 0.5], [1, 0, 1]) == pytest.approx(0.2025734479, abs=5e-11)


def test_background_class_is_the_mirrored_problem():
    """Two columns, the class and its background, mirrored: both cost the same, so the batch mean is twice the mean."""
    x, t = np.array([9.7, 0.0]), np.array([0, 1])
    both, two = np.stack([x, -x], axis=1), np.stack([t, 1 - t], axis=1)
    assert ll.binary_cross_entropy_with_logits(both, two, reduction="batchmean") == pytest.approx(
        2 * 5.196604231088621, rel=1e-15
    )
    gradient = ll.value_and_grad(both, two, reduction="batchmean")[1]
    np.testing.assert_array_equal(gradient[:, 0], -gradient[:, 1])


def test_components_are_independent():
    x, t = np.array([[0.3, -2.0, 4.0], [1.0, 0.0, -9.0]]), np.array([[1, 0, 1], [0, 1, 0]])
    value, gradient = ll.value_and_grad(x, t, reduction="none")
    changed = x.copy()
    changed[0, 1] = 7.5
    value2, gradient2 = ll.value_and_grad(changed, t, reduction="none")
    same = np.ones(x.shape, bool)
    same[0, 1] = False
    np.testing.assert_array_equal(value[same], value2[same])
    np.testing.assert_array_equal(gradient[same], gradient2[same])
    assert value[0, 1] != value2[0, 1]


def test_hand_worked_values_of_each_loss():
    log3 = math.log(3.0)
    assert ll.binary_cross_entropy([0.25], [1]) == pytest.approx(math.log(4), rel=1e-15)
    assert ll.binary_cross_entropy_with_log_probs([-log3], [0]) == pytest.approx(math.log(1.5), rel=1e-15)
    assert ll.sigmoid_focal_loss([log3], [1], gamma=2, alpha=0.25) == pytest.approx(math.log(4 / 3) / 64, rel=1e-14)
    shifted = 0.75 - 0.05
    assert ll.asymmetric_loss([log3], [0]) == pytest.approx(-math.log(1 - shifted) * shifted**4, rel=1e-14)
