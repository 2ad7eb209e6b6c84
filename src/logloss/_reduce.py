"""Denominators: what a reduction divides by, decided once for every backend.

"mean" divides by the number of elements that count, "weighted_mean" by the sum of their weights (pos_weight not
included), "batchmean" by the length of the first axis; `normalizer` replaces any of them. A backend passes how it
counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import _spec


def reduced_shape(options: _spec.Options, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the reduced value."""
    if options.axis is None:
        return ()
    axes = _spec.reduced_axes(options.axis, len(shape))
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def denominator(
    options: _spec.Options, shape: tuple[int, ...], total: Callable[[bool], Any], arrays: _spec.Arrays
) -> Any:
    """What the reduction divides by: a number, or with `axis` an array of the reduced shape.

    `total(weighted)` is the sum over the reduced axes of 1, or of the weight, of every element that counts.
    """
    if options.normalizer is not None:
        return _spec.normalizer(options.normalizer, reduced_shape(options, shape), arrays)
    if options.reduction in ("none", "sum"):
        return 1.0
    if options.reduction == "batchmean":
        return 1.0 * shape[0] if shape else 1.0
    if options.reduction == "weighted_mean":
        return total(True)
    if options.mask is None and options.ignore_index is None:
        if options.axis is None:
            return 1.0 * math.prod(shape)  # not float(): in traced code a length may be a symbol
        axes = _spec.reduced_axes(options.axis, len(shape))
        return 1.0 * math.prod(shape[axis] for axis in axes)
    return total(False)
