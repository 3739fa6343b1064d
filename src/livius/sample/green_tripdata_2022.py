# The sample table, made by a statement of the first session. Rows are synthetic: drawn by a seeded
# generator in the schema of New York's green taxi trip records of 2022.
import numpy as np
import pandas as pd
from pyspark.sql.functions import lit

ROWS = 20_000
rng = np.random.default_rng(2022)
distance = np.round(rng.gamma(shape=1.4, scale=2.1, size=ROWS), 2)
pickup = pd.Timestamp("2022-01-01") + pd.to_timedelta(
    np.sort(rng.integers(0, 365 * 24 * 3600, size=ROWS)), unit="s"
)
fare = np.round(3.0 + 2.75 * distance + rng.gamma(2.0, 1.2, ROWS), 1)
payment = rng.choice([1.0, 2.0, 3.0, 4.0], size=ROWS, p=[0.62, 0.365, 0.01, 0.005])
tip = np.where(payment == 1.0, np.round(fare * rng.uniform(0.1, 0.3, ROWS), 2), 0.0)
tolls = np.where(rng.random(ROWS) < 0.03, 6.55, 0.0)
congestion = np.where(rng.random(ROWS) < 0.28, 2.75, 0.0)
extra = rng.choice([0.0, 0.5, 1.0], size=ROWS, p=[0.55, 0.25, 0.2])
trips = pd.DataFrame({
    "VendorID": rng.choice([1, 2], size=ROWS, p=[0.13, 0.87]),
    "lpep_pickup_datetime": pickup,
    "lpep_dropoff_datetime": pickup + pd.to_timedelta(
        (distance * 210 + rng.gamma(2.0, 120.0, ROWS)).astype(int), unit="s"
    ),
    "store_and_fwd_flag": rng.choice(["N", "Y"], size=ROWS, p=[0.995, 0.005]),
    "RatecodeID": rng.choice([1.0, 2.0, 5.0], size=ROWS, p=[0.94, 0.01, 0.05]),
    "PULocationID": rng.integers(1, 264, size=ROWS),
    "DOLocationID": rng.integers(1, 264, size=ROWS),
    "passenger_count": rng.choice([1.0, 2.0, 3.0, 5.0], size=ROWS, p=[0.86, 0.09, 0.03, 0.02]),
    "trip_distance": distance,
    "fare_amount": fare,
    "extra": extra,
    "mta_tax": 0.5,
    "tip_amount": tip,
    "tolls_amount": tolls,
    "ehail_fee": 0.0,
    "improvement_surcharge": 0.3,
    "total_amount": np.round(fare + extra + 0.8 + tip + tolls + congestion, 2),
    "payment_type": payment,
    "trip_type": rng.choice([1.0, 2.0], size=ROWS, p=[0.97, 0.03]),
    "congestion_surcharge": congestion,
})
spark.createDataFrame(trips).withColumn("ehail_fee", lit(None).cast("double")).coalesce(
    1
).write.mode("overwrite").saveAsTable("green_tripdata_2022")
spark.sql("COMMENT ON TABLE green_tripdata_2022 IS 'Synthetic rows in the schema of NYC green taxi trips'")
print(spark.table("green_tripdata_2022").count())
