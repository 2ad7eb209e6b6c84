"""What the processes of a group do in `test_sharded.py`: each writes what it found, or the error it got."""

from __future__ import annotations

import datetime as dt
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import logloss as ll
from logloss.torch import sharded_linear_binary_cross_entropy, sharded_siglip_loss

ROWS, FEATURES, LABELS, PAIRS = 12, 6, 50, 23
TIMEOUT = 6.0


def bounds(total: int, count: int) -> list[int]:
    """Parts that are not alike."""
    return [total * k * k // count**2 if k else 0 for k in range(count)] + [total]


def layer() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in ((ROWS, FEATURES), (LABELS, FEATURES), (LABELS,))]


def targets() -> ll.Positives:
    rng = np.random.default_rng(0)
    return ll.Positives.from_lists([rng.choice(LABELS, 4, replace=False) for _ in range(ROWS)], LABELS)


def pairs() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawn = (torch.randn(PAIRS, FEATURES, generator=generator) for _ in range(2))
    return [*(torch.nn.functional.normalize(one) for one in drawn), torch.tensor(8.0), torch.tensor(-3.0)]


GROUPS = np.random.default_rng(2).integers(0, 9, PAIRS), np.random.default_rng(3).integers(0, 9, PAIRS)


def of_labels(rank: int, count: int, **options: Any) -> list[torch.Tensor]:
    """Loss and gradients of this process's labels, after two backwards."""
    edges = bounds(LABELS, count)
    mine = slice(edges[rank], edges[rank + 1])
    x, w, b = (one.clone().requires_grad_() for one in (layer()[0], layer()[1][mine], layer()[2][mine]))
    given = {key: one[mine] if isinstance(one, torch.Tensor) else one for key, one in options.items()}
    loss = sharded_linear_binary_cross_entropy(x, w, targets(), linear_bias=b, **given)
    torch.autograd.grad(loss, (x, w, b), retain_graph=True)
    grads = torch.autograd.grad(2 * loss, (x, w, b))
    with torch.no_grad():
        assert torch.equal(sharded_linear_binary_cross_entropy(x, w, targets(), linear_bias=b, **given), loss)
    return [loss.detach(), *(grad / 2 for grad in grads)]


def of_pairs(rank: int, count: int, ring: bool, grouped: bool) -> list[torch.Tensor]:
    """Loss and gradients of this process's pairs, and the bytes that were saved for the backward."""
    edges = bounds(PAIRS, count)
    mine = slice(edges[rank], edges[rank + 1])
    own = [one.clone().requires_grad_() for one in (*(one[mine] for one in pairs()[:2]), *pairs()[2:])]
    groups = tuple(one[mine] for one in GROUPS) if grouped else None
    loss = sharded_siglip_loss(*own, groups=groups, average_positives=grouped, ring=ring)
    saved = sum(one.numel() * one.element_size() for one in loss.grad_fn.saved_tensors)
    torch.autograd.grad(loss, own, retain_graph=True)
    return [loss.detach(), *torch.autograd.grad(loss, own), torch.tensor(float(saved))]


def refused(rank: int, count: int) -> list[str]:
    """What is said where the processes' input does not fit together: in every process, and the group lives on."""
    x, w, _ = layer()
    said = []
    last = rank == count - 1

    def ask(**changed: Any) -> None:
        given = {"inputs": x, "linear_weight": w[rank::count], "targets": torch.zeros(ROWS, len(w[rank::count]))}
        try:
            sharded_linear_binary_cross_entropy(**{**given, **(changed if last else {})})
            said.append("nothing")
        except ll.InvalidInputError as error:
            said.append(str(error))

    ask(inputs=x[:-1], targets=torch.zeros(ROWS - 1, len(w[rank::count])))
    ask(inputs=x.double(), linear_weight=w[rank::count].double())
    ask(reduction="sum")
    ask(targets=torch.full((ROWS, len(w[rank::count])), 2.0))
    ask()
    u, v = pairs()[:2]
    for features, scale in ((u[:, :4] if last else u, 1.0), (u, 2.0 if last else 1.0)):
        try:
            sharded_siglip_loss(features, v[:, : features.shape[1]], scale)
            said.append("nothing")
        except ll.InvalidInputError as error:
            said.append(str(error))
    return said


def left_alone(rank: int, count: int) -> list[str]:
    """The last process ends before the others' ring is through."""
    if rank == count - 1:
        os._exit(3)
    try:
        sharded_siglip_loss(*pairs(), ring=True)
    except ll.DistributedError as error:
        return [str(error), repr(error.__cause__)]
    return ["nothing"]


def work(rank: int, count: int, jobs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for job in jobs:
        if job == "labels":
            prices = torch.linspace(0.5, 3.0, LABELS)
            found["mean"] = of_labels(rank, count)
            found["weighted"] = of_labels(
                rank, count, label_weight=prices, pos_weight=prices, reduction="weighted_mean"
            )
        elif job == "pairs":
            for ring in (False, True):
                for grouped in (False, True):
                    found[f"pairs {ring} {grouped}"] = of_pairs(rank, count, ring, grouped)
        else:
            found[job] = {"refused": refused, "left alone": left_alone}[job](rank, count)
    return found


def main(folder: str, rank: int, count: int, *jobs: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=count,
        timeout=dt.timedelta(seconds=TIMEOUT),
    )
    try:
        found: Any = work(rank, count, list(jobs))
    except Exception:  # noqa: BLE001 - the test shows it
        found = traceback.format_exc()
    torch.save(found, Path(folder) / f"{rank}.pt")
    os._exit(0)  # a group whose member is gone does not end


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
