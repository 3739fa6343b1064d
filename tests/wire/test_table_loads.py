"""Loading files into a table, on the wire."""

from typing import Any

import pytest

from livius.domain.ids import OperationId
from livius.domain.operation import Event, OperationKind
from livius.usecases.table_loads import MOST_LOADS
from support.records import NOW
from wire.conftest import Wire

CSV = {
    "relativePath": "Files/in/a.csv",
    "pathType": "File",
    "mode": "Append",
    "formatOptions": {"format": "Csv", "header": True, "delimiter": ";"},
}


def load(wire: Wire, table: str = "orders") -> str:
    workspace, lakehouse = wire.world.place
    return f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}/tables/{table}/load"


async def test_a_load_is_an_operation(wire: Wire) -> None:
    answer = await wire.client.post(load(wire), json=CSV)
    assert (answer.status_code, answer.content) == (202, b"")
    identity = answer.headers["x-ms-operation-id"]
    assert answer.headers["location"].endswith(f"/v1/operations/{identity}")
    assert int(answer.headers["retry-after"]) > 0
    state = (await wire.client.get(f"/v1/operations/{identity}")).json()
    assert (state["status"], state["percentComplete"]) == ("NotStarted", 0)
    operation = await wire.world.store.operation(OperationId(identity))
    assert operation is not None
    assert (operation.kind, operation.item) == (OperationKind.LOAD_TABLE, wire.world.lakehouse.id)
    assert operation.request == {
        "table": "orders",
        "path": "Files/in/a.csv",
        "is_folder": False,
        "mode": "Append",
        "format": "Csv",
        "extension": None,
        "recursive": False,
        "header": True,
        "delimiter": ";",
        "schema": None,
    }
    log = f"/v1/workspaces/{wire.world.workspace.id}/auditLog"
    entry = (await wire.client.get(log)).json()["value"][0]
    assert (entry["action"], entry["target"]) == ("table.load", "orders")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"relativePath": "Tables/t"}, "relativePath"),
        ({"relativePath": "Files/../../x"}, "relativePath"),
        ({"relativePath": None}, "relativePath"),
        ({"pathType": "Link"}, "pathType"),
        ({"mode": "Merge"}, "mode"),
        ({"mode": "Create"}, "mode"),
        ({"recursive": "yes"}, "recursive"),
        ({"fileExtension": "a.b"}, "fileExtension"),
        ({"formatOptions": {"format": "Xml"}}, "format"),
        ({"formatOptions": {"format": "Json"}}, "format"),
        ({"formatOptions": {"format": "Csv", "delimiter": "||"}}, "delimiter"),
    ],
)
async def test_a_wrong_load_is_a_400_that_names_the_field(
    wire: Wire, change: dict[str, Any], field: str
) -> None:
    answer = await wire.client.post(load(wire), json=CSV | change)
    assert answer.status_code == 400
    assert field in answer.text
    assert await wire.world.store.live_operations() == []


async def test_a_workspace_has_a_bound_of_loads(wire: Wire) -> None:
    for _ in range(MOST_LOADS):
        assert (await wire.client.post(load(wire), json=CSV)).status_code == 202
    answer = await wire.client.post(load(wire), json=CSV)
    assert (answer.status_code, answer.json()["errorCode"]) == (430, "TooManyOperations")
    assert f"{MOST_LOADS} operations" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) > 0
    live = await wire.world.store.live_operations()
    assert len(live) == MOST_LOADS
    await wire.world.store.move_operation(live[0].id, Event.FAILED, at=NOW)
    assert (await wire.client.post(load(wire), json=CSV)).status_code == 202


async def test_a_wrong_name_of_a_table_is_refused(wire: Wire) -> None:
    answer = await wire.client.post(load(wire, "a-b"), json=CSV)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "InvalidInput")
