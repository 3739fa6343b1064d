"""Publishes an environment with Fabric's own Python client, and prints its id."""

import sys
from pathlib import Path

from azure.core.rest import HttpRequest
from azure.identity import AzureCliCredential
from microsoft_fabric_api import FabricClient
from microsoft_fabric_api.generated.environment import models

workspace, runtime, *libraries = sys.argv[1:]
client = FabricClient(AzureCliCredential()).environment
name = f"on {runtime}"
made = client.items.create_environment(
    workspace, models.CreateEnvironmentRequest(display_name=name)
)
change = models.UpdateEnvironmentSparkComputeRequest(
    runtime_version=runtime,
    spark_properties=[models.SparkProperty(key="spark.example.word", value="blue")],
)
client.staging.update_spark_compute(workspace, made.id, change, beta=False)


def send(path, content):
    """Send a body, which the client's own methods have no parameter for."""
    url = f"https://api.fabric.microsoft.com/v1/workspaces/{workspace}/environments/{made.id}"
    kind = {"Content-Type": "application/octet-stream"}
    request = HttpRequest("POST", f"{url}/staging/libraries/{path}", headers=kind, content=content)
    client._client.send_request(request).raise_for_status()


send("importExternalLibraries", b"cowsay==6.1\nnoto-cjk-sans-otc==0.0.1\n")
for library in map(Path, libraries):
    send(library.name, library.read_bytes())
done = client.items.publish_environment(workspace, made.id, beta=False)
assert done.publish_details.state == "Success", done.publish_details
print(made.id)
