"""What Livius is measured against, in one process: plain PySpark, or a Spark Connect client.

Run by the runtime's Python with the conf of a Livius driver. Reads JSON lines: the first says what
to start (``conf``, ``connect``), each further one what to do (``work``, ``table``); answers each
with the seconds that it took.
"""

import json
import sys
import time
from typing import Any

began = time.perf_counter()
spec = json.loads(sys.stdin.readline())

from pyspark.sql import SparkSession  # noqa: E402 - importing is part of what is measured

builder: Any = SparkSession.builder
if spec["connect"]:
    builder = builder.remote("local[*]")
for key, value in spec["conf"].items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
if not spec["connect"]:
    spark.sparkContext.setLogLevel("ERROR")


def answer(seconds: float) -> None:
    """Say how long it took."""
    print(json.dumps({"seconds": seconds}), flush=True)


WORK: dict[str, Any] = {
    "1 + 1": lambda _: eval("1 + 1"),
    "select 1": lambda _: spark.sql("select 1").collect(),
    "rows": lambda query: spark.sql(query).collect(),
    "table": lambda path: spark.sql(f"select * from delta.`{path}` limit 1").collect(),
}
answer(time.perf_counter() - began)
for line in sys.stdin:
    asked = json.loads(line)
    start = time.perf_counter()
    WORK[asked["work"]](asked.get("table"))
    answer(time.perf_counter() - start)
