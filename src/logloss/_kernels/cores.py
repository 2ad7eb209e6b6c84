"""Loss, gradient and Hessian of each primitive over one block: `_formula`, in the order that a processor likes.

Every core has the arguments (x, u, v, t, w, p, z, l, g, h, curved): logits (or probabilities), the prices of missing a
positive and a negative, the raw targets, α_t, the parameters (1-s and s/2, then the loss's own), scratch, the three
results, and whether the Hessian is wanted. t and w matter to the focal family alone. Separate short loops keep all
constants of a loop in registers; one long loop takes half as long again on AVX2 (`benchmarks/README.md`).

The algebra: with a = |x|, z = e^-a, q = sigmoid(-a), W = u + v and U = the price of the wrong side (u for x < 0,
else v),

    loss = W·log1p(z) + U·a        gradient = sign(x)·(U - W·q)        hessian = W·q·(1 - q)

where only a can be infinite, so one comparison makes 0·inf = 0; the side is chosen by the sign bit, for -0.0 has one.
"""

from __future__ import annotations

import numpy as np

from .blocks import stretch
from .elementary import (
    exp_neg,
    exp_rebuilt,
    exp_reduced,
    log1p_unit,
    minus_log,
    minus_log1m,
    minus_log_either,
    one_minus_exp,
)
from .jit import inline
from .ops import bit_or, flip_sign, fma, int_bits, is_negative, like, magnitude, select


@inline
def exponentials(x, z, r):
    """z = e^-|x|, in two loops; r is scratch."""
    for i in range(x.size):
        r[i], z[i] = exp_reduced(-magnitude(x[i]))
    for i in range(x.size):
        z[i] = exp_rebuilt(r[i], z[i])


@inline
def softplus_of_minus(z, l):
    """l = log1p(z), the smaller softplus."""
    for i in range(z.size):
        l[i] = log1p_unit(z[i])


@inline
def small_sigmoid(z):
    """q = z / (1 + z) <= 1/2, corrected once: the rounding of 1 + z costs up to an ulp, z - z·q takes it back."""
    q = z / (like(z, 1.0) + z)
    return fma(-z, q, z)


@inline
def price_of_side(x, u, v):
    """The price that |x| costs: of the positive missed where x is negative, else of the negative missed."""
    return select(is_negative(x), u, v)


@inline
def loss_at(a, l, w, side):
    """W·log1p(z) + U·a with 0·inf = 0."""
    return fma(w, l, select(side == like(a, 0.0), like(a, 0.0), side * a))


@inline
def cross_entropy(x, u, v, t, w, p, z, l, g, h, curved):
    """Binary cross-entropy of logits."""
    exponentials(x, z, l)
    softplus_of_minus(z, l)
    for i in range(x.size):
        w, side, q = u[i] + v[i], price_of_side(x[i], u[i], v[i]), small_sigmoid(z[i])
        l[i] = loss_at(magnitude(x[i]), l[i], w, side)
        g[i] = flip_sign(fma(-w, q, side), x[i])
    if curved:
        one = like(x[0], 1.0)
        for i in range(x.size):
            q = small_sigmoid(z[i])
            h[i] = (u[i] + v[i]) * (q * (one - q))


@inline
def priced(price, value):
    """price·value with 0·inf = 0."""
    return select(price == 0.0, 0.0, price * value)


@inline
def minus_logs(p):
    """(-log p, -log(1-p)) of a probability: with m = min(p, 1-p), exact in floating point, -log m and -log1p(-m)."""
    upper = p > 0.5
    m = select(upper, 1.0 - p, p)
    near, far = minus_log1m(m), minus_log(m)
    return select(upper, near, far), select(upper, far, near)


@inline
def probabilities(x, u, v, t, w, p, z, l, g, h, curved):
    """Binary cross-entropy of probabilities.

    p[2:]: the largest loss, -log ε, and ε, below which nothing slopes (inf and 0: exact).
    """
    for i in range(x.size):
        positive, negative = minus_logs(x[i])
        positive, negative = select(positive > p[2], p[2], positive), select(negative > p[2], p[2], negative)
        l[i] = priced(u[i], positive) + priced(v[i], negative)
    for i in range(x.size):
        rest = 1.0 - x[i]
        up, down = select(x[i] < p[3], 0.0, u[i]), select(rest < p[3], 0.0, v[i])
        missed_positive, missed_negative = select(up == 0.0, 0.0, up / x[i]), select(down == 0.0, 0.0, down / rest)
        g[i] = missed_negative - missed_positive
        if curved:
            h[i] = select(up == 0.0, 0.0, missed_positive / x[i]) + select(down == 0.0, 0.0, missed_negative / rest)


@inline
def log_probabilities(x, u, v, t, w, p, z, l, g, h, curved):
    """Binary cross-entropy of x = log p <= 0: a positive costs -x, a negative -log(1 - e^x).

    That comes from 1 - e^x where this is small and from e^x where that is (Mächler 2012, *Accurately computing
    log(1 - exp(-|a|))*).
    """
    for i in range(x.size):
        rest, e = one_minus_exp(x[i]), exp_neg(x[i])
        small = rest <= 0.5
        l[i] = minus_log_either(select(small, rest, e), not small)
        z[i], g[i] = rest, e
    for i in range(x.size):
        a = 0.0 - x[i]
        l[i] = priced(u[i], a) + priced(v[i], l[i])
        negative = select(v[i] == 0.0, 0.0, v[i] * (g[i] / z[i]))
        g[i] = negative - u[i]
        if curved:
            h[i] = select(v[i] == 0.0, 0.0, negative / z[i])


@inline
def _smoothed(t, p):
    """(t', 1 - t') after label smoothing, the second not as a difference."""
    return fma(p[0], t, p[1]), fma(p[0], 1.0 - t, p[1])


@inline
def balance(w, t, p, table, inner, first, spare, spare2):
    """w = α_t = α·t' + (1-α)·(1-t'); α and 1-α are p[3:], or vectors in the rows of `table`."""
    n = t.size
    if table.shape[1] == 0:
        positive, negative = p[3], p[4]
        for i in range(n):
            yes, no = _smoothed(t[i], p)
            w[i] = fma(positive, yes, negative * no)
        return
    stretch(spare, table[0], inner, first)
    stretch(spare2, table[1], inner, first)
    for i in range(n):
        yes, no = _smoothed(t[i], p)
        w[i] = fma(spare[i], yes, spare2[i] * no)


@inline
def all_hard(t):
    """Is every target 0 or 1?"""
    soft = np.int32(0)
    for i in range(t.size):
        soft = bit_or(soft, int_bits((t[i] != 0) & (t[i] != 1)))
    return soft == 0


@inline
def _focal_at(x, u, v, gamma, z, l, weight, tilt):
    """Loss, gradient and Hessian from log1p(z), α·m^γ and ρ/σ(|x|)."""
    q = small_sigmoid(z)
    w, side = u + v, price_of_side(x, u, v)
    b, rho = loss_at(magnitude(x), l, w, side), tilt * (1.0 - q)
    slope, bend = flip_sign(fma(-w, q, side), x), w * (q * (1.0 - q))
    pull = priced(gamma * rho, b)
    bow = priced(pull, fma(gamma - 1.0, rho, flip_sign(2.0 * q - 1.0, x)))
    return priced(weight, b), weight * (slope + pull), weight * (bend + 2.0 * gamma * rho * slope + bow)


@inline
def focal(x, u, v, t, w, p, z, l, g, h, curved):
    """Focal loss α_t·m^γ·(u·softplus(-x) + v·softplus(x)), m = t'·σ(-x) + (1-t')·σ(x).

    p[2]: γ. m = σ(|x|)·(near·z + far), near being the weight of the right side, so
    log m = -log1p(z) + log(near·z + far), and for a hard target on the right side log m = -log1p(z) - |x|: no
    cancellation, no underflow. With ρ = m'/m (bounded) and the plain loss B: L' = α·m^γ·(B' + γρB) and L'' =
    α·m^γ·(B'' + 2γρB' + γρ·B·((γ - 1)·ρ + σ(-x) - σ(x))).
    """
    exponentials(x, z, l)
    softplus_of_minus(z, l)
    gamma = p[2]
    if (p[1] == 0.0) and all_hard(t):  # near·z + far is 1: nothing to divide by, no logarithm to take
        for i in range(x.size):
            g[i], h[i] = 0.0, 1.0
    else:
        for i in range(x.size):
            yes, no = _smoothed(t[i], p)
            near, far = select(is_negative(x[i]), no, yes), select(is_negative(x[i]), yes, no)
            spread = select(far == 0.0, near, fma(near, z[i], far))
            g[i], h[i] = minus_log(spread), 1.0 / select(spread < 2.0**-1022, 2.0**-1022, spread)
    for i in range(x.size):
        yes, no = _smoothed(t[i], p)
        hard = select(is_negative(x[i]), yes, no) == 0.0
        minus_log_m = l[i] + g[i] + select(hard, magnitude(x[i]), 0.0)
        g[i] = select(gamma == 0.0, 0.0, -gamma * minus_log_m)
        # ρ/σ(|x|), where ρ = (no - yes)·σ(x)·σ(-x)/m = (no - yes)·z·σ(|x|)/(near·z + far)
        h[i] *= (no - yes) * select(hard, 1.0, z[i])
    for i in range(x.size):
        g[i] = w[i] * exp_neg(g[i])
    if curved:
        for i in range(x.size):
            l[i], g[i], h[i] = _focal_at(x[i], u[i], v[i], gamma, z[i], l[i], g[i], h[i])
    else:
        for i in range(x.size):
            l[i], g[i], _ = _focal_at(x[i], u[i], v[i], gamma, z[i], l[i], g[i], h[i])


@inline
def _shifted(x, small, t, p):
    """(σ(x), σ(-x), t', 1-t', 1-q, q) with q = min(1 - σ(x) + c, 1), from `small` = σ(-|x|)."""
    negative = is_negative(x)
    sigma, rest = select(negative, small, 1.0 - small), select(negative, 1.0 - small, small)
    yes, no = _smoothed(t, p)
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


@inline
def asymmetric(x, u, v, t, w, p, z, l, g, h, curved):
    """Asymmetric loss M^Γ·(u·softplus(-x) - v·log q), q = min(1-σ(x)+c, 1), M = t'·σ(-x) + (1-t')·(1-q).

    Γ = γ+·t' + γ-·(1-t') (Ridnik et al. 2021). p[2:]: γ+, γ-, c. Where q = 1 the negative part and its
    derivatives are 0. For t' = 1 and x > 0, log M = -softplus(x) does not underflow.
    """
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
        yes, no = _smoothed(t[i], p)
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
