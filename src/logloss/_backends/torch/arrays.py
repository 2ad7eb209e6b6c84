"""Tensors as the package sees them: views of their memory for the kernels, operands, and the values of options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._kernels.layout import BFLOAT16_BITS
from ..._spec.losses import Number
from ..._spec.options import Options
from ..._spec.terms import KnownLengths, number
from ..._targets.positives import Positives
from ..._types import Array
from .._diagnosis import not_boolean, not_floating, not_real, not_targets
from ..kinds import framework_of
from ..operands import OptionArrays
from . import state

FLOATS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
_HALVES = frozenset((torch.float16, torch.bfloat16))
_TARGETS = FLOATS | {
    getattr(torch, name) for name in ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
}
_WITHOUT_OPERATIONS = frozenset((torch.uint16, torch.uint32, torch.uint64))
NUMPY_TARGETS = _TARGETS - {torch.bfloat16}
"""Types of targets that NumPy knows too."""
_CASTS = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}


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


def from_host(value: Any, like: Any) -> Any:
    """A statistic that was computed in NumPy, as a tensor on the device of what it was computed from."""
    return torch.as_tensor(value, dtype=wide(like.device), device=like.device)


def on_host(value: Any) -> Any:
    """A tensor's values for a statistic that is computed in NumPy, where this waits for a device at most once."""
    if not isinstance(value, torch.Tensor):
        return value
    value = _strided("values", value)
    if not state.has_memory(value):
        raise UnsupportedTypeError(
            f"statistics are computed of values; got a {type(value).__name__} without memory of its own. "
            "Use full_tensor() of distributed ones."
        )
    return view((value.float() if value.dtype is torch.bfloat16 else value).cpu())


# ---- operands -------------------------------------------------------------------------------------------------------


def floating(value: Any, name: str) -> Any:
    """Logits (or probabilities) as a floating tensor; integers become float64."""
    if not isinstance(value, torch.Tensor):
        raise UnsupportedTypeError(f"{name} must be a tensor; got {_type_of(value)}. Use {_call_for(name, value)}.")
    if value.is_nested or value.is_quantized or value.dtype in FLOATS:
        return _strided(name, value)
    if value.dtype in _TARGETS:
        return _strided(name, value).to(wide(value.device))
    raise not_floating(name, value.dtype, f"Use {name}.{'real' if value.dtype.is_complex else 'float()'}.")


def target_array(value: Any) -> Any:
    """Targets as a tensor of bool, any integer or any float, or positive indices as they are."""
    if isinstance(value, Positives):
        return value
    if not isinstance(value, torch.Tensor):
        raise UnsupportedTypeError(
            f"targets must be a tensor like the logits; got {_type_of(value)}. Use {_call_for('targets', value)}."
        )
    if value.is_nested or value.is_quantized or value.dtype in _TARGETS:
        return _strided("targets", value)
    raise not_targets(value.dtype, f"Use targets.{'real' if value.dtype.is_complex else 'float()'}.")


def _type_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def holds_tensors(value: Any) -> bool:
    """Is it a list of which some are tensors?"""
    return isinstance(value, list | tuple) and any(isinstance(one, torch.Tensor) for one in value)


def _call_for(name: str, value: Any) -> str:
    """What makes a tensor of it."""
    if isinstance(value, np.ma.MaskedArray):
        return f"torch.as_tensor({name}.data), and mask=, made of ~{name}.mask"
    return f"torch.{'stack' if holds_tensors(value) else 'as_tensor'}({name})"


def _strided(name: str, value: Any) -> Any:
    """The tensor, with every element in memory as it is."""
    if _is_masked(value) or value.is_nested or value.is_quantized or value.layout is not torch.strided:
        raise UnsupportedTypeError(f"{name} must be a dense tensor; got {_layout(value)}. {_remedy(name, value)}")
    return value.resolve_neg()


def _is_masked(value: Any) -> bool:
    return type(value) is not torch.Tensor and isinstance(value, torch.masked.MaskedTensor)


def _layout(value: Any) -> str:
    if _is_masked(value):
        return "a masked one, whose mask would be lost"
    if value.is_nested:
        return "a nested tensor"
    return f"a quantised one of dtype {value.dtype}" if value.is_quantized else f"layout {value.layout}"


def _remedy(name: str, value: Any) -> str:
    """What makes a dense tensor of it."""
    if _is_masked(value):
        return f"Use {name}.get_data() and mask={name}.get_mask()."
    if value.is_nested:
        return f"Use {name}.values() for all its elements in one row, beside those of targets."
    return f"Use {name}.dequantize()." if value.is_quantized else f"Use {name}.to_dense(), or padding and mask=."


def dense(t: Any, device: Any) -> Any:
    """Targets on which tensor operations work: positive indices become a matrix, rare integers common ones."""
    if not isinstance(t, Positives):
        return t.to(torch.int64) if t.dtype in _WITHOUT_OPERATIONS else t
    return torch.from_numpy(t.dense()).to(device)


def check_device(name: str, value: Any, x: Any) -> None:
    """One device for all: nothing moves silently. A single number may stay on the CPU."""
    if value.device != x.device and (value.ndim or value.device.type != "cpu"):
        raise InvalidInputError(
            f"logits and {name} must lie on one device; got {x.device} and {value.device}. "
            f"Use {name}.to(logits.device)."
        )


# ---- options --------------------------------------------------------------------------------------------------------


def as_tensor(value: Any, x: Any) -> Any:
    """A number where x is, by a product: compilers leave numbers open in arithmetic, but not where one is filled in."""
    return torch.ones((), dtype=wide(x.device), device=x.device) * value


def option_tensor(name: str, value: Any, x: Any) -> Any:
    """The value of an option as a tensor: a tensor of the logits' device, a number, or a list of numbers."""
    if isinstance(value, torch.Tensor):
        value = _strided(name, value)
        if value.dtype not in _TARGETS:
            raise not_real(name, value.dtype)
        check_device(name, value, x)
        return value
    if isinstance(value, (torch.SymInt, torch.SymFloat)):  # a number that compiled code leaves open
        return as_tensor(value, x)
    if isinstance(value, (list, tuple)):
        value = list(value)  # compiled code has a kind of its own
        if holds_tensors(value):
            return torch.stack([option_tensor(name, one, x) for one in value])
    if framework_of(value) != "numpy" or (isinstance(value, np.ndarray) and value.ndim):
        raise UnsupportedTypeError(
            f"{name} must be a tensor like the logits, a number or a list; "
            f"got {_type_of(value)}. Use torch.as_tensor({name}, device=logits.device)."
        )
    array = OptionArrays.real(name, value)
    dtype = torch.bool if array.dtype.kind == "b" else wide(x.device)
    if not array.ndim:
        return torch.full((), array.item(), dtype=dtype, device=x.device)  # a copy would wait for the device
    return torch.as_tensor(array, dtype=dtype, device=x.device)


def kernel_options(options: Options, x: Any) -> Options:
    """The options with arrays as views of their memory."""
    arrays = options.arrays
    if not arrays:
        return options
    return options.replace(**{name: kernel_view(option_tensor(name, value, x)) for name, value in arrays.items()})


def kernel_view(tensor: Any) -> Array:
    """A tensor's memory as the kernels read options: bare bits are no numbers."""
    return view(tensor.float() if tensor.dtype is torch.bfloat16 else tensor)


class TensorArrays(KnownLengths):
    """Values of options as tensors (`_spec.Arrays`): differentiable, traceable, and never waiting for a device."""

    def __init__(self, x: Any, check_values: bool) -> None:
        self.x, self.check_values = x, check_values

    def real(self, name: str, value: Any) -> Any:
        """Real numbers of any type."""
        return option_tensor(name, value, self.x)

    def float64(self, name: str, value: Any) -> Any:
        """Real numbers in float64."""
        return self.real(name, value).to(wide(self.x.device))

    @staticmethod
    def scalar(array: Any) -> Any:
        """The one number as a 0-d tensor: it may need a gradient."""
        return array.reshape(())

    def boolean(self, name: str, value: Any) -> Any:
        """A boolean tensor."""
        tensor = option_tensor(name, value, self.x)
        if tensor.dtype is not torch.bool:
            raise not_boolean(name, tensor.dtype)
        return tensor

    def check(self, name: str, array: Any, *, positive: bool) -> None:
        """Refuse bad numbers where looking at them is free; elsewhere they make the loss NaN."""
        if self.check_values:
            OptionArrays.check(name, kernel_view(array), positive=positive)

    def number(self, one: Number, value: Any) -> Any:
        """The number, as a tensor where its value is not at hand or is to be learnt."""
        known = not isinstance(value, (torch.Tensor, torch.SymFloat, torch.SymInt))
        if known or getattr(value, "dtype", None) is torch.bool:
            return number(one, value)
        array = self.float64(one.name, value)
        if array.ndim and array.numel() != 1:
            raise InvalidInputError(f"{one.name} must be a finite number; got shape {tuple(array.shape)}. {one.remedy}")
        return self.inside(one, array.reshape(()))

    def inside(self, one: Number, array: Any) -> Any:
        """The tensor; what is outside the interval is refused where looking is free, and becomes NaN elsewhere."""
        if self.check_values:
            OptionArrays.inside(one, kernel_view(array))
            return array
        fine = (array >= one.low) & (array <= one.high) & (array < math.inf)
        return array * torch.where(fine, 1.0, math.nan)  # a product, for the gradient is NaN too

    @staticmethod
    def representable(dtype: Any, value: Any) -> float | None:
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
