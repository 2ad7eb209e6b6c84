"""What callers give of a linear layer and its loss, checked without looking at a number; and how labels become chunks.

Arrays may be of any library.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._errors import InvalidInputError
from .._spec import reductions
from .._spec.options import FIELDS, LossOptions, Options
from .._targets.positives import Positives
from .._types import Array

Hook = Callable[[int, int, Any], object]

NAMES = "inputs", "linear_weight"

BUDGET = 8 << 20
"""Bytes of a chunk's logits: 4 to 16 MiB are alike, a part of the last cache."""
FEWEST, USUAL, MOST = 64, 512, 65536
"""Labels of a chunk: never fewer, usually not, never more."""


def positives_in(targets: Any, shape: tuple[int, int]) -> Positives | None:
    """The positives that targets name: `Positives`, a SciPy matrix, or padded indices; None for a dense array.

    A matrix of integers that has a column for each label is dense, one with another number of columns holds indices.
    """
    if isinstance(targets, Positives):
        return targets
    if hasattr(targets, "tocsr"):
        return Positives.from_scipy(targets)
    got = tuple(targets.shape)
    rows, labels = shape
    if len(got) == 2 and got[0] == rows and got[1] != labels and _is_whole(targets.dtype):
        return Positives.from_padded(on_host(targets), labels)
    return None


def on_host(array: Any) -> Array:
    """A library's array where positives are sorted."""
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


def _is_whole(dtype: Any) -> bool:
    """Is it a type of integers, in any library?"""
    return str(dtype).rpartition(".")[2].lstrip("u").startswith("int")


def check_layer(inputs: Any, linear_weight: Any, linear_bias: Any, what: tuple[str, str] = NAMES) -> tuple[int, int]:
    """Rows and labels of a layer, whose parts must fit each other; `what` they are called."""
    one, other = what
    got = f"got {one} of shape {tuple(inputs.shape)} and {other} of shape {tuple(linear_weight.shape)}"
    if inputs.ndim != 2 or linear_weight.ndim != 2:
        wrong = one if inputs.ndim != 2 else other
        raise InvalidInputError(
            f"{one} and {other} must have two axes; {got}. Use {wrong}.reshape(-1, features), and targets with a row "
            "for each of its rows."
        )
    if inputs.shape[1] != linear_weight.shape[1]:
        turned = inputs.shape[1] == linear_weight.shape[0]
        remedy = f"Use {other}.T." if turned else "Give both the same number of features."
        raise InvalidInputError(f"{one} and {other} must have as many columns, the features; {got}. {remedy}")
    labels = linear_weight.shape[0]
    if not labels:
        raise InvalidInputError(f"{other} must have a row for at least one label; {got}. Leave the loss out.")
    if linear_bias is not None and tuple(linear_bias.shape) != (labels,):
        raise InvalidInputError(
            f"linear_bias must have shape ({labels},), one number per row of {other}; got shape "
            f"{tuple(linear_bias.shape)}. Use linear_bias.reshape(-1) if it has as many numbers."
        )
    return int(inputs.shape[0]), int(labels)


def check_targets(
    targets: Any, shape: tuple[int, int], what: str = "the rows of inputs and the labels of linear_weight"
) -> None:
    """Targets, dense or positives, of this shape."""
    if tuple(targets.shape) == shape:
        return
    remedy = (
        "Use targets[:, None] if these are the one positive label of each row."
        if tuple(targets.shape) == shape[:1] and _is_whole(targets.dtype)
        else "Give a dense array of that shape, logloss.Positives, a SciPy matrix, or a matrix of integers with the "
        "positive labels of each row, filled up with -1."
    )
    raise InvalidInputError(f"targets must have shape {shape}: {what}; got shape {tuple(targets.shape)}. {remedy}")


def is_one_number(options: Options) -> bool:
    """Are all losses reduced to one number?"""
    return options.reduction != "none" and not reductions.kept_axes(options, 2)


def refuse_hook(hook: Hook | None, options: Options) -> None:
    """A hook gets gradients before anyone says what several values are multiplied by."""
    if hook is not None:
        raise InvalidInputError(
            f"on_weight_grad needs a loss that is one number; got reduction={options.reduction!r} and "
            f"axis={options.axis!r}. Leave the hook or these out."
        )


def call_of(
    function: Callable[..., Any], bias: Any, chunk_size: Any, hook: Any, options: LossOptions
) -> tuple[Any, Options, int | None, Hook | None]:
    """What a caller gave beside layer and targets, checked as far as no array is needed."""
    unknown = sorted(options.keys() - FIELDS.keys())
    if unknown:
        names = ", ".join(("linear_bias", "chunk_size", "on_weight_grad", *FIELDS))
        raise TypeError(
            f"{function.__name__}() got an unexpected option {', '.join(map(repr, unknown))}. It takes {names}."
        )
    axis = options.get("axis")
    if isinstance(axis, tuple) and not axis:
        raise InvalidInputError(
            'axis must name an axis of the losses of a layer; got (). Use reduction="none" for a loss of each element.'
        )
    return bias, Options(**options), chunk_size_of(chunk_size), hook_of(hook)


def hook_of(value: Any) -> Hook | None:
    """A caller's hook."""
    if value is not None and not callable(value):
        raise TypeError(f"on_weight_grad must be callable with (start, stop, grad); got {value!r}.")
    hook: Hook | None = value
    return hook


# ---- pairs of images and texts --------------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Which image belongs to which text, as a caller says: by `targets`, by group numbers, or by position."""

    targets: Any = None
    groups: Any = None
    average: bool = False


def pairs_of(targets: Any, groups: Any, average: Any) -> Pairs:
    """The pairs that a caller describes."""
    if not isinstance(average, bool):
        raise InvalidInputError(f"average_positives must be True or False; got {average!r}. True weighs by 1/k.")
    if targets is not None and groups is not None:
        raise InvalidInputError("positives are given by targets or by groups; got both. Leave one of them out.")
    return Pairs(targets, groups, average)


# ---- chunks ---------------------------------------------------------------------------------------------------------


def chunk_size_of(value: Any) -> int | None:
    """A caller's number of labels in a chunk."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise InvalidInputError(
            f"chunk_size must be a positive whole number of labels; got {value!r}. "
            "Leave it out for chunks that fit the cache."
        )
    return int(value)


def edges(labels: int, rows: int, itemsize: int, chunk_size: int | None = None, budget: int = BUDGET) -> list[int]:
    """Where chunks begin and the last one ends. They are even: a small rest is slow, and may have other bits.

    `rows`: numbers for each label. A caller's `chunk_size` is the most that a chunk holds.
    """
    if chunk_size is not None:
        count = -(-labels // chunk_size)
    else:
        usual = min(max(budget // (max(rows, 1) * itemsize), USUAL), MOST)
        count = max(1, min(-(-labels // usual), labels // FEWEST))
    return [labels * k // count for k in range(count + 1)]
