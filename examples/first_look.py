"""Two results of real data, with one command: how good a model is, as a report, and which of two models is better.

python examples/first_look.py [FOLDER]

It writes acs.html, a report of 277,677 predictions of who is employed, and yeast.html, which compares logistic
regression and gradient boosting on a label of genes, and says in one sentence what the second came to. Open them in a
browser. Needs `pip install 'logloss[report]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

import logloss as ll

HERE = Path(__file__).parent


def acs(folder: Path) -> Path:
    """Predictions of employment, by year, and whether they are of use to whoever acts from 20 or 50 % on."""
    page = folder / "acs.html"
    source = HERE / "acs_employment_predictions.parquet"
    columns = {"target": "employed", "probability": "predicted_probability"}
    ll.report(source, page, **columns, group="year", thresholds=(0.2, 0.5))
    return page


def yeast(folder: Path, label: int = 5) -> tuple[Path, str]:
    """Two models of one label, on the same rows: boosting's probabilities as logits, as the other's are."""
    page, p = folder / "yeast.html", pl.col(f"p_hgb_{label}")
    rows = pl.read_parquet(HERE / "yeast_multilabel_predictions.parquet").with_columns(boosting=(p / (1 - p)).log())
    models = {"logistic": f"logit_lr_{label}", "boosting": "boosting"}
    ll.report(rows, page, target=f"y_{label}", logit=models)
    found = ll.compare(rows, target=f"y_{label}", logit=models)
    return page, str(found).partition("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Write both pages into a folder, and say where they are."""
    parser = argparse.ArgumentParser(description="A report and a comparison of the predictions in this folder.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where they go (default: here)")
    folder = parser.parse_args().folder
    print(acs(folder))
    page, answer = yeast(folder)
    print(f"{page}\n{answer}")


if __name__ == "__main__":
    main()
