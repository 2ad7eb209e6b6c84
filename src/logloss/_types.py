"""The alphabet: what arrays and shapes are called in annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
"""A NumPy array of any dtype; arrays that may be of any framework are `Any`."""

Shape = tuple[int, ...]

# ---- what public functions return: the type of array that they are given --------------------------------------------

A = TypeVar("A")
"""An array of any framework."""

S = TypeVar("S", bound=tuple[int, ...])
F = TypeVar("F", bound=np.floating[Any])
Floats = np.ndarray[S, np.dtype[F]]
"""A NumPy array of floating numbers, of a shape and a type that a result shares."""

Doubles = np.ndarray[Any, np.dtype[np.float64]]
"""A NumPy array of float64."""

Numbers = Array | Sequence[Any] | float
"""What is computed in NumPy: its arrays, lists and numbers of Python."""
