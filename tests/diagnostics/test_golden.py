"""Diagnoses of the example file against numbers found beside this package, by rows and by an independent prototype.

The values by rows equal model-diagnostics' decomposition, scikit-learn's AUC and average precision, and statsmodels'
logistic regression; those by grid were found with NumPy, SciPy and statsmodels from the same bins.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.rows import acs, both
from logloss.evaluate.diagnostics import diagnose

YEARS = (None, 2015, 2016, 2017, 2018)
LOSS = dict(zip(YEARS, (0.3791356187, 0.3803271281, 0.3825243873, 0.3774235086, 0.3763267721), strict=True))

# By grid: equal to nine digits or so.
GRID = {
    "auc": (0.9040358657, 0.903360723, 0.9020264825, 0.9050768381, 0.9057062578),
    "auc_se": (0.0005647398383, 0.001136006797, 0.001146071757, 0.001122034625, 0.001113741981),
    "ks": (0.6549611694, 0.6558584889, 0.6513341957, 0.6587409714, 0.6564041036),
    "intercept": (0.06399699561, 0.01494210258, 0.07498928275, 0.08550678759, 0.07977156699),
    "slope": (1.017308045, 1.020549361, 1.000433861, 1.018248324, 1.031133428),
    "ecce": (0.008886533982, 0.003513229469, 0.009501796228, 0.01168111298, 0.01159250788),
    "ecce_sigma": (13.2520824, 2.60863906, 7.066828821, 8.732305712, 8.679103219),
    "corp_ici": (0.01031079474, 0.01026739405, 0.01107101314, 0.01305297767, 0.01423207541),
    "mcb": (0.00111962058, 0.001570250954, 0.001505094715, 0.001904197879, 0.002079884379),
    "dsc": (0.3151278115, 0.314355606, 0.3121257781, 0.3176079976, 0.3188486111),
    "tp@0.2": (135260, 33203, 33626, 34008, 34423),
    "fp@0.2": (56831, 14391, 14109, 14107, 14224),
    "nb@0.2": (0.4359462613, 0.4304027041, 0.4354186558, 0.437728872, 0.4401334645),
    "tp@0.5": (120069, 29620, 29819, 30140, 30490),
    "fp@0.5": (28776, 7403, 7259, 6999, 7115),
    "nb@0.5": (0.3287740792, 0.3229919314, 0.326360559, 0.332318518, 0.3333048153),
    "nb_se@0.5": (0.001241433774, 0.002511639146, 0.002493725664, 0.002464372467, 0.002462068272),
    "nb@0.8": (0.1422516089, 0.1342298466, 0.1384573098, 0.1467652761, 0.1493775934),
}
# By rows: equal within the error of the grid.
ROWS = {
    "auc": (0.9040350979, 0.9033609691, 0.9020264394, 0.9050756263, 0.9057044924, 3e-6),
    "auc_se": (0.0005647458524, 0.001136006652, 0.001146078717, 0.001122045941, 0.001113773118, 1e-7),
    "ap": (0.8840789218, 0.8810599197, 0.8810556754, 0.8862673257, 0.8878536379, 1e-4),
    "ks": (0.6549826839, 0.6558878093, 0.6514635851, 0.6588265952, 0.6564841573, 2e-4),
    "intercept": (0.06399944414, 0.01494158495, 0.07499302999, 0.08550833886, 0.07977477936, 1e-5),
    "slope": (1.017301555, 1.02055062, 1.000423827, 1.018244019, 1.031124463, 2e-5),
    "intercept_se": (0.00566141871, 0.0114568139, 0.01127414427, 0.01129293669, 0.01128098284, 1e-6),
    "slope_se": (0.004240035506, 0.008589393887, 0.008398481795, 0.008445294847, 0.008499472926, 1e-6),
    "in_the_large": (0.07047873261, 0.02346265522, 0.0751507314, 0.09199506432, 0.0908387942, 5e-7),
    "in_the_large_se": (0.00540380514, 0.01081729333, 0.01083090897, 0.01082183826, 0.01075994125, 1e-6),
    "corp_ici": (0.01025274248, 0.01010724188, 0.0111221814, 0.01305389326, 0.0142815471, 2e-4),
    "ecce": (0.008886750623, 0.003513229469, 0.009505158471, 0.0116837125, 0.01160311284, 2e-5),
    "mcb": (0.001173685348, 0.001651965198, 0.001605758132, 0.001978634569, 0.002175949722, 1.1e-4),
    "dsc": (0.3151818762, 0.3144373203, 0.3122264415, 0.3176824343, 0.3189446765, 1.1e-4),
    "brier_mcb": (0.0002844696449, 0.0004330519837, 0.0004112574713, 0.0004939635585, 0.000589519071, 5e-5),
    "uncertainty": (0.6931438095, 0.6931124832, 0.6931450706, 0.6931273083, 0.6930954989, 1e-10),
    "nb@0.2": (0.4359201518, 0.4304063386, 0.435407806, 0.437657069, 0.4401085112, 1e-4),
    "nb_se@0.2": (0.001056319417, 0.002124744338, 0.002116272097, 0.002107893209, 0.002101677842, 1e-6),
    "nb@0.8": (0.1422696154, 0.1344333794, 0.1382692475, 0.1468658002, 0.1493348163, 2.1e-4),
}
DEBIASED_MCB = (0.00076, 0.00061, 0.00055, 0.00096, 0.00113)


@pytest.fixture(scope="module")
def found():
    """The numbers of every year and of all."""
    return {year: _numbers(year) for year in YEARS}


def _numbers(year):
    p, y = (acs(year)[name] for name in ("predicted_probability", "employed"))
    d = diagnose(*both(p, y), thresholds=(0.2, 0.5, 0.8), scores=(LOSS[year], float(np.mean((p - y) ** 2))))
    c, g, parts = d.calibration, d.discrimination, d.decomposition
    numbers = {
        "auc": g.auc.value, "auc_se": g.auc.se, "ks": g.ks.value,
        "ap": g.average_precision.value, "intercept": c.intercept.value, "slope": c.slope.value,
        "intercept_se": c.intercept.se, "slope_se": c.slope.se, "in_the_large": c.in_the_large.value,
        "in_the_large_se": c.in_the_large.se, "ecce": c.ecce.raw,
        "ecce_sigma": c.ecce_sigma.value, "corp_ici": c.ici_corp.raw, "mcb": parts.log_loss.miscalibration.raw,
        "dsc": parts.log_loss.discrimination.raw, "brier_mcb": parts.brier.miscalibration.raw,
        "uncertainty": parts.log_loss.uncertainty,
    }  # fmt: skip
    for one in d.decisions.thresholds:
        at = f"@{one.threshold}"
        numbers |= {f"tp{at}": one.true_positives, f"fp{at}": one.false_positives}
        numbers |= {f"nb{at}": one.net_benefit.value, f"nb_se{at}": one.net_benefit.se}
    return numbers, d


@pytest.mark.numerical
@pytest.mark.parametrize("name", GRID)
def test_the_grid_gives_the_prototypes_numbers(name, found):
    for year, expected in zip(YEARS, GRID[name], strict=True):
        assert found[year][0][name] == pytest.approx(expected, rel=1e-8, abs=1e-10), year


@pytest.mark.parametrize("name", ROWS)
def test_the_grid_is_near_the_rows(name, found):
    *expected, tolerance = ROWS[name]
    for year, value in zip(YEARS, expected, strict=True):
        assert found[year][0][name] == pytest.approx(value, abs=tolerance), year


def test_miscalibration_of_years_is_comparable_once_debiased(found):
    """Over-fit is 1/3 of the plain value over all rows and 3/5 in one year; less that, rows and grid agree."""
    for year, expected in zip(YEARS, DEBIASED_MCB, strict=True):
        part = found[year][1].decomposition.log_loss
        assert part.miscalibration.value == pytest.approx(expected, abs=4e-5), year
        again = part.miscalibration.value - part.discrimination.value + part.uncertainty
        assert again == pytest.approx(part.score, abs=1e-12)


def test_the_brownian_p_value_keeps_its_tail(found):
    assert found[None][1].calibration.ecce_sigma.p_value == pytest.approx(1.747848305e-39, rel=0.01)
    assert found[2015][1].calibration.ecce_sigma.p_value == pytest.approx(0.0363597492, rel=1e-4)


def test_exact_losses_are_those_of_the_decomposition(found):
    assert found[None][1].decomposition.log_loss.score == LOSS[None]
    assert not math.isnan(found[None][1].decomposition.log_loss.miscalibration.se)
