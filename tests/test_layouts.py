"""The same numbers whatever holds them: dtypes, strides, byte orders, outputs and sizes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import logloss as ll
from cases import FLOATS
from reference import LOSSES, data

pytestmark = pytest.mark.numerical

TARGETS = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "longdouble",     ">i2", ">u4", ">i8", ">f2", ">f4", ">f8", "<i4", "<f4",
]  # fmt: skip
RNG = np.random.default_rng(3)


def strided(array):
    room = np.zeros(tuple(2 * length for length in array.shape), array.dtype)
    view = room[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned or array.itemsize == 1
    return view


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def negative(array):
    flip = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[flip])[flip]


def swapped(array):
    axes = tuple(range(array.ndim))[::-1]
    return np.ascontiguousarray(array.transpose(axes)).transpose(axes)


def rolled(array):
    """Axes in memory in an order that is neither C nor Fortran."""
    axes = (*range(1, array.ndim), 0)
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "negative": negative,
    "transposed": swapped,
    "rolled": rolled,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda array: (
        array.astype(array.dtype.newbyteorder(">")) if array.dtype.name != "bfloat16" else strided(array)
    ),
}
SHAPES = [(1,), (7,), (300,), (4, 1, 3), (1, 5), (3, 4, 5), (2, 1, 1, 6), (5, 70_001)]


def assert_same_bits(got, want):
    """The same numbers down to the sign of zero, in the same type but for the order of its bytes."""
    assert got.dtype.newbyteorder("=") == want.dtype.newbyteorder("=")
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layouts_of_logits_and_targets(layout, shape):
    x, t = data("logits", shape, 1, "int")
    x, t = np.asarray(x, np.float32), np.asarray(t, np.uint8)
    value, gradient = ll.value_and_grad(x, t)
    losses = ll.binary_cross_entropy_with_logits(x, t, reduction="none")
    _, hessian = ll.grad_and_hess(x, t)
    bend = LAYOUTS[layout]
    for xs, ts in ((bend(x), t), (x, bend(t)), (bend(x), bend(t)), (bend(x), LAYOUTS["rolled"](t))):
        value2, gradient2 = ll.value_and_grad(xs, ts)
        assert value2 == pytest.approx(value, rel=1e-9 if gradient.size > 256 else 1e-14)
        assert_same_bits(gradient2, gradient)
        assert_same_bits(np.asarray(ll.binary_cross_entropy_with_logits(xs, ts, reduction="none")), np.asarray(losses))
        assert_same_bits(ll.grad_and_hess(xs, ts)[1], hessian)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_of_every_loss_with_weights_and_masks(layout, loss, dtype):
    shape = (6, 5, 70)
    x, t = data(loss, shape, 2, "soft")
    x, t = x.astype(dtype), t.astype(dtype)
    weight, mask = RNG.random(shape), RNG.random(shape) < 0.8
    options = {
        "loss": LOSSES[loss],
        "pos_weight": [0.5, 1, 2, 4, 3],
        "label_axis": 1,
        "sample_weight": np.arange(1.0, 7.0),
    }
    value, gradient = ll.value_and_grad(x, t, weight=weight, mask=mask, **options)
    bend = LAYOUTS[layout]
    value2, gradient2 = ll.value_and_grad(bend(x), bend(t), weight=bend(weight), mask=bend(mask), **options)
    assert value2 == pytest.approx(value, rel=1e-13 if loss != "logits" or dtype == "float64" else 1e-7)
    assert_same_bits(gradient2, gradient)


@pytest.mark.parametrize("target", [*TARGETS, "bfloat16"])
@pytest.mark.parametrize("logits", FLOATS)
def test_every_type_of_logits_with_every_type_of_targets(logits, target):
    x, t = data("logits", (3, 401), 4, "int")
    x = x.astype(FLOATS[logits])
    dtype = ml_dtypes.bfloat16 if target == "bfloat16" else np.dtype(target)
    soft = dtype if target == "bfloat16" or np.dtype(target).kind == "f" else None
    value, gradient = ll.value_and_grad(x, t.astype(np.uint8))
    for layout in (np.ascontiguousarray, strided):
        value2, gradient2 = ll.value_and_grad(layout(x), layout(t.astype(dtype)))
        assert value2 == pytest.approx(value, rel=1e-14 if logits == "float64" else 1e-7)
        assert_same_bits(gradient2, gradient)
    if soft is not None:
        fractions = RNG.integers(0, 9, t.shape) / 8  # exact in every type
        _, gradient = ll.value_and_grad(x, fractions.astype(np.float32))
        assert_same_bits(ll.value_and_grad(x, fractions.astype(dtype))[1], gradient)


@pytest.mark.parametrize("target", ["int8", "int16", "int32", "int64", ">i4"])
@pytest.mark.parametrize("value", [-1, 2, 127])
def test_every_integer_type_is_checked(target, value):
    with pytest.raises(ll.InvalidInputError, match=rf"1 of 3 values is not, the first at index 1: {value}\."):
        ll.binary_cross_entropy_with_logits(np.zeros(3, np.float32), np.array([0, value, 1], target))


@pytest.mark.parametrize("target", ["int64", "uint64"])
@pytest.mark.parametrize("value", [2**32, 2**32 + 1, 2**62])
def test_integers_are_not_cut(target, value):
    for logits in ("float32", "float16", "float64"):
        with pytest.raises(ll.InvalidInputError, match="targets must be in"):
            ll.binary_cross_entropy_with_logits(np.zeros(2, logits), np.array([0, value], target))


@pytest.mark.parametrize("value", [1 + 1e-12, -1e-300, np.nextafter(1, 2), -5e-324])
def test_float64_targets_do_not_round_into_the_domain(value):
    for logits in ("float32", "float16", "float64"):
        for layout in (np.ascontiguousarray, strided):
            with pytest.raises(ll.InvalidInputError, match="targets must be in"):
                ll.binary_cross_entropy_with_logits(np.zeros(2, logits), layout(np.array([0, value])))


def test_broadcast_views():
    x, t = np.broadcast_to(np.float32(0.75), (300, 7)), np.broadcast_to(np.arange(300)[:, None] % 2, (300, 7))
    want = ll.value_and_grad(x.copy(), t.copy())
    got = ll.value_and_grad(x, t)
    assert got[0] == pytest.approx(want[0], rel=1e-14)
    assert_same_bits(got[1], want[1])


def test_memory_mapped_files(tmp_path):
    x, t = data("logits", (1000,), 3, "int")
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    value, gradient = ll.value_and_grad(mapped, t)
    assert type(gradient) is np.ndarray
    assert value == ll.binary_cross_entropy_with_logits(x.astype(np.float32), t)


def test_a_subclass_gives_a_plain_array():
    class Units(np.ndarray):
        pass

    gradient = ll.value_and_grad(np.zeros(3).view(Units), [0, 1, 1])[1]
    assert type(gradient) is np.ndarray


# ---- outputs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
@pytest.mark.parametrize("out", FLOATS)
@pytest.mark.parametrize("logits", FLOATS)
def test_out_of_every_type_and_layout(logits, out, layout):
    x, t = data("logits", (3, 200), 5, "soft")
    x, t = x.astype(FLOATS[logits]), t.astype(np.float32)
    value, gradient = ll.value_and_grad(x, t)
    target = LAYOUTS[layout](np.full(x.shape, 7, FLOATS[out]))
    value2, returned = ll.value_and_grad(x, t, out=target)
    assert returned is target
    assert value2 == pytest.approx(value, rel=1e-13 if logits == "float64" else 1e-7)
    if logits == out and layout != "big-endian":
        assert_same_bits(target, gradient)
    tolerance = max(float(ml_dtypes.finfo(FLOATS[name]).eps) for name in (logits, out))
    np.testing.assert_allclose(target.astype(float), gradient.astype(float), rtol=tolerance, atol=1e-7)


def test_a_wider_out_is_not_rounded_to_the_logits():
    x, t = data("logits", (100,), 5, "int")
    x = x.astype(np.float16)
    wide = ll.value_and_grad(x, t, out=np.empty(100, np.float32))[1]
    assert_same_bits(wide, ll.value_and_grad(x.astype(np.float32), t)[1])


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_in_place(layout, loss, reduction):
    x, t = data(loss, (5, 301), 6, "soft")
    want = ll.value_and_grad(x, t, loss=LOSSES[loss], reduction=reduction)
    room = LAYOUTS[layout](x)
    value, gradient = ll.value_and_grad(room, t, loss=LOSSES[loss], out=room, reduction=reduction)
    assert gradient is room
    np.testing.assert_allclose(value, want[0], rtol=1e-13)
    np.testing.assert_array_equal(room, want[1])


@pytest.mark.parametrize("shift", [1, 7, 300, 70_000])
@pytest.mark.parametrize("size", [1000, 200_000])
def test_out_that_overlaps_the_logits(shift, size):
    room = RNG.normal(size=size + shift)
    t = RNG.integers(0, 2, size)
    for x, out in ((room[:size], room[shift:]), (room[shift:], room[:size]), (room[:size], room[:size][::-1])):
        want = ll.value_and_grad(x.copy(), t)
        value, _ = ll.value_and_grad(x, t, out=out)
        assert value == pytest.approx(want[0], rel=1e-14)
        np.testing.assert_array_equal(out, want[1])
        room[...] = RNG.normal(size=room.size)


def test_out_that_is_the_targets_or_a_weight():
    x, t = data("logits", (70_000,), 7, "soft")
    weight = RNG.random(70_000)
    value, gradient = ll.value_and_grad(x, t, weight=weight)
    for shared in ("t", "weight", "sample_weight"):
        given = {"t": t.copy(), "weight": weight.copy()}
        if shared == "sample_weight":
            given["sample_weight"] = given.pop("weight")
        result = ll.value_and_grad(x, given["t"], out=given[shared], **{n: g for n, g in given.items() if n != "t"})
        assert result[0] == value
        np.testing.assert_array_equal(result[1], gradient)
        assert result[1] is given[shared]


def test_out_that_is_the_mask_in_other_bytes():
    room = np.zeros(64)
    mask = room.view(bool)[:64]
    mask[:] = np.arange(64) % 2
    x, t = data("logits", (64,), 8, "int")
    want = ll.value_and_grad(x, t, mask=mask.copy())
    got = ll.value_and_grad(x, t, mask=mask, out=room)
    assert got[0] == want[0]
    np.testing.assert_array_equal(room, want[1])


# ---- sizes ----------------------------------------------------------------------------------------------------------


def test_more_than_two_to_the_31_elements():
    """Pages of zeros that are only read take no memory."""
    n = 2**31 + 12_345
    x, t = np.zeros(n, np.float16), np.zeros(n, np.uint8)
    x[-1], t[-1] = 8.0, 1
    t[-2] = 255
    half, last = float(np.log(np.float32(2))), float(ll.binary_cross_entropy_with_logits(np.float32([8]), [1]))
    assert ll.binary_cross_entropy_with_logits(x, t, ignore_index=255, reduction="sum") == pytest.approx(
        (n - 2) * half + last, rel=1e-12
    )
    assert ll.denominator(t, ignore_index=255) == n - 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("layout", [np.ascontiguousarray, lambda array: array[::-1]], ids=["C", "negative"])
def test_gradients_of_more_than_two_to_the_31_elements(layout):
    n = 2**31 + 12_345
    x, t = np.zeros(n, np.float16), np.zeros(n, np.bool_)
    x[-1], t[-1], x[0] = 8.0, True, -8.0
    weight = np.float32(2.0)
    value, gradient = ll.value_and_grad(layout(x), layout(t), reduction="sum", weight=weight)
    extremes = 2 * float(ll.binary_cross_entropy_with_logits(np.float32([8, -8]), [1, 0], reduction="sum"))
    assert value == pytest.approx(2 * (n - 2) * float(np.log(np.float32(2))) + extremes, rel=1e-7)
    assert (layout(gradient)[[0, 1, -1]] == np.float16([6.709e-4, 1.0, -6.709e-4])).all()
    t[-1] = False
    t[-2] = True
    assert (
        layout(ll.value_and_grad(layout(x), layout(t), reduction="sum")[1])[[-3, -2]] == np.float16([0.5, -0.5])
    ).all()
