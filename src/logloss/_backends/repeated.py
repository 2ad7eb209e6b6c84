"""What calls of one kind have in common: found by the first of them, kept for the others.

A call on ten elements is over sooner than its arguments have been looked at. What follows from names, types, shapes and
plain numbers is therefore asked once for each kind of call; what depends on the values of arrays is asked every time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._kernels.general import TASK, Kinds
from .._spec.losses import Primitive
from .._spec.options import Options
from .._spec.terms import Terms
from .._types import Array

_MOST = 256
"""Kinds that are kept: programs have a few; one whose numbers or shapes change with every call has no use for them."""
_KINDS: dict[Any, Repeated] = {}
_NUMBERS = {float, int, bool, str, type(None), np.float64, np.float32}
_OWN = frozenset({"sample_weight", "weight", "mask"})
"""Options that are part of `Terms` as they are given: whether they fit is a matter of shapes."""


class Repeated:
    """The calls of one kind."""

    def __init__(self, options: Options) -> None:
        self.kinds: Kinds | None = {}
        self.counts: Kinds = {}
        self._row_shape: tuple[int, ...] = ()
        self._vectors = [name for name in options.given if type(options.given[name]) is np.ndarray and name not in _OWN]
        self._known: tuple[list[bytes], Terms] | None = None  # one reference, for other threads read it

    def terms(self, options: Options, compute: Callable[[Options], Terms]) -> Terms:
        """The coefficients of a call: those of the last one, unless vectors that they are computed of hold others."""
        contents = [options.given[name].tobytes() for name in self._vectors]
        known = self._known
        if known is None or contents != known[0]:
            found = compute(options)
            if self.kinds is None or (found.ignored is None and options.ignore_index is not None):
                self.kinds = None  # what is ignored has become a mask, which depends on the targets
                return found
            self._row_shape = () if found.row is None else found.row.shape
            self._known = contents, found._replace(row=None, element=None, mask=None)
            return found
        found = known[1]
        row = options.sample_weight
        if row is not None:
            row = row.reshape(self._row_shape)
        return Terms(found.prices, row, options.weight, options.mask, *found[4:])


def repeated(primitive: Primitive, x: Array, t: Any, options: Options) -> Repeated | None:
    """The calls of this one's kind; None where too much depends on values, or where Python's part is a small one."""
    if type(t) is not np.ndarray or x.size > TASK or not x.flags.c_contiguous:
        return None
    kind = [primitive.loss, x.dtype, x.shape, x.flags.num, t.dtype, t.flags.num]
    for number in primitive.given:
        if type(number) not in _NUMBERS:
            return None
        kind += type(number), number
    for name, given in options.given.items():
        what = type(given)
        if what is np.ndarray:
            if not given.ndim or name == "normalizer":
                return None
            kind += name, given.dtype, given.shape, given.flags.num
        elif given is None or (what in _NUMBERS and name not in _OWN and given == given):
            kind += name, what, given
        else:
            return None
    key = tuple(kind)
    found = _KINDS.get(key)
    if found is None:
        if len(_KINDS) >= _MOST:
            _KINDS.clear()
        found = _KINDS[key] = Repeated(options)
    return found
