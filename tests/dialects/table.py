"""The table of docs/conformance.md: dialects beside frameworks, and frameworks beside the exact loss.

PYTHONPATH=tests python -m dialects.table        # runs every framework and writes the page
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import logloss as ll
from dialects import conformance
from dialects.cases import Case, everything

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
LIMITS = (0.0, 0.1, 0.25, 0.5, 1.0)  # of what is allowed
SILENT = {"backend", "reduction"}  # options of every case

HEAD = """\
# Conformance

Written by `PYTHONPATH=tests python -m dialects.table`, which runs the frameworks; a test runs them again. Each call is
made in the framework and in its dialect, on edges (±0 to ±1000 and infinite logits, probabilities from 0 to 1), random
numbers and every option, in float32, float64 and, where the framework takes them, float16 and bfloat16. Allowed are
4 ulp of the largest intermediate term for single elements; for what is reduced relatively 1e-6 in float32, 1e-12 in
float64, and 4 ulp in half precision. The table shows the largest share of that which was seen, rounded up. Infinities,
NaN and dtypes must be the same.

The last column compares the framework with the exact loss, on the edges in float32 without options: where that differs
it is the framework's design, and its dialect does the same. `docs/why-numbers-differ.md` says why.

| system | option | calls | dialect: value | gradient | beside the exact loss |
|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """A function of a system and one of its options."""

    system: str
    option: str
    calls: int
    value: float
    gradient: float | None
    exact: str


def rows(compared: list[tuple[Case, Any, Any]]) -> list[Row]:
    """One row for each function and option, in order of the cases."""
    groups: dict[tuple[str, str], list[tuple[Case, Any, Any]]] = {}
    for triple in compared:
        for option in _options(triple[0]):
            groups.setdefault((_system(triple[0]), option), []).append(triple)
    return [_row(system, option, triples) for (system, option), triples in groups.items()]


def _system(case: Case) -> str:
    return case.title


def _options(case: Case) -> list[str]:
    return [name for name in case.options if name not in SILENT] or ["–"]


def _row(system: str, option: str, triples: list[tuple[Case, Any, Any]]) -> Row:
    apart = [conformance.difference(*triple) for triple in triples]
    has_gradient = any(theirs[1] is not None for _, theirs, _ in triples)
    gradient = max(one.gradient for one in apart) if has_gradient else None
    edges = [(case, theirs) for case, theirs, _ in triples if case.elements and case.precision == "float32"]
    exact = _beside_exact(*edges[0]) if edges and option in ("–", "from_logits", "pos_weight") else ""
    return Row(system, option, len(triples), max(one.value for one in apart), gradient, exact)


def _beside_exact(case: Case, theirs: Any) -> str:
    """Where the framework is furthest from the exact loss, relatively."""
    x, t = (np.asarray(case.arrays[name], np.float64) for name in conformance.roles(case))
    loss = _exact_loss(case, x, t)
    if loss is None:
        return ""
    value = np.asarray(theirs[0], np.float64).reshape(x.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(np.isinf(loss), np.where(value == loss, 0, np.inf), np.abs(value - loss) / loss)
    off = np.where(np.isfinite(x) & (loss > 1e-37), off, 0)  # below, numbers of float32 end
    if off.max() < 1e-5:
        return "agrees"
    at = int(np.argmax(off))
    cells = [float(array.reshape(-1)[at]) for array in (x, t, value, loss)]
    return "differs by design: {:g} with {:g} gives {:.4g}, exact {:.4g}".format(*cells)


def _exact_loss(case: Case, x: Any, t: Any) -> Any:
    options: dict[str, Any] = {"reduction": "none"}
    if "HalfBinomialLoss" in case.function and not case.function.endswith("loss"):
        return None
    if "pos_weight" in case.options:
        options["pos_weight"] = float(np.max(case.options["pos_weight"]))
    logits = case.options.get(
        "from_logits", "logit" in case.function or {"logits", "raw_prediction"} & set(case.arrays)
    )
    if "ocal" in case.function:
        return ll.sigmoid_focal_loss(x, t, **options) if logits else None
    if logits or case.function == "multilabel_soft_margin_loss":
        return ll.binary_cross_entropy_with_logits(x, t, **options)
    return ll.binary_cross_entropy(x, t, **options)


def render(table: list[Row]) -> str:
    """The page."""
    return HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in table)


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.system}`"
    yield f"`{row.option}`" if row.option != "–" else row.option
    yield str(row.calls)
    yield f"≤ {_bound(row.value):g}"
    yield "–" if row.gradient is None else f"≤ {_bound(row.gradient):g}"
    yield row.exact or "–"


def _bound(share: float) -> float:
    return next((limit for limit in LIMITS if share <= limit), math.inf)


def read(page: str) -> list[list[str]]:
    """The cells of the page's table."""
    lines = page[page.index("|---") :].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


if __name__ == "__main__":
    PAGE.write_text(render(rows(conformance.compare(everything()))), encoding="utf-8")
