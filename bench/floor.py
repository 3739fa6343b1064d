"""The floor: plain PySpark in one process, asked over its standard input, one JSON line a time.

Run by the runtime's Python with the same conf that a Livius driver has.
"""

import json
import sys
import time

began = time.monotonic()
spec = json.loads(sys.stdin.readline())

from pyspark import SparkConf, SparkContext  # noqa: E402 - importing is part of what is measured
from pyspark.sql import SparkSession  # noqa: E402

conf = SparkConf().setAll(list(spec["conf"].items()))
builder = SparkSession.builder.config(conf=conf)
spark = builder.getOrCreate()
SparkContext.setLogLevel(spark.sparkContext, "ERROR")
print(json.dumps({"ready": time.monotonic() - began}), flush=True)

WORK = {
    "1+1": lambda: eval("1 + 1"),
    "select 1": lambda: spark.sql("select 1").collect(),
    "table": lambda: spark.sql(f"select * from delta.`{spec['table']}` limit 1").collect(),
}
for line in sys.stdin:
    name = line.strip()
    start = time.perf_counter()
    WORK[name]()
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
