"""Makes the sample table beside this file: a Delta table that a new installation gets a copy of.

Rows are synthetic: drawn by a seeded generator in the schema of New York's green taxi trip records of
2022. Run it only to change the table:

    uv run --no-project --with numpy --with pandas --with pyarrow --with deltalake green_tripdata_2022.py
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

ROWS = 20_000


def trips() -> pd.DataFrame:
    """Return the rows; times are in UTC."""
    rng = np.random.default_rng(2022)
    distance = np.round(rng.gamma(shape=1.4, scale=2.1, size=ROWS), 2)
    pickup = pd.Timestamp("2022-01-01", tz="UTC") + pd.to_timedelta(
        np.sort(rng.integers(0, 365 * 24 * 3600, size=ROWS)), unit="s"
    )
    fare = np.round(3.0 + 2.75 * distance + rng.gamma(2.0, 1.2, ROWS), 1)
    payment = rng.choice([1.0, 2.0, 3.0, 4.0], size=ROWS, p=[0.62, 0.365, 0.01, 0.005])
    tip = np.where(payment == 1.0, np.round(fare * rng.uniform(0.1, 0.3, ROWS), 2), 0.0)
    tolls = np.where(rng.random(ROWS) < 0.03, 6.55, 0.0)
    congestion = np.where(rng.random(ROWS) < 0.28, 2.75, 0.0)
    extra = rng.choice([0.0, 0.5, 1.0], size=ROWS, p=[0.55, 0.25, 0.2])
    return pd.DataFrame({
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
        "ehail_fee": np.nan,
        "improvement_surcharge": 0.3,
        "total_amount": np.round(fare + extra + 0.8 + tip + tolls + congestion, 2),
        "payment_type": payment,
        "trip_type": rng.choice([1.0, 2.0], size=ROWS, p=[0.97, 0.03]),
        "congestion_surcharge": congestion,
    })


def main() -> None:
    from deltalake import WriterProperties, write_deltalake

    folder = Path(__file__).with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    write_deltalake(
        folder,
        pa.Table.from_pandas(trips(), preserve_index=False),
        description="Synthetic rows in the schema of NYC green taxi trips",
        writer_properties=WriterProperties(compression="ZSTD", compression_level=19),
    )


if __name__ == "__main__":
    main()
