"""Single machine operations that Numba's language lacks, for float32 and float64 alike.

Each function is one or two LLVM instructions, so a loop over them vectorises. `like(x, c)` is the constant c in x's
type: Numba would make `float32 * 2.0` a float64 operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .jit import inline

_I16, _I32, _I64 = (ir.IntType(width) for width in (16, 32, 64))
_INT = {types.float32: _I32, types.float64: _I64}
_SIGN = {types.float32: 0x8000_0000, types.float64: 0x8000_0000_0000_0000}
_MANTISSA = {types.float32: 23, types.float64: 52}
_BIAS = {types.float32: 127, types.float64: 1023}
_JIT = {"error_model": "numpy", "fastmath": False, "forceinline": True}


def like(x, c):
    """The constant c in the type of x."""
    return type(x)(c)


@overload(like, jit_options=_JIT)
def _like(x, c):
    if x == types.float32:
        return lambda x, c: np.float32(c)
    return lambda x, c: np.float64(c)


def number(x, t):
    """A target t in x's type. Integers travel unsigned and go through int32, which converts in vectors."""


@overload(number, jit_options=_JIT)
def _number(x, t):
    if isinstance(t, types.Integer):
        return lambda x, t: like(x, np.int32(t))
    return lambda x, t: like(x, t)


def rest(x, t):
    """1 - t in x's type, the difference taken in the wider of both: a float64 target next to 1 keeps its digits."""


@overload(rest, jit_options=_JIT)
def _rest(x, t):
    if t == types.float64:
        return lambda x, t: like(x, 1.0 - t)
    return lambda x, t: like(x, 1.0) - number(x, t)


def narrowed(value, out):
    """A float64 in out's type. One just outside [0, 1] must not round into it: it becomes 2."""


@overload(narrowed, jit_options=_JIT)
def _narrowed(value, out):
    if out == types.float64:
        return lambda value, out: value

    def narrow(value, out):
        near = np.float32(value)
        slipped = ((value > 1.0) & (near <= np.float32(1))) | ((value < 0.0) & (near >= np.float32(0)))
        return select(slipped, np.float32(2), near)

    return narrow


def _sign_unless_within(most):
    """x -> a sign unless x is at least 0 and at most the number with these bits; NaN is not.

    The bits of such numbers, as integers, have the numbers' order: three operations, and one more to collect what they
    find by `bit_or`, where comparisons take twice as many.
    """

    @intrinsic
    def sign(typing, x):
        def codegen(context, b, signature, args):
            i = _INT[x]
            bits = b.bitcast(b.fadd(args[0], ir.Constant(args[0].type, 0.0)), i)  # -0.0 becomes 0.0
            return b.or_(bits, b.sub(ir.Constant(i, most[x]), bits))

        return _SIGNED[x](x), codegen

    return sign


_SIGNED = {types.float32: types.int32, types.float64: types.int64}
_sign_outside_unit = _sign_unless_within({types.float32: 0x3F80_0000, types.float64: 0x3FF0_0000_0000_0000})
sign_of_no_weight = _sign_unless_within({types.float32: 0x7F7F_FFFF, types.float64: 0x7FEF_FFFF_FFFF_FFFF})
"""An integer with a sign unless x is a weight: not negative, finite, and a number."""


def sign_outside(t):
    """An integer with a sign unless t is in [0, 1], judged in its own type; an unsigned integer has one bound only."""


@overload(sign_outside, jit_options=_JIT)
def _sign_outside(t):
    if isinstance(t, types.Integer):
        return lambda t: all_bits(t > 1)
    return lambda t: _sign_outside_unit(t)


def no_sign(x):
    """The integer without a sign with which to begin when signs of numbers like x are collected."""


@overload(no_sign, jit_options=_JIT)
def _no_sign(x):
    kind = np.int64 if x == types.float64 else np.int32
    return lambda x: kind(0)


@inline
def is_positive(x):
    """1 unless x <= 0."""
    return int_bits(not (x <= like(x, 0.0)))


@intrinsic
def fma(typing, x, y, z):
    """x·y + z, rounded once."""
    return x(x, y, z), lambda context, b, signature, args: b.fma(*args)


@intrinsic
def square_root(typing, x):
    """sqrt(x), rounded correctly."""
    kind = {types.float32: "f32", types.float64: "f64"}[x]

    def codegen(context, b, signature, args):
        function = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(args[0].type, [args[0].type]), f"llvm.sqrt.{kind}"
        )
        return b.call(function, args)

    return x(x), codegen


@intrinsic
def select(typing, condition, x, y):
    """x where the condition holds, else y, without a branch."""
    return x(condition, x, y), lambda context, b, signature, args: b.select(*args)


@intrinsic
def magnitude(typing, x):
    """|x|, of NaN too."""

    def codegen(context, b, signature, args):
        i, sign = _INT[x], _SIGN[x]
        return b.bitcast(b.and_(b.bitcast(args[0], i), ir.Constant(i, sign - 1)), args[0].type)

    return x(x), codegen


@intrinsic
def is_negative(typing, x):
    """The sign bit: True for -0.0, where x < 0 is not."""

    def codegen(context, b, signature, args):
        return b.icmp_signed("<", b.bitcast(args[0], _INT[x]), ir.Constant(_INT[x], 0))

    return types.boolean(x), codegen


@intrinsic
def flip_sign(typing, x, by):
    """x with its sign changed where the sign bit of `by` is set."""

    def codegen(context, b, signature, args):
        i = _INT[x]
        bits, sign = (b.bitcast(arg, i) for arg in args)
        return b.bitcast(b.xor(bits, b.and_(sign, ir.Constant(i, _SIGN[x]))), args[0].type)

    return x(x, by), codegen


@intrinsic
def power_of_two(typing, x):
    """2^(n+64) for x = 1.5·2^mantissa + n: the integer n stands in the lowest bits of such an x."""

    def codegen(context, b, signature, args):
        i, width = _INT[x], _MANTISSA[x]
        shifted = b.shl(b.bitcast(args[0], i), ir.Constant(i, width))
        return b.bitcast(b.add(shifted, ir.Constant(i, (_BIAS[x] + 64) << width)), args[0].type)

    return x(x), codegen


def split_exponent(x, low):
    """(m, k) with x = m·2^k and m in [low, 2·low), for x positive and normal."""


@overload(split_exponent, jit_options=_JIT)
def _split_exponent(x, low):
    split = _split_exponent32 if x == types.float32 else _split_exponent64
    return lambda x, low: split(x, low)


@intrinsic
def _split_exponent32(typing, x, low):
    def codegen(context, b, signature, args):
        bits, base = (b.bitcast(arg, _I32) for arg in args)
        k = b.ashr(b.sub(bits, base), ir.Constant(_I32, 23))
        mantissa = b.bitcast(b.sub(bits, b.shl(k, ir.Constant(_I32, 23))), ir.FloatType())
        return context.make_tuple(b, signature.return_type, (mantissa, b.sitofp(k, ir.FloatType())))

    return types.UniTuple(types.float32, 2)(x, low), codegen


@intrinsic
def _split_exponent64(typing, x, low):
    """k is held as k + 2048, never negative, and becomes a float as the lowest bits of 2^52 + k.

    AVX2 has neither an arithmetic shift of int64 nor a conversion from it.
    """

    def codegen(context, b, signature, args):
        def constant(value):
            return ir.Constant(_I64, value)

        bits, base = (b.bitcast(arg, _I64) for arg in args)
        shifted = b.lshr(b.add(b.sub(bits, base), constant(2048 << 52)), constant(52))
        mantissa = b.bitcast(b.add(b.sub(bits, b.shl(shifted, constant(52))), constant(2048 << 52)), ir.DoubleType())
        number = b.bitcast(b.or_(shifted, constant(0x433 << 52)), ir.DoubleType())
        k = b.fsub(number, ir.Constant(ir.DoubleType(), 2.0**52 + 2048))
        return context.make_tuple(b, signature.return_type, (mantissa, k))

    return types.UniTuple(types.float64, 2)(x, low), codegen


@intrinsic
def keep_bits(typing, x, mask):
    """x where the int32 mask is -1, +0.0 where it is 0: a bitwise and, for a select before a store becomes a branch."""

    def codegen(context, b, signature, args):
        i = _INT[x]
        wide = b.sext(args[1], i) if i is _I64 else args[1]
        return b.bitcast(b.and_(b.bitcast(args[0], i), wide), args[0].type)

    return x(x, mask), codegen


@intrinsic
def all_bits(typing, condition):
    """The int32 -1, all bits set, where the condition holds, else 0."""
    return types.int32(condition), lambda context, b, signature, args: b.sext(args[0], _I32)


@intrinsic
def int_bits(typing, condition):
    """A condition as an int32: `|=` of booleans would widen to int64 and halve the vector."""
    return types.int32(condition), lambda context, b, signature, args: b.zext(args[0], _I32)


@intrinsic
def bit_or(typing, x, y):
    """x | y in the integers' own type."""
    return x(x, y), lambda context, b, signature, args: b.or_(*args)


@inline
def has_sign(x):
    """1 if an integer is negative, else 0."""
    return int_bits(x < 0)


@intrinsic
def float_from_half(typing, bits):
    """float16, given as its bits in an int16, to float32."""
    return types.float32(bits), lambda context, b, signature, args: b.fpext(
        b.bitcast(args[0], ir.HalfType()), ir.FloatType()
    )


@intrinsic
def half_from_float(typing, x):
    """float32 to the bits of float16, rounded to nearest even."""
    return types.int16(x), lambda context, b, signature, args: b.bitcast(b.fptrunc(args[0], ir.HalfType()), _I16)


@intrinsic
def float_from_bfloat(typing, bits):
    """bfloat16, given as its bits in a uint16, to float32: the upper half of a float32."""

    def codegen(context, b, signature, args):
        return b.bitcast(b.shl(b.zext(args[0], _I32), ir.Constant(_I32, 16)), ir.FloatType())

    return types.float32(bits), codegen


@intrinsic
def bfloat_from_float(typing, x):
    """float32 to the bits of bfloat16, rounded to nearest even; NaN stays NaN."""

    def codegen(context, b, signature, args):
        def constant(value: int) -> Any:
            return ir.Constant(_I32, value)

        bits = b.bitcast(args[0], _I32)
        odd = b.and_(b.lshr(bits, constant(16)), constant(1))
        rounded = b.add(bits, b.add(odd, constant(0x7FFF)))
        kept = b.select(b.fcmp_unordered("uno", args[0], args[0]), b.or_(bits, constant(0x0040_0000)), rounded)
        return b.trunc(b.lshr(kept, constant(16)), _I16)

    return types.uint16(x), codegen


@intrinsic
def _round_to_odd64(typing, x):
    """float64 to float32 towards zero, the lowest bit set if anything was lost (Boldo and Melquiond 2008)."""

    def codegen(context, b, signature, args):
        near = b.fptrunc(args[0], ir.FloatType())
        back = b.fpext(near, ir.DoubleType())
        clear = ir.Constant(_I64, _SIGN[types.float64] - 1)
        size, size_back = (b.and_(b.bitcast(value, _I64), clear) for value in (args[0], back))
        bits = b.bitcast(near, _I32)
        down = b.sub(bits, b.zext(b.icmp_unsigned(">", size_back, size), _I32))
        odd = b.or_(down, b.zext(b.fcmp_ordered("one", back, args[0]), _I32))
        return b.bitcast(odd, ir.FloatType())

    return types.float32(x), codegen


def round_to_odd(x):
    """A float32 that rounds on to a 16-bit type as x itself does."""


@overload(round_to_odd, jit_options=_JIT)
def _round_to_odd(x):
    if x == types.float32:
        return lambda x: x
    return lambda x: _round_to_odd64(x)


@intrinsic
def pointer(typing, address):
    """An integer address as a pointer for `carray`."""
    return types.voidptr(types.intp), lambda context, b, signature, args: b.inttoptr(args[0], cgutils.voidptr_t)


@intrinsic
def prefetch(typing, array, index):
    """Ask for the cache line of an array's element, counted in memory, before it is needed."""

    def codegen(context, b, signature, args):
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        place = b.bitcast(b.gep(data, [args[1]]), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0i8")
        b.call(function, [place, _I32(1), _I32(3), _I32(1)])  # to be written to, often; data
        return context.get_dummy_value()

    return types.void(array, index), codegen
