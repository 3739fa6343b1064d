"""Fabric's REST for long-running operations, on the wire."""

from typing import Any

from livius.domain.ids import OperationId
from livius.domain.operation import Event
from livius.usecases import environments, publishing
from livius.usecases.environments import EnvironmentPath
from wire.conftest import Wire

NOW = {"Prefer": "wait=0"}


async def begun(wire: Wire) -> OperationId:
    """The publish of a new environment; the tests move it on."""
    context, admin, workspace = wire.world.context, wire.world.admin, wire.world.workspace.id
    made = await environments.create_environment(context, admin, workspace, "E", "")
    here = EnvironmentPath(workspace, made.environment.id)
    return (await publishing.publish(context, admin, here)).id


async def move(wire: Wire, operation: OperationId, event: Event, **changes: Any) -> None:
    at = wire.world.clock.now()
    assert await wire.world.store.move_operation(operation, event, at=at, **changes)


async def test_an_operation_is_followed_to_its_result(wire: Wire) -> None:
    operation = await begun(wire)
    path = f"/v1/operations/{operation}"
    answer = await wire.client.get(path, headers=NOW)
    assert answer.json()["status"] == "NotStarted"
    assert answer.headers["x-ms-operation-id"] == operation
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["location"] == f"https://localhost{path}"
    early = await wire.client.get(f"{path}/result")
    assert (early.status_code, early.json()["errorCode"]) == (409, "OperationNotCompleted")
    await move(wire, operation, Event.STARTED)
    await move(wire, operation, Event.PROGRESSED, percent=40)
    body = (await wire.client.get(path, headers=NOW)).json()
    assert (body["status"], body["percentComplete"]) == ("Running", 40)
    await move(wire, operation, Event.SUCCEEDED, percent=100, result={"version": "x"})
    answer = await wire.client.get(path)
    assert (answer.json()["status"], answer.json()["percentComplete"]) == ("Succeeded", 100)
    assert answer.headers["location"] == f"https://localhost{path}/result"
    assert "retry-after" not in answer.headers
    result = (await wire.client.get(f"{path}/result")).json()
    assert result["publishDetails"]["startTime"]


async def test_a_failed_operation_says_why(wire: Wire) -> None:
    operation = await begun(wire)
    why = {"error_code": "Conflicting", "error_message": "These don't go together."}
    await move(wire, operation, Event.FAILED, **why)
    body = (await wire.client.get(f"/v1/operations/{operation}")).json()
    assert body["status"] == "Failed"
    assert body["error"] == {"errorCode": "Conflicting", "message": "These don't go together."}
    answer = await wire.client.get(f"/v1/operations/{operation}/result")
    assert (answer.status_code, answer.json()["errorCode"]) == (409, "Conflicting")


async def test_one_without_a_result_says_so(wire: Wire) -> None:
    operation = await begun(wire)
    await move(wire, operation, Event.STARTED)
    await move(wire, operation, Event.SUCCEEDED)
    answer = await wire.client.get(f"/v1/operations/{operation}/result")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "OperationHasNoResult")


async def test_strangers_and_wrong_ids_find_none(wire: Wire) -> None:
    operation = await begun(wire)
    eve = wire.as_caller("eve")
    for one, headers in ((operation, eve), (wire.world.lakehouse.id, {}), ("x", {})):
        answer = await wire.client.get(f"/v1/operations/{one}", headers=headers)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "OperationNotFound")
