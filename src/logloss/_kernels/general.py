"""The general way of a call: any dtype, layout, weight, mask and output, as jobs for a general entry.

Vectors are stretched over the elements; operands of the elements' size are walked in place or, where a kernel cannot
read them so, staged by pieces that fit a cache.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any, NamedTuple

import numpy as np

from .._spec import Primitive, Terms
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
    fits_float32,
    is_direct,
    natural_axes,
    pieces,
    span,
    staging_dtype,
)

TASK = 1 << 18
"""Elements per task: below this a second thread costs more than it brings."""

_DOMAINS = {"probabilities": blocks.UNIT, "log_probabilities": blocks.NOT_POSITIVE, "check": blocks.UNIT}
_WEIGHTS = ("row", "element", "scale")
_BLANK: dict[str, Any] = dict.fromkeys(blocks.JOB.names or (), 0)
_ARITHMETIC: dict[int, np.dtype[Any]] = {32: np.dtype(np.float32), 64: np.dtype(np.float64)}
_NOTHING, _BYTE = np.empty(0), np.dtype(np.uint8)


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
    kept: tuple[int, ...] = ()  # axes over which losses are not summed


def evaluate(call: Call) -> tuple[Any, int]:
    """The sum of the losses, or with `kept` axes an array of sums, and the flags of what was found."""
    name = call.primitive.name
    narrow = name == "cross_entropy" and call.x is not None and call.x.dtype.itemsize <= 4
    bits = 32 if narrow and fits_float32(call.scale) else 64
    entry = entries.GENERAL[name, bits]
    axes = _axes_in_memory(call)
    if axes is None:
        return _Prepared(call, entry, _ARITHMETIC[bits]).run()
    total, flags = _Prepared(_turned(call, axes), entry, _ARITHMETIC[bits]).run()
    if call.kept:
        order = [axis for axis in axes if axis in call.kept]
        total = total.transpose([order.index(axis) for axis in call.kept])
    return total, flags


def _axes_in_memory(call: Call) -> tuple[int, ...] | None:
    """The order of axes in which x lies in memory, if another than C: a Fortran array is walked as a C array."""
    leading = call.t if call.x is None else call.x
    return natural_axes(leading) if isinstance(call.t, np.ndarray) and isinstance(leading, np.ndarray) else None


def _turned(call: Call, axes: tuple[int, ...]) -> Call:
    """The same call with its axes in that order."""

    def turned(array: Any) -> Any:
        return array.transpose(axes) if isinstance(array, np.ndarray) and array.ndim == len(axes) else array

    terms = Terms(tuple(turned(price) for price in call.terms.prices), *(turned(part) for part in call.terms[1:]))
    turned_fields = {name: turned(getattr(call, name)) for name in ("x", "t", "scale", "loss", "grad", "hess")}
    kept = tuple(place for place, axis in enumerate(axes) if axis in call.kept)
    return call._replace(terms=terms, kept=kept, **turned_fields)


class _Found(NamedTuple):
    """What a task found: the sum of its losses, or those of its cells and the number of the first; and the flags."""

    total: Any
    base: int
    flags: int


class _Prepared:
    """A call as the fields of its jobs, and where its operands lie."""

    def __init__(self, call: Call, entry: Any, dtype: np.dtype[Any]) -> None:
        self.call, self.entry, self.dtype = call, entry, dtype
        self.shape = call.t.shape or (1,)
        self.size = math.prod(self.shape)
        self.fields = _BLANK.copy()
        self.keep_alive: list[Any] = []
        self.places: dict[str, tuple[int, int]] = {}  # of operands that are walked in place: address, bytes per element
        self.staged: dict[str, Any] = {}  # all other operands,
        self.rooms: dict[str, np.dtype[Any]] = {}  # and the types in which they are staged
        self._describe()
        outputs = {"loss": call.loss, "grad": call.grad, "hess": call.hess}
        self.outputs = {name: _nonscalar(array) for name, array in outputs.items() if array is not None}
        for name, array in (("x", call.x), ("t", call.t), *self.outputs.items()):
            if array is not None:
                self._operand(name, _nonscalar(array))

    def _describe(self) -> None:
        fields, terms = self.fields, self.call.terms
        for k, parameter in enumerate(self.call.primitive.parameters):
            fields[f"p{k}"] = parameter
        fields["domain"] = _DOMAINS.get(self.call.primitive.name, blocks.ANY)
        if terms.mask is not None:
            self._operand("mask", np.broadcast_to(_nonscalar(terms.mask), self.shape))
        if terms.ignored is not None:
            fields["ignore"] = blocks.NOT_NAN if terms.ignored != terms.ignored else blocks.NOT_VALUE
            fields["ignored"] = terms.ignored + (256 if _is_negative_byte(terms.ignored, self.call.t) else 0)
        self._point("price", self._prices(terms.prices))
        self._weight("row", terms.row)
        self._weight("element", terms.element)
        self._weight("scale", self.call.scale)
        self.cells = 0
        if self.call.kept:
            first, last = span(self.call.kept, len(self.shape))
            self.cells, fields["sums_inner"] = math.prod(self.shape[first:last]), math.prod(self.shape[last:])

    def _prices(self, prices: tuple[Any, Any, Any, Any]) -> Factor:
        if all(isinstance(price, float) for price in prices):
            return Factor(np.array(prices, self.dtype).reshape(4, 1), 1)
        shape = next(price.shape for price in prices if isinstance(price, np.ndarray))
        table = np.empty((4, *shape), self.dtype)
        for row, price in enumerate(prices):
            table[row] = price
        vectors = factor(table, self.shape, self.dtype)
        assert vectors is not None, "prices vary along axes that lie together"
        return vectors

    def _weight(self, slot: str, array: float | Array | None) -> None:
        if array is None:
            return
        if type(array) is float:
            self._point(slot, Factor(np.array([array], self.dtype), 1))
            return
        spread = _spread(array, self.shape)
        # a full array of another type or layout is converted piece by piece, not as a whole
        full = spread.size == self.size > PIECE and not (spread.dtype == self.dtype and is_direct(spread))
        vector = None if full else factor(spread, self.shape, self.dtype)
        if vector is None:
            self.staged[slot], self.rooms[slot] = np.broadcast_to(spread, self.shape), self.dtype
        else:
            self._point(slot, vector)

    def _point(self, slot: str, vector: Factor) -> None:
        self.keep_alive.append(vector.values)
        self.fields[slot] = address(vector.values)
        self.fields[slot + "_length"], self.fields[slot + "_inner"] = vector.values.shape[-1], vector.inner

    def _operand(self, name: str, array: Array | Filling) -> None:
        """An operand of the elements' size."""
        dtype = array.dtype if isinstance(array, np.ndarray) else _BYTE
        if isinstance(array, np.ndarray) and is_direct(array):
            self.places[name] = address(array), array.itemsize
        else:
            dtype = staging_dtype(dtype)
            self.staged[name], self.rooms[name] = array, dtype
        if name != "mask":
            self.fields[name + "_type"] = code_of(dtype)

    def run(self) -> tuple[Any, int]:
        """The sum of the losses, or an array of sums over the axes that are not kept; and the flags."""
        if not self.staged:
            tasks = [
                functools.partial(self._run_range, low, min(low + TASK, self.size)) for low in range(0, self.size, TASK)
            ]
        else:
            every = list(pieces(self.shape))
            group = max(1, TASK // every[0].size)
            tasks = [
                functools.partial(self._run_group, every[low : low + group]) for low in range(0, len(every), group)
            ]
        found = threads.run(tasks)
        if len(found) == 1 and not self.call.kept:
            return found[0].total, found[0].flags
        return self._combined(found), functools.reduce(int.__or__, (one.flags for one in found))

    def _combined(self, found: list[_Found]) -> Any:
        if not self.call.kept:
            return float(np.sum([one.total for one in found]))
        sums = np.zeros(self.cells)
        for one in found:
            high = min(one.base + len(one.total), self.cells)
            sums[one.base : high] += one.total[: high - one.base]
            sums[: len(one.total) - (high - one.base)] += one.total[high - one.base :]
        first, last = span(self.call.kept, len(self.shape))
        between = tuple(axis - first for axis in range(first, last) if axis not in self.call.kept)
        return sums.reshape(self.shape[first:last]).sum(axis=between)

    def _sums(self, fields: dict[str, Any], start: int, stop: int) -> Array:
        """Room for the sums of the cells that elements start..stop belong to."""
        if not self.call.kept:
            return _NOTHING
        inner = fields["sums_inner"]
        fields["sums_base"] = base = start // inner
        sums = np.zeros(min(self.cells, (stop - 1) // inner - base + 1))
        fields["sums"], fields["sums_length"] = address(sums), len(sums)
        return sums

    def _found(self, sums: Array, partials: Array, fields: dict[str, Any], flags: int) -> _Found:
        if self.call.kept:
            return _Found(sums, fields["sums_base"] % self.cells, flags)
        return _Found(float(partials[0] if len(partials) == 1 else partials.sum()), 0, flags)

    def _run_range(self, start: int, stop: int) -> _Found:
        """Some blocks of operands that are all walked in place."""
        fields = self.fields.copy()
        sums = self._sums(fields, start, stop)
        self._place(fields, 0, self.size)
        low, high = start // blocks.BLOCK, -(-stop // blocks.BLOCK)
        partials = np.empty(high - low)
        fields["partials"] = address(partials) - low * partials.itemsize
        flags = self.entry(_packed(fields), low, high)
        return self._found(sums, partials, fields, flags)

    def _run_group(self, group: list[Piece]) -> _Found:
        """Some pieces on one thread, through one set of scratch arrays."""
        largest = min(max(piece.size for piece in group), self.size)
        rooms = {name: np.empty(largest, dtype) for name, dtype in self.rooms.items()}
        fields = self.fields.copy()
        sums = self._sums(fields, group[0].start, group[-1].start + group[-1].size)
        totals, flags = [], 0
        for piece in group:
            self._place(fields, piece.start, piece.size)
            for name, room in rooms.items():
                self._stage(fields, name, piece, room[: piece.size])
            partials = np.empty(-(-piece.size // blocks.BLOCK))
            fields["partials"] = address(partials)
            flags |= self.entry(_packed(fields), 0, len(partials))
            totals.append(partials)
            for name in self.outputs.keys() & rooms.keys():
                part = self.outputs[name][piece.where]
                part[...] = rooms[name][: piece.size].reshape(part.shape)
        return self._found(sums, np.concatenate(totals), fields, flags)

    def _place(self, fields: dict[str, Any], start: int, n: int) -> None:
        """Elements start..start + n of the operands that are walked in place."""
        fields["start"], fields["n"] = start, n
        for name, (where, itemsize) in self.places.items():
            fields[name] = where + start * itemsize

    def _stage(self, fields: dict[str, Any], name: str, piece: Piece, room: Array) -> None:
        """The operand's elements of this piece into its room; outputs get room only."""
        fields[name] = address(room)
        if name in _WEIGHTS:  # a vector that begins at the piece's start
            fields[name] -= piece.start * room.itemsize
            fields[name + "_length"], fields[name + "_inner"] = 1 << 62, 1
        if name in self.outputs:
            return
        source = self.staged[name]
        if isinstance(source, np.ndarray):
            part = source[piece.where]
            with np.errstate(over="ignore"):  # a weight that becomes inf is the kernel's to find
                np.copyto(room.reshape(part.shape), part, casting="unsafe")
        else:
            source.fill(room, piece.start, piece.start + piece.size)


_PACKING = struct.Struct("".join("d" if blocks.JOB[name].kind == "f" else "q" for name in _BLANK))


def _packed(fields: dict[str, Any]) -> Array:
    """The fields as a job. Filling a NumPy record field by field takes twenty times as long."""
    return np.frombuffer(bytearray(_PACKING.pack(*fields.values())), blocks.JOB)


def _is_negative_byte(value: float, t: Any) -> bool:
    """int8 targets are read as uint8 (`blocks.UINT8`): there -1 is 255."""
    return value < 0 and isinstance(t, np.ndarray) and t.dtype == np.int8


def _nonscalar(array: Any) -> Any:
    """A 0-d array as one element, so that every operand has an axis to cut."""
    return array.reshape(1) if isinstance(array, np.ndarray) and array.ndim == 0 else array


def _spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A scalar or broadcastable array with as many axes as the elements."""
    array = np.asarray(value)
    if array.ndim == len(shape):
        return array
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
