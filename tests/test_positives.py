"""Targets as positive indices: the same as their dense matrix, from every source, and never dense."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import logloss as ll
from cases import of_batch
from logloss import Positives
from logloss._kernels import entries
from reference import LOSSES, data

pytestmark = pytest.mark.numerical

LISTS = [[2, 0], [], [1], [0, 1, 2, 3]]
DENSE = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]])

SOURCES = {
    "lists": lambda: Positives.from_lists(LISTS, labels=4),
    "arrays": lambda: Positives.from_lists([np.array(row, np.uint16) for row in LISTS], labels=4),
    "generator": lambda: Positives.from_lists((tuple(row) for row in LISTS), labels=4),
    "csr": lambda: Positives([0, 2, 2, 3, 7], [2, 0, 1, 3, 2, 1, 0], (4, 4)),
    "csr int32": lambda: Positives(
        np.array([0, 2, 2, 3, 7], np.int32), np.array([0, 2, 1, 0, 1, 2, 3], np.int32), (4, 4)
    ),
    "padded": lambda: Positives.from_padded([[2, 0, -1, -1], [-1] * 4, [-1, 1, -1, -1], [3, 1, 2, 0]], labels=4),
    "padded with 99": lambda: Positives.from_padded(
        [[2, 0, 99, 99], [99] * 4, [1, 99, 99, 99], [0, 1, 2, 3]], labels=4, padding=99
    ),
    **{
        f"scipy {form}": lambda form=form: Positives.from_scipy(scipy.sparse.coo_array(DENSE).asformat(form))
        for form in ("csr", "csc", "coo", "lil", "dok")
    },
    "scipy matrix": lambda: Positives.from_scipy(scipy.sparse.csr_matrix(DENSE.astype(bool))),
    "scipy floats": lambda: Positives.from_scipy(scipy.sparse.csr_array(DENSE.astype(np.float32))),
}


def dense_of(positives):
    room = np.full(positives.shape[0] * positives.shape[1], 9, np.uint8)
    entries.mark(room, positives.places(0, room.size), 0)
    return room.reshape(positives.shape)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_the_same_matrix(source):
    positives = SOURCES[source]()
    np.testing.assert_array_equal(dense_of(positives), DENSE)
    assert (positives.shape, positives.nnz) == ((4, 4), 7)
    assert repr(positives) == "Positives(shape=(4, 4), nnz=7)"
    np.testing.assert_array_equal(positives.indices, [0, 2, 1, 0, 1, 2, 3])  # sorted
    np.testing.assert_array_equal(positives.indptr, [0, 2, 2, 3, 7])


def test_any_range_can_be_asked_for():
    positives = SOURCES["csr"]()
    for start in range(16):
        for stop in range(start + 1, 17):
            room = np.full(stop - start, 9, np.uint8)
            entries.mark(room, positives.places(start, stop), start)
            np.testing.assert_array_equal(room, DENSE.reshape(-1)[start:stop])


@pytest.mark.parametrize("options", of_batch(50, 30).values(), ids=of_batch(50, 30).keys())
@pytest.mark.parametrize("loss", LOSSES)
def test_as_its_dense_matrix_in_every_option(loss, options):
    x, t = data(loss, (50, 30), 3, "int")
    positives = Positives.from_scipy(scipy.sparse.csr_array(t))
    for dtype in (np.float64, np.float32, np.float16):
        for logits in (x.astype(dtype), np.asfortranarray(x.astype(dtype))):
            value, gradient = ll.value_and_grad(logits, t, loss=LOSSES[loss], **options)
            value2, gradient2 = ll.value_and_grad(logits, positives, loss=LOSSES[loss], **options)
            np.testing.assert_allclose(value2, value, rtol=1e-13 if dtype == np.float64 or loss != "logits" else 1e-6)
            np.testing.assert_array_equal(gradient2, gradient)
            np.testing.assert_allclose(LOSSES[loss](logits, positives, **options), value2, rtol=1e-14)
    elementwise = {name: given for name, given in options.items() if name not in ("reduction", "axis", "normalizer")}
    for got, want in zip(
        ll.grad_and_hess(x, positives, loss=LOSSES[loss], **elementwise),
        ll.grad_and_hess(x, t, loss=LOSSES[loss], **elementwise),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
    if options.get("reduction") != "none":
        np.testing.assert_array_equal(ll.denominator(positives, **options), ll.denominator(t, **options))


def test_outputs_and_in_place():
    x, t = data("logits", (50, 30), 3, "int")
    positives = Positives.from_scipy(scipy.sparse.csr_array(t))
    want = ll.value_and_grad(x, t)[1]
    for out in (x.copy(), np.asfortranarray(x), np.empty(x.shape, np.float32)):
        if out.dtype == x.dtype:
            np.testing.assert_array_equal(ll.value_and_grad(out, positives, out=out)[1], want)
        else:
            np.testing.assert_allclose(ll.value_and_grad(x, positives, out=out)[1], want, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 5), st.integers(1, 12), st.integers(0, 2**32), st.floats(0, 1))
def test_random_matrices(rows, labels, seed, density):
    rng = np.random.default_rng(seed)
    dense = (rng.random((rows, labels)) < density).astype(np.uint8)
    x = rng.normal(0, 3, dense.shape)
    positives = Positives.from_lists([np.flatnonzero(row) for row in dense], labels=labels)
    np.testing.assert_array_equal(dense_of(positives), dense)
    assert ll.binary_cross_entropy_with_logits(x, positives) == pytest.approx(
        ll.binary_cross_entropy_with_logits(x, dense), rel=1e-14
    )


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_empty_matrices(shape):
    positives = Positives([0] * (shape[0] + 1), [], shape)
    value, gradient = ll.value_and_grad(np.zeros(shape), positives)
    assert (value, gradient.shape, positives.nnz) == (0.0, shape, 0)
    assert ll.denominator(positives) == 0.0


@pytest.mark.parametrize(("rows", "labels"), [(3, 200_000), (70_000, 3), (2, 65_536), (2, 65_537), (1, 1_000_000)])
def test_matrices_larger_than_a_piece(rows, labels):
    rng = np.random.default_rng(5)
    where = np.unique(rng.integers(0, rows * labels, 5000))
    lists = np.split(where % labels, np.searchsorted(where // labels, np.arange(1, rows)))
    positives = Positives.from_lists(lists, labels=labels)
    x = rng.normal(size=(rows, labels)).astype(np.float32)
    dense = np.zeros((rows, labels), np.uint8)
    dense.reshape(-1)[where] = 1
    value, gradient = ll.value_and_grad(x, dense)
    value2, gradient2 = ll.value_and_grad(x, positives)
    assert value2 == value  # of the same loop, piece by piece
    np.testing.assert_array_equal(gradient2, gradient)


def test_never_dense():
    """A gradient needs room for the logits' size; the targets add megabytes at most."""
    import tracemalloc

    x = np.zeros((40, 500_000), np.float32)
    positives = Positives.from_lists([[i, 499_999] for i in range(40)], labels=500_000)
    ll.value_and_grad(x[:1], Positives.from_lists([[0]], labels=500_000), out=x[:1].copy())  # compile
    out = np.empty_like(x)
    tracemalloc.start()
    ll.value_and_grad(x, positives, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 < x.size  # the matrix as bytes would be 20 MB


def test_explicit_zeros_are_dropped_and_the_matrix_is_left_alone():
    matrix = scipy.sparse.csr_array((np.array([1, 0, 1]), np.array([2, 1, 0]), np.array([0, 2, 3])), shape=(2, 3))
    positives = Positives.from_scipy(matrix)
    np.testing.assert_array_equal(dense_of(positives), [[0, 0, 1], [1, 0, 0]])
    assert (matrix.nnz, list(matrix.indices)) == (3, [2, 1, 0])


def test_arguments_are_left_alone():
    indices = np.array([2, 0, 1], np.int64)
    positives = Positives([0, 3], indices, (1, 3))
    assert list(indices) == [2, 0, 1]
    assert positives.indices is not indices


ERRORS = [
    (
        lambda: Positives.from_lists([[0, 4]], labels=4),
        (
            "positive labels must be in [0, 4); 1 are not, the first is 4. Use more labels, or name a value that"
            " fills up short rows in Positives.from_padded."
        ),
    ),
    (lambda: Positives.from_lists([[0], [-1]], labels=4), "the first is -1."),
    (
        lambda: Positives.from_lists([[0], [2, 1, 2]], labels=4),
        "a label is positive once per row; label 2 stands twice in row 1. Drop duplicates first.",
    ),
    (
        lambda: Positives.from_lists([[0.5]], labels=4),
        "row 0 must be a 1-d array of integers; got shape (1,) and dtype float64.",
    ),
    (
        lambda: Positives.from_lists([["a"]], labels=4),
        "row 0 must be a 1-d array of integers; got shape (1,) and dtype <U1.",
    ),
    (
        lambda: Positives.from_lists([3], labels=4),
        "row 0 must be a 1-d array of integers; got shape () and dtype int64.",
    ),
    (
        lambda: Positives([0, 1], [0, 1], (1, 3)),
        (
            "indptr must rise from 0 to the number of indices, 2, in 2 numbers for 1 rows; got 2 numbers from 0 to 1. "
            "Positives.from_lists makes it of one list per row."
        ),
    ),
    (lambda: Positives([0, 2, 1, 3], [0, 1, 2], (3, 3)), "from 0 to 3, falling from 2 to 1 after index 1."),
    (lambda: Positives([0, 2, 1], [0, 1], (2, 3)), "indptr must rise from 0"),
    (lambda: Positives([1, 2], [0, 1], (1, 3)), "indptr must rise from 0"),
    (lambda: Positives([], [], (0, 3)), "got 0 numbers."),
    (
        lambda: Positives.from_padded([0, 1], labels=3),
        "padded must be a 2-d array of integers; got shape (2,) and dtype int64.",
    ),
    (
        lambda: Positives.from_padded([[0], [0, 1]], labels=3),
        (
            "padded must be a 2-d array of integers; got shape (2,) and dtype object. Convert it to int64, or give "
            "one flat list of labels per row to Positives.from_lists."
        ),
    ),
    (
        lambda: Positives.from_lists([[0]] * 5, labels=2**62),
        (
            "the shape (rows, labels) must be two whole numbers, not negative, with a product below 2^63; "
            f"got (5, {2**62}). labels is one int; a larger matrix must be cut into batches of rows."
        ),
    ),
    *(
        (lambda labels=labels: Positives.from_lists([[0]], labels=labels), f"below 2^63; got (1, {labels!r}).")
        for labels in (-1, 2.7, None, "3", 2**63, 2**64)
    ),
    (lambda: Positives.from_lists([], labels=2**64), "below 2^63; got (0, "),
    (lambda: Positives([0, 1], [0], (1, 2, 3)), "got (1, 2, 3)."),
    (lambda: Positives([], [], (-1, 3)), "got (-1, 3)."),
    (lambda: Positives([0, 1], [0], 3), "got 3."),
    (lambda: Positives.from_scipy(scipy.sparse.coo_array(np.array([0, 1]))), "got (2,)."),
    (lambda: Positives.from_padded([[0, -2]], labels=3), "the first is -2."),
    (lambda: Positives.from_padded([[1, 1]], labels=3), "label 1 stands twice in row 0"),
    (
        lambda: Positives.from_scipy(scipy.sparse.csr_array(np.array([[0, 2], [1, 3]]))),
        (
            "a matrix of positives must hold only 0 and 1; 2 of 3 stored values do not, the first is 2. Use "
            "(matrix > 0) if any stored value means positive."
        ),
    ),
    (lambda: Positives.from_scipy(scipy.sparse.csr_array(np.array([[0, np.nan]]))), "the first is nan."),
    (
        lambda: Positives.from_scipy(
            scipy.sparse.csr_array((np.ones(2), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
        ),
        "label 1 stands twice in row 0",
    ),
]


@pytest.mark.parametrize(("make", "text"), ERRORS, ids=[f"{i}-{text[:30]}" for i, (_, text) in enumerate(ERRORS)])
def test_errors(make, text):
    with pytest.raises(ll.InvalidInputError) as caught:
        make()
    assert text in str(caught.value)


def test_padding_that_is_masked_is_not_read_as_labels():
    padded = np.ma.masked_array([[0, 2]], [[False, True]])
    with pytest.raises(ll.UnsupportedTypeError, match=r"its mask would be lost\. Use padded\.filled\(-1\)"):
        Positives.from_padded(padded, labels=3)
    assert Positives.from_padded(padded.filled(-1), labels=3).indices.tolist() == [0]


def test_only_sparse_matrices():
    with pytest.raises(ll.UnsupportedTypeError, match=r"got numpy\.ndarray\. Use scipy\.sparse\.csr_array\(matrix\)"):
        Positives.from_scipy(np.eye(3))


def test_the_last_place_that_64_bits_hold():
    positives = Positives.from_lists([[2**63 - 2]], labels=np.uint64(2**63 - 1))
    np.testing.assert_array_equal(positives.indices, [2**63 - 2])
    assert positives.shape == (1, 2**63 - 1)
