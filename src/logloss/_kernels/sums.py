"""The sum of a block of numbers, with the same bits on every machine and at the speed of its widest registers.

A compiler adds in vectors only if it may choose the order, and then the order is that of the machine it compiles for.
Here the order is fixed: 32 sums side by side, which registers of any width take in step. They are halved until one is
left, each half added to the other; numbers that fill no 32 are added to the first halves that they fill.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
_DOUBLE = ir.DoubleType()


@intrinsic
def total(typing, values):
    """The sum of contiguous numbers, in float64."""
    if values.ndim != 1 or values.layout != "C" or not isinstance(values.dtype, types.Float):
        return None

    def codegen(context, b, signature, args):
        array = context.make_array(values)(context, b, args[0])
        return _Sum(b, array.data, cgutils.unpack_tuple(b, array.shape)[0]).emit()

    return types.float64(values), codegen


class _Sum:
    """The instructions of one sum: `n` numbers at `data`, of which `done` are added."""

    def __init__(self, builder: Any, data: Any, n: Any) -> None:
        self.b, self.data, self.n = builder, data, n
        self.done = cgutils.alloca_once_value(builder, ir.Constant(n.type, 0))

    def emit(self) -> Any:
        b, width = self.b, LANES
        sums = self._zeros(width)
        with cgutils.for_range(b, b.udiv(self.n, self._whole(width))):
            self._take(sums, width)
        while width > 1:
            narrow = self._zeros(width // 2)
            with b.if_then(b.icmp_unsigned(">=", self.n, self._whole(width))):
                b.store(self._halved(b.load(sums), width), narrow)
            sums, width = narrow, width // 2
            with b.if_then(cgutils.is_not_null(b, b.and_(self.n, self._whole(width)))):
                self._take(sums, width)
        return b.extract_element(b.load(sums), ir.Constant(ir.IntType(32), 0))

    def _whole(self, number: int) -> Any:
        return ir.Constant(self.n.type, number)

    def _zeros(self, width: int) -> Any:
        kind = ir.VectorType(_DOUBLE, width)
        return cgutils.alloca_once_value(self.b, ir.Constant(kind, [0.0] * width))

    def _take(self, sums: Any, width: int) -> None:
        """Add the next `width` numbers, one to each of the sums."""
        b, own = self.b, self.data.type.pointee
        place = b.gep(self.data, [b.load(self.done)])
        numbers = b.load(b.bitcast(place, ir.VectorType(own, width).as_pointer()), align=8 if own == _DOUBLE else 4)
        if own != _DOUBLE:
            numbers = b.fpext(numbers, ir.VectorType(_DOUBLE, width))
        b.store(b.fadd(b.load(sums), numbers), sums)
        b.store(b.add(b.load(self.done), self._whole(width)), self.done)

    def _halved(self, sums: Any, width: int) -> Any:
        """The first half of the sums plus the second."""
        b, lanes = self.b, ir.VectorType(ir.IntType(32), width // 2)
        first, second = ir.Constant(lanes, list(range(width // 2))), ir.Constant(lanes, list(range(width // 2, width)))
        nothing = ir.Constant(sums.type, ir.Undefined)
        return b.fadd(b.shuffle_vector(sums, nothing, first), b.shuffle_vector(sums, nothing, second))
