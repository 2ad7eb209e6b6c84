"""Every sum and statistic against the definitions in multiple precision, from extreme predictions too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from mpmath import log, mp, mpf

from logloss.evaluate.moments import UNWEIGHTED_TERMS, WEIGHTED_TERMS
from logloss.scores import Scores, score
from oracle import sigmoid, softplus

pytestmark = pytest.mark.numerical

EXTREME = [1e-300, 5e-324, 2.0**-1022, 1e-30, 1e-9, 0.3, 0.5, 0.7, 1 - 1e-9, 1 - 2.0**-53]
LOGITS = [-1e4, -746.0, -690.0, -37.0, -1e-9, 0.0, 1e-300, 1e-9, 0.5, 37.0, 690.0, 1e4]


def run(y: Sequence[float], x: Sequence[float], kind: str, w: Sequence[float] | None = None) -> Scores:
    frame = pl.DataFrame({"y": y, "x": x, "w": w or [1.0] * len(y)}, schema=dict.fromkeys("yxw", pl.Float64))
    return score(frame, target="y", **{kind: "x"}, weight="w" if w else None)


def relative_error(value: float, true: mpf) -> float:
    return float(abs(mpf(value) - true) / abs(true)) if true else abs(value)


@pytest.mark.parametrize("p", EXTREME)
@pytest.mark.parametrize("y", [0.0, 1.0, 0.25, 1e-12])
def test_loss_of_one_extreme_probability(p: float, y: float):
    found = run([y], [p], "probability").summary.results[0].statistics
    assert relative_error(found.log_loss, cross_entropy(y, p)) < 4e-16
    assert relative_error(found.brier, (mpf(p) - mpf(y)) ** 2) < 4e-16 or found.brier == (p - y) ** 2


def cross_entropy(y: float, p: float) -> mpf:
    return -mpf(y) * log(mpf(p)) - (1 - mpf(y)) * mp.log1p(-mpf(p))


@pytest.mark.parametrize("z", LOGITS)
@pytest.mark.parametrize("y", [0.0, 1.0, 0.25])
def test_loss_of_one_logit(z: float, y: float):
    found = run([y], [z], "logit").summary.results[0].statistics
    true = mpf(y) * softplus(-z) + (1 - mpf(y)) * softplus(z)
    assert relative_error(found.log_loss, true) < 4e-16 or abs(found.log_loss - true) < 5e-324
    assert found.infinite_rows == 0


@pytest.mark.parametrize(
    ("y", "z", "loss"), [(1, math.inf, 0), (0, -math.inf, 0), (0, math.inf, math.inf), (0.5, -math.inf, math.inf)]
)
def test_infinite_logits(y: float, z: float, loss: float):
    found = run([y], [z], "logit").summary.results[0].statistics
    assert found.log_loss == loss
    assert (found.zero_rows, found.one_rows) == (int(z < 0), int(z > 0))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_every_moment(weighted: bool, kind: str):
    """Σ over rows of each moment's definition; every term is a product of at most four rounded factors."""
    rng = np.random.default_rng(3)
    y = [0.0, 1.0, 0.25, *rng.integers(0, 2, 300).astype(float)]
    x = [*rng.normal(0, 3, len(y))] if kind == "logit" else [*rng.beta(0.5, 0.5, len(y))]
    w = [*rng.exponential(3, len(y))] if weighted else None
    moments = run(y, x, kind, w).state.moments([0], None)
    rows = [
        definitions(mpf(a), sigmoid(b) if kind == "logit" else mpf(b), mpf(c))
        for a, b, c in zip(y, x, w or [1.0] * len(y), strict=True)
    ]
    for term in WEIGHTED_TERMS if weighted else UNWEIGHTED_TERMS:
        found = mpf(moments[term]) / mpf(moments.one)
        scale = sum(abs(row[term]) for row in rows)
        assert abs(found - sum(row[term] for row in rows)) <= 1e-14 * scale, term


def definitions(y: mpf, p: mpf, w: mpf) -> dict[str, mpf]:
    """One row's contribution to each moment."""
    loss = -y * log(p) - (1 - y) * log(1 - p)
    z, d, variance = log(p) - log(1 - p), y - p, p * (1 - p)
    q = d**2
    first = {"wy": y, "wp": p, "wl": loss, "wq": q, "ws": d * (1 - 2 * p), "wg": d * z, "w": mpf(1)}
    second = {"ww": mpf(1), "wwy": y, "wwl": loss, "wwq": q}
    second |= {"wwll": loss**2, "wwly": loss * y, "wwyy": y * y, "wwqq": q * q}
    second |= {"wwvs": (1 - 2 * p) ** 2 * variance, "wwvg": z * z * variance}
    rare = dict.fromkeys(("w_infinite", "w_zero", "w_one"), mpf(0))
    return {**{k: w * v for k, v in first.items()}, **{k: w * w * v for k, v in second.items()}, **rare}


@pytest.mark.parametrize("mean", [1e-3, 1e-9, 1e-15, 1e-100, 1e-300])
def test_tiny_mean_losses_are_exact(mean: float):
    p = np.random.default_rng(0).random(2000) * mean
    found = run([0.0] * 2000, p.tolist(), "probability").summary.results[0].statistics
    assert relative_error(found.log_loss, sum(-mp.log1p(-mpf(x)) for x in p) / 2000) < 1e-15


@pytest.mark.parametrize("scale", [1e-150, 1e-12, 1.0, 1e12, 1e140])
def test_the_scale_of_weights_does_not_matter(scale: float):
    rng = np.random.default_rng(2)
    y, p, w = rng.integers(0, 2, 999).astype(float), rng.random(999), rng.random(999)
    found = run(y.tolist(), p.tolist(), "probability", (w * scale).tolist()).summary.results[0].statistics
    assert found.log_loss == pytest.approx(np.average(-np.log(np.where(y == 1, p, 1 - p)), weights=w), rel=1e-13)


def test_float32_near_one():
    """1 - p of a float32 is exact in float64: no epsilon of float32 is put in its place."""
    near = np.float32(1) - np.float32(2.0**-24)
    frame = pl.DataFrame({"y": [0, 1], "p": np.array([near, near])})
    assert frame.schema["p"] == pl.Float32
    found = score(frame, target="y", probability="p").summary.results[0].statistics
    assert relative_error(2 * found.log_loss, -log(mpf(2) ** -24) - mp.log1p(-(mpf(2) ** -24))) < 4e-16


def test_infinite_is_infinite_and_counted():
    found = run([1.0, 0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.5], "probability").summary.results[0].statistics
    assert (found.log_loss, found.normalized_entropy, found.d2) == (math.inf, math.inf, -math.inf)
    assert (found.infinite_rows, found.zero_rows, found.one_rows) == (2, 2, 2)
    assert found.brier == (1 + 1 + 0 + 0 + 0.25) / 5


def test_a_weight_of_zero_counts_and_hides_nothing():
    found = run([1.0, 1.0], [0.5, 0.0], "probability", [1.0, 0.0]).summary.results[0].statistics
    assert (found.rows, found.infinite_rows) == (2, 1)
    assert found.log_loss == math.log(2)


def test_one_class_groups_have_a_loss_but_no_entropy():
    found = run([1.0, 1.0], [0.5, 0.25], "probability").summary.results[0].statistics
    assert found.log_loss == pytest.approx(1.5 * math.log(2), rel=1e-15)
    assert math.isnan(found.normalized_entropy)
    assert math.isnan(found.d2)


def test_no_silent_sigmoid():
    """Whether numbers are probabilities is never guessed: the same column gives what was asked for."""
    numbers = [0.2, 0.9, 0.4]
    as_probability, as_logit = (run([0.0, 1.0, 1.0], numbers, kind) for kind in ("probability", "logit"))
    assert as_probability.summary.results[0].statistics.log_loss != as_logit.summary.results[0].statistics.log_loss


def test_blocks_are_weighted_by_their_rows():
    """The mean over rows, not the mean of the means of unequal files."""
    small, large = pl.DataFrame({"y": [1], "p": [0.5]}), pl.DataFrame({"y": [0] * 9, "p": [0.1] * 9})
    found = score(pl.concat([small, large]), target="y", probability="p").summary.results[0].statistics
    assert found.log_loss == pytest.approx((math.log(2) - 9 * math.log(0.9)) / 10, rel=1e-15)
