"""Masked and weighted data on two processes, and in accumulated steps: the gradients of one process, exactly.

python examples/train_torch_distributed.py

Each process knows its own denominator only. The sum over all of them, divided by their number, is what every one
passes as `normalizer`: DistributedDataParallel averages gradients, and the average is that of the whole batch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import logloss as ll
from logloss.torch import BCEWithLogitsLoss

PROCESSES, FEATURES, LABELS = 2, 16, 30
PARTS = (slice(0, 13), slice(13, 40))  # rows of each process: not the same number


class Batch(NamedTuple):
    """Rows with a weight each, of whose labels only some are known."""

    x: torch.Tensor
    t: torch.Tensor
    sample_weight: torch.Tensor
    mask: torch.Tensor

    def part(self, rows: slice) -> Batch:
        return Batch(*(tensor[rows] for tensor in self))


def batch() -> Batch:
    """The whole batch, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(40, FEATURES, generator=generator),
        torch.rand(40, LABELS, generator=generator) < 0.1,
        torch.rand(40, generator=generator) + 0.5,
        torch.rand(40, LABELS, generator=generator) < 0.6,
    )


def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Linear(FEATURES, LABELS)


def denominator(data: Batch) -> torch.Tensor:
    return ll.denominator(data.t, reduction="weighted_mean", sample_weight=data.sample_weight, mask=data.mask)


def loss(network: torch.nn.Module, data: Batch, normalizer: torch.Tensor | None = None) -> torch.Tensor:
    criterion = BCEWithLogitsLoss(reduction="weighted_mean", pos_weight=torch.full((LABELS,), 3.0))
    options = {"sample_weight": data.sample_weight, "mask": data.mask, "normalizer": normalizer}
    return criterion(network(data.x), data.t, **options)


def gradients(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.grad.reshape(-1) for parameter in network.parameters()])


def process(rank: int, meeting: str, results: str) -> None:
    """One of the processes: its rows, everybody's denominator."""
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    network = DistributedDataParallel(model())
    mine = batch().part(PARTS[rank])
    total = denominator(mine)
    dist.all_reduce(total)
    loss(network, mine, normalizer=total / PROCESSES).backward()
    if rank == 0:
        torch.save(gradients(network), results)
    del network  # before the group that it holds: whoever drops the group last, holding the GIL, waits for its threads
    dist.destroy_process_group()


def alone() -> torch.Tensor:
    """The gradients of one process that has all rows."""
    network = model()
    loss(network, batch()).backward()
    return gradients(network)


def distributed() -> torch.Tensor:
    """The gradients that two processes average."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "gradients.pt"
        mp.spawn(process, args=(str(Path(folder) / "meeting"), str(results)), nprocs=PROCESSES)
        gathered: torch.Tensor = torch.load(results)
    return gathered


def accumulated(steps: int = 5) -> torch.Tensor:
    """The gradients of one process that takes the rows in turns; the denominator is known before the first."""
    network, data = model(), batch()
    parts = [data.part(slice(step, None, steps)) for step in range(steps)]
    total = sum(denominator(part) for part in parts)
    for part in parts:
        loss(network, part, normalizer=total).backward()
    return gradients(network)


def main() -> None:
    reference = alone()
    for name, found in (("two processes", distributed()), ("five accumulated steps", accumulated())):
        difference = ((found - reference).abs().max() / reference.abs().max()).item()
        print(f"{name}: largest difference from one process {difference:.1e}, relative to the largest gradient")
        if difference > 1e-6:
            raise SystemExit("the gradients differ")


if __name__ == "__main__":
    main()
