"""Exponential and logarithm as straight-line arithmetic, so that the loops that use them vectorise.

Numba's `math.exp` and `math.log1p` are scalar library calls. Here every function is a range reduction and a minimax
polynomial (Muller, *Elementary Functions*, ch. 3-5; the float64 logarithm is fdlibm's form), right for subnormals,
±inf and NaN, and the same bits on every machine with a fused multiply-add. Largest errors, found over all float32
and over dense float64 samples against mpmath, stand in the docstrings; `tests/test_accuracy.py` repeats the search
on the compiled loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .coefficients import (
    EXPM1_32,
    EXPM1_64,
    LN2_HIGH_32,
    LN2_HIGH_64,
    LN2_LOW_32,
    LN2_LOW_64,
    LOG1P_32,
    LOG2_E,
    LOG_NEAR_ONE_32,
    LOG_RATIO_64,
    LOG_RATIO_NEAR_ONE_64,
)
from .jit import inline
from .ops import _JIT, fma, like, power_of_two, select, split_exponent


def polynomial(values: Sequence[float]) -> Callable[..., Any]:
    """x -> c0 + c1·x + c2·x² + …, by Horner's rule in fused multiply-adds."""

    @intrinsic
    def evaluate(typing, x):
        def codegen(context, b, signature, args):
            kind = context.get_value_type(x)
            total = ir.Constant(kind, values[-1])
            for value in reversed(values[:-1]):
                total = b.fma(total, args[0], ir.Constant(kind, value))
            return total

        return x(x), codegen

    return cast("Callable[..., Any]", evaluate)


_P32, _Q32, _S32 = polynomial(EXPM1_32), polynomial(LOG1P_32), polynomial(LOG_NEAR_ONE_32)
_P64, _R64, _R64_NEAR_ONE = polynomial(EXPM1_64), polynomial(LOG_RATIO_64), polynomial(LOG_RATIO_NEAR_ONE_64)
_SQRT_HALF = 0.5**0.5


@inline
def _exp_reduced32(t):
    t = select(t < like(t, -104.0), like(t, -104.0), t)  # NaN compares false and goes on
    shifted = fma(t, like(t, LOG2_E), like(t, 12582912.0))  # 1.5·2^23 rounds to an integer in the lowest bits
    n = shifted - like(t, 12582912.0)
    return fma(n, like(t, -LN2_LOW_32), fma(n, like(t, -LN2_HIGH_32), t)), power_of_two(shifted)


@inline
def _exp_reduced64(t):
    t = select(t < -746.0, -746.0, t)
    shifted = fma(t, LOG2_E, 6755399441055744.0)  # 1.5·2^52
    n = shifted - 6755399441055744.0
    return fma(n, -LN2_LOW_64, fma(n, -LN2_HIGH_64, t)), power_of_two(shifted)


def exp_reduced(t):
    """(r, 2^(n+64)) with t = n·ln 2 + r, for t <= 0."""


@overload(exp_reduced, jit_options=_JIT)
def _exp_reduced(t):
    reduced = _exp_reduced32 if t == types.float32 else _exp_reduced64
    return lambda t: reduced(t)


def _expm1_polynomial(r):
    """e^r - 1 for |r| <= ln(2)/2."""


@overload(_expm1_polynomial, jit_options=_JIT)
def _expm1(r):
    polynomial = _P32 if r == types.float32 else _P64
    return lambda r: fma(r * r, polynomial(r), r)


@inline
def exp_rebuilt(r, power):
    """e^t from its parts; the power of two is applied in two steps so that subnormal results are right."""
    return ((like(r, 1.0) + _expm1_polynomial(r)) * power) * like(r, 2.0**-64)


@inline
def exp_neg(t):
    """e^t for t <= 0, within 1 ulp."""
    r, power = exp_reduced(t)
    return exp_rebuilt(r, power)


@inline
def one_minus_exp(t):
    """1 - e^t for t <= 0 with full relative accuracy: near 0 it is -(e^r - 1), elsewhere (1 - 2^n) - 2^n·(e^r - 1)."""
    r, power = exp_reduced(t)
    power *= like(t, 2.0**-64)
    return fma(-power, _expm1_polynomial(r), like(t, 1.0) - power)


@inline
def _log1p32(z):
    # around 1/2, where a polynomial's rounding is least at both ends: |x| + log1p(z) never falls by 2 ulp as |x| grows
    return fma(z, _Q32(z - like(z, 0.5)), z)


@inline
def _log1p64(z):
    half_square = 0.5 * z * z
    s = z / (2.0 + z)
    s2 = s * s
    return z - fma(-s, fma(s2, _R64(s2), half_square), half_square)


def log1p_unit(z):
    """log(1 + z) for z in [0, 1]."""


@overload(log1p_unit, jit_options=_JIT)
def _log1p_unit(z):
    log1p = _log1p32 if z == types.float32 else _log1p64
    return lambda z: log1p(z)


@inline
def _minus_log_split32(w, k):
    tail = fma(w * w, _S32(w), k * like(k, LN2_LOW_32))
    return fma(-k, like(k, LN2_HIGH_32), -w - tail)  # the product is exact


@inline
def _minus_log_split64(w, k):
    half_square = 0.5 * w * w
    s = w / (2.0 + w)
    s2 = s * s
    tail = fma(s, fma(s2, _R64_NEAR_ONE(s2), half_square), k * LN2_LOW_64)
    return fma(-k, LN2_HIGH_64, (half_square - tail) - w)  # the product is exact


def _minus_log_split(w, k):
    """-(log(1 + w) + k·ln 2) for w in [sqrt(1/2) - 1, sqrt(2) - 1]."""


@overload(_minus_log_split, jit_options=_JIT)
def _minus_log_of_split(w, k):
    minus_log = _minus_log_split32 if w == types.float32 else _minus_log_split64
    return lambda w, k: minus_log(w, k)


@inline
def _split_log(m):
    """(w, k) with m = (1 + w)·2^k: the arguments of `_minus_log_split` for -log m."""
    tiny = m < like(m, 2.0**-126)  # below that float32 is subnormal; to scale is exact
    mantissa, k = split_exponent(select(tiny, m * like(m, 2.0**54), m), like(m, _SQRT_HALF))
    return mantissa - like(m, 1.0), select(tiny, k - like(m, 54.0), k)


@inline
def _split_log1m(m):
    """(w, k) with 1 - m = (1 + w)·2^k, for m in [0, 1/2]; exact in both branches."""
    far = m > like(m, 1.0 - _SQRT_HALF)
    return select(far, fma(like(m, -2.0), m, like(m, 1.0)), -m), select(far, like(m, -1.0), like(m, 0.0))


@inline
def minus_log(m):
    """-log m for m in [0, 1]: within 1 ulp; inf at 0; NaN for NaN."""
    w, k = _split_log(m)
    value = _minus_log_split(w, k)
    return select(m > like(m, 0.0), value, select(m == like(m, 0.0), like(m, float("inf")), m))


@inline
def minus_log_of_normal(m):
    """`minus_log`, the same bits in fewer steps, for a normal number m, float64."""
    mantissa, k = split_exponent(m, _SQRT_HALF)
    return _minus_log_split(mantissa - 1.0, k)


@inline
def _minus_log1m32(m):
    w, k = _split_log1m(m)
    return _minus_log_split(w, k)


@inline
def _minus_log1m64(m):
    half_square = 0.5 * m * m
    s = m / (2.0 - m)
    s2 = s * s
    return m + fma(s, fma(s2, _R64(s2), half_square), half_square)


def minus_log1m(m):
    """-log(1 - m) for m in [0, 1/2]: within 1 ulp, relative, down to the smallest m."""


@overload(minus_log1m, jit_options=_JIT)
def _minus_log1m(m):
    minus_log1m = _minus_log1m32 if m == types.float32 else _minus_log1m64
    return lambda m: minus_log1m(m)


@inline
def minus_log_either(m, of_rest):
    """-log(1 - m) where `of_rest`, else -log m; m in [0, 1/2]. One polynomial serves both."""
    w, k = _split_log(m)
    w1, k1 = _split_log1m(m)
    value = _minus_log_split(select(of_rest, w1, w), select(of_rest, k1, k))
    at_zero = select(of_rest, like(m, 0.0), like(m, float("inf")))
    return select(m > like(m, 0.0), value, select(m == like(m, 0.0), at_zero, m))


@inline
def _minus_log1m_exp64(x):
    rest, e = one_minus_exp(x), exp_neg(x)
    small = rest <= 0.5
    return minus_log_either(select(small, rest, e), not small), e / rest, rest


@inline
def _minus_log1m_exp32(x):
    """What the roundings of e^x and 1 - e^x leave is exact, and corrects what comes of them."""
    one = like(x, 1.0)
    r, raised = exp_reduced(x)
    power = raised * like(x, 2.0**-64)
    m = _expm1_polynomial(r)
    mantissa = one + m
    e, e_left = (mantissa * raised) * like(x, 2.0**-64), (m - (mantissa - one)) * power
    rest = fma(-power, m, one - power)
    rest_left = fma(-power, m, (one - power) - rest)
    small, inverse = rest <= like(x, 0.5), one / rest
    infinite = inverse == like(x, float("inf"))
    finite = select(infinite, like(x, 0.0), inverse)
    value = minus_log_either(select(small, rest, e), not small)
    odds = e * inverse
    left = fma(-odds, rest, e) + fma(-odds, rest_left, e_left)
    return (
        fma(select(small, -rest_left, e_left), finite, value),
        select(infinite, inverse, fma(left, finite, odds)),
        rest,
    )


def minus_log1m_exp(x):
    """(-log(1 - e^x), e^x/(1 - e^x), 1 - e^x) for x <= 0.

    The first comes from 1 - e^x where this is small and from e^x where that is (Mächler 2012, *Accurately computing
    log(1 - exp(-|a|))*).
    """


@overload(minus_log1m_exp, jit_options=_JIT)
def _minus_log1m_exp(x):
    both = _minus_log1m_exp32 if x == types.float32 else _minus_log1m_exp64
    return lambda x: both(x)
