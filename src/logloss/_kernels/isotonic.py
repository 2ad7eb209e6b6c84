"""Isotonic regression by pooling adjacent violators, and what it makes of scores."""

from __future__ import annotations

import math

import numpy as np

from .jit import entry, inline


@inline
def _pool(wy, w, block_y, block_w, ends, top):
    """Pool neighbours whose means fall or are equal; places without weight belong to no block. How many blocks.

    `top` blocks of what came before are there.
    """
    for i in range(w.size):
        if w[i] <= 0:
            continue
        y, weight = wy[i], w[i]
        while top > 0 and block_y[top - 1] / block_w[top - 1] >= y / weight:
            top -= 1
            y += block_y[top]
            weight += block_w[top]
        block_y[top], block_w[top], ends[top] = y, weight, i
        top += 1
    return top


@entry
def blocks(wy, w):
    """The blocks of one sequence: Σwy, Σw and the last place of each."""
    block_y, block_w, ends = np.empty(w.size), np.empty(w.size), np.empty(w.size, np.int64)
    top = _pool(wy, w, block_y, block_w, ends, 0)
    return block_y[:top].copy(), block_w[:top].copy(), ends[:top].copy()


@entry
def continued(wy, w, block_y, block_w, ends, top):
    """The same for a sequence that comes in pieces: blocks so far, with room for as many more as there are places."""
    return _pool(wy, w, block_y, block_w, ends, top)


@inline
def _surprise(part, whole):
    """-part · log(part / whole), 0 for nothing."""
    return -part * math.log(part / whole) if part > 0 else 0.0


@entry
def scores(wy, w, p, at, out, curve):
    """Of each row of `wy` and `w`, after isotonic regression: what it gives, and its fitted value at some places.

    The columns of `out` are the sums of log loss, of squared error, and of w·|fitted - p|.
    """
    size = w.shape[1]
    block_y, block_w, ends = np.empty(size), np.empty(size), np.empty(size, np.int64)
    for row in range(w.shape[0]):
        top = _pool(wy[row], w[row], block_y, block_w, ends, 0)
        loss, square, distance = 0.0, 0.0, 0.0
        place, next_at = 0, 0
        for i in range(top):
            y, weight = block_y[i], block_w[i]
            rest = max(weight - y, 0.0)
            loss += _surprise(y, weight) + _surprise(rest, weight)
            square += y * rest / weight
            value = y / weight
            while place <= ends[i]:
                distance += w[row, place] * abs(value - p[place])
                if next_at < at.size and at[next_at] == place:
                    curve[row, next_at] = value
                    next_at += 1
                place += 1
        out[row, 0], out[row, 1], out[row, 2] = loss, square, distance
