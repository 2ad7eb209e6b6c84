"""The mathematics, once, over any array namespace: the readable definition that every backend and kernel is held to.

A namespace `xp` is a module with NumPy's names: abs, exp, expm1, isinf, log, log1p, where, signbit. Every loss is a
function of the same arguments, floating arrays of one type: x, logits (or probabilities, or log-probabilities); u and
v, the prices of missing a positive and a negative (`_spec.terms`); the smoothed target t' as `yes` and 1-t' as `no`;
and the loss's own parameters p, numbers or arrays. It returns (loss, gradient, Hessian diagonal) with respect to x.

No cancellation: 1 - t', never t' - 1 from σ(x) - t; z = e^-|x| serves softplus and both sigmoids; a price of exactly
0 selects its term away, so that 0·inf is 0.

No step is infinite where the loss is not: what would be is given a harmless operand, and its result not selected. So
the numeric checks of frameworks, which look at every step, have nothing to say of good data. A Hessian grows as the
square of the gradient: a namespace whose `order` is below 2 wants none, and may get None.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ._spec.losses import Loss
from ._spec.terms import Terms

Triple = tuple[Any, Any, Any]


def of(loss: Loss) -> Callable[..., Triple]:
    """The function of a loss."""
    return loss.formula or getattr(sys.modules[__name__], loss.name)


def wants_hessian(xp: Any) -> bool:
    """Does whoever computes with this namespace want second derivatives?"""
    return getattr(xp, "order", 2) == 2


def prices(t: Any, rest: Any, terms: Terms) -> tuple[Any, Any]:
    """u and v of each element from its target t, from 1 - t, and from the factored coefficients."""
    a1, a0, b1, b0 = terms.prices
    u, v = a1 * t + a0, b1 * rest + b0
    for weight in (terms.row, terms.element):
        if weight is not None:
            u, v = u * weight, v * weight
    return u, v


def smoothed(t: Any, rest: Any, terms: Terms) -> tuple[Any, Any]:
    """The target t' = t·(1-s) + s/2, and 1-t' not as a difference."""
    keep, half = terms.smoothing
    return keep * t + half, keep * rest + half


def priced(xp: Any, price: Any, value: Any) -> Any:
    """price·value where 0·inf = 0."""
    return xp.where(price == 0, 0 * price, price * xp.where(price == 0, 0 * price, value))


def learnt(xp: Any, factor: Any, value: Any) -> Any:
    """factor·value where 0·inf = 0, with a derivative in the factor even where that is 0: for what may be learnt."""
    return factor * xp.where((factor == 0) & xp.isinf(value), 0 * factor, value)


def cross_entropy(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> Triple:
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


def probabilities(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> Triple:
    """-u·log max(x, ε) - v·log max(1-x, ε) for a probability x, log(1-x) as log1p(-x); p: ε."""
    (eps,) = p
    zero = 0 * x
    low, high = x < eps, 1 - x < eps
    floor, free_u, free_v = zero + eps, u == 0, v == 0  # a price of 0 asks for no logarithm
    positive = -xp.log(xp.where(free_u, 1 + zero, xp.where(low, floor, x)))
    floored = -xp.log(xp.where(high & ~free_v, floor, 1 + zero))
    negative = xp.where(high, floored, -xp.log1p(-xp.where(high | free_v, zero, x)))
    steep_u, steep_v = _inverse(xp, low | free_u, x), _inverse(xp, high | free_v, 1 - x)
    slope_u, slope_v = priced(xp, xp.where(low, 0 * u, u), steep_u), priced(xp, xp.where(high, 0 * v, v), steep_v)
    curve = priced(xp, slope_u, steep_u) + priced(xp, slope_v, steep_v) if wants_hessian(xp) else None
    return priced(xp, u, positive) + priced(xp, v, negative), slope_v - slope_u, curve


def _inverse(xp: Any, unneeded: Any, value: Any) -> Any:
    """1/value, and 1 where nobody needs it."""
    return 1 / xp.where(unneeded, 1 + 0 * value, value)


def log_probabilities(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> Triple:
    """-u·x - v·log(1 - e^x) for x = log p (Mächler 2012: log1mexp from expm1 near 0 and from log1p below -log 2)."""
    chance, rest, free = xp.exp(x), -xp.expm1(x), v == 0
    near = rest <= 0.5
    negative = xp.where(
        near, -xp.log(xp.where(near & ~free, rest, 1 + 0 * rest)), -xp.log1p(-xp.where(near, 0 * chance, chance))
    )
    slope = priced(xp, v, chance / xp.where(free, 1 + 0 * rest, rest))
    curve = priced(xp, slope, _inverse(xp, free, rest)) if wants_hessian(xp) else None
    return priced(xp, u, -x) + priced(xp, v, negative), slope - u, curve


def _sigmoids(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """log1p(e^-|x|), σ(x) and σ(-x)."""
    z = xp.exp(-xp.abs(x))
    small, large = z / (1 + z), 1 / (1 + z)
    return xp.log1p(z), xp.where(x < 0, small, large), xp.where(x < 0, large, small)


def _focused(xp: Any, loss: Triple, exponent: Any, log_m: Any, rho: Any, curl: Any) -> Triple:
    """M^Γ·L and its derivatives from those of L, log M, ρ = M'/M and M''/M: the product rule, with M^Γ in log space."""
    plain, slope, bend = loss
    power = xp.exp(learnt(xp, exponent, xp.where(log_m < -_ALMOST_INF, -_ALMOST_INF, log_m)))
    pull = learnt(xp, exponent * rho, plain)
    second = learnt(xp, exponent * ((exponent - 1) * rho * rho + curl), plain)
    curve = bend + 2 * exponent * rho * slope + second
    return priced(xp, power, plain), learnt(xp, power, slope + pull), learnt(xp, power, curve)


_ALMOST_INF = 1e18
"""M^Γ is 0 there as it is at infinity, with finite Γ·log M and (log M)², and derivatives in Γ that are 0."""


def focal(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> Triple:
    """α_t·m^γ·(u·softplus(-x) + v·softplus(x)), m = t'·σ(-x) + (1-t')·σ(x) (Lin et al. 2017).

    Soft targets as in torchvision, Keras and optax. p: γ, α of a positive, α of a negative.
    """
    gamma, alpha_yes, alpha_no = p
    lp, sigma, rest = _sigmoids(xp, x)
    near, far = xp.where(x < 0, no, yes), xp.where(x < 0, yes, no)
    hard = far == 0
    z = xp.exp(-xp.abs(x))
    # m = σ(|x|)·spread, but for z where the target is hard: what is added there is 0, and its derivative in s is not
    added = xp.where(hard, far, 0 * far) / xp.where(z == 0, 1 + z, z)
    spread = xp.where(hard, near + added, near * z + far)
    log_m = xp.log(spread) - lp - xp.where(hard, xp.abs(x), 0 * lp)
    rho = (no - yes) * (1 / (1 + z)) * xp.where(hard, 1 + 0 * z, z) / spread
    curl = rho * (rest - sigma)
    alpha = alpha_yes * yes + alpha_no * no
    loss, slope, bend = _focused(xp, cross_entropy(xp, x, u, v, yes, no, ()), gamma + 0 * lp, log_m, rho, curl)
    return learnt(xp, alpha, loss), alpha * slope, alpha * bend


def asymmetric(xp: Any, x: Any, u: Any, v: Any, yes: Any, no: Any, p: Any) -> Triple:
    """M^Γ·(u·softplus(-x) - v·log q), q = min(1-σ(x)+c, 1), M = t'·σ(-x) + (1-t')·(1-q) (Ridnik et al. 2021).

    Γ = γ+·t' + γ-·(1-t'). Where σ(x) <= c the negative part is 0. p: γ+, γ-, c.
    """
    gamma_pos, gamma_neg, clip = p
    lp, sigma, rest = _sigmoids(xp, x)
    zero = 0 * lp
    shifted = sigma > clip
    over = xp.where(shifted, sigma - clip, zero)
    d = sigma * rest
    dd = d * (rest - sigma)
    some = xp.where(rest == 0, 1 + zero, rest)
    positive = lp + xp.where(x < 0, xp.abs(x), zero)
    parts = _negative(xp, clip, (lp + xp.where(x < 0, zero, xp.abs(x)), sigma, rest, some), shifted)
    negative, lift, curve = (xp.where(shifted, part, zero) for part in parts)
    loss = priced(xp, u, positive) + priced(xp, v, negative), v * lift - u * rest, v * curve + u * d
    # where the target is 1, M = σ(-x)·inner: what is added to 1 there is 0, and its derivative in s is not
    hard, m = (no == 0) & (x >= 0), yes * rest + no * over
    inner = xp.where(hard, yes + xp.where(hard, no, 0 * no) * over / some, xp.where(m == 0, 1 + zero, m))
    log_m = xp.log(inner) + xp.where(hard, -positive - xp.abs(x), xp.where(m == 0, zero - _ALMOST_INF, zero))
    first, dm, ddm = (no * xp.where(shifted, part, zero) - yes * part + zero for part in (sigma, d, dd))
    rho = xp.where(hard, first, dm) / inner
    curl = xp.where(hard, rho * (rest - sigma), ddm / inner)
    return _focused(xp, loss, gamma_pos * yes + gamma_neg * no, log_m, rho, curl)


def _negative(xp: Any, clip: Any, plain: tuple[Any, Any, Any, Any], shifted: Any) -> Triple:
    """-log q and its derivatives where σ(x) > c; `plain` is that of c = 0, σ(x), σ(-x), and this where it is not 0."""
    if isinstance(clip, float):
        return _clipped(xp, clip, plain, shifted) if clip else _unclipped(xp, clip, plain)
    whole = clip == 0
    some = xp.where(whole, 1 + 0 * clip, clip)
    without, cut = _unclipped(xp, xp.where(whole, clip, 0 * clip), plain), _clipped(xp, some, plain, shifted)
    first, second, third = (xp.where(whole, a, b) for a, b in zip(without, cut, strict=True))
    return first, second, third


def _unclipped(xp: Any, clip: Any, plain: tuple[Any, Any, Any, Any]) -> Triple:
    """A clip of 0: what it moves is 0, and its derivative is not."""
    negative, sigma, rest, some = plain
    if isinstance(clip, float):
        return negative, sigma, sigma * rest
    moved = clip / some
    lift = sigma / (1 + moved)
    return negative - xp.log1p(moved), lift, lift * (rest - lift * moved)


def _clipped(xp: Any, clip: Any, plain: tuple[Any, Any, Any, Any], shifted: Any) -> Triple:
    _, sigma, rest, _ = plain
    q = xp.where(shifted, rest + clip, 1 + 0 * rest)
    d = sigma * rest
    lift = d / q
    return -xp.log(q), lift, d * (rest - sigma) / q + lift * lift
