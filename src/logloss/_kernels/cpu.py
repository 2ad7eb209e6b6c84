"""The door of the kernels: one call evaluates a loss over arrays of any layout, on all threads.

It takes arrays, coefficients and outputs; it knows no option, no default and no denominator. Work is cut by the
data's shape alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._spec import PLAIN, Primitive, Terms
from . import blocks, entries, threads
from .layout import (
    PIECE,
    Array,
    Factor,
    Filling,
    Piece,
    address,
    code_of,
    factor,
    is_direct,
    natural_axes,
    pieces,
    staging_dtype,
)

BAD_TARGET, BAD_WEIGHT, BAD_INPUT = 1, 2, 4
"""Flags of what was found: a target, a weight, a probability outside its domain."""

_TASK = 1 << 18
"""Elements per task: below this a second thread costs more than it brings."""

_DOMAINS = {"probabilities": blocks.UNIT, "log_probabilities": blocks.NOT_POSITIVE}
# the types that the plain entries know, as what they are passed: signed integers travel as unsigned
_PLAIN_TYPES = {
    np.dtype(own): None if passed is None else np.dtype(passed)
    for own, passed in (("f4", None), ("f8", None), ("u1", None), ("u8", None), ("?", "u1"), ("i1", "u1"), ("i8", "u8"))
}
_WORDS = blocks.JOB.itemsize // 8
_EMPTY = {32: np.empty(0, np.float32), 64: np.empty(0, np.float64)}


class Call(NamedTuple):
    """One evaluation. Outputs may be any of the floating types and any layout; they overlap no input, but may be x."""

    primitive: Primitive
    x: Array | None  # None where only targets and weights are asked about
    t: Array | Filling
    terms: Terms
    scale: float | Array = 1.0
    loss: Array | None = None
    grad: Array | None = None
    hess: Array | None = None


def evaluate(call: Call) -> tuple[float, int]:
    """The sum of the losses and the flags; elementwise results go into the call's outputs."""
    if 0 in call.t.shape:
        return 0.0, 0
    return _plain(call) or _general(call)


def tally(t: Array | Filling, terms: Terms) -> tuple[float, int]:
    """The sum of the weights of the elements that count, and the flags: what targets and weights alone say.

    No logits are read. The first price is the weight of an element's label; without any weight the sum is a count.
    """
    if 0 in t.shape:
        return 0.0, 0
    return _general(Call(Primitive("tally"), None, t, terms))


# ---- plain ----------------------------------------------------------------------------------------------------------


def _plain_view(array: Array | Filling | None) -> Array | None:
    """The array flat and under a type that the plain entries know, or None.

    Numba gives read-only arrays a type of their own: they take the general way.
    """
    if not isinstance(array, np.ndarray) or array.dtype not in _PLAIN_TYPES or not array.flags.carray:
        return None
    passed = _PLAIN_TYPES[array.dtype]
    if passed is not None:
        array = array.view(passed)
    return array if array.ndim == 1 else array.reshape(-1)


def _plain(call: Call) -> tuple[float, int] | None:
    """The common case: contiguous, scalar prices, all elements count, at most the gradient is wanted."""
    primitive, logits, targets, terms, scale, loss, grad, hess = call
    if loss is not None or hess is not None or type(scale) is not float:
        return None
    if terms is not PLAIN and not _is_scalar(terms):
        return None
    x, t, prices, name = _plain_view(logits), _plain_view(targets), terms.prices, primitive.name
    if x is None or t is None or x.dtype.kind != "f":
        return None
    if name == "probabilities" and grad is None and primitive.parameters[1] == 0.0:
        return _run(entries.plain_probabilities, x.size, x, t, prices)
    if name != "cross_entropy":
        return None
    bits = 8 * x.itemsize
    g = _EMPTY[bits]
    if grad is not None:
        view = None if grad is logits else _plain_view(grad)  # the plain loops know that g overlaps nothing
        if view is None or view.dtype != x.dtype:
            return None
        g = view
    return _run(entries.PLAIN[bits], x.size, x, t, g, prices, scale)


def _is_scalar(terms: Terms) -> bool:
    return all(part is None for part in terms[1:]) and all(type(price) is float for price in terms.prices)


def _run(entry: Callable[..., int], n: int, *args: Any) -> tuple[float, int]:
    """Call entry(*args, low, high, partials) for ranges of blocks on all threads; the sum of partials and the flags."""
    count = -(-n // blocks.BLOCK)
    partials = np.empty(count)
    step = _TASK // blocks.BLOCK
    if count <= step:
        flags = entry(*args, 0, count, partials)
    else:
        tasks = [
            functools.partial(entry, *args, low, min(low + step, count), partials) for low in range(0, count, step)
        ]
        flags = functools.reduce(int.__or__, threads.run(tasks))
    return float(partials[0] if count == 1 else partials.sum()), flags


# ---- general --------------------------------------------------------------------------------------------------------


def _general(call: Call) -> tuple[float, int]:
    """Any dtype, layout, weight, mask and output."""
    name = call.primitive.name
    bits = 32 if name == "cross_entropy" and call.x is not None and call.x.dtype.itemsize <= 4 else 64
    return _Prepared(_in_memory_order(call), entries.GENERAL[name, bits], np.dtype(f"f{bits // 8}")).run()


def _in_memory_order(call: Call) -> Call:
    """The same call with axes in the order in which x lies in memory: a Fortran array is walked as a C array."""
    leading = call.t if call.x is None else call.x
    axes = natural_axes(leading) if isinstance(call.t, np.ndarray) and isinstance(leading, np.ndarray) else None
    if axes is None:
        return call

    def turned(array: Any) -> Any:
        return array.transpose(axes) if isinstance(array, np.ndarray) and array.ndim == len(axes) else array

    terms = Terms(tuple(turned(price) for price in call.terms.prices), *(turned(part) for part in call.terms[1:]))
    turned_fields = {name: turned(getattr(call, name)) for name in ("x", "t", "scale", "loss", "grad", "hess")}
    return call._replace(terms=terms, **turned_fields)


class _Prepared:
    """A call as jobs for its entry: vectors are stretched, full operands walked in place or staged by pieces."""

    def __init__(self, call: Call, entry: Any, dtype: np.dtype[Any]) -> None:
        self.call, self.entry, self.dtype = call, entry, dtype
        self.shape = call.t.shape or (1,)
        self.size = math.prod(self.shape)
        self.keep_alive: list[Any] = []
        self.inputs: dict[str, Array | Filling] = {"t": _nonscalar(call.t)}
        if call.x is not None:
            self.inputs["x"] = _nonscalar(call.x)
        self.outputs = {
            name: _nonscalar(getattr(call, name))
            for name in ("loss", "grad", "hess")
            if getattr(call, name) is not None
        }
        self.job = np.zeros(_WORDS, np.int64).view(blocks.JOB)
        self._describe()

    def _describe(self) -> None:
        job, terms = self.job[0], self.call.terms
        for k, parameter in enumerate(self.call.primitive.parameters):
            job[f"p{k}"] = parameter
        job["domain"] = _DOMAINS.get(self.call.primitive.name, blocks.ANY)
        if terms.mask is not None:
            self._mask(terms.mask)
        if terms.ignored is not None:
            job["ignore"] = blocks.NOT_NAN if terms.ignored != terms.ignored else blocks.NOT_VALUE
            job["ignored"] = terms.ignored + (256 if _is_negative_byte(terms.ignored, self.call.t) else 0)
        self._price(terms.prices)
        self._weight("row", terms.row)
        self._weight("element", terms.element)
        if type(self.call.scale) is float:
            self._point("scale", Factor(np.array([self.call.scale], self.dtype), 1))
        else:
            self._weight("scale", self.call.scale)

    def _mask(self, mask: Array) -> None:
        self.inputs["mask"] = np.broadcast_to(_nonscalar(mask), self.shape)

    def _price(self, prices: tuple[Any, Any, Any, Any]) -> None:
        if all(type(price) is float for price in prices):
            vectors = [Factor(np.array(prices, self.dtype), 1)]
        else:
            full = np.broadcast_arrays(*(_spread(price, self.shape) for price in prices))
            vectors = [self._stretched(array) for array in full]
        table = np.concatenate([vector.values for vector in vectors])
        self._point("price", Factor(table, vectors[0].inner))
        self.job[0]["price_length"] = len(table) // 4

    def _stretched(self, array: Array) -> Factor:
        vector = factor(array, self.shape, self.dtype)
        assert vector is not None, "a price varies along one axis only"
        return vector

    def _weight(self, slot: str, array: float | Array | None) -> None:
        if array is None:
            return
        spread = _spread(array, self.shape)
        # a full array of another type or layout is converted piece by piece, not as a whole
        full = spread.size == self.size > PIECE and not (spread.dtype == self.dtype and is_direct(spread))
        vector = None if full else factor(spread, self.shape, self.dtype)
        if vector is None:
            self.inputs[slot] = np.broadcast_to(spread, self.shape)
        else:
            self._point(slot, vector)

    def _point(self, slot: str, vector: Factor) -> None:
        self.keep_alive.append(vector.values)
        self.job[0][slot] = address(vector.values)
        self.job[0][f"{slot}_length"], self.job[0][f"{slot}_inner"] = len(vector.values), vector.inner

    def run(self) -> tuple[float, int]:
        operands = (*self.inputs.values(), *self.outputs.values())
        # weights of another type, or that vary along axes which do not lie together
        staged = self.inputs.keys() & {"row", "element", "scale"}
        if not staged and all(isinstance(array, np.ndarray) and is_direct(array) for array in operands):
            return self._run_whole()
        return self._run_pieces()

    def _run_whole(self) -> tuple[float, int]:
        n = self.size
        job = self._placed(_copied(self.job), Piece((), 0, n), {**self.inputs, **self.outputs})
        return _run(functools.partial(_general_range, self.entry, job), n)

    def _run_pieces(self) -> tuple[float, int]:
        every = list(pieces(self.shape))
        group = max(1, _TASK // (every[0].size or 1))
        tasks = [functools.partial(self._run_group, every[low : low + group]) for low in range(0, len(every), group)]
        results = threads.run(tasks)
        return float(np.sum([s for s, _ in results])), functools.reduce(int.__or__, (flags for _, flags in results))

    def _run_group(self, group: list[Piece]) -> tuple[float, int]:
        """Some pieces on one thread, through one set of scratch arrays."""
        scratch = {
            name: np.empty(min(max(piece.size for piece in group), self.size), self._staging(name, array))
            for name, array in (*self.inputs.items(), *self.outputs.items())
            if not (isinstance(array, np.ndarray) and is_direct(array)) or name in ("row", "element", "scale")
        }
        total, flags = 0.0, 0
        for piece in group:
            staged = {name: self._stage(name, piece, room) for name, room in scratch.items()}
            job = self._placed(_copied(self.job), piece, {**self.inputs, **self.outputs, **staged})
            partials = np.empty(-(-piece.size // blocks.BLOCK))
            job[0]["partials"] = address(partials)
            flags |= self.entry(job, 0, len(partials))
            total += float(partials.sum())
            for name in self.outputs.keys() & staged.keys():
                whole = self.outputs[name]
                whole[piece.where] = staged[name].reshape(whole[piece.where].shape)
        return total, flags

    def _staging(self, name: str, array: Array | Filling) -> np.dtype[Any]:
        if name in ("row", "element", "scale"):
            return self.dtype
        return staging_dtype(array.dtype) if isinstance(array, np.ndarray) else np.dtype(np.uint8)

    def _stage(self, name: str, piece: Piece, room: Array) -> Array:
        """The operand's elements of this piece, contiguous; outputs get room only."""
        room = room[: piece.size]
        if name in self.inputs:
            source = self.inputs[name]
            if isinstance(source, np.ndarray):
                part = source[piece.where]
                with np.errstate(over="ignore"):  # a weight that becomes inf is the kernel's to find
                    np.copyto(room.reshape(part.shape), part, casting="unsafe")
            else:
                source.fill(room, piece.start, piece.start + piece.size)
        return room

    def _placed(self, job: Array, piece: Piece, arrays: dict[str, Any]) -> Array:
        """The job with the piece's addresses: staged operands begin with it, whole ones `start` elements back."""
        record = job[0]
        record["n"], record["start"] = piece.size, piece.start
        for name, array in arrays.items():
            whole = array is self.inputs.get(name) or array is self.outputs.get(name)
            where = address(array) + (piece.start * array.itemsize if whole else 0)
            if name in ("row", "element", "scale"):  # a staged weight is a vector that begins at the piece's start
                where -= piece.start * array.itemsize
                record[f"{name}_length"], record[f"{name}_inner"] = 1 << 62, 1
            record[name] = where
        for name in (self.inputs.keys() & {"x", "t"}) | self.outputs.keys():
            record[f"{name}_type"] = code_of(arrays[name].dtype)
        return job


def _copied(job: Array) -> Array:
    """A job of its own for a thread. NumPy copies records field by field; words are faster."""
    return job.view(np.int64).copy().view(blocks.JOB)


def _general_range(entry: Any, job: Array, low: int, high: int, partials: Array) -> int:
    job[0]["partials"] = address(partials)  # the same for every range
    return entry(job, low, high)  # type: ignore[no-any-return]


def _is_negative_byte(value: float, t: Any) -> bool:
    """int8 targets are read as uint8 (`blocks.UINT8`): there -1 is 255."""
    return value < 0 and isinstance(t, np.ndarray) and t.dtype == np.int8


def _nonscalar(array: Any) -> Any:
    """A 0-d array as one element, so that every operand has an axis to cut."""
    return array.reshape(1) if isinstance(array, np.ndarray) and array.ndim == 0 else array


def _spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A scalar or broadcastable array with as many axes as the elements."""
    array = np.asarray(value)
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
