"""What a system does that the exact loss does not, said of given predictions and targets with the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ._parts import Array

Notes = Callable[[Array, Array], Iterator[str]]


def short(number: float) -> str:
    """1e-7, not 1e-07."""
    return f"{number:.3g}".replace("e-0", "e-")


def clips(eps: float, name: str = "") -> Notes:
    """Probabilities moved into [ε, 1-ε]."""

    def notes(p: Array, _: Array) -> Iterator[str]:
        if number := int(np.count_nonzero((p < eps) | (p > 1 - eps))):
            yield f"{number:,} of {p.size:,} probabilities clipped at {name or short(eps)}"

    return notes


def floors(eps: float) -> Notes:
    """The probability of what happened raised to ε."""

    def notes(p: Array, t: Array) -> Iterator[str]:
        if number := int(np.count_nonzero(((t > 0) & (p < eps)) | ((t < 1) & (1 - p < eps)))):
            yield f"{number:,} of {p.size:,} losses end at {-np.log(eps):.4g} (probabilities floored at {short(eps)})"

    return notes


def log_floors(p: Array, t: Array) -> Iterator[str]:
    """PyTorch's floor of the logarithms."""
    if number := int(np.count_nonzero(((t > 0) & (np.log(p) < -100)) | ((t < 1) & (np.log1p(-p) < -100)))):
        yield f"{number:,} of {p.size:,} losses end at 100 (logarithms floored at -100)"


def undefined(p: Array, t: Array) -> Iterator[str]:
    """A certain prediction that came true."""
    if number := int(np.count_nonzero(((t == 0) & (p == 0)) | ((t == 1) & (p == 1)))):
        yield f"{number:,} of {p.size:,} losses are 0 · ∞ = NaN (0 · log 0)"


def adds(eps: float) -> Notes:
    """An epsilon within the logarithm changes every loss."""

    def notes(p: Array, _: Array) -> Iterator[str]:
        yield f"{short(eps)} added within the logarithm of all {p.size:,}"

    return notes


def hardens(threshold: float) -> Notes:
    """Soft targets taken for classes."""

    def notes(_: Array, t: Array) -> Iterator[str]:
        if number := int(np.count_nonzero((t > 0) & (t < 1))):
            yield f"{number:,} soft target{'s' * (number > 1)} made 0 or 1: above {threshold:g} is 1"

    return notes


def cancels(elements: Callable[[Array, Array], tuple[Array, Array]], how: str) -> Notes:
    """Small losses lost by subtracting near-equal numbers."""

    def notes(x: Array, t: Array) -> Iterator[str]:
        wide, soft = x.astype(np.float64), np.asarray(t, np.float64)
        exact = soft * np.logaddexp(0, -wide) + (1 - soft) * np.logaddexp(0, wide)
        off = np.abs(elements(x, t.astype(x.dtype))[0] - exact) > 1e-3 * exact
        if number := int(np.count_nonzero(off)):
            yield f"{number:,} of {x.size:,} small losses lost or off by over 0.1 % ({how} in {x.dtype})"

    return notes


def stored(_: Array, t: Array) -> Iterator[str]:
    """Targets that float32 does not hold."""
    if number := int(np.count_nonzero(t != t.astype(np.float32))):
        yield f"{number:,} target{'s' * (number > 1)} rounded to float32"


@dataclass(frozen=True)
class Says:
    """A remark that holds for all data."""

    text: str

    def __call__(self, _x: Array, _t: Array) -> Iterator[str]:
        """The remark."""
        yield self.text


def ignores_negatives(_: Array, t: Array) -> Iterator[str]:
    """A matrix of labels read as one-hot classes."""
    if t.ndim == 2:
        yield f"{int(np.count_nonzero(t == 0)):,} negatives ignored: multi-label read as multi-class"


def saturated(p: Array, _: Array) -> Iterator[str]:
    """Logits that are beyond the probabilities of a dtype."""
    if number := int(np.count_nonzero((p == 0) | (p == 1))):
        yield f"{number:,} of {p.size:,} probabilities σ(x) are 0 or 1 in {p.dtype}"


def sigmoid(x: Array) -> Array:
    """σ(x) as a model's last layer computes it."""
    return 1 / (1 + np.exp(-x))


def logit(p: Array) -> Array:
    """What σ(x) was made of."""
    return np.log(p) - np.log1p(-p)


def of(function: Callable[[Array], Array], note: Notes) -> Notes:
    """A note on what a function makes of the predictions."""
    return note if isinstance(note, Says) else lambda x, t: note(function(x), t)
