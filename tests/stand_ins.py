"""What tests of compiled options share: a call, and arrays that keep what is asked, or know only some lengths."""

from __future__ import annotations

import numpy as np

from logloss._backends.operands import OptionArrays
from logloss._spec.losses import PLAIN_LOSS
from logloss._spec.options import Options
from logloss._spec.terms import terms

SHAPE = (2, 3, 4)


def compiled(shape=SHAPE, loss=PLAIN_LOSS, dtype="float64", arrays=OptionArrays, **options):
    return terms(loss, Options(**options), shape, dtype, arrays)


def along(axis, *values):
    """The values along an axis of three."""
    return np.array(values, np.float64).reshape([-1 if k == axis else 1 for k in range(3)])


def same(found, want):
    """Arrays with these numbers and axes; Python's floats where no array is."""
    assert np.shape(found) == np.shape(want)
    assert np.array_equal(found, want)
    assert isinstance(found, np.ndarray) == isinstance(want, np.ndarray)


class Asked(OptionArrays):
    """NumPy's, which keep what is asked."""

    def __init__(self):
        self.found = []

    def check(self, name, _, *, positive):
        self.found.append(("check", name, positive))

    def as_long(self, name, array, axes, *, or_one):
        self.found.append(("as_long", name, axes, or_one))
        return array


class Graph(Asked):
    """Those of a graph, which holds `Lengths`."""

    def real(self, _, value):
        return value

    float64 = boolean = real

    def scalar(self, _):
        return Lengths()


class Lengths:
    """An array of ones of this shape."""

    def __init__(self, *shape):
        self.shape = shape

    def reshape(self, shape):
        return Lengths(*shape)

    def __mul__(self, other):
        assert other == 1
        return self

    __rmul__ = __mul__
