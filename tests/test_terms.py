"""What options compile to: coefficients worked out by hand, and which numbers are refused."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest

import logloss as ll
from logloss._backends.operands import OptionArrays
from logloss._spec import terms as spec
from logloss._spec.losses import (
    ASYMMETRIC,
    CROSS_ENTROPY,
    FOCAL,
    LOG_PROBABILITY,
    PROBABILITY,
    SMOOTHING,
    Number,
    Primitive,
)
from logloss._spec.options import Options
from reference import message
from stand_ins import SHAPE, along, compiled, same

# ---- prices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        (CROSS_ENTROPY, ()),
        (PROBABILITY, (0,)),
        (LOG_PROBABILITY, ()),
        (FOCAL, (2, 1, 1)),
        (ASYMMETRIC, (1, 4, 0.05)),
    ],
)
def test_no_option(loss, parameters):
    found = compiled(loss=Primitive(loss), reduction="sum", axis=0)
    assert found == ((1, 0, 1, 0), None, None, None, None, (1, 0), parameters)
    assert compiled(loss=Primitive(loss)) is found  # found once


def test_an_option_that_changes_nothing_compiles_to_no_option():
    assert compiled(loss=Primitive(FOCAL), pos_weight=1.0) == compiled(loss=Primitive(FOCAL))
    assert compiled(label_axis=0) == compiled()


@pytest.mark.parametrize(
    ("options", "prices"),
    [
        ({"pos_weight": 3.0}, (3, 0, 1, 0)),
        ({"pos_weight": 0}, (0, 0, 1, 0)),
        ({"label_weight": 5}, (5, 0, 5, 0)),
        ({"label_weight": np.float32(5)}, (5, 0, 5, 0)),
        ({"pos_weight": [3.0], "label_weight": np.array(5)}, (15, 0, 5, 0)),
        ({"label_smoothing": 0.25}, (0.75, 0.125, 0.75, 0.125)),
        ({"label_smoothing": 1}, (0, 0.5, 0, 0.5)),
        ({"label_smoothing": 0.25, "pos_weight": 3.0, "label_weight": 5.0}, (11.25, 1.875, 3.75, 0.625)),
        ({"label_smoothing": 0, "pos_weight": [1, 2, 3, 4]}, (along(2, 1, 2, 3, 4), 0, 1, 0)),
        (
            {"pos_weight": [1, 2, 3, 4], "label_weight": [5.0, 6] * 2},
            (along(2, 5, 12, 15, 24), 0, along(2, 5, 6, 5, 6), 0),
        ),
        ({"pos_weight": [2, 3], "label_axis": 0}, (along(0, 2, 3), 0, 1, 0)),
        ({"pos_weight": [2, 3, 4], "label_axis": -2}, (along(1, 2, 3, 4), 0, 1, 0)),
    ],
    ids=str,
)
def test_prices(options, prices):
    found = compiled(**options).prices
    for one, want in zip(found, prices, strict=True):
        same(one, want)
        assert isinstance(one, float | np.ndarray)


def test_smoothing():
    assert spec.smoothing(0.25) == (0.75, 0.125)
    assert compiled(label_smoothing=0.25).smoothing == (0.75, 0.125)
    assert compiled(label_smoothing=0).smoothing == (1, 0)
    assert compiled(pos_weight=2.0).smoothing == (1, 0)


def test_smoothing_that_is_learnt_is_kept_where_it_is_zero():
    """Its derivative is not."""

    class Learnt(OptionArrays):
        @staticmethod
        def number(_, value):
            return value

    zero = np.zeros(())
    found = compiled(label_smoothing=zero, arrays=Learnt)
    assert all(isinstance(price, np.generic) for price in found.prices)
    assert found.prices == (1, 0, 1, 0)


def test_weights_without_prices():
    """What "weighted_mean" divides by."""
    some = {"weight": 2.0, "sample_weight": [3, 4], "mask": True, "ignore_index": 9}
    options = Options(pos_weight=7.0, label_weight=5.0, label_smoothing=0.5, **some)
    found = spec.weights_only(options, SHAPE, "float64", OptionArrays)
    assert found.prices == (5, 0, 0, 0)
    assert found.smoothing == (1, 0)
    assert found.parameters == ()
    same(found.row, along(0, 3, 4))
    same(found.element, np.full((1, 1, 1), 2.0))
    same(found.mask, np.full((1, 1, 1), True))
    assert found.ignored == 9


# ---- numbers --------------------------------------------------------------------------------------------------------


class Many:
    """As several numbers in a tensor: what asks for one gets this error."""

    dtype = "float32"

    def __float__(self):
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")

    def __repr__(self):
        return "many"


ONE = Number("alpha", None, 0.5, 3.0, "Take 1.", optional=True)


@pytest.mark.parametrize(
    ("value", "want"), [(0.5, 0.5), (3, 3.0), (np.float32(1.5), 1.5), (np.array(2), 2.0), (Fraction(1), 1.0)]
)
def test_numbers_in_their_interval(value, want):
    found = spec.number(ONE, value)
    assert found == want
    assert type(found) is float


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (0.4, "0.4"),
        (4, "4"),
        (np.float32(0.25), "0.25"),
        (np.array(4), "4.0"),
        (nan, "nan"),
        (np.array(nan), "nan"),
        (np.float32(nan), "nan"),
        ("much", "'much'"),
        ([1.0], "[1.0]"),
        (np.array([1.0]), "array([1.])"),
        (np.array([1.0, 2.0]), "array([1., 2.])"),
        (10**400, str(10**400)[:60]),
        (Many(), "many"),
        (inf, "inf"),
    ],
    ids=lambda one: repr(one)[:20],
)
def test_numbers_that_are_none(value, got):
    text = message(ll.InvalidInputError, spec.number, ONE, value)
    assert text == f"alpha must be a finite number in [0.5, 3]; got {got}. Take 1."


def test_numbers_without_a_bound_are_finite():
    gamma = FOCAL.numbers[0]
    assert spec.number(gamma, 1e308) == 1e308
    for value in (inf, np.float64(inf)):
        assert "in [0, inf]; got inf." in message(ll.InvalidInputError, spec.number, gamma, value)


def test_no_number():
    assert spec.number(ONE, None) is None
    text = message(ll.InvalidInputError, spec.number, SMOOTHING, None)
    assert text == "label_smoothing must be a finite number in [0, 1]; got None. 0 is no smoothing."


def test_numbers_of_a_loss():
    assert compiled(loss=Primitive(FOCAL, (3.0, 0.25))).parameters == (3, 0.25, 0.75)
    assert compiled(loss=Primitive(FOCAL), pos_weight=2.0).parameters == (2, 1, 1)
    assert compiled(loss=Primitive(FOCAL, (3, np.array(0.25)))).parameters == (3, 0.25, 0.75)
    assert compiled(loss=Primitive(ASYMMETRIC, (3, 2, None))).parameters == (2, 3, 0)
    for alpha in ([0.25, 0.5, 0.75, 1], (0.25, 0.5, 0.75, 1), np.array([0.25, 0.5, 0.75, 1])):
        gamma, positive, negative = compiled(loss=Primitive(FOCAL, (3.0, alpha))).parameters
        assert gamma == 3
        same(positive, along(2, 0.25, 0.5, 0.75, 1))
        same(negative, along(2, 0.75, 0.5, 0.25, 0))
    assert compiled(loss=Primitive(FOCAL, (3.0, [0.25]))).parameters == (3, 0.25, 0.75)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-1.0, None), "gamma must be a finite number in [0, inf]; got -1.0. gamma = 0 is the plain cross-entropy."),
        ((2.0, [0.5, 0.5, 0.5, 1.5]), "alpha must be a finite number in [0, 1]; got 1.5. alpha weighs positives, "),
        ((2.0, 7), "alpha must be a finite number in [0, 1]; got 7. alpha weighs positives, "),
        ((2.0, [0.5] * 3), "alpha must be a number or a vector of length 4, the logits' axis 2; got shape (3,) for "),
        (([2.0] * 4, None), "gamma must be a finite number in [0, inf]; got [2.0, 2.0, 2.0, 2.0]. "),
        ((2.0, "a"), "alpha must be a finite number in [0, 1]; got 'a'. "),
    ],
)
def test_numbers_of_a_loss_that_cannot_be(numbers, text):
    assert message(ll.InvalidInputError, compiled, loss=Primitive(FOCAL, numbers)).startswith(text)


# ---- ignored targets ------------------------------------------------------------------------------------------------


def test_ignored_targets():
    assert compiled(pos_weight=1.0, dtype=None).ignored is None
    found = compiled(ignore_index=-1.0, dtype="int64").ignored
    assert (found, type(found)) == (-1, int)
    assert compiled(ignore_index=Fraction(1, 4)).ignored == 0.25


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (-1, None, "ignore_index needs an array of targets; got positive indices. Use mask= to leave elements out."),
        (True, "int64", "ignore_index must be one number; got True. For several values use mask=."),
        ("x", "int64", "ignore_index must be one number; got 'x'. For several values use mask=."),
        ([0, 1], "int64", "ignore_index must be one number; got [0, 1]. For several values use mask=."),
        (1j, "int64", "ignore_index must be one number; got 1j. For several values use mask=."),
        (256, "uint8", "that targets of dtype uint8 can hold; got 256. Convert the targets or use mask=."),
        (10**400, "float64", f"dtype float64 can hold; got {10**400}. Convert the targets or use mask=."),
    ],
    ids=lambda value: f"{value!s:.20}",
)
def test_ignored_targets_that_cannot_be(value, dtype, text):
    assert message(ll.InvalidInputError, compiled, ignore_index=value, dtype=dtype).endswith(text)
