"""The losses, one row each: what their first array is, their own parameters, and how they are computed.

The mathematics of a row is the function of its name in `_formula`; its kernel is the core of its name in `_kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

# ---- what a row holds -----------------------------------------------------------------------------------------------


class Quantity(NamedTuple):
    """What the first array of a loss holds, and the closed interval that it lies in."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    inside: float = 0.0  # stands in for an element that does not count

    @property
    def bounded(self) -> bool:
        """False where any number will do, and NaN with it."""
        return self.low > -math.inf or self.high < math.inf

    def holds(self, x: Any) -> Any:
        """Which elements lie in the interval."""
        return x <= self.high if self.low == -math.inf else (x >= self.low) & (x <= self.high)


class Number(NamedTuple):
    """A number that a caller may set: its name, its interval, and what to tell one who leaves that."""

    name: str
    default: float | None
    low: float
    high: float
    remedy: str
    optional: bool = False  # may it be None?
    per_label: bool = False  # may it be a vector along the labels?


class Loss(NamedTuple):
    """One loss."""

    name: str
    quantity: Quantity
    numbers: tuple[Number, ...] = ()
    compiled: Callable[..., tuple[Any, ...]] = lambda *values: values
    """From the values of its numbers to the parameters that formula and kernel take."""
    neutral: tuple[float, ...] | None = None
    """The parameters with which it is the cross-entropy itself, to the bit."""
    focused: bool = False
    """Does it depend on the target not through the prices alone?"""
    single: bool = False
    """Is float32 enough for its formula in logits of up to 32 bits? Kernels know better (`_kernels.parameters`)."""
    wide: bool = False
    """Is it computed in float64 whatever the data's type, by kernels too?"""
    formula: Callable[..., tuple[Any, Any, Any]] | None = None
    """Its mathematics, where that is another framework's; else the function of its name in `_formula`."""

    @property
    def defaults(self) -> tuple[float | None, ...]:
        """The numbers of a caller who sets none."""
        return tuple(number.default for number in self.numbers)

    def bits(self, itemsize: int) -> int:
        """The width of the formula's arithmetic for a first array of so many bytes per element."""
        return 32 if self.single and itemsize <= 4 else 64


class Primitive(NamedTuple):
    """A loss and its numbers, as given by the caller; none where they are the defaults."""

    loss: Loss
    given: tuple[Any, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """Every number of the loss by its name."""
        names = (number.name for number in self.loss.numbers)
        return dict(zip(names, self.given or self.loss.defaults, strict=True))


# ---- the rows -------------------------------------------------------------------------------------------------------

LOGITS = Quantity("logits")
PROBABILITIES = Quantity("probabilities", 0.0, 1.0, inside=0.5)
LOG_PROBS = Quantity("log_probs", high=0.0, inside=-1.0)

SMOOTHING = Number("label_smoothing", 0.0, 0.0, 1.0, "0 is no smoothing.")

_GAMMA = Number("gamma", 2.0, 0.0, math.inf, "gamma = 0 is the plain cross-entropy.")
_ALPHA = Number(
    "alpha", None, 0.0, 1.0, "alpha weighs positives, 1 - alpha negatives; None weighs neither.", True, per_label=True
)
_GAMMA_NEG = Number("gamma_neg", 4.0, 0.0, math.inf, "0 leaves negatives unfocused.")
_GAMMA_POS = Number("gamma_pos", 1.0, 0.0, math.inf, "0 leaves positives unfocused.")
_CLIP = Number("clip", 0.05, 0.0, 1.0, "None or 0 shifts nothing.", optional=True)
EPS = Number("eps", None, 0.0, 0.5, "Leave it out for the exact loss.", optional=True)

CROSS_ENTROPY = Loss("cross_entropy", LOGITS, single=True)
PROBABILITY = Loss("probabilities", PROBABILITIES, (EPS,), compiled=lambda eps: (_or_zero(eps),))
METRIC = PROBABILITY._replace(wide=True)
LOG_PROBABILITY = Loss("log_probabilities", LOG_PROBS)
FOCAL = Loss(
    "focal",
    LOGITS,
    (_GAMMA, _ALPHA),
    compiled=lambda gamma, alpha: (gamma, 1.0, 1.0) if alpha is None else (gamma, alpha, 1 - alpha),
    neutral=(0.0, 1.0, 1.0),
    focused=True,
)
ASYMMETRIC = Loss(
    "asymmetric",
    LOGITS,
    (_GAMMA_NEG, _GAMMA_POS, _CLIP),
    compiled=lambda negative, positive, clip: (positive, negative, _or_zero(clip)),
    neutral=(0.0, 0.0, 0.0),
    focused=True,
)
ROWS = (CROSS_ENTROPY, PROBABILITY, LOG_PROBABILITY, FOCAL, ASYMMETRIC)
PLAIN_LOSS = Primitive(CROSS_ENTROPY)
BY_NAME = {loss.name: loss for loss in ROWS}
"""Every loss there is: compiled code holds names."""


def named(loss: Loss) -> Loss:
    """A loss that is another framework's, to be found by its name."""
    BY_NAME[loss.name] = loss
    return loss


def primitive(loss: Loss, **given: Any) -> Primitive:
    """The loss with these numbers. Their values are not looked at: they may be open to a compiler."""
    values = tuple(given.get(number.name, number.default) for number in loss.numbers)
    usual = all(value is default for value, default in zip(values, loss.defaults, strict=True))
    return Primitive(loss) if usual else Primitive(loss, values)


def reduced(given: Primitive) -> Primitive:
    """The cross-entropy itself where the numbers of a loss make it that; arrays are not looked into."""
    loss, values = given
    if loss.neutral is None or not values:
        return given
    plain = all(value is None or type(value) in (float, int) for value in values)
    return PLAIN_LOSS if plain and loss.compiled(*values) == loss.neutral else given


def _or_zero(value: Any) -> Any:
    return 0.0 if value is None else value
