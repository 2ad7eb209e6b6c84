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
