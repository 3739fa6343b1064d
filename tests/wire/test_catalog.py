"""Fabric's REST for workspaces and lakehouses, on the wire."""

import dataclasses
from typing import Any

import pytest

from livius.domain.ids import LakehouseId, PrincipalId, SessionId, WorkspaceId, new_id
from livius.domain.lakehouse import LakehouseTable, Role
from wire.conftest import Wire
from wire.test_workspaces import CAPACITY


def lakehouses(wire: Wire) -> str:
    return f"/v1/workspaces/{wire.world.workspace.id}/lakehouses"


async def caller_with(wire: Wire, role: Role) -> dict[str, str]:
    found = await wire.world.member(role)
    wire.tokens.known[role] = found
    return {"Authorization": f"Bearer {role}"}


async def test_a_caller_sees_the_workspaces_it_has_a_role_in(wire: Wire) -> None:
    body = (await wire.client.get("/v1/workspaces")).json()
    assert body == {
        "value": [
            {
                "id": wire.world.workspace.id,
                "displayName": "Research",
                "description": "",
                "type": "Workspace",
                "capacityId": CAPACITY,
            }
        ]
    }
    one = await wire.client.get(f"/v1/workspaces/{wire.world.workspace.id}")
    assert one.json() == body["value"][0]
    assert (await wire.client.get("/v1/workspaces?roles=Viewer")).json() == {"value": []}
    assert len((await wire.client.get("/v1/workspaces?roles=Viewer,Admin")).json()["value"]) == 1
    eve = wire.as_caller("eve")
    assert (await wire.client.get("/v1/workspaces", headers=eve)).json() == {"value": []}
    refused = await wire.client.get(one.url, headers=eve)
    assert (refused.status_code, refused.json()["errorCode"]) == (403, "InsufficientPrivileges")


async def test_a_new_workspace_is_its_makers(wire: Wire) -> None:
    eve = wire.as_caller("eve")
    answer = await wire.client.post(
        "/v1/workspaces", json={"displayName": "Eve's", "description": "hers"}, headers=eve
    )
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/workspaces/{made['id']}"
    assert (await wire.client.get("/v1/workspaces", headers=eve)).json()["value"] == [made]
    assert (await wire.client.get(f"/v1/workspaces/{made['id']}")).status_code == 403
    again = await wire.client.post("/v1/workspaces", json={"displayName": "EVE'S"}, headers=eve)
    assert (again.status_code, again.json()["errorCode"]) == (409, "WorkspaceNameAlreadyExists")


async def test_a_lakehouse_is_created_at_once_and_takes_sessions(wire: Wire) -> None:
    wanted = {"displayName": "Silver", "description": "clean", "folderId": "ignored"}
    answer = await wire.client.post(lakehouses(wire), json=wanted)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{lakehouses(wire)}/{made['id']}"
    root = f"https://onelake.dfs.fabric.microsoft.com/{wire.world.workspace.id}/{made['id']}"
    assert made == {
        "id": made["id"],
        "type": "Lakehouse",
        "displayName": "Silver",
        "description": "clean",
        "workspaceId": wire.world.workspace.id,
        "properties": {
            "oneLakeTablesPath": f"{root}/Tables",
            "oneLakeFilesPath": f"{root}/Files",
        },
    }
    assert (await wire.client.get(answer.headers["location"])).json() == made
    assert made in (await wire.client.get(lakehouses(wire))).json()["value"]
    livy = f"{lakehouses(wire)}/{made['id']}/livyapi/versions/2023-12-01/sessions"
    session = await wire.client.post(livy, json={})
    assert session.status_code == 202
    await wire.world.settle(SessionId(session.json()["id"]))
    [spec] = wire.world.launcher.alive.values()
    launched = spec.binding
    assert launched is not None
    assert (launched.lakehouse, launched.database) == (made["id"], "silver")


@pytest.mark.parametrize(
    "name", ["", "2022", "_x", "a b", "a-b", "a.b", "é", "a" * 124, "x\n", "../x", "a/b"]
)
async def test_a_name_that_fabric_would_not_take_is_refused_with_the_rule(
    wire: Wire, name: str
) -> None:
    for answer in (
        await wire.client.post(lakehouses(wire), json={"displayName": name}),
        await wire.client.patch(
            f"{lakehouses(wire)}/{wire.world.lakehouse.id}", json={"displayName": name}
        ),
    ):
        assert answer.status_code == 400
        assert "letters, digits and underscores" in answer.json()["message"]


async def test_a_taken_name_is_a_409(wire: Wire) -> None:
    answer = await wire.client.post(lakehouses(wire), json={"displayName": "bronze"})
    assert (answer.status_code, answer.json()["errorCode"]) == (409, "ItemDisplayNameAlreadyInUse")
    assert len((await wire.client.get(lakehouses(wire))).json()["value"]) == 1
    assert wire.world.lakehouses.present == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "displayName"),
        ({"displayName": 1}, "displayName"),
        ({"displayName": "a", "description": "x" * 257}, "description"),
        ({"displayName": "a", "creationPayload": {"enableSchemas": False}}, "enableSchemas"),
        ({"displayName": "a", "creationPayload": {}}, "enableSchemas"),
        ({"displayName": "a", "creationPayload": {"enableSchemas": "yes"}}, "enableSchemas"),
    ],
)
async def test_a_wrong_lakehouse_is_a_400_that_names_the_field(
    wire: Wire, body: Any, field: str
) -> None:
    answer = await wire.client.post(lakehouses(wire), json=body)
    assert answer.status_code == 400
    assert field in answer.text


@pytest.mark.parametrize("kind", ["lakehouses", "items"])
async def test_a_lakehouse_with_schemas_says_so(wire: Wire, kind: str) -> None:
    body = {"displayName": "Gold", "creationPayload": {"enableSchemas": True}}
    if kind == "items":
        body["type"] = "Lakehouse"
    url = lakehouses(wire).removesuffix("lakehouses")
    made = await wire.client.post(f"{url}{kind}", json=body)
    assert made.status_code == 201
    found = (await wire.client.get(f"{lakehouses(wire)}/{made.json()['id']}")).json()
    assert found["properties"]["defaultSchema"] == "dbo"
    plain = await wire.client.post(lakehouses(wire), json={"displayName": "Plain"})
    assert "defaultSchema" not in plain.json()["properties"]
    listed = (await wire.client.get(lakehouses(wire))).json()["value"]
    assert [one["displayName"] for one in listed if "defaultSchema" in one["properties"]] == [
        "Gold"
    ]


async def test_tables_of_schemas_have_their_schema(wire: Wire) -> None:
    body = {"displayName": "Gold", "creationPayload": {"enableSchemas": True}}
    made = (await wire.client.post(lakehouses(wire), json=body)).json()
    wire.world.lakehouses.present[LakehouseId(made["id"])] = [
        LakehouseTable(folder=folder, format="delta", schema=schema)
        for schema, folder in (("sales", "a"), ("dbo", "b"))
    ]
    url = f"{lakehouses(wire)}/{made['id']}/tables"
    page = (await wire.client.get(f"{url}?maxResults=1")).json()
    [table] = page["data"]
    assert (table["schemaName"], table["name"]) == ("dbo", "b")
    assert table["location"].endswith(f"/{made['id']}/Tables/dbo/b")
    rest = (await wire.client.get(page["continuationUri"])).json()
    assert [(one["schemaName"], one["name"]) for one in rest["data"]] == [("sales", "a")]


async def test_a_rename_changes_what_people_see_and_nothing_else(wire: Wire) -> None:
    url = f"{lakehouses(wire)}/{wire.world.lakehouse.id}"
    answer = await wire.client.patch(url, json={"displayName": "Raw"})
    assert (answer.status_code, answer.json()["displayName"]) == (200, "Raw")
    await wire.client.patch(url, json={"description": "as it came"})
    body = (await wire.client.get(url)).json()
    assert (body["displayName"], body["description"]) == ("Raw", "as it came")
    stored = await wire.world.store.lakehouse(wire.world.lakehouse.id)
    assert stored is not None
    assert stored.database == "bronze"
    assert (await wire.client.patch(url, json={})).status_code == 400


async def test_a_lakehouse_in_use_is_not_deleted(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{lakehouses(wire)}/{wire.world.lakehouse.id}"
    answer = await wire.client.delete(f"{url}?hardDelete=true")
    assert (answer.status_code, answer.json()["errorCode"]) == (409, "LakehouseInUse")
    assert (await wire.client.get(f"{wire.base}/sessions/{session.id}")).status_code == 200


async def test_two_of_one_name_made_in_one_moment_get_two_databases(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {"displayName": "Silver"}
    assert (await wire.client.post(lakehouses(wire), json=mine)).status_code == 201
    place = {"displayName": "Elsewhere"}
    other = (await wire.client.post("/v1/workspaces", json=place)).json()["id"]
    looks = [frozenset[str]()]  # what was taken before the first one was there
    now_taken = wire.world.store.database_names

    async def taken() -> frozenset[str]:
        return looks.pop() if looks else await now_taken()

    monkeypatch.setattr(wire.world.store, "database_names", taken)
    made = await wire.client.post(f"/v1/workspaces/{other}/lakehouses", json=mine)
    assert made.status_code == 201
    assert {"silver", f"silver_{made.json()['id'][:4]}"} <= await now_taken()


@pytest.mark.parametrize(("query", "kept"), [("", True), ("?hardDelete=true", False)])
async def test_a_deleted_lakehouses_files_stay_unless_the_caller_says_otherwise(
    wire: Wire, query: str, *, kept: bool
) -> None:
    made = (await wire.client.post(lakehouses(wire), json={"displayName": "Old"})).json()
    url = f"{lakehouses(wire)}/{made['id']}"
    answer = await wire.client.delete(url + query)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await wire.client.get(url)).status_code == 404
    assert (LakehouseId(made["id"]) in wire.world.lakehouses.present) is kept
    again = (await wire.client.post(lakehouses(wire), json={"displayName": "Old"})).json()
    stored = await wire.world.store.lakehouse(again["id"])
    assert stored is not None
    assert stored.database == f"old_{again['id'][:4]}", "the metastore still knows the old tables"


async def test_tables_come_in_pages_under_data(wire: Wire) -> None:
    url = f"{lakehouses(wire)}/{wire.world.lakehouse.id}/tables"
    assert (await wire.client.get(url)).json() == {"data": []}
    wire.world.lakehouses.present[wire.world.lakehouse.id] = [
        LakehouseTable(folder=name, format="delta") for name in ("c", "a", "b")
    ]
    page = (await wire.client.get(f"{url}?maxResults=2")).json()
    workspace, lakehouse = wire.world.place
    assert page["data"][0] == {
        "type": "Managed",
        "name": "a",
        "location": f"abfss://{workspace}@onelake.dfs.fabric.microsoft.com/{lakehouse}/Tables/a",
        "format": "delta",
    }
    rest = (await wire.client.get(page["continuationUri"])).json()
    assert [table["name"] for table in page["data"] + rest["data"]] == ["a", "b", "c"]
    assert "continuationToken" not in rest
    assert (await wire.client.get(f"{url}?maxResults=101")).status_code == 400


async def test_a_viewer_looks_and_a_contributor_changes(wire: Wire) -> None:
    viewer = await caller_with(wire, Role.VIEWER)
    url = f"{lakehouses(wire)}/{wire.world.lakehouse.id}"
    for path in (lakehouses(wire), url, f"{url}/tables"):
        assert (await wire.client.get(path, headers=viewer)).status_code == 200
    for answer in (
        await wire.client.post(lakehouses(wire), json={"displayName": "x"}, headers=viewer),
        await wire.client.patch(url, json={"displayName": "x"}, headers=viewer),
        await wire.client.delete(url, headers=viewer),
    ):
        assert answer.status_code == 403
        assert answer.json()["errorCode"] == "InsufficientWorkspaceRole"
    contributor = await caller_with(wire, Role.CONTRIBUTOR)
    made = await wire.client.post(lakehouses(wire), json={"displayName": "x"}, headers=contributor)
    assert made.status_code == 201


async def test_items_are_lakehouses(wire: Wire) -> None:
    items = f"/v1/workspaces/{wire.world.workspace.id}/items"
    made = await wire.client.post(items, json={"displayName": "Gold", "type": "Lakehouse"})
    assert made.status_code == 201
    listed = (await wire.client.get(f"{items}?type=Lakehouse")).json()["value"]
    assert made.json() in listed
    assert (await wire.client.get(f"{items}?type=Notebook")).json() == {"value": []}
    wrong = await wire.client.post(items, json={"displayName": "n", "type": "Notebook"})
    assert (wrong.status_code, wrong.json()["errorCode"]) == (400, "InvalidItemType")


async def test_one_item_by_its_id(wire: Wire) -> None:
    items = f"/v1/workspaces/{wire.world.workspace.id}/items"
    made = await wire.client.post(items, json={"displayName": "Gold", "type": "Lakehouse"})
    url = made.headers["location"]
    assert url == f"{items}/{made.json()['id']}"
    assert (await wire.client.get(url)).json() == made.json()
    changed = await wire.client.patch(url, json={"displayName": "Golden", "description": "new"})
    assert changed.json() == made.json() | {"displayName": "Golden", "description": "new"}
    assert (await wire.client.get(url)).json() == changed.json()
    assert (await wire.client.delete(f"{url}?hardDelete=true")).status_code == 200
    gone = await wire.client.get(url)
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "ItemNotFound")
    assert gone.headers["x-ms-public-api-error-code"] == "ItemNotFound"
    assert LakehouseId(made.json()["id"]) not in wire.world.lakehouses.present


async def test_there_are_no_folders_and_one_capacity(wire: Wire) -> None:
    """Fabric's command line reads both before it lists or creates a workspace."""
    folders = f"/v1/workspaces/{wire.world.workspace.id}/folders?recursive=False"
    assert (await wire.client.get(folders)).json() == {"value": []}
    [capacity] = (await wire.client.get("/v1/capacities")).json()["value"]
    assert (capacity["id"], capacity["state"]) == (CAPACITY, "Active")


async def follow(wire: Wire, url: str) -> list[list[str]]:
    """The names on each page of a list."""
    pages, following = [], url
    while following:
        body = (await wire.client.get(following)).json()
        pages.append([one["displayName"] for one in body["value"]])
        assert ("continuationToken" in body) == ("continuationUri" in body)
        following = body.get("continuationUri")
    return pages


@pytest.mark.parametrize("kind", ["lakehouses", "items?type=Lakehouse"])
async def test_long_lists_come_in_pages(wire: Wire, kind: str) -> None:
    names = [f"L{number}" for number in range(101)]
    for name in names:
        made = dataclasses.replace(
            wire.world.lakehouse, id=LakehouseId(new_id()), name=name, database=name.lower()
        )
        assert await wire.world.store.add_lakehouse(made)
    url = f"/v1/workspaces/{wire.world.workspace.id}/{kind}"
    pages = await follow(wire, url)
    assert [len(page) for page in pages] == [100, 2]
    assert sorted(name for page in pages for name in page) == sorted(["Bronze", *names])
    first = (await wire.client.get(url)).json()
    foreign = await wire.client.get(
        "/v1/workspaces", params={"continuationToken": first["continuationToken"]}
    )
    assert (foreign.status_code, foreign.json()["errorCode"]) == (400, "InvalidInput")
    cut = await wire.client.get(url, params={"continuationToken": first["continuationToken"][:-3]})
    assert cut.status_code == 400


async def test_workspaces_come_in_pages_and_none_is_missed_if_one_goes(wire: Wire) -> None:
    for number in range(120):
        made = dataclasses.replace(
            wire.world.workspace, id=WorkspaceId(new_id()), name=f"W{number}"
        )
        assert await wire.world.store.add_workspace(made, PrincipalId(wire.world.admin.oid))
    first = (await wire.client.get("/v1/workspaces")).json()
    gone = first["value"][-1]["id"]
    assert (await wire.client.delete(f"/v1/workspaces/{gone}")).status_code == 200
    rest = (await wire.client.get(first["continuationUri"])).json()
    assert len({one["id"] for one in first["value"] + rest["value"]}) == 121
    assert "continuationUri" not in rest
