"""The order in which the kernels add, stated once more: by NumPy, as `_kernels/sums.py` says it."""

from __future__ import annotations

import numpy as np


def in_order(values: np.ndarray) -> np.float64:
    """32 sums side by side, folded in halves, each half taking what fits its width."""
    sums, done = np.zeros(32), 0
    values = values.astype(np.float64)
    while values.size - done >= 32:
        sums, done = sums + values[done : done + 32], done + 32
    for width in (16, 8, 4, 2, 1):
        # 32 zeros need no folding where nothing was added; the sum of zeros is the same
        sums = sums[:width] + sums[width:]
        if values.size & width:
            sums, done = sums + values[done : done + width], done + width
    return sums[0]
