"""Whose array is it? A backend is found by the type of the logits, without importing anything.

Whoever holds a framework's array has imported it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import UnsupportedTypeError
from .._targets.positives import Positives
from .protocol import Backend

_FRAMEWORKS = {
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "tf_keras": "keras",
    "cupy": "cupy",
    "mlx": "mlx",
}
"""Names of packages, and the framework whose arrays have types defined there."""
_CALLS = {
    "jax": "jax.numpy.asarray({0})",
    "tensorflow": "tf.convert_to_tensor({0})",
    "torch": "torch.as_tensor({0}, device=logits.device)",
    "numpy": "numpy.asarray({0})",
    "cupy": "cupy.asarray({0})",
    "mlx": "mlx.core.array({0})",
}
"""How an array of each framework is made of another's, """
_STACKS = {"jax": "jax.numpy.stack({0})", "tensorflow": "tf.stack({0})", "torch": "torch.stack({0})"}
"""and of a list of its own."""


def framework_of(array: Any) -> str:
    """The framework that an array belongs to; "numpy" for NumPy, plain Python numbers, lists and dataframe columns."""
    for kind in type(array).__mro__:  # a subclass may be defined anywhere
        name = _FRAMEWORKS.get(kind.__module__.partition(".")[0])
        if name is not None:
            return name
    if hasattr(type(array), "__array_namespace__") and not isinstance(array, np.ndarray | np.generic):
        return type(array).__module__.partition(".")[0]
    return "numpy"


def backend_of(logits: Any, targets: Any) -> Backend:
    """The backend that evaluates losses on these arrays."""
    if type(logits) is np.ndarray and type(targets) is np.ndarray:
        return _numpy()  # type: ignore[no-any-return]
    name, other = framework_of(logits), framework_of(targets)
    if name != other and "keras" not in (name, other) and not isinstance(targets, Positives):
        raise UnsupportedTypeError(
            f"logits and targets must come from one framework; got {_type_of(logits)} and {_type_of(targets)}. "
            + _conversion(name, other, logits if name == "numpy" else targets)
        )
    return _backend(name if other != "keras" else other)


def _type_of(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__name__}"


def _conversion(name: str, other: str, array: Any) -> str:
    """The call that makes one kind of the two: what is no tensor follows the one that is."""
    which, kind = ("logits", other) if name == "numpy" else ("targets", name)
    if array is None or isinstance(array, Mapping | str | bytes):
        return f"Give {which} as an array of {kind}."
    source, rest = which, ""
    if isinstance(array, np.ma.MaskedArray):
        source, rest = f"{which}.data", f", and mask=, made of ~{which}.mask"
    elif hasattr(array, "tocsr"):
        if which == "targets":
            return "Use logloss.Positives.from_scipy(targets)."
        source = f"{which}.toarray()"
    several = isinstance(array, list | tuple) and any(framework_of(one) == kind for one in array)
    call = (_STACKS if several else _CALLS).get(kind, f"the asarray of {kind} on {{0}}").format(source)
    return f"Use {call if which == 'targets' else call.replace('logits.device', 'targets.device')}{rest}."


def linear_of(inputs: Any, **others: Any) -> Any:
    """The module that evaluates losses of a linear layer on such inputs; `others` come with them."""
    if _is_torch(inputs):
        from .torch import layer

        return layer
    _refuse_tensors("inputs", inputs, others)
    from . import numpy_layer

    return numpy_layer


def siglip_of(features: Any, **others: Any) -> Any:
    """The module that evaluates losses of image-text pairs on such features; `others` come with them."""
    if _is_torch(features):
        from .torch import pairs

        return pairs
    _refuse_tensors("image_features", features, others)
    from . import numpy_siglip

    return numpy_siglip


def _is_torch(array: Any) -> bool:
    """PyTorch's, or else NumPy's: other libraries' layers are computed by nobody."""
    name = framework_of(array)
    if name in ("numpy", "torch"):
        return name == "torch"
    raise UnsupportedTypeError(
        f"losses without logits take NumPy arrays and PyTorch tensors; got {_type_of(array)}. "
        "Use binary_cross_entropy_with_logits of the logits."
    )


def _refuse_tensors(first: str, given: Any, others: dict[str, Any]) -> None:
    """Raise where an array of another library comes with one of NumPy: its gradient would be lost."""
    for name, other in others.items():
        kind = framework_of(other)
        if kind != "numpy" and not isinstance(other, Positives):
            remedy = f"torch.as_tensor({first}, device={name}.device)" if kind == "torch" else f"numpy.asarray({name})"
            raise UnsupportedTypeError(
                f"{first} and {name} must come from one framework; got {_type_of(given)} and {_type_of(other)}. "
                f"Use {remedy}."
            )


def host() -> Any:
    """NumPy's backend, which has more functions than the protocol asks for: statistics are computed there."""
    return _numpy()


def _backend(name: str) -> Backend:
    """The module, imported when it is first asked for; by statements, for compilers that trace Python know those."""
    if name == "numpy":
        return _numpy()  # type: ignore[no-any-return]
    if name == "torch":
        from . import torch

        return torch
    if name == "jax":
        from . import jax

        return jax  # type: ignore[return-value] # its functions are compiled ones, of no known type
    if name == "tensorflow":
        from . import tensorflow

        return tensorflow
    if name == "keras":
        raise UnsupportedTypeError(
            "arrays of keras itself are no data; got a symbolic tensor or a variable. "
            "Use logloss.keras in models, and variable.value for a variable."
        )
    from . import array_api

    return array_api


@functools.cache
def _numpy() -> Any:
    from . import numpy  # brings Numba

    return numpy
