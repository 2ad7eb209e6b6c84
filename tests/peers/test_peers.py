"""A part of the peers' own suites, run on ours from the installed packages: what fails must be what is listed here."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Run(NamedTuple):
    """A suite of suites.py; how many tests it has at least, so that one that shrinks is noticed; its environment."""

    peer: str
    least: int
    environment: dict[str, str]


RUNS = {
    "torch": Run("torch", 950, {}),
    "keras on tensorflow": Run("keras", 16, {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}),
    "keras on jax": Run("keras", 16, {"KERAS_BACKEND": "jax"}),
    "keras on torch": Run("keras", 14, {"KERAS_BACKEND": "torch"}),  # Keras leaves bfloat16 out there
    "optax": Run("optax", 19, {}),
    "scikit-learn": Run("scikit-learn", 180, {"SCIPY_ARRAY_API": "1", "SKLEARN_RUN_FLOAT32_TESTS": "1"}),
}
# Pytest alone: without the options of who calls this one, and without plugins.
ALONE = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

# What fails on purpose: patterns of names, each with the reason.
HALF = "a loss reduced from half precision is float32"
DIFFERENCES = {
    "torch": {"check_dtype *float16 * reduction=mean*": HALF, "check_dtype *float16 * reduction=sum*": HALF},
    "scikit-learn": {"test_sample_weight_multiplies *random*": "negative weights are refused unless validate=False"},
}


def outcomes_of(name: str, written: Path) -> dict[str, Any]:
    """What became of each test of one run, in a process of its own."""
    suites, wanted = Path(__file__).with_name("suites.py"), RUNS[name]
    done = subprocess.run(
        [sys.executable, str(suites), wanted.peer, str(written)],
        env={**os.environ, **ALONE, **wanted.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), done.stdout + done.stderr
    outcomes: dict[str, Any] = json.loads(written.read_text())
    return outcomes


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """The runs that are asked for, as many at a time as there are processors: imports take most of their time."""
    asked = {item.callspec.params["name"] for item in request.session.items if "runs" in item.fixturenames}
    folder = tmp_path_factory.mktemp("peers")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(outcomes_of, name, folder / f"{name}.json") for name in RUNS if name in asked}


def unlisted(outcomes: dict[str, Any], table: dict[str, str]) -> dict[str, str]:
    """What the table does not say: failures without an entry, and entries whose tests pass or do not exist."""
    ran = [*outcomes["passed"], *outcomes["failed"]]
    named = {name for pattern in table for name in fnmatch.filter(ran, pattern)}
    known = [*ran, *outcomes["skipped"]]
    return {
        **{name: why for name, why in outcomes["failed"].items() if name not in named},
        **{name: "is listed, and passes" for name in outcomes["passed"] if name in named},
        **{pattern: "is listed, and names no test" for pattern in table if not fnmatch.filter(known, pattern)},
    }


@pytest.mark.parametrize("name", RUNS)
def test_what_fails_is_listed(name: str, runs: dict[str, Future]):
    outcomes, (peer, least, _) = runs[name].result(), RUNS[name]
    wrong = unlisted(outcomes, DIFFERENCES.get(peer, {}))
    assert not wrong, "\n".join(f"{test}: {why}" for test, why in wrong.items())
    assert outcomes["idle"] == [], "tests that never called ours"
    assert len(outcomes["passed"]) + len(outcomes["failed"]) >= least


def test_a_table_that_is_not_exact_is_noticed():
    outcomes = {"passed": ["a 1", "b 1"], "failed": {"a 2": "worse"}, "skipped": ["c 1"]}
    assert unlisted(outcomes, {"a 2": "why", "c *": "why"}) == {}
    assert unlisted(outcomes, {}) == {"a 2": "worse"}
    assert unlisted(outcomes, {"a *": "why", "d": "why"}) == {
        "a 1": "is listed, and passes",
        "d": "is listed, and names no test",
    }
