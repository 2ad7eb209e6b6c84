"""eps: the probability given to what happened is floored on request, exactly, and the output says so."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mpmath import log, mp, mpf

import logloss as ll
from logloss.cli import main
from logloss.evaluate.moments import WEIGHTED_TERMS
from oracle import exact

EPS = [5e-324, 1e-300, 1e-17, 1e-15, 1e-7, 0.01, 0.5]
PROBABILITIES = [0.0, 5e-324, 1e-300, 1e-16, 1e-8, 0.005, 0.3, 0.5, 0.995, 1 - 1e-8, 1 - 2.0**-53, 1.0]


def score(y: Any, p: Any, eps: float | None, **more: Any) -> ll.Scores:
    weight = "w" if more else None
    return ll.score({"y": y, "p": p, **more}, target="y", probability="p", eps=eps, weight=weight)


def relative_error(value: float, true: mpf) -> float:
    return float(abs(exact(value) - true) / abs(true)) if true else abs(value)


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("p", PROBABILITIES)
def test_one_row(eps: float, p: float):
    """p and 1 - p are floored each by itself, and 1 - p = eps is exact: it is no difference of float64 numbers."""
    hit, miss = (score([y], [p], eps).summary.results[0].statistics for y in (1.0, 0.0))
    positive, negative = max(exact(p), exact(eps)), max(1 - exact(p), exact(eps))
    assert relative_error(hit.log_loss, -log(positive)) < 4e-16
    assert relative_error(miss.log_loss, -mp.log1p(-exact(p)) if 1 - exact(p) >= eps else -log(negative)) < 4e-16
    assert relative_error(hit.brier, (1 - positive) ** 2) < 4e-16 or abs(hit.brier - (1 - positive) ** 2) < 1e-32
    assert relative_error(miss.brier, (1 - negative) ** 2) < 1e-15 or abs(miss.brier - (1 - negative) ** 2) < 1e-30
    assert (hit.infinite_rows, miss.infinite_rows) == (0, 0)


@pytest.mark.parametrize("eps", EPS[1:])
def test_the_metric_on_arrays_gives_the_same(eps: float):
    rng = np.random.default_rng(7)
    y, p = rng.integers(0, 2, 3000), rng.choice([0.0, 1.0, eps / 2, eps, 1 - eps, 0.3], 3000)
    w = rng.exponential(1, 3000)
    found = score(y, p, eps, w=w).summary.results[0].statistics.log_loss
    assert found == pytest.approx(ll.log_loss(y, p, sample_weight=w, eps=eps), rel=1e-14)
    soft = rng.random(3000)
    found = score(soft, p, eps).summary.results[0].statistics.log_loss
    assert found == pytest.approx(ll.log_loss(soft, p, eps=eps), rel=1e-14, abs=2 * eps)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_moment(weighted: bool):
    """The sums are those of the floored predictions, whichever way the rows took into the kernel."""
    rng = np.random.default_rng(9)
    eps, n = 0.01, 2000
    y, p, w = rng.integers(0, 2, n).astype(float), rng.choice([0.0, 0.001, 0.01, 0.4, 0.995, 1.0], n), rng.random(n)
    floored = np.where((y == 1) & (p < eps), eps, np.where((y == 0) & (1 - p < eps), 1 - eps, p))
    more = {"w": w} if weighted else {}
    a, b = (one.state.moments([0], None) for one in (score(y, p, eps, **more), score(y, floored, None, **more)))
    for term in set(WEIGHTED_TERMS) - {"w_zero", "w_one", "w_infinite"}:
        assert a[term] / a.one == pytest.approx(b[term] / b.one, rel=1e-11, abs=1e-11), term
    assert (a.rows, a.infinite) == (b.rows, 0)


def test_groups_and_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"y": rng.integers(0, 2, 999), "p": rng.choice([0.0, 0.5, 1.0], 999), "g": np.arange(999) % 7})
    columns: dict[str, Any] = {"target": "y", "probability": "p", "group": "g", "eps": 1e-15}
    whole = ll.score(frame, **columns)
    wrong = frame.filter((pl.col("p") - pl.col("y")).abs() == 1).height
    assert whole.summary.clipped == wrong > 100
    monkeypatch.setattr("logloss.sources.frames.BATCH_ROWS", 100)
    parts = [ll.score(frame[:400], **columns), ll.score(frame[400:], **columns)]
    assert ll.merge(*parts).summary.results == ll.score(frame, **columns).summary.results == whole.summary.results
    assert ll.merge(*parts).summary.clipped == wrong
    one = ll.score(frame.filter(g=3), **columns).summary.results[-1].statistics
    of_three = next(result.statistics for result in whole.summary.results if result.group == (3,))
    assert of_three.within_group_normalized_entropy == pytest.approx(one.within_group_normalized_entropy, rel=1e-15)
    assert replace(of_three, within_group_normalized_entropy=one.within_group_normalized_entropy) == one


def test_eps_is_part_of_the_plan(tmp_path: Path):
    a, b = (score([1, 0, 0], [0.0, 0.25, 0.5], eps) for eps in (1e-15, 1e-7))
    with pytest.raises(ll.InvalidInputError, match="their eps differ: 1e-15 and 1e-07"):
        ll.merge(a, b)
    a.save(tmp_path / "state.json")
    assert ll.load(tmp_path / "state.json").summary == a.summary
    assert score([1], [0.0], 0).state.plan == score([1], [0.0], None).state.plan


def test_invalid_values_are_not_hidden():
    for value in (-1e-20, 1 + 2.0**-52, math.nan):
        with pytest.raises(ll.InvalidInputError, match=r"column 'p' \(probability\) must be in \[0, 1\]"):
            score([1, 0], [0.5, value], 0.1)


@pytest.mark.parametrize("eps", [-1e-9, 0.6, math.nan, "small"])
def test_bad_eps(eps: Any):
    with pytest.raises(ll.InvalidInputError, match=r"eps must be a finite number in \[0, 0.5\]"):
        score([1], [0.5], eps)


def test_logits_are_not_clipped():
    with pytest.raises(ll.InvalidInputError, match="eps is a floor of probabilities"):
        ll.score({"y": [1], "z": [0.0]}, target="y", logit="z", eps=1e-7)


def test_the_output_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "rows.csv").write_text("y,p\n1,0\n0,0\n1,1\n0,0.5\n")
    arguments = ["score", str(tmp_path / "rows.csv"), "--target", "y", "--probability", "p", "--eps", "1e-15"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "(probability, at least 1e-15 for what happened)" in " ".join(out.split())
    assert "1 prediction of less than eps = 1e-15 for what happened counted as eps." in out
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["plan"]["eps"], document["input"]["clipped"]) == (1e-15, 1)
    assert document["results"][0]["infinite_rows"] == 0
    with pytest.raises(SystemExit, match="2"):
        main([*arguments[:-1], "many"])
    assert "argument --eps: invalid float value: 'many'" in capsys.readouterr().err
