"""Exact sums: the digits hold exactly the sum of the numbers, of any magnitude."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logloss.evaluate import sums
from logloss.evaluate.plan import Plan, Problem
from logloss.evaluate.state import State
from logloss.sources.keys import KeyColumn

pytestmark = pytest.mark.numerical

FINITE = st.floats(min_value=0, max_value=1e300, allow_nan=False)


def weighted_state(weights: list[float]) -> State:
    """A state whose sum "w" is the exact sum of the weights."""
    state = State(Plan((Problem("y", "p"),), weight="w"))
    half, w = np.full(len(weights), 0.5), np.array(weights, float)
    state.add({"y": half, "p": half, "w": w})
    return state


def sum_of(state: State, term: str) -> Fraction:
    moments = state.moments([0], None)
    return Fraction(moments[term], moments.one)


@settings(max_examples=200, deadline=None)
@given(st.lists(FINITE, max_size=40))
def test_any_numbers(weights: list[float]):
    assert sum_of(weighted_state(weights), "w") == sum(map(Fraction, weights))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(min_value=2.0**-40, max_value=2.0**40), min_size=1, max_size=40))
def test_squares_are_rounded_once(weights: list[float]):
    assert sum_of(weighted_state(weights), "ww") == sum(Fraction(w * w) for w in weights)


@pytest.mark.parametrize("weight", [5e-324, 2.0**-1022, 1e-300, 2.0**-192, 1e-30, 1.0, 1e12, 2.0**82, 1e290, 1e300])
@pytest.mark.parametrize("count", [1, 512, 513, 3000])
def test_equal_numbers_of_any_magnitude(weight: float, count: int):
    assert sum_of(weighted_state([weight] * count), "w") == count * Fraction(weight)


def test_small_numbers_beside_large_ones():
    weights = [1e300, 1e-300, 5e-324, 1e12, 1.0] * 300
    assert sum_of(weighted_state(weights), "w") == sum(map(Fraction, weights))


@pytest.mark.parametrize("span", [0, 20, 45, 46, 47, 90, 98, 99, 140, 150, 151, 300])
@pytest.mark.parametrize("top", [-200, 0, 200])
def test_every_number_of_levels(span: int, top: int):
    """Numbers from 2^top down to 2^(top - span), all 53 bits in use: one, two, three levels, and more."""
    rng = np.random.default_rng(span)
    weights = np.ldexp(rng.uniform(0.5, 1, 700), rng.integers(top - span, top + 1, 700)).tolist()
    assert sum_of(weighted_state(weights), "w") == sum(map(Fraction, weights))


@pytest.mark.parametrize("bits", [1, 20, 44, 45, 46, 52])
def test_levels_end_where_the_last_bits_do(bits: int):
    """The largest sums that a level may hold: a block of equal numbers, and of their neighbours."""
    for weight in (1.0, 1 - 2.0**-bits, 1 + 2.0**-bits, 2.0**-bits):
        for count in (255, 256, 257):
            assert sum_of(weighted_state([weight] * count), "w") == count * Fraction(weight)


def test_many_batches_carry_between_digits():
    weights = np.random.default_rng(1).random(5000)
    state = weighted_state([])
    for start in range(0, 5000, 7):
        part = weights[start : start + 7]
        half = np.full(part.size, 0.5)
        state.add({"y": half, "p": half, "w": part})
    assert sum_of(state, "w") == sum(map(Fraction, weights.tolist()))
    assert float(sum_of(state, "w")) == math.fsum(weights)


@pytest.mark.parametrize("weight", [1 - 2.0**-53, 2.0**50 - 2.0**-3, 2.0**-98, 2.0**80])
def test_short_segments_carry_in_time(weight: float):
    """Row by row, as often as would fill a digit: with all bits set, at the edges of what a cell holds, and beyond."""
    state = State(Plan((Problem("y", "p"),), weight="w", groups=("g",)))
    keys = KeyColumn(np.arange(2_000) // 10, None, None)
    columns = {"y": np.zeros(2_000), "p": np.full(2_000, 0.5), "w": np.full(2_000, weight)}
    for _ in range(1_000):
        state.add(columns, [keys])
    assert {Fraction(found["w"], found.one) for found in state.moments_of_groups(0)} == {10_000 * Fraction(weight)}
    assert sum_of(state, "w") == 2_000_000 * Fraction(weight)


@given(st.lists(FINITE, max_size=40))
def test_sums_without_a_kernel(values: list[float]):
    assert Fraction(sums.exact_sum(np.array(values, float)), 1 << 1100) == sum(map(Fraction, values))


@pytest.mark.parametrize("span", [0, 40, 1000])
def test_the_sum_of_many_is_rounded_once(span: int):
    rng = np.random.default_rng(span)
    values = np.ldexp(rng.uniform(-1, 1, 10_000), rng.integers(-span, span + 1, 10_000))
    assert sums.rounded_sum(values) == math.fsum(values)
    assert sums.rounded_sum(np.append(values, 1e308)) == math.fsum([*values, 1e308])


@given(st.integers(-(2**210), 2**210))
def test_digits_and_integers(value: int):
    assert sums.to_integers(sums.from_integer(value, 4)[None]) == [value]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=9, max_size=9))
def test_carrying_keeps_the_value(numbers: list[int]):
    value = sum(number << 50 * j for j, number in enumerate(numbers))
    digits = np.array([numbers])
    sums.carry(digits)
    assert sums.to_integers(digits) == [value]
    assert all(0 <= digit < 2**50 for digit in digits[0, :-1].tolist())


def test_adding_up_many_rows_carries_in_time():
    rows = np.full((10_000, 4), 2**50 - 1)
    total = np.zeros((1, 6), np.int64)
    sums.add_up(rows[:, None], total, 1)
    assert sums.to_integers(total) == [10_000 * (2**200 - 1) << 50]
