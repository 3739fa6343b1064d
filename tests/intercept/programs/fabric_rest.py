"""Fabric's own Python client over the REST that surrounds a session, as people write it.

Prints what each step found, as JSON.
"""

import json
import os
from pathlib import Path

from azure.core.exceptions import HttpResponseError
from azure.identity import AzureCliCredential
from microsoft_fabric_api import FabricClient
from microsoft_fabric_api.generated.core import models as core
from microsoft_fabric_api.generated.lakehouse import models as lakehouses
from microsoft_fabric_api.generated.spark import models as spark

client = FabricClient(AzureCliCredential())
found = {}


def refused(call, *given, **named):
    """The status and code of a request that fails."""
    try:
        call(*given, **named)
    except HttpResponseError as error:
        return [error.status_code, json.loads(error.response.text())["errorCode"]]
    return "nothing was refused"


workspaces = client.core.workspaces
made = workspaces.create_workspace(core.CreateWorkspaceRequest(display_name="Rest"))
workspaces.update_workspace(made.id, core.UpdateWorkspaceRequest(description="by the client"))
found["workspace"] = workspaces.get_workspace(made.id).description
found["listed"] = made.id in [one.id for one in workspaces.list_workspaces()]
[capacity] = client.core.capacities.list_capacities()
found["capacity"] = capacity.id == made.capacity_id

newcomer = "11111111-2222-3333-4444-555555555555"
found["no such principal"] = refused(
    workspaces.add_workspace_role_assignment,
    made.id,
    core.AddWorkspaceRoleAssignmentRequest(
        principal=core.Principal(id=newcomer, type="User"), role="Viewer"
    ),
)
[own] = workspaces.list_workspace_role_assignments(made.id)
found["role"] = [own.role, own.principal.type]

bronze = client.lakehouse.items.create_lakehouse(
    made.id, lakehouses.CreateLakehouseRequest(display_name="Bronze")
)
gold = client.lakehouse.items.create_lakehouse(
    made.id,
    lakehouses.CreateLakehouseRequest(
        display_name="Gold",
        creation_payload=lakehouses.LakehouseCreationPayload(enable_schemas=True),
    ),
)
found["schemas"] = [one.properties.default_schema for one in (bronze, gold)]
silver = client.core.items.create_item(
    made.id, core.CreateItemRequest(display_name="Silver", type="Lakehouse")
)
items = list(client.core.items.list_items(made.id, type="Lakehouse"))
found["items"] = [one.display_name for one in items]
client.core.items.update_item(made.id, silver.id, core.UpdateItemRequest(display_name="Tin"))
found["item"] = client.core.items.get_item(made.id, silver.id).display_name
client.core.items.delete_item(made.id, silver.id)
found["gone"] = refused(client.core.items.get_item, made.id, silver.id)
found["tables"] = [one.name for one in client.lakehouse.tables.list_tables(made.id, bronze.id)]

orders = Path(os.environ["LIVIUS_HOME"]) / "onelake" / made.id / bronze.id / "Files" / "orders"
orders.mkdir(parents=True)
(orders / "a.csv").write_text("id;amount\n1;2.5\n2;3.5\n")
(orders / "bad.txt").write_text("id\n1\n")


def load(**fields):
    """A load as the client's users write it; the client waits for its end."""
    client.lakehouse.tables.begin_load_table(
        made.id, bronze.id, "orders", lakehouses.LoadTableRequest(**fields)
    ).wait()


csv = lakehouses.Csv(header=True, delimiter=";")
for mode in ("Overwrite", "Append"):
    load(relative_path="Files/orders/a.csv", path_type="File", mode=mode, format_options=csv)
load(
    relative_path="Files/orders",
    path_type="Folder",
    file_extension="csv",
    recursive=True,
    mode="Append",
    format_options=csv,
)
found["loaded"] = [
    [one.name, one.type, one.format]
    for one in client.lakehouse.tables.list_tables(made.id, bronze.id)
]
try:
    load(relative_path="Files/none.csv", path_type="File", mode="Append", format_options=csv)
except HttpResponseError as error:
    found["failed"] = str(error)

pools = client.spark.custom_pools
lab = pools.create_workspace_custom_pool(
    made.id,
    spark.CreateCustomPoolRequest(
        name="Lab",
        node_family="MemoryOptimized",
        node_size="Small",
        auto_scale=spark.AutoScaleProperties(enabled=True, min_node_count=1, max_node_count=2),
        dynamic_executor_allocation=spark.DynamicExecutorAllocationProperties(
            enabled=False, min_executors=1, max_executors=1
        ),
    ),
)
listed = [one.name for one in pools.list_workspace_custom_pools(made.id)]
changed = pools.update_workspace_custom_pool(
    made.id, lab.id, spark.UpdateCustomPoolRequest(node_size="Large")
)
settings = client.spark.workspace_settings
chosen = settings.update_spark_settings(
    made.id,
    spark.UpdateWorkspaceSparkSettingsRequest(
        pool=spark.PoolProperties(
            customize_compute_enabled=False,
            default_pool=spark.InstancePool(name="Lab", type="Workspace"),
        ),
        job=spark.SparkJobsProperties(session_timeout_in_minutes=45),
    ),
)
found["pools"] = [listed, changed.node_size, chosen.pool.default_pool.name]
found["default pool is kept"] = refused(pools.delete_workspace_custom_pool, made.id, lab.id)
read = settings.get_spark_settings(made.id)
found["settings"] = [
    read.job.session_timeout_in_minutes,
    read.environment.runtime_version,
    read.pool.customize_compute_enabled,
]
found["no such runtime"] = refused(
    settings.update_spark_settings,
    made.id,
    spark.UpdateWorkspaceSparkSettingsRequest(
        environment=spark.EnvironmentProperties(runtime_version="1.1")
    ),
)

workspaces.delete_workspace(made.id)
found["no workspace"] = refused(workspaces.get_workspace, made.id)
print(json.dumps(found))
