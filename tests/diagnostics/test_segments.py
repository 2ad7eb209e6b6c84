"""Segments: what is found among many, what is not, and in which order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.rows import binned, simulated
from logloss.evaluate.bins import COARSE
from logloss.evaluate.segments import Segment, segments


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


def test_nothing_to_scan():
    assert segments([]) == ()
    assert segments([("empty", binned([], []))]) == ()
    assert segments([("certain", binned([0.0, 1.0], [0, 1]))])[0].at_least == 0
