"""Answers about unfinished things are held, and released the instant that there is news."""

import asyncio

import pytest

from livius.usecases.drivers import report
from livius_agent.wire import Finished, Output, Ready
from wire.conftest import Wire

HELD = {"Prefer": "wait=20"}


async def until_watched(wire: Wire) -> None:
    while not wire.world.notifications.watched:
        await asyncio.sleep(0)


async def test_the_get_of_a_running_statement_ends_with_it(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(wire.client.get(f"{url}/0", headers=HELD)) for _ in range(50)]
        await until_watched(wire)
        done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok")
        await report(wire.world.context, session, done)
    assert {task.result().json()["state"] for task in asked} == {"available"}
    assert not wire.world.notifications.watched


async def test_who_reads_along_gets_what_is_printed_the_instant_that_it_is(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    said, read = ("first\n", "second\n", "the end"), 0
    for text in said:
        async with asyncio.TaskGroup() as group:
            follow = group.create_task(wire.client.get(f"{url}/0?from={read}", headers=HELD))
            plain = group.create_task(wire.client.get(f"{url}/0", headers={"Prefer": "wait=0"}))
            await until_watched(wire)
            printed = Output(repl=session.first_repl, number=0, seq=1, offset=read, text=text)
            await report(wire.world.context, session, printed)
        body = follow.result().json()
        assert body["state"] == "running"
        assert body["output"]["data"]["text/plain"] == text
        assert "output" not in plain.result().json()
        read += len(text)
    done = Finished(repl=session.first_repl, number=0, seq=9, size=read, outcome="ok")
    await report(wire.world.context, session, done)
    last = (await wire.client.get(f"{url}/0?from={read - 3}", headers=HELD)).json()
    assert (last["state"], last["output"]["data"]["text/plain"]) == ("available", "end")
    whole = (await wire.client.get(f"{url}/0")).json()["output"]["data"]["text/plain"]
    assert whole == "".join(said)


async def test_the_get_of_a_starting_session_ends_when_it_is_ready(wire: Wire) -> None:
    session = await wire.starting_session()
    url = f"{wire.base}/sessions/{session.id}"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(url, headers=HELD))
        await until_watched(wire)
        attached = await wire.dial_in(session)
        # It looks again and goes on waiting: Spark still starts.
        for _ in range(100):
            await asyncio.sleep(0)
        assert not asked.done()
        await report(wire.world.context, attached, Ready(spark_app_id="local-1", versions={}))
    assert asked.result().json()["state"] == "idle"


async def test_the_get_of_a_starting_session_ends_when_its_time_is_over(wire: Wire) -> None:
    session = await wire.starting_session()
    url = f"{wire.base}/sessions/{session.id}"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(url, headers={"Prefer": "wait=1"}))
        await until_watched(wire)
        await wire.dial_in(session)
    assert asked.result().json()["state"] == "starting"


async def test_a_shutdown_releases_who_waits_for_a_start(wire: Wire) -> None:
    session = await wire.starting_session()
    url = f"{wire.base}/sessions/{session.id}"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(url, headers=HELD))
        await until_watched(wire)
        wire.world.notifications.close()
    assert asked.result().json()["state"] == "starting"
    assert (await wire.client.get(url, headers=HELD)).json()["state"] == "starting"


async def test_deleting_a_session_releases_who_waits_for_it(wire: Wire) -> None:
    created = (await wire.client.post(f"{wire.base}/sessions", json={})).json()
    url = f"{wire.base}/sessions/{created['id']}"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(url, headers=HELD))
        await until_watched(wire)
        await wire.client.delete(url)
    assert asked.result().status_code == 404


async def test_cancelling_a_waiting_statement_releases_who_waits_for_it(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    for _ in range(2):
        await wire.client.post(url, json={"code": "1"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(f"{url}/1", headers=HELD))
        await until_watched(wire)
        await wire.client.post(f"{url}/1/cancel")
    assert asked.result().json()["state"] == "cancelled"


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async, wait=0"])
async def test_a_caller_that_will_not_wait_is_answered_at_once(wire: Wire, prefer: str) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    answer = await wire.client.get(f"{url}/0", headers={"Prefer": prefer})
    assert answer.json()["state"] == "running"


async def test_a_shutdown_releases_everyone(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(wire.client.get(f"{url}/0", headers=HELD))
        await until_watched(wire)
        wire.world.notifications.close()
    assert asked.result().json()["state"] == "running"
    assert (await wire.client.get(f"{url}/0", headers=HELD)).json()["state"] == "running"


async def test_beyond_the_limit_nobody_is_held(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    async with asyncio.TaskGroup() as group:
        held = [group.create_task(wire.client.get(f"{url}/0", headers=HELD)) for _ in range(100)]
        while wire.world.notifications.watched < 100:
            await asyncio.sleep(0)
        extra = await wire.client.get(f"{url}/0", headers=HELD)
        assert extra.json()["state"] == "running"
        done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok")
        await report(wire.world.context, session, done)
    assert {task.result().json()["state"] for task in held} == {"available"}


async def test_a_caller_that_leaves_costs_nothing(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    asked = asyncio.get_running_loop().create_task(wire.client.get(f"{url}/0", headers=HELD))
    await until_watched(wire)
    asked.cancel()
    while wire.world.notifications.watched:
        await asyncio.sleep(0)
