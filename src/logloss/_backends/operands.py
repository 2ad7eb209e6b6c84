"""What callers give, as NumPy arrays: logits, targets, outputs and the values of options."""

from __future__ import annotations

import decimal
import numbers
from typing import Any

import numpy as np

from .._errors import InvalidInputError, LoglossError, UnsupportedTypeError
from .._kernels.layout import is_bfloat16
from .._spec.losses import Number
from .._spec.options import FIELDS
from .._spec.terms import KnownLengths, number, size_of
from .._targets.positives import Positives
from .._types import Array
from ._diagnosis import first_index, not_boolean, not_floating, not_real, not_targets, place, readable, weight_hint

_COMMON = frozenset(map(np.dtype, ("float16", "float32", "float64")))  # a dtype's name takes microseconds to ask for


def array_of(name: str, value: Any) -> Array:
    """What a caller gave as a NumPy array; subclasses such as memmap become plain arrays."""
    if isinstance(value, np.ma.MaskedArray):
        option = f"Use {name}.filled() with the number that is meant."
        remedy = option if name in FIELDS else f"Use {name}.data and mask=~{name}.mask."
        raise UnsupportedTypeError(f"{name} must not be a masked array: its mask would be lost. {remedy}")
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple) and any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, value))):
        raise UnsupportedTypeError(
            f"{name} must not hold masked arrays: their masks would be lost. "
            f"Use numpy.ma.array({name}): its .data, and mask=~ its .mask."
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(
            f"{name} must be a rectangular array; {error}. Pad ragged rows and use mask=."
            + (" Lists of each row's positive labels? Use logloss.Positives.from_lists." if name == "targets" else "")
        ) from None
    except RuntimeError as error:  # PyTorch's, of tensors in a list
        raise UnsupportedTypeError(
            f"{name} must be one array; got a {type(value).__name__} that NumPy cannot read: {error} "
            f"Use torch.stack({name}), and tensors for the others."
        ) from None


def _is_floating(dtype: np.dtype[Any]) -> bool:
    """One of the types that logits have, in either byte order."""
    return dtype in _COMMON or is_bfloat16(dtype) or dtype.newbyteorder("=") in _COMMON


def numbers_of(name: str, array: Array) -> Array:
    """Python's numbers in an array of objects as an array of numbers; other arrays as they are.

    Columns of data frames are such arrays where a value is missing, or where they were put together of several.
    """
    if array.dtype != np.object_:
        return array
    values = array.ravel().tolist()
    for where, value in zip(np.ndindex(array.shape), values, strict=True):
        if not isinstance(value, (numbers.Real, decimal.Decimal, np.bool_)):
            raise _no_number(name, value, where)
    kinds = bool, np.bool_
    truth = bool(values) and all(isinstance(value, kinds) for value in values)
    try:
        return np.array(values, np.bool_ if truth else np.float64).reshape(array.shape)
    except (OverflowError, ValueError) as error:  # integers of any length, signalling NaN
        raise InvalidInputError(
            f"{name} must hold numbers of float64; {error}. Divide them, or leave them out."
        ) from None


def _no_number(name: str, value: Any, where: tuple[int, ...]) -> LoglossError:
    """What is wrong with an object that is no number, alone or in an array."""
    kind = type(value).__name__
    if not where:
        return UnsupportedTypeError(
            f"{name} must be numbers in an array or a list; got {value!r:.40} ({kind}). {_remedy(name, value)}"
        )
    if value is None or kind in ("NAType", "NaTType"):
        return InvalidInputError(
            f"{name} must have a value everywhere; it is missing ({value!r}) at {place(where)}. "
            f"Leave such elements out: {name}.dropna() in pandas, and the same rows of the others."
        )
    remedy = "Encode labels as 0 and 1." if name == "targets" else "Convert it to float64."
    return UnsupportedTypeError(f"{name} must hold numbers; it is {value!r:.40} ({kind}) at {place(where)}. {remedy}")


def _remedy(name: str, value: Any) -> str:
    """What makes an array of an object that NumPy takes for a single one."""
    if hasattr(value, "tocsr"):
        return f"Use logloss.Positives.from_scipy({name})." if name == "targets" else f"Use {name}.toarray()."
    return f"Use list({name})." if hasattr(value, "__next__") else "Give each element its number."


def floating(value: Any, name: str) -> Array:
    """Logits (or probabilities) as a floating array; lists and integers become float64."""
    array = value if type(value) is np.ndarray else array_of(name, value)
    if _is_floating(array.dtype):
        return array
    array = numbers_of(name, array)
    if array.dtype == np.float64:
        return array
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    remedy = "real" if array.dtype.kind == "c" else "astype('float32')"
    raise not_floating(name, array.dtype, f"Use {name}.{remedy}.")


def target_array(value: Any) -> Any:
    """Targets as an array of bool, any integer or any float, or positive indices as they are."""
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, Positives):
        return value
    else:
        array = array_of("targets", value)
    array = numbers_of("targets", array)
    if array.dtype.kind not in "biuf" and not is_bfloat16(array.dtype):
        raise not_targets(array.dtype, "Use targets.real." if array.dtype.kind == "c" else "Encode labels as 0 and 1.")
    return array


def check_shapes(x: Any, t: Any, name: str = "logits") -> None:
    """One shape for both, `name` being what x holds: nothing broadcasts silently."""
    if x.shape == t.shape:
        return
    remedy = "Give each element its target."
    if size_of(tuple(x.shape)) is not None and size_of(tuple(x.shape)) == size_of(tuple(t.shape)):
        remedy = f"Use targets.reshape({tuple(x.shape)}) or {name}.reshape({tuple(t.shape)})."
    elif t.shape[:1] == x.shape[:1] and len(t.shape) == 1:
        remedy = "Class indices? Use logloss.Positives.from_lists, or one column of targets per label."
    raise InvalidInputError(
        f"{name} and targets must have one shape; got {tuple(x.shape)} and {tuple(t.shape)}. {remedy}"
    )


def output(out: Any, x: Array) -> Array:
    """The caller's array for the gradient."""
    usual = type(out) is np.ndarray
    known = usual or (isinstance(out, np.ndarray) and not isinstance(out, np.ma.MaskedArray))
    if not known or not _is_floating(out.dtype):
        raise UnsupportedTypeError(
            f"out must be a floating NumPy array without a mask; got {type(out).__name__}, "
            f"dtype {getattr(out, 'dtype', None)!s:.20}. Use numpy.empty_like(logits)."
        )
    if out.shape != x.shape:
        raise InvalidInputError(
            f"out must have the logits' shape {x.shape}; got {out.shape}. Use numpy.empty_like(logits)."
        )
    if not out.flags.writeable:
        raise InvalidInputError("out must be writable; got a read-only array. Use numpy.empty_like(logits).")
    # a matrix has two axes even when it is flat
    return out if usual or not isinstance(out, np.matrix) else out.view(np.ndarray)


class OptionArrays(KnownLengths):
    """Values of options as NumPy arrays (`_spec.Arrays`)."""

    @staticmethod
    def real(name: str, value: Any) -> Array:
        """Real numbers of any type."""
        array = numbers_of(name, array_of(name, value))
        if array.dtype.kind not in "biuf" and not is_bfloat16(array.dtype):
            raise not_real(name, array.dtype)
        return array

    @classmethod
    def float64(cls, name: str, value: Any) -> Array:
        """Real numbers in float64."""
        return cls.real(name, value).astype(np.float64)

    @staticmethod
    def scalar(array: Array) -> float:
        """The array's one number."""
        return float(array.reshape(()))

    @staticmethod
    def boolean(name: str, value: Any) -> Array:
        """A boolean array."""
        array = numbers_of(name, array_of(name, value))
        if array.dtype != np.bool_:
            raise not_boolean(name, array.dtype)
        return array

    @staticmethod
    def check(name: str, array: Array, *, positive: bool) -> None:
        """Refuse what is not finite, negative, or (`positive`) 0."""
        if array.dtype.kind == "V":  # bfloat16, which NumPy does not compare
            array = readable(array)
        right = ((array > 0.0) if positive else (array >= 0.0)) & (array < np.inf)
        if right.all():
            return
        where = first_index(~right)
        at = f" at {place(where)}" if where else ""
        rule = "positive and finite" if positive else "finite and not negative"
        remedy = "Use reduction='sum' to divide by nothing." if positive else weight_hint(name, array, ~right)
        raise InvalidInputError(f"{name} must be {rule}; got {array[where]:g}{at}. {remedy}")

    @staticmethod
    def number(one: Number, value: Any) -> float | None:
        """The number's value."""
        return number(one, value)

    @staticmethod
    def inside(one: Number, array: Array) -> Array:
        """The array, refused if a number of it is outside the interval."""
        right = (array >= one.low) & (array <= one.high)
        if not right.all():
            first = array.reshape(-1)[int(np.flatnonzero(~right)[0])]
            number(one, first.item())
        return array

    @staticmethod
    def representable(dtype: Any, value: Any) -> float | None:
        """The number as a target of this dtype holds it: an int for integers."""
        dtype = np.dtype(dtype)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return int(value) if float(value).is_integer() and info.min <= int(value) <= info.max else None
        if dtype.kind == "b":
            return None
        with np.errstate(over="ignore"):
            return float(value) if value != value or float(np.asarray(value).astype(dtype)) == value else None
