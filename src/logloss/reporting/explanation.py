"""An explanation, as plain data, for people or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import json
from .tabular import listed, printed

SCHEMA_VERSION = 1
NEAREST, HITS, FEW_DIGITS = 5, 12, 4
_NARROWEST_TABLE = 72


def render_json(found: dict[str, Any]) -> str:
    """One JSON document, full precision."""
    return json.dump({"schema_version": SCHEMA_VERSION, **found})


def render(found: dict[str, Any], width: int, color: bool = False) -> str:
    """The table as text of at most `width` columns."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("value", no_wrap=True)
    table.add_column("- exact", no_wrap=True)
    table.add_column("system", overflow="fold", max_width=max(width * 2 // 5, 20))
    table.add_column("why", overflow="fold")
    for line in _shown(found):
        table.add_row(*_cells(line))
    shown = table if width >= _NARROWEST_TABLE else _listed(found)
    return printed([*_title(found), shown, *_advice(found)], width, color)


def _listed(found: dict[str, Any]) -> Any:
    """The same for narrow terminals, a system after the other."""
    cells = [tuple(_cells(line)) for line in _shown(found)]
    return listed(("", "value", "- exact", ""), [(system, value, apart, why) for value, apart, system, why in cells])


def _title(found: dict[str, Any]) -> Iterator[str]:
    weights = "" if found["weights"] is None else f", their weights {found['weights']:,.6g} in all"
    yield f"{_rows(found)} of {found['quantity']}{weights}: exact mean loss {found['exact']!r}"
    if found["got"] is not None:
        hits = _hits(found)
        ways = {0: "nothing in the grid gives it; the nearest", 1: "one way to get it"}
        first = f", the first {HITS}" if hits > HITS else ""
        yield f"{found['got']}: {ways.get(hits, f'{hits} ways to get it')}{first}"


def _rows(found: dict[str, Any]) -> str:
    return f"{found['rows']:,} row{'' if found['rows'] == 1 else 's'}"


def _hits(found: dict[str, Any]) -> int:
    return sum(line["hit"] for line in found["lines"])


def _advice(found: dict[str, Any]) -> Iterator[str]:
    """What to try next, after a search."""
    if found["got"] is None:
        return
    hits, digits = _hits(found), sum(map(str.isdigit, found["got"].lstrip("+-0.").partition("e")[0]))
    if not hits:
        yield "No mistake around them that docs/why-numbers-differ.md lists gives it either."
        given = "these weights" if found["weights"] is not None else "no weights (sample_weight=, --weight)"
        yield f"Was it of exactly these {_rows(found)}, with these targets and {given}?"
    elif hits > NEAREST and digits < FEW_DIGITS:
        yield "More digits of the number would leave fewer."
    if hits > HITS:
        yield "hits (--json) has all of them."


def _shown(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All lines, or of a search the first hits, or the nearest if there are none."""
    if found["got"] is None:
        return list(found["lines"])
    return [line for line in found["lines"] if line["hit"]][:HITS] or list(found["lines"][:NEAREST])


def _cells(line: dict[str, Any]) -> Iterator[str]:
    refused = line["value"] != line["value"] and any(reason.startswith("refuses") for reason in line["reasons"])
    yield "-" if refused else f"{line['value']:.8g}"
    yield "" if refused else f"{line['difference']:+.1e}" if line["difference"] else "0"
    yield f"{line['system']} {line['call']} {line['dtype']}"
    yield "; ".join(line["reasons"]) or "exact"
