"""Charts as SVG: small, the same every time, and never fatal, whatever names hold."""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import logloss as ll
from logloss.reporting import charts, plot
from logloss.reporting.charts.calibration import Band, Distribution, Groups
from logloss.reporting.charts.comparison import Series
from logloss.reporting.charts.discrimination import Mark
from logloss.reporting.charts.parts import ROLES, thinned, zoomed
from logloss.reporting.svg import PALETTE, legal, render, short, standalone, themed

FORBIDDEN = [*map(chr, [*range(9), 11, 12, *range(14, 32), 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xFFFE, 0xFFFF])]
GROUPS = Groups([0.1, 0.5, 0.9], [0.2, 0.4, 0.95], [0.1, 0.3, 0.9], [0.3, 0.5, 1.0], [10, 20, 30])
DISTRIBUTION = Distribution([0, 0.25, 0.5, 0.75, 1], [1, 4, 0, 9], [16, 4, 1, 0])
BAND = Band([0, 0.5, 1], [0, 0.4, 0.9], [0.1, 0.6, 1])
CORP = [0.0, 0.2, 0.2, 1.0], [0.1, 0.1, 0.7, 0.7]
CHARTS = {
    "reliability": lambda name: charts.reliability(name, CORP, GROUPS, DISTRIBUTION, BAND, BAND),
    "difference": lambda _: charts.difference(GROUPS, BAND),
    "decomposition": lambda name: charts.decomposition(0.4, 0.7, 0.31, 0.01, name),
    "roc": lambda name: charts.roc(name, [0, 0.2, 1], [0, 0.8, 1], name, Mark(0.2, 0.8, 0.5)),
    "precision_recall": lambda name: charts.precision_recall([0.1, 0.5, 1], [0.9, 0.8, 0.5], name, 0.5),
    "decision_curve": lambda _: charts.decision_curve(
        [0.1, 0.5, 0.9], [0.4, 0.3, 0.1], [0.01] * 3, [0.4, 0.1, -3], 0.5
    ),
    "gains": lambda _: charts.gains([0.05, 0.1, 0.5, 1], [0.2, 0.4, 0.9, 1], 0.2, 1),
    "series": lambda name: charts.series([name, "b"], [Series(name, [1, 2], [0, 1], [2, 3], 2, True, "points")]),
    "forest": lambda name: charts.forest([name, "b"], [1, -1], [0, -2], [2, 0], title=name, sides=(name, "worse")),
    "murphy_difference": lambda name: charts.murphy_difference(
        [0.1, 0.4, 0.8], [1, -1, 0], [0, math.nan, -1], [2, math.nan, 1], sides=(name, "worse")
    ),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_a_picture_is_small_clean_and_the_same_twice(kind: str):
    spec = CHARTS[kind]("clicked")
    first, again = (render(json.loads(json.dumps(spec)), "k", "What it shows.") for _ in range(2))
    assert first == again
    assert len(first) < 12_000
    root = ET.fromstring(first)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "What it shows."
    assert int(root.get("width") or 0) == 352
    assert not re.search(r"\bstyle=|<style|font-family|<script|href=|NaN|undefined", first)
    assert set(re.findall(r"#[0-9a-fA-F]{3,6}\b", first)) == set()  # colours are roles
    assert {one.get("id") for one in root.iter() if one.get("id")} <= {f"k-{place}" for place in range(50)}


def test_every_forbidden_character_is_replaced_before_it_kills():
    """The renderer ends the process on them; so this is another process."""
    code = """if True:
        from test_pictures import CHARTS, FORBIDDEN
        from logloss.reporting.svg import render
        worst = "".join(FORBIDDEN) + "<script>&\\"'\\u202e\\ud7ff\\U0001f600"
        for kind, chart in CHARTS.items():
            for name in [worst, *(FORBIDDEN if kind == "forest" else [])]:
                assert "\\ufffd" in render(chart(f"a{name}b"), "k", f"c{name}d")
        print("alive")
    """
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr[-2000:]


@pytest.mark.parametrize("character", FORBIDDEN)
def test_names_become_legal_and_short(character: str):
    assert legal(f"a{character}b") == "a\ufffdb"
    assert short(f"{character}" + "x" * 10_000) == "\ufffd" + "x" * 50 + "…" + "x" * 12
    assert short(" a\n b\t") == "a b"


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", PALETTE)
def test_colours_can_be_read(mode: str):
    """WCAG 2.2 asks 4.5 of texts, also of those on tints and on the background of code."""
    palette = PALETTE[mode]
    assert set(ROLES) < set(palette)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for text, ground in itertools.product(("ink", "muted", "blue", "orange"), ("ground",)):
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    assert contrast(palette["ink"], palette["tint"]) >= 4.5
    assert contrast(palette["ink"], palette["grey"]) >= 4.5
    assert contrast(palette["ink"], palette["soft"]) >= 4.5


def test_a_theme_has_no_variables_and_a_standalone_picture_a_scoped_style():
    drawn = render(CHARTS["roc"]("y"), "k", "a")
    assert "var(" in drawn
    assert "var(" not in themed(drawn, "dark")
    assert PALETTE["dark"]["blue"] in themed(drawn, "dark")
    alone = standalone(drawn)
    assert all(rule.startswith((".logloss-chart", "@media")) for rule in re.findall(r"<style>([^{]*)", alone))
    assert ET.fromstring(alone).get("class") == "logloss-chart"


def test_curves_do_not_grow_with_rows():
    x = np.linspace(0, 1, 100_000).tolist()
    kept, _ = thinned(x, x, 0.01)
    assert len(kept) <= 202
    assert (kept[0], kept[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("values", "domain"),
    [([0.01, 0.02], (0, 0.05)), ([0.3, 0.7], (0, 1)), ([0.97, 1.0], (0.95, 1)), ([], (0, 1)), ([0.0], (0, 0.001))],
)
def test_a_small_part_of_the_axis_is_drawn_large(values: list[float], domain: tuple[float, float]):
    assert zoomed(values) == pytest.approx(domain)


@pytest.fixture(scope="module")
def scores() -> ll.Scores:
    random = np.random.default_rng(1)
    p = random.uniform(size=500)
    columns = {"y": (random.uniform(size=500) < p).astype(int), "p": p, "q": p**2}
    return ll.score(columns, target="y", probability={"a": "p", "b": "q"}, diagnostics=True)


def test_plots_are_objects(scores: ll.Scores, tmp_path: Path):
    chart = scores.plot("roc", model="a")
    bundle = chart._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert bundle["image/svg+xml"] == chart.svg()
    for ending, start in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".json", b"{\n")):
        chart.save(tmp_path / f"chart{ending}")
        assert (tmp_path / f"chart{ending}").read_bytes().startswith(start)
    assert json.loads((tmp_path / "chart.json").read_text(encoding="utf-8")) == chart.spec
    assert "AUC" in repr(chart) or "ROC" in repr(chart)


def test_a_png_has_the_texts_of_the_chart(scores: ll.Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A renderer that finds no font leaves texts out, and says nothing."""
    place, chart = tmp_path / "chart.png", scores.plot("roc", model="a")
    chart.save(place)
    whole = place.read_bytes()
    monkeypatch.setattr(plot, "render", lambda *given: re.sub(r"<text.*?</text>", "", render(*given)))
    chart.save(place)
    assert len(place.read_bytes()) < len(whole)


def test_gains_name_what_the_highest_tenth_holds():
    """Of 200 positives among 1,000 rows half are predicted highest, and the others stand behind 100 negatives."""
    order = np.arange(1000) / 10
    rows = {"y": ((order < 10) | ((order >= 20) & (order < 30))).astype(int), "p": 0.99 - order / 110}
    scores = ll.score(rows, target="y", probability="p", diagnostics=True)
    assert scores.plot("gains").title == "The highest 10\u00a0% hold 50.0\u00a0% of the positives: lift 5.0"
    few = ll.score({name: values[::10] for name, values in rows.items()}, target="y", probability="p", diagnostics=True)
    assert few.plot("gains").title == "Of 20 positives, so that much of the curve may be chance"
    assert "highest 25\u00a0%: 75.0\u00a0% of the positives, lift 3.00" in scores.plot("gains").svg()


def test_mistaken_plots_say_what_there_is(scores: ll.Scores, tmp_path: Path):
    with pytest.raises(ll.InvalidInputError, match=r"one of decomposition, roc, .*; got 'pie'"):
        scores.plot("pie")
    with pytest.raises(ll.InvalidInputError, match=r"name 2 of a, b; name the one"):
        scores.plot("roc")
    with pytest.raises(ll.InvalidInputError, match=r"\.svg, \.png, \.json; it ends in '\.gif'\."):
        scores.plot("roc", model="b").save(tmp_path / "chart.gif")
    with pytest.raises(ll.InvalidInputError, match=r"cannot be written"):
        scores.plot("roc", model="b").save(tmp_path / "no" / "chart.svg")
    plain = ll.score({"y": [1, 0], "p": [0.5, 0.25]}, target="y", probability="p")
    with pytest.raises(ll.InvalidInputError, match=r"diagnostics=True\.$"):
        plain.plot()


@pytest.mark.parametrize(
    ("name", "y", "p", "said"),
    [
        ("roc", [1, 1], [0.5, 0.25], "the base rate of these rows is 1; score rows of both outcomes."),
        ("gains", [0, 0], [0.5, 0.25], "the base rate of these rows is 0; score rows of both outcomes."),
        ("decomposition", [1, 0], [0.0, 0.25], "the loss of these rows is infinite; eps= floors"),
        ("difference", [1, 0, 1], [0.7, 0.2, 0.6], "no group of these 3 rows has as many as it takes; score more."),
    ],
)
def test_a_plot_without_data_says_what_lacks(name: str, y: list[int], p: list[float], said: str):
    scores = ll.score({"y": y, "p": p}, target="y", probability="p", diagnostics=True)
    with pytest.raises(ll.InvalidInputError, match=re.escape(f"'{name}' must have data to show; {said}")):
        scores.plot(name)
