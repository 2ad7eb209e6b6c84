"""Numbers as options of JAX losses: traced, mapped, differentiated and changed without another compilation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from mpmath import mp, mpf

import logloss as ll
import oracle
from logloss._backends.jax import _compiled
from reference import LOSSES, close, data, element, message, reference

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits
ENDS = {"label_smoothing": (0, 1), "eps": (0, 0.5), "alpha": (0, 1), "clip": (0, 1)}
"""The intervals of numbers; of all others from 0 upwards."""
OF_LOSS = {
    "logits": {"label_smoothing": 0.3, "pos_weight": 2.5},
    "probabilities": {"label_smoothing": 0.3, "eps": 0.1},
    "log_probs": {"label_smoothing": 0.3},
    "focal": {"gamma": 1.5, "alpha": 0.2, "label_smoothing": 0.3},
    "asymmetric": {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": 0.1, "label_smoothing": 0.3},
}
EACH = [(loss, name, value) for loss, numbers in OF_LOSS.items() for name, value in numbers.items()]


# ---- derivatives ----------------------------------------------------------------------------------------------------

LOGITS = [0.7, -9.0, 40.0, math.inf, -math.inf]
POINTS = {**dict.fromkeys(LOSSES, LOGITS), "probabilities": [0.0, 0.05, 0.7, 1.0], "log_probs": [-math.inf, -2.0, 0.0]}
LEARNT: list[tuple[str, str, list[float], dict[str, Any]]] = [
    ("logits", "label_smoothing", [0.0, 0.1, 1.0], {}),
    ("logits", "pos_weight", [0.0, 2.0], {"label_smoothing": 0.1}),
    ("logits", "pos_weight", [0.0, 2.0], {}),
    ("probabilities", "label_smoothing", [0.0, 0.1], {"eps": 0.1}),
    ("probabilities", "eps", [0.0, 0.1, 0.5], {}),
    ("log_probs", "label_smoothing", [0.0, 0.1, 1.0], {}),
    ("focal", "gamma", [0.0, 0.5, 2.0], {}),
    ("focal", "gamma", [0.0, 2.0], {"alpha": 0.25, "label_smoothing": 0.1}),
    ("focal", "alpha", [0.0, 0.25, 1.0], {"gamma": 0.5}),
    ("focal", "label_smoothing", [0.0, 0.1, 1.0], {}),
    ("focal", "label_smoothing", [0.0, 0.1], {"gamma": 0.0, "alpha": 0.25}),
    ("asymmetric", "gamma_neg", [0.0, 0.5, 4.0], {}),
    ("asymmetric", "gamma_pos", [0.0, 1.0], {"label_smoothing": 0.1}),
    ("asymmetric", "gamma_neg", [0.0, 1.0], {"label_smoothing": 0.1, "clip": 0.0}),
    ("asymmetric", "clip", [0.0, 0.05, 0.9], {}),
    ("asymmetric", "label_smoothing", [0.0, 0.1, 1.0], {}),
    ("asymmetric", "label_smoothing", [0.0, 0.1], {"clip": 0.0, "gamma_pos": 0.0}),
]


def exact_derivative(function: Any, name: str, value: float, order: int = 1) -> float:
    """By differences in multiple precision, from inside where the value is an end of its interval."""
    low, high = ENDS.get(name, (0, math.inf))
    side = 1 if value == low else -1 if value == high else 0
    return float(mp.diff(function, mpf(value), order, h=mpf(10) ** -22, direction=side))


def assert_derivative(got: np.ndarray, want: list[float]) -> None:
    """Equal where the derivative is finite: a number even where it is not, unless the loss itself is infinite.

    A difference over 1e-22 finds a large number for an infinite derivative; everything that is compared is small.
    """
    known, small = np.isfinite(want), np.abs(want) < 1e6
    assert small.sum() >= len(want) / 3
    assert not np.isnan(got[known]).any()
    np.testing.assert_allclose(got[small], np.asarray(want)[small], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("loss", "name", "values", "options"), LEARNT, ids=str)
def test_derivatives_in_numbers(loss, name, values, options, x64):
    """First, second, and mixed with the logits in both orders, at the ends of the intervals and of the logits."""

    def of(x, t, number):
        return LOSSES[loss](x, t, **{name: number}, **options)

    points = list(itertools.product(POINTS[loss], [0.0, 0.3, 1.0], values))
    if name == "clip":  # next to an infinite logit a clip of 0 has an infinite slope, which no difference finds
        points = [(x, t, number) for x, t, number in points if abs(x) < 40 or number]
    first, columns = jax.grad(of, 2), jnp.array(points).T
    second, mixed = jax.grad(first, 2), jax.grad(first, 0)
    other = jax.grad(jax.grad(of, 0), 2)
    got = {f: np.asarray(jax.jit(jax.vmap(f))(*columns)) for f in (first, second, mixed, other)}

    def exactly(which, order=1):
        def at(x, t, number):
            def moved(number):
                return getattr(element(loss, x, t, **{name: number}, **options), which)

            return exact_derivative(moved, name, number, order)

        return [at(*point) for point in points]

    assert_derivative(got[first], exactly("loss"))
    slopes = exactly("gradient")
    assert_derivative(got[mixed], slopes)
    assert_derivative(got[other], slopes)
    tame = [i for i, (x, _, _) in enumerate(points) if abs(x) < 40]
    assert_derivative(got[second][tame], [exactly("loss", 2)[i] for i in tame])


@pytest.mark.parametrize("loss", ["logits", "focal", "asymmetric"])
def test_all_numbers_and_logits_at_once(loss, x64):
    x, t = (jnp.asarray(array) for array in data(loss, (4,), 1, "soft"))
    names = tuple(OF_LOSS[loss])

    def of(x, *numbers):
        numbers = map(jnp.asarray, numbers)
        return LOSSES[loss](jnp.asarray(x), t, **dict(zip(names, numbers, strict=True)))

    check_grads(of, (x, *OF_LOSS[loss].values()), order=2, modes=("fwd", "rev"), rtol=1e-4)


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
def test_a_hessian_is_differentiated_in_numbers(loss, x64):
    (name, value), *_ = OF_LOSS[loss].items()
    x, t = jnp.array(0.7), jnp.array(1.0)
    got = jax.grad(lambda number: ll.grad_and_hess(x, t, loss=LOSSES[loss], **{name: number})[1])(value)
    want = exact_derivative(lambda number: element(loss, 0.7, 1.0, **{name: number}).hessian, name, value)
    assert float(got) == pytest.approx(want, rel=1e-10)


def test_weights_of_certain_elements_have_a_finite_gradient():
    """A logit of -inf costs a negative nothing: not with any price, and not with any weight."""
    x, t = jnp.array([-jnp.inf, 1.0, jnp.inf]), jnp.array([0.0, 1.0, 1.0])
    for name in ("pos_weight", "label_weight"):
        got = jax.grad(lambda number, name=name: bce(x, t, **{name: number}, reduction="sum"))(2.0)
        assert float(got) == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)
    by_row = jax.grad(lambda weight: bce(x, t, sample_weight=weight, reduction="sum"))(jnp.ones(3))
    np.testing.assert_allclose(by_row, [0.0, math.log1p(math.exp(-1)), 0.0], rtol=1e-6)


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "name", "value"), EACH)
def test_a_number_of_any_kind(loss, name, value, x64):
    """Python's, NumPy's, JAX's, traced and mapped: one loss."""
    x, t = data(loss, (3, 4), 2, "soft")
    want = reference(loss, x, t, **{name: value})
    x, t = jnp.asarray(x), jnp.asarray(t)

    def of(number):
        return ll.value_and_grad(x, t, loss=LOSSES[loss], **{name: number})

    for number in (value, np.float64(value), np.array(value), jnp.float64(value), jnp.asarray(value)):
        got, slopes = of(number)
        close(got, want.value)
        want.check(slopes)
    close(jax.jit(of)(value)[0], want.value)
    close(jax.vmap(lambda number: of(number)[0])(jnp.array([value, value / 2]))[0], want.value)


@pytest.mark.parametrize("kind", [np.int64, jnp.int32, jnp.bfloat16, jnp.float16])
def test_a_number_of_another_type(kind):
    x, t = jnp.array([0.5, -1.0]), jnp.array([1, 0])
    assert ll.sigmoid_focal_loss(x, t, gamma=kind(1)) == ll.sigmoid_focal_loss(x, t, gamma=1.0)
    assert bce(x, t, label_smoothing=kind(1)) == bce(x, t, label_smoothing=1.0)


def test_numbers_at_the_edges_are_those_of_plain_losses():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (50,), 3, "soft"))
    np.testing.assert_array_equal(jax.jit(lambda g: ll.sigmoid_focal_loss(x, t, gamma=g))(0.0), bce(x, t))
    np.testing.assert_array_equal(bce(x, t, label_smoothing=jnp.float32(0)), bce(x, t))
    p = jax.nn.sigmoid(x)
    np.testing.assert_array_equal(ll.binary_cross_entropy(p, t, eps=jnp.float32(0)), ll.binary_cross_entropy(p, t))
    cut = ll.asymmetric_loss(x, t, clip=jnp.float32(0))
    np.testing.assert_allclose(cut, ll.asymmetric_loss(x, t, clip=None), rtol=1e-6)


def test_python_numbers_keep_their_digits():
    """1 - 0.9999 has four digits less than 0.9999: taken in float32, it would be 2e-4 of itself off."""
    x, t = jnp.array([0.5, -2.0]), jnp.zeros(2)
    got = ll.sigmoid_focal_loss(x, t, alpha=0.9999, reduction="none")
    want = [oracle.focal(number, 0, gamma=2, alpha=0.9999).loss for number in (0.5, -2.0)]
    oracle.assert_ulp(got, want, 8)


@pytest.mark.parametrize(("loss", "name", "value"), EACH)
def test_another_value_compiles_nothing_anew(loss, name, value):
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (7,), 4, "soft"))
    LOSSES[loss](x, t, **{name: value})
    before = _compiled._cache_size()
    for share in np.linspace(0.05, 0.95, 20):
        LOSSES[loss](x, t, **{name: value * float(share)})
    assert _compiled._cache_size() == before


def test_a_default_is_no_operand():
    """Given or not: what is compiled is the same, and without the number."""
    x, t = jnp.zeros(9), jnp.zeros(9)
    bce(x, t)
    before = _compiled._cache_size()
    bce(x, t, label_smoothing=0.0, reduction="mean", axis=None, validate=True, label_axis=jnp.int32(-1))
    assert _compiled._cache_size() == before


ALPHA = [0.2, 0.3, 0.5]


@pytest.mark.parametrize("kind", [list, tuple, np.array, jnp.asarray])
@pytest.mark.parametrize("label_axis", [1, -2])
def test_alpha_per_label(kind, label_axis, x64):
    x, t = data("focal", (2, 3, 4), 5, "soft")
    by_label = [
        reference("focal", x[:, [i]], t[:, [i]], gamma=1.5, alpha=alpha, reduction="none")
        for i, alpha in enumerate(ALPHA)
    ]
    x, t = jnp.asarray(x), jnp.asarray(t)

    def of(alpha):
        return ll.value_and_grad(
            x, t, loss=ll.sigmoid_focal_loss, gamma=1.5, alpha=alpha, label_axis=label_axis, reduction="none"
        )

    close(of(kind(ALPHA))[0], np.concatenate([one.losses for one in by_label], axis=1))
    close(of(kind(ALPHA))[1], np.concatenate([one.slopes for one in by_label], axis=1))
    close(jax.jit(of)(jnp.asarray(ALPHA))[0], of(ALPHA)[0])
    check_grads(lambda alpha: of(jnp.asarray(alpha))[0].sum(), (jnp.asarray(ALPHA),), order=2, rtol=1e-5)


def test_lists_of_traced_numbers():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (4, 3), 6, "soft"))
    got = jax.jit(lambda a: bce(x, t, pos_weight=[a, 1.0, 2.0]))(3.0)
    assert got == bce(x, t, pos_weight=[3.0, 1.0, 2.0])
    got = jax.jit(lambda a: ll.sigmoid_focal_loss(x, t, alpha=(a, 0.5, 1.0)))(0.25)
    assert got == ll.sigmoid_focal_loss(x, t, alpha=(0.25, 0.5, 1.0))


# ---- what is refused ------------------------------------------------------------------------------------------------

OUTSIDE = [(loss, name, ENDS.get(name, (0, 9))[1] + 0.5) for loss, name, _ in EACH if name in ENDS]
OUTSIDE += [(loss, name, -0.5) for loss, name, _ in EACH if name != "pos_weight"]
OUTSIDE += [(loss, name, bad) for loss, name, _ in EACH if "gamma" in name for bad in (math.inf, math.nan)]


@pytest.mark.parametrize(("loss", "name", "value"), OUTSIDE)
def test_a_number_outside_its_interval(loss, name, value):
    """Where it can be seen NumPy's error; in traced code loss and gradients are NaN."""
    x, t = data(loss, (3,), 7, "soft")
    short = np.float32(value)
    want, rounded = (message(ll.InvalidInputError, LOSSES[loss], x, t, **{name: one}) for one in (value, short))
    x, t = jnp.asarray(x), jnp.asarray(t)
    assert message(ll.InvalidInputError, LOSSES[loss], x, t, **{name: value}) == want
    for number in (short, jnp.asarray(short)):
        assert message(ll.InvalidInputError, LOSSES[loss], x, t, **{name: number}) == rounded
        nothing = {name: number, "mask": jnp.zeros(3, bool)}
        assert message(ll.InvalidInputError, LOSSES[loss], x, t, **nothing) == rounded

    def of(x, number):
        return LOSSES[loss](x, t, **{name: number})

    got, gradients = jax.jit(jax.value_and_grad(of, (0, 1)))(x, value)
    assert np.isnan(got)
    assert np.isnan(gradients[0]).all()
    assert np.isnan(gradients[1])


def test_alphas_outside_their_interval():
    x, t = jnp.zeros((2, 3)), jnp.ones((2, 3))
    for kind in (list, jnp.asarray):
        text = message(ll.InvalidInputError, ll.sigmoid_focal_loss, x, t, alpha=kind([0.25, 1.5, 0.5]))
        assert "alpha must be a finite number in [0, 1]; got 1.5" in text
        text = message(ll.InvalidInputError, ll.sigmoid_focal_loss, x, t, alpha=kind([0.25, 0.5]))
        assert "Use label_axis=0" in text
    losses = jax.jit(lambda alpha: ll.sigmoid_focal_loss(x, t, alpha=alpha, reduction="none"))
    assert np.isnan(losses(jnp.array([0.25, 1.5, 0.5]))).tolist() == [[False, True, False]] * 2


def test_numbers_that_are_none():
    x, t = jnp.zeros(3), jnp.ones(3)
    focal = ll.sigmoid_focal_loss
    assert "gamma must be one number in [0, inf]; got shape (3,)" in message(ll.InvalidInputError, focal, x, t, gamma=x)
    assert "got shape (1,)" in message(ll.InvalidInputError, bce, x, t, label_smoothing=jnp.ones(1))
    assert "Use gamma.real" in message(ll.InvalidInputError, focal, x, t, gamma=jnp.complex64(1))
    assert "random key" in message(ll.InvalidInputError, focal, x, t, gamma=jax.random.key(0))
    assert "got 'a'" in message(ll.InvalidInputError, focal, x, t, gamma="a")
    assert "got None" in message(ll.InvalidInputError, focal, x, t, gamma=None)


# ---- what code is compiled for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, jnp.int32, np.array])
def test_whole_numbers_of_any_kind(kind):
    x, t = data("logits", (2, 3), 8, "int")
    weights = [0.5, 2.0]
    want = reference("logits", x, t, axis=(0, 1), label_weight=weights, label_axis=0, ignore_index=1)
    x, t = jnp.asarray(x, jnp.float32), jnp.asarray(t)
    options = {"axis": (kind(0), 1), "label_axis": kind(0), "ignore_index": kind(1), "validate": np.True_}
    close(bce(x, t, **options, label_weight=weights), want.value, 1e-6)
    np.testing.assert_array_equal(bce(x, t, axis=kind(1)), bce(x, t, axis=1))


@pytest.mark.parametrize("name", ["axis", "label_axis", "ignore_index", "reduction", "validate"])
def test_what_must_be_static_says_how(name):
    x, t = jnp.zeros((2, 3)), jnp.ones((2, 3))
    for wrap in (lambda value: value, lambda value: (value, 0)):
        text = message(ll.UnsupportedTypeError, jax.jit(lambda v, wrap=wrap: bce(x, t, **{name: wrap(v)})), 1)
        assert f"static_argnames={name!r}" in text


def test_static_argnames():
    assert "static_argnames='axis'" in message(ll.UnsupportedTypeError, jax.jit(ll.denominator), jnp.ones(3), axis=0)
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (2, 3), 9, "soft"))
    jitted = jax.jit(bce, static_argnames=("axis", "reduction"))
    np.testing.assert_allclose(jitted(x, t, axis=1, reduction="sum"), bce(x, t, axis=1, reduction="sum"), rtol=1e-6)


def test_equal_keys_are_not_equal_options():
    """1, 1.0 and True are one key of a cache."""
    x, t = jnp.zeros((2, 3)), jnp.ones((2, 3), int)
    bce(x, t, axis=1, ignore_index=1)
    for bad in ({"axis": True}, {"axis": 1.0}, {"axis": [1]}, {"axis": jnp.array([0, 1])}, {"axis": (1, True)}):
        assert "axis must name axes" in message(ll.InvalidInputError, bce, x, t, **bad)
    for bad in (True, jnp.array([1, 2]), "a"):
        assert "ignore_index must be one number" in message(ll.InvalidInputError, bce, x, t, ignore_index=bad)
    for bad in (["sum"], jnp.int32(1), None):
        assert "reduction must be one of" in message(ll.InvalidInputError, bce, x, t, reduction=bad)
