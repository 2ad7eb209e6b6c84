"""Losses on JAX arrays: one compiled function per loss and set of options, differentiable to any order.

Whether values are in their domains is asked after the computation and only of concrete arrays; in traced code a
target or weight out of its domain makes loss and gradient NaN.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from .. import _reduce, _spec
from .._errors import InvalidInputError, UnsupportedTypeError
from .._spec import Options, Primitive
from . import _traced, is_filling
from .operands import OptionArrays, check_shapes

_FLOATS = ("float16", "bfloat16", "float32", "float64")


# ---- derivatives ----------------------------------------------------------------------------------------------------


def _derivative(order: int, primitive: Primitive, x: Any, u: Any, v: Any, t: Any) -> Any:
    """The loss (0), its slope (1) or its curvature (2) of each element, differentiable again."""
    if order == 2:
        return _traced.formula(_XP, primitive, x, u, v, t)[2]
    if primitive.name not in _traced.FOCUSED:
        t = lax.stop_gradient(t)  # it acts through the prices
    return _differentiable(order, primitive, x, u, v, t)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _differentiable(order: int, primitive: Primitive, x: Any, u: Any, v: Any, t: Any) -> Any:
    values = _traced.formula(_XP, primitive, x, u, v, t)[order]
    # On CPU, XLA takes arithmetic before a sum into the sum, operation by operation and through memory. It stops at a
    # selection: losses are then computed in one vectorised loop, and the slopes in another.
    return jnp.where(jnp.isnan(u), u, values)


@functools.partial(_differentiable.defjvp, symbolic_zeros=True)
def _rule(order: int, primitive: Primitive, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """The next order for x; the loss is linear in the prices, so theirs are the formula at prices of 1 and 0.

    A tangent that is known to be zero is left out: zero times an infinite slope would be NaN.
    """
    x, u, v, t = primals
    dx, du, dv, dt = tangents
    if not isinstance(dt, SymbolicZero):
        raise UnsupportedTypeError(
            f"targets of the {primitive.name} loss must need no gradient: its focus depends on them. "
            "Use jax.lax.stop_gradient(targets), or binary_cross_entropy_with_logits."
        )
    one, zero = jnp.ones_like(u), jnp.zeros_like(u)
    change = jnp.zeros_like(x)
    if not isinstance(dx, SymbolicZero):
        change = change + dx * _derivative(order + 1, primitive, x, u, v, t)
    if not isinstance(du, SymbolicZero):
        change = change + du * _derivative(order, primitive, x, one, zero, t)
    if not isinstance(dv, SymbolicZero):
        change = change + dv * _derivative(order, primitive, x, zero, one, t)
    return _differentiable(order, primitive, x, u, v, t), change


# ---- operands -------------------------------------------------------------------------------------------------------


class _Arrays:
    """Values of options as arrays of the arithmetic's type (`_spec.Arrays`); what they are is asked elsewhere."""

    def __init__(self, x: Any) -> None:
        self.dtype = jnp.dtype("float64" if x.dtype == jnp.float64 else "float32")

    def real(self, name: str, value: Any) -> Any:
        if not jnp.issubdtype(value.dtype, jnp.bool_) and not jnp.issubdtype(value.dtype, jnp.number):
            raise InvalidInputError(f"{name} must hold real numbers; got dtype {value.dtype}.")
        if jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise InvalidInputError(f"{name} must hold real numbers; got dtype {value.dtype}. Use {name}.real.")
        return value

    def double(self, name: str, value: Any) -> Any:
        return self.real(name, value).astype(self.dtype)

    def single(self, array: Any) -> Any:
        return array.reshape(())

    def boolean(self, name: str, value: Any) -> Any:
        if value.dtype != jnp.bool_:
            raise InvalidInputError(
                f"{name} must be boolean, True where an element counts; got dtype {value.dtype}. Use {name} != 0."
            )
        return value

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Values out of their domain become NaN in `_traced`."""

    def held(self, dtype: Any, value: Any) -> float | None:
        return OptionArrays.held(dtype, value)


_XP = SimpleNamespace(
    abs=jnp.abs,
    exp=jnp.exp,
    expm1=jnp.expm1,
    log=jnp.log,
    log1p=jnp.log1p,
    minimum=jnp.minimum,
    where=jnp.where,
    signbit=jnp.signbit,
    bool=jnp.bool_,
    cast=lambda array, dtype: jnp.asarray(array).astype(dtype),
    total=lambda array, axes: jnp.sum(array, axis=axes),
    constant=lambda number, like: jnp.asarray(number, like.dtype),
    expand=jnp.expand_dims,
    derivative=_derivative,
)


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating array; integers become JAX's default."""
    if not isinstance(value, jax.Array):
        raise UnsupportedTypeError(f"{name} must be a JAX array; got {type(value).__module__}.{type(value).__name__}.")
    if value.dtype.name in _FLOATS:
        return value
    if jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == jnp.bool_:
        return value.astype(float)
    raise UnsupportedTypeError(
        f"{name} must be float16, bfloat16, float32 or float64; got dtype {value.dtype}. Use {name}.astype('float32')."
    )


def target_array(value: Any) -> Any:
    """Targets as an array of bool, any integer or any float, or positive indices as they are."""
    if is_filling(value):
        kind: Any = type(value)
        register(kind)
        return value
    if not isinstance(value, jax.Array):
        raise UnsupportedTypeError(f"targets must be a JAX array; got {type(value).__module__}.{type(value).__name__}.")
    if value.dtype.name in _FLOATS or jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == jnp.bool_:
        return value
    raise UnsupportedTypeError(
        f"targets must be bool, integer or floating; got dtype {value.dtype}. Encode labels as 0 and 1."
    )


@functools.cache
def register(kind: Any) -> None:
    """Positive indices as a tree of two arrays, so that they go through compiled functions."""
    jax.tree_util.register_pytree_node(
        kind, lambda positives: ((positives.indptr, positives.indices), positives.shape), kind._from_parts
    )


def _dense(positives: Any) -> Any:
    """A byte per element: XLA scatters into memory, not into a loop."""
    indptr, indices = jnp.asarray(positives.indptr), jnp.asarray(positives.indices)
    rows = jnp.repeat(jnp.arange(positives.shape[0]), jnp.diff(indptr), total_repeat_length=indices.size)
    return jnp.zeros(positives.shape, jnp.uint8).at[rows, indices].set(1)


def _operands(x: Any, t: Any) -> _traced.Operands:
    dtype = getattr(t, "dtype", None)
    return _traced.Operands(x, _dense(t) if is_filling(t) else t, x.shape, x.shape, dtype)


def on_host(value: Any) -> Any:
    """Concrete values as a NumPy array."""
    return np.asarray(value) if isinstance(value, jax.Array) else value


def returned(value: Any, like: Any) -> Any:  # noqa: ARG001 - JAX places it
    """A statistic that was computed in NumPy, as a JAX array."""
    return jnp.asarray(value)


def shifted(x: Any, shift: Any) -> Any:
    """The array plus a number or a vector of numbers, rounded once."""
    dtype = _Arrays(x).dtype
    shift = jnp.asarray(shift).astype(dtype)
    return (x.astype(dtype) + shift.reshape((1,) * (x.ndim - shift.ndim) + shift.shape)).astype(x.dtype)


# ---- evaluation -----------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled(
    what: Callable[[_traced.Problem], Any], primitive: Primitive, options: Options, x: Any, t: Any, given: Any
) -> tuple[Any, Any]:
    """The result, and whether anything in it is NaN."""
    problem = _traced.Problem(_XP, primitive, _operands(x, t), options._replace(**given), _Arrays(x))
    result = what(problem)
    return result, jnp.isnan(result[0] if isinstance(result, tuple) else result).any()


@functools.partial(jax.jit, static_argnums=(0,))
def _compiled_denominator(options: Options, t: Any, given: Any) -> tuple[Any, Any]:
    """The denominator, and whether a target or weight breaks a rule: those of a loss at logits of 0."""
    options = options._replace(**given)
    zero = jnp.zeros(t.shape, float)
    problem = _traced.Problem(_XP, _spec.CROSS_ENTROPY, _operands(zero, t), options, _Arrays(zero))
    divisor = _traced.denominator(_XP, problem.given, options, problem.arrays)
    shape = _reduce.reduced_shape(options, t.shape)
    divisor = jnp.broadcast_to(jnp.asarray(divisor, zero.dtype), shape)
    divisor = jnp.where(jnp.isnan(problem.operands[1]).any(), math.nan, divisor)
    return divisor, jnp.isnan(divisor).any()


def _split(options: Options) -> tuple[Options, dict[str, Any]]:
    """What a compiled function is made for, and the arrays that it takes."""
    given: dict[str, Any] = {}
    for name in _traced.ARRAYS:
        value = getattr(options, name)
        if value is not None and not isinstance(value, jax.Array):
            value = OptionArrays.boolean(name, value) if name == "mask" else OptionArrays.real(name, value)
            with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
                value = value.astype(jax.dtypes.canonicalize_dtype(value.dtype))
        given[name] = value
    ignored: Any = options.ignore_index
    if isinstance(ignored, numbers.Real) and ignored != ignored:
        ignored = math.nan  # one object: another NaN would be another key
    static: dict[str, Any] = {**dict.fromkeys(given), "ignore_index": ignored}
    return options._replace(**static), given


def _evaluate(
    what: Callable[[_traced.Problem], Any], primitive: Primitive, logits: Any, targets: Any, options: Options
) -> Any:
    x, t = floating(logits, _traced.QUANTITY.get(primitive.name, "logits")), target_array(targets)
    check_shapes(x, t)
    static, given = _split(options)
    result, suspicious = _compiled(what, primitive, static, x, t, given)
    if options.validate and not isinstance(suspicious, jax.core.Tracer) and suspicious:
        _traced.refuse(primitive, x, t, options, on_host)
    return result


def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    return _evaluate(_traced.value, primitive, logits, targets, options)


def value_and_grad(primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None) -> Any:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    if out is not None:
        raise UnsupportedTypeError("out must be an array that can be written; JAX arrays cannot. Leave it out.")
    return _evaluate(_traced.value_and_grad, primitive, logits, targets, options)


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The elementwise first and second derivatives."""
    return _evaluate(_traced.grad_and_hess, primitive, logits, targets, options)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet."""
    static, given = _split(options)
    divisor, wrong = _compiled_denominator(static, t, given)
    if options.validate and not isinstance(wrong, jax.core.Tracer) and wrong:
        _traced.refuse(_spec.CROSS_ENTROPY, np.empty(0), t, options, on_host)
    return divisor
