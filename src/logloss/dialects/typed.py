"""A number as somebody typed it, and whether another one is it to the digits typed."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

import numpy as np

from .._errors import InvalidInputError


class Typed:
    """A number as somebody typed it."""

    def __init__(self, text: str) -> None:
        try:
            number = Decimal(text)
            self.value, exponent = float(number), number.as_tuple().exponent
        except (InvalidOperation, ValueError):
            raise InvalidInputError(f"got must be a number such as 0.6931; got {text!r}.{remedy(text)}") from None
        if math.isinf(self.value) and number.is_finite():
            raise InvalidInputError(f"got must be within float64, below 1.8e308; got {text}. Is its exponent right?")
        self.half = 0.5 * float(f"1e{exponent}") if isinstance(exponent, int) else 0.0

    def distance(self, value: float) -> float:
        """How far away a value is; infinite for NaN."""
        if value == self.value:
            return 0.0
        distance = abs(value - self.value)
        return distance if distance == distance else math.inf

    def hit(self, value: float, dtype: str) -> bool:
        """Whether it is this number to the digits typed, or to two ulp: the order of a sum is nobody's promise."""
        if math.isnan(value) or math.isnan(self.value):
            return math.isnan(value) and math.isnan(self.value)
        ulp = float(np.spacing(np.asarray(abs(value), np.promote_types(dtype, np.float32))))
        return self.distance(value) <= max(self.half * (1 + 1e-9), 2 * ulp)

    def cut(self, value: float) -> bool:
        """Whether it becomes this number where digits are cut off and not rounded."""
        return self.half > 0 and 0 <= math.copysign(1, value) * (value - self.value) < 2 * self.half


def remedy(text: str) -> str:
    """What was probably meant."""
    found = re.findall(r"[-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?", text.strip())
    if not found:
        return " Give its digits; the names of columns need their files, before the options."
    if len(found) > 1:
        return " Give one number alone."
    number = found[0].replace(",", ".")
    return f" Give {float(number) / 100:.12g}, or {number}." if text.strip().endswith("%") else f" Give {number}."
