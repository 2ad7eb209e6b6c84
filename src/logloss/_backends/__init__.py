"""Arrays of each kind: dtypes, devices and memory; no mathematics.

A backend is found by the type of the logits, without importing anything: whoever holds a framework's array has
imported it.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from .._errors import UnsupportedTypeError

_FRAMEWORKS = {
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "cupy": "cupy",
    "mlx": "mlx",
}
"""Names of packages, and the framework whose arrays have types defined there."""
_SUPPORTED = ("torch", "jax", "tensorflow")


def framework_of(array: Any) -> str:
    """The framework that an array belongs to; "numpy" for NumPy, plain Python numbers, lists and dataframe columns."""
    for kind in type(array).__mro__:  # a subclass may be defined anywhere
        name = _FRAMEWORKS.get(kind.__module__.partition(".")[0])
        if name is not None:
            return name
    return "numpy"


def backend_of(logits: Any, targets: Any) -> Any:
    """The module that evaluates losses on these arrays."""
    if type(logits) is np.ndarray and type(targets) is np.ndarray:
        return _numpy()
    name, other = framework_of(logits), framework_of(targets)
    if name != other and not (name in _SUPPORTED and is_filling(targets)):
        raise UnsupportedTypeError(
            f"logits and targets must come from one framework; got "
            f"{type(logits).__module__}.{type(logits).__name__} "
            f"and {type(targets).__module__}.{type(targets).__name__}. Convert one of them."
        )
    if name == "torch":
        from . import torch

        return torch
    if name == "jax":
        from . import jax

        return jax
    if name == "tensorflow":
        from . import tensorflow

        return tensorflow
    if name != "numpy":
        raise UnsupportedTypeError(
            f"arrays of {name} are not supported by this version; got {type(logits).__name__}. "
            "Pass NumPy arrays, e.g. numpy.asarray(x)."
        )
    return _numpy()


def is_filling(targets: Any) -> bool:
    """True for targets given as positive indices (`_kernels.layout.Filling`), which belong to no framework."""
    return hasattr(targets, "fill") and not isinstance(targets, (np.ndarray, np.generic))


def announce(kind: type) -> None:
    """Tell JAX, if it is loaded, that objects of this kind are trees of arrays, before one is given to it."""
    if "jax" in sys.modules:
        from . import jax

        jax.register(kind)


@functools.cache
def _numpy() -> Any:
    from . import numpy as backend  # brings Numba

    return backend
