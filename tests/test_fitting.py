"""Which weights and masks fit the elements, how they lie along them, and every sentence of refusal."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

import logloss as ll
from logloss._spec import terms as spec
from logloss._spec.losses import FOCAL, Primitive
from reference import message
from stand_ins import SHAPE, Asked, Graph, Lengths, along, compiled, same

# ---- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "ndim", "named"),
    [
        *((axis, 2, True) for axis in (-2, -1, 0, 1, np.int64(1))),
        *((axis, 2, False) for axis in (-3, 2, 3, 1.0, True, False, "1", None, np.array([0, 1]))),
        (0, 0, False),
    ],
)
def test_names_of_axes(axis, ndim, named):
    assert spec.is_axis(axis, ndim) is named


@pytest.mark.parametrize("axis", [2, -3, "x", None, True])
def test_labels_along_no_axis(axis):
    text = message(ll.InvalidInputError, compiled, (3, 4), label_axis=axis)
    assert text == (
        f"label_axis must name an axis of the logits of shape (3, 4); got {axis!r}. Use -1 for the last, 1 for NCHW."
    )
    for shape in ((), (3,)):  # which have no labels
        assert compiled(shape, label_axis=axis).prices == (1, 0, 1, 0)


@pytest.mark.parametrize("name", ["pos_weight", "label_weight"])
@pytest.mark.parametrize("value", [-1.0, -1, inf, np.float64(inf), nan, [1, 1, 1, -1]], ids=repr)
def test_weights_of_labels_that_cannot_be(name, value):
    assert message(ll.InvalidInputError, compiled, **{name: value}).startswith(
        f"{name} must be finite and not negative; got "
    )


def test_a_weight_of_labels_that_is_a_float_is_not_asked_for():
    asked = Asked()
    assert [type(price) for price in compiled(arrays=asked, pos_weight=np.float64(2), label_weight=0.0).prices] == (
        [float] * 4
    )
    assert asked.found == []
    compiled(arrays=asked, pos_weight=2, label_weight=[1, 2, 3, 4])
    assert asked.found == [
        ("check", "pos_weight", False),
        ("check", "label_weight", False),
        ("as_long", "label_weight", (2,), True),
    ]


OF_LABELS = [
    ((3, 4), (3,), -1, "of length 4, the logits' axis 1", "Use label_axis=0."),
    ((3, 4), (4,), 0, "of length 3, the logits' axis 0", "Use label_axis=1."),
    ((3, 4), (1, 4), -1, "of length 4, the logits' axis 1", "Use pos_weight.reshape(-1) and label_axis=1."),
    ((3, 4), (4, 1), -1, "of length 4, the logits' axis 1", "Use pos_weight.reshape(-1) and label_axis=1."),
    ((3, 4), (5,), -1, "of length 4, the logits' axis 1", "Give one number per label."),
    ((4, 4), (2, 2), -1, "of length 4, the logits' axis 1", "Use pos_weight.reshape(-1) and label_axis=0."),
    ((5,), (5,), -1, "of length 1", "Are they labels of one row? Use reshape((1, 5)) of logits and targets."),
    (
        *((5,), (5, 1), -1, "of length 1"),
        "Are they labels of one row? Use pos_weight.reshape(-1) and reshape((1, 5)) of logits and targets.",
    ),
    ((5,), (4,), -1, "of length 1", "Give one number per label."),
    ((), (4,), -1, "of length 1", "Give one number per label."),
    ((None, 3), (4,), -1, "of length 3, the logits' axis 1", "Give one number per label."),
    ((None, None), (2, 2), -1, "as long as the logits' axis 1", "Give one number per label."),
    ((3, None), (1, 3), -1, "as long as the logits' axis 1", "Use pos_weight.reshape(-1) and label_axis=0."),
    ((None, 3), (None, 1), -1, "of length 3, the logits' axis 1", "Give one number per label."),
    ((None,), (None, 1), -1, "of length 1", "Give one number per label."),
]


@pytest.mark.parametrize(("shape", "got", "axis", "length", "remedy"), OF_LABELS)
def test_weights_that_fit_no_labels(shape, got, axis, length, remedy):
    given = {"pos_weight": Lengths(*got), "label_axis": axis, "arrays": Graph()}
    none = " (1-d logits have no label axis)" if length == "of length 1" else ""
    assert message(ll.InvalidInputError, compiled, shape, **given) == (
        f"pos_weight must be a number or a vector {length}{none}; got shape {got} for logits of shape {shape}. {remedy}"
    )


def test_weights_of_labels_that_may_be_weights_of_rows():
    """As pos_weight and alpha never are: these weigh a row's positives otherwise than its negatives."""
    for got in ((5,), (5, 1)):
        text = message(ll.InvalidInputError, compiled, (5,), label_weight=np.ones(got))
        assert text.endswith(" For one weight per row use sample_weight=label_weight.reshape(-1).")
    text = message(ll.InvalidInputError, compiled, (5,), Primitive(FOCAL, (2.0, np.full(5, 0.5))))
    assert text.endswith(" Are they labels of one row? Use reshape((1, 5)) of logits and targets.")


@pytest.mark.parametrize(
    ("shape", "got", "price", "axis"),
    [
        ((None,), (None,), (), None),
        ((None, 3), (1,), (), None),
        ((None, 3), (), (), None),
        ((None, 3), (None,), (1, -1), 1),
        ((None, 3), (3,), (1, -1), 1),
        ((None, None), (7,), (1, -1), 1),
    ],
)
def test_labels_of_which_only_a_graph_knows_how_many(shape, got, price, axis):
    graph = Graph()
    assert compiled(shape, arrays=graph, label_weight=Lengths(*got)).prices[0].shape == price
    assert graph.found[1:] == ([] if axis is None else [("as_long", "label_weight", (axis,), True)])


# ---- rows and elements ----------------------------------------------------------------------------------------------


def test_weights_of_rows():
    assert compiled(pos_weight=1.0).row is None
    same(compiled(sample_weight=2).row, np.full((1, 1, 1), 2))
    same(compiled(sample_weight=[3, 4]).row, along(0, 3, 4))
    same(compiled((2, 3), sample_weight=[3, 4]).row, np.array([[3], [4]]))
    same(compiled((2,), sample_weight=[3, 4]).row, np.array([3, 4]))
    same(compiled((), sample_weight=5).row, np.array(5))
    asked = Asked()
    compiled(arrays=asked, sample_weight=[3, 4])
    compiled(arrays=asked, sample_weight=3)
    assert asked.found == [("as_long", "sample_weight", (0,), False)]
    assert compiled((None, 3), arrays=Graph(), sample_weight=Lengths(7)).row.shape == (-1, 1)


OF_ROWS = [
    ((3, 4), (4,), "For one weight per label use label_weight=."),
    ((3, 4), (3, 4), "For one weight per element use weight=."),
    ((3, 4), (3, 1), "Use sample_weight.reshape(3)."),
    ((3, 4), (1, 3), "Use sample_weight.reshape(3)."),
    ((2, 3, 4), (4,), "For one weight per label use label_weight=."),
    ((2, 3, 4), (3, 4), "Give one weight per row."),
    ((3, 4), (5,), "Give one weight per row."),
    ((3, 4), (1,), "Give one weight per row."),
    ((3, 4), (2, 2), "Give one weight per row."),
    ((), (1,), "Give one weight per row."),
    ((3,), (2,), "Give one weight per row."),
    ((None, 4), (None, 2), "Give one weight per row."),
    ((None, 4), (None, 4), "For one weight per element use weight=."),
]


@pytest.mark.parametrize(("shape", "got", "remedy"), OF_ROWS)
def test_weights_that_fit_no_rows(shape, got, remedy):
    text = message(ll.InvalidInputError, compiled, shape, sample_weight=Lengths(*got), arrays=Graph())
    assert text == (
        f"sample_weight must have shape {shape[:1]}, one weight per row of logits of shape {shape}; "
        f"got shape {got}. {remedy}"
    )


@pytest.mark.parametrize(("name", "field"), [("weight", "element"), ("mask", "mask")])
def test_weights_and_masks_of_elements(name, field):
    assert getattr(compiled(pos_weight=1.0), field) is None
    one = np.bool_(True) if name == "mask" else np.float32(3)
    same(getattr(compiled(**{name: one}), field), np.full((1, 1, 1), one))
    asked = Asked()
    for shape in (SHAPE, (1, 3, 4), (2, 1, 1)):
        same(getattr(compiled(arrays=asked, **{name: np.full(shape, one)}), field), np.full(shape, one))
    assert asked.found == [("as_long", name, (0, 1, 2), True)] * 3
    known = Lengths(2, None, 1)
    assert getattr(compiled((None, 3, 4), arrays=Graph(), **{name: known}), field) is known


OF_ELEMENTS = [
    ((3, 4), (12,), "Use {}.reshape((3, 4)).", None),
    ((3, 4), (4, 3), "Use {}.reshape((3, 4)).", None),
    ((3, 4), (3,), "Weights of rows: use sample_weight=weight, or weight.reshape((3, 1)).", "rows"),
    ((3, 4), (4,), "Weights of labels: use label_weight=weight, or weight.reshape((1, 4)).", "labels"),
    ((2, 3, 4), (2,), "Weights of rows: use sample_weight=weight, or weight.reshape((2, 1, 1)).", "rows"),
    ((2, 3, 4), (4,), "Weights of labels: use label_weight=weight, or weight.reshape((1, 1, 4)).", "labels"),
    ((2, 3, 4), (3,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((3, 4), (3, 2), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((3, 4), (3, 4, 2), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((5,), (4,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((), (4,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((None, 4), (None,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((3, None), (None,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((None, 4), (8,), "Nothing broadcasts silently: give every axis its length or 1.", None),
    ((None, 4), (4,), "Weights of labels: use label_weight=weight, or weight.reshape((1, 4)).", "labels"),
]


@pytest.mark.parametrize("name", ["weight", "mask"])
@pytest.mark.parametrize(("shape", "got", "remedy", "axis"), OF_ELEMENTS)
def test_weights_and_masks_that_fit_no_elements(name, shape, got, remedy, axis):
    if name == "mask" and axis:  # no weight leaves out of the count what a mask leaves out
        remedy = f"For {axis} use mask{remedy.rpartition('weight')[2]}"
    text = message(ll.InvalidInputError, compiled, shape, arrays=Graph(), **{name: Lengths(*got)})
    assert text == (
        f"{name} must have the logits' shape {shape}, or 1 in place of any length; got shape {got}. "
        + remedy.format(name)
    )


def test_lengths_are_compared_as_numbers():
    """Python has one 5, but many 1000."""
    same(compiled((1000, 2), weight=np.ones((1000, 1))).element, np.ones((1000, 1)))
    for option, shape, got, remedy in (
        ("weight", (1000, 2), (2, 1000), "Use weight.reshape((1000, 2))."),
        ("weight", (1000, 2), (1000,), "Weights of rows: use sample_weight=weight, or weight.reshape((1000, 1))."),
        ("weight", (2, 1000), (1000,), "Weights of labels: use label_weight=weight, or weight.reshape((1, 1000))."),
        ("sample_weight", (1000, 2), (1000, 1), "Use sample_weight.reshape(1000)."),
        ("label_weight", (1000, 2), (1, 1000), "Use label_weight.reshape(-1) and label_axis=0."),
    ):
        assert message(ll.InvalidInputError, compiled, shape, **{option: np.ones(got)}).endswith(remedy)


@pytest.mark.parametrize(
    ("a", "b", "agrees"),
    [(3, 3, True), (3, 4, False), (4, 3, False), (None, 3, True), (3, None, True), (None, None, True), (1, 3, False)],
)
def test_lengths_that_may_be_the_same(a, b, agrees):
    assert spec.agree(a, b) is agrees
    assert spec.size_of((2, a, 5)) == (None if a is None else 10 * a)


def test_arrays_that_know_their_lengths_are_as_long_as_they_look():
    array = np.ones(3)
    for arrays in (spec.KnownLengths, spec.KnownLengths()):
        assert arrays.as_long("weight", array, (0,), or_one=True) is array
