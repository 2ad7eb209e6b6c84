"""JAX's operations, and the derivatives that JAX is told instead of finding them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from ..._errors import UnsupportedTypeError
from ..._spec.losses import Loss
from .. import operations


class _Kind(NamedTuple):
    """Which function of the elements: everything about it that is no array."""

    loss: Loss
    numbers: tuple[float | None, ...]
    """The loss's parameters that are plain numbers."""
    order: int
    """The loss (0), its slope (1) or its curvature (2)."""
    learnt: tuple[int, ...] = ()
    """Of which it is a partial derivative: places in (x, *rest)."""


def _derivative(order: int, loss: Loss, x: Any, u: Any, v: Any, rest: Any) -> Any:
    yes, no, parameters = rest
    numbers = tuple(one if isinstance(one, float) else None for one in parameters)
    arrays = tuple(None if isinstance(one, float) else one for one in parameters)
    return _elements(_Kind(loss, numbers, order), x, u, v, (yes, no, arrays))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _elements(kind: _Kind, x: Any, u: Any, v: Any, rest: Any) -> Any:
    """The function of each element, differentiable again.

    In `rest`, the smoothed targets and the loss's parameters, the formula itself is differentiated: forward and one
    element at a time, so that what is finite never meets what is not.
    """
    arrays, tree = jax.tree.flatten((x, rest))

    def formula(*arrays: Any) -> Any:
        x, (yes, no, varying) = tree.unflatten(arrays)
        parameters = tuple(a if b is None else b for a, b in zip(varying, kind.numbers, strict=True))
        return operations.formula(XP, kind.loss, x, u, v, (yes, no, parameters))[kind.order]

    values = functools.reduce(_partial, kind.learnt, formula)(*arrays)
    # On CPU, XLA takes arithmetic before a sum into the sum, operation by operation and through memory. It stops at a
    # selection: losses are then computed in one vectorised loop, and the slopes in another.
    return jnp.where(jnp.isnan(u), u, values)


def _partial(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    """The derivative of an elementwise function in one of its arguments."""

    def derivative(*arguments: Any) -> Any:
        def alone(one: Any) -> Any:
            return function(*arguments[:place], one, *arguments[place + 1 :])

        return jax.jvp(alone, (arguments[place],), (jnp.ones_like(arguments[place]),))[1]

    return derivative


@functools.partial(_elements.defjvp, symbolic_zeros=True)
def _rule(kind: _Kind, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """The next order for x; the loss is linear in the prices, so theirs are the formula at prices of 1 and 0.

    A tangent that is known to be zero is left out: zero times an infinite slope would be NaN.
    """
    x, u, v, rest = primals
    dx, du, dv, others = tangents
    one, zero = jnp.ones_like(u), jnp.zeros_like(u)
    change = jnp.zeros_like(x)
    if not isinstance(dx, SymbolicZero):
        next_one = _in(kind, 0) if kind.order == 2 else kind._replace(order=kind.order + 1)
        change = change + dx * _elements(next_one, x, u, v, rest)
    if not isinstance(du, SymbolicZero):
        change = change + du * _finite(_elements(kind, x, one, zero, rest), u)
    if not isinstance(dv, SymbolicZero):
        change = change + dv * _finite(_elements(kind, x, zero, one, rest), v)
    for place, tangent in enumerate(jax.tree.leaves(others), 1):
        if not isinstance(tangent, SymbolicZero):
            change = change + tangent * _elements(_in(kind, place), x, u, v, rest)
    return _elements(kind, x, u, v, rest), change


def _in(kind: _Kind, place: int) -> _Kind:
    return kind._replace(learnt=(*kind.learnt, place))


@functools.partial(jax.custom_jvp, nondiff_argnums=())
def _finite(slope: Any, price: Any) -> Any:
    """The slope in a price, where that is 0 at most the largest number: a weight of a target of 0 then has slope 0."""
    largest = jnp.finfo(slope.dtype).max
    return jnp.where(price == 0, jnp.clip(slope, -largest, largest), slope)


_finite.defjvps(lambda tangent, _result, _slope, _price: tangent, None)  # its own slope is finite


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _fixed(t: Any, loss: Loss) -> Any:  # noqa: ARG001 - the rule names it
    return t


@functools.partial(_fixed.defjvp, symbolic_zeros=True)
def _refuse_gradient(loss: Loss, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    if not isinstance(tangents[0], SymbolicZero):
        raise UnsupportedTypeError(
            f"targets of the {loss.name} loss must need no gradient: its focus depends on them. "
            "Use jax.lax.stop_gradient(targets), or binary_cross_entropy_with_logits."
        )
    return primals[0], jnp.zeros_like(primals[0])


def is_wider(array: Any, dtype: Any) -> bool:
    """Is it a floating array of more digits than this type?"""
    return bool(jnp.issubdtype(array.dtype, jnp.floating) and jnp.finfo(array.dtype).nmant > jnp.finfo(dtype).nmant)


XP = SimpleNamespace(
    abs=jnp.abs,
    exp=jnp.exp,
    expm1=jnp.expm1,
    isinf=jnp.isinf,
    log=jnp.log,
    log1p=jnp.log1p,
    where=jnp.where,
    signbit=jnp.signbit,
    bool=jnp.bool_,
    cast=lambda array, dtype: jnp.asarray(array).astype(dtype),
    is_wider=is_wider,
    total=lambda array, axes, dtype: jnp.sum(array, axis=axes, dtype=dtype),
    constant=lambda number, like: jnp.asarray(number, like.dtype),
    expand=jnp.expand_dims,
    derivative=_derivative,
    fixed=_fixed,
)
