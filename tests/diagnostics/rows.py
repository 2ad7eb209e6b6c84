"""Bins of given rows, by NumPy: what the engine's pass must do too, and simulated rows."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from logloss.evaluate.bins import COARSE, FINE, Bins, place_of

ACS = Path(__file__).parents[2] / "examples" / "acs_employment_predictions.parquet"


def logit(p):
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-p)


def binned(p, y, w=None, *, bins=FINE, bucket=None, buckets=0):
    """Bins of rows; with `bucket`, one for each bucket."""
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    unit = np.ones(p.size) if w is None else np.asarray(w, np.float64)
    places, size = place_of(logit(p), bins), bins + 2
    shape = (size,)
    if bucket is not None:
        buckets = buckets or int(np.max(bucket)) + 1
        places, size, shape = places + size * np.asarray(bucket), size * buckets, (buckets, size)

    def summed(values):
        return np.bincount(places, values, size).reshape(shape)

    rows = np.bincount(places, minlength=size).reshape(shape)
    sums = [summed(values) for values in (unit, unit**2, unit * y, unit**2 * y, unit * p)]
    return Bins(rows, *sums, soft=bool(np.any((y != 0) & (y != 1))))


def both(p, y, w=None, *, units=None, buckets=256, seed=0):
    """Fine bins of all rows, and coarse bins by bucket of their units (rows are their own, if not given)."""
    units = np.arange(len(p)) if units is None else np.asarray(units)
    number = np.random.default_rng(seed).integers(0, buckets, int(units.max()) + 1)[units]
    return binned(p, y, w), binned(p, y, w, bins=COARSE, bucket=number, buckets=buckets)


@functools.cache
def acs(year=None):
    """The example file's predictions and outcomes, of one year or of all."""
    table = pq.read_table(ACS)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return columns if year is None else {name: column[columns["year"] == year] for name, column in columns.items()}


def simulated(seed, rows, *, mean=0.0, spread=1.5, slope=1.0, cluster=1, effect=0.0):
    """Predictions whose logits are `slope` times the true ones, outcomes, and which cluster a row is of."""
    rng = np.random.default_rng(seed)
    units = np.arange(rows) // cluster
    z = rng.normal(mean, spread, rows)
    truth = z + effect * rng.normal(size=units[-1] + 1)[units] if effect else z
    y = (rng.random(rows) < 1 / (1 + np.exp(-truth))).astype(float)
    return 1 / (1 + np.exp(-slope * z)), y, units
