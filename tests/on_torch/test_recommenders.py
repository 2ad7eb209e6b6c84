"""Adapters for the losses of recommenders, beside what these libraries compute."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch


@pytest.fixture(scope="module")
def recommenders() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "recommenders.py"
    spec = importlib.util.spec_from_file_location("recommenders", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_replays_loss_over_the_catalogue(recommenders):
    model, given = recommenders.replay_call(4, 6, 8, 500)
    weights = model.body.embedder.get_item_weights()
    criterion = recommenders.CatalogueBCE()
    criterion.logits_callback = model.get_logits
    own = given["model_embeddings"], weights
    want, found = recommenders.dense_bce(model, given), criterion(**given)
    torch.testing.assert_close(found, want, rtol=2e-6, atol=0)
    for a, b in zip(torch.autograd.grad(found, own), torch.autograd.grad(want, own), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_several_positives_of_which_some_are_padding(recommenders):
    """A row's targets are those that its mask keeps, wherever they stand; others may hold any number."""
    model, given = recommenders.replay_call(2, 3, 8, 500)
    given["positive_labels"] = torch.tensor([[[3, 7], [499, 999], [5, 5]], [[1, 2], [3, 4], [999, 0]]])
    mask = torch.tensor([[[1, 1], [1, 0], [0, 0]], [[1, 1], [0, 1], [0, 1]]]).bool()
    given["target_padding_mask"] = mask
    criterion = recommenders.CatalogueBCE()
    criterion.logits_callback = model.get_logits
    logits = model.get_logits(given["model_embeddings"])[mask.any(-1)]
    targets = torch.zeros_like(logits)
    for row, labels in enumerate(([3, 7], [499], [1, 2], [4], [0])):
        targets[row, labels] = 1
    want = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / 5
    torch.testing.assert_close(criterion(**given), want, rtol=2e-6, atol=0)


@pytest.fixture
def lightning(recommenders):
    """A module as RecTools hands it: two extra tokens before 60 items, sessions of 5."""
    torch.manual_seed(0)
    items = torch.nn.Parameter(torch.randn(62, 8))
    module = recommenders.CatalogueLoss()
    module.torch_model = SimpleNamespace(
        item_model=SimpleNamespace(get_all_embeddings=lambda: items, n_items=62),
        encode_sessions=lambda batch, items: items[batch["x"]] * 0.5,
    )
    module.data_preparator, module.gbce_t = SimpleNamespace(n_negatives=7), 0.75
    module.item_extra_tokens = "PAD", "MASK"
    return module, items


def test_rectools_loss_over_the_catalogue(lightning):
    module, items = lightning
    x = torch.randint(2, 62, (3, 5))
    batch = {"x": x, "y": x.roll(1, 1) * (torch.rand(3, 5) < 0.7), "yw": torch.rand(3, 5)}
    found = module._calc_custom_loss(batch, 0)
    sessions, real = module.torch_model.encode_sessions(batch, items), batch["y"] != 0
    logits = (sessions @ items[2:].T)[real]
    targets = torch.nn.functional.one_hot(batch["y"][real] - 2, 60).float()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    want = (each * batch["yw"][real]).sum() / real.sum()
    torch.testing.assert_close(found, want, rtol=2e-6, atol=0)
    (a,), (b,) = torch.autograd.grad(found, items), torch.autograd.grad(want, items)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_rectools_gbce_is_a_price_of_the_positive(lightning):
    """RecTools turns the positive's logit into that of σ(x)^β, in float64 with clamps at 1e-10."""
    module, _ = lightning
    logits, y, w = 4 * torch.randn(3, 5, 8), torch.randint(0, 3, (3, 5)), torch.rand(3, 5)
    alpha = 7 / (60 - 1)
    beta = alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha)
    power = torch.sigmoid(logits[..., :1].double()) ** -beta
    turned = torch.cat([-torch.log(power - 1), logits[..., 1:].double()], -1)
    targets = torch.zeros_like(turned)
    targets[..., 0] = 1
    each = torch.nn.functional.binary_cross_entropy_with_logits(turned, targets, reduction="none").mean(-1)
    want = (each * (y != 0) * w).sum() / (y != 0).sum()
    torch.testing.assert_close(module._calc_gbce_loss(logits, y, w).double(), want, rtol=1e-6, atol=0)
