"""Operators for traced code (torch.compile, torch.export) on the CPU: the kernels as opaque calls.

They refuse bad values as eager code does: the compiled program calls the same kernels. Whatever may vary, arrays and
numbers, travels as named tensors, so that another value compiles nothing anew; their signature is derived from the
table of options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..._spec.losses import BY_NAME, Loss, primitive, reduced
from ..._spec.options import FIELDS, STATIC, VARYING, given_options
from ..._spec.reductions import reduced_shape
from . import autograd, clamped, cpu, state
from .arrays import option_tensor, result_dtype
from .call import Call

OPTIONS = "str names, Tensor[] values, " + ", ".join(f"{FIELDS[name].schema} {name}" for name in STATIC)
"""The arguments of an operator that options become (`flat`), and are again (`call_of`)."""
_ARGUMENTS = f"(Tensor x, Tensor t, str loss, {OPTIONS}"
_ABSENT = "no "
"""A number of the loss that was given as None has this before its name, and no value."""


def serves(call: Call, x: Any, t: Any) -> bool:  # noqa: ARG001 - other ways look at them
    """Traced code on the CPU, of losses that have a kernel."""
    return x.is_cpu and state.is_traced(x) and cpu.has_kernel(call)


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced, with a gradient if the logits need one."""
    arguments = (x, t, call.primitive.loss.name, *flat(call, x))
    if torch.is_grad_enabled() and x.requires_grad:
        return torch.ops.logloss.loss_and_grad(*arguments)[0]
    return torch.ops.logloss.loss(*arguments)


def flat(call: Call, x: Any) -> tuple[Any, ...]:
    """What varies as names, separated by commas, and tensors; and the static options in the operators' order."""
    own = call.primitive.numbers
    varying = {name: value for name, value in call.options.given.items() if name in VARYING}
    given = {name: value for name, value in {**varying, **own}.items() if value is not None}
    absent = [_ABSENT + name for name, value in own.items() if value is None]
    values = [option_tensor(name, value, x) for name, value in given.items()]
    return (
        ",".join([*given, *absent]),
        values,
        *(_STATIC[FIELDS[name].schema](getattr(call.options, name)) for name in STATIC),
    )


def _axes(axis: Any) -> list[int] | None:
    return None if axis is None else list(axis) if isinstance(axis, tuple) else [axis]


_STATIC: dict[str, Callable[[Any], Any]] = {
    "int": lambda value: value,
    "float?": lambda value: None if value is None else float(value),
    "int[]?": _axes,
    "str": str,
}
"""An option's value as an operator's argument, by the argument's type."""


def call_of(loss: str, names: str, values: list[Any], static: tuple[Any, ...]) -> Call:
    """The loss and the options of an operator's arguments."""
    row: Loss = BY_NAME[loss]
    named = names.split(",") if names else []
    given: dict[str, Any] = dict(zip(named, values, strict=False))
    own = {one.name: given.pop(one.name) for one in row.numbers if one.name in given}
    own |= {name.removeprefix(_ABSENT): None for name in named if name.startswith(_ABSENT)}
    numbers = {name: value if value is None or value.ndim else _number(value) for name, value in own.items()}
    fixed = dict(zip(STATIC, static, strict=True))
    fixed["validate"] = {"True": True, "False": False}.get(fixed["validate"], fixed["validate"])
    fixed["axis"] = None if fixed["axis"] is None else tuple(fixed["axis"])
    varying = {name: value for name, value in given.items() if name in VARYING}
    return Call(reduced(primitive(row, **numbers)), given_options({**fixed, **varying}))


def _number(value: Any) -> Any:
    """The value of a tensor that has one."""
    return value if state.is_traced(value) else value.item()


def _loss(x: Any, t: Any, loss: str, names: str, values: list[Any], *static: Any) -> Any:
    return cpu.value(call_of(loss, names, values, static), x, t)


def _loss_and_grad(x: Any, t: Any, loss: str, names: str, values: list[Any], *static: Any) -> tuple[Any, Any]:
    grad = cpu.buffer(x, _gradient_dtype(x))
    return cpu.value_and_grad(call_of(loss, names, values, static), x, t, grad)


def _gradient_dtype(x: Any) -> Any:
    """float16 cannot hold a gradient that is divided by a large denominator and not yet scaled up."""
    return torch.float32 if x.dtype is torch.float16 else x.dtype


def _shape_of_loss(x: Any, _t: Any, loss: str, _names: str, _values: list[Any], *static: Any) -> Any:
    given = call_of(loss, "", [], static).options
    if given.reduction == "none":
        return torch.empty_like(x)
    return x.new_empty(reduced_shape(given, x.shape), dtype=result_dtype(x))


def _shapes_of_both(x: Any, *rest: Any) -> tuple[Any, Any]:
    return _shape_of_loss(x, *rest), torch.empty_like(x, dtype=_gradient_dtype(x))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, Any]) -> None:
    x, t, *ctx.rest = inputs[:4]
    ctx.static = inputs[5:]
    ctx.save_for_backward(x, t, output[1], *inputs[4])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, upstream: Any, _: Any) -> tuple[Any, ...]:
    x, t, grad, *values = ctx.saved_tensors
    rest = (None, None, None, [None] * len(values), *(None,) * len(STATIC))
    if upstream is None:
        return None, *rest
    loss, names = ctx.rest
    call = call_of(loss, names, values, ctx.static)
    if torch.is_grad_enabled():  # somebody differentiates the gradient
        return autograd.differentiable(call, x, t, upstream, checked=True), *rest
    factor = autograd.raised(upstream, call, x.ndim)
    if x.dtype is torch.float16 and call.primitive.loss is clamped.LOSS:
        return clamped.hold(grad * factor).to(x.dtype), *rest
    return torch.ops.logloss.scaled(grad, factor, x.dtype), *rest


def _scaled(grad: Any, factor: Any, dtype: Any) -> Any:
    """The kept gradient times the upstream one. An operator for its memory: compiled code would take small pages."""
    return torch.mul(grad, factor, out=cpu.buffer(grad, dtype))


torch.library.define("logloss::loss", _ARGUMENTS + ") -> Tensor")
torch.library.define("logloss::loss_and_grad", _ARGUMENTS + ") -> (Tensor, Tensor)")
torch.library.define("logloss::scaled", "(Tensor grad, Tensor factor, ScalarType dtype) -> Tensor")
torch.library.impl("logloss::loss", "cpu", _loss)
torch.library.impl("logloss::loss_and_grad", "cpu", _loss_and_grad)
torch.library.impl("logloss::scaled", "cpu", _scaled)
torch.library.register_fake("logloss::loss", _shape_of_loss)
torch.library.register_fake("logloss::loss_and_grad", _shapes_of_both)
torch.library.register_fake("logloss::scaled", lambda grad, _, dtype: torch.empty_like(grad, dtype=dtype))
torch.library.register_autograd("logloss::loss_and_grad", _backward, setup_context=_keep)
