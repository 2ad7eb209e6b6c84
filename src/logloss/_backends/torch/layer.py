"""A linear layer of tensors, and its loss without the layer's outputs (`linear`): products, autograd, ways in.

Of CUDA tensors products and arithmetic are those of `gpu_layer`.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._spec.options import Options
from ..._targets.positives import Positives
from .. import layer_arguments, linear
from ..layer_arguments import Hook
from ..linear import Problem, Sweep, Wanted
from . import cpu, gpu, state
from .arrays import check_device, floating, kernel_options, target_array, tensor_of, view

_PAIRS = 4096
"""Positives whose logits are computed again at a time."""


class TensorLayer:
    """A layer whose products are PyTorch's. float16 becomes float32 chunk by chunk; bfloat16 is multiplied as it is.

    Gradients have the products' type: of a float16 layer they are float32, for a gradient scaler's factor is to come.

    PyTorch has no product of bfloat16 with a float32 result on the CPU, so that dX is rounded once for each chunk and
    added up in float32, and the logits of positives are computed again in float32.
    """

    def __init__(self, inputs: Any, weight: Any, bias: Any, gain: float = 1.0) -> None:
        self.shape = inputs.shape[0], weight.shape[0]
        self.dtype = torch.float32 if inputs.dtype is torch.float16 else inputs.dtype
        self.sums = torch.float64 if self.dtype is torch.float64 else torch.float32
        self.inputs, self.weight = inputs.detach().to(self.dtype), weight.detach()
        self.gain: Any = gain
        self.bias = None if bias is None else bias.detach()
        self.inputs_grad: Any = None
        self.weight_grads: Any = None
        self.bias_grads: Any = None
        self._room: Any = None
        self._keeps_weight = True

    def prepare(self, at: list[int], wanted: Wanted, *, keeps_weight: bool = True) -> None:
        """Memory for the widest chunk and for the gradients."""
        rows, labels = self.shape
        widest = max(high - low for low, high in itertools.pairwise(at))
        features = self.inputs.shape[1]
        device = self.inputs.device
        self._room = torch.empty(widest * rows, dtype=self.dtype, device=device)
        self._keeps_weight = keeps_weight
        if wanted.inputs:
            self.inputs_grad = torch.zeros(rows, features, dtype=self.sums, device=device)
        if wanted.weight:
            kept = labels if keeps_weight else widest
            self.weight_grads = torch.empty(kept, features, dtype=self.dtype, device=device)
        if wanted.bias:
            self.bias_grads = torch.empty(labels, dtype=self.sums, device=device)

    def _weights(self, low: int, high: int) -> Any:
        return self.weight[low:high].to(self.dtype)

    def _chunk(self, low: int, high: int) -> Any:
        rows = self.shape[0]
        return self._room[: (high - low) * rows].view(high - low, rows)

    def products(self, low: int, high: int) -> Any:
        """gain·W·Xᵀ of some labels."""
        chunk = self._chunk(low, high)
        return torch.addmm(chunk, self._weights(low, high), self.inputs.t(), beta=0.0, alpha=self.gain, out=chunk)

    def logits(self, low: int, high: int) -> Any:
        """gain·W·Xᵀ + b of some labels."""
        if self.bias is None:
            return self.products(low, high)
        bias, w = self.bias[low:high, None].to(self.dtype), self._weights(low, high)
        return torch.addmm(bias, w, self.inputs.t(), alpha=self.gain, out=self._chunk(low, high))

    def shifts(self, low: int, high: int) -> Any:
        """b of some labels."""
        return None if self.bias is None else view(self.bias[low:high].float().contiguous())

    @staticmethod
    def view(chunk: Any) -> Any:
        """The chunk's memory."""
        return view(chunk)

    def picked(self, chunk: Any, low: int, label: Any, row: Any) -> Any:
        """Some logits of a chunk of products: of a narrow one as dot products in float32."""
        labels, rows = torch.from_numpy(label), torch.from_numpy(row)
        narrow = self.dtype is torch.bfloat16
        found = self.dots(labels + low, rows).mul_(self.gain) if narrow else chunk[labels, rows]
        return view(found if self.bias is None else found.add_(self.bias[labels + low].to(found.dtype)))

    def dots(self, labels: Any, rows: Any) -> Any:
        """⟨W_label, X_row⟩ of some pairs, in float32."""
        found = torch.empty(len(labels), dtype=torch.float32, device=labels.device)
        for start in range(0, len(labels), _PAIRS):
            where = slice(start, start + _PAIRS)
            found[where] = (self.weight[labels[where]].float() * self.inputs[rows[where]].float()).sum(1)
        return found

    @staticmethod
    def put(chunk: Any, label: Any, row: Any, values: Any) -> None:
        """Write some elements."""
        if not isinstance(values, float):
            values = tensor_of(values).to(chunk.dtype)
        chunk[torch.from_numpy(label), torch.from_numpy(row)] = values

    def add_to_inputs(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """dX += factor·chunkᵀ·W."""
        w = self._weights(low, high)
        if self.dtype is self.sums:
            self.inputs_grad.addmm_(chunk.t(), w, alpha=factor)
        else:
            self.inputs_grad.add_(torch.mm(chunk.t(), w), alpha=factor)

    def edges(self, chunk_size: int | None, *, hooked: bool = False) -> list[int]:
        """Where chunks begin and the last one ends; with a hook a chunk's gradient of the weights counts as well."""
        rows = max(self.shape[0], self.inputs.shape[1]) if hooked else self.shape[0]
        return layer_arguments.edges(self.shape[1], rows, self.dtype.itemsize, chunk_size, self.budget())

    def budget(self) -> int:
        """Bytes of a chunk's logits."""
        return layer_arguments.BUDGET

    def problem(self, targets: Any, options: Options) -> Problem:
        """The loss, with views of the memory of tensors."""
        options = kernel_options(options, self.inputs)
        dtype = "float64" if self.sums is torch.float64 else "float32"
        return Problem(cpu.target_view(targets, options), options, self.shape, dtype)

    def weight_grad(self, chunk: Any, low: int, high: int, factor: float) -> Any:
        """factor·chunk·X: the factor of a product costs nothing."""
        out = self.weight_grads[low:high] if self._keeps_weight else self.weight_grads[: high - low]
        return torch.addmm(out, chunk, self.inputs, beta=0, alpha=factor, out=out)

    def bias_grad(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """factor times the sums over the rows."""
        sums = chunk if isinstance(chunk, torch.Tensor) else tensor_of(chunk)
        sums = sums.sum(1, dtype=self.sums) if sums.ndim == 2 else sums.to(self.sums)
        torch.mul(sums, factor, out=self.bias_grads[low:high])


class Call(NamedTuple):
    """A loss of a layer as it was called."""

    targets: Any
    options: Options
    chunk_size: int | None = None
    hook: Hook | None = None


# ---- what callers give ----------------------------------------------------------------------------------------------


def value(
    inputs: Any, weight: Any, targets: Any, bias: Any, options: Options, chunk_size: int | None, hook: Hook | None
) -> Any:
    """The loss, reduced, as a differentiable tensor."""
    if torch.compiler.is_compiling() or state.is_traced(inputs):
        from . import compiled_layer

        return compiled_layer.value(inputs, weight, targets, bias, options, chunk_size, hook)
    inputs, weight, bias, call = operands(inputs, weight, targets, bias, Call(targets, options, chunk_size, hook))
    given = inputs, weight, bias
    if not torch.is_grad_enabled() or not any(one is not None and one.requires_grad for one in given):
        return evaluated(*given, call, linear.NOTHING)[0]
    found: Any = Loss.apply(*given, call)
    return found


def value_and_grad(
    inputs: Any, weight: Any, targets: Any, bias: Any, options: Options, chunk_size: int | None, hook: Hook | None
) -> tuple[Any, tuple[Any, Any, Any]]:
    """The loss and its gradients, without a graph."""
    with torch.no_grad():
        given = inputs, weight, bias
        x, w, b, call = operands(inputs, weight, targets, bias, Call(targets, options, chunk_size, hook))
        loss, grads = evaluated(x, w, b, call, Wanted(True, True, bias is not None))
        pairs = zip(grads, given, strict=True)
        return loss, tuple(None if grad is None else grad.to(one.dtype) for grad, one in pairs)  # type: ignore[return-value]


def operands(inputs: Any, weight: Any, targets: Any, bias: Any, call: Call) -> tuple[Any, Any, Any, Call]:
    """Layer and targets, checked."""
    x, w, b = parts({"inputs": inputs, "linear_weight": weight, "linear_bias": bias})
    shape = layer_arguments.check_layer(x, w, b)
    t = targets
    if not isinstance(t, Positives) and not hasattr(t, "tocsr"):
        t = target_array(t)
        check_device("targets", t, x)
    if not state.is_traced(x):  # the operator will see
        found = layer_arguments.positives_in(t, shape)
        t = t if found is None else found
        layer_arguments.check_targets(t, shape)
    _refuse_learnt({"targets": t, **call.options.given})
    return x, w, b, call._replace(targets=t)


def parts(named: dict[str, Any]) -> list[Any]:
    """The tensors of a layer, None where there is none: on one device and of one dtype, autocast's where that is on."""
    tensors = {
        name: None if one is None and name == "linear_bias" else floating(one, name) for name, one in named.items()
    }
    first, x = next(iter(tensors)), next(one for one in tensors.values() if one is not None)
    if not (x.is_cpu or x.is_cuda) or not (state.has_memory(x) or state.is_traced(x)):
        raise UnsupportedTypeError(
            f"losses of linear layers take tensors on the CPU or on a CUDA device; got device {x.device}. "
            "Use binary_cross_entropy_with_logits of the layer's outputs there."
        )
    for name, one in tensors.items():
        if one is not None:
            _check_alike(first, x, name, one)
    device = x.device.type
    if not state.outside_of_transforms():
        raise UnsupportedTypeError(
            "losses of linear layers know no torch.func transform, forward mode or tracer; got one at work. "
            "Use binary_cross_entropy_with_logits of the layer's outputs."
        )
    if not torch.is_autocast_enabled(device) or x.dtype is torch.float64:
        return [*tensors.values()]
    return [one if one is None else one.to(torch.get_autocast_dtype(device)) for one in tensors.values()]


def _check_alike(first: str, x: Any, name: str, value: Any) -> None:
    """One device and one dtype for all."""
    if value.device != x.device:
        raise InvalidInputError(
            f"{first} and {name} must lie on one device; got {x.device} and {value.device}. "
            f"Use {name}.to({first}.device)."
        )
    both = {x.dtype, value.dtype}
    mixed = torch.is_autocast_enabled(x.device.type) and torch.float64 not in both
    if len(both) > 1 and not mixed:
        raise InvalidInputError(
            f"{first} and {name} must have one dtype; got {x.dtype} and {value.dtype}. "
            f"Use {name}.to({first}.dtype), or torch.autocast."
        )


def _refuse_learnt(given: dict[str, Any]) -> None:
    for name, one in given.items():
        if isinstance(one, torch.Tensor) and one.requires_grad and torch.is_grad_enabled():
            raise InvalidInputError(
                f"losses of linear layers have no gradient by {name}; got a tensor with requires_grad=True. "
                f"Use {name}.detach(), or binary_cross_entropy_with_logits of the layer's outputs."
            )


# ---- evaluation -----------------------------------------------------------------------------------------------------


def evaluated(x: Any, w: Any, b: Any, call: Call, wanted: Wanted, upstream: Any = None) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and the gradients that are wanted, of checked operands.

    With `upstream` there are gradients alone, of losses times that.
    """
    layer = layer_of(x, w, b)
    found, grads = swept(layer, call, problem_of(call, layer), wanted, upstream)
    return None if upstream is not None else as_tensor(found, layer.sums), grads


def layer_of(x: Any, w: Any, b: Any) -> TensorLayer:
    """The layer, with products for the device where its tensors are."""
    from . import gpu_layer

    return gpu_layer.GPULayer(x, w, b) if gpu_layer.serves(x) else TensorLayer(x, w, b)


def swept(
    layer: TensorLayer, call: Call, problem: Problem, wanted: Wanted, upstream: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    """The same as the sweep has it, of a layer and its loss."""
    hooked = call.hook is not None and wanted.weight
    if hooked:
        problem.check_first()
    at = layer.edges(call.chunk_size, hooked=hooked)
    layer.prepare(at, wanted, keeps_weight=not hooked)
    sweep = Sweep(problem, layer, at)
    with torch.no_grad(), torch.autocast(layer.inputs.device.type, enabled=False):
        if upstream is not None:
            found = None
            sweep.gradients(problem.upstream(layer.view(upstream.double())), wanted)
        else:
            found = sweep.value(wanted, call.hook if hooked else None)
    return found, (layer.inputs_grad, None if hooked else layer.weight_grads, layer.bias_grads)


def problem_of(call: Call, layer: TensorLayer) -> Problem:
    """The loss of a layer, for arithmetic where its tensors are."""
    return layer.problem(call.targets, call.options)


def as_tensor(found: Any, dtype: Any) -> Any:
    """A loss as a tensor of this type."""
    if isinstance(found, torch.Tensor):
        return found.to(dtype)
    return cpu.scalar(float(found), dtype) if not getattr(found, "ndim", 0) else tensor_of(found).to(dtype)


class Loss(torch.autograd.Function):
    """The loss of a layer. One number keeps its gradients; of several the backward computes the logits again."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, call: Call) -> Any:
        wanted = Wanted(*ctx.needs_input_grad[:3])
        ctx.call, ctx.wanted, ctx.dtypes = call, wanted, [None if one is None else one.dtype for one in (x, w, b)]
        ctx.kept = layer_arguments.is_one_number(call.options)
        if not ctx.kept:
            layer_arguments.refuse_hook(call.hook, call.options)
            ctx.save_for_backward(x, w, b)
            return evaluated(x, w, b, call, linear.NOTHING)[0]
        refuse_in_backward(call)
        loss, grads = evaluated(x, w, b, call, wanted)
        ctx.save_for_backward(*grads)  # an attribute would be a second owner, whom AccumulateGrad makes a copy for
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        if not ctx.kept:
            refuse_second_derivative()
            _refuse_many(upstream)
            x, w, b = ctx.saved_tensors
            grads = evaluated(x, w, b, ctx.call, ctx.wanted, upstream)[1]
            return *(None if g is None else g.to(d) for g, d in zip(grads, ctx.dtypes, strict=True)), None
        return *kept_gradients(ctx, upstream), None


def kept_gradients(ctx: Any, upstream: Any) -> tuple[Any, ...]:
    """The gradients that a loss of a layer has kept, times what comes from above."""
    refuse_second_derivative()
    if ctx.call.hook is not None:
        _refuse_many(upstream)
    if ctx.call.hook is not None and upstream.item() != 1.0:
        raise InvalidInputError(
            f"with on_weight_grad the loss must be what backward() is called on; got an upstream gradient of "
            f"{upstream.item()!r} after the hook has had the weights' gradient. Put factors into normalizer= or "
            "weights."
        )
    return tuple(scaled(*one, upstream) for one in zip(ctx.saved_tensors, ctx.dtypes, strict=True))


def refuse_in_backward(call: Call) -> None:
    """A forward that a checkpoint runs again must not step again."""
    if call.hook is not None and state.in_backward():
        raise InvalidInputError(
            "on_weight_grad has been called for this step already; got a forward that runs again in the backward, "
            "as checkpointing does. Keep the loss out of the checkpoint, or leave the hook out."
        )


def scaled(grad: Any, dtype: Any, factor: Any) -> Any:
    """A kept gradient times the upstream one, in its own memory unless the graph may ask again."""
    if grad is None:
        return None
    if state.graph_is_kept() or state.is_mapped(factor):
        return (grad * factor).to(dtype)  # a copy even for 1: what is handed over becomes .grad, and is added to
    return (gpu if grad.is_cuda else cpu).multiply(grad, factor).to(dtype)


def _refuse_many(upstream: Any) -> None:
    """Raise where one backward is asked for the gradients of many upstream ones."""
    if state.is_mapped(upstream):
        raise UnsupportedTypeError(
            "losses of linear layers that are several numbers, or have a hook, take one upstream gradient at a time; "
            "got is_grads_batched=True. Ask for one after the other."
        )


def refuse_second_derivative() -> None:
    """Raise where somebody asks for the gradient's graph."""
    if torch.is_grad_enabled():
        raise InvalidInputError(
            "a second derivative needs the logits, which losses of linear layers do not keep; got create_graph=True. "
            "Use binary_cross_entropy_with_logits of the layer's outputs."
        )
