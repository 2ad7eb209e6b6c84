"""How fast the losses are, beside other libraries and beside themselves: `python benchmarks/losses.py [suite …]`.

benchmarks/README.md says what each figure means. Needs the package installed; peers come with
`pip install -e '.[bench]'`, and a peer that is missing is named in the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import logloss as ll
import peers
import startup
from harness import Case, Table, as_json, markdown, measure, text, use_cores

LABELS = 64
PLAIN = "value_and_grad, out="
DTYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}
TARGETS = {"bool": np.bool_, "uint8": np.uint8, "int32": np.int32, "int64": np.int64, **DTYPES}


def data(elements: int, shape: tuple[int, ...] | None = None) -> tuple[Any, Any]:
    """Normal float32 logits (deviation 3) and hard targets, one in four positive."""
    rng = np.random.default_rng(20)
    x = (3 * rng.standard_normal(elements, dtype=np.float32)).reshape(shape or elements)
    t = (rng.random(elements, dtype=np.float32) < 0.25).astype(np.float32).reshape(shape or elements)
    return x, t


def step(
    name: str, x: Any, t: Any, out: Any = None, before: Callable[[], object] | None = None, **options: Any
) -> Case:
    """One call of `value_and_grad`."""
    return Case(name, lambda: ll.value_and_grad(x, t, out=out, **options), x.size, before)


def copy_of(bytes_per_element: int, x: Any) -> Case:
    """NumPy's copy of a float32 array moves 8 bytes per element; counted on fewer elements it stands for more."""
    target = np.empty_like(x)
    name = f"NumPy copy of {bytes_per_element} bytes per element"
    return Case(name, lambda: np.copyto(target, x), x.size * 8 // bytes_per_element)


def training(elements: int, rounds: int) -> list[Table]:
    """Loss and gradient of float32 logits against every peer."""
    x, t = data(elements)
    out = np.empty_like(x)
    ours = [
        step(PLAIN, x, t, out),
        step("value_and_grad", x, t),
        step("value_and_grad, out=, uint8 targets", x, t.astype(np.uint8), out),
        step("value_and_grad, out=, bool targets", x, t.astype(np.bool_), out),
        copy_of(12, x),
    ]
    theirs, absent = peers.installed(peers.TRAINING, x, t)
    return [Table(f"Loss + gradient, {elements:,} float32", PLAIN, measure(ours + theirs, rounds), absent)]


def loss(elements: int, rounds: int) -> list[Table]:
    """The mean loss alone."""
    x, t = data(elements)
    base = "binary_cross_entropy_with_logits"
    hard = t.astype(np.uint8)
    ours = [
        Case(base, lambda: ll.binary_cross_entropy_with_logits(x, t), x.size),
        Case(f"{base}, uint8", lambda: ll.binary_cross_entropy_with_logits(x, hard), x.size),
        copy_of(8, x),
    ]
    theirs, absent = peers.installed(peers.LOSS, x, t)
    return [Table(f"Loss, {elements:,} float32", base, measure(ours + theirs, rounds), absent)]


def metric(elements: int, rounds: int) -> list[Table]:
    """`log_loss` of float64 probabilities; a quarter of the elements, since the peer takes its time."""
    x, t = data(elements // 4)
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    tables = []
    for labels in (t.astype(np.float64), t.astype(np.uint8), t.astype(np.int64)):
        base = f"log_loss, {labels.dtype} labels"
        theirs, absent = peers.installed(peers.METRIC, p, labels)
        ours = Case(base, partial(ll.log_loss, labels, p), p.size)
        results = measure([ours, *theirs], max(3, rounds // 3))
        tables.append(Table(f"log_loss, {p.size:,} float64 probabilities", base, results, absent))
    return tables


def dtypes(elements: int, rounds: int) -> list[Table]:
    """Every dtype of logits with every dtype of targets."""
    x, t = data(elements)
    cases = []
    for name, dtype in DTYPES.items():
        logits = x.astype(dtype)
        out = np.empty_like(logits)
        cases += [step(f"{name} logits, {kind} targets", logits, t.astype(of), out) for kind, of in TARGETS.items()]
    return [Table("dtypes: value_and_grad, out=", "float32 logits, float32 targets", measure(cases, rounds))]


def layouts(elements: int, rounds: int) -> list[Table]:
    """Every layout of logits and targets; each gradient is a new array."""
    x, t = data(elements, (-1, LABELS))
    wide, tall = np.repeat(x, 2, axis=1), np.asfortranarray(x)
    locked = x.copy()
    locked.flags.writeable = False
    row, column = np.ones((len(x), 1), np.float32), np.ones((1, LABELS), np.float32)
    cases = [
        step("contiguous", x, t),
        step("every second column of the logits", wide[:, ::2], t),
        step("rows in reverse", x[::-1], t),
        step("Fortran logits and targets", tall, np.asfortranarray(t)),
        step("Fortran logits, C targets", tall, t),
        step("transposed logits and targets", x.T, t.T),
        step("read-only", locked, t),
        step("weight per row, (N, 1)", x, t, weight=row),
        step("weight per column, (1, C)", x, t, weight=column),
        step("three dimensions", x.reshape(-1, 8, LABELS // 8), t.reshape(-1, 8, LABELS // 8)),
    ]
    return [Table(f"layouts: value_and_grad, (N, {LABELS}) float32", "contiguous", measure(cases, rounds))]


def option_cases(x: Any, t: Any, out: Any) -> list[Case]:
    """Every option of the losses, each alone, and all together."""
    rng = np.random.default_rng(21)
    per_label = rng.uniform(0.5, 2, LABELS).astype(np.float32)
    per_row = rng.uniform(0.5, 2, len(x)).astype(np.float32)
    per_element = rng.uniform(0.5, 2, x.shape).astype(np.float32)
    keep = rng.random(x.shape, dtype=np.float32) < 0.9
    hard = t.astype(np.uint8)
    marked = np.where(keep, hard, 255).astype(np.uint8)
    everything: dict[str, Any] = {
        "pos_weight": per_label,
        "label_weight": per_label,
        "sample_weight": per_row,
        "label_smoothing": 0.1,
    }
    return [
        step("plain", x, t, out),
        step("pos_weight, scalar", x, t, out, pos_weight=3.0),
        step("pos_weight, per label", x, t, out, pos_weight=per_label),
        step("label_weight", x, t, out, label_weight=per_label),
        step("sample_weight", x, t, out, sample_weight=per_row),
        step("weight, per element", x, t, out, weight=per_element),
        step("mask", x, t, out, mask=keep),
        step("ignore_index, uint8 targets", x, marked, out, ignore_index=255),
        step("label_smoothing", x, t, out, label_smoothing=0.1),
        step("label_smoothing, uint8 targets", x, hard, out, label_smoothing=0.1),
        step("pos_, label_, sample_weight, smoothing", x, t, out, **everything),
        step("the same with mask and weight", x, t, out, mask=keep, weight=per_element, **everything),
        step("reduction sum", x, t, out, reduction="sum"),
        step("reduction weighted_mean, sample_weight", x, t, out, reduction="weighted_mean", sample_weight=per_row),
        step("reduction none", x, t, out, reduction="none"),
        step("axis=-1", x, t, out, axis=-1),
        step("axis=0", x, t, out, axis=0),
        step("validate=False", x, t, out, validate=False),
    ]


def positives(t: Any) -> ll.Positives:
    """The same targets as indices."""
    rows, labels = np.nonzero(t)
    return ll.Positives(np.searchsorted(rows, np.arange(len(t) + 1)), labels, t.shape)


def options(elements: int, rounds: int) -> list[Table]:
    """Every option, in place, and the other losses, against the plain call; the Hessian against another new array."""
    x, t = data(elements, (-1, LABELS))
    out, own = np.empty_like(x), np.empty_like(x)
    p = (1 / (1 + np.exp(-x))).astype(np.float32)
    log_p = np.log(p)
    few = t * (np.arange(LABELS) % 16 == 0)
    losses = [
        step("in place", own, t, own, before=lambda: np.copyto(own, x)),
        step("Positives, one in four", x, positives(t), out),
        step("Positives, one in 64", x, positives(few), out),
        step("sigmoid_focal_loss", x, t, out, loss=ll.sigmoid_focal_loss),
        step("sigmoid_focal_loss, gamma=1.5, alpha", x, t, out, loss=ll.sigmoid_focal_loss, gamma=1.5, alpha=0.25),
        step("asymmetric_loss", x, t, out, loss=ll.asymmetric_loss),
        step("binary_cross_entropy", p, t, out, loss=ll.binary_cross_entropy),
        step("binary_cross_entropy_with_log_probs", log_p, t, out, loss=ll.binary_cross_entropy_with_log_probs),
    ]
    new = [
        step("value_and_grad", x, t),
        step("value_and_grad, reduction none", x, t, reduction="none"),
        Case("grad_and_hess", lambda: ll.grad_and_hess(x, t), x.size),
    ]
    results = measure(option_cases(x, t, out) + losses, rounds)
    return [
        Table(f"options: value_and_grad, out=, (N, {LABELS}) float32", "plain", results),
        Table(f"new arrays of results, (N, {LABELS}) float32", "value_and_grad", measure(new, rounds)),
    ]


def small(_elements: int, rounds: int) -> list[Table]:
    """Calls so small that only their overhead counts: microseconds are 1/1000 of these nanoseconds per call."""
    tables = []
    for size in (10, 1000):
        x, t = data(size)
        out = np.empty_like(x)
        matrix, vector = x.reshape(-1, 5), np.arange(1, 6, dtype=np.float32)
        cases = [
            step(PLAIN, x, t, out),
            step("value_and_grad", x, t),
            Case("binary_cross_entropy_with_logits", partial(ll.binary_cross_entropy_with_logits, x, t), size),
            step("value_and_grad, pos_weight per label", matrix, t.reshape(-1, 5), pos_weight=vector),
            Case("log_loss", partial(ll.log_loss, t, 1 / (1 + np.exp(-x))), size),
        ]
        theirs, absent = peers.installed({"torch": peers.torch_training, "optax": peers.optax_training}, x, t)
        results = measure(cases + theirs, 3 * rounds)
        for result in results:
            result.elements = 1
        tables.append(Table(f"one call on {size} elements, ns per call", PLAIN, results, absent))
    return tables


SUITES: dict[str, Callable[[int, int], list[Table]]] = {
    "training": training,
    "loss": loss,
    "metric": metric,
    "dtypes": dtypes,
    "layouts": layouts,
    "options": options,
    "small": small,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the losses beside other libraries and beside themselves.")
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}, startup; all by default")
    parser.add_argument("--elements", type=int, default=1 << 24, help="elements of the large arrays")
    parser.add_argument("--rounds", type=int, default=15, help="timings of each case")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    everything = [*SUITES, "startup"]
    chosen = arguments.suites or everything
    if unknown := set(chosen) - set(everything):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    use_cores(2)  # before any peer is imported and counts them
    show = markdown if arguments.markdown else text
    tables: list[Table] = []
    for name in chosen:
        if name in SUITES:
            made = SUITES[name](arguments.elements, arguments.rounds)
            print("\n".join(map(show, made)), flush=True)
            tables += made
    facts = startup.measure() if "startup" in chosen else {}
    for fact, value in facts.items():
        print(f"{fact:66}{value:10.3f} s")
    if arguments.json:
        arguments.json.write_text(as_json(tables, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
