"""What to tell a caller whose data is out of its domain: how many, the first, and what it looks like.

Slow, for it runs only where there is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._kernels.layout import BFLOAT16_BITS, is_bfloat16
from .._spec import Terms

Array = np.ndarray[Any, Any]


def explain(x: Array, t: Any, terms: Terms, quantity: str | None) -> str:
    """The message for the first argument that breaks its rule, in the order targets, weights, probabilities; or ""."""
    t = _readable(t)
    counts = _counted(t, terms)
    if isinstance(t, np.ndarray):
        wrong = ~((t >= 0) & (t <= 1)) & counts
        if wrong.any():
            return _message("targets must be in [0, 1]", t, wrong, _target_hint(t[np.broadcast_to(counts, t.shape)]))
    rows = None if terms.row is None else terms.row.reshape(-1)  # as the caller gave them
    for name, weight in (("sample_weight", rows), ("weight", terms.element)):
        if weight is not None and (message := _weight_message(name, _readable(weight), x)):
            return message
    if quantity is None:
        return ""
    x = _readable(x)
    rule, hint = _quantity_rule(quantity)
    wrong = ~((x <= 0) if quantity == "log_probs" else (x >= 0) & (x <= 1)) & counts
    return _message(rule, x, wrong, hint) if wrong.any() else ""


def _readable(array: Any) -> Any:
    """Numbers of a type that NumPy compares without a warning: bfloat16 is the upper half of a float32."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or not is_bfloat16(dtype):
        return array
    if dtype != BFLOAT16_BITS:
        return array.astype(np.float32)
    return (array["bfloat16"].astype(np.uint32) << 16).view(np.float32)


def _weight_message(name: str, weight: Array, x: Array) -> str:
    """What is wrong with a weight, "" if nothing is."""
    wrong = ~((weight >= 0) & (weight < np.inf))
    if wrong.any():
        return _message(
            f"{name} must be finite and not negative", weight, wrong, "Use 0 to leave an element out of the sum."
        )
    wrong = weight > np.finfo(np.float32).max
    if x.dtype != np.float64 and wrong.any():
        kind = "bfloat16" if is_bfloat16(x.dtype) else x.dtype
        return _message(
            f"{name} of {kind} logits must be finite in float32", weight, wrong, "Use logits.astype('float64')."
        )
    return ""


def _counted(t: Any, terms: Terms) -> Any:
    counts: Any = np.True_ if terms.mask is None else terms.mask
    if terms.ignored is not None:
        kept = (t == t) if terms.ignored != terms.ignored else (t != t.dtype.type(terms.ignored))
        counts = counts & kept
    return counts


def _message(rule: str, array: Array, wrong: Array, hint: str) -> str:
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = where[0] if len(where) == 1 else where
    count = int(np.count_nonzero(wrong))
    number = f"{count:,} of {wrong.size:,} values {'is' if count == 1 else 'are'} not"
    at = f", the first at index {place}" if array.ndim else ""
    return f"{rule}; {number}{at}: {array[where]!s}. {hint}"


def _target_hint(t: Array) -> str:
    """What values outside [0, 1] most often are."""
    if t.dtype.kind == "f" and np.isnan(t).any():
        return "NaN targets count only as ignored: use ignore_index=float('nan') or mask=."
    low, high = float(t.min()), float(t.max())
    if set(np.unique(t[:10_000]).tolist()) <= {-1, 1}:
        return "Labels of -1 and +1? Use (targets + 1) / 2."
    if low == 0 and high == 255:
        return "A 0-255 mask? Use targets / 255, or ignore_index=255 if 255 means unlabelled."
    if low < 0 and high <= 1:
        return f"A marker for missing labels? Use ignore_index={low:g}."
    if low >= 0 and float(high).is_integer() and (t == np.floor(t)).all():
        return "Class indices? Use logloss.Positives, or one column of 0 and 1 per class."
    return "Scale the targets to [0, 1], or leave them out with mask=."


def _quantity_rule(quantity: str | None) -> tuple[str, str]:
    if quantity == "log_probs":
        return (
            "log_probs must be at most 0 and not NaN",
            "For probabilities use binary_cross_entropy, for logits binary_cross_entropy_with_logits.",
        )
    return "probabilities must be in [0, 1] and not NaN", "For logits use binary_cross_entropy_with_logits."
