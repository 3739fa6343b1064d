"""Fabric's REST for environments, on the wire."""

from typing import Any

import pytest

from livius.domain.environment import Library
from livius.domain.ids import EnvironmentId, OperationId
from livius.domain.operation import Event
from livius.usecases import publishing
from wire.conftest import Wire

NOW = {"Prefer": "wait=0"}


async def created(wire: Wire, **fields: Any) -> str:
    answer = await wire.client.post(base(wire), json={"displayName": "Lab", **fields})
    assert answer.status_code == 201, answer.text
    return f"{base(wire)}/{answer.json()['id']}"


def base(wire: Wire) -> str:
    return f"/v1/workspaces/{wire.world.workspace.id}/environments"


async def finish(wire: Wire, operation: str, *packages: Library) -> None:
    """Do what a publish does, and what its end leaves."""
    context, store, at = wire.world.context, wire.world.store, wire.world.clock.now()
    found = await publishing.publish_of(context, OperationId(operation))
    await store.move_operation(OperationId(operation), Event.STARTED, at=at)
    assert await store.finish_publish(found.version.id, packages=packages, at=at)


POOL = {
    "name": "Lab",
    "nodeFamily": "MemoryOptimized",
    "nodeSize": "Small",
    "autoScale": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 2},
    "dynamicExecutorAllocation": {"enabled": True, "minExecutors": 1, "maxExecutors": 2},
}
NO_ID = "00000000-0000-0000-0000-000000000000"


async def test_an_environment_is_created_changed_and_deleted(wire: Wire) -> None:
    answer = await wire.client.post(base(wire), json={"displayName": "Lab", "description": "x"})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{base(wire)}/{body['id']}"
    assert body == {
        "id": body["id"],
        "type": "Environment",
        "displayName": "Lab",
        "description": "x",
        "workspaceId": wire.world.workspace.id,
        "properties": {"publishDetails": {}},
    }
    again = await wire.client.post(base(wire), json={"displayName": "LAB"})
    assert (again.status_code, again.json()["errorCode"]) == (409, "ItemDisplayNameAlreadyInUse")
    path = f"{base(wire)}/{body['id']}"
    changed = await wire.client.patch(path, json={"displayName": "Labor"})
    assert changed.json() == {**body, "displayName": "Labor"}
    assert (await wire.client.get(base(wire))).json() == {"value": [changed.json()]}
    assert (await wire.client.get(path)).json() == changed.json()
    assert (await wire.client.delete(path)).status_code == 200
    gone = await wire.client.get(path)
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "EnvironmentNotFound")


async def test_sparkcompute_has_both_shapes(wire: Wire) -> None:
    path = f"{await created(wire)}/staging/sparkcompute"
    sizes = {"driverCores": 4, "driverMemory": "28g", "executorCores": 8, "executorMemory": "56g"}
    scale = {"dynamicExecutorAllocation": {"enabled": True, "minExecutors": 1, "maxExecutors": 3}}
    as_object = {**sizes, **scale, "sparkProperties": {"spark.a": "1", "spark.b": 2}}
    body = (await wire.client.patch(f"{path}?beta=true", json=as_object)).json()
    assert body["sparkProperties"] == {"spark.a": "1", "spark.b": "2"}
    as_list = {
        "sparkProperties": [{"key": "spark.a", "value": None}, {"key": "spark.c", "value": "3"}]
    }
    body = (await wire.client.patch(path, json=as_list)).json()
    assert body == {
        "instancePool": {
            "name": "Starter Pool",
            "type": "Workspace",
            "id": "00000000-0000-0000-0000-000000000000",
        },
        **sizes,
        **scale,
        "sparkProperties": [
            {"key": "spark.b", "value": "2"},
            {"key": "spark.c", "value": "3"},
        ],
        "runtimeVersion": "2.0",
    }
    assert (await wire.client.get(f"{path}?beta=false")).json() == body
    old = (await wire.client.get(f"{path}?preview=true")).json()
    assert old["sparkProperties"] == {"spark.b": "2", "spark.c": "3"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"driverCores": 3}, "InvalidInput"),
        ({"driverMemory": "1g"}, "InvalidInput"),
        ({"runtimeVersion": "1.2"}, "RuntimeNotFound"),
        ({"instancePool": {"name": "Mine"}}, "SparkPoolNotFound"),
        ({"instancePool": {"id": 3}}, "InvalidInput"),
        ({"sparkProperties": {"spark.jars": "x"}}, "SparkConfNotAllowed"),
        ({"sparkProperties": "x"}, "InvalidInput"),
        (
            {"dynamicExecutorAllocation": {"enabled": True, "minExecutors": 4, "maxExecutors": 2}},
            "InvalidInput",
        ),
    ],
)
async def test_what_no_session_could_have_is_a_400(
    wire: Wire, change: dict[str, Any], code: str
) -> None:
    path = f"{await created(wire)}/staging/sparkcompute"
    before = (await wire.client.get(path)).json()
    answer = await wire.client.patch(path, json=change)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, code)
    assert (await wire.client.get(path)).json() == before


async def test_the_instance_pool_is_one_of_the_workspaces(wire: Wire) -> None:
    path = await created(wire)
    compute, pools = f"{path}/staging/sparkcompute", base(wire).replace("environments", "spark")
    pool = (await wire.client.post(f"{pools}/pools", json=POOL)).json()
    chosen = {"name": "Lab", "type": "Workspace", "id": pool["id"]}
    for reference in ({"name": "lab"}, {"id": pool["id"]}, chosen):
        await wire.client.patch(compute, json={"instancePool": {"name": "Starter Pool"}})
        answer = await wire.client.patch(compute, json={"instancePool": reference})
        assert (answer.status_code, answer.json()["instancePool"]) == (200, chosen)
    await wire.client.patch(compute, json={"driverCores": 8})
    assert (await wire.client.get(compute)).json()["instancePool"] == chosen
    assert (await wire.client.delete(f"{pools}/pools/{pool['id']}")).status_code == 200
    refused = await wire.client.post(f"{path}/staging/publish")
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "SparkPoolNotFound")
    starter = {"name": "Starter Pool", "type": "Capacity", "id": NO_ID}
    answer = await wire.client.patch(compute, json={"instancePool": starter})
    assert answer.json()["instancePool"] == {**starter, "type": "Workspace"}
    assert (await wire.client.post(f"{path}/staging/publish")).status_code == 202


async def test_custom_libraries_are_staged_and_removed(wire: Wire) -> None:
    path = await created(wire)
    staged = f"{path}/staging/libraries"
    for name, content in (("m.py", b"x = 1"), ("a-1-py3-none-any.whl", b"PK"), ("j.jar", b"PK")):
        answer = await wire.client.post(
            f"{staged}/{name}",
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 200, answer.text
    of = EnvironmentId(path.rpartition("/")[2])
    assert wire.world.environments.files[of]["m.py"] == b"x = 1"
    libraries = (await wire.client.get(staged)).json()["libraries"]
    assert libraries == [
        {"name": name, "libraryType": "Custom"}
        for name in ("a-1-py3-none-any.whl", "j.jar", "m.py")
    ]
    assert (await wire.client.get(f"{staged}?beta=true")).json() == {
        "customLibraries": {
            "wheelFiles": ["a-1-py3-none-any.whl"],
            "pyFiles": ["m.py"],
            "jarFiles": ["j.jar"],
            "rTarFiles": [],
        },
        "environmentYml": "",
    }
    assert (await wire.client.delete(f"{staged}/m.py")).status_code == 200
    assert (await wire.client.delete(f"{staged}?libraryToDelete=j.jar")).status_code == 200
    gone = await wire.client.delete(f"{staged}/m.py")
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "EnvironmentLibrariesNotFound")
    wrong = await wire.client.post(f"{staged}/m.exe", content=b"x")
    assert (wrong.status_code, wrong.json()["errorCode"]) == (400, "InvalidLibraryName")
    too_large = await wire.client.post(
        f"{staged}/m.py", content=b"x", headers={"Content-Length": str(200 * 1024**2)}
    )
    assert too_large.status_code == 413


async def test_packages_are_imported_exported_and_removed(wire: Wire) -> None:
    staged = f"{await created(wire)}/staging/libraries"
    text = "dependencies:\n  - pip:\n    - polars==1.2\n    - duckdb>=1\n"
    answer = await wire.client.post(f"{staged}/importExternalLibraries", content=text)
    assert answer.status_code == 200, answer.text
    assert (await wire.client.get(staged)).json() == {
        "libraries": [
            {"name": "polars", "libraryType": "External", "version": "1.2"},
            {"name": "duckdb", "libraryType": "External", "version": ">=1"},
        ]
    }
    assert (await wire.client.get(f"{staged}/exportExternalLibraries")).text == text
    one = {"name": "polars", "version": "1.2"}
    answer = await wire.client.post(f"{staged}/removeExternalLibrary", json=one)
    assert answer.status_code == 200
    again = await wire.client.post(f"{staged}/removeExternalLibrary", json=one)
    assert (again.status_code, again.json()["errorCode"]) == (404, "EnvironmentLibrariesNotFound")
    conda = await wire.client.post(
        f"{staged}/importExternalLibraries", content="dependencies:\n  - numpy=1\n"
    )
    assert (conda.status_code, conda.json()["errorCode"]) == (400, "InvalidLibraries")
    assert "Packages of conda" in conda.json()["message"]


async def test_a_publish_is_an_operation(wire: Wire) -> None:
    path = await created(wire)
    for part in ("sparkcompute", "libraries"):
        early = await wire.client.get(f"{path}/{part}")
        assert (early.status_code, early.json()["errorCode"]) == (404, "EnvironmentNotPublished")
    await wire.client.post(
        f"{path}/staging/libraries/importExternalLibraries", content="polars>1\n"
    )
    answer = await wire.client.post(f"{path}/staging/publish?beta=false")
    assert (answer.status_code, answer.content) == (202, b"")
    operation = answer.headers["x-ms-operation-id"]
    assert answer.headers["location"] == f"https://localhost/v1/operations/{operation}"
    assert answer.headers["retry-after"] == "1"
    details = (await wire.client.get(path)).json()["properties"]["publishDetails"]
    assert details["state"] == "Waiting"
    assert details["componentPublishInfo"]["sparkLibraries"] == {"state": "Waiting"}
    second = await wire.client.post(f"{path}/staging/publish")
    assert (second.status_code, second.json()["errorCode"]) == (409, "InvalidEnvironmentPublish")
    await finish(wire, operation, Library(name="polars", wanted="==1.9"))
    result = (await wire.client.get(f"/v1/operations/{operation}/result")).json()
    assert result == (await wire.client.get(path)).json()["properties"]
    assert result["publishDetails"]["state"] == "Success"
    assert result["publishDetails"]["endTime"]
    assert (await wire.client.get(f"{path}/libraries")).json() == {
        "libraries": [{"name": "polars", "libraryType": "External", "version": "1.9"}]
    }
    assert (await wire.client.get(f"{path}/sparkcompute")).json()["runtimeVersion"] == "2.0"


async def test_the_older_version_of_publish_answers_with_the_state(wire: Wire) -> None:
    path = await created(wire)
    answer = await wire.client.post(f"{path}/staging/publish?beta=true")
    assert answer.status_code == 200
    assert answer.json()["publishDetails"]["state"] == "Waiting"
    cancelled = await wire.client.post(f"{path}/staging/cancelPublish", headers=NOW)
    assert cancelled.json()["publishDetails"]["state"] == "Cancelling"
    again = await wire.client.post(f"{path}/staging/cancelPublish", headers=NOW)
    assert (again.status_code, again.json()["errorCode"]) == (409, "InvalidEnvironmentPublish")


async def test_a_session_names_an_environment_by_either_key(wire: Wire) -> None:
    path = await created(wire)
    identity = path.rpartition("/")[2]
    publish = await wire.client.post(f"{path}/staging/publish")
    quoted = f'{{"id" : ""{identity}""}}'
    made = ""
    for conf in (
        {"spark.fabric.environmentDetails": quoted},
        {"spark.fabric.environment.id": identity},
    ):
        answer = await wire.client.post(f"{wire.base}/sessions", json={"conf": conf})
        body = answer.json()
        assert answer.status_code == 202, body
        assert body["fabricSessionStateInfo"]["state"] == "libraryPackaging"
        assert body["state"] == "starting"
        made = body["id"]
    await finish(wire, publish.headers["x-ms-operation-id"])
    found = await wire.client.get(f"{wire.base}/sessions/{made}", headers=NOW)
    assert found.json()["fabricSessionStateInfo"]["state"] == "acquiringSession"


async def test_a_session_without_a_published_environment_is_a_400(wire: Wire) -> None:
    path = await created(wire)
    for identity, code in (
        (path.rpartition("/")[2], "EnvironmentNotPublished"),
        (wire.world.lakehouse.id, "EnvironmentNotFound"),
        ("x", "EnvironmentNotFound"),
    ):
        conf = {"spark.fabric.environment.id": identity}
        answer = await wire.client.post(f"{wire.base}/sessions", json={"conf": conf})
        assert (answer.status_code, answer.json()["errorCode"]) == (400, code)


async def test_environments_are_items_too(wire: Wire) -> None:
    items = f"/v1/workspaces/{wire.world.workspace.id}/items"
    wanted = {"displayName": "Lab", "type": "Environment"}
    made = (await wire.client.post(items, json=wanted)).json()
    assert made["type"] == "Environment"
    every = (await wire.client.get(items)).json()["value"]
    assert sorted(one["type"] for one in every) == ["Environment", "Lakehouse"]
    only = (await wire.client.get(f"{items}?type=environment")).json()["value"]
    assert only == [made]
    path = f"{items}/{made['id']}"
    assert (await wire.client.get(path)).json() == made
    changed = await wire.client.patch(path, json={"displayName": "Labor"})
    assert changed.json() == {**made, "displayName": "Labor"}
    eve = wire.as_caller("eve")
    assert (await wire.client.get(path, headers=eve)).status_code == 403
    assert (await wire.client.delete(path)).status_code == 200
    assert (await wire.client.get(path)).status_code == 404
