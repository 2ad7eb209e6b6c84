"""What is asked of every engine: one machine's results to the bit, its errors, and that no lost worker changes them."""

from __future__ import annotations

import json
import pickle
import re
import runpy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from engines.conftest import ACS, COLUMNS, table
from logloss.cli import main
from logloss.engines import remote
from logloss.engines.parts import Answer, Part, Work, Worker
from logloss.engines.task import Task

WEIGHTED = {"target": "y", "logit": "z", "weight": "w", "group": "country, young = age < 30", "where": "age > 20"}


def check_files(engine: str, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same results, and the same names, as on one machine; large files are cut."""
    monkeypatch.setattr(remote, "_ROWS", 600)
    found, expected = ll.score(files, engine=engine, **WEIGHTED), ll.score(files, **WEIGHTED)
    assert found.to_json() == expected.to_json()


def check_diagnostics(engine: str, files: list[str]) -> None:
    """Bins and clusters travel as sums do, and for the exact decomposition rows do; files are read again for it."""
    options: dict[str, Any] = {"target": "y", "logit": "z", "diagnostics": True, "cluster": "age", "group": "country"}
    options["corp"] = "exact"
    _assert_exact(ll.score(files, engine=engine, **options), ll.score(files, **options))


def check_store(engine: str, folder: Path) -> None:
    """Workers read objects by themselves, and what is wrong with one is said as here."""
    found = ll.score("s3://logs/clicks/*/*.[!b]*[!2]", engine=engine, target="y", logit="z", group="day")
    assert repr(found.to_rows()) == repr(
        ll.score(f"{folder}/*/*.[!b]*[!2]", target="y", logit="z", group="day").to_rows()
    )
    with pytest.raises(ll.InvalidInputError, match=r"no column 'x' in s3://logs/clicks/day=2026-11-02/part-0\.csv"):
        ll.score("s3://logs/clicks/*/part-0.csv", engine=engine, target="x", logit="z")


LABELLED: dict[str, Any] = {"key": "id", "target": "y", "logit": "z", "group": "country,kind", "cluster": "age"}


def labelled(folder: Path) -> tuple[list[str], str]:
    """Predictions in three files, one of them empty and one of texts, and their labels in another order."""
    frame = table(2500).with_row_index("id")
    labels = frame.select("id", "y", kind=pl.col("age") % 3).sample(fraction=1, shuffle=True, seed=1)
    labels.write_csv(folder / "labels.csv")
    names = [str(folder / name) for name in ("a.parquet", "b.csv", "c.parquet")]
    rest = frame.drop("y")
    rest[:1800].write_parquet(names[0], row_group_size=100)
    rest[1800:].write_csv(names[1])
    rest[:0].write_parquet(names[2])
    return names, str(folder / "labels.csv")


def check_labels(engine: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Labels in other files: the counts, the digits and the errors of one machine, whatever the parts."""
    names, labels = labelled(folder)
    monkeypatch.setattr(remote, "_ROWS", 700)
    call: dict[str, Any] = {**LABELLED, "engine": engine, **options}
    other = str(folder / "others.csv")
    pl.read_csv(labels).filter(pl.col("id") > 20).with_columns(pl.col("id") - 10).write_csv(other)  # 11 to 2489
    twice = str(folder / "twice.parquet")
    pl.read_csv(names[1]).filter(pl.col("id") == 1900).write_parquet(twice)
    said: list[str] = []
    for where in ("here", "there"):
        for source in (names, [*names, twice]):
            with pytest.raises(ll.InvalidInputError) as raised:
                ll.score(source, labels=other, **(call if where == "there" else LABELLED))
            said.append(re.sub(r"such as id = '\d+'", "such as …", str(raised.value)))
    assert said[:2] == said[2:]
    assert "alone in predictions: 21, such as …; leave" in said[0]
    assert "a key must stand in one row of the predictions; id = '1900' stands in 2; " in said[1]
    dropped = {"labels": other, "unmatched": "drop"}
    found = ll.score(names, **dropped, **call)
    assert found.to_json() == ll.score(names, **dropped, **LABELLED).to_json()
    assert found.summary.joined == {"matched": 2479, "only_in_predictions": 21, "only_in_labels": 0}
    bad = str(folder / "bad.parquet")
    pl.read_parquet(names[0]).with_columns(z=pl.when(pl.col("id") == 1500).then(None).otherwise("z")).write_parquet(bad)
    for options in (LABELLED, call):
        with pytest.raises(ll.InvalidInputError, match=r"row 1,501 of .*bad\.parquet"):
            ll.score(bad, labels=labels, unmatched="drop", **options)


def check_commands(engine: str, files: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What each command prints, and the page of a report, are to the byte those of one machine."""
    page, columns = folder / "report.html", ["--target", "y", "--group", "country"]
    models = [*columns, "--logit", "old=w", "--logit", "new=z", "--cluster", "age", "--weight", "w", "--json"]
    commands = [
        ["compare", *files, *models],
        ["segments", *files, *columns, "--logit", "z", "--depth", "1", "--json"],
        ["report", *files, *columns, "--logit", "z", "-o", str(page)],
    ]
    for command in commands:
        shown = set()
        for more in ([], ["--engine", engine]):
            assert main([*command, *more]) == 0
            written = page.read_text(encoding="utf-8") if page.exists() else ""
            shown.add((capsys.readouterr().out, written.replace(f" --engine {engine}", "")))
        ((printed, written),) = shown
        assert json.loads(printed) if "--json" in command else "<h2" in written


def check_table(table: Any, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of the engine's own, found by its type, and the exact decomposition from several ranges of its rows."""
    monkeypatch.setattr(remote, "_ROWS", 600)
    options: dict[str, Any] = {**WEIGHTED, "diagnostics": True, "corp": "exact"}
    _assert_exact(ll.score(table, **options), ll.score(frame, **options))


def _assert_exact(found: ll.Scores, expected: ll.Scores) -> None:
    """The same digits, but for those of the exact decomposition, whose last ones may differ."""
    rows, others = found.to_rows(), expected.to_rows()
    for mine, other in zip(rows, others, strict=True):
        exact = [name for name in other if name.endswith(("miscalibration_raw", "discrimination_raw"))]
        assert len(exact) == 4
        assert [mine.pop(name) for name in exact] == pytest.approx([other.pop(name) for name in exact], abs=1e-12)
    assert repr(rows) == repr(others)


def check_all_of_a_table(table: Any, frame: pl.DataFrame, folder: Path) -> None:
    """A report, its segments, and a comparison."""
    columns: dict[str, Any] = {"target": "y", "group": "country"}
    reports = [ll.report(one, folder / "report.html", logit="z", **columns) for one in (table, frame)]
    assert reports[0].summary.results == reports[1].summary.results
    assert ll.segments(reports[0]).to_json() == ll.segments(reports[1]).to_json()
    compared = [ll.compare(one, logit={"old": "w", "new": "z"}, **columns).to_dict() for one in (table, frame)]
    assert len({json.dumps(one["comparisons"]) for one in compared}) == 1  # as text, where NaN is NaN


def check_example(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of examples/ prints what a run of the file prints, but for the name of what was scored."""
    runpy.run_path(str(ACS.parent / f"score_{engine}.py"), run_name="__main__")
    printed = capsys.readouterr().out.replace(f"the {engine.capitalize()} table", str(ACS))
    assert " ".join(str(ll.score(ACS, group="year", **COLUMNS)).split()) in " ".join(printed.split())


def check_bad_value(engine: str, files: list[str], folder: Path) -> None:
    """The row of the file is named as it is on one machine."""
    bad = str(folder / "bad.parquet")
    pl.DataFrame({"y": [0, 1, 0], "z": [0.5, None, 1.0], "w": [1.0, 1, 1]}).write_parquet(bad)
    columns = {"target": "y", "logit": "z"}
    with pytest.raises(ll.InvalidInputError) as here:
        ll.score([bad], **columns)
    with pytest.raises(ll.InvalidInputError) as there:
        ll.score([files[0], bad], engine=engine, **columns)
    assert str(there.value) == str(here.value)
    assert "row 2 of" in str(there.value)


def check_unreadable(engine: str | None, files: list[str], folder: Path) -> None:
    """A damaged file is refused by its name, or left out and counted."""
    damaged = folder / "damaged.parquet"
    content = bytearray(Path(files[3]).read_bytes())
    content[8:2000] = bytes(1992)
    damaged.write_bytes(content)
    columns = {"target": "y", "logit": "z"}
    with pytest.raises(ll.InvalidInputError, match=r"damaged\.parquet cannot be read"):
        ll.score([*files, str(damaged)], engine=engine, **columns)
    found = ll.score([*files, str(damaged)], engine=engine, on_error="skip", **columns)
    assert found.summary.results == ll.score(files, **columns).summary.results
    assert len(found.summary.skipped) == 1
    assert "1 file left out: " in " ".join(str(found).split())


def killed_once(worker: Worker, number: int, mark: str, generations: int) -> Work:
    """Work whose process, or the one so many generations above, dies in the middle of a part, once."""

    def work(part: Part) -> Answer:  # a function within one travels to workers that do not have this module
        import os
        import signal
        import time
        from pathlib import Path

        if part.number == number and not Path(mark).exists():
            Path(mark).touch()
            victim = os.getpid()
            for _ in range(generations):
                victim = int(Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(victim, signal.SIGKILL)
            time.sleep(60)  # the process above is being waited for
        return worker(part)

    return work


def check_killed(engine: Any, files: list[str], folder: Path, generations: int = 0) -> None:
    """A worker that is lost with what it was doing: the part is done again, and counts once."""
    mark = folder / "killed"
    worker = Worker(Task({"target": "y", "logit": "z"}))
    _, _, pieces = remote._parts("any", worker, files)
    answers = engine.of_files(pieces).answers(killed_once(worker, 2, str(mark), generations))
    state = remote._state(remote._added(answers, None))
    assert mark.exists()
    assert state.rows == ll.score(files, target="y", logit="z").summary.rows
    assert pickle.loads(pickle.dumps(worker)) == worker
