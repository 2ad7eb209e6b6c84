"""The general way of a call: any dtype, layout, weight, mask and output, as jobs of a general entry, on all threads."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from . import blocks, entries, parameters, threads
from .again import Kind
from .layout import Piece, address, fits_float32, natural_axes, pieces, span
from .operands import Call, Operands, packed

TASK = 1 << 18
"""Elements per task: below this a second thread costs more than it brings."""

_ARITHMETIC: dict[int, np.dtype[Any]] = {32: np.dtype(np.float32), 64: np.dtype(np.float64)}
_NOTHING = np.empty(0)


Kinds = dict[Any, Kind]
"""What was found of calls of up to a task's size that differ in their outputs and the scale alone."""


def evaluate(call: Call, kinds: Kinds | None = None) -> tuple[Any, int]:
    """The sum of the losses, or with `kept` axes an array of sums, and the flags of what was found.

    Calls with the same `kinds` are alike in the types, shapes and layout of what is given, outputs aside.
    """
    if call.loss is None or call.x is None:
        entry, bits = entries.tally, 64
    else:
        targets = call.t.dtype if isinstance(call.t, np.ndarray) else None
        bits = parameters.bits(call.loss, call.x.dtype.itemsize, call.terms.parameters, targets)
        bits = bits if fits_float32(call.scale) else 64
        entry = entries.GENERAL[call.loss.name, bits]
    kind = bits, *map(_kind_of_output, (call.losses, call.grad, call.hess))
    if type(call.scale) is not float or call.kept:
        kinds = None
    if kinds is not None and kind in kinds:
        return kinds[kind].run(call)
    axes = _axes_in_memory(call)
    if axes is None:
        operands = Operands(call, _ARITHMETIC[bits])
        if kinds is not None and not operands.staged:
            kinds[kind] = Kind(entry, operands)
        return _Run(entry, operands).run()
    total, flags = _Run(entry, Operands(_turned(call, axes), _ARITHMETIC[bits])).run()
    if call.kept:
        order = [axis for axis in axes if axis in call.kept]
        total = total.transpose([order.index(axis) for axis in call.kept])
    return total, flags


def _kind_of_output(array: Array | None) -> Any:
    return None if array is None else (array.dtype, array.flags.num)


def _axes_in_memory(call: Call) -> tuple[int, ...] | None:
    """The order of axes in which x lies in memory, if another than C: a Fortran array is walked as a C array."""
    leading = call.t if call.x is None else call.x
    return natural_axes(leading) if isinstance(call.t, np.ndarray) and isinstance(leading, np.ndarray) else None


def _turned(call: Call, axes: tuple[int, ...]) -> Call:
    """The same call with its axes in that order."""

    def turned(array: Any) -> Any:
        return array.transpose(axes) if isinstance(array, np.ndarray) and array.ndim == len(axes) else array

    given = call.terms
    terms = given._replace(
        prices=tuple(map(turned, given.prices)),
        row=turned(given.row),
        element=turned(given.element),
        mask=turned(given.mask),
        parameters=tuple(map(turned, given.parameters)),
    )
    turned_fields = {name: turned(getattr(call, name)) for name in ("x", "t", "scale", "losses", "grad", "hess")}
    kept = tuple(place for place, axis in enumerate(axes) if axis in call.kept)
    return call._replace(terms=terms, kept=kept, **turned_fields)


class _Found(NamedTuple):
    """What a task found: the sum of its losses, or those of its cells and the number of the first; and the flags."""

    total: Any
    base: int
    flags: int


class _Run:
    """The jobs of a call."""

    def __init__(self, entry: Any, operands: Operands) -> None:
        self.entry, self.operands = entry, operands

    def run(self) -> tuple[Any, int]:
        """The sum of the losses, or an array of sums over the axes that are not kept; and the flags."""
        size = self.operands.size
        if not self.operands.staged and size <= TASK:
            found = [self._run_range(0, size)]
        elif not self.operands.staged:
            starts = range(0, size, TASK)
            found = threads.run([functools.partial(self._run_range, low, min(low + TASK, size)) for low in starts])
        else:
            every = list(pieces(self.operands.shape))
            group = max(1, TASK // every[0].size)
            starts = range(0, len(every), group)
            found = threads.run([functools.partial(self._run_group, every[low : low + group]) for low in starts])
        if len(found) == 1 and not self.operands.call.kept:
            return found[0].total, found[0].flags
        return self._combined(found), functools.reduce(int.__or__, (one.flags for one in found))

    def _combined(self, found: list[_Found]) -> Any:
        if not self.operands.call.kept:
            return float(np.sum([one.total for one in found]))
        sums = np.zeros(self.operands.cells)
        for one in found:
            high = min(one.base + len(one.total), self.operands.cells)
            sums[one.base : high] += one.total[: high - one.base]
            sums[: len(one.total) - (high - one.base)] += one.total[high - one.base :]
        first, last = span(self.operands.call.kept, len(self.operands.shape))
        between = tuple(axis - first for axis in range(first, last) if axis not in self.operands.call.kept)
        return sums.reshape(self.operands.shape[first:last]).sum(axis=between)

    def _sums(self, fields: dict[str, Any], start: int, stop: int) -> Array:
        """An array for the sums of the cells that elements start..stop belong to."""
        if not self.operands.call.kept:
            return _NOTHING
        inner = fields["sums_inner"]
        fields["sums_base"] = base = start // inner
        sums = np.zeros(min(self.operands.cells, (stop - 1) // inner - base + 1))
        fields["sums"], fields["sums_length"] = address(sums), len(sums)
        return sums

    def _found(self, sums: Array, partials: Array, fields: dict[str, Any], flags: int) -> _Found:
        if self.operands.call.kept:
            return _Found(sums, fields["sums_base"] % self.operands.cells, flags)
        return _Found(float(partials[0] if len(partials) == 1 else partials.sum()), 0, flags)

    def _run_range(self, start: int, stop: int) -> _Found:
        """Some blocks of operands that are all walked in place."""
        fields = self.operands.fields.copy()
        sums = self._sums(fields, start, stop)
        self.operands.place(fields, 0, self.operands.size)
        low, high = start // blocks.BLOCK, -(-stop // blocks.BLOCK)
        partials = np.empty(high - low)
        fields["partials"] = address(partials) - low * partials.itemsize
        flags = self.entry(packed(fields.values()), low, high)
        return self._found(sums, partials, fields, flags)

    def _run_group(self, group: list[Piece]) -> _Found:
        """Some pieces on one thread, through one set of scratch arrays."""
        largest = min(max(piece.size for piece in group), self.operands.size)
        scratch = {name: np.empty(largest, dtype) for name, dtype in self.operands.scratch.items()}
        fields = self.operands.fields.copy()
        sums = self._sums(fields, group[0].start, group[-1].start + group[-1].size)
        totals, flags = [], 0
        for piece in group:
            self.operands.place(fields, piece.start, piece.size)
            for name, array in scratch.items():
                self.operands.stage(fields, name, piece, array[: piece.size])
            partials = np.empty(-(-piece.size // blocks.BLOCK))
            fields["partials"] = address(partials)
            flags |= self.entry(packed(fields.values()), 0, len(partials))
            totals.append(partials)
            for name in self.operands.outputs.keys() & scratch.keys():
                part = self.operands.outputs[name][piece.where]
                part[...] = scratch[name][: piece.size].reshape(part.shape)
        return self._found(sums, np.concatenate(totals), fields, flags)
