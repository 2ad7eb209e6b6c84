"""Options, their domains, and the coefficients they compile to.

This is the only file that knows what an option means. With softplus(x) = log(1 + e^x), every option but the focal
family changes two numbers per element, the price u of missing a positive and v of missing a negative:

    loss = u·softplus(-x) + v·softplus(x)
    u = r_i · e_ij · (a1_j·t + a0_j)          a1 = c·a·(1-s)    a0 = c·a·s/2
    v = r_i · e_ij · (b1_j·(1-t) + b0_j)      b1 = c·(1-s)      b0 = c·s/2

for a target t in [0, 1], label smoothing s, `pos_weight` a, `label_weight` c, `sample_weight` r and `weight` e. They
stay factored: nothing of the logits' size is built for an option.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ._errors import InvalidInputError, UnsupportedTypeError

REDUCTIONS = ("none", "sum", "mean", "weighted_mean", "batchmean")


class Options(NamedTuple):
    """What every loss takes, as given by the caller."""

    pos_weight: Any = None
    weight: Any = None
    sample_weight: Any = None
    label_weight: Any = None
    label_axis: int = -1
    label_smoothing: float = 0.0
    ignore_index: float | None = None
    mask: Any = None
    axis: int | tuple[int, ...] | None = None
    reduction: str = "mean"
    normalizer: Any = None
    validate: bool = True


class Primitive(NamedTuple):
    """Which mathematics, and its own parameters (`_formula` has one function of each name)."""

    name: str
    parameters: tuple[float, ...] = ()


class Terms(NamedTuple):
    """Prices, weights and what counts, each a number or an array that broadcasts against the elements."""

    prices: tuple[Any, Any, Any, Any] = (1.0, 0.0, 1.0, 0.0)
    row: Any = None
    element: Any = None
    mask: Any = None
    ignored: float | None = None


DEFAULTS = Options()
PLAIN = Terms()

CROSS_ENTROPY = Primitive("cross_entropy")
LOG_PROBABILITIES = Primitive("log_probabilities")


# ---- primitives -----------------------------------------------------------------------------------------------------


def probabilities(eps: float | None) -> Primitive:
    """Cross-entropy of probabilities; p and 1-p are floored at eps, each by itself."""
    if eps is None:
        return Primitive("probabilities", (math.inf, 0.0))
    floor = _number("eps", eps, 0.0, 0.5, "Leave it out for the exact loss.")
    return Primitive("probabilities", (-math.log(floor) if floor else math.inf, floor))


def focal(gamma: float, alpha: float | None, label_smoothing: float) -> Primitive:
    """Focal loss; without a focus and a balance it is the cross-entropy itself, to the bit."""
    focus = _number("gamma", gamma, 0.0, math.inf, "gamma = 0 is the plain cross-entropy.")
    if alpha is None:
        yes = no = 1.0
    else:
        yes = _number("alpha", alpha, 0.0, 1.0, "alpha weighs positives, 1 - alpha negatives; None weighs neither.")
        no = 1.0 - yes
    if focus == 0.0 and alpha is None:
        return CROSS_ENTROPY
    return Primitive("focal", (*_smoothing(label_smoothing), focus, yes, no))


def asymmetric(gamma_neg: float, gamma_pos: float, clip: float | None, label_smoothing: float) -> Primitive:
    """Asymmetric loss; without focus and shift it is the cross-entropy itself, to the bit."""
    negative = _number("gamma_neg", gamma_neg, 0.0, math.inf, "0 leaves negatives unfocused.")
    positive = _number("gamma_pos", gamma_pos, 0.0, math.inf, "0 leaves positives unfocused.")
    shift = 0.0 if clip is None else _number("clip", clip, 0.0, 1.0, "None or 0 shifts nothing.")
    if negative == positive == shift == 0.0:
        return CROSS_ENTROPY
    return Primitive("asymmetric", (*_smoothing(label_smoothing), positive, negative, shift))


def _smoothing(label_smoothing: float) -> tuple[float, float]:
    s = _number("label_smoothing", label_smoothing, 0.0, 1.0, "0 is no smoothing.")
    return 1.0 - s, s / 2.0


def _number(name: str, value: Any, low: float, high: float, remedy: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high or math.isinf(number):
        raise InvalidInputError(f"{name} must be a finite number in [{low:g}, {high:g}]; got {value!r}. {remedy}")
    return number


# ---- options to terms -----------------------------------------------------------------------------------------------


def terms(options: Options, shape: tuple[int, ...], target_dtype: Any) -> Terms:
    """The coefficients of these options for elements of this shape."""
    if _is_plain(options):
        return PLAIN
    label_axis = _label_axis(options.label_axis, shape)
    a = _label_vector("pos_weight", options.pos_weight, shape, label_axis)
    c = _label_vector("label_weight", options.label_weight, shape, label_axis)
    keep, half = _smoothing(options.label_smoothing)
    return Terms(
        prices=(c * a * keep, c * a * half, c * keep, c * half),
        row=_row_weight(options.sample_weight, shape),
        element=_element_weight(options.weight, shape),
        mask=_mask(options.mask, shape),
        ignored=_ignored(options.ignore_index, target_dtype),
    )


def _is_plain(options: Options) -> bool:
    """True for the common case, asked first because every call pays for the question."""
    return (
        options.pos_weight is None
        and options.weight is None
        and options.sample_weight is None
        and options.label_weight is None
        and options.ignore_index is None
        and options.mask is None
        and options.label_smoothing == 0.0
        and options.label_axis == -1
    )


def weights_only(options: Options, shape: tuple[int, ...], target_dtype: Any) -> Terms:
    """Terms whose first price is an element's weight without pos_weight and smoothing: for "weighted_mean"."""
    full = terms(options._replace(pos_weight=None, label_smoothing=0.0), shape, target_dtype)
    return full._replace(prices=(full.prices[0], 0.0, 0.0, 0.0))


def _label_axis(axis: int, shape: tuple[int, ...]) -> int | None:
    """The axis of labels as a position from the front; None where there is none (0-d and 1-d logits)."""
    if len(shape) < 2:
        return None
    if not -len(shape) <= axis < len(shape):
        raise InvalidInputError(
            f"label_axis must name an axis of the logits of shape {shape}; got {axis}. Use -1 for the last, 1 for NCHW."
        )
    return axis % len(shape)


def _label_vector(name: str, value: Any, shape: tuple[int, ...], label_axis: int | None) -> Any:
    """A number, or a vector along the label axis with all other axes of length 1."""
    if value is None:
        return 1.0
    array = _numeric(name, value).astype(np.float64)
    _check_vector(name, array)
    if array.ndim == 0 or (array.size == 1 and array.ndim == 1):
        return float(array.reshape(()))
    labels = None if label_axis is None else shape[label_axis]
    if array.ndim != 1 or label_axis is None or len(array) != labels:
        length = "1 (1-d logits have no label axis)" if labels is None else f"{labels}, the logits' axis {label_axis}"
        raise InvalidInputError(
            f"{name} must be a number or a vector of length {length}; "
            f"got shape {array.shape} for logits of shape {shape}. " + _label_remedy(name, array, shape)
        )
    return array.reshape(tuple(-1 if axis == label_axis else 1 for axis in range(len(shape))))


def _label_remedy(name: str, array: Any, shape: tuple[int, ...]) -> str:
    """The reshape or axis that would make the vector fit, if there is one."""
    for axis, length in enumerate(shape):
        if len(shape) > 1 and array.size == length:
            flat = "" if array.ndim == 1 else f"{name}.reshape(-1) and "
            return f"Use {flat}label_axis={axis}."
    if shape and array.size == shape[0]:
        return f"For one weight per row use sample_weight={name}.reshape(-1)."
    return "Give one number per label."


def _check_vector(name: str, array: Any) -> None:
    wrong = ~(np.isfinite(array) & (array >= 0.0))
    if wrong.any():
        where = np.flatnonzero(wrong)
        at = "" if array.ndim == 0 else f" at index {where[0]}"
        raise InvalidInputError(
            f"{name} must be finite and not negative; got {array.reshape(-1)[where[0]]:g}{at}. "
            "Use 0 to leave something out."
        )


def array_of(name: str, value: Any) -> Any:
    """What a caller gave as a NumPy array; subclasses such as memmap become plain arrays."""
    if isinstance(value, np.ma.MaskedArray):
        raise UnsupportedTypeError(
            f"{name} must not be a masked array: its mask would be lost. Use {name}.data and mask=~{name}.mask."
        )
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(
            f"{name} must be a rectangular array; {error}. Pad ragged rows and use mask=."
        ) from None


def _numeric(name: str, value: Any) -> Any:
    array = array_of(name, value)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise InvalidInputError(
            f"{name} must hold real numbers; got dtype {array.dtype}. Convert it to float32 or float64."
        )
    return array


def _row_weight(value: Any, shape: tuple[int, ...]) -> Any:
    """`sample_weight`, one number per row, as an array with all other axes of length 1."""
    if value is None:
        return None
    array = _numeric("sample_weight", value)
    if array.ndim == 0:
        return array.reshape((1,) * len(shape))
    if not shape or array.shape != shape[:1]:
        remedy = "Give one weight per row."
        if array.shape == shape:
            remedy = "For one weight per element use weight=."
        elif shape and array.size == shape[0]:
            remedy = f"Use sample_weight.reshape({shape[0]})."
        elif len(shape) > 1 and array.shape == shape[-1:]:
            remedy = "For one weight per label use label_weight=."
        raise InvalidInputError(
            f"sample_weight must have shape {shape[:1]}, one weight per row of logits of shape {shape}; "
            f"got shape {array.shape}. {remedy}"
        )
    return array.reshape((-1,) + (1,) * (len(shape) - 1))


def _element_weight(value: Any, shape: tuple[int, ...]) -> Any:
    """`weight`, with as many axes as the logits, each as long or of length 1."""
    if value is None:
        return None
    return _fitted("weight", _numeric("weight", value), shape)


def _fitted(name: str, array: Any, shape: tuple[int, ...]) -> Any:
    """An array that broadcasts against the logits without guessing: a number, or every axis as long or of length 1."""
    if array.ndim == 0:
        return array.reshape((1,) * len(shape))
    if not _fits(array.shape, shape):
        raise InvalidInputError(
            f"{name} must have the logits' shape {shape}, or 1 in place of any length; got shape {array.shape}. "
            + _reshape_remedy(name, array.shape, shape)
        )
    return array


def _fits(got: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(got) == len(shape) and all(length in (1, full) for length, full in zip(got, shape, strict=True))


def _reshape_remedy(name: str, got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if math.prod(got) == math.prod(shape):
        return f"Use {name}.reshape({shape})."
    if len(got) == 1 and len(shape) > 1:
        if got[0] == shape[0]:
            return (
                f"Weights of rows: use sample_weight={name}, or {name}.reshape({(got[0],) + (1,) * (len(shape) - 1)})."
            )
        if got[0] == shape[-1]:
            return (
                f"Weights of labels: use label_weight={name}, or {name}.reshape({(1,) * (len(shape) - 1) + (got[0],)})."
            )
    return "Nothing broadcasts silently: give every axis its length or 1."


def _mask(value: Any, shape: tuple[int, ...]) -> Any:
    if value is None:
        return None
    array = array_of("mask", value)
    if array.dtype != np.bool_:
        raise InvalidInputError(
            f"mask must be boolean, True where an element counts; got dtype {array.dtype}. Use mask != 0."
        )
    return _fitted("mask", array, shape)


def _ignored(value: Any, dtype: Any) -> float | None:
    """The ignored target, if targets of this dtype (None: positive indices) can hold it."""
    if value is None:
        return None
    if dtype is None:
        raise InvalidInputError(
            "ignore_index needs an array of targets; got positive indices. Use mask= to leave elements out."
        )
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidInputError(f"ignore_index must be one number; got {value!r}. For several values use mask=.")
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        held = float(value).is_integer() and info.min <= value <= info.max
    elif dtype.kind == "b":
        held = False
    else:
        with np.errstate(over="ignore"):
            held = value != value or float(np.asarray(value).astype(dtype)) == value
    if not held:
        raise InvalidInputError(
            f"ignore_index must be a value that targets of dtype {dtype} can hold; got {value!r}. "
            "Convert the targets or use mask=."
        )
    return int(value) if dtype.kind in "iu" else float(value)


# ---- reductions -----------------------------------------------------------------------------------------------------


def check_reduction(options: Options) -> None:
    """The reduction's name and what goes with it."""
    if options.reduction not in REDUCTIONS:
        raise InvalidInputError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {options.reduction!r}.")
    if options.reduction == "none" and (options.normalizer is not None or options.axis is not None):
        name = "normalizer" if options.normalizer is not None else "axis"
        raise InvalidInputError(
            f'{name} needs a reduction; got {name}={getattr(options, name)!r} with reduction="none". '
            "Leave one of them out."
        )
    if options.reduction == "batchmean" and options.axis is not None:
        raise InvalidInputError(
            f'reduction="batchmean" divides the whole sum by the batch; got axis={options.axis!r}. '
            'Use "sum" with normalizer=.'
        )


def reduced_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes to reduce, as sorted positions from the front."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if any(isinstance(one, bool) or not isinstance(one, int | np.integer) or not -ndim <= one < ndim for one in axes):
        raise InvalidInputError(
            f"axis must name axes of logits with {ndim} axes; got {axis!r}. Use None to reduce over all of them."
        )
    positions = tuple(sorted(int(one) % ndim for one in axes))
    if len(set(positions)) != len(positions):
        raise InvalidInputError(f"axis must name each axis once; got {axis!r}.")
    return positions


def normalizer(value: Any, shape: tuple[int, ...]) -> Any:
    """The caller's denominator: one number, or one per reduced value."""
    array = _numeric("normalizer", value).astype(np.float64)
    if array.shape not in ((), shape):
        raise InvalidInputError(
            f"normalizer must be a number or have the reduced shape {shape}; got shape {array.shape}."
        )
    if not (np.isfinite(array) & (array > 0.0)).all():
        raise InvalidInputError(
            f"normalizer must be positive and finite; got {value!r}. Use reduction='sum' to divide by nothing."
        )
    return array
