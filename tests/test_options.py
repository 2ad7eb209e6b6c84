"""Every option, alone and in random company, against the slow elementwise reference."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logloss as ll
from cases import ALONE, IGNORED, OWN_NAMES, REDUCTION_NAMES
from reference import LOSSES, close, data, reference

pytestmark = pytest.mark.numerical

OWN = {
    "probabilities": st.fixed_dictionaries({}, optional={"eps": st.sampled_from([None, 0.0, 1e-7, 0.3])}),
    "focal": st.fixed_dictionaries(
        {}, optional={"gamma": st.sampled_from([0.0, 0.5, 2.0, 3.0]), "alpha": st.sampled_from([None, 0.0, 0.25, 1.0])}
    ),
    "asymmetric": st.fixed_dictionaries(
        {},
        optional={
            "gamma_neg": st.sampled_from([0.0, 0.5, 4.0]),
            "gamma_pos": st.sampled_from([0.0, 1.0, 2.5]),
            "clip": st.sampled_from([None, 0.0, 0.05, 0.2]),
        },
    ),
}


@st.composite
def calls(draw):
    """(loss, x, t, options): any legal combination."""
    loss = draw(st.sampled_from(sorted(LOSSES)))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)))
    rng = np.random.default_rng(seed := draw(st.integers(0, 2**32)))
    x, t = data(loss, shape, seed, draw(st.sampled_from(["soft", "int", "bool"])))
    options = draw(OWN[loss]) if loss in OWN else {}
    pick = draw(
        st.sets(
            st.sampled_from(
                ["pos_weight", "weight", "sample_weight", "label_weight", "smoothing", "ignore", "mask", "normalizer"]
            )
        )
    )
    if len(shape) > 1:
        options["label_axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    labels = (shape[options["label_axis"]],) if len(shape) > 1 else draw(st.sampled_from([(), (1,)]))
    for name in ("pos_weight", "label_weight"):
        if name in pick:
            options[name] = rng.integers(0, 5, draw(st.sampled_from([(), labels]))) / 2
    if "sample_weight" in pick:
        options["sample_weight"] = rng.integers(0, 5, shape[:1]) / 4
    ones = tuple(1 if draw(st.booleans()) else length for length in shape)
    if "weight" in pick:
        options["weight"] = rng.exponential(size=ones).astype(draw(st.sampled_from(["f4", "f8"])))
    if "mask" in pick:
        options["mask"] = rng.random(ones) < 0.7
    if "smoothing" in pick:
        options["label_smoothing"] = draw(st.sampled_from([0.1, 0.5, 1.0]))
    if "ignore" in pick and t.dtype != bool and t.size:
        options["ignore_index"], t = _marked(t, rng, draw)
    options["reduction"] = draw(st.sampled_from(REDUCTION_NAMES))
    if options["reduction"] in ("sum", "mean", "weighted_mean") and shape and draw(st.booleans()):
        axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
        options["axis"] = axes.pop() - len(shape) if len(axes) == 1 else tuple(axes)
    if "normalizer" in pick and options["reduction"] != "none":
        options["normalizer"] = 7.5
    return loss, x, t, options


def _marked(t, rng, draw):
    value = draw(st.sampled_from([-1, -100, 255] if t.dtype.kind == "i" else [-1, 0.1, float("nan")]))
    return value, np.where(rng.random(t.shape) < 0.3, np.asarray(value, t.dtype), t)


@settings(max_examples=300, deadline=None)
@given(calls())
def test_any_combination_of_options(call):
    loss, x, t, options = call
    want = reference(loss, x, t, **options)
    value = LOSSES[loss](x, t, **options)
    value2, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    close(value, want.value)
    close(value2, want.value)
    close(gradient, want.gradient)
    elementwise = {name: given for name, given in options.items() if name not in ("reduction", "axis", "normalizer")}
    gradient, hessian = ll.grad_and_hess(x, t, loss=LOSSES[loss], **elementwise)
    close(gradient, want.slopes)
    close(hessian, want.hessians, rtol=1e-11)
    if options["reduction"] != "none":
        named = {name: options[name] for name in options if name not in OWN_NAMES}
        close(ll.denominator(t, **named), want.denominator)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("shape", "options"), ALONE.values(), ids=ALONE.keys())
def test_each_option_alone(loss, shape, options):
    x, t = data(loss, shape, 5, "soft")
    want = reference(loss, x, t, **options)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    close(value, want.value)
    close(gradient, want.gradient)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32], ids=["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(("shape", "options"), ALONE.values(), ids=ALONE.keys())
def test_each_option_in_short_types(dtype, shape, options):
    x, t = data("logits", shape, 6, "soft")
    x, t = x.astype(dtype), t.astype(np.float32)
    want = reference("logits", x, t, **options)
    value, gradient = ll.value_and_grad(x, t, **options)
    assert gradient.dtype == x.dtype
    close(value, want.value, rtol=1e-6)
    close(gradient.astype(float), want.gradient, rtol=max(2e-6, float(ml_dtypes.finfo(dtype).eps)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_what_is_masked_leaves_no_trace(loss, dtype):
    """NaN, infinities and targets out of range under the mask: gradient exactly +0, value as without the elements."""
    x, t = data(loss, (400,), 8, "soft")
    x, t = x.astype(dtype), t.astype(dtype)
    keep = np.random.default_rng(9).random(400) < 0.6
    want = ll.value_and_grad(x[keep], t[keep], loss=LOSSES[loss], reduction="none")
    dirty_x, dirty_t = np.where(keep, x, dtype(np.nan)), np.where(keep, t, dtype(-7))
    dirty_x[~keep] = np.resize([np.nan, np.inf, -np.inf, 3.0], (~keep).sum())
    for options, target in (({"mask": keep}, dirty_t), ({"ignore_index": -7}, dirty_t)):
        value, gradient = ll.value_and_grad(dirty_x, target, loss=LOSSES[loss], reduction="none", **options)
        for got, exactly in zip((value, gradient), want, strict=True):
            np.testing.assert_array_equal(got[keep], exactly)
            assert not got[~keep].any()
            assert not np.signbit(got[~keep]).any()
        mean, _ = ll.value_and_grad(dirty_x, target, loss=LOSSES[loss], **options)
        assert mean == pytest.approx(want[0].mean(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize(("value", "dtype"), IGNORED)
@pytest.mark.parametrize("logits", ["float32", "float64"])
def test_ignored_values_of_every_type(value, dtype, logits):
    marker = np.dtype(dtype).type(np.float32(value) if dtype == "float32" else value)
    value = float(marker) if np.dtype(dtype).kind == "f" else value
    t = np.array([0, marker, 1, marker, 0, 1], dtype)
    x = np.array([0.5, np.nan, -1.0, np.inf, 2.0, 3.0], logits)
    counts = ~np.isnan(t) if value != value else t != marker
    want = ll.value_and_grad(x[counts], t[counts])
    got, gradient = ll.value_and_grad(x, t, ignore_index=value)
    assert got == want[0]
    np.testing.assert_array_equal(gradient[counts], want[1])
    assert not gradient[~counts].any()
    assert ll.denominator(t, ignore_index=value) == counts.sum()


def test_ignored_bfloat16():
    t = np.array([0, -1, 1], ml_dtypes.bfloat16)
    assert ll.binary_cross_entropy_with_logits(
        [1.0, 2.0, 3.0], t, ignore_index=-1
    ) == ll.binary_cross_entropy_with_logits([1.0, 3.0], [0, 1])


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("logits", ["float32", "float64"])
def test_a_target_just_beside_the_ignored_one_counts(value, logits):
    """Compared in the target's own type: float32 would take the neighbours for the value itself."""
    t = np.array([value, np.nextafter(value, 0.5) if value != 0.5 else np.nextafter(0.5, 1), value])
    x = np.array([1.0, 2.0, 3.0], logits)
    assert ll.denominator(t, ignore_index=value) == 1
    value_, gradient = ll.value_and_grad(x, t, ignore_index=value, reduction="none")
    assert list(value_ != 0) == [False, True, False]
    assert list(gradient != 0) == [False, True, False]


@pytest.mark.parametrize(
    ("value", "other", "dtype"),
    [
        (2, 2**40, "int64"),
        (2**53 + 1, 2**53, "int64"),
        (2**40, 2**40 + 1, "int64"),
        (2.0, 1 + 1e-12, "float64"),
        (5.0, 5 + 1e-9, "float64"),
        (-1.0, -1 - 1e-10, "float64"),
    ],
)
def test_a_bad_target_is_not_taken_for_the_ignored_one(value, other, dtype):
    with pytest.raises(ll.InvalidInputError, match="1 of 3 values is not"):
        ll.binary_cross_entropy_with_logits(
            np.zeros(3, np.float32), np.array([1, value, other], dtype), ignore_index=value
        )
    x = np.full(3, 0.5)
    with pytest.raises(ll.InvalidInputError, match="1 of 3 values is not"):
        ll.value_and_grad(x, np.array([1, value, other], dtype), ignore_index=value, out=x)
    assert x.tolist() == [0.5] * 3


def test_a_weight_of_zero_counts_and_hides_nothing():
    assert (
        ll.binary_cross_entropy_with_logits([2.0, 2.0], [0, 0], sample_weight=[1, 0])
        == ll.binary_cross_entropy_with_logits([2.0], [0]) / 2
    )
    with pytest.raises(ll.InvalidInputError, match="targets must be in"):
        ll.binary_cross_entropy_with_logits([2.0, 2.0], [0, 5], sample_weight=[1, 0])


def test_weight_zero_of_an_infinite_loss_is_zero():
    value, gradient = ll.value_and_grad([np.inf, 1.0], [0, 1], weight=[0, 1], reduction="sum")
    assert value == ll.binary_cross_entropy_with_logits([1.0], [1])
    assert gradient[0] == 0


def test_lists_and_integers_become_float64():
    value, gradient = ll.value_and_grad([1, -2], [True, False], reduction="none")
    assert value.dtype == gradient.dtype == np.float64
    np.testing.assert_array_equal(
        value, ll.binary_cross_entropy_with_logits(np.array([1.0, -2.0]), np.array([1.0, 0.0]), reduction="none")
    )
    assert ll.binary_cross_entropy_with_logits(1, 1) == ll.binary_cross_entropy_with_logits(1.0, True)
