"""A workspace's Spark settings, and its custom pools (Fabric contract 7.6).

Every role sees them, Admins change them. They are the defaults of sessions that begin afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from livius.domain.audit import Action
from livius.domain.environment import Environment
from livius.domain.errors import Conflict, Invalid, NotFound
from livius.domain.ids import EnvironmentId, SparkPoolId, WorkspaceId, new_id, parse_id
from livius.domain.messages import Message
from livius.domain.permissions import MANAGE, MONITOR
from livius.domain.principal import Principal
from livius.domain.spark_pool import (
    MOST_POOLS,
    STARTER_POOL,
    STARTER_POOL_ID,
    PoolShape,
    SparkPool,
    check_pool,
)
from livius.domain.spark_settings import SparkConfiguration, SparkSettings, check_settings
from livius.ports.catalog import Outcome
from livius.usecases.access import enter_workspace, workspace_not_found
from livius.usecases.audit_throttle import act
from livius.usecases.context import Context

Change = Callable[[SparkConfiguration], SparkSettings]
"""Returns a workspace's settings as they are to be, or raises a `LiviusError`."""


async def get_spark_configuration(
    context: Context, caller: Principal, workspace: str
) -> SparkConfiguration:
    """Return a workspace's Spark settings with its pools."""
    found, _role = await enter_workspace(context, caller, workspace, MONITOR)
    return await context.store.spark_configuration(found.id)


async def default_environment(context: Context, settings: SparkSettings) -> Environment | None:
    """Return the environment of sessions that name none; None if it is gone, or there is none."""
    if settings.environment is None:
        return None
    return await context.store.environment(settings.environment)


async def change_spark_settings(
    context: Context,
    caller: Principal,
    workspace: str,
    change: Change,
    *,
    environment: str | None = None,
) -> SparkConfiguration:
    """Change a workspace's Spark settings.

    ``environment`` is the name of the new default one; "": none; None: as it is.

    Raises:
        Forbidden: the caller is not an Admin.
        Invalid: the workspace can't have these settings.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)
    named = await _environment(context, found.id, environment) if environment else None

    def checked(present: SparkConfiguration) -> SparkSettings:
        settings = change(present)
        if environment is not None:
            settings = dataclasses.replace(settings, environment=named)
        check_settings(settings, runtimes=context.runtimes.names())
        return settings

    changed = await context.store.change_spark_settings(
        found.id,
        checked,
        audit=act(context.clock, Action.SPARK_SETTINGS_CHANGE, found.name, workspace=found.id),
    )
    if isinstance(changed, Outcome):
        raise workspace_not_found(found.id)
    return changed


async def _environment(context: Context, workspace: WorkspaceId, name: str) -> EnvironmentId:
    """Return the id of an environment by its name in any case.

    Raises:
        Invalid: the workspace has none of the name.
    """
    for one in await context.store.list_environments(workspace):
        if one.name.lower() == name.strip().lower():
            return one.id
    raise Invalid(
        "EnvironmentNotFound",
        Message("The workspace has no environment %(name)s.", name=repr(name[:64])),
        field="environment.name",
    )


async def get_pool(
    context: Context, caller: Principal, workspace: str, pool: str
) -> tuple[SparkConfiguration, SparkPool | None]:
    """Return a pool, with the settings; None for the starter pool, which these describe.

    Raises:
        NotFound: the workspace has no such pool.
    """
    found = await get_spark_configuration(context, caller, workspace)
    return found, _find(found, pool)


def _find(found: SparkConfiguration, pool: str) -> SparkPool | None:
    identity = SparkPoolId(parse_id(pool, what="SparkPool"))
    if identity == STARTER_POOL_ID:
        return None
    for one in found.pools:
        if one.id == identity:
            return one
    raise _pool_not_found(identity)


async def create_pool(
    context: Context, caller: Principal, workspace: str, shape: PoolShape
) -> SparkPool:
    """Create a custom pool.

    Raises:
        Forbidden: the caller is not an Admin.
        Invalid: such a pool can't be.
        Conflict: another pool has the name, or the workspace has too many.
    """
    found, _role = await enter_workspace(context, caller, workspace, MANAGE)
    pool = SparkPool(
        id=SparkPoolId(new_id()),
        workspace=found.id,
        created_at=context.clock.now(),
        **dataclasses.asdict(shape),
    )
    check_pool(pool)
    outcome = await context.store.add_spark_pool(
        pool,
        audit=act(context.clock, Action.SPARK_POOL_CREATE, pool.name, workspace=found.id),
    )
    if outcome is Outcome.TAKEN:
        raise _name_in_use(pool.name)
    if outcome is Outcome.FULL:
        raise Conflict(
            "SparkPoolsLimitExceeded",
            Message("A workspace has at most %(most)s pools. Delete one first.", most=MOST_POOLS),
        )
    if not outcome:
        raise workspace_not_found(found.id)
    return pool


async def change_pool(
    context: Context, caller: Principal, workspace: str, pool: str, changes: Mapping[str, Any]
) -> SparkPool:
    """Change fields of a custom pool. Running sessions keep what they have.

    Raises:
        Forbidden: the caller is not an Admin.
        Invalid: nothing to change, such a pool can't be, or it is the starter pool.
        Conflict: another pool has the name.
        NotFound: the workspace has no such pool.
    """
    present = await _own_pool(context, caller, workspace, pool)
    if not changes:
        raise Invalid("InvalidInput", Message("Send at least one field to change."))

    def checked(pool: SparkPool) -> SparkPool:
        changed = dataclasses.replace(pool, **changes)
        check_pool(changed)
        return changed

    changed = await context.store.change_spark_pool(
        present.id,
        checked,
        audit=act(
            context.clock, Action.SPARK_POOL_CHANGE, present.name, workspace=present.workspace
        ),
    )
    if changed is Outcome.TAKEN:
        raise _name_in_use(str(changes["name"]))
    if isinstance(changed, Outcome):
        raise _pool_not_found(present.id)
    return changed


async def delete_pool(context: Context, caller: Principal, workspace: str, pool: str) -> None:
    """Delete a custom pool. Running sessions keep what they have.

    Raises:
        Forbidden: the caller is not an Admin.
        Conflict: it is the workspace's default pool.
        NotFound: the workspace has no such pool.
    """
    present = await _own_pool(context, caller, workspace, pool)
    outcome = await context.store.delete_spark_pool(
        present.id,
        audit=act(
            context.clock, Action.SPARK_POOL_DELETE, present.name, workspace=present.workspace
        ),
    )
    if outcome is Outcome.IN_USE:
        raise Conflict(
            "SparkPoolInUse",
            Message(
                "%(name)s is the workspace's default pool. Choose another one in its Spark "
                "settings first.",
                name=present.name,
            ),
        )
    if not outcome:
        raise _pool_not_found(present.id)


async def _own_pool(context: Context, caller: Principal, workspace: str, pool: str) -> SparkPool:
    """Return a custom pool to a caller who may change it."""
    place, _role = await enter_workspace(context, caller, workspace, MANAGE)
    found = _find(await context.store.spark_configuration(place.id), pool)
    if found is None:
        raise Invalid(
            "StarterPoolIsFixed",
            Message(
                "%(name)s can't be changed or deleted here: pool.starterPool of the workspace's "
                "Spark settings has its sizes.",
                name=STARTER_POOL,
            ),
        )
    return found


def _pool_not_found(pool: SparkPoolId) -> NotFound:
    return NotFound("SparkPoolNotFound", Message("The workspace has no pool %(pool)s.", pool=pool))


def _name_in_use(name: str) -> Conflict:
    return Conflict(
        "SparkPoolNameAlreadyInUse",
        Message("There is a pool %(name)s in this workspace. Choose another name.", name=name),
    )
