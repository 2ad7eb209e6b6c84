"""That the comparisons with the reference can fail, and where."""

from __future__ import annotations

import numpy as np
import pytest

import logloss as ll
from reference import LOSSES, data, reference

# σ(x) is next to t, so that the gradient is a small difference of two terms of about 1/4.
CANCELLING = np.array([0.001, 1.0], np.float32), np.array([0.5, 0.0], np.float32)


def off_by(ulp: float) -> np.ndarray:
    """The gradient of `CANCELLING`, its first number off by some ulp of 1/4."""
    slopes = reference("logits", *CANCELLING, reduction="none").slopes
    slopes[0] += ulp * 2.0**-25
    return slopes.astype(np.float32)


def test_a_gradient_is_measured_by_its_largest_term():
    """By its own ulp, a thousand times smaller, it would be thousands off."""
    want = reference("logits", *CANCELLING)
    want.check(off_by(4) / 2)
    with pytest.raises(AssertionError, match="times the bound"):
        want.check(off_by(6) / 2)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("which", ["loss", "gradient", "slope", "hessian"])
def test_what_is_off_is_found_in_every_loss(loss: str, which: str):
    x, t = data(loss, (3, 4), 1, "soft")
    options = {"sample_weight": [1.0, 2.0, 3.0], "mask": np.arange(12).reshape(3, 4) % 5 > 0, "label_smoothing": 0.1}
    want = reference(loss, x, t, **options)
    own = {**options, "loss": LOSSES[loss]}
    losses, slopes = ll.value_and_grad(x, t, reduction="none", **own)
    results = {"loss": losses, "gradient": ll.value_and_grad(x, t, **own)[1], "slope": slopes}
    got = results[which] if which in results else ll.grad_and_hess(x, t, **own)[1]
    want.check(got, which)
    for index in ((1, 2), (0, 0)):  # one that counts and one that does not
        changed = got.copy()
        changed[index] = changed[index] * (1 + 1e-11) + 1e-300
        with pytest.raises(AssertionError):
            want.check(changed, which)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
def test_what_is_no_result_is_found(bad: float):
    want = reference("logits", *CANCELLING)
    got = off_by(0) / 2
    got[1] = bad
    with pytest.raises(AssertionError):
        want.check(got)


def test_another_shape_is_found():
    with pytest.raises(AssertionError):
        reference("logits", *CANCELLING).check(off_by(0)[:1] / 2)
