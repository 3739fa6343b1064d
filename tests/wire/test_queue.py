"""What the API says of sessions that wait for room."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.capacity import MachineCapacity
from livius.domain.ids import SessionId
from livius.domain.permissions import READ_SESSION
from livius.usecases.access import own_repl
from livius.usecases.event_feed import Followed, SessionChanged, parse_position, repl_feed
from wire.conftest import Wire, served

REASON = (
    "1 of 1 sessions are in use. Delete one, or wait until one has been idle for its timeout; the "
    "operator can raise LIVIUS_MAX_DRIVERS."
)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    """One session may live, and three may wait."""
    async with served(queue=3) as made:
        made.world.room.real = MachineCapacity(
            max_drivers=1, per_driver=1, reserve=0, disk=tmp_path, disk_reserve=0
        )
        yield made


async def create(wire: Wire, **body: Any) -> dict[str, Any]:
    wire.world.clock.advance(timedelta(seconds=1))
    answer = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert answer.status_code == 202
    made: dict[str, Any] = answer.json()
    return made


async def get(wire: Wire, session: str) -> dict[str, Any]:
    found: dict[str, Any] = (await wire.client.get(f"{wire.base}/sessions/{session}")).json()
    return found


async def test_a_queued_session_says_its_place_and_why(wire: Wire) -> None:
    first = await create(wire)
    assert first["fabricSessionStateInfo"]["state"] == "acquiringSession"
    assert "QueuePosition" not in first["tags"]
    await create(wire)
    made = await create(wire, tags={"mine": "x"})
    for body in (made, await get(wire, made["id"])):
        assert (body["state"], body["result"]) == ("not_started", "Uncertain")
        assert "livyInfo" not in body
        assert body["fabricSessionStateInfo"] == {"state": "queued", "errorMessage": ""}
        assert body["schedulerInfo"]["currentState"] == "Queued"
        assert body["schedulerInfo"]["queuedAt"] == body["schedulerInfo"]["submittedAt"]
        assert body["pluginInfo"]["currentState"] == "Queued"
        assert body["tags"] == {"mine": "x", "QueuePosition": "2 of 2", "QueueReason": REASON}


async def test_lists_and_monitoring_say_that_it_waits(wire: Wire) -> None:
    first, second = await create(wire), await create(wire)
    items = (await wire.client.get(f"{wire.base}/sessions")).json()["items"]
    found = {item["id"]: item for item in items}
    assert "tags" not in found[first["id"]]
    queued = found[second["id"]]
    assert (queued["schedulerState"], queued["pluginState"]) == ("Queued", "Queued")
    assert queued["tags"] == {"QueuePosition": "1 of 1", "QueueReason": REASON}
    workspace, _ = wire.world.place
    listed = await wire.client.get(f"/v1/workspaces/{workspace}/spark/livySessions")
    monitored = {one["livyId"]: one for one in listed.json()["value"]}[second["id"]]
    assert (monitored["state"], monitored["origin"]) == ("NotStarted", "PendingJob")
    ready = (await wire.client.get("/readyz")).json()
    assert (ready["sessions"], ready["queued"]) == (2, 1)


async def test_places_move_up_when_one_is_deleted(wire: Wire) -> None:
    _, second, third = [await create(wire) for _ in range(3)]
    await wire.client.delete(f"{wire.base}/sessions/{second['id']}")
    assert (await get(wire, third["id"]))["tags"]["QueuePosition"] == "1 of 1"


async def test_a_full_queue_is_a_430_with_numbers_and_no_record(wire: Wire) -> None:
    for _ in range(4):
        await create(wire)
    answer = await wire.client.post(f"{wire.base}/sessions", json={})
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (430, "TooManyRequestsForCapacity")
    assert body["isRetriable"] is True
    assert int(answer.headers["retry-after"]) > 0
    assert body["message"].startswith("1 sessions are in use, and 3 of at most 3 wait for room.")
    assert len(await wire.world.store.live_sessions()) == 4


async def test_a_high_concurrency_session_waits_with_a_place_too(wire: Wire) -> None:
    await create(wire)
    answer = await wire.client.post(f"{wire.base}/highConcurrencySessions", json={})
    made = answer.json()
    assert made["state"] == "NotStarted"
    assert made["fabricSessionStateInfo"]["state"] == "queued"
    assert made["tags"] == {"QueuePosition": "1 of 1", "QueueReason": REASON}
    again = await wire.client.get(f"{wire.base}/highConcurrencySessions/{made['id']}")
    assert again.json()["tags"] == made["tags"]


async def test_events_say_each_new_place(wire: Wire) -> None:
    _, second, third = [await create(wire) for _ in range(3)]
    world = wire.world

    async def enter() -> Followed:
        path = world.path(SessionId(third["id"]))
        return Followed(*await own_repl(world.context, world.admin, path, READ_SESSION))

    feed = await repl_feed(world.context, enter, seen=None)
    events = feed.of_repl()
    places = []
    async for event in events:
        assert isinstance(event, SessionChanged)
        places.append(event.view.queue and event.view.queue.position)
        if len(places) == 2:
            break
        await wire.client.delete(f"{wire.base}/sessions/{second['id']}")
        world.notifications.notify(event.view.session.id)
    await events.aclose()  # type: ignore[attr-defined]
    assert places == ["2 of 2", "1 of 1"]
    assert parse_position(str(feed.position)) == feed.position, "a broken stream can continue"
