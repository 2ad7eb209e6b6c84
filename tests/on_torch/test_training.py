"""Training as it is done: real data beside PyTorch's loss, several processes, accumulation, workers and forks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import logloss as ll
from logloss.torch import BCEWithLogitsLoss

EXAMPLES = Path(__file__).parents[2] / "examples"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "pytorch.py"


def load(path: Path) -> ModuleType:
    """A script as a module that other processes can import by its name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def example(name: str) -> ModuleType:
    return load(EXAMPLES / f"{name}.py")


@pytest.mark.parametrize("data", ["yeast", "1,200 labels"])
def test_the_loss_curve_is_torchs_or_better(data: str):
    module = example("train_torch")
    problem = module.yeast() if data == "yeast" else module.generated(rows=512, labels=1200)
    assert 0 < problem.t.float().mean(dim=0).min() < 0.1  # imbalanced
    theirs, ours = (module.train(problem, loss, 6) for loss in (torch.nn.BCEWithLogitsLoss(), BCEWithLogitsLoss()))
    assert ours.curve[-1] < 0.99 * ours.curve[0]
    assert (np.array(ours.curve) <= np.array(theirs.curve) * (1 + 1e-4)).all()
    assert ours.step > 0 < theirs.step


def test_two_processes_give_the_gradients_of_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    module = example("train_torch_distributed")
    alone = module.alone()
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    torch.testing.assert_close(module.distributed(), alone, rtol=1e-6, atol=1e-6 * alone.abs().max().item())


@pytest.mark.parametrize("steps", [2, 7])
def test_accumulated_steps_give_the_gradients_of_one(steps: int):
    module = example("train_torch_distributed")
    alone = module.alone()
    torch.testing.assert_close(module.accumulated(steps), alone, rtol=1e-6, atol=1e-6 * alone.abs().max().item())


def test_the_benchmarks_run(tmp_path: Path):
    """On few elements, and without the slow compiler."""
    measured = tmp_path / "measured.json"
    command = ["--elements", str(2**12), "--rounds", "1", "--backend", "eager", "--json", str(measured)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(BENCHMARK), "large", "small", "options", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables = json.loads(measured.read_text(encoding="utf-8"))["tables"]
    assert len(tables) == 6 + 2 + 1
    assert all(result["seconds"] for table in tables for result in table["results"])


@pytest.mark.parametrize(("mode", "arrays"), [("training", 1.0), ("eval", 0.0)])
def test_a_step_takes_one_array_of_memory(mode: str, arrays: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARK.parent)
    assert abs(load(BENCHMARK).extra_memory("ours", 2**24, mode) - arrays) < 0.1


class Scored(Dataset):
    """Rows whose loss is computed where they are loaded: in a worker."""

    def __init__(self, x: torch.Tensor, t: torch.Tensor) -> None:
        self.x, self.t = x, t

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.x[row], self.t[row], ll.binary_cross_entropy_with_logits(self.x[row], self.t[row])


# Python warns of any fork of a process with threads; the loader's workers are such forks.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_workers():
    """Losses in forked workers of a process whose threads have run already, and in that process meanwhile."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 2**19, generator=generator)  # enough elements for all threads
    t = torch.rand(x.shape, generator=generator) < 0.3
    expected = ll.binary_cross_entropy_with_logits(x, t, axis=1)
    loader = DataLoader(Scored(x, t), batch_size=4, num_workers=2, multiprocessing_context="fork")
    weight = torch.ones((), requires_grad=True)
    seen = []
    for rows, targets, losses in loader:
        BCEWithLogitsLoss()(rows * weight, targets).backward()
        seen.append(losses)
    torch.testing.assert_close(torch.cat(seen), expected, rtol=1e-6, atol=0.0)
    assert weight.grad != 0.0
