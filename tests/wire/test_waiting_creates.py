"""``Prefer: wait=N`` on a create: the finished answer comes in the one request."""

import asyncio

import httpx
import pytest

from livius.api.middleware import CLIENT_GONE
from livius.domain.session import Session
from livius.usecases.drivers import report
from livius_agent.wire import Finished, Ready
from wire.conftest import Wire
from wire.test_long_polls import HELD, until_watched


def submitted(wire: Wire, session: Session, prefer: str | None) -> "asyncio.Task[httpx.Response]":
    url = f"{wire.base}/sessions/{session.id}/statements"
    headers = {} if prefer is None else {"Prefer": prefer}
    return asyncio.create_task(wire.client.post(url, json={"code": "6*7"}, headers=headers))


async def test_a_statement_is_answered_with_its_output(wire: Wire) -> None:
    session = await wire.ready_session()
    asked = submitted(wire, session, "wait=20")
    await until_watched(wire)
    done = Finished(repl=session.first_repl, number=0, seq=1, size=2, text="42", outcome="ok")
    await report(wire.world.context, session, done)
    answer = await asked
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["output"]["data"]["text/plain"] == "42"
    assert not wire.world.notifications.watched


async def test_a_session_is_answered_when_it_is_ready(wire: Wire) -> None:
    creating = asyncio.create_task(wire.client.post(f"{wire.base}/sessions", headers=HELD))
    await until_watched(wire)
    [created] = await wire.world.store.live_sessions()
    await wire.world.settle(created)
    starting = await wire.world.store.session(created)
    assert starting is not None
    attached = await wire.dial_in(starting)
    assert not creating.done()
    await report(wire.world.context, attached, Ready(spark_app_id="local-1", versions={}))
    answer = await creating
    assert (answer.status_code, answer.json()["state"]) == (202, "idle")
    assert answer.headers["location"].endswith(f"/sessions/{created}")
    assert answer.headers["preference-applied"] == "wait=20"


async def test_a_high_concurrency_session_is_answered_when_it_is_idle(wire: Wire) -> None:
    url = f"{wire.base}/highConcurrencySessions"
    acquiring = asyncio.create_task(wire.client.post(url, json={}, headers=HELD))
    await until_watched(wire)
    [created] = await wire.world.store.live_sessions()
    await wire.world.settle(created)
    starting = await wire.world.store.session(created)
    assert starting is not None
    attached = await wire.dial_in(starting)
    await report(wire.world.context, attached, Ready(spark_app_id="local-1", versions={}))
    answer = await acquiring
    assert (answer.status_code, answer.json()["state"]) == (202, "Idle")
    assert answer.headers["preference-applied"] == "wait=20"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [(None, None), ("respond-async", None), ("wait=0", "wait=0"), ("wait=1", "wait=1")],
)
async def test_one_that_does_not_end_in_time_is_answered_as_it_is(
    wire: Wire, prefer: str | None, applied: str | None
) -> None:
    answer = await submitted(wire, await wire.ready_session(), prefer)
    assert (answer.status_code, answer.json()["state"]) == (200, "running")
    assert answer.headers.get("preference-applied") == applied


async def test_a_wait_is_bounded(wire: Wire) -> None:
    asked = submitted(wire, await wire.ready_session(), "respond-async, wait=99999")
    await until_watched(wire)
    wire.world.notifications.close()
    answer = await asked
    assert answer.headers["preference-applied"] == "wait=60"
    assert answer.json()["state"] == "running", "a shutdown releases it"


async def test_beyond_the_limit_of_held_answers_it_is_answered_at_once(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.world.notifications._most = 0
    answer = await submitted(wire, session, "wait=60")
    assert answer.json()["state"] == "running"


async def test_a_caller_that_leaves_is_waited_for_no_longer_and_its_statement_runs_on(
    wire: Wire,
) -> None:
    session = await wire.ready_session()
    path = f"{wire.base}/sessions/{session.id}/statements"
    left, sent = asyncio.Event(), []
    body = iter([{"type": "http.request", "body": b'{"code": "1"}', "more_body": False}])

    async def receive() -> dict[str, object]:
        for message in body:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = {"host": "livius.test", "authorization": "Bearer ada", "prefer": "wait=60"}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("livius.test", 443),
        "client": ("127.0.0.1", 1),
    }
    app = wire.client._transport.app  # type: ignore[attr-defined]
    asked = asyncio.create_task(app(scope, receive, send))
    await until_watched(wire)
    left.set()
    await asked
    assert sent[0]["status"] == CLIENT_GONE
    assert not wire.world.notifications.watched
    assert (await wire.client.get(f"{path}/0?from=0", headers={"Prefer": "wait=0"})).json()[
        "state"
    ] == "running"
