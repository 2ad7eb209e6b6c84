"""The entries of gradient and Hessian alone: boosting's common case, whose every round asks for both and for no loss.

Contiguous logits, prices that are numbers, and at most a float32 weight for each. Without the loss there is no
logarithm, so that this is half the work of a general entry, with the same bits.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray

from . import cores, plain
from .blocks import BLOCK, stack
from .jit import inline, specialise
from .ops import bit_or, flip_sign, fma, has_sign, like, no_sign, sign_of_no_weight, sign_outside

kind: Any = None
target: Any = None
"""What the template leaves open: the types of the logits, in which it computes, and of targets."""


def _curved(first, targets, weights, gradient, hessian, n, numbers, low, high):
    x, t = plain.elements(first, n, kind), plain.elements(targets, n, target)
    r_, z_ = carray(stack(kind(0)), (BLOCK,), kind), carray(stack(kind(0)), (BLOCK,), kind)
    bad = np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        e = min(s + BLOCK, n)
        cores.exponentials(x[s:e], z_[: e - s], r_[: e - s])
        given = x[s:e], t[s:e], numbers, z_[: e - s], gradient[s:e], hessian[s:e]
        bad = bit_or(bad, _weighted(weights[s:e], *given) if weights.size else _both(*given))
    return bad


@inline
def _derivatives(x, u, v, z):
    q, side = cores.small_sigmoid(z), cores.price_of_side(x, u, v)
    return flip_sign(fma(-(u + v), q, side), x), (u + v) * (q * (like(q, 1.0) - q))


@inline
def _both(x, t, numbers, z, g, h):
    bad = no_sign(t[0])
    for i in range(x.size):
        bad = bit_or(bad, sign_outside(t[i]))
        u, v = plain.prices(x[i], t[i], numbers)
        g[i], h[i] = _derivatives(x[i], u, v, z[i])
    return has_sign(bad)


@inline
def _weighted(weights, x, t, numbers, z, g, h):
    bad, bad_weight = no_sign(t[0]), no_sign(x[0])
    for i in range(x.size):
        w = like(x[i], weights[i])
        bad, bad_weight = bit_or(bad, sign_outside(t[i])), bit_or(bad_weight, sign_of_no_weight(w))
        u, v = plain.prices(x[i], t[i], numbers)
        g[i], h[i] = _derivatives(x[i], u * w, v * w, z[i])
    return np.int32(has_sign(bad) | 2 * has_sign(bad_weight))


@functools.cache
def entry(first: np.dtype[Any], targets: np.dtype[Any]) -> Any:
    """The entry for logits and targets of these types; None if there is none."""
    if first.kind != "f" or first not in plain.TYPES or targets not in plain.TYPES:
        return None
    return specialise(_curved, kind=first.type, target=plain.TYPES[targets].type)
