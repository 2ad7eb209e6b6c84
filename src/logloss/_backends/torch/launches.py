"""The GPU's kernel on PyTorch's tensors: their layout as strides, tiles and launches.

Every operand has a stride along each of three axes (outer, row, column), 0 where it is broadcast, so weights per row
or per label, masks and slices need neither copies nor divisions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton

from ..._kernels import gpu
from ..._spec.terms import Terms


def cross_entropy(
    x: Any,
    t: Any,
    terms: Terms,
    *,
    scale: Any = 1.0,
    loss: Any = None,
    grad: Any = None,
    check: bool = True,
    signed: bool = False,
) -> Any:
    """The sum of the losses as a 0-d float64 tensor on the device; elementwise results go into `loss` and `grad`.

    x: float16, bfloat16 or float32 logits of any shape and strides; t: bool, integer or floating targets of that
    shape; terms: tensors with as many axes, or numbers. `scale`, a number, a 0-d float32 tensor or one with as many
    axes, multiplies the gradient, which may go into x. Nothing waits for the device: with `check`, a target or weight
    out of its domain makes its loss and gradient NaN; with `signed` weights of elements may be negative.
    """
    return _sum(x, [x, t, terms.mask, terms.row, terms.element, loss, grad], scale, terms, (check, signed))


def total_weight(t: Any, terms: Terms) -> Any:
    """The sum of the weights of what counts, as a 0-d float64 tensor; terms.prices[0] is the weight of the label.

    Only what decides is read: the targets where one is ignored, the mask and the weights.
    """
    given = t if terms.ignored is not None else None
    terms = terms._replace(prices=(0.0, terms.prices[0], 0.0, 0.0))
    return _sum(t, [None, given, terms.mask, terms.row, terms.element, None, None], 1.0, terms, (False, False))


def _sum(like: Any, operands: list[Any], scale: Any, terms: Terms, checks: tuple[bool, bool]) -> Any:
    """Launch one program for each tile of arrays of the shape of `like`, and add up what they found."""
    if like.numel() == 0:
        return torch.zeros((), dtype=torch.float64, device=like.device)
    x, t, mask, row, element, loss, grad = operands
    table, each = _table(terms.prices, like), None if isinstance(scale, float) or scale.ndim == 0 else scale
    sizes, strides = _merged(like.shape, [x, t, mask, row, element, table, loss, grad, each])
    if len(sizes) > 3:
        return _spread_out(like, operands, scale, terms, checks)
    shape = (*(1,) * (3 - len(sizes)), *sizes)
    down, across = _tile_shape(*shape[1:])
    programs = shape[0] * -(-shape[1] // down) * -(-shape[2] // across)
    partials = torch.empty(programs, dtype=torch.float32, device=like.device)
    scale, factor = (None, float(scale)) if isinstance(scale, float) else (scale, 1.0)
    with torch.cuda.device_of(like):  # Triton launches where PyTorch is, not where the operands are
        gpu.tile[(programs,)](
            partials, x, _bytes(t), _bytes(mask), row, element, table, loss, grad, scale, factor,
            *((0.0,) * 4 if table is not None else terms.prices),
            0.0 if terms.ignored is None else float(terms.ignored), *shape,
            *(stride for steps in strides for stride in (*(0,) * (3 - len(sizes)), *steps)),
            0 if table is None else table.numel(),
            IGNORE=_which(terms.ignored), CHECK=checks[0], SIGNED=checks[1],
            ONE_SCALE=each is None, ROWS=down, COLUMNS=across, **gpu.LAUNCH,
        )  # fmt: skip
    return partials.sum(dtype=torch.float64)


def negatives(products: Any, bias: Any, gain: Any, shift: Any, *, wants_grad: bool) -> tuple[Any, Any]:
    """The losses of logits gain·products + shift + bias with target 0, a float64 sum for each row.

    products: a contiguous matrix of bfloat16 or float32; bias: a vector with a number for each row; gain and shift: 0-d
    tensors; each of the three may be None. With `wants_grad` the products become the gradient by the logits, whose sums
    come second. What stands at -inf costs nothing. A row's sum has the same bits whatever other rows there are.
    """
    rows, columns = products.shape
    if not columns:
        return (torch.zeros(rows, dtype=torch.float64, device=products.device),) * 2
    down, across = _tile_shape(rows, columns)
    tiles = -(-columns // across)
    found = torch.empty((2 if wants_grad else 1, rows, tiles), dtype=torch.float32, device=products.device)
    costs, slopes = found[0], found[1] if wants_grad else None
    with torch.cuda.device_of(products):
        gpu.negatives[(-(-rows // down) * tiles,)](
            costs, slopes, products, gain, shift, bias, rows, columns,
            GRAD=wants_grad, ROWS=down, COLUMNS=across, **gpu.LAUNCH,
        )  # fmt: skip
    sums = found.sum(2, dtype=torch.float64)
    return sums[0], sums[1] if wants_grad else None


def multiply(values: Any, factor: Any) -> Any:
    """Contiguous values times a 0-d tensor, in place; nothing is touched where that is 1, and nobody waits to know."""
    count = values.numel()
    if count:
        with torch.cuda.device_of(values):
            gpu.multiply[(-(-count // gpu.TILE),)](values, factor, count, COUNT=gpu.TILE, **gpu.LAUNCH)
    return values


def _which(ignored: float | None) -> int:
    if ignored is None:
        return int(gpu.EVERYTHING.value)
    return int((gpu.NOT_NAN if math.isnan(ignored) else gpu.NOT_VALUE).value)


def _bytes(array: Any) -> Any:
    """Triton knows booleans as single bits; in memory they are bytes."""
    return array.view(torch.uint8) if array is not None and array.dtype == torch.bool else array


def _table(prices: tuple[Any, ...], x: Any) -> Any:
    """Prices that vary: the first of four float32 arrays that lie one after another; None for numbers."""
    shape = next((price.shape for price in prices if isinstance(price, torch.Tensor)), None)
    if shape is None:
        return None
    table = torch.empty((4, *shape), dtype=torch.float32, device=x.device)
    for part, price in zip(table, prices, strict=True):
        part.copy_(price) if isinstance(price, torch.Tensor) else part.fill_(price)
    return table[0]


def _merged(shape: Any, operands: list[Any]) -> tuple[list[int], list[list[int]]]:
    """The shape with axes merged along which every operand goes on as one, and the operands' strides along it.

    An axis on which an operand has length 1 has the stride 0: it is broadcast. Absent operands have strides of 0.
    """
    if all(array is None or (array.shape == shape and array.is_contiguous()) for array in operands):
        return [shape.numel()], [[0 if array is None else 1] for array in operands]
    steps = [
        [0 if array is None or array.shape[axis] == 1 else array.stride(axis) for axis in range(len(shape))]
        for array in operands
    ]
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in operands]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(to[-1] == each[axis] * size for to, each in zip(kept, steps, strict=True)):
            sizes[-1] *= size
            for to, each in zip(kept, steps, strict=True):
                to[-1] = each[axis]
        else:
            sizes.append(size)
            for to, each in zip(kept, steps, strict=True):
                to.append(each[axis])
    return sizes, kept


def _tile_shape(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a tile: as many columns as there are, in powers of two."""
    across = min(gpu.TILE, triton.next_power_of_2(columns))
    return min(gpu.TILE // across, triton.next_power_of_2(rows)), across


def _spread_out(like: Any, operands: list[Any], scale: Any, terms: Terms, checks: tuple[bool, bool]) -> Any:
    """The same where more than three axes are left: every operand in memory of its own, without broadcasting."""

    def spread(array: Any) -> Any:
        return array.expand(like.shape).contiguous() if isinstance(array, torch.Tensor) and array.ndim else array

    def new(array: Any) -> Any:
        return None if array is None else torch.empty(like.shape, dtype=array.dtype, device=like.device)

    results = operands[-2:]
    dense = list(map(new, results))
    terms = terms._replace(prices=tuple(spread(price) for price in terms.prices))
    total = _sum(like, [*map(spread, operands[:-2]), *dense], spread(scale), terms, checks)
    for array, values in zip(results, dense, strict=True):
        if array is not None:
            array.copy_(values)
    return total
