"""Losses under JAX's transformations: gradients of everything, to second order, mapped, compiled and sharded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.test_util import check_grads

import logloss as ll
from reference import LOSSES, data, message, reference

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits


@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives_to_second_order(loss, x64):
    x, t = (jnp.asarray(array) for array in data(loss, (4,), 1, "soft"))
    x = {"probabilities": jnp.clip(x, 0.1, 0.9), "log_probs": jnp.clip(x, -3.0, -0.2)}.get(loss, x)
    check_grads(lambda x: LOSSES[loss](jnp.asarray(x), t, pos_weight=2.0), (x,), order=2, modes=("rev",), rtol=1e-4)


def test_derivatives_in_targets_and_weights(x64):
    x, t = (jnp.asarray(array) for array in data("logits", (3, 4), 2, "soft"))
    t = 0.1 + 0.8 * t

    def weighted(x, t, pos_weight, weight):
        return bce(*map(jnp.asarray, (x, t)), pos_weight=pos_weight, weight=weight, reduction="weighted_mean")

    check_grads(weighted, (x, t, jnp.linspace(1.0, 2.0, 4), 0.5 + t), order=2, modes=("rev",))


def test_a_weight_is_differentiated_where_the_loss_is_infinite():
    """Only tangents that are there are multiplied: no 0·inf."""
    x, t = jnp.array([jnp.inf, 1.0]), jnp.array([1.0, 0.0])
    assert np.isfinite(jax.grad(lambda x: bce(x, t, pos_weight=2.0))(x)).all()


def test_focal_targets_need_no_gradient():
    x, t = jnp.zeros(3), jnp.full(3, 0.5)
    text = message(ll.UnsupportedTypeError, jax.grad(lambda t: ll.sigmoid_focal_loss(x, t)), t)
    assert "targets of the focal loss must need no gradient" in text
    assert jax.grad(lambda t: ll.sigmoid_focal_loss(x, t, gamma=0.0))(t).shape == (3,)


@pytest.mark.parametrize("loss", LOSSES)
def test_hessian_is_the_diagonal_of_grad_and_hess(loss, x64):
    x, t = (jnp.asarray(array) for array in data(loss, (5,), 3, "int"))
    full = jax.hessian(lambda x: LOSSES[loss](x, t, reduction="sum"))(x)
    exact = reference(loss, np.asarray(x), np.asarray(t), reduction="sum")
    assert np.count_nonzero(full) == np.count_nonzero(np.diag(full))
    product = jax.jvp(jax.grad(lambda x: LOSSES[loss](x, t, reduction="sum")), (x,), (jnp.ones(5),))
    slopes, diagonal = ll.grad_and_hess(x, t, loss=LOSSES[loss])
    for got in (product[0], slopes):
        exact.check(got)
    for got in (np.diag(full), product[1], diagonal):
        exact.check(got, "hessian")


def test_curvature_at_zero():
    assert jax.grad(jax.grad(lambda x: bce(x, jnp.array(1.0))))(jnp.array(0.0)) == 0.25


def test_vmap():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (4, 6), 4, "soft"))
    rows = jax.vmap(bce)(x, t)
    np.testing.assert_allclose(rows, bce(x, t, axis=1), rtol=1e-6)
    reference("logits", np.asarray(x), np.asarray(t), axis=1).check(jax.vmap(jax.grad(bce))(x, t))
    ways = jax.vmap(lambda a: bce(x, t, pos_weight=a))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(ways[1], bce(x, t, pos_weight=2.0), rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_jit_is_eager(loss):
    x, t = (jnp.asarray(array, jnp.float32) for array in data(loss, (4, 6), 5, "int"))
    weight = jnp.arange(4.0)

    options = {"sample_weight": weight, "label_smoothing": 0.1}
    exact = reference(loss, np.asarray(x), np.asarray(t), **options)

    def step(x, t, weight):
        return ll.value_and_grad(x, t, loss=LOSSES[loss], **{**options, "sample_weight": weight})

    (value, gradient), (jitted, slopes) = step(x, t, weight), jax.jit(step)(x, t, weight)
    np.testing.assert_allclose(jitted, value, rtol=1e-6)
    for got in (gradient, slopes, jax.jit(jax.grad(lambda x: LOSSES[loss](x, t, **options)))(x)):
        exact.check(got)


def test_a_weight_of_another_value_compiles_nothing_anew():
    from logloss._backends.jax import _compiled

    x, t = jnp.zeros(7), jnp.zeros(7)
    bce(x, t, pos_weight=1.0, ignore_index=float("nan"))
    before = _compiled._cache_size()
    for pos_weight in (2.0, 3.0):
        bce(x, t, pos_weight=pos_weight, ignore_index=float("nan"))
    assert _compiled._cache_size() == before


def test_scan_and_checkpoint():
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (4, 6), 6, "soft"))

    def by_row(x):
        return jax.lax.scan(lambda total, row: (total + bce(*row), None), 0.0, (x, t))[0]

    reference("logits", np.asarray(x), np.asarray(t), axis=1).check(jax.grad(by_row)(x))
    again = jax.grad(jax.checkpoint(lambda x: bce(x, t)))(x)
    reference("logits", np.asarray(x), np.asarray(t)).check(again)


SHARDED = """
import json
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import logloss as ll

mesh = jax.make_mesh((2, 2), ("rows", "labels"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
rng = np.random.default_rng(0)
x, t = jnp.asarray(rng.normal(size=(8, 6)), jnp.float32), jnp.asarray(rng.random((8, 6)), jnp.float32)
weight, pos_weight = jnp.arange(1.0, 9.0), jnp.linspace(1.0, 2.0, 6)

def local(x, t, weight, pos_weight):
    value, gradient = ll.value_and_grad(
        x, t, sample_weight=weight, pos_weight=pos_weight, reduction="sum", normalizer=48.0)
    by_ad = jax.grad(lambda x: ll.binary_cross_entropy_with_logits(
        x, t, sample_weight=weight, pos_weight=pos_weight, normalizer=48.0))(x)
    return jax.lax.psum(value, ("rows", "labels")), gradient, by_ad

specs = (P("rows", "labels"), P("rows", "labels"), P("rows"), P("labels"))
sharded = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=(P(), *specs[:2]))
value, gradient, by_ad = jax.jit(sharded)(x, t, weight, pos_weight)
want, slope = ll.value_and_grad(x, t, sample_weight=weight, pos_weight=pos_weight)
placed = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip((x, t, weight, pos_weight), specs)]
spread, spread_slope = ll.value_and_grad(placed[0], placed[1], sample_weight=placed[2], pos_weight=placed[3])
print(json.dumps([
    abs(float(value - want)), float(abs(gradient - slope).max()), float(abs(by_ad - slope).max()),
    abs(float(spread - want)), float(abs(spread_slope - slope).max()),
]))
assert len(spread_slope.sharding.device_set) == 4
"""


def test_shard_map_and_sharded_arrays():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHARDED],
        env={**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert max(json.loads(done.stdout)) < 1e-6


# ---- positives ------------------------------------------------------------------------------------------------------


def test_positives_are_their_dense_matrix():
    x, t = data("logits", (20, 30), 7, "int")
    positives = ll.Positives.from_scipy(scipy.sparse.csr_array(t))
    logits, dense = jnp.asarray(x, jnp.float32), jnp.asarray(t)
    for options in ({}, {"axis": 1}, {"pos_weight": np.linspace(0, 3, 30), "label_smoothing": 0.1}):
        for got, want in zip(
            ll.value_and_grad(logits, positives, **options), ll.value_and_grad(logits, dense, **options), strict=True
        ):
            np.testing.assert_array_equal(got, want)
    reference("logits", np.asarray(logits), t).check(jax.jit(jax.grad(bce))(logits, positives))
    assert ll.log_loss(positives, jax.nn.sigmoid(logits)) == pytest.approx(float(bce(logits, dense)), rel=1e-5)


def test_positives_are_a_pytree():
    positives = ll.Positives.from_lists([[2, 0], [], [1]], labels=3)
    leaves, tree = jax.tree.flatten(positives)
    assert [leaf.tolist() for leaf in leaves] == [[0, 2, 2, 3], [0, 2, 1]]
    again = jax.jit(lambda one: one)(positives)
    assert (again.shape, again.nnz) == ((3, 3), 3)
    x = np.arange(9.0).reshape(3, 3)
    assert bce(x, again) == bce(x, positives)
    assert jax.tree.unflatten(tree, leaves).indices is leaves[1]
