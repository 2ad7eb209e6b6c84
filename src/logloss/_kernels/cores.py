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

from .elementary import (
    exp_rebuilt,
    exp_reduced,
    log1p_unit,
    minus_log,
    minus_log1m,
    minus_log1m_exp,
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
    return select(price == like(price, 0.0), like(price, 0.0), price * value)


@inline
def minus_logs(p):
    """(-log p, -log(1-p)) of a probability: with m = min(p, 1-p), exact in floating point, -log m and -log1p(-m)."""
    upper = p > like(p, 0.5)
    m = select(upper, like(p, 1.0) - p, p)
    near, far = minus_log1m(m), minus_log(m)
    return select(upper, near, far), select(upper, far, near)


@inline
def at_most(value, largest):
    """The smaller of both; NaN where the value is NaN."""
    return select(value > largest, largest, value)


@inline
def _ratio(price, value):
    """price/value with 0/0 = 0."""
    return select(price == like(price, 0.0), like(price, 0.0), price / value)


@inline
def loss_of_probability(x, u, v, p):
    """-u·log x - v·log(1-x), no logarithm more than p[2]."""
    positive, negative = minus_logs(x)
    return priced(u, at_most(positive, p[2])) + priced(v, at_most(negative, p[2]))


@inline
def slope_of_miss(price, chance, other, p):
    """price/chance for what costs -log(chance), `other` being 1 - chance; p[3:] says what is otherwise near 0."""
    steep = chance * other < p[4]
    price = select(chance < p[3], like(price, 0.0), price)
    return _ratio(select(steep, price * other, price), select(steep, p[4], chance))


@inline
def probabilities(x, u, v, t, w, p, z, l, g, h, curved):
    """Binary cross-entropy of probabilities.

    p[2:]: the largest loss, -log ε; ε, below which nothing slopes; and δ, the least denominator x·(1-x) of slopes
    (inf, 0 and 0: exact).
    """
    for i in range(x.size):
        l[i] = loss_of_probability(x[i], u[i], v[i], p)
    for i in range(x.size):
        rest = like(x[i], 1.0) - x[i]
        positive, negative = slope_of_miss(u[i], x[i], rest, p), slope_of_miss(v[i], rest, x[i], p)
        g[i] = negative - positive
        if curved:
            h[i] = _ratio(positive, x[i]) + _ratio(negative, rest)


@inline
def from_log(x, u, v):
    """Of x = log p <= 0: u·(-x) - v·log(1-p), the slope v·p/(1-p) that a negative adds to -u, and 1 - p."""
    zero = like(x, 0.0)
    negative, odds, rest = minus_log1m_exp(x)
    return priced(u, zero - x) + priced(v, negative), select(v == zero, zero, v * odds), rest


@inline
def log_probabilities(x, u, v, t, w, p, z, l, g, h, curved):
    """Binary cross-entropy of logarithms of probabilities."""
    for i in range(x.size):
        l[i], negative, rest = from_log(x[i], u[i], v[i])
        g[i] = negative - u[i]
        if curved:
            h[i] = _ratio(negative, rest)


@inline
def all_hard(t):
    """Is every target 0 or 1?"""
    soft = np.int32(0)
    for i in range(t.size):
        soft = bit_or(soft, int_bits((t[i] != 0) & (t[i] != 1)))
    return soft == 0
