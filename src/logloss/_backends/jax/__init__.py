"""Losses on JAX arrays: one compiled function per loss and set of options, differentiable to any order.

Arithmetic is in float32 for logits (or probabilities) of up to 32 bits, of every loss, and in float64 for float64
logits. Targets and weights of more digits come in rounded to it, after 1 - t was taken in the targets' own digits.
Sums and reduced losses are of the arithmetic's type, elementwise results of the logits'.

Every option that may vary is an operand of the compiled function, whether it is an array or a number: another value
compiles nothing anew, and a traced one is mapped and differentiated. Options at their defaults are not operands, and
what decides the code itself (axes, the reduction, the ignored value) must be known when it is compiled.

Whether values are in their domains is asked after the computation and only of concrete arrays; in traced code a
target, weight or number out of its domain makes loss and gradient NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import UnsupportedTypeError
from ..._spec import reductions
from ..._spec.losses import PLAIN_LOSS, Loss, Primitive, reduced
from ..._spec.options import Options
from .. import operations
from ..operands import check_shapes
from .operands import floating, numbers_of, split, target_array
from .primitive import Evaluation, arithmetic, by_formula, evaluate

__all__ = ["floating", "target_array"]


def on_host(value: Any) -> Any:
    """Concrete values as a NumPy array."""
    if isinstance(value, jax.core.Tracer):
        raise UnsupportedTypeError(
            f"statistics are computed of values; got a traced array of shape {value.shape}. "
            "Use them outside of compiled code; within it binary_cross_entropy is a loss."
        )
    return np.asarray(value) if isinstance(value, jax.Array) else value


def from_host(value: Any, like: Any) -> Any:  # noqa: ARG001 - JAX places it
    """A statistic that was computed in NumPy, as a JAX array."""
    return jnp.asarray(value)


def current(read: Callable[[], Any], like: Any) -> Any:
    """What `read` gives: beside traced arrays, whenever the compiled code runs, and not what it gave when compiled."""
    value = read()
    if isinstance(value, jax.core.Tracer) or not isinstance(like, jax.core.Tracer):
        return value
    shape = jax.ShapeDtypeStruct(value.shape, value.dtype)
    return jax.pure_callback(lambda: np.asarray(read()), shape)


def shifted(x: Any, shift: Any) -> Any:
    """The array plus a number or a vector of numbers, rounded once."""
    dtype = arithmetic(x)
    shift = jnp.asarray(shift).astype(dtype)
    return (x.astype(dtype) + shift.reshape((1,) * (x.ndim - shift.ndim) + shift.shape)).astype(x.dtype)


# ---- evaluation ------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(
    what: Callable[[operations.Problem], Any],
    loss: Loss,
    options: Options,
    spelt: str,
    x: Any,
    t: Any,
    numbers: Any,
    operands: Any,
) -> tuple[Any, Any]:
    """The result, and whether anything in it is NaN or a number is out of its interval."""
    leaves, tree = jax.tree.flatten((x, t, numbers, operands))
    *results, outside = evaluate(Evaluation(what, loss, options, spelt, tree), leaves)
    suspicious = outside | jnp.isnan(results[0]).any()
    return results[0] if len(results) == 1 else tuple(results), suspicious


def _checked_denominator(problem: operations.Problem) -> Any:
    """The denominator, NaN where a target or weight breaks a rule."""
    shape = reductions.reduced_shape(problem.options, problem.given.shape)
    divisor = jnp.broadcast_to(jnp.asarray(problem.denominator(), problem.dtypes.sums), shape)
    return jnp.where(jnp.isnan(problem.operands[1]).any(), math.nan, divisor)


def _evaluate(what: Callable[[operations.Problem], Any], primitive: Primitive, x: Any, t: Any, options: Options) -> Any:
    static, operands = split(options)
    numbers = numbers_of(primitive)
    spelt = repr(static) if static.given else ""
    try:
        hash(static)
    except TypeError:  # no value of an option, as the formula says
        leaves, tree = jax.tree.flatten((x, t, numbers, operands))
        by_formula(Evaluation(what, primitive.loss, static, spelt, tree))(*leaves)
    result, suspicious = _compiled(what, primitive.loss, static, spelt, x, t, numbers, operands)
    if static.validate and not isinstance(suspicious, jax.core.Tracer) and suspicious:
        varying = {name: options.given[name] for name in operands}
        operations.refuse(primitive, x, t, static.replace(**varying), on_host)
    return result


def _of_arrays(
    what: Callable[[operations.Problem], Any], primitive: Primitive, logits: Any, targets: Any, options: Options
) -> Any:
    primitive = reduced(primitive)
    name = primitive.loss.quantity.name
    x, t = floating(logits, name), target_array(targets)
    check_shapes(x, t, name)
    return _evaluate(what, primitive, x, t, options)


def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    return _of_arrays(operations.value, primitive, logits, targets, options)


def value_and_grad(primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None) -> Any:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    if out is not None:
        raise UnsupportedTypeError("out must be an array that can be written; JAX arrays cannot. Leave it out.")
    return _of_arrays(operations.value_and_grad, primitive, logits, targets, options)


def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The elementwise first and second derivatives."""
    return _of_arrays(operations.grad_and_hess, primitive, logits, targets, options)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet."""
    return _evaluate(_checked_denominator, PLAIN_LOSS, jnp.zeros(t.shape, float), t, options)
