"""Time and memory of a linear layer's loss without its logits: `python benchmarks/linear.py [layer] [siglip]`.

A step is forward and backward of the mean loss of X·Wᵀ + b against five positives a row, beside the same with
PyTorch's loss, eager and compiled, and beside the three matrix products that any of them needs. Time is of what ran in
turn in one process; peak memory, beyond what is there before the step, is that of a process for each. `siglip` does the
same for pairs of images and texts; `accuracy` compares formulas in bfloat16; `largest` takes one step of 3,000,000
labels by the hook and says what the process holds. `sweep` measures over rows, features and labels, and draws that
with `--svg FILE` (needs matplotlib).
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

from harness import Case, Table, as_json, markdown, measure, text, use_cores

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
    rows, features, labels = shape
    found = (pair_steps if pairs else steps)(*shape, dtype)
    chosen = [name for name in found if name in names]
    results = measure([Case(name, found[name], rows * labels) for name in chosen], rounds)
    del found
    counted = [name for name in chosen if memory and name not in (PRODUCTS, PRODUCT)]
    peaks = {name: peak(name, shape, dtype) / 1e6 for name in counted}
    note = "peak MB: " + ", ".join(f"{name} {size:.0f}" for name, size in peaks.items())
    return Table(f"{rows:,} × {features} × {labels:,} {dtype}", chosen[0], results, note=note), peaks


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


def draw(file: Path, found: dict[Shape, tuple[Table, dict[str, float]]], dtype: str) -> None:
    """Time and peak memory of every way over rows, features and labels, as a figure."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "linear", "font.size": 9})
    figure, panels = plt.subplots(2, len(AXES), figsize=(9, 5), sharey="row", layout="constrained")
    for axis, shapes in enumerate(swept()):
        sizes = [shape[axis] for shape in shapes]
        for number, name in enumerate((PRODUCTS, OURS, HOOK, EAGER, COMPILED)):
            times = [result.least for shape in shapes for result in found[shape][0].results if result.name == name]
            peaks = [found[shape][1][name] for shape in shapes if name in found[shape][1]]
            for row, values in enumerate((times, peaks)):
                if len(values) == len(sizes):
                    panels[row, axis].plot(sizes, values, "o-", color=f"C{number}", markersize=4, label=name)
        panels[1, axis].set_xlabel(AXES[axis])
        for row in (0, 1):
            panels[row, axis].set(xscale="log", yscale="log", xticks=sizes, xticklabels=[f"{size:,}" for size in sizes])
            panels[row, axis].minorticks_off()
    panels[0, 0].set_ylabel("time of a step, ns per logit")
    panels[1, 0].set_ylabel("peak memory of a step, MB")
    middle = " × ".join(f"{size:,}" for size in MIDDLE)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    figure.suptitle(f"around {middle} (rows × features × labels), {dtype}", y=-0.02, fontsize=9)
    figure.savefig(file, metadata={"Date": None}, bbox_inches="tight")


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
    parser.add_argument("--svg", type=Path, help="where the sweep is drawn")
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
    shapes = [tuple(map(int, one.split(","))) for one in given.shape or []]
    names = [PRODUCTS, OURS, HOOK, EAGER, *([] if given.without_compile else [INSIDE, COMPILED])]
    tables, memory, dtype = [], not given.without_memory, given.dtype or "float32"
    if "layer" in given.suites or not given.suites:
        for rows, features, labels in shapes or [(256, 256, 20_000), (1024, 256, 100_000), (64, 512, 200_000)]:
            shape = rows, features, labels
            kinds = names, [PRODUCT, FORWARD]
            tables += [measured(shape, dtype, given.rounds, ways, memory=memory)[0] for ways in kinds]
    if "sweep" in given.suites:
        once = dict.fromkeys(shape for along in swept() for shape in along)
        found = {shape: measured(shape, dtype, given.rounds, names) for shape in once}
        tables += [table for table, _ in found.values()]
        if given.svg:
            draw(given.svg, found, dtype)
    if "siglip" in given.suites or not given.suites:
        for rows, features, labels in shapes or [(4096, 256, 4096), (8192, 512, 8192)]:
            shape, ways = (rows, features, labels), [PAIRS, DENSE]
            tables.append(measured(shape, dtype, given.rounds, ways, pairs=True, memory=memory)[0])
    print("\n\n".join((markdown if given.markdown else text)(table) for table in tables))
    if given.json:
        given.json.write_text(as_json(tables, {}), encoding="utf-8")


if __name__ == "__main__":
    main()
