"""The loss of a linear layer whose outputs never exist: values and gradients by the definition, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import logloss as ll
from cases import FLOATS, of_batch
from logloss import Positives
from reference import close, message, reference

pytestmark = pytest.mark.numerical

ROWS, FEATURES, LABELS = 5, 3, 70
OPTIONS = {name: given for name, given in of_batch(ROWS, LABELS).items() if "ignore" not in name}


def layer(dtype: object = np.float64, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, weights and bias in eighths and quarters: every logit is exact in every type, whatever the order."""
    rng = np.random.default_rng(seed)
    parts = (rng.integers(-8, 9, shape) / scale for shape, scale in (((ROWS, FEATURES), 4), ((LABELS, FEATURES), 4)))
    x, w = (part.astype(dtype) for part in parts)
    return x, w, (rng.integers(-8, 9, LABELS) / 8).astype(dtype)


def hard(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((ROWS, LABELS)) < 0.1


def sparse(dense: np.ndarray) -> Positives:
    return Positives.from_scipy(scipy.sparse.csr_array(dense))


def padded(dense: np.ndarray) -> np.ndarray:
    """The labels of each row, the last first, filled up with -1."""
    rows = [np.flatnonzero(row)[::-1] for row in dense]
    width = max(map(len, rows))
    return np.array([[*row, *[-1] * (width - len(row))] for row in rows])


def check(dtype: type, targets: object, dense: np.ndarray, **options: object) -> None:
    """Raise unless value and gradients are those of the definition, to a few roundings of the largest."""
    x, w, b = layer(dtype)
    logits = x.astype(float) @ w.astype(float).T + b.astype(float)
    want = reference("logits", logits, dense, **options)
    value, grads = ll.linear_value_and_grad(x, w, targets, linear_bias=b, chunk_size=17, **options)
    rounding = 4 * float(np.finfo(dtype).eps)
    close(value, want.value, rounding)
    alone = ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b, chunk_size=17, **options)
    np.testing.assert_array_equal(alone, value)
    slopes, scale = want.gradient, np.abs(want.gradient)
    expected = {
        "inputs": (slopes @ w.astype(float), scale @ np.abs(w.astype(float)), x),
        "linear_weight": (slopes.T @ x.astype(float), scale.T @ np.abs(x.astype(float)), w),
        "linear_bias": (slopes.sum(axis=0), scale.sum(axis=0), b),
    }
    for name, (right, terms, like) in expected.items():
        got = getattr(grads, name)
        assert (got.dtype, got.shape) == (like.dtype, like.shape)
        np.testing.assert_array_less(np.abs(got - right), 4 * rounding * terms.max() + 1e-300, err_msg=name)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_option_by_its_definition(name: str, dtype: type):
    dense = hard()
    for targets in (sparse(dense), dense):
        check(dtype, targets, dense, **OPTIONS[name])


SOURCES = {
    "positives": sparse,
    "csr": scipy.sparse.csr_array,
    "coo": scipy.sparse.coo_matrix,
    "padded": padded,
    "bool": lambda dense: dense,
    "uint8": lambda dense: dense.astype(np.uint8),
    "lists": lambda dense: dense.astype(int).tolist(),
    "float16": lambda dense: dense.astype(np.float16),
}


@pytest.mark.parametrize("source", SOURCES)
def test_targets_of_every_kind(source: str):
    check(np.float32, SOURCES[source](hard()), hard(), pos_weight=np.linspace(0.5, 3.0, LABELS))


def test_soft_and_ignored_targets():
    soft = np.random.default_rng(3).integers(0, 9, (ROWS, LABELS)) / 8
    check(np.float64, soft, soft, label_smoothing=0.1)
    marked = np.where(np.random.default_rng(4).random((ROWS, LABELS)) < 0.3, -1, hard().astype(np.int8))
    check(np.float32, marked, marked, ignore_index=-1)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(name: str):
    x, w, b = layer(FLOATS[name])
    value, grads = ll.linear_value_and_grad(x, w, sparse(hard()), linear_bias=b)
    wide = [part.astype(np.float32) for part in (x, w, b)]
    want, expected = ll.linear_value_and_grad(*wide[:2], sparse(hard()), linear_bias=wide[2])
    assert value == want
    for got, right in zip(grads, expected, strict=True):
        assert got.dtype == FLOATS[name]
        np.testing.assert_array_equal(got, right.astype(FLOATS[name]))


@pytest.mark.parametrize("options", [{}, {"pos_weight": 2.5}, {"label_smoothing": 0.1}], ids=str)
def test_no_result_depends_on_the_chunk(options: dict[str, float]):
    """From 8 labels a chunk upwards: the loss and the gradients of weights and bias to the bit, the inputs' closely."""
    rng = np.random.default_rng(5)
    x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((33, 24), (1000, 24), 1000))
    targets = sparse(rng.random((33, 1000)) < 0.02)
    found = [
        ll.linear_value_and_grad(x, w, targets, linear_bias=b, chunk_size=size, **options)
        for size in (None, 8, 100, 333, 999, 1000)
    ]
    value, grads = found[0]
    for other, same in found[1:]:
        assert np.float32(other) == np.float32(value)
        assert abs(other - value) <= 4e-16 * value
        np.testing.assert_array_equal(same.linear_weight, grads.linear_weight)
        np.testing.assert_array_equal(same.linear_bias, grads.linear_bias)
        np.testing.assert_allclose(same.inputs, grads.inputs, rtol=0, atol=2e-6 * np.abs(grads.inputs).max())


def test_extremes():
    """Infinite and NaN logits cost what they cost elsewhere; confident positives keep their gradient."""
    x, w = np.array([[1.0], [1.0]], np.float32), np.array([[np.inf], [-np.inf], [30.0], [-30.0]], np.float32)
    logits = np.array([[np.inf, -np.inf, 30.0, -30.0]] * 2)
    for rows in ([[0, 2], [0, 2, 3]], [[0, 1], [2]]):
        targets = Positives.from_lists(rows, 4)
        got = ll.linear_binary_cross_entropy(x, w, targets, reduction="sum")
        assert got == pytest.approx(ll.binary_cross_entropy_with_logits(logits, targets, reduction="sum"), rel=1e-6)
    _, grads = ll.linear_value_and_grad(x, w[2:], Positives.from_lists([[0], [0]], 2), reduction="sum")
    assert grads.linear_weight[:, 0] == pytest.approx([-2 * np.exp(-30.0), 2 * np.exp(-30.0)], rel=1e-6)
    assert np.isnan(ll.linear_binary_cross_entropy(x * np.nan, w[2:], Positives.from_lists([[0], []], 2)))


def test_nothing_to_count():
    w = np.ones((4, 3))
    value, grads = ll.linear_value_and_grad(np.ones((0, 3)), w, np.zeros((0, 4)))
    assert value == 0.0
    assert [part.shape for part in grads[:2]] == [(0, 3), (4, 3)]
    assert not grads.linear_weight.any()
    value, grads = ll.linear_value_and_grad(np.ones((2, 3)), w, np.zeros((2, 4)), mask=np.zeros((2, 4), bool))
    assert value == 0.0
    assert not any(part.any() for part in grads[:2])


def test_a_hook_may_change_the_weights():
    """What it is given are the gradients, in order, of weights that nobody reads any more."""
    x, w, b = layer()
    _, want = ll.linear_value_and_grad(x, w, sparse(hard()), linear_bias=b)
    got, changed, places = np.zeros_like(w), w.copy(), []

    def step(start: int, stop: int, grad: np.ndarray) -> None:
        places.append((start, stop))
        got[start:stop] = grad
        changed[start:stop] = np.nan

    value, grads = ll.linear_value_and_grad(
        x, changed, sparse(hard()), linear_bias=b, on_weight_grad=step, chunk_size=17
    )
    assert np.isfinite(value)
    assert grads.linear_weight is None
    assert [start for start, _ in places] == [0, *(stop for _, stop in places[:-1])]
    assert (len(places), places[-1][1]) == (5, LABELS)
    np.testing.assert_allclose(got, want.linear_weight, rtol=1e-14)
    np.testing.assert_allclose(grads.inputs, want.inputs, rtol=1e-13)


X, W = np.ones((2, 3)), np.ones((4, 3))
ERRORS = {
    "features": ((X, np.ones((4, 5)), np.zeros((2, 4))), {}, ("as many columns", "(2, 3)", "(4, 5)")),
    "turned": ((X, W.T, np.zeros((2, 4))), {}, ("Use linear_weight.T",)),
    "axes": ((X[0], W, np.zeros((2, 4))), {}, ("two axes", "(3,)", "inputs.reshape")),
    "no label": ((X, W[:0], np.zeros((2, 0))), {}, ("at least one label", "(0, 3)")),
    "bias": ((X, W, np.zeros((2, 4))), {"linear_bias": np.ones(3)}, ("(4,)", "(3,)")),
    "dtypes": ((X.astype("f"), W, np.zeros((2, 4))), {}, ("one dtype", "float32", "float64", "astype")),
    "targets": ((X, W, np.zeros((2, 5))), {}, ("(2, 4)", "(2, 5)", "Positives")),
    "class numbers": ((X, W, np.array([3, 1])), {}, ("(2, 4)", "(2,)", "targets[:, None]")),
    "other labels": ((X, W, Positives.from_lists([[0], [1]], 5)), {}, ("(2, 4)", "(2, 5)")),
    "range": ((X, W, [[7], [0]]), {}, ("[0, 4)", "7")),
    "twice": ((X, W, [[0, 0], [1, -1]]), {}, ("label 0 stands twice in row 0",)),
    "lists": ((X, W, [[0, 1], [2]]), {}, ("rectangular", "Positives.from_lists")),
    "below 0": ((X, W, [[0], [-2]]), {}, ("[0, 4)", "-2")),
    "values": ((X, W, np.full((2, 4), 3.0)), {}, ("targets must be in [0, 1]", "3")),
    "chunk 0": ((X, W, np.zeros((2, 4))), {"chunk_size": 0}, ("positive whole number", "got 0")),
    "chunk 1.5": ((X, W, np.zeros((2, 4))), {"chunk_size": 1.5}, ("positive whole number", "1.5")),
    "chunk True": ((X, W, np.zeros((2, 4))), {"chunk_size": True}, ("True",)),
    "weights": ((X, W, np.zeros((2, 4))), {"sample_weight": [1.0, -1.0]}, ("sample_weight", "-1", "not negative")),
    "reduction": ((X, W, np.zeros((2, 4))), {"reduction": "average"}, ("reduction must be", "average")),
    "pos_weight": ((X, W, np.zeros((2, 4))), {"pos_weight": [1.0, 2.0]}, ("pos_weight", "(2,)")),
    "no axes": ((X, W, np.zeros((2, 4))), {"axis": ()}, ("axis must name an axis", 'Use reduction="none"')),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_says_rule_value_and_remedy(name: str):
    arguments, options, said = ERRORS[name]
    for function in (ll.linear_binary_cross_entropy, ll.linear_value_and_grad):
        text = message(ll.InvalidInputError, function, *arguments, **options)
        assert [part for part in said if part not in text] == [], text


def test_bad_hooks_and_kinds():
    targets = np.zeros((2, 4))
    text = message(ll.InvalidInputError, ll.linear_binary_cross_entropy, X, W, targets, on_weight_grad=print)
    assert "linear_value_and_grad" in text
    text = message(ll.InvalidInputError, ll.linear_value_and_grad, X, W, targets, on_weight_grad=print, axis=-1)
    assert "one number" in text
    with pytest.raises(TypeError, match=r"callable.*got 3"):
        ll.linear_value_and_grad(X, W, targets, on_weight_grad=3)
    with pytest.raises(TypeError, match=r"unexpected option 'gamma'.*chunk_size.*pos_weight"):
        ll.linear_binary_cross_entropy(X, W, targets, gamma=2.0)
    called = []
    bad = np.full((2, 4), 2.0)
    message(
        ll.InvalidInputError, ll.linear_value_and_grad, X, W, bad, on_weight_grad=lambda *given: called.append(given)
    )
    assert called == []  # nothing is changed by data that is refused
