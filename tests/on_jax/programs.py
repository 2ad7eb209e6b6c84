"""What XLA's programs call, and comparisons of the kernels with the formula."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from logloss._backends.jax import kernels

CALLED = "custom_call @logloss_"


def calls(function, *args) -> int:
    """How many handlers a function's program calls."""
    return jax.jit(function).lower(*args).as_text().count(CALLED)


@contextlib.contextmanager
def only_formula() -> Iterator[None]:
    """Everything by plain operations, as where XLA takes no handler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "serves", lambda *_: False)
        jax.clear_caches()
        yield
    jax.clear_caches()


def by_formula(function, *args):
    with only_formula():
        assert calls(function, *args) == 0
        return jax.tree.map(np.asarray, jax.jit(function)(*args))


def assert_near(got, want, largest: float = 1.0) -> None:
    """Of the same types, within a few ulp of the largest term, and NaN and infinite in the same places."""
    got, want = ([np.asarray(one) for one in jax.tree.leaves(each)] for each in (got, want))
    digits = {2: 2.0**-7, 4: 2.0**-20, 8: 2.0**-49}[want[-1].itemsize]
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype
        wide = one.astype(np.float64), other.astype(np.float64)
        np.testing.assert_allclose(*wide, rtol=4 * digits, atol=digits * largest)
