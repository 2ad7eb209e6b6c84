"""Two models on the same rows, two states, and what is said of them."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from diagnostics.rows import acs, binned, both, logit, simulated
from logloss.evaluate.bins import FINE
from logloss.evaluate.comparison import Model, compare, holm, rows_needed
from logloss.evaluate.diagnostics import DIAGNOSTICS, diagnose, scalars
from logloss.evaluate.drift import change, drift, stability
from logloss.evaluate.findings import CODES, RULES
from logloss.evaluate.verdicts import findings_of_comparison, findings_of_drift, findings_of_groups


@pytest.fixture(scope="module")
def pair():
    """Two models on 3,000 rows, the second noisier: predictions, outcomes."""
    p, y, _ = simulated(21, 3000)
    q = 1 / (1 + np.exp(-(logit(p) + np.random.default_rng(3).normal(0, 0.8, p.size))))
    return p, q, y


@pytest.fixture(scope="module")
def compared(pair):
    p, q, y = pair
    return compare(Model(*both(p, y)), Model(*both(q, y)))


def losses(p, y):
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def test_elementary_scores_are_those_of_rows(pair, compared):
    p, q, y = pair
    found = compared.murphy
    for place in range(0, found.threshold.size, 7):
        theta = found.threshold[place]
        exact = [np.mean(np.where(y == 1, (1 - theta) * (one < theta), theta * (one >= theta))) for one in (p, q)]
        assert found.difference[place] == pytest.approx(exact[0] - exact[1], abs=1e-12)
    models = [diagnose(both(one, y)[0], thresholds=(theta,)).decisions.thresholds[0] for one in (p, q)]
    apart = (1 - theta) * (models[1].net_benefit.value - models[0].net_benefit.value)
    assert apart == pytest.approx(exact[0] - exact[1], abs=1e-12)
    (low, high) = max(found.better, key=lambda run: run[1] - run[0])
    assert low < 0.2
    assert high > 0.8
    known = np.isfinite(found.low)
    assert known.mean() > 0.4
    assert not (found.low[known] >= found.difference[known]).any()
    alone = compare(Model(both(p, y)[0]), Model(both(q, y)[0])).murphy
    assert "takes buckets" in alone.reason
    assert np.isnan(alone.low).all()
    assert (alone.better, alone.worse) == ((), ())


def test_differences_are_those_of_rows(pair, compared):
    p, q, y = pair
    loss = losses(p, y) - losses(q, y)
    assert compared.log_loss.value == pytest.approx(loss.mean(), abs=1e-5)
    assert compared.log_loss.se == pytest.approx(loss.std() / math.sqrt(y.size), rel=0.2)
    assert compared.brier.value == pytest.approx(np.mean((p - y) ** 2 - (q - y) ** 2), abs=1e-5)
    entropy = -np.mean(y) * np.log(np.mean(y)) - np.mean(1 - y) * np.log(np.mean(1 - y))
    assert compared.normalized_entropy.value == pytest.approx(loss.mean() / entropy, abs=2e-5)
    assert compared.log_loss.high < 0
    assert compared.auc.low > 0
    parts = compared.miscalibration.value - compared.discrimination.value
    assert parts == pytest.approx(compared.log_loss.value, abs=1e-9)


def test_every_row_its_own_bucket_is_the_paired_delong(pair):
    p, q, y = (one[:500] for one in pair)
    p, q = (np.clip(np.round(one, 2), 0.01, 0.99) for one in (p, q))  # no bin holds two
    own = np.arange(500)
    models = [Model(binned(one, y), binned(one, y, bins=FINE, bucket=own)) for one in (p, q)]
    found = compare(*models).auc

    def placements(one):
        above = np.sign(one[y == 1][:, None] - one[y == 0][None, :]) / 2 + 0.5
        return above.mean(axis=1), above.mean(axis=0), above.mean()

    a, b = placements(p), placements(q)
    variance = np.var(a[0] - b[0], ddof=1) / a[0].size + np.var(a[1] - b[1], ddof=1) / a[1].size
    assert found.value == pytest.approx(a[2] - b[2], abs=1e-12)
    assert found.se == pytest.approx(math.sqrt(variance), rel=0.01)


def test_models_that_are_nearly_alike_have_small_errors():
    """Recalibration moves every prediction a little: an error from the middle of bins would drown the difference."""
    p, y, _ = simulated(8, 40_000, slope=1.05)
    q = 1 / (1 + np.exp(-logit(p) / 1.05))
    found = compare(Model(*both(q, y)), Model(*both(p, y)))
    for own, rows in (
        (found.log_loss, losses(q, y) - losses(p, y)),
        (found.brier, (q - y) ** 2 - (p - y) ** 2),
    ):
        assert own.value == pytest.approx(rows.mean(), abs=2e-5)
        assert own.se == pytest.approx(rows.std() / math.sqrt(y.size), rel=0.15)
    entropy = -np.mean(y) * np.log(np.mean(y)) - np.mean(1 - y) * np.log(np.mean(1 - y))
    assert found.normalized_entropy.se == pytest.approx(found.log_loss.se / entropy, rel=0.05)


def test_a_model_equals_itself(pair):
    p, _, y = pair
    found = compare(Model(*both(p, y)), Model(*both(p, y)))
    for name in ("log_loss", "brier", "miscalibration", "discrimination", "auc", "average_precision"):
        assert getattr(found, name).value == 0, name


def test_infinite_losses_leave_what_can_be_compared():
    p, y, _ = simulated(4, 600)
    wrong = p.copy()
    wrong[np.flatnonzero(y == 1)[0]] = 0.0
    found = compare(Model(*both(wrong, y)), Model(*both(p, y)))
    assert "infinite" in found.log_loss.reason
    assert "infinite" in found.miscalibration.reason
    assert found.discrimination
    assert found.auc.se > 0


def test_an_error_of_pairs_is_used_where_rows_are_independent(pair):
    p, q, y = pair
    models = Model(*both(p, y)), Model(*both(q, y))
    one = compare(*models, independent_se=0.002)
    many = compare(*models, independent_se=0.002, clustered=True)
    assert one.log_loss.se == 0.002
    assert many.log_loss.se != 0.002
    needed = rows_needed(one.log_loss.value, 0.002 * math.sqrt(y.size))
    assert one.rows_needed.value == needed
    assert many.rows_needed.value == pytest.approx(needed * (many.log_loss.se / 0.002) ** 2, rel=0.01)


def test_rows_needed_give_the_power():
    """619 rows for -0.0364 with a deviation of 0.323; by simulation 80 % of such samples find it."""
    assert rows_needed(-0.0364, 0.323) == 619
    rng = np.random.default_rng(1)
    means = rng.normal(-0.0364, 0.323 / math.sqrt(619), 4000)
    assert np.mean(np.abs(means) > 1.96 * 0.323 / math.sqrt(619)) == pytest.approx(0.8, abs=0.025)


@pytest.mark.frameworks
def test_holm_is_statsmodels():
    from statsmodels.stats.multitest import multipletests

    values = np.random.default_rng(4).beta(0.3, 2, 40)
    assert holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-15)
    assert holm([]) == []
    assert holm([0.01, math.nan, 0.04])[0] == 0.02
    assert math.isnan(holm([math.nan])[0])


def years(*wanted):
    return [both(acs(year)["predicted_probability"], acs(year)["employed"]) for year in wanted]


def test_drift_of_the_example_file():
    """PSI 0.000203, 0.000515 and 0.000864 against 2015, by chance 0.00026; p 0.64, 0.037 and 0.00044."""
    first, *others = years(2015, 2016, 2017, 2018)
    expected = ((0.000203, 0.64), (0.000515, 0.037), (0.000864, 0.00044))
    for other, (raw, p_value) in zip(others, expected, strict=True):
        found = stability(first[0], other[0]).psi
        assert found.raw == pytest.approx(raw, abs=5e-7)
        assert found.p_value == pytest.approx(p_value, rel=0.02)
        assert found.expected == pytest.approx(0.00026, abs=2e-6)
    found = drift(first[0], others[-1][0], (diagnose(*first), diagnose(*others[-1])))
    large = found.changes["calibration_in_the_large"]
    assert large.value == pytest.approx(0.0674, abs=1e-4)
    assert large.se == pytest.approx(0.0153, abs=1e-4)
    codes = {one.code: one for one in findings_of_drift(found)}
    assert codes["LL601"].severity == "small"
    assert codes["LL602"].severity == "small"


def test_an_index_without_change():
    """The plain index has the mean 9 (1/n + 1/m) by chance alone; its test errs in 5 %."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(200):
        a, b = (1 / (1 + np.exp(-rng.normal(0, 1.5, 1000))) for _ in range(2))
        found.append(stability(binned(a, a > 0.5), binned(b, b > 0.5)).psi)
    assert np.mean([one.raw for one in found]) == pytest.approx(0.018, abs=0.002)
    assert np.mean([one.value for one in found]) == pytest.approx(0.0, abs=0.002)
    assert 0.01 <= np.mean([one.p_value < 0.05 for one in found]) <= 0.10


def test_an_index_with_an_empty_cell():
    a = 1 / (1 + np.exp(-np.random.default_rng(1).normal(0, 1.5, 2000)))
    found = stability(binned(a, a > 0.5), binned(a[a > 0.2], a[a > 0.2] > 0.5)).psi
    assert math.isfinite(found.value)
    assert "half a row" in found.note


def test_changes_without_an_error():
    some = diagnose(*years(2015)[0]).calibration
    assert change(some.slope, dataclasses.replace(some.slope, reason="none")).reason == "none"
    assert "without an interval" in change(some.ici, some.ici).note


def found_in(p, y, **more):
    return {one.code: one for one in diagnose(*both(p, y), **more).findings}


def test_findings_tell_evidence_and_size_apart():
    rows = acs()
    found = found_in(rows["predicted_probability"], rows["employed"])
    assert set(found) == {"LL101", "LL103", "LL104"}
    assert {one.severity for one in found.values()} == {"small"}
    assert "far more than chance, and small" in found["LL101"].evidence
    assert found["LL101"].link.endswith("#ll101")


@pytest.mark.parametrize(("slope", "code", "other"), [(1.5, "LL102", "LL103"), (0.7, "LL103", "LL102")])
def test_over_and_under_confidence(slope, code, other):
    p, y, _ = simulated(1, 8000, slope=slope)
    found = found_in(p, y)
    assert found[code].severity == "serious"
    assert other not in found


def test_calibrated_rows_have_no_finding():
    """But for one in a hundred of each kind."""
    found = [set(found_in(*simulated(seed, 2000)[:2])) for seed in range(12)]
    assert sum(map(len, found)) <= 1


@pytest.mark.parametrize(
    ("p", "y", "code"),
    [
        ([0.0, 0.5, 0.7], [1, 0, 1], "LL201"),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], "LL202"),
        ([0.9, 0.8], [1, 1], "LL203"),
        ([0.9, 0.8, 0.2], [1, 1, 0], "LL204"),
        ([0.4] * 10, [0, 1] * 5, "LL205"),
        ([0.0, 1.0, 0.3, 0.6], [0, 1, 0, 1], "LL206"),
    ],
)
def test_findings_of_the_data(p, y, code):
    found = found_in(np.array(p), np.array(y, float))
    assert code in found
    assert code in CODES


def test_a_useless_threshold():
    p, y, _ = simulated(3, 20_000, slope=3.0)
    assert "LL401" in found_in(p, y, thresholds=(0.97,))
    assert "LL401" not in found_in(p, y, thresholds=(0.5,))


def test_groups_are_found_by_holm():
    groups = {f"g{seed}": diagnose(binned(*simulated(seed, 1500)[:2])) for seed in range(30)}
    assert findings_of_groups(groups) == ()
    p, y, _ = simulated(77, 1500)
    groups["off"] = diagnose(binned(np.clip(p + 0.1, 0, 1), y))
    (found,) = findings_of_groups(groups)
    assert found.code == "LL301"
    assert found.title.startswith("off: ")
    assert "too high" in found.title


def test_findings_of_two_models(compared, pair):
    p, q, y = pair
    worse = compare(Model(*both(q, y)), Model(*both(p, y)))
    assert [one.code for one in findings_of_comparison(worse, ("q", "p"))] == ["LL501"]
    assert findings_of_comparison(compared, ("p", "q")) == ()
    near = 1 / (1 + np.exp(-(logit(p) + np.random.default_rng(5).normal(0, 0.05, p.size))))
    same = compare(Model(*both(p, y)), Model(*both(near, y)))
    (found,) = findings_of_comparison(same, ("p", "near"))
    assert found.code == "LL502"
    assert "rows" in found.evidence


def test_every_record_finds_a_number():
    d = diagnose(*both(*simulated(1, 2000)[:2]))
    numbers = scalars(d)
    assert len({one.name for one in DIAGNOSTICS}) == len(DIAGNOSTICS)
    assert not [name for name, value in numbers.items() if math.isnan(value) and not name.startswith("ks_")]
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_every_code_and_number_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (LL\d+)$", text, re.MULTILINE)) == set(CODES)
    names = {one.name.removeprefix("brier_") for one in DIAGNOSTICS}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
