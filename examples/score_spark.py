"""Score a Spark data frame where it is: python examples/score_spark.py.

It needs pip install 'logloss[spark]' and Java 17. Also for spark-submit and notebooks, whose session it
takes, and for Spark Connect (pip install 'pyspark[connect]') at SPARK_REMOTE=sc://host. The digits are the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

import logloss as ll

PREDICTIONS = Path(__file__).parent / "acs_employment_predictions.parquet"


def main() -> None:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # or workers on this machine take the python3 they find
    session = SparkSession.builder.appName("logloss").getOrCreate()
    predictions = session.read.parquet(str(PREDICTIONS)).repartition(4)  # or session.table("predictions")
    print(ll.score(predictions, target="employed", probability="predicted_probability", group="year"))


if __name__ == "__main__":
    main()
