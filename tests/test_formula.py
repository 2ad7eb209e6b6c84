"""The readable formulas against the oracle, and the compiled kernels against the formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import oracle
from logloss import _formula
from logloss._backends.operands import OptionArrays
from logloss._kernels import cpu
from logloss._spec.losses import LOG_PROBS, LOGITS, PROBABILITIES, ROWS, primitive
from logloss._spec.options import Options
from logloss._spec.terms import Terms, terms
from reference import element, of_prices

pytestmark = pytest.mark.numerical

POINTS = [0.0, -0.0, 1e-9, -1e-9, 0.3, -0.4, 2.0, -3.0, 30.0, -35.0, 300.0, -310.0]
DOMAINS = {
    LOGITS: [*POINTS, math.inf, -math.inf],
    PROBABILITIES: [0.0, 1e-300, 1e-8, 0.2, 0.5, 0.8, 1 - 1e-9, 1.0],
    LOG_PROBS: [-math.inf, -400.0, -3.0, -0.7, -0.6, -1e-9, -1e-300],
}
NUMBERS = {
    "focal": [
        {"gamma": 0.5},
        {"gamma": 2.0, "alpha": 0.25},
        {"gamma": 3.0, "alpha": 0.6, "label_smoothing": 0.2},
        {"gamma": 0.0, "alpha": 0.25},
    ],
    "asymmetric": [
        {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05},
        {"gamma_neg": 2.0, "gamma_pos": 0.5, "clip": 0.0},
        {"gamma_neg": 1.0, "gamma_pos": 0.0, "clip": 0.3, "label_smoothing": 0.2},
    ],
    "probabilities": [{}, {"eps": 1e-3}],
}
CASES = [(loss, numbers) for loss in ROWS for numbers in NUMBERS.get(loss.name, [{}])]
IN_TESTS = {"cross_entropy": "logits", "log_probabilities": "log_probs"}


def points(loss):
    return POINTS if loss.focused else DOMAINS[loss.quantity]


def coefficients(loss, numbers, found=None):
    """The terms of these numbers, with the prices and weights of others if given."""
    own = {name: value for name, value in numbers.items() if name != "label_smoothing"}
    smoothed = Options(label_smoothing=numbers.get("label_smoothing", 0.0))
    all_terms = terms(primitive(loss, **own), smoothed, (1,), np.dtype(float), OptionArrays())
    return (
        all_terms if found is None else found._replace(smoothing=all_terms.smoothing, parameters=all_terms.parameters)
    )


def formula(loss, x, t, found):
    rest = 1 - t
    with np.errstate(all="ignore"):
        prices, target = _formula.prices(t, rest, found), _formula.smoothed(t, rest, found)
        return _formula.of(loss)(np, x, *prices, *target, found.parameters)


def exactly(loss, numbers, x, t, pos_weight):
    """The oracle's three numbers for a target and a price of positives."""
    if loss.focused:
        return element(loss.name, x, t, pos_weight=pos_weight, **numbers)
    u, v = oracle.prices(t, pos_weight=pos_weight)
    return of_prices(IN_TESTS.get(loss.name, loss.name), x, u, v, numbers.get("eps"))


def named(case):
    return case.name if hasattr(case, "name") else str(case)


@pytest.mark.parametrize("pos_weight", [1.0, 3.7])
@pytest.mark.parametrize(("loss", "numbers"), CASES, ids=named)
def test_formula_is_the_definition(loss, numbers, pos_weight):
    pairs = list(itertools.product(points(loss), [0.0, 0.3, 1.0]))
    x, t = (np.array(column) for column in zip(*pairs, strict=True))
    options = Options(pos_weight=pos_weight, label_smoothing=numbers.get("label_smoothing", 0.0))
    own = {name: value for name, value in numbers.items() if name != "label_smoothing"}
    got = formula(loss, x, t, terms(primitive(loss, **own), options, x.shape, t.dtype, OptionArrays()))
    want = np.array([[float(n) for n in exactly(loss, numbers, *pair, pos_weight)] for pair in pairs]).T
    for k in range(3):
        np.testing.assert_allclose(
            got[k], want[k], rtol=2e-14 if k == 0 else 2e-13, atol=2e-15 if k else 0, err_msg=f"derivative {k}"
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("loss", "numbers"), CASES, ids=named)
def test_kernel_is_the_formula_for_random_coefficients(loss, numbers, dtype):
    rng = np.random.default_rng(7)
    n = 3000  # several blocks and a rest
    x = {
        PROBABILITIES: lambda: rng.random(n),
        LOG_PROBS: lambda: -rng.exponential(3.0, n),
    }.get(loss.quantity, lambda: rng.normal(0, 8, n))().astype(dtype)
    t = rng.choice([0.0, 1.0, *rng.random(5)], n).astype(dtype)
    row, element_weight = rng.exponential(size=(n, 1)).astype(dtype)[:, 0], rng.exponential(size=n).astype(dtype)
    prices = tuple(rng.exponential(size=4).astype(dtype).astype(float))
    found = coefficients(loss, numbers, Terms(prices, row, element_weight))
    results = [np.empty(n, dtype) for _ in range(3)]
    total, flags = cpu.evaluate(loss, x, t, found, 1.0, *results, ())
    want = formula(loss, x.astype(np.float64), t.astype(np.float64), found)
    assert flags == 0
    relative = 3e-13 if dtype == np.float64 else 2e-6
    for got, reference in zip(results, want, strict=True):
        np.testing.assert_allclose(got, reference, rtol=relative, atol=relative * np.abs(reference).mean())
    assert total == pytest.approx(math.fsum(want[0]), rel=1e-13 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize(("loss", "numbers"), CASES, ids=named)
def test_kernel_and_formula_agree_at_the_corners(loss, numbers):
    """The same zeros, infinities and NaN, for prices that are 0 and targets that are certain."""
    corners = points(loss) if loss.quantity.bounded else [*points(loss), math.nan]
    pairs = list(itertools.product(corners, [0.0, 0.5, 1.0]))
    x, t = (np.array(column) for column in zip(*pairs, strict=True))
    for prices in ((1.0, 0.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)):
        results = [np.empty(len(x)) for _ in range(3)]
        found = coefficients(loss, numbers, Terms(prices))
        cpu.evaluate(loss, x, t, found, 1.0, *results, ())
        for got, want in zip(results, formula(loss, x, t, found), strict=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
            np.testing.assert_array_equal(got == 0, want == 0)


@pytest.mark.parametrize(("loss", "numbers"), CASES, ids=named)
def test_no_step_is_infinite_where_no_result_is(loss, numbers):
    """What checks each step of a framework's arithmetic has nothing to say of good data."""
    for x, t in itertools.product(points(loss), [0.0, 0.3, 1.0]):
        for prices in ((1.0, 0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 3.0, 0.0)):
            found, rest = coefficients(loss, numbers, Terms(prices)), np.array([1 - t])
            arrays = np.array([x]), np.array([t])
            if not all(np.isfinite(one).all() for one in formula(loss, *arrays, found)):
                continue
            both, target = _formula.prices(arrays[1], rest, found), _formula.smoothed(arrays[1], rest, found)
            with np.errstate(divide="raise", invalid="raise"):
                _formula.of(loss)(np, arrays[0], *both, *target, found.parameters)


class _FirstOrder:
    """NumPy, to somebody who wants no second derivatives."""

    order = 1

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("loss", [loss for loss in ROWS if loss.quantity.bounded], ids=named)
def test_a_hessian_that_nobody_wants_is_not_computed(loss):
    x, one = np.array([0.25 if loss.quantity is PROBABILITIES else -0.25]), np.ones(1)
    whole = _formula.of(loss)(np, x, one, one, one, 0 * one, (0.0,))
    first = _formula.of(loss)(_FirstOrder(), x, one, one, one, 0 * one, (0.0,))
    assert whole[2] is not None
    assert first == (*whole[:2], None)


@pytest.mark.parametrize("clip", [0.0, 1e-9, 0.05, 0.4])
def test_a_learnt_clip_of_nothing_is_the_limit_of_others(clip):
    """What stands in at a clip of 0, for its derivative, is the same function."""
    x = np.array([-3.0, -0.1, 0.0, 2.0, 30.0])
    sigma, rest = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    plain, clips = (-np.log(rest), sigma, rest, rest), np.full(x.shape, clip)
    for got, want in zip(
        _formula._unclipped(np, clips, plain), _formula._clipped(np, clips, plain, sigma >= 0), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_numbers_that_are_arrays_are_numbers(smoothing):
    """A clip for each element, of which some are 0, gives what each of them gives by itself."""
    x, t, clips = (one.ravel() for one in np.meshgrid(POINTS, [0.0, 0.3, 1.0], [0.0, 0.05, 0.3]))
    numbers = {"gamma_neg": 2.0, "gamma_pos": 0.5, "clip": 0.0, "label_smoothing": smoothing}
    loss = next(one for one in ROWS if one.name == "asymmetric")
    found = coefficients(loss, numbers, Terms((2.0, 0.0, 1.5, 0.0)))
    together = formula(loss, x, t, found._replace(parameters=(*found.parameters[:2], clips)))
    for k, clip in enumerate(clips):
        alone = formula(
            loss, x[k : k + 1], t[k : k + 1], found._replace(parameters=(*found.parameters[:2], float(clip)))
        )
        for got, want in zip(together, alone, strict=True):
            np.testing.assert_allclose(got[k], want[0], rtol=1e-13, atol=1e-300)
