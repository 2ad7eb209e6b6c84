"""Loss and gradient of logits that are all negatives, in place: a chunk of a layer's outputs becomes its own gradient.

With target 0 and price 1, loss = softplus(x) and gradient = σ(x); a logit of -inf costs 0 and has gradient 0, which is
how whoever counts positives apart leaves them out. No targets are read and nothing of the logits' size is staged.

Losses are summed row by row, so that a row's sum has the same bits whatever other rows are in its chunk, and whatever
the number of threads.
"""

from __future__ import annotations

import functools

import numpy as np
from numba import carray

from .._types import Array
from . import cores, threads
from .blocks import BLOCK, FLOAT32, stack, store
from .jit import entry, inline
from .layout import address, code_of
from .ops import flip_sign, float_from_bfloat, fma, magnitude, pointer, select
from .sums import total

TASK = 1 << 16
"""Elements per task: a quarter of the general way's, for a chunk is small and no Python runs between its tasks."""


@inline
def _shift(x, logits, code, first, by):
    """The block's logits: what is stored, in float32, plus their row's bias. What stands at -inf stays there."""
    if code == FLOAT32:
        a32 = carray(pointer(logits + 4 * first), (x.size,), np.float32)
        for i in range(x.size):
            x[i] = select(a32[i] == -np.float32(np.inf), a32[i], a32[i] + by)
    else:
        b16 = carray(pointer(logits + 2 * first), (x.size,), np.uint16)
        for i in range(x.size):
            value = float_from_bfloat(b16[i])
            x[i] = select(value == -np.float32(np.inf), value, value + by)


@inline
def _losses(x, l, zero, one):
    for i in range(x.size):
        l[i] = cores.loss_at(magnitude(x[i]), l[i], one, cores.price_of_side(x[i], zero, one))


@inline
def _slopes(x, z, g, zero, one):
    for i in range(x.size):
        side = cores.price_of_side(x[i], zero, one)
        g[i] = flip_sign(fma(-one, cores.small_sigmoid(z[i]), side), x[i])


@entry
def negatives(logits, code, width, bias, sums, slopes, low, high):
    """Rows low..high of a matrix of float32 or bfloat16 (`code`): the sums of their losses.

    `bias`: float32 numbers, one for each row, that the matrix lacks; 0 where there are none.

    Where `slopes` is no 0, σ(x) takes the place of what is stored, and its sums, of what is not rounded yet, go there.
    """
    zero, one = np.float32(0), np.float32(1)
    x_, z_ = carray(stack(zero), (BLOCK,), np.float32), carray(stack(zero), (BLOCK,), np.float32)
    l_, g_ = carray(stack(zero), (BLOCK,), np.float32), carray(stack(zero), (BLOCK,), np.float32)
    found, sloped = carray(pointer(sums), (high,), np.float64), carray(pointer(slopes), (high,), np.float64)
    shifts = carray(pointer(bias), (high,), np.float32)
    for row in range(low, high):
        summed, steep = 0.0, 0.0
        by = shifts[row] if bias else zero
        for s in range(0, width, BLOCK):
            n, first = min(width - s, BLOCK), row * width + s
            z, l, g = z_[:n], l_[:n], g_[:n]
            x = x_[:n]
            _shift(x, logits, code, first, by)
            cores.exponentials(x, z, l)
            cores.softplus_of_minus(z, l)
            _losses(x, l, zero, one)
            summed += total(l)
            if slopes:
                _slopes(x, z, g, zero, one)
                steep += total(g)
                store(g, one, logits, code, first)
        found[row] = summed
        if slopes:
            sloped[row] = steep


def sums_of_negatives(logits: Array, bias: Array | None, *, wants_grad: bool) -> tuple[Array, Array | None]:
    """The sum of each row's losses; with `wants_grad` the logits become their gradient, whose sums come second.

    `logits`: a C-contiguous matrix of float32 or bfloat16; `bias`: a float32 number to add to each row, or None.
    """
    rows, width = logits.shape
    sums, slopes = np.empty(rows), np.empty(rows) if wants_grad else None
    step = max(1, TASK // max(width, 1))
    shifts = 0 if bias is None else address(bias)
    fixed = (
        *(address(logits), code_of(logits.dtype), width, shifts),
        *(address(sums), 0 if slopes is None else address(slopes)),
    )
    threads.run([functools.partial(negatives, *fixed, low, min(low + step, rows)) for low in range(0, rows, step)])
    return sums, slopes
