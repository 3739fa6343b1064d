"""The starter pool: how soon a session is idle, and what its first Delta query takes, by kind."""

import tempfile
from functools import partial
from pathlib import Path

import requests

from bench.sample import Results
from support.gateway import Client, Gateway, RemoteSession
from support.waiting import wait_for

TABLE = "bench_pooled"
FIRST = {
    "sql": f"select name, count(*) from {TABLE} group by name",
    "pyspark": f"spark.table('{TABLE}').groupBy('name').count().collect()",
    "spark": f'spark.table("{TABLE}").groupBy("name").count().collect()',
}


def pooled(rounds: int, results: Results) -> None:
    """Claim a warm driver and a cold one in turn, and ask each once in each kind."""
    with tempfile.TemporaryDirectory(prefix="livius-bench-pool-") as folder:
        gateway = Gateway(Path(folder) / "home", {"LIVIUS_POOL_SIZE": "1"})
        with gateway.serving():
            client = gateway.client()
            with client.session() as session:
                session.run(
                    "spark.range(1000).selectExpr('id', 'cast(id % 7 as string) as name')"
                    f".write.saveAsTable('{TABLE}')"
                )
            for _ in range(rounds):
                for kind in FIRST:
                    warm(gateway)
                    first_query(client, kind, "pooled", {}, results)
                    # A key that Spark reads once.
                    first_query(client, kind, "cold", {"spark.task.maxFailures": "1"}, results)


def first_query(
    client: Client, kind: str, start: str, conf: dict[str, str], results: Results
) -> None:
    """Start a session and run one query in it."""
    began: list[RemoteSession] = []

    def idle() -> None:
        began.append(client.create(conf=conf))
        began[0].wait_idle()

    results.time(f"pool: {start} create to idle", idle)
    [session] = began
    results.time(f"pool: {start}, first Delta query, {kind}", partial(run, session, kind))
    session.delete()


def run(session: RemoteSession, kind: str) -> None:
    """Run the kind's query."""
    assert session.run(FIRST[kind], kind=kind)["status"] == "ok"


def warm(gateway: Gateway) -> None:
    """Wait until a driver of the pool is warm."""
    url = f"{gateway.connection['http']}/readyz"
    wait_for(
        lambda: requests.get(url, timeout=10).json()["pool"]["warm"],
        seconds=300,
        what="a driver is warm",
    )
