"""Losses on JAX arrays: the values of the oracle and of the NumPy path, in every loss, option and type."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cases
import logloss as ll
import reference
from cases import ALONE, COMPANY, EDGES, IGNORED, OWN, OWN_NAMES
from reference import LOSSES, close, data, message

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits
REDUCTIONS = [*cases.REDUCTIONS, {"reduction": "weighted_mean", "axis": (0, 2), "sample_weight": [2.0, 0.5]}]


def compare(loss, x, t, rtol, **options):
    """Against the elementwise reference, and the denominator too."""
    value, _, want = reference.compare(loss, x, t, rtol, **options)
    assert isinstance(value, jax.Array)
    if want.denominator is not None:
        named = {name: options[name] for name in options if name not in OWN_NAMES}
        close(np.asarray(ll.denominator(t, **named)), want.denominator, rtol)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_in_float64(loss, x64):
    for own, kind in zip(OWN[loss], ["soft", "int", "int"], strict=False):
        x, t = data(loss, (2, 3, 4), 1, kind)
        compare(loss, jnp.asarray(x), jnp.asarray(t), 1e-12, **own)
    compare(loss, jnp.asarray(x), jnp.asarray(t), 1e-12, **COMPANY)


@pytest.mark.parametrize("options", REDUCTIONS, ids=str)
def test_every_reduction(options, x64):
    x, t = data("logits", (2, 3, 4), 2, "soft")
    compare("logits", jnp.asarray(x), jnp.asarray(t), 1e-12, **options)


@pytest.mark.parametrize(("shape", "options"), ALONE.values(), ids=ALONE.keys())
def test_each_option_alone(shape, options):
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", shape, 5, "soft"))
    compare("logits", x, t, 2e-6, **options)


def test_options_are_lists_numpy_or_jax_arrays():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (2, 3), 6, "soft"))
    for kind in (list, np.asarray, jnp.asarray):
        compare("logits", x, t, 2e-6, pos_weight=kind([1, 2, 3]), sample_weight=kind([0.5, 2.0]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_types(loss, dtype):
    x, t = data(loss, (2, 3, 4), 3, "soft")
    x, t = jnp.asarray(x, dtype), jnp.asarray(t, jnp.float32)
    x = {"probabilities": jnp.clip(x, 0.01, 0.98), "log_probs": jnp.clip(x, -8.0, -0.02)}.get(loss, x)
    rtol = max(8e-6, float(jnp.finfo(dtype).eps))
    compare(loss, x, t, rtol)
    losses = LOSSES[loss](x, t, reduction="none")
    assert losses.dtype == x.dtype
    assert LOSSES[loss](x, t).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "float16", "bfloat16", "float32"])
def test_targets_of_every_type(dtype):
    x, t = data("logits", (50,), 4, "int")
    x = jnp.asarray(x, jnp.float32)
    assert float(bce(x, jnp.asarray(t, dtype))) == float(bce(x, jnp.asarray(t, jnp.float32)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges(dtype, x64):
    """Every point of the grid against the oracle, forward and through automatic differentiation.

    XLA flushes subnormal numbers to 0 on CPU, so that the limit of accuracy is the smallest normal number.
    """
    x, t = (np.array(column, dtype) for column in zip(*itertools.product(EDGES, [0.0, 0.3, 1.0]), strict=True))
    want = reference.reference("logits", x, t, reduction="none")
    x, t = jnp.asarray(x), jnp.asarray(t)

    def total(x):
        return bce(x, t, reduction="sum")

    slopes, curvatures = ll.grad_and_hess(x, t)
    by_ad = jax.grad(total)(x)
    twice = jax.grad(lambda x: jax.grad(total)(x).sum())(x)
    losses = bce(x, t, reduction="none")
    for which, numbers in (("loss", [losses]), ("slope", [slopes, by_ad]), ("hessian", [curvatures, twice])):
        for got in numbers:
            want.check(got, which, least=jnp.finfo(dtype).tiny)


def test_tails_of_probabilities(x64):
    p = np.array([0.0, 1e-300, 1e-9, 0.5, 1 - 1e-12, 1.0])
    for target in (0.0, 1.0):
        want = reference.reference("probabilities", p, np.full(6, target), reduction="none")
        value, gradient = ll.value_and_grad(
            jnp.asarray(p), jnp.full(6, target), loss=ll.binary_cross_entropy, reduction="none"
        )
        want.check(value, "loss")
        want.check(gradient, "slope")


def test_nan_only_for_nan():
    x = jnp.array([math.nan, 1.0])
    value, gradient = ll.value_and_grad(x, jnp.array([1, 0]), reduction="none")
    assert np.isnan(value).tolist() == np.isnan(gradient).tolist() == [True, False]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_masked_leaves_no_trace(loss):
    """NaN, infinities and targets out of range: gradient exactly 0, through automatic differentiation too."""
    x, t = data(loss, (40,), 8, "soft")
    x, t = x.astype(np.float32), t.astype(np.float32)
    keep = np.random.default_rng(9).random(40) < 0.6
    want = reference.reference(loss, x[keep], t[keep])
    x[~keep] = np.resize([np.nan, np.inf, -np.inf, 3.0], (~keep).sum())
    t[~keep] = -7
    x, t = jnp.asarray(x), jnp.asarray(t)
    for options in ({"mask": keep}, {"ignore_index": -7}):
        value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
        by_ad = jax.grad(lambda x, options=options: LOSSES[loss](x, t, **options))(x)
        np.testing.assert_allclose(value, want.value, rtol=1e-6)
        for got in (gradient, by_ad):
            want.check(got[keep])
            assert not np.asarray(got)[~keep].any()


@pytest.mark.parametrize(("value", "dtype"), IGNORED)
def test_ignored_values_of_every_type(value, dtype, x64):
    marker = np.dtype(dtype).type(np.float32(value) if dtype == "float32" else value)
    value = float(marker) if np.dtype(dtype).kind == "f" else value
    t = np.array([0, marker, 1, marker, 0, 1], dtype)
    x = np.array([0.5, np.nan, -1.0, np.inf, 2.0, 3.0], np.float32)
    counts = ~np.isnan(t) if value != value else t != marker
    want = bce(x[counts], t[counts])
    np.testing.assert_allclose(bce(jnp.asarray(x), jnp.asarray(t), ignore_index=value), want, rtol=1e-6)
    assert ll.denominator(jnp.asarray(t), ignore_index=value) == counts.sum()


def test_nothing_to_count_is_zero():
    x = jnp.ones((2, 3))
    for options in ({"mask": jnp.zeros((2, 3), bool)}, {"ignore_index": 1}):
        value, gradient = ll.value_and_grad(x, jnp.ones((2, 3)), **options)
        assert value == 0
        assert not gradient.any()
    empty = jnp.zeros((0, 3))
    assert bce(empty, empty) == 0


def test_metrics_and_priors():
    y, p = jnp.array([1, 0, 1]), jnp.array([0.9, 0.2, 0.7])
    assert float(ll.log_loss(y, p)) == pytest.approx(0.228393003, rel=1e-6)
    assert float(ll.balanced_pos_weight(y)) == 0.5
    assert ll.correct_prior(jnp.zeros((2, 3)), pos_weight=[1.0, 2.0, 4.0]).shape == (2, 3)
    assert isinstance(ll.log_loss(y, p), jax.Array)


# ---- errors ---------------------------------------------------------------------------------------------------------

BAD = [
    ({"targets": [0.0, 255.0]}, "A 0-255 mask?"),
    ({"targets": [0.0, math.nan]}, "NaN targets count only as ignored"),
    ({"sample_weight": [1.0, -1.0]}, "sample_weight must be finite and not negative"),
    ({"weight": [1.0, math.inf]}, "weight must be finite and not negative"),
    ({"pos_weight": -1.0}, "pos_weight must be finite and not negative"),
    ({"label_weight": math.nan}, "label_weight must be finite and not negative"),
    ({"normalizer": 0.0}, "normalizer must be positive and finite"),
    ({"weight": [1.0, 1e300]}, "weight of float32 logits must be finite in float32"),
]


@pytest.mark.parametrize(("bad", "text"), BAD, ids=str)
def test_bad_values_are_errors_where_they_can_be_seen_and_nan_elsewhere(bad, text):
    x, t = jnp.array([0.5, -1.0]), jnp.asarray(bad.get("targets", [0.0, 1.0]))
    options = {name: value for name, value in bad.items() if name != "targets"}
    for function in (bce, ll.value_and_grad):
        assert text in message(ll.InvalidInputError, function, x, t, **options)
    if "normalizer" not in bad:
        assert text in message(ll.InvalidInputError, ll.grad_and_hess, x, t, **options)
    if "weight" not in bad or bad["weight"] == [1.0, math.inf]:
        assert text in message(ll.InvalidInputError, ll.denominator, t, **options)
    value, gradient = jax.jit(lambda x, t: ll.value_and_grad(x, t, **options))(x, t)
    assert np.isnan(value)
    assert np.isnan(gradient).any()
    assert np.isnan(jax.jit(jax.grad(lambda x: bce(x, t, **options)))(x)).any()


def test_probabilities_out_of_range():
    p, t = jnp.array([0.5, 1.5]), jnp.array([0, 1])
    assert "probabilities must be in [0, 1]" in message(ll.InvalidInputError, ll.binary_cross_entropy, p, t)
    assert "log_probs must be at most 0" in message(ll.InvalidInputError, ll.binary_cross_entropy_with_log_probs, p, t)
    assert np.isnan(jax.jit(ll.binary_cross_entropy)(p, t))


def test_single_numbers_are_refused_with_a_message():
    x, bad, right = (jnp.asarray(number) for number in (0.5, 1.5, 1.0))
    for function in (bce, ll.value_and_grad, ll.grad_and_hess, ll.binary_cross_entropy):
        assert "targets must be in [0, 1]; 1 of 1 values is not: 1.5. " in message(
            ll.InvalidInputError, function, x, bad
        )
        assert "1 of 1 values is not: -1.5. " in message(ll.InvalidInputError, function, x, right, sample_weight=-bad)
    assert "1 of 1 values is not: 1.5. " in message(ll.InvalidInputError, ll.binary_cross_entropy, bad, right)
    assert "1 of 1 values is not: 1.5. " in message(ll.InvalidInputError, ll.denominator, bad)


def test_shapes_types_and_kinds():
    x = jnp.zeros((3, 4))
    assert "Use targets.reshape((3, 4))" in message(ll.InvalidInputError, bce, x, jnp.zeros(12))
    assert "Use label_axis=0" in message(ll.InvalidInputError, bce, x, x, pos_weight=jnp.ones(3))
    assert "mask must be boolean" in message(ll.InvalidInputError, bce, x, x, mask=jnp.ones((3, 4)))
    assert "must come from one framework" in message(ll.UnsupportedTypeError, bce, x, np.zeros((3, 4)))
    assert "complex64" in message(ll.UnsupportedTypeError, bce, x.astype(complex), x)
    assert "complex64" in message(ll.InvalidInputError, bce, x, x, weight=x.astype(complex))
    assert "JAX arrays cannot" in message(ll.UnsupportedTypeError, ll.value_and_grad, x, x, out=x)
    assert "can hold" in message(ll.InvalidInputError, bce, x, x.astype("uint8"), ignore_index=-1)
    assert bce(jnp.ones((2, 2), int), jnp.ones((2, 2), int)) == bce(jnp.ones((2, 2)), jnp.ones((2, 2)))


def test_validate_false_asks_nothing():
    value = bce(jnp.array([2.0]), jnp.array([3.0]), validate=False)
    assert float(value) == pytest.approx(3 * math.log1p(math.exp(-2)) - 2 * math.log1p(math.exp(2)), rel=1e-5)
