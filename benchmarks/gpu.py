"""How fast training steps are on a GPU: `python benchmarks/gpu.py [losses] [layers]`, where there is one.

Ratios of what ran in turn in one process, beside a copy of the same bytes (the floor), PyTorch's own loss, the same
compiled, and FlagGems' forward where it is installed. `layers` are losses whose logits never exist, with their peak
memory, beside their matrix products and beside PyTorch's with logits. Every timing ends when the device has finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Case, Table, as_json, markdown, measure, text
from linear import DENSE, EAGER, HOOK, PAIRS, PRODUCTS, pair_steps, steps
from linear import OURS as LAYER

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


# ---- losses whose logits never exist --------------------------------------------------------------------------------


def finished(step: Callable[[], object]) -> Callable[[], None]:
    """A step, until the device has done it."""
    import torch

    def run() -> None:
        step()
        torch.cuda.synchronize()

    return run


def peak(step: Callable[[], object]) -> str:
    """The most that a step holds beside what was there before, in MB."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    finished(step)()
    return f"{(torch.cuda.max_memory_allocated() - before) / 1e6:,.0f}"


def products_of_pairs(rows: int, features: int, dtype: str) -> Callable[[], object]:
    """The three products of all pairs by chunks, as the loss makes them."""
    import torch

    kind = getattr(torch, dtype)
    u, v = (torch.randn(rows, features, device="cuda", dtype=kind) for _ in range(2))
    chunk = max(64 << 20, 4 * rows * features) // (rows * u.element_size())
    room, by_texts = torch.empty(chunk, rows, device="cuda", dtype=kind), torch.empty_like(v)
    by_images = torch.empty_like(u)

    def run() -> None:
        for low in range(0, rows, chunk):
            part = v[low : low + chunk]
            logits = torch.mm(part, u.T, out=room[: len(part)])
            torch.mm(logits.T, part, out=by_images)
            torch.mm(logits, u, out=by_texts[low : low + chunk])

    return run


def passes(rounds: int) -> list[Table]:
    """The pass over a chunk alone: what it moves in a second is in the note."""
    import torch

    from logloss._backends.torch import launches

    result = []
    for dtype in (torch.bfloat16, torch.float32):
        products = torch.randn(1536, 65536, device="cuda").to(dtype)
        gain, shift = torch.tensor(10.0, device="cuda"), torch.tensor(-10.0, device="cuda")

        room = torch.empty_like(products)

        def copied(room: Any = room, products: Any = products) -> object:
            return room.copy_(products)

        def turn(products: Any = products, gain: Any = gain, shift: Any = shift) -> object:
            return launches.negatives(products, None, gain, shift, wants_grad=True)

        bytes_moved = products.numel() * products.element_size() * 2
        cases = [
            Case("negatives in place", finished(turn), products.numel()),
            Case("copy", finished(copied), products.numel()),
        ]
        found = measure(cases, rounds)
        speeds = ", ".join(f"{one.name} {bytes_moved / min(one.seconds) / 1e12:.2f} TB/s" for one in found)
        result.append(Table(f"pass over 1,536 × 65,536 {dtype}", "negatives in place", found, note=speeds))
    return result


def layer_tables(rounds: int, size: int = 65536) -> list[Table]:
    """Passes, pairs of images and texts, and layers: seconds a step would be ns per logit times logits."""
    result = passes(rounds)
    for rows, many in ((size, rounds), (4 * size, 2)):
        step = pair_steps(rows, 768, rows, "bfloat16", "cuda")[PAIRS]
        note = f"peak MB: {PAIRS} {peak(step)}"
        cases = [Case(PAIRS, finished(step), rows * rows)]
        cases.append(Case(PRODUCTS, finished(products_of_pairs(rows, 768, "bfloat16")), rows * rows))
        found = measure(cases, many)
        times = ", ".join(f"{one.name} {1e3 * min(one.seconds):.1f} ms" for one in found)
        result.append(Table(f"{rows:,} pairs of 768, bfloat16", PAIRS, found, note=f"{note}; {times}"))
    ways = pair_steps(size // 4, 768, size // 4, "bfloat16", "cuda")
    note = "peak MB: " + ", ".join(f"{name} {peak(ways[name])}" for name in (PAIRS, DENSE))
    cases = [Case(name, finished(ways[name]), size**2 // 16) for name in (PAIRS, DENSE)]
    result.append(Table(f"{size // 4:,} pairs of 768, bfloat16", PAIRS, measure(cases, rounds), note=note))
    for dtype in ("bfloat16", "float32"):
        rows, features, labels = 1024, 768, 4 * size
        ways = steps(rows, features, labels, dtype, "cuda")
        names = (LAYER, HOOK, PRODUCTS, EAGER)
        note = "peak MB: " + ", ".join(f"{name} {peak(ways[name])}" for name in names)
        cases = [Case(name, finished(ways[name]), rows * labels) for name in names]
        title = f"{rows:,} × {features} × {labels:,} {dtype}"
        result.append(Table(title, LAYER, measure(cases, rounds), note=note))
    return result


def main() -> None:
    """Run everything and print it."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("suites", nargs="*", choices=["losses", "layers", []], help="both if none is named")
    parser.add_argument(
        "--size", type=int, default=65536, help="pairs, of which a quarter and four times as many run too"
    )
    parser.add_argument("--elements", type=int, default=1 << 28)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks/gpu.py needs a CUDA device; there is none.\n")
    suites = arguments.suites or ["losses", "layers"]
    results = tables(arguments.elements, arguments.rounds) if "losses" in suites else []
    results += layer_tables(arguments.rounds, arguments.size) if "layers" in suites else []
    print(torch.cuda.get_device_name(), *map(markdown if arguments.markdown else text, results), sep="\n")
    if arguments.json:
        facts = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        arguments.json.write_text(as_json(results, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
