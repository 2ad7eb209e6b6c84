"""Whatever the rows come in, the same rows give the same bits."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from logloss._errors import InvalidInputError, UnsupportedTypeError
from logloss.evaluate.summary import Result
from logloss.scores import score
from logloss.sources import stream
from tables import kinds

COLUMNS = {"target": "y", "probability": "p", "group": "g"}
ROWS = pl.DataFrame({"y": [1, 0, 0, 1, 1], "p": [0.1, 0.2, 0.3, 0.4, 1 - 2.0**-53], "g": ["a", "é", "a", "é", "a"]})


def results(source: Any, **options: Any) -> tuple[Result, ...]:
    return score(source, **{**COLUMNS, **options}).summary.results


@pytest.fixture(scope="module")
def expected() -> tuple[Result, ...]:
    return results(ROWS)


def compressed(path: Path, codec: str) -> Path:
    """The file again, compressed, under its name with another suffix."""
    other = path.with_name(f"{path.name}.{'gz' if codec == 'gzip' else 'zst'}")
    with pa.CompressedOutputStream(str(other), codec) as stream:
        stream.write(path.read_bytes())
    path.unlink()
    return other


WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": pl.DataFrame.write_csv,
    "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "jsonl": pl.DataFrame.write_ndjson,
    "ndjson": pl.DataFrame.write_ndjson,
    "arrow": pl.DataFrame.write_ipc,
    "feather": pl.DataFrame.write_ipc,
    "arrows": pl.DataFrame.write_ipc_stream,
    "parquet": pl.DataFrame.write_parquet,
    "pq": pl.DataFrame.write_parquet,
}


def written(suffix: str, directory: Path) -> Path:
    path = directory / f"rows.{suffix}"
    WRITERS[suffix](ROWS, path)
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_formats(suffix: str, tmp_path: Path, expected: tuple[Result, ...]):
    assert results(written(suffix, tmp_path)) == expected


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_compressed_text(suffix: str, codec: str, tmp_path: Path, expected: tuple[Result, ...]):
    assert results(compressed(written(suffix, tmp_path), codec)) == expected


def structured(rows: pl.DataFrame) -> np.ndarray:
    array = np.zeros(rows.height, [("p", ">f8"), ("g", "U3"), ("y", "i1")])
    for name in rows.columns:
        array[name] = rows[name].to_numpy()
    return array


def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect().register("rows", ROWS.to_arrow())


TABLES: dict[str, Callable[[], Any]] = {
    "polars": lambda: ROWS,
    "lazy": ROWS.lazy,
    "pandas": ROWS.to_pandas,
    "pyarrow": ROWS.to_arrow,
    "stream": lambda: ROWS.to_arrow().to_reader(max_chunksize=2),
    "mapping": lambda: {"y": np.array([1, 0, 0, 1, 1]), "p": ROWS["p"].to_numpy(), "g": ["a", "é", "a", "é", "a"]},
    "tables": lambda: (ROWS.slice(start, 2) for start in (0, 2, 4)),
    "record batches": lambda: iter(ROWS.to_arrow().to_batches(max_chunksize=3)),
    "pandas chunks": lambda: [ROWS.head(2).to_pandas(), ROWS.tail(3).to_pandas()],
    "pandas with nullable types": lambda: ROWS.to_pandas().astype({"y": "Int8", "p": "Float64", "g": "category"}),
    "one record batch": lambda: ROWS.to_arrow().combine_chunks().to_batches()[0],
    "an array of rows": lambda: structured(ROWS),
    "arrays of rows": lambda: (structured(ROWS[start : start + 2]) for start in (0, 2, 4)),
    "mappings": lambda: ({name: ROWS[name][k : k + 3].to_numpy() for name in ROWS.columns} for k in (0, 3)),
    "DuckDB relation": lambda: duckdb.sql("SELECT * FROM rows", connection=connection()),
    "DuckDB reader": lambda: duckdb.sql("SELECT * FROM rows", connection=connection()).to_arrow_reader(2),
}


@pytest.mark.parametrize("kind", kinds(TABLES))
def test_tables(kind: str, expected: tuple[Result, ...]):
    assert results(TABLES[kind]()) == expected


def streamed(batches: list[pa.RecordBatch], **options: Any) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4"}], ids=str)
def test_arrow_streams(options: dict[str, Any], tmp_path: Path, expected: tuple[Result, ...]):
    """Told by their content under any name of Arrow's; with replaced dictionaries, and with or without a marked end."""
    batches = []
    for start in (0, 2, 4):
        g = pa.array(ROWS["g"][start : start + 2].to_list()).dictionary_encode()
        y, p = (pa.array(ROWS[name][start : start + 2].to_list()) for name in "yp")
        batches.append(pa.record_batch({"unused": g, "y": y, "p": p, "g": g}))
    content = streamed(batches, **options)
    for name, part in [("rows.arrow", content), ("rows.arrows", content[:-8]), ("rows.feather", content)]:
        (tmp_path / name).write_bytes(part)
        assert results(tmp_path / name) == expected
    ROWS.write_ipc(tmp_path / "file.arrows")
    assert results(tmp_path / "file.arrows") == expected


def test_arrow_streams_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "_PIECE", 1 << 12)
    rows = pl.DataFrame({"y": [1] * 5_000, "p": [0.5] * 4_999 + [7.0]})
    (tmp_path / "rows.arrows").write_bytes(streamed(rows.to_arrow().to_batches(max_chunksize=100)))
    with (tmp_path / "rows.arrows").open("rb") as file:
        assert max(map(len, stream.pieces(file))) < 8_000
    with pytest.raises(InvalidInputError, match=r"it is 7\.0 in row 5,000 of"):
        score(tmp_path / "rows.arrows", target="y", probability="p")


def test_damaged_arrow_streams(tmp_path: Path):
    content, path = streamed(ROWS.to_arrow().to_batches(max_chunksize=2)), tmp_path / "rows.arrows"
    for cut in (3, 20, len(content) // 2, len(content) - 12):
        path.write_bytes(content[:cut])
        with pytest.raises(InvalidInputError, match=r"rows\.arrows cannot be read as Arrow"):
            results(path)
    for place in (4, 12, len(content) // 2):
        path.write_bytes(content[:place] + b"\x7f" * 4 + content[place + 4 :])
        with pytest.raises(InvalidInputError, match=r"rows\.arrows cannot be read as Arrow stream"):
            results(path)


def test_paths_one_after_another(tmp_path: Path, expected: tuple[Result, ...]):
    for start in (0, 2, 4):
        ROWS[start : start + 2].write_parquet(tmp_path / f"{start}.parquet")
    assert results(tmp_path.glob("*.parquet")) == expected
    with pytest.raises(UnsupportedTypeError, match="got DataFrame"):
        results([tmp_path / "0.parquet", ROWS])


def test_directories_globs_and_lists(tmp_path: Path, expected: tuple[Result, ...]):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    ROWS.head(2).write_parquet(tmp_path / "deep" / "a.parquet")
    ROWS.tail(3).write_csv(tmp_path / "deep" / "er" / "b.csv")
    for other in ("_SUCCESS", ".hidden.csv", "README.md"):
        (tmp_path / "deep" / other).write_text("no predictions")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/deep/a.parquet\n\n{tmp_path}/**/b.csv\n")
    for source in (
        tmp_path / "deep",
        str(tmp_path / "d*"),
        [f"{tmp_path}/deep/*.parquet", f"{tmp_path}/**/*.csv"],
        f"@{tmp_path}/list.txt",
    ):
        assert results(source) == expected


def test_partitions_become_columns(tmp_path: Path):
    for year, country, p in [(2015, "SE", 0.5), (2016, "SE", 0.25), (2016, "NO", 0.125)]:
        directory = tmp_path / f"year={year}" / f"country={country}"
        directory.mkdir(parents=True)
        pl.DataFrame({"y": [1], "p": [p]}).write_parquet(directory / "part.parquet")
    found = results(tmp_path, group=["year", "country"])
    assert [one.group for one in found] == [(2015, "SE"), (2016, "NO"), (2016, "SE"), None]
    assert results(tmp_path, group="country", where="year = 2016 and country = 'NO'")[0].statistics.brier == 0.875**2


def test_partitions_of_escaped_and_missing_values(tmp_path: Path):
    for name in ("a%3Ab", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / f"time={name}").mkdir()
        ROWS.write_parquet(tmp_path / f"time={name}" / "part.parquet")
    found = score(tmp_path, target="y", probability="p", group="time", nulls="drop").summary
    assert ([one.group for one in found.results], found.dropped["missing"]) == ([("a:b",), None], 5)
    found = score(tmp_path, target="y", probability="p", group="time").summary
    assert [one.group for one in found.results] == [("a:b",), (None,), None]
    (tmp_path / "time=a%3Ab").rename(tmp_path / "time=3")
    found = score(tmp_path, target="y", probability="p", group="time", nulls="drop").summary
    assert [one.group for one in found.results] == [(3,), None]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "arrow", "arrows", "parquet"])
def test_standard_input(suffix: str, tmp_path: Path, expected: tuple[Result, ...], monkeypatch: pytest.MonkeyPatch):
    content = io.BytesIO(written(suffix, tmp_path).read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    assert results("-") == expected


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_compressed_standard_input(
    suffix: str, codec: str, tmp_path: Path, expected: tuple[Result, ...], monkeypatch: pytest.MonkeyPatch
):
    content = io.BytesIO(compressed(written(suffix, tmp_path), codec).read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    assert results("-") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\x1f\x8bno gzip", r"standard input is damaged \(unknown compression method\)")],
)
def test_bad_standard_input(content: bytes, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(InvalidInputError, match=message):
        results("-")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["pipe", "pipe.parquet"])
def test_pipes(name: str, tmp_path: Path, expected: tuple[Result, ...]):
    """A pipe of any name, as of the shell's <(command): its content tells what it is."""
    pipe, content = tmp_path / name, written("parquet", tmp_path).read_bytes()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert results(pipe) == expected
    writer.join()


def test_text_may_begin_with_whole_numbers(tmp_path: Path):
    """Types are told from the first rows; a fraction may come after them."""
    lines = ["y,p", *["1,1"] * 20_000, "0.5,0.5", "1,1"]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    assert score(tmp_path / "rows.csv", target="y", probability="p").summary.rows == 20_002


def test_empty_parts_do_not_matter(tmp_path: Path, expected: tuple[Result, ...]):
    (tmp_path / "empty.csv").write_text("y,p,g\n")
    ROWS.clear().write_parquet(tmp_path / "empty.parquet")
    assert results([tmp_path / "empty.csv", written("csv", tmp_path), tmp_path / "empty.parquet"]) == expected


def test_only_needed_columns_are_read(tmp_path: Path):
    """A damaged column that nobody asked for does no harm."""
    path = tmp_path / "rows.parquet"
    frame = pl.DataFrame({"unused": np.random.default_rng(0).random(50_000), "y": [1] * 50_000, "p": [0.5] * 50_000})
    frame.write_parquet(path, compression="uncompressed", statistics=False)
    content = bytearray(path.read_bytes())
    content[1_000:300_000] = bytes(299_000)
    path.write_bytes(content)
    assert score(path, target="y", probability="p").summary.rows == 50_000


def test_conditions(tmp_path: Path):
    for condition, rows in [
        ("p < 0.35", 3),
        ("g = 'é'", 2),
        ("g in ('a', 'from') and y = 1", 2),
        ("p > 0.1 or g = 'a'", 5),
    ]:
        assert score(ROWS, **COLUMNS, where=condition).summary.rows == rows


def test_rows_keep_their_numbers_behind_a_condition():
    frame = pl.DataFrame({"y": [1, 1, 7, 0], "p": [0.5] * 4, "g": ["a", "b", "b", "b"]})
    with pytest.raises(InvalidInputError, match=r"it is 7\.0 in row 3 of the table"):
        score(frame, **COLUMNS, where="g = 'b'")
    assert score(frame, **COLUMNS, where="y < 2").summary.rows == 3


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("p >", "is not"),
        ("q > 0", "there is no column 'q' in the table"),
        ("p", "is DOUBLE in the table"),
        ("p > avg(p)", "cannot contain aggregates"),
        ("1 = 1", "names none"),
        ("y in (select y from read_csv('/etc/passwd'))", "has a query in it"),
        ("y in (SELECT y FROM self)", "has a query in it"),
        ("y > first_value(y) over (partition by g)", "has window in it"),
        ("p > 2", "has none with p > 2"),
    ],
)
def test_bad_conditions(condition: str, message: str):
    with pytest.raises(InvalidInputError, match=message):
        score(ROWS, **COLUMNS, where=condition)


def test_bad_paths(tmp_path: Path):
    (tmp_path / "README.md").write_text("nothing")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "rows.parquet.gz").write_bytes(gzip.compress(b""))
    strange = tmp_path / "r\udcffws.csv"
    strange.write_text("y,p\n1,0.5\n")
    for source, message in [
        (f"{tmp_path}/*.parquet", "no file matches"),
        (tmp_path / "README.md", "there is no column 'y'"),
        (tmp_path / "rows.parquet.gz", "is empty"),
        (f"@{tmp_path}/empty.txt", "must name a file; it is empty"),
        (f"@{tmp_path}/none.txt", "the list of files .* cannot be read"),
        (strange, r"must be UTF-8; got .*r\\xffws.csv"),
        ([], "at least one path"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            score(source, target="y", probability="p")
    strange.unlink()
    with pytest.raises(InvalidInputError, match=r"must hold files that end in \.parquet.*; it has none"):
        score(tmp_path, target="y", probability="p")


@pytest.mark.parametrize("source", [5, np.zeros((3, 2)), object(), [1, 2]])
def test_unsupported_sources(source: Any):
    with pytest.raises(UnsupportedTypeError, match="a source must be"):
        score(source, target="y", probability="p")


def test_tables_must_fit_together():
    with pytest.raises(InvalidInputError, match="column 'g' must have one type everywhere; it is String in table 1"):
        results(iter([ROWS, ROWS.with_columns(g=1)]))
    with pytest.raises(InvalidInputError, match="must give at least one"):
        results(iter([]))
    with pytest.raises(InvalidInputError, match="one-dimensional arrays of one length"):
        results({"y": [1, 0], "p": [0.5, 0.5, 0.5]})


@pytest.mark.frameworks
def test_pandas_columns_that_nothing_else_can_hold():
    import pandas as pd

    columns = {"y": [1, 0], "p": [0.9, 0.25], "mixed": [1, "a"], "large": [10**40, 1], "set": [{1}, {2}], "z": [1j, 2j]}
    frame = pd.DataFrame(columns)
    options = {"target": "y", "probability": "p"}
    assert score(frame, **options).summary.results == score({"y": [1, 0], "p": [0.9, 0.25]}, **options).summary.results
    with pytest.raises(InvalidInputError, match="column 'mixed' must hold numbers"):
        score(frame, target="mixed", probability="p")
    twice = pd.DataFrame([[1, 0.9, 0.1], [0, 0.25, 0.3]], columns=["y", "p", "p"])
    with pytest.raises(InvalidInputError, match="column 'p' must hold numbers"):
        score(twice, **options)
