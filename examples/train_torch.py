"""Train with PyTorch's BCEWithLogitsLoss and with this package's: the loss curves and the time of a step.

python examples/train_torch.py [--epochs 30] [--labels 2000]

Two problems: the 14 labels of the yeast set from two models' predictions (stacking; real, imbalanced), and generated
data of more labels than 1,000. Both losses see the same batches in the same order from the same initial weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import logloss as ll
from logloss.torch import BCEWithLogitsLoss

YEAST = Path(__file__).parent / "yeast_multilabel_predictions.parquet"


class Problem(NamedTuple):
    """Features, targets, and how the model is made."""

    name: str
    x: torch.Tensor
    t: torch.Tensor
    hidden: int


class Run(NamedTuple):
    """The log loss on the held-out rows after every epoch, and the median time of a step in milliseconds."""

    curve: list[float]
    step: float


def yeast() -> Problem:
    """What two models say of each of 14 labels, as features of a third; one label in a hundred for the rarest."""
    table = pl.read_parquet(YEAST)
    targets = table.select(pl.col("^y_.*$")).to_numpy()
    logits = table.select(pl.col("^logit_lr_.*$")).to_numpy()
    p = table.select(pl.col("^p_hgb_.*$")).to_numpy()
    features = np.hstack([logits, np.log(p) - np.log1p(-p)]).clip(-8, 8)
    return Problem("yeast", torch.tensor(features, dtype=torch.float32), torch.tensor(targets), hidden=32)


def generated(rows: int, labels: int) -> Problem:
    """Rows of 32 features, labels of which about one in twenty is positive, drawn from a linear model."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 32, generator=generator)
    logits = x @ torch.randn(32, labels, generator=generator) * 0.5 - 4.0
    return Problem(f"{labels:,} labels", x, torch.rand(rows, labels, generator=generator) < logits.sigmoid(), hidden=64)


def train(problem: Problem, criterion: torch.nn.Module, epochs: int) -> Run:
    """Adam on three quarters of the rows, in batches of 64."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(problem.x.shape[1], problem.hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(problem.hidden, problem.t.shape[1]),
    )
    cut = len(problem.x) * 3 // 4
    t = problem.t.float() if type(criterion) is torch.nn.BCEWithLogitsLoss else problem.t  # PyTorch's takes floats only
    order = torch.Generator().manual_seed(2)
    loader = DataLoader(TensorDataset(problem.x[:cut], t[:cut]), batch_size=64, shuffle=True, generator=order)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    curve, steps = [], []
    for _ in range(epochs):
        for x, targets in loader:
            start = time.perf_counter()
            optimizer.zero_grad()
            criterion(model(x), targets).backward()
            optimizer.step()
            steps.append(time.perf_counter() - start)
        with torch.no_grad():
            curve.append(ll.binary_cross_entropy_with_logits(model(problem.x[cut:]), problem.t[cut:]).item())
    return Run(curve, 1e3 * float(np.median(steps)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train with torch.nn.BCEWithLogitsLoss and with logloss.torch's.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the data")
    parser.add_argument("--labels", type=int, default=2000, help="labels of the generated data")
    parser.add_argument("--rows", type=int, default=2048, help="rows of the generated data")
    arguments = parser.parse_args()
    print(f"{'data':14}{'loss':28}{'ms per step':>12}{'first':>10}{'middle':>10}{'last':>10}   held-out log loss")
    for problem in (yeast(), generated(arguments.rows, arguments.labels)):
        for criterion in (torch.nn.BCEWithLogitsLoss(), BCEWithLogitsLoss()):
            run = train(problem, criterion, arguments.epochs)
            library = type(criterion).__module__.split(".")[0]
            shown = "".join(f"{run.curve[at]:10.6f}" for at in (0, len(run.curve) // 2, -1))
            print(f"{problem.name:14}{library + '.BCEWithLogitsLoss':28}{run.step:12.3f}{shown}")


if __name__ == "__main__":
    main()
