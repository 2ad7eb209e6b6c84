"""A loss's own parameters as its core takes them, and the arithmetic that they leave it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._spec.losses import ASYMMETRIC, CROSS_ENTROPY, FOCAL, PROBABILITY, Loss
from .._spec.terms import Terms

ROOM = 5
"""Parameters that a core has room for, beside those of label smoothing."""
_MOST = 5.0
"""The largest exponent of a product: each factor adds a few ulp."""
_LEAST_CLIP = 2.0**-8
"""What a clip is at least, unless it is 0, so that float32 has room for what is divided by it; it is below 1/2, so that
1 - c is as exact as c."""


def bits(loss: Loss, itemsize: int, values: tuple[Any, ...] | None = None, targets: np.dtype[Any] | None = None) -> int:
    """The width of the arithmetic for a first array of so many bytes per element.

    It depends on the parameters of the focal family (`focusing`); without any they are the defaults. How wrong a model
    is may hang on digits of a target that float32 lacks.
    """
    if itemsize > 4 or loss.wide:
        return 64
    if not loss.focused:
        return 32
    values = loss.compiled(*loss.defaults) if values is None else values
    return 32 if targets != np.float64 and _are_products(loss, values) else 64


def _are_products(loss: Loss, values: tuple[Any, ...]) -> bool:
    """Is float32 enough for a loss of the focal family with these parameters?"""
    if loss.name == FOCAL.name:
        return values[0] > 0.0 and _is_product(values[0])
    if loss.name != ASYMMETRIC.name:
        return False
    positive, negative, clip = values
    held = clip == 0.0 or _LEAST_CLIP <= clip < 0.5
    return held and _is_product(positive) and _is_product(negative)


def _is_product(exponent: float) -> bool:
    return 0.0 <= exponent <= _MOST and exponent * 2.0 % 1.0 == 0.0


def _log(value: float) -> float:
    return math.log(value) if value else -math.inf


def of_core(
    loss: Loss, values: tuple[Any, ...], dtype: np.dtype[Any], log: Callable[[Any], Any] = _log
) -> tuple[Any, ...]:
    """The values (`Loss.compiled`) as the core of the loss takes them: `cores` and `focusing` say what each is.

    `log` is that of the array library whose the values are.
    """
    if loss.name == ASYMMETRIC.name and dtype.itemsize <= 4:
        return (*values, *_logit(values[-1]))
    if loss.name != PROBABILITY.name:
        return values
    eps, *least = values
    largest = -log(eps)
    return (largest, 0.0, *least) if least else (largest, _not_below(eps, dtype), 0.0)


def numbers(loss: Loss, terms: Terms, dtype: np.dtype[Any]) -> tuple[float, ...] | None:
    """Prices and parameters that are all numbers, as the plain entry of the loss takes them; None if it cannot."""
    if loss.name == CROSS_ENTROPY.name:
        return terms.prices
    if bits(loss, dtype.itemsize, terms.parameters) != bits(loss, dtype.itemsize):
        return None
    own = of_core(loss, terms.parameters, dtype)
    return (*terms.prices, *terms.smoothing, *own, *(0.0,) * (ROOM - len(own)))


def _logit(clip: float) -> tuple[float, float]:
    """log(c/(1-c)) of a clip as a float32 and, as another, what that leaves of it."""
    if clip == 0.0:
        return -math.inf, 0.0
    exact = 2.0 * math.atanh(2.0 * clip - 1.0)
    near = float(np.float32(exact))
    return near, float(np.float32(exact - near))


def _not_below(bound: Any, dtype: np.dtype[Any]) -> Any:
    """The least number of a type that is not below a bound: what is less than one is less than the other."""
    if not isinstance(bound, float):  # an array library's, of its own type
        return bound
    near = dtype.type(bound)
    return float(near if float(near) >= bound else np.nextafter(near, dtype.type(1)))
