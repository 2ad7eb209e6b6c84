"""Programs that hand over tensors of other kinds, or run the loss in other ways than a training loop."""

from __future__ import annotations

import itertools

import pytest
import torch

import logloss as ll
from logloss import torch as drop_in


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(6, 5, generator=generator), (torch.rand(6, 5, generator=generator) < 0.3).float()


class Labelled(torch.Tensor):
    """A subclass from elsewhere, as torchvision's tv_tensors."""


def test_subclasses_from_elsewhere_are_tensors():
    x, t = batch()
    want = ll.binary_cross_entropy_with_logits(x, t)
    for logits, targets in itertools.product((x, x.as_subclass(Labelled)), (t, t.as_subclass(Labelled))):
        assert torch.equal(torch.as_tensor(ll.binary_cross_entropy_with_logits(logits, targets)), want)
        assert isinstance(ll.denominator(targets), torch.Tensor)


def test_the_loss_stays_where_the_logits_are():
    x = torch.zeros(4, requires_grad=True)
    with torch.device("meta"):
        loss = drop_in.binary_cross_entropy_with_logits(x, x.detach())
        loss.backward()
        graph = drop_in.binary_cross_entropy_with_logits(x, x.detach())
        (slope,) = torch.autograd.grad(graph, x, create_graph=True)
    assert loss.device == slope.device == x.grad.device == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traces_hold_the_loss_and_not_its_value():
    x, t = batch()
    for criterion in (drop_in.BCEWithLogitsLoss(pos_weight=torch.rand(5)), drop_in.SigmoidFocalLoss()):
        traced = torch.jit.trace(criterion, (x, t))
        torch.testing.assert_close(traced(3 * x, t), criterion(3 * x, t))


def test_distributed_tensors():
    from torch import distributed
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        x, t = (distribute_tensor(one, mesh, [Shard(0)]) for one in batch())
        x.requires_grad_()
        loss = drop_in.binary_cross_entropy_with_logits(x, t)
        loss.backward()
        whole, targets = batch()
        want = drop_in.binary_cross_entropy_with_logits(whole.requires_grad_(), targets)
        want.backward()
        torch.testing.assert_close(loss.full_tensor(), want)
        torch.testing.assert_close(x.grad.full_tensor(), whole.grad)
        with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):  # PyTorch says it well
            drop_in.binary_cross_entropy_with_logits(whole.detach(), t)
        with pytest.raises(ll.UnsupportedTypeError, match=r"got a DTensor .* Use full_tensor\(\)"):
            ll.balanced_pos_weight(t)
    finally:
        distributed.destroy_process_group()
