"""Bad shapes, options and kinds of arrays: every error says the rule, what was given and what to do."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

import logloss as ll
from logloss._backends.operands import check_shapes
from reference import LOSSES, message

bce = ll.binary_cross_entropy_with_logits
X = np.zeros((3, 4))
T = np.zeros((3, 4))


# ---- shapes ---------------------------------------------------------------------------------------------------------

SHAPES = [
    ((5,), (5, 1), "got (5,) and (5, 1). Use targets.reshape((5,)) or {name}.reshape((5, 1))."),
    ((5, 1), (5,), "got (5, 1) and (5,). Use targets.reshape((5, 1)) or {name}.reshape((5,))."),
    ((2, 3), (3, 2), "got (2, 3) and (3, 2). Use targets.reshape((2, 3))"),
    ((4, 3), (4,), "got (4, 3) and (4,). Class indices? Use logloss.Positives.from_lists"),
    ((4, 3), (3,), "got (4, 3) and (3,). Give each element its target."),
    ((), (1,), "got () and (1,). Use targets.reshape(()) or"),
    ((0,), (0, 3), "got (0,) and (0, 3)."),
]


@pytest.mark.parametrize(("logits", "targets", "text"), SHAPES)
def test_shapes_that_differ(logits, targets, text):
    functions = {**LOSSES, "gradient": ll.value_and_grad, "derivatives": ll.grad_and_hess}
    for loss, function in functions.items():
        name = loss if loss in ("probabilities", "log_probs") else "logits"
        assert text.format(name=name) in message(ll.InvalidInputError, function, np.zeros(logits), np.zeros(targets))


@pytest.mark.parametrize("name", ["logits", "probabilities", "log_probs"])
def test_shapes_that_differ_are_named_as_what_they_hold(name):
    text = message(ll.InvalidInputError, check_shapes, np.zeros((5, 1)), np.zeros(5), name)
    assert text == (
        f"{name} and targets must have one shape; got (5, 1) and (5,). "
        f"Use targets.reshape((5, 1)) or {name}.reshape((5,))."
    )


def test_shape_of_positives():
    assert "got (2, 3) and (2, 4)" in message(
        ll.InvalidInputError, bce, np.zeros((2, 3)), ll.Positives.from_lists([[], []], labels=4)
    )


WEIGHTS = [
    (
        "sample_weight",
        (4,),
        (
            "sample_weight must have shape (3,), one weight per row of logits of shape (3, 4); got shape "
            "(4,). For one weight per label use label_weight=."
        ),
    ),
    ("sample_weight", (3, 1), "got shape (3, 1). Use sample_weight.reshape(3)."),
    ("sample_weight", (3, 4), "got shape (3, 4). For one weight per element use weight=."),
    ("sample_weight", (5,), "got shape (5,). Give one weight per row."),
    (
        "weight",
        (3,),
        (
            "weight must have the logits' shape (3, 4), or 1 in place of any length; got shape (3,). Weights"
            " of rows: use sample_weight=weight, or weight.reshape((3, 1))."
        ),
    ),
    ("weight", (4,), "Weights of labels: use label_weight=weight, or weight.reshape((1, 4))."),
    ("weight", (12,), "Use weight.reshape((3, 4))."),
    ("weight", (3, 2), "Nothing broadcasts silently"),
    ("mask", (3,), "mask must have the logits' shape (3, 4), or 1 in place of any length; got shape (3,)."),
    ("mask", (4, 3), "Use mask.reshape((3, 4))."),
    (
        "pos_weight",
        (3,),
        (
            "pos_weight must be a number or a vector of length 4, the logits' axis 1; got shape (3,) for "
            "logits of shape (3, 4). Use label_axis=0."
        ),
    ),
    ("pos_weight", (1, 4), "Use pos_weight.reshape(-1) and label_axis=1."),
    (
        "label_weight",
        (5,),
        (
            "label_weight must be a number or a vector of length 4, the logits' axis 1; got shape (5,) for "
            "logits of shape (3, 4). Give one number per label."
        ),
    ),
]


@pytest.mark.parametrize(("name", "shape", "text"), WEIGHTS)
def test_weights_that_fit_no_axis(name, shape, text):
    given = np.ones(shape, bool if name == "mask" else float)
    for function in (bce, ll.value_and_grad, ll.grad_and_hess):
        assert text in message(ll.InvalidInputError, function, X, T, **{name: given})
    assert text in message(ll.InvalidInputError, ll.denominator, T, **{name: given})


def test_the_remedies_for_weights_work():
    weight, rows = np.arange(1.0, 4.0), np.arange(1.0, 4.0)
    want = bce(X, T, sample_weight=rows)
    assert bce(X, T, weight=weight.reshape((3, 1))) == want
    assert bce(X, T, label_weight=weight, label_axis=0) == want


def test_one_dimensional_logits_have_no_label_axis():
    text = message(ll.InvalidInputError, bce, np.zeros(5), np.zeros(5), pos_weight=[1, 2, 3, 4, 5])
    assert "length 1 (1-d logits have no label axis); got shape (5,)" in text
    assert "Use reshape((1, 5)) of logits and targets." in text
    x, t, weight = np.array([1.0, -2.0, 0.5, 3.0, 0.0]), np.array([1, 1, 0, 0, 1]), np.arange(1.0, 6.0)
    found = bce(x.reshape((1, 5)), t.reshape((1, 5)), pos_weight=weight)
    assert found == bce(x, t, weight=np.where(t == 1, weight, 1.0))


def test_ragged_lists():
    for logits, targets in (([[1.0], [1.0, 2.0]], [[0], [1]]), ([[1.0], [2.0]], [[0, 1], [1]])):
        text = message(ll.InvalidInputError, bce, logits, targets)
        assert "must be a rectangular array" in text
        assert "Pad ragged rows and use mask=." in text


# ---- options --------------------------------------------------------------------------------------------------------

DOMAINS = [
    (bce, {"label_smoothing": 1.5}, "label_smoothing must be a finite number in [0, 1]; got 1.5. 0 is no smoothing."),
    (bce, {"label_smoothing": -0.1}, "label_smoothing must be"),
    (bce, {"label_smoothing": float("nan")}, "got nan"),
    (bce, {"label_smoothing": "much"}, "got 'much'"),
    (bce, {"label_smoothing": np.array([0.1, 0.2])}, "label_smoothing must be a finite number in [0, 1]; got array("),
    (bce, {"label_smoothing": np.array([0.1])}, "got array([0.1])"),
    (bce, {"label_smoothing": 10**400}, "label_smoothing must be"),
    (bce, {"label_smoothing": "0.1"}, "got '0.1'. Use float(label_smoothing)."),
    (bce, {"axis": [0, 1]}, "got [0, 1]. Use a tuple."),
    (bce, {"axis": np.array(1)}, "got array(1). Use int(axis)."),
    (bce, {"ignore_index": np.array(1)}, "got array(1). Use float(ignore_index)."),
    *(
        (bce, {"pos_weight": weight, "label_axis": axis}, "label_axis must name an axis of the logits of shape (3, 4)")
        for axis in ("x", None, 0.5, True, np.array([0, 1]))
        for weight in (None, [1] * 4)
    ),
    (
        bce,
        {"label_axis": 2, "pos_weight": 1.0},
        ("label_axis must name an axis of the logits of shape (3, 4); got 2. Use -1 for the last, 1 for NCHW."),
    ),
    (
        bce,
        {"reduction": "average"},
        "reduction must be one of none, sum, mean, weighted_mean, batchmean; got 'average'.",
    ),
    (bce, {"reduction": None}, "got None"),
    (bce, {"reduction": np.array(["mean", "sum"])}, "got array(['mean', 'sum']"),
    (
        bce,
        {"reduction": "none", "axis": 0},
        'axis needs a reduction; got axis=0 with reduction="none". Leave one of them out.',
    ),
    (
        bce,
        {"reduction": "none", "normalizer": 3},
        'normalizer needs a reduction; got normalizer=3 with reduction="none"',
    ),
    (
        bce,
        {"reduction": "batchmean", "axis": 0},
        ('reduction="batchmean" divides the whole sum by the batch; got axis=0. Use "sum" with normalizer=.'),
    ),
    (bce, {"axis": 2}, "axis must name axes of logits with 2 axes; got 2. Use None to reduce over all of them."),
    (bce, {"axis": (0, -3)}, "got (0, -3)"),
    (bce, {"axis": (0, 0)}, "axis must name each axis once; got (0, 0). Negative axes count from the last, -1."),
    (bce, {"axis": (0, -2)}, "axis must name each axis once"),
    (bce, {"axis": 1.0}, "got 1.0"),
    (bce, {"axis": True}, "got True"),
    (
        bce,
        {"mask": np.ones((3, 4))},
        "mask must be boolean, True where an element counts; got dtype float64. Use mask != 0.",
    ),
    (bce, {"weight": np.full((3, 4), "a")}, "weight must hold real numbers; got dtype <U1."),
    (bce, {"sample_weight": np.ones(3, complex)}, "sample_weight must hold real numbers; got dtype complex128"),
    (bce, {"pos_weight": "a"}, "pos_weight must hold real numbers; got dtype <U1."),
    (bce, {"normalizer": 1j}, "normalizer must hold real numbers; got dtype complex128."),
    (bce, {"weight": [[1.0], [1.0, 2.0]]}, "weight must be a rectangular array"),
    (bce, {"mask": [[True], [True, False]]}, "mask must be a rectangular array"),
    (bce, {"ignore_index": "x"}, "ignore_index must be one number; got 'x'. For several values use mask=."),
    (bce, {"ignore_index": [0, 1]}, "ignore_index must be one number; got [0, 1]"),
    (bce, {"ignore_index": True}, "ignore_index must be one number; got True"),
    (
        ll.binary_cross_entropy,
        {"eps": 0.6},
        "eps must be a finite number in [0, 0.5]; got 0.6. Leave it out for the exact loss.",
    ),
    (ll.binary_cross_entropy, {"eps": -1e-7}, "eps must be"),
    (
        ll.sigmoid_focal_loss,
        {"gamma": -1},
        "gamma must be a finite number in [0, inf]; got -1. gamma = 0 is the plain cross-entropy.",
    ),
    (ll.sigmoid_focal_loss, {"gamma": float("inf")}, "gamma must be a finite number"),
    (ll.sigmoid_focal_loss, {"alpha": 1.5}, "alpha must be a finite number in [0, 1]; got 1.5."),
    (ll.sigmoid_focal_loss, {"alpha": -1}, "None weighs neither"),
    (ll.sigmoid_focal_loss, {"label_smoothing": 2}, "label_smoothing must be"),
    (ll.asymmetric_loss, {"gamma_neg": -1}, "gamma_neg must be"),
    (ll.asymmetric_loss, {"gamma_pos": float("nan")}, "gamma_pos must be"),
    (ll.asymmetric_loss, {"clip": 1.5}, "clip must be a finite number in [0, 1]; got 1.5. None or 0 shifts nothing."),
]


@pytest.mark.parametrize(
    ("loss", "options", "text"), DOMAINS, ids=[f"{loss.__name__}-{options!r:.60}" for loss, options, _ in DOMAINS]
)
def test_domains_of_options(loss, options, text):
    x = np.full((3, 4), 0.5)
    assert text in message(ll.InvalidInputError, loss, x, T, **options)
    assert text in message(ll.InvalidInputError, ll.value_and_grad, x, T, loss=loss, **options)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (-1, "uint8"),
        (256, "uint8"),
        (0.5, "int64"),
        (float("nan"), "int32"),
        (1, "bool"),
        (0.1, "float32"),
        (1e9, "float16"),
        (float("inf"), "int8"),
        (10**400, "int64"),
        (10**400, "float64"),
        (np.float64(2**63), "int64"),
        (np.float64(2**64), "uint64"),
    ],
)
def test_an_ignored_value_that_the_type_cannot_hold(value, dtype):
    text = message(ll.InvalidInputError, bce, np.zeros(2), np.zeros(2, dtype), ignore_index=value)
    assert f"ignore_index must be a value that targets of dtype {dtype} can hold; got {value!r}." in text


def test_positives_ignore_nothing():
    assert "got positive indices. Use mask=" in message(
        ll.InvalidInputError, bce, np.zeros((1, 2)), ll.Positives.from_lists([[0]], labels=2), ignore_index=-1
    )


def test_unknown_options_and_losses_are_type_errors():
    for function in (ll.binary_cross_entropy, ll.value_and_grad, ll.grad_and_hess, ll.sigmoid_focal_loss):
        with pytest.raises(TypeError, match=r"got an unexpected option 'smoothing'\. It takes .*label_smoothing"):
            function([0.5], [1], smoothing=0.1)
    with pytest.raises(TypeError):
        bce([0.5], [1], smoothing=0.1)
    with pytest.raises(TypeError, match="unexpected option 'gamma'"):
        ll.value_and_grad([0.5], [1], gamma=2.0)
    with pytest.raises(TypeError, match="unexpected option 'eps'"):
        ll.denominator([1], eps=0.1)
    for loss in (abs, []):
        with pytest.raises(TypeError, match="loss must be one of this package's losses"):
            ll.value_and_grad([0.5], [1], loss=loss)
    for name in ("reduction", "axis", "normalizer"):
        with pytest.raises(TypeError, match=f"it takes no '{name}'"):
            ll.grad_and_hess([0.5], [1], **{name: "mean"})


def test_denominator_of_no_reduction():
    assert "reduction" in message(ll.InvalidInputError, ll.denominator, [1, 0], reduction="average")


# ---- kinds of arrays ------------------------------------------------------------------------------------------------

TYPES = [
    (np.zeros(2, complex), [0, 1], "logits must be float16, bfloat16, float32 or float64; got dtype complex128."),
    (np.zeros(2, complex), [0, 1], "got dtype complex128. Use logits.real."),
    ([0.0, 1.0], np.zeros(2, complex), "got dtype complex128. Use targets.real."),
    (np.zeros(2, np.longdouble), [0, 1], "Use logits.astype('float32')."),
    (["a", "b"], [0, 1], "logits must be"),
    ([0.0, object()], [0, 1], "logits must hold numbers; it is <object object"),
    ([0.0, 1.0], ["yes", "no"], "targets must be bool, integer or floating; got dtype <U3. Encode labels as 0 and 1."),
    ([0.0, 1.0], np.array([1, "0"], object), "targets must hold numbers; it is '0' (str) at index 1."),
    (
        np.ma.masked_array([0.0, 1.0], [True, False]),
        [0, 1],
        ("logits must not be a masked array: its mask would be lost. Use logits.data and mask=~logits.mask."),
    ),
    ([0.0, 1.0], np.ma.masked_array([0, 1], [True, False]), "targets must not be a masked array"),
    ([0.0, np.ma.masked], [0, 1], "logits must not hold masked arrays: their masks would be lost."),
    ([[0.0]], [np.ma.masked_array([0], [True])], "targets must not hold masked arrays"),
    ([[0.0]], scipy.sparse.csr_array([[1]]), "(csr_array). Use logloss.Positives.from_scipy(targets)."),
    (scipy.sparse.csr_array([[1]]), [[0]], "logits must be numbers in an array or a list; got <Compressed Sparse Row"),
    (iter([0.0, 1.0]), [0, 1], "(list_iterator). Use list(logits)."),
    ([0.0, 1.0], None, "targets must be numbers in an array or a list; got None (NoneType)."),
]


MISSING = [
    ([0.0, None], [0, 1], "logits must have a value everywhere; it is missing (None) at index 1."),
    ([[0.0, 1.0]], [[1, None]], "targets must have a value everywhere; it is missing (None) at index (0, 1)."),
]


@pytest.mark.parametrize(("logits", "targets", "text"), MISSING)
def test_missing_values(logits, targets, text):
    """As columns of data frames have them, and others of Python's objects."""
    assert text in message(ll.InvalidInputError, bce, logits, targets)
    assert text in message(ll.InvalidInputError, ll.value_and_grad, logits, targets)


@pytest.mark.parametrize("kind", [int, float, bool, np.float32, Decimal, Fraction])
def test_objects_that_are_numbers(kind):
    targets, logits = np.array([kind(1), kind(0), 1], object), np.array([0.5, kind(1), -1], object)
    assert bce(logits, targets) == bce([0.5, 1.0, -1.0], [1.0, 0.0, 1.0])


@pytest.mark.parametrize(("logits", "targets", "text"), TYPES)
def test_arrays_of_no_number(logits, targets, text):
    assert text in message(ll.UnsupportedTypeError, bce, logits, targets)
    assert text in message(ll.UnsupportedTypeError, ll.value_and_grad, logits, targets)


def framework_array(module):
    """An object that says it comes from another framework: what dispatch looks at."""
    return type("Tensor", (), {"__module__": module, "__array__": None})()


@pytest.mark.frameworks
@pytest.mark.parametrize("module", ["torch", "jaxlib.xla_extension", "tensorflow.python.framework.ops", "cupy"])
def test_frameworks_do_not_mix(module):
    other = framework_array(module)
    for logits, targets in ((other, np.zeros(2)), (np.zeros(2), other)):
        text = message(ll.UnsupportedTypeError, bce, logits, targets)
        assert "must come from one framework" in text
        assert module in text
        assert "numpy.ndarray" in text
    assert "logits must be a" in message(ll.UnsupportedTypeError, bce, other, other)


OUTS = [
    (
        np.zeros((2, 3), np.int64),
        ll.UnsupportedTypeError,
        ("out must be a floating NumPy array without a mask; got ndarray, dtype int64. Use numpy.empty_like(logits)."),
    ),
    (np.ma.zeros((2, 3)), ll.UnsupportedTypeError, "without a mask; got MaskedArray, dtype float64."),
    ([[0.0] * 3] * 2, ll.UnsupportedTypeError, "got list"),
    (
        np.zeros((3, 2)),
        ll.InvalidInputError,
        "out must have the logits' shape (2, 3); got (3, 2). Use numpy.empty_like(logits).",
    ),
    (np.broadcast_to(0.0, (2, 3)), ll.InvalidInputError, "out must be writable; got a read-only array."),
]


@pytest.mark.parametrize(("out", "kind", "text"), OUTS, ids=["integers", "masked", "list", "shape", "read-only"])
def test_outputs_that_do_not_fit(out, kind, text):
    assert text in message(kind, ll.value_and_grad, np.zeros((2, 3)), np.zeros((2, 3)), out=out)


@pytest.mark.parametrize("kind", [np.memmap, np.matrix])
def test_outputs_of_other_kinds(kind):
    out = np.zeros((20, 30)).view(kind)
    _, gradient = ll.value_and_grad(np.zeros((20, 30)), np.zeros((20, 30)), out=out)
    np.testing.assert_array_equal(out, 0.5 / 600)
    assert np.shares_memory(gradient, out)
    assert kind is np.matrix or gradient is out


def test_numbers_may_be_arrays_without_axes():
    for smoothing in (np.array(0.1), np.float64(0.1)):
        assert bce(X, T + 0.3, label_smoothing=smoothing) == bce(X, T + 0.3, label_smoothing=0.1)


def test_the_tree_of_errors():
    assert issubclass(ll.InvalidInputError, ValueError)
    assert issubclass(ll.UnsupportedTypeError, TypeError)
    assert issubclass(ll.MissingDependencyError, ImportError)
    assert all(
        issubclass(kind, ll.LoglossError)
        for kind in (ll.InvalidInputError, ll.UnsupportedTypeError, ll.MissingDependencyError)
    )
