"""The steps of exact sums, one by one, against fractions: to be run by Python, with `uncompiled`."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np

from logloss._kernels import exact
from logloss._kernels.window import BITS, DIGITS, FINEST, LOWEST, NARROW_DIGITS, TOP

TERMS, MIDDLE = 5, 2
"""Sums whose digits lie side by side, of which the middle one is added to."""

SPANS = [0, 1, 20, 45, 46, 47, 60, 97, 98, 99, 130, 149, 150, 151, 152, 400, 2000]
TOPS = [-1000, -300, -210, -60, -3, 0, 1, 49, 50, 51, 80, 300, 840, 899, 900, 901, 1021, 1022]


def numbers(seed: int, top: int, span: int) -> np.ndarray:
    """Some below 2^top in size, multiples of 2^(top - span - 52), of both signs, with a zero and a power of two."""
    draw = random.Random(seed)
    some = [0.0, 2.0 ** max(-1074, top - span - 1), 2.0 ** (top - 1)]
    some += [
        draw.choice([-1, 1]) * np.ldexp(1 + draw.getrandbits(52) / 2**52, draw.randint(max(-1022, top - span), top) - 1)
        for _ in range(6)
    ]
    return np.array(some)


def value(digits: np.ndarray, lowest: int) -> Fraction:
    """What the digits of the middle sum say; the others must be 0."""
    table = digits.reshape(-1, TERMS)
    assert not np.delete(table, MIDDLE, axis=1).any()
    middle = map(int, table[:, MIDDLE])
    return sum((digit * Fraction(2) ** (lowest + BITS * j) for j, digit in enumerate(middle)), Fraction(0))


def check_split(a: np.ndarray) -> None:
    """Levels and their digits hold the sum exactly, and no number is beyond what the levels were told."""
    low, high = exact.lowest(a), exact.highest(a)
    sizes = np.abs(a[a != 0])
    assert all(Fraction(2) ** int(low) <= Fraction(x) < Fraction(2) ** int(high) for x in sizes)
    assert low == min(0, *(int(np.floor(np.log2(x))) if x >= 2.0**-1022 else -1074 for x in sizes))
    assert high == max(-300, *(int(np.frexp(x)[1]) for x in sizes))
    for e in (high + 1, high + 3):
        totals, rest = np.full(exact.MAX_LEVELS, 77, np.int64), np.full(a.size, np.nan)
        used, levels, overflow = exact.split(a, rest, e, max(low - 52, -1074), totals)
        assert not overflow
        digits = np.zeros(DIGITS * TERMS, np.int64)
        exact.deposit(totals, levels, used, LOWEST, digits, MIDDLE, TERMS)
        assert value(digits, LOWEST) == sum(map(Fraction, a))
        assert levels <= {True: 3, False: exact.MAX_LEVELS}[e - max(low - 52, -1074) <= 150 and e <= 900]


def check_full_blocks() -> None:
    """As many numbers as a block holds, as large as they may be, of one sign, are split by so many levels."""
    draw = random.Random(1)
    for levels, spans in {1: (1, 20, 46), 2: (47, 75, 98), 3: (99, 130, 150)}.items():
        for span in spans:
            for unit in (-700, -60, 0, 400):
                sizes = [draw.randint(0, min(52, span - 1)) for _ in range(exact.BLOCK)]
                shifts = [draw.choice([0, span - 1 - bits]) for bits in sizes]
                whole = [2 ** (span - 1)] + [
                    draw.choice([1, (1 << bits) - 1]) << shift
                    for bits, shift in zip(sizes[1:], shifts[1:], strict=True)
                ]
                a = np.array([float(Fraction(x) * Fraction(2) ** unit) for x in whole])
                totals, digits = np.full(exact.MAX_LEVELS, 77, np.int64), np.zeros(DIGITS * TERMS, np.int64)
                e, used, overflow = exact.split(a, np.full(a.size, np.nan), unit + span, unit, totals)
                assert used == levels
                assert not overflow
                exact.deposit(totals, used, e, LOWEST, digits, MIDDLE, TERMS)
                assert value(digits, LOWEST) == sum(whole) * Fraction(2) ** unit


def check_one_by_one(a: np.ndarray) -> None:
    """The same sum, number by number, in all digits and in the narrow window."""
    digits = np.zeros(DIGITS * TERMS, np.int64)
    for x in a:
        assert not exact.deposit_one(x, digits, MIDDLE, TERMS)
    assert value(digits, LOWEST) == sum(map(Fraction, a))
    low, high = exact.lowest(a), exact.highest(a)
    assert exact.is_narrow(low, high) == (low - 52 >= FINEST and high <= TOP)
    if exact.is_narrow(low, high):
        digits = np.zeros(NARROW_DIGITS * TERMS, np.int64)
        for x in a:
            exact.deposit_narrow(np.array([0.0] * MIDDLE + [x]), MIDDLE + 1, digits, TERMS)
        assert value(digits, FINEST) == sum(map(Fraction, a))
        totals = np.zeros(exact.MAX_LEVELS, np.int64)
        used, levels, overflow = exact.split(a, np.empty(a.size), high + 1, low - 52, totals)
        assert not overflow
        digits[:] = 0
        exact.deposit(totals, levels, used, FINEST, digits, MIDDLE, TERMS)
        assert value(digits, FINEST) == sum(map(Fraction, a))


def check_too_large() -> None:
    """A number from 2^1022 on adds nothing and is told, alone or among others."""
    for large in (2.0**1022, -(2.0**1022), 1.7e308, np.inf, -np.inf):
        digits = np.zeros(DIGITS * TERMS, np.int64)
        assert exact.deposit_one(np.float64(large), digits, MIDDLE, TERMS)
        assert not digits.any()
        a = np.array([1.5, large, -3e-300])
        totals = np.zeros(exact.MAX_LEVELS, np.int64)
        used, levels, overflow = exact.split(a, np.empty(3), 1024, -1074, totals)
        assert overflow
        exact.deposit(totals, levels, used, LOWEST, digits, MIDDLE, TERMS)
        assert value(digits, LOWEST) == Fraction(1.5) + Fraction(-3e-300)


def check() -> None:
    """All of it."""
    for top in TOPS:
        for span in SPANS:
            check_split(a := numbers(top * 7 + span, top, span))
            check_one_by_one(a)
    check_split(np.array([5e-324, -5e-324, 1e-310, 2.0**-1022]))
    check_one_by_one(np.array([5e-324, -5e-324, 1e-310, 2.0**-1022]))
    check_split(np.array([2.0**-1022, 1.5 * 2.0**-1022]))
    check_full_blocks()
    check_too_large()
