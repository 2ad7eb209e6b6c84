"""The exact decomposition against model-diagnostics', which holds all rows in memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import logloss as ll
from diagnostics.rows import ACS, simulated
from logloss.cli import main
from logloss.evaluate.ordered import Blocks

GOLDEN = {  # all, 2015, 2016, 2017, 2018: docs/diagnostics.md has the first
    "miscalibration_raw": (0.001173685348, 0.001651965198, 0.001605758132, 0.001978634569, 0.002175949722),
    "discrimination_raw": (0.3151818762, 0.3144373203, 0.3122264415, 0.3176824343, 0.3189446765),
    "brier_miscalibration_raw": (0.0002844696449, 0.0004330519837, 0.0004112574713, 0.0004939635585, 0.000589519071),
    "brier_discrimination_raw": (0.1278992526, 0.1275226369, 0.1267237044, 0.1287942905, 0.1292753096),
}


def test_the_example_files_decomposition():
    columns = {"target": "employed", "probability": "predicted_probability", "group": "year"}
    rows = ll.score(ACS, **columns, diagnostics=True, corp="exact").to_rows()
    for name, expected in GOLDEN.items():
        np.testing.assert_allclose([rows[-1][name], *(row[name] for row in rows[:-1])], expected, rtol=1e-9)


def several(weighted):
    """Two models of two labels in two groups, some predictions shared by many rows, in two files of other order."""
    random = np.random.default_rng(7)
    columns = {"g": random.choice(["b", "a"], 1200, p=[0.3, 0.7]), "w": random.exponential(1.0, 1200)}
    for place, label in enumerate("st"):
        p, y, _ = simulated(20 + place, 1200, slope=1.3)
        columns |= {f"y_{label}": y, f"p_{label}": p, f"q_{label}": np.round(p, 2)}
    columns["w"][::50] = 0.0
    files = [{name: column[part] for name, column in columns.items()} for part in (slice(400), slice(None, 399, -1))]
    options = {"probability": {"p": "p_*", "q": "q_*"}, "target": "y_*", "group": "g", "diagnostics": True}
    return columns, files, {**options, "weight": "w"} if weighted else options


def decomposed(y, p, w):
    """By the other package, which divides by the weights."""
    from model_diagnostics.scoring import LogLoss, SquaredError, decompose

    if w is not None:
        y, p, w = (one[w > 0] for one in (y, p, w))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [decompose(y, p, weights=w, scoring_function=score) for score in (LogLoss(), SquaredError())]


@pytest.mark.frameworks
@pytest.mark.parametrize("weighted", [False, True])
def test_every_cell_is_model_diagnostics(weighted):
    columns, files, options = several(weighted)
    found = ll.score(files, **options, corp="exact")
    for row in found.to_rows():
        if row["average"] == "macro" or row["over_groups"] == "mean" or (row["average"] and row["g"] is not None):
            continue
        labels = [row["label"]] if row["label"] else ["s", "t"]
        here = columns["g"] == row["g"] if row["g"] is not None else np.ones(1200, bool)
        y, p = (np.concatenate([columns[f"{a}_{b}"][here] for b in labels]) for a in ("y", row["model"]))
        w = np.concatenate([columns["w"][here]] * len(labels)) if weighted else None
        for prefix, exact in zip(("", "brier_"), decomposed(y, p, w), strict=True):
            for name in ("miscalibration", "discrimination"):
                assert row[f"{prefix}{name}_raw"] == pytest.approx(exact[name].item(), abs=1e-9)
            assert row[f"{prefix}uncertainty"] == pytest.approx(exact["uncertainty"].item(), abs=1e-9)


def test_order_and_split_change_no_bit():
    columns, files, options = several(True)
    one, other = ll.score(columns, **options, corp="exact"), ll.score(files[::-1], **options, corp="exact")
    keys = one.state.recalibrated.found
    assert len(keys) == 6
    groups = [one.state.groups, other.state.groups]
    assert groups[0] == groups[1]
    for problems in keys:
        for group in (None, *groups[0]):
            assert one.state.recalibrated_at(problems, group) == pytest.approx(
                other.state.recalibrated_at(problems, group), abs=0, nan_ok=True
            )


def test_pieces_are_the_whole():
    random = np.random.default_rng(1)
    y, w = random.random(5000) + np.linspace(0, 0.2, 5000), random.exponential(1.0, 5000)
    whole, pieces = Blocks(), Blocks()
    whole.add(w * y, w)
    for start in range(0, 5000, 7):
        pieces.add((w * y)[start : start + 7], w[start : start + 7])
    assert pieces.scores.tolist() == whole.scores.tolist()
    assert np.isnan(Blocks().scores).all()


def test_extreme_weights_and_certain_predictions():
    rows = {"y": [1, 0, 1, 0, 1, 0], "p": [0.0, 0.0, 0.5, 0.5, 1.0, 0.25], "w": [1e300] * 5 + [1e-300]}
    found = ll.score(rows, target="y", probability="p", weight="w", diagnostics=True, corp="exact").to_rows()[0]
    assert found["miscalibration_raw"] == np.inf
    assert found["discrimination_raw"] == pytest.approx(found["uncertainty"] - 0.8 * np.log(2), abs=1e-12)
    assert found["brier_miscalibration_raw"] == pytest.approx(0.3 - 0.2, abs=1e-12)
    tiny = {"y": [1, 0, 1, 0], "p": [0.5] * 4, "w": [2e-310, 0.0, 0.0, 2e-310]}
    found = ll.score(tiny, target="y", probability="p", weight="w", diagnostics=True, corp="exact").to_rows()[0]
    assert found["miscalibration_raw"] == pytest.approx(0.0, abs=1e-12)


ROWS = {"y": [1, 0, 1, 0], "p": [0.75, 0.25, 0.5, 0.5]}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"corp": "fine"}, "must be 'grid' or 'exact'; got 'fine'"),
        ({"diagnostics": False}, "add diagnostics=True"),
        ({"eps": 1e-9}, "got eps=1e-09; leave eps out"),
        ({"resume": "parts"}, "got resume='parts'"),
        ({"on_error": "skip"}, "got on_error='skip'"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, match):
    with pytest.raises(ll.InvalidInputError, match=match):
        ll.score(ROWS, target="y", probability="p", **{"diagnostics": True, "corp": "exact", **options})


def test_it_is_neither_saved_nor_added(tmp_path, capsys):
    exact = ll.score(ROWS, target="y", probability="p", diagnostics=True, corp="exact")
    plain = ll.score(ROWS, target="y", probability="p", diagnostics=True)
    assert "exact CORP" in str(exact)
    assert "exact CORP" not in str(plain)
    for act in (lambda: ll.merge(plain, exact), lambda: ll.merge(exact), lambda: exact.save(tmp_path / "state.json")):
        with pytest.raises(ll.InvalidInputError, match=r"cannot be saved or added to others; .* corp='grid'"):
            act()
    file = tmp_path / "rows.csv"
    file.write_text("y,p\n1,0.75\n0,0.25\n", encoding="utf-8")
    asked = ["score", str(file), "--target", "y", "--probability", "p", "--diagnostics", "--corp", "exact"]
    assert main([*asked, "--save-state", str(tmp_path / "state.json")]) == 2
    assert "cannot be saved" in capsys.readouterr().err
    assert not (tmp_path / "state.json").exists()
    assert main([*asked, "--json"]) == 0
    assert '"corp": "exact"' in capsys.readouterr().out
