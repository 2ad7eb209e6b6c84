"""Losses on arrays of any library that keeps to the array API's standard: CuPy, MLX, array-api-strict and others.

The formula runs as the library's own operations; it gives loss, slope and curvature, so no differentiation is asked of
the library. Arithmetic is in float32, for float64 logits in float64; sums are in float64 where the library has it.
Nothing is written in place.
"""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._errors import InvalidInputError, MissingDependencyError, UnsupportedTypeError
from .._spec import reductions
from .._spec.losses import PLAIN_LOSS, Loss, Number, Primitive, reduced
from .._spec.options import Options
from .._spec.terms import KnownLengths, number
from .._targets.positives import Positives
from . import operations
from ._diagnosis import not_boolean
from .kinds import framework_of
from .operands import OptionArrays, check_shapes
from .operations import Dtypes, Operands, Problem

_FLOATS = ("float16", "bfloat16", "float32", "float64")


# ---- a library ------------------------------------------------------------------------------------------------------


def _namespace(array: Any) -> Any:
    """The module of an array's library."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    try:
        from array_api_compat import array_namespace
    except ImportError:
        raise MissingDependencyError(
            f"arrays of {framework_of(array)} need array-api-compat, which is not installed. "
            "Run: pip install array-api-compat"
        ) from None
    return array_namespace(array)


def _dtype_name(array: Any) -> str:
    """The type's name without its library: "float32"."""
    return str(array.dtype).rpartition(".")[2].rstrip("_")


def _is_number(array: Any) -> bool:
    if not hasattr(array, "dtype"):
        return False
    name = _dtype_name(array)
    return name in _FLOATS or name == "bool" or name.startswith(("int", "uint"))


class _Operations(SimpleNamespace):
    """A library's functions under the names that `operations.Operations` asks for, filled up where it has none."""

    def __init__(self, xp: Any, like: Any) -> None:
        names = ("abs", "exp", "expm1", "isinf", "log", "log1p")
        super().__init__(**{name: getattr(xp, name) for name in names})
        self.xp, self.device = xp, getattr(like, "device", None)
        self.bool = xp.bool if hasattr(xp, "bool") else xp.bool_

    def asarray(self, value: Any, dtype: Any = None) -> Any:
        """A NumPy array or number as an array of the library, on the logits' device."""
        if not hasattr(self.xp, "asarray"):
            return self.xp.array(value, dtype)
        return self.xp.asarray(value, dtype=dtype, **({} if self.device is None else {"device": self.device}))

    def signbit(self, x: Any) -> Any:
        return x < 0  # of -0 the formula gives the same from either side

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        dtype = a.dtype if hasattr(a, "dtype") else b.dtype
        a, b = (one if hasattr(one, "dtype") else self.asarray(one, dtype) for one in (a, b))
        return self.xp.where(condition, a, b)

    def cast(self, array: Any, dtype: Any) -> Any:
        array = array.array if isinstance(array, _Given) else array
        if not hasattr(array, "dtype"):
            return self.asarray(array, dtype)
        return self.xp.astype(array, dtype) if hasattr(self.xp, "astype") else array.astype(dtype)

    def is_wider(self, array: Any, dtype: Any) -> bool:
        return _dtype_name(array) == "float64" and dtype == self.xp.float32

    def total(self, array: Any, axes: tuple[int, ...], dtype: Any) -> Any:
        array = self.cast(array, dtype)
        return self.xp.sum(array, axis=axes) if axes else array

    def expand(self, array: Any, axes: tuple[int, ...]) -> Any:
        for axis in axes:
            array = self.xp.expand_dims(array, axis=axis)
        return array

    def constant(self, value: float, like: Any) -> Any:
        return self.asarray(value, like.dtype)

    def fixed(self, t: Any, loss: Loss) -> Any:  # noqa: ARG002 - other libraries differentiate
        return t

    def derivative(self, order: int, loss: Loss, x: Any, u: Any, v: Any, rest: tuple[Any, ...]) -> Any:
        return operations.formula(self, loss, x, u, v, rest)[order]

    def dtypes(self, x: Any) -> Dtypes:
        arithmetic = self.xp.float64 if _dtype_name(x) == "float64" else self.xp.float32
        return Dtypes(arithmetic, self.xp.float64 if self._has_float64() else arithmetic, arithmetic)

    def _has_float64(self) -> bool:
        """Libraries for processors without it say so, or say nothing."""
        if not hasattr(self.xp, "__array_namespace_info__"):
            return False
        return "float64" in self.xp.__array_namespace_info__().dtypes(kind="real floating", device=self.device)


# ---- operands -------------------------------------------------------------------------------------------------------


class _Given:
    """An option's array with what `_spec` asks of one."""

    def __init__(self, array: Any, xp: Any) -> None:
        self.array, self.xp, self.shape = array, xp, tuple(array.shape)

    def reshape(self, shape: tuple[int, ...]) -> Any:
        return self.xp.reshape(self.array, shape)


class _Arrays(KnownLengths):
    """Values of options as arrays of the library (`_spec.terms.Arrays`); what they are is asked elsewhere."""

    def __init__(self, xp: _Operations, dtype: Any, library: str) -> None:
        self.xp, self.dtype, self.library = xp, dtype, library

    def _own(self, name: str, value: Any, checked: Any) -> Any:
        kind = framework_of(value)
        if kind == "numpy":
            return self.xp.asarray(checked(name, value))
        if kind != self.library:
            raise UnsupportedTypeError(
                f"{name} must be an array of {self.library} like the logits, or of NumPy; got one of {kind}. "
                f"Use numpy.asarray({name})."
            )
        if not _is_number(value):
            raise InvalidInputError(f"{name} must hold real numbers; got {value!r:.60}. Convert it to float32.")
        return value

    def real(self, name: str, value: Any) -> Any:
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
            own = self._own(name, value, OptionArrays.float64)
            return _Given(self.xp.cast(own, self.dtype), self.xp.xp)

    def float64(self, name: str, value: Any) -> Any:
        return self.real(name, value)

    def scalar(self, array: Any) -> Any:
        return array.reshape(())

    def boolean(self, name: str, value: Any) -> Any:
        own = self._own(name, value, OptionArrays.boolean)
        if _dtype_name(own) != "bool":
            raise not_boolean(name, own.dtype)
        return _Given(own, self.xp.xp)

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Values out of their domain become NaN in `operations`."""

    def number(self, one: Number, value: Any) -> Any:
        if framework_of(value) == "numpy" or _dtype_name(value) == "bool":
            return number(one, value)
        if tuple(value.shape) != ():
            raise InvalidInputError(f"{one.name} must be one number; got shape {tuple(value.shape)}. {one.remedy}")
        return number(one, value.item() if hasattr(value, "item") else float(value))

    def inside(self, one: Number, array: Any) -> Any:
        values = array.array
        fine = (values >= one.low) & (values <= one.high)
        return _Given(self.xp.where(fine, values, math.nan), self.xp.xp)

    @staticmethod
    def representable(dtype: Any, value: Any) -> float | None:
        return OptionArrays.representable(dtype, value)


def _kind(value: Any) -> str:
    return f"dtype {value.dtype}" if hasattr(value, "dtype") else f"{type(value).__module__}.{type(value).__name__}"


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating array; integers become float32, or float64 where the library has it."""
    if _is_number(value):
        if _dtype_name(value) in _FLOATS:
            return value
        xp = _Operations(_namespace(value), value)
        return xp.cast(value, xp.dtypes(value).sums)
    raise UnsupportedTypeError(f"{name} must be an array of float16, bfloat16, float32 or float64; got {_kind(value)}.")


def target_array(value: Any) -> Any:
    """Targets as an array of bool, any integer or any float, or positive indices as they are."""
    if isinstance(value, Positives) or _is_number(value):
        return value
    raise UnsupportedTypeError(
        f"targets must be an array of bool, integers or floats; got {_kind(value)}. Encode labels as 0 and 1."
    )


def on_host(value: Any) -> Any:
    """The array in NumPy."""
    if framework_of(value) == "numpy":
        return value
    if hasattr(value, "get"):  # CuPy copies from the device only when told to
        return value.get()
    if _dtype_name(value) == "bfloat16":
        value = _Operations(_namespace(value), value).cast(value, _namespace(value).float32)
    return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)


def from_host(value: Any, like: Any) -> Any:
    """A statistic that was computed in NumPy, as an array of the library."""
    return _Operations(_namespace(like), like).asarray(np.asarray(value))


def shifted(x: Any, shift: Any) -> Any:
    """The array plus a number or a vector of numbers, rounded once."""
    xp = _Operations(_namespace(x), x)
    wide = xp.dtypes(x).sums
    return xp.cast(xp.cast(x, wide) + xp.asarray(np.asarray(shift), wide), x.dtype)


def _problem(primitive: Primitive, logits: Any, targets: Any, options: Options) -> Problem:
    name = primitive.loss.quantity.name
    x, t = floating(logits, name), target_array(targets)
    check_shapes(x, t, name)
    xp = _Operations(_namespace(x), x)
    dtype = (
        None if isinstance(t, Positives) else np.dtype("float32" if _dtype_name(t) == "bfloat16" else _dtype_name(t))
    )
    t = xp.asarray(t.dense()) if isinstance(t, Positives) else t
    shape, dtypes = tuple(x.shape), xp.dtypes(x)
    arrays = _Arrays(xp, dtypes.arithmetic, framework_of(x))
    return Problem(xp, primitive, Operands(x, t, shape, shape, dtype), options, arrays, dtypes)


# ---- evaluation -----------------------------------------------------------------------------------------------------


def _evaluate(what: Any, primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
    with np.errstate(all="ignore"):  # libraries on top of NumPy warn as it does
        result = what(_problem(reduced(primitive), logits, targets, options))
    _refuse_nan(result[0] if isinstance(result, tuple) else result, primitive, logits, targets, options)
    return result


def _refuse_nan(result: Any, primitive: Primitive, logits: Any, targets: Any, options: Options) -> None:
    """Look for what is out of its domain, where something came out as NaN."""
    if options.validate and bool(_namespace(result).any(result != result)):
        operations.refuse(primitive, logits, targets, options, on_host)


value = functools.partial(_evaluate, operations.value)
"""The loss, reduced."""
grad_and_hess = functools.partial(_evaluate, operations.grad_and_hess)
"""The elementwise first and second derivatives."""


def value_and_grad(primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None) -> Any:
    """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""
    if out is not None:
        raise UnsupportedTypeError(
            f"out must be an array of NumPy or PyTorch; arrays of {framework_of(logits)} are not written. Leave it out."
        )
    return _evaluate(operations.value_and_grad, primitive, logits, targets, options)


def checked_denominator(t: Any, options: Options) -> Any:
    """The denominator for a caller who has no logits yet; targets and weights are checked as a loss would."""
    xp = _Operations(_namespace(t), t)
    with np.errstate(all="ignore"):
        problem = _problem(PLAIN_LOSS, xp.cast(t, xp.xp.float32) * 0.0, t, options)
        divisor = xp.cast(problem.denominator(), problem.dtypes.sums)
        u = problem.operands[1]
    if options.validate and bool(xp.xp.any(u != u) | xp.xp.any(divisor != divisor)):
        operations.refuse(PLAIN_LOSS, np.empty(0), t, options, on_host)
    return xp.xp.broadcast_to(divisor, reductions.reduced_shape(options, tuple(t.shape)))
