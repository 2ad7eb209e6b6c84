"""A new component, statistic and format arrive everywhere, though only their own lines are written."""

# ruff: noqa: ISC004 - a replacement of several lines is one string
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import logloss

PACKAGE = Path(logloss.__file__).parent
NEW = {
    "evaluate/statistics.py": [
        (
            '    Statistic(\n        "calibration_ratio",',
            '    Statistic(\n        "doubled",\n        "twice the base rate",\n        lambda f: 2 * f.q,\n'
            '        shown=Shown("doubled", "twice", 9),\n    ),\n    Statistic(\n        "calibration_ratio",',
        )
    ],
    "reporting/formats.py": [
        (
            '        Format("parquet"',
            '        Format("count", (".count",), lambda summary, _: f"{summary.rows}\\n"),\n        Format("parquet"',
        )
    ],
}
ASKED = """
import json, subprocess, sys
import numpy as np
import logloss as ll
from logloss.evaluate import components
from logloss.evaluate.plan import Plan, Problem
from logloss.evaluate.state import State
from logloss.evaluate.storage import dumps, loads
from logloss.reporting import formats, json as report, schema
from logloss.reporting.view import View
from logloss.scores import Gate, Scores
from logloss.sources.keys import KeyColumn

scores = ll.score({"y": [1, 0, 0, 0], "p": [0.5] * 4}, target="y", probability="p")
assert scores.summary.results[0].statistics.doubled == 0.5
assert scores.to_dict()["results"][0]["doubled"] == 0.5
assert "doubled" in schema.schema()["$defs"]["result"]["required"]
for name in ("table", "md", "csv", "json", "jsonl"):
    assert "doubled" in formats.render(name, scores.summary, View(width=200)), name
assert list(Gate.of("doubled > 0.4").failures(scores.summary))
assert formats.render("count", scores.summary, View()) == "4\\n"
scores.write("result.count")
assert open("result.count").read() == "4\\n"


class Highest:
    "The largest prediction of each group: a component in a dozen lines."

    def __init__(self, plan):
        self.found = {}

    def add(self, problem, rows, cells):
        for cell, part in zip(cells.tolist(), np.split(rows.predictions, rows.ends[:-1])):
            self.found[cell] = max(self.found.get(cell, 0.0), float(part.max()))

    def merge(self, other, cells):
        for cell, value in other.found.items():
            self.found[int(cells[cell])] = max(self.found.get(int(cells[cell]), 0.0), value)

    def dump(self, cells):
        return [self.found[cell] for cell in cells.tolist()]

    @classmethod
    def load(cls, plan, data, groups):
        one = cls(plan)
        one.found = dict(enumerate(data))
        return one

    @staticmethod
    def document():
        return list[float]

    @staticmethod
    def size(plan, groups):
        return 100 * groups


components.COMPONENTS["highest"] = Highest
plan = Plan((Problem("y", "p"),), groups=("g",), components=("moments", "highest"))


def state(p, g):
    one = State(plan)
    keys = KeyColumn(np.array(g), None, None)
    one.add({"y": np.zeros(len(p)), "p": np.array(p)}, [keys])
    return one


total = state([0.25, 0.5, 0.125], [2, 1, 2])
total.merge(state([0.75, 0.0], [3, 1]))
assert dict(zip(total.groups, total.components["highest"].dump(total.numbered.sorted()[0]))) == {
    (1,): 0.5, (2,): 0.25, (3,): 0.75
}
text = dumps(total, ())
assert json.loads(text)["version"] == 2 and json.loads(text)["components"] == {"highest": [0.5, 0.25, 0.75]}
back, _ = loads(text, "text")
assert dumps(back, ()) == text
try:
    loads(text.replace("0.75", '"high"'), "text")
except ll.InvalidInputError as error:
    assert "Expected `float`" in str(error)
else:
    raise AssertionError
assert Scores(back, ()).summary.rows == 5
help = subprocess.run([sys.executable, "-m", "logloss", "score", "--help"], capture_output=True, text=True).stdout
assert ".count" in help and "jsonl,csv,md,count" in "".join(help.split())
"""


def test_additions_arrive(tmp_path: Path):
    shutil.copytree(PACKAGE, tmp_path / "logloss", ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in NEW.items():
        path = tmp_path / "logloss" / name
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
