"""The *plain* entries: contiguous elements and prices that are numbers, training's and scoring's common case.

Each takes (x, targets, gradient, n, numbers, scale, low, high), of which the first three are arrays or addresses, and
returns the sum of the losses of blocks low..high and the flags (`entries`). The gradient, of x's type, is multiplied
by `scale`; it may be absent, an address of 0. `numbers` are the four prices, and for all losses but the cross-entropy
the parameters that their core takes (`parameters.numbers`).

All share the walk over blocks. A loss brings its `tail`: one pass over a block of elements that prices targets, checks
domains, and leaves losses and gradients, which the general entries do in passes of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import overload

from .._spec.losses import ASYMMETRIC, CROSS_ENTROPY, FOCAL, LOG_PROBABILITY, PROBABILITY, Loss
from . import cores, focusing, parameters
from .blocks import BLOCK, stack
from .elementary import minus_log_either
from .jit import inline, specialise
from .ops import (
    bit_or,
    flip_sign,
    fma,
    has_sign,
    is_positive,
    like,
    magnitude,
    no_sign,
    number,
    pointer,
    rest,
    select,
    sign_outside,
)
from .sums import total

kind: Any = None
own: Any = None
target: Any = None
tail: Any = None
"""What the template leaves open: the types of the arithmetic, of the first array and of targets, and the loss
(`specialise` fills them in)."""


def elements(memory, n, dtype):
    """n elements as an array: `memory` is the array itself, or where they lie; none at 0."""


@overload(elements)
def _elements(memory, n, dtype):
    if isinstance(memory, types.Integer):
        return lambda memory, n, dtype: carray(pointer(memory), (n if memory else 0,), dtype)
    return lambda memory, n, dtype: memory


def _plain(first, targets, gradient, n, numbers, scale, low, high):
    x, t, g = elements(first, n, own), elements(targets, n, target), elements(gradient, n, own)
    k = kind(scale)
    z_, l_ = carray(stack(k), (BLOCK,), kind), carray(stack(k), (BLOCK,), kind)
    r_, s_ = carray(stack(k), (BLOCK,), kind), carray(stack(k), (BLOCK,), kind)
    found, bad = 0.0, np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        e = min(s + BLOCK, n)
        z, l = z_[: e - s], l_[: e - s]
        bad = bit_or(bad, tail(x[s:e], t[s:e], numbers, k, z, l, g[s:e], (r_[: e - s], s_[: e - s])))
        found += total(l)
    return found, bad


# ---- tails ----------------------------------------------------------------------------------------------------------
# of (x, t, numbers, scale, z, l, g, spare): first array, targets, scratch, losses, gradients unless g is empty, and
# two rows of scratch more


@inline
def prices(x, t, numbers):
    """u and v of an element."""
    y = number(x, t)
    u = fma(like(x, numbers[0]), y, like(x, numbers[1]))
    return u, fma(like(x, numbers[2]), rest(x, t), like(x, numbers[3]))


@inline
def _cross_entropy(x, t, numbers, scale, z, l, g, spare):
    cores.exponentials(x, z, l)
    cores.softplus_of_minus(z, l)
    bad = no_sign(t[0])
    if g.size:
        for i in range(x.size):
            bad = bit_or(bad, sign_outside(t[i]))
            u, v = prices(x[i], t[i], numbers)
            w, side = u + v, cores.price_of_side(x[i], u, v)
            l[i] = cores.loss_at(magnitude(x[i]), l[i], w, side)
            g[i] = flip_sign(fma(-w, cores.small_sigmoid(z[i]), side), x[i]) * scale
        return has_sign(bad)
    for i in range(x.size):
        bad = bit_or(bad, sign_outside(t[i]))
        u, v = prices(x[i], t[i], numbers)
        l[i] = cores.loss_at(magnitude(x[i]), l[i], u + v, cores.price_of_side(x[i], u, v))
    return has_sign(bad)


@inline
def _own(x, numbers):
    """A loss's parameters as its core takes them."""
    smoothing, own = numbers[4:6], numbers[6:]
    return (
        *(like(x, smoothing[0]), like(x, smoothing[1])),
        *(like(x, own[0]), like(x, own[1]), like(x, own[2]), like(x, own[3]), like(x, own[4])),
    )


@inline
def _probabilities(x, t, numbers, scale, z, l, g, spare):
    if (numbers[1] == 0.0) & (numbers[3] == 0.0) and cores.all_hard(t):
        return _hard_probabilities(x, t, numbers, scale, l, g)
    return _soft_probabilities(x, t, numbers, scale, l, g)


@inline
def _hard_probabilities(x, t, numbers, scale, l, g):
    """The same where nothing is smoothed and all targets are 0 or 1: one logarithm and one division do."""
    p, zero, one = _own(l[0], numbers), like(l[0], 0.0), like(l[0], 1.0)
    price_1, price_0 = like(l[0], numbers[0]), like(l[0], numbers[2])
    far_off = no_sign(x[0])
    for i in range(x.size):
        far_off = bit_or(far_off, sign_outside(x[i]))
        positive, chance = t[i] != 0, like(l[i], x[i])
        upper = chance > like(chance, 0.5)
        cost = minus_log_either(select(upper, one - chance, chance), positive == upper)
        l[i] = cores.priced(select(positive, price_1, price_0), cores.at_most(cost, p[2]))
    if g.size:
        for i in range(x.size):
            positive, chance = t[i] != 0, like(l[i], x[i])
            other = one - chance
            truth, error = select(positive, chance, other), select(positive, other, chance)
            missed = cores.slope_of_miss(select(positive, price_1, price_0), truth, error, p)
            g[i] = select(positive, zero - missed, missed) * scale
    return np.int32(4 * has_sign(far_off))


@inline
def _soft_probabilities(x, t, numbers, scale, l, g):
    p, one = _own(l[0], numbers), like(l[0], 1.0)
    bad, far_off = no_sign(t[0]), no_sign(x[0])
    for i in range(x.size):
        bad, far_off = bit_or(bad, sign_outside(t[i])), bit_or(far_off, sign_outside(x[i]))
        u, v = prices(l[i], t[i], numbers)
        l[i] = cores.loss_of_probability(like(l[i], x[i]), u, v, p)
    if g.size:
        for i in range(x.size):
            chance = like(l[i], x[i])
            other = one - chance
            u, v = prices(l[i], t[i], numbers)
            g[i] = (cores.slope_of_miss(v, other, chance, p) - cores.slope_of_miss(u, chance, other, p)) * scale
    return np.int32(has_sign(bad) | 4 * has_sign(far_off))


@inline
def _log_probabilities(x, t, numbers, scale, z, l, g, spare):
    bad, far_off = no_sign(t[0]), np.int32(0)
    if g.size:
        for i in range(x.size):
            bad, far_off = bit_or(bad, sign_outside(t[i])), bit_or(far_off, is_positive(x[i]))
            u, v = prices(x[i], t[i], numbers)
            l[i], negative, _ = cores.from_log(x[i], u, v)
            g[i] = (negative - u) * scale
    else:
        for i in range(x.size):
            bad, far_off = bit_or(bad, sign_outside(t[i])), bit_or(far_off, is_positive(x[i]))
            l[i], _, _ = cores.from_log(x[i], *prices(x[i], t[i], numbers))
    return np.int32(has_sign(bad) | 4 * far_off)


@inline
def _focal(x, t, numbers, scale, z, l, g, spare):
    p, (slopes, factor) = _own(x[0], numbers), spare
    bad = no_sign(t[0])
    cores.exponentials(x, z, l)
    cores.softplus_of_minus(z, l)
    if (p[1] == like(x[0], 0.0)) and cores.all_hard(t):
        price_1, price_0 = like(x[0], numbers[0]), like(x[0], numbers[2])
        for i in range(x.size):
            positive = t[i] != 0
            price, alpha = select(positive, price_1, price_0), select(positive, p[3], p[4])
            l[i], slopes[i], _, z[i] = focusing.focal_of_hard(x[i], price, positive, p[2], z[i], l[i], alpha)
    else:
        for i in range(x.size):
            bad = bit_or(bad, sign_outside(t[i]))
            u, v = prices(x[i], t[i], numbers)
            yes, no = focusing.smoothed(number(x[i], t[i]), p)
            alpha = fma(p[3], yes, p[4] * no)
            l[i], slopes[i], _, z[i] = focusing.focal_of_soft(x[i], u, v, yes, no, p[2], z[i], l[i], alpha)
    focusing.power(factor, z, p[2])
    if g.size:
        for i in range(x.size):
            l[i] = focusing.focused(l[i], factor[i])
            g[i] = slopes[i] * factor[i] * scale
    else:
        for i in range(x.size):
            l[i] = focusing.focused(l[i], factor[i])
    return has_sign(bad)


@inline
def _asymmetric(x, t, numbers, scale, z, l, g, spare):
    p, (slopes, above) = _own(x[0], numbers), spare
    if p[1] != like(x[0], 0.0) or not cores.all_hard(t):
        return _soft_asymmetric(x, t, numbers, scale, z, l, g, spare)
    price_1, price_0 = like(x[0], numbers[0]), like(x[0], numbers[2])
    cores.exponentials(x, z, l)
    focusing.above_kink(x, p, above)
    for i in range(x.size):
        positive = t[i] != 0
        price = select(positive, price_1, price_0)
        l[i], slopes[i], _, z[i] = focusing.asymmetric_of_hard(x[i], price, positive, p, z[i], above[i])
    if g.size:
        for i in range(x.size):
            factor = focusing.power_of_hard(z[i], t[i] != 0, p)
            l[i] *= factor
            g[i] = slopes[i] * factor * scale
    else:
        for i in range(x.size):
            l[i] *= focusing.power_of_hard(z[i], t[i] != 0, p)
    if focusing.has_roots(p):
        focusing.roots_of_hard(z, t, p)
        for i in range(x.size):
            l[i] *= z[i]
        for i in range(g.size):
            g[i] *= z[i]
    return np.int32(0)


@inline
def _soft_asymmetric(x, t, numbers, scale, z, l, g, spare):
    (u, v), bad = spare, no_sign(t[0])
    for i in range(x.size):
        bad = bit_or(bad, sign_outside(t[i]))
        u[i], v[i] = prices(x[i], t[i], numbers)
    focusing.asymmetric_of_soft(x, u, v, t, _own(x[0], numbers), l, z, u, False)
    for i in range(g.size):
        g[i] = z[i] * scale
    return has_sign(bad)


# ---- which there are ------------------------------------------------------------------------------------------------

_TAILS: dict[str, Callable[..., Any]] = {
    CROSS_ENTROPY.name: _cross_entropy,
    PROBABILITY.name: _probabilities,
    LOG_PROBABILITY.name: _log_probabilities,
    FOCAL.name: _focal,
    ASYMMETRIC.name: _asymmetric,
}
TYPES = {
    np.dtype(own): np.dtype(own.replace("?", "u1").replace("i", "u"))
    for own in ("f4", "f8", "?", "i1", "u1", "i4", "u4", "i8", "u8")
}
"""The types that the plain entries know, and as what they read them: signed integers and bool as unsigned ones."""


def entry(loss: Loss, first: np.dtype[Any], targets: np.dtype[Any], gradient: bool) -> Any:
    """The plain entry of these types, with a gradient if that is wanted; None if there is none."""
    return _entry(loss.name, parameters.bits(loss, first.itemsize, targets=targets), first, targets, gradient)


@functools.cache
def _entry(loss: str, bits: int, first: np.dtype[Any], targets: np.dtype[Any], gradient: bool) -> Any:
    if loss not in _TAILS or first.kind != "f" or first not in TYPES or targets not in TYPES:
        return None
    if bits == 64 and loss != CROSS_ENTROPY.name and (gradient or loss != PROBABILITY.name):
        return None
    return _specialised(loss, np.dtype(f"f{bits // 8}"), first, TYPES[targets])


@functools.cache
def _specialised(loss: str, kind: np.dtype[Any], first: np.dtype[Any], target: np.dtype[Any]) -> Any:
    return specialise(_plain, tail=_TAILS[loss], kind=kind.type, own=first.type, target=target.type)
