"""The stages of a block: numbers of any dtype and layout become 256 numbers of one type in scratch, and back.

A kernel walks its range in blocks that stay in the first-level cache. Every stage is a small loop over a block;
nothing of the data's size is built. What an option needs is data here, never a type: one compiled kernel serves all
dtypes and all options.

A `Factor` is a vector stretched over the elements: element i has values[(i // inner) % length]. A weight per row, a
coefficient per label, a scalar and a full array are all of this form.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inline
from .ops import (
    all_bits,
    bfloat_from_float,
    bit_or,
    float_from_bfloat,
    float_from_half,
    fma,
    half_from_float,
    has_sign,
    is_positive,
    keep_bits,
    like,
    narrowed,
    no_sign,
    pointer,
    round_to_odd,
    select,
    sign_of_no_weight,
    sign_outside,
)
from .sums import total

BLOCK = 256
"""Elements per block: ten float64 scratch rows fit a 32 KiB first-level cache."""


@intrinsic
def stack(typing, kind):
    """A pointer to uninitialised scratch on the stack for a block of numbers of kind's type.

    The optimiser knows that it overlaps no argument, so loops that write it need no run-time alias check. To be
    called where the scratch is used: memory of an inlined callee ends with the callee.
    """

    def codegen(context, b, signature, args):
        with b.goto_entry_block():
            scratch = b.alloca(ir.ArrayType(context.get_value_type(kind), BLOCK))
            scratch.align = 64
        return b.bitcast(scratch, cgutils.voidptr_t)

    return types.voidptr(kind), codegen


FLOAT32, FLOAT64, FLOAT16, BFLOAT16, UINT8, INT32, INT64 = range(7)
"""Codes of the element types that kernels read; int8 travels as uint8, so that a negative target is a large one."""

ANY, UNIT, NOT_POSITIVE = range(3)
"""The domains of the first argument: logits, probabilities (or targets, where only these are checked), logarithms."""

EVERYTHING, NOT_VALUE, NOT_NAN = range(3)
"""Which targets count: all, those that differ from `ignored`, those that are numbers."""

JOB = np.dtype(
    [(name, np.int64) for name in ("n", "start", "x", "x_type", "domain", "t", "t_type", "mask", "ignore")]
    + [("ignored", np.float64), ("price", np.int64), ("price_length", np.int64), ("price_inner", np.int64)]
    + [
        (f"{name}{part}", np.int64)
        for name in ("row", "element", "scale", "balance")
        for part in ("", "_length", "_inner")
    ]
    + [(name, np.int64) for name in ("loss", "loss_type", "grad", "grad_type", "hess", "hess_type", "partials")]
    + [(name, np.int64) for name in ("sums", "sums_length", "sums_inner", "sums_base")]
    + [(name, np.float64) for name in ("keep", "half", "p0", "p1", "p2", "p3", "p4")]
)
"""One call of a general kernel. `n` elements from flat position `start`; addresses, 0 where absent; the prices are
four vectors (a1, a0, b1, b0) one after another, the balance is two (α, 1-α); `keep` and `half` smooth the target,
`p0`… are the loss's own parameters; `partials` holds the sum of each block's losses, `sums` those of each cell
(`fold`)."""

_PLAIN = {"error_model": "numpy", "fastmath": False}


@njit(**_PLAIN)
def load(out, address, code, first):
    """out[:] = the elements from `first` on, as numbers of out's type.

    A target that this type cannot hold becomes 2, which is outside its domain as well.
    """
    n = out.size
    if code == FLOAT32:
        a32 = carray(pointer(address + 4 * first), (n,), np.float32)
        for i in range(n):
            out[i] = a32[i]
    elif code == FLOAT64:
        a64 = carray(pointer(address + 8 * first), (n,), np.float64)
        for i in range(n):
            out[i] = narrowed(a64[i], out[i])
    elif code == FLOAT16:
        h16 = carray(pointer(address + 2 * first), (n,), np.int16)
        for i in range(n):
            out[i] = float_from_half(h16[i])
    elif code == BFLOAT16:
        b16 = carray(pointer(address + 2 * first), (n,), np.uint16)
        for i in range(n):
            out[i] = float_from_bfloat(b16[i])
    elif code == UINT8:
        u8 = carray(pointer(address + first), (n,), np.uint8)
        for i in range(n):
            out[i] = np.int32(u8[i])
    elif code == INT32:
        i32 = carray(pointer(address + 4 * first), (n,), np.int32)
        for i in range(n):
            out[i] = i32[i]
    else:
        i64 = carray(pointer(address + 8 * first), (n,), np.int64)
        for i in range(n):
            small = np.int32(i64[i])
            out[i] = select(np.int64(small) == i64[i], small, np.int32(2))


@inline
def fetch(scratch, address, code, first):
    """The elements from `first` on: where they lie if they are of scratch's type, else loaded into it."""
    if code == (FLOAT32 if scratch.itemsize == 4 else FLOAT64):
        return carray(pointer(address + scratch.itemsize * first), (scratch.size,), scratch.dtype)
    load(scratch, address, code, first)
    return scratch


@njit(**_PLAIN)
def store(values, factor, address, code, first):
    """The inverse of `load`, for the floating types: values times a factor, rounded once to what is stored."""
    n = values.size
    if code == FLOAT32:
        a32 = carray(pointer(address + 4 * first), (n,), np.float32)
        for i in range(n):
            a32[i] = values[i] * factor
    elif code == FLOAT64:
        a64 = carray(pointer(address + 8 * first), (n,), np.float64)
        for i in range(n):
            a64[i] = values[i] * factor
    elif code == FLOAT16:
        h16 = carray(pointer(address + 2 * first), (n,), np.int16)
        for i in range(n):
            h16[i] = half_from_float(round_to_odd(values[i] * factor))
    else:
        b16 = carray(pointer(address + 2 * first), (n,), np.uint16)
        for i in range(n):
            b16[i] = bfloat_from_float(round_to_odd(values[i] * factor))


@njit(**_PLAIN)
def stretch(out, values, inner, first):
    """out[i] = values[((first + i) // inner) % values.size]: a factor at its place."""
    n, length, done = out.size, values.size, 0
    if length == 1:
        for i in range(n):
            out[i] = values[0]
        return
    which, since = (first // inner) % length, first % inner
    while done < n:
        if inner == 1:
            run = min(n - done, length - which)
            piece, part = values[which : which + run], out[done : done + run]
            for i in range(run):
                part[i] = piece[i]
            which = 0
        else:
            run = min(n - done, inner - since)
            value, part = values[which], out[done : done + run]
            for i in range(run):
                part[i] = value
            which, since = (which + 1) % length, 0
        done += run


CONSTANT, DIRECT, BROKEN = range(3)


@inline
def _span(values, inner, first, n):
    """How a factor lies over n elements: (one value, a slice, or runs; where it begins)."""
    place = first // inner
    which = place % values.size
    if (values.size == 1) | ((place + 1) * inner >= first + n):
        return CONSTANT, which
    if (inner == 1) & (which + n <= values.size):
        return DIRECT, which
    return BROKEN, which


@inline
def price(u, v, t, rest, table, inner, first, spare, spare2):
    """The factored prices a1·t + a0 and b1·(1-t) + b0; `table` holds the vectors a1, a0, b1, b0 as rows."""
    n = t.size
    how, k = _span(table[0], inner, first, n)
    if how == CONSTANT:
        a1, a0, b1, b0 = table[0, k], table[1, k], table[2, k], table[3, k]
        for i in range(n):
            u[i] = fma(a1, t[i], a0)
            v[i] = fma(b1, rest[i], b0)
    elif how == DIRECT:
        a1s, a0s, b1s, b0s = table[0][k : k + n], table[1][k : k + n], table[2][k : k + n], table[3][k : k + n]
        for i in range(n):
            u[i] = fma(a1s[i], t[i], a0s[i])
            v[i] = fma(b1s[i], rest[i], b0s[i])
    else:
        for out, by, row in ((u, t, 0), (v, rest, 2)):
            stretch(spare, table[row], inner, first)
            stretch(spare2, table[row + 1], inner, first)
            for i in range(n):
                out[i] = fma(spare[i], by[i], spare2[i])


@inline
def weigh(u, v, values, inner, first, spare):
    """u and v times a factor of weights; 2 if one of those is negative, infinite or NaN, else 0."""
    n, bad = u.size, no_sign(u[0])
    how, k = _span(values, inner, first, n)
    if how == CONSTANT:
        w = values[k]
        bad = sign_of_no_weight(w)
        for i in range(n):
            u[i] *= w
            v[i] *= w
        return np.int32(2 * has_sign(bad))
    by = values[k : k + n]
    if how == BROKEN:
        stretch(spare, values, inner, first)
        by = spare
    for i in range(n):
        bad = bit_or(bad, sign_of_no_weight(by[i]))
        u[i] *= by[i]
        v[i] *= by[i]
    return np.int32(2 * has_sign(bad))


@inline
def weigh_twice(u, v, rows, row_inner, elements, inner, first, spare):
    """The same by two factors, in one pass if the second lies as the elements do."""
    n, bad = u.size, no_sign(u[0])
    how, k = _span(elements, inner, first, n)
    if how != DIRECT:
        found = weigh(u, v, rows, row_inner, first, spare)
        return bit_or(found, weigh(u, v, elements, inner, first, spare))
    by = elements[k : k + n]
    stretch(spare, rows, row_inner, first)
    for i in range(n):
        bad = bit_or(bad, bit_or(sign_of_no_weight(spare[i]), sign_of_no_weight(by[i])))
        u[i] = u[i] * spare[i] * by[i]
        v[i] = v[i] * spare[i] * by[i]
    return np.int32(2 * has_sign(bad))


@inline
def weigh_one(u, values, inner, first, spare):
    """u alone times a factor of weights; flags as from `weigh`."""
    bad = no_sign(u[0])
    stretch(spare, values, inner, first)
    for i in range(u.size):
        bad = bit_or(bad, sign_of_no_weight(spare[i]))
        u[i] *= spare[i]
    return np.int32(2 * has_sign(bad))


@inline
def scale(values, factors, inner, first, spare):
    """Multiply by a factor that varies within the block; return the number that all are still to be multiplied by."""
    n = values.size
    how, k = _span(factors, inner, first, n)
    if how == CONSTANT:
        return factors[k]
    by = factors[k : k + n]
    if how == BROKEN:
        stretch(spare, factors, inner, first)
        by = spare
    for i in range(n):
        values[i] *= by[i]
    return like(values[0], 1.0)


@inline
def fold(sums, values, inner, first, base):
    """Add each value to its cell: the inverse of `stretch`. Element i belongs to cell (i // inner - base) % length."""
    n, done = values.size, 0
    while done < n:
        place = first + done
        cell = (place // inner - base) % sums.size
        if inner == 1:
            run = min(n - done, sums.size - cell)
            piece, cells = values[done : done + run], sums[cell : cell + run]
            for i in range(run):
                cells[i] += piece[i]
        else:
            run = min(n - done, inner - place % inner)
            sums[cell] += total(values[done : done + run])
        done += run


@inline
def complement(rest, t, address, code, first):
    """rest[:] = 1 - t, from the targets' own digits where these are float64; 1 if a target is out of range, else 0."""
    n, bad = t.size, no_sign(t[0])
    if code == FLOAT64:
        own = carray(pointer(address + 8 * first), (n,), np.float64)
        for i in range(n):
            bad = bit_or(bad, sign_outside(t[i]))
            rest[i] = 1.0 - own[i]
    else:
        for i in range(n):
            bad = bit_or(bad, sign_outside(t[i]))
            rest[i] = like(t[i], 1.0) - t[i]
    return has_sign(bad)


@inline
def keep_counted(keep, t, job, first):
    """keep[i] = -1, all bits set, where the element counts, else 0; the job has a mask, an ignored value, or both.

    Mask and targets have loops of their own: of one loop over both LLVM makes branches.
    """
    n = keep.size
    if job.ignore == NOT_NAN:
        for i in range(n):
            keep[i] = all_bits(t[i] == t[i])
    elif job.ignore == NOT_VALUE:
        ignored = like(t[0], job.ignored)
        for i in range(n):
            keep[i] = all_bits(t[i] != ignored)
    if job.mask:
        mask = carray(pointer(job.mask + first), (n,), np.uint8)
        if job.ignore == EVERYTHING:
            for i in range(n):
                keep[i] = all_bits(mask[i] != np.uint8(0))
        else:
            for i in range(n):
                keep[i] = all_bits((mask[i] != np.uint8(0)) & (keep[i] != np.int32(0)))


@inline
def outside_unit(t):
    """1 if any target is outside [0, 1] or NaN, else 0."""
    bad = no_sign(t[0])
    for i in range(t.size):
        bad = bit_or(bad, sign_outside(t[i]))
    return has_sign(bad)


@inline
def outside_domain(x, domain):
    """4 if any number is outside its domain or, for probabilities and their logarithms, NaN; else 0."""
    bad = np.int32(0)
    if domain == UNIT:
        bad = outside_unit(x)
    elif domain == NOT_POSITIVE:
        for i in range(x.size):
            bad = bit_or(bad, is_positive(x[i]))
    return np.int32(4 * bad)


@inline
def zero_where_dropped(out, values, keep):
    """`out`, with the values that count: select, never multiply, for a NaN that does not must leave no trace."""
    for i in range(values.size):
        out[i] = keep_bits(values[i], keep[i])
    return out


@inline
def drop(l, g, h, keep, curved):
    """Elements that do not count cost nothing, whatever came out for them: NaN from a NaN logit, say."""
    for i in range(l.size):
        l[i] = keep_bits(l[i], keep[i])
        g[i] = keep_bits(g[i], keep[i])
    if curved:
        zero_where_dropped(h, h, keep)
