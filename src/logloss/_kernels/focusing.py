"""The cores of the focal family (`cores` says what a core is): a loss of logits times M^Γ, how wrong the model is.

In float64 M^Γ comes from log M, for any Γ. In float32, where Γ is a multiple of 1/2 (`parameters.bits`), it is a
product of M's and, for the half, of its square root: each factor brings M's error of a few ulp.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types
from numba.extending import overload

from .blocks import BLOCK, stack, stretch
from .cores import all_hard, exponentials, loss_at, price_of_side, priced, small_sigmoid, softplus_of_minus
from .elementary import exp_neg, minus_log, minus_log_either, one_minus_exp
from .jit import inline
from .ops import _JIT, flip_sign, fma, is_negative, like, magnitude, number, select, square_root


@inline
def smoothed(t, p):
    """(t', 1 - t') after label smoothing, the second not as a difference."""
    return fma(p[0], t, p[1]), fma(p[0], like(t, 1.0) - t, p[1])


@inline
def _sides(x, yes, no):
    """The weights of the right and the wrong side: of the target that x is for, and of the other."""
    return select(is_negative(x), no, yes), select(is_negative(x), yes, no)


@inline
def balance(w, t, p, table, inner, first, spare, spare2):
    """w = α_t = α·t' + (1-α)·(1-t'); α and 1-α are p[3:], or vectors in the rows of `table`."""
    n = t.size
    if table.shape[1] == 0:
        positive, negative = p[3], p[4]
        for i in range(n):
            yes, no = smoothed(t[i], p)
            w[i] = fma(positive, yes, negative * no)
        return
    stretch(spare, table[0], inner, first)
    stretch(spare2, table[1], inner, first)
    for i in range(n):
        yes, no = smoothed(t[i], p)
        w[i] = fma(spare[i], yes, spare2[i] * no)


# ---- focal ----------------------------------------------------------------------------------------------------------


@inline
def _charged(x, u, v):
    """What both sides cost together, and what |x| costs."""
    return u + v, price_of_side(x, u, v)


@inline
def _focal_at(x, w, side, gamma, q, l, weight, rho):
    """Loss, gradient and Hessian from u + v, the price of the side, q = σ(-|x|), log1p(e^-|x|), α·m^γ and ρ = m'/m."""
    one, two = like(x, 1.0), like(x, 2.0)
    b = loss_at(magnitude(x), l, w, side)
    slope, bend = flip_sign(fma(-w, q, side), x), w * (q * (one - q))
    pull = priced(gamma * rho, b)
    bow = priced(pull, fma(gamma - one, rho, flip_sign(two * q - one, x)))
    return priced(weight, b), weight * (slope + pull), weight * (bend + two * gamma * rho * slope + bow)


def focal(x, u, v, t, w, p, z, l, g, h, curved):
    """Focal loss α_t·m^γ·(u·softplus(-x) + v·softplus(x)), m = t'·σ(-x) + (1-t')·σ(x).

    p[2]: γ. With ρ = m'/m (bounded) and the plain loss B: L' = α·m^γ·(B' + γρB) and L'' = α·m^γ·(B'' + 2γρB' +
    γρ·B·((γ - 1)·ρ + σ(-x) - σ(x))).
    """


@overload(focal, jit_options=_JIT)
def _focal(x, u, v, t, w, p, z, l, g, h, curved):
    core = _focal_by_products if z.dtype == types.float32 else _focal_by_logarithms
    return lambda x, u, v, t, w, p, z, l, g, h, curved: core(x, u, v, t, w, p, z, l, g, h, curved)


@inline
def _focal_by_logarithms(x, u, v, t, w, p, z, l, g, h, curved):
    """m = σ(|x|)·(near·z + far), near being the weight of the right side.

    So log m = -log1p(z) + log(near·z + far), and for a hard target on the right side log m = -log1p(z) - |x|: no
    cancellation, no underflow.
    """
    exponentials(x, z, l)
    softplus_of_minus(z, l)
    gamma = p[2]
    if (p[1] == 0.0) and all_hard(t):  # near·z + far is 1: nothing to divide by, no logarithm to take
        for i in range(x.size):
            g[i], h[i] = 0.0, 1.0
    else:
        for i in range(x.size):
            near, far = _sides(x[i], *smoothed(t[i], p))
            spread = select(far == 0.0, near, fma(near, z[i], far))
            g[i], h[i] = minus_log(spread), 1.0 / select(spread < 2.0**-1022, 2.0**-1022, spread)
    for i in range(x.size):
        yes, no = smoothed(t[i], p)
        hard = select(is_negative(x[i]), yes, no) == 0.0
        minus_log_m = l[i] + g[i] + select(hard, magnitude(x[i]), 0.0)
        g[i] = select(gamma == 0.0, 0.0, -gamma * minus_log_m)
        # ρ/σ(|x|), where ρ = (no - yes)·σ(x)·σ(-x)/m = (no - yes)·z·σ(|x|)/(near·z + far)
        h[i] *= (no - yes) * select(hard, 1.0, z[i])
    for i in range(x.size):
        g[i] = w[i] * exp_neg(g[i])
    if curved:
        for i in range(x.size):
            q = small_sigmoid(z[i])
            l[i], g[i], h[i] = _focal_at(x[i], *_charged(x[i], u[i], v[i]), gamma, q, l[i], g[i], h[i] * (1.0 - q))
    else:
        for i in range(x.size):
            q = small_sigmoid(z[i])
            l[i], g[i], _ = _focal_at(x[i], *_charged(x[i], u[i], v[i]), gamma, q, l[i], g[i], h[i] * (1.0 - q))


@inline
def _focal_at_once(x, w, side, gamma, q, l, alpha, rho):
    """`_focal_at` in as few roundings as can be."""
    loss, _, curve = _focal_at(x, w, side, gamma, q, l, alpha, rho)
    by, zero = gamma * rho, like(x, 0.0)
    b = select(by == zero, zero, loss_at(magnitude(x), l, w, side))
    return loss, alpha * fma(by, b, flip_sign(fma(-w, q, side), x)), curve


@inline
def _focal_by_products(x, u, v, t, w, p, z, l, g, h, curved):
    exponentials(x, z, l)
    softplus_of_minus(z, l)
    zero = like(x[0], 0.0)
    if (p[1] == zero) and all_hard(t):
        for i in range(x.size):
            l[i], g[i], h[i], z[i] = focal_of_hard(x[i], u[i] + v[i], t[i] != zero, p[2], z[i], l[i], w[i])
    else:
        for i in range(x.size):
            yes, no = smoothed(t[i], p)
            l[i], g[i], h[i], z[i] = focal_of_soft(x[i], u[i], v[i], yes, no, p[2], z[i], l[i], w[i])
    power(w, z, p[2])
    for i in range(x.size):
        l[i] = focused(l[i], w[i])
        g[i] *= w[i]
    if curved:
        for i in range(x.size):
            h[i] *= w[i]


@inline
def focused(loss, factor):
    """loss·factor, infinite where the loss is: the factor underflows, and is not 0."""
    infinite = like(loss, np.inf)
    return select(loss == infinite, infinite, loss * factor)


@inline
def focal_of_hard(x, price, positive, gamma, z, l, alpha):
    """Loss, gradient and Hessian but for m^γ, and m, of a target of 0 or 1: σ(-|x|) on the right side, else σ(|x|)."""
    q = small_sigmoid(z)
    large, right = like(x, 1.0) - q, is_negative(x) != positive
    other, side = select(right, large, q), select(right, like(x, 0.0), price)
    rho = select(positive, -other, other)
    return *_focal_at_once(x, price, side, gamma, q, l, alpha, rho), select(right, q, large)


@inline
def focal_of_soft(x, u, v, yes, no, gamma, z, l, alpha):
    """The same of any target."""
    zero, one = like(x, 0.0), like(x, 1.0)
    q = small_sigmoid(z)
    near, far = _sides(x, yes, no)
    m = fma(near, q, far * (one - q))
    share = select(far == zero, one, q / select(m == zero, one, m))
    rho = (no - yes) * ((one - q) * share)
    return *_focal_at_once(x, *_charged(x, u, v), gamma, q, l, alpha, rho), m


@inline
def power(out, m, exponent):
    """out = m^exponent, of a positive multiple of 1/2."""
    whole = np.int32(exponent)
    if exponent != like(exponent, whole):
        for i in range(m.size):
            out[i] = square_root(m[i])
    elif whole == 1:
        for i in range(m.size):
            out[i] = m[i]
        whole -= 1
    else:
        for i in range(m.size):
            out[i] = m[i] * m[i]
        whole -= 2
    for _ in range(whole):
        for i in range(m.size):
            out[i] *= m[i]


# ---- asymmetric -----------------------------------------------------------------------------------------------------


@inline
def _shifted(x, small, t, p):
    """(σ(x), σ(-x), t', 1-t', 1-q, q) with q = min(1 - σ(x) + c, 1), from `small` = σ(-|x|)."""
    negative = is_negative(x)
    sigma, rest = select(negative, small, 1.0 - small), select(negative, 1.0 - small, small)
    yes, no = smoothed(t, p)
    inside = sigma > p[4]
    return sigma, rest, yes, no, select(inside, sigma - p[4], 0.0), select(inside, rest + p[4], 1.0)


@inline
def _asymmetric_at(x, u, v, t, p, small, l, minus_log_q, power):
    """Loss, gradient and Hessian from log1p(z), -log q and M^Γ."""
    a, negative, exact = magnitude(x), is_negative(x), p[4] == 0.0
    sigma, rest, yes, no, over, q = _shifted(x, small, t, p)
    inside, d = sigma > p[4], sigma * rest
    dd = d * (rest - sigma)
    # the plain loss and its derivatives: positive part as ever, negative part -log q with q' = -σσ'
    positive = l + select(negative, a, 0.0)
    minus = select(exact, l + select(negative, 0.0, a), minus_log_q)
    lift = select(inside, select(exact, sigma, d / q), 0.0)
    curve = select(inside, select(exact, d, dd / q + lift * lift), 0.0)
    b = priced(u, positive) + priced(v, select(inside, minus, 0.0))
    slope, bend = v * lift - u * rest, v * curve + u * d
    # the focusing factor M^Γ, by ρ = M'/M and M''/M
    m, dm, ddm = yes * rest + no * over, no * select(inside, d, 0.0) - yes * d, no * select(inside, dd, 0.0) - yes * dd
    gamma, hard = p[2] * yes + p[3] * no, (no == 0.0) & (not negative)
    rho = select(hard, -sigma, select(dm == 0.0, 0.0, dm / m))
    curl = select(hard, sigma * (sigma - rest), select(ddm == 0.0, 0.0, ddm / m))
    pull = priced(gamma * rho, b)
    extra = priced(gamma * fma(gamma - 1.0, rho * rho, curl), b)
    hessian = select(power == 0.0, 0.0, power * (bend + 2.0 * gamma * rho * slope + extra))
    return priced(power, b), select(power == 0.0, 0.0, power * (slope + pull)), hessian


def asymmetric(x, u, v, t, w, p, z, l, g, h, curved):
    """Asymmetric loss M^Γ·(u·softplus(-x) - v·log q), q = min(1-σ(x)+c, 1), M = t'·σ(-x) + (1-t')·(1-q).

    Γ = γ+·t' + γ-·(1-t') (Ridnik et al. 2021). p[2:]: γ+, γ-, c, and in float32 the logit x0 of c as a number and
    what that leaves of it. Where q = 1 the negative part and its derivatives are 0.
    """


@overload(asymmetric, jit_options=_JIT)
def _asymmetric(x, u, v, t, w, p, z, l, g, h, curved):
    core = _asymmetric_by_products if z.dtype == types.float32 else _asymmetric_by_logarithms
    return lambda x, u, v, t, w, p, z, l, g, h, curved: core(x, u, v, t, w, p, z, l, g, h, curved)


@inline
def _asymmetric_by_logarithms(x, u, v, t, w, p, z, l, g, h, curved):
    """For t' = 1 and x > 0, log M = -softplus(x) does not underflow."""
    exponentials(x, z, l)
    softplus_of_minus(z, l)
    for i in range(x.size):
        z[i] = small_sigmoid(z[i])
        _, rest, yes, no, over, q = _shifted(x[i], z[i], t[i], p)
        g[i], h[i] = q, yes * rest + no * over
    for i in range(x.size):
        g[i] = minus_log(g[i])
    for i in range(x.size):
        h[i] = minus_log(h[i])
    for i in range(x.size):
        yes, no = smoothed(t[i], p)
        gamma = p[2] * yes + p[3] * no
        minus_log_m = select((no == 0.0) & (not is_negative(x[i])), l[i] + magnitude(x[i]), h[i])
        h[i] = select(gamma == 0.0, 0.0, -gamma * minus_log_m)
    for i in range(x.size):
        h[i] = exp_neg(h[i])
    if curved:
        for i in range(x.size):
            l[i], g[i], h[i] = _asymmetric_at(x[i], u[i], v[i], t[i], p, z[i], l[i], g[i], h[i])
    else:
        for i in range(x.size):
            l[i], g[i], _ = _asymmetric_at(x[i], u[i], v[i], t[i], p, z[i], l[i], g[i], h[i])


@inline
def _asymmetric_by_products(x, u, v, t, w, p, z, l, g, h, curved):
    if p[1] != like(x[0], 0.0) or not all_hard(t):
        asymmetric_of_soft(x, u, v, t, p, l, g, h, curved)
        return
    zero = like(x[0], 0.0)
    exponentials(x, z, l)
    above_kink(x, p, h)
    for i in range(x.size):
        l[i], g[i], h[i], z[i] = asymmetric_of_hard(x[i], u[i] + v[i], t[i] != zero, p, z[i], h[i])
    for i in range(x.size):
        factor = power_of_hard(z[i], t[i] != zero, p)
        l[i], g[i], h[i] = l[i] * factor, g[i] * factor, h[i] * factor
    if has_roots(p):
        roots_of_hard(z, t, p)
        for i in range(x.size):
            l[i], g[i], h[i] = l[i] * z[i], g[i] * z[i], h[i] * z[i]


@inline
def above_kink(x, p, above):
    """1 - e^(x0 - x), where that is positive: σ(x) - c is σ(x)·(1-c) times that, and nothing cancels in it.

    NaN stays what it is, so that a NaN logit is not taken for one below the kink.
    """
    zero = like(above[0], 0.0)
    if p[4] != zero:
        for i in range(x.size):
            beyond = (x[i] - p[5]) - p[6]
            above[i] = one_minus_exp(select(beyond < zero, zero, zero - beyond))


@inline
def asymmetric_of_hard(x, price, positive, p, z, above):
    """Loss, gradient and Hessian but for M^Γ, and M, of a target of 0 or 1.

    With o = 1 - M, L = -log o and r = |M'|/(M·o), which is 1 unless the target is 0 and clipped, M^Γ·L has the gradient
    ±M^Γ·r·(M + Γ·o·L) and the Hessian M^Γ·r·(M·(r·M + s) + Γ·o·(2·r·M + L·((Γ-1)·r·o + s))), s being ±(σ(-x) - σ(x)).
    """
    zero, one, q = like(x, 0.0), like(x, 1.0), small_sigmoid(z)
    large, right, whole = one - q, is_negative(x) != positive, positive | (p[4] == zero)
    sigma, rest = select(is_negative(x), q, large), select(is_negative(x), large, q)
    share = fma(-p[4], above, above)
    m, o = select(right, q, large), select(right, large, q)
    m, o = select(whole, m, sigma * share), select(whole, o, rest + p[4])
    ratio = select(whole, one, select(share == zero, zero, rest / (share * o)))
    of_rest = whole | (m <= o)
    cost = minus_log_either(select(whole, q, select(of_rest, m, o)), of_rest)
    cost += select(whole & (not right), magnitude(x), zero)
    gamma, pulled, turn = select(positive, p[2], p[3]), priced(o, cost), flip_sign(one - like(x, 2.0) * q, x)
    turn = select(positive, turn, zero - turn)
    slope = price * (ratio * fma(gamma, pulled, m))
    bend = select(whole, o, fma(ratio, m, turn))
    curve = m * bend + gamma * fma(pulled, fma((gamma - one) * ratio, o, turn), like(x, 2.0) * ratio * m * o)
    return priced(price, cost), select(positive, zero - slope, slope), price * (ratio * curve), m


@inline
def power_of_hard(m, positive, p):
    """m to the whole part of its exponent, up to 7, by repeated squares."""
    one, square = like(m, 1.0), m * m
    whole = select(positive, np.int32(p[2]), np.int32(p[3]))
    first = select(whole & np.int32(1) != 0, m, one)
    second = select(whole & np.int32(2) != 0, square, one)
    return first * second * select(whole & np.int32(4) != 0, square * square, one)


@inline
def has_roots(p):
    """Is an exponent not whole?"""
    return (p[2] != like(p[2], np.int32(p[2]))) | (p[3] != like(p[3], np.int32(p[3])))


@inline
def roots_of_hard(m, t, p):
    """Each m becomes its square root where its exponent is not whole, else 1."""
    one = like(m[0], 1.0)
    for i in range(m.size):
        exponent = select(t[i] != 0, p[2], p[3])
        m[i] = select(exponent == like(exponent, np.int32(exponent)), one, square_root(m[i]))


@inline
def asymmetric_of_soft(x, u, v, t, p, l, g, h, curved):
    """Any targets, in float64: their exponents are any numbers. The logit tells more of the clip than float32 does."""
    n, zero = x.size, 0.0
    x_, u_ = carray(stack(zero), (BLOCK,), np.float64)[:n], carray(stack(zero), (BLOCK,), np.float64)[:n]
    v_, t_ = carray(stack(zero), (BLOCK,), np.float64)[:n], carray(stack(zero), (BLOCK,), np.float64)[:n]
    z_, l_ = carray(stack(zero), (BLOCK,), np.float64)[:n], carray(stack(zero), (BLOCK,), np.float64)[:n]
    g_, h_ = carray(stack(zero), (BLOCK,), np.float64)[:n], carray(stack(zero), (BLOCK,), np.float64)[:n]
    for i in range(n):
        x_[i], u_[i], v_[i], t_[i] = x[i], u[i], v[i], number(zero, t[i])
    kink = np.float64(p[5]) + np.float64(p[6])
    small = exp_neg(-magnitude(kink))
    clip = select(kink < 0.0, small, 1.0) / (1.0 + small)
    own = np.float64(p[0]), np.float64(p[1]), np.float64(p[2]), np.float64(p[3]), clip
    _asymmetric_by_logarithms(x_, u_, v_, t_, t_, own, z_, l_, g_, h_, curved)
    for i in range(n):
        l[i], g[i] = l_[i], g_[i]
    if curved:
        for i in range(n):
            h[i] = h_[i]
