"""Fabric's REST for the roles in a workspace, on the wire."""

import dataclasses
from typing import Any

import pytest

from livius.domain.accounts import ClientApplication, User
from livius.domain.ids import ClientId, PrincipalId, new_id
from livius.domain.lakehouse import Role
from wire.conftest import Wire


@dataclasses.dataclass
class Known:
    """A directory with one user and one application."""

    user: User
    application: ClientApplication

    async def users(self) -> list[User]:
        return [self.user]

    async def applications(self) -> list[ClientApplication]:
        return [self.application]


def roles(wire: Wire) -> str:
    return f"/v1/workspaces/{wire.world.workspace.id}/roleAssignments"


def wanted(principal: str, role: str = "Viewer", kind: str = "User") -> dict[str, Any]:
    return {"principal": {"id": principal, "type": kind}, "role": role}


async def caller_with(wire: Wire, role: Role) -> dict[str, str]:
    wire.tokens.known[role] = await wire.world.member(role)
    return {"Authorization": f"Bearer {role}"}


async def test_a_role_is_given_changed_and_taken_away(wire: Wire) -> None:
    eve = wire.as_caller("eve")
    oid = wire.tokens.known["eve"].oid
    workspace = f"/v1/workspaces/{wire.world.workspace.id}"
    answer = await wire.client.post(roles(wire), json=wanted(oid.upper()))
    made = {"id": oid, "principal": {"id": oid}, "role": "Viewer"}
    assert (answer.status_code, answer.json()) == (201, made)
    url = answer.headers["location"]
    assert url == f"{roles(wire)}/{oid}"
    assert (await wire.client.get(url)).json() == made
    assert made in (await wire.client.get(roles(wire))).json()["value"]
    assert (await wire.client.get(workspace, headers=eve)).status_code == 200
    lakehouse = {"displayName": "Eves"}
    create = f"{workspace}/lakehouses"
    assert (await wire.client.post(create, json=lakehouse, headers=eve)).status_code == 403
    changed = await wire.client.patch(url, json={"role": "Contributor"})
    assert (changed.status_code, changed.json()["role"]) == (200, "Contributor")
    assert (await wire.client.post(create, json=lakehouse, headers=eve)).status_code == 201
    assert (await wire.client.delete(url)).status_code == 200
    assert (await wire.client.get(workspace, headers=eve)).status_code == 403
    for gone in (
        await wire.client.get(url),
        await wire.client.patch(url, json={"role": "Viewer"}),
        await wire.client.delete(url),
    ):
        assert gone.status_code == 404
        assert gone.json()["errorCode"] == "WorkspaceRoleAssignmentNotFound"


async def test_those_whom_the_directory_knows_have_names(wire: Wire) -> None:
    now = wire.world.clock.now()
    user = User(
        oid=PrincipalId(new_id()), username="b@x.test", name="B", password_hash="", created_at=now
    )
    application = ClientApplication(
        client_id=ClientId(new_id()), name="nightly", object_id=new_id(), created_at=now
    )
    object.__setattr__(wire.world.context, "directory", Known(user, application))
    for oid, kind in ((user.oid, "User"), (application.object_id, "ServicePrincipal")):
        made = await wire.client.post(roles(wire), json=wanted(oid, kind=kind))
        assert made.status_code == 201
    found = (await wire.client.get(roles(wire))).json()["value"]
    assert [one["role"] for one in found] == ["Admin", "Viewer", "Viewer"]
    assert [one["principal"] for one in found[1:]] == [
        {
            "id": user.oid,
            "displayName": "B",
            "type": "User",
            "userDetails": {"userPrincipalName": "b@x.test"},
        },
        {
            "id": application.object_id,
            "displayName": "nightly",
            "type": "ServicePrincipal",
            "servicePrincipalDetails": {"aadAppId": application.client_id},
        },
    ]


async def test_a_second_role_and_the_last_admins_end_are_409s(wire: Wire) -> None:
    admin = wire.world.admin.oid
    again = await wire.client.post(roles(wire), json=wanted(admin))
    assert again.status_code == 409
    assert again.json()["errorCode"] == "PrincipalAlreadyHasWorkspaceRolePermissions"
    for last in (
        await wire.client.patch(f"{roles(wire)}/{admin}", json={"role": "Viewer"}),
        await wire.client.delete(f"{roles(wire)}/{admin}"),
    ):
        assert (last.status_code, last.json()["errorCode"]) == (409, "LastAdmin")
    assert (await wire.client.get(f"{roles(wire)}/{admin}")).json()["role"] == "Admin"


async def test_members_see_roles_and_admins_alone_change_them(wire: Wire) -> None:
    admin = f"{roles(wire)}/{wire.world.admin.oid}"
    for role in (Role.MEMBER, Role.CONTRIBUTOR, Role.VIEWER):
        caller = await caller_with(wire, role)
        seen = await wire.client.get(roles(wire), headers=caller)
        assert seen.status_code == (200 if role is Role.MEMBER else 403), role
        for answer in (
            await wire.client.post(roles(wire), json=wanted(new_id()), headers=caller),
            await wire.client.patch(admin, json={"role": "Viewer"}, headers=caller),
            await wire.client.delete(admin, headers=caller),
        ):
            assert answer.status_code == 403
            assert "role Admin" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "principal"),
        ({"principal": "x", "role": "Viewer"}, 400, "principal"),
        (wanted(new_id(), role="Owner"), 400, "role"),
        (wanted(new_id(), role="admin"), 400, "role"),
        (wanted(new_id(), kind="Group"), 400, "no groups"),
        (wanted("eve"), 404, "GUIDs"),
        (wanted("x" * 100_000), 404, "GUIDs"),
    ],
)
async def test_a_wrong_role_is_refused_with_the_reason(
    wire: Wire, body: Any, status: int, said: str
) -> None:
    answer = await wire.client.post(roles(wire), json=body)
    assert answer.status_code == status
    assert said in answer.text
    assert len(answer.text) < 2000


async def test_another_workspaces_roles_are_not_told(wire: Wire) -> None:
    eve = wire.as_caller("eve")
    made = await wire.client.post("/v1/workspaces", json={"displayName": "Hers"}, headers=eve)
    theirs = f"/v1/workspaces/{made.json()['id']}/roleAssignments"
    assert (await wire.client.get(theirs)).status_code == 403
    assert (await wire.client.post(theirs, json=wanted(new_id()))).status_code == 403
    nowhere = f"/v1/workspaces/{new_id()}/roleAssignments"
    assert (await wire.client.get(nowhere)).status_code == 404
    assert (await wire.client.get(f"{roles(wire)}/x")).status_code == 404
