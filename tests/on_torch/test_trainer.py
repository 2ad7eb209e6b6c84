"""The loss of Hugging Face's Trainer: of micro-batches what one batch gives, and nothing for what does not count."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

import logloss as ll
from logloss.torch import hf_loss

torch.manual_seed(0)
FEATURES, LABELS = torch.randn(8, 5), (torch.rand(8, 3) < 0.4).float()
for row, gaps in enumerate((0, 2, 1, 0, 2, 1, 3, 0)):  # of one row nothing counts
    LABELS[row, :gaps] = -100.0


class Model(torch.nn.Module):
    """A linear classifier, as Transformers' models are called."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 3)
        torch.nn.init.constant_(self.linear.weight, 0.3)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, features: Any = None, labels: Any = None) -> dict[str, Any]:  # noqa: ARG002 - what it is asked for
        return {"logits": self.linear(features)}


def trained(place: Path, per_step: int, steps: int, loss: Any) -> Any:
    """The weights after one step of gradient descent on all rows."""
    settings = TrainingArguments(
        str(place), per_device_train_batch_size=per_step, gradient_accumulation_steps=steps, max_steps=1,
        learning_rate=1.0, optim="sgd", lr_scheduler_type="constant", max_grad_norm=0.0, report_to=[], use_cpu=True,
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=1,
    )  # fmt: skip
    rows = [{"features": x, "labels": t} for x, t in zip(FEATURES, LABELS, strict=True)]
    model = Model()
    Trainer(model, settings, train_dataset=rows, compute_loss_func=loss).train()
    return model.linear.weight.detach()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_one_row_eight_times_is_eight_rows_once(tmp_path: Path):
    loss = hf_loss(pos_weight=[1.0, 2.0, 3.0])
    model = Model()
    exact = ll.binary_cross_entropy_with_logits(
        model.linear(FEATURES), LABELS, ignore_index=-100, pos_weight=[1.0, 2.0, 3.0]
    )
    exact.backward()
    wanted = model.linear.weight.detach() - model.linear.weight.grad
    for rows, steps in ((8, 1), (1, 8), (2, 4)):
        torch.testing.assert_close(trained(tmp_path, rows, steps, loss), wanted, rtol=1e-6, atol=1e-7)
    naive = trained(tmp_path, 1, 8, lambda outputs, labels, num_items_in_batch: loss(outputs, labels) / 8)  # noqa: ARG005
    assert (naive - wanted).abs().max() > 1e-3  # a mean of means is another loss


def test_outputs_and_labels_of_any_form():
    x, t = torch.randn(4), torch.tensor([1.0, 0.0, -100.0, 1.0])
    want = ll.binary_cross_entropy_with_logits(x, t, ignore_index=-100)
    for outputs in ({"logits": x[:, None]}, (x[:, None],), (torch.tensor(7.0), x[:, None]), x[:, None], x):
        torch.testing.assert_close(hf_loss()(outputs, t), want)
        torch.testing.assert_close(hf_loss()(outputs, t, num_items_in_batch=6), want * 3 / 6)
    assert hf_loss()(x, torch.full((4,), -100), torch.tensor(0)) == 0
    parts = torch.tensor(3).unsqueeze(0).expand(2, -1)  # as the Trainer says it of two GPUs in one process
    torch.testing.assert_close(hf_loss()(x, t, parts), want * 3 / 6)
    torch.testing.assert_close(pickle.loads(pickle.dumps(hf_loss()))(x, t), want)
    focal = hf_loss(ll.sigmoid_focal_loss, gamma=1.0)(x, t > 0)
    torch.testing.assert_close(focal, ll.sigmoid_focal_loss(x, t > 0, gamma=1.0))


def test_what_the_trainer_decides_is_refused():
    with pytest.raises(TypeError, match="'reduction'"):
        hf_loss(reduction="sum")
    with pytest.raises(ll.InvalidInputError, match="one of logits"):
        hf_loss(ll.binary_cross_entropy)
    with pytest.raises(ll.InvalidInputError, match="shape"):
        hf_loss()(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ll.InvalidInputError, match=r"shape \(4, 2\), of two classes.*num_labels=1"):
        hf_loss()(torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(ll.InvalidInputError, match="label_names"):
        hf_loss()(torch.zeros(4, 2), None)
    with pytest.raises(ll.InvalidInputError, match='have "logits"; got scores'):
        hf_loss()({"scores": torch.zeros(4)}, torch.zeros(4))
