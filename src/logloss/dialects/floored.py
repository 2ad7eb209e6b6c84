"""Keras's clip of probabilities as one of this package's losses, for models that are trained."""

from __future__ import annotations

from typing import Any

from .._formula import wants_hessian
from .._spec.losses import PROBABILITIES, Loss, Number, named
from .keras import EPSILON


def _floored(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> tuple[Any, Any, Any]:  # noqa: ARG001
    """-u·log max(x, ε) - v·log max(1-x, ε'), with the slope v/(1-x) - u/x of the loss that knows no floor.

    Keras's slope is 0 beyond the floor, and no step leads out of there. Divided by here is at least δ, and ε or ε'
    where x or 1-x is 0: a sigmoid multiplies the slope by x·(1-x). p: ε, ε', δ.
    """
    zero, left = 0 * x, 1 - x
    low, high, least = (zero + one for one in p)
    near_0, near_1 = x < low, left < high
    positive = -xp.log(xp.where(near_0, low, x))
    negative = xp.where(near_1, -xp.log(xp.where(near_1, high, 1 + zero)), -xp.log1p(-xp.where(near_1, zero, x)))
    steep_u, steep_v = (
        1 / xp.where(one < least, xp.where((one == 0) & (floor > least), floor, least), one)
        for one, floor in ((x, low), (left, high))
    )
    loss, slope = u * positive + v * negative, v * steep_v - u * steep_u
    if not wants_hessian(xp):
        return loss, slope, None
    # 0 below √δ, for the square of a quotient must be finite too
    curves = (xp.where(one * one < least, zero, steep) * steep for one, steep in ((x, steep_u), (left, steep_v)))
    curve_u, curve_v = curves
    return loss, slope, u * curve_u + v * curve_v


FLOORED = named(
    Loss(
        "floored_probabilities",
        PROBABILITIES,
        (
            Number("eps", EPSILON, 0.0, 0.5, "keras.config.epsilon() is 1e-7."),
            Number("rest", EPSILON, 0.0, 0.5, "It is what the floor leaves of 1 - p."),
            Number("least", EPSILON, 0.0, 1.0, "It is what slopes are divided by at least."),
        ),
        formula=_floored,
    )
)
"""The loss of probabilities as Keras clips them, for models that are trained."""
