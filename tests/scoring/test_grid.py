"""Bins of the logit and buckets of clusters: exact, and the same bits for any order, split, thread and merging."""

from __future__ import annotations

import json
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from logloss._errors import InvalidInputError
from logloss._kernels import grid as kernel
from logloss._kernels import places, threads
from logloss._kernels import records as kernel_records
from logloss.evaluate import bins, pairs, records, storage
from logloss.evaluate.buckets import UNITS, divided
from logloss.evaluate.units import units_of
from logloss.scores import load, merge, score
from logloss.sources.keys import KeyColumn

ACS: dict[str, Any] = {"target": "employed", "probability": "predicted_probability"}
GOLDEN = {  # of all rows, and of 2018: from exact arithmetic over distinct predictions, or from a prototype of the grid
    None: {"auc": 0.9040358657, "auc_se": 0.0005647398383, "ks": 0.6549611694, "calibration_slope": 1.017308045},
    (2018,): {"observed_over_expected": 1 / 0.9776725757},
}
GOLDEN[None] |= {
    "calibration_intercept": 0.06399699561,
    "miscalibration_raw": 0.00111962058,
    "ecce_raw": 0.008886533982,
}


def table(rows: int, seed: int = 7) -> pl.DataFrame:
    """Rows with weights of all magnitudes, certain predictions, groups, clusters of every type, and soft targets."""
    random = np.random.default_rng(seed)
    p = np.where(
        random.random(rows) < 0.02, np.round(random.random(rows)), 1 / (1 + np.exp(-3 * random.normal(size=rows)))
    )
    hard = (random.random(rows) < 0.4).astype(float)
    return pl.DataFrame(
        {
            "p": p,
            "y": hard,
            "soft": np.where(random.random(rows) < 0.3, random.random(rows), hard),
            "w": np.where(random.random(rows) < 0.1, 0.0, 10.0 ** random.uniform(-300, 150, rows)),
            "g": random.integers(0, 5, rows),
            "user": [f"user {k}" for k in random.integers(0, 300, rows)],
        }
    )


CASES = {
    "plain": {"target": "y"},
    "groups": {"target": "y", "group": "g"},
    "clusters": {"target": "y", "group": "g", "cluster": "user"},
    "weights": {"target": "y", "weight": "w", "cluster": "user"},
    "soft": {"target": "soft", "group": "g", "cluster": "user"},
}


@pytest.mark.parametrize("name", CASES)
def test_same_bits(name: str):
    rows = table(10_000)
    options: dict[str, Any] = {"probability": "p", "diagnostics": True, **CASES[name]}
    whole = score(rows, **options)
    text = storage.dumps(whole.state, ())
    shuffled = rows.sample(fraction=1, shuffle=True, seed=3)
    assert storage.dumps(score(shuffled, **options).state, ()) == text
    before = threads.count()
    threads.set_count(1)
    parts = [score(shuffled.slice(start, 2400), **options) for start in range(0, 10_000, 2400)]
    threads.set_count(before)
    assert storage.dumps(merge(*parts[::-1]).state, ()) == text
    back, _ = storage.loads(text, "text")
    assert storage.dumps(back, ()) == text
    back.merge(parts[0].state)
    assert back.bins(0).rows.sum() == 12_400
    sent = pickle.loads(pickle.dumps(parts[0].state))
    sent.merge(whole.state)
    assert storage.dumps(sent, ()) == storage.dumps(back, ())


@pytest.mark.parametrize("last", [1.0, 0.25])
def test_many_rows_of_one_bin(last: float):
    """More than a table tallies between two emptyings; and a target that no table holds, after all others."""
    y = (np.arange(70_000) % 3 == 0).astype(float)
    y[-1] = last
    rows = pl.DataFrame({"y": y, "p": np.where(np.arange(70_000) < 69_000, 0.7, 1.0)})
    whole, *parts = (
        score(one, target="y", probability="p", diagnostics=True) for one in (rows, *rows.iter_slices(3500))
    )
    assert storage.dumps(merge(*parts).state, ()) == storage.dumps(whole.state, ())
    found = whole.state.bins(0)
    place = int(bins.place_of(np.log(0.7 / 0.3), bins.FINE))
    assert found.rows[[place, bins.FINE + 1]].tolist() == [69_000, 1000]
    assert found.wp[place] == float(69_000 * Fraction(0.7))
    assert found.wy[place] == y[:69_000].sum()
    assert found.wy[bins.FINE + 1] == y[69_000:].sum()


def test_a_state_that_came_by_pickle_grows():
    few, many = ({"y": [1.0] * n, "p": [0.5] * n, "g": list(range(n))} for n in (2, 40))
    states = [score(one, target="y", probability="p", group="g", diagnostics=True).state for one in (few, many)]
    sent = pickle.loads(pickle.dumps(states[0]))
    sent.merge(states[1])
    states[0].merge(states[1])
    assert storage.dumps(sent, ()) == storage.dumps(states[0], ())


def test_sums_are_those_of_fractions():
    rows = table(3000)
    found = score(rows, target="y", probability="p", weight="w", diagnostics=True).state.bins(0)
    with np.errstate(divide="ignore"):
        logits = np.log(rows["p"].to_numpy()) - np.log1p(-rows["p"].to_numpy())
    places = bins.place_of(logits, bins.FINE)
    assert_array_equal(found.rows, np.bincount(places, minlength=bins.FINE + 2))
    weights = [Fraction(w) for w in rows["w"].to_list()]
    positive = rows["y"].to_numpy() == 1
    for place in np.unique(places)[::7]:
        chosen = np.flatnonzero(places == place)
        w, wy = (sum((weights[k] for k in some), Fraction()) for some in (chosen, chosen[positive[chosen]]))
        wp = sum((weights[k] * Fraction(rows["p"][int(k)]) for k in chosen), Fraction())
        ww = sum((weights[k] ** 2 for k in chosen), Fraction())
        assert_allclose([found.w[place], found.wy[place]], [float(w), float(wy)], rtol=3e-16)
        assert_allclose(found.wp[place], float(wp), rtol=1e-9, atol=float(max(weights[k] for k in chosen)) * 2**-50)
        if 1e-300 < ww < 1e300:
            assert_allclose(found.ww[place], float(ww), rtol=1e-9)


@pytest.mark.parametrize("weight", [5e-324, 1e-300, 2**-8, 2**-8 * (1 + 2**-52), 0.3, 1.0, 1 + 2**-52, 256.0, 1e300])
def test_no_weight_is_lost(weight: float):
    data = {"y": [1.0, 0.0, 1.0], "p": [0.25, 0.25, 0.25], "w": [weight, weight, 1.0]}
    found = score(data, target="y", probability="p", weight="w", diagnostics=True).state.bins(0)
    place = found.rows.argmax()
    assert found.w[place] == math.fsum([weight, weight, 1.0])
    assert found.wy[place] == math.fsum([weight, 1.0])
    alone = score({**data, "w": [weight, weight, 0.0]}, target="y", probability="p", weight="w", diagnostics=True)
    assert alone.state.bins(0).w[place] == 2 * weight
    assert_allclose(alone.state.bins(0).wp[place], weight / 2, rtol=1e-15, atol=5e-324)
    assert alone.summary.results.blocks[0].diagnostics.base_rate == 0.5


def test_acs(acs: pl.DataFrame):
    scores = score(acs, **ACS, group="year", diagnostics=True, thresholds=0.2)
    for key, golden in GOLDEN.items():
        place = -1 if key is None else scores.summary.results.keys.index(key)
        for name, value in golden.items():
            assert_allclose(scores.summary.results.blocks[0].scalars[name][place], value, rtol=1e-8, err_msg=name)
    (told,) = scores.summary.results.blocks[0].diagnostics.decisions.thresholds
    assert (told.true_positives, told.false_positives) == (135260, 56831)
    assert (scores.state.bins(0).rows > 0).sum() == 2942
    in_groups = [scores.state.bins(0, key) for key in scores.state.groups]
    assert sum(one.w for one in in_groups).tolist() == scores.state.bins(0).coarser(bins.COARSE).w.tolist()


def test_clusters_by_hand():
    random = np.random.default_rng(1)
    users = random.integers(0, 40, 4000)
    y, p = (random.random(4000) < 0.3).astype(float), random.uniform(0.05, 0.95, 4000)
    data = pl.DataFrame({"y": y, "p": p, "u": users})
    scores = score(data, target="y", probability="p", cluster="u")
    bucket = units_of(KeyColumn(users, None, None))
    loss = -np.where(y == 1, np.log(p), np.log1p(-p))
    apart = np.array([(loss - loss.mean())[bucket == k].sum() for k in np.unique(bucket)]) / 4000
    found = scores.summary.results[0].statistics
    assert_allclose(found.log_loss_se, math.sqrt(apart.size / (apart.size - 1) * (apart**2).sum()), rtol=1e-12)
    assert found.log_loss == score(data, target="y", probability="p").summary.results[0].statistics.log_loss
    assert scores.summary.results.blocks[0].buckets.tolist() == [apart.size]
    assert "allow for rows of one u to depend" in str(scores)
    three = score(data.with_columns(u=pl.col("u") % 3), target="y", probability="p", cluster="u")
    found = three.summary.results[0].statistics
    factor = math.exp(4.302652729749464 * found.log_loss_se / found.log_loss)  # t of two degrees
    assert_allclose(found.log_loss / found.log_loss_low, factor, rtol=1e-9)
    assert_allclose(found.log_loss_high / found.log_loss, factor, rtol=1e-9)
    few = score(data.with_columns(u=pl.col("u") % 2), target="y", probability="p", cluster="u")
    assert math.isnan(few.summary.results[0].statistics.log_loss_low)
    assert "too few for any error" in str(few)


def hash_of(text: bytes) -> int:
    """FNV-1a of 64 bits and the finaliser of MurmurHash3, from their definitions."""
    h = 0xCBF29CE484222325
    for byte in text:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * multiplier % 2**64
    return h ^ h >> 33


def test_one_value_has_one_hash():
    numbers = units_of(KeyColumn(np.arange(-500, 500), None, None))
    for other in (np.arange(-500.0, 500.0), np.arange(-500, 500, dtype=np.int16)):
        assert_array_equal(units_of(KeyColumn(other, None, None)), numbers)
    texts = KeyColumn(np.arange(1000), None, [str(k) for k in range(-500, 500)])
    assert_array_equal(units_of(texts), numbers)
    texts = ["", "ä", "user 7", "007", "-0", "12a"]
    assert units_of(KeyColumn(np.arange(6), None, texts)).tolist() == [hash_of(text.encode()) >> 56 for text in texts]
    assert 200 < np.unique(numbers).size <= UNITS


def test_rows_divided_as_chance_would():
    scores = score(table(20_000), target="y", probability="p", diagnostics=True).state
    whole, found = scores.bins(0).coarser(bins.COARSE), scores.bucket_bins(0)
    for name in ("w", "wy", "ww", "wwy"):
        assert_allclose(getattr(found.total(), name), getattr(whole, name), atol=1e-9)
    rows, positives = found.rows.sum(axis=1), found.wy.sum(axis=1)
    assert abs(rows.var() / rows.mean() - 1) < 0.3
    assert abs(positives.var() / positives.mean() - 1) < 0.3
    assert divided(scores.bins(0)).w.tolist() == found.w.tolist()
    assert score(table(99), target="soft", probability="p", diagnostics=True).state.bucket_bins(0) is None


DAMAGES = [
    lambda one: one["whole"]["words"][0].__setitem__(0, 0),
    lambda one: one["whole"]["words"][0].__setitem__(0, 10**6),
    lambda one: one["whole"]["words"][1].__setitem__(0, 10**6),
    lambda one: one["whole"]["words"][2].__setitem__(0, -1),
    lambda one: one["whole"]["words"][3].__setitem__(0, 2**40),
    lambda one: one["whole"]["words"].pop(),
    lambda one: one["whole"]["places"].pop(),
    lambda one: one["whole"]["places"].reverse(),
    lambda one: one["whole"]["places"].__setitem__(0, 2**15 - 1),
    lambda one: one["whole"]["owners"].__setitem__(0, 1),
    lambda one: one["whole"]["scales"].__setitem__(0, 3),
    lambda one: one["groups"]["owners"].__setitem__(-1, 99),
    lambda one: one.update(groups=None),
    lambda one: one.update(soft="perhaps"),
    lambda one: one.update(more=1),
]


def test_damaged_grids():
    text = storage.dumps(score(table(200), **CASES["groups"], probability="p", diagnostics=True).state, ())
    for damage in DAMAGES:
        document = json.loads(text)
        damage(document["components"]["grid"][0])
        with pytest.raises(InvalidInputError, match="must be a state that logloss saved"):
            storage.loads(json.dumps(document), "state")


def test_saved_with_clusters(tmp_path: Any):
    scores = score(table(2000), **CASES["weights"], probability="p", diagnostics=True)
    scores.save(tmp_path / "state.json")
    assert load(tmp_path / "state.json").to_json() == scores.to_json()
    document = json.loads((tmp_path / "state.json").read_text())
    document["components"]["buckets"][0]["losses"]["words"][0][0] += 1
    with pytest.raises(InvalidInputError, match="its parts have different rows"):
        storage.loads(json.dumps(document), "state")


def test_the_kernel_and_the_reader_agree():
    names = ["LOW_BITS", "UNIT", "PLACE_BITS", "SCALE_BITS", "SCALE_OF_ONE", "KEY", "ROWS"]
    for name in [*names, "NARROW", "WIDE", "LOSSES", "JOINT", "WIDE_JOINT", "SUM"]:
        assert getattr(kernel_records, name) == getattr(records, name)
    assert (places.FINE, places.COARSE, places.LIMIT) == (bins.FINE, bins.COARSE, bins.LIMIT)
    sums = ["DIFFERENCE", "SQUARE", "WEIGHTED", "WINS", "DEFEATS", "BEYOND", "PAIRED"]
    assert [getattr(kernel, name) for name in sums] == [getattr(pairs, name) for name in sums]
