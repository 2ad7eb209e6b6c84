"""Where the kernels within XLA are called and where the formula stays: versions, exports, devices, processes."""

from __future__ import annotations

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import logloss as ll
from logloss._backends.jax import kernels
from logloss._kernels import plain, xla
from logloss._spec.losses import CROSS_ENTROPY
from on_jax.programs import CALLED, assert_near, calls
from reference import data
from worker import python

pytestmark = pytest.mark.numerical

bce = ll.binary_cross_entropy_with_logits

# ---- where the formula stays ----------------------------------------------------------------------------------------


def test_another_version_of_the_interface():
    x, t = jnp.linspace(-2, 2, 300), jnp.zeros(300)
    assert kernels.version() == xla.VERSION
    want = ll.value_and_grad(x, t)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "version", lambda: (0, 99))
        jax.clear_caches()
        assert calls(jax.value_and_grad(bce), x, t) == 0
        assert_near(ll.value_and_grad(x, t), want)
    jax.clear_caches()
    assert calls(jax.value_and_grad(bce), x, t) == 1


def test_the_version_of_no_header(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    assert kernels.version.__wrapped__() is None
    (tmp_path / "xla" / "ffi" / "api").mkdir(parents=True)
    (tmp_path / "xla" / "ffi" / "api" / "c_api.h").write_text("nothing")
    assert kernels.version.__wrapped__() != xla.VERSION


def test_a_handler_that_xla_refuses(monkeypatch):
    """XLA asks each handler for its version: one that is made for none is not taken."""
    x, t = jnp.linspace(-2, 2, 300), jnp.zeros(300)
    want = ll.value_and_grad(x, t)
    old = xla.made(plain.entry(CROSS_ENTROPY, x.dtype, x.dtype, True), xla._plain, np.float32, 0, 0)
    monkeypatch.setattr(kernels.Call, "_handler", lambda _: old)
    jax.clear_caches()
    assert calls(jax.value_and_grad(bce), x, t) == 0
    assert_near(ll.value_and_grad(x, t), want)
    jax.clear_caches()


@pytest.mark.parametrize("platforms", [("cpu",), ("cpu", "cuda")])
def test_exported_code_runs_anywhere(platforms):
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (30, 4), 20, "int"))
    exported = export.export(jax.jit(jax.value_and_grad(bce)), platforms=platforms)(x, t)
    assert CALLED not in str(exported.mlir_module())
    again = export.deserialize(exported.serialize())
    assert_near(again.call(x, t), ll.value_and_grad(x, t))


def test_exported_with_lengths_as_symbols():
    shape = export.symbolic_shape("n, 4")
    like = jax.ShapeDtypeStruct(shape, jnp.float32)
    exported = export.export(jax.jit(jax.value_and_grad(bce)))(like, like)
    x, t = (jnp.asarray(array, jnp.float32) for array in data("logits", (30, 4), 21, "int"))
    assert_near(exported.call(x, t), ll.value_and_grad(x, t))


def test_no_elements():
    x = jnp.zeros((0, 3))
    assert calls(bce, x, x) == 0
    assert ll.value_and_grad(x, x)[1].shape == (0, 3)


# ---- several devices ------------------------------------------------------------------------------------------------

DEVICES = """
import json, threading
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import logloss as ll

bce, CALLED = ll.binary_cross_entropy_with_logits, "custom_call @logloss_"
rng = np.random.default_rng(0)
x, t = jnp.asarray(rng.normal(size=(8, 600)), jnp.float32), jnp.asarray(rng.random((8, 600)), jnp.float32)
price = jnp.linspace(1.0, 2.0, 600)
want = ll.value_and_grad(x, t, pos_weight=price)
out = {}

def far(got):
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(got, want))

def step(x, t, price):
    return jax.value_and_grad(lambda x: bce(x, t, pos_weight=price))(x)

for kind in ("Auto", "Explicit"):
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(getattr(jax.sharding.AxisType, kind),))
    def local(x, t, price):
        value, slopes = step(x, t, price)
        return jax.lax.pmean(value, "rows"), slopes / 4
    mapped = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=(P("rows"), P("rows"), P()), out_specs=(P(), P("rows"))))
    place = NamedSharding(mesh, P("rows"))
    xs, ts = jax.device_put(x, place), jax.device_put(t, place)
    out[f"shard_map {kind}"] = [mapped.lower(xs, ts, price).as_text().count(CALLED), far(mapped(xs, ts, price))]
    spread = jax.jit(step)
    got = spread(xs, ts, price)
    out[f"jit {kind}"] = [spread.lower(xs, ts, price).as_text().count(CALLED), far(got)]
    assert len(got[1].sharding.device_set) == 4 and not got[1].sharding.is_fully_replicated
mesh = jax.make_mesh((2, 2), ("rows", "labels"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
partly = jax.jit(jax.shard_map(
    lambda x, t, price: (jax.lax.pmean(bce(x, t, pos_weight=price), "rows"),),
    mesh=mesh, in_specs=(P("rows"), P("rows"), P()), out_specs=(P(),), axis_names={"rows"}))
out["partly manual"] = [partly.lower(x, t, price).as_text().count(CALLED), far(partly(x, t, price))]

results = {}
def on(device):
    placed = jax.device_put((x, t, price), device)
    for _ in range(20):
        results[device.id] = jax.jit(step)(*placed)
threads = [threading.Thread(target=on, args=(device,)) for device in jax.devices()]
[one.start() for one in threads]; [one.join() for one in threads]
out["at once"] = [len(results), max(map(far, results.values()))]
print(json.dumps(out))
"""


def test_several_devices():
    """Each part of a `jax.shard_map` by the kernel; what the compiler spreads by itself by the formula."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    compiler = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}  # cache, instructions
    found = json.loads(python(DEVICES, **compiler, XLA_FLAGS=flags))
    called = {name: count for name, (count, _) in found.items()}
    assert called.pop("at once") == 4
    assert called == {
        "shard_map Auto": 1, "shard_map Explicit": 1, "jit Auto": 0, "jit Explicit": 0, "partly manual": 0
    }  # fmt: skip
    assert max(far for _, far in found.values()) < 1e-6


# ---- compiled once --------------------------------------------------------------------------------------------------

FIRST = """
import sys, jax.numpy as jnp, numpy as np, logloss as ll
value, gradient = ll.value_and_grad(jnp.array([5.0, -2.0, 0.5]), jnp.array([1.0, 0.0, 1.0]))
assert abs(float(value) - 0.2025734479040657) < 1e-7, value
from logloss._kernels import xla
print(len(xla._handlers), sum(one.code.cache_hits for one in xla._handlers.values()))
"""


def test_a_first_call_compiles_one_handler_and_keeps_it(tmp_path):
    assert python(FIRST, NUMBA_CACHE_DIR=str(tmp_path)) == "1 0"
    assert python(FIRST, NUMBA_CACHE_DIR=str(tmp_path)) == "1 1"
