"""The bin of the logit that a prediction lies in; `evaluate.bins` says what bins are."""

from __future__ import annotations

import numpy as np

from .jit import inline
from .ops import is_negative, magnitude, select

FINE, COARSE, LIMIT = 2**14, 2**10, 32.0
"""Bins of the whole, those of owners, and the logits at which they end, as `evaluate.bins` has them."""


@inline
def place_of(z, places):
    """The bin of each logit among FINE ones: 0 for -inf, FINE + 1 for inf."""
    for i in range(z.size):
        inner = select(z[i] < -LIMIT, -LIMIT, select(z[i] > LIMIT, LIMIT, z[i]))
        place = np.int32((inner + LIMIT) * (FINE / (2 * LIMIT)))
        place = np.int32(1) + min(place, np.int32(FINE - 1))
        certain = magnitude(z[i]) == np.inf
        end = np.int32(0) if is_negative(z[i]) else np.int32(FINE + 1)
        places[i] = end if certain else place


@inline
def place_marked(z, zero, one, certain, places):
    """The same where predictions of 0 and 1, if there are such, are marked and have no logit."""
    place_of(z, places)
    if certain:
        for i in range(z.size):
            places[i] = select(zero[i] == 1.0, np.uint16(0), select(one[i] == 1.0, np.uint16(FINE + 1), places[i]))


@inline
def among(place, count):
    """The bin among fewer ones."""
    inner = np.int64(1) + (np.int64(place) - 1) // (FINE // count)
    return np.int64(0) if place == 0 else (np.int64(count + 1) if place == FINE + 1 else inner)
