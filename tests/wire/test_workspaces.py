"""Renaming and deleting workspaces, on the wire."""

import asyncio

import pytest

from livius.domain.ids import SessionId, new_id
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Phase
from livius.domain.statement import Phase as StatementPhase
from wire.conftest import Wire

CAPACITY = "b0a3e1a0-6c5e-4f6f-9f4c-2f2a1c6f0b11"


def here(wire: Wire) -> str:
    return f"/v1/workspaces/{wire.world.workspace.id}"


async def test_a_rename_changes_what_people_see_and_no_address(wire: Wire) -> None:
    before = await wire.client.get(f"{wire.base}/sessions")
    answer = await wire.client.patch(here(wire), json={"displayName": "Lab", "description": "x"})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": wire.world.workspace.id,
        "displayName": "Lab",
        "description": "x",
        "type": "Workspace",
        "capacityId": CAPACITY,
    }
    assert (await wire.client.get(here(wire))).json() == answer.json()
    again = await wire.client.patch(here(wire), json={"description": ""})
    assert (again.json()["displayName"], again.json()["description"]) == ("Lab", "")
    assert (await wire.client.get(f"{wire.base}/sessions")).status_code == before.status_code


@pytest.mark.parametrize("body", [{}, {"displayName": ""}, {"displayName": "x" * 257},
                                  {"displayName": "a\nb"}, {"displayName": 1},
                                  {"description": "x" * 257}])  # fmt: skip
async def test_what_can_not_be_a_name_is_a_400(wire: Wire, body: dict[str, object]) -> None:
    assert (await wire.client.patch(here(wire), json=body)).status_code == 400
    assert (await wire.client.get(here(wire))).json()["displayName"] == "Research"


async def test_a_name_in_use_is_a_409_and_ones_own_in_other_letters_is_not(wire: Wire) -> None:
    await wire.client.post("/v1/workspaces", json={"displayName": "Sales"})
    taken = await wire.client.patch(here(wire), json={"displayName": "SALES"})
    assert (taken.status_code, taken.json()["errorCode"]) == (409, "WorkspaceNameAlreadyExists")
    assert (await wire.client.patch(here(wire), json={"displayName": "RESEARCH"})).is_success


async def test_deleting_ends_the_sessions_for_a_reason_and_keeps_the_files(wire: Wire) -> None:
    ready = await wire.ready_session()
    statement = await wire.client.post(
        f"{wire.base}/sessions/{ready.id}/statements", json={"code": "1", "kind": "pyspark"}
    )
    assert statement.is_success
    starting = SessionId((await wire.client.post(f"{wire.base}/sessions", json={})).json()["id"])
    await wire.world.settle(starting)
    await wire.world.lakehouses.create(wire.world.workspace.id, wire.world.lakehouse.id)
    answer = await wire.client.delete(here(wire))
    assert (answer.status_code, answer.content) == (200, b"")
    for key in (ready.id, starting):
        await wire.world.settle(key)
        session = await wire.world.store.session(key)
        assert session is not None
        assert session.driver in wire.world.woken
        assert (session.phase, session.end_cause) == (Phase.STOPPED, EndCause.DELETED)
        assert session.end_reason == "Ada deleted the workspace Research."
    [ended], _total = await wire.world.store.list_statements(ready.first_repl, skip=0, top=5)
    assert ended.phase in (StatementPhase.AVAILABLE, StatementPhase.CANCELLED)
    assert ended.ending is not None
    assert "deleted the workspace" in (ended.ending.evalue or "")
    assert wire.world.launcher.alive == {}
    assert wire.world.lakehouse.id in wire.world.lakehouses.present


async def test_nothing_of_a_deleted_workspace_is_found(wire: Wire) -> None:
    session = await wire.ready_session()
    assert (await wire.client.delete(here(wire))).status_code == 200
    for path in (
        here(wire),
        f"{here(wire)}/lakehouses",
        f"{wire.base}/sessions",
        f"{wire.base}/sessions/{session.id}",
        f"{here(wire)}/spark/livySessions",
        f"{here(wire)}/roleAssignments",
    ):
        gone = await wire.client.get(path)
        assert (gone.status_code, gone.json()["errorCode"]) == (404, "WorkspaceNotFound"), path
        assert "may have been deleted" in gone.json()["message"]
    again = await wire.client.delete(here(wire))
    assert again.status_code == 404
    assert (await wire.client.get("/v1/workspaces")).json() == {"value": []}
    made = await wire.client.post("/v1/workspaces", json={"displayName": "Research"})
    assert made.status_code == 201


async def test_who_waits_for_a_statement_of_it_is_answered_at_once(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1", "kind": "pyspark"})
    held = asyncio.ensure_future(wire.client.get(f"{url}/0", headers={"Prefer": "wait=60"}))
    while wire.world.notifications.watched == 0:
        await asyncio.sleep(0.01)
    await wire.client.delete(here(wire))
    await wire.world.settle(session.id)
    answer = await asyncio.wait_for(held, 10)
    assert answer.status_code == 200
    assert "deleted the workspace" in answer.json()["output"]["evalue"]
    assert (await wire.client.get(f"{url}/0")).status_code == 404


async def test_admins_alone_rename_and_delete(wire: Wire) -> None:
    for role in (Role.MEMBER, Role.CONTRIBUTOR, Role.VIEWER, None):
        caller = wire.as_caller(str(role))
        if role is not None:
            wire.tokens.known[role] = await wire.world.member(role)
        for answer in (
            await wire.client.patch(here(wire), json={"displayName": "x"}, headers=caller),
            await wire.client.delete(here(wire), headers=caller),
        ):
            assert answer.status_code == 403, role
    for nowhere in (new_id(), "x"):
        assert (await wire.client.delete(f"/v1/workspaces/{nowhere}")).status_code == 404
