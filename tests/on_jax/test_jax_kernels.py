"""The kernels within XLA give the formula's numbers: every loss, type, option and transformation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cases
import logloss as ll
from on_jax.programs import assert_near, by_formula, calls
from reference import LOSSES, data, reference

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits


def test_the_comparison_can_fail():
    one = np.float32(1)
    with pytest.raises(AssertionError):
        assert_near([one], [np.float32(1.0001)])
    with pytest.raises(AssertionError):
        assert_near([one], [np.float32(np.nan)])
    with pytest.raises(AssertionError):
        assert_near([one], [np.float64(1)])


# ---- where kernels are called ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_one_pass_serves_loss_and_gradient(loss, kind):
    x, t = (jnp.asarray(array, kind) for array in data(loss, (4, 6), 5, "int"))
    function = LOSSES[loss]
    assert calls(function, x, t) == 1
    assert calls(jax.value_and_grad(function), x, t) == 1
    assert calls(lambda x, t: ll.value_and_grad(x, t, loss=function), x, t) == 1
    assert calls(jax.vmap(jax.grad(function)), x, t) == 1


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
@pytest.mark.parametrize("kind", ["int", "soft"])
def test_usual_exponents_have_float32_arithmetic(loss, kind):
    x, t = (array.astype(np.float32) for array in data(loss, (300, 5), 5, kind))
    value, gradient = jax.jit(jax.value_and_grad(LOSSES[loss]))(jnp.asarray(x), jnp.asarray(t))
    wanted, slopes = ll.value_and_grad(x, t, loss=LOSSES[loss])
    assert value == np.float32(wanted)
    np.testing.assert_array_equal(gradient, slopes)


def test_what_needs_no_gradient_writes_none():
    x, t = jnp.zeros(1000), jnp.zeros(1000)
    program = jax.jit(bce).lower(x, t).compile()
    assert program.memory_analysis().temp_size_in_bytes < x.nbytes


@pytest.mark.parametrize("name", [*cases.of_batch(20, 30), *cases.IGNORING])
@pytest.mark.parametrize("loss", LOSSES)
def test_options_are_operands(loss, name):
    """All of them, and together with the formula's numbers."""
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (20, 30), 8, "soft"))
    options = {**cases.of_batch(20, 30), **cases.IGNORING}[name]
    fixed = {key: value for key, value in options.items() if not isinstance(value, np.ndarray)}
    varying = {key: jnp.asarray(value) for key, value in options.items() if key not in fixed}

    def both(x, t, varying):
        return ll.value_and_grad(x, t, loss=LOSSES[loss], **fixed, **varying)

    assert calls(both, x, t, varying) == 1
    want = by_formula(both, x, t, varying)
    assert_near(jax.jit(both)(x, t, varying), want, 10.0)

    def by_ad(x, t, varying):
        return jax.grad(lambda x: LOSSES[loss](x, t, **fixed, **varying).sum())(x)

    assert_near(jax.jit(by_ad)(x, t, varying), want[1], 10.0)


TARGETS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "bfloat16", "float32")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 66_000])
@pytest.mark.parametrize("kind", TARGETS)
def test_targets_of_every_type_and_length(kind, size):
    x, t = data("logits", (size,), 9, "int")
    logits, targets = jnp.asarray(x, jnp.float32), jnp.asarray(t).astype(kind)
    function = jax.value_and_grad(bce)
    assert calls(function, logits, targets) == 1
    want = by_formula(function, logits, targets)
    assert_near(jax.jit(function)(logits, targets), want)


@pytest.mark.parametrize("loss", LOSSES)
def test_float64(loss, x64):
    x, t = data(loss, (20, 30), 10, "soft")
    function = jax.value_and_grad(lambda x, t: LOSSES[loss](x, t, pos_weight=2.0))
    x, t = jnp.asarray(x), jnp.asarray(t)
    assert calls(function, x, t) == 1
    exact = reference(loss, np.asarray(x), np.asarray(t), pos_weight=2.0)
    exact.check(jax.jit(function)(x, t)[1])
    assert_near(jax.jit(function)(x, t), by_formula(function, x, t), 4.0)


# ---- transformations ------------------------------------------------------------------------------------------------


def test_vmap_of_any_axes():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (3, 4, 5), 11, "soft"))
    weight, price = jnp.linspace(0.5, 2.0, 4), jnp.linspace(1.0, 3.0, 5)

    def one(x, t, weight, price):
        return ll.value_and_grad(x, t, weight=weight, pos_weight=price, reduction="sum")

    inner = jax.vmap(lambda x, t, weight: one(x[None], t[None], weight[None, None], price))
    twice = jax.vmap(inner, (2, None, None), 1)
    x, t = jnp.moveaxis(x, 0, 2), t[0]  # x: (4, 5, 3), mapped along 0 within and along 2 without
    assert calls(twice, x, t, weight) == 1
    value, slopes = jax.jit(twice)(x, t, weight)
    assert (value.shape, slopes.shape) == ((4, 3), (4, 3, 1, 5))
    for i in range(4):
        for j in range(3):
            want = one(x[i, :, j][None], t[i][None], weight[i][None, None], price)
            np.testing.assert_array_equal(value[i, j], want[0])
            np.testing.assert_array_equal(slopes[i, j], want[1])


def test_a_gradient_is_mapped_and_a_map_differentiated():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("focal", (6, 300), 12, "int"))
    focal = ll.sigmoid_focal_loss
    whole = jax.grad(lambda x: focal(x, t, axis=1).sum())(x)
    assert_near(jax.vmap(jax.grad(focal))(x, t), whole)
    assert_near(jax.grad(lambda x: jax.vmap(focal)(x, t).sum())(x), whole)
    gammas = jnp.array([0.5, 1.0, 2.0])
    each = jax.vmap(lambda gamma: jax.grad(lambda x: focal(x, t, gamma=gamma))(x))(gammas)
    for got, gamma in zip(each, gammas, strict=True):
        np.testing.assert_array_equal(got, jax.grad(lambda x, gamma=gamma: focal(x, t, gamma=gamma))(x))


@pytest.mark.parametrize("loss", LOSSES)
def test_higher_derivatives_are_the_formulas(loss):
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (40,), 13, "soft"))
    x = {"probabilities": jnp.clip(x, 0.1, 0.9), "log_probs": jnp.clip(x, -3.0, -0.2)}.get(loss, x)

    def curve(x, t):
        first = jax.grad(lambda x: LOSSES[loss](x, t, reduction="sum"))
        return jax.jvp(first, (x,), (jnp.ones_like(x),))

    def learnt(x, t):
        return jax.grad(lambda a: jax.grad(lambda x: LOSSES[loss](x, t, pos_weight=a))(x).sum())(2.0)

    for function in (curve, learnt):
        assert_near(jax.jit(function)(x, t), by_formula(function, x, t), 4.0)
    slopes, curvature = jax.jit(curve)(x, t)
    want = jax.jit(lambda x, t: ll.grad_and_hess(x, t, loss=LOSSES[loss]))(x, t)
    assert_near([slopes, curvature], list(want), 4.0)


def test_forward_mode_and_linear_functions():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (500,), 14, "soft"))
    dx = jnp.linspace(-1.0, 1.0, 500)
    value, change = jax.jit(lambda x, dx: jax.jvp(lambda x: bce(x, t), (x,), (dx,)))(x, dx)
    _, linear = jax.linearize(lambda x: bce(x, t), x)
    assert_near([linear(dx)], [change])
    assert float(change) == pytest.approx(float(jnp.vdot(jax.grad(bce)(x, t), dx)), rel=1e-5)
    assert value == bce(x, t)


def test_a_scaled_loss_rounds_its_gradient_once():
    """The slopes of a mean over many are less than float16 holds; a loss scale makes up for it."""
    x, t = jnp.linspace(-1, 1, 1 << 16).astype(jnp.float16), jnp.zeros(1 << 16, jnp.float16)
    got = jax.grad(lambda x: bce(x, t) * 2.0**15)(x)
    want = jax.nn.sigmoid(x.astype(jnp.float32)) / 2
    np.testing.assert_allclose(got, want, rtol=2.0**-10)


def test_scan_over_batches():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (5, 700), 15, "int"))

    def steps(x, t):
        def step(total, batch):
            value, slopes = jax.value_and_grad(bce)(*batch)
            return total + value, slopes

        return jax.lax.scan(step, 0.0, (x, t))

    assert calls(steps, x, t) == 1
    total, slopes = jax.jit(steps)(x, t)
    np.testing.assert_array_equal(slopes, jnp.stack([jax.grad(bce)(*batch) for batch in zip(x, t, strict=True)]))
    assert float(total) == pytest.approx(5 * float(bce(x, t)), rel=1e-6)


def test_donated_logits_become_the_gradient():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (70_000,), 16, "int"))
    want = ll.value_and_grad(x, t)
    step = jax.jit(jax.value_and_grad(bce), donate_argnums=0)
    value, slopes = step(x + 0, t)
    np.testing.assert_array_equal(slopes, want[1])
    assert value == want[0]
    gone = x + 0
    step(gone, t)
    assert gone.is_deleted()


def test_without_compilation():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (50,), 17, "int"))
    with jax.disable_jit():
        got = jax.value_and_grad(bce)(x, t)
    assert_near(got, ll.value_and_grad(x, t))


# ---- bad values -----------------------------------------------------------------------------------------------------

BAD = {
    "target": {"t": (7, 2.0)},
    "integer target": {"t": (7, -1.0), "kind": "int32"},
    "byte target": {"t": (7, -1.0), "kind": "int8"},
    "NaN target": {"t": (7, np.nan)},
    "weight": {"weight": (9, -1.0)},
    "infinite weight": {"weight": (299, np.inf)},
    "row": {"sample_weight": (0, np.nan)},
    "price": {"pos_weight": (1, -1.0)},
    "smoothing": {"label_smoothing": 1.5},
    "normalizer": {"normalizer": -1.0},
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none", "weighted_mean"])
@pytest.mark.parametrize("name", BAD)
def test_what_breaks_a_rule_is_nan_where_it_stands(name, reduction, masked):
    """In traced code, which cannot raise: as the formula has it, and not where the mask leaves it out."""
    if name == "normalizer" and reduction == "none":
        reduction = "sum"
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (100, 3), 18, "int"))
    given = dict(BAD[name])
    t = t.astype(given.pop("kind", "float32"))
    if "t" in given:
        place, value = given.pop("t")
        t = t.reshape(-1).at[place].set(jnp.asarray(value).astype(t.dtype)).reshape(t.shape)
    sizes = {"weight": 300, "sample_weight": 100, "pos_weight": 3}
    options = {}
    for option, bad in given.items():
        vector = jnp.ones(sizes[option]).at[bad[0]].set(bad[1]) if option in sizes else jnp.float32(bad)
        options[option] = vector.reshape(100, 3) if option == "weight" else vector
    if masked:
        options["mask"] = jnp.arange(300).reshape(100, 3) % 2 == 0  # 7, 9 and 299 are left out

    def both(x, t, options):
        return ll.value_and_grad(x, t, reduction=reduction, **options)

    want = by_formula(both, x, t, options)
    got = jax.jit(both)(x, t, options)
    assert np.isnan(want[0]).any() or (masked and name not in ("row", "price", "smoothing", "normalizer"))
    assert_near(got, want)


def test_bad_values_unchecked():
    x = jnp.linspace(-2, 2, 600)
    t = (x > 0).astype(jnp.float32).at[5].set(3.0)
    got = jax.jit(lambda x, t: ll.value_and_grad(x, t, validate=False))(x, t)
    assert np.isfinite(got[0])
    assert np.isfinite(got[1]).all()


@pytest.mark.parametrize(("loss", "value"), [("probabilities", 1.5), ("probabilities", np.nan), ("log_probs", 0.5)])
def test_logits_out_of_their_domain(loss, value):
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (600,), 19, "int"))
    x = x.at[300].set(value)
    got = jax.jit(lambda x, t: ll.value_and_grad(x, t, loss=LOSSES[loss]))(x, t)
    assert np.isnan(got[0])
    assert np.flatnonzero(np.isnan(got[1])).tolist() == [300]
