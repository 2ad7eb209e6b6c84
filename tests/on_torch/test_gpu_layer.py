"""The GPU's way of losses without logits, taken by CPU tensors through Triton's interpreter: the CPU's results.

What the CPU gives is held to the oracle. On a GPU `test_gpu.py` does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import logloss as ll
from cases import of_batch, tensors
from logloss._backends.torch import gpu_layer
from reference import message

pytestmark = pytest.mark.interpreted

ROWS, FEATURES, LABELS = 6, 5, 40
OPTIONS = {name: tensors(given) for name, given in of_batch(ROWS, LABELS).items() if "ignore" not in name}
Results = tuple[torch.Tensor, ...]


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch):
    """Within `with on_gpu():` CPU tensors go where CUDA tensors would; at the end it has been asked for them."""
    asked = []

    class Patched:
        def __enter__(self) -> None:
            self.patch = monkeypatch.context()
            patch = self.patch.__enter__()
            patch.setattr(gpu_layer, "serves", lambda x: asked.append(x) or True)
            patch.setattr(gpu_layer, "accumulates_in_float32", lambda: False)
            patch.setattr(gpu_layer, "LEAST", 1)

        def __exit__(self, *error: object) -> None:
            self.patch.__exit__(*error)

    with np.errstate(all="ignore"):  # the interpreter computes with NumPy, which warns of what is selected away
        yield Patched
    assert asked


def parts(dtype: torch.dtype, seed: int = 0) -> Results:
    generator = torch.Generator().manual_seed(seed)
    shapes = (ROWS, FEATURES), (LABELS, FEATURES), (LABELS,)
    return tuple((2 * torch.randn(shape, generator=generator)).to(dtype).requires_grad_() for shape in shapes)


def dense() -> torch.Tensor:
    return torch.rand(ROWS, LABELS, generator=torch.Generator().manual_seed(1)) < 0.1


def positives() -> ll.Positives:
    return ll.Positives.from_lists([row.nonzero().reshape(-1).tolist() for row in dense()], LABELS)


def both(on_gpu: Any, run: Callable[[], Results]) -> tuple[Results, Results]:
    """What a call gives on the CPU, and by the GPU's kernels."""
    want = run()
    with on_gpu():
        return want, run()


def close(want: Results, found: Results, largest: float) -> None:
    for one, other in zip(want, found, strict=True):
        assert one.dtype == other.dtype
        assert (one.double() - other.double()).abs().max() <= largest * one.double().abs().max()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_and_reduction(name: str, on_gpu):
    for targets in (positives(), dense()):
        own = parts(torch.float32)

        def run(own=own, targets=targets) -> Results:
            loss = ll.linear_binary_cross_entropy(*own[:2], targets, linear_bias=own[2], chunk_size=16, **OPTIONS[name])
            upstream = torch.linspace(0.5, 2, loss.numel()).reshape(loss.shape)
            return loss.detach(), *torch.autograd.grad((loss * upstream).sum(), own)

        close(*both(on_gpu, run), 2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("options", [{}, {"label_weight": 2.0}, {"axis": -1}], ids=["plain", "weighted", "by row"])
def test_half_precision(dtype: torch.dtype, options: dict[str, Any], on_gpu):
    own = parts(dtype)

    def run() -> Results:
        loss = ll.linear_binary_cross_entropy(*own[:2], positives(), linear_bias=own[2], **options)
        return loss.detach(), *torch.autograd.grad(loss.sum(), own)

    close(*both(on_gpu, run), 2e-2 if dtype is torch.bfloat16 else 1e-3)  # the interpreter cuts bfloat16 off


def test_the_loss_alone_hooks_and_frozen_parts(on_gpu):
    own = parts(torch.float32)

    def run() -> Results:
        found = []
        hooked = ll.linear_binary_cross_entropy(
            *own[:2], positives(), chunk_size=16, on_weight_grad=lambda *given: found.append(given[2].clone())
        )
        (by_inputs,) = torch.autograd.grad(hooked, own[0])
        with torch.no_grad():
            alone = ll.linear_binary_cross_entropy(*own[:2], positives(), chunk_size=16)
        assert torch.equal(alone, hooked.detach())
        (frozen,) = torch.autograd.grad(ll.linear_binary_cross_entropy(own[0], own[1].detach(), positives()), own[0])
        return alone, by_inputs, torch.cat(found), frozen

    close(*both(on_gpu, run), 2e-6)


def test_the_loss_does_not_depend_on_the_chunk_nor_the_gradient_of_the_weights(on_gpu):
    own = parts(torch.float32)
    with on_gpu():
        found = [
            ll.linear_value_and_grad(*own[:2], positives(), linear_bias=own[2], chunk_size=size)
            for size in (None, 8, 16, LABELS)
        ]
    for loss, grads in found:
        assert torch.equal(loss, found[0][0])
        assert torch.equal(grads.linear_weight, found[0][1].linear_weight)
        assert torch.equal(grads.linear_bias, found[0][1].linear_bias)


GROUPS = np.arange(20) % 7, np.arange(30) % 9
PAIRS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "square": ((20, 20), {}),
    "more texts": ((20, 30), {}),
    "groups": ((20, 30), {"groups": tuple(map(torch.from_numpy, GROUPS))}),
    "averaged groups": ((20, 30), {"groups": GROUPS, "average_positives": True}),
    "averaged mask": ((20, 30), {"targets": torch.eye(20, 30, dtype=torch.bool), "average_positives": True}),
}


@pytest.mark.parametrize(("name", "scale"), [*((name, 10.0) for name in PAIRS), ("groups", 0.0), ("square", -2.0)])
def test_pairs(name: str, scale: float, on_gpu):
    shape, pairs = PAIRS[name]
    generator = torch.Generator().manual_seed(2)
    u, v = (torch.nn.functional.normalize(torch.randn(rows, 8, generator=generator)) for rows in shape)
    own = [one.requires_grad_() for one in (u, v, torch.tensor(scale), torch.tensor(-10.0))]

    def run() -> Results:
        loss = ll.siglip_loss(*own, chunk_size=8, **pairs)
        return loss.detach(), *torch.autograd.grad(3 * loss, own)

    close(*both(on_gpu, run), 5e-6)


def test_pairs_of_bfloat16_have_their_logits_in_float32(on_gpu):
    """Similarities are rounded to bfloat16, and not what scale and bias make of them: -10 has two digits there."""
    generator = torch.Generator().manual_seed(2)
    u, v = (torch.nn.functional.normalize(torch.randn(64, 8, generator=generator)).bfloat16() for _ in range(2))
    exact = ll.siglip_loss(u.double(), v.double(), 10.0, -10.0)
    with on_gpu():
        found = ll.siglip_loss(u, v, 10.0, -10.0)
    assert found.item() == pytest.approx(exact.item(), rel=1e-4)


def test_bad_targets_and_weights_are_refused_where_that_is_asked_for_and_are_nan_elsewhere(on_gpu):
    x, w, _ = parts(torch.float32)
    weight = torch.ones(ROWS)
    weight[3] = -1.0
    with on_gpu():
        assert ll.linear_binary_cross_entropy(x, w, positives(), sample_weight=weight).isnan()
        text = message(
            ll.InvalidInputError,
            ll.linear_binary_cross_entropy,
            *(x, w, positives()),
            sample_weight=weight,
            validate="now",
        )
        assert "sample_weight must be finite and not negative" in text
        assert ll.linear_binary_cross_entropy(x[:0], w, ll.Positives.from_lists([], LABELS)).item() == 0.0


def test_what_a_gpu_does_not_take_is_said():
    """Without a GPU: of a tensor that says it is there."""

    class There:
        is_cuda, dtype = True, torch.float64

    text = message(ll.UnsupportedTypeError, gpu_layer.serves, There())
    assert "float16, bfloat16 and float32" in text
    assert "got dtype float64. Use .float()" in text
