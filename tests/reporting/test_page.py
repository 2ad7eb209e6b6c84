"""The report as a file: what it says for what kind of rows, how large it is, and how a command line gets it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logloss as ll
from logloss import cli, scored
from logloss.reporting import formats
from logloss.reporting.page import words


def rows_of(count: int, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """Predictions that are too low by a shift of the logit, and over-confident by a scale."""
    random = np.random.default_rng(seed)
    z = random.normal(scale=1.5, size=count)
    y = (random.random(count) < 1 / (1 + np.exp(-z))).astype(int)
    return {"y": y, "p": 1 / (1 + np.exp(-(scale * z - shift)))}


def written(rows: Any, path: Path, **options: Any) -> str:
    ll.report(rows, path / "r.html", **{"target": "y", "probability": "p", **options})
    return (path / "r.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """The text of elements with this tag or class."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted, self.inside, self.found = wanted, 0, [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.inside or tag == self.wanted or self.wanted in (dict(attrs).get("class") or "").split():
            self.inside += tag not in ("meta", "input", "br", "path", "circle")

    def handle_endtag(self, _: str) -> None:
        if self.inside:
            self.inside -= 1
            if not self.inside:
                self.found.append("")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1] += data


def texts(page: str, wanted: str) -> list[str]:
    parser = Text(wanted)
    parser.feed(page)
    return [" ".join(one.split()) for one in parser.found if one.strip()]


def test_the_policy_allows_this_style_and_script_and_nothing_else(tmp_path: Path):
    page = written(rows_of(200), tmp_path)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'; style-src 'sha256-")
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy.group(1)
    assert not re.search(r"\sstyle=|\son\w+=|<link|<img|@import|url\((?!#)", page)
    assert not re.search(r'(?:href|src)="(?!#)', page)


def test_same_rows_same_bytes(tmp_path: Path):
    rows = rows_of(3000)
    assert written(rows, tmp_path) == written(rows, tmp_path)


CERTAIN = {"y": [1, 0, 1, 0] * 50, "p": [0.0, 0.5, 0.9, 0.2] * 50}
SAID = {
    "calibrated": (rows_of(5000), "remove 2", "be told apart from calibrated ones", "Nothing speaks against it."),
    "too low": (rows_of(20_000, shift=0.5), "remove ", "percentage points too low", "too low."),
    "over-confident": (rows_of(20_000, scale=1.6), "remove ", "over-confident", "over-confident."),
    "useless": ({"y": [0, 1] * 500, "p": [0.7] * 1000}, "no better than always", "too high", "No: too high."),
    "one class": ({"y": [1] * 90, "p": [0.6] * 90}, "All rows have the same outcome", "apart.", "No: too low."),
    "impossible": (CERTAIN, "50 rows were given probability 0", "is infinite.", "probability 0 happened."),
    "few": (rows_of(20), "The predictions ", "told apart", "Nothing speaks against it."),
}
"""Rows; how the headline begins and ends; the verdict on calibration."""


@pytest.mark.parametrize("kind", SAID)
def test_headline_and_verdict_follow_from_intervals(kind: str, tmp_path: Path):
    rows, start, end, verdict = SAID[kind]
    page = written(rows, tmp_path)
    (headline,) = texts(page, "h1")
    assert start in headline
    assert end in headline
    answers = texts(page, "answers")[0]
    assert verdict in answers
    assert not re.search(r"\bnan\b|\binf\b|None|−0\.0\b(?!\d)", " ".join(texts(page, "body")))


def test_size_and_evidence_are_two_things(tmp_path: Path):
    many = " ".join(texts(written(rows_of(400_000, shift=0.03), tmp_path), "rail"))
    assert "far more than chance" in many
    assert "and small." in many
    few = " ".join(texts(written(rows_of(60, shift=0.2), tmp_path), "rail"))
    assert "may be chance; an error below" in few


def test_some_intervals_miss_by_chance():
    """Of 15 intervals of 95 % three or more miss in 3.6 % of samples, four or more in 0.5 %."""
    assert [words.by_chance(count, 15) for count in (1, 3, 4)] == [True, True, False]


def test_one_model_stays_small(acs_path: Path, tmp_path: Path):
    page = written(acs_path, tmp_path, target="employed", probability="predicted_probability", group="year")
    assert len(page.encode()) <= 150_000
    assert "From 2015 to 2018: log loss held (−0.004" in page
    assert "277,677 rows" in page


def test_more_than_a_thousand_groups_are_cut_and_it_is_said(tmp_path: Path):
    rows = rows_of(22_000)
    rows["store"] = np.arange(22_000) % 1100
    page = written(rows, tmp_path, group="store")
    assert len(page.encode()) <= 1_000_000
    assert page.count('<tr><th scope="row"><bdi>store = ') == 1000
    assert "first 1,000 of 1,100; all of them in --json" in page


def test_a_thousand_labels_stay_under_a_megabyte(tmp_path: Path):
    random = np.random.default_rng(0)
    p = random.uniform(0.05, 0.6, size=(60, 1000))
    rows = {"y": (random.random((60, 1000)) < p).astype(int), "p": p}
    page = written(rows, tmp_path)
    assert len(page.encode()) <= 1_000_000
    assert "of 1,000 labels" in texts(page, "h1")[0]
    assert "Figures are of the first 6 of 1,000" in page
    assert max(len(answer) for answer in texts(page, "answers")) < 4000


def test_all_of_a_few_labels_have_figures(tmp_path: Path):
    random = np.random.default_rng(0)
    p = random.uniform(0.05, 0.6, size=(300, 14))
    page = written({"y": (random.random((300, 14)) < p).astype(int), "p": p}, tmp_path)
    assert len(re.findall(r'<figure id="calibrated-\d+-reliability"', page)) == 14
    assert len(page.encode()) <= 1_000_000
    assert "Figures are of the first" not in page


def test_few_rows_leave_out_what_would_cover_the_figure(tmp_path: Path):
    """Of 20 rows no group of one or two, no band over all of the height, and a decision curve over all thresholds."""
    page = written(rows_of(20, seed=1), tmp_path)
    subtitle = next(one for one in texts(page, "sub") if one.startswith("Line: isotonic regression"))
    assert "Too few rows for groups or a smooth curve." in subtitle
    assert 'id="calibrated-0-difference"' not in page
    many = written(rows_of(2000, seed=1), tmp_path)
    assert "blue band: a smooth curve" in many
    assert "circles: 15 equal groups" in many
    curve = page[page.index('id="useful-0-decision_curve"') :]
    assert max(float(one) for one in re.findall(r'data-tip="threshold ([\d.]+):', curve)) > 0.5


def test_segments_that_were_asked_for(tmp_path: Path):
    """Beside no group or any: their table is sorted and filtered, and the worst of them is the answer."""
    rows = rows_of(6000, seed=5)
    rows |= {"a": np.arange(6000) % 3, "b": np.arange(6000) // 3 % 2}
    rows["p"] = np.where((rows["a"] == 1) & (rows["b"] == 1), rows["p"] / 2, rows["p"])
    page = written(rows, tmp_path, segments=["a", "b"], depth=2)
    assert "a = 1, b = 1:" in texts(page, "answers")[0]
    assert "LL302" in texts(page, "answers")[0]
    assert "Segments by miscalibration" in texts(page, "h3")
    assert "Groups by miscalibration" not in page
    assert page.count('<span class="code">LL302</span>') == 3  # others stand in the table


def test_a_section_without_data_says_which_option_adds_it(tmp_path: Path):
    page = written(rows_of(200), tmp_path)
    left_out = " ".join(texts(page, "sub"))
    for option in ("--group sex,region", "date_trunc('day', ts)", "--probability a=p1 --probability b=p2"):
        assert option in left_out
    assert 'id="whom"' not in page
    plain = ll.score(rows_of(200), target="y", probability="p")
    plain.report(tmp_path / "plain.html")
    assert "--diagnostics" in (tmp_path / "plain.html").read_text(encoding="utf-8")


def test_models_are_compared_row_by_row(tmp_path: Path):
    rows = rows_of(4000, seed=3)
    rows |= {"worse": 0.7 * rows["p"] + 0.1, "side": np.arange(4000) % 3}
    page = written(rows, tmp_path, probability={"old": "p", "<new>": "worse"}, group="side")
    answers = texts(page, "answers")[0]
    assert "<new> is worse than old." in answers
    assert "Worse in 3 of 3 groups" in texts(page, "h3") + texts(page, "h4")


def test_the_segment_that_is_off_stands_first(tmp_path: Path):
    """Predictions are right but for one of nine segments, where they are two points of the logit too low."""
    rows = rows_of(18_000, seed=5)
    first, second = np.arange(18_000) % 3, np.arange(18_000) // 3 % 3
    off = (first == 1) & (second == 2)
    odds = rows["p"] / (1 - rows["p"]) * np.where(off, np.exp(-2), 1.0)
    rows |= {"p": odds / (1 + odds), "a": first, "b": second}
    page = written(rows, tmp_path, group="a,b")
    answers = texts(page, "answers")[0]
    assert re.search(r"For whom not\? a = 1, b = 2: \d+\.\d points too low there\.", answers)
    assert "LL301" in answers
    names = [one for one in texts(page, "th") if re.fullmatch(r"[ab] = \d(, b = \d)?", one)]
    assert names[0] == "a = 1, b = 2"


def test_groups_of_few_events_are_not_ranked(tmp_path: Path):
    rows = rows_of(5000)
    rows["place"] = np.where(np.arange(5000) < 3, "tiny", "large")
    rows["y"][:3], rows["p"][:3] = 1, 0.1
    page = written(rows, tmp_path, group="place")
    names = [one for one in texts(page, "th") if one.startswith("place = ")]
    assert names == ["place = large", "place = tiny"]


def test_thresholds_and_prevalence_are_shown(tmp_path: Path):
    page = written(rows_of(3000), tmp_path, thresholds=[0.15, 0.6], prevalence=0.1)
    assert re.search(r"<bdi>0\.15</bdi>.*<bdi>0\.6</bdi>", page, re.DOTALL)
    assert "Flagged: p ≥ threshold" in page.replace("\u00a0", " ")
    assert "at a prevalence of 10.0 %" in page.replace("\u00a0", " ")


def run(*arguments: str) -> int:
    return cli.main([*arguments])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    rows = rows_of(300)
    lines = "\n".join(f"{y},{p!r}" for y, p in zip(rows["y"].tolist(), rows["p"].tolist(), strict=True))
    (tmp_path / "rows.csv").write_text(f"y,p\n{lines}\n", encoding="utf-8")
    return tmp_path / "rows.csv"


def test_the_command_writes_one_file_and_says_itself(csv: Path, tmp_path: Path, capfd: Any):
    place, state = tmp_path / "a report.html", tmp_path / "state.json"
    columns = ("--target", "y", "--probability", "p")
    assert run("report", str(csv), *columns, "-o", str(place), "--save-state", str(state)) == 0
    assert capfd.readouterr() == ("", "")
    page = place.read_text(encoding="utf-8")
    assert f"logloss report {csv} --target y --probability p -o '{place}'" in texts(page, "pre")[0]
    assert run("report", str(csv), *columns, "-o", str(place), "--fail-if", "log_loss > 0.1") == 1
    again = tmp_path / "again.html"
    assert run("report", str(state), "-o", str(again)) == 0
    assert texts(again.read_text(encoding="utf-8"), "h1") == texts(page, "h1")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("report.txt", "a report is one HTML file; got report.txt; end its name in .html"),
        ("report.pdf", "one of .txt"),
        ("no/such/report.html", "its directory does not exist"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_reading(place: str, said: str, capfd: Any):
    assert run("report", "missing.csv", "--target", "y", "--probability", "p", "-o", place) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("library", ["vl_convert", "jinja2"])
def test_without_the_extra_one_sentence_says_how_to_get_it(library: str, monkeypatch: Any, capfd: Any, tmp_path: Path):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == library else object())
    assert run("report", "missing.csv", "--target", "y", "--probability", "p", "-o", str(tmp_path / "r.html")) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("Use pip install 'logloss[report]'.")
    with pytest.raises(ll.MissingDependencyError, match=r"pip install 'logloss\[report\]'\."):
        ll.report({"y": [1], "p": [0.5]}, tmp_path / "r.html", target="y", probability="p")


def test_an_interrupted_report_is_written_and_says_so(csv: Path, tmp_path: Path, monkeypatch: Any, capfd: Any):
    def stopped(arguments: Any) -> Any:
        part = ll.score(rows_of(100), target="y", probability="p", diagnostics=True)
        raise scored.Interrupted(scored.Scores(part.state, ("rows.csv",), partial=True))

    monkeypatch.setattr(cli, "_score", stopped)
    place = tmp_path / "r.html"
    assert run("report", str(csv), "--target", "y", "--probability", "p", "-o", str(place)) == 130
    assert "Partial result: interrupted after 100 rows" in place.read_text(encoding="utf-8")
    assert "partial" in capfd.readouterr().err
