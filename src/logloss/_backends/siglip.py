"""Sigmoid loss of image-text pairs as the loss of a linear layer: images are rows, texts are labels.

The logits t·U·Vᵀ + b are those of a layer with a gain and one bias for all labels, so that `linear` does the rest. With
G the gradient by the logits and dX = G·V: dU = t·dX, dV = t·Gᵀ·U, dt = Σ ⟨U, dX⟩, and db = Σ G.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .._spec.options import Options
from .._spec.terms import is_number
from .._targets.positives import Positives
from .._types import Array
from . import layer_arguments
from .layer_arguments import Pairs

NAMES = "image_features", "text_features"
ROWS = 1024
"""Rows whose products are summed in float64 at a time."""


def described(
    pairs: Pairs, shape: tuple[int, int], images: int | None = None, many: Array | None = None
) -> tuple[Any, Options]:
    """Targets and options of the loss of the pairs, a sum that is divided by the number of images.

    Of a part of a batch, `images` are those of the whole, and `many` says how many positives each of these has there.
    """
    targets = _targets(pairs, shape)
    layer_arguments.check_targets(targets, shape, "the images and the texts")
    options = Options(reduction="batchmean") if not images else Options(reduction="sum", normalizer=float(images))
    if pairs.average:
        many = (
            np.diff(targets.indptr)
            if isinstance(targets, Positives)
            else layer_arguments.on_host((targets != 0).sum(1))
        )
    if many is not None:
        options = options.replace(pos_weight=1.0 / np.maximum(many, 1), label_axis=0)
    return targets, options


def _targets(pairs: Pairs, shape: tuple[int, int]) -> Any:
    if pairs.targets is not None:
        found = layer_arguments.positives_in(pairs.targets, shape)
        return pairs.targets if found is None else found
    if pairs.groups is not None:
        return _of_groups(*group_numbers(pairs.groups, shape))
    images, texts = shape
    paired = min(shape)
    return Positives(np.minimum(np.arange(images + 1), paired), np.arange(paired), (images, texts))


def group_numbers(groups: Any, shape: tuple[int, int]) -> tuple[Array, Array]:
    try:
        images, texts = (np.asarray(one) for one in groups)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"groups must be two vectors, one of images and one of texts; got {type(groups).__name__}. "
            "Use groups=(image_groups, text_groups)."
        ) from None
    for name, array, length in (("image", images, shape[0]), ("text", texts, shape[1])):
        if array.shape != (length,) or (array.size and array.dtype.kind not in "iu"):
            raise InvalidInputError(
                f"groups must hold a whole number for each {name}, in shape ({length},); got shape {array.shape} and "
                f"dtype {array.dtype}. Number the groups, by numpy.unique(…, return_inverse=True) say."
            )
    return images, texts


def _of_groups(images: Array, texts: Array) -> Positives:
    """Every text of an image's group is its positive."""
    order = np.argsort(texts, kind="stable")
    ordered = texts[order]
    first, last = np.searchsorted(ordered, images, "left"), np.searchsorted(ordered, images, "right")
    indptr = np.concatenate([[0], np.cumsum(last - first)])
    within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], last - first)
    return Positives(indptr, order[np.repeat(first, last - first) + within], (len(images), len(texts)))


def number(name: str, value: Any) -> float:
    """The scale or the bias: one finite number."""
    try:
        found = float(value) if is_number(value) else math.nan
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InvalidInputError(
            f"{name} must be one finite number; got {value!r:.60}. Both are the model's parameters, of shape ()."
        )
    return found


def check(images: Any, texts: Any) -> tuple[int, int]:
    """The numbers of images and texts, whose features fit each other."""
    return layer_arguments.check_layer(images, texts, None, NAMES)
