"""Gradient and Hessian alone: the loop that boosting takes has the bits and the refusals of the general way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import logloss as ll
from cases import EDGES
from logloss._kernels import cpu

ROWS = 700  # two whole blocks and a part


def data(dtype: Any, targets: Any) -> tuple[Any, Any, Any]:
    """(logits with edges among them, targets, weights)."""
    rng = np.random.default_rng(3)
    x = np.resize(np.concatenate([EDGES, [np.nan, 1e-40], 4 * rng.standard_normal(200)]), ROWS).astype(dtype)
    t = rng.random(ROWS) if np.dtype(targets).kind == "f" else rng.integers(0, 2, ROWS)
    return x, t.astype(targets), np.abs(rng.standard_normal(ROWS)).astype(np.float32)


def spread(array: Any) -> Any:
    """The same numbers with gaps between them, which the general way reads."""
    wide = np.zeros((len(array), 2), array.dtype)
    wide[:, 0] = array
    return wide[:, 0]


@pytest.mark.numerical
@pytest.mark.parametrize("targets", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_has_the_bits_of_the_general_way(dtype: str, targets: str):
    x, t, w = data(dtype, targets)
    assert cpu.curvature_entry(x, t) is not None
    assert cpu.curvature_entry(spread(x), t) is None
    for options in ({}, {"sample_weight": w}, {"sample_weight": w, "pos_weight": 3.0, "label_smoothing": 0.1}):
        found = ll.grad_and_hess(x, t, **options)
        general = ll.grad_and_hess(spread(x), t, **options)
        for one, other in zip(found, general, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(np.signbit(one), np.signbit(other))
    matrix = ll.grad_and_hess(x.reshape(-1, 7), t.reshape(-1, 7))
    np.testing.assert_array_equal(np.ravel(matrix[1]), ll.grad_and_hess(x, t)[1])


@pytest.mark.numerical
def test_threads_do_not_change_it():
    x, t = np.random.default_rng(0).standard_normal((2, 2**19 + 5), dtype=np.float32)
    t = np.abs(t) % 1
    found = ll.grad_and_hess(x, t)
    for place in (slice(0, 2**18), slice(2**18, None)):
        np.testing.assert_array_equal(found[0][place], ll.grad_and_hess(x[place], t[place])[0])


@pytest.mark.parametrize("weighted", [False, True])
def test_it_refuses_what_is_refused(weighted: bool):
    x, t, w = data("float32", "float32")
    given = {"sample_weight": w} if weighted else {}
    t[600] = 1.5
    with pytest.raises(ll.InvalidInputError, match=r"index 600: 1\.5"):
        ll.grad_and_hess(x, t, **given)
    assert ll.grad_and_hess(x, t, validate=False, **given)[0].shape == x.shape
    t[600] = 0.5
    if weighted:
        for bad in (-1.0, np.inf, np.nan):
            w[3] = bad
            with pytest.raises(ll.InvalidInputError, match="sample_weight"):
                ll.grad_and_hess(x, t, sample_weight=w)
