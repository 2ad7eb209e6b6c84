"""Losses without logits over several processes: labels sharded, or a batch of image-text pairs sharded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from ..._errors import InvalidInputError, UnsupportedTypeError
from ..._spec.options import STATIC, Options
from ..._spec.reductions import check_static
from ..._targets.positives import Positives
from .. import layer_arguments, linear, siglip
from ..layer_arguments import Pairs
from ..linear import Problem, Wanted
from . import cpu, layer, pairs
from .collectives import Process, all_gather, all_reduce, exchange, pass_on, process_of

# ---- labels sharded -------------------------------------------------------------------------------------------------


def linear_value(
    inputs: Any, weight: Any, targets: Any, bias: Any, options: Options, chunk_size: int | None, hook: Any, group: Any
) -> Any:
    """The loss of all shards, on every process, as a differentiable tensor."""
    process = process_of(group)
    name = "loss of sharded labels"
    labels = torch.tensor([len(weight)], dtype=torch.int64)
    shards = [int(one) for one in all_gather(process, "exchange of the numbers of labels", labels)]

    def prepare() -> tuple[Any, dict[str, Any], list[float]]:
        check_static(options)
        if not layer_arguments.is_one_number(options):
            raise InvalidInputError(
                f"a sharded loss is one number; got reduction={options.reduction!r} and axis={options.axis!r}. "
                'Use "mean", "sum", "weighted_mean" or "batchmean".'
            )
        own_targets = _of_shard(targets, len(inputs), process.rank, shards)
        x, w, b, call = layer.operands(
            inputs, weight, own_targets, bias, layer.Call(own_targets, options, chunk_size, hook)
        )
        _refuse_gpu(x)
        own = layer.layer_of(x, w, b)
        problem = layer.problem_of(call, own)
        problem.check_first()
        same = {
            "the inputs' shape": tuple(x.shape),
            "the dtype": str(x.dtype),
            "the options": [getattr(options, one) for one in STATIC],
            "whether gradients are needed": torch.is_grad_enabled() and x.requires_grad,
        }
        return (x, w, b, call, problem), same, [float(problem.divisor)]

    (x, w, b, call, problem), divisors = exchange(process, name, prepare)
    if options.normalizer is None and options.reduction in ("mean", "weighted_mean"):
        problem.divisor = float(divisors.sum())
    if not torch.is_grad_enabled() or not any(one is not None and one.requires_grad for one in (x, w, b)):
        return _linear_evaluated(x, w, b, call, problem, process, linear.NOTHING)[0]
    return _LinearLoss.apply(x, w, b, call, problem, process)


def _linear_evaluated(
    x: Any, w: Any, b: Any, call: layer.Call, problem: Problem, process: Process, wanted: Wanted
) -> tuple[Any, tuple[Any, ...]]:
    own = layer.layer_of(x, w, b)
    total, grads = layer.swept(own, call, problem, wanted)
    name = "sum of the losses of sharded labels"
    total = all_reduce(process, name, torch.tensor(total, dtype=torch.float64))
    if wanted.inputs:
        all_reduce(process, "sum of the inputs' gradients", grads[0])
    return cpu.scalar(total.item(), own.sums), grads


class _LinearLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, call: Any, problem: Any, process: Any) -> Any:
        layer.refuse_in_backward(call)
        loss, grads = _linear_evaluated(x, w, b, call, problem, process, Wanted(*ctx.needs_input_grad[:3]))
        ctx.call, ctx.dtypes = call, [None if one is None else one.dtype for one in (x, w, b)]
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        return *layer.kept_gradients(ctx, upstream), None, None, None


def _refuse_gpu(x: Any) -> None:
    """What processes tell each other here are tensors of the CPU."""
    if not x.is_cpu:
        raise UnsupportedTypeError(
            f"sharded losses take tensors on the CPU; got device {x.device}. "
            "Use linear_binary_cross_entropy or siglip_loss there, each process for its own part."
        )


def _of_shard(targets: Any, rows: int, rank: int, shards: list[int]) -> Any:
    """Of positives over the labels of all shards, those of one."""
    if isinstance(targets, Positives) and targets.shape == (rows, sum(shards)):
        start = sum(shards[:rank])
        return targets.labels_between(start, start + shards[rank])
    return targets


# ---- pairs sharded --------------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    """A process's part of a batch of pairs."""

    u: Any
    v: Any
    gain: float
    shift: float
    groups: Any
    average: bool
    chunk_size: int | None
    process: Process
    images: int
    sizes: list[int]
    """How many images there are in all, and how many texts each process has."""


def siglip_value(
    images: Any, texts: Any, scale: Any, bias: Any, given: Pairs, chunk_size: int | None, group: Any, ring: bool
) -> Any:
    """The loss of all pairs, on every process, as a differentiable tensor."""
    process = process_of(group)

    def prepare() -> tuple[Any, dict[str, Any], list[float]]:
        if given.targets is not None:
            raise InvalidInputError("pairs of a sharded batch are given by groups; got targets. Number the groups.")
        u, v, _ = pairs.operands(images, texts, Pairs())
        _refuse_gpu(u)
        t, b = pairs.parameters(scale, bias, u)
        numbers = siglip.number("logit_scale", t), 0.0 if b is None else siglip.number("logit_bias", b)
        groups = None if given.groups is None else siglip.group_numbers(given.groups, (u.shape[0], v.shape[0]))
        tensors = [one for one in (u, v, t, b) if one is not None]
        needs = torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
        same = {
            "the number of features": u.shape[1],
            "the dtype": str(u.dtype),
            "logit_scale and logit_bias": numbers,
            "groups, average_positives and ring": (groups is None, given.average, ring),
            "whether gradients are needed": needs,
        }
        return (u, v, t, b, numbers, groups, needs), same, [float(u.shape[0]), float(v.shape[0])]

    (u, v, t, b, numbers, groups, needs), sizes = exchange(process, "loss of sharded pairs", prepare)
    counts = [int(one) for one in sizes[:, 1]]
    gain, shift = numbers
    own = u.detach(), v.detach()
    batch = _Batch(*own, gain, shift, groups, given.average, chunk_size, process, int(sizes[:, 0].sum()), counts)
    if not needs:
        return _pairs_evaluated(batch, ring, False)[0]
    return _PairsLoss.apply(u, v, t, b, batch, ring)


class _PairsLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Any, v: Any, t: Any, b: Any, batch: _Batch, ring: bool) -> Any:
        loss, grads = _pairs_evaluated(batch, ring, True)
        ctx.dtypes = [None if one is None else one.dtype for one in (u, v, t, b)]
        needed = zip(grads, ctx.needs_input_grad, strict=False)
        ctx.save_for_backward(*(grad if need else None for grad, need in needed))
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        layer.refuse_second_derivative()
        own = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *(layer.scaled(grad, dtype, upstream) for grad, dtype in own), None, None


def _pairs_evaluated(batch: _Batch, ring: bool, wants_grad: bool) -> tuple[Any, tuple[Any, ...]]:
    """The loss, and this process's gradients; those of scale and bias are of its own images."""
    u, process = batch.u, batch.process
    wide = torch.float64 if u.dtype is torch.float64 else torch.float32
    by_images = torch.zeros(u.shape, dtype=wide) if wants_grad else None
    groups, many = _text_groups(batch)
    totals = torch.zeros(3, dtype=torch.float64)

    def tile(texts: Any, start: int, owner: int) -> Any:
        """Add this process's images with some texts; the texts' gradient."""
        described = _described(batch, texts.shape[0], owner, None if groups is None else groups[owner], many, start)
        wanted = Wanted(wants_grad, wants_grad, wants_grad)
        own = pairs.layer_of(u, texts, batch.gain, batch.shift)
        totals[0] += float(pairs.swept(own, described, batch.chunk_size, wanted))
        if not wants_grad:
            return None
        totals[1] += pairs.sum_of_products(own)
        totals[2] += float(own.bias_grads.sum(dtype=torch.float64))
        by_images.add_(own.inputs_grad)  # type: ignore[union-attr]
        return own.weight_grads.to(wide)

    by_texts = (_round if ring else _gathered)(batch, tile, wants_grad)
    loss = all_reduce(process, "sum of the losses of sharded pairs", totals[:1].clone())
    if not wants_grad:
        return cpu.scalar(loss.item(), wide), ()
    all_reduce(process, "sum of the gradients of scale and bias", totals[1:])
    slope, shift = (totals[k].to(wide) for k in (1, 2))
    return cpu.scalar(loss.item(), wide), (by_images.mul_(batch.gain), by_texts.mul_(batch.gain), slope, shift)  # type: ignore[union-attr]


def _text_groups(batch: _Batch) -> tuple[list[Any] | None, Any]:
    """Every process's groups of texts, and how many positives each image here has."""
    if batch.groups is None:
        images, texts = len(batch.u), len(batch.v)
        return None, np.arange(images) < texts
    images, texts = batch.groups
    room = torch.zeros(max(batch.sizes), dtype=torch.int64)
    room[: len(texts)] = torch.from_numpy(texts.astype(np.int64))
    found = all_gather(batch.process, "exchange of the texts' groups", room)
    groups = [one[:size].numpy() for one, size in zip(found, batch.sizes, strict=True)]
    ordered = np.sort(np.concatenate(groups))
    return groups, np.searchsorted(ordered, images, "right") - np.searchsorted(ordered, images, "left")


def _described(batch: _Batch, texts: int, owner: int, groups: Any, many: Any, start: int) -> tuple[Any, Any]:
    """Targets and options of the loss of this process's images with texts of another, from `start` on."""
    shape = len(batch.u), texts
    if groups is not None:
        given = Pairs(groups=(batch.groups[0], groups[start : start + texts]))
    elif owner == batch.process.rank:
        given = Pairs()
    else:
        nothing = np.zeros(0, np.int64)
        given = Pairs(targets=Positives(np.zeros(shape[0] + 1, np.int64), nothing, shape))
    return siglip.described(given, shape, images=batch.images, many=many if batch.average else None)


def _gathered(batch: _Batch, tile: Any, wants_grad: bool) -> Any:
    """All texts at once, and the sum of all gradients of them."""
    process, v = batch.process, batch.v
    room = torch.zeros(max(batch.sizes), v.shape[1], dtype=v.dtype)
    room[: len(v)] = v
    found = [v] if process.size == 1 else all_gather(process, "exchange of the texts", room)
    grads = [tile(texts[:size], 0, k) for k, (texts, size) in enumerate(zip(found, batch.sizes, strict=True))]
    if not wants_grad:
        return None
    starts = np.cumsum([0, *batch.sizes])
    everywhere = grads[0] if process.size == 1 else torch.cat(grads)
    all_reduce(process, "sum of the texts' gradients", everywhere)
    return everywhere[starts[process.rank] : starts[process.rank + 1]].clone()


def _round(batch: _Batch, tile: Any, wants_grad: bool) -> Any:
    """Texts go round with their gradient, to which every process adds its own part."""
    process, texts = batch.process, batch.v.contiguous()
    grads = None
    for step in range(process.size):
        owner = (process.rank - step) % process.size
        part = tile(texts, 0, owner)
        if wants_grad:
            grads = part if grads is None else grads.add_(part)
        if process.size == 1:
            break
        size, last = batch.sizes[owner - 1], step == process.size - 1
        sent, received = [], []
        if not last:
            sent.append(texts)
            received.append(torch.empty(size, texts.shape[1], dtype=texts.dtype))
        if wants_grad:
            sent.append(grads)
            received.append(torch.empty(size, texts.shape[1], dtype=grads.dtype))  # type: ignore[union-attr]
        if sent:
            pass_on(process, f"round of the texts, step {step + 1}", sent, received)
        texts = texts if last else received[0]
        grads = received[-1] if wants_grad else None
    return grads
