"""Queries as sources: what databases answer has the digits of a table, and one sentence for what fails."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import duckdb
import polars as pl
import psycopg2
import pytest
import sqlalchemy

import logloss as ll
from engines import databases
from logloss.cli import main
from logloss.sources.databases import Query

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore::ResourceWarning")]

COLUMNS: dict[str, Any] = {"target": "y", "probability": "p", "weight": "w", "group": "country, old = age > 60"}
QUERY = "select y, p, w, country, age from predictions where x = 1"
SECRET = "w7-secret"


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return databases.table().filter(pl.col("z").is_finite())


@pytest.fixture(scope="module")
def files(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The table in a file of DuckDB, in one of SQLite, and in PostgreSQL, by URL."""
    folder = tmp_path_factory.mktemp("databases")
    found = {"duckdb": str(folder / "some.duckdb"), "sqlite": str(folder / "some file.sqlite")}
    with duckdb.connect(found["duckdb"]) as connection:
        connection.register("frame", frame.to_arrow())
        connection.execute("create table predictions as from frame")
    marks = ", ".join("?" * frame.width)
    lite = sqlite3.connect(found["sqlite"])
    lite.execute(f"create table predictions ({', '.join(frame.columns)})")
    lite.executemany(f"insert into predictions values ({marks})", frame.rows())
    lite.commit()
    lite.close()
    return found


@pytest.fixture(scope="module")
def postgres(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.postgres(tmp_path_factory.mktemp("postgres")) as url:
        with psycopg2.connect(url) as connection:
            databases.fill(connection.cursor(), frame)
        connection.close()
        yield url


@pytest.fixture(scope="module")
def places(files: dict[str, str], postgres: str) -> dict[str, str]:
    return {**files, "postgres": postgres, "other": f"sqlite:///{files['sqlite']}"}


def same(found: ll.Scores, expected: ll.Scores) -> bool:
    return repr(found.to_rows()) == repr(expected.to_rows()) and found.summary.rows > 0


@pytest.mark.parametrize("kind", ["duckdb", "sqlite", "postgres", "other"])
def test_each_database(kind: str, places: dict[str, str], frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, by file and URL."""
    monkeypatch.setattr("logloss.sources.databases._ROWS", 100)
    expected = ll.score(frame.filter(pl.col("x") == 1), **COLUMNS)
    assert same(ll.score(query=QUERY, database=places[kind], **COLUMNS), expected)


CONNECTIONS: dict[str, Callable[[dict[str, str]], Any]] = {
    "duckdb": lambda places: duckdb.connect(places["duckdb"], read_only=True),
    "sqlite": lambda places: sqlite3.connect(places["sqlite"], check_same_thread=False),
    "psycopg": lambda places: psycopg2.connect(places["postgres"]),
    "adbc": lambda places: adbc_driver_postgresql.dbapi.connect(places["postgres"]),
    "sqlalchemy": lambda places: sqlalchemy.create_engine(places["other"]).connect(),
}


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_connections(kind: str, places: dict[str, str], frame: pl.DataFrame) -> None:
    """Those that a person has, which stay open."""
    connection = CONNECTIONS[kind](places)
    expected = ll.score(frame.filter(pl.col("x") == 1), **COLUMNS)
    for _ in range(2):
        assert same(ll.score(query=QUERY, database=connection, **COLUMNS), expected)
    connection.close()


def test_what_a_connection_gives(places: dict[str, str], frame: pl.DataFrame) -> None:
    """A relation, and the answer that ADBC's cursor holds, are tables."""
    expected = ll.score(frame.filter(pl.col("x") == 1), **COLUMNS)
    with duckdb.connect(places["duckdb"], read_only=True) as connection:
        assert same(ll.score(connection.sql(QUERY), **COLUMNS), expected)
    with adbc_driver_postgresql.dbapi.connect(places["postgres"]) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        assert same(ll.score(cursor.fetch_arrow(), **COLUMNS), expected)


def test_numbers_of_any_length(places: dict[str, str]) -> None:
    """`numeric` is a number, rounded once."""
    query = (
        "select y::int, n::numeric as p from (values (1, '0.70000000000000001'), (0, '0.1'), (1, '1e-30')) as t(y, n)"
    )
    found = ll.score(query=query, database=places["postgres"], target="y", probability="p")
    expected = ll.score({"y": [1, 0, 1], "p": [0.7, 0.1, 1e-30]}, target="y", probability="p")
    assert same(found, expected)


def test_labels_comparisons_and_the_command_line(
    places: dict[str, str], frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, path = frame.with_row_index("id"), tmp_path / "labels.parquet"
    labels.select("id", "y").write_parquet(path)
    with duckdb.connect() as connection:
        connection.register("labels", labels.to_arrow())
        query = Query("select id, p from labels", connection)
        found = ll.score(query=query.text, database=connection, labels=path, key="id", target="y", probability="p")
        assert found.summary.results[0].statistics.rows == frame.height
        models = {"target": "y", "probability": {"old": "p", "new": "q"}}
        compared = ll.compare(query="select *, p * p as q from labels", database=connection, **models)
        assert compared.scores.summary.rows == frame.height
    arguments = ["--query", QUERY, "--database", places["postgres"], "--target", "y", "--probability", "p"]
    assert main(["score", "--json", *arguments]) == 0
    expected = ll.score(query=QUERY, database=places["postgres"], target="y", probability="p")
    assert capsys.readouterr().out == expected.to_json()
    report, state = tmp_path / "report.html", tmp_path / "state.json"
    arguments[3] = arguments[3].replace("postgres:@", f"postgres:{SECRET}@")
    assert SECRET in arguments[3]
    assert main(["report", *arguments, "-o", str(report), "--save-state", str(state)]) == 0
    said = report.read_text() + state.read_text() + "".join(capsys.readouterr())
    assert "the query of postgresql://postgres:…@" in said
    assert SECRET not in said


WRITING = {
    "duckdb": ["copy predictions to '{}'", "select y, p from predictions; copy predictions to '{}'", "attach '{}'"],
    "sqlite": ["vacuum into '{}'", "attach '{}' as other", "pragma user_version = 1"],
    "postgres": [],
}


@pytest.mark.parametrize("kind", WRITING)
def test_nothing_is_written(kind: str, places: dict[str, str], tmp_path: Path) -> None:
    for query in ("delete from predictions", *WRITING[kind]):
        with pytest.raises(
            ll.InvalidInputError, match=r"write a SELECT, for a query only reads|cannot execute DELETE in"
        ):
            ll.score(query=query.format(tmp_path / "new"), database=places[kind], target="y", probability="p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_what_only_reads(kind: str, places: dict[str, str]) -> None:
    """Whatever it begins with."""
    counted = "with recursive k(n) as (values (1) union all select n + 1 from k where n < 3)"
    expected = ll.score(query=QUERY, database=places[kind], **COLUMNS).summary.results
    for query in (f"-- all of them\n{QUERY};", f"{counted} {QUERY} and 3 = (select max(n) from k)"):
        assert ll.score(query=query, database=places[kind], **COLUMNS).summary.results == expected


MESSAGES = {
    "select y frm predictions": r"cannot be answered \(.*syntax error at or near .predictions|.*near .predictions",
    "select y, p from predictons": r"the query of .* cannot be answered \(.*predictons.*\); mend it, and look up",
    "select y, q from predictions": r"cannot be answered \(.*\bq\b.*\); mend it",
    "select y from predictions": r"there is no column 'p' in the query of .*, which has y; ",
    "select y, p from predictions where x > 9": "there must be rows to score; the query of .* has none; check ",
}


@pytest.mark.parametrize("kind", ["duckdb", "sqlite", "postgres", "other"])
@pytest.mark.parametrize("query", MESSAGES)
def test_queries_that_fail(kind: str, query: str, places: dict[str, str]) -> None:
    with pytest.raises(ll.InvalidInputError, match=MESSAGES[query]) as raised:
        ll.score(query=query, database=places[kind], target="y", probability="p")
    assert "\n" not in str(raised.value)


def test_a_connection_of_one_thread(files: dict[str, str]) -> None:
    connection = sqlite3.connect(files["sqlite"])
    with pytest.raises(ll.InvalidInputError, match=r"connect with check_same_thread=False, or give the path\.$"):
        ll.score(query=QUERY, database=connection, **COLUMNS)
    connection.close()


def test_a_query_that_fails_late(postgres: str) -> None:
    query = "select case when i < 90000 then 1 else 1 / (i - 90000) end as y, 0.5 as p from generate_series(1, 99999) i"
    with pytest.raises(
        ll.InvalidInputError, match=r"cannot be answered \(.*division by zero\); check its SQL, and that"
    ):
        ll.score(query=query, database=postgres, target="y", probability="p")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--query", "select 1"],
            "a query must be SQL, and have a database; got query='select 1' and no database; give",
        ),
        (["--database", "x.duckdb"], "a query must be SQL, and have a database; got query=None and its database; give"),
        (["x.csv", "--query", "q", "--database", "d"], "a source must be one; got files or a table, and a query too; "),
        ([], "there must be a source; got none; name files, or give a query and its database."),
        (
            ["--query", "q", "--database", "no.duckdb"],
            "a database must be there; no.duckdb cannot be read (No such file",
        ),
        (
            ["--query", "q", "--database", "README.md"],
            "a database must be a file of DuckDB or SQLite, or a URL such as ",
        ),
        (
            ["--query", "q", "--database", "nosuch://me:w7-secret@x/y"],
            "a database must be a URL that SQLAlchemy knows; got nosuch://me:…@x/y (",
        ),
        (
            ["--query", "q", "--database", "postgresql://me:w7-secret@127.0.0.1:9/x"],
            "the query of postgresql://me:…@127.0.0.1:9/x cannot be answered (IO: [libpq] Failed to connect: ",
        ),
        (
            ["--query", "q", "--database", "README.md", "--engine", "dask"],
            "a query is answered by its database, and not ",
        ),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *arguments, "--target", "y", "--probability", "p"]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(f"logloss: {message}")
    assert SECRET not in error


@pytest.mark.parametrize(
    ("library", "url"), [("sqlalchemy", "mysql://h/x"), ("adbc_driver_postgresql.dbapi", "postgres://h/x")]
)
def test_a_library_that_is_not_installed(library: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ll.MissingDependencyError, match=r"to ask .*://h/x, install what does: pip install 'logloss\[data"
    ):
        ll.score(query="select 1", database=url, target="y", probability="p")
