"""A loss's own parameters as its core takes them, and the arithmetic that they leave it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._spec.losses import CROSS_ENTROPY, FOCAL, PROBABILITY, Loss
from .._spec.terms import Terms

ROOM = 3
"""Parameters that a core has room for, beside those of label smoothing."""
_MOST = 5.0
"""The largest exponent of a product: each factor adds an ulp or two."""


def bits(loss: Loss, itemsize: int, values: tuple[Any, ...] | None = None) -> int:
    """The width of the arithmetic for a first array of so many bytes per element.

    It depends on the parameters of the focal family (`focusing`); without any they are the defaults.
    """
    if itemsize > 4 or loss.wide:
        return 64
    if not loss.focused:
        return 32
    values = loss.compiled(*loss.defaults) if values is None else values
    return 32 if loss.name == FOCAL.name and _is_product(values[0]) else 64


def _is_product(exponent: float) -> bool:
    return 0.0 < exponent <= _MOST and exponent * 2.0 % 1.0 == 0.0


def of_core(loss: Loss, values: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The values (`Loss.compiled`) as the core of the loss takes them: `cores` says what each is."""
    if loss.name != PROBABILITY.name:
        return values
    eps, *least = values
    largest = -math.log(eps) if eps else math.inf
    return (largest, 0.0, *least) if least else (largest, _not_below(eps, dtype), 0.0)


def numbers(loss: Loss, terms: Terms, dtype: np.dtype[Any]) -> tuple[float, ...] | None:
    """Prices and parameters that are all numbers, as the plain entry of the loss takes them; None if it cannot."""
    if loss.name == CROSS_ENTROPY.name:
        return terms.prices
    if bits(loss, dtype.itemsize, terms.parameters) != bits(loss, dtype.itemsize):
        return None
    own = of_core(loss, terms.parameters, dtype)
    return (*terms.prices, *terms.smoothing, *own, *(0.0,) * (ROOM - len(own)))


def _not_below(bound: float, dtype: np.dtype[Any]) -> float:
    """The least number of a type that is not below a bound: what is less than one is less than the other."""
    near = dtype.type(bound)
    return float(near if float(near) >= bound else np.nextafter(near, dtype.type(1)))
