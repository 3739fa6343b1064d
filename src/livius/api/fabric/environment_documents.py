"""Environments in Fabric's words (Fabric contract 7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from livius.api.moments import to_seconds
from livius.api.schemas import (
    BetaLibraries,
    EnvironmentDocument,
    EnvironmentProperties,
    LibraryDocument,
    LibraryPage,
    PublishWord,
    SparkComputeDocument,
)
from livius.domain.environment import (
    FileKind,
    Publish,
    PublishState,
    file_kind,
)
from livius.domain.operation import Operation
from livius.domain.requirements import as_environment_yml
from livius.usecases import publishing
from livius.usecases.context import Context
from livius.usecases.environments import ComputeView, EnvironmentView, LibrariesView

_STATES: Final[Mapping[PublishState, PublishWord]] = {
    PublishState.WAITING: "Waiting",
    PublishState.RUNNING: "Running",
    PublishState.CANCELLING: "Cancelling",
    PublishState.CANCELLED: "Cancelled",
    PublishState.FAILED: "Failed",
    PublishState.SUCCEEDED: "Success",
}


def environment_document(view: EnvironmentView) -> EnvironmentDocument:
    """Return an environment."""
    environment = view.environment
    return {
        "id": environment.id,
        "type": "Environment",
        "displayName": environment.name,
        "description": environment.description,
        "workspaceId": environment.workspace,
        "properties": properties_document(view.publish),
    }


def properties_document(publish: Publish | None) -> EnvironmentProperties:
    """Return the state of a publish."""
    if publish is None:
        return {"publishDetails": {}}
    state = _STATES[publish.state]
    document: EnvironmentProperties = {
        "publishDetails": {
            "state": state,
            "targetVersion": publish.version.id,
            "startTime": to_seconds(publish.version.created_at),
            "componentPublishInfo": {
                "sparkLibraries": {"state": state},
                "sparkSettings": {"state": state},
            },
        }
    }
    if publish.ended_at is not None:
        document["publishDetails"]["endTime"] = to_seconds(publish.ended_at)
    return document


async def publish_result(context: Context, operation: Operation) -> EnvironmentProperties:
    """Return the result of a publish."""
    return properties_document(await publishing.publish_of(context, operation.id))


def compute_document(view: ComputeView, *, beta: bool) -> SparkComputeDocument:
    """Return the Spark of an environment."""
    compute = view.compute
    document: SparkComputeDocument = {
        "instancePool": {"name": view.pool_name, "type": "Workspace", "id": view.pool},
        "sparkProperties": dict(compute.properties)
        if beta
        else [{"key": key, "value": value} for key, value in compute.properties.items()],
        "runtimeVersion": compute.runtime,
    }
    if compute.driver_cores is not None:
        document["driverCores"] = compute.driver_cores
    if compute.driver_memory is not None:
        document["driverMemory"] = compute.driver_memory
    if compute.executor_cores is not None:
        document["executorCores"] = compute.executor_cores
    if compute.executor_memory is not None:
        document["executorMemory"] = compute.executor_memory
    if compute.dynamic is not None:
        document["dynamicExecutorAllocation"] = {
            "enabled": compute.dynamic.enabled,
            "minExecutors": compute.dynamic.least,
            "maxExecutors": compute.dynamic.most,
        }
    return document


def libraries_document(view: LibrariesView) -> LibraryPage:
    """Return the libraries of an environment."""
    libraries: list[LibraryDocument] = [
        {"name": one.name, "libraryType": "External", "version": one.version}
        for one in view.libraries
    ]
    libraries += [{"name": name, "libraryType": "Custom"} for name in view.files]
    return {"libraries": libraries}


def beta_libraries_document(view: LibrariesView) -> BetaLibraries:
    """Return the libraries of an environment, in the shape of the older version."""
    of: dict[Any, list[str]] = {kind: [] for kind in FileKind}
    for name in view.files:
        of[file_kind(name)].append(name)
    return {
        "customLibraries": {
            "wheelFiles": of[FileKind.WHEEL],
            "pyFiles": of[FileKind.PYTHON],
            "jarFiles": of[FileKind.JAR],
            "rTarFiles": of[FileKind.R_PACKAGE] + of[FileKind.R],
        },
        "environmentYml": as_environment_yml(view.libraries) if view.libraries else "",
    }
