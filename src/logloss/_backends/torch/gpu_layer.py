"""A linear layer of CUDA tensors, and the arithmetic of its loss (`linear`), on the device.

Nothing waits for the device, but where weights decide what the sum is divided by, or a hook what may come from above.
So bad values make the loss NaN, and positives, which are sorted on the host, are best given from there.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from ..._errors import UnsupportedTypeError
from ..._spec import reductions
from ..._spec.losses import PLAIN_LOSS
from ..._spec.options import Options, is_signed
from ..._spec.terms import terms
from ..._targets.by_label import ByLabel
from ..._targets.positives import Positives
from .. import linear, operations
from ..linear import Problem
from . import NOW, gpu
from .arrays import TensorArrays, dense, on_host
from .layer import TensorLayer
from .operations import OPERATIONS

LEAST = 64 << 20
"""Bytes of a chunk of logits: fewer are over before the next kernels are launched."""


def serves(x: Any) -> bool:
    """CUDA tensors of up to 32 bits, where there is Triton."""
    if not x.is_cuda:
        return False
    if x.dtype is torch.float64 or not gpu.available():
        got = "dtype float64" if x.dtype is torch.float64 else "a PyTorch without Triton"
        remedy = "Use .float()" if x.dtype is torch.float64 else "Install Triton"
        raise UnsupportedTypeError(
            f"on a GPU losses of linear layers take float16, bfloat16 and float32, by Triton's kernels; got {got}. "
            f"{remedy}, or binary_cross_entropy_with_logits of the layer's outputs."
        )
    return True


class GPULayer(TensorLayer):
    """A layer whose products are bare: gain, shift and bias are added in float32, where negatives are priced."""

    def __init__(self, inputs: Any, weight: Any, bias: Any, gain: Any = None, shift: Any = None) -> None:
        """Gain and shift are 0-d tensors, or None."""
        super().__init__(inputs, weight, bias)
        self.gain, self.shift = gain, shift

    def budget(self) -> int:
        """Bytes of a chunk: those of the inputs' gradient, which each chunk reads and writes once.

        Then that costs no more than the pass over the chunk's own elements.
        """
        return max(LEAST, 4 * self.inputs.numel())

    def problem(self, targets: Any, options: Options) -> Problem:
        """The loss, for Triton's kernels."""
        return GPUProblem(targets, options, self.shape, self.inputs)

    def products(self, low: int, high: int) -> Any:
        """W·Xᵀ of some labels."""
        return torch.mm(self._weights(low, high), self.inputs.t(), out=self._chunk(low, high))

    def logits(self, low: int, high: int) -> Any:
        """gain·W·Xᵀ + shift + b of some labels."""
        chunk = self.products(low, high)
        if self.gain is not None:
            chunk.mul_(self.gain)
        more = self._added(slice(low, high))
        return chunk if more is None else chunk.add_(more[:, None] if more.ndim else more)

    def _added(self, labels: Any) -> Any:
        """Shift and bias of some labels, in float32; None where there is neither."""
        bias = None if self.bias is None else self.bias[labels].float()
        if self.shift is None:
            return bias
        return self.shift.float() if bias is None else bias + self.shift.float()

    def shifts(self, low: int, high: int) -> Any:
        """b of some labels."""
        return None if self.bias is None else self.bias[low:high].contiguous()

    @staticmethod
    def view(chunk: Any) -> Any:
        """The chunk itself: kernels here take tensors."""
        return chunk

    def picked(self, chunk: Any, low: int, label: Any, row: Any) -> Any:  # noqa: ARG002 - what it lacks
        """Some logits, as dot products in float32, which a chunk of bare products or of bfloat16 does not hold."""
        own = label + low
        found = self.dots(own, row)
        if self.gain is not None:
            found *= self.gain.float()
        more = self._added(own)
        return found if more is None else found.add_(more)

    @staticmethod
    def put(chunk: Any, label: Any, row: Any, values: Any) -> None:
        """Write some elements."""
        chunk[label, row] = values if isinstance(values, float) else values.to(chunk.dtype)

    def add_to_inputs(self, chunk: Any, low: int, high: int, factor: float) -> None:
        """dX += factor·chunkᵀ·W, in float32 if the product can be."""
        if self.dtype is self.sums or not accumulates_in_float32():
            super().add_to_inputs(chunk, low, high, factor)
            return
        out, w = self.inputs_grad, self._weights(low, high)
        torch.addmm(out, chunk.t(), w, out_dtype=self.sums, alpha=factor, out=out)


@functools.cache
def accumulates_in_float32() -> bool:
    """Does PyTorch add a product of bfloat16 to a matrix of float32 on this device? It is asked once."""
    a, out = torch.zeros(16, 16, dtype=torch.bfloat16, device="cuda"), torch.zeros(16, 16, device="cuda")
    try:
        torch.addmm(out, a, a, out_dtype=torch.float32, out=out)
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True


class GPUProblem(Problem):
    """The loss of one batch, with the arithmetic of a chunk in Triton; options are tensors and numbers."""

    def __init__(self, targets: Any, options: Options, shape: tuple[int, int], like: Any) -> None:
        reductions.check_static(options)
        self.shape, self.options, self.dtype, self.device = shape, options, torch.float32, like.device
        virtual = torch.zeros((), device=self.device).expand(shape)
        indices = isinstance(targets, Positives)
        self._counted = virtual.to(torch.uint8).expand(shape) if indices else targets  # what denominators look at
        self._arrays = TensorArrays(virtual, check_values=False)
        found = terms(PLAIN_LOSS, options, shape, self._counted.dtype, self._arrays)
        self.terms = gpu.held_in_float32(found, self._counted)
        self._checks = {"check": bool(options.validate), "signed": is_signed(options.validate)}
        self.targets = ByLabel.of(targets) if indices else dense(targets, self.device)
        if indices:
            label, row = self.targets.pairs(0, shape[1])
            self._labels, self._rows = self._sent(label), self._sent(row)
        if options.validate in NOW:
            self._look(targets, options)

    def _sent(self, numbers: Any) -> Any:
        """Numbers of the host on the device; nobody waits for a copy of memory that stays where it is."""
        tensor = torch.from_numpy(numbers)
        tensor = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return tensor.to(self.device, non_blocking=True)

    def _look(self, targets: Any, options: Options) -> None:
        """Wait for the device, and refuse bad values with the messages of the CPU."""
        given = {name: on_host(value) for name, value in options.given.items()}
        targets = targets if isinstance(targets, Positives) else on_host(targets)
        Problem(targets, options.replace(**given), self.shape, "float32").check_first()

    @functools.cached_property
    def divisor(self) -> Any:
        """What the sum is divided by: a number, or a tensor."""
        if self.options.reduction == "none":
            return 1.0
        return gpu.denominator(self._counted, self.options, self._arrays)

    @property
    def scale(self) -> Any:
        """What elementwise derivatives are multiplied by: a number, or a tensor that fits (rows, labels)."""
        scale = operations.divide(OPERATIONS, 1.0, self.divisor)
        return self._spread(scale) if getattr(scale, "ndim", 0) else scale

    def _spread(self, values: Any) -> Any:
        """A number for each loss, as a tensor that fits (rows, labels)."""
        for axis in reductions.axes_of(self.options, 2) if self.kept else ():
            values = values.unsqueeze(axis)
        return values

    def divided(self, sums: Any) -> Any:
        """Sums of losses, divided."""
        return operations.divide(OPERATIONS, sums, self.divisor)

    def upstream(self, upstream: Any) -> Any:
        """The scale of losses that are multiplied by these, each by its own."""
        return (self._spread(upstream) * self.scale).float()

    def check_first(self) -> None:
        """Nobody looks at values here."""

    def total(self) -> Any:
        """A sum to which numbers are added."""
        return _Total(self.device)

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Room for single losses."""
        return torch.empty(shape, device=self.device)

    def zeros(self, length: int) -> Any:
        """Sums of losses, of which there are none yet."""
        return torch.zeros(length, dtype=torch.float64, device=self.device)

    @staticmethod
    def ones_like(losses: Any) -> Any:
        """The upstream gradients of losses that are added up."""
        return torch.ones_like(losses, dtype=torch.float64)

    def evaluate(self, x: Any, low: int, high: int, kept: tuple[int, ...], **outputs: Any) -> Any:
        """The sums of a chunk's losses over all but the `kept` axes; `losses`, `grad` and `scale` go to the kernel."""
        from . import launches

        targets, of_chunk = self.chunk(low, high)
        losses = outputs.pop("losses", None)
        if kept and losses is None:
            losses = torch.empty_like(x, dtype=torch.float32)
        found = launches.cross_entropy(x, targets, of_chunk, loss=losses, **outputs, **self._checks)
        return losses.sum([axis for axis in (0, 1) if axis not in kept], dtype=torch.float64) if kept else found

    def sums(self, x: Any, low: int, high: int, **outputs: Any) -> Any:
        """What `total` adds of a chunk: one number."""
        return self.evaluate(x, low, high, (), **outputs)

    def marked(self, targets: ByLabel, low: int, high: int) -> Any:
        """The positives of some labels as a matrix of bytes."""
        found = torch.zeros(high - low, targets.shape[0], dtype=torch.uint8, device=self.device)
        found[self.pairs(low, high)] = 1
        return found

    def pairs(self, low: int, high: int) -> tuple[Any, Any]:
        """Label, counted from `low`, and row of every positive of some labels."""
        part = self.targets.range_of(low, high)
        return self._labels[part] - low, self._rows[part]

    def of_positives(self, x: Any, low: int, label: Any, row: Any) -> tuple[Any, Any]:
        """Losses and gradients of positives whose logits are these."""
        from . import launches

        losses, grad = torch.empty_like(x), torch.empty_like(x)
        of_these = linear.picked(self.terms, self.shape, row, label + low)
        ones = torch.ones_like(x, dtype=torch.uint8)
        launches.cross_entropy(x, ones, of_these, loss=losses, grad=grad, **self._checks)
        return losses.double(), grad

    @staticmethod
    def held(x: Any, label: Any, row: Any) -> Any:
        """Some logits of a chunk as kernels read them."""
        return x[label, row].float()

    @staticmethod
    def excess(a: Any, b: Any) -> Any:
        """a - b, 0 where both are infinite."""
        return torch.where(a == b, 0.0, a - b)

    def negatives(self, layer: Any, chunk: Any, low: int, high: int, *, wants_grad: bool) -> tuple[Any, Any]:
        """The sums of losses of a chunk's rows; it becomes its gradient, whose sums come second."""
        from . import launches

        return launches.negatives(chunk, layer.shifts(low, high), layer.gain, layer.shift, wants_grad=wants_grad)

    @staticmethod
    def add_by_label(sums: Any, label: Any, numbers: Any) -> None:
        """Each number to the sum of its label; PyTorch sorts them, so that a sum has the same bits each time."""
        sums.index_put_((label,), numbers.to(sums.dtype), accumulate=True)


class _Total:
    """A float64 sum on the device."""

    def __init__(self, device: Any) -> None:
        self._sum = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, numbers: Any) -> None:
        """Add all of them."""
        self._sum += numbers.sum(dtype=torch.float64)

    def value(self) -> Any:
        """The sum."""
        return self._sum
