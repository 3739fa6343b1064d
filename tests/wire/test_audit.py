"""The audit log: written with each act, read by Admins."""

import hashlib

import pytest

from livius.domain.driver import DriverEnd
from livius.domain.lakehouse import Role
from livius.usecases.drivers import report
from livius_agent.wire import Finished
from wire.conftest import Wire


async def test_each_act_is_written_with_who_what_when_from_where_and_result(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}"
    submitted = await wire.client.post(f"{url}/statements", json={"code": "x = 'é'\n" * 100})
    done = Finished(repl=session.repl, number=0, seq=1, size=0, outcome="error", ename="E")
    await report(wire.world.context, session, done)
    await report(wire.world.context, session, done)  # told again: written once
    await wire.client.post(f"{url}/statements", json={"code": "2"})
    await wire.client.post(f"{url}/statements/1/cancel")
    await wire.client.delete(url)
    await wire.client.delete(url)
    await wire.world.settle(session.id)
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    answer = await wire.client.get(log, params={"sessionId": session.id})
    records = list(reversed(answer.json()["value"]))
    assert [(one["action"], one.get("statement"), one["result"]) for one in records] == [
        ("session.create", None, "accepted"),
        ("statement.submit", "0", "accepted"),
        ("statement.end", "0", "error"),
        ("statement.submit", "1", "accepted"),
        ("statement.cancel", "1", "accepted"),
        ("session.delete", None, "accepted"),
        ("statement.end", "1", "abandoned"),
        ("session.end", None, "deleted"),
    ]
    submit = records[1]
    code = "x = 'é'\n" * 100
    assert submit["codeSha256"] == hashlib.sha256(code.encode()).hexdigest()
    assert submit["codeHead"] == code[:200]
    assert (submit["actorId"], submit["actorName"]) == (wire.world.admin.oid, "Ada")
    assert submit["actorKind"] == "user"
    assert submit["address"] == "127.0.0.1"
    assert submit["requestId"] == submitted.headers["x-ms-request-id"]
    assert not {"actorId", "requestId"} & set(records[-1])


async def test_pages_go_back_in_time(wire: Wire) -> None:
    for _ in range(5):
        await wire.client.post(f"{wire.base}/sessions", json={})
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    seen: list[int] = []
    query: dict[str, int] | None = {"maxResults": 2}
    while query is not None:
        body = (await wire.client.get(log, params=query)).json()
        seen += [one["number"] for one in body["value"]]
        query = {"maxResults": 2, "before": body["before"]} if "before" in body else None
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    assert (await wire.client.get(log, params={"actorId": "nobody"})).json()["value"] == []


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CONTRIBUTOR, Role.VIEWER])
async def test_none_but_admins_read_it(wire: Wire, role: Role) -> None:
    wire.tokens.known["other"] = await wire.world.member(role)
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    answer = await wire.client.get(log, headers=wire.as_caller("other"))
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "InsufficientWorkspaceRole")
    answer = await wire.client.get(log, headers=wire.as_caller("stranger"))
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "InsufficientPrivileges")


async def test_a_driver_that_dies_is_written(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.world.launcher.die(session.driver, DriverEnd(signal=9))
    wire.world.links.open.clear()
    await wire.world.settle(session.id)
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    [newest, *_] = (await wire.client.get(log)).json()["value"]
    assert (newest["action"], newest["result"]) == ("session.end", "driver_died")
