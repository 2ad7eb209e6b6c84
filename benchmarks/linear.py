"""Time and memory of a linear layer's loss without its logits: `python benchmarks/linear.py [layer] [siglip]`.

A step is forward and backward of the mean loss of X·Wᵀ + b against five positives a row, beside the same with
PyTorch's loss, eager and compiled, and beside the three matrix products that any of them needs. Time is of what ran in
turn in one process; peak memory, beyond what is there before the step, is that of a process for each. `siglip` does the
same for pairs of images and texts; `accuracy` compares formulas in bfloat16; `largest` takes one step of 3,000,000
labels by the hook and says what the process holds. `sweep` measures over rows, features and labels, and draws that
with `--plot FILE` (needs matplotlib), also from what `--json FILE` has kept: `--drawn-from FILE` measures nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Case, Result, Table, as_json, markdown, measure, text, use_cores

OURS, HOOK, EAGER, COMPILED = "linear_binary_cross_entropy", "… with a hook that steps", "torch eager", "torch.compile"
INSIDE = "… in torch.compile"
PRODUCTS, FORWARD, PRODUCT = "three matrix products", "… the loss alone", "one matrix product"
PAIRS, DENSE = "siglip_loss", "torch, dense"
POSITIVES = 5
Step = Callable[[], object]
Shape = tuple[int, int, int]
"""Rows, features and labels."""


def layer(rows: int, features: int, labels: int, dtype: str, device: str = "cpu") -> tuple[Any, Any, Any, Any]:
    """Inputs, weights, bias and positives."""
    import numpy as np
    import torch

    import logloss as ll

    given = {"device": device, "dtype": getattr(torch, dtype)}
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(rows, features, generator=generator, **given).div_(features**0.5).requires_grad_()
    w = torch.randn(labels, features, generator=generator, **given).requires_grad_()
    first = np.arange(rows)[:, None] + np.arange(POSITIVES) * (labels // POSITIVES)
    targets = ll.Positives(np.arange(rows + 1) * POSITIVES, (first % labels).reshape(-1), (rows, labels))
    return x, w, torch.zeros(labels, requires_grad=True, **given), targets


def steps(rows: int, features: int, labels: int, dtype: str, device: str = "cpu") -> dict[str, Step]:
    """Every way of the step by its name. What a way needs beside the layer it makes when it is first called."""
    import torch

    import logloss as ll

    x, w, b, targets = layer(rows, features, labels, dtype, device)
    own = (x, w, b)

    def backward(loss: Any) -> None:
        for one in own:
            one.grad = None
        loss().backward()

    def ours(**options: Any) -> Any:
        return ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b, **options)

    def sgd(low: int, high: int, grad: Any) -> None:
        w[low:high].sub_(grad, alpha=1e-3)

    def theirs(x: Any, w: Any, b: Any, dense: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(torch.nn.functional.linear(x, w, b), dense)

    kept: dict[str, Any] = {}

    def unfused(loss: Any) -> Any:
        if "dense" not in kept:
            kept["dense"] = torch.from_numpy(targets.dense()).to(x)
        return loss(x, w, b, kept["dense"])

    def products() -> None:
        logits = w.detach() @ x.detach().T
        kept["products"] = logits.T @ w.detach(), logits @ x.detach()

    def forward() -> None:
        with torch.no_grad():
            ours()

    compiled, inside = torch.compile(theirs), torch.compile(ours, fullgraph=True)  # a break of the graph is an error
    return {
        PRODUCTS: products,
        OURS: lambda: backward(ours),
        HOOK: lambda: backward(lambda: ours(on_weight_grad=sgd)),
        INSIDE: lambda: backward(inside),
        EAGER: lambda: backward(lambda: unfused(theirs)),
        COMPILED: lambda: backward(lambda: unfused(compiled)),
        PRODUCT: lambda: w.detach() @ x.detach().T,
        FORWARD: forward,
    }


def pair_steps(rows: int, features: int, labels: int, dtype: str, device: str = "cpu") -> dict[str, Step]:
    """The sigmoid loss of pairs, by tiles and dense."""
    import torch

    import logloss as ll

    x, w, _, _ = layer(rows, features, labels, dtype, device)
    scale, bias = (torch.tensor(number, requires_grad=True, device=device) for number in (10.0, -10.0))
    own = x, w, scale, bias

    def dense() -> None:
        logits = scale * x @ w.T + bias
        signs = 2 * torch.eye(rows, labels, dtype=x.dtype, device=device) - 1
        torch.autograd.grad(-torch.nn.functional.logsigmoid(signs * logits).sum() / rows, own)

    return {PAIRS: lambda: torch.autograd.grad(ll.siglip_loss(*own), own), DENSE: dense}


def peak(which: str, shape: Shape, dtype: str) -> int:
    """Bytes that one step holds at most beside what was there before, measured in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", json.dumps([which, *shape, dtype])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def _resident(field: str) -> int:
    found = re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    return 1024 * int(found.group(1)) if found else 0


def print_peak(which: str, rows: int, features: int, labels: int, dtype: str) -> None:
    make = pair_steps if which in (PAIRS, DENSE) else steps
    make(64, features, 1000, dtype)[which]()  # compiles, and gives the libraries their buffers
    step = make(rows, features, labels, dtype)[which]
    before = _resident("VmRSS")
    step()
    print(max(0, _resident("VmHWM") - before))


def measured(
    shape: Shape, dtype: str, rounds: int, names: list[str], *, pairs: bool = False, memory: bool = True
) -> tuple[Table, dict[str, float]]:
    """One shape: the time of every way, in ns per logit, and its peak memory in MB, which the note says as well."""
    found = (pair_steps if pairs else steps)(*shape, dtype)
    chosen = [name for name in found if name in names]
    results = measure([Case(name, found[name], shape[0] * shape[2]) for name in chosen], rounds)
    del found
    counted = [name for name in chosen if memory and name not in (PRODUCTS, PRODUCT)]
    peaks = {name: peak(name, shape, dtype) / 1e6 for name in counted}
    note = "peak MB: " + ", ".join(f"{name} {size:.0f}" for name, size in peaks.items())
    return Table(titled(shape, dtype), chosen[0], results, note=note), peaks


def titled(shape: Shape, dtype: str) -> str:
    """What a table of one shape is called."""
    rows, features, labels = shape
    return f"{rows:,} × {features} × {labels:,} {dtype}"


AXES = "rows", "features", "labels"
MIDDLE: Shape = (512, 256, 20_000)
OTHERS = (128, 2048), (64, 768), (5_000, 80_000)
"""What the sweep takes along each axis instead of the middle."""


def swept() -> list[list[Shape]]:
    """The shapes of a sweep, a list along each axis, in rising order."""
    sizes = [sorted((middle, *others)) for middle, others in zip(MIDDLE, OTHERS, strict=True)]
    return [
        [(*MIDDLE[:axis], size, *MIDDLE[axis + 1 :]) for size in along]  # type: ignore[misc]
        for axis, along in enumerate(sizes)
    ]


Found = tuple[Table, dict[str, float]]
"""What was measured of one shape: times, and the peak memory of each way in MB."""
DRAWN = {PRODUCTS: "0.6", OURS: "C0", HOOK: "C2", EAGER: "C3", COMPILED: "C1"}
"""The ways that a figure shows, with their colours."""


def draw(file: Path, found: list[Found], dtype: str) -> None:
    """Time and peak memory of every way over rows, features and labels, as a figure."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams |= {"svg.hashsalt": "logloss", "svg.fonttype": "none", "font.size": 9}  # same figures, same file
    import matplotlib.pyplot as plt

    by_title = {table.title: (table, held) for table, held in found}
    figure, panels = plt.subplots(2, len(AXES), figsize=(9, 5), sharex="col", sharey="row", layout="constrained")
    for axis, (name, shapes) in enumerate(zip(AXES, swept(), strict=True)):
        sizes = [shape[axis] for shape in shapes]
        along = [by_title[titled(shape, dtype)] for shape in shapes]
        for way, colour in DRAWN.items():
            times = [table.ratios(one)[0] for table, _ in along for one in table.results if one.name == way]
            peaks = [held[way] for _, held in along if way in held]
            for panel, values in zip(panels[:, axis], (times, peaks), strict=True):
                if len(values) == len(sizes):
                    panel.plot(sizes, values, "-" if way == PRODUCTS else "o-", color=colour, markersize=4, label=way)
        fixed = " × ".join(f"{size:,} {other}" for other, size in zip(AXES, MIDDLE, strict=True) if other != name)
        panels[0, axis].set_title(fixed, fontsize=9)
        for panel in panels[:, axis]:
            panel.set(xscale="log", yscale="log")
            panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
            panel.minorticks_off()
            panel.margins(x=0.12)  # room for the numbers at both ends
            panel.grid(axis="y", color="0.9")
        panels[1, axis].set_xlabel(name)
    for row, (what, ticks) in enumerate(
        (
            ("time ÷ three matrix products", (0.8, 1, 1.5, 2, 3)),
            ("peak memory, MB", (10, 30, 100, 300)),
        )
    ):
        panels[row, 0].set_ylabel(what)
        panels[row, 0].set_yticks(ticks, [str(tick) for tick in ticks])
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=5,
        frameon=False,
        columnspacing=1,
        fontsize=8,
    )
    figure.savefig(file, metadata={"Date": None, "Creator": None})


def read(file: Path) -> list[Found]:
    """What `--json` has kept."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    tables = [Table(**{**one, "results": [Result(**each) for each in one["results"]]}) for one in kept["tables"]]
    return list(zip(tables, kept["facts"]["peak MB"], strict=True))


def largest(rows: int, features: int, labels: int, dtype: str) -> str:
    """One step of a large layer, whose weights the hook changes: its time, and all that the process holds.

    The weights are copies of one block of random numbers, which are quicker to write than to draw.
    """
    import torch

    import logloss as ll

    _, block, _, targets = layer(rows, features, 1000, dtype)  # a thousand labels are enough to compile
    x = torch.randn(rows, features).to(block.dtype).requires_grad_()

    def step(w: Any, targets: Any) -> float:
        def sgd(low: int, high: int, grad: Any) -> None:
            w.detach()[low:high].sub_(grad, alpha=1e-3)

        start = time.perf_counter()
        ll.linear_binary_cross_entropy(x, w, targets, on_weight_grad=sgd).backward()
        return time.perf_counter() - start

    step(block, targets)
    before = _resident("VmRSS")
    w = torch.empty(labels, features, dtype=block.dtype)
    for part in w.split(len(block)):
        part.copy_(block.detach()[: len(part)])
    targets = layer(rows, 1, labels, dtype)[3]
    held = _resident("VmRSS") - before
    seconds = step(w.requires_grad_(), targets)
    return (
        f"{rows:,} × {features} × {labels:,} {dtype}, with the hook: {seconds:.1f} s a step, "
        f"{_resident('VmHWM') / 1e6:,.0f} MB in all, of which {held / 1e6:,.0f} are weights and targets, and "
        f"{before / 1e6:,.0f} were there before"
    )


RANGES = (0, 4, 8, 12, 16, 24)
Errors = dict[str, list[float]]
"""The largest relative errors of a formula, for each of these ranges of |logit|."""


def errors(count: int = 512) -> tuple[Errors, Errors]:
    """Errors of a positive's gradient, and of a confident negative's loss, in bfloat16, by the formula.

    Row i of X is the unit vector i and one column more, so that the diagonal of dW is the gradient by the logits.
    """
    import numpy as np
    import torch

    import logloss as ll

    generator = torch.Generator().manual_seed(0)
    main = (torch.rand(count, generator=generator) * RANGES[-1]).bfloat16()
    rest = (torch.rand(count, 1, generator=generator) - 0.5).bfloat16()
    x = torch.cat([torch.eye(count), torch.ones(count, 1)], 1).bfloat16()
    w = torch.cat([torch.diag(main), rest], 1).requires_grad_()
    exact = main.double() + rest[:, 0].double()
    targets = ll.Positives(np.arange(count + 1), np.arange(count), (count, count))
    logits = torch.nn.functional.linear(x, w).diagonal().detach()
    wide = logits.float()
    (ours,) = torch.autograd.grad(ll.linear_binary_cross_entropy(x, w, targets, reduction="sum"), w)
    nothing = ll.Positives(np.zeros(count + 1, int), np.zeros(0, int), (count, count))
    losses = ll.linear_binary_cross_entropy(x, -w.detach(), nothing, reduction="none").diagonal()
    gradients = {
        "σ − y, bfloat16": torch.sigmoid(logits) - 1,
        "σ − y, float32 of bfloat16 logits": (torch.sigmoid(wide) - 1).bfloat16(),
        "σ(−x), float32 of bfloat16 logits": (-torch.sigmoid(-wide)).bfloat16(),
        OURS: ours.diagonal(),
    }
    costs = {
        "log(1 + e), bfloat16": torch.log(1 + torch.exp(-logits)),
        "log(1 + e), float32 of bfloat16 logits": torch.log(1 + torch.exp(-wide)),
        OURS: losses,
    }
    by_gradient = {name: _largest(one, -torch.sigmoid(-exact), exact) for name, one in gradients.items()}
    return by_gradient, {name: _largest(one, torch.log1p(torch.exp(-exact)), exact) for name, one in costs.items()}


def _largest(found: Any, want: Any, exact: Any) -> list[float]:
    error = ((found.double() - want) / want).abs()
    return [float(error[(exact >= low) & (exact < high)].max()) for low, high in itertools.pairwise(RANGES)]


def show(what: str, found: Errors) -> str:
    """The errors as a table for a page."""
    heads = [f"{low} to {high}" for low, high in itertools.pairwise(RANGES)]
    lines = [f"| {what} | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    lines += [f"| {name} | " + " | ".join(f"{error:.1g}" for error in row) + " |" for name, row in found.items()]
    return "\n".join(lines)


WHAT = "gradient of a positive, logit", "loss of a negative, −logit"


def suites(given: argparse.Namespace, dtype: str) -> list[Found]:
    """What the suites that were asked for measure."""
    shapes: list[Shape] = [tuple(map(int, one.split(","))) for one in given.shape or []]  # type: ignore[misc]
    names = [PRODUCTS, OURS, HOOK, EAGER, *([] if given.without_compile else [INSIDE, COMPILED])]
    found, memory = [], not given.without_memory
    if "layer" in given.suites or not given.suites:
        kinds = names, [PRODUCT, FORWARD]
        for shape in shapes or [(256, 256, 20_000), (1024, 256, 100_000), (64, 512, 200_000)]:
            found += [measured(shape, dtype, given.rounds, ways, memory=memory) for ways in kinds]
    if "sweep" in given.suites:
        once = dict.fromkeys(shape for along in swept() for shape in along)
        found += [measured(shape, dtype, given.rounds, names, memory=memory) for shape in once]
    if "siglip" in given.suites or not given.suites:
        for shape in shapes or [(4096, 256, 4096), (8192, 512, 8192)]:
            found.append(measured(shape, dtype, given.rounds, [PAIRS, DENSE], pairs=True, memory=memory))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="The loss of a linear layer without its logits, beside PyTorch.")
    parser.add_argument(
        "suites", nargs="*", default=[], help="layer, siglip, sweep, accuracy, largest; none: layer and siglip"
    )
    parser.add_argument("--shape", action="append", help="rows,features,labels; may be given several times")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--without-memory", action="store_true", help="measure times alone")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path, help="write everything measured there")
    parser.add_argument("--plot", type=Path, help="draw the sweep into this file")
    parser.add_argument("--drawn-from", type=Path, help="draw what --json has kept of a sweep, and measure nothing")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    use_cores(2)
    if given.peak:
        print_peak(*json.loads(given.peak))
        return
    if "largest" in given.suites:
        for one in given.shape or ["1024,768,3000000"]:
            rows, features, labels = map(int, one.split(","))
            print(largest(rows, features, labels, given.dtype or "bfloat16"))
        return
    if "accuracy" in given.suites:
        print("\n\n".join(map(show, WHAT, errors())))
        return
    dtype = given.dtype or "float32"
    if given.drawn_from:
        draw(given.plot, read(given.drawn_from), dtype)
        return
    found = suites(given, dtype)
    if "sweep" in given.suites and given.plot:
        draw(given.plot, found, dtype)
    tables = [table for table, _ in found]
    print("\n\n".join((markdown if given.markdown else text)(table) for table in tables))
    if given.json:
        given.json.write_text(as_json(tables, {"peak MB": [held for _, held in found]}), encoding="utf-8")


if __name__ == "__main__":
    main()
