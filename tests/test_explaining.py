"""`explain`: every dialect's number beside the exact one, reasons with their counts, and the search for a number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import logloss as ll
from logloss import cli
from logloss.dialects import caffe, keras, pytorch, sklearn
from logloss.dialects.readings import GRID
from oracle import mp, mpf

LOGITS, TARGETS = [5.0, -2.0, 0.5], [1, 0, 1]
OLD = "scikit-learn < 1.2, Kaggle, Spark, hivemall"
KERAS_2 = {"probability": [1.0, 1.0, 0.0], "target": [1, 1, 1]}


def lines(found: ll.Explanation, system: str, call: str = "") -> list[Any]:
    return [line for line in found.lines if line.system.startswith(system) and call in line.call]


def reasons(found: ll.Explanation, system: str, call: str = "") -> str:
    (line,) = lines(found, system, call)
    return "; ".join(line.reasons)


def test_values_are_those_of_the_dialects():
    x, t = np.array(LOGITS), np.array(TARGETS)
    found = ll.explain(t, logit=x)
    single, hard = x.astype("float32"), t.astype("float32")
    expected = {
        ("PyTorch", "BCEWithLogitsLoss()"): pytorch.binary_cross_entropy_with_logits(single, hard),
        ("Caffe", "Sigmoid"): caffe.sigmoid_cross_entropy_loss(single, hard),
        ("scikit-learn", "log_loss"): sklearn.log_loss(t, 1 / (1 + np.exp(-x))),
        ("Keras 3 (jax)", ""): keras.BinaryCrossentropy(True, backend="jax")(hard[:, None], single[:, None]),
    }
    assert {key: lines(found, *key)[0].value for key in expected} == {key: float(v) for key, v in expected.items()}


def test_the_difference_is_from_the_exact_mean():
    found = ll.explain(TARGETS, logit=LOGITS)
    total = sum(mp.log1p(mp.exp(-mpf(x) if t else mpf(x))) for x, t in zip(LOGITS, TARGETS, strict=True))
    assert found.exact == pytest.approx(float(total / 3), rel=1e-15)
    assert all(line.difference == line.value - found.exact for line in found.lines)
    single = ll.explain(np.float32(TARGETS), logit=np.float32(LOGITS))  # which are no less exact
    assert single.exact == found.exact


def test_every_dialect_speaks():
    systems = {reading.system for reading in GRID if reading.default}
    assert systems == {
        *("scikit-learn", "PyTorch", "TensorFlow", "tf.keras 2", "Caffe", "optax", "XGBoost", "LightGBM", "CatBoost"),
        *(f"Keras 3 ({backend})" for backend in ("tensorflow", "jax", "torch", "numpy")),
    }
    assert {line.system for line in ll.explain(TARGETS, logit=LOGITS).lines} == systems


def test_rows_of_the_grid_are_told_apart():
    rows = [(reading.system, reading.call, reading.takes, reading.dtype) for reading in GRID]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Keras 3 (tensorflow)", "2 of 4 probabilities clipped at 1e-7"),
        ("tf.keras 2", "2 of 4 probabilities clipped at 1e-7; 1e-7 added within the logarithm of all 4"),
        ("PyTorch", "1 of 4 losses end at 100 (logarithms floored at -100)"),
        ("scikit-learn", "1 of 4 probabilities clipped at the float64 epsilon 2.22e-16"),
        ("XGBoost", "1 of 4 losses end at 36.84 (probabilities floored at 1e-16)"),
    ],
)
def test_clips_are_counted(system: str, expected: str):
    found = ll.explain([1, 1, 0, 1], probability=[0.0, 1e-8, 0.5, 0.5])
    assert reasons(found, system) == expected


def test_lost_tails_are_counted():
    found = ll.explain([0, 0, 1], logit=[-20.0, -5.0, 20.0])
    assert reasons(found, "PyTorch", "BCEWithLogits").startswith("1 of 3 small losses lost")
    assert reasons(found, "Caffe").startswith("2 of 3 small losses lost")
    assert reasons(found, "PyTorch", "MultiLabel") == "float32 rounding"


def test_soft_targets_that_become_classes_are_counted():
    found = ll.explain([0.25, 0.75, 1], logit=LOGITS)
    assert reasons(found, "LightGBM", "binary") == "2 soft targets made 0 or 1: above 0 is 1"
    assert reasons(found, "CatBoost", "Logloss") == "2 soft targets made 0 or 1: above 0.5 is 1"
    assert reasons(found, "scikit-learn", "log_loss").startswith("refuses: y_true must hold classes")


def test_shapes_have_their_say():
    x, t = np.array([[1.0, -1.0, 2.0], [0.5, 0.25, -3.0]]), np.array([[1, 0, 0], [0, 1, 0]])
    found = ll.explain(t, logit=x, got="0")
    (full,) = [one for one in lines(found, "Caffe", "FULL") if one.dtype == "float64" and "taken" not in str(one)]
    (batch,) = [one for one in lines(found, "Caffe", "Loss()") if one.dtype == "float64" and "taken" not in str(one)]
    assert full.reasons == ()
    assert batch.reasons == ("divided by the batch (2), not by the 6 elements",)
    assert batch.value == pytest.approx(3 * full.value, rel=1e-14)
    (classes,) = [one for one in lines(found, "scikit-learn", "log_loss() of") if one.dtype == "float64"]
    assert "4 negatives ignored: multi-label read as multi-class" in classes.reasons
    assert any("a sum: divided by nothing, not by the 6 elements" in line.reasons for line in found.lines)


def test_infinite_losses_differ_from_all_that_clip():
    found = ll.explain([1], probability=[0.0])
    assert found.exact == np.inf
    assert all(line.difference == -np.inf and line.reasons for line in found.lines)


@pytest.mark.parametrize(
    ("got", "systems"),
    [
        ("5.1416495", {"tf.keras 2"}),
        (5.141649490132791, {"tf.keras 2"}),
        ("5.3726983", {"TensorFlow", *(f"Keras 3 ({name})" for name in ("tensorflow", "jax", "torch", "numpy"))}),
        ("33.3333", {"PyTorch"}),
    ],
)
def test_the_search_finds_who_said_it(got: Any, systems: set[str]):
    assert {line.system for line in ll.explain(**KERAS_2, got=got).hits} == systems


def test_digits_typed_are_the_digits_that_count():
    def hits(got: str) -> int:
        return len(ll.explain(TARGETS, logit=LOGITS, got=got).hits)

    assert hits("0.20257345") > 0
    assert hits("0.203") >= hits("0.2026") > hits("0.20257345")
    assert hits("0.2027") == 0
    assert hits("2.026e-1") == hits("0.2026")


def test_exact_reductions_and_mistakes_are_found():
    found = ll.explain(TARGETS, logit=LOGITS, got="0.60772034")
    assert ("logloss", ("reduction='sum'",)) in {(line.system, line.reasons) for line in found.hits}
    mistaken = pytorch.binary_cross_entropy_with_logits(np.float32([0.9, 0.2]), np.float32([1, 0]))
    found = ll.explain([1, 0], probability=[0.9, 0.2], got=f"{mistaken:.7f}")
    assert "probabilities taken for logits" in {reason for line in found.hits for reason in line.reasons}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "logits or probabilities, one of them"),
        ({"logit": [1.0, 2.0], "probability": [0.5, 0.5]}, "one of them"),
        ({"target": [], "logit": []}, "at least one target"),
        ({"logit": [1.0]}, "one shape"),
        ({"probability": [5.0, -2.0]}, "Logits? Give them as logit= (--logit)."),
        ({"probability": [90.0, 20.0]}, "Percentages? Use probabilities / 100."),
        ({"probability": [0.5, np.nan]}, "Leave its row out."),
        ({"logit": [0.5, np.nan]}, "logits must not be NaN; got nan at index 1. Leave its row out."),
        ({"probability": [[0.1, 0.9], [0.8, 0.2]]}, "Give that of the positive one, [:, 1]."),
        ({"logit": [1.0, 2.0], "sample_weight": [1.0]}, "one weight per row"),
        ({"logit": [1.0, 2.0], "sample_weight": [1.0, -1.0]}, "finite and not negative"),
        ({"logit": [1.0, 2.0], "sample_weight": [0.0, 0.0]}, "a sum above 0; got 0. Leave it out for ones."),
        (
            {"logit": [1.0, 2.0], "got": "many"},
            "got must be a number such as 0.6931; got 'many'. Give its digits;",
        ),
        ({"logit": [1.0, 2.0], "got": "0,43"}, "Give 0.43."),
        ({"logit": [1.0, 2.0], "got": "43 %"}, "Give 0.43, or 43."),
        ({"logit": [1.0, 2.0], "got": "loss: 0.43"}, "Give 0.43."),
        ({"logit": [1.0, 2.0], "got": "0.4 or 0.5"}, "Give one number alone."),
        ({"logit": [1.0, 2.0], "got": "sNaN"}, "must be a number"),
        ({"logit": [1.0, 2.0], "got": "1e400"}, "within float64"),
    ],
)
def test_bad_input(given: dict[str, Any], message: str):
    with pytest.raises(ll.InvalidInputError, match=re.escape(message)):
        ll.explain(**{"target": [1, 0], **given})


@pytest.mark.frameworks
def test_arrays_of_frameworks_are_refused():
    import torch

    with pytest.raises(ll.UnsupportedTypeError, match=r"got torch.Tensor. Use numpy.asarray."):
        ll.explain(torch.tensor([1.0, 0.0]), logit=torch.tensor([1.0, 2.0]))


# ---- weights --------------------------------------------------------------------------------------------------------

P, T, W = np.array([0.9, 0.2, 0.7, 0.5]), np.array([1, 0, 0, 1]), np.array([2.0, 0.0, 1.0, 0.5])
LOSSES = -T * np.log(P) - (1 - T) * np.log(1 - P)
OVER_SUM, OVER_COUNT, OVER_NONZERO = ((W * LOSSES).sum() / number for number in (3.5, 4, 3))


@pytest.mark.parametrize(
    ("system", "call", "value", "why"),
    [
        ("scikit-learn", "log_loss()", OVER_SUM, ()),
        ("XGBoost", "logloss", OVER_SUM, ()),
        ("LightGBM", "cross_entropy", OVER_SUM, ()),
        ("Keras 3 (torch)", "metrics.BinaryCrossentropy()", OVER_SUM, ()),
        ("PyTorch", "BCELoss()", OVER_COUNT, ("divided by the 4 elements, not by the weights' sum (3.5)",)),
        (
            "Keras 3 (jax)",
            "BinaryCrossentropy()",
            OVER_COUNT,
            ("divided by the 4 elements, not by the weights' sum (3.5)",),
        ),
        (
            "TensorFlow",
            "compat.v1.losses.log_loss()",
            OVER_NONZERO,
            ("divided by the 3 elements whose weight is not 0, not by the weights' sum (3.5)",),
        ),
    ],
)
def test_every_system_weighs_as_it_does(system: str, call: str, value: float, why: tuple[str, ...]):
    found = ll.explain(T, probability=P, sample_weight=W)
    assert (found.weights, found.exact) == (3.5, pytest.approx(OVER_SUM, rel=1e-15))
    (line,) = [line for line in lines(found, system) if line.call == call]
    assert line.value == pytest.approx(value, rel=1e-6)
    assert {reason for reason in line.reasons if "divided" in reason} == set(why)


def test_what_takes_no_weights_says_so():
    found = ll.explain(T, logit=np.log(P / (1 - P)), sample_weight=W)
    (line,) = lines(found, "Caffe")
    assert line.value == pytest.approx(LOSSES.mean(), rel=1e-6)
    assert line.reasons == ("takes no weights",)


def test_weights_of_rows_are_those_of_all_their_labels():
    p, t, w = P.reshape(2, 2), T.reshape(2, 2), np.array([1.0, 3.0])
    found = ll.explain(t, probability=p, sample_weight=w, got="0")
    by_system = {(line.system, line.call, line.dtype): line.value for line in found.lines}
    total = float((LOSSES.reshape(2, 2) * w[:, None]).sum())
    assert found.exact == pytest.approx(total / 8, rel=1e-15)
    assert by_system["XGBoost", "logloss", "float32"] == pytest.approx(total / 8, rel=1e-6)
    assert by_system["PyTorch", "BCELoss()", "float64"] == pytest.approx(total / 4, rel=1e-14)
    assert by_system["PyTorch", "BCELoss(reduction='sum')", "float64"] == pytest.approx(total, rel=1e-14)
    assert by_system["Keras 3 (numpy)", "BinaryCrossentropy()", "float32"] == pytest.approx(total / 4, rel=1e-6)
    assert by_system["Keras 3 (numpy)", "BinaryCrossentropy(reduction='sum')", "float32"] == pytest.approx(
        total / 2, rel=1e-6
    )


@pytest.mark.parametrize(
    ("got", "system", "why"),
    [
        (OVER_NONZERO, "TensorFlow", "divided by the 3 elements whose weight is not 0, not by the weights' sum (3.5)"),
        (LOSSES.mean(), "scikit-learn", "the weights left out"),
        ((W**2 * LOSSES).sum() / 5.25, "scikit-learn", "the weights applied twice"),
        (
            LOSSES.mean() * W.mean(),
            "Keras 3 (jax)",
            "the mean loss times the mean weight, as Keras makes it of arrays with one axis",
        ),
        (OVER_SUM / np.log(2), "scikit-learn", "logarithms to base 2"),
    ],
)
def test_weighted_numbers_are_found(got: float, system: str, why: str):
    found = ll.explain(T, probability=P, sample_weight=W, got=f"{got:.6f}")
    assert (system, why) in {(line.system, reason) for line in found.hits for reason in line.reasons}


# ---- the command ----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["explain", *arguments])
    out, error = capsys.readouterr()
    return code, out, error


def test_json_has_all_of_it(capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(
        capsys, "--probability", "1", "1", "0", "--target", "1", "1", "1", "--got", "5.1416495", "--json"
    )
    document = json.loads(out)
    assert code == 0
    assert (document["schema_version"], document["rows"], document["exact"]) == (1, 3, "inf")
    assert {line["system"] for line in document["lines"] if line["hit"]} == {"tf.keras 2"}
    assert len(document["lines"]) > len(GRID) / 2


def test_text_says_when_nothing_fits(capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(capsys, "--logit", "5", "--target", "1", "--got", "123")
    assert code == 0
    assert "123: nothing in the grid gives it; the nearest" in out
    assert "Was it of exactly these 1 row, with these targets and no weights" in out


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "labels.parquet"
    table = pl.DataFrame({"y1": [1, 0], "y2": [0, 1], "z1": [1.0, -1.0], "z2": [0.5, 2.0]})
    table.write_parquet(path)
    names = ("--target", "y1", "y2", "--logit", "z1", "z2", "--json")
    code, out, _ = run(capsys, str(path), *names)
    exact = ll.binary_cross_entropy_with_logits(table["z1", "z2"].to_numpy(), table["y1", "y2"].to_numpy())
    assert (code, json.loads(out)["exact"]) == (0, exact)
    code, out, _ = run(capsys, str(path), "--target", "y1", "--logit", "z1", "--json")
    assert json.loads(out)["exact"] == ll.binary_cross_entropy_with_logits([1.0, -1.0], [1, 0])


def test_weights_and_decimal_commas_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rows.csv"
    path.write_text("y;p;w\n1;0,9;2\n0;0,25;1,5\n", encoding="utf-8")
    names = ("--target", "y", "--probability", "p", "--weight", "w", "--decimal", ",")
    code, out, _ = run(capsys, str(path), *names, "--json")
    exact = -(2 * np.log(0.9) + 1.5 * np.log(0.75)) / 3.5
    assert (code, json.loads(out)["weights"]) == (0, 3.5)
    assert json.loads(out)["exact"] == pytest.approx(exact, rel=1e-15)
    code, out, _ = run(capsys, str(path), *names)
    assert "2 rows of probabilities, their weights 3.5 in all: exact mean loss" in out
    code, _, error = run(capsys, str(path), "--target", "y", "--probability", "p", "--weight", "w", "p")
    assert (code, "weights must be one column; got w, p" in error) == (2, True)


def test_outcomes_in_words_and_rows_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rows.csv"
    path.write_text("y,p\nyes,0.9\nno,0.25\n,0.5\nyes,\n", encoding="utf-8")
    names = (str(path), "--target", "y", "--probability", "p", "--positive", "yes")
    code, out, _ = run(capsys, *names, "--nulls", "drop", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 2)
    assert json.loads(out)["exact"] == pytest.approx(-(np.log(0.9) + np.log(0.75)) / 2, rel=1e-15)
    code, _, error = run(capsys, *names)
    assert (code, "--nulls drop" in error) == (2, True)


def test_negative_numbers_are_no_options(capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(capsys, "--logit", "-1e-3", "-2", "-.5", "-inf", "--target", "1", "0", "1", "0", "--json")
    exact = ll.binary_cross_entropy_with_logits([-1e-3, -2.0, -0.5, -np.inf], [1, 0, 1, 0])
    assert (code, json.loads(out)["exact"]) == (0, exact)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--logit", "1", "2", "--target", "1"), "one prediction for each target"),
        (("--logit", "x", "--target", "1"), "must be numbers"),
        (("--probability", "0,9", "--target", "1"), "got '0,9'. Give 0.9."),
        (("--probability", "p", "--target", "y"), "names of columns need their files, before the options"),
        (("--probability", "90%", "--target", "1"), "got '90%'. Give 0.9, or 90."),
        (("--logit", "1", "--target", "1", "--weight", "1", "2"), "one weight per row"),
        (("missing.csv", "--logit", "x", "--target", "y"), "missing.csv"),
        (("--logit", "1", "--target", "2"), "[0, 1]"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]):
    code, out, error = run(capsys, *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_keeps_to_its_width(width: int):
    from logloss.reporting import explanation

    text = explanation.render(ll.explain(TARGETS, logit=LOGITS, got="0.2026").to_dict(), width)
    assert max(map(len, text.splitlines())) <= width


def hits(got: str, **given: Any) -> set[tuple[str, str]]:
    return {
        (line.system, "; ".join(line.reasons)) for line in ll.explain(**given, got=got).hits if line.dtype == "float64"
    }


@pytest.mark.parametrize(
    ("got", "given", "system", "why"),
    [
        ("34.538776394910684", {"target": [1], "probability": [0.0]}, OLD, "1 of 1 probabilities clipped at 1e-15"),
        ("nan", {"target": [0, 1], "probability": [0.0, 0.5]}, "NumPy", "1 of 2 losses are 0 · ∞ = NaN (0 · log 0)"),
        ("1.753279", {"target": [1, 0], "probability": [0.9, 0.3]}, OLD, "the other class's probability, 1 - p"),
        ("0.33328813", {"target": [1, 0], "probability": [0.9, 0.3]}, OLD, "logarithms to base 2"),
        ("0.10032973", {"target": [1, 0], "probability": [0.9, 0.3]}, "NumPy", "logarithms to base 10"),
        ("2.12692801", {"target": [1], "logit": [2.0]}, "NumPy", "the other class's logit, -x"),
        ("0.18311841", {"target": [1], "logit": [2.0]}, "NumPy", "logarithms to base 2"),
    ],
)
def test_numbers_that_people_post(got: str, given: dict[str, Any], system: str, why: str):
    assert (system, why) in hits(got, **given)


def test_nan_is_no_hit_of_what_refuses():
    found = ll.explain([0.5, 0.5], probability=[0.5, 0.25], got="nan")
    assert not found.hits
