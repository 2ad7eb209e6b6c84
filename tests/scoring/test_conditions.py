"""Conditions and groups in SQL: the same on every source, about one row, by an engine that sees nothing else."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError

Y_AND_P: dict[str, Any] = {"target": "y", "probability": "p"}
EVENTS = pl.DataFrame(
    {
        "y": [1, 0, 1, 0],
        "p": [0.9, 0.25, 0.5, 0.5],
        "age": [20, 30, 40, 29],
        "ts": pl.Series(["2026-01-09 10:00:00", "2026-01-10 00:00:00", "2026-01-10 12:00:00", "2026-02-01 00:00:00"]),
        "group": ["a", "b", "a", "b"],
        "user": ["u", "v", "u", "v"],
    }
)
TYPED = EVENTS.with_columns(pl.col("ts").str.to_datetime())


@pytest.fixture(params=["csv", "jsonl", "parquet", "table"])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "table":
        return TYPED
    frame, write = {
        "csv": (EVENTS, pl.DataFrame.write_csv),
        "jsonl": (EVENTS, pl.DataFrame.write_ndjson),
        "parquet": (TYPED, pl.DataFrame.write_parquet),
    }[request.param]
    path = tmp_path / f"events.{request.param}"
    write(frame, path)
    return path


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("ts >= '2026-01-10'", 3),
        ("month(ts) = 1", 3),
        ("age < 30", 2),
        ("AGE < 30 and p > 0.5", 1),
        ("p < 0.5", 1),
        ("\"group\" = 'a'", 2),
        ("user = 'u'", 2),
        ("age between 25 and 35 or \"user\" like 'u%' -- and more", 4),
        ("list_contains(list_transform([1, 2], lambda x: x * 20), age)", 2),
    ],
)
def test_conditions(condition: str, rows: int, events: Any):
    assert ll.score(events, **Y_AND_P, where=condition).summary.rows == rows


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("empty is null", 4),
        ("empty is null and y = 1", 2),
        ("empty > 5 or age < 30", 2),
        ("lower(empty) = 'x'", 0),
        ("empty", 0),
        ("case when y = 1 then null end", 0),
    ],
)
def test_what_is_null_in_all_rows(condition: str, rows: int):
    """A column and a condition of no type fit any, and such a condition holds for no row."""
    scores = ll.score(EVENTS.with_columns(empty=None), **Y_AND_P, where=f"age = 20 or ({condition})")
    assert scores.summary.rows == max(rows, 1)
    if rows == 0:
        with pytest.raises(InvalidInputError, match="there must be rows to score"):
            ll.score(EVENTS.with_columns(empty=None), **Y_AND_P, where=condition)
    groups = ll.score(
        EVENTS.with_columns(empty=None), **Y_AND_P, group=f'x = coalesce("group", empty), n = {condition}'
    )
    assert groups.summary.rows == 4


def test_a_name_that_sql_uses(events: Any):
    with pytest.raises(InvalidInputError, match='put names that SQL uses itself in double quotes, as in "group"'):
        ll.score(events, **Y_AND_P, where="group = 'a'")


@pytest.mark.parametrize(
    ("group", "keys"),
    [
        ("band = case when age < 30 then 'young' else 'old' end", {("young",): 2, ("old",): 2}),
        ("user, old = age >= 30", {("u", False): 1, ("u", True): 1, ("v", False): 1, ("v", True): 1}),
        ("strftime(ts, '%m,%Y') as month, user", {("01,2026", "u"): 2, ("01,2026", "v"): 1, ("02,2026", "v"): 1}),
        ("half = greatest(p, 0.5) = 0.5", {(False,): 1, (True,): 3}),
    ],
)
def test_groups_that_are_expressions(group: str, keys: dict[Any, int], events: Any):
    found = ll.score(events, **Y_AND_P, group=group).summary.results
    assert {one.group: one.statistics.rows for one in found if one.group} == keys


def test_days_are_groups(events: Any):
    found = ll.score(events, **Y_AND_P, group="day = date_trunc('day', ts)").summary.results
    assert {one.group[0][:10]: one.statistics.rows for one in found if one.group} == {
        "2026-01-09": 1,
        "2026-01-10": 2,
        "2026-02-01": 1,
    }


def test_states_of_other_definitions_do_not_add():
    one = ll.score(TYPED, **Y_AND_P, group="old = age > 30")
    two = ll.score(TYPED, **Y_AND_P, group="old = age > 40")
    with pytest.raises(InvalidInputError, match="their definitions differ"):
        ll.merge(one, two)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("age > (select 1)", "must have a name"),
        ("x = (select max(a) from range(3) t(a))", "has a query in it"),
        ("x = sum(p)", "cannot contain aggregates"),
        ("x = row_number() over ()", "has window in it"),
        ("age = age + 1", "'age' is a column"),
        ("x = nothing + 1", "there is no column 'nothing'"),
        ("x = (", "a group must be SQL"),
        ("x = [age]", r"a group must be a text, number, date or truth value; 'list_value\(age\)' is BIGINT\[\]"),
        ("x = {'a': age}", "is STRUCT"),
        ("x = map([age], [1])", "is MAP"),
        ('x = "group"::blob', "is BLOB"),
        ("x = age::varchar::bit", "is BIT"),
        ("x = interval (age) day", "is INTERVAL"),
    ],
)
def test_bad_groups(group: str, message: str):
    with pytest.raises(InvalidInputError, match=message):
        ll.score(TYPED, **Y_AND_P, group=group)


@pytest.mark.parametrize(
    "condition",
    [
        "y in (select 1 from read_csv('{secret}'))",
        "exists (from read_text('{secret}'))",
        "y = 1) from rows; copy (select 1) to '{made}'; select (1 = 1",
        "y = 1; attach '{made}' as other",
        "y = 1 union all select content = 'x' from read_text('{secret}')",
        "y = (select count(*) from glob('{secret}*'))",
        "y = 1 limit (select 1 from '{secret}')",
        "y in (from read_csv('http://127.0.0.1:{port}/x'))",
        "y = 1; install httpfs; load httpfs",
        "y = 1; set enable_external_access = true",
        "y = 1; set lock_configuration = false",
        "y = 1) and (1 in (select 1 from duckdb_settings())",
        "y = 1; pragma database_list",
        "read_text(case when y = 1 then '{secret}' end) is not null",
        "query('copy (select 1) to ''{made}''') is not null",
        "y = ?",
    ],
)
def test_conditions_cannot_break_out(condition: str, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("x\n1\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        places = {"secret": tmp_path / "secret.csv", "made": tmp_path / "made", "port": server.getsockname()[1]}
        with pytest.raises(InvalidInputError, match="condition"):
            ll.score(TYPED, **Y_AND_P, where=condition.format(**places))
        with pytest.raises(TimeoutError):
            server.accept()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
