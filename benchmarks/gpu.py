"""How fast training steps are on a GPU: `python benchmarks/gpu.py`, where there is one.

Ratios of what ran in turn in one process, beside a copy of the same bytes (the floor), PyTorch's own loss, the same
compiled, and FlagGems' forward where it is installed. Every timing ends when the device has finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Case, Table, as_json, markdown, measure, text

OURS = "logloss"


def step(name: str, loss: Callable[..., Any], x: Any, t: Any, **options: Any) -> Case:
    """Forward and backward."""
    import torch

    def run() -> None:
        x.grad = None
        loss(x, t, **options).backward()
        torch.cuda.synchronize()

    return Case(name, run, x.numel())


def forward(name: str, loss: Callable[..., Any], x: Any, t: Any) -> Case:
    """The loss alone."""
    import torch

    def run() -> None:
        with torch.no_grad():
            loss(x, t)
        torch.cuda.synchronize()

    return Case(name, run, x.numel())


def copy(x: Any, t: Any) -> Case:
    """A copy of as many bytes as a step must read and write: logits and targets in, the gradient out."""
    import torch

    moved = (2 * x.element_size() + t.element_size()) * x.numel() // 2
    source, room = (torch.empty(moved, dtype=torch.uint8, device="cuda") for _ in range(2))

    def run() -> None:
        room.copy_(source)
        torch.cuda.synchronize()

    return Case("copy of the same bytes", run, x.numel())


def data(elements: int, dtype: Any, target_dtype: Any) -> tuple[Any, Any]:
    """Normal logits (deviation 3) in rows of 1024, and hard targets, one in four positive."""
    import torch

    x = (3 * torch.randn(elements // 1024, 1024, device="cuda")).to(dtype).requires_grad_()
    return x, (torch.rand(x.shape, device="cuda") < 0.25).to(target_dtype)


def tables(elements: int, rounds: int) -> list[Table]:
    """Steps for each type, forwards, and every option against the plain step."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as theirs

    from logloss.torch import binary_cross_entropy_with_logits as ours

    compiled = torch.compile(theirs)
    result = []
    for dtype, target_dtype in ((torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)):
        x, t = data(elements, dtype, target_dtype)
        cases = [step(name, loss, x, t) for name, loss in ((OURS, ours), ("eager", theirs), ("compiled", compiled))]
        result.append(Table(f"step, {elements:,} {dtype}", OURS, measure([*cases, copy(x, t)], rounds)))
    x, t = data(elements, torch.float32, torch.float32)
    cases = [forward(name, loss, x, t) for name, loss in ((OURS, ours), ("eager", theirs), ("compiled", compiled))]
    result.append(Table(f"forward, {elements:,} float32", OURS, measure([*cases, *flag_gems(x, t)], rounds)))
    labels, rows = torch.rand(1024, device="cuda"), torch.rand(len(x), device="cuda")
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "uint8 targets": {"target": t.to(torch.uint8)},
        "pos_weight per label": {"pos_weight": labels},
        "sample_weight": {"sample_weight": rows},
        "weight per element": {"weight": torch.rand_like(x)},
        "label_smoothing": {"label_smoothing": 0.1},
        "mask": {"mask": torch.rand_like(x) < 0.9},
        "ignore_index": {"ignore_index": -1},
        "weighted_mean": {"weight": torch.rand_like(x), "reduction": "weighted_mean"},
        "axis": {"axis": -1},
        "none": {"reduction": "none"},
    }
    cases = []
    for name, given in options.items():
        target = given.pop("target", t)
        several = name in ("axis", "none")
        loss = (lambda *args, **options: ours(*args, **options).sum()) if several else ours
        cases.append(step(name, loss, x, target, **given))
    return [*result, Table("options, float32", "plain", measure(cases, rounds))]


def flag_gems(x: Any, t: Any) -> list[Case]:
    """FlagGems' forward, if it is installed."""
    try:
        import flag_gems
    except ImportError:
        return []
    return [forward("FlagGems", flag_gems.binary_cross_entropy_with_logits, x, t)]


def main() -> None:
    """Run everything and print it."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--elements", type=int, default=1 << 28)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks/gpu.py needs a CUDA device; there is none.\n")
    results = tables(arguments.elements, arguments.rounds)
    print(torch.cuda.get_device_name(), *map(markdown if arguments.markdown else text, results), sep="\n")
    if arguments.json:
        facts = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        arguments.json.write_text(as_json(results, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
