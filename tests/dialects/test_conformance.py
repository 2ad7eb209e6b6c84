"""Every dialect beside its framework, run now: values, gradients, and errors of the same kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dialects import cases, conformance, refusals, table

CASES, REFUSED = cases.everything(), refusals.refused()
TITLES = sorted({case.title for case in CASES})
KINDS = ("ValueError", "TypeError")  # others, such as RuntimeError, are one of our two
# Here a wrong shape is always a ValueError and a wrong dtype a TypeError; JAX and Cython sometimes have it otherwise.
OTHERWISE = {
    "keras[jax].losses.BinaryCrossentropy",
    "optax.sigmoid_binary_cross_entropy",
    "optax.sigmoid_focal_loss",
    "sklearn.HalfBinomialLoss",
    "sklearn.HalfBinomialLoss.loss",
}


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    """What the frameworks say to all of it, asked once."""
    return conformance.framework_answers([*CASES, *REFUSED])


@pytest.fixture(scope="module")
def compared(answers: list[Any]) -> list[tuple[cases.Case, Any, Any]]:
    pairs = zip(CASES, answers[: len(CASES)], strict=True)
    return [(case, theirs, conformance.dialect_answer(case)) for case, theirs in pairs]


@pytest.mark.parametrize("title", TITLES)
def test_dialect_agrees(title: str, compared: list[tuple[cases.Case, Any, Any]]):
    wrong = {}
    for case, theirs, ours in compared:
        if case.title != title:
            continue
        if isinstance(theirs, list) or isinstance(ours, list):
            wrong[case.id] = (theirs, ours)
        elif max(apart := conformance.difference(case, theirs, ours)) > 1:
            wrong[case.id] = apart
    assert wrong == {}


def test_every_refusal_is_one(answers: list[Any]):
    """What the framework refuses the dialect refuses, with an error of the same kind."""
    wrong = {}
    for number, (case, theirs) in enumerate(zip(REFUSED, answers[len(CASES) :], strict=True)):
        ours = conformance.dialect_answer(case)
        kinds = {"LoglossError", *(kind for kind in KINDS if kind in theirs and case.title not in OTHERWISE)}
        if not isinstance(theirs, list) or not isinstance(ours, list) or not kinds <= set(ours):
            wrong[number, case.id] = (theirs, ours)
    assert wrong == {}


def test_the_table_is_current(compared: list[tuple[cases.Case, Any, Any]]):
    """The same rows and verdicts; another processor's last bits may move a bound by one step."""
    page = table.PAGE.read_text(encoding="utf-8")
    assert page.startswith(table.HEAD)
    now, then = table.read(table.render(table.rows(compared))), table.read(page)
    assert [row[:3] for row in now] == [row[:3] for row in then]
    assert [row[5].split(":")[0] for row in now] == [row[5].split(":")[0] for row in then]
    steps = ["–", *(f"≤ {limit:g}" for limit in table.LIMITS)]
    assert [(a, b) for a, b in zip(now, then, strict=True) if steps.index(a[3]) > steps.index(b[3]) + 1] == []
    assert [(a, b) for a, b in zip(now, then, strict=True) if steps.index(a[4]) > steps.index(b[4]) + 1] == []


@pytest.mark.parametrize(
    ("theirs", "agrees"),
    [
        (np.float32([1.0, 2.0]), True),
        (np.float32([1.0, 2.0 + 4e-6]), False),
        (np.float32([np.nan, 2.0]), False),
        (np.float32([1.0]), False),
    ],
)
def test_the_comparison_can_fail(theirs: Any, agrees: bool):
    arrays = {"input": np.float32([0.4, 0.1]), "target": np.float32([1.0, 1.0])}
    case = cases.Case("torch", "pytorch", "binary_cross_entropy", arrays, {}, elements=True)
    ours = np.float32([1.0, 2.0])
    assert (max(conformance.difference(case, (theirs, ours), (ours, ours))) <= 1) == agrees
    reduced = case._replace(elements=False)
    assert (max(conformance.difference(reduced, (theirs, ours), (ours, ours))) <= 1) == agrees
