"""What an error says of bad values: the remedy that fits all of the values that count, and that works."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import logloss as ll
from reference import LOSSES, message

bce = ll.binary_cross_entropy_with_logits

TARGETS = [
    ([0, 1, 2, 3], "Class indices? Use logloss.Positives", "2 of 4 values are not, the first at index 2: 2."),
    ([-1, 1, 1, -1], "Labels of -1 and +1? Use (targets + 1) / 2.", "index 0: -1"),
    (
        [0, 255, 255, 0],
        "A 0-255 mask? Use targets / 255, or ignore_index=255 if 255 means unlabelled.",
        "2 of 4 values are not",
    ),
    (
        [0, 1, -100, 1],
        "A marker for missing labels? Use ignore_index=-100.",
        "1 of 4 values is not, the first at index 2: -100",
    ),
    (
        [0.0, np.nan, 1.0, 0.5],
        "NaN targets count only as ignored: use ignore_index=float('nan') or mask=.",
        "index 1: nan",
    ),
    ([0.0, 1.5, 0.25, 1.0], "Scale the targets to [0, 1], or leave them out with mask=.", "index 1: 1.5"),
    ([0.0, 1.0, np.inf, 1.0], "Infinity has no place in [0, 1]. Use mask= to leave it out.", "index 2: inf"),
    (
        [0.0, 1 + 1e-12, 0.0, 0.0],
        "At most 1e-12 outside, by rounding or interpolation? Clip to [0, 1]: numpy.clip(targets, 0, 1).",
        "the first at index 1: 1.000000000001",
    ),
    ([0.0, -1e-9, 1.0, 1 + 3e-7], "At most 3e-07 outside, by rounding", "2 of 4 values are not, the first at index 1"),
    ([0.0, 1.04, -0.02, 1.0], "At most 0.04 outside, by rounding or interpolation?", "the first at index 1: 1.04"),
    ([0.0, -1.0, np.nan, 1.0], "A marker for missing labels? Use ignore_index=-1.", "the first at index 1: -1"),
    ([0, -100, -1, 1], "Markers for missing labels? Use mask=targets >= 0.", "the first at index 1: -100"),
    ([0, 1, 999, 1], "A marker for missing labels? Use ignore_index=999.", "index 2: 999"),
    ([0, 5, -1, 1], "Class indices? Use logloss.Positives", "the first at index 1: 5"),
    ([1, 2, 2, 1], "Labels of 1 and 2? Use targets - 1.", "the first at index 1: 2"),
    ([2, 3, 2, 3], "Class indices? Use logloss.Positives", "4 of 4 values are not"),
    ([0, 1, 255, 1], "ignore_index=255 if 255 means unlabelled.", "1 of 4 values is not, the first at index 2: 255"),
    ([0, 128, 255, 1], "A soft mask of 0 to 255? Use targets / 255.", "2 of 4 values are not"),
    ([0.0, 254.5, 3.0, 17.2], "A soft mask of 0 to 255? Use targets / 255.", "3 of 4 values are not"),
    ([0, 100, 33, 0], "Percentages? Use targets / 100.", "2 of 4 values are not"),
    ([20.0, 40.0, 60.0, 0.0], "Percentages? Use targets / 100.", "3 of 4 values are not"),
    ([37.5, 80.0, 0.0, 2.25], "Percentages? Use targets / 100.", "3 of 4 values are not"),
    ([-0.5, 0.75, 0.0, -0.2], "Numbers from -1 to 1? Use (targets + 1) / 2.", "2 of 4 values are not"),
    ([-0.3, -2.0, -5.5, 0.0], "Log-probabilities? Use numpy.exp(targets).", "3 of 4 values are not"),
    ([-2.3, 4.5, 0.1, 0.0], "Logits? Use their probabilities, 1 / (1 + numpy.exp(-targets)).", "2 of 4 values"),
    ([-7, 12, 3, 0], "Scale the targets to [0, 1]", "3 of 4 values are not"),
]


@pytest.mark.parametrize(("values", "hint", "place"), TARGETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_targets_outside_the_domain(loss, values, hint, place):
    x = np.full(4, -0.5 if loss == "log_probs" else 0.5)
    for function, options in (
        (LOSSES[loss], {}),
        (ll.value_and_grad, {"loss": LOSSES[loss]}),
        (ll.grad_and_hess, {"loss": LOSSES[loss]}),
    ):
        text = message(ll.InvalidInputError, function, x, values, **options)
        assert text.startswith("targets must be in [0, 1]; ")
        assert hint in text
        assert place in text


SWAPPED = [
    ("logits", [0.0, 1.0, 1.0, 0.0], [-2.3, 4.5, 0.1, -1.0]),
    ("logits", [0.2, 0.9, 0.4, 0.0], [-2.3, 4.5, 0.1, -1.0]),
    ("logits", [0.0, 1.0, 1.0, 0.0], [-2.3, -4.5, -0.1, -1.0]),
    ("probabilities", [0.0, 1.0, 1.0, 0.0], [-2.3, 4.5, 0.1, -1.0]),
    ("log_probs", [0.0, 1.0, 1.0, 0.0], [-2.3, -4.5, -0.1, -1.0]),
]


@pytest.mark.parametrize(("loss", "logits", "targets"), SWAPPED)
def test_arguments_in_the_wrong_order(loss, logits, targets):
    text = message(ll.InvalidInputError, LOSSES[loss], logits, targets)
    assert text.endswith(f"Are {loss} and targets swapped? Exchange the two arguments.")


def test_arguments_in_the_right_order_are_not_called_swapped():
    for logits in ([0.0] * 4, [0.7] * 4, [-2.0, 3.0, 0.0, 1.0], [np.nan] * 4):
        assert "Logits? Use their" in message(ll.InvalidInputError, bce, logits, [-2.3, 4.5, 0.1, -1.0])
    assert "swapped" not in message(ll.InvalidInputError, ll.denominator, [-2.3, 4.5, 0.1, -1.0])


REMEDIES = [
    ([0.0, 1 + 1e-7, -1e-9], lambda t: np.clip(t, 0, 1), [0, 1, 0]),
    ([-1, 1, 1], lambda t: (t + 1) / 2, [0, 1, 1]),
    ([1, 2, 1], lambda t: t - 1, [0, 1, 0]),
    ([0, 51, 255], lambda t: t / 255, [0, 0.2, 1]),
    ([12.5, 0.0, 100.0], lambda t: t / 100, [0.125, 0, 1]),
    ([-0.5, -3.0, 0.0], np.exp, [np.exp(-0.5), np.exp(-3), 1]),
    ([-3.0, 0.0, 2.5], lambda t: 1 / (1 + np.exp(-t)), [1 / (1 + np.exp(3)), 0.5, 1 / (1 + np.exp(-2.5))]),
]


@pytest.mark.parametrize(("values", "remedy", "want"), REMEDIES)
def test_remedies_for_targets_work(values, remedy, want):
    x, t = np.array([0.3, -1.0, 2.0]), np.array(values)
    message(ll.InvalidInputError, bce, x, t)
    assert bce(x, remedy(t)) == pytest.approx(bce(x, want), rel=1e-12)


def test_remedies_that_leave_targets_out_work():
    x, two = np.array([0.3, -1.0, 2.0]), bce([0.3, 2.0], [1, 0])
    for bad, name in ((-1.0, "ignore_index"), (999, "ignore_index"), (np.nan, "ignore_index"), (np.inf, "mask")):
        t = np.array([1, bad, 0])
        text = message(ll.InvalidInputError, bce, x, t)
        assert f"{name}=" in text
        assert bce(x, t, **{name: bad if name == "ignore_index" else np.isfinite(t)}) == two
    t = np.array([1, -1, 0]), np.array([1, -100, -1])
    assert bce(x, t[0], mask=t[0] >= 0) == two
    assert bce(x, t[1], mask=t[1] >= 0) == bce(x[:1], t[1][:1])


def test_the_hint_looks_at_counted_targets_only():
    text = message(ll.InvalidInputError, bce, np.zeros(4), [-1, 255, 0, 1], ignore_index=-1)
    assert "A 0-255 mask?" in text
    assert "1 of 4 values is not, the first at index 1: 255" in text


ROUNDING = "At most {} outside, by rounding or interpolation? Clip to [0, 1]: numpy.clip(probabilities, 0, 1)."
MASK = " Use mask= to leave it out."
LOGITS = "For logits use binary_cross_entropy_with_logits."
LOGARITHMS = "Log-probabilities? Use binary_cross_entropy_with_log_probs."
QUANTITIES = [
    ("probabilities", [0.5, 1.0000001], ROUNDING.format("1e-07")),
    ("probabilities", np.array([0.5, 1.0000001], "f4"), ROUNDING.format("1.2e-07")),
    ("probabilities", np.array([0.5, 1.0078125], ml_dtypes.bfloat16), ROUNDING.format("0.0078")),
    ("probabilities", [1.00001], ROUNDING.format("1e-05")),
    ("probabilities", [-1e-9], ROUNDING.format("1e-09")),
    ("probabilities", [0.5, -1e-9, 1.0], ROUNDING.format("1e-09")),
    ("probabilities", [-0.03, 1.06, 0.5], ROUNDING.format("0.06")),
    ("probabilities", [0.5, np.nan], "NaN comes from a missing value, 0/0 or inf - inf before this call." + MASK),
    ("probabilities", [0.5, np.inf], "Infinity comes from an overflow or a division by 0 before this call." + MASK),
    ("probabilities", [55.0, 3.25, 99.0], "Percentages? Use probabilities / 100."),
    ("probabilities", [80, 100, 0], "Percentages? Use probabilities / 100."),
    ("probabilities", [12, 200, 255], "Numbers from 0 to 255? Use probabilities / 255."),
    ("probabilities", [0, 2, 1], "Predicted classes? Give probabilities, as predict_proba does."),
    ("probabilities", [-1, 1, 1], "Predicted classes? Give probabilities, as predict_proba does."),
    ("probabilities", [-3.0, 2.0, 5.5], LOGITS),
    ("probabilities", [-3.0, np.inf, 5.5], LOGITS),
    ("probabilities", [-3.0, 0.25], LOGITS),
    ("probabilities", [3.5, 300.25], LOGITS),
    ("probabilities", [-0.3, -2.0, -7.0], LOGARITHMS),
    ("probabilities", [-0.3, 0.0, -np.inf], LOGARITHMS),
    ("probabilities", [-1e-4, -2e-5], LOGARITHMS),
    ("log_probs", [-0.5, 1e-9], "At most 1e-09 above 0, by rounding? Use numpy.minimum(log_probs, 0)."),
    ("log_probs", [1e-9], "At most 1e-09 above 0, by rounding? Use numpy.minimum(log_probs, 0)."),
    ("log_probs", [0.3, 0.9], "Probabilities? Use binary_cross_entropy."),
    ("log_probs", [1e-5, 3e-4], "Probabilities? Use binary_cross_entropy."),
    ("log_probs", [0.3, 2.25, np.inf], "Costs, -log p? Use -log_probs."),
    ("log_probs", [37.5, 80.0], "Percentages? Divide by 100, and use binary_cross_entropy."),
    ("log_probs", [-3.0, 2.0], LOGITS),
    (
        "log_probs",
        [-0.5, np.nan],
        "NaN comes from the log of a negative number or inf - inf before this call." + MASK,
    ),
]


@pytest.mark.parametrize(("loss", "values", "hint"), QUANTITIES)
def test_the_hint_fits_the_values(loss, values, hint):
    text = message(ll.InvalidInputError, LOSSES[loss], values, np.ones(len(values)))
    assert text.endswith(f". {hint}")
    assert "logits" not in text.removesuffix(hint)


def test_the_hint_looks_at_counted_probabilities_only():
    p, t = np.array([-3.0, 1 + 1e-7, 55.0]), [-1, 1, 1]
    assert "Percentages?" in message(ll.InvalidInputError, ll.binary_cross_entropy, p, t, ignore_index=-1)
    mask = np.array([False, True, False])
    text = message(ll.InvalidInputError, ll.binary_cross_entropy, p, [1, 1, 1], mask=mask)
    assert "1 of 3 values is not, the first at index 1: 1.0000001. At most 1e-07 outside" in text


def test_remedies_for_probabilities_work():
    t, logits = np.array([1, 0, 1]), np.array([0.3, -1.0, 2.0])
    p = 1 / (1 + np.exp(-logits))
    want = bce(logits, t)
    for value in (
        ll.binary_cross_entropy(p * 100 / 100, t),
        ll.binary_cross_entropy(np.clip(p, 0, 1), t),
        ll.binary_cross_entropy_with_log_probs(np.log(p), t),
        ll.binary_cross_entropy_with_log_probs(np.minimum(np.log(p), 0), t),
    ):
        assert value == pytest.approx(want, rel=1e-12)
    p[1] = np.nan
    assert ll.binary_cross_entropy(p, t, mask=~np.isnan(p)) == pytest.approx(bce(logits[::2], t[::2]), rel=1e-12)
