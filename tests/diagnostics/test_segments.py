"""Segments: what is found among many, what is not, and in which order."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from diagnostics.rows import binned, logit, simulated
from logloss import score
from logloss.evaluate.bins import COARSE, place_of
from logloss.evaluate.comparison import holm
from logloss.evaluate.scan import scan
from logloss.evaluate.segments import Segment, segments

NAMES = {"target": "y", "probability": "p"}


def sound(seed, count, sizes, *, weights=None, shift=0.0):
    """Calibrated segments; `shift` is added to the logits of every tenth one's truth."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        rows = int(rng.choice(sizes))
        z = rng.normal(-2.0, 1.2, rows)
        truth = z + (shift if number % 10 == 0 else 0.0)
        y = rng.random(rows) < 1 / (1 + np.exp(-truth))
        w = None if weights is None else rng.exponential(1.0, rows) + 0.1
        found.append((f"s{number}", binned(1 / (1 + np.exp(-z)), y, w, bins=COARSE)))
    return found


@pytest.mark.parametrize("weights", [None, "exponential"])
def test_sound_models_are_rarely_accused(weights):
    """30 data sets of 40 segments: unadjusted nearly every one has a false alarm."""
    alarms = [segments(sound(seed, 40, [200, 1000, 5000], weights=weights)) for seed in range(30)]
    assert sum(any(one.found for one in found) for found in alarms) <= 5
    assert sum(any(one.test.p_value < 0.05 for one in found) for found in alarms) >= 22
    assert np.mean([max(one.at_least for one in found) > 0 for found in alarms]) <= 0.5


@pytest.mark.parametrize("weights", [None, "exponential"])
def test_those_that_are_off_come_first(weights):
    found = segments(sound(1, 60, [500, 3000, 20_000], weights=weights, shift=0.8))
    off = {f"s{number}" for number in range(0, 60, 10)}
    assert {one.name for one in found if one.found} == off
    assert {one.name for one in found[:6]} == off
    ranks = [one.at_least for one in found[:6]]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] > 0


def test_tiny_segments_do_not_win():
    """The largest plain differences are of segments of 20 rows; the shrunken ones are of those that are off."""
    cells = sound(3, 200, [20, 20, 20, 20_000], shift=0.8)
    found = segments(cells)
    by_difference = sorted(found, key=lambda one: -abs(one.difference.value))
    assert np.median([one.rows for one in by_difference[:5]]) == 20
    assert all(one.rows == 20_000 for one in found[:3])


def test_shrunken_intervals_hold_the_truth():
    inside = []
    for seed in range(12):
        cells, truth = _drawn(np.random.default_rng(seed))
        expected = {name: delta for (name, _), delta in zip(cells, truth, strict=True)}
        inside += [one.shrunken.low <= expected[one.name] <= one.shrunken.high for one in segments(cells)]
    assert 0.85 <= np.mean(inside) <= 0.97


def _drawn(rng):
    """Segments whose odds of the outcome are off by a factor, spread as a gamma of mean 1."""
    cells, truth = [], []
    for number in range(60):
        rows = int(rng.choice([300, 1000, 5000]))
        p = 1 / (1 + np.exp(-rng.normal(-3.5, 1.0, rows)))
        factor = rng.gamma(20, 1 / 20)
        real = np.minimum(p * factor, 1.0)
        cells.append((f"s{number}", binned(p, rng.random(rows) < real, bins=COARSE)))
        truth.append(float(np.mean(real - p)))
    return cells, truth


def test_a_common_outcome_counts_what_is_rare():
    p, y, _ = simulated(4, 4000)
    one = segments([("a", binned(p, y)), ("b", binned(p, np.minimum(y + (p > 0.6), 1)))])
    other = segments([("a", binned(1 - p, 1 - y)), ("b", binned(1 - p, 1 - np.minimum(y + (p > 0.6), 1)))])
    for a, b in zip(one, other, strict=True):
        assert a.name == b.name
        assert a.difference.value == pytest.approx(-b.difference.value, abs=1e-12)


def test_few_events_are_not_tested():
    (found,) = segments([("small", binned([0.1] * 30, [0, 1, 0] * 10))])
    assert isinstance(found, Segment)
    assert "10 expected events" in found.test.reason
    assert math.isnan(found.p_adjusted)
    assert not found.found


def crossed(seed, *, off=1.0):
    """Rows of three columns with rare events, so that every pair has few; the odds of one pair are off by a factor."""
    rng = np.random.default_rng(seed)
    z, keys = rng.normal(-5.0, 1.0, 8000), rng.integers(0, [6, 5, 4], (8000, 3))
    p = 1 / (1 + np.exp(-z))
    wrong = (keys[:, 0] == 1) & (keys[:, 1] == 2)
    y = rng.random(p.size) < np.minimum(np.where(wrong, p * off, p), 1)
    return pl.DataFrame({"y": y.astype(float), "p": p, **{name: keys[:, k] for k, name in enumerate("abc")}})


def scanned(table):
    return {one.name: one for one in scan(score(table, **NAMES, segments=["a", "b", "c"]).state, 0, 2)}


def test_few_events_are_tested_as_a_direct_simulation_does():
    """Outcomes of every row are drawn, segments are cut by hand, and the largest of their tests is compared."""
    table = crossed(2, off=4.0)
    found = {name: one for name, one in scanned(table).items() if one.test.method.startswith("max-T")}
    assert len(found) > 40
    p, place = table["p"].to_numpy(), place_of(logit(table["p"].to_numpy()), COARSE)
    draws = np.random.default_rng(5).random((1500, p.size)) < p
    largest, alone = np.zeros(1500), {}
    for name, one in found.items():
        chosen = np.ones(p.size, bool)
        for part in name.split(", "):
            chosen &= table[part[0]].to_numpy() == int(part[4:])
        assert 3 <= min(p[chosen].sum(), (1 - p[chosen]).sum()) < 10
        order = np.flatnonzero(chosen)[np.argsort(place[chosen], kind="stable")]
        last = np.append(np.diff(place[order]) > 0, True)
        curves = np.cumsum(draws[:, order] - p[order], axis=1)[:, last]
        spans = np.maximum(curves.max(1), 0) - np.minimum(curves.min(1), 0)
        spans /= math.sqrt(np.sum(p[chosen] * (1 - p[chosen])))
        alone[name], largest = np.mean(spans >= one.test.value), np.maximum(largest, spans)
    share = len(found) / sum(not math.isnan(one.p_adjusted) for one in scanned(table).values())
    assert len({one.test.method for one in found.values()}) == 1
    for name, one in found.items():
        assert one.test.p_value == pytest.approx(alone[name], abs=0.06)
        together = min(1.0, np.mean(largest >= one.test.value) / min(share, 0.9))
        assert one.p_adjusted == pytest.approx(together, abs=0.06)
    assert found["a = 1, b = 2"].found


def test_sound_models_with_few_events_are_rarely_accused():
    """Of 10 sound data sets of 90 overlapping segments; one by one, nearly all would be."""
    found = [scanned(crossed(seed)).values() for seed in range(100, 110)]
    assert sum(any(one.found for one in some) for some in found) <= 2
    assert sum(any(one.test.p_value < 0.05 for one in some) for some in found) >= 7


def test_many_events_keep_their_test_beside_few():
    """Both families together: p-values of many events are those of Holm, divided by their share of the error."""
    found = scanned(crossed(2))
    many = {name: one for name, one in found.items() if one.test.method == "Holm"}
    few = [one for one in found.values() if one.test.method.startswith("max-T")]
    share = min(max(len(few) / (len(few) + len(many)), 0.1), 0.9)
    adjusted = holm([one.test.p_value for one in many.values()])
    for one, p_value in zip(many.values(), adjusted, strict=True):
        assert one.p_adjusted == pytest.approx(min(1.0, p_value / (1 - share)), rel=1e-12)
    weighted = score(crossed(2).with_columns(w=2.0), **NAMES, weight="w", segments=["a", "b", "c"])
    of_weights = [one for one in scan(weighted.state, 0, 2) if one.events < 10]
    assert of_weights
    assert all("10 expected events" in one.test.reason for one in of_weights)


def test_nothing_to_scan():
    assert segments([]) == ()
    assert segments([("empty", binned([], []))]) == ()
    assert segments([("certain", binned([0.0, 1.0], [0, 1]))])[0].at_least == 0
