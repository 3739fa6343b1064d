"""High-concurrency sessions on the wire: states, packing, statements of repls, release."""

from typing import Any

import pytest

from livius.domain.ids import ReplId, SessionId, new_id
from livius.domain.session import Session
from livius.usecases.driver_requests import answer
from livius.usecases.drivers import report
from livius_agent.wire import (
    AgentRequest,
    CloseRepl,
    Finished,
    OpenRepl,
    Output,
    ReplClosed,
    ReplReady,
    Run,
    type_of,
)
from wire.conftest import Wire


def path(wire: Wire) -> str:
    return f"{wire.base}/highConcurrencySessions"


async def acquire(wire: Wire, **body: object) -> dict[str, Any]:
    answer = await wire.client.post(path(wire), json=body)
    assert answer.status_code == 202, answer.text
    acquired: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(f"/highConcurrencySessions/{acquired['id']}")
    return acquired


async def get(wire: Wire, handle: dict[str, Any]) -> dict[str, Any]:
    answer = await wire.client.get(f"{path(wire)}/{handle['id']}", headers={"Prefer": "wait=0"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def session_of(wire: Wire, handle: dict[str, Any]) -> Session:
    """The session behind a handle, its driver ready."""
    found = await wire.world.store.high_concurrency_session(handle["id"])
    assert found is not None
    session = await wire.make_ready(found[1])
    wire.world.links.sent.clear()
    return session


async def test_an_acquire_is_acquiring_then_idle_with_both_ids(wire: Wire) -> None:
    acquired = await acquire(wire, sessionTag="nightly")
    assert acquired["state"] == "NotStarted"
    assert acquired["replId"] is None
    assert acquired["sessionTag"] == "nightly"
    assert "sessionId" not in acquired
    session = await session_of(wire, acquired)
    found = await get(wire, acquired)
    assert found["state"] == "Idle"
    assert found["sessionId"] == session.id
    assert found["replId"] == session.first_repl
    assert "fabricSessionStateInfo" not in found
    assert session.name == f"HC_{wire.world.lakehouse.name}_{session.id}"


async def test_acquires_share_a_session_until_it_is_full(wire: Wire) -> None:
    first = await acquire(wire, sessionTag="a", conf={"spark.highConcurrency.max": "2"})
    session = await session_of(wire, first)
    second = await acquire(wire, sessionTag="a", conf={"spark.highConcurrency.max": "2"})
    assert second["state"] == "AcquiringHighConcurrencySession"
    [opened] = wire.world.links.sent
    assert isinstance(opened, OpenRepl)
    await report(wire.world.context, session, ReplReady(repl=opened.repl))
    found = await get(wire, second)
    assert (found["state"], found["sessionId"]) == ("Idle", session.id)
    assert found["replId"] == opened.repl
    third = await acquire(wire, sessionTag="a", conf={"spark.highConcurrency.max": "2"})
    other = await wire.world.store.high_concurrency_session(third["id"])
    assert other is not None
    assert other[1].id != session.id


@pytest.mark.parametrize(
    "body",
    [
        {"sessionTag": "another"},
        {"sessionTag": "a", "conf": {"spark.sql.shuffle.partitions": "7"}},
        {"sessionTag": "a", "executorCores": 2},
        {},
    ],
)
async def test_what_differs_is_not_shared(wire: Wire, body: dict[str, object]) -> None:
    first = await session_of(wire, await acquire(wire, sessionTag="a"))
    found = await wire.world.store.high_concurrency_session((await acquire(wire, **body))["id"])
    assert found is not None
    assert found[1].id != first.id


async def test_statements_of_repls_run_side_by_side(wire: Wire) -> None:
    first = await acquire(wire)
    session = await session_of(wire, first)
    second = await acquire(wire)
    found = await wire.world.store.high_concurrency_session(second["id"])
    assert found is not None
    further = found[2].id
    base = f"{path(wire)}/{session.id}/repls"
    early = await wire.client.post(f"{base}/{further}/statements", json={"code": "early"})
    assert early.json()["state"] == "waiting"
    running = await wire.client.post(f"{base}/{session.first_repl}/statements", json={"code": "1"})
    assert (running.json()["id"], running.json()["state"]) == (0, "running")
    wire.world.links.sent.clear()
    await report(wire.world.context, session, ReplReady(repl=further))
    assert wire.world.links.sent == [Run(repl=further, number=0, kind="pyspark", code="early")]
    text = Output(repl=further, number=0, seq=1, offset=0, text="x\n")
    await report(wire.world.context, session, text)
    done = Finished(repl=further, number=0, seq=2, size=2, outcome="ok")
    await report(wire.world.context, session, done)
    body = (await wire.client.get(f"{base}/{further}/statements/0")).json()
    assert body["output"]["data"]["text/plain"] == "x"
    listed = (await wire.client.get(f"{base}/{session.first_repl}/statements")).json()
    assert [one["code"] for one in listed["statements"]] == ["1"]
    cancelled = await wire.client.post(f"{base}/{session.first_repl}/statements/0/cancel")
    assert cancelled.json() == {"msg": "canceled"}


async def test_a_release_leaves_its_siblings_alone(wire: Wire) -> None:
    first = await acquire(wire)
    session = await session_of(wire, first)
    second = await acquire(wire)
    found = await wire.world.store.high_concurrency_session(second["id"])
    assert found is not None
    further = found[2].id
    await report(wire.world.context, session, ReplReady(repl=further))
    base = f"{path(wire)}/{session.id}/repls"
    for repl in (session.first_repl, further):
        await wire.client.post(f"{base}/{repl}/statements", json={"code": "1"})
    wire.world.links.sent.clear()
    one = f"{path(wire)}/{second['id']}"
    answers = [await wire.client.delete(one), await wire.client.delete(one)]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert wire.world.links.sent == [CloseRepl(repl=further)]
    assert (await wire.client.get(one)).status_code == 404
    assert (await wire.client.get(f"{base}/{further}/statements/0")).status_code == 404
    sibling = await wire.client.get(
        f"{base}/{session.first_repl}/statements/0", headers={"Prefer": "wait=0"}
    )
    assert sibling.json()["state"] == "running"
    # The driver had not heard of it yet: what it says late is dropped.
    text = Output(repl=further, number=0, seq=1, offset=0, text="late")
    await report(wire.world.context, session, text)
    await report(wire.world.context, session, ReplClosed(repl=further))
    repls = (await wire.client.get(f"{wire.base}/sessions/{session.id}/repls")).json()
    states = {one["id"]: one["state"] for one in repls["items"]}
    assert states == {session.first_repl: "open", further: "closed"}


async def test_a_redial_opens_and_closes_what_was_not_heard(wire: Wire) -> None:
    first = await acquire(wire)
    session = await session_of(wire, first)
    wire.world.links.open.clear()
    opening, closing = await acquire(wire), await acquire(wire)
    await wire.client.delete(f"{path(wire)}/{closing['id']}")
    repls = {}
    for handle in (opening, closing):
        found = await wire.world.store.high_concurrency_session(handle["id"])
        assert found is not None
        repls[handle["id"]] = found[2].id
    wire.world.links.sent.clear()
    await wire.dial_in(session)
    assert sorted(wire.world.links.sent, key=type_of) == [
        CloseRepl(repl=repls[closing["id"]]),
        OpenRepl(repl=repls[opening["id"]]),
    ]


async def test_a_repl_that_can_not_be_opened_is_dead_and_says_why(wire: Wire) -> None:
    session = await session_of(wire, await acquire(wire))
    handle = await acquire(wire)
    found = await wire.world.store.high_concurrency_session(handle["id"])
    assert found is not None
    refused = ReplClosed(repl=found[2].id, reason="The repl could not be opened: no memory")
    await report(wire.world.context, session, refused)
    body = await get(wire, handle)
    assert body["state"] == "Dead"
    assert body["fabricSessionStateInfo"]["errorMessage"] == refused.reason


@pytest.mark.parametrize("how", ["in the statement", "in between"])
async def test_code_that_stops_its_session_closes_its_repl_alone(wire: Wire, how: str) -> None:
    first, second = await acquire(wire), await acquire(wire)
    session = await session_of(wire, first)
    found = await wire.world.store.high_concurrency_session(second["id"])
    assert found is not None
    further = found[2].id
    await report(wire.world.context, session, ReplReady(repl=further))
    await wire.client.post(
        f"{path(wire)}/{session.id}/repls/{further}/statements", json={"code": "1"}
    )
    wire.world.links.sent.clear()
    if how == "in the statement":
        done = Finished(repl=further, number=0, seq=1, size=0, outcome="ok", stop=True)
        await report(wire.world.context, session, done)
    else:
        await answer(wire.world.context, session, AgentRequest(id=1, repl=further, what="stop"))
    assert CloseRepl(repl=further) in wire.world.links.sent
    await report(wire.world.context, session, ReplClosed(repl=further))
    closed = await get(wire, second)
    assert closed["state"] == "Dead"
    assert "session.stop" in closed["fabricSessionStateInfo"]["errorMessage"]
    assert (await get(wire, first))["state"] == "Idle"


async def test_the_first_repl_is_closed_also_after_a_redial(wire: Wire) -> None:
    first, second = await acquire(wire), await acquire(wire)
    session = await session_of(wire, first)
    wire.world.links.open.clear()
    await wire.client.delete(f"{path(wire)}/{first['id']}")
    wire.world.links.sent.clear()
    await wire.dial_in(session)
    assert CloseRepl(repl=session.first_repl) in wire.world.links.sent
    await report(wire.world.context, session, ReplClosed(repl=session.first_repl))
    assert (await get(wire, second))["state"] == "AcquiringHighConcurrencySession"


async def test_the_end_of_the_session_is_its_handles_end(wire: Wire) -> None:
    handle = await acquire(wire)
    session = await session_of(wire, handle)
    await wire.world.store.request_stop(session.id, end_reason="idle")
    assert (await get(wire, handle))["state"] == "Deleting"
    await wire.world.settle(session.id)
    assert (await get(wire, handle))["state"] == "Killed"


async def test_a_shared_session_takes_no_statement_without_a_repl(wire: Wire) -> None:
    session = await session_of(wire, await acquire(wire))
    url = f"{wire.base}/sessions/{session.id}/statements"
    for refused in (await wire.client.post(url, json={"code": "1"}), await wire.client.get(url)):
        assert refused.status_code == 409
        assert refused.json()["errorCode"] == "ReplRequired"


async def test_a_repl_of_another_session_is_not_found(wire: Wire) -> None:
    one = await session_of(wire, await acquire(wire, sessionTag="one"))
    other = await session_of(wire, await acquire(wire, sessionTag="other"))
    for session, repl in ((one.id, other.first_repl), (one.id, ReplId(new_id()))):
        url = f"{path(wire)}/{session}/repls/{repl}/statements"
        answer = await wire.client.post(url, json={"code": "1"})
        assert answer.status_code == 404


async def test_who_lists_sees_their_own(wire: Wire) -> None:
    handles = [await acquire(wire) for _ in range(3)]
    page = (await wire.client.get(path(wire), params={"$top": 2})).json()
    assert page["totalCountOfMatchedItems"] == 3
    assert page["pageSize"] == 2
    assert {one["id"] for one in page["items"]} <= {one["id"] for one in handles}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sessionTag": "x" * 257}, "sessionTag"),
        ({"sessionTag": "a\x07"}, "sessionTag"),
        ({"sessionTag": 5}, "sessionTag"),
        ({"conf": {"spark.highConcurrency.max": "1"}}, "spark.highConcurrency.max"),
        ({"conf": {"spark.highConcurrency.max": "51"}}, "spark.highConcurrency.max"),
        ({"conf": {"spark.highConcurrency.max": "many"}}, "spark.highConcurrency.max"),
        ({"conf": {"spark.master": "yarn"}}, "spark.master"),
    ],
)
async def test_a_wrong_body_is_refused(wire: Wire, body: dict[str, Any], field: str) -> None:
    answer = await wire.client.post(path(wire), json=body)
    assert answer.status_code == 400
    assert field in answer.text
    assert await wire.world.store.live_sessions() == []


@pytest.mark.parametrize("handle", ["nonsense", "5f0b7a10-0000-4000-8000-000000000000"])
async def test_an_unknown_handle_is_not_found(wire: Wire, handle: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await wire.client.request(method, f"{path(wire)}/{handle}")
        assert answer.status_code == 404
        assert answer.json()["errorCode"] == "HighConcurrencySessionNotFound"


async def test_monitoring_shows_the_shared_session(wire: Wire) -> None:
    session = await session_of(wire, await acquire(wire))
    workspace, lakehouse = wire.world.place
    url = f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livySessions"
    [item] = (await wire.client.get(url)).json()["value"]
    assert item["livyId"] == SessionId(session.id)
    assert item["isHighConcurrency"] is True
    assert item["operationName"] == "High Concurrency Session Livy Run"
