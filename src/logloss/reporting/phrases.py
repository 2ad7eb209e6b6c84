"""Numbers as people read them: a true minus, as many digits as the interval allows, and no −0.0."""

from __future__ import annotations

import math
from collections.abc import Callable

NARROW = "\u00a0"
"""A space at which no line breaks."""

PLUS_MINUS = f"{NARROW}±{NARROW}"

UNDEFINED = "–"


def number(value: float, digits: int = 4, *, sign: bool = False) -> str:
    """With this many decimals; with "+" before what is above 0 if `sign`."""
    if not math.isfinite(value):
        return UNDEFINED if math.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if not text.strip("+-0.,"):
        return text.lstrip("+-")
    return text.replace("-", "−")


def digits_for(half: float, least: int = 1, most: int = 6) -> int:
    """Decimals that show two digits of half an interval, or one from 3 on: 0.0019 and 0.008."""
    if not (math.isfinite(half) and half > 0):
        return max(least, min(4, most))
    power = math.floor(math.log10(half))
    return min(max((1 if half / 10.0**power < 3 else 0) - power, least), most)


def measured(value: float, half: float, *, least: int, sign: bool = False) -> tuple[str, str]:
    """A value and half of its interval, with the digits that this one allows."""
    if not half > 0:
        return number(value, _plain_digits(value), sign=sign), ""
    digits = digits_for(half, least)
    return number(value, digits, sign=sign), number(half, digits)


def _plain_digits(value: float) -> int:
    """Decimals that show four digits."""
    return min(4, max(0, 3 - math.floor(math.log10(abs(value))))) if math.isfinite(value) and value else 4


def whole(value: float) -> str:
    """A count."""
    return f"{round(value):,}" if math.isfinite(value) else UNDEFINED


def probability(value: float) -> str:
    """Three decimals, more where they would hide it."""
    return number(value, 3 if value == 0 or 0.001 <= value <= 0.999 or value == 1 else 6).rstrip("0").rstrip(".") or "0"


def percent(share: float, digits: int = 1) -> str:
    """A share as 45.3 %."""
    return f"{number(100 * share, digits)}{NARROW}%"


def points(difference: float, digits: int = 1) -> str:
    """A difference of probabilities as +0.9, in percentage points."""
    return number(100 * difference, digits, sign=True)


def interval(low: float, high: float, show: Callable[[float], str] = number) -> str:
    """What stands between brackets behind an estimate."""
    return f"95{NARROW}% {show(low)} to {show(high)}"


def p_value(value: float) -> str:
    """A probability under the hypothesis."""
    if math.isnan(value):
        return UNDEFINED
    return "<" + NARROW + "0.0001" if value < 1e-4 else number(value, 4 if value < 0.1 else 2)


def some(count: int, noun: str, plural: str | None = None) -> str:
    """1 row, 2 rows."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def listed(names: list[str], most: int = 3) -> str:
    """A, b and c; a, b and 4 others."""
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most:,} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
