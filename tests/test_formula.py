"""The readable formulas against the oracle, and the compiled kernels against the formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import oracle
from logloss import _formula, _spec
from logloss._backends.operands import OptionArrays
from logloss._kernels import cpu
from logloss._spec import Primitive, Terms
from reference import element, of_prices

POINTS = [0.0, -0.0, 1e-9, -1e-9, 0.3, -0.4, 2.0, -3.0, 30.0, -35.0, 300.0, -310.0]
DOMAINS = {
    "cross_entropy": [*POINTS, math.inf, -math.inf],
    "probabilities": [0.0, 1e-300, 1e-8, 0.2, 0.5, 0.8, 1 - 1e-9, 1.0],
    "log_probabilities": [-math.inf, -400.0, -3.0, -0.7, -0.6, -1e-9, -1e-300],
    "focal": POINTS,
    "asymmetric": POINTS,
}
PARAMETERS = {
    "focal": [
        _spec.focal(g, a, s).parameters
        for g, a, s in ((0.5, None, 0.0), (2.0, 0.25, 0.0), (3.0, 0.6, 0.2), (0.0, 0.25, 0.0))
    ],
    "asymmetric": [
        _spec.asymmetric(n, p, c, s).parameters
        for n, p, c, s in ((4.0, 1.0, 0.05, 0.0), (2.0, 0.5, 0.0, 0.0), (1.0, 0.0, 0.3, 0.2))
    ],
    "probabilities": [(math.inf, 0.0), (-math.log(1e-3), 1e-3)],
}
CASES = [(name, parameters) for name in DOMAINS for parameters in PARAMETERS.get(name, [()])]
NAMES = {"cross_entropy": "logits", "probabilities": "probabilities", "log_probabilities": "log_probs"}


def formula(name, parameters, x, u, v, t):
    with np.errstate(all="ignore"):
        if name == "cross_entropy":
            return _formula.cross_entropy(np, x, u, v)
        if name == "probabilities":
            return _formula.probabilities(np, x, u, v, parameters[1])
        if name == "log_probabilities":
            return _formula.log_probabilities(np, x, u, v)
        return getattr(_formula, name)(np, x, u, v, t, parameters)


def exactly(name, parameters, x, t, pos_weight):
    """The oracle's three numbers for a target and a price of positives."""
    if name == "focal":
        _, half, gamma, alpha, rest = parameters
        own = {"gamma": gamma, "alpha": None if alpha == rest == 1.0 else alpha, "label_smoothing": 2 * half}
        return element("focal", x, t, pos_weight=pos_weight, **own)
    if name == "asymmetric":
        _, half, positive, negative, clip = parameters
        own = {"gamma_pos": positive, "gamma_neg": negative, "clip": clip, "label_smoothing": 2 * half}
        return element("asymmetric", x, t, pos_weight=pos_weight, **own)
    u, v = oracle.prices(t, pos_weight=pos_weight)
    return of_prices(NAMES[name], x, u, v, parameters[1] if parameters else None)


def smoothing_of(name, parameters):
    return 2 * parameters[1] if name in ("focal", "asymmetric") else 0.0


@pytest.mark.parametrize("pos_weight", [1.0, 3.7])
@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_formula_is_the_definition(name, parameters, pos_weight):
    pairs = list(itertools.product(DOMAINS[name], [0.0, 0.3, 1.0]))
    x, t = (np.array(column) for column in zip(*pairs, strict=True))
    options = _spec.Options(pos_weight=pos_weight, label_smoothing=smoothing_of(name, parameters))
    prices = _spec.terms(options, x.shape, t.dtype, OptionArrays())
    got = formula(name, parameters, x, *_formula.prices(t, prices), t)
    want = np.array([[float(n) for n in exactly(name, parameters, *pair, pos_weight)] for pair in pairs]).T
    for k in range(3):
        np.testing.assert_allclose(
            got[k], want[k], rtol=2e-14 if k == 0 else 2e-13, atol=2e-15 if k else 0, err_msg=f"derivative {k}"
        )


@pytest.mark.parametrize("p", [0.0, 1e-300, 5e-4, 0.02, 0.5, 0.9, 0.9995, 1.0])
@pytest.mark.parametrize(("u", "v"), [(0.0, 1.0), (1.1, 0.7), (3.7, 0.0)])
def test_clamped_probabilities(p, u, v):
    """The loss with its floor, and the derivatives without: those of the oracle, but for the least of p·(1-p)."""
    floor, least = 0.01, 1e-3
    with np.errstate(all="ignore"):
        loss, slope, curve = _formula.clamped_probabilities(np, *np.array([[p], [u], [v]]), (floor, least))
    assert loss[0] == pytest.approx(float(of_prices("probabilities", p, u, v, floor)[0]), rel=1e-14, abs=0)
    by_p, bend = (float(one) for one in of_prices("probabilities", p, u, v, None)[1:])
    if p * (1 - p) < least:
        by_p, bend = (v * p - u * (1 - p)) / least, (u + v) / least
    assert slope[0] == pytest.approx(by_p, rel=1e-14)
    assert curve[0] == pytest.approx(bend, rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_kernel_is_the_formula_for_random_coefficients(name, parameters, dtype):
    rng = np.random.default_rng(7)
    n = 3000  # several blocks and a rest
    x = {
        "probabilities": lambda: rng.random(n),
        "log_probabilities": lambda: -rng.exponential(3.0, n),
    }.get(name, lambda: rng.normal(0, 8, n))().astype(dtype)
    t = rng.choice([0.0, 1.0, *rng.random(5)], n).astype(dtype)
    row, element_weight = rng.exponential(size=(n, 1)).astype(dtype)[:, 0], rng.exponential(size=n).astype(dtype)
    terms = Terms(tuple(rng.exponential(size=4).astype(dtype).astype(float)), row, element_weight)
    results = [np.empty(n, dtype) for _ in range(3)]
    total, flags = cpu.evaluate(Primitive(name, parameters), x, t, terms, 1.0, *results, ())
    wide = t.astype(np.float64)
    want = formula(name, parameters, x.astype(np.float64), *_formula.prices(wide, terms), wide)
    assert flags == 0
    relative = 3e-13 if dtype == np.float64 else 2e-6
    for got, reference in zip(results, want, strict=True):
        np.testing.assert_allclose(got, reference, rtol=relative, atol=relative * np.abs(reference).mean())
    assert total == pytest.approx(math.fsum(want[0]), rel=1e-13 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_kernel_and_formula_agree_at_the_corners(name, parameters):
    """The same zeros, infinities and NaN, for prices that are 0 and targets that are certain."""
    corners = [*DOMAINS[name], math.nan] if name in ("cross_entropy", "focal", "asymmetric") else DOMAINS[name]
    pairs = list(itertools.product(corners, [0.0, 0.5, 1.0]))
    x, t = (np.array(column) for column in zip(*pairs, strict=True))
    for prices in ((1.0, 0.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)):
        results = [np.empty(len(x)) for _ in range(3)]
        cpu.evaluate(Primitive(name, parameters), x, t, Terms(prices), 1.0, *results, ())
        for got, want in zip(results, formula(name, parameters, x, *_formula.prices(t, Terms(prices)), t), strict=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
            np.testing.assert_array_equal(got == 0, want == 0)
