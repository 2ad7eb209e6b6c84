"""Bad values: every error says the rule, how many, where, the first value and a hint; nothing is overwritten."""

from __future__ import annotations

import re
from decimal import Decimal

import ml_dtypes
import numpy as np
import pytest

import logloss as ll
from reference import LOSSES, message

bce = ll.binary_cross_entropy_with_logits
X = np.zeros((3, 4))
T = np.zeros((3, 4))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64", "float16", "float32", ">f8", "bfloat16"])
def test_the_value_is_shown_as_it_was_given(dtype):
    t = np.zeros((2, 3), ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    t[1, 1] = 7
    assert re.search(
        r"1 of 6 values is not, the first at index \(1, 1\): 7(\.0)?\. Class indices\?",
        message(ll.InvalidInputError, bce, np.zeros((2, 3)), t),
    )


@pytest.mark.filterwarnings("error")
def test_nan_in_bfloat16_is_described_without_a_warning():
    bad = np.array([0, np.nan], ml_dtypes.bfloat16)
    hint = "the first at index 1: nan. NaN targets count only as ignored"
    assert hint in message(ll.InvalidInputError, bce, np.zeros(2), bad)
    for name in ("sample_weight", "weight"):
        text = message(ll.InvalidInputError, bce, np.zeros(2), np.zeros(2), **{name: bad})
        assert f"{name} must be finite and not negative; 1 of 2 values is not, the first at index 1: nan" in text
    assert "probabilities must be" in message(ll.InvalidInputError, ll.binary_cross_entropy, bad, np.zeros(2))
    large = [1.0, 1e39]
    assert "weight of bfloat16 logits" in message(ll.InvalidInputError, bce, bad, np.zeros(2), weight=large)


def test_a_missing_label_is_named_by_its_value():
    assert "ignore_index=-1." in message(ll.InvalidInputError, bce, np.zeros(3), [0.0, -1.0, 0.5])


def test_large_counts_are_grouped():
    assert "1,000,000 of 1,000,000 values are not" in message(
        ll.InvalidInputError, bce, np.zeros(10**6, np.float32), np.full(10**6, 3, np.uint8)
    )


INFINITE = "Infinity comes from an overflow or a division by 0, such as 1 / count. Give a finite weight."
WEIGHT_HINTS = {
    "-1.0": "Use 0 to leave an element out of the sum, or validate=False to take negative weights as they are.",
    "nan": "NaN comes from a missing value or 0/0 before this call. Give the weight that was meant.",
    "inf": INFINITE,
    "-inf": INFINITE,
    "-1e-09": "At most 1e-09 below 0, by rounding? Use numpy.maximum({name}, 0).",
}


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf, -1e-9])
@pytest.mark.parametrize("name", ["sample_weight", "weight"])
def test_weights_outside_the_domain(name, bad):
    weight = np.ones(4)
    weight[2] = bad
    for function in (bce, ll.value_and_grad, ll.grad_and_hess):
        text = message(ll.InvalidInputError, function, np.zeros(4), np.ones(4), **{name: weight})
        assert text == (
            f"{name} must be finite and not negative; 1 of 4 values is not, the first at index 2: {bad!s}. "
            f"{WEIGHT_HINTS[str(bad)].format(name=name)}"
        )
    for options in ({}, {"reduction": "weighted_mean"}, {"reduction": "weighted_mean", "axis": 0}):
        assert name in message(ll.InvalidInputError, ll.denominator, np.ones(4), **options, **{name: weight})


def test_what_rounds_to_zero_depends_on_the_other_weights():
    for weight in ([1e-9, -1e-9], [0.0, -1e-3], [1e9, -1e4]):
        assert "Use 0 to leave" in message(ll.InvalidInputError, bce, [0.0, 1.0], [0, 1], weight=weight)
    for weight in ([1e9, -1e2], [0.0, -1e-9], [-1e-9, -1e-12]):
        assert "by rounding?" in message(ll.InvalidInputError, bce, [0.0, 1.0], [0, 1], weight=weight)


def test_negative_weights_are_taken_where_they_are_meant():
    x, t = np.array([0.3, -1.0]), [1, 0]
    first, second = bce(x, t, reduction="none")
    assert bce(x, t, weight=[2.0, -3.0], validate=False, reduction="sum") == pytest.approx(2 * first - 3 * second)


def test_where_a_bad_weight_stands():
    assert "the first at index 2: -1.0" in message(ll.InvalidInputError, bce, X, T, sample_weight=[1.0, 1.0, -1.0])
    assert "the first at index (0, 2): -1.0" in message(ll.InvalidInputError, bce, X, T, weight=[[1.0, 1.0, -1.0, 1.0]])
    for name in ("sample_weight", "weight"):  # one number for all stands nowhere
        assert "1 of 1 values is not: -1.0. Use 0" in message(ll.InvalidInputError, bce, X, T, **{name: -1.0})


def test_a_weight_too_large_for_the_arithmetic():
    large = np.ones(100_000)
    large[-1] = 1e39  # so many are converted piece by piece
    message(ll.InvalidInputError, bce, np.zeros(100_000, np.float32), np.zeros(100_000), weight=large)
    x = np.zeros(2, np.float32)
    text = message(ll.InvalidInputError, bce, x, [0, 1], weight=[1.0, 1e39])
    assert text == (
        "weight of float32 logits must be finite in float32; 1 of 2 values is not, the first at index 1: 1e+39. "
        "Use logits.astype('float64')."
    )
    assert bce(x.astype(np.float64), [0, 1], weight=[1.0, 1e39]) == pytest.approx(np.log(2) / 2 * 1e39)
    for name in ("weight", "sample_weight"):
        message(ll.InvalidInputError, ll.value_and_grad, x, [0, 1], out=x, **{name: [1.0, 1e39]})
        assert not x.any()  # as they were


def test_targets_of_a_denominator_are_checked():
    assert "targets must be in [0, 1]; 1 of 3 values is not" in message(
        ll.InvalidInputError, ll.denominator, [0, 1, -1]
    )
    assert ll.denominator([0, 1, -1], validate=False) == 3


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -1e-9])
@pytest.mark.parametrize("name", ["pos_weight", "label_weight"])
def test_label_weights_outside_the_domain(name, bad):
    text = message(ll.InvalidInputError, bce, X, T, **{name: [1, 1, bad, 1]})
    hint = "Use 0 to leave something out." if bad == -1 else WEIGHT_HINTS[str(bad)].format(name=name)
    assert text == f"{name} must be finite and not negative; got {bad:g} at index 2. {hint}"
    assert f"got {bad:g}. {hint}" in message(ll.InvalidInputError, bce, X, T, **{name: bad})
    matrix = [[1, 1, bad, 1]]  # of a shape that is refused too
    assert f"got {bad:g} at index (0, 2). " in message(ll.InvalidInputError, bce, X, T, **{name: matrix})


@pytest.mark.parametrize(
    ("loss", "bad", "rule"),
    [
        (
            "probabilities",
            1.5,
            (
                "probabilities must be in [0, 1] and not NaN; 1 of 3 values is not, the first at index 1: 1.5. "
                "For logits use binary_cross_entropy_with_logits."
            ),
        ),
        ("probabilities", -1e-9, "the first at index 1: -1e-09"),
        ("probabilities", np.nan, "the first at index 1: nan"),
        (
            "log_probs",
            0.1,
            (
                "log_probs must be at most 0 and not NaN; 1 of 3 values is not, the first at index 1: 0.1. For "
                "probabilities use binary_cross_entropy"
            ),
        ),
        ("log_probs", np.nan, "the first at index 1: nan"),
    ],
)
@pytest.mark.parametrize("target", [0, 1, 0.5])
def test_probabilities_outside_the_domain(loss, bad, rule, target):
    x = np.array([-0.5 if loss == "log_probs" else 0.5, bad, 0.0])
    for function, options in (
        (LOSSES[loss], {}),
        (ll.value_and_grad, {"loss": LOSSES[loss]}),
        (ll.grad_and_hess, {"loss": LOSSES[loss]}),
    ):
        assert rule in message(ll.InvalidInputError, function, x, [0, target, 0], **options)


def test_weights_are_blamed_only_where_they_are_to_blame():
    """float32 holds no 1e39, but probabilities are computed with in float64; and big-endian float64 is float64."""
    p, x = np.array([0.5, 2.5], "f4"), np.zeros(2, ">f8")
    assert "probabilities must be" in message(
        ll.InvalidInputError, ll.binary_cross_entropy, p, [0, 1], weight=[1e39, 1]
    )
    assert "targets must be" in message(ll.InvalidInputError, bce, x, [0, 3], weight=[1e39, 1])
    huge = np.array([1, np.longdouble("1e400")])
    text = message(ll.InvalidInputError, bce, [0.0, 1.0], [0, 1], weight=huge)
    assert text == (
        "weight of float64 logits must be finite in float64; 1 of 2 values is not, the first at index 1: 1e+400. "
        "Divide all of them by the largest."
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("loss", LOSSES)
def test_single_numbers(loss, dtype):
    """Without axes there is no index, and always a message."""
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    x, bad = np.array(-0.5 if loss == "log_probs" else 0.5, dtype), np.array(1.5, dtype)
    right = np.array(1, dtype)
    for function, options in ((LOSSES[loss], {}), (ll.value_and_grad, {"loss": LOSSES[loss]})):
        text = message(ll.InvalidInputError, function, x, bad, **options)
        assert text.startswith("targets must be in [0, 1]; 1 of 1 values is not: 1.5. ")
        for name in ("weight", "sample_weight"):
            text = message(ll.InvalidInputError, function, x, right, **options, **{name: -bad})
            assert text.startswith(f"{name} must be finite and not negative; 1 of 1 values is not: -1.5. ")
        if loss in ("probabilities", "log_probs"):
            text = message(ll.InvalidInputError, function, bad, right, **options)
            assert text.startswith(f"{loss} must be")
            assert "; 1 of 1 values is not: 1.5. " in text


def test_float32_probabilities_just_above_one_are_outside():
    message(ll.InvalidInputError, ll.binary_cross_entropy, np.array([np.nextafter(np.float32(1), np.float32(2))]), [1])
    message(ll.InvalidInputError, ll.binary_cross_entropy, np.array([-1e-45], np.float32), [1])


@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf])
def test_normalizers(bad):
    assert "normalizer must be positive and finite; got" in message(ll.InvalidInputError, bce, X, T, normalizer=bad)
    assert "Use reduction='sum' to divide by nothing." in message(
        ll.InvalidInputError, ll.value_and_grad, X, T, normalizer=[1, bad, 1], axis=1
    )


def test_shape_of_a_normalizer():
    assert "a number or have the reduced shape (3,); got shape (4,). Give one number for all" in message(
        ll.InvalidInputError, bce, X, T, normalizer=np.ones(4), axis=1
    )


# ---- nothing is overwritten -----------------------------------------------------------------------------------------

BROKEN = {
    "target": ({"t": 3.0}, {}),
    "weight": ({}, {"weight": -1.0}),
    "sample_weight": ({}, {"sample_weight": np.nan}),
}


@pytest.mark.parametrize("size", [10, 600_001])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", [*BROKEN, "input"])
def test_in_place_leaves_the_input_untouched(case, loss, size):
    """The last element is bad: without a check first, all before it would have been overwritten."""
    rng = np.random.default_rng(0)
    x, t = rng.random(size) - (1 if loss == "log_probs" else 0), rng.random(size)
    options = {}
    if case == "input":
        if loss not in ("probabilities", "log_probs"):
            x[-1] = np.nan  # any real number is a logit, and NaN gives NaN
            assert np.isnan(ll.value_and_grad(x, t, loss=LOSSES[loss], out=x)[0])
            return
        x[-1] = 2.0
    if case == "target":
        t[-1] = 3.0
    if "weight" in case:
        options[case] = np.ones(size)
        options[case][-1] = BROKEN[case][1][case]
    before = [x.copy(), t.copy()]
    message(ll.InvalidInputError, ll.value_and_grad, x, t, loss=LOSSES[loss], out=x, **options)
    message(ll.InvalidInputError, ll.value_and_grad, x, t, loss=LOSSES[loss], out=t, **options)
    message(
        ll.InvalidInputError,
        ll.value_and_grad,
        x[1:],
        t[1:],
        loss=LOSSES[loss],
        out=x[:-1],
        **{n: w[1:] for n, w in options.items()},
    )
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(t, before[1])


def test_in_place_with_a_bad_normalizer_or_mean_leaves_the_input_untouched():
    x, t = np.ones(5), np.ones(5)
    for options in (
        {"normalizer": 0},
        {"reduction": "average"},
        {"pos_weight": -1},
        {"axis": 3},
        {"ignore_index": "x"},
        {"mask": [1, 0, 1, 1, 1]},
    ):
        message(ll.InvalidInputError, ll.value_and_grad, x, t, out=x, **options)
    np.testing.assert_array_equal(x, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_of_number_is_judged(dtype):
    """Signs are collected bit by bit: those of -0.0, of NaN, of infinities, and of what lies next to a bound."""
    least, one, most = np.nextafter(dtype(0), dtype(1)), dtype(1), np.finfo(dtype).max
    unit = [dtype(0), dtype(-0.0), least, one / 3, one]
    bad = [-least, -one, -most, dtype(-np.inf), dtype(np.inf), dtype(np.nan), -dtype(np.nan)]
    outside, ones = [*bad, np.nextafter(one, dtype(2)), most], np.ones((40, 1), dtype)

    def found(value, place):
        x, t, p, weight = (
            np.zeros((40, 8), dtype),
            np.zeros((40, 8), dtype),
            np.full((40, 8), 0.5, dtype),
            np.ones((40, 8), dtype),
        )
        {"t": t, "t beside": t, "p": p, "p of soft": p, "w": weight, "w beside": weight}[place][37, 5] = value
        if place == "p of soft":
            t[0, 0] = 0.5
        calls = {
            "t": lambda: ll.value_and_grad(x, t),
            "t beside": lambda: ll.value_and_grad(x, t, sample_weight=ones[:, 0]),
            "p": lambda: ll.value_and_grad(p, t, loss=ll.binary_cross_entropy),
            "p of soft": lambda: ll.value_and_grad(p, t, loss=ll.binary_cross_entropy),
            "w": lambda: ll.value_and_grad(x, t, weight=weight),
            "w beside": lambda: ll.value_and_grad(x, t, weight=weight, sample_weight=ones[:, 0]),
        }
        try:
            calls[place]()
        except ll.InvalidInputError:
            return True
        return False

    for place in ("t", "t beside", "p", "p of soft"):
        assert not any(found(value, place) for value in unit), place
        assert all(found(value, place) for value in outside), place
    for place in ("w", "w beside"):
        assert not any(found(value, place) for value in [*unit, outside[-2]]), place
        assert all(found(value, place) for value in bad), place


def test_without_validation_nothing_is_checked_and_the_rest_is_right():
    x, t = np.array([0.5, 1.0, -2.0]), np.array([0.0, 7.0, 1.0])
    value, gradient = ll.value_and_grad(x, t, validate=False, reduction="none")
    np.testing.assert_array_equal(value[[0, 2]], bce(x[[0, 2]], t[[0, 2]], reduction="none"))
    assert np.isfinite(gradient[[0, 2]]).all()
    assert np.isfinite(bce(x, t, validate=False, weight=[1.0, -1.0, 1.0]))
    ll.value_and_grad(x, t, validate=False, out=x)
    assert (x != [0.5, 1.0, -2.0]).all()
    message(ll.InvalidInputError, bce, x, t[:2], validate=False)  # shapes are no matter of values


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_prices_that_float32_cannot_hold(dtype):
    x, t = np.zeros((2, 2), dtype), np.zeros((2, 2))
    for options in ({"pos_weight": 1e39}, {"pos_weight": 1e20, "label_weight": [1.0, 1e20]}):
        text = message(ll.InvalidInputError, bce, x, t, **options)
        assert "at most 3.4e+38" in text
        assert "float64" in text
        assert bce(x.astype(np.float64), t, **options) > 0


def test_prices_that_float64_cannot_hold():
    text = message(ll.InvalidInputError, bce, np.zeros(2), [0, 1], pos_weight=1e200, label_weight=1e200)
    assert text == "pos_weight times label_weight must be at most 1.8e+308 for logits of 64 bits; got inf. Divide both."


def test_a_label_axis_is_checked_even_where_nothing_uses_it():
    assert "label_axis" in message(ll.InvalidInputError, bce, X, T, label_axis=2)


@pytest.mark.parametrize("name", ["weight", "mask", "pos_weight"])
def test_masked_options_would_lose_their_mask(name):
    value = np.ma.masked_array(np.ones(X.shape, bool if name == "mask" else float), mask=False)
    with pytest.raises(ll.UnsupportedTypeError, match=f"{name} must not be a masked array"):
        bce(X, T, **{name: value})


@pytest.mark.parametrize("value", [True, np.True_, np.array(False), b"0", np.array("0"), 0j, 10**400])
def test_what_python_makes_a_number_of_is_none(value):
    own = {"label_smoothing": bce, "eps": ll.binary_cross_entropy, "clip": ll.asymmetric_loss}
    own |= dict.fromkeys(("gamma", "alpha"), ll.sigmoid_focal_loss)
    for name, loss in own.items():
        assert f"{name} must be a finite number in [0, " in message(
            ll.InvalidInputError, loss, T + 0.5, T, **{name: value}
        )
    for name in ("pos_weight", "label_weight", "weight", "sample_weight", "normalizer"):
        rule = "number; got" if "bool" in str(getattr(value, "dtype", type(value))) else "numbers"
        text = message(ll.InvalidInputError, bce, X, T, **{name: value})
        assert f"{name} must" in text
        assert rule in text


def test_whether_values_are_checked_is_not_guessed():
    for value in ("no", "NOW", 0, 1, None, [], np.array([True, False])):
        text = message(ll.InvalidInputError, bce, X, T, validate=value, sample_weight=np.ones(3))
        assert f'validate must be True, False or "now"; got {value!r}. Use False to skip the checks' in text
    for value in (False, np.False_):
        assert bce([0.0], [2], validate=value) == bce([0.0], [0]) * 1.0
    assert "targets must be in" in message(ll.InvalidInputError, bce, [0.0], [2], validate="now")


def test_options_that_are_masked_arrays():
    masked = np.ma.masked_array(np.ones(4), [True, False, False, False])
    for name in ("pos_weight", "label_weight", "weight", "mask", "normalizer"):
        text = message(ll.UnsupportedTypeError, bce, X, T, **{name: masked})
        assert f"{name} must not be a masked array: its mask would be lost. Use {name}.filled()" in text


@pytest.mark.parametrize("value", [10**400, Decimal("sNaN")])
def test_objects_that_are_no_number_of_float64(value):
    for logits, targets, name in (([0.0, value], [0, 1], "logits"), ([0.0, 1.0], [0, value], "targets")):
        assert f"{name} must hold numbers of float64" in message(ll.InvalidInputError, bce, logits, targets)
