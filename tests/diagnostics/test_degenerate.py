"""Whatever the rows are: no traceback, no warning, and no number that is missing without a reason."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.rows import binned, simulated
from logloss import InvalidInputError
from logloss.evaluate.bins import COARSE, FINE
from logloss.evaluate.comparison import Model, compare
from logloss.evaluate.diagnoses import Estimate
from logloss.evaluate.diagnostics import diagnose, reasons, scalars
from logloss.evaluate.drift import drift

EMPTY = np.empty(0)
CASES = {
    "no rows": (EMPTY, EMPTY, None),
    "one row": ([0.3], [1], None),
    "one class": ([0.3, 0.4], [1, 1], None),
    "the other class": ([0.3, 0.4, 0.1], [0, 0, 0], None),
    "constant": ([0.3] * 9, [0, 1] * 4 + [1], None),
    "all weights zero": ([0.3, 0.4], [0, 1], [0.0, 0.0]),
    "only 0 and 1, right": ([0, 1, 0, 1], [0, 1, 0, 1], None),
    "only 0 and 1, wrong": ([0, 1, 0, 1], [0, 1, 1, 1], None),
    "an infinite loss": ([0, 1, 0, 1, 0.5], [1, 0, 0, 1, 1], None),
    "separated": (np.linspace(0.1, 0.9, 50), np.arange(50) > 24, None),
    "two bins": ([0.2] * 20 + [0.7] * 20, [0, 0, 0, 1] * 5 + [1, 1, 0, 1] * 5, None),
    "soft": (np.linspace(0.1, 0.9, 50), np.linspace(0.2, 0.7, 50), None),
    "tiny and huge": ([1e-300, 1e-17, 1 - 1e-16, 0.5], [0, 1, 1, 0], None),
    "weights that vanish": ([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1], [1.0, 1e-200, 1e-200, 1.0]),
    "weights that all vanish": ([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1], [1e-200] * 4),
    "huge weights": ([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1], [1e150, 1.0, 1e140, 1e150]),
    "tiny weights": ([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1], [1e-12, 1e-9, 1e-12, 1e-10]),
}


def silent(found):
    """The numbers that are missing without a reason."""
    said = reasons(found)
    return [
        name
        for name, value in scalars(found).items()
        if math.isnan(value) and not any(name == one or name.startswith(f"{one}_") for one in said)
    ]


def thresholds_are_whole(found):
    for one in found.decisions.thresholds:
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if isinstance(value, Estimate) and math.isnan(value.value):
                assert value.reason, field.name
    return True


def sample(p, y, w, buckets=16):
    p, y = np.asarray(p, float), np.asarray(y, float)
    number = np.arange(p.size) % buckets
    return binned(p, y, w), binned(p, y, w, bins=COARSE, bucket=number, buckets=buckets)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("kept", [False, True], ids=["alone", "buckets"])
def test_what_cannot_be_said_has_a_reason(case, clustered, kept):
    bins, buckets = sample(*CASES[case])
    found = diagnose(bins, buckets if kept else None, clustered=clustered)
    assert silent(found) == []
    assert thresholds_are_whole(found)
    given = diagnose(bins, buckets if kept else None, clustered=clustered, prevalence=0.1)
    assert bool(given.decisions.thresholds) == (0 < found.base_rate < 1 and found.weight > 0)
    assert given.decisions.thresholds or given.decisions.curve.reason


@pytest.mark.parametrize("case", CASES)
def test_two_such_models_are_compared(case):
    bins, buckets = sample(*CASES[case])
    found = compare(Model(bins, buckets), Model(bins, buckets))
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if isinstance(value, Estimate):
            assert value.value == 0 or value.reason, field.name
    changed = drift(bins, bins, (diagnose(bins, buckets), diagnose(bins)))
    assert changed.psi.reason
    assert all(one.reason or one.value == 0 for one in changed.changes.values())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_of_any_kind(data):
    size = data.draw(st.integers(1, 30))
    probability = st.sampled_from([0.0, 1.0, 0.5, 1e-9, 1 - 1e-9, 0.3, 0.30001, 0.7])
    p = np.array(data.draw(st.lists(probability, min_size=size, max_size=size)))
    y = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size)))
    weighted = data.draw(st.booleans())
    w = np.array(data.draw(st.lists(st.sampled_from([0.0, 1e-6, 0.5, 1.0, 9.0]), min_size=size, max_size=size)))
    bins, buckets = sample(p, y, w if weighted else None, buckets=data.draw(st.integers(1, 12)))
    found = diagnose(bins, buckets, clustered=data.draw(st.booleans()), thresholds=(0.3,))
    assert silent(found) == []
    assert thresholds_are_whole(found)
    part = found.decomposition.log_loss
    if math.isfinite(part.score):
        total = part.miscalibration.value - part.discrimination.value + part.uncertainty
        assert total == pytest.approx(part.score, abs=1e-9)
        assert part.miscalibration.raw >= -1e-12
    if found.discrimination.auc:
        one = found.discrimination.auc
        assert 0 <= one.value <= 1
        assert not one.low > one.value
        assert not one.high < one.value


def test_weights_count_rows():
    """Rows that stand twice are rows of weight 2, but for their errors."""
    p, y, _ = simulated(1, 500)
    twice = diagnose(binned(np.repeat(p, 2), np.repeat(y, 2)))
    weighted = diagnose(binned(p, y, np.full(p.size, 2.0)))
    for name in (
        "auc",
        "calibration_slope",
        "calibration_in_the_large",
        "miscalibration_raw",
        "ece_raw",
        "ecce_raw",
        "ks",
    ):
        assert scalars(weighted)[name] == pytest.approx(scalars(twice)[name], abs=1e-9), name
    once = diagnose(binned(p, y))
    assert weighted.discrimination.auc.se == pytest.approx(once.discrimination.auc.se, rel=1e-12)
    assert weighted.calibration.slope.se == pytest.approx(once.calibration.slope.se, rel=0.1)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_thresholds_lie_inside(threshold):
    bins = binned([0.2, 0.3], [0, 1])
    with pytest.raises(InvalidInputError, match="a threshold lies between 0 and 1"):
        diagnose(bins, thresholds=(0.5, threshold))
    with pytest.raises(InvalidInputError, match="the prevalence lies between 0 and 1"):
        diagnose(bins, prevalence=threshold)


def test_shapes_that_do_not_fit():
    bins = binned([0.2, 0.3], [0, 1])
    with pytest.raises(InvalidInputError, match="one leading axis"):
        diagnose(bins, bins)
    with pytest.raises(InvalidInputError, match="leading axes"):
        diagnose(binned([0.2, 0.3], [0, 1], bucket=[0, 1]))
    with pytest.raises(InvalidInputError, match="divides"):
        bins.coarser(FINE - 1)
    with pytest.raises(InvalidInputError, match="same rows"):
        compare(Model(bins), Model(binned([0.2], [1])))
    with pytest.raises(InvalidInputError, match="hold the same rows"):
        compare(Model(*sample([0.2, 0.3], [0, 1], None)), Model(*sample([0.2, 0.3], [0, 1], None, buckets=8)))


def test_few_clusters_are_refused_or_noted():
    p, y, _ = simulated(5, 400)
    for count, words in ((2, "takes 3"), (5, "only 5 buckets"), (40, "")):
        bins, buckets = sample(p, y, None, buckets=count)
        found = diagnose(bins, buckets, clustered=True)
        slope = found.calibration.slope
        assert words in slope.note
        assert math.isnan(slope.se) == (count == 2)
        assert ("LL207" in {one.code for one in found.findings}) == (count < 10)


def test_soft_targets_take_errors_from_buckets():
    p, _, _ = simulated(6, 2000)
    soft = np.clip(p + np.random.default_rng(1).normal(0, 0.1, p.size), 0, 1)
    bins, buckets = sample(p, soft, None, buckets=64)
    with_buckets, alone = diagnose(bins, buckets), diagnose(bins)
    assert with_buckets.calibration.slope.se > 0
    assert math.isnan(alone.calibration.slope.se)
    assert "binomial" in alone.calibration.slope.note
    assert "not debiased" in with_buckets.calibration.ece.note
