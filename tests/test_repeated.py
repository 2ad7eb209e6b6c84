"""Calls of one kind after the first: what was kept of that one must not be seen in the others' results."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logloss as ll
from cases import OWN, of_batch
from logloss._backends import repeated
from reference import LOSSES, data, message

BATCH = of_batch(6, 5)
TYPES = ["float32", "float64", "float16"]


@pytest.fixture(autouse=True)
def nothing_kept():
    repeated._KINDS.clear()


def changed(options: dict, seed: int, dtype: str) -> dict:
    """The same options with other values in their arrays."""
    rng = np.random.default_rng(seed)
    return {
        name: value
        if not isinstance(value, np.ndarray)
        else rng.random(value.shape) < 0.6
        if value.dtype == bool
        else rng.random(value.shape).astype(dtype)
        for name, value in options.items()
    }


@settings(max_examples=300, deadline=None)
@given(
    loss=st.sampled_from(sorted(LOSSES)),
    name=st.sampled_from(sorted(BATCH)),
    own=st.integers(0, 2),
    types=st.tuples(*[st.sampled_from(TYPES)] * 3),
    ignore=st.sampled_from([{}, {"ignore_index": 1}, {"ignore_index": -1}, {"ignore_index": float("nan")}]),
    out=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_the_fourth_call_gives_the_bits_of_a_first(loss, name, own, types, ignore, out, seed):
    own = OWN[loss][own % len(OWN[loss])]
    function = LOSSES[loss]

    def results(k: int) -> list[np.ndarray]:
        x, t = data(loss, (6, 5), seed + k, "int" if ignore else "soft")
        x, t = x.astype(types[0]), t.astype(types[1])
        options = {**changed(BATCH[name], seed + k, types[2]), **ignore, **own}
        elementwise = {key: value for key, value in options.items() if key not in ("reduction", "axis", "normalizer")}
        value, grad = ll.value_and_grad(x, t, loss=function, out=np.empty_like(x) if out else None, **options)
        return [function(x, t, **options), value, grad, *ll.grad_and_hess(x, t, loss=function, **elementwise)]

    for k in range(3):
        results(k)
    after = results(3)
    repeated._KINDS.clear()
    for got, want in zip(after, results(3), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype


@pytest.mark.parametrize("name", ["weight", "sample_weight", "pos_weight", "label_weight", "targets"])
def test_values_are_looked_at_in_every_call(name):
    x, t = np.ones((6, 5), np.float32), np.full((6, 5), 0.5, np.float32)
    arrays = {"weight": np.ones((6, 5)), "sample_weight": np.ones(6), "pos_weight": np.ones(5)}
    arrays |= {"label_weight": np.ones(5), "targets": t}

    def call():
        options = {name: arrays[name]} if name != "targets" else {"mask": np.ones((6, 5), bool)}
        return ll.value_and_grad(x, t, **options)

    first = call()
    assert call()[0] == first[0]
    arrays[name] *= 1 if name == "targets" else 0.5
    arrays[name].flat[2] = -1
    text = message(ll.InvalidInputError, call)
    assert name in text
    assert "-1" in text
    arrays[name].flat[2] = 1.0
    assert call()[0] != first[0]


def test_what_is_ignored_is_asked_of_every_target():
    """2^24 + 1 is a neighbour of an ignored 2^24 that float32 cannot tell from it: a mask is made of the targets."""
    x, t = np.zeros(4, np.float32), np.array([2**24, 0, 1, 1])
    for place in range(4):
        t[:] = [0, 1, 0, 1]
        t[place] = 2**24
        losses = ll.binary_cross_entropy_with_logits(x, t, ignore_index=2**24, reduction="none")
        assert np.flatnonzero(losses == 0).tolist() == [place]


def test_numbers_where_arrays_were_and_arrays_where_numbers_were():
    x, t = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    for _ in range(2):
        for mask in (True, np.array(True), np.ones((2, 3), bool), np.ones((1, 3), bool)):
            assert ll.binary_cross_entropy_with_logits(x, t, mask=mask) == ll.binary_cross_entropy_with_logits(x, t)
        for weight in (2, 2.0, np.float32(2), np.array(2.0), np.full((2, 3), 2.0), np.full((2, 1), 2, np.uint8)):
            got = ll.binary_cross_entropy_with_logits(x, t, weight=weight)
            assert got == 2 * ll.binary_cross_entropy_with_logits(x, t)


def test_no_array_is_kept_alive():
    x, t = np.zeros((6, 5), np.float32), np.zeros((6, 5), np.float32)
    weight, mask, rows = np.ones((6, 5), np.float32), np.ones((6, 5), bool), np.ones(6, np.float32)
    out, labels = np.empty_like(x), np.ones(5, np.float32)
    everything = [weakref.ref(one) for one in (x, t, weight, mask, rows, out, labels)]
    for _ in range(2):
        ll.value_and_grad(x, t, out=out, weight=weight, mask=mask, sample_weight=rows, pos_weight=labels)
        ll.grad_and_hess(x, t, weight=weight, mask=mask, sample_weight=rows, pos_weight=labels)
    del x, t, weight, mask, rows, out, labels
    gc.collect()
    assert [one() for one in everything] == [None] * 7
    assert repeated._KINDS


def test_kinds_are_few():
    for k in range(3 * repeated._MOST):
        ll.binary_cross_entropy_with_logits(np.zeros(k + 1), np.zeros(k + 1), label_smoothing=k / 1e4, reduction="none")
    assert 0 < len(repeated._KINDS) <= repeated._MOST
