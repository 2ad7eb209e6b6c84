"""Losses on TensorFlow tensors: eager, in `tf.function` and compiled by XLA, differentiable to any order.

Whether values are in their domains is asked after the computation and only of eager tensors; in a graph a target or
weight out of its domain makes loss and gradient NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from .. import _reduce, _spec
from .._errors import InvalidInputError, UnsupportedTypeError
from .._spec import Options, Primitive
from . import _traced, is_filling
from .operands import OptionArrays, check_shapes

_FLOATS = frozenset((tf.float16, tf.bfloat16, tf.float32, tf.float64))


# ---- derivatives ----------------------------------------------------------------------------------------------------


def _derivative(order: int, primitive: Primitive, x: Any, u: Any, v: Any, t: Any) -> Any:
    """The loss (0), its slope (1) or its curvature (2) of each element, differentiable again.

    The loss is linear in the prices, so its derivatives with respect to them are the formula at prices of 1 and 0.
    The target acts through the prices; where a focus depends on it too, it has no gradient.
    """
    t = tf.stop_gradient(t)
    if primitive.name in _traced.FOCUSED:
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
    if order == 2:
        return _traced.formula(_XP, primitive, x, u, v, t)[2]

    @tf.custom_gradient
    def differentiable(x: Any, u: Any, v: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any, Any]]]:
        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            one, zero = tf.ones_like(u), tf.zeros_like(u)
            return (
                upstream * _derivative(order + 1, primitive, x, u, v, t),
                upstream * _derivative(order, primitive, x, one, zero, t),
                upstream * _derivative(order, primitive, x, zero, one, t),
            )

        return _traced.formula(_XP, primitive, x, u, v, t)[order], gradient

    return differentiable(x, u, v)


# ---- operands -------------------------------------------------------------------------------------------------------


class _Given:
    """An option's tensor with the two attributes that `_spec` asks of an array."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.shape = _shape(tensor, "options")

    def reshape(self, shape: tuple[int, ...]) -> Any:
        return tf.reshape(self.tensor, shape)


class _Arrays:
    """Values of options as tensors of the arithmetic's type (`_spec.Arrays`); what they are is asked elsewhere."""

    def __init__(self, x: Any) -> None:
        self.dtype = tf.float64 if x.dtype == tf.float64 else tf.float32

    def real(self, name: str, value: Any) -> Any:
        if not isinstance(value, tf.Tensor | tf.Variable):
            value = OptionArrays.real(name, value)
        elif not (value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool):
            raise InvalidInputError(
                f"{name} must hold real numbers; got dtype {value.dtype.name}. Convert it to float32 or float64."
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
            return _Given(tf.cast(value, self.dtype))

    def double(self, name: str, value: Any) -> Any:
        return self.real(name, value)

    def single(self, array: Any) -> Any:
        return tf.reshape(array.tensor, ())

    def boolean(self, name: str, value: Any) -> Any:
        if not isinstance(value, tf.Tensor | tf.Variable):
            value = OptionArrays.boolean(name, value)
        elif not value.dtype.is_bool:
            raise InvalidInputError(
                f"{name} must be boolean, True where an element counts; got dtype {value.dtype.name}. Use {name} != 0."
            )
        return _Given(tf.convert_to_tensor(value))

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Values out of their domain become NaN in `_traced`."""

    def held(self, dtype: Any, value: Any) -> float | None:
        return OptionArrays.held(dtype, value)


def _cast(value: Any, dtype: Any) -> Any:
    return tf.cast(value.tensor if isinstance(value, _Given) else value, dtype)


_XP = SimpleNamespace(
    abs=tf.abs,
    exp=tf.exp,
    expm1=tf.math.expm1,
    log=tf.math.log,
    log1p=tf.math.log1p,
    minimum=tf.minimum,
    where=tf.where,
    signbit=lambda x: x < 0,  # of -0 the formula gives the same from either side
    bool=tf.bool,
    cast=_cast,
    total=lambda array, axes: tf.reduce_sum(array, axis=axes),
    constant=lambda number, like: tf.constant(number, like.dtype),
    expand=tf.expand_dims,
    derivative=_derivative,
)


def _tensor(value: Any, name: str) -> Any:
    if isinstance(value, tf.Tensor | tf.Variable):
        return tf.convert_to_tensor(value)
    remedy = " Use to_tensor(), and mask= for the padding." if isinstance(value, tf.RaggedTensor) else ""
    raise UnsupportedTypeError(f"{name} must be a tensor; got {type(value).__module__}.{type(value).__name__}.{remedy}")


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating tensor; integers become float64."""
    tensor = _tensor(value, name)
    if tensor.dtype in _FLOATS:
        return tensor
    if tensor.dtype.is_integer or tensor.dtype.is_bool:
        return tf.cast(tensor, tf.float64)
    raise UnsupportedTypeError(
        f"{name} must be float16, bfloat16, float32 or float64; got dtype {tensor.dtype.name}. "
        f"Use tf.cast({name}, tf.float32)."
    )


def target_array(value: Any) -> Any:
    """Targets as a tensor of bool, any integer or any float, or positive indices as they are."""
    if is_filling(value):
        return value
    tensor = _tensor(value, "targets")
    if tensor.dtype in _FLOATS or tensor.dtype.is_integer or tensor.dtype.is_bool:
        return tensor
    raise UnsupportedTypeError(
        f"targets must be bool, integer or floating; got dtype {tensor.dtype.name}. Encode labels as 0 and 1."
    )


def _shape(tensor: Any, name: str) -> tuple[int | None, ...]:
    if tensor.shape.rank is None:
        raise InvalidInputError(
            f"{name} must have a known number of axes; got a tensor without one. Use tf.ensure_shape."
        )
    return tuple(tensor.shape)


def _dense(positives: Any) -> Any:
    """A byte per element: tensors cannot be asked piece by piece."""
    rows = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))
    places = np.stack([rows, positives.indices], axis=1)
    return tf.scatter_nd(places, tf.ones(len(rows), tf.uint8), positives.shape)


def _operands(x: Any, t: Any) -> _traced.Operands:
    """Logits and targets of one shape, of which a graph may know some lengths only when it runs."""
    filling = is_filling(t)
    shape, other = _shape(x, "logits"), t.shape if filling else _shape(t, "targets")
    if len(shape) != len(other) or any(a != b for a, b in zip(shape, other, strict=True) if a and b):
        check_shapes(SimpleNamespace(shape=shape), SimpleNamespace(shape=other))
    shape = tuple(b if a is None else a for a, b in zip(shape, other, strict=True))
    lengths = tuple(
        tf.cast(tf.shape(x)[axis], _Arrays(x).dtype) if length is None else length for axis, length in enumerate(shape)
    )
    dtype = None if filling else t.dtype.as_numpy_dtype
    return _traced.Operands(x, _dense(t) if filling else t, shape, lengths, dtype and np.dtype(dtype))


def on_host(value: Any) -> Any:
    """Eager values as a NumPy array."""
    return value.numpy() if isinstance(value, tf.Tensor | tf.Variable) else value


def returned(value: Any, like: Any) -> Any:  # noqa: ARG001 - TensorFlow places it
    """A statistic that was computed in NumPy, as a tensor."""
    return tf.constant(value, tf.float64)


def shifted(x: Any, shift: Any) -> Any:
    """The tensor plus a number or a vector of numbers, rounded once."""
    return tf.cast(tf.cast(x, tf.float64) + shift, x.dtype)


# ---- evaluation -----------------------------------------------------------------------------------------------------


def _evaluate(
    what: Callable[[_traced.Problem], Any], primitive: Primitive, logits: Any, targets: Any, options: Options
) -> Any:
    x, t = floating(logits, _traced.QUANTITY.get(primitive.name, "logits")), target_array(targets)
    result = what(_traced.Problem(_XP, primitive, _operands(x, t), options, _Arrays(x)))
    _check(result[0] if isinstance(result, tuple) else result, primitive, x, t, options)
    return result


def _check(result: Any, primitive: Primitive, x: Any, t: Any, options: Options) -> None:
    """Look for what is out of its domain, where values are at hand and one of them came out as NaN."""
    if options.validate and tf.executing_eagerly() and np.isnan(tf.cast(result, tf.float32).numpy()).any():
        _traced.refuse(primitive, x, t, options, on_host)


@tf.autograph.experimental.do_not_convert
def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    return _evaluate(_traced.value, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def value_and_grad(primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None) -> Any:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    if out is not None:
        raise UnsupportedTypeError("out must be an array that can be written; tensors cannot. Leave it out.")
    return _evaluate(_traced.value_and_grad, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The elementwise first and second derivatives."""
    return _evaluate(_traced.grad_and_hess, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet; targets and weights are checked as a loss would."""
    zero = tf.zeros(t.shape if is_filling(t) else tf.shape(t))
    problem = _traced.Problem(_XP, _spec.CROSS_ENTROPY, _operands(zero, t), options, _Arrays(zero))
    divisor = tf.cast(_traced.denominator(_XP, problem.given, options, problem.arrays), zero.dtype)
    wrong = tf.reduce_any(tf.math.is_nan(problem.operands[1]))
    divisor = tf.where(wrong, np.float32("nan"), divisor)
    _check(divisor, _spec.CROSS_ENTROPY, np.empty(0), t, options)
    shape = _reduce.reduced_shape(options, problem.given.shape)
    return tf.broadcast_to(divisor, shape) if None not in shape else divisor
