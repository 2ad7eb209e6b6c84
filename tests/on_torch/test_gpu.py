"""On a GPU: the bits of the CPU's kernels, no waiting, and the memory that is promised. `pytest -m gpu` runs these."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import logloss as ll
from cases import IGNORING, of_batch, tensors
from logloss.torch import BCEWithLogitsLoss

pytestmark = pytest.mark.gpu


def every_float32(part: int, parts: int = 64) -> np.ndarray:
    """A part of all finite float32 numbers of magnitude up to 104."""
    largest = int(np.float32(104).view(np.int32))
    low, high = part * (largest + 1) // parts, (part + 1) * (largest + 1) // parts
    positive = np.arange(low, high, dtype=np.int32).view(np.float32)
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize("target", [0, 1])
def test_every_float32_logit_has_the_bits_of_the_cpu(target):
    for part in range(64):
        x = every_float32(part)
        t = np.full(x.shape, target, np.uint8)
        losses, slopes = ll.value_and_grad(x, t, reduction="none")
        found = ll.value_and_grad(torch.from_numpy(x).cuda(), torch.from_numpy(t).cuda(), reduction="none")
        np.testing.assert_array_equal(found[0].cpu().numpy(), losses)
        np.testing.assert_array_equal(found[1].cpu().numpy(), slopes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_every_half_precision_logit_has_the_bits_of_the_cpu(dtype):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    x = x[~x.isnan()]
    for target in (0.0, 1.0):
        t = torch.full(x.shape, target)
        want = ll.value_and_grad(x, t, reduction="none")
        found = ll.value_and_grad(x.cuda(), t.cuda(), reduction="none")
        torch.testing.assert_close(tuple(one.cpu() for one in found), want, rtol=0, atol=0)


OPTIONS = {**of_batch(500, 300), **IGNORING}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name, dtype):
    generator = torch.Generator().manual_seed(4)
    x = (3 * torch.randn(500, 300, generator=generator)).to(dtype)
    t = (torch.rand(500, 300, generator=generator) < 0.3).float()
    results = []
    for device in ("cpu", "cuda"):
        logits = x.to(device).requires_grad_()
        loss = ll.binary_cross_entropy_with_logits(logits, t.to(device), **tensors(OPTIONS[name], device))
        loss.sum().backward()
        results.append((loss.detach().cpu(), logits.grad.cpu()))
    tolerance = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float32: 2e-6, torch.float64: 1e-13}[dtype]
    torch.testing.assert_close(results[0], results[1], rtol=tolerance, atol=1e-7 if dtype is torch.float16 else 0)


def test_a_step_waits_for_nothing():
    x = torch.randn(1000, 100, device="cuda", requires_grad=True)
    t = torch.randint(0, 2, (1000, 100), device="cuda", dtype=torch.uint8)
    module = BCEWithLogitsLoss(pos_weight=torch.rand(100)).cuda()
    module(x, t).backward()  # compiles the kernels
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        module(x, t).backward()
        ll.binary_cross_entropy_with_logits(x, t, mask=t == 0).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_logits_on_a_device_that_is_not_the_current_one():
    x = torch.randn(1000, 100, requires_grad=True)
    t = torch.randint(0, 2, (1000, 100), dtype=torch.uint8)
    there = x.detach().to("cuda:1").requires_grad_()
    for logits, targets in ((x, t), (there, t.to("cuda:1"))):
        (3 * ll.binary_cross_entropy_with_logits(logits, targets)).backward()
    torch.testing.assert_close(there.grad.cpu(), x.grad, rtol=1e-6, atol=0)


def test_bad_targets_end_in_nan_or_in_an_error_as_asked():
    x = torch.randn(10, 10, device="cuda", requires_grad=True)
    t = torch.zeros(10, 10, device="cuda")
    t[3, 4] = 255.0
    assert ll.binary_cross_entropy_with_logits(x, t).isnan()
    with pytest.raises(ll.InvalidInputError, match=r"\(3, 4\): 255"):
        ll.binary_cross_entropy_with_logits(x, t, validate="now")


def test_the_same_bits_every_time():
    x = torch.randn(3_000_001, device="cuda")
    t = (torch.rand(3_000_001, device="cuda") < 0.5).float()
    first = ll.value_and_grad(x, t)
    for _ in range(20):
        again = ll.value_and_grad(x, t)
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])


def test_more_than_2_to_the_31_elements():
    x = torch.full((2**31 + 8,), -3.0, dtype=torch.float16, device="cuda")
    t = torch.zeros(2**31 + 8, dtype=torch.bool, device="cuda")
    x[-1], t[-1] = -104.0, True
    loss = ll.binary_cross_entropy_with_logits(x, t, reduction="sum")
    assert float(loss) == pytest.approx((2**31 + 7) * float(np.log1p(np.exp(-3.0))) + 104.0, rel=1e-6)


def test_one_buffer_for_the_gradient_and_none_without():
    x = torch.randn(2**22, device="cuda", requires_grad=True)
    t = (torch.rand(2**22, device="cuda") < 0.5).float()
    for grad, most in ((True, 1.1), (False, 0.1)):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.set_grad_enabled(grad):
            loss = ll.binary_cross_entropy_with_logits(x, t)
        assert torch.cuda.max_memory_allocated() - before < most * 4 * x.numel()
        del loss


# ---- losses whose logits never exist --------------------------------------------------------------------------------


def layer(rows: int, features: int, labels: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (rows, features), (labels, features), (labels,)
    return [(torch.randn(shape, generator=generator) / features**0.25).to(dtype) for shape in shapes]


def there(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [one.detach().cuda().requires_grad_() for one in tensors]


def positives(rows: int, labels: int) -> ll.Positives:
    first = (np.arange(rows)[:, None] * 7 + np.arange(5) * (labels // 5)) % labels
    return ll.Positives(np.arange(rows + 1) * 5, first.reshape(-1), (rows, labels))


@pytest.mark.parametrize("name", [name for name in OPTIONS if "ignore" not in name])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_layers(name, dtype):
    own, targets, options = layer(500, 64, 300, dtype), positives(500, 300), OPTIONS[name]
    results = []
    for given, device in (([one.requires_grad_() for one in own], "cpu"), (there(own), "cuda")):
        loss = ll.linear_binary_cross_entropy(
            *given[:2], targets, linear_bias=given[2], chunk_size=100, **tensors(options, device)
        )
        grads = torch.autograd.grad(loss.sum(), given)
        results.append([one.detach().cpu().double() for one in (loss, *grads)])
    largest = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 5e-6}[dtype]
    for want, found in zip(*results, strict=True):
        assert (want - found).abs().max() <= largest * want.abs().max()


@pytest.mark.parametrize("pairs", [{}, {"average_positives": True}], ids=["pairs", "groups"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_pairs(dtype, pairs):
    if pairs:
        pairs = {**pairs, "groups": (torch.arange(700) % 90, torch.arange(900) % 110)}
    u, v = (torch.nn.functional.normalize(one) for one in layer(700, 64, 900, torch.float32)[:2])
    own = [u.to(dtype), v.to(dtype), torch.tensor(10.0), torch.tensor(-10.0)]
    results = []
    for given in ([one.requires_grad_() for one in own], there(own)):
        loss = ll.siglip_loss(*given, chunk_size=256, **pairs)
        grads = torch.autograd.grad(3 * loss, given)
        results.append([one.detach().cpu().double() for one in (loss, *grads)])
    for want, found in zip(*results, strict=True):
        assert (want - found).abs().max() <= (2e-2 if dtype is torch.bfloat16 else 5e-6) * want.abs().max()


def test_layers_wait_for_nothing_and_give_the_same_bits_every_time():
    u, v, _ = there(layer(2000, 64, 3000, torch.bfloat16))
    scale, bias = torch.tensor(2.3, device="cuda", requires_grad=True), torch.tensor(-10.0, device="cuda")
    targets = positives(2000, 3000)
    own = u, v, scale

    def step() -> list[torch.Tensor]:
        pairs = ll.siglip_loss(u, v, scale.exp(), bias)
        loss = pairs + ll.linear_binary_cross_entropy(u, v, targets)
        return [loss.detach(), *torch.autograd.grad(loss, own)]

    first = step()  # compiles the kernels, and asks PyTorch what it can
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_compiled_layers_on_a_gpu():
    own, targets = there(layer(200, 64, 300, torch.float32)), positives(200, 300)

    def step(x, w, b):
        return ll.linear_binary_cross_entropy(x.tanh(), w, targets, linear_bias=b) + ll.siglip_loss(x, w, 10.0, -10.0)

    found = torch.compile(step, fullgraph=True)(*own)
    torch.testing.assert_close(found, step(*own), rtol=1e-6, atol=0)
    for a, b in zip(torch.autograd.grad(found, own), torch.autograd.grad(step(*own), own), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-8)


def test_pairs_hold_a_chunk_and_the_gradients():
    """16,384 pairs of 768 features: one matrix of their similarities alone is 537 MB in bfloat16."""
    u, v, _ = there(layer(16384, 768, 16384, torch.bfloat16))
    scale, bias = torch.tensor(10.0, device="cuda"), torch.tensor(-10.0, device="cuda")
    ll.siglip_loss(u[:512], v[:512], scale, bias).backward()
    u.grad = v.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    ll.siglip_loss(u, v, scale, bias).backward()
    gradients, chunk = 16384 * 768 * (4 + 2), max(64 << 20, 16384 * 768 * 4)
    assert torch.cuda.max_memory_allocated() - before <= 1.1 * (gradients + chunk) + 16384 * 768 * 2 + 8e6  # u.grad
