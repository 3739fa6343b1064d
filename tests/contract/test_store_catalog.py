"""The contract of stores: workspaces, lakehouses, roles and personal tokens."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from livius.adapters.store import SqlStore, open_store
from livius.domain.audit import Action, AuditEntry, entry
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    SessionId,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.personal_token import PersonalToken
from livius.domain.session import EndCause, Goal, Session
from livius.domain.session import Event as SessionEvent
from livius.ports.catalog import Found, LakehouseAccess
from livius.ports.store import AuditQuery, Store
from support.records import NOW, make, move_session


async def test_workspaces_lakehouses_and_roles(store: Store) -> None:
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    admin, guest = PrincipalId(new_id()), PrincipalId(new_id())
    await store.add_workspace(workspace, admin)
    lakehouse = Lakehouse(
        id=LakehouseId(new_id()),
        workspace=workspace.id,
        name="Bronze",
        database="bronze",
        created_at=NOW,
        has_schemas=True,
    )
    await store.add_lakehouse(lakehouse)
    assert await store.workspace(workspace.id) == workspace
    assert await store.list_workspaces() == [workspace]
    assert await store.lakehouse(lakehouse.id) == lakehouse
    assert await store.list_lakehouses(workspace.id) == [lakehouse]
    assert await store.database_names() == {"bronze"}
    assert await store.role(workspace.id, admin) is Role.ADMIN
    assert await store.role(workspace.id, guest) is None
    assert await store.find(workspace.id, lakehouse.id, admin) == Found(
        workspace=workspace, lakehouse=lakehouse, role=Role.ADMIN
    )
    nothing = Found(workspace=None, lakehouse=None, role=None)
    unknown = WorkspaceId(new_id()), LakehouseId(new_id()), guest
    assert await store.find(*unknown) == nothing
    for role in (Role.VIEWER, Role.CONTRIBUTOR):
        await store.assign_role(RoleAssignment(workspace=workspace.id, principal=guest, role=role))
        assert await store.role(workspace.id, guest) is role


async def test_places_are_the_lakehouses_where_a_principal_may_run_code(store: Store) -> None:
    admin, guest, viewer = sorted(PrincipalId(new_id()) for _ in range(3))
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    await store.add_workspace(workspace, admin)
    for principal, role in ((guest, Role.CONTRIBUTOR), (viewer, Role.VIEWER)):
        await store.assign_role(
            RoleAssignment(workspace=workspace.id, principal=principal, role=role)
        )
    assert await store.lakehouse_access() == []
    before = await store.lakehouse_access_version()
    assert await store.lakehouse_access_version() == before
    lakehouses = sorted(LakehouseId(new_id()) for _ in range(2))
    for lakehouse in lakehouses:
        await store.add_lakehouse(
            Lakehouse(
                id=lakehouse,
                workspace=workspace.id,
                name=f"name of {lakehouse}",
                database=f"at_{lakehouse}",
                created_at=NOW,
                has_schemas=lakehouse == lakehouses[0],
            )
        )
    assert await store.lakehouse_access_version() != before
    assert await store.lakehouse_access() == [
        LakehouseAccess(
            principal=principal,
            workspace=workspace.id,
            workspace_name="Research",
            lakehouse=lakehouse,
            lakehouse_name=f"name of {lakehouse}",
            database=f"at_{lakehouse}",
            has_schemas=lakehouse == lakehouses[0],
        )
        for principal in (admin, guest)
        for lakehouse in lakehouses
    ]


async def test_places_that_another_process_changes_are_noticed(tmp_path: Path) -> None:
    """A command opens the same database."""
    ours = SqlStore(open_store(tmp_path / "livius.db"))
    other = SqlStore(open_store(tmp_path / "livius.db"))
    try:
        seen = [await ours.lakehouse_access_version()]
        workspace = Workspace(id=WorkspaceId(new_id()), name="W", created_at=NOW)
        guest = PrincipalId(new_id())
        contributor = RoleAssignment(workspace=workspace.id, principal=guest, role=Role.CONTRIBUTOR)
        for change in (
            other.add_workspace(workspace, PrincipalId(new_id())),
            other.assign_role(contributor),
            ours.change_workspace(workspace.id, name="X", description=""),
            ours.remove_role(workspace.id, guest),
        ):
            await change
            seen.append(await ours.lakehouse_access_version())
            assert await ours.lakehouse_access_version() == seen[-1]
        assert len(set(seen)) == len(seen)
    finally:
        ours.close()
        other.close()


async def test_a_lakehouses_name_is_its_own_in_whatever_case(store: Store) -> None:
    first, second = await two_lakehouses(store)
    again = dataclasses.replace(second, id=LakehouseId(new_id()), name="BRONZE", database="b2")
    assert not await store.add_lakehouse(again)
    same_database = dataclasses.replace(again, name="Other", database="silver")
    assert not await store.add_lakehouse(same_database)
    assert not await store.change_lakehouse(second.id, name="bronze", description="")
    assert await store.change_lakehouse(first.id, name="BRONZE", description="first")
    found = await store.lakehouse(first.id)
    assert found == dataclasses.replace(first, name="BRONZE", description="first")
    assert not await store.change_lakehouse(LakehouseId(new_id()), name="x", description="")


async def test_a_deleted_lakehouse_leaves_its_database_name_taken(store: Store) -> None:
    first, second = await two_lakehouses(store)
    by = PrincipalId(new_id())
    session, driver = make()
    session = dataclasses.replace(session, workspace=first.workspace, lakehouse=first.id)
    await store.add_session(session, driver)
    assert not await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert await move_session(store, session.id, SessionEvent.DRIVER_ENDED, at=NOW)
    assert await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert not await store.delete_lakehouse(first.id, at=NOW, by=by)
    assert await store.lakehouse(first.id) is None
    assert await store.list_lakehouses(first.workspace) == [second]
    assert await store.database_names() == {"bronze", "silver"}
    assert await store.add_lakehouse(dataclasses.replace(first, database="bronze_2"))


async def test_a_workspaces_name_is_its_own_in_whatever_case(store: Store) -> None:
    await two_lakehouses(store)
    other = Workspace(id=WorkspaceId(new_id()), name="Sales", created_at=NOW)
    await store.add_workspace(other, PrincipalId(new_id()))
    assert not await store.change_workspace(other.id, name="RESEARCH", description="")
    assert await store.change_workspace(other.id, name="SALES", description="sold")
    changed = dataclasses.replace(other, name="SALES", description="sold")
    assert await store.workspace(other.id) == changed
    assert not await store.change_workspace(WorkspaceId(new_id()), name="x", description="")


async def test_a_deleted_workspace_takes_its_lakehouses_and_roles_and_stops_its_sessions(
    store: Store,
) -> None:
    first, second = await two_lakehouses(store)
    [admin] = await store.roles_in(first.workspace)
    other = Workspace(id=WorkspaceId(new_id()), name="Sales", created_at=NOW)
    await store.add_workspace(other, admin.principal)
    live, ended, elsewhere = [make() for _ in range(3)]
    for (session, driver), workspace in (
        (live, first.workspace),
        (ended, first.workspace),
        (elsewhere, other.id),
    ):
        found = dataclasses.replace(session, workspace=workspace, lakehouse=first.id)
        await store.add_session(found, driver)
    await move_session(store, ended[0].id, SessionEvent.DRIVER_ENDED, at=NOW)

    def audit(session: Session) -> AuditEntry:
        return entry(session, Action.SESSION_DELETE, at=NOW, result="accepted")

    async def delete(workspace: WorkspaceId) -> Sequence[SessionId] | None:
        return await store.delete_workspace(
            workspace, at=NOW, by=admin.principal, reason="Ada deleted it.", audit_end=audit
        )

    assert await delete(first.workspace) == [live[0].id]
    assert await delete(first.workspace) is None
    assert await store.drivers_to_end() == [live[0].driver]
    stopped = await store.session(live[0].id)
    assert stopped is not None
    assert (stopped.goal, stopped.deleted_at) == (Goal.STOP, NOW)
    assert (stopped.end_cause, stopped.end_reason) == (EndCause.DELETED, "Ada deleted it.")
    untouched = await store.session(elsewhere[0].id)
    assert untouched is not None
    assert (untouched.goal, untouched.deleted_at) == (Goal.RUN, None)
    [written] = await store.audit(AuditQuery(workspace=first.workspace, limit=10))
    assert written.entry.session == live[0].id
    assert await store.workspaces_of(admin.principal) == [(other, Role.ADMIN)]
    assert await store.roles_in(first.workspace) == []
    assert await store.lakehouse(second.id) is None
    assert await store.database_names() == {"bronze", "silver"}
    await move_session(store, live[0].id, SessionEvent.STOP_BEGUN, at=NOW)
    assert await store.drivers_to_end() == []


async def test_a_principal_sees_the_workspaces_it_has_a_role_in(store: Store) -> None:
    first, _ = await two_lakehouses(store)
    guest = PrincipalId(new_id())
    assert await store.workspaces_of(guest) == []
    role = RoleAssignment(workspace=first.workspace, principal=guest, role=Role.VIEWER)
    await store.assign_role(role)
    workspace = await store.workspace(first.workspace)
    assert await store.workspaces_of(guest) == [(workspace, Role.VIEWER)]


async def test_roles_are_listed_replaced_and_removed(store: Store) -> None:
    first, _ = await two_lakehouses(store)
    guest = PrincipalId(new_id())
    for role in (Role.VIEWER, Role.MEMBER):
        await store.assign_role(
            RoleAssignment(workspace=first.workspace, principal=guest, role=role)
        )
    found = await store.roles_in(first.workspace)
    assert [one.principal for one in found] == sorted(one.principal for one in found)
    assert sorted(one.role for one in found) == [Role.ADMIN, Role.MEMBER]
    assert await store.remove_role(first.workspace, guest)
    assert not await store.remove_role(first.workspace, guest)
    assert await store.role(first.workspace, guest) is None
    assert [one.role for one in await store.roles_in(first.workspace)] == [Role.ADMIN]


async def test_the_only_admin_of_a_workspace_stays_one(store: Store) -> None:
    first, _ = await two_lakehouses(store)
    [only] = await store.roles_in(first.workspace)
    assert not await store.remove_role(first.workspace, only.principal)
    assert not await store.assign_role(dataclasses.replace(only, role=Role.MEMBER))
    assert await store.assign_role(only)
    second = dataclasses.replace(only, principal=PrincipalId(new_id()))
    assert await store.assign_role(second)
    assert await store.assign_role(dataclasses.replace(only, role=Role.MEMBER))
    assert not await store.remove_role(first.workspace, second.principal)
    assert await store.remove_role(first.workspace, only.principal)
    assert await store.roles_in(first.workspace) == [second]


async def test_personal_tokens_are_found_by_digest_and_forgotten_by_id(store: Store) -> None:
    made = PersonalToken(
        id=new_id(),
        digest="a" * 64,
        name="airflow",
        principal=PrincipalId(new_id()),
        principal_name="Ada",
        tenant=TenantId(new_id()),
        issuer="urn:test",
        subject="ada",
        scopes=("Lakehouse.Read.All", "Lakehouse.Execute.All"),
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    await store.add_personal_token(made)
    later = dataclasses.replace(
        made, id=new_id(), digest="b" * 64, created_at=NOW + timedelta(seconds=1)
    )
    await store.add_personal_token(later)
    assert await store.personal_token("a" * 64) == made
    assert await store.personal_token("c" * 64) is None
    assert await store.list_personal_tokens() == [made, later]
    assert await store.remove_personal_token(made.id)
    assert not await store.remove_personal_token(made.id)
    assert await store.list_personal_tokens() == [later]


async def two_lakehouses(store: Store) -> tuple[Lakehouse, Lakehouse]:
    workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=NOW)
    await store.add_workspace(workspace, PrincipalId(new_id()))
    made = [
        Lakehouse(
            id=LakehouseId(new_id()),
            workspace=workspace.id,
            name=name.capitalize(),
            database=name,
            created_at=NOW,
        )
        for name in ("bronze", "silver")
    ]
    for lakehouse in made:
        assert await store.add_lakehouse(lakehouse)
    return made[0], made[1]
