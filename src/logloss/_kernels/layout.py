"""From arrays of any shape, strides and dtype to what kernels take: flat ranges, addresses and stretched vectors."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from .blocks import BFLOAT16, BLOCK, FLOAT16, FLOAT32, FLOAT64, INT32, INT64, UINT8

PIECE = 1 << 17
"""Elements staged at a time where an operand is not contiguous: they fit the larger caches, and a piece's dozen
microseconds of Python are few beside its work."""

_SMALLEST, _LARGEST = 2.0**-126, 2.0**127
_CODES = {
    "f4": FLOAT32,
    "f8": FLOAT64,
    "f2": FLOAT16,
    "b1": UINT8,
    "u1": UINT8,
    "i1": UINT8,
    "i4": INT32,
    "i8": INT64,
    "u8": INT64,
}
_STAGED = {"i2": "i4", "u2": "i4", "u4": "i8"}  # rarer types are converted piece by piece, without loss


class Piece(NamedTuple):
    """A block of indices that is one contiguous range of the elements in C order."""

    where: tuple[slice | int, ...]
    start: int
    size: int


BFLOAT16_BITS = np.dtype([("bfloat16", np.uint16)])
"""bfloat16 where no library gives NumPy such a type: the bits of a tensor's own memory."""


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """True for ml_dtypes' bfloat16, which NumPy knows by name only, and for bare bits."""
    return dtype.name == "bfloat16" or dtype == BFLOAT16_BITS


@functools.cache
def code_of(dtype: np.dtype[Any]) -> int | None:
    """The kernels' code of an element type, None for one that must be converted first."""
    if is_bfloat16(dtype):
        return BFLOAT16
    return _CODES.get(dtype.str[1:]) if dtype.isnative else None


def staging_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which elements are staged: their own, or a wider one that kernels read."""
    native = dtype.newbyteorder("=")
    if code_of(native) is not None:
        return native
    return np.dtype(_STAGED.get(dtype.str[1:], "f8"))


def is_direct(array: Array) -> bool:
    """True if a kernel can walk the array's own memory."""
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned) and code_of(array.dtype) is not None


def fits_float32(scale: float | Array) -> bool:
    """True if a scale keeps its digits in float32; 0 is that of a sum in which nothing counts."""
    if isinstance(scale, float):
        return _SMALLEST <= abs(scale) <= _LARGEST or scale == 0.0
    size = np.abs(scale)
    return bool(np.all(((size >= _SMALLEST) & (size <= _LARGEST)) | (size == 0.0)))


def natural_axes(array: Array) -> tuple[int, ...] | None:
    """The order of axes in which the array lies in memory, None if that is C order."""
    if array.flags.c_contiguous or array.ndim < 2:
        return None
    axes = tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    return None if axes == tuple(range(array.ndim)) else axes


def pieces(shape: tuple[int, ...]) -> Iterator[Piece]:
    """Cut a shape into pieces of at most PIECE elements."""
    split, inner = len(shape) - 1, 1
    while split > 0 and inner * shape[split] <= PIECE:
        inner *= shape[split]
        split -= 1
    step = max(1, PIECE // inner)
    for outer, lead in enumerate(np.ndindex(shape[:split])):
        for low in range(0, shape[split], step):
            high = min(low + step, shape[split])
            yield Piece((*lead, slice(low, high)), (outer * shape[split] + low) * inner, (high - low) * inner)


def _documented(array: Array) -> int:
    return array.ctypes.data


def _direct(array: Array) -> int:
    """The first field of NumPy's array object (C-API, PyArrayObject), behind what every Python object begins with."""
    return ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value or 0


_PROBE = np.empty(1)
address = _direct if _direct(_PROBE) == _documented(_PROBE) else _documented
"""Where an array's first element lies. A call on ten elements asks six times, and `array.ctypes` takes 2 µs."""


class Factor(NamedTuple):
    """Element i has values[..., (i // inner) % length]: one vector, or several that lie alike."""

    values: Array
    inner: int


def factor(array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Factor | None:
    """Broadcastable arrays as stretched vectors; None if the axes along which they vary do not lie together.

    Axes of the array in front of those of the shape are vectors of their own.
    """
    lead, own = array.shape[: array.ndim - len(shape)], array.shape[array.ndim - len(shape) :]
    first, last = span([axis for axis, length in enumerate(own) if length != 1], len(shape))
    if own[first:last] != shape[first:last]:
        return None
    if array.dtype != dtype or not array.flags.c_contiguous:
        with np.errstate(over="ignore"):  # what becomes inf here is for the kernel to find, not for a warning
            array = np.ascontiguousarray(array, dtype=dtype)
    values = array.reshape((*lead, -1))
    return lengthened(values, math.prod(shape[last:]), rounds=math.prod(shape[:first]))


def span(axes: Sequence[int], ndim: int) -> tuple[int, int]:
    """The range of axes from the first of these to the last; none of them: an empty range at the end."""
    return (axes[0], axes[-1] + 1) if axes else (ndim, ndim)


def lengthened(values: Any, inner: int, rounds: int, xp: Any = np) -> Factor:
    """Short runs cost a loop each: a vector that comes round again is repeated and tiled until it fills a block."""
    length = values.shape[-1]
    if rounds == 1 or length == 1 or rounds * length * inner < 16 * BLOCK:
        return Factor(values, inner)
    if 1 < inner < 64:
        values, inner, length = xp.repeat(values, inner, axis=-1), 1, length * inner
    if inner == 1 and length < BLOCK:
        values = xp.tile(values, -(-BLOCK // length))
    return Factor(values, inner)


class Operand(NamedTuple):
    """An array, and where and what it is for the kernel, which keeps nothing alive."""

    array: Array | None
    place: tuple[int, int]


NOTHING = Operand(None, (0, FLOAT64))


def operand(array: Array, kinds: str) -> Operand:
    """The array as the kernel reads it: in its own type if that is common and of one of these kinds."""
    dtype = staging_dtype(array.dtype) if array.dtype.kind in kinds else np.dtype(np.float64)
    array = np.ascontiguousarray(array, dtype)
    return Operand(array, (address(array), code_of(dtype) or FLOAT32))
