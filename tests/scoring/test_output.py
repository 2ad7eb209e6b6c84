"""Results in files: the ending tells the format, and half a file never replaces a whole one."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from logloss.cli import main

ARGUMENTS = ["--target", "y", "--probability", "p", "--group", "g", "--quiet", "--output"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("y,p,g\n" + "".join(f"{k % 2},0.5,{k}\n" for k in range(60)))
    return path


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".csv", ".parquet", ".md", ".txt"])
def test_files(ending: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / f"result{ending}"
    assert main(["score", str(rows), *ARGUMENTS, str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    if ending == ".parquet":
        assert pl.read_parquet(path)["rows"].to_list() == [1] * 60 + [60]
    elif ending == ".json":
        assert len(json.loads(path.read_text())["results"]) == 61
    elif ending in (".md", ".txt"):
        assert "Of 60 groups the 50 with the largest rows are shown" in " ".join(path.read_text().split())
    else:
        assert len(path.read_text().splitlines()) == 61 + (ending == ".csv")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([rows.name, path.name])


@pytest.mark.parametrize(("name", "says"), [("result.doc", "told by its ending"), ("no/result.csv", "does not exist")])
def test_refused_before_reading(name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["score", "none.csv", *ARGUMENTS, str(tmp_path / name)]) == 2
    assert says in capsys.readouterr().err
