"""The loss of a linear layer of tensors whose outputs never exist: autograd, autocast, the hook, memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import logloss as ll
from cases import of_batch, tensors
from logloss._backends.torch import compiled_layer  # noqa: F401 - defines the operator
from on_torch.layered import LABELS, ROWS, TARGETS, close, dense, parts, positives, unfused
from reference import message

OPTIONS = {name: given for name, given in of_batch(ROWS, LABELS).items() if "ignore" not in name}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_and_reduction(name: str):
    """Also where the backward must compute the logits again, because every value has a factor of its own."""
    options, t = tensors(OPTIONS[name]), dense()
    for dtype, largest in ((torch.float64, 4e-15), (torch.float32, 2e-6), (torch.bfloat16, 8e-3)):
        own, want = parts(dtype), None
        for targets in (positives(t), t):
            loss = ll.linear_binary_cross_entropy(*own[:2], targets, linear_bias=own[2], chunk_size=16, **options)
            assert loss.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
            upstream = torch.randn(loss.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            grads = torch.autograd.grad((loss.double() * upstream).sum(), own)
            assert [grad.dtype for grad in grads] == [dtype] * 3
            want = unfused(own, t, upstream, **options) if want is None else want
            close([loss.detach(), *grads], want, largest)


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_of_every_kind(kind: str):
    t, own = dense(), parts()
    loss, grads = ll.linear_value_and_grad(*own[:2], TARGETS[kind](t), linear_bias=own[2], pos_weight=3.0)
    close([loss, *grads], unfused(own, t, pos_weight=3.0), 2e-6)
    assert not any(one.requires_grad for one in (loss, *grads))


def test_gradients_by_finite_differences():
    t = dense(rows=3, labels=9)
    x, w, b = (part[: len(like)].clone() for part, like in zip(parts(torch.float64), (t, t.T, t.T), strict=True))
    own = [part.detach().requires_grad_() for part in (x, w, b)]
    for options in ({"pos_weight": 2.0}, {"axis": -1}, {"reduction": "none"}):

        def function(x, w, b, options=options):
            return ll.linear_binary_cross_entropy(x, w, t, linear_bias=b, chunk_size=4, **options)

        assert torch.autograd.gradcheck(function, own)


def test_only_what_is_needed_is_computed():
    """Frozen parts have no gradient; without any, as without autograd, there is the loss alone, of the same bits."""
    x, w, b = parts()
    targets = positives(dense())
    loss = ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b)
    with torch.no_grad():
        alone = ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b)
    with torch.inference_mode():
        assert torch.equal(ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b), alone)
    assert torch.equal(alone, loss.detach())
    assert not alone.requires_grad
    head = [part.detach() for part in (w, b)]
    ll.linear_binary_cross_entropy(x, head[0], targets, linear_bias=head[1]).backward()
    ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b).backward(inputs=[w])
    assert b.grad is None
    assert [part.grad is None for part in head] == [True, True]
    close([x.grad, w.grad], unfused((x, w, b), dense())[1:3], 2e-6)


def test_graphs_that_are_kept_and_gradients_that_are_added_up():
    own = parts()
    loss = ll.linear_binary_cross_entropy(*own[:2], positives(dense()), linear_bias=own[2])
    loss.backward(retain_graph=True)
    once = [part.grad.clone() for part in own]
    loss.backward(retain_graph=True)
    (2.0 * loss).backward()
    for part, grad in zip(own, once, strict=True):
        torch.testing.assert_close(part.grad, 4 * grad, rtol=1e-6, atol=0)


def test_the_gradient_of_the_weights_is_not_copied():
    """What the sweep has written is what the parameter gets: a copy would double the largest array."""
    x, w, _ = parts()
    seen = []
    loss = ll.linear_binary_cross_entropy(x, w, positives(dense()))
    saved = loss.grad_fn.saved_tensors[1].data_ptr()
    w.register_post_accumulate_grad_hook(lambda parameter: seen.append(parameter.grad.data_ptr()))
    loss.backward()
    assert seen == [saved]


def test_second_derivatives_are_refused_by_name():
    x, w, b = parts()
    for options in ({}, {"axis": -1}):
        loss = ll.linear_binary_cross_entropy(x, w, dense(), linear_bias=b, **options).sum()
        with pytest.raises(ll.InvalidInputError, match=r"second derivative .* create_graph=True\. Use binary_cross"):
            torch.autograd.grad(loss, x, create_graph=True)


def test_checkpoints():
    own = parts()

    def run(x, w, b):
        return ll.linear_binary_cross_entropy(x.tanh(), w, positives(dense()), linear_bias=b)

    want = torch.autograd.grad(run(*own), own)
    for way in (True, False):
        for part in own:
            part.grad = None
        checkpoint(run, *own, use_reentrant=way).backward()
        assert all(torch.equal(part.grad, grad) for part, grad in zip(own, want, strict=True))


# ---- precision ------------------------------------------------------------------------------------------------------


def test_autocast_multiplies_in_its_type():
    own = parts()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ll.linear_binary_cross_entropy(*own[:2], positives(dense()), linear_bias=own[2])
    grads = torch.autograd.grad(loss, own)
    narrow = [part.detach().bfloat16() for part in own]
    want, expected = ll.linear_value_and_grad(*narrow[:2], positives(dense()), linear_bias=narrow[2])
    assert torch.equal(loss.detach(), want)
    assert all(torch.equal(grad, right.float()) for grad, right in zip(grads, expected, strict=True))
    assert [grad.dtype for grad in grads] == [torch.float32] * 3


def test_confident_positives_keep_their_gradient_in_bfloat16():
    """σ(x) - 1 is lost from x = 8 on in bfloat16; here the logits of positives are float32 dot products."""
    labels = 64
    x = torch.eye(labels, dtype=torch.bfloat16)
    logits = torch.linspace(0.1, 40, labels).bfloat16()
    w = torch.diag(logits).requires_grad_()
    third = torch.full((labels, 1), 1 / 3, dtype=torch.bfloat16)  # every logit is a sum of two products
    x, wide = torch.cat([x, third], 1), torch.cat([w, third], 1)
    targets = positives(torch.eye(labels, dtype=torch.bool))
    for options in ({}, {"label_weight": 2.0}):
        loss = ll.linear_binary_cross_entropy(x, wide, targets, reduction="sum", **options)
        (grad,) = torch.autograd.grad(loss, w)
        exact = logits.double() + third[0].double() ** 2
        want = -torch.sigmoid(-exact) * options.get("label_weight", 1.0)
        assert ((grad.diagonal().double() - want) / want).abs().max() < 2.0**-7


def test_float32_is_at_least_as_good_as_torch_with_logits():
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) * 2 for shape in ((64, 32), (2000, 32)))
    t = dense(rows=64, labels=2000)
    logits = x.double() @ w.double().T
    loss, slopes = ll.value_and_grad(logits, t)
    want = [loss, slopes @ w.double(), slopes.T @ x.double()]
    x.requires_grad_(), w.requires_grad_()
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(x @ w.T, t.float())
    errors = []
    for loss in (ll.linear_binary_cross_entropy(x, w, positives(t)), theirs):
        found = [loss, *torch.autograd.grad(loss, (x, w))]
        errors.append([(a.double() - b).abs().max() / b.abs().max() for a, b in zip(found, want, strict=True)])
    assert all(ours <= 1.5 * other + 1e-8 for ours, other in zip(*errors, strict=True)), errors


def test_rows_do_not_depend_on_their_company():
    """In batches of 16 and more the losses of a row have the same bits as in any other, in float32."""
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) for shape in ((256, 64), (500, 64)))
    t = dense(rows=256, labels=500)
    whole = ll.linear_binary_cross_entropy(x, w, t, reduction="none")
    for rows in (16, 100):
        assert torch.equal(ll.linear_binary_cross_entropy(x[:rows], w, t[:rows], reduction="none"), whole[:rows])


# ---- the hook -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_hook_steps_as_the_optimiser_would(dtype: torch.dtype):
    own, others = parts(dtype), parts(dtype)
    optimiser = torch.optim.SGD(others[1:2], lr=0.5)
    for _ in range(3):
        ll.linear_binary_cross_entropy(*others[:2], positives(dense()), linear_bias=others[2], chunk_size=16).backward()
        optimiser.step()
        optimiser.zero_grad()

        def step(start: int, stop: int, grad: torch.Tensor) -> None:
            own[1][start:stop].sub_(grad, alpha=0.5)

        loss = ll.linear_binary_cross_entropy(
            *own[:2], positives(dense()), linear_bias=own[2], chunk_size=16, on_weight_grad=step
        )
        loss.backward()
        assert own[1].grad is None
    assert torch.equal(own[1], others[1])
    assert torch.equal(own[0].grad, others[0].grad)


def test_a_hook_is_called_once_for_each_chunk_or_not_at_all():
    x, w, _ = parts()
    called = []

    def loss(**options: object) -> torch.Tensor:
        return ll.linear_binary_cross_entropy(
            x, w, positives(dense()), on_weight_grad=lambda *given: called.append(given), chunk_size=16, **options
        )

    with torch.no_grad():
        loss()
    assert called == []
    text = message(ll.InvalidInputError, (2.0 * loss()).backward)
    assert "upstream gradient of 2.0" in text
    assert [given[:2] for given in called] == [(0, 16), (16, 32), (32, 48)]
    assert "one number" in message(ll.InvalidInputError, loss, axis=-1)
    for way in (True, False):
        called.clear()
        again = checkpoint(lambda x: loss() + x.sum() * 0, x, use_reentrant=way)
        assert "runs again" in message(ll.InvalidInputError, again.backward)
        assert len(called) <= 3


# ---- memory ---------------------------------------------------------------------------------------------------------

MEMORY = """
import re, sys, numpy as np, torch
import logloss as ll

B, D, C, N = map(int, sys.argv[1:])
def memory(name):  # ru_maxrss begins with what the parent had
    if name == "VmRSS":
        open("/proc/self/clear_refs", "w").write("5")  # the most begins anew
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read()).group(1))
def extra(B, D, C, hook):
    x, w = torch.randn(B, D).requires_grad_(), torch.randn(C, D).mul_(0.05).requires_grad_()
    b = torch.zeros(C, requires_grad=True)
    targets = ll.Positives(np.arange(B + 1) * 5, np.tile(np.arange(5) * (C // 5), B), (B, C))
    before = memory("VmRSS")
    step = (lambda low, high, grad: w[low:high].sub_(grad, alpha=0.1)) if hook else None
    ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b, on_weight_grad=step).backward()
    return memory("VmHWM") - before

def pairs(N, D):
    u, v = (torch.nn.functional.normalize(torch.randn(N, D)).requires_grad_() for _ in range(2))
    before = memory("VmRSS")
    ll.siglip_loss(u, v, torch.tensor(10.0, requires_grad=True), torch.tensor(-10.0, requires_grad=True)).backward()
    return memory("VmHWM") - before

extra(64, D, 2000, True), pairs(500, D)  # compiles, and gives the libraries their buffers
print(extra(B, D, C, True), extra(B, D, C, False), pairs(N, D))
"""


def test_peak_memory_is_a_chunk_and_the_gradients():
    """With the hook the weights' gradient is a chunk's. The logits alone would be 123 MB, and torch holds four such."""
    sizes = rows, features, labels, images = 1024, 256, 30_000, 8192
    done = subprocess.run([sys.executable, "-c", MEMORY, *map(str, sizes)], capture_output=True, text=True, check=True)
    hooked, whole, pairs = map(int, done.stdout.split())
    held = 4 * (2048 * rows + rows * features + labels)
    assert hooked <= 1.1 * (held + 4 * 2048 * features) + 8e6
    assert whole <= 1.1 * (held + 4 * labels * features) + 8e6
    assert pairs <= 1.1 * 4 * (512 * images + 2 * images * features) + 8e6  # a matrix of similarities is 268 MB
