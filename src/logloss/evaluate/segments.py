"""For whom are predictions wrong? Segments tested together, and ranked so that tiny ones do not win.

Tested by ECCE (the range of a Brownian motion), adjusted by Holm over all segments with 10 expected events and
non-events: overlap hardly matters, and without adjustment 99 of 100 sound models would be accused. Those with 3 to 10
are tested together by drawing their outcomes (`max_t`). Each of the two families may err in its share of 5 %: its
p-values are divided by that share, which is its share of the segments, but a tenth at least.

Ranked by the lower end of a shrunken difference: with O observed and E expected events,

    O ~ Poisson(E θ),  θ ~ Gamma(a, a),  a by maximum likelihood,  posterior Gamma(O + a, E + a)

for unit weights, of the rarer outcome; else d = (O - E) / W ~ N(δ, σ²), δ ~ N(0, τ²), with τ² by Paule and Mandel's
equation Σ d² / (σ² + τ²) = m.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .bins import Bins, Floats, Occupied
from .comparison import holm
from .cumulative import cumulative
from .diagnoses import Estimate
from .max_t import MaxT, max_t
from .recalibration import difference
from .sample import Sample, missing
from .tails import bisect, normal_quantile

__all__ = ["Cells", "Segment", "segments"]

FEWEST_EXPECTED, FEWEST_DRAWN = 10, 3
LEAST_SHARE = 0.1
"""Of the error that may be made, for the smaller family of tests."""
Z90 = normal_quantile(0.95)
LARGEST = 1e8
"""A prior as sure as this says that segments do not differ."""


@dataclass(frozen=True)
class Segment:
    """One segment's calibration."""

    name: str
    rows: int
    weight: float
    observed: float
    predicted: float
    difference: Estimate
    """Observed minus predicted, as it stands."""
    test: Estimate
    """ECCE in σ, with its p-value before adjustment; it has a reason where events are too few."""
    p_adjusted: float
    """The p-value for the number of all segments that were tested."""
    detectable: Estimate
    """The error, all of one sign, that the test finds in 80 of 100 samples, alone."""
    shrunken: Estimate
    """Observed minus predicted, drawn towards 0 as the other segments suggest, with a 90 % interval."""
    events: float
    """Expected events or non-events, of which there are fewer, of equal weight."""
    at_least: float
    """The end of that interval nearer to 0, and 0 if it holds 0: what segments are ranked by."""

    @property
    def found(self) -> bool:
        """Whether it is miscalibrated, beyond what chance finds among so many."""
        return self.p_adjusted < 0.05


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells that segments are sums of: without them, segments of few events cannot be tested together."""

    bins: Sequence[Occupied]
    of_segments: Sequence[Sequence[int]]
    """For every segment in order, the numbers of its cells."""


def segments(
    named: Iterable[tuple[str, Bins]], *, clustered: bool = False, cells: Cells | None = None
) -> tuple[Segment, ...]:
    """All segments: those found first, and among these and among the others the largest errors first.

    Rows that depend on each other in clusters (`clustered`) make every segment look worse than it is: then none is
    tested.
    """
    known = [(name, bins.occupied) for name, bins in named]
    places = [place for place, (_, one) in enumerate(known) if one.w.size]
    if not places:
        return ()
    shrunken = _shrunken([known[place][1] for place in places])
    found = [_alone(*known[place], drawn) for place, drawn in zip(places, shrunken, strict=True)]
    if clustered:
        refused = missing("the test is of independent rows, and these depend on each other in clusters")
        found = [replace(one, test=refused, detectable=refused) for one in found]
    drawn = _few([known[place][1] for place in places], found) if cells else []
    fewest = FEWEST_DRAWN if drawn else FEWEST_EXPECTED
    found = [one if place in drawn else _refused(one, fewest) for place, one in enumerate(found)]
    if cells and drawn:
        members = [cells.of_segments[places[place]] for place in drawn]
        found = _together(found, drawn, max_t(cells.bins, members, [found[place].test.value for place in drawn]))
    else:
        adjusted = holm([one.test.p_value for one in found])
        found = [replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: (not one.found, -one.at_least, -abs(one.shrunken.value), one.name)))


def _few(known: Sequence[Occupied], found: Sequence[Segment]) -> list[int]:
    """The places of segments with so few events that outcomes are drawn; with weights that cannot be done."""
    counted = all(one.unit and not one.soft for one in known)
    few = (place for place, one in enumerate(found) if FEWEST_DRAWN <= one.events < FEWEST_EXPECTED)
    return [place for place in few if not found[place].test.reason] if counted else []


def _refused(one: Segment, fewest: int) -> Segment:
    """A segment of too few events for the range of a Brownian motion, untested."""
    if one.test.reason or one.events >= FEWEST_EXPECTED:
        return one
    return replace(
        one, test=missing(f"the test takes {fewest} expected events and non-events; there are {one.events:.1f}")
    )


def _together(found: Sequence[Segment], drawn: Sequence[int], few: MaxT) -> list[Segment]:
    """Two families of tests: many events by Holm, few by the largest of draws, each with its share of the error."""
    many = [place for place, one in enumerate(found) if place not in drawn and not math.isnan(one.test.p_value)]
    share = max(len(drawn) / (len(drawn) + len(many)), LEAST_SHARE)
    if many:
        share = min(share, 1 - LEAST_SHARE)
    result = list(found)
    adjusted = holm([found[place].test.p_value for place in many])
    for place, p_value in zip(many, adjusted, strict=True):
        result[place] = replace(found[place], p_adjusted=min(1.0, p_value / (1 - share)))
    method = f"max-T, {few.draws} draws"
    for place, alone, p_value in zip(drawn, few.alone.tolist(), few.adjusted.tolist(), strict=True):
        test = replace(found[place].test, p_value=alone, method=method, note="")
        result[place] = replace(found[place], test=test, p_adjusted=min(1.0, p_value / share))
    return result


def _alone(name: str, cell: Occupied, shrunken: Estimate) -> Segment:
    sample = Sample(cell)
    sums, expected = cumulative(sample), float(np.sum(cell.w * cell.p))
    scale = cell.weight / float(cell.ww.sum())
    nearest = 0.0 if shrunken.low <= 0 <= shrunken.high else min(abs(shrunken.low), abs(shrunken.high))
    return Segment(
        name=name,
        rows=int(cell.rows.sum()),
        weight=cell.weight,
        observed=cell.base_rate,
        predicted=expected / cell.weight,
        difference=difference(sample),
        test=replace(sums.sigma, method="Holm"),
        p_adjusted=math.nan,
        detectable=sums.detectable,
        shrunken=shrunken,
        events=min(expected, cell.weight - expected) * scale,
        at_least=nearest if math.isfinite(nearest) else 0.0,
    )


def _shrunken(cells: Sequence[Occupied]) -> list[Estimate]:
    """Each difference, shrunken by what all of them are."""
    observed = np.array([cell.positive_weight for cell in cells])
    expected = np.array([float(np.sum(cell.w * cell.p)) for cell in cells])
    weight = np.array([cell.weight for cell in cells])
    if all(cell.unit and not cell.soft for cell in cells):
        if expected.sum() <= weight.sum() / 2:
            return _gamma(observed, expected, weight, 1.0)
        return _gamma(weight - observed, weight - expected, weight, -1.0)
    variance = np.array([float(np.sum(cell.ww * cell.p * (1 - cell.p))) for cell in cells]) / weight**2
    return _normal((observed - expected) / weight, variance)


def _gamma(observed: Floats, expected: Floats, weight: Floats, sign: float) -> list[Estimate]:
    """The posterior mean and 90 % interval of (θ - 1) E / W."""
    expected = np.maximum(expected, 1e-12)
    prior = _prior(observed, expected)
    if prior >= LARGEST:
        return [Estimate(0.0, 0.0, 0.0, 0.0, method="gamma, no spread between segments")] * observed.size
    shape, rate, size = observed + prior, expected + prior, expected / weight
    # Wilson and Hilferty's cube root of a gamma variable is nearly normal.
    middle, width = 1 - 1 / (9 * shape), Z90 / (3 * np.sqrt(shape))
    ends = [shape * np.maximum(middle + side * width, 0.0) ** 3 / rate for side in (-1, 1)]
    value, low, high = ((sign * (one - 1) * size).tolist() for one in (shape / rate, *ends))
    se = (np.sqrt(shape) / rate * size).tolist()
    return [
        Estimate(v, s, min(a, b), max(a, b), method="gamma") for v, s, a, b in zip(value, se, low, high, strict=True)
    ]


def _prior(observed: Floats, expected: Floats) -> float:
    """The a of largest likelihood, NegBin(O; a, a / (a + E)), by golden section of its logarithm."""
    pairs = list(zip(observed.tolist(), expected.tolist(), strict=True))

    def likelihood(logarithm: float) -> float:
        a = math.exp(logarithm)
        return math.fsum(
            math.lgamma(o + a) - math.lgamma(a) - a * math.log1p(e / a) + o * (math.log(e) - math.log(a + e))
            for o, e in pairs
        )

    low, high, golden = math.log(1e-3), math.log(LARGEST), (math.sqrt(5) - 1) / 2
    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = likelihood(inner), likelihood(outer)
    for _ in range(60):
        if at_inner >= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - golden * (high - low)
            at_inner = likelihood(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + golden * (high - low)
            at_outer = likelihood(outer)
    best = math.exp((low + high) / 2)
    return LARGEST if best > LARGEST / 100 else best


def _normal(apart: Floats, variance: Floats) -> list[Estimate]:
    """d τ² / (τ² + σ²), with its error."""
    known = variance > 0

    def surplus(tau: float) -> float:
        return float(np.sum(apart[known] ** 2 / (variance[known] + tau))) - int(known.sum())

    tau = 0.0 if not known.any() or surplus(0.0) <= 0 else bisect(surplus, 0.0, float(np.max(apart**2)) * known.sum())
    found = []
    for d, v in zip(apart.tolist(), variance.tolist(), strict=True):
        value = d * tau / (tau + v) if tau + v > 0 else 0.0
        se = math.sqrt(tau * v / (tau + v)) if tau + v > 0 else 0.0
        found.append(Estimate(value, se, value - Z90 * se, value + Z90 * se, method="normal"))
    return found
