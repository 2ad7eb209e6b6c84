"""What to tell a caller whose data is out of its domain: how many, the first, and the remedy that fits what was given.

A hint is chosen by all the values that count, not by the wrong ones alone: a 2 among 0, 1 and 3 is a class, a 2 among
37.5 and 80 a percentage. Slow, for it runs only where there is an error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from .._kernels.layout import BFLOAT16_BITS, is_bfloat16
from .._spec.terms import Terms
from .._targets.positives import Positives
from .._types import Array

FLOAT32, _FLOAT64 = (float(np.finfo(dtype).max) for dtype in (np.float32, np.float64))


def check_prices(found: Terms, itemsize: int) -> None:
    """Logits of up to 32 bits are computed with in float32, and so are the prices that belong to them."""
    wide = itemsize > 4
    limit, bits, remedy = (_FLOAT64, "64", "Divide both") if wide else (FLOAT32, "up to 32", "Use float64 logits")
    largest = max(price if type(price) is float else float(price.max(initial=0.0)) for price in found.prices)
    if largest > limit:
        raise InvalidInputError(
            f"pos_weight times label_weight must be at most {limit:.1e} for logits of {bits} bits; got {largest:g}. "
            f"{remedy}."
        )


def explain(x: Array, t: Any, terms: Terms, quantity: str | None, signed: bool = False) -> str:
    """The message for the first argument that breaks its rule, in the order targets, weights, `quantity`; or "".

    `quantity` is what x holds; None for logits, which may be any number. With `signed` weights of elements may be
    negative.
    """
    name, given = quantity or "logits", x.dtype
    x, t = readable(x), t if isinstance(t, Positives) else readable(t)
    counts = _counted(t, terms)
    if not isinstance(t, Positives):
        wrong = ~((t >= 0) & (t <= 1)) & counts
        if wrong.any():
            beside = _Values(name, x, counts) if x.shape == t.shape else None
            hint = _hint(_TARGETS, _Values("targets", t, counts, wrong, beside=beside))
            return _message("targets must be in [0, 1]", t, wrong, hint)
    rows = None if terms.row is None else terms.row.reshape(-1)  # as the caller gave them
    both = {"sample_weight": rows, "weight": terms.element}
    meant = "Use 0 to leave an element out of the sum, or validate=False to take negative weights as they are."
    weights = {one: readable(weight) for one, weight in both.items() if weight is not None}
    for one, weight in weights.items():
        negative = signed and one == "weight"
        wrong = ~np.isfinite(weight) if negative else ~((weight >= 0) & (weight < np.inf))
        if wrong.any():
            hint = weight_hint(one, weight, wrong, meant)
            return _message(f"{one} must be finite{'' if negative else ' and not negative'}", weight, wrong, hint)
    if quantity is not None:
        rule, low, high, hints = _QUANTITIES[quantity]
        wrong = ~((x >= low) & (x <= high)) & counts
        if wrong.any():
            return _message(rule, x, wrong, _hint(hints, _Values(name, x, counts, wrong, low, high)))
    return _too_large(weights, given, name)


# ---- types ----------------------------------------------------------------------------------------------------------


def not_floating(name: str, dtype: Any, remedy: str) -> UnsupportedTypeError:
    """What is wrong with logits or probabilities of this type."""
    return UnsupportedTypeError(f"{name} must be float16, bfloat16, float32 or float64; got dtype {dtype}. {remedy}")


def not_targets(dtype: Any, remedy: str = "Encode labels as 0 and 1.") -> UnsupportedTypeError:
    """What is wrong with targets of this type."""
    return UnsupportedTypeError(f"targets must be bool, integer or floating; got dtype {dtype}. {remedy}")


def not_real(name: str, dtype: Any, remedy: str = "Convert it to float32 or float64.") -> InvalidInputError:
    """What is wrong with an option's numbers of this type."""
    return InvalidInputError(f"{name} must hold real numbers; got dtype {dtype}. {remedy}")


def not_boolean(name: str, dtype: Any, remedy: str = "") -> InvalidInputError:
    """What is wrong with a mask of this type."""
    remedy = remedy or f"Use {name} != 0."
    return InvalidInputError(f"{name} must be boolean, True where an element counts; got dtype {dtype}. {remedy}")


# ---- values ---------------------------------------------------------------------------------------------------------


def readable(value: Any) -> Array:
    """Numbers of a type that NumPy compares without a warning: bfloat16 is the upper half of a float32."""
    array: Array = np.asarray(value)  # without axes it may have become a plain number on its way
    if not is_bfloat16(array.dtype):
        return array
    if array.dtype != BFLOAT16_BITS:
        return array.astype(np.float32)
    bits: Array = np.asarray(array["bfloat16"].astype(np.uint32) << 16)
    return bits.view(np.float32)


def weight_hint(name: str, weight: Array, wrong: Array, negative: str = "Use 0 to leave something out.") -> str:
    """What weights that are not finite or negative most often are; `negative`: what to do about those meant so."""
    return _hint(_WEIGHTS, _Values(name, weight, np.True_, wrong, 0.0, math.inf)) or negative


def first_index(wrong: Array) -> tuple[int, ...]:
    """Where the first of them stands, as many numbers as there are axes."""
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def place(where: tuple[int, ...]) -> str:
    """The same in words."""
    return f"index {where[0] if len(where) == 1 else where}"


def _too_large(weights: dict[str, Array], given: np.dtype[Any], name: str) -> str:
    """What is wrong with weights that are finite, but not in the arithmetic of such logits; "" if nothing is."""
    single = given.itemsize <= 4
    limit: Any = np.finfo(np.float32 if single else np.float64)
    kind = "bfloat16" if is_bfloat16(given) else given
    remedy = f"Use {name}.astype('float64')." if single else "Divide all of them by the largest."
    for one, weight in weights.items():
        wrong = weight > limit.max
        if wrong.any():
            return _message(f"{one} of {kind} {name} must be finite in {limit.dtype}", weight, wrong, remedy)
    return ""


def _counted(t: Any, terms: Terms) -> Any:
    counts: Any = np.True_ if terms.mask is None else terms.mask
    if terms.ignored is not None:
        kept = (t == t) if terms.ignored != terms.ignored else (t != t.dtype.type(terms.ignored))
        counts = counts & kept
    return counts


def _message(rule: str, array: Array, wrong: Array, hint: str) -> str:
    where, count = first_index(wrong), int(np.count_nonzero(wrong))
    number = f"{count:,} of {wrong.size:,} values {'is' if count == 1 else 'are'} not"
    at = f", the first at {place(where)}" if wrong.size > 1 else ""
    return f"{rule}; {number}{at}: {array[where]!s}. {hint}"


# ---- hints ----------------------------------------------------------------------------------------------------------


class _Values:
    """What a hint is chosen by: the values that count, and the first of those outside the domain from least to most.

    NaN is left out, and so is infinity unless it is what was found first.
    """

    def __init__(
        self,
        name: str,
        array: Array,
        counts: Any,
        wrong: Array | None = None,
        least: float = 0.0,
        most: float = 1.0,
        beside: _Values | None = None,
    ) -> None:
        self.name, self.least, self.most, self.beside = name, least, most, beside
        self.first = math.nan if wrong is None else float(array[first_index(wrong)])
        counted: Array = array[np.broadcast_to(counts, array.shape)]
        if counted.dtype.kind == "f":
            counted = counted[~np.isnan(counted) if math.isinf(self.first) else np.isfinite(counted)]
        self.array = counted

    @functools.cached_property
    def low(self) -> float:
        return float(self.array.min())

    @functools.cached_property
    def high(self) -> float:
        return float(self.array.max())

    @functools.cached_property
    def wrong(self) -> Array:
        outside: Array = self.array[(self.array < self.least) | (self.array > self.most)]
        return outside

    @functools.cached_property
    def outside(self) -> float:
        """How far the farthest lies outside the domain."""
        return max(self.least - self.low, self.high - self.most)

    @functools.cached_property
    def whole(self) -> bool:
        return _are_whole(self.array)

    @functools.cached_property
    def marker(self) -> float | None:
        """The whole number that all values outside the domain are."""
        return self.first if _are_whole(self.wrong) and (self.wrong == self.wrong[0]).all() else None

    def within(self, low: float, high: float) -> bool:
        return low <= self.low and self.high <= high

    def only(self, *numbers: int) -> bool:
        return bool(np.isin(self.array, numbers).all())

    def has(self, number: int) -> bool:
        return bool((self.array == number).any())


def _are_whole(array: Array) -> bool:
    return array.dtype.kind != "f" or bool((array == np.floor(array)).all())


_Hints = tuple[tuple[Callable[[_Values], bool], str], ...]

_TINY = 1e-6
"""What is rounding whatever the other values are."""
_NEAR = 0.01
"""How far rounding carries: bfloat16's next number after 1 is 1 + 2^-7."""
_BESIDE = 0.1
"""How far interpolation and linear regression overshoot."""


def _hint(hints: _Hints, values: _Values) -> str:
    """The first that fits; "" if none does."""
    return next((text.format(v=values) for fits, text in hints if fits(values)), "")


def _is_nan(v: _Values) -> bool:
    return math.isnan(v.first)


def _is_infinite(v: _Values) -> bool:
    return math.isinf(v.first)


def _just_outside(v: _Values) -> bool:
    return v.outside <= _BESIDE


def _otherwise(_: _Values) -> bool:
    return True


def _is_mask(v: _Values) -> bool:
    """255, and beside it at most numbers so small that it may mean that there is no label."""
    if not (v.high == 255 and v.low >= 0 and v.whole):
        return False
    return bool(((v.array <= 100) | (v.array == 255)).all())


def _is_soft_mask(v: _Values) -> bool:
    """Up to 255, and farther than classes or percentages go."""
    return v.low >= 0 and (200 if v.whole else 100) < v.high <= 255


def _is_percentage(v: _Values) -> bool:
    """Numbers up to 100 that are neither classes nor a little more than 1."""
    if not v.within(0, 100):
        return False
    if not v.whole:
        return v.high > 2
    return v.high == 100 or (v.high >= 20 and bool((v.array % 5 == 0).all()))


def _is_class(v: _Values) -> bool:
    """Numbers from 0 on; -1 and -100 are what marks an element without a class."""
    return v.whole and (v.low >= 0 or v.low in (-1, -100))


def _rounds_to_zero(v: _Values) -> bool:
    """Below 0 by less than single precision tells apart beside the largest."""
    return v.outside <= _TINY * (v.high if v.high > 0 else 1)


def _is_swapped(v: _Values) -> bool:
    """Values on both sides of [0, 1] for targets, beside logits that are all in it; or any below 0, beside 0 and 1."""
    other = v.beside
    if other is None or not other.array.size or v.whole or v.low >= -_BESIDE:
        return False
    return other.within(0, 1) and other.low < other.high and (v.high > 1 + _BESIDE or other.only(0, 1))


_CLIP = "At most {v.outside:.2g} outside, by rounding or interpolation? Clip to [0, 1]: numpy.clip({v.name}, 0, 1)."
_MARKER = "A marker for missing labels? Use ignore_index={v.marker:.17g}."

_TARGETS: _Hints = (
    (_is_nan, "NaN targets count only as ignored: use ignore_index=float('nan') or mask=."),
    (_is_infinite, "Infinity has no place in [0, 1]. Use mask= to leave it out."),
    (_just_outside, _CLIP),
    (lambda v: v.only(-1, 1), "Labels of -1 and +1? Use (targets + 1) / 2."),
    (lambda v: v.marker is not None and v.marker < 0, _MARKER),
    (lambda v: v.high <= 1 and _are_whole(v.wrong), "Markers for missing labels? Use mask=targets >= 0."),
    (_is_swapped, "Are {v.beside.name} and targets swapped? Exchange the two arguments."),
    (lambda v: v.within(-1, 1), "Numbers from -1 to 1? Use (targets + 1) / 2."),
    (lambda v: v.high <= 0, "Log-probabilities? Use numpy.exp(targets)."),
    (lambda v: v.only(1, 2) and v.has(1), "Labels of 1 and 2? Use targets - 1."),
    (_is_mask, "A 0-255 mask? Use targets / 255, or ignore_index=255 if 255 means unlabelled."),
    (_is_soft_mask, "A soft mask of 0 to 255? Use targets / 255."),
    (lambda v: v.marker is not None and v.marker >= 99 and v.has(1), _MARKER),
    (_is_percentage, "Percentages? Use targets / 100."),
    (_is_class, "Class indices? Use logloss.Positives, or one column of 0 and 1 per class."),
    (lambda v: v.low < 0 and not v.whole, "Logits? Use their probabilities, 1 / (1 + numpy.exp(-targets))."),
    (_otherwise, "Scale the targets to [0, 1], or leave them out with mask=."),
)

_LOGITS = "For logits use binary_cross_entropy_with_logits."
_LOGARITHMS = "Log-probabilities? Use binary_cross_entropy_with_log_probs."

_PROBABILITIES: _Hints = (
    (_is_nan, "NaN comes from a missing value, 0/0 or inf - inf before this call. Use mask= to leave it out."),
    (lambda v: v.high < 0 and v.low < -_TINY, _LOGARITHMS),
    (_just_outside, _CLIP),
    (lambda v: v.high <= 0, _LOGARITHMS),
    (lambda v: v.low < 0 and v.high > 1 and not v.whole, _LOGITS),
    (_is_infinite, "Infinity comes from an overflow or a division by 0 before this call. Use mask= to leave it out."),
    (lambda v: v.within(-1, 2) and v.whole, "Predicted classes? Give probabilities, as predict_proba does."),
    (lambda v: v.within(0, 100) and v.high > 2, "Percentages? Use probabilities / 100."),
    (lambda v: v.within(0, 255) and v.high > 100, "Numbers from 0 to 255? Use probabilities / 255."),
    (_otherwise, _LOGITS),
)

_LOG_PROBS: _Hints = (
    (_is_nan, "NaN comes from the log of a negative number or inf - inf before this call. Use mask= to leave it out."),
    (lambda v: v.within(0, 1) and v.high > _TINY, "Probabilities? Use binary_cross_entropy."),
    (lambda v: v.outside <= _NEAR, "At most {v.outside:.2g} above 0, by rounding? Use numpy.minimum(log_probs, 0)."),
    (lambda v: v.within(0, 100) and v.high > 20, "Percentages? Divide by 100, and use binary_cross_entropy."),
    (lambda v: v.low >= 0, "Costs, -log p? Use -log_probs."),
    (lambda v: v.high > 1, _LOGITS),
    (_otherwise, "For probabilities use binary_cross_entropy, for logits binary_cross_entropy_with_logits."),
)

_WEIGHTS: _Hints = (
    (_is_nan, "NaN comes from a missing value or 0/0 before this call. Give the weight that was meant."),
    (_is_infinite, "Infinity comes from an overflow or a division by 0, such as 1 / count. Give a finite weight."),
    (_rounds_to_zero, "At most {v.outside:.2g} below 0, by rounding? Use numpy.maximum({v.name}, 0)."),
)

_QUANTITIES = {
    "probabilities": ("probabilities must be in [0, 1] and not NaN", 0.0, 1.0, _PROBABILITIES),
    "log_probs": ("log_probs must be at most 0 and not NaN", -math.inf, 0.0, _LOG_PROBS),
}
