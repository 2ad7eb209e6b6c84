"""Calls of one kind: of the first of them the job is kept, and of the others only addresses and numbers are found."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .._types import Array
from . import blocks
from .layout import address, factor
from .operands import SLOTS, Call, Operands, numbers, packed

_X, _T, _MASK, _LOSS, _GRAD, _HESS, _PRICE, _ROW, _ELEMENT, _SCALE, _PARTIALS = map(
    SLOTS.index, ("x", "t", "mask", "loss", "grad", "hess", "price", "row", "element", "scale", "partials")
)


class Kind:
    """What calls of one kind have in common: types, shapes, layout, what is given at all, and the loss's own numbers.

    Of them nothing is staged, no axis is kept, and the scale is a number. No array of a caller is kept alive.
    """

    def __init__(self, entry: Any, operands: Operands) -> None:
        fields, terms = operands.fields, operands.call.terms
        self._entry, self._blocks = entry, -(-operands.size // blocks.BLOCK)
        self._values = list({**fields, "start": 0, "n": operands.size}.values())
        self._shape, self._dtype = operands.shape, operands.dtype
        self._prices, self._tables = terms.prices, operands.tables
        self._row_in_place = terms.row is not None and fields["row"] == address(terms.row)
        self._element_in_place = terms.element is not None and fields["element"] == address(terms.element)

    def run(self, call: Call) -> tuple[float, int]:
        """The sum of the losses and the flags of another call of this kind."""
        values, terms = self._values.copy(), call.terms
        values[_T] = address(cast(Array, call.t))
        if call.x is not None:
            values[_X] = address(call.x)
        if terms.mask is not None:
            values[_MASK] = address(terms.mask)
        if call.losses is not None:
            values[_LOSS] = address(call.losses)
        if call.grad is not None:
            values[_GRAD] = address(call.grad)
        if call.hess is not None:
            values[_HESS] = address(call.hess)
        row = terms.row if self._row_in_place or terms.row is None else self._vector(terms.row)
        if row is not None:
            values[_ROW] = address(row)
        element = terms.element if self._element_in_place or terms.element is None else self._vector(terms.element)
        if element is not None:
            values[_ELEMENT] = address(element)
        table = self._tables["price"]
        if terms.prices is not self._prices:
            table = numbers(terms.prices, self._shape, self._dtype)
        scale, partials = numbers((call.scale,), self._shape, self._dtype), np.empty(self._blocks)
        values[_PRICE], values[_SCALE] = address(table.values), address(scale.values)
        values[_PARTIALS] = address(partials)
        flags = self._entry(packed(values), 0, self._blocks)
        return float(partials[0] if self._blocks == 1 else partials.sum()), flags

    def _vector(self, weight: Any) -> Any:
        """A weight in the kernel's type."""
        vector = factor(weight, self._shape, self._dtype)
        assert vector is not None, "that of the first call was one"
        return vector.values
