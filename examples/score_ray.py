"""Score a Ray dataset where it is: python examples/score_ray.py.

It needs pip install 'logloss[ray]'. Without a cluster Ray begins one on this machine; with
RAY_ADDRESS, or `ray.init("ray://…")` before, it is that one. The digits are the same.
"""

from __future__ import annotations

from pathlib import Path

import ray

import logloss as ll

PREDICTIONS = Path(__file__).parent / "acs_employment_predictions.parquet"


def main() -> None:
    predictions = ray.data.read_parquet(str(PREDICTIONS)).repartition(4)  # or "s3://bucket/predictions"
    print(ll.score(predictions, target="employed", probability="predicted_probability", group="year"))


if __name__ == "__main__":
    main()
