"""Models on the same rows: exact differences, errors by hand, joins, groups, gates; and what changed between states."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import logloss as ll
from logloss.cli import main
from logloss.evaluate import storage
from logloss.evaluate.units import units_of
from logloss.reporting import comparison
from logloss.sources.keys import KeyColumn


def loss(y: Any, p: Any) -> Any:
    """The definition."""
    return -np.where(y == 1, np.log(p), np.log1p(-p))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    random = np.random.default_rng(11)
    z = random.normal(-1, 1.5, 6000)
    y = (random.random(6000) < 1 / (1 + np.exp(-z))).astype(float)
    new = z + random.normal(0, 0.4, 6000)
    columns = {"y": y, "old": 1 / (1 + np.exp(-z)), "new": 1 / (1 + np.exp(-new))}
    more = {"g": random.integers(0, 3, 6000), "w": random.uniform(0.1, 9, 6000), "u": random.integers(0, 99, 6000)}
    return pl.DataFrame({"id": np.arange(6000), **columns, **more})


MODELS: dict[str, Any] = {"target": "y", "probability": {"old": "old", "new": "new"}}


@pytest.mark.parametrize("weight", [None, "w"])
def test_differences_by_hand(rows: pl.DataFrame, weight: str | None):
    (pair,) = ll.compare(rows, **MODELS, weight=weight, group="g").pairs
    y, old, new, g = (rows[name].to_numpy() for name in ("y", "old", "new", "g"))
    w = rows["w"].to_numpy() if weight else np.ones(6000)
    d = loss(y, new) - loss(y, old)

    def by_hand(chosen: Any) -> tuple[float, float]:
        part, own = d[chosen], w[chosen]
        mean = np.average(part, weights=own)
        return mean, math.sqrt((own**2 * (part - mean) ** 2).sum() / own.sum() ** 2 * part.size / (part.size - 1))

    assert_allclose((pair.found.log_loss.value, pair.found.log_loss.se), by_hand(np.full(6000, True)), rtol=1e-9)
    for group in pair.groups:
        assert_allclose((group.log_loss.value, group.log_loss.se), by_hand(g == group.group[0]), rtol=1e-9)
        assert group.adjusted >= group.log_loss.p_value
    assert_allclose(pair.found.wins, w[d < 0].sum() / w.sum(), rtol=1e-12)
    assert_allclose(pair.found.losses, w[d > 0].sum() / w.sum(), rtol=1e-12)
    scores = [ll.score(rows, target="y", probability=name, weight=weight, diagnostics=True) for name in ("new", "old")]
    auc = [one.summary.results.blocks[0].scalars["auc"][-1] for one in scores]
    assert_allclose(pair.found.auc.value, auc[0] - auc[1], rtol=1e-12)


def test_error_of_auc_is_delongs(rows: pl.DataFrame):
    y, old, new = (rows[name].to_numpy() for name in ("y", "old", "new"))
    positive, negative = y == 1, y == 0
    placements = []
    for p in (new, old):
        above = (p[positive][:, None] > p[negative]).mean(axis=1), (p[positive][:, None] > p[negative]).mean(axis=0)
        placements.append(above)
    variance = sum(np.var(a - b, ddof=1) / a.size for a, b in zip(*placements, strict=True))
    found = ll.compare(rows, **MODELS).pairs[0].found.auc
    assert_allclose(found.se, math.sqrt(variance), rtol=0.15)  # 256 buckets tell an error to a twentieth or so


def test_errors_of_clusters(rows: pl.DataFrame):
    (pair,) = ll.compare(rows, **MODELS, cluster="u").pairs
    d = loss(rows["y"].to_numpy(), rows["new"].to_numpy()) - loss(rows["y"].to_numpy(), rows["old"].to_numpy())
    bucket = units_of(KeyColumn(rows["u"].to_numpy(), None, None))
    apart = np.array([(d - d.mean())[bucket == k].sum() for k in np.unique(bucket)]) / d.size
    assert_allclose(pair.found.log_loss.se, math.sqrt(apart.size / (apart.size - 1) * (apart**2).sum()), rtol=1e-9)
    assert pair.found.auc.method == f"jackknife over {apart.size} buckets"


def test_one_threshold_is_no_range():
    """Where a model is better at one threshold of the diagram only, it stands once."""
    murphy = {"note": "", "better": [(0.438, 0.438)], "worse": [(0.2, 0.3)]}
    (said,) = comparison._dominance({"model": "new", "murphy": murphy})
    assert "better at thresholds 0.438, worse at thresholds 0.2 to 0.3 (" in said


def test_names_are_shown_as_they_are(rows: pl.DataFrame):
    few = rows.head(400).with_columns(g=pl.Series([":smile:", "[b]"] * 200))
    shown = ll.compare(few, target="y", probability={"[a]": "old", ":warning:": "new"}, group="g").render(100)
    assert ":warning: " in shown
    for name in (":smile:", "[b]"):
        assert f"\n {name} " in shown


@pytest.mark.parametrize("more", [{}, {"weight": "w", "group": "g"}])
def test_same_bits(rows: pl.DataFrame, more: dict[str, Any]):
    whole = ll.compare(rows, **MODELS, **more).scores
    shuffled = rows.sample(fraction=1, shuffle=True, seed=2)
    parts = [ll.compare(part, **MODELS, **more).scores for part in (shuffled.head(1), shuffled.tail(5999))]
    text = storage.dumps(whole.state, ())
    assert storage.dumps(ll.merge(*parts).state, ()) == text
    back, _ = storage.loads(text, "text")
    assert storage.dumps(back, ()) == text
    document = json.loads(text)
    document["components"]["pairs"][0]["joint"]["words"][0][0] = -1
    with pytest.raises(ll.InvalidInputError, match="must be a state"):
        storage.loads(json.dumps(document), "text")


def test_two_files(rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows.select("id", "y", p="old").write_parquet(tmp_path / "old.parquet")
    rows.select("id", "y", "g", p="new").sample(fraction=1, shuffle=True, seed=1).write_csv(tmp_path / "new.csv")
    files = [str(tmp_path / "new.csv"), "--against", str(tmp_path / "old.parquet"), "--key", "id"]
    columns = ["--target", "y", "--probability", "p", "--group", "g"]
    assert main(["compare", *files, *columns, "--json", "--fail-on-regression"]) == 1
    output = capsys.readouterr()
    assert "new is worse than old: log loss" in output.err
    (one,) = json.loads(output.out)["comparisons"]
    (pair,) = ll.compare(rows, **MODELS, group="g").pairs
    assert one["differences"]["log_loss"]["difference"] == pytest.approx(pair.found.log_loss.value, rel=1e-12)
    assert (one["model"], one["baseline"], len(one["groups"])) == ("new", "old", 3)
    assert main(["compare", *files, *columns, "--fail-on-regression", "0.5"]) == 0
    assert "new is worse than old, 6,000 rows" in capsys.readouterr().out


@pytest.mark.parametrize("value", [0.0, None])
def test_two_files_that_contradict_each_other(rows: pl.DataFrame, value: float | None):
    """Of which row, with both outcomes; columns that one side lacks, and weights, are no contradiction."""
    first = int(rows["y"].arg_max() or 0)
    other = rows.select("id", "w", p="old", y=pl.when(pl.int_range(pl.len()) == first).then(value).otherwise("y"))
    new = rows.select("id", "y", "w", p="new")
    given = {"target": "y", "probability": "p", "key": "id"}
    place = rf"id = '{rows['id'][first]}' it is 1.0 in row {first + 1:,} "
    with pytest.raises(ll.InvalidInputError, match=rf"'y' must say the same.* {place}"):
        ll.compare(new, against=other, **given)
    lighter = other.with_columns(y=rows["y"], w=pl.col("w") / 2)
    assert ll.compare(new, against=lighter, **given).pairs
    with pytest.raises(ll.InvalidInputError, match="'w' must say the same"):
        ll.compare(new, against=lighter, **given, weight="w")
    assert ll.compare(new, against=other.drop("y"), **given).pairs
    said = pl.when(pl.col("y") == 1).then(pl.lit("yes")).otherwise(pl.lit("no"))
    words = [one.with_columns(y=said) for one in (new, other)]
    with pytest.raises(ll.InvalidInputError, match="it is 'yes' in row"):
        ll.compare(words[0], against=words[1], **given, positive="yes")


def test_labels_of_two_files(rows: pl.DataFrame):
    """By a pattern or by lists, of columns that both files have."""
    new = rows.select("id", y_a="y", y_b=1 - pl.col("y"), p_a="new", p_b=1 - pl.col("new"))
    old = rows.select("id", y_a="y", y_b=1 - pl.col("y"), p_a="old", p_b=1 - pl.col("old"))
    by_pattern = ll.compare(new, against=old, key="id", target="y_*", probability="p_*").to_dict()
    assert [(one["model"], one["baseline"], one["label"]) for one in by_pattern["comparisons"]] == [
        ("model", "baseline", "a"),
        ("model", "baseline", "b"),
    ]
    by_list = ll.compare(new, against=old, key="id", target="y_a,y_b", probability="p_a,p_b").to_dict()
    assert [one["label"] for one in by_list["comparisons"]] == ["y_a", "y_b"]
    with pytest.raises(ll.InvalidInputError, match="'y_b' must say the same"):
        ll.compare(new, against=old.with_columns(y_b=1.0), key="id", target="y_*", probability="p_*")


@pytest.mark.parametrize("eps", [1e-3, 0.3])
def test_losses_that_are_floored(rows: pl.DataFrame, eps: float):
    """As of predictions that were floored before, of either model or both, below and above."""
    certain = rows.with_columns(
        old=pl.when(pl.int_range(pl.len()) % 7 == 0).then(0.0).otherwise("old"),
        new=pl.when(pl.int_range(pl.len()) % 5 == 0).then(1.0).otherwise("new"),
    )
    y = pl.col("y")
    before = certain.with_columns(
        pl.when((y > 0) & (pl.col(name) < eps))
        .then(eps)
        .when((y < 1) & (1 - pl.col(name) < eps))
        .then(1 - eps)
        .otherwise(name)
        .alias(name)
        for name in ("old", "new")
    )
    for more in ({}, {"weight": "w", "group": "g"}):
        found, wanted = ll.compare(certain, **MODELS, eps=eps, **more), ll.compare(before, **MODELS, **more)
        assert found.scores.summary.clipped > 0
        (one,), (other,) = found.to_dict()["comparisons"], wanted.to_dict()["comparisons"]
        for name in ("log_loss", "brier", "auc"):
            for part in ("difference", "se"):
                ours, theirs = one["differences"][name][part], other["differences"][name][part]
                assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9), name
        assert one["wins"] == pytest.approx(other["wins"], abs=2e-3)
        assert [group["rows"] for group in one["groups"]] == [group["rows"] for group in other["groups"]]


def test_what_cannot_be_compared(rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ll.InvalidInputError, match="takes two models"):
        ll.compare(rows, target="y", probability="old")
    certain = rows.with_columns(new=1 - pl.col("y"))
    found = ll.compare(certain, **MODELS)
    assert math.isnan(found.pairs[0].found.log_loss.value)
    assert "cannot be told, since one loss is infinite" in str(found)
    assert "cannot be told" in found.regressions()[0]
    for few in (rows.head(1), rows.head(2), rows.with_columns(y=1.0), rows.with_columns(new="old")):
        assert "new" in str(ll.compare(few, **MODELS))
    json.loads(ll.compare(rows.with_columns(y=pl.col("old").round(2)), **MODELS).to_json())  # soft targets


def test_drift(rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scores = {}
    for name in ("old", "new"):
        part = rows.select("y", p=name)
        scores[name] = ll.score(part, target="y", probability="p", diagnostics=True)
        scores[name].save(tmp_path / f"{name}.json")
    assert main(["drift", str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    each = [scores[name].summary.results[0].statistics for name in ("old", "new")]
    found = change["statistics"]["log_loss"]
    assert found["difference"] == each[1].log_loss - each[0].log_loss
    assert found["se"] == pytest.approx(math.hypot(each[0].log_loss_se, each[1].log_loss_se))
    assert "stability index" in str(ll.drift(scores["old"], scores["new"]))
    with pytest.raises(ll.InvalidInputError, match="score with diagnostics"):
        ll.drift(*[ll.score(rows.select("y", p="old"), target="y", probability="p")] * 2)


def test_corrected_for_training(rows: pl.DataFrame):
    z = np.log(rows["old"].to_numpy()) - np.log1p(-rows["old"].to_numpy())
    trained = z - math.log(0.1) + math.log(3)  # on a tenth of the negatives, positives three times as heavy
    data = pl.DataFrame({"y": rows["y"], "p": 1 / (1 + np.exp(-trained)), "z": trained})
    right = ll.score(rows, target="y", probability="old").summary.results[0].statistics.log_loss
    for column in ({"probability": "p"}, {"logit": "z"}):
        plain, corrected = ll.score(data, target="y", **column, negative_rate=0.1, pos_weight=3).summary.results
        assert (plain.model, corrected.model) == ("as predicted", "corrected")
        assert_allclose(corrected.statistics.log_loss, right, rtol=1e-12)
        assert plain.statistics.log_loss > 2 * right
    for wrong in ({"negative_rate": 0}, {"negative_rate": 2.0}, {"pos_weight": math.inf}, {"pos_weight": 0}):
        with pytest.raises(ll.InvalidInputError, match="training"):
            ll.score(data, target="y", probability="p", **wrong)


def test_diagnostics_on_the_command_line(acs_path: Path, capsys: pytest.CaptureFixture[str]):
    columns = [str(acs_path), "--target", "employed", "--probability", "predicted_probability"]
    gates = ["--fail-if", "ece > 0.5", "--fail-if", "auc < 0.95", "--fail-if", "LL101", "--fail-if", "LL203"]
    assert main(["score", *columns, "--diagnostics", "--threshold", "0.2,0.5", "--cluster", "age", *gates]) == 1
    output = capsys.readouterr()
    assert "gate 'auc < 0.95' failed" in output.err
    assert "gate 'LL101' failed" in output.err
    assert "ece" not in output.err
    assert "LL203" not in output.err
    for shown in ("0.69178", "AUC", "allow for rows of one age", "LL101 On average"):
        assert shown in " ".join(output.out.split())
    assert main(["score", *columns, "--fail-if", "ece > 0.5"]) == 2
    assert "add --diagnostics" in capsys.readouterr().err
    assert main(["score", *columns, "--diagnostics", "--threshold", "1.5"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
    assert main(["score", *columns, "--threshold", "0.5"]) == 2
    assert "diagnostics" in capsys.readouterr().err
