"""From options to coefficients.

This is the only file that knows what an option means. With softplus(x) = log(1 + e^x), every option but the focal
family changes two numbers per element, the price u of missing a positive and v of missing a negative:

    loss = u·softplus(-x) + v·softplus(x)
    u = r_i · e_ij · (a1_j·t + a0_j)          a1 = c·a·(1-s)    a0 = c·a·s/2
    v = r_i · e_ij · (b1_j·(1-t) + b0_j)      b1 = c·(1-s)      b0 = c·s/2

for a target t in [0, 1], label smoothing s, `pos_weight` a, `label_weight` c, `sample_weight` r and `weight` e. They
stay factored: nothing of the logits' size is built for an option.
"""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any, NamedTuple, Protocol

from .._errors import InvalidInputError
from .losses import PLAIN_LOSS, SMOOTHING, Loss, Number, Primitive
from .options import ELEMENTWISE, FIELDS, Options


class Terms(NamedTuple):
    """Prices, weights and what counts, each a number or an array that broadcasts against the elements."""

    prices: tuple[Any, Any, Any, Any] = (1.0, 0.0, 1.0, 0.0)
    row: Any = None
    element: Any = None
    mask: Any = None
    ignored: float | None = None
    smoothing: tuple[Any, Any] = (1.0, 0.0)
    """1-s and s/2, for losses that depend on the target not through the prices alone."""
    parameters: tuple[Any, ...] = ()
    """The loss's own (`losses.Loss.compiled`)."""


class Arrays(Protocol):
    """What an array library must say of the values of options, so that this room needs none."""

    def real(self, name: str, value: Any) -> Any:
        """The value as an array of real numbers of any type; an error if it is none."""

    def float64(self, name: str, value: Any) -> Any:
        """The same in float64, for prices and denominators."""

    def scalar(self, array: Any) -> Any:
        """An array of one number as a number, or as a 0-d array where asking for its value would wait for a device."""

    def boolean(self, name: str, value: Any) -> Any:
        """The value as a boolean array; an error if it is none."""

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Refuse numbers that are not finite, or not >= 0 (`positive`: not > 0). May be left to the kernels."""

    def as_long(self, name: str, array: Any, axes: tuple[int, ...], *, or_one: bool) -> Any:
        """The array, whose axes are as long as these of the logits (`or_one`: or of length 1) as far as that is known.

        Where only a running graph knows, it asks.
        """

    def number(self, one: Number, value: Any) -> Any:
        """The value as one number, as a 0-d array where its value is not known or is to be learnt, or None."""

    def inside(self, one: Number, array: Any) -> Any:
        """The array, of which nothing is outside the number's interval, or is NaN there."""

    def representable(self, dtype: Any, value: Any) -> float | None:
        """The number as a target of this dtype holds it, None if it cannot."""


class KnownLengths:
    """For `Arrays` of a library whose arrays know all their lengths."""

    @staticmethod
    def as_long(name: str, array: Any, axes: tuple[int, ...], *, or_one: bool) -> Any:  # noqa: ARG004
        """The array: it has been compared with the elements' shape."""
        return array


# ---- options to terms -----------------------------------------------------------------------------------------------

_WITHOUT_WEIGHT = frozenset(name for name, option in FIELDS.items() if not option.weighs)


def terms(primitive: Primitive, options: Options, shape: tuple[Any, ...], target_dtype: Any, arrays: Arrays) -> Terms:
    """The coefficients of these options for elements of this shape."""
    if not primitive.given and ELEMENTWISE.isdisjoint(options.given):
        return _plain(primitive.loss)
    label_axis = _label_axis(options.label_axis, shape)
    a = _label_vector("pos_weight", options.pos_weight, shape, label_axis, arrays)
    c = _label_vector("label_weight", options.label_weight, shape, label_axis, arrays)
    yes, (keep, half) = c * a, (1.0, 0.0)
    if "label_smoothing" in options.given:
        keep, half = smoothing(arrays.number(SMOOTHING, options.label_smoothing))
    plain = type(half) is float and half == 0.0
    return Terms(
        prices=(yes, 0.0, c, 0.0) if plain else (yes * keep, yes * half, c * keep, c * half),
        row=_row_weight(options.sample_weight, shape, arrays),
        element=_element_weight(options.weight, shape, arrays),
        mask=_mask(options.mask, shape, arrays),
        ignored=_ignored(options.ignore_index, target_dtype, arrays),
        smoothing=(keep, half),
        parameters=_parameters(primitive, shape, label_axis, arrays) if primitive.loss.numbers else (),
    )


@functools.cache
def _plain(loss: Loss) -> Terms:
    """Asked first because every call pays for the question."""
    return Terms(parameters=loss.compiled(*loss.defaults))


def smoothing(s: Any) -> tuple[Any, Any]:
    """A target t becomes keep·t + half."""
    return 1.0 - s, s / 2.0


def weights_only(options: Options, shape: tuple[Any, ...], target_dtype: Any, arrays: Arrays) -> Terms:
    """Terms whose first price is an element's weight without pos_weight and smoothing: for "weighted_mean"."""
    full = terms(PLAIN_LOSS, options.without(_WITHOUT_WEIGHT), shape, target_dtype, arrays)
    return full._replace(prices=(full.prices[0], 0.0, 0.0, 0.0))


# ---- numbers --------------------------------------------------------------------------------------------------------


def number(one: Number, value: Any) -> float | None:
    """A number's value, checked."""
    if value is None and one.optional:
        return None
    if hasattr(value, "__array_interface__") and not has_axes(value):
        value = value[()]
    found, got = math.nan, value
    try:
        if is_number(value):
            found = float(value)
            got = found if hasattr(value, "dtype") else value
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    if not one.low <= found <= one.high or found == math.inf:  # isinf is unknown to traced code
        remedy = f"Use float({one.name})." if _spells_number(value) else one.remedy
        raise InvalidInputError(
            f"{one.name} must be a finite number in [{one.low:g}, {one.high:g}]; got {got!r:.60}. {remedy}"
        )
    return found


def is_number(value: Any) -> bool:
    """May it be one real number? Python makes numbers of text and of truth, and NumPy 2.0 of an array of one."""
    if type(value) in (float, int):
        return True
    if isinstance(value, str | bytes | bytearray) or _is_truth(value) or "complex" in str(getattr(value, "dtype", "")):
        return False
    return not (hasattr(value, "__array_interface__") and has_axes(value))


def _spells_number(value: Any) -> bool:
    try:
        return isinstance(value, str | bytes) and math.isfinite(float(value))
    except ValueError:
        return False


def _is_truth(value: Any) -> bool:
    """Is it True or False, or an array of such, in any library?"""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).rstrip("_'>").endswith("bool")


def refuse_truth(name: str, value: Any) -> None:
    """One True or False is no number; an array of them is one of ones and zeros."""
    if not has_axes(value) and _is_truth(value):  # in this order: to spell a type takes a microsecond
        raise InvalidInputError(
            f"{name} must be a number; got {value!r:.60}. Leave it out, or give the number that is meant."
        )


def _parameters(
    primitive: Primitive, shape: tuple[Any, ...], label_axis: int | None, arrays: Arrays
) -> tuple[Any, ...]:
    loss = primitive.loss
    values = (
        _number_per_label(one, value, shape, label_axis, arrays) if one.per_label else arrays.number(one, value)
        for one, value in zip(loss.numbers, primitive.given or loss.defaults, strict=True)
    )
    return loss.compiled(*values)


def _number_per_label(one: Number, value: Any, shape: tuple[Any, ...], label_axis: int | None, arrays: Arrays) -> Any:
    """One number, or a vector of them along the labels."""
    if value is None or isinstance(value, float | int) or not has_axes(value):
        return arrays.number(one, value)
    return _along_labels(one.name, arrays.inside(one, arrays.float64(one.name, value)), shape, label_axis, arrays)


def has_axes(value: Any) -> bool:
    """Is it a list, or an array with axes?"""
    return isinstance(value, list | tuple) or getattr(value, "shape", ()) != ()


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _label_axis(axis: int, shape: tuple[Any, ...]) -> int | None:
    """The axis of labels as a position from the front; None where there is none (0-d and 1-d logits)."""
    if len(shape) < 2:
        return None
    if not is_axis(axis, len(shape)):
        raise InvalidInputError(
            f"label_axis must name an axis of the logits of shape {shape}; got {axis!r}. "
            "Use -1 for the last, 1 for NCHW."
        )
    return int(axis) % len(shape)


def is_axis(value: Any, ndim: int) -> bool:
    """Is it a whole number that names one of so many axes?"""
    return not isinstance(value, bool) and isinstance(value, numbers.Integral) and -ndim <= int(value) < ndim


def _label_vector(name: str, value: Any, shape: tuple[Any, ...], label_axis: int | None, arrays: Arrays) -> Any:
    """A number, or a vector along the label axis with all other axes of length 1."""
    if value is None:
        return 1.0
    if isinstance(value, float) and 0.0 <= value < math.inf:
        return float(value)
    refuse_truth(name, value)
    array = arrays.float64(name, value)
    arrays.check(name, array, positive=False)
    return _along_labels(name, array, shape, label_axis, arrays)


def _along_labels(name: str, array: Any, shape: tuple[Any, ...], label_axis: int | None, arrays: Arrays) -> Any:
    got = tuple(array.shape)
    if got in ((), (1,)) or (got == (None,) and label_axis is None):
        return arrays.scalar(array)
    labels = None if label_axis is None else shape[label_axis]
    if len(got) != 1 or label_axis is None or not agree(got[0], labels):
        if label_axis is None:
            length = "of length 1 (1-d logits have no label axis)"
        elif labels is None:
            length = f"as long as the logits' axis {label_axis}"
        else:
            length = f"of length {labels}, the logits' axis {label_axis}"
        raise InvalidInputError(
            f"{name} must be a number or a vector {length}; "
            f"got shape {got} for logits of shape {shape}. " + _label_remedy(name, got, shape)
        )
    array = arrays.as_long(name, array, (label_axis,), or_one=True)
    return array.reshape(tuple(-1 if axis == label_axis else 1 for axis in range(len(shape))))


def _label_remedy(name: str, got: tuple[Any, ...], shape: tuple[Any, ...]) -> str:
    """The reshape or axis that would make the vector fit, if there is one."""
    size = size_of(got)
    if size is None or size not in shape:
        return "Give one number per label."
    flat = "" if len(got) == 1 else f"{name}.reshape(-1) and "
    if len(shape) > 1:
        return f"Use {flat}label_axis={shape.index(size)}."
    if name == "label_weight":
        return f"For one weight per row use sample_weight={name}.reshape(-1)."
    # no weight of rows is one of their positives alone
    return f"Are they labels of one row? Use {flat}reshape((1, {size})) of logits and targets."


def _row_weight(value: Any, shape: tuple[Any, ...], arrays: Arrays) -> Any:
    """`sample_weight`, one number per row, as an array with all other axes of length 1."""
    if value is None:
        return None
    refuse_truth("sample_weight", value)
    array = arrays.real("sample_weight", value)
    got = tuple(array.shape)
    if not got:
        return array.reshape((1,) * len(shape))
    if not shape or len(got) != 1 or not agree(got[0], shape[0]):
        remedy = "Give one weight per row."
        if got == shape:
            remedy = "For one weight per element use weight=."
        elif shape and shape[0] is not None and size_of(got) == shape[0]:
            remedy = f"Use sample_weight.reshape({shape[0]})."
        elif got == shape[-1:]:
            remedy = "For one weight per label use label_weight=."
        raise InvalidInputError(
            f"sample_weight must have shape {shape[:1]}, one weight per row of logits of shape {shape}; "
            f"got shape {got}. {remedy}"
        )
    array = arrays.as_long("sample_weight", array, (0,), or_one=False)
    return array.reshape((-1,) + (1,) * (len(shape) - 1))


def _element_weight(value: Any, shape: tuple[Any, ...], arrays: Arrays) -> Any:
    """`weight`, with as many axes as the logits, each as long or of length 1."""
    if value is None:
        return None
    refuse_truth("weight", value)
    return _fitted("weight", arrays.real("weight", value), shape, arrays)


def _fitted(name: str, array: Any, shape: tuple[Any, ...], arrays: Arrays) -> Any:
    """An array that broadcasts against the logits without guessing: a number, or every axis as long or of length 1."""
    got = tuple(array.shape)
    if not got:
        return array.reshape((1,) * len(shape))
    if not _fits(got, shape):
        raise InvalidInputError(
            f"{name} must have the logits' shape {shape}, or 1 in place of any length; got shape {got}. "
            + _reshape_remedy(name, got, shape)
        )
    return arrays.as_long(name, array, tuple(range(len(shape))), or_one=True)


def agree(a: int | None, b: int | None) -> bool:
    """May two lengths be the same? None is one that only a running graph knows."""
    return a is None or b is None or a == b


def size_of(shape: tuple[Any, ...]) -> int | None:
    """How many elements there are, where that is known."""
    return None if None in shape else math.prod(shape)


def _fits(got: tuple[Any, ...], shape: tuple[Any, ...]) -> bool:
    return len(got) == len(shape) and all(a == 1 or agree(a, b) for a, b in zip(got, shape, strict=True))


def _reshape_remedy(name: str, got: tuple[Any, ...], shape: tuple[Any, ...]) -> str:
    if None not in (*got, *shape) and math.prod(got) == math.prod(shape):
        return f"Use {name}.reshape({shape})."
    if len(got) == 1 and shape and got[0] is not None:
        ones = (1,) * (len(shape) - 1)
        # what a mask leaves out is not counted; a weight of 0 is
        use = "Weights of {}: use {}=weight, or" if name == "weight" else "For {} use"
        if got[0] == shape[0]:
            return f"{use.format('rows', 'sample_weight')} {name}.reshape({got + ones})."
        if got[0] == shape[-1]:
            return f"{use.format('labels', 'label_weight')} {name}.reshape({ones + got})."
    return "Nothing broadcasts silently: give every axis its length or 1."


def _mask(value: Any, shape: tuple[Any, ...], arrays: Arrays) -> Any:
    return None if value is None else _fitted("mask", arrays.boolean("mask", value), shape, arrays)


def _ignored(value: Any, dtype: Any, arrays: Arrays) -> float | None:
    """The ignored target, if targets of this dtype (None: positive indices) can hold it."""
    if value is None:
        return None
    if dtype is None:
        raise InvalidInputError(
            "ignore_index needs an array of targets; got positive indices. Use mask= to leave elements out."
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        alone = hasattr(value, "dtype") and not has_axes(value) and is_number(value)
        remedy = "Use float(ignore_index)." if alone or _spells_number(value) else "For several values use mask=."
        raise InvalidInputError(f"ignore_index must be one number; got {value!r:.60}. {remedy}")
    try:
        exact = arrays.representable(dtype, value)
    except OverflowError:  # more digits than any type has
        exact = None
    if exact is None:
        raise InvalidInputError(
            f"ignore_index must be a value that targets of dtype {dtype} can hold; got {value!r}. "
            "Convert the targets or use mask=."
        )
    return exact
