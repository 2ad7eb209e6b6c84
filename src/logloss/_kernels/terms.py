"""The sums of a scoring state, each one line: what is multiplied, and with which power of the weight.

Everything about a sum derives from its line: the columns that the kernel fills, the products it forms on the way, the
bounds it tells before it adds, and the names under which `evaluate` reads the result. Nothing here is compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._types import Array

Y, P, L, Q, S, G, VS, VG, INFINITE, ZERO, ONE, W, EMPTY = range(13)
"""The columns that terms are products of: `scoring` says what they hold. EMPTY stands where a factor is missing."""

FACTORS = EMPTY + 1
REST, SPREAD, NEAR, FAR, M, Z, X, SIDE, D, SPARE, _FIRST_PRODUCT = range(FACTORS, FACTORS + 11)
"""Columns that the kernel needs on the way; behind them there is room for products."""


class Term(NamedTuple):
    """A sum over rows of the weight to some power times the factors."""

    name: str
    factors: tuple[int, ...]
    power: int


UNWEIGHTED = (
    Term("wy", (Y,), 1),
    Term("wp", (P,), 1),
    Term("wl", (L,), 1),
    Term("wq", (Q,), 1),
    Term("ws", (S,), 1),
    Term("wg", (G,), 1),
    Term("wwll", (L, L), 2),
    Term("wwly", (L, Y), 2),
    Term("wwyy", (Y, Y), 2),
    Term("wwqq", (Q, Q), 2),
    Term("wwvs", (VS,), 2),
    Term("wwvg", (VG,), 2),
)
"""The sums of a state without weights: then w = 1."""

WEIGHTED = (
    *UNWEIGHTED,
    Term("w", (), 1),
    Term("ww", (), 2),
    Term("wwy", (Y,), 2),
    Term("wwl", (L,), 2),
    Term("wwq", (Q,), 2),
    Term("w_infinite", (INFINITE,), 1),
    Term("w_zero", (ZERO,), 1),
    Term("w_one", (ONE,), 1),
)
"""Those of one with weights; the ones that are added here follow from the others, or from counts, where w = 1."""

LEAST_TERMS, MOST_TERMS = len(UNWEIGHTED), len(WEIGHTED)

COUNTED = {"infinite": INFINITE, "zero": ZERO, "one": ONE}
"""The marks of certain predictions: of such rows a state has the number, too. Last, and 0 where a block has none."""


class Program(NamedTuple):
    """The columns that hold the terms, and the products that lead there: third column = first times second."""

    columns: Array
    products: Array


def _program(terms: tuple[Term, ...], power: int, known: dict[tuple[int, ...], int]) -> Program:
    """Every product has the product of all its factors but the last as its first, so that all round alike.

    `power`: the highest one of the weight that is formed; terms of a higher one have this instead.
    """
    columns: dict[tuple[int, ...], int] = {**{(one,): one for one in range(FACTORS)}, **known}
    products: list[tuple[int, int, int]] = []

    def column(factors: tuple[int, ...]) -> int:
        if factors not in columns:
            first = column(factors[:-1])
            columns[factors] = _FIRST_PRODUCT + len(products)
            products.append((first, factors[-1], columns[factors]))
        return columns[factors]

    found = [column((W,) * min(term.power, power) + term.factors) for term in terms]
    return Program(np.array(found), np.array(products))


_OF_CERTAIN = len(COUNTED)

PLAIN_COLUMNS, PLAIN_PRODUCTS = _program(UNWEIGHTED, 0, {})
HARD_COLUMNS, HARD_PRODUCTS = _program(UNWEIGHTED, 0, {(Y, Y): Y})  # 0 and 1 are their own squares
CERTAIN_COLUMNS, CERTAIN_PRODUCTS = _program(WEIGHTED, 2, {})
WEIGHTED_COLUMNS, WEIGHTED_PRODUCTS = _program(WEIGHTED[:-_OF_CERTAIN], 2, {})
ONCE_CERTAIN_COLUMNS, ONCE_CERTAIN_PRODUCTS = _program(WEIGHTED, 1, {})
ONCE_COLUMNS, ONCE_PRODUCTS = _program(WEIGHTED[:-_OF_CERTAIN], 1, {})

COLUMNS = _FIRST_PRODUCT + max(len(CERTAIN_PRODUCTS), len(ONCE_CERTAIN_PRODUCTS))

PAIRS = np.array([(*term.factors, EMPTY, EMPTY)[:2] for term in WEIGHTED])
POWERS = np.array([term.power for term in WEIGHTED])
"""Of each term: its factors, at most two, and the power of the weight, of which its bounds are the sums."""


def terms_of(weighted: bool) -> tuple[Term, ...]:
    """The sums of a state, in the kernel's order."""
    return WEIGHTED if weighted else UNWEIGHTED
