"""The loss of a linear layer in traced code (torch.compile, torch.export): the sweep as an operator.

It gives the loss and the gradients that are wanted, and the backward multiplies these; losses that are not one number
are computed again there. Positives are two tensors, their `indptr` and `indices`.
"""

from __future__ import annotations

from typing import Any

import torch

from ..._errors import UnsupportedTypeError
from ..._spec.losses import CROSS_ENTROPY, PLAIN_LOSS
from ..._spec.options import STATIC, VARYING, Options
from ..._spec.reductions import reduced_shape
from ..._targets.positives import Positives
from .. import layer_arguments, linear
from ..linear import Wanted
from . import compiled, layer
from .arrays import as_tensor, on_host, result_dtype
from .call import Call

_ARGUMENTS = f"(Tensor x, Tensor w, Tensor? b, Tensor[] targets, int? chunk_size, bool[] wanted, {compiled.OPTIONS}"
_OF_STATIC = (None,) * len(STATIC)


def value(
    inputs: Any, weight: Any, targets: Any, bias: Any, options: Options, chunk_size: int | None, hook: Any
) -> Any:
    """The loss, reduced: what Dynamo sees."""
    if hook is not None:
        raise UnsupportedTypeError(
            "compiled or recorded code cannot call on_weight_grad; got a hook. Compile the model without it."
        )
    if hasattr(targets, "tocsr") and not torch.compiler.is_compiling():
        targets = Positives.from_scipy(targets)
    if isinstance(targets, Positives):
        layer_arguments.check_targets(targets, (inputs.shape[0], weight.shape[0]))
        parts = [torch.as_tensor(one, device="cpu") for one in (targets.indptr, targets.indices)]
    elif isinstance(targets, torch.Tensor):
        parts = [targets]
    else:
        raise UnsupportedTypeError(
            "compiled code takes targets as a tensor, of padded indices say, or as Positives; got another matrix. "
            "Use logloss.Positives.from_scipy before."
        )
    names = list(options.given)
    values = [
        as_tensor(value, inputs) if name in VARYING and isinstance(value, float) else value
        for name, value in options.given.items()
    ]
    return _traced(inputs, weight, bias, parts, chunk_size, names, values)


@torch.compiler.allow_in_graph
def _traced(x: Any, w: Any, b: Any, parts: Any, chunk_size: int | None, names: Any, values: Any) -> Any:
    """One node of Dynamo's graph; what it does is traced on the next level, with tensors that have no memory."""
    options = Options(**dict(zip(names, values, strict=True)))
    x, w, b, _ = layer.operands(x, w, parts[0], b, layer.Call(parts[0], options))
    needs = [torch.is_grad_enabled() and one is not None and one.requires_grad for one in (x, w, b)]
    flat = compiled.flat(Call(PLAIN_LOSS, options), x)
    return torch.ops.logloss.linear(x, w, b, list(parts), chunk_size, needs, *flat)[0]


def _call(x: Any, w: Any, parts: list[Any], chunk_size: int | None, options: tuple[Any, ...]) -> layer.Call:
    """The call that an operator's arguments stand for."""
    names, values, *static = options
    given = compiled.call_of(CROSS_ENTROPY.name, names, values, tuple(static)).options
    shape = x.shape[0], w.shape[0]
    targets = parts[0] if len(parts) == 1 else Positives.from_parts(shape, (on_host(parts[0]), on_host(parts[1])))
    found = layer_arguments.positives_in(targets, shape)
    targets = targets if found is None else found
    layer_arguments.check_targets(targets, shape)
    return layer.Call(targets, given, chunk_size)


def _options(options: tuple[Any, ...]) -> Options:
    """What is static of an operator's options."""
    return compiled.call_of(CROSS_ENTROPY.name, "", [], tuple(options[2:])).options


def _linear(
    x: Any, w: Any, b: Any, parts: list[Any], chunk_size: int | None, wanted: list[bool], *options: Any
) -> tuple[Any, ...]:
    kept = Wanted(*wanted) if layer_arguments.is_one_number(_options(options)) else linear.NOTHING
    loss, grads = layer.evaluated(x, w, b, _call(x, w, parts, chunk_size, options), kept)
    return loss, *_present(grads, x)


def _gradients(
    upstream: Any, x: Any, w: Any, b: Any, parts: list[Any], chunk_size: int | None, wanted: list[bool], *options: Any
) -> tuple[Any, ...]:
    call = _call(x, w, parts, chunk_size, options)
    return _present(layer.evaluated(x, w, b, call, Wanted(*wanted), upstream)[1], x)


def _present(grads: tuple[Any, ...], x: Any) -> tuple[Any, ...]:
    """An operator's results are tensors: nothing is an empty one."""
    return tuple(x.new_empty(0) if grad is None else grad for grad in grads)


def _shapes(
    x: Any, w: Any, b: Any, _parts: Any, _chunk_size: Any, wanted: list[bool], *options: Any
) -> tuple[Any, ...]:
    given = _options(options)
    shape: tuple[Any, ...] = (x.shape[0], w.shape[0])
    shape = shape if given.reduction == "none" else reduced_shape(given, shape)
    kept = wanted if layer_arguments.is_one_number(given) else [False] * 3
    return x.new_empty(shape, dtype=result_dtype(x)), *_shapes_of_gradients(x, w, b, kept)


def _shapes_of_gradients(x: Any, w: Any, b: Any, wanted: list[bool]) -> tuple[Any, ...]:
    products = torch.float32 if x.dtype is torch.float16 else x.dtype
    kinds = ((x, result_dtype(x)), (w, products), (b, result_dtype(x)))
    return tuple(
        torch.empty_like(one, dtype=dtype) if want and one is not None else x.new_empty(0)
        for (one, dtype), want in zip(kinds, wanted, strict=True)
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, w, b, parts, ctx.chunk_size, ctx.wanted, *options = inputs
    ctx.parts, ctx.values, ctx.options = len(parts), len(options[1]), options
    ctx.dtypes, ctx.kept = (
        [None if one is None else one.dtype for one in (x, w, b)],
        layer_arguments.is_one_number(_options(tuple(options))),
    )
    ctx.save_for_backward(*(output[1:] if ctx.kept else (x, w, b, *parts, *options[1])))
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, upstream: Any, *_: Any) -> tuple[Any, ...]:
    rest = ([None] * ctx.parts, None, None, None, [None] * ctx.values, *_OF_STATIC)
    layer.refuse_second_derivative()
    if upstream is None:
        return None, None, None, *rest
    saved = ctx.saved_tensors
    if ctx.kept:
        grads = [grad * upstream for grad in saved]
    else:
        (x, w, b), others = saved[:3], saved[3:]
        parts, values = list(others[: ctx.parts]), list(others[ctx.parts :])
        options = ctx.options[0], values, *ctx.options[2:]
        grads = torch.ops.logloss.linear_gradients(upstream, x, w, b, parts, ctx.chunk_size, ctx.wanted, *options)
    own = zip(grads, ctx.dtypes, ctx.wanted, strict=True)
    return *(grad.to(dtype) if want and dtype is not None else None for grad, dtype, want in own), *rest


torch.library.define("logloss::linear", _ARGUMENTS + ") -> (Tensor, Tensor, Tensor, Tensor)")
torch.library.define(
    "logloss::linear_gradients", _ARGUMENTS.replace("(", "(Tensor upstream, ", 1) + ") -> (Tensor, Tensor, Tensor)"
)
torch.library.impl("logloss::linear", ("cpu", "cuda"), _linear)
torch.library.impl("logloss::linear_gradients", ("cpu", "cuda"), _gradients)
torch.library.register_fake("logloss::linear", _shapes)
torch.library.register_fake(
    "logloss::linear_gradients", lambda _, x, w, b, *rest: _shapes_of_gradients(x, w, b, rest[2])
)
torch.library.register_autograd("logloss::linear", _backward, setup_context=_keep)
