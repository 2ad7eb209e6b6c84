"""Tensors as the package sees them: views of their memory for the kernels, operands, and the values of options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._kernels.layout import BFLOAT16_BITS
from ..._spec import Options
from .. import framework_of, is_filling
from ..operands import Array, OptionArrays

FLOATS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
_HALVES = frozenset((torch.float16, torch.bfloat16))
_TARGETS = FLOATS | {
    getattr(torch, name) for name in ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
}
_WITHOUT_OPERATIONS = frozenset((torch.uint16, torch.uint32, torch.uint64))
_CASTS = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}
ARRAYS = ("pos_weight", "weight", "sample_weight", "label_weight", "mask", "normalizer")
"""The options whose values are arrays."""


# ---- memory ---------------------------------------------------------------------------------------------------------


def view(tensor: Any) -> Array:
    """A CPU tensor's own memory as a NumPy array, strides kept; nothing is copied."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(BFLOAT16_BITS)
    return tensor.numpy()


def tensor_of(array: Array) -> Any:
    """A NumPy array's memory as a tensor; nothing is copied."""
    if array.dtype.names is not None:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def wide(device: Any) -> Any:
    """The type of sums and denominators: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def result_dtype(x: Any) -> Any:
    """The type of a reduced loss: the logits', but at least float32."""
    return torch.float32 if x.dtype in _HALVES else x.dtype


def returned(value: Any, like: Any) -> Any:
    """A statistic that was computed in NumPy, as a tensor on the device of what it was computed from."""
    return torch.as_tensor(value, dtype=wide(like.device), device=like.device)


def on_host(value: Any) -> Any:
    """A tensor's values for a statistic that is computed in NumPy, where this waits for a device at most once."""
    if not isinstance(value, torch.Tensor):
        return value
    return view((value.float() if value.dtype is torch.bfloat16 else value).cpu())


# ---- operands -------------------------------------------------------------------------------------------------------


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating tensor; integers become float64."""
    if not isinstance(value, torch.Tensor):
        raise UnsupportedTypeError(f"{name} must be a tensor; got {type(value).__module__}.{type(value).__name__}.")
    if value.dtype in FLOATS:
        return _strided(name, value)
    if value.dtype in _TARGETS:
        return _strided(name, value).to(wide(value.device))
    raise UnsupportedTypeError(
        f"{name} must be float16, bfloat16, float32 or float64; got dtype {value.dtype}. Use {name}.float()."
    )


def target_array(value: Any) -> Any:
    """Targets as a tensor of bool, any integer or any float, or positive indices as they are."""
    if is_filling(value):
        return value
    if not isinstance(value, torch.Tensor):
        raise UnsupportedTypeError(
            f"targets must be a tensor like the logits; got {type(value).__module__}.{type(value).__name__}. "
            "Use torch.as_tensor(targets)."
        )
    if value.dtype in _TARGETS:
        return _strided("targets", value)
    raise UnsupportedTypeError(
        f"targets must be bool, integer or floating; got dtype {value.dtype}. Encode labels as 0 and 1."
    )


def _strided(name: str, value: Any) -> Any:
    """The tensor, with every element in memory as it is."""
    if value.layout is not torch.strided:
        raise UnsupportedTypeError(
            f"{name} must be a dense tensor; got layout {value.layout}. Use {name}.to_dense(), or padding and mask=."
        )
    return value.resolve_neg()


def dense(t: Any, device: Any) -> Any:
    """Targets on which tensor operations work: positive indices become a matrix, rare integers common ones."""
    if not is_filling(t):
        return t.to(torch.int64) if t.dtype in _WITHOUT_OPERATIONS else t
    matrix = np.empty(t.shape, np.uint8)
    t.fill(matrix.reshape(-1), 0, matrix.size)
    return torch.from_numpy(matrix).to(device)


def check_device(name: str, value: Any, x: Any) -> None:
    """One device for all: nothing moves silently. A single number may stay on the CPU."""
    if value.device != x.device and (value.ndim or value.device.type != "cpu"):
        raise InvalidInputError(
            f"logits and {name} must lie on one device; got {x.device} and {value.device}. "
            f"Use {name}.to(logits.device)."
        )


# ---- options --------------------------------------------------------------------------------------------------------


def option_tensor(name: str, value: Any, x: Any) -> Any:
    """The value of an option as a tensor: a tensor of the logits' device, a number, or a list of numbers."""
    if isinstance(value, torch.Tensor):
        check_device(name, value, x)
        return _strided(name, value)
    if isinstance(value, (torch.SymInt, torch.SymFloat)):  # a number that compiled code leaves open
        return torch.scalar_tensor(value, dtype=wide(x.device), device=x.device)
    if isinstance(value, (list, tuple)):
        value = list(value)  # compiled code has a kind of its own
    if framework_of(value) != "numpy" or (isinstance(value, np.ndarray) and value.ndim):
        raise UnsupportedTypeError(
            f"{name} must be a tensor like the logits, a number or a list; "
            f"got {type(value).__module__}.{type(value).__name__}. Use torch.as_tensor({name}, device=logits.device)."
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} must hold numbers; got {value!r}.")
    dtype = torch.bool if array.dtype.kind == "b" else wide(x.device)
    if not array.ndim:
        return torch.full((), array.item(), dtype=dtype, device=x.device)  # a copy would wait for the device
    return torch.as_tensor(array, dtype=dtype, device=x.device)


def array_options(options: Options) -> dict[str, Any]:
    """The options given as something other than a number."""
    pos_weight, weight, sample_weight, label_weight, _, _, _, mask, _, _, normalizer, _ = options
    if pos_weight is weight is sample_weight is label_weight is mask is normalizer is None:
        return {}  # asked first because every call pays for the question
    named = zip(ARRAYS, (pos_weight, weight, sample_weight, label_weight, mask, normalizer), strict=True)
    return {name: value for name, value in named if value is not None and not isinstance(value, (int, float))}


def kernel_options(options: Options, given: dict[str, Any], x: Any) -> Options:
    """The options with arrays as views of their memory."""
    if not given:
        return options
    views: dict[str, Any] = {name: _kernel_view(option_tensor(name, value, x)) for name, value in given.items()}
    return options._replace(**views)


def _kernel_view(tensor: Any) -> Array:
    return view(tensor.float() if tensor.dtype is torch.bfloat16 else tensor)


class TensorArrays:
    """Values of options as tensors (`_spec.Arrays`): differentiable, traceable, and never waiting for a device."""

    def __init__(self, x: Any, check_values: bool) -> None:
        self.x, self.check_values = x, check_values

    def real(self, name: str, value: Any) -> Any:
        """Real numbers of any type."""
        tensor = option_tensor(name, value, self.x)
        if tensor.dtype.is_complex:
            raise InvalidInputError(
                f"{name} must hold real numbers; got dtype {tensor.dtype}. Convert it to float32 or float64."
            )
        return tensor

    def double(self, name: str, value: Any) -> Any:
        """Real numbers in float64."""
        return self.real(name, value).to(wide(self.x.device))

    @staticmethod
    def single(array: Any) -> Any:
        """The one number as a 0-d tensor: it may need a gradient."""
        return array.reshape(())

    def boolean(self, name: str, value: Any) -> Any:
        """A boolean tensor."""
        tensor = option_tensor(name, value, self.x)
        if tensor.dtype is not torch.bool:
            raise InvalidInputError(
                f"{name} must be boolean, True where an element counts; got dtype {tensor.dtype}. Use {name} != 0."
            )
        return tensor

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Refuse bad numbers where looking at them is free; elsewhere they make the loss NaN."""
        if self.check_values:
            OptionArrays.check(name, view(array), positive=positive)

    @staticmethod
    def held(dtype: Any, value: Any) -> float | None:
        """The number as a target of this dtype holds it: an int for integers."""
        if dtype is torch.bool:
            return None
        if not dtype.is_floating_point:
            low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
            return int(value) if float(value).is_integer() and low <= int(value) <= high else None
        if math.isnan(value):
            return float(value)
        with np.errstate(over="ignore"):
            rounded = np.asarray(value).astype(_CASTS.get(dtype, np.float32))
        spare = dtype is torch.bfloat16 and rounded.view(np.uint32) & 0xFFFF
        return float(value) if float(rounded) == value and not spare else None
