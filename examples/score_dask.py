"""Score a Dask data frame where it is: python examples/score_dask.py.

It needs pip install 'logloss[dask]' 'dask[dataframe]'. Without a client the partitions are scored by threads of this
process; with `distributed.Client("tcp://…")` before, on that cluster. The digits are the same.
"""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd

import logloss as ll

PREDICTIONS = Path(__file__).parent / "acs_employment_predictions.parquet"


def main() -> None:
    predictions = dd.read_parquet(PREDICTIONS).repartition(npartitions=4)  # or "s3://bucket/predictions"
    print(ll.score(predictions, target="employed", probability="predicted_probability", group="year"))


if __name__ == "__main__":
    main()
