"""Which bucket a cluster belongs to: a hash of its value that is the same on every machine.

A whole number has one hash, whether it comes as a number or, in a file of text, as its digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .groups import WHOLE, Column, KeyColumn

_SHIFT = 56  # the highest eight bits: one of 256 buckets


def units_of(given: KeyColumn) -> NDArray[np.uint8]:
    """The bucket of each row of a column of clusters, none of which is missing."""
    from .._kernels import hashes as kernel

    if given.texts is None:
        bits, kinds = Column().encode_numbers(given.values)
        hashes = np.empty(bits.size, np.uint64)
        kernel.hash_numbers(np.ascontiguousarray(bits), np.broadcast_to(kinds, bits.shape).copy(), hashes)
        return _highest(hashes)
    texts = [text.encode() for text in given.texts]
    hashes = np.empty(len(texts), np.uint64)
    content = np.frombuffer(b"".join(texts) or b"\0", np.uint8).copy()
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    kernel.hash_texts(content, ends, WHOLE, hashes)
    return np.asarray(_highest(hashes)[given.values])


def _highest(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return (hashes >> np.uint64(_SHIFT)).astype(np.uint8)
