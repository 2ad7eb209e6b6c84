"""Negatives drawn at random, with weights that make the loss of a few labels that of all, on average."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._errors import InvalidInputError, UnsupportedTypeError
from ._targets.positives import Positives
from ._types import Array


class SampledLabels(NamedTuple):
    """Some labels in rising order, the targets among them, what each of them weighs, and the elements of all labels."""

    labels: Array
    targets: Positives
    label_weight: Array
    normalizer: float


def sample_labels(
    targets: Positives, count: int, *, probabilities: Any = None, rng: np.random.Generator | None = None
) -> SampledLabels:
    r"""Draw negative labels for a batch, so that the loss over the labels drawn has the mean of the loss over all.

    Labels that are positive in some row of the batch are all kept, with weight 1. Of the others, `count` are drawn with
    replacement, label j with probability q_j; drawn m_j times, it weighs ``m_j / (count·q_j)``. Since E[m_j] =
    count·q_j, loss and gradient are those of all labels in expectation, exactly.

    Args:
        targets: `Positives` of shape (rows, labels).
        count: how many negatives to draw; > 0.
        probabilities: (labels,) numbers > 0, to which labels are drawn in proportion: their popularity, say; None: all
            alike.
        rng: the source of chance; None: a new one.

    Returns:
        `SampledLabels`: `labels`, by which to index weights and bias; `targets` and `label_weight` for the loss of
        these; `normalizer`, rows × labels, which makes a "mean" that of all labels.

    Raises:
        InvalidInputError: a count below 1, probabilities that are no vector of positive numbers.
        UnsupportedTypeError: targets that are no `Positives`.

    Example:
        >>> import numpy as np
        >>> import logloss as ll
        >>> targets = ll.Positives.from_lists([[7], [2]], labels=1000)
        >>> some = ll.sample_labels(targets, 3, rng=np.random.default_rng(0))
        >>> some.labels.tolist(), some.label_weight.round(3).tolist()
        ([2, 7, 512, 637, 850], [1.0, 1.0, 332.667, 332.667, 332.667])
        >>> W = np.zeros((1000, 4))
        >>> weights = {"label_weight": some.label_weight, "normalizer": some.normalizer}
        >>> loss = ll.linear_binary_cross_entropy(np.zeros((2, 4)), W[some.labels], some.targets, **weights)
        >>> round(float(loss), 6)  # of all labels: log 2
        0.693147

    References:
        Bengio and Senécal 2008, *Adaptive importance sampling to accelerate training of a neural probabilistic language
        model*; docs/linear.md.
    """
    if not isinstance(targets, Positives):
        raise UnsupportedTypeError(
            f"sample_labels takes Positives; got {type(targets).__name__}. Use logloss.Positives.from_padded or "
            "from_scipy."
        )
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise InvalidInputError(f"count must be a positive whole number of negatives; got {count!r}. Use 1,000, say.")
    kept, chances = np.unique(targets.indices), _chances(probabilities, targets.shape[1])
    others = targets.shape[1] - len(kept)
    rng = np.random.default_rng(rng)  # one that is given is used as it is
    drawn = _drawn(kept, chances, others, count, rng) if others else np.zeros(0, np.int64)
    return weighted(targets, kept, drawn, chances)


def weighted(targets: Positives, kept: Array, drawn: Array, chances: Array | None) -> SampledLabels:
    """The labels kept, and those drawn with their weights."""
    rows, labels = targets.shape
    negatives, times = np.unique(drawn, return_counts=True)
    if chances is None:
        each = np.full(len(negatives), 1.0 / max(labels - len(kept), 1))
    else:
        each = chances[negatives] / (chances.sum() - chances[kept].sum())
    found = np.concatenate([kept, negatives])
    weight = np.concatenate([np.ones(len(kept)), times / (max(len(drawn), 1) * each)])
    order = np.argsort(found)
    found = found[order]
    places = np.searchsorted(found, targets.indices)
    among = Positives(targets.indptr, places, (rows, len(found)))
    return SampledLabels(found, among, weight[order], float(rows) * labels)


def _chances(probabilities: Any, labels: int) -> Array | None:
    from ._backends.operands import OptionArrays  # brings Numba

    if probabilities is None:
        return None
    array = OptionArrays.float64("probabilities", probabilities)
    if array.shape != (labels,):
        raise InvalidInputError(
            f"probabilities must have shape ({labels},), one number per label; got shape {array.shape}. "
            "Use numpy.bincount(labels, minlength=…) + 1 for popularity."
        )
    wrong = ~((array > 0) & (array < np.inf))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InvalidInputError(
            f"probabilities must be positive and finite, or some labels would never count; got {array[first]:g} at "
            f"index {first}. Add a small number to all of them."
        )
    return array


def _drawn(kept: Array, chances: Array | None, others: int, count: int, rng: np.random.Generator) -> Array:
    """Labels that are not among those kept."""
    if chances is None:
        place = rng.integers(0, others, count)
    else:
        left = np.delete(chances, kept).cumsum()
        place = np.minimum(np.searchsorted(left, rng.random(count) * left[-1], side="right"), others - 1)
    found: Array = place + np.searchsorted(kept - np.arange(len(kept)), place, side="right")
    return found
