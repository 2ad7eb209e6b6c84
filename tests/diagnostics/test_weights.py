"""What weights mean: rows that are written k times, and least squares with known relative variances."""

from __future__ import annotations

import numpy as np
import pytest

import logloss as ll
from diagnostics.rows import simulated

LOGLOSS_ROUNDING = {"rtol": 1e-11, "atol": 1e-12, "equal_nan": True}


@pytest.fixture(scope="module")
def columns():
    random = np.random.default_rng(0)
    p, y, _ = simulated(1, 1500, slope=1.2)
    p[:3], y[:3] = [1e-300, 0.0, 1.0], [0, 0, 1]  # sums that need all digits, certain predictions
    q = np.clip(p + random.normal(0, 0.05, 1500), 0.01, 0.99)
    found = {"y": y, "p": p, "q": q, "g": random.integers(0, 3, 1500), "c": random.integers(0, 90, 1500)}
    return {**found, "w": random.integers(0, 6, 1500)}


def numbers(value):
    """All numbers within plain data, in order."""
    if isinstance(value, dict):
        return [one for key, item in value.items() if key != "weight" for one in numbers(item)]
    if isinstance(value, list):
        return [one for item in value for one in numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


@pytest.mark.parametrize("cluster", [None, "c"])
def test_a_row_of_frequency_k_is_k_rows(columns, cluster):
    options = {"target": "y", "probability": {"p": "p", "q": "q"}, "group": "g", "cluster": cluster}
    counted = ll.compare(columns, **options, weight="w", weight_kind="frequency")
    repeated = ll.compare({name: np.repeat(one, columns["w"]) for name, one in columns.items()}, **options)
    differences = [numbers(one.to_dict()["comparisons"]) for one in (counted, repeated)]
    assert len(differences[0]) > 80
    np.testing.assert_allclose(*differences, **LOGLOSS_ROUNDING)
    rows = [numbers(one.scores.to_rows()) for one in (counted, repeated)]
    assert len(rows[0]) > 900
    np.testing.assert_allclose(*rows, **LOGLOSS_ROUNDING)
    if cluster is None:
        segments = [numbers(ll.segments(one.scores, depth=1).to_dict()) for one in (counted, repeated)]
        np.testing.assert_allclose(*segments, **LOGLOSS_ROUNDING)


@pytest.mark.frameworks
def test_precisions_are_those_of_weighted_least_squares(columns):
    from statsmodels.regression.linear_model import WLS

    rows = {name: one[3:] for name, one in columns.items()}
    rows["w"] = np.random.default_rng(3).exponential(7.0, 1497)
    y, p, q, w = (rows[name] for name in "ypqw")

    def fitted(values):
        fit = WLS(values, np.ones(len(values)), weights=w).fit()
        return fit.params[0], fit.bse[0]

    options = {"target": "y", "weight": "w", "weight_kind": "precision"}
    found = ll.compare(rows, probability={"q": "q", "p": "p"}, **options)
    statistics = found.scores.summary.results.blocks[1].statistics(-1)
    losses = [-np.where(y == 1, np.log(one), np.log1p(-one)) for one in (p, q)]
    difference = found.pairs[0].found.log_loss
    for pair, values in (
        ((statistics.log_loss, statistics.log_loss_se), losses[0]),
        ((statistics.brier, statistics.brier_se), (p - y) ** 2),
        ((difference.value, difference.se), losses[0] - losses[1]),
    ):
        assert pair == pytest.approx(fitted(values), rel=1e-10)
    assert statistics.effective_rows == statistics.rows == 1497
    other = ll.compare({**rows, "w": w * 256}, probability={"q": "q", "p": "p"}, **options)
    np.testing.assert_allclose(numbers(found.to_dict()), numbers(other.to_dict()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["frequency", "precision"])
def test_states_keep_the_kind_and_add(columns, kind, tmp_path):
    options = {"target": "y", "probability": "p", "weight": "w", "group": "g", "diagnostics": True}
    parts = [{name: one[part] for name, one in columns.items()} for part in (slice(500), slice(500, None))]
    whole = ll.score(columns, **options, weight_kind=kind)
    found = [ll.score(part, **options, weight_kind=kind) for part in parts]
    found[0].save(tmp_path / "state.json")
    merged = ll.merge(ll.load(tmp_path / "state.json"), found[1])
    assert merged.to_json().partition("results")[2] == whole.to_json().partition("results")[2]
    assert merged.to_dict()["plan"]["weight_kind"] == kind
    with pytest.raises(ll.InvalidInputError, match=f"their weight_kind differ: importance and {kind}"):
        ll.merge(ll.score(parts[0], **options), found[1])


def test_kinds_and_frequencies_are_checked():
    rows = {"y": [1, 0, 1, 0], "p": [0.75, 0.25, 0.5, 0.5], "w": [1.0, 2.5, 2.0, 1.0]}
    options = {"target": "y", "probability": "p"}
    with pytest.raises(ll.InvalidInputError, match=r"must be a whole number .* it is 2\.5 in row 2 .*importance"):
        ll.score(rows, **options, weight="w", weight_kind="frequency")
    left = ll.score(rows, **options, weight="w", weight_kind="frequency", invalid="drop")
    assert (left.summary.dropped["invalid"], left.summary.results[0].statistics.rows) == (1, 4)
    with pytest.raises(ll.InvalidInputError, match="one of 'importance', 'frequency', 'precision'; got 'count'"):
        ll.score(rows, **options, weight="w", weight_kind="count")
    with pytest.raises(ll.InvalidInputError, match="got 'precision' and no weights; name their column"):
        ll.score(rows, **options, weight_kind="precision")
