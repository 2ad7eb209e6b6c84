"""Targets as the indices of positive labels, for label sets of which almost all are negative."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._errors import InvalidInputError, UnsupportedTypeError
from .._types import Array


class Positives:
    r"""Binary targets of shape (rows, labels), given by the labels that are positive in each row.

    Row i has the positive labels ``indices[indptr[i]:indptr[i + 1]]`` (compressed sparse rows); all others are 0.
    The matrix never becomes dense: kernels ask for a few thousand elements at a time. For JAX arrays and TensorFlow
    tensors it does, as one byte per element, since compiled code cannot be asked piece by piece. It is a pytree
    where JAX was imported before it was made.

    Args:
        indptr: (rows + 1,) integers, from 0 upwards, never falling.
        indices: (number of positives,) integers in [0, labels). Unsorted rows are sorted; duplicates are an error.
        shape: (rows, labels), with a product below 2^63.

    Raises:
        InvalidInputError: an index out of range, a duplicate, a shape that is none, or an `indptr` that does not
            describe `indices`.

    Example:
        >>> import logloss as ll
        >>> targets = ll.Positives.from_lists([[2], [], [0, 1]], labels=3)
        >>> targets.shape, targets.nnz
        ((3, 3), 3)
        >>> round(float(ll.binary_cross_entropy_with_logits([[0.0] * 3] * 3, targets)), 6)
        0.693147

    References:
        Saad, *Iterative Methods for Sparse Linear Systems* (2003), section 3.4, for compressed sparse rows.
    """

    __slots__ = ("_places", "indices", "indptr", "shape")

    def __init__(self, indptr: Any, indices: Any, shape: tuple[int, int]) -> None:
        rows, labels = self.shape = _shape(shape)
        self.indptr, self.indices = _integers("indptr", indptr), _integers("indices", indices)
        _check_indptr(self.indptr, rows, self.indices.size)
        self._places: Array | None = _places(self.indptr, self.indices, labels)
        self.indices = self._places - labels * _rows(self.indptr)
        _as_tree()

    @property
    def nnz(self) -> int:
        """The number of positives."""
        return len(self.indices)

    @property
    def dtype(self) -> None:
        """None: they are no array."""
        return None

    def __repr__(self) -> str:
        return f"Positives(shape={self.shape}, nnz={self.nnz})"

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[int]], labels: int) -> Positives:
        """One sequence of positive labels per row."""
        rows = [_integers(f"row {i}", row) for i, row in enumerate(lists)]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        indices = np.concatenate([np.empty(0, np.int64), *rows])
        return cls(indptr, indices, (len(rows), labels))

    @classmethod
    def from_padded(cls, padded: Any, labels: int, padding: int = -1) -> Positives:
        """A (rows, width) matrix of positive labels, short rows filled up with `padding`."""
        matrix = _integers("padded", padded, ndim=2)
        real = matrix != padding
        indptr = np.concatenate([[0], np.cumsum(real.sum(axis=1), dtype=np.int64)])
        return cls(indptr, matrix[real], (len(matrix), labels))

    @classmethod
    def from_scipy(cls, matrix: Any) -> Positives:
        """A SciPy sparse matrix or array of zeros and ones, in any of its formats; explicit zeros are dropped."""
        if not hasattr(matrix, "tocsr"):
            raise UnsupportedTypeError(
                f"from_scipy takes a SciPy sparse matrix or array; got {type(matrix).__module__}."
                f"{type(matrix).__name__}. Use scipy.sparse.csr_array(matrix)."
            )
        csr = matrix.tocsr(copy=True)
        wrong = (csr.data != 0) & (csr.data != 1)
        if wrong.any():
            count = f"{int(wrong.sum()):,} of {csr.data.size:,} stored values do not"
            raise InvalidInputError(
                f"a matrix of positives must hold only 0 and 1; {count}, the first is {csr.data[wrong][0]!s}. "
                "Use (matrix > 0) if any stored value means positive."
            )
        csr.eliminate_zeros()
        return cls(csr.indptr, csr.indices, csr.shape)

    @classmethod
    def from_parts(cls, shape: tuple[int, int], parts: tuple[Any, Any]) -> Positives:
        """Sorted `indptr` and `indices` of any kind, not looked at: what JAX took apart, put together again."""
        positives = object.__new__(cls)
        positives.shape, (positives.indptr, positives.indices), positives._places = shape, parts, None
        return positives

    def labels_between(self, start: int, stop: int) -> Positives:
        """The positives of labels start..stop alone, counted from start: a shard's, say.

        Example:
            >>> import logloss as ll
            >>> ll.Positives.from_lists([[0, 3], [2]], labels=4).labels_between(2, 4).indices.tolist()
            [1, 0]
        """
        if not 0 <= start <= stop <= self.shape[1]:
            raise InvalidInputError(
                f"a range of labels must lie in [0, {self.shape[1]}], from a start to a stop; got {start} and {stop}. "
                "Give the first label and the one after the last."
            )
        inside = (self.indices >= start) & (self.indices < stop)
        before = np.concatenate([[0], np.cumsum(inside)])
        return Positives(before[self.indptr], self.indices[inside] - start, (self.shape[0], stop - start))

    def places(self, start: int, stop: int) -> Array:
        """Where the positives among the elements start..stop are, counted along the rows (what kernels ask for)."""
        if self._places is None:
            parts = _integers("indptr", self.indptr), _integers("indices", self.indices)
            self._places = _places(*parts, self.shape[1])
        low, high = np.searchsorted(self._places, (start, stop))
        return self._places[low:high]

    def dense(self) -> Array:
        """The matrix, as one byte per element."""
        matrix = np.zeros(self.shape, np.uint8)
        matrix.reshape(-1)[self.places(0, matrix.size)] = 1
        return matrix


def _as_tree() -> None:
    """Tell JAX, if it is loaded, that positives are a tree of two arrays, before one is given to compiled code."""
    jax = sys.modules.get("jax")
    if jax is not None and hasattr(jax, "tree_util"):
        _register(jax.tree_util.register_pytree_node)


@functools.cache
def _register(register: Any) -> None:
    register(
        Positives, lambda positives: ((positives.indptr, positives.indices), positives.shape), Positives.from_parts
    )


def _shape(shape: Any) -> tuple[int, int]:
    """Rows and labels; every place in the matrix is a number that 64 bits hold."""
    try:
        rows, labels = map(operator.index, shape)
    except (TypeError, ValueError):
        rows = labels = -1
    if rows < 0 or labels < 0 or max(rows, 1) * labels >= 2**63:
        raise InvalidInputError(
            "the shape (rows, labels) must be two whole numbers, not negative, with a product below 2^63; "
            f"got {shape!r}. labels is one int; a larger matrix must be cut into batches of rows."
        )
    return rows, labels


def _integers(name: str, value: Any, ndim: int = 1) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise UnsupportedTypeError(
            f"{name} must not be a masked array: its mask would be lost. Use {name}.filled(-1) for padding, or "
            f"{name}.compressed() for one row."
        )
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(value, dtype=object)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != ndim or array.dtype.kind not in "iu":
        raise InvalidInputError(
            f"{name} must be a {ndim}-d array of integers; got shape {array.shape} and dtype {array.dtype}. "
            "Convert it to int64, or give one flat list of labels per row to Positives.from_lists."
        )
    return array.astype(np.int64)


def _check_indptr(indptr: Array, rows: int, count: int) -> None:
    falls = np.flatnonzero(np.diff(indptr) < 0)
    if len(indptr) != rows + 1 or indptr[0] != 0 or indptr[-1] != count or falls.size:
        got = f"{len(indptr)} numbers"
        if len(indptr):
            got += f" from {indptr[0]} to {indptr[-1]}"
        if falls.size:
            got += f", falling from {indptr[falls[0]]} to {indptr[falls[0] + 1]} after index {falls[0]}"
        raise InvalidInputError(
            f"indptr must rise from 0 to the number of indices, {count}, in {rows + 1} numbers for {rows} rows; "
            f"got {got}. Positives.from_lists makes it of one list per row."
        )


def _rows(indptr: Array) -> Array:
    """The row of every positive."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _places(indptr: Array, indices: Array, labels: int) -> Array:
    """row·labels + label of every positive, in rising order."""
    wrong = (indices < 0) | (indices >= labels)
    if wrong.any():
        raise InvalidInputError(
            f"positive labels must be in [0, {labels}); {int(wrong.sum()):,} are not, the first is "
            f"{indices[wrong][0]}. Use more labels, or name a value that fills up short rows in Positives.from_padded."
        )
    places: Array = np.sort(_rows(indptr) * labels + indices)
    double = places[1:] == places[:-1]
    if double.any():
        row, label = divmod(int(places[np.flatnonzero(double)[0]]), labels)
        raise InvalidInputError(
            f"a label is positive once per row; label {label} stands twice in row {row}. Drop duplicates first."
        )
    return places
