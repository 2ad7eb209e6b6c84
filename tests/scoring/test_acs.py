"""The shipped real predictions against values computed independently, to the last digit that those have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from logloss.evaluate.statistics import Statistics
from logloss.scores import Scores, score
from tables import kinds

COLUMNS = {"target": "employed", "probability": "predicted_probability"}


def statistics(scores: Scores, *group: object) -> Statistics:
    return next(one.statistics for one in scores.summary.results if one.group == (group or None))


def printed(found: Statistics) -> tuple[str, ...]:
    base, loss, entropy, brier = found.base_rate, found.log_loss, found.normalized_entropy, found.brier
    return f"{found.rows:,}", f"{base:.4f}", f"{loss:.6f}", f"{entropy:.5f}", f"{brier:.5f}"


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (2015, ("68,785", "0.4958", "0.380327", "0.54872", "0.12289")),
        (2016, ("69,126", "0.5010", "0.382524", "0.55187", "0.12369")),
        (2017, ("69,635", "0.5032", "0.377424", "0.54452", "0.12169")),
        (2018, ("70,131", "0.5051", "0.376327", "0.54297", "0.12129")),
    ],
)
def test_years(acs_path: Path, year: int, expected: tuple[str, ...]):
    assert printed(statistics(score(acs_path, **COLUMNS, group="year"), year)) == expected


@pytest.mark.parametrize(
    ("sex", "expected"),
    [
        (1, ("100,564", "0.5230", "0.348804", "0.50399", "0.11073")),
        (2, ("108,328", "0.4846", "0.406537", "0.58691", "0.13288")),
    ],
)
def test_sexes_of_2016_to_2018(acs: pl.DataFrame, sex: int, expected: tuple[str, ...]):
    scores = score(acs.filter(pl.col("year") >= 2016), **COLUMNS, group=["sex"])
    assert printed(statistics(scores, sex)) == expected


def test_all_of_2016_to_2018(acs: pl.DataFrame):
    found = statistics(score(acs.filter(pl.col("year") >= 2016), **COLUMNS))
    assert (found.rows, f"{found.log_loss:.6f}", f"{found.normalized_entropy:.6f}") == (208_892, "0.378743", "0.546426")
    assert found.d2 == pytest.approx(1 - 0.546426, abs=6e-7)


def test_groups_add_up_to_the_whole(acs_path: Path):
    by_two = score(acs_path, **COLUMNS, group=["year", "sex"])
    assert len(by_two.summary.results) == 9
    whole = statistics(score(acs_path, **COLUMNS))
    within = statistics(by_two).within_group_normalized_entropy
    assert within > whole.within_group_normalized_entropy == whole.normalized_entropy  # groups have rates of their own
    assert statistics(by_two) == replace(whole, within_group_normalized_entropy=within)


def test_csv_gives_the_same_bits(acs: pl.DataFrame, acs_path: Path, tmp_path: Path):
    acs.write_csv(tmp_path / "acs.csv")
    ours, theirs = (score(path, **COLUMNS, group="year") for path in (tmp_path / "acs.csv", acs_path))
    assert [one.statistics for one in ours.summary.results] == [one.statistics for one in theirs.summary.results]
    assert [one.group for one in ours.summary.results] == [*((str(year),) for year in range(2015, 2019)), None]


TABLES = {"lazy": pl.DataFrame.lazy, "pyarrow": pl.DataFrame.to_arrow, "pandas": pl.DataFrame.to_pandas}


@pytest.mark.parametrize("kind", kinds(TABLES))
def test_tables_of_other_libraries_give_the_same_bits(kind: str, acs: pl.DataFrame):
    ours, theirs = (score(frame, **COLUMNS, group="year") for frame in (acs, TABLES[kind](acs)))
    assert ours.summary.results == theirs.summary.results


def test_reference_from_numpy(acs: pl.DataFrame):
    """The plain formula, in float64 with NumPy's own sums."""
    import numpy as np

    y, p = acs["employed"].to_numpy(), acs["predicted_probability"].to_numpy()
    found = statistics(score(acs, **COLUMNS))
    assert found.log_loss == pytest.approx(np.where(y == 1, -np.log(p), -np.log1p(-p)).mean(), rel=1e-13)
    assert found.brier == pytest.approx(((p - y) ** 2).mean(), rel=1e-13)
