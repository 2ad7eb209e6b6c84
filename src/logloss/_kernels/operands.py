"""Where a call's operands lie: walked in place, or staged by pieces that fit a cache.

Vectors are stretched over the elements; operands of the elements' size are walked in their own memory where a kernel
can read that.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .._spec.losses import Loss
from .._spec.terms import Terms
from .._targets.positives import Positives
from .._types import Array
from . import blocks, entries, parameters
from .layout import PIECE, Factor, Piece, address, code_of, factor, is_direct, span, staging_dtype

DOMAINS = {"logits": blocks.ANY, "probabilities": blocks.UNIT, "log_probs": blocks.NOT_POSITIVE}
"""What kernels check of the first argument, by its name."""
_WEIGHTS = ("row", "element", "scale")
SLOTS = list(blocks.JOB.names or ())
_BLANK: dict[str, Any] = dict.fromkeys(SLOTS, 0)
_BYTE = np.dtype(np.uint8)
_OWN = tuple(f"p{k}" for k in range(parameters.ROOM))
_NUMBERS = {float, np.float64}


class Call(NamedTuple):
    """One evaluation. Outputs may be any of the floating types and any layout; they overlap no input, but may be x.

    Without a loss and x, the weights of what counts are summed; `check` asks then whether targets are in [0, 1].
    """

    loss: Loss | None
    x: Array | None
    t: Array | Positives
    terms: Terms
    scale: float | Array = 1.0
    losses: Array | None = None
    grad: Array | None = None
    hess: Array | None = None
    kept: tuple[int, ...] = ()  # axes over which losses are not summed
    check: bool = False


class Operands:
    """A call as the fields of its jobs, and where its operands lie."""

    def __init__(self, call: Call, dtype: np.dtype[Any]) -> None:
        self.call, self.dtype = call, dtype
        self.shape = call.t.shape or (1,)
        self.size = math.prod(self.shape)
        self.fields = _BLANK.copy()
        self.keep_alive: list[Any] = []
        self.tables: dict[str, Factor] = {}  # of numbers, or of vectors that vary alike
        self.places: dict[str, tuple[int, int]] = {}  # of operands that are walked in place: address, bytes per element
        self.staged: dict[str, Any] = {}  # all other operands,
        self.scratch: dict[str, np.dtype[Any]] = {}  # and the types in which they are staged
        self._describe()
        outputs = {"loss": call.losses, "grad": call.grad, "hess": call.hess}
        self.outputs = {name: _nonscalar(array) for name, array in outputs.items() if array is not None}
        for name, array in (("x", call.x), ("t", call.t), *self.outputs.items()):
            if array is not None:
                self._operand(name, _nonscalar(array))

    def _describe(self) -> None:
        fields, terms, loss = self.fields, self.call.terms, self.call.loss
        fields["keep"], fields["half"] = terms.smoothing
        fields["domain"] = blocks.UNIT if loss is None and self.call.check else blocks.ANY
        if loss is not None:
            fields["domain"] = DOMAINS[loss.quantity.name]
            self._parameters(loss, terms.parameters)
        if terms.mask is not None:
            self._operand("mask", np.broadcast_to(_nonscalar(terms.mask), self.shape))
        if terms.ignored is not None:
            fields.update(ignoring(terms.ignored, self.call.t.dtype))
        self._table("price", terms.prices)
        self._weight("row", terms.row)
        self._weight("element", terms.element)
        self._weight("scale", self.call.scale)
        self.cells = 0
        if self.call.kept:
            first, last = span(self.call.kept, len(self.shape))
            self.cells, fields["sums_inner"] = math.prod(self.shape[first:last]), math.prod(self.shape[last:])

    def _parameters(self, loss: Loss, values: tuple[Any, ...]) -> None:
        """The loss's own numbers, as its core takes them."""
        values = parameters.of_core(loss, values, self.dtype)
        if loss.name in entries.BALANCED and isinstance(values[-1], np.ndarray):
            self._table("balance", values[-2:])
            values = values[:-2]
        for k, value in enumerate(values):
            self.fields[_OWN[k]] = value

    def _table(self, slot: str, given: tuple[Any, ...]) -> None:
        self.tables[slot] = numbers(given, self.shape, self.dtype)
        self._point(slot, self.tables[slot])

    def _weight(self, slot: str, array: float | Array | None) -> None:
        if array is None:
            return
        if type(array) is float:
            self._point(slot, numbers((array,), self.shape, self.dtype))
            return
        spread = _spread(array, self.shape)
        # a full array of another type or layout is converted piece by piece, not as a whole
        full = spread.size == self.size > PIECE and not (spread.dtype == self.dtype and is_direct(spread))
        vector = None if full else factor(spread, self.shape, self.dtype)
        if vector is None:
            self.staged[slot], self.scratch[slot] = np.broadcast_to(spread, self.shape), self.dtype
        else:
            self._point(slot, vector)

    def _point(self, slot: str, vector: Factor) -> None:
        self.keep_alive.append(vector.values)
        self.fields[slot] = address(vector.values)
        self.fields[slot + "_length"], self.fields[slot + "_inner"] = vector.values.shape[-1], vector.inner

    def _operand(self, name: str, array: Array | Positives) -> None:
        """An operand of the elements' size."""
        dtype = array.dtype if isinstance(array, np.ndarray) else _BYTE
        if isinstance(array, np.ndarray) and is_direct(array):
            self.places[name] = address(array), array.itemsize
        else:
            dtype = staging_dtype(dtype)
            self.staged[name], self.scratch[name] = array, dtype
        if name != "mask":
            self.fields[name + "_type"] = code_of(dtype)

    def place(self, fields: dict[str, Any], start: int, n: int) -> None:
        """Elements start..start + n of the operands that are walked in place."""
        fields["start"], fields["n"] = start, n
        for name, (where, itemsize) in self.places.items():
            fields[name] = where + start * itemsize

    def stage(self, fields: dict[str, Any], name: str, piece: Piece, array: Array) -> None:
        """The operand's elements of this piece into its scratch array; outputs get memory only."""
        fields[name] = address(array)
        if name in _WEIGHTS:  # a vector that begins at the piece's start
            fields[name] -= piece.start * array.itemsize
            fields[name + "_length"], fields[name + "_inner"] = 1 << 62, 1
        if name in self.outputs:
            return
        source = self.staged[name]
        if isinstance(source, np.ndarray):
            part = source[piece.where]
            with np.errstate(over="ignore"):  # a weight that becomes inf is the kernel's to find
                np.copyto(array.reshape(part.shape), part, casting="unsafe")
        else:
            entries.mark(array, source.places(piece.start, piece.start + piece.size), piece.start)


_PACKING = struct.Struct("".join("d" if blocks.JOB[name].kind == "f" else "q" for name in _BLANK))


def packed(values: Iterable[Any]) -> Array:
    """The fields' values as a job. Filling a NumPy record field by field takes twenty times as long."""
    return np.frombuffer(bytearray(_PACKING.pack(*values)), blocks.JOB)


def numbers(given: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Factor:
    """Numbers, or vectors that vary along the same axes of this shape, as rows of a table."""
    if {*map(type, given)} <= _NUMBERS:
        return _numbers(given, dtype)
    table = np.empty((len(given), *next(one.shape for one in given if isinstance(one, np.ndarray))), dtype)
    for row, one in zip(table, given, strict=True):
        row[...] = one
    vectors = factor(table, shape, dtype)
    assert vectors is not None, "they vary along axes that lie together"
    return vectors


@functools.lru_cache(maxsize=256)
def _numbers(numbers: tuple[float, ...], dtype: np.dtype[Any]) -> Factor:
    """Each number as a vector of one; kept, for an array takes longer to make than a small call's other steps."""
    return Factor(np.array(numbers, dtype).reshape(-1, 1), 1)


def ignoring(value: float, dtype: Any) -> dict[str, Any]:
    """The fields of a target that does not count. int8 is read as uint8 (`blocks.UINT8`): there -1 is 255."""
    wraps = value < 0 and dtype == np.int8
    return {
        "ignore": blocks.NOT_NAN if value != value else blocks.NOT_VALUE,
        "ignored": value + (256 if wraps else 0),
    }


def _nonscalar(array: Any) -> Any:
    """A 0-d array as one element, so that every operand has an axis to cut."""
    return array.reshape(1) if isinstance(array, np.ndarray) and array.ndim == 0 else array


def _spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A scalar or broadcastable array with as many axes as the elements."""
    array = np.asarray(value)
    if array.ndim == len(shape):
        return array
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
