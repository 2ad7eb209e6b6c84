"""Arrays of every kind that JAX has, and every way that it runs a function: what is taken, and what is refused how."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import checkify

import logloss as ll
import oracle
from reference import LOSSES, close, data, message, reference

bce = ll.binary_cross_entropy_with_logits
X, T = np.array([0.5, -1.0, 2.0], np.float32), np.array([0, 1, 1])


# ---- digits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["logits", "focal"])
def test_targets_of_more_digits_than_the_logits(loss, x64):
    """1 - t is taken from t in its own type: float32 knows no 1 - 1e-8."""
    x, t = jnp.float32(20.0), jnp.float64(1 - 1e-8)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss])
    by_ad = jax.grad(LOSSES[loss])(x, t)
    want = reference(loss, np.array(20.0), np.array(1 - 1e-8))
    np.testing.assert_allclose(value, want.value, rtol=1e-6)
    np.testing.assert_allclose([gradient, by_ad], [want.gradient] * 2, rtol=1e-6)
    if loss == "logits":
        assert float(value) == pytest.approx(2.02e-7, rel=1e-2)
        assert float(gradient) == pytest.approx(7.9e-9, rel=1e-2)


def test_targets_of_more_digits_are_checked_in_their_own(x64):
    x = jnp.zeros(2, jnp.float32)
    text = message(ll.InvalidInputError, bce, x, jnp.array([1.0, 1 + 1e-9]))
    assert "1 of 2 values is not, the first at index 1: 1.000000001" in text
    assert np.isnan(jax.jit(bce)(x, jnp.array([1.0, 1 + 1e-9])))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_logits_with_long_targets(dtype):
    """The arithmetic is in float32, and so are the targets in it."""
    x, t = jnp.array([8.0, -6.0, 0.5], dtype), jnp.array([0.9999, 0.0001, 0.3], jnp.float32)
    want = [oracle.cross_entropy(float(a), *oracle.prices(float(b))) for a, b in zip(x, t, strict=True)]
    losses = bce(x.astype(jnp.float32), t, reduction="none")
    oracle.assert_ulp(losses, [one.loss for one in want], 4)
    value, gradient = ll.value_and_grad(x, t, reduction="sum")
    assert float(value) == pytest.approx(float(sum(one.loss for one in want)), rel=1e-6)
    assert gradient.dtype == x.dtype
    oracle.assert_ulp(gradient, [one.gradient for one in want], 0.51, terms=[1.0] * 3)


# ---- kinds of arrays ------------------------------------------------------------------------------------------------


def test_what_is_no_jax_array_names_the_call():
    x, t = jnp.asarray(X), jnp.asarray(T)
    for other in (T, T.tolist(), tuple(T.tolist())):
        assert "Use jax.numpy.asarray(targets)." in message(ll.UnsupportedTypeError, bce, x, other)
    for other in (X, X.tolist()):
        assert "Use jax.numpy.asarray(logits)." in message(ll.UnsupportedTypeError, bce, other, t)
    for other in (0.5, 1, np.float32(0.5)):
        assert "Use jax.numpy.asarray(logits)." in message(ll.UnsupportedTypeError, bce, other, t[0])
        assert "Use jax.numpy.asarray(targets)." in message(ll.UnsupportedTypeError, bce, x[0], other)
    assert bce(x, jnp.asarray(T.tolist())) == bce(x, t)
    text = message(ll.UnsupportedTypeError, jax.jit(lambda x: bce(x, T)), x)
    assert "Use jax.numpy.asarray(targets)." in text


def test_no_real_numbers():
    x, t, keys = jnp.asarray(X), jnp.asarray(T), jax.random.split(jax.random.key(0), 3)
    assert "Use logits.real." in message(ll.UnsupportedTypeError, bce, x + 1j, t)
    assert "Use targets.real." in message(ll.UnsupportedTypeError, bce, x, t + 1j)
    for pair in ((keys, t), (x, keys)):
        assert "got dtype key<fry>. A random key is no data" in message(ll.UnsupportedTypeError, bce, *pair)
    for name in ("pos_weight", "weight", "sample_weight", "label_weight", "normalizer", "mask"):
        text = message(ll.InvalidInputError, bce, x, t, **{name: keys})
        assert f"{name} must" in text
        assert "A random key is no data" in text


@pytest.mark.parametrize("run", [lambda f: f, jax.jit])
def test_options_that_no_value_may_be(run):
    """With and without a compiler around them, though its operations must be hashable."""
    x, t = jnp.ones((2, 3)), jnp.ones((2, 3))
    for options, text in (
        ({"validate": []}, "validate must be True, False"),
        ({"axis": [0, 1]}, "got [0, 1]. Use a tuple."),
        ({"ignore_index": [1]}, "ignore_index must be one number"),
        ({"label_smoothing": jnp.array(True)}, "label_smoothing must be a finite number in [0, 1]; got Array(True"),
        ({"label_smoothing": np.array("0")}, "Use float(label_smoothing)."),
        ({"pos_weight": jnp.array(True)}, "pos_weight must be a number; got Array(True"),
        ({"weight": True}, "weight must be a number; got True."),
        ({"weight": [jnp.ones(2), jnp.ones(3)]}, "weight must be a rectangular array"),
    ):
        assert text in message(ll.InvalidInputError, run(lambda x, given=options: bce(x, t, **given)), x)


def test_statistics_want_values():
    y, p = jnp.array([1, 0]), jnp.array([0.5, 0.5])
    for function in (ll.log_loss, lambda y, _: ll.balanced_pos_weight(y)):
        assert "got a traced array of shape (2,)" in message(ll.UnsupportedTypeError, jax.jit(function), y, p)


def test_types_that_are_promoted_by_nobody():
    x, t = jnp.asarray(X), jnp.asarray(T)
    given = {"mask": t > 0, "sample_weight": jnp.array([1, 2, 3]), "reduction": "weighted_mean"}
    want = bce(x, t, **given)
    with jax.numpy_dtype_promotion("strict"):
        assert bce(x, t, **given) == want
        np.testing.assert_array_equal(jax.grad(bce)(x, t), ll.value_and_grad(x, t)[1])


@pytest.mark.parametrize("dtype", ["int2", "int4", "uint4", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"])
def test_types_of_a_byte_or_less(dtype):
    x, t = jnp.asarray(X), jnp.asarray(T)
    short = t.astype(dtype)
    for options in ({}, {"ignore_index": 0}, {"sample_weight": short}, {"weight": short}):
        long = {name: t if isinstance(value, jax.Array) else value for name, value in options.items()}
        for run in (lambda f: f, jax.jit):
            got = run(lambda x, t, options=options: bce(x, t, **options))(x, short)
            np.testing.assert_allclose(got, bce(x, t, **long), rtol=1e-6)
    if "float" in dtype:
        assert "Use logits.astype('float32')." in message(ll.UnsupportedTypeError, bce, short, t)
    else:
        assert bce(short, t) == bce(t.astype(float), t)
    if dtype != "uint4":
        text = message(ll.InvalidInputError, bce, x, (-t).astype(dtype))
        assert "2 of 3 values are not, the first at index 1: -1" in text
        np.testing.assert_allclose(bce(x, (-t).astype(dtype), ignore_index=-1), bce(x[:1], t[:1]), rtol=1e-6)


def test_weak_types():
    """A Python number that became an array is of float32 as any other."""
    x = jnp.asarray(0.5)
    assert x.weak_type
    for got in (bce(x, jnp.asarray(1)), *ll.value_and_grad(x, jnp.asarray(1.0)), jax.grad(bce)(x, jnp.asarray(1))):
        assert got.dtype == jnp.float32
    assert bce(x, jnp.asarray(1)) == bce(jnp.float32(0.5), jnp.float32(1))


@pytest.mark.parametrize("loss", LOSSES)
def test_arrays_without_axes(loss):
    own = {"focal": {"gamma": jnp.float32(1.5), "alpha": jnp.float32(0.3)}}.get(loss, {})
    options = {"pos_weight": 2.0, "sample_weight": 3.0, "weight": jnp.float32(0.5), "mask": True, "label_weight": [2.0]}
    x, t = data(loss, (1,), 1, "int")
    plain = {name: float(value) for name, value in own.items()}
    want = reference(loss, x, t, **{**options, "sample_weight": [3.0], "weight": [0.5], "mask": [True]}, **plain)
    x, t = jnp.float32(x[0]), jnp.asarray(t[0])
    value, slope = ll.value_and_grad(x, t, loss=LOSSES[loss], **options, **own)
    assert value.shape == slope.shape == ()
    np.testing.assert_allclose(value, want.value, rtol=1e-5)
    np.testing.assert_allclose(slope, want.gradient[0], rtol=1e-5)
    np.testing.assert_allclose(LOSSES[loss](x, t, reduction="none", **options, **own), want.value, rtol=1e-5)
    text = message(ll.InvalidInputError, LOSSES[loss], x, jnp.int32(2))
    assert "1 of 1 values is not: 2" in text


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
@pytest.mark.parametrize("loss", LOSSES)
def test_empty_arrays(loss, shape):
    x = t = jnp.zeros(shape)
    options = {"label_smoothing": jnp.float32(0.1), "pos_weight": 2.0}
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    assert value == 0
    assert gradient.shape == LOSSES[loss](x, t, reduction="none").shape == shape
    assert LOSSES[loss](x, t, axis=0).tolist() == jnp.zeros(shape[1:]).tolist()
    assert jax.grad(lambda s: LOSSES[loss](x, t, label_smoothing=s))(0.1) == 0
    text = message(ll.InvalidInputError, LOSSES[loss], x, t, label_smoothing=jnp.float32(-1))
    assert "label_smoothing must be a finite number in [0, 1]; got -1.0" in text


def test_whole_weights_of_64_bits():
    """NumPy's int64 is JAX's int32, where 3e9 would be negative."""
    x, t = jnp.asarray(X), jnp.asarray(T)
    weights = np.array([3_000_000_000, 1, 1])
    np.testing.assert_allclose(bce(x, t, sample_weight=weights), bce(x, t, sample_weight=weights * 1.0), rtol=1e-6)


def test_prices_beyond_float32():
    x, t = jnp.asarray(X), jnp.asarray(T)
    text = message(ll.InvalidInputError, bce, x, t, pos_weight=1e300)
    assert text == message(ll.InvalidInputError, bce, X, T, pos_weight=1e300)


# ---- ways to run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_integer_targets_have_no_gradient(loss):
    x, t = (jnp.asarray(array) for array in data(loss, (4,), 2, "int"))
    for targets in (t, t.astype(bool)):
        slopes, nothing = jax.grad(LOSSES[loss], (0, 1), allow_int=True)(x, targets)
        assert nothing.dtype == jax.dtypes.float0
        np.testing.assert_allclose(slopes, ll.value_and_grad(x, targets, loss=LOSSES[loss])[1], rtol=1e-5, atol=1e-7)
        zero = np.zeros(4, jax.dtypes.float0)
        change = jax.jvp(LOSSES[loss], (x, targets), (jnp.ones(4), zero))[1]
        np.testing.assert_allclose(change, slopes.sum(), rtol=1e-5)


def test_masks_and_targets_are_mapped():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (4, 6), 3, "soft"))
    masks = jnp.asarray(np.random.default_rng(4).random((4, 6)) < 0.5).at[1].set(False)
    x = jnp.where(masks, x, jnp.nan)
    got = jax.vmap(lambda x, t, mask: jnp.stack([bce(x, t, mask=mask), bce(x, t, mask=mask, reduction="sum")]))(
        x, t, masks
    )
    for reduction, column in (("mean", 0), ("sum", 1)):
        want = reference("logits", np.asarray(x), np.asarray(t), axis=1, mask=np.asarray(masks), reduction=reduction)
        close(got[:, column], want.value, 1e-6)
    slopes = jax.vmap(jax.grad(lambda x, t, mask: bce(x, t, mask=mask)))(x, t, masks)
    assert not slopes[~masks].any()
    one = jax.vmap(lambda mask: bce(x[0], t[0], mask=mask))(masks[:1])
    np.testing.assert_allclose(one, got[:1, 0], rtol=1e-6)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Settings:
    """A model's own: a bias and the numbers of its loss."""

    bias: Any
    gamma: Any
    alpha: Any


def test_numbers_in_a_tree_are_trained():
    """Through jit, scan, checkpoint and donated buffers: one step of gradient descent in each number."""
    x, t = (jnp.asarray(array, jnp.float32) for array in data("focal", (5, 3), 5, "int"))

    def loss(settings, x, t):
        return ll.sigmoid_focal_loss(x + settings.bias, t, gamma=settings.gamma, alpha=settings.alpha, reduction="sum")

    def by_row(settings, x, t):
        step = jax.checkpoint(lambda total, row: (total + loss(settings, *(one[None] for one in row)), None))
        return jax.lax.scan(step, 0.0, (x, t))[0]

    def updated(settings, x, t):
        return jax.tree.map(lambda a, b: a - 0.01 * b, settings, jax.grad(by_row)(settings, x, t))

    def start():
        return Settings(jnp.float32(0.1), jnp.float32(1.5), jnp.array([0.2, 0.5, 0.7]))

    want = jax.grad(loss)(start(), x, t)
    step = jax.jit(updated, donate_argnums=0)
    got = step(start(), x, t)
    for name in ("bias", "gamma", "alpha"):
        changed = (getattr(start(), name) - getattr(got, name)) / 0.01
        np.testing.assert_allclose(changed, getattr(want, name), rtol=1e-3, atol=1e-4)
        assert np.abs(changed).min() > 0
    step(got, x, t)
    assert got.gamma.is_deleted()


@pytest.mark.parametrize("loss", LOSSES)
def test_donated_logits(loss):
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (8,), 6, "int"))
    want = ll.value_and_grad(x, t, loss=LOSSES[loss])
    got = jax.jit(lambda x: ll.value_and_grad(x, t, loss=LOSSES[loss]), donate_argnums=0)(x + 0)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


EXTREME = [0.0, 1.0, -1.0, 100.0, -100.0, 300.0, -300.0]
POINTS = {**dict.fromkeys(LOSSES, EXTREME), "probabilities": [1e-30, 0.2, 1 - 1e-7], "log_probs": [-90.0, -0.3, -1e-30]}


@pytest.mark.parametrize("loss", LOSSES)
def test_no_step_is_nan(loss):
    """`checkify` looks at the result of every step, not of the last alone."""
    x, t = (jnp.ravel(one) for one in jnp.meshgrid(jnp.array(POINTS[loss]), jnp.array([0.0, 0.3, 1.0])))
    for function in (ll.value_and_grad, ll.grad_and_hess):
        checked = checkify.checkify(lambda x, t, f=function: f(x, t, loss=LOSSES[loss]), errors=checkify.float_checks)
        error, results = jax.jit(checked)(x, t)
        error.throw()
        assert not any(np.isnan(result).any() for result in results)


def test_exported_with_lengths_that_are_symbols():
    (rows,) = export.symbolic_shape("rows")
    shape = jax.ShapeDtypeStruct((rows, 3), jnp.float32)

    def of(x, t, gamma):
        return ll.value_and_grad(x, t, loss=ll.sigmoid_focal_loss, gamma=gamma, alpha=[0.1, 0.5, 0.9])

    exported = export.export(jax.jit(of))(shape, shape, jax.ShapeDtypeStruct((), jnp.float32))
    for length in (2, 5):
        x, t = (jnp.asarray(array, jnp.float32) for array in data("focal", (length, 3), 7, "soft"))
        for got, want in zip(exported.call(x, t, jnp.float32(1.5)), of(x, t, 1.5), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_without_compilation():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("focal", (2, 3), 8, "soft"))
    options = {"gamma": 1.5, "alpha": [0.1, 0.5, 0.9], "label_smoothing": 0.1, "pos_weight": 2.0}
    want = ll.value_and_grad(x, t, loss=ll.sigmoid_focal_loss, **options)
    with jax.disable_jit():
        got = ll.value_and_grad(x, t, loss=ll.sigmoid_focal_loss, **options)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_deleted_array_is_jax_s_own_error():
    x = jnp.asarray(X)
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        bce(x, jnp.asarray(T))


def test_shapes_without_values():
    x, t = jax.ShapeDtypeStruct((2, 3), jnp.bfloat16), jax.ShapeDtypeStruct((2, 3), jnp.int8)
    value, gradient = jax.eval_shape(ll.value_and_grad, x, t)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert (gradient.shape, gradient.dtype) == ((2, 3), jnp.bfloat16)
    assert math.prod(jax.eval_shape(lambda x, t: bce(x, t, axis=0), x, t).shape) == 3
