"""The kernels as XLA calls them: a handler that takes buffers from a frame, for each entry of `entries`.

XLA's typed foreign-function interface is a C structure (xla/ffi/api/c_api.h, version 0.3), read here word by word. A
handler is asked once for the version that it was made for, and XLA refuses one that it does not support; it answers
only a question that has the lengths it knows. Handlers hold no GIL, raise nothing and keep nothing between calls.

What does not change from call to call is an attribute of words: a `JOB` in which every address is the place of its
buffer in the frame, counted from 1, and what `attribute` adds. Buffers of a mapped call have leading
axes; one that is the same for a whole axis has a length of 1 there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import carray, from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic

from .._spec.losses import CROSS_ENTROPY
from .._types import Array
from . import entries
from .blocks import BLOCK, JOB, keep_counted, load, stack, store
from .jit import callback, inline
from .operands import packed
from .ops import pointer
from .plain import entry as plain_entry
from .sums import total

kernel: Any = None
piece: Any = None
kind: Any = None
major: Any = None
minor: Any = None
"""What the template leaves open: the entry, how it is called, its arithmetic, and the version that is answered."""

VERSION = (0, 3)
"""The version of the interface that the offsets below are those of."""

# ---- the interface, in words of 64 bits -----------------------------------------------------------------------------

_FRAME, _EXTENSION, _STAGE, _ARGS, _RESULTS, _ATTRIBUTES = 22, 1, 4, 9, 14, 20
_ARGS_COUNT, _RESULTS_COUNT = 7, 12
_FRAME_BYTES, _EXTENSION_BYTES, _METADATA_BYTES = 168, 32, 36  # what structures say of themselves
_METADATA, _EXECUTE = 1, 3  # kind of extension, stage
_DATA, _RANK, _DIMENSIONS, _BUFFER = 3, 4, 5, 6
_LOW_HALF = 0xFFFF_FFFF

# ---- the attribute --------------------------------------------------------------------------------------------------

_NAMES = JOB.names or ()
_WORDS = len(_NAMES)
_ADDRESSES = tuple(
    _NAMES.index(name) for name in ("x", "t", "mask", "price", "row", "element", "scale", "balance", "loss", "grad")
)
_N, _START, _PARTIALS, _PRICE, _SCALE, _NUMBERS = (
    _NAMES.index(name) for name in ("n", "start", "partials", "price", "scale", "keep")
)
_X, _T, _MASK, _LOSS, _GRAD = (_NAMES.index(name) for name in ("x", "t", "mask", "loss", "grad"))
_X_TYPE, _T_TYPE, _LOSS_TYPE, _GRAD_TYPE = (_NAMES.index(f"{name}_type") for name in ("x", "t", "loss", "grad"))
_CHECKED, _SIZES = _WORDS, _WORDS + 1
_ITEMSIZES = (4, 8, 2, 2, 1, 4, 8)  # of the codes of element types, in their order

NUMBERS = _WORDS - _NUMBERS
"""How many numbers a job ends with: 1-s and s/2, then the loss's own."""


def attribute(fields: dict[str, Any], sizes: Sequence[int], *, checked: bool) -> Array:
    """A call as the handler's attribute.

    `fields` of a job, addresses as places of buffers; `sizes`: bytes of every buffer but for leading axes, operands
    first (the first of these holds the job's last numbers, the first result the sum); `checked`: what breaks a rule
    becomes NaN.
    """
    words = packed(fields.get(name, 0) for name in _NAMES).view(np.int64)
    return np.concatenate([words, np.array([checked, *sizes], np.int64)])


# ---- the entries ----------------------------------------------------------------------------------------------------


@inline
def _words(address, count):
    return carray(pointer(address), (count,), np.int64)


@intrinsic
def _jobs(typing, jobs):
    """The array under the type that NumPy's have, so that Python and handlers share one compiled entry."""
    return types.Array(jobs.dtype, 1, "C")(jobs), lambda context, b, signature, args: args[0]


@intrinsic
def _called(typing, entry, arguments):
    """What the entry returns for this tuple of arguments, by its name: what is linked in is compiled anew."""
    returned, _ = _published(entry.dispatcher, arguments.types)

    def codegen(context, b, signature, args):
        kinds = [context.get_value_type(kind) for kind in arguments.types]
        function = ir.FunctionType(context.get_value_type(returned), kinds)
        return b.call(
            cgutils.get_or_insert_function(b.module, function, _symbol(entry.dispatcher)),
            cgutils.unpack_tuple(b, args[1]),
        )

    return returned(entry, arguments), codegen


def _symbol(entry: Any) -> str:
    return f"logloss_{entry.py_func.__qualname__}"


def _published(entry: Any, arguments: tuple[Any, ...]) -> tuple[Any, int]:
    """What the entry returns for these types, and where it lies; from now on code finds it under its name."""
    entry.compile(arguments)
    compiled = entry.overloads[arguments]
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
    llvmlite.binding.add_symbol(_symbol(entry), address)
    return compiled.signature.return_type, address


@inline
def _general(entry, kind, job, partials, low, high):
    """(the sum, the flags) of blocks low..high, no more than BLOCK of them, by a general entry."""
    job[_PARTIALS] = partials - 8 * low
    bad = _called(entry, (_jobs(carray(pointer(job.ctypes.data), (1,), JOB)), low, high))
    return total(carray(pointer(partials), (high - low,), np.float64)), bad


@inline
def _plain(entry, kind, job, partials, low, high):
    """The same by a plain entry, whose prices and scale are numbers."""
    a1, a0, b1, b0 = carray(pointer(job[_PRICE]), (4,), kind)
    prices, scale = (np.float64(a1), np.float64(a0), np.float64(b1), np.float64(b0)), 0.0
    if job[_GRAD]:
        scale = np.float64(carray(pointer(job[_SCALE]), (1,), kind)[0])
    return _called(entry, (job[_X], job[_T], job[_GRAD], job[_N], prices, scale, low, high))


# ---- the handler ----------------------------------------------------------------------------------------------------


@inline
def _answer(frame, major, minor):
    """Which version the handler was made for, to a question of the lengths that are known."""
    extension = _words(frame[_EXTENSION], 4)
    if (frame[0] >= _FRAME_BYTES) & (extension[0] >= _EXTENSION_BYTES):
        metadata = _words(extension[3], 4)
        if metadata[0] >= _METADATA_BYTES:
            metadata[3] = minor << 32 | major


@inline
def _part(buffer, size, shape, index):
    """Where the part of a buffer begins that belongs to this index of the mapped axes."""
    own, place, stride = _words(buffer[_DIMENSIONS], shape.size), 0, size
    for back in range(shape.size):
        axis = shape.size - 1 - back
        if own[axis] != 1:
            place += index % shape[axis] * stride
            stride *= own[axis]
        index //= shape[axis]
    return buffer[_DATA] + place


@inline
def _only(job, i, single):
    """The job of its element i alone."""
    for k in range(_WORDS):
        single[k] = job[k]
    single[_N], single[_START] = 1, job[_START] + i
    single[_X] += i * _ITEMSIZES[job[_X_TYPE]]
    single[_T] += i * _ITEMSIZES[job[_T_TYPE]]
    for address, size in ((_MASK, 1), (_LOSS, _ITEMSIZES[job[_LOSS_TYPE]]), (_GRAD, _ITEMSIZES[job[_GRAD_TYPE]])):
        if job[address]:
            single[address] += i * size


@inline
def _counts(job, kind):
    """Does the only element of a job count?"""
    one, keep = carray(stack(kind(0)), (1,), kind), carray(stack(np.int32(0)), (1,), np.int32)
    keep[0] = -1
    load(one, job[_T], job[_T_TYPE], 0)
    keep_counted(keep, one, carray(pointer(job.ctypes.data), (1,), JOB)[0], 0)
    return keep[0] != 0


@inline
def _mark(piece, entry, kind, job, single, partials, low, high):
    """NaN for every element of these blocks that counts and breaks a rule: they are asked one by one. Are there any?"""
    nan, found = carray(stack(kind(0)), (1,), kind), False
    nan[0] = np.nan
    for block in range(low, high):
        _, bad = piece(entry, kind, job, partials, block, block + 1)
        if bad == 0:
            continue
        for i in range(block * BLOCK, min(block * BLOCK + BLOCK, job[_N])):
            _only(job, i, single)
            _, bad = piece(entry, kind, single, partials, 0, 1)
            if bad != 0 and _counts(single, kind):
                found = True
                if job[_LOSS]:
                    store(nan, kind(1), job[_LOSS], job[_LOSS_TYPE], i)
                if job[_GRAD]:
                    store(nan, kind(1), job[_GRAD], job[_GRAD_TYPE], i)
    return found


@inline
def _evaluated(piece, entry, kind, job, single, partials, checked):
    """The sum of the losses of a job; what is elementwise goes to its outputs."""
    found, count = 0.0, (job[_N] + BLOCK - 1) // BLOCK
    for low in range(0, count, BLOCK):
        high = min(low + BLOCK, count)
        value, bad = piece(entry, kind, job, partials, low, high)
        found += value
        if (bad != 0) & (checked != 0) and _mark(piece, entry, kind, job, single, partials, low, high):
            found = np.nan
    return found


def _handler(address):
    """The template of the handlers; `piece`, `kernel`, `kind`, `major` and `minor` are globals of each."""
    frame = _words(address, _FRAME)
    if frame[_EXTENSION] != 0 and (_words(frame[_EXTENSION], 2)[1] & _LOW_HALF) == _METADATA:
        _answer(frame, major, minor)
        return 0
    if (frame[_STAGE] & _LOW_HALF) != _EXECUTE:
        return 0
    operands = frame[_ARGS_COUNT]
    args, results = _words(frame[_ARGS], operands), _words(frame[_RESULTS], frame[_RESULTS_COUNT])
    given = _words(_words(_words(frame[_ATTRIBUTES], 1)[0], 3)[2], _SIZES + operands + results.size)
    sizes, numbers, sums = given[_SIZES:], _words(args[0], _BUFFER), _words(results[0], _BUFFER)
    shape = _words(sums[_DIMENSIONS], sums[_RANK] - 1)
    calls = 1
    for axis in range(shape.size):
        calls *= shape[axis]
    job, single = carray(stack(0), (_WORDS,), np.int64), carray(stack(0), (_WORDS,), np.int64)
    last = carray(pointer(job[_NUMBERS:].ctypes.data), (NUMBERS,), np.float64)
    partials = carray(stack(0.0), (BLOCK,), np.float64).ctypes.data
    totals = carray(pointer(sums[_DATA]), (calls,), np.float64)
    for index in range(calls):
        for k in range(_WORDS):
            job[k] = given[k]
        for k in _ADDRESSES:
            if job[k]:
                buffer = job[k] - 1
                place = args[buffer] if buffer < operands else results[buffer - operands]
                job[k] = _part(_words(place, _BUFFER), sizes[buffer], shape, index)
        own = carray(pointer(_part(numbers, sizes[0], shape, index)), (NUMBERS,), kind)
        for k in range(NUMBERS):
            last[k] = own[k]
        totals[index] = _evaluated(piece, kernel, kind, job, single, partials, given[_CHECKED])
    return 0


class Handler(NamedTuple):
    """A function for XLA: its name, which no other version shares, where it lies, and what owns it."""

    name: str
    address: int
    code: Any


_KINDS = {32: np.float32, 64: np.float64}
_WORD = types.int64
_OF_GENERAL = types.Array(from_dtype(JOB), 1, "C"), _WORD, _WORD
_OF_PLAIN = _WORD, _WORD, _WORD, _WORD, types.UniTuple(types.float64, 4), types.float64, _WORD, _WORD
"""The types of the entries' arguments, as Python's calls by address have them."""
_lock = threading.Lock()
_handlers: dict[Any, Handler] = {}
"""All that were asked for. XLA's programs keep their addresses, as long as the process lives."""


def general(loss: str, bits: int) -> Handler:
    """The handler of a loss's general entry in this arithmetic."""
    return _handler_of(entries.GENERAL[loss, bits], _general, _OF_GENERAL, _KINDS[bits])


def plain(loss: str, logits: np.dtype[Any], targets: np.dtype[Any], bits: int, *, wants_grad: bool) -> Handler | None:
    """The handler of the plain cross-entropy, whose prices come in this arithmetic; None for other losses and types."""
    found = plain_entry(CROSS_ENTROPY, logits, targets, wants_grad) if loss == CROSS_ENTROPY.name else None
    return None if found is None else _handler_of(found, _plain, _OF_PLAIN, _KINDS[bits])


def _handler_of(entry: Any, piece: Any, arguments: tuple[Any, ...], kind: Any) -> Handler:
    """Compiled, or loaded from the cache, when first asked for; never twice, for XLA knows it by its address."""
    with _lock:
        if entry not in _handlers:
            _published(entry, arguments)
            _handlers[entry] = made(entry, piece, kind, *VERSION)
        return _handlers[entry]


def made(entry: Any, piece: Any, kind: Any, major: int, minor: int) -> Handler:
    """A handler that says it was made for this version."""
    parts = {"piece": piece, "kernel": entry, "kind": kind, "major": major, "minor": minor}
    code = callback(_handler, types.intp(types.intp), **parts)
    return Handler(f"logloss_{code.__qualname__}", code.address, code)
