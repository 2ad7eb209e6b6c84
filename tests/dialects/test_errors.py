"""What docs/numerics.md says of errors, and draws."""

from __future__ import annotations

import numpy as np
import pytest

from dialects import errors

LOGITS = errors.FIGURES["errors-of-logits"]


@pytest.mark.parametrize("title", [title for title in LOGITS if title.startswith(("logloss", "TensorFlow", "optax"))])
def test_formulas_without_a_difference_lose_nothing(title: str):
    found = errors.measured(LOGITS[title])
    assert found.loss.max() < 2
    assert found.slope.max() < (2 if title == "logloss" else 3)


@pytest.mark.parametrize("title", [title for title in LOGITS if title.startswith(("PyTorch", "Caffe"))])
def test_a_difference_loses_a_digit_for_each_2_3_of_margin_and_all_from_18(title: str):
    found = errors.measured(LOGITS[title])
    for one in (found.loss, found.slope):
        far, middle = one[found.margins > 18], one[(found.margins > 4) & (found.margins < 14)]
        assert far.min() > 2**22
        assert np.polyfit(found.margins[(found.margins > 4) & (found.margins < 14)], np.log(middle), 1)[0] == (
            pytest.approx(1, abs=0.15)
        )


@pytest.mark.parametrize("name", errors.FIGURES)
def test_figures_show_all_formulas(name: str):
    drawn = (errors.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert [title for title in errors.FIGURES[name] if f">{title}<" not in drawn] == []
    assert len(drawn) < 24_000
