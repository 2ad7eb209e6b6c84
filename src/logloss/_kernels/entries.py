"""The compiled kernels that Python calls: serial, without the GIL, over a range of whole blocks.

The *plain* entries take contiguous elements and scalar prices: training's and scoring's common case, at memory speed.
The *general* entries, one per loss and arithmetic type, take a `JOB` and serve every dtype, layout, weight,
mask and output.

Sums are taken block by block (a plain entry returns the sum of its range, a general one writes those of its blocks), so
the number of threads cannot change a result. Every entry returns flags: 1 = a target outside [0, 1], 2 = a weight that
is negative or not finite, 4 = a probability (or its logarithm) outside its domain.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import overload

from .._spec.losses import ROWS
from . import cores
from .blocks import (
    ANY,
    BLOCK,
    EVERYTHING,
    UNIT,
    complement,
    drop,
    fetch,
    fold,
    keep_counted,
    load,
    outside_domain,
    outside_unit,
    price,
    scale,
    stack,
    store,
    stretch,
    weigh,
    weigh_one,
    zero_where_dropped,
)
from .elementary import minus_log_either
from .jit import entry, inline, specialise
from .ops import bit_or, flip_sign, fma, is_outside, magnitude, number, pointer, rest, select
from .sums import total

kind: Any = None
target: Any = None
core: Any = None
balanced: Any = None
"""What a template leaves open: the types of logits and targets, the loss, and whether that has a balance α_t
(`specialise` fills them in)."""

# ---- plain ----------------------------------------------------------------------------------------------------------


@inline
def _losses(x, t, a1, a0, b1, b0, z, l):
    bad = np.int32(0)
    for i in range(x.size):
        y = number(x[i], t[i])
        bad = bit_or(bad, is_outside(t[i]))
        u, v = fma(a1, y, a0), fma(b1, rest(x[i], t[i]), b0)
        l[i] = cores.loss_at(magnitude(x[i]), l[i], u + v, cores.price_of_side(x[i], u, v))
    return bad


@inline
def _losses_and_gradients(x, t, a1, a0, b1, b0, scale, z, l, g):
    bad = np.int32(0)
    for i in range(x.size):
        y = number(x[i], t[i])
        bad = bit_or(bad, is_outside(t[i]))
        u, v = fma(a1, y, a0), fma(b1, rest(x[i], t[i]), b0)
        w, side = u + v, cores.price_of_side(x[i], u, v)
        l[i] = cores.loss_at(magnitude(x[i]), l[i], w, side)
        g[i] = flip_sign(fma(-w, cores.small_sigmoid(z[i]), side), x[i]) * scale
    return bad


def elements(memory, n, dtype):
    """n elements as an array: `memory` is the array itself, or where they lie; none at 0."""


@overload(elements)
def _elements(memory, n, dtype):
    if isinstance(memory, types.Integer):
        return lambda memory, n, dtype: carray(pointer(memory), (n if memory else 0,), dtype)
    return lambda memory, n, dtype: memory


def _plain(logits, targets, gradient, n, prices, scale, low, high):
    """Blocks low..high of the plain loss; the gradient times `scale` goes to `gradient` unless that is 0."""
    x, t, g = elements(logits, n, kind), elements(targets, n, target), elements(gradient, n, kind)
    a1, a0, b1, b0, k = kind(prices[0]), kind(prices[1]), kind(prices[2]), kind(prices[3]), kind(scale)
    z_, l_ = carray(stack(a1), (BLOCK,), kind), carray(stack(a1), (BLOCK,), kind)
    found, bad = 0.0, np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        e = min(s + BLOCK, n)
        z, l = z_[: e - s], l_[: e - s]
        cores.exponentials(x[s:e], z, l)
        cores.softplus_of_minus(z, l)
        if g.size:
            bad = bit_or(bad, _losses_and_gradients(x[s:e], t[s:e], a1, a0, b1, b0, k, z, l, g[s:e]))
        else:
            bad = bit_or(bad, _losses(x[s:e], t[s:e], a1, a0, b1, b0, z, l))
        found += total(l)
    return found, bad


@inline
def _hard_probability_losses(p, t, a1, b1, l):
    bad, far_off = np.int32(0), np.int32(0)
    for i in range(p.size):
        x = np.float64(p[i])
        bad, far_off = bit_or(bad, is_outside(t[i])), bit_or(far_off, is_outside(p[i]))
        positive, upper = t[i] != 0, x > 0.5
        cost = minus_log_either(select(upper, 1.0 - x, x), positive == upper)
        l[i] = cores.priced(select(positive, a1, b1), cost)
    return np.int32(bad | 4 * far_off)


@inline
def _probability_losses(p, t, a1, a0, b1, b0, l):
    bad, far_off = np.int32(0), np.int32(0)
    for i in range(p.size):
        x, y = np.float64(p[i]), number(0.0, t[i])
        bad, far_off = bit_or(bad, is_outside(t[i])), bit_or(far_off, is_outside(p[i]))
        positive, negative = cores.minus_logs(x)
        l[i] = cores.priced(fma(a1, y, a0), positive) + cores.priced(fma(b1, 1.0 - y, b0), negative)
    return np.int32(bad | 4 * far_off)


def _plain_probabilities(probabilities, targets, _gradient, n, prices, _scale, low, high):
    """Cross-entropy of probabilities. Where nothing is smoothed and all targets of a block are 0 or 1, one log does."""
    p, t = elements(probabilities, n, kind), elements(targets, n, target)
    a1, a0, b1, b0 = prices
    l_ = carray(stack(0.0), (BLOCK,), np.float64)
    found, bad = 0.0, np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        e = min(s + BLOCK, n)
        l = l_[: e - s]
        if (a0 == 0.0) & (b0 == 0.0) and cores.all_hard(t[s:e]):
            bad = bit_or(bad, _hard_probability_losses(p[s:e], t[s:e], a1, b1, l))
        else:
            bad = bit_or(bad, _probability_losses(p[s:e], t[s:e], a1, a0, b1, b0, l))
        found += total(l)
    return found, bad


_PLAIN = {"cross_entropy": _plain, "probabilities": _plain_probabilities}
"""The losses that have a loop of their own for contiguous elements."""
WITH_GRADIENT = ("cross_entropy",)
"""Those of them that give a gradient."""
PLAIN_TYPES = {
    np.dtype(own): np.dtype(own.replace("?", "u1").replace("i", "u"))
    for own in ("f4", "f8", "?", "i1", "u1", "i4", "u4", "i8", "u8")
}
"""The types that the plain entries know, and as what they read them: signed integers and bool as unsigned ones."""


@functools.cache
def plain(loss: str, logits: np.dtype[Any], targets: np.dtype[Any]) -> Any:
    """The plain entry of these types, None if there is none.

    It takes (logits, targets, gradient, n, (a1, a0, b1, b0), scale, low, high), of which the first three are
    arrays or addresses, and returns the sum of the losses and the flags.
    """
    if loss not in _PLAIN or logits.kind != "f" or logits not in PLAIN_TYPES or targets not in PLAIN_TYPES:
        return None
    read = PLAIN_TYPES[targets]
    if targets != read:
        return plain(loss, logits, read)
    return specialise(_PLAIN[loss], kind=logits.type, target=targets.type)


# ---- general --------------------------------------------------------------------------------------------------------


@inline
def _factor(address, length, kind):
    return carray(pointer(address), (length,), kind)


@inline
def _write(job, s, first, l, g, h, spare, kind):
    """The elementwise results that were asked for, derivatives times their scale."""
    if job.loss:
        store(l, kind(1), job.loss, job.loss_type, s)
    factors = _factor(job.scale, job.scale_length, kind)
    if job.grad:
        factor = scale(g, factors, job.scale_inner, first, spare)
        store(g, factor, job.grad, job.grad_type, s)
    if job.hess:
        factor = scale(h, factors, job.scale_inner, first, spare)
        store(h, factor, job.hess, job.hess_type, s)


def _general(jobs, low, high):
    """The template of the general entries; `core` and `kind` are globals of each."""
    job = jobs[0]
    zero = kind(0)
    x_, t_ = carray(stack(zero), (BLOCK,), kind), carray(stack(zero), (BLOCK,), kind)
    u_, v_ = carray(stack(zero), (BLOCK,), kind), carray(stack(zero), (BLOCK,), kind)
    l_, z_ = carray(stack(zero), (BLOCK,), kind), carray(stack(zero), (BLOCK,), kind)
    g_, h_ = carray(stack(zero), (BLOCK,), kind), carray(stack(zero), (BLOCK,), kind)
    w_ = carray(stack(zero), (BLOCK,), kind)
    keep_ = carray(stack(np.int32(0)), (BLOCK,), np.int32)
    partials = carray(pointer(job.partials), ((job.n + BLOCK - 1) // BLOCK,), np.float64)
    sums = carray(pointer(job.sums), (job.sums_length,), np.float64)
    table = carray(pointer(job.price), (4, job.price_length), kind)
    row, element = _factor(job.row, job.row_length, kind), _factor(job.element, job.element_length, kind)
    parameters = (kind(job.keep), kind(job.half), kind(job.p0), kind(job.p1), kind(job.p2))
    alpha = carray(pointer(job.balance), (2, job.balance_length), kind)
    selective = (job.mask != 0) | (job.ignore != EVERYTHING)
    bad = np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        c = min(job.n - s, BLOCK)
        x, t, u, v, l, z, g, h, keep = x_[:c], t_[:c], u_[:c], v_[:c], l_[:c], z_[:c], g_[:c], h_[:c], keep_[:c]
        if selective:
            load(t, job.t, job.t_type, s)
            keep_counted(keep, t, job, s)
            zero_where_dropped(t, keep)
        else:
            t = fetch(t, job.t, job.t_type, s)
        if selective & (job.domain != ANY):
            load(x, job.x, job.x_type, s)
            zero_where_dropped(x, keep)
        else:
            x = fetch(x, job.x, job.x_type, s)
        bad = bit_or(bad, complement(z, t, job.t, job.t_type, s))
        price(u, v, t, z, table, job.price_inner, job.start + s, l, g)
        if job.row:
            bad = bit_or(bad, weigh(u, v, row, job.row_inner, job.start + s, z))
        if job.element:
            bad = bit_or(bad, weigh(u, v, element, job.element_inner, job.start + s, z))
        bad = bit_or(bad, outside_domain(x, job.domain))
        w = w_[:c]
        if balanced:
            cores.balance(w, t, parameters, alpha, job.balance_inner, job.start + s, l, g)
        core(x, u, v, t, w, parameters, z, l, g, h, job.hess != 0)
        if selective:
            drop(l, g, h, keep, job.hess != 0)
        if job.sums:
            fold(sums, l, job.sums_inner, job.start + s, job.sums_base)
        else:
            partials[block] = total(l)
        _write(job, s, job.start + s, l, g, h, z, kind)
    return bad


@inline
def _count(keep):
    counted = np.int32(0)
    for i in range(keep.size):
        counted = np.int32(counted - keep[i])
    return counted


@entry
def tally(jobs, low, high):
    """The sum of the weights of the elements that count; the first price is the weight of an element's label.

    Targets are read where they say what counts, or where their domain is asked about.
    """
    job = jobs[0]
    t_, keep_ = carray(stack(np.float32(0)), (BLOCK,), np.float32), carray(stack(np.int32(0)), (BLOCK,), np.int32)
    w_, spare_ = carray(stack(0.0), (BLOCK,), np.float64), carray(stack(0.0), (BLOCK,), np.float64)
    partials = carray(pointer(job.partials), ((job.n + BLOCK - 1) // BLOCK,), np.float64)
    sums = carray(pointer(job.sums), (job.sums_length,), np.float64)
    label = _factor(job.price, job.price_length, np.float64)
    row, element = _factor(job.row, job.row_length, np.float64), _factor(job.element, job.element_length, np.float64)
    selective = (job.mask != 0) | (job.ignore != EVERYTHING)
    weighted = (job.price_length > 1) | (label[0] != 1.0) | (job.row != 0) | (job.element != 0) | (job.sums != 0)
    bad = np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        c = min(job.n - s, BLOCK)
        t, w, spare, keep = t_[:c], w_[:c], spare_[:c], keep_[:c]
        if (job.ignore != EVERYTHING) | (job.domain == UNIT):
            load(t, job.t, job.t_type, s)
        if selective:
            keep_counted(keep, t, job, s)
        if job.domain == UNIT:
            if selective:
                zero_where_dropped(t, keep)
            bad = bit_or(bad, outside_unit(t))
        if not weighted:
            partials[block] = _count(keep) if selective else c
            continue
        stretch(w, label, job.price_inner, job.start + s)
        if job.row:
            bad = bit_or(bad, weigh_one(w, row, job.row_inner, job.start + s, spare))
        if job.element:
            bad = bit_or(bad, weigh_one(w, element, job.element_inner, job.start + s, spare))
        if selective:
            zero_where_dropped(w, keep)
        if job.sums:
            fold(sums, w, job.sums_inner, job.start + s, job.sums_base)
        else:
            partials[block] = total(w)
    return bad


_KINDS = {32: np.float32, 64: np.float64}
BALANCED = ("focal",)
"""The losses that have a balance α_t."""
GENERAL = {
    (loss.name, bits): specialise(
        _general, core=getattr(cores, loss.name), kind=_KINDS[bits], balanced=loss.name in BALANCED
    )
    for loss in ROWS
    for bits in sorted({loss.bits(4), loss.bits(8)})
}
"""The general entry of each loss and arithmetic."""
