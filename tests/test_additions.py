"""A new option and a new loss arrive in every framework, though no framework's file is touched.

A copy of the package gets an option `neg_weight` (the price of missing a negative) and a loss `poly` (the cross-entropy
times a number of its own) in the files that CONTRIBUTING.md names, and is asked for both.
"""

# ruff: noqa: ISC004 - a replacement of several lines is one string
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import logloss

PACKAGE = Path(logloss.__file__).parent
OPTION = {
    "_spec/options.py": [
        (
            "    weight: Annotated[",
            '    neg_weight: Annotated[Any, Option(None, "real", weighs=False)]\n    weight: Annotated[',
        )
    ],
    "_spec/terms.py": [
        (
            "    return Terms(\n        prices=",
            '    b = _label_vector("neg_weight", options.neg_weight, shape, label_axis, arrays)\n'
            "    return Terms(\n        prices=",
        ),
        (
            "(yes, 0.0, c, 0.0) if plain else (yes * keep, yes * half, c * keep, c * half)",
            "(yes, 0.0, c * b, 0.0) if plain else (yes * keep, yes * half, c * b * keep, c * b * half)",
        ),
    ],
}
LOSS = {
    "_spec/losses.py": [
        (
            "FOCAL = Loss(",
            'POLY = Loss("poly", LOGITS, (Number("factor", 2.0, 0.0, 9.0, "It multiplies."),))\nFOCAL = Loss(',
        ),
        ("LOG_PROBABILITY, FOCAL, ASYMMETRIC)", "LOG_PROBABILITY, FOCAL, ASYMMETRIC, POLY)"),
    ],
    "_formula.py": [
        (
            "def probabilities(",
            "def poly(xp, x, u, v, yes, no, p):\n"
            "    return tuple(p[0] * one for one in cross_entropy(xp, x, u, v, yes, no, ()))\n\n\n"
            "def probabilities(",
        )
    ],
    "_kernels/cores.py": [
        (
            "@inline\ndef minus_logs(",
            "@inline\n"
            "def poly(x, u, v, t, w, p, z, l, g, h, curved):\n"
            "    cross_entropy(x, u, v, t, w, p, z, l, g, h, curved)\n"
            "    for i in range(x.size):\n"
            "        l[i] *= p[2]\n"
            "        g[i] *= p[2]\n"
            "        if curved:\n"
            "            h[i] *= p[2]\n\n\n"
            "@inline\ndef minus_logs(",
        )
    ],
    "losses.py": [
        (
            "@_of(rows.FOCAL)",
            "@_of(rows.POLY)\n"
            "def poly(logits, targets, *, factor=2.0, **options):\n"
            "    return _value(poly, logits, targets, factor=factor, **options)\n\n\n"
            "@_of(rows.FOCAL)",
        )
    ],
}
ASKED = """
import numpy as np
import logloss as ll
from logloss.losses import poly

x, t, price = np.array([[0.5, -1.0], [2.0, 0.0]], "float32"), np.array([[1.0, 0.0], [0.0, 1.0]], "float32"), [2.0, 3.0]
WANT = np.array([[0.4740770, 3 * 0.3132617], [2 * 2.1269280, 0.6931472]])  # each softplus by hand, times its price
assert "neg_weight" in __import__("inspect").signature(ll.binary_cross_entropy_with_logits).parameters

def near(got, want=WANT):
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-6)
"""
IN = {
    "numpy": """
near(ll.binary_cross_entropy_with_logits(x, t, neg_weight=price, reduction="none"))
near(poly(x, t, factor=3.0, neg_weight=price, reduction="none"), 3 * WANT)
near(ll.value_and_grad(x, t, loss=poly, neg_weight=price)[1] * 2, ll.value_and_grad(x, t, neg_weight=price)[1] * 4)
near(ll.grad_and_hess(x, t, loss=poly)[1], 2 * ll.grad_and_hess(x, t)[1])
""",
    "torch": """
import torch
from logloss.torch import BCEWithLogitsLoss, binary_cross_entropy_with_logits
X, T = torch.tensor(x, requires_grad=True), torch.tensor(t)
near(BCEWithLogitsLoss(neg_weight=price, reduction="none")(X, T).detach())
near(binary_cross_entropy_with_logits(X, T, neg_weight=torch.tensor(price), reduction="none").detach())
def ways(x, factor):
    return poly(x, T, factor=factor, neg_weight=torch.tensor(price), reduction="none")
compiled = torch.compile(ways, fullgraph=True, backend="aot_eager")
for way in (ways, compiled):
    near(way(X, 3.0).detach(), 3 * WANT)
    (slope,) = torch.autograd.grad(way(X, 3.0).sum(), X)
    near(slope, 3 * ll.value_and_grad(x, t, neg_weight=price, reduction="sum")[1])
(slope,) = torch.autograd.grad(ways(X, 3.0).sum(), X, create_graph=True)
near(torch.autograd.grad(slope.sum(), X)[0], 3 * ll.grad_and_hess(x, t, neg_weight=price)[1])
near(torch.func.grad(lambda x: ways(x, 3.0).sum())(X.detach()), slope.detach())
factor = torch.tensor(3.0, requires_grad=True)
near(torch.autograd.grad(ways(X, factor).sum(), factor)[0], WANT.sum())
""",
    "jax": """
import jax, jax.numpy as jnp
X, T = jnp.asarray(x), jnp.asarray(t)
def ways(x, factor):
    return poly(x, T, factor=factor, neg_weight=jnp.asarray(price), reduction="none")
near(ll.binary_cross_entropy_with_logits(X, T, neg_weight=price, reduction="none"))
for way in (ways, jax.jit(ways)):
    near(way(X, 3.0), 3 * WANT)
near(jax.grad(lambda x: ways(x, 3.0).sum())(X), 3 * ll.value_and_grad(x, t, neg_weight=price, reduction="sum")[1])
near(jax.grad(lambda factor: ways(X, factor).sum())(3.0), WANT.sum())
""",
    "tensorflow": """
import tensorflow as tf
X, T = tf.Variable(x), tf.constant(t)
def ways(factor):
    return poly(X, T, factor=factor, neg_weight=tf.constant(price), reduction="none")
near(ll.binary_cross_entropy_with_logits(X, T, neg_weight=price, reduction="none"))
for way in (ways, tf.function(ways), tf.function(ways, jit_compile=True)):
    near(way(tf.constant(3.0)), 3 * WANT)
factor = tf.Variable(3.0)
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(ways(factor))
slopes = tape.gradient(loss, [X, factor])
near(slopes[0], 3 * ll.value_and_grad(x, t, neg_weight=price, reduction="sum")[1])
near(slopes[1], WANT.sum())
""",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more option and one more loss."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(PACKAGE, root / "logloss", ignore=shutil.ignore_patterns("__pycache__"))
    for changes in (OPTION, LOSS):
        for name, replacements in changes.items():
            file = root / "logloss" / name
            text = file.read_text(encoding="utf-8")
            for old, new in replacements:
                assert text.count(old) == 1, (name, old)
                text = text.replace(old, new)
            file.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "framework", [name if name == "numpy" else pytest.param(name, marks=pytest.mark.frameworks) for name in IN]
)
def test_they_arrive(framework: str, extended: Path):
    done = subprocess.run(
        [sys.executable, "-c", ASKED + IN[framework]],
        env={**os.environ, "PYTHONPATH": str(extended), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
