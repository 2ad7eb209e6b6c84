"""What happens to logits after a loss with inplace=True: whoever would take their gradient for them is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import logloss as ll
from logloss.torch import BCEWithLogitsLoss, SigmoidFocalLoss

USED = "must not be used after a loss with inplace=True"
IN_PLACE = BCEWithLogitsLoss(inplace=True)
bce = ll.binary_cross_entropy_with_logits


def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return x, (torch.rand(6, 4, generator=generator) < 0.4).double()


USES: dict[str, Callable[[torch.Tensor], object]] = {
    "accuracy": lambda x: (x > 0).float().mean(),
    "detached": lambda x: x.detach(),
    "memory": lambda x: x.data,
    "numpy": lambda x: x.detach().numpy(),
    "item": lambda x: x[0, 0].item(),
    "another loss": lambda x: bce(x, torch.ones(6, 4)),
    "the same loss": lambda x: IN_PLACE(x, torch.ones(6, 4)),
    "a view": lambda x: x.view(-1),
    "transposed": lambda x: x.T,
    "an operand": lambda x: torch.ones(6, 4) + x,
    "in a list": lambda x: torch.stack([x, x]),
    "written": lambda x: x.zero_(),
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("make", [BCEWithLogitsLoss, SigmoidFocalLoss])
def test_logits_are_not_read_after_their_loss(name: str, make: type):
    x, t = case()
    logits = 2.0 * x
    loss = make(inplace=True)(logits, t)
    with pytest.raises(ll.InvalidInputError, match=USED):
        USES[name](logits)
    (slope,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(slope, torch.autograd.grad(make()(2.0 * x, t), x)[0])


def test_they_may_be_asked_what_they_are():
    x, t = case()
    logits = 2.0 * x
    IN_PLACE(logits, t).backward()
    assert (logits.shape, logits.dtype, logits.device, len(logits)) == (x.shape, x.dtype, x.device, 6)
    assert isinstance(logits, torch.Tensor)
    assert "6, 4" in repr(logits)
    assert len({logits, logits}) == 1


@pytest.mark.parametrize("later", [lambda x: x.square().sum(), lambda x: x[:3].exp().mean()], ids=["all", "part"])
def test_a_later_use_of_what_they_are_a_view_of_is_found_in_the_backward(later: Callable):
    x, t = case()
    whole = 2.0 * x
    loss = IN_PLACE(whole.view(-1), t.view(-1))
    with pytest.raises(ll.InvalidInputError, match=f"{USED}.*a later use"):
        (loss + later(whole)).backward()


def test_views_that_were_taken_before_are_found_too():
    x, t = case()
    logits = 2.0 * x
    before = logits.view(-1)
    loss = IN_PLACE(logits, t)
    with pytest.raises(ll.InvalidInputError, match=USED):
        (loss + before.sum()).backward()


def test_other_parts_of_the_same_tensor_go_on():
    """Two heads of one layer, of which one is overwritten."""
    x, t = case()
    whole = 2.0 * x
    first, second = whole[:, :2], whole[:, 2:]
    loss = IN_PLACE(first, t[:, :2]) + second.square().sum()
    (slope,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(slope[:, 2:], 8.0 * x.detach()[:, 2:])
    torch.testing.assert_close(slope[:, :2], torch.autograd.grad(bce(2.0 * x[:, :2], t[:, :2]), x)[0][:, :2])


def test_one_of_several_views():
    """PyTorch lets no operation overwrite them, so the graph cannot end there; the object itself is watched."""
    x, t = case()
    first, second = (2.0 * x).chunk(2, dim=1)
    rest = second.sum()
    loss = IN_PLACE(first, t[:, :2]) + rest
    with pytest.raises(ll.InvalidInputError, match=USED):
        first.sigmoid()
    with pytest.raises(RuntimeError, match="is a view and its base or another view"):
        second.sum()
    (slope,) = torch.autograd.grad(loss, x)
    assert (slope[:, 2:] == 2.0).all()


def test_nothing_is_forbidden_where_nothing_was_overwritten():
    x, t = case()
    logits = 2.0 * x
    with pytest.raises(ll.InvalidInputError, match="targets must be in"):
        IN_PLACE(logits, t + 1)
    with torch.no_grad():
        IN_PLACE(logits, t)
    assert torch.equal(logits, 2.0 * x)
