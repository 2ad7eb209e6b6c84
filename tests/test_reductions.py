"""Sums, means and their denominators: what they divide by, their types, and what an empty one is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import logloss as ll
from cases import FLOATS
from logloss._kernels import layout
from reference import LOSSES, close, data, reference

pytestmark = pytest.mark.numerical

WEIGHTS = {
    "sample_weight": np.array([1.0, 0.0, 2.5]),
    "label_weight": np.array([1.0, 3.0, 0.5, 2.0]),
    "pos_weight": 4.0,
}
MASK = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]], bool)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0,), (1, 0), (-2, -1), 2])
@pytest.mark.parametrize("reduction", ["sum", "mean", "weighted_mean"])
@pytest.mark.parametrize(
    "options", [{}, WEIGHTS, {"mask": MASK}, {"mask": MASK, **WEIGHTS}], ids=["plain", "weights", "mask", "both"]
)
def test_any_axes(axis, reduction, options):
    shape = (3, 4) if axis != 2 else (3, 2, 4)
    if axis == 2:
        options = {name: given[:, None] if name == "mask" else given for name, given in options.items()}
    x, t = data("logits", shape, 3, "soft")
    want = reference("logits", x, t, axis=axis, reduction=reduction, **options)
    value, gradient = ll.value_and_grad(x, t, axis=axis, reduction=reduction, **options)
    assert np.shape(value) == np.shape(want.value)
    close(value, want.value)
    close(gradient, want.gradient)
    close(ll.binary_cross_entropy_with_logits(x, t, axis=axis, reduction=reduction, **options), want.value)
    divisor = ll.denominator(t, axis=axis, reduction=reduction, **options)
    assert np.shape(divisor) == np.shape(want.value)
    close(divisor, want.denominator)


def test_every_mean_divides_by_what_it_says():
    x, t = np.zeros((2, 4)), np.ones((2, 4))
    weights = {"sample_weight": [1.0, 3.0], "label_weight": [1, 1, 1, 5], "pos_weight": 2.0}
    total = np.log(2) * 2 * (1 + 3) * (1 + 1 + 1 + 5)
    for reduction, bottom in (("sum", 1), ("mean", 8), ("batchmean", 2), ("weighted_mean", 4 * 8)):
        assert ll.binary_cross_entropy_with_logits(x, t, reduction=reduction, **weights) == pytest.approx(
            total / bottom, rel=1e-15
        )
        assert ll.denominator(t, reduction=reduction, **weights) == bottom
        assert ll.binary_cross_entropy_with_logits(
            x, t, reduction=reduction, normalizer=10, **weights
        ) == pytest.approx(total / 10, rel=1e-15)


TINY = {
    "subnormal in float32": {"sample_weight": [1e-42] * 2, "reduction": "weighted_mean"},
    "zero in float32": {"sample_weight": [1e-50] * 2, "reduction": "weighted_mean"},
    "large weights, larger normalizer": {"weight": [1e38] * 2, "normalizer": 2e38},
    "small weights, smaller normalizer": {"weight": [1e-42] * 2, "normalizer": 2e-42},
    "beyond float32 both": {"weight": [1e38] * 2, "normalizer": 2e46},
}


@pytest.mark.parametrize("options", TINY.values(), ids=TINY.keys())
def test_weights_and_denominators_beyond_float32(options):
    """Each rounded to float32 by itself would give inf, NaN or 0, where their ratio is an ordinary number."""
    x, t = np.float32([0.0, 1.0]), [0.0, 1.0]
    value, gradient = ll.value_and_grad(x, t, **options)
    want, slope = ll.value_and_grad(x.astype(np.float64), t, **options)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-6)
    assert np.isfinite(slope).all()
    assert slope.all()


def test_rows_without_anything_that_counts_are_computed_as_others_are():
    assert layout.fits_float32(0.0)
    assert layout.fits_float32(np.array([0.0, 0.25, -1e30]))
    assert not layout.fits_float32(np.array([0.0, 1e-39]))
    assert not layout.fits_float32(1e39)


def test_what_is_masked_has_gradient_zero_beside_infinite_ones():
    _, gradient = ll.value_and_grad(np.zeros(3, np.float32), [0, 1, 1], mask=[True, True, False], normalizer=1e-40)
    np.testing.assert_array_equal(gradient, [np.inf, -np.inf, 0.0])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", LOSSES)
def test_types_of_results(loss, dtype):
    x, t = data(loss, (3, 4), 2, "int")
    x = x.astype(FLOATS[dtype])
    call = LOSSES[loss]
    assert type(call(x, t)) is np.float64
    assert call(x, t, axis=0).dtype == np.float64
    assert call(x, t, reduction="none").dtype == x.dtype
    value, gradient = ll.value_and_grad(x, t, loss=call)
    assert (type(value), gradient.dtype, type(gradient)) == (np.float64, x.dtype, np.ndarray)
    for other in FLOATS.values():
        out = np.empty(x.shape, other)
        assert ll.value_and_grad(x, t, loss=call, out=out)[1] is out
    for array in ll.grad_and_hess(x, t, loss=call):
        assert array.dtype == x.dtype


def test_a_single_number_is_a_loss_of_its_own():
    value, gradient = ll.value_and_grad(np.float32(0.5), 1)
    assert (type(value), gradient.shape, gradient.dtype) == (np.float64, (), np.float32)
    assert isinstance(ll.binary_cross_entropy_with_logits(0.5, 1, reduction="none"), np.float64)
    x, t = np.array([0.5, -1.0]), np.array([1, 0])
    assert ll.value_and_grad(x[0], t[0]) == ll.value_and_grad(0.5, 1)  # NumPy's numbers
    assert ll.denominator(t[0]) == ll.denominator(1) == 1.0
    assert ll.denominator(1, reduction="batchmean") == 1.0


EMPTY = {
    "no elements": ((0,), {}),
    "no rows": ((0, 3), {}),
    "no labels": ((3, 0), {}),
    "all masked": ((2, 3), {"mask": False}),
    "all ignored": ((2, 3), {"ignore_index": 1}),
    "no weight": ((2, 3), {"sample_weight": [0, 0], "reduction": "weighted_mean"}),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("shape", "options"), EMPTY.values(), ids=EMPTY.keys())
def test_nothing_to_count_is_zero(loss, shape, options):
    x, t = np.full(shape, -0.5 if loss == "log_probs" else 0.5), np.ones(shape, np.int8)
    for axis in (None, 0, -1):
        value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], axis=axis, **options)
        assert not np.any(value)
        assert not gradient.any()
        assert gradient.shape == shape
        assert not np.any(LOSSES[loss](x, t, axis=axis, **options))


def test_a_row_without_a_counted_element_is_zero_beside_others():
    value, gradient = ll.value_and_grad(np.zeros((2, 2)), np.ones((2, 2)), axis=1, mask=[[True, True], [False, False]])
    np.testing.assert_array_equal(value, [np.log(2), 0])
    np.testing.assert_array_equal(gradient, [[-0.25, -0.25], [0, 0]])


@pytest.mark.parametrize(
    "options", [{}, {"ignore_index": 0.5}, {"weight": np.arange(12.0).reshape(3, 4)}], ids=["plain", "ignore", "weight"]
)
def test_gradients_accumulate_by_denominator(options):
    """Two halves with the global count as normalizer give the whole."""
    x, t = data("logits", (6, 4), 1, "int")
    weight = np.concatenate([options["weight"], 2 * options["weight"]]) if "weight" in options else None
    t = np.where(np.arange(24).reshape(6, 4) % 5 == 0, 0.5, t)

    def part(rows):
        return {**options, "weight": weight[rows]} if weight is not None else options

    for reduction in ("mean", "weighted_mean"):
        whole = ll.value_and_grad(x, t, reduction=reduction, **part(slice(None)))
        halves = [slice(0, 2), slice(2, 6)]
        count = sum(ll.denominator(t[half], reduction=reduction, **part(half)) for half in halves)
        parts = [
            ll.value_and_grad(x[half], t[half], reduction=reduction, normalizer=count, **part(half)) for half in halves
        ]
        assert sum(value for value, _ in parts) == pytest.approx(whole[0], rel=1e-15)
        np.testing.assert_allclose(np.concatenate([gradient for _, gradient in parts]), whole[1], rtol=1e-15)


@pytest.mark.parametrize(
    "shape", [(1,), (255,), (256,), (257,), (1000,), (70_000,), (300_000,), (3, 100_001), (2, 3, 70_001), (100_001, 3)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_those_of_the_elements(shape, dtype):
    """Every element once, across the borders of blocks, pieces and tasks; sums in float64."""
    x, t = (array.astype(dtype) for array in data("logits", shape, 4, "soft"))
    losses = ll.binary_cross_entropy_with_logits(x, t, reduction="none")
    weight = np.linspace(1, 2, shape[0])
    expanded = weight.reshape((-1,) + (1,) * (len(shape) - 1))
    assert ll.binary_cross_entropy_with_logits(x, t, reduction="sum") == pytest.approx(
        losses.sum(dtype=np.float64), rel=1e-9 if dtype == "float32" else 1e-13
    )
    assert ll.binary_cross_entropy_with_logits(x, t, reduction="sum", sample_weight=weight) == pytest.approx(
        (losses.astype(np.float64) * expanded).sum(), rel=1e-6 if dtype == "float32" else 1e-13
    )
    strided = ll.binary_cross_entropy_with_logits(x[::-1], t[::-1], reduction="sum", axis=tuple(range(len(shape))))
    assert strided == pytest.approx(losses.sum(dtype=np.float64), rel=1e-9 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("axes", list(itertools.permutations((0, 1, 2))))
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2)])
def test_axes_of_transposed_arrays(axes, axis):
    x, t = data("logits", (2, 3, 4), 5, "int")
    x, t = x.transpose(axes), np.ascontiguousarray(t.transpose(axes))
    options = {
        "sample_weight": np.arange(1.0, 1 + x.shape[0]),
        "pos_weight": np.arange(1.0, 1 + x.shape[1]),
        "label_axis": 1,
        "axis": axis,
    }
    want = reference("logits", x, t, **options)
    value, gradient = ll.value_and_grad(x, t, **options)
    close(value, want.value)
    close(gradient, want.gradient)


SEVERAL_TASKS = {
    "labels fewer than a task's elements": ((300_000, 3), 0),
    "labels more than a task's elements": ((3, 300_000), 0),
    "rows": ((2_000, 301), -1),
    "rows of one": ((600_000, 1), 1),
    "NCHW, per label": ((5, 7, 150, 130), (0, 2, 3)),
    "NCHW, per row and label": ((5, 7, 150, 130), (2, 3)),
    "kept axes that do not lie together": ((40, 70, 250), 1),
    "last axis alone": ((40, 70, 250), (0, 1)),
}


@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("case", SEVERAL_TASKS)
def test_axes_of_arrays_that_are_cut_into_tasks(case, order):
    shape, axis = SEVERAL_TASKS[case]
    x, t = data("logits", shape, 3, "soft")
    if order == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    x = np.asarray(x, order="F") if order == "F" else x
    losses = ll.binary_cross_entropy_with_logits(x, t, reduction="none")
    value = ll.binary_cross_entropy_with_logits(x, t, axis=axis, reduction="sum")
    np.testing.assert_allclose(value, losses.sum(axis=axis), rtol=1e-13)
