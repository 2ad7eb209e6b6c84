"""Losses on TensorFlow tensors: eager, in `tf.function` and compiled by XLA, differentiable to any order.

Whether values are in their domains is asked after the computation and only of eager tensors; in a graph a target or
weight out of its domain makes loss and gradient NaN. Lengths that only a running graph knows are compared when it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from .._errors import InvalidInputError, UnsupportedTypeError
from .._spec import reductions
from .._spec.losses import PLAIN_LOSS, Loss, Number, Primitive, reduced
from .._spec.options import Options
from .._spec.terms import agree, number
from .._targets.positives import Positives
from . import operations
from ._diagnosis import not_boolean, not_floating, not_real, not_targets
from .kinds import framework_of
from .operands import OptionArrays, check_shapes

is_symbolic = tf.is_symbolic_tensor
_FLOATS = frozenset((tf.float16, tf.bfloat16, tf.float32, tf.float64))


# ---- derivatives ----------------------------------------------------------------------------------------------------


def _derivative(order: int, loss: Loss, x: Any, u: Any, v: Any, rest: tuple[Any, ...]) -> Any:
    """The loss (0), its slope (1) or its curvature (2) of each element, differentiable again.

    A tape asks the first function below for the derivative in x, and the second, which adds nothing, for those in the
    prices and in what else may be learnt: each only where it is watched. They may be infinite where the loss is not.
    """
    if order == 2:
        return operations.formula(_XP, loss, x, u, v, rest)[2]
    learnt, with_learnt = _learnt(rest)

    @tf.custom_gradient
    def along_x(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        here_u, here_v, *here = map(tf.stop_gradient, (u, v, *learnt))  # a tape would see them through what they meet
        values = operations.formula(_UP_TO[order], loss, x, here_u, here_v, with_learnt(here))[order]
        return values, lambda upstream: upstream * _derivative(order + 1, loss, x, u, v, rest)

    @tf.custom_gradient
    def along_others(u: Any, v: Any, *learnt: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        one, zero = tf.ones_like(u), tf.zeros_like(u)

        def evaluated(learnt: Any) -> Any:
            return operations.formula(_UP_TO[order], loss, x, u, v, with_learnt(learnt))[order]

        def gradient(upstream: Any) -> tuple[Any, ...]:
            rest = with_learnt(learnt)
            return (
                upstream * _derivative(order, loss, x, one, zero, rest),
                upstream * _derivative(order, loss, x, zero, one, rest),
                *_by_differentiation(evaluated, learnt, upstream),
            )

        return zero, gradient

    return along_x(x) + along_others(u, v, *learnt)


def _learnt(rest: tuple[Any, ...]) -> tuple[list[Any], Callable[[Any], tuple[Any, ...]]]:
    """The tensors among yes, no and the parameters, and how to put others in their place."""
    yes, no, parameters = rest
    every = (yes, no, *parameters)
    places = [place for place, one in enumerate(every) if tf.is_tensor(one)]

    def with_learnt(values: Any) -> tuple[Any, ...]:
        own = dict(zip(places, values, strict=True))
        yes, no, *parameters = (own.get(place, one) for place, one in enumerate(every))
        return yes, no, tuple(parameters)

    return [every[place] for place in places], with_learnt


def _by_differentiation(function: Callable[[Any], Any], learnt: tuple[Any, ...], upstream: Any) -> list[Any]:
    """The derivatives of Σ upstream·function(learnt)."""
    if not learnt:
        return []
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(learnt)
        values = function(learnt)
    none = tf.UnconnectedGradients.ZERO
    return list(tape.gradient(values, learnt, output_gradients=upstream, unconnected_gradients=none))


# ---- operations -----------------------------------------------------------------------------------------------------


def _where(condition: Any, a: Any, b: Any) -> Any:
    """The selection; NaN is made by arithmetic where it is chosen: numeric checks refuse a constant that is NaN."""
    if isinstance(b, float) and math.isnan(b):
        return a * tf.sqrt(2.0 * tf.cast(condition, a.dtype) - 1.0)
    dtype = b.dtype if isinstance(a, float | int) else a.dtype
    return tf.where(condition, tf.convert_to_tensor(a, dtype), tf.convert_to_tensor(b, dtype))


def _cast(value: Any, dtype: Any) -> Any:
    return tf.cast(value.tensor if isinstance(value, _Given) else value, dtype)


def _expand(array: Any, axes: tuple[int, ...]) -> Any:
    for axis in axes:
        array = tf.expand_dims(array, axis)
    return array


_XP = SimpleNamespace(
    abs=tf.abs,
    exp=tf.exp,
    expm1=tf.math.expm1,
    log=tf.math.log,
    log1p=tf.math.log1p,
    where=_where,
    signbit=lambda x: x < 0,  # of -0 the formula gives the same from either side
    isinf=tf.math.is_inf,
    bool=tf.bool,
    cast=_cast,
    is_wider=lambda array, dtype: array.dtype.is_floating and array.dtype.size > dtype.size,
    total=lambda array, axes, dtype: tf.reduce_sum(tf.cast(array, dtype), axis=axes),
    constant=lambda number, like: tf.constant(number, like.dtype),
    expand=_expand,
    fixed=lambda t, loss: tf.stop_gradient(t),  # noqa: ARG005 - whichever loss it is
    derivative=_derivative,
)
"""TensorFlow as `operations.Operations`."""
_UP_TO = tuple(SimpleNamespace(**vars(_XP), order=order) for order in range(3))
"""The same for derivatives up to an order: in eager code what nobody wants would be computed."""


# ---- operands -------------------------------------------------------------------------------------------------------


def _is_tensor(value: Any) -> bool:
    return isinstance(value, tf.Tensor | tf.Variable)


def _option(name: str, value: Any) -> Any:
    """An option's value; what a variable of Keras holds is asked for whenever it is used."""
    if framework_of(value) == "keras":
        return getattr(value, "value", value)
    if isinstance(value, list | tuple) and any(map(_is_tensor, value)):  # which may be learnt
        try:
            return tf.convert_to_tensor(value)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError):
            got = "a list of tensors of several shapes or types"
            raise InvalidInputError(f"{name} must be one tensor; got {got}. Use tf.stack({name}).") from None
    return _tensor(value, name) if framework_of(value) == "tensorflow" else value


class _Given:
    """An option's tensor with the two attributes that `_spec` asks of an array."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.shape = _shape(tensor, "options")

    def reshape(self, shape: tuple[int, ...]) -> Any:
        return tf.reshape(self.tensor, shape)


class _Arrays:
    """Values of options as tensors of the arithmetic's type (`_spec.Arrays`); what they are is asked elsewhere."""

    def __init__(self, x: Any, shape: tuple[int | None, ...]) -> None:
        self.dtype = _arithmetic(x)
        self.x, self.lengths = x, shape

    def real(self, name: str, value: Any) -> _Given:
        value = _option(name, value)
        if not _is_tensor(value):
            value = OptionArrays.real(name, value)
        elif not _is_real(value.dtype):
            raise not_real(name, value.dtype.name)
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
            return _Given(tf.cast(value, self.dtype))

    float64 = real  # prices are as wide as the arithmetic

    def scalar(self, array: _Given) -> Any:
        return tf.reshape(array.tensor, ())

    def boolean(self, name: str, value: Any) -> _Given:
        value = _option(name, value)
        if not _is_tensor(value):
            value = OptionArrays.boolean(name, value)
        elif not value.dtype.is_bool:
            raise not_boolean(name, value.dtype.name)
        return _Given(tf.convert_to_tensor(value))

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Values out of their domain become NaN in `operations`."""

    def as_long(self, name: str, array: _Given, axes: tuple[int, ...], *, or_one: bool) -> _Given:
        got, wanted = array.shape, [self.lengths[axis] for axis in axes]
        if all(a is not None and (a == b or (or_one and a == 1)) for a, b in zip(got, wanted, strict=True)):
            return array
        rule = f"{name} must be as long as axes {axes} of the logits{', or of length 1' if or_one else ''}"
        return _Given(_as_long(rule, array.tensor, tf.gather(tf.shape(self.x), axes), or_one=or_one))

    def number(self, one: Number, value: Any) -> Any:
        value = _option(one.name, value)
        if not _is_tensor(value):
            return number(one, value)
        if value.shape.rank or not (value.dtype.is_floating or value.dtype.is_integer):
            raise InvalidInputError(
                f"{one.name} must be one real number; got a tensor of shape {value.shape} and dtype "
                f"{value.dtype.name}. {one.remedy}"
            )
        return self.inside(one, _Given(tf.reshape(tf.cast(value, self.dtype), ()))).tensor

    def inside(self, one: Number, array: _Given) -> _Given:
        tensor = array.tensor
        below = tensor <= one.high if math.isfinite(one.high) else tf.math.is_finite(tensor)
        return _Given(_where((tensor >= one.low) & below, tensor, math.nan))

    def representable(self, dtype: Any, value: Any) -> float | None:
        return OptionArrays.representable(dtype, value)


def _as_long(rule: str, tensor: Any, wanted: Any, *, or_one: bool = False) -> Any:
    """The tensor, if a running graph finds its lengths to be these (`or_one`: or 1); the graph fails otherwise.

    XLA leaves assertions out. There the tensor is given a shape that does not exist: nothing is computed for it.
    """
    got = tf.shape(tensor)
    fine = tf.equal(got, wanted)
    if or_one:
        fine = fine | tf.equal(got, 1)
    check = tf.debugging.Assert(tf.reduce_all(fine), [f"{rule}; got lengths", got, "instead of", wanted])
    with tf.control_dependencies([check]):
        same = tf.reshape(tensor, tf.where(fine, got, -2))
    return tf.ensure_shape(same, tensor.shape)


def _is_real(dtype: Any) -> bool:
    return bool(dtype in _FLOATS or dtype.is_integer or dtype.is_bool)


def _tensor(value: Any, name: str) -> Any:
    if _is_tensor(value):
        return tf.convert_to_tensor(value)
    remedy = " Use to_tensor(), and mask= for the padding." if isinstance(value, tf.RaggedTensor) else ""
    if isinstance(value, tf.IndexedSlices):
        remedy = f" Use tf.convert_to_tensor({name})."
    if isinstance(value, tf.SparseTensor):
        remedy = " Use tf.sparse.to_dense(), or Positives for targets."
    raise UnsupportedTypeError(f"{name} must be a tensor; got {type(value).__module__}.{type(value).__name__}.{remedy}")


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating tensor; integers become float64."""
    tensor = _tensor(value, name)
    if tensor.dtype in _FLOATS:
        return tensor
    if tensor.dtype.is_integer or tensor.dtype.is_bool:
        return tf.cast(tensor, tf.float64)
    remedy = f"math.real({name})" if tensor.dtype.is_complex else f"cast({name}, tf.float32)"
    raise not_floating(name, tensor.dtype.name, f"Use tf.{remedy}.")


def target_array(value: Any) -> Any:
    """Targets as a tensor of bool, any integer or any float, or positive indices as they are."""
    if isinstance(value, Positives):
        return value
    tensor = _tensor(value, "targets")
    if _is_real(tensor.dtype):
        return tensor
    raise not_targets(tensor.dtype.name)


def _shape(tensor: Any, name: str) -> tuple[int | None, ...]:
    if tensor.shape.rank is None:
        raise InvalidInputError(
            f"{name} must have a known number of axes; got a tensor without one. Use tf.ensure_shape."
        )
    return tuple(tensor.shape)


def _dense(positives: Positives) -> Any:
    """A byte per element: tensors cannot be asked piece by piece."""
    rows = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))
    places = np.stack([rows, positives.indices], axis=1)
    return tf.scatter_nd(places, tf.ones(len(rows), tf.uint8), positives.shape)


def _operands(x: Any, t: Any) -> operations.Operands:
    """Logits and targets of one shape, of which a graph may know some lengths only when it runs."""
    dtype = None if isinstance(t, Positives) else np.dtype(t.dtype.as_numpy_dtype)
    t = _dense(t) if dtype is None else t
    shape, other = _shape(x, "logits"), _shape(t, "targets")
    if len(shape) != len(other) or not all(map(agree, shape, other)):
        check_shapes(SimpleNamespace(shape=shape), SimpleNamespace(shape=other))
    if None in (*shape, *other):
        t = _as_long("logits and targets must have one shape", t, tf.shape(x))
    shape = tuple(b if a is None else a for a, b in zip(shape, other, strict=True))
    lengths = tuple(
        tf.cast(tf.shape(x)[axis], _arithmetic(x)) if length is None else length for axis, length in enumerate(shape)
    )
    return operations.Operands(x, t, shape, lengths, dtype)


def _arithmetic(x: Any) -> Any:
    return tf.float64 if x.dtype == tf.float64 else tf.float32


def on_host(value: Any) -> Any:
    """Eager values as a NumPy array."""
    value = _option("values", value)
    if is_symbolic(value):
        raise UnsupportedTypeError(
            f"statistics are computed of values; got a tensor of a graph of shape {value.shape}. "
            "Use them in eager code; in a graph binary_cross_entropy is a loss."
        )
    return value.numpy() if _is_tensor(value) else value


def from_host(value: Any, like: Any) -> Any:  # noqa: ARG001 - TensorFlow places it
    """A statistic that was computed in NumPy, as a tensor."""
    return tf.constant(value, tf.float64)


def shifted(x: Any, shift: Any) -> Any:
    """The tensor plus a number or a vector of numbers, rounded once."""
    return tf.cast(tf.cast(x, tf.float64) + shift, x.dtype)


def before_sigmoid(tensor: Any) -> Any:
    """The tensor whose sigmoid this one of a graph is, cast or not; None where that is unknown."""
    while tensor.op.type in ("Cast", "Identity") and tensor.op.inputs[0].dtype.is_floating:
        tensor = tensor.op.inputs[0]
    return tensor.op.inputs[0] if tensor.op.type == "Sigmoid" else None


# ---- evaluation -----------------------------------------------------------------------------------------------------


def _problem(primitive: Primitive, x: Any, t: Any, options: Options) -> operations.Problem:
    given, dtype = _operands(x, t), _arithmetic(x)
    dtypes = operations.Dtypes(dtype, dtype, dtype)
    return operations.Problem(_XP, primitive, given, options, _Arrays(x, given.shape), dtypes)


def _evaluate(
    what: Callable[[operations.Problem], Any], primitive: Primitive, logits: Any, targets: Any, options: Options
) -> Any:
    x, t = floating(logits, primitive.loss.quantity.name), target_array(targets)
    primitive = reduced(primitive)
    result = what(_problem(primitive, x, t, options))
    _check(result[0] if isinstance(result, tuple) else result, primitive, x, t, options)
    return result


def _check(result: Any, primitive: Primitive, x: Any, t: Any, options: Options) -> None:
    """Look for what is out of its domain, where values are at hand and one of them came out as NaN."""
    if options.validate and tf.executing_eagerly() and tf.math.is_nan(result).numpy().any():
        operations.refuse(primitive, x, t, options, on_host)


@tf.autograph.experimental.do_not_convert
def value(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The loss, reduced."""
    return _evaluate(operations.value, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def value_and_grad(primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None) -> Any:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    if out is not None:
        raise UnsupportedTypeError("out must be an array that can be written; tensors cannot. Leave it out.")
    return _evaluate(operations.value_and_grad, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def grad_and_hess(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    """The elementwise first and second derivatives."""
    return _evaluate(operations.grad_and_hess, primitive, logits, targets, options)


@tf.autograph.experimental.do_not_convert
def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet; targets and weights are checked as a loss would."""
    zero = tf.zeros(t.shape if isinstance(t, Positives) else tf.shape(t))
    problem = _problem(PLAIN_LOSS, zero, t, options)
    divisor = tf.cast(problem.denominator(), zero.dtype)
    wrong = tf.reduce_any(tf.math.is_nan(problem.operands[1]))
    divisor = _where(~wrong, divisor, math.nan)
    _check(divisor, PLAIN_LOSS, np.empty(0), t, options)
    shape = reductions.reduced_shape(options, problem.given.shape)
    return tf.broadcast_to(divisor, shape) if None not in shape else divisor
