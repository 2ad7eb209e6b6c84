"""What the scoring tests share: the shipped predictions."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

ACS = Path(__file__).parents[2] / "examples" / "acs_employment_predictions.parquet"


@pytest.fixture(scope="session")
def acs_path() -> Path:
    return ACS


@pytest.fixture(scope="session")
def acs() -> pl.DataFrame:
    return pl.read_parquet(ACS)
