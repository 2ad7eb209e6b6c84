"""The alphabet: what arrays and shapes are called in annotations."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
"""A NumPy array of any dtype; arrays that may be of any framework are `Any`."""

Shape = tuple[int, ...]

Lengths = tuple[int | None, ...]
"""A shape of which some lengths are known only when a graph runs."""
