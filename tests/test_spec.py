"""What a caller may ask for: every option and loss as documented, and what reductions divide by."""

from __future__ import annotations

import inspect
from math import inf, nan
from typing import get_type_hints

import numpy as np
import pytest

import logloss as ll
from logloss._backends.operands import OptionArrays
from logloss._spec import losses, options, reductions
from logloss._spec.losses import ASYMMETRIC, CROSS_ENTROPY, FOCAL, LOGITS, PROBABILITY, Loss, Number, Primitive
from logloss._spec.options import Option, Options
from reference import message
from stand_ins import Graph, Lengths

# ---- losses ---------------------------------------------------------------------------------------------------------

NUMBERS = {
    "cross_entropy": [],
    "probabilities": [("eps", None, 0, 0.5, True, False)],
    "log_probabilities": [],
    "focal": [("gamma", 2, 0, inf, False, False), ("alpha", None, 0, 1, True, True)],
    "asymmetric": [
        ("gamma_neg", 4, 0, inf, False, False),
        ("gamma_pos", 1, 0, inf, False, False),
        ("clip", 0.05, 0, 1, True, False),
    ],
}
"""Name, default, the interval, whether None is a value, whether each label may have its own."""


def described(one):
    return one.name, one.default, one.low, one.high, one.optional, one.per_label


def test_numbers_of_the_losses():
    assert {loss.name: [described(one) for one in loss.numbers] for loss in losses.ROWS} == NUMBERS
    assert described(losses.SMOOTHING) == ("label_smoothing", 0, 0, 1, False, False)
    assert losses.BY_NAME.items() >= {loss.name: loss for loss in losses.ROWS}.items()
    assert ASYMMETRIC.defaults == (4, 1, 0.05)


@pytest.mark.parametrize(
    ("loss", "focused", "single", "wide", "neutral"),
    [
        (CROSS_ENTROPY, False, True, False, None),
        (PROBABILITY, False, False, False, None),
        (losses.METRIC, False, False, True, None),
        (losses.LOG_PROBABILITY, False, False, False, None),
        (FOCAL, True, False, False, (0, 1, 1)),
        (ASYMMETRIC, True, False, False, (0, 0, 0)),
        (Loss("another", LOGITS), False, False, False, None),
    ],
)
def test_how_losses_are_computed(loss, focused, single, wide, neutral):
    assert (loss.focused, loss.single, loss.wide, loss.neutral) == (focused, single, wide, neutral)
    assert [loss.bits(itemsize) for itemsize in (2, 4, 8)] == ([32, 32, 64] if single else [64, 64, 64])


@pytest.mark.parametrize(
    ("quantity", "bounded", "inside", "beyond"),
    [
        (losses.LOGITS, False, [-inf, -1.0, 0.0, inf], []),
        (losses.PROBABILITIES, True, [0.0, 0.5, 1.0], [-5e-324, np.nextafter(1.0, 2.0), -inf, inf]),
        (losses.LOG_PROBS, True, [-inf, -1.0, -0.0, 0.0], [5e-324, inf]),
        (losses.Quantity("positive", low=0.0), True, [0.0, inf], [-5e-324, -inf]),
    ],
)
def test_what_a_first_array_may_hold(quantity, bounded, inside, beyond):
    assert quantity.bounded is bounded
    assert [quantity.holds(x) for x in inside] == [True] * len(inside)
    assert [quantity.holds(x) for x in [*beyond, nan]] == [False] * (len(beyond) + 1)
    assert quantity.holds(np.array([*inside, *beyond])).tolist() == [True] * len(inside) + [False] * len(beyond)


def test_what_stands_in_for_an_element_that_does_not_count():
    assert [quantity.inside for quantity in (losses.LOGITS, losses.PROBABILITIES, losses.LOG_PROBS)] == [0, 0.5, -1]


@pytest.mark.parametrize(
    ("loss", "numbers", "parameters"),
    [
        (PROBABILITY, (None,), (0,)),
        (PROBABILITY, (0.25,), (0.25,)),
        (FOCAL, (3, None), (3, 1, 1)),
        (FOCAL, (3, 0.25), (3, 0.25, 0.75)),
        (ASYMMETRIC, (4, 1, None), (1, 4, 0)),
        (ASYMMETRIC, (4, 1, 0.5), (1, 4, 0.5)),
        (Loss("another", LOGITS), (5, 6), (5, 6)),
    ],
)
def test_from_numbers_to_parameters(loss, numbers, parameters):
    assert loss.compiled(*numbers) == parameters


def test_numbers_by_name():
    assert Primitive(ASYMMETRIC).numbers == {"gamma_neg": 4, "gamma_pos": 1, "clip": 0.05}
    assert Primitive(FOCAL, (0, 0.5)).numbers == {"gamma": 0, "alpha": 0.5}
    with pytest.raises(ValueError, match="shorter"):
        Primitive(FOCAL, (1.0,)).numbers  # noqa: B018 - asking is what fails


def test_a_loss_knows_whether_its_numbers_are_the_defaults():
    assert losses.primitive(FOCAL) == Primitive(FOCAL)
    assert losses.primitive(FOCAL, gamma=FOCAL.defaults[0], alpha=None) == Primitive(FOCAL)
    assert losses.primitive(FOCAL, alpha=0.25) == Primitive(FOCAL, (2, 0.25))
    gamma = np.array([2.0, 2.0])
    assert losses.primitive(FOCAL, gamma=gamma).given[0] is gamma  # nobody asks whether it equals 2


@pytest.mark.parametrize(
    ("loss", "numbers", "plain"),
    [
        (FOCAL, (0.0, None), True),
        (FOCAL, (0, None), True),
        (FOCAL, (0.0, 0.5), False),
        (FOCAL, (1.0, None), False),
        (FOCAL, (np.float64(0.0), None), False),
        (FOCAL, (), False),
        (ASYMMETRIC, (0, 0.0, None), True),
        (ASYMMETRIC, (0, 0, 0), True),
        (ASYMMETRIC, (0, 0, 0.05), False),
        (ASYMMETRIC, (0, False, 0), False),
        (PROBABILITY, (None,), False),
        (CROSS_ENTROPY, (), False),
    ],
)
def test_losses_that_are_the_cross_entropy(loss, numbers, plain):
    """Only where Python's own numbers say so: arrays may be learnt, or open to a compiler."""
    given = Primitive(loss, numbers)
    assert losses.reduced(given) is (losses.PLAIN_LOSS if plain else given)


def test_another_framework_s_loss_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr(losses, "BY_NAME", {})
    loss = Loss("another", LOGITS)
    assert losses.named(loss) is loss
    assert list(losses.BY_NAME.items()) == [("another", loss)]
    one = Number("alpha", None, 0.0, 1.0, "")
    assert (one.optional, one.per_label) == (False, False)


# ---- options --------------------------------------------------------------------------------------------------------

# Default, kind, type in the signature of an operator; changes an element? part of its weight? comes with the data?
FIELDS = {
    "pos_weight": (None, "real", "", True, False, False),
    "weight": (None, "real", "", True, True, False),
    "sample_weight": (None, "real", "", True, True, True),
    "label_weight": (None, "real", "", True, True, False),
    "label_axis": (-1, "static", "int", True, True, False),
    "label_smoothing": (0.0, "number", "", True, False, False),
    "ignore_index": (None, "static", "float?", True, True, False),
    "mask": (None, "boolean", "", True, True, True),
    "validate": (True, "static", "str", False, True, False),
    "axis": (None, "static", "int[]?", False, True, False),
    "reduction": ("mean", "static", "str", False, True, False),
    "normalizer": (None, "real", "", False, True, True),
}


def test_every_option():
    assert {name: tuple(option) for name, option in options.FIELDS.items()} == FIELDS
    assert {name: getattr(options.DEFAULTS, name) for name in FIELDS} == {name: FIELDS[name][0] for name in FIELDS}
    assert tuple(Option(1, "real")) == (1, "real", "", True, True, False)
    assert {name for name in FIELDS if name not in options.ELEMENTWISE} == {
        "validate",
        "axis",
        "reduction",
        "normalizer",
    }
    assert options.ARRAYS == ("pos_weight", "weight", "sample_weight", "label_weight", "mask", "normalizer")
    assert options.STATIC == ("label_axis", "ignore_index", "validate", "axis", "reduction")
    assert sorted(options.STATIC + options.VARYING) == sorted(FIELDS)


@pytest.mark.parametrize(
    ("validate", "signed"),
    [("signed", True), ("signed now", True), ("now", False), (True, False), (False, False), (["signed"], False)],
)
def test_where_weights_may_be_negative(validate, signed):
    assert options.is_signed(validate) is signed
    assert options.SIGNED == {True: "signed", "now": "signed now"}


def test_options_of_a_call():
    array = np.ones(3)
    some = Options(weight=array, pos_weight=2.0, label_weight=3, mask=None, label_smoothing=np.array(0.1), axis=(0,))
    assert some.arrays == {"weight": array}
    assert some.given["axis"] == some.axis == (0,)
    assert (some.reduction, some.sample_weight, some.validate) == ("mean", None, True)
    assert some.replace(axis=1, reduction="sum").given == {**some.given, "axis": 1, "reduction": "sum"}
    assert list(some.without({"weight", "axis", "validate"}).given) == [
        "pos_weight",
        "label_weight",
        "mask",
        "label_smoothing",
    ]
    assert repr(Options(axis=(0, 1), reduction="sum")) == "Options(axis=(0, 1), reduction='sum')"


def test_options_are_equal_where_they_were_given_alike():
    one = Options(axis=0, reduction="sum")
    assert one == Options(reduction="sum", axis=0)
    assert hash(one) == hash(Options(reduction="sum", axis=0))
    assert len({hash(Options(axis=axis)) for axis in (None, 0, 1, (0, 1))}) == 4
    for other in (Options(axis=0), Options(axis=1, reduction="sum"), Options(), {"axis": 0, "reduction": "sum"}):
        assert one != other


def test_options_that_differ_from_their_defaults():
    array = np.ones(2)
    values = {"weight": array, "mask": None, "axis": None, "reduction": "sum", "validate": True, "label_axis": 1}
    assert options.given_options(values).given == {"weight": array, "reduction": "sum", "label_axis": 1}


@pytest.mark.parametrize("kind", [options.Unreduced, options.AlongAxes, options.ToOneNumber])
def test_what_says_whether_a_result_is_an_array_names_options(kind):
    assert get_type_hints(kind).keys() <= FIELDS.keys()
    assert get_type_hints(kind).keys() >= options.ELEMENTWISE | {"reduction"}
    assert not any(one.__total__ for one in (options.ElementOptions, options.LossOptions, kind))  # all may be left out


def test_an_option_that_does_not_exist_has_no_default():
    with pytest.raises(AttributeError, match="smoothing"):
        Options(label_smoothing=0.1).smoothing  # noqa: B018 - asking is what fails


def test_signatures_name_every_option():
    @options.signed
    def loss(logits, *, own=1, **given):
        return logits, own, given

    parameters = inspect.signature(loss).parameters
    assert list(parameters) == ["logits", "own", *FIELDS]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in FIELDS)
    assert {name: parameters[name].default for name in FIELDS} == {name: FIELDS[name][0] for name in FIELDS}
    assert parameters["reduction"].annotation is str
    assert loss(3, axis=0) == (3, 1, {"axis": 0})


# ---- reductions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"reduction": name} for name in reductions.REDUCTIONS] + [{}, {"axis": 0}])
def test_reductions_that_there_are(given):
    assert reductions.REDUCTIONS == ("none", "sum", "mean", "weighted_mean", "batchmean")
    reductions.check_static(Options(**given))


@pytest.mark.parametrize("reduction", ["sum", "mean", "weighted_mean"])
def test_reductions_along_axes_and_by_another_denominator(reduction):
    reductions.check_static(Options(reduction=reduction, axis=0, normalizer=3))
    reductions.check_static(Options(reduction="batchmean", normalizer=3))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"reduction": "average"},
            "reduction must be one of none, sum, mean, weighted_mean, batchmean; got 'average'.",
        ),
        ({"reduction": ["sum"]}, "reduction must be one of none, sum, mean, weighted_mean, batchmean; got ['sum']."),
        (
            {"reduction": "none", "axis": 0},
            'axis needs a reduction; got axis=0 with reduction="none". Leave one of them out.',
        ),
        (
            {"reduction": "none", "axis": 0, "normalizer": 3},
            'normalizer needs a reduction; got normalizer=3 with reduction="none". Leave one of them out.',
        ),
        (
            {"reduction": "batchmean", "axis": (0, 1)},
            'reduction="batchmean" divides the whole sum by the batch; got axis=(0, 1). Use "sum" with normalizer=.',
        ),
    ],
)
def test_reductions_that_cannot_be(given, text):
    assert message(ll.InvalidInputError, reductions.check_static, Options(**given)) == text


@pytest.mark.parametrize(
    ("axis", "reduced", "kept", "shape"),
    [
        (None, (0, 1, 2), (), ()),
        (0, (0,), (1, 2), (3, 5)),
        (1, (1,), (0, 2), (2, 5)),
        (-1, (2,), (0, 1), (2, 3)),
        ((-1, 0), (0, 2), (1,), (3,)),
        ((np.int64(-3), 1), (0, 1), (2,), (5,)),
        ((), (), (0, 1, 2), (2, 3, 5)),
    ],
)
def test_axes(axis, reduced, kept, shape):
    given = Options(axis=axis)
    assert reductions.axes_of(given, 3) == reduced
    assert reductions.kept_axes(given, 3) == kept
    assert reductions.reduced_shape(given, (2, 3, 5)) == shape


@pytest.mark.parametrize(
    ("axis", "remedy"),
    [(axis, "Use None to reduce over all of them.") for axis in (3, -4, (0, 3), 1.0, True, "0")]
    + [([0], "Use a tuple."), (np.array([0]), "Use a tuple."), (np.array(0), "Use int(axis).")],
    ids=repr,
)
def test_axes_that_are_none(axis, remedy):
    text = message(ll.InvalidInputError, reductions.reduced_axes, axis, 3)
    assert text == f"axis must name axes of logits with 3 axes; got {axis!r}. {remedy}"


@pytest.mark.parametrize("axis", [(0, 0), (1, -2), (2, 0, -1)])
def test_axes_that_are_named_twice(axis):
    text = message(ll.InvalidInputError, reductions.reduced_axes, axis, 3)
    assert text == f"axis must name each axis once; got {axis!r}. Negative axes count from the last, -1."


@pytest.mark.parametrize(
    ("given", "shape", "want"),
    [
        ({}, (2, 3, 5), 30),
        ({}, (), 1),
        ({"axis": 1}, (2, 3, 5), 3),
        ({"axis": (0, -1)}, (2, 3, 5), 10),
        ({"label_smoothing": 0.1, "weight": 2.0}, (2, 3), 6),
        ({"mask": True}, (2, 3), "counted"),
        ({"ignore_index": -1}, (2, 3), "counted"),
        ({"reduction": "weighted_mean"}, (2, 3), "weighed"),
        ({"reduction": "batchmean"}, (7, 3), 7),
        ({"reduction": "batchmean", "mask": True}, (7, 3), 7),
        ({"reduction": "batchmean"}, (), 1),
        ({"reduction": "sum", "mask": True}, (2, 3), 1),
        ({"reduction": "none"}, (2, 3), 1),
        ({"reduction": "weighted_mean", "normalizer": 9}, (2, 3), 9),
    ],
)
def test_denominators(given, shape, want):
    found = reductions.denominator(
        Options(**given), shape, lambda weighted: "weighed" if weighted else "counted", OptionArrays
    )
    assert found == want
    assert isinstance(found, str | float | np.ndarray)


@pytest.mark.parametrize(
    ("axis", "shape", "got", "axes"),
    [
        (None, (2, 3), (), None),
        (0, (2, 3), (), None),
        (0, (2, 3), (3,), (1,)),
        (1, (2, 3, 5), (2, 5), (0, 2)),
        (1, (None, 3), (None,), (0,)),
        (1, (None, 3), (7,), (0,)),
        (1, (7, 3), (None,), (0,)),
    ],
)
def test_normalizers(axis, shape, got, axes):
    given, graph = Lengths(*got), Graph()
    assert reductions.denominator(Options(axis=axis, normalizer=given), shape, None, graph) is given
    asked = [("check", "normalizer", True)]
    assert graph.found == (asked if axes is None else [*asked, ("as_long", "normalizer", axes, False)])


@pytest.mark.parametrize(
    ("axis", "got", "reduced"),
    [
        (None, (1,), ()),
        (0, (2, 5), (3, 5)),
        (0, (3,), (3, 5)),
        (0, (3, 5, 1), (3, 5)),
        (0, (1, 1), (3, 5)),
        ((0, 1), (3,), (5,)),
    ],
)
def test_normalizers_that_do_not_fit(axis, got, reduced):
    given = Options(axis=axis, normalizer=np.ones(got))
    text = message(ll.InvalidInputError, reductions.denominator, given, (2, 3, 5), None, OptionArrays)
    assert text == (
        f"normalizer must be a number or have the reduced shape {reduced}; got shape {got}. "
        "Give one number for all reduced values, or one for each."
    )
