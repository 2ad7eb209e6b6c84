"""Sigmoid loss of image-text pairs of tensors (`siglip`): autograd, and the operator of compiled code."""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._targets.positives import Positives
from .. import siglip
from ..layer_arguments import Pairs
from ..linear import Sweep, Wanted
from . import layer, state
from .arrays import on_host, result_dtype


def value(images: Any, texts: Any, scale: Any, bias: Any, pairs: Pairs, chunk_size: int | None) -> Any:
    """The loss as a differentiable tensor, in float32 at least."""
    if torch.compiler.is_compiling() or state.is_traced(images):
        return _traced(images, texts, scale, bias, *_as_tensors(pairs), pairs.average, chunk_size)
    u, v, pairs = operands(images, texts, pairs)
    t, b = parameters(scale, bias, u)
    given = u, v, t, b
    if not torch.is_grad_enabled() or not any(one is not None and one.requires_grad for one in given):
        return evaluated(*given, pairs, chunk_size, (False,) * 4)[0]
    found: Any = Loss.apply(*given, pairs, chunk_size)
    return found


def value_and_grad(
    images: Any, texts: Any, scale: Any, bias: Any, pairs: Pairs, chunk_size: int | None
) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and its gradients by images, texts, scale and bias."""
    with torch.no_grad():
        u, v, pairs = operands(images, texts, pairs)
        t, b = parameters(scale, bias, u)
        loss, grads = evaluated(u, v, t, b, pairs, chunk_size, (True, True, True, b is not None))
        dtypes = (u.dtype, v.dtype, t.dtype, None if b is None else b.dtype)
        return loss, tuple(None if grad is None else grad.to(d) for grad, d in zip(grads, dtypes, strict=True))


def operands(images: Any, texts: Any, pairs: Pairs) -> tuple[Any, Any, Pairs]:
    u, v = layer.parts(dict(zip(siglip.NAMES, (images, texts), strict=True)))
    siglip.check(u, v)
    if pairs.targets is not None:
        pairs = pairs._replace(targets=layer.targets_of(pairs.targets, u))
        layer.refuse_learnt({"targets": pairs.targets})
    if pairs.groups is not None and not state.is_traced(u):
        pairs = pairs._replace(groups=_on_host(pairs.groups))
    return u, v, pairs


def _on_host(groups: Any) -> Any:
    """The numbers of groups where they are sorted."""
    return [on_host(one) for one in groups] if isinstance(groups, list | tuple) else groups


def parameters(scale: Any, bias: Any, like: Any) -> tuple[Any, Any]:
    """Scale and bias as tensors of one number, None for a bias that there is not."""
    return _parameter("logit_scale", scale, like), _parameter("logit_bias", bias, like)


def _parameter(name: str, value: Any, like: Any) -> Any:
    """The scale or the bias as a tensor of one number, in float32 at least."""
    if value is None and name == "logit_bias":
        return None
    if not isinstance(value, torch.Tensor) or value.dtype is torch.bool or value.dtype.is_complex:
        return torch.full((), siglip.number(name, value), dtype=torch.float64, device=like.device)
    if value.numel() != 1 or value.device != like.device:
        raise InvalidInputError(
            f"{name} must be one number, on the features' device {like.device}; got shape {tuple(value.shape)} on "
            f"{value.device}. Both are the model's parameters, of shape ()."
        )
    return value.reshape(())


def evaluated(
    u: Any, v: Any, t: Any, b: Any, pairs: Pairs, chunk_size: int | None, wanted: tuple[bool, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and the gradients that are wanted."""
    wide = result_dtype(u)
    by_images, by_texts, by_scale, by_bias = wanted
    of_layer = Wanted(by_images or by_scale, by_texts, by_bias)
    own = layer_of(u, v, t.detach(), None if b is None else b.detach())
    loss = swept(own, siglip.described(pairs, own.shape), chunk_size, of_layer)
    with torch.no_grad():
        slope = sum_of_products(own).to(wide) if by_scale else None  # before the gain comes in: it may be 0
        return layer.as_tensor(loss, wide), (
            own.inputs_grad.mul_(own.gain) if by_images else None,
            own.weight_grads.mul_(own.gain) if by_texts else None,
            slope,
            own.bias_grads.sum(dtype=torch.float64).to(wide) if by_bias else None,
        )


def layer_of(u: Any, v: Any, t: Any, b: Any) -> layer.TensorLayer:
    """The layer of these pairs, with products for the device where they are."""
    from . import gpu_layer

    if gpu_layer.serves(u):
        return gpu_layer.GPULayer(u, v, None, t, b)
    gain, shift = siglip.number("logit_scale", t), 0.0 if b is None else siglip.number("logit_bias", b)
    return layer.TensorLayer(u, v, torch.full((v.shape[0],), shift, dtype=result_dtype(u), device=u.device), gain)


def swept(own: layer.TensorLayer, described: Any, chunk_size: int | None, wanted: Wanted) -> Any:
    """The loss of a layer of pairs, which keeps the gradients, without the gain; `described`: targets and options."""
    targets, options = described
    if options.pos_weight is not None:
        options = options.replace(pos_weight=torch.as_tensor(options.pos_weight, device=own.inputs.device))
    at = own.edges(chunk_size)
    own.prepare(at, wanted)
    with torch.no_grad(), torch.autocast(own.inputs.device.type, enabled=False):
        return Sweep(own.problem(targets, options), own, at).value(wanted)


def sum_of_products(own: layer.TensorLayer) -> Any:
    """Σ ⟨U, dU⟩, which is the gradient by the scale, in float64 by some rows at a time."""
    pairs = zip(own.inputs.split(siglip.ROWS), own.inputs_grad.split(siglip.ROWS), strict=True)
    return torch.stack([(a.double() * b).sum() for a, b in pairs]).sum()


class Loss(torch.autograd.Function):
    """The loss of pairs, which keeps its gradients until the backward asks for them."""

    @staticmethod
    def forward(ctx: Any, u: Any, v: Any, t: Any, b: Any, pairs: Pairs, chunk_size: int | None) -> Any:
        loss, grads = evaluated(u, v, t, b, pairs, chunk_size, ctx.needs_input_grad[:4])
        ctx.dtypes = [None if one is None else one.dtype for one in (u, v, t, b)]
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        layer.refuse_second_derivative()
        pairs = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *(layer.scaled(grad, dtype, upstream) for grad, dtype in pairs), None, None


# ---- compiled code --------------------------------------------------------------------------------------------------

_ARGUMENTS = (
    "(Tensor u, Tensor v, Tensor t, Tensor? b, str kind, Tensor[] pairs, bool average, int? chunk_size, bool[] wanted)"
)


def _as_tensors(pairs: Pairs) -> tuple[str, list[Any]]:
    """Which pairs are positive, as an operator takes it: how it is said, and the tensors that say it."""
    if hasattr(pairs.targets, "tocsr") and not torch.compiler.is_compiling():
        pairs = pairs._replace(targets=Positives.from_scipy(pairs.targets))
    if pairs.groups is not None:
        return "groups", [torch.as_tensor(one) for one in pairs.groups]
    if isinstance(pairs.targets, Positives):
        return "positives", [
            torch.as_tensor(one, device="cpu") for one in (pairs.targets.indptr, pairs.targets.indices)
        ]
    if pairs.targets is None:
        return "", []
    if isinstance(pairs.targets, torch.Tensor):
        return "targets", [pairs.targets]
    raise UnsupportedTypeError(
        "compiled code takes targets as a tensor or as Positives; got another matrix. "
        "Use logloss.Positives.from_scipy before."
    )


@torch.compiler.allow_in_graph
def _traced(u: Any, v: Any, t: Any, b: Any, kind: str, tensors: Any, average: bool, chunk_size: int | None) -> Any:
    """One node of Dynamo's graph; what it does is traced on the next level, with tensors that have no memory."""
    u, v, _ = operands(u, v, Pairs())
    t, b = parameters(t, b, u)
    needs = [torch.is_grad_enabled() and one is not None and one.requires_grad for one in (u, v, t, b)]
    return torch.ops.logloss.siglip(u, v, t, b, kind, list(tensors), average, chunk_size, needs)[0]


def _siglip(
    u: Any, v: Any, t: Any, b: Any, kind: str, tensors: Any, average: bool, size: int | None, wanted: Any
) -> tuple[Any, ...]:
    targets, groups, shape = None, None, (u.shape[0], v.shape[0])
    if kind == "groups":
        groups = tensors
    elif kind == "positives":
        targets = Positives.from_parts(shape, (on_host(tensors[0]), on_host(tensors[1])))
    elif kind == "targets":
        targets = tensors[0]
    u, v, pairs = operands(u, v, Pairs(targets, groups, average))
    loss, grads = evaluated(u, v, t, b, pairs, size, tuple(wanted))
    return loss, *(u.new_empty(0) if grad is None else grad for grad in grads)


def _shapes(u: Any, v: Any, t: Any, b: Any, *rest: Any) -> tuple[Any, ...]:
    wide, products = result_dtype(u), torch.float32 if u.dtype is torch.float16 else u.dtype
    kinds = ((u, wide), (v, products), (t, wide), (b, wide))
    return u.new_empty((), dtype=wide), *(
        torch.empty_like(one, dtype=dtype) if want and one is not None else u.new_empty(0)
        for (one, dtype), want in zip(kinds, rest[-1], strict=True)
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    wanted = zip(inputs[:4], inputs[8], strict=True)
    ctx.dtypes = [one.dtype if want else None for one, want in wanted]
    ctx.many = len(inputs[5])
    ctx.save_for_backward(*output[1:])


def _backward(ctx: Any, upstream: Any, *_: Any) -> tuple[Any, ...]:
    layer.refuse_second_derivative()
    own = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
    grads = (None if dtype is None else (grad * upstream).to(dtype) for grad, dtype in own)
    return *grads, None, [None] * ctx.many, None, None, None


torch.library.define("logloss::siglip", _ARGUMENTS + " -> (Tensor, Tensor, Tensor, Tensor, Tensor)")
torch.library.impl("logloss::siglip", ("cpu", "cuda"), _siglip)
torch.library.register_fake("logloss::siglip", _shapes)
torch.library.register_autograd("logloss::siglip", _backward, setup_context=_keep)
