"""Operators for traced code (torch.compile, torch.export) on the CPU: the kernels as opaque calls.

They refuse bad values as eager code does: the compiled program calls the same kernels.
"""

from __future__ import annotations

from typing import Any

import torch

from ... import _reduce
from ..._spec import Options, Primitive
from . import kernels, plain
from .arrays import option_tensor, result_dtype
from .kernels import Call

_ARGUMENTS = (
    "(Tensor x, Tensor t, str primitive, float[] parameters, Tensor? pos_weight, Tensor? weight, "
    "Tensor? sample_weight, Tensor? label_weight, int label_axis, float label_smoothing, float? ignore_index, "
    "Tensor? mask, int[]? axis, str reduction, Tensor? normalizer, bool validate)"
)


def value(call: Call, x: Any, t: Any) -> Any:
    """The loss, reduced, with a gradient if the logits need one."""
    arguments = (x, t, call.primitive.name, list(call.primitive.parameters), *_flat(call.options, x))
    if torch.is_grad_enabled() and x.requires_grad:
        return torch.ops.logloss.loss_and_grad(*arguments)[0]
    return torch.ops.logloss.loss(*arguments)


def _flat(options: Options, x: Any) -> tuple[Any, ...]:
    """The options in the operators' order (that of `Options`), arrays as tensors."""

    def tensor(name: str) -> Any:
        given = getattr(options, name)
        return None if given is None else option_tensor(name, given, x)

    axis = options.axis if options.axis is None or isinstance(options.axis, tuple) else (options.axis,)
    return (
        *(tensor(name) for name in ("pos_weight", "weight", "sample_weight", "label_weight")),
        options.label_axis,
        float(options.label_smoothing),
        None if options.ignore_index is None else float(options.ignore_index),
        tensor("mask"),
        None if axis is None else list(axis),
        options.reduction,
        tensor("normalizer"),
        bool(options.validate),
    )


def _call(primitive: str, parameters: list[float], options: tuple[Any, ...]) -> Call:
    given = Options(*options)
    axis = None if given.axis is None else tuple(given.axis)  # type: ignore[arg-type]
    return Call.of(Primitive(primitive, tuple(parameters)), given._replace(axis=axis))


def _loss(x: Any, t: Any, primitive: str, parameters: list[float], *options: Any) -> Any:
    return kernels.value(_call(primitive, parameters, options), x, t)


def _loss_and_grad(x: Any, t: Any, primitive: str, parameters: list[float], *options: Any) -> tuple[Any, Any]:
    grad = kernels.room(x, _gradient_dtype(x))
    return kernels.value_and_grad(_call(primitive, parameters, options), x, t, grad)


def _gradient_dtype(x: Any) -> Any:
    """float16 cannot hold a gradient that is divided by a large denominator and not yet scaled up."""
    return torch.float32 if x.dtype is torch.float16 else x.dtype


def _shape_of_loss(x: Any, _t: Any, primitive: str, parameters: list[float], *options: Any) -> Any:
    given = _call(primitive, parameters, options).options
    if given.reduction == "none":
        return torch.empty_like(x)
    return x.new_empty(_reduce.reduced_shape(given, x.shape), dtype=result_dtype(x))


def _shapes_of_both(x: Any, *rest: Any) -> tuple[Any, Any]:
    return _shape_of_loss(x, *rest), torch.empty_like(x, dtype=_gradient_dtype(x))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, Any]) -> None:
    x, t, primitive, parameters, *options = inputs
    ctx.call = _call(primitive, parameters, tuple(options))
    ctx.save_for_backward(x, t, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, upstream: Any, _: Any) -> tuple[Any, ...]:
    x, t, grad = ctx.saved_tensors
    rest = (None,) * (1 + 2 + len(Options._fields))
    if upstream is None:
        return None, *rest
    if torch.is_grad_enabled():  # somebody differentiates the gradient
        return plain.Problem(ctx.call.primitive, x, t, ctx.call.options, checked=True).gradient(upstream), *rest
    factor = kernels.raised(upstream, ctx.call, x.ndim)
    if x.dtype is torch.float16 and ctx.call.primitive.name == kernels.CLAMPED:
        return plain.held_by_float16(grad * factor).to(x.dtype), *rest
    return torch.ops.logloss.scaled(grad, factor, x.dtype), *rest


def _scaled(grad: Any, factor: Any, dtype: Any) -> Any:
    """The kept gradient times the upstream one. An operator for its memory: compiled code would take small pages."""
    return torch.mul(grad, factor, out=kernels.room(grad, dtype))


torch.library.define("logloss::loss", _ARGUMENTS + " -> Tensor")
torch.library.define("logloss::loss_and_grad", _ARGUMENTS + " -> (Tensor, Tensor)")
torch.library.define("logloss::scaled", "(Tensor grad, Tensor factor, ScalarType dtype) -> Tensor")
torch.library.impl("logloss::loss", "cpu", _loss)
torch.library.impl("logloss::loss_and_grad", "cpu", _loss_and_grad)
torch.library.impl("logloss::scaled", "cpu", _scaled)
torch.library.register_fake("logloss::loss", _shape_of_loss)
torch.library.register_fake("logloss::loss_and_grad", _shapes_of_both)
torch.library.register_fake("logloss::scaled", lambda grad, _, dtype: torch.empty_like(grad, dtype=dtype))
torch.library.register_autograd("logloss::loss_and_grad", _backward, setup_context=_keep)
