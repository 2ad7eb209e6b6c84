"""How fast `logloss.torch` trains beside PyTorch's own loss: `python benchmarks/pytorch.py [suite …]`.

One step is forward and backward of the mean loss, with a new gradient each time, as in training. Ratios are of what ran
in turn in one process. Needs the package installed with PyTorch: `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Case, Table, as_json, markdown, measure, text, use_cores

LABELS = 64
OURS, EAGER, COMPILED = "logloss.torch", "torch eager", "torch.compile"
COMPILER = {"backend": "inductor"}


def data(shape: tuple[int, ...], dtype: Any = None) -> tuple[Any, Any]:
    """Normal logits (deviation 3) that need a gradient, and hard targets of the same type, one in four positive."""
    import torch

    generator = torch.Generator().manual_seed(20)
    x = (3 * torch.randn(shape, generator=generator)).to(dtype or torch.float32).requires_grad_()
    return x, (torch.rand(shape, generator=generator) < 0.25).to(x.dtype)


def step(name: str, loss: Callable[..., Any], x: Any, t: Any, elements: int | None = None, **options: Any) -> Case:
    """Forward and backward."""

    def run() -> None:
        x.grad = None
        loss(x, t, **options).backward()

    return Case(name, run, elements or x.numel())


def beside(title: str, x: Any, t: Any, rounds: int, elements: int | None = None, **options: Any) -> Table:
    """The same step with this package's loss, PyTorch's, and PyTorch's compiled."""
    from torch.nn.functional import binary_cross_entropy_with_logits as theirs

    from logloss.torch import binary_cross_entropy_with_logits as ours

    return of_three(title, ours, theirs, x, t, rounds, elements, **options)


def of_three(
    title: str,
    ours: Any,
    theirs: Any,
    x: Any,
    t: Any,
    rounds: int,
    elements: int | None = None,
    **options: Any,
) -> Table:
    """A step with this package's loss, with PyTorch's operations, and with these compiled."""
    import torch

    torch._dynamo.reset()
    losses = {OURS: ours, EAGER: theirs, COMPILED: torch.compile(theirs, **COMPILER)}
    cases = [step(name, loss, x, t, elements, **options) for name, loss in losses.items()]
    return Table(title, OURS, measure(cases, rounds))


def large(elements: int, rounds: int) -> list[Table]:
    """Each type of logits, and float32 with a price of positives."""
    import torch

    tables = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        name = str(dtype).partition(".")[2]
        tables.append(beside(f"forward + backward, {elements:,} {name}", *data((elements,), dtype), rounds))
    x, t = data((elements // LABELS, LABELS))
    for kind, price in (("scalar", torch.tensor(3.0)), ("per label", torch.rand(LABELS) + 0.5)):
        title = f"forward + backward, {elements:,} float32, pos_weight {kind}"
        tables.append(beside(title, x, t, rounds, pos_weight=price))
    return tables


def small(_elements: int, rounds: int) -> list[Table]:
    """Batches so small that calls cost more than elements; ns per call."""
    tables = []
    for shape in ((8, 16), (64, 1000)):
        x, t = data(shape)
        tables.append(beside(f"one step on {shape[0]} × {shape[1]}, ns per step", x, t, 3 * rounds, elements=1))
    return tables


def losses(elements: int, rounds: int) -> list[Table]:
    """Each loss beside the operations that PyTorch users write for it."""
    import torch
    from torch.nn import functional

    from logloss import torch as package

    def focal(x: Any, t: Any) -> Any:
        p, cost = torch.sigmoid(x), functional.binary_cross_entropy_with_logits(x, t, reduction="none")
        error, weight = p + t - 2 * p * t, 0.25 * t + 0.75 * (1 - t)
        return (weight * error**2 * cost).mean()

    def asymmetric(x: Any, t: Any) -> Any:
        p = torch.sigmoid(x)
        rest = (1 - p + 0.05).clamp(max=1)
        cost = t * torch.log(p.clamp(min=1e-8)) + (1 - t) * torch.log(rest.clamp(min=1e-8))
        return -(cost * (1 - p * t - rest * (1 - t)) ** (t + 4 * (1 - t))).mean()

    x, t = data((elements,))
    p = torch.sigmoid(x.detach()).requires_grad_()
    each = {
        "BCEWithLogitsLoss": (package.BCEWithLogitsLoss(), functional.binary_cross_entropy_with_logits, x),
        "BCELoss": (package.BCELoss(), functional.binary_cross_entropy, p),
        "SigmoidFocalLoss(2, 0.25)": (package.SigmoidFocalLoss(2.0, 0.25), focal, x),
        "AsymmetricLoss()": (package.AsymmetricLoss(), asymmetric, x),
    }
    return [
        of_three(f"{name}, forward + backward, {elements:,} float32", ours, theirs, first, t, rounds)
        for name, (ours, theirs, first) in each.items()
    ]


def options(elements: int, rounds: int) -> list[Table]:
    """Every option against the plain step."""
    import torch

    from logloss import torch as package

    x, t = data((elements // LABELS, LABELS))
    keep = torch.rand(x.shape) < 0.9
    hard = t.to(torch.uint8)
    per_label, per_row = torch.rand(LABELS) + 0.5, torch.rand(len(x)) + 0.5
    given: dict[str, dict[str, Any]] = {
        "plain": {},
        "pos_weight, scalar": {"pos_weight": torch.tensor(3.0)},
        "pos_weight, per label": {"pos_weight": per_label},
        "label_weight": {"label_weight": per_label},
        "sample_weight": {"sample_weight": per_row},
        "weight, per element": {"weight": torch.rand(x.shape) + 0.5},
        "mask": {"mask": keep},
        "label_smoothing": {"label_smoothing": 0.1},
        "normalizer": {"normalizer": torch.tensor(1000.0)},
        "reduction sum": {"reduction": "sum"},
        "reduction weighted_mean": {"reduction": "weighted_mean", "sample_weight": per_row},
        "validate=False": {"validate": False},
    }
    plain = package.binary_cross_entropy_with_logits
    cases = [step(name, plain, x, t, **each) for name, each in given.items()]
    cases += [
        step("uint8 targets", plain, x, hard),
        step("ignore_index, uint8 targets", plain, x, torch.where(keep, hard, 255).to(torch.uint8), ignore_index=255),
        step("loss / 4: the backward multiplies", lambda x, t: plain(x, t) / 4, x, t),
        step("reduction none, .mean()", lambda x, t: plain(x, t, reduction="none").mean(), x, t),
        step("reduction none, .sum()", lambda x, t: plain(x, t, reduction="none").sum(), x, t),
        step("SigmoidFocalLoss", package.SigmoidFocalLoss(), x, t),
        step("AsymmetricLoss", package.AsymmetricLoss(), x, t),
        step("compiled", torch.compile(plain, **COMPILER), x, t),
        step("torch eager, plain", torch.nn.functional.binary_cross_entropy_with_logits, x, t),
    ]
    return [Table(f"options: forward + backward, (N, {LABELS}) float32", "plain", measure(cases, rounds))]


def loader(_elements: int, rounds: int) -> list[Table]:
    """A training step of a small model (64 → 256 → 1,000 labels, batches of 256) fed by two workers: ns per step."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from logloss.torch import BCEWithLogitsLoss

    x, t = torch.randn(2048, 64), (torch.rand(2048, 1000) < 0.05).float()

    def epoch(criterion: Any, workers: int) -> Callable[[], None]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1000))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = DataLoader(TensorDataset(x, t), 256, num_workers=workers, persistent_workers=workers > 0)

        def run() -> None:
            for rows, targets in batches:
                optimizer.zero_grad()
                criterion(model(rows), targets).backward()
                optimizer.step()

        return run

    cases = [
        Case(f"{name}, {workers} workers", epoch(criterion, workers), 8)
        for workers in (0, 2)
        for name, criterion in ((OURS, BCEWithLogitsLoss()), (EAGER, torch.nn.BCEWithLogitsLoss()))
    ]
    return [Table("one training step, ns", f"{OURS}, 0 workers", measure(cases, max(3, rounds // 3)))]


_MEMORY = """
import re, sys, torch
from torch.nn.functional import binary_cross_entropy_with_logits as theirs
from logloss.torch import binary_cross_entropy_with_logits as ours
which, elements, grad = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "training"
loss = {"ours": ours, "torch": theirs}[which]
x, t = torch.randn(elements), torch.ones(elements)
loss(x[:64].clone().requires_grad_(), t[:64]).backward()
x.requires_grad_(grad)
def resident(line):
    return 1024 * int(re.search(line + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here: compiling took memory too
now = resident("VmRSS")
value = loss(x, t)
if grad:
    value.backward()
print((resident("VmHWM") - now) / (4 * elements))
"""


def extra_memory(which: str, elements: int, mode: str) -> float:
    """Peak memory beyond logits and targets, in arrays of the logits' size, of a process of its own. Linux."""
    command = [sys.executable, "-c", _MEMORY, which, str(elements), mode]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory(elements: int) -> dict[str, float]:
    return {
        f"extra memory ÷ logits, {mode}, {which}": extra_memory(which, elements, mode)
        for mode in ("training", "eval")
        for which in ("ours", "torch")
    }


SUITES = {"large": large, "losses": losses, "small": small, "options": options, "loader": loader}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time training steps beside PyTorch's own loss.")
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}, memory; all by default")
    parser.add_argument("--elements", type=int, default=1 << 24, help="elements of the large arrays")
    parser.add_argument("--rounds", type=int, default=9, help="timings of each case")
    parser.add_argument("--backend", default=COMPILER["backend"], help="of torch.compile")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    COMPILER["backend"] = arguments.backend
    everything = [*SUITES, "memory"]
    chosen = arguments.suites or everything
    if unknown := set(chosen) - set(everything):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    use_cores(2)  # before PyTorch is imported and counts them
    tables: list[Table] = []
    for name in chosen:
        if name in SUITES:
            made = SUITES[name](arguments.elements, arguments.rounds)
            print("\n".join(map(markdown if arguments.markdown else text, made)), flush=True)
            tables += made
    facts = memory(arguments.elements) if "memory" in chosen else {}
    for fact, value in facts.items():
        print(f"{fact:66}{value:10.2f}")
    if arguments.json:
        arguments.json.write_text(as_json(tables, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
