"""The door of the kernels: one call evaluates a loss over arrays of any layout, on all threads.

It takes arrays, coefficients and outputs; it knows no option, no default and no denominator. Work is cut by the
data's shape alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._spec import PLAIN, Primitive, Terms
from . import blocks, entries, general, threads
from .general import TASK, Call
from .layout import Array, Filling, fits_float32

BAD_TARGET, BAD_WEIGHT, BAD_INPUT = 1, 2, 4
"""Flags of what was found: a target, a weight, a probability outside its domain."""

_STEP = TASK // blocks.BLOCK

Prices = tuple[float, float, float, float]


def evaluate(*fields: Any) -> tuple[Any, int]:
    """The sum of the losses (with `kept` axes an array of sums) and the flags, of a call given by its fields.

    Elementwise results go to the outputs.
    """
    found = _plain(*fields)
    if found is not None:
        return found
    call = Call(*fields)
    return (_zeros(call), 0) if 0 in call.t.shape else general.evaluate(call)


def tally(t: Array | Filling, terms: Terms, kept: tuple[int, ...] = ()) -> tuple[Any, int]:
    """The sum of the weights of the elements that count, and the flags of those weights; logits are not read.

    The first price is the weight of an element's label; without any weight the sum is a count. Targets are read only
    where they say what counts.
    """
    call = Call(Primitive("tally"), None, t, terms, kept=kept)
    return (_zeros(call), 0) if 0 in t.shape else general.evaluate(call)


def check(t: Array | Filling, terms: Terms) -> int:
    """The flags of targets and weights, without logits."""
    return 0 if 0 in t.shape else general.evaluate(Call(Primitive("check"), None, t, terms))[1]


def _zeros(call: Call) -> Any:
    return np.zeros([call.t.shape[axis] for axis in call.kept]) if call.kept else 0.0


# ---- plain ----------------------------------------------------------------------------------------------------------


def plain(
    primitive: Primitive, prices: Prices, n: int, x: Any, t: Any, grad: Any, types: tuple[Any, Any], scale: float
) -> tuple[float, int] | None:
    """The common case: contiguous, prices that are numbers and nothing else, at most the gradient is wanted.

    x, t and the gradient, which is of x's type and overlaps no input, are flat arrays or addresses. None for types and
    losses without a loop of their own.
    """
    entry = entries.plain(primitive.name, *types) if fits_float32(scale) else None
    if entry is None or (primitive.name == "probabilities" and (grad is not None or primitive.parameters[1] != 0.0)):
        return None
    return _run(entry, n, (x, t, 0 if grad is None else grad, n, prices, scale))


def _plain(
    primitive: Primitive,
    logits: Array,
    targets: Array | Filling,
    terms: Terms,
    scale: Any,
    loss: Array | None,
    grad: Array | None,
    hess: Array | None,
    kept: tuple[int, ...],
) -> tuple[float, int] | None:
    usual = terms is PLAIN or _is_scalar(terms)
    if not usual or loss is not None or hess is not None or kept or type(scale) is not float:
        return None
    x, t = _plain_view(logits), _plain_view(targets)
    if x is None or t is None:
        return None
    if grad is not None:
        grad = None if grad is logits else _plain_view(grad)  # the plain loops know that it overlaps nothing
        if grad is None or grad.dtype != x.dtype:
            return None
    return plain(primitive, terms.prices, x.size, x, t, grad, (x.dtype, t.dtype), scale)


def _plain_view(array: Array | Filling | None) -> Array | None:
    """The array flat and under a type that the plain entries know, or None.

    Numba gives read-only arrays a type of their own: they take the general way.
    """
    if not isinstance(array, np.ndarray) or not array.flags.carray:
        return None
    read = entries.PLAIN_TYPES.get(array.dtype)
    if read is None:
        return None
    flat = array if array.ndim == 1 else array.ravel()
    return flat if read is array.dtype else flat.view(read)


def _is_scalar(terms: Terms) -> bool:
    return all(part is None for part in terms[1:]) and all(type(price) is float for price in terms.prices)


def _run(entry: Callable[..., tuple[float, int]], n: int, args: tuple[Any, ...]) -> tuple[float, int]:
    """Call entry(*args, low, high) for ranges of blocks on all threads; the sum of the losses and the flags."""
    count = -(-n // blocks.BLOCK)
    if count <= _STEP:
        return entry(*args, 0, count)
    tasks = [functools.partial(entry, *args, low, min(low + _STEP, count)) for low in range(0, count, _STEP)]
    totals, flags = zip(*threads.run(tasks), strict=True)
    return float(np.sum(totals)), functools.reduce(int.__or__, flags)
