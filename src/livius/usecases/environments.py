"""Environments: list, create, get, change, delete, and what is staged in them.

Every role in a workspace may see them; changes need Contributor, as running code does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from livius.domain.audit import Action, AuditEntry
from livius.domain.environment import (
    Compute,
    Environment,
    Library,
    Publish,
    changed_properties,
    check_compute,
    check_environment_name,
    file_kind,
    with_libraries,
)
from livius.domain.errors import Conflict, Invalid, NotFound
from livius.domain.ids import (
    EnvironmentId,
    EnvironmentVersionId,
    PrincipalId,
    SparkPoolId,
    WorkspaceId,
    new_id,
    parse_id,
)
from livius.domain.lakehouse import check_description
from livius.domain.messages import Message
from livius.domain.permissions import CHANGE_ENVIRONMENT, SEE_ENVIRONMENT, Right
from livius.domain.principal import Principal
from livius.domain.requirements import parse_libraries, stored_name
from livius.domain.spark_pool import STARTER_POOL, STARTER_POOL_ID, SparkPool
from livius.domain.spark_settings import SparkConfiguration
from livius.ports.catalog import Outcome
from livius.usecases.access import enter_workspace, may_run_code, workspace_not_found
from livius.usecases.audit_throttle import act
from livius.usecases.context import Context

PoolChoice = Callable[[SparkConfiguration], SparkPool | None]
"""Returns a pool of a workspace's, None for the starter pool, or raises a `LiviusError`."""

_NO_LIBRARIES: Final = "EnvironmentLibrariesNotFound"


@dataclass(frozen=True, slots=True)
class EnvironmentPath:
    """An environment, as a request's path names it: unchecked ids."""

    workspace: str
    environment: str


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """An environment with the publish that began last."""

    environment: Environment
    publish: Publish | None


@dataclass(frozen=True, slots=True)
class ComputeView:
    """The Spark of an environment, with its pool or the workspace's default one.

    A pool that was deleted has no name.
    """

    compute: Compute
    pool: SparkPoolId
    pool_name: str


@dataclass(frozen=True, slots=True)
class LibrariesView:
    """Libraries, staged or published: packages by name, and custom files."""

    libraries: Sequence[Library]
    files: Sequence[str]


async def list_environments(
    context: Context, caller: Principal, workspace: str
) -> Sequence[EnvironmentView]:
    """Return the environments of a workspace."""
    found, _role = await enter_workspace(context, caller, workspace, SEE_ENVIRONMENT)
    publishes = await context.store.latest_publishes(found.id)
    latest = {publish.version.environment: publish for publish in publishes}
    return [
        EnvironmentView(one, latest.get(one.id))
        for one in await context.store.list_environments(found.id)
    ]


async def create_environment(
    context: Context, caller: Principal, workspace: str, name: str, description: str
) -> EnvironmentView:
    """Create an environment with nothing staged.

    Raises:
        Invalid: the name or description is invalid.
        Conflict: another environment of the workspace has the name.
        Forbidden: the caller's role may only read.
    """
    found, _role = await enter_workspace(context, caller, workspace, CHANGE_ENVIRONMENT)
    check_environment_name(name)
    check_description(description)
    environment = Environment(
        id=EnvironmentId(new_id()),
        workspace=found.id,
        name=name,
        created_at=context.clock.now(),
        compute=Compute(runtime=context.rules.default_runtime),
        description=description,
    )
    outcome = await context.store.add_environment(
        environment, audit=audit_of(context, Action.ENVIRONMENT_CREATE, environment)
    )
    if outcome is Outcome.TAKEN:
        raise _name_in_use(name)
    if not outcome:
        raise workspace_not_found(found.id)
    return EnvironmentView(environment, None)


async def get_environment(
    context: Context, caller: Principal, path: EnvironmentPath
) -> EnvironmentView:
    """Return an environment."""
    return await _view(context, await enter_environment(context, caller, path, SEE_ENVIRONMENT))


async def _view(context: Context, environment: Environment) -> EnvironmentView:
    if environment.latest is None:
        return EnvironmentView(environment, None)
    return EnvironmentView(environment, await context.store.publish(environment.latest))


async def change_environment(
    context: Context,
    caller: Principal,
    path: EnvironmentPath,
    *,
    name: str | None,
    description: str | None,
) -> EnvironmentView:
    """Change an environment's name or description.

    Raises:
        Invalid: nothing to change, or an invalid name or description.
        Conflict: another environment of the workspace has the name.
    """
    await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    if name is None and description is None:
        raise Invalid("InvalidInput", Message("Send a displayName, a description or both."))
    if name is not None:
        check_environment_name(name)
    if description is not None:
        check_description(description)
    changed = await _change(
        context,
        caller,
        path,
        lambda present: replace(
            present,
            name=present.name if name is None else name,
            description=present.description if description is None else description,
        ),
    )
    return await _view(context, changed)


async def delete_environment(context: Context, caller: Principal, path: EnvironmentPath) -> None:
    """Delete an environment. Sessions that have it keep it; a publish of it is cancelled."""
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    done = await context.store.delete_environment(
        environment.id, audit=audit_of(context, Action.ENVIRONMENT_DELETE, environment)
    )
    if not done:
        raise environment_not_found(environment.id)
    if environment.latest is not None:
        await end_publish(context, environment, environment.latest)
    await context.environments.discard_staged(environment.id)


async def end_publish(
    context: Context, environment: Environment, version: EnvironmentVersionId
) -> bool:
    """Cancel the publish of a version; False if it has ended."""
    publish = await context.store.publish(version)
    if publish is None or publish.operation is None:
        return False
    cancelled = await context.store.cancel_operation(
        publish.operation.id,
        at=context.clock.now(),
        audit=audit_of(context, Action.OPERATION_CANCEL, environment),
    )
    context.wake_operations()
    return cancelled is not None


async def change_compute(
    context: Context,
    caller: Principal,
    path: EnvironmentPath,
    *,
    changes: Mapping[str, Any],
    properties: Mapping[str, str | None],
    pool: PoolChoice | None = None,
) -> ComputeView:
    """Change the Spark that is staged.

    ``changes`` are fields of `Compute`; of the properties, None deletes one. ``pool`` chooses among
    the workspace's pools.

    Raises:
        Invalid: no session could have it; ``field`` names the part.
    """
    found = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    if pool is not None:
        chosen = pool(await context.store.spark_configuration(found.workspace))
        changes = {**changes, "pool": STARTER_POOL_ID if chosen is None else chosen.id}

    def change(present: Environment) -> Environment:
        compute = replace(
            present.compute,
            **changes,
            properties=changed_properties(present.compute.properties, properties),
        )
        check_compute(compute, runtimes=context.runtimes.names(), local=context.rules.local)
        return replace(present, compute=compute)

    changed = await _change(context, caller, path, change)
    return await compute_view(context, changed.workspace, changed.compute)


async def staged_compute(context: Context, caller: Principal, path: EnvironmentPath) -> ComputeView:
    """Return the Spark that is staged."""
    found = await enter_environment(context, caller, path, SEE_ENVIRONMENT)
    return await compute_view(context, found.workspace, found.compute)


async def compute_view(context: Context, workspace: WorkspaceId, compute: Compute) -> ComputeView:
    """Return the Spark of an environment with the name of its pool."""
    found = await context.store.spark_configuration(workspace)
    default = STARTER_POOL_ID if found.default_pool is None else found.default_pool.id
    pool = compute.pool or default
    names = {STARTER_POOL_ID: STARTER_POOL, **{one.id: one.name for one in found.pools}}
    return ComputeView(compute, pool, names.get(pool, ""))


async def staged_libraries(
    context: Context, caller: Principal, path: EnvironmentPath
) -> LibrariesView:
    """Return the libraries that are staged."""
    environment = await enter_environment(context, caller, path, SEE_ENVIRONMENT)
    return LibrariesView(environment.libraries, await context.environments.staged(environment.id))


async def may_stage(
    context: Context, caller: Principal, path: EnvironmentPath, name: str
) -> Environment:
    """Refuse a caller who may not stage a file of this name, before its content is read.

    It is code that runs in sessions once anybody publishes it, so the caller has to be one who may
    run code.
    """
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    may_run_code(context, caller)
    file_kind(name)
    context.capacity.check_disk()
    return environment


async def stage_file(
    context: Context, environment: Environment, name: str, content: AsyncIterator[bytes]
) -> None:
    """Stage a custom library, for a caller who may, in place of the present one.

    Raises:
        Invalid: it is too large, or there are too many.
        Unavailable: the disk is full.
    """
    await context.environments.stage(environment.id, name, content)
    await context.store.note(
        audit_of(context, Action.ENVIRONMENT_CHANGE, environment, detail=f"added {name}")
    )


async def unstage_file(
    context: Context, caller: Principal, path: EnvironmentPath, name: str
) -> None:
    """Remove a staged custom library.

    Raises:
        NotFound: there is none of this name.
    """
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    file_kind(name)
    if not await context.environments.unstage(environment.id, name):
        raise _no_library(name)
    await context.store.note(
        audit_of(context, Action.ENVIRONMENT_CHANGE, environment, detail=f"removed {name}")
    )


async def import_libraries(
    context: Context, caller: Principal, path: EnvironmentPath, text: str
) -> None:
    """Stage the packages that an environment.yml or a requirements.txt lists, in place of all.

    Raises:
        Invalid: the message names the line and the remedy.
    """
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    libraries = await asyncio.to_thread(parse_libraries, text)
    with_libraries(environment, libraries)  # refused before the one transaction that writes
    await _change(context, caller, path, lambda present: with_libraries(present, libraries))


async def remove_library(
    context: Context, caller: Principal, path: EnvironmentPath, name: str, version: str
) -> None:
    """Remove a staged package.

    Raises:
        NotFound: there is none of this name and version.
    """
    stored = stored_name(name)

    def change(present: Environment) -> Environment:
        left = [one for one in present.libraries if (one.name, one.version) != (stored, version)]
        if len(left) == len(present.libraries):
            raise _no_library(f"{name} {version}".strip())
        return with_libraries(present, left)

    await _change(context, caller, path, change)


async def is_environment(context: Context, caller: Principal, path: EnvironmentPath) -> bool:
    """Tell whether an item is an environment of a workspace in which the caller has a role."""
    try:
        workspace = WorkspaceId(parse_id(path.workspace, what="Workspace"))
        identity = EnvironmentId(parse_id(path.environment, what="Environment"))
    except NotFound:
        return False
    found = await context.store.environment(identity)
    return (
        found is not None
        and found.workspace == workspace
        and await context.store.role(workspace, PrincipalId(caller.oid)) is not None
    )


async def enter_environment(
    context: Context, caller: Principal, path: EnvironmentPath, right: Right
) -> Environment:
    """Return the environment that a path names.

    Raises:
        NotFound: there is no such workspace, or no such environment in it.
        Forbidden: the caller lacks a scope, or has no role in the workspace or too small a one.
    """
    workspace, _role = await enter_workspace(context, caller, path.workspace, right)
    identity = EnvironmentId(parse_id(path.environment, what="Environment"))
    found = await context.store.environment(identity)
    if found is None or found.workspace != workspace.id:
        raise environment_not_found(identity)
    return found


def environment_not_found(environment: str) -> NotFound:
    """Return the error for a missing environment."""
    return NotFound(
        "EnvironmentNotFound",
        Message(
            "There is no environment %(environment)s in the workspace. It may have been deleted.",
            environment=environment[:64],
        ),
    )


def audit_of(
    context: Context, action: Action, environment: Environment, *, detail: str | None = None
) -> AuditEntry:
    """Return the entry for an act on an environment."""
    return act(
        context.clock, action, environment.name, detail=detail, workspace=environment.workspace
    )


async def _change(
    context: Context,
    caller: Principal,
    path: EnvironmentPath,
    change: Callable[[Environment], Environment],
) -> Environment:
    present = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    changed = await context.store.change_environment(
        present.id, change, audit=audit_of(context, Action.ENVIRONMENT_CHANGE, present)
    )
    if changed is Outcome.TAKEN:
        raise _name_in_use(change(present).name)
    if not isinstance(changed, Environment):
        raise environment_not_found(present.id)
    return changed


def _no_library(name: str) -> NotFound:
    return NotFound(
        _NO_LIBRARIES,
        Message("There is no library %(name)s in what is staged.", name=repr(name[:100])),
    )


def _name_in_use(name: str) -> Conflict:
    return Conflict(
        "ItemDisplayNameAlreadyInUse",
        Message(
            "There is an environment %(name)s in this workspace. Choose another name.", name=name
        ),
    )
