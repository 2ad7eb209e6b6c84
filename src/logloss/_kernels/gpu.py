"""The cross-entropy of logits on a GPU, in Triton: loss, gradient and sum in one launch.

The arithmetic is that of `cores.cross_entropy` with the polynomials of `elementary`, in float32, step by step: a GPU
gives the CPU's bits. Built-in exp and log are not used: the fast ones lose the loss of a confident true negative.

Every operand has a stride along each of three axes (outer, row, column), 0 where it is broadcast, so weights per row
or per label, masks and slices need neither copies nor divisions. One program takes one tile and writes one partial
sum: no atomics, so the same bits every time. Nothing is tuned, and nothing is compiled before it is called.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .coefficients import EXPM1_32, LN2_HIGH_32, LN2_LOW_32, LOG1P_32, LOG2_E

TILE = 4096
"""Elements per program."""

LAUNCH = {"num_warps": 8, "enable_fp_fusion": False}  # fused multiply-adds stand where they are meant
"""How kernels are launched."""

_E0, _E1, _E2, _E3, _E4 = map(tl.constexpr, EXPM1_32)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9 = map(tl.constexpr, LOG1P_32)
_R0, _R1, _R2 = map(tl.constexpr, (70 / 33, -16 / 11, 32 / 99))  # 1/d on [1, 2] within 1/99, by Chebyshev's T₃
_LOG2_E, _LN2_HIGH, _LN2_LOW = tl.constexpr(LOG2_E), tl.constexpr(LN2_HIGH_32), tl.constexpr(LN2_LOW_32)
_ROUNDER = tl.constexpr(12582912.0)  # 1.5·2^23 rounds to an integer in the lowest bits

EVERYTHING, NOT_VALUE, NOT_NAN = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


# ---- arithmetic -----------------------------------------------------------------------------------------------------


@triton.jit
def _exp_of_minus(a):
    """e^-a for a >= 0."""
    t = tl.maximum(-a, -104.0, propagate_nan=tl.PropagateNan.ALL)
    shifted = tl.fma(t, _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = tl.fma(n, -_LN2_LOW, tl.fma(n, -_LN2_HIGH, t))
    power = ((shifted.to(tl.int32, bitcast=True) << 23) + (191 << 23)).to(tl.float32, bitcast=True)  # 2^(n + 64)
    p = tl.fma(tl.fma(tl.fma(tl.fma(r, _E4, _E3), r, _E2), r, _E1), r, _E0)
    return ((1.0 + tl.fma(r * r, p, r)) * power) * 5.421010862427522e-20  # 2^-64: subnormal results are right


@triton.jit
def _log1p(z):
    """log(1 + z) for z in [0, 1]."""
    w = z - 0.5
    p = tl.fma(tl.fma(tl.fma(tl.fma(tl.fma(w, _L9, _L8), w, _L7), w, _L6), w, _L5), w, _L4)
    p = tl.fma(tl.fma(tl.fma(tl.fma(p, w, _L3), w, _L2), w, _L1), w, _L0)
    return tl.fma(z, p, z)


@triton.jit
def _share(z):
    """z/(1 + z) for z in [0, 1], rounded correctly: the reciprocal by Newton, the quotient by its exact residual.

    A division instruction takes about as many steps, and a branch besides, for divisors that do not occur here.
    """
    d = 1.0 + z
    r = tl.fma(tl.fma(d, _R2, _R1), d, _R0)
    r = tl.fma(r, tl.fma(-d, r, 1.0), r)
    r = tl.fma(r, tl.fma(-d, r, 1.0), r)
    q = z * r
    return tl.fma(tl.fma(-q, d, z), r, q)


@triton.jit
def _cross_entropy(x, u, v, w):
    """Loss and gradient of u·softplus(-x) + v·softplus(x): `_formula.cross_entropy`, term by term.

    w is u + v, or NaN where both results shall be NaN.
    """
    bits = x.to(tl.int32, bitcast=True)
    a = tl.abs(x)
    z = _exp_of_minus(a)
    q = tl.fma(-z, _share(z), z)
    side = tl.where(bits < 0, u, v)
    loss = tl.fma(w, _log1p(z), tl.where(side == 0.0, 0.0, side * a))
    slope = tl.fma(-w, q, side).to(tl.int32, bitcast=True) ^ (bits & -(2**31))  # the sign of x
    return loss, slope.to(tl.float32, bitcast=True)


# ---- kernels --------------------------------------------------------------------------------------------------------


@triton.jit
def tile(partials, x, t, mask, row, element, table, loss, grad, scale, factor, a1, a0, b1, b0, ignored,
          outer, rows, columns,
          x0, x1, x2, t0, t1, t2, m0, m1, m2, r0, r1, r2, e0, e1, e2, p0, p1, p2, l0, l1, l2, g0, g1, g2, s0, s1, s2,
          labels,
          IGNORE: tl.constexpr, CHECK: tl.constexpr, SIGNED: tl.constexpr, ONE_SCALE: tl.constexpr,
          ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """One tile: loss and gradient where wanted, and the tile's sum. Absent operands are None.

    Without logits the sum is that of u, which is the weight where the targets' prices are 0.
    """
    program = tl.program_id(0).to(tl.int64)
    across = tl.cdiv(columns, COLUMNS)
    down = tl.cdiv(rows, ROWS)
    o = program // (across * down)
    i = (program // across) % down * ROWS + tl.arange(0, ROWS)[:, None]
    j = program % across * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    counts = (i < rows) & (j < columns)
    inside = counts

    if t is not None:
        own = tl.load(t + (o * t0 + i * t1 + j * t2), mask=inside, other=0)
    else:
        own = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    if mask is not None:
        counts = counts & (tl.load(mask + (o * m0 + i * m1 + j * m2), mask=inside, other=0) != 0)
    if IGNORE == NOT_VALUE:
        counts = counts & (own.to(tl.float32) != ignored)
    if IGNORE == NOT_NAN:
        counts = counts & (own == own)
    good = (own >= 0) & (own <= 1)
    y = own.to(tl.float32)
    rest = (1.0 - own).to(tl.float32) if own.dtype == tl.float64 else 1.0 - y
    if table is not None:
        where = table + (o * p0 + i * p1 + j * p2)
        u = tl.fma(tl.load(where, mask=inside, other=0.0), y, tl.load(where + labels, mask=inside, other=0.0))
        v = tl.fma(tl.load(where + 2 * labels, mask=inside, other=0.0), rest,
                   tl.load(where + 3 * labels, mask=inside, other=0.0))  # fmt: skip
    else:
        u = tl.fma(y, a1, a0)
        v = tl.fma(rest, b1, b0)
    if row is not None:
        weight = tl.load(row + (o * r0 + i * r1 + j * r2), mask=inside, other=0).to(tl.float32)
        good = good & (weight >= 0.0) & (weight < float("inf"))
        u, v = u * weight, v * weight
    if element is not None:
        weight = tl.load(element + (o * e0 + i * e1 + j * e2), mask=inside, other=0).to(tl.float32)
        good = good & ((weight >= 0.0) | SIGNED) & (tl.abs(weight) < float("inf"))
        u, v = u * weight, v * weight

    if x is not None:
        logit = tl.load(x + (o * x0 + i * x1 + j * x2), mask=inside, other=0.0).to(tl.float32)
        cost, slope = _cross_entropy(logit, u, v, tl.where(good, u + v, float("nan")) if CHECK else u + v)
    else:
        cost = u
    cost = tl.where(counts, cost, 0.0)
    if grad is not None:
        if mask is not None or IGNORE != EVERYTHING:
            slope = tl.where(counts, slope, 0.0)
        if scale is None:
            slope = slope * factor
        elif ONE_SCALE:
            slope = slope * tl.load(scale)
        else:
            slope = slope * tl.load(scale + (o * s0 + i * s1 + j * s2), mask=inside, other=0.0)
        tl.store(grad + (o * g0 + i * g1 + j * g2), slope.to(grad.dtype.element_ty), mask=inside)
    if loss is not None:
        tl.store(loss + (o * l0 + i * l1 + j * l2), cost.to(loss.dtype.element_ty), mask=inside)
    tl.store(partials + program, tl.sum(tl.sum(cost, axis=1), axis=0))


@triton.jit
def negatives(costs, slopes, products, gain, shift, bias, rows, columns,
              GRAD: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """Logits that are all negatives, x = gain·product + shift + the row's bias: the sums of a tile's rows.

    With GRAD σ(x) takes the place of the products, and its sums, of what is not rounded yet, go into `slopes`. A
    product of -inf costs 0 and has gradient 0, whatever the gain: so positives that are counted apart are left out.
    """
    program = tl.program_id(0).to(tl.int64)
    across = tl.cdiv(columns, COLUMNS)
    i = program // across * ROWS + tl.arange(0, ROWS)
    j = program % across * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    real = i < rows
    inside = real[:, None] & (j < columns)
    where = products + (i[:, None] * columns + j)
    product = tl.load(where, mask=inside, other=-float("inf")).to(tl.float32)
    by = tl.load(gain).to(tl.float32) if gain is not None else 1.0
    more = tl.load(shift).to(tl.float32) if shift is not None else 0.0
    if bias is not None:
        more = (more + tl.load(bias + i, mask=real, other=0.0).to(tl.float32))[:, None]
    x = product
    if gain is not None or shift is not None or bias is not None:
        x = tl.where(product == -float("inf"), product, tl.fma(product, by, more))
    cost, slope = _cross_entropy(x, 0.0, 1.0, 1.0)
    tl.store(costs + (i * across + program % across), tl.sum(cost, axis=1), mask=real)
    if GRAD:
        tl.store(slopes + (i * across + program % across), tl.sum(slope, axis=1), mask=real)
        tl.store(where, slope.to(products.dtype.element_ty), mask=inside)


@triton.jit
def multiply(values, factor, n, COUNT: tl.constexpr):
    by = tl.load(factor).to(tl.float32)
    if by != 1.0:  # the usual gradient of a loss: nothing is read, nothing is written
        i = tl.program_id(0).to(tl.int64) * COUNT + tl.arange(0, COUNT)
        now = tl.load(values + i, mask=i < n, other=0.0).to(tl.float32)
        tl.store(values + i, (now * by).to(values.dtype.element_ty), mask=i < n)
