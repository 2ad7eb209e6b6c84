"""The kernels' own source run by Python, not compiled: to be imported before them, with NUMBA_DISABLE_JIT=1.

What Numba's language lacks kernels write as instructions for LLVM (`_kernels/ops.py`). Here each of these operations
has a second meaning, by NumPy's scalars and the C library's `fma`: what then comes out is what the source says,
whatever a compiler, its vectors and its contractions make of it. An operation without a meaning here is an error.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numba
import numba.extending
import numpy as np

from order import in_order

if not numba.config.DISABLE_JIT or any(name.startswith("logloss._kernels.") for name in sys.modules):
    raise ImportError("the kernels have been compiled: set NUMBA_DISABLE_JIT=1, and import this before them")


def _of_c(name: str, kind: Any) -> Callable[..., Any]:
    function = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    function.argtypes, function.restype = (kind,) * 3, kind
    return function  # type: ignore[no-any-return]


FUSED = {np.float32: _of_c("fmaf", ctypes.c_float), np.float64: _of_c("fma", ctypes.c_double)}
"""x·y + z, rounded once."""


def forget_to_fuse() -> None:
    """From now on round twice, as a compiler might: what a comparison must notice."""
    FUSED.update(dict.fromkeys(FUSED, lambda x, y, z: x * y + z))


def _integer(x: Any) -> Any:
    """The signed integer with a float's bits."""
    return x.view(f"i{x.itemsize}")


def _fma(x: Any, y: Any, z: Any) -> Any:
    kind = type(x) if isinstance(x, np.floating) else np.float64
    return kind(FUSED[kind](x, y, z))


def _polynomial(values: Any, x: Any) -> Any:
    total = type(x)(values[-1])
    for value in reversed(values[:-1]):
        total = _fma(total, x, type(x)(value))
    return total


def _magnitude(x: Any) -> Any:
    return np.abs(np.float64(x) if isinstance(x, float) else x)


def _is_unfit(most: Any, x: Any) -> Any:
    """-1 unless 0 <= x <= most."""
    largest = np.int64(most[numba.typeof(x)]).astype(f"i{x.itemsize}").view(x.dtype)
    return type(_integer(x))(0 if 0 <= x <= largest else -1)


def _power_of_two(x: Any) -> Any:
    bits = {np.float32: 23, np.float64: 52}[type(x)]
    return np.ldexp(type(x)(1), int(x - type(x)(1.5 * 2**bits)) + 64)


def _split_exponent(x: Any, low: Any) -> Any:
    mantissa, k = np.frexp(x)  # in [1/2, 1)
    return (mantissa * 2, type(x)(k - 1)) if mantissa < low else (mantissa, type(x)(k))


def _bfloat(x: Any) -> Any:
    return np.float32(x).astype(ml_dtypes.bfloat16).view(np.uint16)


def _round_to_odd(x: Any) -> Any:
    near = np.float32(x)
    if np.float64(near) == x or not np.isfinite(x):
        return near
    down = near if abs(np.float64(near)) < abs(x) else np.nextafter(near, np.float32(0))
    return (down.view(np.int32) | np.int32(1)).view(np.float32)


MEANINGS: dict[str, Callable[..., Any]] = {
    "fma": _fma,
    "square_root": np.sqrt,
    "select": lambda condition, x, y: x if condition else y,
    "magnitude": _magnitude,
    "is_negative": np.signbit,
    "flip_sign": lambda x, by: -x if np.signbit(by) else x,
    "power_of_two": _power_of_two,
    "_split_exponent32": _split_exponent,
    "_split_exponent64": _split_exponent,
    "keep_bits": lambda x, mask: x if mask else type(x)(0),
    "all_bits": lambda condition: np.int32(-1 if condition else 0),
    "int_bits": lambda condition: np.int32(bool(condition)),
    "bit_or": lambda x, y: x | y,
    "float_from_half": lambda bits: np.float32(bits.view(np.float16)),
    "half_from_float": lambda x: np.float32(x).astype(np.float16).view(np.int16),
    "float_from_bfloat": lambda bits: np.float32(bits.view(ml_dtypes.bfloat16)),
    "bfloat_from_float": _bfloat,
    "_round_to_odd64": _round_to_odd,
    "pointer": int,
    "prefetch": lambda *_: None,
    "stack": lambda kind: np.full(256, np.nan if isinstance(kind, float | np.floating) else -1, np.asarray(kind).dtype),
    "total": in_order,
    "bits": lambda x: np.float64(x).view(np.int64),
    "from_bits": lambda i: np.int64(i).view(np.float64),
    "_plus": lambda x, y: x + y,
}
"""What each intrinsic of the package means. Scratch begins as NaN, so that nothing unwritten is read unseen."""

CLOSURES: dict[str, tuple[str, Callable[..., Any]]] = {
    "sign": ("most", _is_unfit),
    "evaluate": ("values", _polynomial),
    "room": ("count", lambda count, _: np.full(count, np.nan)),
}
"""The same of intrinsics that are made with a value of this name, which comes first."""


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """In place of Numba's: the meaning of that name."""
    if function.__module__.split(".")[0] != "logloss":
        return _intrinsic(function)
    if function.__name__ in CLOSURES:
        name, meaning = CLOSURES[function.__name__]
        return functools.partial(meaning, inspect.getclosurevars(function).nonlocals[name])
    return MEANINGS.get(function.__name__, _unknown)


def _unknown(*arguments: Any) -> None:
    raise NotImplementedError("this operation has no meaning in tests/uncompiled.py; give it one")


def overload(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """In place of Numba's: the function chosen by the arguments' types, at each call."""
    if not function.__module__.startswith("logloss."):
        return _overload(function, **options)

    def decorate(choose: Callable[..., Any]) -> Callable[..., Any]:
        def chosen(*arguments: Any) -> Any:
            return choose(*map(numba.typeof, arguments))(*arguments)

        setattr(sys.modules[function.__module__], function.__name__, chosen)
        return choose

    return decorate


def carray(memory: Any, shape: Any, dtype: Any) -> np.ndarray:
    """In place of Numba's: scratch is an array itself, an address leads to memory that somebody else keeps."""
    count = int(np.prod(shape))
    if isinstance(memory, np.ndarray):
        return memory[:count].view(dtype).reshape(shape)
    if count == 0:
        return np.empty(shape, dtype)
    held = (ctypes.c_byte * (count * np.dtype(dtype).itemsize)).from_address(memory)
    return np.frombuffer(held, dtype).reshape(shape)


_intrinsic, _overload = numba.extending.intrinsic, numba.extending.overload
numba.extending.intrinsic, numba.extending.overload, numba.carray = intrinsic, overload, carray
np.seterr(all="ignore")  # as compiled code is: what becomes inf or NaN, or wraps round, is meant
warnings.filterwarnings("ignore", category=RuntimeWarning)

from logloss._kernels import blocks  # noqa: E402 - now with these meanings

blocks.JOB = np.dtype((np.record, blocks.JOB))  # whose fields are attributes, as compiled code has them
