"""One SELECT in a database gives the scores of its rows: run on DuckDB, PostgreSQL and Spark, parsed for the others."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot

import logloss as ll
from engines import databases
from engines.databases import CALLS, assert_close
from logloss.cli import main


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return databases.table()


@pytest.mark.parametrize("call", CALLS)
def test_duckdb(call: str, frame: pl.DataFrame) -> None:
    options = {"target": "y", **CALLS[call]}
    with duckdb.connect() as connection:
        connection.register("predictions", frame)
        found = ll.sql("predictions", **options)
        assert_close(found.scores(connection.sql(found.text)), ll.score(frame, **options))


def test_what_the_scores_say_of_themselves(frame: pl.DataFrame, tmp_path: Path) -> None:
    query = ll.sql("(select * from predictions where age > 50) as older", target="y", logit="z")
    with duckdb.connect() as connection:
        connection.register("predictions", frame)
        scores = query.scores(connection.sql(str(query)))
    assert_close(scores, ll.score(frame, target="y", logit="z", where="age > 50"))
    assert scores.to_dict()["approximate"] is True
    assert "A database added these up in float64" in str(scores)
    with pytest.raises(ll.InvalidInputError, match="only exact states can be saved"):
        scores.save(tmp_path / "state.json")


@pytest.mark.parametrize(
    ("column", "value", "option"),
    [("y", None, "nulls"), ("z", None, "nulls"), ("y", 2.0, "invalid"), ("z", float("nan"), "invalid")],
    ids=["no target", "no logit", "target of 2", "logit of nan"],
)
def test_bad_rows(column: str, value: float | None, option: str) -> None:
    table = pl.DataFrame({"y": [1.0, 0.0, 1.0], "z": [0.5, 1.0, 2.0]})
    table = table.with_columns(
        pl.when(pl.int_range(3) == 1).then(pl.lit(value, pl.Float64)).otherwise(column).alias(column)
    )
    with duckdb.connect() as connection:
        connection.register("predictions", table)
        query = ll.sql("predictions", target="y", logit="z")
        with pytest.raises(ll.InvalidInputError, match=f"1 of predictions do not; leave them out with {option}='drop'"):
            query.scores(connection.sql(query.text))
        query = ll.sql("predictions", target="y", logit="z", **{option: "drop"})
        found = query.scores(connection.sql(query.text))
    assert_close(found, ll.score(table, target="y", logit="z", **{option: "drop"}))
    assert sum(found.summary.dropped.values()) == 1


NAMES = {
    "predictions": "predictions",
    "my table": '"my table"',
    "2024": '"2024"',
    "main.predictions": "main.predictions",
    "main.my table": 'main."my table"',
    'main."my table"': 'main."my table"',
    '"my.table"': '"my.table"',
    "`my table`": '"my table"',
    'a "b" c': '"a ""b"" c"',
    "it's": '"it\'s"',
    "sales (2024)": '"sales (2024)"',
    "drop; --": '"drop; --"',
    "(SELECT * FROM predictions)": "(SELECT * FROM predictions)",
    "predictions AS t": "predictions AS t",
    "query_table('predictions')": "query_table('predictions')",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_tables(name: str, frame: pl.DataFrame) -> None:
    query = ll.sql(name, target="y", logit="z", where="age > 50 -- not all", group="old = age > 60 -- years")
    assert f" FROM {NAMES[name]} WHERE age > 50" in query.text
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE predictions AS FROM frame")
        if "predictions" not in name:
            connection.execute(f"CREATE TABLE {NAMES[name]} AS FROM frame")
        found = query.scores(connection.sql(query.text))
    assert_close(found, ll.score(frame, target="y", logit="z", where="age > 50", group="old = age > 60"))


def test_names_of_tables_in_other_dialects() -> None:
    for dialect, written in (("spark", "`my table`"), ("bigquery", "`my table`"), ("snowflake", '"my table"')):
        assert f"FROM {written}" in ll.sql("my table", target="y", logit="z", dialect=dialect).text
    with pytest.raises(ll.InvalidInputError, match="must be SQL that can be written for spark; this cannot"):
        ll.sql("(select", target="y", logit="z", dialect="spark")
    with pytest.raises(ll.InvalidInputError, match="a database knows its own; name each, with commas between them"):
        ll.sql("t", target="y_*", probability="p_*")
    with pytest.raises(ll.InvalidInputError, match="a table must be named; got ' '"):
        ll.sql(" ", target="y", logit="z")


def test_rows_of_something_else() -> None:
    query = ll.sql("predictions", target="y", logit="z")
    with pytest.raises(ll.InvalidInputError, match="there is no column 'll_problem'"):
        query.scores({"a": [1]})
    with pytest.raises(ll.InvalidInputError, match="dialect must be one of duckdb, spark"):
        ll.sql("predictions", target="y", logit="z", dialect="oracle")


def test_the_command_line(frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sql", "predictions", "--target", "y", "--logit", "z", "--group", "country, young = age < 30"]
    assert main(arguments) == 0
    query = capsys.readouterr().out
    expected = ll.score(frame, target="y", logit="z").summary.results[-1].statistics.log_loss
    for ending, option in (("csv", "(FORMAT csv)"), ("parquet", "")):
        path = tmp_path / f"rows.{ending}"
        with duckdb.connect() as connection:
            connection.register("predictions", frame)
            connection.execute(f"COPY ({query.rstrip().rstrip(';')}) TO '{path}' {option}")
        assert main([*arguments, "--result", str(path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found["results"]) == 7
        assert math.isclose(found["results"][-1]["log_loss"], expected, rel_tol=1e-12)
    assert main([*arguments, "--result", str(path), "--fail-if", "log_loss > 0.01"]) == 1


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "trino"])
@pytest.mark.parametrize("call", CALLS)
def test_dialects_that_are_parsed(call: str, dialect: str) -> None:
    text = ll.sql("predictions", dialect=dialect, **{"target": "y", **CALLS[call]}).text
    (tree,) = sqlglot.parse(text, read=dialect)
    sums = {one.alias for one in tree.find_all(sqlglot.exp.Alias)}
    assert {"ll_wl", "ll_wwll", "ll_rows"} <= {name.lower() for name in sums}


@pytest.mark.engines
@pytest.mark.parametrize("call", CALLS)
def test_postgres(call: str, frame: pl.DataFrame, server: Any) -> None:
    options = {"target": "y", **CALLS[call]}
    cursor = server.cursor()
    cursor.execute(ll.sql("predictions", dialect="postgres", **options).text)
    names = [column.name for column in cursor.description]
    rows = {name: list(values) for name, values in zip(names, zip(*cursor.fetchall(), strict=True), strict=True)}
    assert_close(ll.sql("predictions", **options).scores(rows), ll.score(frame, **options))


@pytest.fixture(scope="module")
def server(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import psycopg2

    with databases.postgres(tmp_path_factory.mktemp("postgres")) as url, psycopg2.connect(url) as connection:
        databases.fill(connection.cursor(), frame)
        yield connection
