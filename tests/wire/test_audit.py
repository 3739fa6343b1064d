"""The audit log: written with each act, read by Admins."""

import hashlib
from datetime import timedelta

import pytest

from fakes.world import principal
from livius.domain.audit import Action
from livius.domain.driver import DriverEnd
from livius.domain.lakehouse import Role
from livius.ports.store import AuditQuery
from livius.usecases.drivers import report
from livius_agent.wire import Finished
from wire.conftest import Wire


async def test_each_act_is_written_with_who_what_when_from_where_and_result(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}"
    submitted = await wire.client.post(f"{url}/statements", json={"code": "x = 'é'\n" * 100})
    done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="error", ename="E")
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


async def test_places_and_roles_are_written_with_who_made_them(wire: Wire) -> None:
    made = await wire.client.post("/v1/workspaces", json={"displayName": "Silver"})
    base = f"/v1/workspaces/{made.json()['id']}"
    lake = await wire.client.post(f"{base}/lakehouses", json={"displayName": "bronze"})
    url = f"{base}/lakehouses/{lake.json()['id']}"
    await wire.client.patch(url, json={"displayName": "iron"})
    who = principal("Bo").oid
    role = {"principal": {"id": who, "type": "User"}, "role": "Viewer"}
    await wire.client.post(f"{base}/roleAssignments", json=role)
    await wire.client.patch(f"{base}/roleAssignments/{who}", json={"role": "Member"})
    await wire.client.delete(f"{base}/roleAssignments/{who}")
    await wire.client.delete(f"{base}/roleAssignments/{who}")  # nothing is done: not written
    await wire.client.delete(url)
    await wire.client.patch(base, json={"displayName": "Gold"})
    records = (await wire.client.get(f"{base}/auditLog")).json()["value"]
    recorded = [(one["action"], one["target"], one.get("detail")) for one in reversed(records)]
    assert recorded == [
        ("workspace.create", "Silver", None),
        ("lakehouse.create", "bronze", None),
        ("lakehouse.change", "iron", None),
        ("role.assign", who, "Viewer"),
        ("role.assign", who, "Member"),
        ("role.remove", who, None),
        ("lakehouse.delete", "iron", None),
        ("workspace.change", "Gold", None),
    ]
    assert {one["actorName"] for one in records} == {"Ada"}
    assert all(one["requestId"] for one in records)
    await wire.client.delete(base)
    [newest] = await wire.world.store.audit(AuditQuery(limit=1))
    assert (newest.entry.action, newest.entry.target) == (Action.WORKSPACE_DELETE, "Gold")


async def test_refusals_are_written_once_and_then_counted(wire: Wire) -> None:
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    for _ in range(50):
        answer = await wire.client.get(log, headers=wire.as_caller("stranger"))
        assert answer.status_code == 403
        await wire.client.get("/v1/workspaces", headers={"Authorization": "Bearer forged"})
    await wire.client.get(
        "/v1/workspaces", headers={"Authorization": ""}
    )  # says nothing of anybody
    [refused] = (await wire.client.get(log, params={"action": "request.refuse"})).json()["value"]
    assert (refused["actorName"], refused["result"]) == ("stranger", "InsufficientPrivileges")
    assert refused["target"] == "GET /v1/workspaces/{workspace}/auditLog"
    assert "times" not in refused
    await wire.world.context.throttle.settle(everything=True)
    found = await wire.world.store.audit(AuditQuery(limit=100, action=Action.REQUEST_REFUSE))
    counts = {(one.entry.result, one.entry.times) for one in found}
    assert counts == {
        *(("InsufficientPrivileges", 1), ("InsufficientPrivileges", 49)),
        *(("InvalidToken", 1), ("InvalidToken", 49)),
    }


async def test_the_log_is_searched_by_action_and_moment(wire: Wire) -> None:
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    await wire.client.post(f"{wire.base}/sessions", json={})
    wire.world.clock.advance(timedelta(hours=1))
    later = wire.world.clock.now()
    await wire.client.post(f"{wire.base}/sessions", json={})
    for query, count in (
        ({"action": "session.create"}, 2),
        ({"action": "session.create", "since": later.isoformat()}, 1),
        ({"since": later.replace(tzinfo=None).isoformat()}, 1),
        ({"action": "sign_in"}, 0),
    ):
        answer = await wire.client.get(log, params=query)
        assert len(answer.json()["value"]) == count, query
    for wrong in ({"action": "x"}, {"since": "soon"}, {"since": "0001-01-01T00:00:00+14:00"}):
        answer = await wire.client.get(log, params=wrong)
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "InvalidInput"), wrong
