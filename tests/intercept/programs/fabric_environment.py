"""Fabric's own Python client over an environment, as people write it. Prints what it found."""

import json
import sys

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.identity import AzureCliCredential
from microsoft_fabric_api import FabricClient
from microsoft_fabric_api.generated.environment import models

workspace, wheel = sys.argv[1:]
client = FabricClient(AzureCliCredential()).environment
items, staging, published = client.items, client.staging, client.published
found = {}


def states(properties):
    """The states in the details of a publish."""
    details = properties.publish_details
    parts = details.component_publish_info
    return [details.state, parts.spark_libraries.state, parts.spark_settings.state]


made = items.create_environment(workspace, models.CreateEnvironmentRequest(display_name="Made"))
items.update_environment(
    workspace, made.id, models.UpdateEnvironmentRequest(description="by the client")
)
found["description"] = items.get_environment(workspace, made.id).description
found["listed"] = made.id in [one.id for one in items.list_environments(workspace)]

change = models.UpdateEnvironmentSparkComputeRequest(
    driver_cores=4,
    driver_memory="28g",
    executor_cores=4,
    executor_memory="28g",
    dynamic_executor_allocation=models.DynamicExecutorAllocationProperties(
        enabled=True, min_executors=1, max_executors=2
    ),
    spark_properties=[models.SparkProperty(key="spark.example.word", value="blue")],
    runtime_version="2.0",
)
staging.update_spark_compute(workspace, made.id, change, beta=False)
compute = staging.get_spark_compute(workspace, made.id, beta=False)
found["compute"] = [
    compute.driver_cores,
    compute.instance_pool.name,
    [one.value for one in compute.spark_properties],
]
old = staging.get_spark_compute_beta(workspace, made.id, beta=True)
found["older shape"] = old.spark_properties


def send(path, content):
    """Send a body, which the client's own methods have no parameter for."""
    url = f"https://api.fabric.microsoft.com/v1/workspaces/{workspace}/environments/{made.id}"
    kind = {"Content-Type": "application/octet-stream"}
    request = HttpRequest("POST", f"{url}/staging/libraries/{path}", headers=kind, content=content)
    client._client.send_request(request).raise_for_status()


def libraries(of):
    """Names and versions."""
    listed = of.list_libraries(workspace, made.id, beta=False)
    return sorted([one.name, getattr(one, "version", None)] for one in listed)


send("importExternalLibraries", b"dependencies:\n  - pip:\n    - cowsay>=6\n    - tabulate\n")
with open(wheel, "rb") as file:
    send(wheel.rpartition("/")[2], file.read())
one = models.RemoveExternalLibrariesRequest(name="tabulate", version="")
staging.remove_external_library(workspace, made.id, one)
found["staged"] = libraries(staging)

found["published"] = states(items.publish_environment(workspace, made.id, beta=False))
found["libraries"] = [name for name, _version in libraries(published)]
found["spark"] = published.get_spark_compute(workspace, made.id, beta=False).executor_memory
found["state"] = states(items.get_environment(workspace, made.id).properties)

send("importExternalLibraries", b"livius-nowhere==1.0\n")
items.publish_environment(workspace, made.id, beta=False)  # it returns, however the publish ends
found["failed"] = states(items.get_environment(workspace, made.id).properties)[0]
found["still"] = [name for name, _version in libraries(published)]
items.delete_environment(workspace, made.id)
try:
    items.get_environment(workspace, made.id)
except HttpResponseError as error:
    found["gone"] = error.status_code
print(json.dumps(found))
