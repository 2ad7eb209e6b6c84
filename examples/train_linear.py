"""Train heads over many labels whose logits never exist: real labels, a million labels, and image-text pairs.

python examples/train_linear.py [yeast] [million] [pairs] [--labels 1000000]

yeast: the 14 labels of the yeast set from two models' predictions, targets as indices; the log loss on held-out rows
falls below gradient boosting's own. million: generated labels with SGD and with Adam that step chunk by chunk within
the forward, so that neither logits nor the gradient of the weights are ever held. pairs: features of two views of the
same points learn to find each other, with scale and bias.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

import logloss as ll
from logloss.torch import LinearBCEWithLogitsLoss, SigLIPLoss

YEAST = Path(__file__).parent / "yeast_multilabel_predictions.parquet"


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


# ---- real labels ----------------------------------------------------------------------------------------------------


def yeast() -> None:
    table = pl.read_parquet(YEAST)
    targets = table.select(pl.col("^y_.*$")).to_numpy()
    logits = table.select(pl.col("^logit_lr_.*$")).to_numpy()
    p = table.select(pl.col("^p_hgb_.*$")).to_numpy()
    features = torch.tensor(np.hstack([logits, np.log(p) - np.log1p(-p)]).clip(-8, 8), dtype=torch.float32)
    order = np.random.default_rng(0).permutation(len(targets))
    train, held_out = order[:1800], order[1800:]

    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Linear(features.shape[1], 64), torch.nn.ReLU())
    head = torch.nn.Linear(64, targets.shape[1])
    criterion = LinearBCEWithLogitsLoss()
    optimiser = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3, weight_decay=1e-3)

    def loss(rows: np.ndarray) -> torch.Tensor:
        indices = ll.Positives.from_lists([np.flatnonzero(targets[row]) for row in rows], targets.shape[1])
        return criterion(body(features[rows]), head.weight, indices, head.bias)

    for _ in range(25):
        for rows in np.array_split(np.random.default_rng(1).permutation(train), 18):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
    with torch.no_grad():
        stacked = loss(held_out).item()
    alone = ll.log_loss(targets[held_out], p[held_out], average="micro")
    print(f"yeast, {len(held_out)} held-out rows: log loss {stacked:.4f}, of gradient boosting alone {alone:.4f}")
    if not stacked < alone:
        raise SystemExit("stacking is worse than one of its models")


# ---- a million labels -----------------------------------------------------------------------------------------------


class Adam:
    """Adam on slices of one parameter: moments are held, the gradient never is."""

    def __init__(self, parameter: torch.Tensor, lr: float = 1e-2, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.parameter, self.lr, self.betas, self.steps = parameter, lr, betas, 0
        self.first, self.second = torch.zeros_like(parameter), torch.zeros_like(parameter)

    def __call__(self, start: int, stop: int, grad: torch.Tensor) -> None:
        self.steps += start == 0  # chunks come in order
        one, two = self.betas
        first, second = self.first[start:stop].lerp_(grad, 1 - one), self.second[start:stop]
        second.mul_(two).addcmul_(grad, grad, value=1 - two)
        size = (second / (1 - two**self.steps)).sqrt_().add_(1e-8)
        self.parameter.data[start:stop].addcdiv_(first, size, value=-self.lr / (1 - one**self.steps))


def million(labels: int, rows: int = 128, features: int = 64, steps: int = 4) -> None:
    generator = np.random.default_rng(0)
    x = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    targets = ll.Positives.from_lists([generator.choice(labels, 20, replace=False) for _ in range(rows)], labels)
    for name in ("SGD", "Adam"):
        weight = torch.zeros(labels, features, requires_grad=True)

        def sgd(start: int, stop: int, grad: torch.Tensor, weight: torch.Tensor = weight) -> None:
            weight.data[start:stop].sub_(grad, alpha=0.1)

        step = Adam(weight) if name == "Adam" else sgd
        criterion = LinearBCEWithLogitsLoss(reduction="batchmean", on_weight_grad=step)
        losses, begun = [], time.perf_counter()
        for _ in range(steps):
            loss = criterion(x, weight, targets)
            loss.backward()  # the weights have moved already; what is in front of them would get its gradient here
            losses.append(loss.item() / labels)
        seconds = (time.perf_counter() - begun) / steps
        print(
            f"{labels:,} labels, {name}: mean loss {losses[0]:.4f} to {losses[-1]:.4f}, {seconds:.2f} s a step; "
            f"the weights are {4e-6 * weight.numel():.0f} MB, the process has held {peak_megabytes():,.0f} MB at most"
        )
        if not losses[-1] < losses[0]:
            raise SystemExit("the loss has not fallen")
        del weight, step, criterion


# ---- pairs ----------------------------------------------------------------------------------------------------------


def pairs(count: int = 2048, steps: int = 40) -> None:
    torch.manual_seed(0)
    points = torch.randn(count, 16)
    views = [points @ torch.randn(16, 48) + 0.3 * torch.randn(count, 48) for _ in range(2)]
    towers = torch.nn.ModuleList(torch.nn.Linear(48, 32) for _ in views)
    log_scale, bias = torch.nn.Parameter(torch.tensor(2.3)), torch.nn.Parameter(torch.tensor(-10.0))
    optimiser = torch.optim.Adam([*towers.parameters(), log_scale, bias], lr=1e-2)
    criterion = SigLIPLoss()

    def features() -> list[torch.Tensor]:
        return [torch.nn.functional.normalize(tower(view), dim=1) for tower, view in zip(towers, views, strict=True)]

    def found() -> float:
        with torch.no_grad():
            images, texts = features()
            return ((images @ texts.T).argmax(1) == torch.arange(count)).float().mean().item()

    before = found()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = criterion(*features(), log_scale.exp(), bias)
        loss.backward()
        optimiser.step()
    after = found()
    print(
        f"{count:,} pairs: loss {loss.item():.3f}, scale {log_scale.exp().item():.1f}, bias {bias.item():.1f}; "
        f"images whose own text is the nearest: {before:.1%} before, {after:.1%} after"
    )
    if not after > 10 * before:
        raise SystemExit("the towers have not learnt")


def main() -> None:
    parser = argparse.ArgumentParser(description="Heads over many labels whose logits never exist.")
    parser.add_argument("problems", nargs="*", help="yeast, million and pairs; all if none is named")
    parser.add_argument("--labels", type=int, default=1_000_000)
    given = parser.parse_args()
    problems = {"yeast": yeast, "million": lambda: million(given.labels), "pairs": pairs}
    for name in given.problems or problems:
        problems[name]()


if __name__ == "__main__":
    main()
