"""One set of files and tables for all engines: many small parts, groups, missing values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engines import stores

ROOT = Path(__file__).parent.parent.parent
ACS = ROOT / "examples" / "acs_employment_predictions.parquet"
COLUMNS = {"target": "employed", "probability": "predicted_probability"}


def table(rows: int, seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1, 2, rows)
    return pl.DataFrame(
        {
            "y": (generator.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int8),
            "z": logits,
            "w": generator.gamma(1.0, size=rows),
            "country": generator.choice(["de", "fr", "pl"], rows),
            "age": generator.integers(18, 90, rows),
        }
    )


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Seven files: Parquet, CSV and JSON lines, of different sizes."""
    folder, found = tmp_path_factory.mktemp("engines"), []
    for number, rows in enumerate([1000, 1, 400, 3000, 50, 700, 2000]):
        part, name = table(rows, number), str(folder / f"part{number}")
        if number % 3 == 0:
            part.write_parquet(name := name + ".parquet")
        elif number % 3 == 1:
            part.write_csv(name := name + ".csv")
        else:
            part.write_ndjson(name := name + ".jsonl")
        found.append(name)
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds, partitioned by day."""
    stores.write(root := tmp_path_factory.mktemp("stores"))
    return root


@pytest.fixture(scope="session")
def store(folder: Path) -> Iterator[Any]:
    """The same files in a bucket, and a client of its server."""
    with stores.served(folder) as client:
        yield client
