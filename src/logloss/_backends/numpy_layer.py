"""A linear layer of NumPy arrays, and its loss without the layer's outputs (`linear`)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .._spec.options import Options
from .._types import Array
from . import layer_arguments, linear
from .layer_arguments import Hook
from .linear import Problem, Sweep, Wanted
from .operands import array_of, floating, target_array


class ArrayLayer:
    """A layer whose products are NumPy's. float16 and bfloat16 become float32, the weights chunk by chunk."""

    def __init__(self, inputs: Array, weight: Array, bias: Any, gain: float = 1.0) -> None:
        self.shape = inputs.shape[0], weight.shape[0]
        self.dtype = np.dtype(np.float64 if inputs.itemsize > 4 else np.float32)
        self.inputs, self.weight, self.bias = inputs.astype(self.dtype, copy=False), weight, bias
        self.gain = gain
        self.grads: dict[str, Array] = {}
        self._room = np.empty(0, self.dtype)
        self._part = np.empty(0, self.dtype)

    def prepare(self, at: list[int], wanted: Wanted, *, keeps_weight: bool) -> None:
        """Memory for the widest chunk and for the gradients."""
        widest = max(high - low for low, high in itertools.pairwise(at))
        features = self.inputs.shape[1]
        self._room = np.empty(widest * self.shape[0], self.dtype)
        if wanted.inputs:
            self.grads["inputs"] = np.zeros((self.shape[0], features), self.dtype)
            self._part = np.empty((self.shape[0], features), self.dtype)
        if wanted.weight:
            kept = self.shape[1] if keeps_weight else widest
            self.grads["weight"] = np.empty((kept, features), self.weight.dtype)
        if wanted.bias:
            self.grads["bias"] = np.empty(self.shape[1], self.weight.dtype)
        self._keeps_weight = keeps_weight

    def _weights(self, low: int, high: int) -> Array:
        return self.weight[low:high].astype(self.dtype, copy=False)

    def products(self, low: int, high: int) -> Array:
        """gain·W·Xᵀ of some labels."""
        chunk = self._room[: (high - low) * self.shape[0]].reshape(high - low, self.shape[0])
        np.matmul(self._weights(low, high), self.inputs.T, out=chunk)
        if self.gain != 1.0:
            chunk *= self.dtype.type(self.gain)
        return chunk

    def logits(self, low: int, high: int) -> Array:
        """gain·W·Xᵀ + b of some labels."""
        chunk = self.products(low, high)
        if self.bias is not None:
            chunk += self.bias[low:high, None]
        return chunk

    def shifts(self, low: int, high: int) -> Array | None:
        """b of some labels."""
        return None if self.bias is None else np.ascontiguousarray(self.bias[low:high], np.float32)

    @staticmethod
    def view(chunk: Array) -> Array:
        """The chunk itself."""
        return chunk

    def picked(self, chunk: Array, low: int, label: Array, row: Array) -> Array:
        """Some logits of a chunk of products."""
        found: Array = chunk[label, row]
        return found if self.bias is None else found + self.bias[label + low].astype(self.dtype)

    @staticmethod
    def put(chunk: Array, label: Array, row: Array, values: Any) -> None:
        """Write some elements."""
        chunk[label, row] = values

    def add_to_inputs(self, chunk: Array, low: int, high: int, factor: float) -> None:
        """dX += factor·chunkᵀ·W."""
        np.matmul(chunk.T, self._weights(low, high), out=self._part)
        self._part *= self.dtype.type(factor)
        self.grads["inputs"] += self._part

    def weight_grad(self, chunk: Array, low: int, high: int, factor: float) -> Array:
        """factor·chunk·X."""
        out = self.grads["weight"][low:high] if self._keeps_weight else self.grads["weight"][: high - low]
        if out.dtype == self.dtype:
            np.matmul(chunk, self.inputs, out=out)
            out *= self.dtype.type(factor)
        else:
            out[...] = (chunk @ self.inputs) * self.dtype.type(factor)
        return out

    def bias_grad(self, chunk: Array, low: int, high: int, factor: float) -> None:
        """factor times the sums over the rows."""
        self.grads["bias"][low:high] = (chunk if chunk.ndim == 1 else chunk.sum(axis=1)) * factor


def problem_of(inputs: Any, linear_weight: Any, targets: Any, linear_bias: Any, options: Options) -> tuple[Any, Any]:
    """What a caller gave as a layer and its loss, checked."""
    x, w = floating(inputs, "inputs"), floating(linear_weight, "linear_weight")
    b = None if linear_bias is None else floating(linear_bias, "linear_bias")
    for name, other in (("linear_weight", w), ("linear_bias", b)):
        if other is not None and other.dtype != x.dtype:
            raise InvalidInputError(
                f"inputs and {name} must have one dtype; got {x.dtype} and {other.dtype}. "
                f"Use {name}.astype(inputs.dtype)."
            )
    shape = layer_arguments.check_layer(x, w, b)
    t = layer_arguments.positives_in(targets if hasattr(targets, "shape") else array_of("targets", targets), shape)
    t = target_array(targets) if t is None else t
    layer_arguments.check_targets(t, shape)
    layer = ArrayLayer(x, w, b)
    return layer, Problem(t, options, shape, layer.dtype)


def value(
    inputs: Any, linear_weight: Any, targets: Any, linear_bias: Any, options: Options, chunk_size: int | None, hook: Any
) -> Any:
    """The loss, reduced."""
    layer, problem = problem_of(inputs, linear_weight, targets, linear_bias, options)
    if hook is not None:
        raise InvalidInputError(
            f"on_weight_grad is called where gradients are computed; got {hook!r} for a loss of arrays alone. "
            "Use logloss.linear_value_and_grad, or tensors that require gradients."
        )
    at = layer_arguments.edges(layer.shape[1], layer.shape[0], layer.dtype.itemsize, chunk_size)
    layer.prepare(at, linear.NOTHING, keeps_weight=True)
    return Sweep(problem, layer, at).value()


def value_and_grad(
    inputs: Any,
    linear_weight: Any,
    targets: Any,
    linear_bias: Any,
    options: Options,
    chunk_size: int | None,
    hook: Hook | None,
) -> tuple[Any, tuple[Any, Any, Any]]:
    """The loss, and its gradients by inputs, weights and bias."""
    layer, problem = problem_of(inputs, linear_weight, targets, linear_bias, options)
    wanted = Wanted(True, True, linear_bias is not None)
    if hook is not None:
        problem.check_first()
    features = layer.inputs.shape[1]
    widest = layer.shape[0] if hook is None else max(layer.shape[0], features)
    at = layer_arguments.edges(layer.shape[1], widest, layer.dtype.itemsize, chunk_size)
    layer.prepare(at, wanted, keeps_weight=hook is None)
    value = Sweep(problem, layer, at).value(wanted, hook)
    inputs_grad = layer.grads["inputs"].astype(floating(inputs, "inputs").dtype, copy=False)
    return value, (inputs_grad, None if hook is not None else layer.grads["weight"], layer.grads.get("bias"))
