"""What dialects share: how they are called, arrays and shapes, and reductions; denominators are those of the losses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._backends.kinds import framework_of
from .._backends.operands import OptionArrays, array_of
from .._errors import InvalidInputError, UnsupportedTypeError
from .._spec.losses import PLAIN_LOSS
from .._spec.options import Options
from .._spec.terms import terms
from ..derivatives import denominator

Array = Any  # NumPy arrays whose dtype is known only when they come

quietly = np.errstate(all="ignore")  # frameworks give inf and NaN without a word


# ---- calls ----------------------------------------------------------------------------------------------------------


def dialect(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """A function of a framework, written to return (value, gradient): called it returns the value alone."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return call.value_and_grad(*args, **options)[0]  # type: ignore[attr-defined]

    call.value_and_grad = quietly(function)  # type: ignore[attr-defined]
    return call


class Dialect:
    """The same for a framework's class: its instances are called, and have `value_and_grad`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The value alone."""
        return self.value_and_grad(*args, **options)[0]

    def value_and_grad(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        """(value, gradient)."""
        raise NotImplementedError


def value_and_grad(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[Any, Any]:
    """The value of a dialect's function or loss object, and its gradient as the framework computes it.

    The gradient is that of the value (of its sum, where nothing is reduced) with respect to the predictions.

    Args:
        function: a function or object of a dialect.
        *args: its arguments.
        **options: its options.

    Returns:
        (value, gradient); the gradient has the shape of the predictions.

    Raises:
        UnsupportedTypeError: `function` belongs to no dialect.
        LoglossError: what the function itself raises.

    Example:
        >>> import numpy as np
        >>> from logloss import dialects
        >>> from logloss.dialects import pytorch
        >>> dialects.value_and_grad(pytorch.binary_cross_entropy, np.array([0.0]), np.array([1.0]))
        (np.float64(100.0), array([-1.e+12]))

    References:
        docs/why-numbers-differ.md.
    """
    if not hasattr(function, "value_and_grad"):
        raise UnsupportedTypeError(
            f"function must be a function or object of a dialect; got {function!r}. "
            "For this package's own losses use logloss.value_and_grad."
        )
    return function.value_and_grad(*args, **options)  # type: ignore[no-any-return]


# ---- arguments ------------------------------------------------------------------------------------------------------


def real(name: str, value: Any, default: Any = np.float32) -> Array:
    """Real numbers as an array; plain Python numbers get the dtype that the framework would give them."""
    if framework_of(value) != "numpy":
        raise UnsupportedTypeError(
            f"dialects compute with NumPy arrays; got {name} of {type(value).__module__}.{type(value).__name__}. "
            "Use numpy.asarray."
        )
    array = array_of(name, value)
    if array.dtype.kind not in "biu" and not is_floating(array.dtype):
        raise UnsupportedTypeError(f"{name} must hold real numbers; got dtype {array.dtype}. Use float32.")
    return array if hasattr(value, "dtype") else array.astype(default)


def is_floating(dtype: Any) -> bool:
    """True for bfloat16 too, which NumPy knows by name only."""
    return bool(dtype.kind == "f" or dtype.name == "bfloat16")


def widest(dtypes: set[Any]) -> Any:
    """The floating dtype that holds all of these; float32 for the two halves together."""
    return functools.reduce(np.promote_types, dtypes, np.dtype(np.float32)) if len(dtypes) > 1 else next(iter(dtypes))


def floats(name: str, value: Any) -> Array:
    """Floating numbers as an array; integers are refused, as the framework does."""
    array = real(name, value)
    if not is_floating(array.dtype):
        raise UnsupportedTypeError(f"{name} must be floating; got {array.dtype}. Use {name}.astype('float32').")
    return array


def row_weights(sample_weight: Any, shape: tuple[int, ...]) -> Array:
    """`sample_weight` as the losses take it: one number per row."""
    return terms(PLAIN_LOSS, Options(sample_weight=sample_weight), shape, None, OptionArrays()).row


def element_weights(weight: Any, shape: tuple[int, ...]) -> Array:
    """`weight` as the losses take it: the elements' shape, or 1 in place of any length."""
    return terms(PLAIN_LOSS, Options(weight=weight), shape, None, OptionArrays()).element


def one_shape(**arrays: Array) -> None:
    """Refuse arrays of different shapes."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        names, got = " and ".join(shapes), " and ".join(map(str, shapes.values()))
        raise InvalidInputError(f"{names} must have one shape; got {got}. Reshape one of them.")


def one_dtype(**arrays: Array) -> None:
    """Refuse arrays of different dtypes."""
    dtypes = {name: str(array.dtype) for name, array in arrays.items()}
    if len(set(dtypes.values())) > 1:
        names, got = " and ".join(dtypes), " and ".join(dtypes.values())
        raise UnsupportedTypeError(f"{names} must have one dtype; got {got}. Use astype on one of them.")


def one_of(name: str, value: Any, allowed: Any) -> None:
    """Refuse a value that is not one of the framework's."""
    if value not in allowed:
        raise InvalidInputError(f"{name} must be one of {', '.join(map(str, allowed))}; got {value!r}.")


def in_unit_interval(name: str, array: Array) -> None:
    """Refuse values outside [0, 1] and NaN."""
    _all(name, array, (array >= 0) & (array <= 1), "in [0, 1]", "Scale it.")


def not_negative(name: str, array: Array) -> None:
    """Refuse values below 0 and NaN."""
    _all(name, array, array >= 0, "at least 0", "Use 0 to leave a row out.")


def _all(name: str, array: Array, right: Array, rule: str, remedy: str) -> None:
    if not right.all():
        place = int(np.argmin(right.reshape(-1)))
        got = array.reshape(-1)[place]
        raise InvalidInputError(f"all elements of {name} must be {rule}; got {got!s} at index {place}. {remedy}")


def broadcast(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Numbers that broadcast into a shape, as NumPy's rules have it."""
    array = real(name, value)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise InvalidInputError(
            f"{name} must broadcast to the shape {shape}; got shape {array.shape}. Reshape it."
        ) from None


def joint_shape(**arrays: Array) -> tuple[int, ...]:
    """The shape that arrays have when each broadcasts against the others."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        names, got = " and ".join(arrays), " and ".join(str(array.shape) for array in arrays.values())
        raise InvalidInputError(f"{names} must broadcast; got shapes {got}. Reshape one of them.") from None


# ---- reductions -----------------------------------------------------------------------------------------------------


def count(shape: tuple[int, ...], reduction: str, **options: Any) -> Any:
    """What one of the losses' reductions divides by, for elements of this shape."""
    return denominator(np.broadcast_to(np.float64(0.0), shape), reduction=reduction, validate=False, **options)


def reduced(loss: Array, slope: Array, divisor: Any) -> tuple[Any, Array]:
    """Σ loss / divisor and its gradient, in the dtypes of the elements."""
    total = loss.sum(dtype=np.float64) / divisor
    return total.astype(loss.dtype), (slope / divisor).astype(slope.dtype)


def sum_to(shape: tuple[int, ...], array: Array) -> Array:
    """The gradient of something that was broadcast from this shape."""
    extra = tuple(range(array.ndim - len(shape)))
    array = array.sum(axis=extra)
    stretched = tuple(axis for axis, length in enumerate(shape) if length == 1 != array.shape[axis])
    return array.sum(axis=stretched, keepdims=True)


# ---- functions of the logit, in its dtype ---------------------------------------------------------------------------


def tail(x: Array) -> Array:
    """z = e^-|x|."""
    return np.exp(-np.abs(x))


def log_sigmoid(x: Array) -> Array:
    """log σ(x)."""
    return np.minimum(x, 0) - np.log1p(tail(x))


def sigmoid(x: Array) -> Array:
    """σ(x), with full relative accuracy on the left."""
    z = tail(x)
    return np.where(x < 0, z, 1) / (1 + z)


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x), in float32 where there are fewer bits."""
    wide = x.astype(np.promote_types(x.dtype, np.float32))
    return (1 / (1 + np.exp(-wide))).astype(x.dtype)


def symmetric(x: Array, t: Array) -> tuple[Array, Array]:
    """-t·log σ(x) - (1-t)·log σ(-x) as two separate terms, accurate in both tails; NaN at ±inf."""
    return -t * log_sigmoid(x) - (1 - t) * log_sigmoid(-x), (1 - t) * sigmoid(x) - t * sigmoid(-x)
