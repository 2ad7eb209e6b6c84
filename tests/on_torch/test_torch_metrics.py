"""The metric of `logloss.torch`: with torchmetrics and without, over batches and over processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics

import logloss as ll
from logloss.streaming import ScoreSums
from logloss.torch import LogLoss

RNG = np.random.default_rng(2)
Y, X = RNG.integers(0, 2, (96, 4)).astype(np.float32), (3 * RNG.standard_normal((96, 4))).astype(np.float32)
W = RNG.random(96)
WHOLE = ScoreSums.of(Y, X, sample_weight=W, from_logits=True)


def added(metric: Any, size: int, rows: slice = slice(None)) -> Any:
    for start in range(0, len(Y[rows]), size):
        part = slice(start, start + size)
        arrays = (torch.from_numpy(one[rows][part]) for one in (X, Y, W))
        metric.update(*arrays)
    return metric


def test_it_is_one_of_torchmetrics():
    metric = LogLoss(4)
    assert isinstance(metric, torchmetrics.Metric)
    collection = torchmetrics.MetricCollection({"loss": metric, "ne": LogLoss(4, statistic="normalized_entropy")})
    for start in range(0, 96, 32):
        part = slice(start, start + 32)
        collection.update(torch.from_numpy(X[part]), torch.from_numpy(Y[part]), torch.from_numpy(W[part]))
    found = {name: value.item() for name, value in collection.compute().items()}
    whole = WHOLE.statistics()
    assert found == {"loss": whole.log_loss, "ne": whole.normalized_entropy}
    again = pickle.loads(pickle.dumps(metric))
    assert again.compute() == metric.compute()
    metric.reset()
    with pytest.raises(ll.InvalidInputError, match="positive weight"), pytest.warns(UserWarning, match="before"):
        metric.compute()


@pytest.mark.parametrize("size", [1, 13, 96])
def test_batches_change_no_bit(size: int):
    assert added(LogLoss(4), size).compute().item() == WHOLE.statistics().log_loss
    by_label = added(LogLoss(4, average=None), size).compute()
    assert by_label.tolist() == WHOLE.of_labels("log_loss").tolist()


def test_a_call_gives_the_batch_and_keeps_it():
    metric = LogLoss(ignore_index=-100)
    x, y = torch.from_numpy(X[:, 0]), torch.from_numpy(Y[:, 0])
    first = metric(x[:10].bfloat16(), torch.where(torch.arange(10) == 3, -100.0, y[:10]))
    alone = ScoreSums.of(np.delete(Y[:10, 0], 3), np.delete(x[:10].bfloat16().float().numpy(), 3), from_logits=True)
    assert first.item() == alone.statistics().log_loss
    metric(x[10:], y[10:])
    assert metric.statistics().rows == 95


def test_states_of_processes_are_merged():
    one, other = added(LogLoss(4), 8, slice(0, 40)), added(LogLoss(4), 8, slice(40, 96))
    one.merge_state(other)
    assert one.compute().item() == WHOLE.statistics().log_loss


def test_a_collection_keeps_apart_what_another_batch_would():
    """torchmetrics updates one of the metrics whose states were equal after the first batch."""
    settings: dict[str, dict[str, Any]] = {"all": {}, "some": {"ignore_index": 0.5}, "p": {"from_logits": False}}
    collection = torchmetrics.MetricCollection({name: LogLoss(**one) for name, one in settings.items()})
    alone = {name: LogLoss(**one) for name, one in settings.items()}
    batches = [([0.0], [1.0]), ([0.25, 1.0], [0.5, 1.0])]
    for batch in batches:
        arrays = [torch.tensor(one) for one in batch]
        collection.update(*arrays)
        for metric in alone.values():
            metric.update(*arrays)
    assert collection.compute() == {name: metric.compute() for name, metric in alone.items()}
    assert alone["some"].statistics().rows == 2


def test_arrays_of_numpy_and_batches_of_nothing():
    metric = LogLoss()
    metric.update([0.5], [1])
    metric.update(np.array([-1.0]), np.array([0.0]))
    metric.update(torch.empty(0), torch.empty(0))
    assert metric.compute().item() == ScoreSums.of([1, 0], [0.5, -1.0], from_logits=True).statistics().log_loss


def test_unknown_names_are_refused():
    for bad in (0, True, "3"):
        with pytest.raises(ll.InvalidInputError, match="at least 1; got"):
            LogLoss(bad)  # type: ignore[arg-type]
    with pytest.raises(ll.InvalidInputError, match=r"num_labels=2; got shape \(5, 3\). Use LogLoss\(num_labels=3\)"):
        LogLoss(2).update(torch.zeros(5, 3), torch.zeros(5, 3))
    with pytest.raises(ll.InvalidInputError, match=r"statistic must be one of rows, .*; got 'auc'"):
        LogLoss(statistic="auc")
    with pytest.raises(ll.InvalidInputError, match="average must be"):
        LogLoss(average="weighted")


PROCESS = """
import importlib, sys, torch
rank, place = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
from logloss.torch import LogLoss, metrics
from on_torch.test_torch_metrics import added
print(added(LogLoss(4), 5 + rank, slice(rank, None, 2)).compute().item().hex())
sys.modules["torchmetrics"] = None  # as if it were not installed
metric = added(importlib.reload(metrics).LogLoss(4), 5 + rank, slice(rank, None, 2))
assert "torchmetrics" not in str(type(metric).__mro__)
metric.sync()
print(metric.compute().item().hex())
batch = metric(*(torch.tensor(one) for one in ([[0.0] * 4], [[1] * 4])))
metric.reset()
print(batch.item(), int(metric.counts.sum()))
torch.distributed.destroy_process_group()
"""


def test_two_processes_give_what_one_gives_with_torchmetrics_and_without(tmp_path: Path):
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-W", "ignore", "-c", PROCESS]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for rank in range(2)
    ]
    for process in running:
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error[-2000:]
        both, last = out.split("\n")[:2], out.split("\n")[2]
        assert [float.fromhex(one) for one in both] == [WHOLE.statistics().log_loss] * 2
        assert last == f"{np.log(2)} 0"
