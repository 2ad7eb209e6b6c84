"""The mathematics, once, over any array namespace: the readable definition that every backend and kernel is held to.

A namespace `xp` is a module with NumPy's names: abs, exp, expm1, log, log1p, minimum, where, signbit. Arguments are
floating arrays of one type: x logits, p probabilities, t targets in [0, 1]; u and v the prices of missing a positive
and a negative (`_spec`). Every function returns (loss, gradient, Hessian diagonal) with respect to its first array.

No cancellation: 1 - t', never t' - 1 from σ(x) - t; z = e^-|x| serves softplus and both sigmoids; a price of exactly
0 selects its term away, so that 0·inf is 0.
"""

from __future__ import annotations

from typing import Any

Triple = tuple[Any, Any, Any]


def prices(t: Any, terms: Any) -> tuple[Any, Any]:
    """u and v of each element from its target and the factored coefficients."""
    a1, a0, b1, b0 = terms.prices
    u, v = a1 * t + a0, b1 * (1 - t) + b0
    for weight in (terms.row, terms.element):
        if weight is not None:
            u, v = u * weight, v * weight
    return u, v


def priced(xp: Any, price: Any, value: Any) -> Any:
    """price·value where 0·inf = 0."""
    return xp.where(price == 0, 0 * price, price * xp.where(price == 0, 0 * price, value))


def cross_entropy(xp: Any, x: Any, u: Any, v: Any) -> Triple:
    """u·softplus(-x) + v·softplus(x).

    With a = |x|, z = e^-a, q = σ(-a) = z/(1+z), W = u + v and U the price of the side that x is on,
    loss = W·log1p(z) + U·a, gradient = ±(U - W·q), Hessian = W·q·(1-q).
    """
    a = xp.abs(x)
    z = xp.exp(-a)
    q = z / (1 + z)
    w, side = u + v, xp.where(xp.signbit(x), u, v)
    slope = side - w * q
    return w * xp.log1p(z) + priced(xp, side, a), xp.where(xp.signbit(x), -slope, slope), w * (q * (1 - q))


def probabilities(xp: Any, p: Any, u: Any, v: Any, eps: float = 0.0) -> Triple:
    """-u·log max(p, ε) - v·log max(1-p, ε), log(1-p) as log1p(-p)."""
    positive = xp.where(p < eps, -xp.log(0 * p + eps), -xp.log(p))
    negative = xp.where(1 - p < eps, -xp.log(0 * p + eps), -xp.log1p(-p))
    u_, v_ = xp.where(p < eps, 0 * u, u), xp.where(1 - p < eps, 0 * v, v)
    slope_u, slope_v = priced(xp, u_, 1 / p), priced(xp, v_, 1 / (1 - p))
    curve = priced(xp, slope_u, 1 / p) + priced(xp, slope_v, 1 / (1 - p))
    return priced(xp, u, positive) + priced(xp, v, negative), slope_v - slope_u, curve


def clamped_probabilities(xp: Any, p: Any, u: Any, v: Any, parameters: tuple[float, ...]) -> Triple:
    """The loss of probabilities floored at ε, with a gradient that does not know the floor but has one of its own.

    gradient = (v·p - u·(1-p)) / max(p·(1-p), δ), Hessian its derivative.
    """
    eps, least = parameters
    spread = p * (1 - p)
    steep = xp.where(spread < least, 0 * p + least, spread)
    pull = v * p - u * (1 - p)
    bend = xp.where(spread > least, 1 - 2 * p, 0 * p)
    curve = ((u + v) * steep - pull * bend) / (steep * steep)
    return probabilities(xp, p, u, v, eps)[0], pull / steep, curve


def log_probabilities(xp: Any, x: Any, u: Any, v: Any) -> Triple:
    """-u·x - v·log(1 - e^x) for x = log p (Mächler 2012: log1mexp from expm1 near 0 and from log1p below -log 2)."""
    rest = -xp.expm1(x)
    negative = xp.where(rest <= 0.5, -xp.log(rest), -xp.log1p(-xp.exp(x)))
    slope = priced(xp, v, xp.exp(x) / rest)
    return priced(xp, u, -x) + priced(xp, v, negative), slope - u, priced(xp, slope, 1 / rest)


def _sigmoids(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """log1p(e^-|x|), σ(x) and σ(-x)."""
    z = xp.exp(-xp.abs(x))
    small, large = z / (1 + z), 1 / (1 + z)
    return xp.log1p(z), xp.where(x < 0, small, large), xp.where(x < 0, large, small)


def _focused(xp: Any, loss: Triple, exponent: Any, log_m: Any, rho: Any, curl: Any) -> Triple:
    """M^Γ·L and its derivatives from those of L, log M, ρ = M'/M and M''/M: the product rule, with M^Γ in log space."""
    plain, slope, bend = loss
    power = xp.exp(xp.where(exponent == 0, 0 * exponent, exponent * log_m))
    pull = priced(xp, exponent * rho, plain)
    second = priced(xp, exponent * ((exponent - 1) * rho * rho + curl), plain)
    return priced(xp, power, plain), power * (slope + pull), power * (bend + 2 * exponent * rho * slope + second)


def focal(xp: Any, x: Any, u: Any, v: Any, t: Any, parameters: tuple[float, ...]) -> Triple:
    """α_t·m^γ·(u·softplus(-x) + v·softplus(x)), m = t'·σ(-x) + (1-t')·σ(x) (Lin et al. 2017).

    Soft targets as in torchvision, Keras and optax.
    """
    keep, half, gamma, alpha_yes, alpha_no = parameters
    yes, no = keep * t + half, keep * (1 - t) + half
    lp, sigma, rest = _sigmoids(xp, x)
    near, far = xp.where(x < 0, no, yes), xp.where(x < 0, yes, no)
    hard = far == 0
    z = xp.exp(-xp.abs(x))
    spread = xp.where(hard, near, near * z + far)  # m = σ(|x|)·spread, but for z where the target is hard
    log_m = xp.log(spread) - lp - xp.where(hard, xp.abs(x), 0 * lp)
    rho = (no - yes) * (1 / (1 + z)) * xp.where(hard, 1 + 0 * z, z) / spread
    curl = rho * (rest - sigma)
    alpha = alpha_yes * yes + alpha_no * no
    loss, slope, bend = _focused(xp, cross_entropy(xp, x, u, v), gamma + 0 * lp, log_m, rho, curl)
    return priced(xp, alpha, loss), alpha * slope, alpha * bend


def asymmetric(xp: Any, x: Any, u: Any, v: Any, t: Any, parameters: tuple[float, ...]) -> Triple:
    """M^Γ·(u·softplus(-x) - v·log q), q = min(1-σ(x)+c, 1), M = t'·σ(-x) + (1-t')·(1-q) (Ridnik et al. 2021).

    Γ = γ+·t' + γ-·(1-t'). Where σ(x) <= c the negative part is 0.
    """
    keep, half, gamma_pos, gamma_neg, clip = parameters
    yes, no = keep * t + half, keep * (1 - t) + half
    lp, sigma, rest = _sigmoids(xp, x)
    shifted = sigma > clip
    d = sigma * rest
    dd = d * (rest - sigma)
    zero = 0 * lp
    over, q = xp.where(shifted, sigma - clip, zero), xp.where(shifted, rest + clip, 1 + zero)
    positive = lp + xp.where(x < 0, xp.abs(x), zero)
    negative = -xp.log(q) if clip else lp + xp.where(x < 0, zero, xp.abs(x))
    lift = d / q if clip else sigma
    curve = xp.where(shifted, (dd / q + lift * lift) if clip else d, zero)
    lift, negative = xp.where(shifted, lift, zero), xp.where(shifted, negative, zero)
    loss = priced(xp, u, positive) + priced(xp, v, negative), v * lift - u * rest, v * curve + u * d
    hard = (no == 0) & (x >= 0)
    m = yes * rest + no * over
    log_m = xp.where(hard, -positive - xp.abs(x), xp.log(m))
    dm, ddm = no * xp.where(shifted, d, zero) - yes * d, no * xp.where(shifted, dd, zero) - yes * dd
    rho = xp.where(hard, -sigma, xp.where(dm == 0, zero, dm / xp.where(m == 0, 1 + zero, m)))
    curl = xp.where(hard, sigma * (sigma - rest), xp.where(ddm == 0, zero, ddm / xp.where(m == 0, 1 + zero, m)))
    return _focused(xp, loss, gamma_pos * yes + gamma_neg * no, log_m, rho, curl)
