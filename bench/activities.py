"""How quick lists of activities are with many of them: ``python -m bench.activities [rows]``.

The whole application over a real store, in one process, without sockets.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from fakes.world import World


async def main(rows: int) -> None:
    """Fill a store, ask for pages in different ways, print milliseconds."""
    import httpx
    from sqlalchemy import insert

    from fakes.world import World
    from livius.adapters.store import SqlStore, open_store
    from livius.adapters.store.rows import session_row
    from livius.adapters.store.schema import SESSIONS
    from livius.api import fabric
    from livius.api.app import create_app
    from livius.domain.ids import DriverId, PrincipalId, ReplId, SessionId, new_id
    from livius.domain.session import EndCause, Goal, Phase, Session
    from livius.event_streams import EventStreams
    from wire.conftest import NamedTokens

    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(open_store(Path(folder) / "livius.db"))
        world = World(store=store)
        await world.begin()
        people = [PrincipalId(new_id()) for _ in range(20)]
        now = datetime.now(UTC)

        def make(number: int) -> Session:
            at = now - timedelta(minutes=number)
            phase = chance.choices([Phase.STOPPED, Phase.FAILED, Phase.DIED], [90, 8, 2])[0]
            times = [Phase.REQUESTED, Phase.LAUNCHING, Phase.STARTING, Phase.READY, phase]
            return Session(
                id=SessionId(new_id()),
                workspace=world.workspace.id,
                lakehouse=world.lakehouse.id,
                submitter=chance.choice(people),
                submitter_name="Ada",
                name=f"load {number}",
                runtime="2.0",
                conf={f"spark.sql.some.key{n}": "value" for n in range(10)},
                tags={"team": "data"},
                request={"name": f"load {number}", "driverMemory": "28g"},
                goal=Goal.STOP,
                phase=phase,
                driver=DriverId(new_id()),
                first_repl=ReplId(new_id()),
                idle_timeout=timedelta(minutes=20),
                created_at=at,
                last_active_at=at,
                times={step: at + timedelta(seconds=n) for n, step in enumerate(times)},
                end_cause=EndCause.DELETED if phase is Phase.STOPPED else EndCause.DRIVER_DIED,
                end_reason="Ada deleted the session.",
                log=tuple(f"line {n} of the log, as long as lines are" for n in range(40)),
            )

        values = [session_row(make(number)) for number in range(rows)]
        await store._transactions.run(  # noqa: SLF001 - quicker than ten thousand calls
            lambda connection: connection.execute(insert(SESSIONS), values)
        )
        app = create_app(
            NamedTokens({"ada": world.admin}),
            [fabric.router(world.context, EventStreams())],
            version="0",
        )
        base = f"/v1/workspaces/{world.workspace.id}"
        since = f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        long_ago = f"{now - timedelta(minutes=rows - 50):%Y-%m-%dT%H:%M:%SZ}"
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="https://livius.test",
            headers={"Authorization": "Bearer ada"},
        ) as client:
            queries: dict[str, dict[str, str]] = {
                "first page": {},
                "one submitter": {"submitter.Id": people[0]},
                "failed": {"state": "Failed"},
                "cancelled, of which there are none": {"state": "Cancelled"},
                "since yesterday": {"submittedDateTime": since},
                "ended long ago": {"endDateTime": long_ago},
                "failed of one submitter": {"state": "Failed", "submitter.Id": people[3]},
            }
            for what, query in queries.items():
                took = []
                found = 0
                for _ in range(60):
                    began = time.perf_counter()
                    answer = await client.get(f"{base}/spark/livySessions", params=query)
                    took.append((time.perf_counter() - began) * 1000)
                    found = len(answer.json()["value"])
                p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
                print(f"{what:36} {found:4} found  p50 {p50:6.1f} ms  p95 {p95:6.1f} ms")
            await _sorted(world)
            pages, url = 0, f"{base}/spark/livySessions?maxResults=100"
            began = time.perf_counter()
            while url:
                url = (await client.get(url)).json()["continuationUri"]
                pages += 1
            mean = (time.perf_counter() - began) * 1000 / pages
            print(f"{'all pages, one after the other':36} {pages:4} pages  mean {mean:5.1f} ms")
        store.close()


async def _sorted(world: World) -> None:
    """Ask for a page as the portal does, in each order."""
    from livius.domain.activity import Order
    from livius.usecases.monitoring import Wanted, list_all_activities

    for order in Order:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            await list_all_activities(world.context, world.admin, Wanted(order=order), limit=50)
            took.append((time.perf_counter() - began) * 1000)
        p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
        what = f"50 for the portal, by {order}"
        print(f"{what:36}            p50 {p50:6.1f} ms  p95 {p95:6.1f} ms")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
