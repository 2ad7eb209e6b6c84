"""The compiled kernels that Python calls: serial, without the GIL, over a range of whole blocks.

The *general* entries, one per loss and arithmetic type, take a `JOB` and serve every dtype, layout, weight, mask and
output. (`plain` has those of the common case.)

Sums are taken block by block (a plain entry returns the sum of its range, a general one writes those of its blocks), so
the number of threads cannot change a result. Every entry returns flags: 1 = a target outside [0, 1], 2 = a weight that
is negative or not finite, 4 = a probability (or its logarithm) outside its domain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from .._spec.losses import ROWS
from . import cores, focusing, parameters
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
    weigh_twice,
    zero_where_dropped,
)
from .jit import entry, inline, specialise
from .ops import bit_or, pointer
from .sums import total

kind: Any = None
core: Any = None
balanced: Any = None
"""What a template leaves open: the type of the arithmetic, the loss, and whether that has a balance α_t (`specialise`
fills them in)."""


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
    smoothing, own = (kind(job.keep), kind(job.half)), (kind(job.p0), kind(job.p1), kind(job.p2))
    parameters = (*smoothing, *own, kind(job.p3), kind(job.p4))
    alpha = carray(pointer(job.balance), (2, job.balance_length), kind)
    selective = (job.mask != 0) | (job.ignore != EVERYTHING)
    bad = np.int32(0)
    for block in range(low, high):
        s = block * BLOCK
        c = min(job.n - s, BLOCK)
        x, t, u, v, l, z, g, h, keep = x_[:c], t_[:c], u_[:c], v_[:c], l_[:c], z_[:c], g_[:c], h_[:c], keep_[:c]
        x, t = fetch(x, job.x, job.x_type, s), fetch(t, job.t, job.t_type, s)
        if selective:
            keep_counted(keep, t, job, s)
            t = zero_where_dropped(t_[:c], t, keep)
            if job.domain != ANY:
                x = zero_where_dropped(x_[:c], x, keep)
        bad = bit_or(bad, complement(z, t, job.t, job.t_type, s))
        price(u, v, t, z, table, job.price_inner, job.start + s, l, g)
        if (job.row != 0) & (job.element != 0):
            bad = bit_or(bad, weigh_twice(u, v, row, job.row_inner, element, job.element_inner, job.start + s, z))
        elif job.row:
            bad = bit_or(bad, weigh(u, v, row, job.row_inner, job.start + s, z))
        elif job.element:
            bad = bit_or(bad, weigh(u, v, element, job.element_inner, job.start + s, z))
        bad = bit_or(bad, outside_domain(x, job.domain))
        w = w_[:c]
        if balanced:
            focusing.balance(w, t, parameters, alpha, job.balance_inner, job.start + s, l, g)
        core(x, u, v, t, w, parameters, z, l, g, h, job.hess != 0)
        if selective:
            drop(l, g, h, keep, job.hess != 0)
        if job.sums:
            fold(sums, l, job.sums_inner, job.start + s, job.sums_base)
        else:
            partials[block] = total(l)
        _write(job, s, job.start + s, l, g, h, z, kind)
    return bad


@entry
def mark(out, places, start):
    """1 at these places, counted from `start`, and 0 elsewhere; NumPy's index arrays would let no other thread work."""
    for i in range(out.size):
        out[i] = 0
    for i in range(places.size):
        out[places[i] - start] = 1


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
                zero_where_dropped(t, t, keep)
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
            zero_where_dropped(w, w, keep)
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
        _general,
        core=getattr(focusing if loss.focused else cores, loss.name),
        kind=_KINDS[bits],
        balanced=loss.name in BALANCED,
    )
    for loss in ROWS
    for bits in sorted({parameters.bits(loss, 4), 64})
}
"""The general entry of each loss and arithmetic."""
