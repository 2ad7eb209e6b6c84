"""The door of the kernels: one call evaluates a loss over arrays of any layout, on all threads.

It takes arrays, coefficients and outputs; it knows no option, no default and no denominator. Work is cut by the
data's shape alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._spec.losses import Loss
from .._spec.terms import Terms
from .._targets.positives import Positives
from .._types import Array
from . import blocks, curved, entries, general, parameters, plain, threads
from .layout import fits_float32
from .operands import Call

_STEP = general.TASK // blocks.BLOCK
_BYTE = np.dtype(np.uint8)


def evaluate(
    loss: Loss,
    x: Array,
    t: Array | Positives,
    terms: Terms,
    scale: Any = 1.0,
    losses: Array | None = None,
    grad: Array | None = None,
    hess: Array | None = None,
    kept: tuple[int, ...] = (),
    kinds: general.Kinds | None = None,
) -> tuple[Any, int]:
    """The sum of the losses (with `kept` axes an array) and the flags; elementwise results go to the outputs.

    `kinds` belongs to calls that are alike (`general.evaluate`).
    """
    if losses is None and hess is None and not kept and type(scale) is float and _is_scalar(terms):
        usable = grad is None or (grad is not x and grad.flags.carray and grad.dtype == x.dtype and x.ndim == grad.ndim)
        found = loop(loss, x, t, grad is not None) if usable else None
        numbers = found.numbers(terms) if found is not None and fits_float32(scale) else None
        if found is not None and numbers is not None:
            return found(x, t, grad, numbers, scale)
    call = Call(loss, x, t, terms, scale, losses, grad, hess, kept)
    return (_zeros(call), 0) if 0 in t.shape else general.evaluate(call, kinds)


# ---- plain loops ----------------------------------------------------------------------------------------------------


class Loop(NamedTuple):
    """The loop of contiguous elements of two types: prices that are numbers, at most the gradient is wanted."""

    entry: Any
    loss: Loss
    type: np.dtype[Any]
    read: Any
    """The type under which the entry reads targets, None for their own."""

    def numbers(self, terms: Terms) -> tuple[float, ...] | None:
        """What the entry takes of these terms; None where these need another arithmetic."""
        return parameters.numbers(self.loss, terms, self.type)

    def __call__(
        self, x: Array, t: Array | Positives, grad: Array | None, numbers: tuple[float, ...], scale: float
    ) -> tuple[float, int]:
        """The sum of the losses and the flags; into `grad`, of x's type and overlapping no input, the gradient."""
        if x.ndim != 1:
            x, grad = x.ravel(), None if grad is None else grad.ravel()
        if isinstance(t, Positives):
            starts = range(0, max(1, x.size), general.TASK)
            return _joined([functools.partial(self._part, x, t, grad, numbers, scale, start) for start in starts])
        t = t.ravel() if t.ndim != 1 else t
        if self.read is not None:
            t = t.view(self.read)
        return run(self.entry, x.size, x, t, 0 if grad is None else grad, numbers, scale)

    def _part(
        self, x: Array, t: Positives, grad: Array | None, numbers: tuple[float, ...], scale: float, start: int
    ) -> tuple[float, int]:
        """The same of a task's elements, whose targets are made dense."""
        stop = min(start + general.TASK, x.size)
        part = np.empty(stop - start, _BYTE)
        entries.mark(part, t.places(start, stop), start)
        into = 0 if grad is None else grad[start:stop]
        count = -(-part.size // blocks.BLOCK)
        return self.entry(x[start:stop], part, into, part.size, numbers, scale, 0, count)  # type: ignore[no-any-return]


def loop(loss: Loss, x: Array, t: Array | Positives, wants_grad: bool) -> Loop | None:
    """The plain loop for these arrays; None for types, layouts and losses without one.

    Numba gives read-only arrays a type of their own: they take the general way.
    """
    if not x.flags.carray or not (isinstance(t, Positives) or t.flags.carray):
        return None
    targets = _BYTE if isinstance(t, Positives) else t.dtype
    entry = plain.entry(loss, x.dtype, targets, wants_grad)
    if entry is None:
        return None
    read = plain.TYPES[targets]
    return Loop(entry, loss, x.dtype, None if read == targets else read)


def run(entry: Any, n: int, x: Any, t: Any, grad: Any, numbers: tuple[float, ...], scale: float) -> tuple[float, int]:
    """The sum of the losses and the flags, of flat arrays or addresses: ranges of blocks on all threads."""
    count = -(-n // blocks.BLOCK)
    if count <= _STEP:
        return entry(x, t, grad, n, numbers, scale, 0, count)  # type: ignore[no-any-return]
    args = x, t, grad, n, numbers, scale
    return _joined([functools.partial(entry, *args, low, min(low + _STEP, count)) for low in range(0, count, _STEP)])


def _joined(tasks: list[Callable[[], tuple[float, int]]]) -> tuple[float, int]:
    """The sum and the flags of all tasks."""
    totals, flags = zip(*threads.run(tasks), strict=True)
    return float(np.sum(totals)), functools.reduce(int.__or__, flags)


def curvature_entry(x: Array, t: Array) -> Any:
    """The entry of gradient and Hessian alone for contiguous arrays; None for types without one."""
    return curved.entry(x.dtype, t.dtype) if x.flags.carray and t.flags.carray else None


def derivatives(
    entry: Any, x: Array, t: Array, weights: Array | None, numbers: tuple[float, ...], grad: Array, hess: Array
) -> int:
    """Gradient and Hessian of the cross-entropy into arrays of x's type that overlap nothing; the flags."""
    x, t, grad, hess = (one if one.ndim == 1 else one.ravel() for one in (x, t, grad, hess))
    t = t.view(plain.TYPES[t.dtype])
    args = x, t, _NO_WEIGHTS if weights is None else weights, grad, hess, x.size, numbers
    count = -(-x.size // blocks.BLOCK)
    if count <= _STEP:
        return int(entry(*args, 0, count))
    tasks = [functools.partial(entry, *args, low, min(low + _STEP, count)) for low in range(0, count, _STEP)]
    return int(functools.reduce(int.__or__, threads.run(tasks)))


_NO_WEIGHTS = np.empty(0, np.float32)


# ---- without logits -------------------------------------------------------------------------------------------------


def tally(
    t: Array | Positives, terms: Terms, kept: tuple[int, ...] = (), kinds: general.Kinds | None = None
) -> tuple[Any, int]:
    """The sum of the weights of the elements that count, and the flags of those weights; logits are not read.

    The first price is the weight of an element's label; without any weight the sum is a count. Targets are read only
    where they say what counts.
    """
    call = Call(None, None, t, terms, kept=kept)
    return (_zeros(call), 0) if 0 in t.shape else general.evaluate(call, kinds)


def check(t: Array | Positives, terms: Terms) -> int:
    """The flags of targets and weights, without logits."""
    return 0 if 0 in t.shape else general.evaluate(Call(None, None, t, terms, check=True))[1]


def _zeros(call: Call) -> Any:
    return np.zeros([call.t.shape[axis] for axis in call.kept]) if call.kept else 0.0


def _is_scalar(terms: Terms) -> bool:
    """Prices and parameters that are numbers, and nothing else."""
    return (
        terms.row is None
        and terms.element is None
        and terms.mask is None
        and terms.ignored is None
        and type(terms.prices[0]) is float
        and type(terms.prices[2]) is float
        and all(type(one) is float for one in terms.parameters)
    )
