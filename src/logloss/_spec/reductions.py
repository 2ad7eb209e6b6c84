"""Denominators: what a reduction divides by, decided once for every backend.

"mean" divides by the number of elements that count, "weighted_mean" by the sum of their weights (pos_weight not
included), "batchmean" by the length of the first axis; `normalizer` replaces any of them. A backend passes how it
counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .._errors import InvalidInputError
from .._types import Shape
from .options import Options, is_validation
from .terms import Arrays, agree, has_axes, is_axis, refuse_truth

REDUCTIONS = ("none", "sum", "mean", "weighted_mean", "batchmean")


def check_static(options: Options) -> None:
    """The reduction's name and what goes with it, and whether values are checked."""
    if not is_validation(options.validate):
        raise InvalidInputError(
            f'validate must be True, False or "now"; got {options.validate!r:.60}. '
            "Use False to skip the checks, or leave it out to have them."
        )
    if not isinstance(options.reduction, str) or options.reduction not in REDUCTIONS:
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
    if not all(is_axis(one, ndim) for one in axes):
        remedy = "Use None to reduce over all of them."
        if hasattr(axis, "dtype") or isinstance(axis, list):
            remedy = "Use a tuple." if has_axes(axis) else "Use int(axis)."
        raise InvalidInputError(f"axis must name axes of logits with {ndim} axes; got {axis!r}. {remedy}")
    positions = tuple(sorted(int(one) % ndim for one in axes))
    if len(set(positions)) != len(positions):
        raise InvalidInputError(f"axis must name each axis once; got {axis!r}. Negative axes count from the last, -1.")
    return positions


def axes_of(options: Options, ndim: int) -> tuple[int, ...]:
    """The axes that are reduced."""
    return tuple(range(ndim)) if options.axis is None else reduced_axes(options.axis, ndim)


def kept_axes(options: Options, ndim: int) -> tuple[int, ...]:
    """The axes that stay."""
    if options.axis is None:
        return ()
    reduced = reduced_axes(options.axis, ndim)
    return tuple(axis for axis in range(ndim) if axis not in reduced)


def reduced_shape(options: Options, shape: Shape) -> Shape:
    """The shape of the reduced value."""
    return tuple(shape[axis] for axis in kept_axes(options, len(shape)))


def normalizer(value: Any, shape: tuple[Any, ...], arrays: Arrays) -> Any:
    """The caller's denominator: one number, or one per reduced value."""
    refuse_truth("normalizer", value)
    array = arrays.float64("normalizer", value)
    got = tuple(array.shape)
    if got and not (len(got) == len(shape) and all(map(agree, got, shape))):
        raise InvalidInputError(
            f"normalizer must be a number or have the reduced shape {shape}; got shape {got}. "
            "Give one number for all reduced values, or one for each."
        )
    arrays.check("normalizer", array, positive=True)
    return array


def denominator(options: Options, shape: tuple[Any, ...], total: Callable[[bool], Any], arrays: Arrays) -> Any:
    """What the reduction divides by: a number, or with `axis` an array of the reduced shape.

    `total(weighted)` is the sum over the reduced axes of 1, or of the weight, of every element that counts.
    """
    if options.normalizer is not None:
        array = normalizer(options.normalizer, reduced_shape(options, shape), arrays)
        axes = kept_axes(options, len(shape))
        return arrays.as_long("normalizer", array, axes, or_one=False) if tuple(array.shape) else array
    if options.reduction in ("none", "sum"):
        return 1.0
    if options.reduction == "batchmean":
        return 1.0 * shape[0] if shape else 1.0
    if options.reduction == "weighted_mean":
        return total(True)
    if options.mask is None and options.ignore_index is None:
        lengths = shape if options.axis is None else [shape[axis] for axis in reduced_axes(options.axis, len(shape))]
        return 1.0 * math.prod(lengths)  # not float(): in traced code a length may be a symbol
    return total(False)
