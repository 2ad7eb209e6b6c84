"""Hashes of values that are the same on every machine."""

from __future__ import annotations

import numpy as np

from .jit import entry, inline

_MULTIPLIER = 0x9E3779B97F4A7C15


@inline
def _mixed(h):
    """Bits of which every one depends on all of h (the finaliser of MurmurHash3)."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@inline
def _of_number(bits_of, kind):
    return _mixed(np.uint64(bits_of) + _mixed(np.uint64(kind) + np.uint64(_MULTIPLIER)))


@inline
def _whole(content, start, end):
    """(whether the text is a whole number as one writes it, the number)."""
    negative = content[start] == ord("-") if end > start else False
    first = start + negative
    digits = end - first
    if (digits < 1) | (digits > 18):
        return False, np.int64(0)
    if (content[first] == ord("0")) & ((digits > 1) | negative):
        return False, np.int64(0)
    value = np.int64(0)
    for k in range(first, end):
        digit = np.int64(content[k]) - ord("0")
        if (digit < 0) | (digit > 9):
            return False, np.int64(0)
        value = 10 * value + digit
    return True, -value if negative else value


@entry
def hash_numbers(numbers, kinds, out):
    """Of every number, in 64 bits and with its kind, the bits of a hash that is the same everywhere."""
    for i in range(out.size):
        out[i] = _of_number(numbers[i], kinds[i])


@entry
def hash_texts(content, ends, whole, out):
    """The same of texts, whose bytes stand one behind the other (FNV-1a, then mixed).

    A text that is a whole number has the hash of that number, of the kind `whole`: files of text hold nothing else.
    """
    start = 0
    for i in range(out.size):
        is_whole, value = _whole(content, start, ends[i])
        if is_whole:
            out[i] = _of_number(value, whole)
        else:
            h = np.uint64(0xCBF29CE484222325)
            for k in range(start, ends[i]):
                h = (h ^ np.uint64(content[k])) * np.uint64(0x100000001B3)
            out[i] = _mixed(h)
        start = ends[i]
