"""The GPU's way through the public functions and autograd, taken by CPU tensors through Triton's interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import logloss as ll
from cases import IGNORING, of_batch, tensors
from logloss._backends import torch as backend
from logloss._backends.torch import addressed, gpu
from logloss._backends.torch.call import Call
from logloss._spec.losses import PLAIN_LOSS
from logloss._spec.options import Options
from logloss.torch import BCEWithLogitsLoss

pytestmark = pytest.mark.interpreted


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch):
    """CPU tensors go where CUDA tensors would. Says how often they did."""
    calls = []

    def serves(call, x, t):
        calls.append(call)
        fits = call.primitive == PLAIN_LOSS and x.dtype is not torch.float64
        return fits and isinstance(t, torch.Tensor)

    monkeypatch.setattr(gpu, "serves", serves)
    monkeypatch.setattr(addressed, "kind_of", lambda *_: None)
    with np.errstate(all="ignore"):
        yield calls


def data(shape=(6, 5), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator) * 4).to(dtype).requires_grad_()
    return x, (torch.rand(shape, generator=generator) < 0.4).float()


OPTIONS = {name: tensors(given) for name, given in {**of_batch(6, 5), **IGNORING}.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_losses_and_gradients_are_those_of_the_cpu(name, on_gpu, monkeypatch):
    (x, t), options = data(), OPTIONS[name]
    loss = ll.binary_cross_entropy_with_logits(x, t, **options)
    loss.sum().backward()
    value, grad = ll.value_and_grad(x.detach(), t, **options)
    assert len(on_gpu) == 2
    monkeypatch.undo()
    want = x.detach().clone().requires_grad_()
    expected = ll.binary_cross_entropy_with_logits(want, t, **options)
    expected.sum().backward()
    for found in (loss, value):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    for found in (x.grad, grad):
        torch.testing.assert_close(found, want.grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision(dtype, axis, on_gpu, monkeypatch):
    x, t = data((64, 64), dtype)
    loss = ll.binary_cross_entropy_with_logits(x, t, axis=axis)
    (loss * 1024.0).sum().backward()
    assert loss.dtype == torch.float32
    assert x.grad.dtype == dtype
    monkeypatch.undo()
    want = x.detach().clone().requires_grad_()
    (ll.binary_cross_entropy_with_logits(want, t, axis=axis) * 1024.0).sum().backward()
    # the interpreter cuts bfloat16 off where a GPU rounds
    torch.testing.assert_close(x.grad, want.grad, rtol=2.0**-7 if dtype is torch.bfloat16 else 0, atol=0)


def test_upstream_gradients_and_kept_graphs(on_gpu):
    x, t = data()
    loss = ll.binary_cross_entropy_with_logits(x, t)
    (first,) = torch.autograd.grad(loss, x, torch.tensor(2.0), retain_graph=True)
    (second,) = torch.autograd.grad(loss, x, torch.tensor(3.0))
    torch.testing.assert_close(first * 1.5, second)
    losses = ll.binary_cross_entropy_with_logits(x, t, reduction="none")
    up = torch.linspace(-1, 1, 30).reshape(6, 5)
    (slopes,) = torch.autograd.grad(losses, x, up)
    torch.testing.assert_close(slopes, up * (torch.sigmoid(x) - t).detach(), rtol=1e-5, atol=1e-7)


def test_second_derivatives(on_gpu):
    x, t = data()
    (slope,) = torch.autograd.grad(ll.binary_cross_entropy_with_logits(x, t, reduction="sum"), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), x)
    p = torch.sigmoid(x.detach())
    torch.testing.assert_close(curve, p * (1 - p), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("value", "near", "dtype"), [(2**24, 2**24 + 1, torch.int64), (0.5, 0.5 + 1e-12, torch.float64)], ids=str
)
def test_ignored_values_are_compared_as_the_targets_hold_them(value, near, dtype, on_gpu):
    x, t = torch.zeros(3), torch.tensor([value, near, 1], dtype=dtype)
    losses = ll.binary_cross_entropy_with_logits(x, t, ignore_index=value, reduction="none")
    assert losses[0] == 0
    assert losses[1] != 0
    assert losses[1].isnan() == (near > 1)


def test_bad_targets_give_nan_without_a_word(on_gpu):
    x, t = data()
    t[2, 3] = 2.0
    loss = ll.binary_cross_entropy_with_logits(x, t)
    loss.backward()
    assert loss.isnan()
    assert x.grad.isnan().sum() == 1


def test_a_module_in_place(on_gpu):
    x, t = data()
    module = BCEWithLogitsLoss(inplace=True)
    hidden = x * 1.0
    memory = hidden.data_ptr()
    module(hidden, t).backward()
    want = x.detach().clone().requires_grad_()
    torch.nn.functional.binary_cross_entropy_with_logits(want, t).backward()
    torch.testing.assert_close(x.grad, want.grad, rtol=1e-5, atol=1e-8)
    assert hidden.data_ptr() == memory


def test_waiting_for_the_device_gives_the_words_of_the_cpu():
    x, t = data()
    weight = torch.ones(6, 5)
    weight[1, 4] = -2.0
    call = Call(PLAIN_LOSS, Options(weight=weight, validate="now"))
    with pytest.raises(ll.InvalidInputError, match=r"weight must be finite and not negative.*\(1, 4\): -2"):
        backend._check_on_host(call, x, t)


def test_other_devices_and_losses_are_not_served():
    x, t = data()
    call = Call(PLAIN_LOSS, Options())
    assert not gpu.serves(call, x, t)
    assert not gpu.serves(call, x.to("meta"), t.to("meta"))
