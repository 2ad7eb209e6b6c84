"""Runs in parts on this machine: taken up again, with files left out, and refused in one sentence."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

import logloss as ll
from engines import cases
from engines.conftest import ACS, COLUMNS, table
from logloss.cli import main
from logloss.engines import parts, remote
from logloss.engines.parts import Answer, Part, Worker
from logloss.engines.task import Task
from logloss.evaluate import storage
from logloss.sources import open_source
from worker import python


def test_parts_add_to_the_whole(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_ROWS", 600)
    found = ll.score(files, resume=tmp_path, **cases.WEIGHTED)
    assert found.to_json() == ll.score(files, **cases.WEIGHTED).to_json()


def test_a_run_has_no_more_parts_than_that(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts hold more rows then, of a file or of several, and a run that is taken up has a state for each file."""
    monkeypatch.setattr(remote, "_ROWS", 600)
    monkeypatch.setattr(remote, "_PARTS", 4)
    worker = Worker(Task({"target": "y", "logit": "z"}, group="country"))
    _, _, pieces = remote._parts(None, worker, files)
    cuts = [[(Path(one.name).name, one.first, one.rows) for one in piece.source.files] for piece in pieces]
    assert cuts == [  # of 1000, 1, 400, 3000, 50, 700 and 2000 rows; text is not cut
        [("part0.parquet", 0, 1000), ("part1.csv", 0, None), ("part2.jsonl", 0, None)],
        [("part3.parquet", 0, 2400)],
        [("part3.parquet", 2400, 600), ("part4.csv", 0, None), ("part5.jsonl", 0, None), ("part6.parquet", 0, 600)],
        [("part6.parquet", 600, 1400)],
    ]
    total = parts.together(map(worker, pieces))
    expected = ll.score(files, target="y", logit="z", group="country")
    assert storage.dumps(parts.unpacked(total.state), ()) == storage.dumps(expected.state, ())
    for options in ({"resume": tmp_path}, {"resume": tmp_path}, {"on_error": "skip"}):
        found = ll.score(files, target="y", logit="z", group="country", **options)
        assert found.to_json() == expected.to_json()
    assert len(list(tmp_path.iterdir())) == 9


def test_states_are_added_up_in_a_tree() -> None:
    """Every one once, never more than a few at a time, and few are left."""
    sizes: list[int] = []

    def add(some: Sequence[frozenset[int]]) -> frozenset[int]:
        sizes.append(len(some))
        return frozenset().union(*some)

    for count in (1, 8, 9, 64, 65, 600):
        left = parts.in_tree([frozenset({k}) for k in range(count)], add)
        assert sorted(k for some in left for k in some) == list(range(count))
        assert len(left) <= parts.FAN >= max(sizes, default=1)


def test_any_order_of_adding_gives_the_same_bits(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_ROWS", 1 << 10)
    worker = Worker(Task({"target": "y", "logit": "z"}, group="country"))
    _, _, pieces = remote._parts(None, worker, files)
    answers = [worker(piece) for piece in pieces]
    assert len(pieces) == 10  # of seven files, of which two are larger than a part
    states = set()
    for seed in range(5):
        random.Random(seed).shuffle(answers)
        total = parts.together(parts.together(bundle) for bundle in parts.bundles(answers, seed + 1))
        states.add(storage.dumps(parts.unpacked(total.state), ()))
    assert len(states) == 1


def test_a_run_is_taken_up_and_a_changed_file_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    names = [str(tmp_path / f"{k}.parquet") for k in range(3)]
    for k, name in enumerate(names):
        table(100, k).write_parquet(name)
    columns = {"target": "y", "logit": "z", "resume": folder}
    done: list[int] = []
    monkeypatch.setattr(
        Worker, "_answer", lambda self, part, plain=Worker._answer: done.append(part.number) or plain(self, part)
    )
    first = ll.score(names[:2], **columns)
    assert (first.summary.rows, sorted(done)) == (200, [0, 1])
    assert ll.score(names, **columns).summary.rows == 300
    assert sorted(done) == [0, 1, 2]
    table(150, 7).write_parquet(names[0])
    changed = ll.score(names, **columns)
    assert sorted(done) == [0, 0, 1, 2]
    assert changed.summary.results == ll.score(names, target="y", logit="z").summary.results
    ll.score(names, weight="w", **columns)  # another question
    assert len(done) == 7


def test_labels_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken up again, and done again where labels have changed."""
    (states := tmp_path / "states").mkdir()
    cases.check_labels(None, tmp_path, monkeypatch, resume=states)
    names, labels = cases.labelled(tmp_path)
    done = len(list(states.iterdir()))
    pl.read_csv(labels).with_columns(y=1 - pl.col("y")).write_csv(labels)
    found = ll.score(names, labels=labels, resume=states, **cases.LABELLED)
    assert found.to_json() == ll.score(names, labels=labels, **cases.LABELLED).to_json()
    assert len(list(states.iterdir())) > done


def test_files_that_cannot_be_read(files: list[str], tmp_path: Path) -> None:
    cases.check_unreadable(None, files, tmp_path)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(Path(files[0]).read_bytes()[:-40])
    found = ll.score([*files, str(cut)], target="y", logit="z", on_error="skip")
    assert found.to_dict()["input"]["skipped"][0].startswith(f"{cut} cannot be read")
    with pytest.raises(ll.InvalidInputError, match=r"none is: .*cut\.parquet cannot be read"):
        ll.score([str(cut)], target="y", logit="z", on_error="skip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "flink"}, "an engine must be one of dask, ray, spark; got 'flink'"),
        ({"resume": "/no/such"}, "resume must be a directory; '/no/such' is none; make it"),
        ({"on_error": "drop"}, "on_error must be 'fail' or 'skip'; got 'drop'"),
        ({"on_error": "skip", "labels": str(ACS), "key": "year"}, "on_error must be 'fail' where labels are joined"),
        (
            {"engine": "dask", "labels": {"year": [2015]}, "key": "year"},
            "dask must be given labels in files",
        ),
    ],
    ids=["engine", "resume", "on_error", "labels", "labels in memory"],
)
def test_what_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ll.InvalidInputError, match=message):
        ll.score(str(ACS), **COLUMNS, **options)


def test_tables_of_this_machine_have_no_parts() -> None:
    with pytest.raises(
        ll.InvalidInputError, match="must be given files, which its workers read each by itself; got the table"
    ):
        ll.score(table(3), target="y", logit="z", on_error="skip")


def test_the_first_error_remains() -> None:
    answers = [Answer(3, 5, error="c"), Answer(1, 2, "", "a"), Answer(2, 1, "", "b"), Answer(0, 4)]
    assert parts.together(answers) == Answer(1, 12, error="a")


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from logloss.engines import ray

    monkeypatch.setattr(ray, "LIBRARIES", ("no_such_library",))
    with pytest.raises(ll.MissingDependencyError, match=r"pip install 'logloss\[ray\]'"):
        ll.score(str(ACS), engine="ray", **COLUMNS)


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a pipe that PySpark leaves
def test_a_java_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        ll.InvalidInputError, match=r"the run on spark failed: Spark needs Java 17 or later .* install one"
    ):
        ll.score(str(ACS), engine="spark", **COLUMNS)


def test_a_worker_without_the_package() -> None:
    from logloss.engines import dask, spark

    said = "Thrown from the Python worker.\n  import x\nModuleNotFoundError: No module named 'logloss.x'\n\tat"
    found = [remote._reason(engine, RuntimeError(said)) for engine in (dask, spark)]
    assert found[0] == "a worker has no logloss; install the same versions on every worker"
    assert found[1].startswith(
        "the Python of a worker has no logloss; install the same versions on every worker; PYSPA"
    )
    assert remote._reason(dask, RuntimeError("one\n two.\n")) == "two"


def test_a_state_of_another_version_is_not_added(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Worker(Task({"target": "y", "logit": "z"}))(Part(3, open_source(files[0])))
    monkeypatch.setattr(ll, "__version__", "9.9.9")  # of the driver, once the worker has answered
    assert re.search(r"version of logloss; one has 9\.9\.9, another \d+\.", parts.together([answer]).error)


def test_the_command_line(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", *files, "--target", "y", "--logit", "z", "--json"]
    assert main([*arguments, "--resume", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(list(tmp_path.iterdir())) == len(files)
    assert main([*arguments, "--on-error", "skip"]) == 0
    assert json.loads(capsys.readouterr().out) == found


INTERRUPTED = """
import _thread, sys

class Interrupts:
    "As a cancelled task has it, amid the import of a module."

    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            _thread.interrupt_main()

sys.meta_path.insert(0, Interrupts())
from logloss.engines.parts import Part, Worker
from logloss.engines.task import Task
from logloss.sources import open_source

for turn in range(2):
    try:
        print(Worker(Task({{"target": "y", "logit": "z"}}))(Part(0, open_source({file!r}))).rows)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("name", ["numba.core.types", "numba.core.typing.npydecl"])
def test_an_interrupt_while_numba_is_loaded_comes_when_it_is_whole(name: str, files: list[str]) -> None:
    """A worker of Ray goes on with other tasks, and half of it could not be loaded again."""
    assert python(INTERRUPTED.format(name=name, file=files[0])).split() == ["interrupted", "1000"]
