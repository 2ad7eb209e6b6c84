"""Exponential and logarithm as straight-line arithmetic, so that the loops that use them vectorise.

Numba's `math.exp` and `math.log1p` are scalar library calls. Here every function is a range reduction and a minimax
polynomial (Muller, *Elementary Functions*, ch. 3-5; the float64 logarithm is fdlibm's form), right for subnormals,
±inf and NaN, and the same bits on every machine with a fused multiply-add. Largest errors, found over all float32
and over dense float64 samples against mpmath, stand in the docstrings; `tests/test_accuracy.py` repeats the search
on the compiled loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import inline
from .ops import _JIT, fma, like, power_of_two, select, split_exponent


def polynomial(coefficients: str) -> Callable[..., Any]:
    """x -> c0 + c1·x + c2·x² + …, by Horner's rule in fused multiply-adds; coefficients in hexadecimal."""
    values = [float.fromhex(text) for text in coefficients.split()]

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


# e^r = 1 + r + r²·P(r) on |r| <= ln(2)/2; log1p(z) = z + z²·Q(z) on [0, 1];
# log((1+s)/(1-s)) = 2s + s³·R(s²), for s up to 1/3 (z = 1) and up to 0.1716 (a mantissa within sqrt(2) of 1).
_P32 = polynomial("0x1.fffffcp-2 0x1.555492p-3 0x1.5558aap-5 0x1.12396ep-7 0x1.6a524ep-10")
_Q32 = polynomial(
    "-0x1.ffffd2p-2 0x1.554dd0p-2 -0x1.ff23e6p-3 0x1.934b54p-3 -0x1.3a435ep-3 0x1.b4ae08p-4 -0x1.d6b08cp-5 "
    "0x1.4917cep-6 -0x1.af49cep-9"
)
_P64 = polynomial(
    "0x1.000000000000ap-1 0x1.55555555554fap-3 0x1.5555555550879p-5 0x1.1111111127cdep-7 "
    "0x1.6c16c1842e303p-10 0x1.a01a012a0c731p-13 0x1.a01999fac4ecfp-16 0x1.71df25d82fd18p-19 "
    "0x1.28ad87ae83c7cp-22 0x1.ad7edf55575d2p-26"
)
_R64 = polynomial(
    "0x1.5555555555536p-1 0x1.99999999a050fp-2 0x1.249249209c259p-2 0x1.c71c74156356fp-3 0x1.745cb4ea6dd28p-3 "
    "0x1.3b1dc8ce87e46p-3 0x1.1068b15f4f97dp-3 0x1.efca184ffa348p-4 0x1.55edb7a18268ap-4 0x1.5c41b803e25d9p-3"
)
_R64_NEAR_ONE = polynomial(
    "0x1.5555555555591p-1 0x1.99999999801ccp-2 0x1.24924941be891p-2 0x1.c71c522e9843dp-3 0x1.746637da7eb17p-3 "
    "0x1.39a2651658fd5p-3 0x1.2eff0d511983fp-3"
)

_LOG2E = float.fromhex("0x1.71547652b82fep0")
_LN2_HIGH, _LN2_LOW = (
    float.fromhex("0x1.62e42feep-1"),
    float.fromhex("0x1.a39ef35793c76p-33"),
)  # few bits, so that n·high is exact; the rest
_LN2_HIGH32, _LN2_LOW32 = float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20")
_SQRT_HALF = 0.5**0.5


@inline
def _exp_reduced32(t):
    t = select(t < like(t, -104.0), like(t, -104.0), t)  # NaN compares false and goes on
    shifted = fma(t, like(t, _LOG2E), like(t, 12582912.0))  # 1.5·2^23 rounds to an integer in the lowest bits
    n = shifted - like(t, 12582912.0)
    return fma(n, like(t, -_LN2_LOW32), fma(n, like(t, -_LN2_HIGH32), t)), power_of_two(shifted)


@inline
def _exp_reduced64(t):
    t = select(t < -746.0, -746.0, t)
    shifted = fma(t, _LOG2E, 6755399441055744.0)  # 1.5·2^52
    n = shifted - 6755399441055744.0
    return fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, t)), power_of_two(shifted)


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
    return fma(z * z, _Q32(z), z)


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
def _minus_log_split(w, k):
    """-(log(1 + w) + k·ln 2) for w in [sqrt(1/2) - 1, sqrt(2) - 1], float64."""
    half_square = 0.5 * w * w
    s = w / (2.0 + w)
    s2 = s * s
    tail = fma(s, fma(s2, _R64_NEAR_ONE(s2), half_square), k * _LN2_LOW)
    return (half_square - tail) - w - k * _LN2_HIGH


@inline
def _split_log(m):
    """(w, k) with m = (1 + w)·2^k: the arguments of `_minus_log_split` for -log m."""
    tiny = m < 2.0**-1022
    mantissa, k = split_exponent(select(tiny, m * 2.0**54, m), _SQRT_HALF)
    return mantissa - 1.0, select(tiny, k - 54.0, k)


@inline
def _split_log1m(m):
    """(w, k) with 1 - m = (1 + w)·2^k, for m in [0, 1/2]; exact in both branches."""
    far = m > 1.0 - _SQRT_HALF
    return select(far, fma(-2.0, m, 1.0), -m), select(far, -1.0, 0.0)


@inline
def minus_log(m):
    """-log m for m in [0, 1], float64: within 1 ulp; inf at 0; NaN for NaN."""
    w, k = _split_log(m)
    value = _minus_log_split(w, k)
    return select(m > 0.0, value, select(m == 0.0, like(m, float("inf")), m))


@inline
def minus_log1m(m):
    """-log(1 - m) for m in [0, 1/2], float64: within 1 ulp, relative, down to the smallest m."""
    w, k = _split_log1m(m)
    return select(m == 0.0, 0.0, _minus_log_split(w, k))


@inline
def minus_log_either(m, of_rest):
    """-log(1 - m) where `of_rest`, else -log m; m in [0, 1/2]. One polynomial serves both."""
    w, k = _split_log(m)
    w1, k1 = _split_log1m(m)
    value = _minus_log_split(select(of_rest, w1, w), select(of_rest, k1, k))
    at_zero = select(of_rest, 0.0, like(m, float("inf")))
    return select(m > 0.0, value, select(m == 0.0, at_zero, m))
