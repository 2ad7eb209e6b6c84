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
import numbers
from typing import Any, NamedTuple, Protocol

from ._errors import InvalidInputError

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
    validate: bool | str = True


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
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not low <= number <= high or number == math.inf:  # isinf is unknown to traced code
        raise InvalidInputError(f"{name} must be a finite number in [{low:g}, {high:g}]; got {value!r}. {remedy}")
    return number


# ---- options to terms -----------------------------------------------------------------------------------------------


class Arrays(Protocol):
    """What an array library must say of the values of options, so that this file needs none."""

    def real(self, name: str, value: Any) -> Any:
        """The value as an array of real numbers of any type; an error if it is none."""

    def double(self, name: str, value: Any) -> Any:
        """The same in float64, for prices and denominators."""

    def single(self, array: Any) -> Any:
        """An array of one number as a number, or as a 0-d array where asking for its value would wait for a device."""

    def boolean(self, name: str, value: Any) -> Any:
        """The value as a boolean array; an error if it is none."""

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Refuse numbers that are not finite, or not >= 0 (`positive`: not > 0). May be left to the kernels."""

    def held(self, dtype: Any, value: Any) -> float | None:
        """The number as a target of this dtype holds it, None if it cannot."""


def terms(options: Options, shape: tuple[int, ...], target_dtype: Any, arrays: Arrays) -> Terms:
    """The coefficients of these options for elements of this shape."""
    if is_plain(options):
        return PLAIN
    label_axis = _label_axis(options.label_axis, shape)
    a = _label_vector("pos_weight", options.pos_weight, shape, label_axis, arrays)
    c = _label_vector("label_weight", options.label_weight, shape, label_axis, arrays)
    yes, (keep, half) = c * a, _smoothing(options.label_smoothing)
    return Terms(
        prices=(yes * keep, yes * half, c * keep, c * half) if half else (yes, 0.0, c, 0.0),
        row=_row_weight(options.sample_weight, shape, arrays),
        element=_element_weight(options.weight, shape, arrays),
        mask=_mask(options.mask, shape, arrays),
        ignored=_ignored(options.ignore_index, target_dtype, arrays),
    )


def is_plain(options: Options) -> bool:
    """True for the common case, asked first because every call pays for the question."""
    if options is DEFAULTS:
        return True
    try:
        return (
            options.pos_weight is None
            and options.weight is None
            and options.sample_weight is None
            and options.label_weight is None
            and options.label_smoothing == 0.0
            and options.label_axis == -1
            and options.ignore_index is None
            and options.mask is None
        )
    except (ValueError, RuntimeError):  # an array for a number, which is refused where it is used
        return False


def weights_only(options: Options, shape: tuple[int, ...], target_dtype: Any, arrays: Arrays) -> Terms:
    """Terms whose first price is an element's weight without pos_weight and smoothing: for "weighted_mean"."""
    full = terms(options._replace(pos_weight=None, label_smoothing=0.0), shape, target_dtype, arrays)
    return full._replace(prices=(full.prices[0], 0.0, 0.0, 0.0))


def _label_axis(axis: int, shape: tuple[int, ...]) -> int | None:
    """The axis of labels as a position from the front; None where there is none (0-d and 1-d logits)."""
    if len(shape) < 2:
        return None
    if not _is_axis(axis, len(shape)):
        raise InvalidInputError(
            f"label_axis must name an axis of the logits of shape {shape}; got {axis!r}. "
            "Use -1 for the last, 1 for NCHW."
        )
    return int(axis) % len(shape)


def _is_axis(value: Any, ndim: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Integral) and -ndim <= int(value) < ndim


def _label_vector(name: str, value: Any, shape: tuple[int, ...], label_axis: int | None, arrays: Arrays) -> Any:
    """A number, or a vector along the label axis with all other axes of length 1."""
    if value is None:
        return 1.0
    if isinstance(value, float) and 0.0 <= value < math.inf:
        return float(value)
    array = arrays.double(name, value)
    arrays.check(name, array, positive=False)
    got = tuple(array.shape)
    if got in ((), (1,)):
        return arrays.single(array)
    labels = None if label_axis is None else shape[label_axis]
    if len(got) != 1 or label_axis is None or got[0] != labels:
        length = "1 (1-d logits have no label axis)" if labels is None else f"{labels}, the logits' axis {label_axis}"
        raise InvalidInputError(
            f"{name} must be a number or a vector of length {length}; "
            f"got shape {got} for logits of shape {shape}. " + _label_remedy(name, got, shape)
        )
    return array.reshape(tuple(-1 if axis == label_axis else 1 for axis in range(len(shape))))


def _label_remedy(name: str, got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """The reshape or axis that would make the vector fit, if there is one."""
    size = math.prod(got)
    for axis, length in enumerate(shape):
        if len(shape) > 1 and size == length:
            flat = "" if len(got) == 1 else f"{name}.reshape(-1) and "
            return f"Use {flat}label_axis={axis}."
    if shape and size == shape[0]:
        return f"For one weight per row use sample_weight={name}.reshape(-1)."
    return "Give one number per label."


def _row_weight(value: Any, shape: tuple[int, ...], arrays: Arrays) -> Any:
    """`sample_weight`, one number per row, as an array with all other axes of length 1."""
    if value is None:
        return None
    array = arrays.real("sample_weight", value)
    got = tuple(array.shape)
    if not got:
        return array.reshape((1,) * len(shape))
    if not shape or got != shape[:1]:
        remedy = "Give one weight per row."
        if got == shape:
            remedy = "For one weight per element use weight=."
        elif shape and math.prod(got) == shape[0]:
            remedy = f"Use sample_weight.reshape({shape[0]})."
        elif len(shape) > 1 and got == shape[-1:]:
            remedy = "For one weight per label use label_weight=."
        raise InvalidInputError(
            f"sample_weight must have shape {shape[:1]}, one weight per row of logits of shape {shape}; "
            f"got shape {got}. {remedy}"
        )
    return array.reshape((-1,) + (1,) * (len(shape) - 1))


def _element_weight(value: Any, shape: tuple[int, ...], arrays: Arrays) -> Any:
    """`weight`, with as many axes as the logits, each as long or of length 1."""
    if value is None:
        return None
    return _fitted("weight", arrays.real("weight", value), shape)


def _fitted(name: str, array: Any, shape: tuple[int, ...]) -> Any:
    """An array that broadcasts against the logits without guessing: a number, or every axis as long or of length 1."""
    got = tuple(array.shape)
    if not got:
        return array.reshape((1,) * len(shape))
    if not _fits(got, shape):
        raise InvalidInputError(
            f"{name} must have the logits' shape {shape}, or 1 in place of any length; got shape {got}. "
            + _reshape_remedy(name, got, shape)
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


def _mask(value: Any, shape: tuple[int, ...], arrays: Arrays) -> Any:
    return None if value is None else _fitted("mask", arrays.boolean("mask", value), shape)


def _ignored(value: Any, dtype: Any, arrays: Arrays) -> float | None:
    """The ignored target, if targets of this dtype (None: positive indices) can hold it."""
    if value is None:
        return None
    if dtype is None:
        raise InvalidInputError(
            "ignore_index needs an array of targets; got positive indices. Use mask= to leave elements out."
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidInputError(f"ignore_index must be one number; got {value!r}. For several values use mask=.")
    try:
        held = arrays.held(dtype, value)
    except OverflowError:  # more digits than any type has
        held = None
    if held is None:
        raise InvalidInputError(
            f"ignore_index must be a value that targets of dtype {dtype} can hold; got {value!r}. "
            "Convert the targets or use mask=."
        )
    return held


# ---- reductions -----------------------------------------------------------------------------------------------------


def check_reduction(options: Options) -> None:
    """The reduction's name and what goes with it."""
    try:
        known = options.reduction in REDUCTIONS
    except ValueError:  # an array is neither in a list nor not
        known = False
    if not known:
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
    if not all(_is_axis(one, ndim) for one in axes):
        raise InvalidInputError(
            f"axis must name axes of logits with {ndim} axes; got {axis!r}. Use None to reduce over all of them."
        )
    positions = tuple(sorted(int(one) % ndim for one in axes))
    if len(set(positions)) != len(positions):
        raise InvalidInputError(f"axis must name each axis once; got {axis!r}. Negative axes count from the last, -1.")
    return positions


def normalizer(value: Any, shape: tuple[int, ...], arrays: Arrays) -> Any:
    """The caller's denominator: one number, or one per reduced value."""
    array = arrays.double("normalizer", value)
    if tuple(array.shape) not in ((), shape):
        raise InvalidInputError(
            f"normalizer must be a number or have the reduced shape {shape}; got shape {tuple(array.shape)}. "
            "Give one number for all reduced values, or one for each."
        )
    arrays.check("normalizer", array, positive=True)
    return array
