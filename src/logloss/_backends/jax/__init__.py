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
from ..._targets.positives import Positives
from .. import operations
from ..operands import check_shapes
from .derivatives import XP
from .operands import Arrays, dense, floating, numbers_of, split, target_array

__all__ = ["floating", "target_array"]


def on_host(value: Any) -> Any:
    """Concrete values as a NumPy array."""
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
    dtype = _arithmetic(x)
    shift = jnp.asarray(shift).astype(dtype)
    return (x.astype(dtype) + shift.reshape((1,) * (x.ndim - shift.ndim) + shift.shape)).astype(x.dtype)


def _arithmetic(x: Any) -> Any:
    return jnp.dtype("float64" if x.dtype == jnp.float64 else "float32")


# ---- evaluation ------------------------------------------------------------------------------------------------------


def _problem(loss: Loss, options: Options, x: Any, t: Any, numbers: Any, arrays: Arrays) -> operations.Problem:
    full = dense(t) if isinstance(t, Positives) else t
    given = operations.Operands(x, full, x.shape, x.shape, t.dtype)
    dtypes = operations.Dtypes(arrays.dtype, arrays.dtype, arrays.dtype)
    return operations.Problem(XP, _primitive(loss, numbers), given, options, arrays, dtypes)


def _primitive(loss: Loss, numbers: dict[str, Any]) -> Primitive:
    """The loss with these numbers, and the defaults of all others."""
    return Primitive(loss, tuple(numbers.get(one.name, one.default) for one in loss.numbers) if numbers else ())


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(
    what: Callable[[operations.Problem], Any],
    loss: Loss,
    options: Options,
    spelt: str,  # noqa: ARG001 - as keys 1, 1.0 and True are one, as options they are not
    x: Any,
    t: Any,
    numbers: Any,
    operands: Any,
) -> tuple[Any, Any]:
    """The result, and whether anything in it is NaN or a number is out of its interval."""
    arrays = Arrays(_arithmetic(x))
    result = what(_problem(loss, options.replace(**operands), x, t, numbers, arrays))
    suspicious = jnp.isnan(result[0] if isinstance(result, tuple) else result).any()
    return result, functools.reduce(jnp.logical_or, arrays.outside, suspicious)


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
        compiled = _compiled
    except TypeError:  # no value of an option; tracing says so
        compiled = _compiled.__wrapped__
    result, suspicious = compiled(what, primitive.loss, static, spelt, x, t, numbers, operands)
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
