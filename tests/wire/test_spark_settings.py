"""Fabric's REST for Spark settings and custom pools, on the wire."""

from typing import Any

import pytest

from wire.conftest import POOL, Wire

ZERO = "00000000-0000-0000-0000-000000000000"
LAB = {**POOL, "name": "Lab"}
DEFAULTS = {
    "automaticLog": {"enabled": True},
    "highConcurrency": {
        "notebookInteractiveRunEnabled": True,
        "notebookPipelineRunEnabled": False,
    },
    "pool": {
        "customizeComputeEnabled": True,
        "defaultPool": {"name": "Starter Pool", "type": "Workspace", "id": ZERO},
        "starterPool": {"maxNodeCount": 1, "maxExecutors": 1},
    },
    "environment": {"name": "", "runtimeVersion": "2.0"},
    "job": {"conservativeJobAdmissionEnabled": False, "sessionTimeoutInMinutes": 20},
}


def spark(wire: Wire, path: str) -> str:
    return f"/v1/workspaces/{wire.world.workspace.id}/spark/{path}"


async def test_the_settings_of_a_workspace_that_has_none(wire: Wire) -> None:
    assert (await wire.client.get(spark(wire, "settings"))).json() == DEFAULTS


async def test_a_patch_is_a_merge(wire: Wire) -> None:
    url = spark(wire, "settings")
    first = await wire.client.patch(
        url,
        json={
            "job": {"sessionTimeoutInMinutes": 45},
            "highConcurrency": {"notebookPipelineRunEnabled": True},
            "pool": {"starterPool": {"maxNodeCount": 4}, "customizeComputeEnabled": None},
        },
    )
    assert first.status_code == 200
    second = await wire.client.patch(
        url,
        json={
            "job": {"conservativeJobAdmissionEnabled": True},
            "automaticLog": {"enabled": False},
            "environment": {"name": "", "runtimeVersion": "2.0"},
        },
    )
    assert second.json() == {
        **DEFAULTS,
        "automaticLog": {"enabled": False},
        "highConcurrency": {
            "notebookInteractiveRunEnabled": True,
            "notebookPipelineRunEnabled": True,
        },
        "pool": {**DEFAULTS["pool"], "starterPool": {"maxNodeCount": 4, "maxExecutors": 1}},  # type: ignore[dict-item]
        "job": {"conservativeJobAdmissionEnabled": True, "sessionTimeoutInMinutes": 45},
    }
    assert (await wire.client.get(url)).json() == second.json()
    [starter] = (await wire.client.get(spark(wire, "pools"))).json()["value"]
    assert starter["autoScale"]["maxNodeCount"] == 4
    actions = (await wire.client.get(f"/v1/workspaces/{wire.world.workspace.id}/auditLog")).json()[
        "value"
    ]
    assert [one["action"] for one in actions[:2]] == ["spark_settings.change"] * 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"job": {"sessionTimeoutInMinutes": 0}}, "sessionTimeoutInMinutes"),
        ({"job": {"sessionTimeoutInMinutes": 20161}}, "sessionTimeoutInMinutes"),
        ({"job": {"sessionTimeoutInMinutes": "20"}}, "sessionTimeoutInMinutes"),
        ({"automaticLog": {}}, "automaticLog.enabled"),
        ({"automaticLog": {"enabled": "yes"}}, "automaticLog.enabled"),
        ({"pool": {"starterPool": {"maxNodeCount": 201}}}, "maxNodeCount"),
        ({"pool": {"starterPool": {"maxExecutors": 0}}}, "maxExecutors"),
        ({"pool": {"defaultPool": {"name": "Other", "type": "Workspace"}}}, "Starter Pool"),
        ({"pool": {"defaultPool": {"id": LAB["name"]}}}, "Starter Pool"),
        ({"pool": {"defaultPool": {}}}, "defaultPool"),
        ({"pool": {"defaultPool": {"name": "x", "type": "Capacity"}}}, "type"),
        ({"environment": {"name": "Missing"}}, "Missing"),
        ({"environment": {"runtimeVersion": "1.1"}}, "2.0"),
        ({}, "at least one"),
    ],
)
async def test_wrong_settings_are_a_400_that_names_the_field_and_change_nothing(
    wire: Wire, body: Any, field: str
) -> None:
    url = spark(wire, "settings")
    answer = await wire.client.patch(url, json=body)
    assert answer.status_code == 400
    assert field in answer.text
    assert (await wire.client.get(url)).json() == DEFAULTS


async def test_the_starter_pool_is_in_the_list_and_fixed(wire: Wire) -> None:
    [starter] = (await wire.client.get(spark(wire, "pools"))).json()["value"]
    assert starter == {
        "id": ZERO,
        "name": "Starter Pool",
        "type": "Workspace",
        "nodeFamily": "MemoryOptimized",
        "nodeSize": "Medium",
        "autoScale": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 1},
        "dynamicExecutorAllocation": {"enabled": True, "minExecutors": 1, "maxExecutors": 1},
    }
    url = spark(wire, f"pools/{ZERO}")
    assert (await wire.client.get(url)).json() == starter
    for answer in (
        await wire.client.patch(url, json={"nodeSize": "Large"}),
        await wire.client.delete(url),
    ):
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "StarterPoolIsFixed")
        assert "pool.starterPool" in answer.json()["message"]


async def test_a_pool_is_created_changed_chosen_and_deleted(wire: Wire) -> None:
    made = await wire.client.post(spark(wire, "pools"), json=LAB)
    assert made.status_code == 201
    assert made.json() == {**LAB, "id": made.json()["id"], "type": "Workspace"}
    url = made.headers["location"]
    assert (await wire.client.get(url)).json() == made.json()
    taken = await wire.client.post(spark(wire, "pools"), json=LAB | {"name": "LAB"})
    assert (taken.status_code, taken.json()["errorCode"]) == (409, "SparkPoolNameAlreadyInUse")
    changed = await wire.client.patch(
        url, json={"nodeSize": "large", "autoScale": {"maxNodeCount": 5}}
    )
    assert changed.json() == made.json() | {
        "nodeSize": "Large",
        "autoScale": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 5},
    }
    listed = (await wire.client.get(spark(wire, "pools"))).json()["value"]
    assert [one["name"] for one in listed] == ["Starter Pool", "Lab"]
    chosen = await wire.client.patch(
        spark(wire, "settings"), json={"pool": {"defaultPool": {"name": "lab", "type": None}}}
    )
    reference = {"name": "Lab", "type": "Workspace", "id": made.json()["id"]}
    assert chosen.json()["pool"]["defaultPool"] == reference
    used = await wire.client.delete(url)
    assert (used.status_code, used.json()["errorCode"]) == (409, "SparkPoolInUse")
    wrong = {"name": "Starter Pool", "id": made.json()["id"]}
    mixed = await wire.client.patch(spark(wire, "settings"), json={"pool": {"defaultPool": wrong}})
    assert mixed.status_code == 400
    await wire.client.patch(spark(wire, "settings"), json={"pool": {"defaultPool": {"id": ZERO}}})
    assert (await wire.client.delete(url)).status_code == 200
    gone = await wire.client.get(url)
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "SparkPoolNotFound")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": None}, "name"),
        ({"name": "Starter Pool"}, "reserved"),
        ({"nodeFamily": "Other"}, "nodeFamily"),
        ({"nodeSize": "Tiny"}, "nodeSize"),
        ({"autoScale": {"enabled": True, "minNodeCount": 2, "maxNodeCount": 1}}, "minNodeCount"),
        ({"autoScale": {"enabled": True, "minNodeCount": 1}}, "maxNodeCount"),
        (
            {"dynamicExecutorAllocation": {"enabled": 1, "minExecutors": 1, "maxExecutors": 1}},
            "enabled",
        ),
    ],
)
async def test_a_wrong_pool_is_a_400_that_names_the_field(
    wire: Wire, change: dict[str, Any], field: str
) -> None:
    answer = await wire.client.post(spark(wire, "pools"), json=LAB | change)
    assert answer.status_code == 400
    assert field in answer.text
    assert len((await wire.client.get(spark(wire, "pools"))).json()["value"]) == 1


async def test_a_session_of_a_pool_says_so(wire: Wire) -> None:
    await wire.client.post(spark(wire, "pools"), json=LAB)
    body = {"conf": {"spark.fabric.pool.name": "Lab"}}
    made = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert made.status_code == 202
    assert made.json()["tags"]["SizesInEffect"].startswith("pool=Lab,driverMemory=")
    wrong = await wire.client.post(
        f"{wire.base}/sessions", json={"conf": {"spark.fabric.pool.name": "Other"}}
    )
    assert (wrong.status_code, wrong.json()["errorCode"]) == (400, "SparkPoolNotFound")
