"""The benchmarks run, and their ratios are those of their times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(script: str, *arguments: str) -> str:
    """What a benchmark prints when it ends well."""
    command = [sys.executable, "-W", "ignore", str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_suite_runs(tmp_path: Path):
    """On few elements, with whatever peers are installed; the others are named."""
    suites = ["training", "loss", "metric", "dtypes", "layouts", "options", "small"]
    command = [*suites, "--elements", "1280", "--rounds", "1", "--json", str(tmp_path / "measured.json")]
    shown = run("losses.py", *command)
    measured = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))
    assert measured["machine"]["cores"] >= 1
    tables = {table["title"]: table for table in measured["tables"]}
    assert len(tables) >= len(suites)
    assert all(result["seconds"] for table in tables.values() for result in table["results"])
    named = " ".join(result["name"] for table in tables.values() for result in table["results"])
    absent = {name for table in tables.values() for name in table["absent"]}
    assert all(peer in absent or peer in named for peer in ("torch", "optax", "TensorFlow", "scikit-learn"))
    assert all(f"{name}: not installed" in shown for name in absent)


def test_the_benchmark_of_scoring_runs(tmp_path: Path):
    """On few rows: everything is measured, and the process that scales says its memory."""
    command = ["--rows", "20000", "--rounds", "1", "--scale", "1e4,2e4", "--json", str(tmp_path / "measured.json")]
    run("scoring.py", *command)
    measured = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))
    assert [one["rows"] for one in measured["facts"]["scaling"]] == [10_000, 20_000]
    assert all(one["seconds"] > 0 and one["peak_bytes"] > 1e7 for one in measured["facts"]["scaling"])
    ways = {one["way"]: one for one in measured["facts"]["diagnostics"]}
    assert {"read", "score", "diagnostics"} <= ways.keys()  # and the report, where its libraries are installed
    assert {one["rows"] for one in ways.values()} == {20_000}
    assert all(one["seconds"] > 0 for one in ways.values())
    assert ways["read"]["peak_bytes"] < ways["diagnostics"]["peak_bytes"]
    assert len(measured["tables"]) == 4  # Parquet, CSV, JSON lines and arrays
    named = " ".join(result["name"] for table in measured["tables"] for result in table["results"])
    absent = {name for table in measured["tables"] for name in table["absent"]}
    assert all(peer in absent or peer in named for peer in ("PyArrow", "Polars", "DuckDB"))


def test_the_benchmark_of_engines(tmp_path: Path):
    """What needs no engine of it: the local run that others are compared with, and what rows and groups cost."""
    file = tmp_path / "measured.json"
    run("engines.py", "--engines", "", "--rows", "4000010", "--rounds", "1", "--json", str(file))
    (local,) = json.loads(file.read_text(encoding="utf-8"))
    assert local["ratio"] == 1
    assert local["seconds"][0] > 0
    assert local["driver_bytes"] > 1e7
    run("engines.py", "--engines", "", "--constants", "--groups", "1000", "--json", str(file))
    costs = json.loads(file.read_text(encoding="utf-8"))
    assert 400 < costs["a group in a state, bytes"] < 1200
    assert all(value > 0 for value in costs.values())


@pytest.mark.frameworks
def test_jax_arrays_beside_optax():
    assert "logloss.value_and_grad" in run("jax_arrays.py", "--elements", "640", "--rounds", "1")


@pytest.mark.frameworks
def test_boosting_beside_the_libraries():
    shown = run("boosting.py", "--rows", "2000", "--rounds", "1")
    assert all(f"{name}: 20 rounds" in shown for name in ("XGBoost", "LightGBM", "CatBoost"))


@pytest.mark.frameworks
def test_losses_without_logits_beside_torch(tmp_path: Path):
    """On few labels: times, and the memory of a process for one way."""
    file = tmp_path / "measured.json"
    few = ("--shape", "64,16,3000", "--rounds", "1", "--without-compile", "--without-memory", "--json", str(file))
    run("linear.py", *few)
    tables = json.loads(file.read_text(encoding="utf-8"))["tables"]
    assert [len(table["results"]) for table in tables] == [4, 2, 2]
    printed = run("linear.py", "--peak", json.dumps(["linear_binary_cross_entropy", 1000, 64, 20_000, "float32"]))
    assert 10e6 < int(printed) < 40e6  # the logits alone would be 80 MB


@pytest.mark.frameworks
def test_the_page_has_the_errors_that_the_benchmark_finds(monkeypatch: pytest.MonkeyPatch):
    """Formulas that others use are wrong by 100 %; ours by the rounding of a result, or of a negative's logit."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import linear

    found = linear.errors()
    lines = (BENCHMARKS.parent / "docs" / "linear.md").read_text(encoding="utf-8").splitlines()
    for what, table in zip(linear.WHAT, found, strict=True):
        first = next(place for place, line in enumerate(lines) if line.startswith(f"| {what} |"))
        shown = [line.strip("| ").split(" | ") for line in lines[first + 2 : first + 2 + len(table)]]
        assert [name for name, *_ in shown] == list(table)
        for name, *numbers in shown:
            for number, error in zip(numbers, table[name], strict=True):
                assert error / 1.6 <= float(number) <= 1.6 * error, (what, name)
    gradients, losses = found
    assert max(gradients[linear.OURS]) <= 2.0**-8
    assert max(losses[linear.OURS]) <= 0.07
    assert min(gradients["σ − y, bfloat16"][1], losses["log(1 + e), float32 of bfloat16 logits"][-1]) >= 1.0


def test_ratios_and_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import harness

    table = harness.Table(
        "title", "ours", [harness.Result("ours", 10, [2.0, 1.0, 3.0]), harness.Result("theirs", 10, [8.0, 4.0, 5.0])]
    )
    assert table.ratios(table.results[1]) == (4.0, 2.5)
    assert "| theirs | 400000000.00 | 4.00 | 2.50 |" in harness.markdown(table)

    calls: list[str] = []
    cases = [harness.Case(name, lambda name=name: calls.append(name), 1, before=lambda: None) for name in "ab"]
    results = harness.measure(cases, rounds=2)
    assert calls == [*"aabb", *"aabb", *"bbaa"]  # two to warm up, then in turn, one untimed each, the order turning
    assert [len(result.seconds) for result in results] == [2, 2]
