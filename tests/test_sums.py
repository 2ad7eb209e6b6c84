"""The sum of a block: every number once, in the order that is stated, and nothing beside them read."""

from __future__ import annotations

import re

import numba
import numpy as np
import pytest
from numba import types

from logloss._kernels.sums import total
from order import in_order

pytestmark = pytest.mark.numerical

KINDS = {"float32": types.float32, "float64": types.float64}


@pytest.fixture(scope="module")
def added():
    """The sum as kernels have it, compiled for both types."""

    @numba.njit(error_model="numpy")
    def added(values):
        return total(values)

    for kind in KINDS.values():
        added.compile((types.Array(kind, 1, "C"),))
    return added


@pytest.mark.parametrize("dtype", KINDS)
def test_numbers_are_added_in_the_order_that_is_stated(added, dtype):
    """Of sizes so different that another order rounds otherwise; around them NaN."""
    draw = np.random.default_rng(1)
    others = 0
    for n in [*range(131), 255, 256, 1000]:
        values = np.ldexp(draw.standard_normal(n + 2), draw.integers(-60, 60, n + 2)).astype(dtype)
        values[[0, -1]] = np.nan
        found = added(values[1:-1])
        assert found == in_order(values[1:-1]), n
        others += found != sum(values[1:-1].astype(np.float64).tolist())
    assert others > 60  # what is added one by one is another sum


@pytest.mark.parametrize("dtype", KINDS)
def test_a_sum_by_hand(added, dtype):
    """2^53 swallows a 1, but lane 16 takes it back from lane 0 before anything else is added to it."""
    values = np.ones(33, dtype)
    values[[0, 16]] = [2.0**53, -(2.0**53)]
    assert added(values) == 31
    assert sum(values.astype(np.float64).tolist()) == 16
    assert added(-np.zeros(3, dtype)) == 0
    assert added(np.zeros(0, dtype)) == 0


@pytest.mark.parametrize("dtype", KINDS)
def test_no_more_is_promised_of_an_address_than_that_of_one_number(added, dtype):
    signature = (types.Array(KINDS[dtype], 1, "C"),)
    kind = dtype.replace("float32", "float").replace("float64", "double")
    loads = re.findall(rf"load <\d+ x {kind}>.*align (\d+)", added.inspect_llvm(signature))
    assert loads
    assert set(map(int, loads)) == {np.dtype(dtype).itemsize}


@pytest.mark.parametrize(
    "values", [np.ones(8)[::2], np.ones((4, 4)), np.ones((4, 3)).T, np.ones(4, np.int64), np.ones(4, np.complex128)]
)
def test_other_arrays_have_no_such_sum(added, values):
    with pytest.raises(numba.TypingError):
        added(values)
