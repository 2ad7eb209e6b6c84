"""The CPU kernels within XLA: a setting as one call of a foreign function, where the machine and its values allow it.

Options reach the kernel as its coefficients, whatever they are: numbers, vectors or arrays, traced or not. One pass
gives the sum of the losses and, if it is wanted, the gradient.
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._kernels import entries, layout, parameters, xla
from ..._kernels.operands import DOMAINS, ignoring
from ..._spec import reductions
from ..._spec.losses import Loss
from ..._spec.options import Options, is_signed
from .. import operations
from ..numpy import hold_ignored


def serves(loss: Loss, options: Options, x: Any) -> bool:
    """Has the kernel what this loss, these options and these logits need, and does this XLA call it?"""
    known = loss.formula is None and (loss.name, 64) in entries.GENERAL
    return known and not is_signed(options.validate) and x.size > 0 and version() == xla.VERSION


def _bits(setting: operations.Setting) -> int:
    """The kernel's arithmetic. Focusing numbers that are given are operands, and no operand decides it."""
    loss, values, given = setting.loss, setting.terms.parameters, setting.given
    if loss.focused and not all(type(one) is float for one in values):
        return 64
    return parameters.bits(loss, given.x.dtype.itemsize, values, np.dtype(given.t.dtype))


# ---- XLA's interface ------------------------------------------------------------------------------------------------


@functools.cache
def version() -> tuple[int, int] | None:
    """The version of the interface for foreign functions that this XLA has, from the header that comes with it."""
    try:
        header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text(encoding="utf-8")
    except (AttributeError, OSError):
        return None
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", header) for part in ("MAJOR", "MINOR")]
    major, minor = (int(one[1]) if one else -1 for one in found)
    return major, minor


class RefusedError(Exception):
    """XLA does not take a handler."""


@functools.cache
def _registered(handler: xla.Handler) -> str:
    """The name under which XLA knows a handler, once it has asked that for its version."""
    try:
        jax.ffi.register_ffi_target(handler.name, jax.ffi.pycapsule(ctypes.c_void_p(handler.address)), platform="cpu")
    except Exception as error:  # of a class that changes with XLA
        raise RefusedError from error
    return handler.name


# ---- a call ---------------------------------------------------------------------------------------------------------


class Call:
    """The buffers of one call, and the fields of its job."""

    def __init__(self, setting: operations.Setting, grad: Any = None) -> None:
        self.setting, self.loss, self.shape = setting, setting.loss, setting.given.shape
        self.bits = _bits(setting)
        self.kind = np.dtype(f"float{self.bits}")
        self.fields: dict[str, Any] = {"n": math.prod(self.shape), "domain": DOMAINS[self.loss.quantity.name]}
        self.balance: tuple[Any, ...] = ()
        """Weights of positives and negatives, where they vary along the labels."""
        self.operands: list[Any] = [self._numbers()]
        self.results = [jax.ShapeDtypeStruct((1,), np.float64)]
        self._elements("x", setting.given.x)
        self._elements("t", _readable(setting.given.t))
        self._counted()
        self._weights()
        if grad is not None:
            self._factor("scale", jnp.asarray(setting.scale(), self.kind))
        self.outputs = {"loss": self._elementwise(), "grad": grad}

    # -- operands

    def _elements(self, name: str, array: Any) -> None:
        self._operand(name, jnp.reshape(array, (-1,)))
        if name != "mask":
            self.fields[f"{name}_type"] = layout.code_of(np.dtype(array.dtype))

    def _operand(self, name: str, flat: Any) -> None:
        self.operands.append(flat)
        self.fields[name] = len(self.operands)

    def _factor(self, name: str, array: Any) -> None:
        """A number, or an array that broadcasts against the elements."""
        self._table(name, array.reshape((1, *(array.shape or (1,) * len(self.shape)))))

    def _table(self, name: str, rows: Any) -> None:
        """Rows of numbers that vary along the same axes."""
        own = rows.shape[1:]
        first, last = layout.span([axis for axis, length in enumerate(own) if length != 1], len(self.shape))
        if own[first:last] != self.shape[first:last]:
            rows, first, last = jnp.broadcast_to(rows, (len(rows), *self.shape)), 0, len(self.shape)
        values = rows.astype(self.kind).reshape((len(rows), -1))
        inner, rounds = math.prod(self.shape[last:]), math.prod(self.shape[:first])
        values, inner = layout.lengthened(values, inner, rounds, jnp)
        self._operand(name, values.reshape(-1))
        self.fields[f"{name}_length"], self.fields[f"{name}_inner"] = values.shape[-1], inner

    def _rows(self, numbers: tuple[Any, ...]) -> Any:
        """Numbers, or arrays that vary along the same axes, one after another."""
        arrays = [jnp.asarray(one, self.kind) for one in numbers]
        arrays = [one.reshape(one.shape or (1,) * len(self.shape)) for one in arrays]
        return jnp.stack(jnp.broadcast_arrays(*arrays))

    def _numbers(self) -> Any:
        """The numbers that a job ends with; those of a loss that vary along the labels are a table."""
        values = self.setting.terms.parameters
        if self.loss.name in entries.BALANCED and len(jnp.shape(values[-1])):
            self.balance, values = values[-2:], values[:-2]
        own = parameters.of_core(self.loss, values, self.kind, jnp.log)
        numbers = [*self.setting.terms.smoothing, *own]
        numbers += [0.0] * (xla.NUMBERS - len(numbers))
        return jnp.stack([jnp.asarray(one, self.kind) for one in numbers])

    def _counted(self) -> None:
        terms = hold_ignored(self.setting.terms, self.setting.given.t)
        if terms.mask is not None:
            self._elements("mask", jnp.broadcast_to(terms.mask, self.shape))
        if terms.ignored is not None:
            self.fields.update(ignoring(terms.ignored, self.setting.given.t.dtype))

    def _weights(self) -> None:
        terms, prices = self.setting.terms, self._rows(self.setting.terms.prices)
        if not self.setting.checked:
            fine = ((prices >= 0) & (prices < math.inf)).all(0) & ~jnp.isnan(self.operands[0]).any()
            prices = jnp.where(fine, prices, math.nan)
        self._table("price", prices)
        if self.balance:
            self._table("balance", self._rows(self.balance))
        for name, weight in (("row", terms.row), ("element", terms.element)):
            if weight is not None:
                self._factor(name, weight)

    def _elementwise(self) -> Any:
        """The type in which losses of the elements are wanted, None where their sum is."""
        if self.setting.options.reduction == "none":
            return self.setting.given.x.dtype
        kept = reductions.kept_axes(self.setting.options, len(self.shape))
        return self.setting.dtypes.sums if kept else None

    # -- the call itself

    def evaluate(self) -> tuple[Any, Any]:
        """The loss, reduced, and the gradient if it is wanted."""
        sizes = [array.nbytes for array in self.operands]
        for name, dtype in self.outputs.items():
            if dtype is not None:
                self.results.append(jax.ShapeDtypeStruct((self.fields["n"],), dtype))
                self.fields[name] = len(self.operands) + len(self.results)
                self.fields[f"{name}_type"] = layout.code_of(np.dtype(dtype))
        sizes += [math.prod(one.shape) * one.dtype.itemsize for one in self.results]
        job = xla.attribute(self.fields, sizes, checked=not self.setting.checked)
        called = jax.ffi.ffi_call(_registered(self._handler()), self.results, vmap_method="expand_dims")
        total, *rest = called(*self.operands, job=job)
        losses = rest.pop(0).reshape(self.shape) if self.outputs["loss"] is not None else None
        if self.setting.options.reduction == "none":
            value = losses
        else:
            value = self.setting.mean(total.reshape(())) if losses is None else self.setting.reduced(losses)
        return value, rest[0].reshape(self.shape) if rest else None

    def _handler(self) -> xla.Handler:
        """The plain loop where that is enough: numbers as prices, and nothing else."""
        fields, given, handler = self.fields, self.setting.given, None
        more = fields.keys() & {"mask", "ignore", "row", "element", "loss"}
        numbers = all(fields.get(f"{name}_length", 1) == 1 for name in ("price", "scale"))
        if numbers and not more and not any(map(_is_given, self.setting.terms.parameters)):
            types = np.dtype(given.x.dtype), np.dtype(_readable(given.t).dtype)
            handler = xla.plain(self.loss.name, *types, self.bits, wants_grad="grad" in fields)
        return handler or xla.general(self.loss.name, self.bits)


def _is_given(parameter: Any) -> bool:
    return not isinstance(parameter, float) or parameter != 0.0


_WIDENED = {"int16": "int32", "uint16": "int32", "uint32": "int64"}


def _readable(t: Any) -> Any:
    """Targets in a type that kernels read."""
    known = layout.code_of(np.dtype(t.dtype)) is not None
    return t if known else t.astype(_WIDENED.get(t.dtype.name, "float32"))


def evaluate(what: Any, setting: operations.Setting) -> list[Any]:
    """What `operations` gives, by the kernel."""
    x = setting.given.x.dtype
    wanted = {operations.value: None, operations.value_and_grad: x, operations.value_and_slopes: setting.dtypes.sums}
    value, grad = Call(setting, wanted[what]).evaluate()
    return [value] if grad is None else [value, grad]
