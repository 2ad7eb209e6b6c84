"""What callers give, as JAX's arrays: logits, targets, and the options that are operands of a compiled function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._spec.losses import SMOOTHING, Number, Primitive
from ..._spec.options import DEFAULTS, FIELDS, Options
from ..._spec.terms import number, refuse_truth
from ..._targets.positives import Positives
from .._diagnosis import not_boolean, not_floating, not_real, not_targets
from ..operands import OptionArrays
from .derivatives import is_wider

_FLOATS = ("float16", "bfloat16", "float32", "float64")


# ---- logits and targets ----------------------------------------------------------------------------------------------


def _is_real(dtype: Any) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating))


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating array; integers become JAX's default."""
    if not isinstance(value, jax.Array):
        raise UnsupportedTypeError(f"{name} must be a JAX array; got {_type_of(name, value)}.")
    if value.dtype.name in _FLOATS:
        return value
    if jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == jnp.bool_:
        return value.astype(float)
    remedy = f"Use {name}.astype('float32')." if _is_real(value.dtype) else _remedy(name, value.dtype)
    raise not_floating(name, value.dtype, remedy)


def target_array(value: Any) -> Any:
    """Targets as an array of bool, any integer or any float, or positive indices as they are."""
    if isinstance(value, Positives):
        return value
    if not isinstance(value, jax.Array):
        raise UnsupportedTypeError(f"targets must be a JAX array; got {_type_of('targets', value)}.")
    if _is_real(value.dtype):
        return _of_a_byte(value)
    raise not_targets(value.dtype, _remedy("targets", value.dtype))


def _type_of(name: str, value: Any) -> str:
    """What it is, and what makes an array of JAX's sparse ones."""
    remedy = f". Use {name}.todense()" if hasattr(value, "todense") else ""
    return f"{type(value).__module__}.{type(value).__name__}{remedy}"


def _remedy(name: str, dtype: Any) -> str:
    """For arrays of no real numbers: JAX has complex ones and random keys."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return f"Use {name}.real."
    return "A random key is no data: jax.random.uniform(key, shape) makes numbers of it."


def _of_a_byte(array: Any) -> Any:
    """Integers of less than a byte, and floats of a byte or less, in a type that NumPy knows by itself."""
    if not _is_real(array.dtype) or array.dtype.kind != "V" or array.dtype.name in _FLOATS:
        return array
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(jnp.float32)
    return array.astype(jnp.uint8 if jnp.issubdtype(array.dtype, jnp.unsignedinteger) else jnp.int8)


def dense(positives: Positives) -> Any:
    """A byte per element: XLA scatters into memory, not into a loop."""
    indptr, indices = jnp.asarray(positives.indptr), jnp.asarray(positives.indices)
    rows = jnp.repeat(jnp.arange(positives.shape[0]), jnp.diff(indptr), total_repeat_length=indices.size)
    return jnp.zeros(positives.shape, jnp.uint8).at[rows, indices].set(1)


# ---- what a function is compiled for, and what it takes --------------------------------------------------------------


def split(options: Options) -> tuple[Options, dict[str, Any]]:
    """The options that a function is compiled for, and those that are its operands; defaults are neither."""
    static, operands = {}, {}
    for name, value in options.given.items():
        field = FIELDS[name]
        if field.kind == "static":
            static[name] = _static(name, value)
        elif not _is_default(value, field.default):
            operands[name] = _number(SMOOTHING, value) if field.kind == "number" else _array(name, value, field.kind)
    named = {name: value for name, value in static.items() if not _is_default(value, FIELDS[name].default)}
    return Options(**named) if named else DEFAULTS, operands


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _static(name: str, value: Any) -> Any:
    """The value as plain Python has it: a concrete number of any library will do, a traced one will not."""
    if isinstance(value, tuple):
        return tuple(_static(name, one) for one in value)
    if isinstance(value, jax.core.Tracer):
        raise UnsupportedTypeError(
            f"{name} must be known when code is compiled; got a traced value of dtype {value.dtype}. "
            f"Give it to jax.jit by static_argnames={name!r}, or write it into the function."
        )
    if isinstance(value, jax.Array | np.ndarray | np.generic) and value.ndim == 0 and _is_real(value.dtype):
        value = value.item()
    return math.nan if isinstance(value, float) and math.isnan(value) else value  # one object: another would not be ==


def _array(name: str, value: Any, kind: str) -> Any:
    """An array of numbers or booleans, in a type that JAX has."""
    value = _stacked(name, value)
    if kind == "real":
        refuse_truth(name, value)
    if isinstance(value, jax.Array):
        return _of_a_byte(value)
    if kind == "boolean":
        return OptionArrays.boolean(name, value)
    array = OptionArrays.real(name, value)
    wide = np.dtype(np.float64 if array.dtype.kind in "iu" else array.dtype)  # an int64 would wrap around
    with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite
        return array.astype(jax.dtypes.canonicalize_dtype(wide))


def _stacked(name: str, value: Any) -> Any:
    """A list of JAX's numbers as one array: they may be traced."""
    inner = isinstance(value, list | tuple) and any(isinstance(one, jax.Array) for one in jax.tree.leaves(value))
    try:
        return jnp.asarray(value) if inner else value
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be a rectangular array; {error}") from None


def numbers_of(primitive: Primitive) -> dict[str, Any]:
    """The loss's own numbers that are operands: those that are not the default, None where one is left out."""
    given = primitive.numbers
    return {
        one.name: _number(one, given[one.name])
        for one in primitive.loss.numbers
        if not _is_default(given[one.name], one.default)
    }


def _number(one: Number, value: Any) -> Any:
    """A number that may vary as an array without axes, or one per label; None where it is left out."""
    value = _stacked(one.name, value)
    if isinstance(value, jax.Array) and (value.dtype != jnp.bool_ or value.ndim):
        return _of_a_byte(value)
    if one.per_label and np.ndim(value):
        return _array(one.name, value, "real")
    found = number(one, value)
    return None if found is None else _Exact.of(found)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Exact:
    """A number of Python, as the nearest that JAX has and what is left of it: 1 - 0.999 then has all its digits."""

    near: Any
    left: Any

    @classmethod
    def of(cls, found: float) -> _Exact:
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
        found = min(found, float(np.finfo(dtype).max))
        near = dtype.type(found)
        return cls(near, dtype.type(found - float(near)))

    def __rsub__(self, other: float) -> Any:
        return (other - self.near) - self.left

    def __truediv__(self, other: float) -> Any:
        return self.near / other

    def __jax_array__(self) -> Any:
        return self.near


# ---- within compiled code --------------------------------------------------------------------------------------------


class Arrays:
    """Values of options as arrays (`_spec.terms.Arrays`), of the arithmetic's type or of more digits."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.outside: list[Any] = []
        """Has any of the numbers asked for left its interval? One answer for each."""

    def real(self, name: str, value: Any) -> Any:
        if not _is_real(value.dtype):
            raise not_real(name, value.dtype, _remedy(name, value.dtype))
        return value

    def float64(self, name: str, value: Any) -> Any:
        value = self.real(name, value)
        return value if is_wider(value, self.dtype) else value.astype(self.dtype)

    def scalar(self, array: Any) -> Any:
        return array.reshape(())

    def boolean(self, name: str, value: Any) -> Any:
        if value.dtype != jnp.bool_:
            raise not_boolean(name, value.dtype, "" if _is_real(value.dtype) else _remedy(name, value.dtype))
        return value

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Values out of their domain become NaN in `operations`."""

    def as_long(self, name: str, array: Any, axes: tuple[int, ...], *, or_one: bool) -> Any:  # noqa: ARG002
        """JAX knows every length."""
        return array

    def number(self, one: Number, value: Any) -> Any:
        if isinstance(value, _Exact):
            return value
        if not isinstance(value, jax.Array):
            return number(one, value)
        if value.shape != ():
            raise InvalidInputError(
                f"{one.name} must be one number in [{one.low:g}, {one.high:g}]; got shape {value.shape}. {one.remedy}"
            )
        return self.inside(one, self.float64(one.name, value))

    def inside(self, one: Number, array: Any) -> Any:
        fine = (array >= one.low) & (array <= one.high) & (array < math.inf)
        self.outside.append(~fine.all())
        return array * jnp.where(fine, 1.0, math.nan).astype(array.dtype)  # a product: the derivative is NaN, too

    def representable(self, dtype: Any, value: Any) -> float | None:
        return OptionArrays.representable(dtype, value)
