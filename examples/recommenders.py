"""RePlay's and RecTools' losses over a whole catalogue of items, without the logits: adapters of a few lines.

RePlay (0.22): `SasRec(body, loss=CatalogueBCE())` in place of `loss=BCE()`.
RecTools (0.19): `class Mine(CatalogueLoss, TransformerLightningModule): pass`, and then
`SASRecModel(loss="catalogue BCE", lightning_module_type=Mine)`; gBCE with drawn negatives is `loss="gBCE"` there.

Run as a script (`python examples/recommenders.py [dense]`) it says what the first needs, or RePlay's own arithmetic, of
50,000 items.
"""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace
from typing import Any

import torch

import logloss as ll


class CatalogueBCE(torch.nn.Module):
    """RePlay's `BCE`: the sum over all items, divided by the number of positions that have a target."""

    logits_callback: Any = None
    """The model sets it to its `get_logits`, whose owner has the items' weights."""

    def forward(
        self,
        model_embeddings: Any,
        feature_tensors: Any,  # noqa: ARG002 - what RePlay hands to every loss
        positive_labels: Any,
        negative_labels: Any,  # noqa: ARG002
        padding_mask: Any,  # noqa: ARG002
        target_padding_mask: Any,
    ) -> Any:
        items = self.logits_callback.__self__.body.embedder.get_item_weights()
        counts = target_padding_mask.reshape(positive_labels.shape)
        real = counts.any(-1)
        labels = positive_labels.masked_fill(~counts, -1)[real]
        targets = ll.Positives.from_padded(labels.cpu(), len(items))
        return ll.linear_binary_cross_entropy(model_embeddings[real], items, targets, reduction="batchmean")


class CatalogueLoss:
    """What comes before RecTools' `TransformerLightningModule`: a loss over all items, and gBCE without its clamps."""

    torch_model: Any
    data_preparator: Any
    item_extra_tokens: Any
    gbce_t: float

    def _calc_custom_loss(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002 - RecTools' signature
        """For a name of a loss that RecTools does not know: binary cross-entropy over the whole catalogue."""
        items = self.torch_model.item_model.get_all_embeddings()
        sessions = self.torch_model.encode_sessions(batch, items)
        real, first = batch["y"] != 0, len(self.item_extra_tokens)
        targets = ll.Positives.from_padded((batch["y"][real] - first)[:, None].cpu(), len(items) - first)
        return ll.linear_binary_cross_entropy(
            sessions[real], items[first:], targets, sample_weight=batch["yw"][real], reduction="batchmean"
        )

    def _calc_gbce_loss(self, logits: Any, y: Any, w: Any) -> Any:
        """−log σ(x)^β is a `pos_weight` of β: no power, no logarithm of what it leaves, and no clamp."""
        items = self.torch_model.item_model.n_items - len(self.item_extra_tokens)
        rate = self.data_preparator.n_negatives / (items - 1)
        beta = rate * (self.gbce_t * (1 - 1 / rate) + 1 / rate)
        first = torch.zeros_like(logits)
        first[..., 0] = 1
        weight = ((y != 0) * w)[..., None]
        count = (y != 0).sum() * logits.shape[-1]
        return ll.binary_cross_entropy_with_logits(logits, first, pos_weight=beta, weight=weight, normalizer=count)


# ---- what the adapters are handed, as small as it can be ------------------------------------------------------------


def replay_call(rows: int, length: int, features: int, items: int) -> tuple[Any, dict[str, Any]]:
    """A model as far as a loss of RePlay sees it, and the arguments of a call."""
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(items, features) / features**0.5)

    class Model:
        body = SimpleNamespace(embedder=SimpleNamespace(get_item_weights=lambda: weights))

        def get_logits(self, embeddings: Any) -> Any:
            return torch.nn.functional.linear(embeddings, weights)

    given = {
        "model_embeddings": torch.randn(rows, length, features).requires_grad_(),
        "feature_tensors": {},
        "positive_labels": torch.randint(0, items, (rows, length, 1)),
        "negative_labels": torch.empty(0, dtype=torch.int64),
        "padding_mask": torch.ones(rows, length, dtype=torch.bool),
        "target_padding_mask": torch.rand(rows, length, 1) < 0.8,
    }
    return Model(), given


def dense_bce(model: Any, given: dict[str, Any]) -> Any:
    """What RePlay's `BCE` computes: logits of all items, a matrix of targets, the sum over the number of positions."""
    real = given["target_padding_mask"].any(-1)
    logits = model.get_logits(given["model_embeddings"])[real]
    targets = torch.zeros_like(logits).scatter_(-1, given["positive_labels"][real], 1)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)


def step(which: str, *shape: int) -> tuple[float, int]:
    """The loss, and by how many kilobytes the most that the process has held grows."""
    model, given = replay_call(*shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if which == "dense":
        loss = dense_bce(model, given)
    else:
        criterion = CatalogueBCE()
        criterion.logits_callback = model.get_logits
        loss = criterion(**given)
    loss.backward()
    return loss.item(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def main() -> None:
    which = sys.argv[1] if len(sys.argv) > 1 else "logloss"
    step(which, 16, 64, 128, 1000)  # compiles
    loss, more = step(which, 16, 64, 128, 50_000)
    print(f"{which}: loss {loss:.6f}, {more / 1000:.0f} MB more at the most")


if __name__ == "__main__":
    main()
