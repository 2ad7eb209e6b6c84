"""Columns of lists: a value for each label in every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from logloss._errors import InvalidInputError
from logloss.evaluate.summary import Result
from logloss.scores import merge, score
from logloss.sources import lists
from tables import kinds

RNG = np.random.default_rng(4)
Y, P = RNG.integers(0, 2, (40, 3)), RNG.random((40, 3))
G = ["a", "b"] * 20
WIDE = pl.DataFrame({f"y_{k}": Y[:, k] for k in range(3)} | {f"p_{k}": P[:, k] for k in range(3)} | {"g": G})
LISTS = pl.DataFrame({"y": Y.tolist(), "p": P.tolist(), "g": G})
COLUMNS: dict[str, Any] = {"target": "y", "probability": "p", "group": "g"}


def results(source: Any, **options: Any) -> tuple[Result, ...]:
    return score(source, **{**COLUMNS, **options}).summary.results


@pytest.fixture(scope="module")
def expected() -> tuple[Result, ...]:
    return results(WIDE, target="y_*", probability="p_*")


FIXED = pa.table({
    "y": pa.FixedSizeListArray.from_arrays(pa.array(Y.ravel()), 3),
    "p": pa.FixedSizeListArray.from_arrays(pa.array(P.ravel()), 3),
    "g": G,
})  # fmt: skip
TABLES: dict[str, Callable[[], Any]] = {
    "lists": lambda: LISTS,
    "arrays": lambda: LISTS.with_columns(pl.col("y").list.to_array(3), pl.col("p").list.to_array(3)),
    "lists and arrays": lambda: LISTS.with_columns(pl.col("p").list.to_array(3)),
    "fixed-size lists": lambda: FIXED,
    "stream": lambda: FIXED.to_reader(max_chunksize=7),
    "pandas": LISTS.to_pandas,
    "two-dimensional NumPy": lambda: {"y": Y, "p": P, "g": G},
    "tables": lambda: (LISTS.slice(start, 9) for start in range(0, 40, 9)),
    "an empty table first": lambda: iter([LISTS.clear(), LISTS]),
}


@pytest.mark.parametrize("kind", kinds(TABLES))
def test_tables(kind: str, expected: tuple[Result, ...]):
    assert results(TABLES[kind]()) == expected


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "arrow"])
def test_files(suffix: str, tmp_path: Path, expected: tuple[Result, ...]):
    path = tmp_path / f"rows.{suffix}"
    writers = {"parquet": LISTS.write_parquet, "jsonl": LISTS.write_ndjson, "arrow": LISTS.write_ipc}
    writers[suffix](path)
    assert results(path) == expected


def test_size_of_pieces_does_not_matter(expected: tuple[Result, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "_FEWEST_ROWS", 7)
    monkeypatch.setattr(lists, "BATCH_ROWS", 2)
    assert results(LISTS) == expected
    broken = LISTS.with_columns(p=pl.Series([[0.5, 0.5, 0.5]] * 33 + [[0.5, 1.5, 0.5]] + [[0.5, 0.5, 0.5]] * 6))
    for where in (None, "g = 'b'"):
        with pytest.raises(InvalidInputError, match=r"column 'p\[1\]' .* it is 1\.5 in row 34 of the table"):
            results(broken, where=where)


def test_models_labels_and_merging():
    frame = LISTS.with_columns(q=pl.col("p").list.eval(1 - pl.element()))
    both = score(frame, target="y", probability=["old=p", "new=q"])
    found = [(one.model, one.label, one.average) for one in both.summary.results[:5]]
    assert found == [*(("old", label, None) for label in "012"), ("old", None, "micro"), ("old", None, "macro")]
    parts = [score(part, target="y", probability=["old=p", "new=q"]) for part in (frame[:13], frame[13:])]
    assert merge(*parts).summary.results == both.summary.results
    with pytest.raises(InvalidInputError, match="their problems differ"):
        merge(parts[0], score({"y": Y[:, :2], "p": P[:, :2]}, target="y", probability="p"))


def test_missing_lists_and_values():
    y = [[1, 0], None, [0, None], [0, 1]]
    frame = pl.DataFrame({"y": y, "p": [[0.75, 0.25]] * 4})
    kept = score(frame, target="y", probability="p", nulls="drop")
    assert kept.summary.dropped == {"missing": 1, "invalid": 0, "ignored": 0}
    for label, rows in (("0", [0, 2, 3]), ("1", [0, 3])):
        alone = pl.DataFrame({"y": [y[k][int(label)] for k in rows], "p": [0.75 if label == "0" else 0.25] * len(rows)})
        expected = score(alone, target="y", probability="p").summary.results[0].statistics
        assert repr(kept.summary.results[int(label)].statistics) == repr(expected)
    for rows, place in [(frame[:2], r"'y\[0\]' .* none in row 2"), (frame[[0, 2]], r"'y\[1\]' .* none in row 2")]:
        with pytest.raises(InvalidInputError, match=place):
            score(rows, target="y", probability="p")
    with pytest.raises(InvalidInputError, match="there must be rows to score"):
        score(frame[[1, 1]], target="y", probability="p", nulls="drop")


def table(y: Any, p: Any) -> pl.DataFrame:
    return pl.DataFrame({"y": y, "p": p})


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([[1, 0], [1]], [[0.5, 0.5]] * 2, "'y' must hold lists of one length.* first has 2, and it has 1 in row 2 of"),
        ([[1, 0]] * 2, [[0.5]] * 2, "'p' must hold lists of one length.* first has 2, and it has 1 in row 1 of"),
        ([[1, 0]], [[]], "'p' must hold lists of one length.* it has 0 in row 1 of the table"),
        (pl.Series([[]], dtype=pl.List(pl.Int8)), pl.Series([[]], dtype=pl.List(pl.Int8)), "the first has 0"),
        ([[1, 0]], [0.5], "'y' holds lists and 'p' numbers"),
        ([1], [[0.5]], "'p' holds lists and 'y' numbers"),
        ([["yes"]], [[0.5]], r"column 'y' must hold lists of numbers.* it holds List\(String\)"),
        ([[[1.0]]], [[0.5]], r"column 'y' must hold lists of numbers.* it holds List\(List\(Float64\)\)"),
    ],
)  # fmt: skip
def test_bad_lists(y: Any, p: Any, message: str):
    with pytest.raises(InvalidInputError, match=message):
        score(table(y, p), target="y", probability="p")


def test_lists_in_one_file_and_numbers_in_another(tmp_path: Path):
    LISTS.write_parquet(tmp_path / "a.parquet")
    LISTS.with_columns(y=1.0).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InvalidInputError, match=r"'y' must hold lists of numbers.*b\.parquet it holds Float64"):
        results(tmp_path)


def test_weights_in_lists_stand_beside_lists():
    with pytest.raises(InvalidInputError, match="'w' holds lists and 'y' numbers"):
        score({"y": [1, 0], "p": [0.5, 0.5], "w": [[1.0], [2.0]]}, target="y", probability="p", weight="w")
