"""What tests of reports share: the shipped predictions."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def acs_path() -> Path:
    return Path(__file__).parents[2] / "examples" / "acs_employment_predictions.parquet"
