"""`torch.nn.BCELoss`: probabilities with a floor of logarithms, and a slope whose denominator has one of its own."""

from __future__ import annotations

from typing import Any

import torch

from ... import _formula
from ..._spec.losses import PROBABILITIES, PROBABILITY, Loss, Number, Primitive, named
from ..._spec.options import Options
from .. import operations
from .operations import problem as of_tensors


def formula(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> _formula.Triple:
    """The loss of probabilities floored at ε, with a gradient that does not know the floor but has one of its own.

    gradient = (v·x - u·(1-x)) / max(x·(1-x), δ), Hessian its derivative. p: ε and δ.
    """
    eps, least = p
    spread = x * (1 - x)
    steep = xp.where(spread < least, 0 * x + least, spread)
    pull = v * x - u * (1 - x)
    bend = xp.where(spread > least, 1 - 2 * x, 0 * x)
    curve = ((u + v) * steep - pull * bend) / (steep * steep)
    return _formula.probabilities(xp, x, u, v, yes, no, (eps,))[0], pull / steep, curve


LOSS = named(
    Loss(
        "clamped_probabilities",
        PROBABILITIES,
        (Number("eps", 0.0, 0.0, 0.5, "It floors p."), Number("least", 0.0, 0.0, 0.25, "It floors p·(1-p).")),
        formula=formula,
    )
)


_KERNEL = PROBABILITY._replace(numbers=LOSS.numbers, compiled=lambda eps, least: (eps, least))


def as_kernels(given: Primitive) -> Primitive:
    """The loss as the kernels know it: that of probabilities, with one number more."""
    return given._replace(loss=_KERNEL) if given.loss is LOSS else given


def is_too_steep(given: Primitive, grad: Any) -> bool:
    """May slopes be more than the gradient's type holds?"""
    return given.loss is LOSS and grad.dtype is torch.float16


def hold(slope: Any) -> Any:
    """A slope of 1e12 as float16 holds it: as inf, it would become NaN where a saturated sigmoid multiplies it by 0."""
    largest = torch.finfo(torch.float16).max
    return slope.clamp(-largest, largest)


class _Held(operations.Problem):
    """The loss of float16 probabilities, whose slopes float16 must hold."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if self.operands[0].requires_grad:
            self.operands[0].register_hook(hold)

    def gradient(self, upstream: Any = 1.0) -> Any:
        return self.as_given(hold(self.scaled_slopes(upstream)))


def problem(
    given: Primitive, x: Any, t: Any, options: Options, checked: bool, positive_price: Any = None
) -> operations.Problem:
    """Any loss on tensors (`operations.problem`)."""
    kind = _Held if given.loss is LOSS and x.dtype is torch.float16 else operations.Problem
    return of_tensors(given, x, t, options, checked, positive_price, kind)
