"""Publishing an environment: begin, cancel, follow. `livius.reconcile.publishing` does the work."""

from __future__ import annotations

from datetime import timedelta

from livius.domain.audit import Action
from livius.domain.driver import Goal, Owner
from livius.domain.driver import Phase as DriverPhase
from livius.domain.environment import EnvironmentVersion, Publish
from livius.domain.errors import Conflict, NotFound
from livius.domain.ids import EnvironmentVersionId, OperationId, new_id
from livius.domain.messages import Message
from livius.domain.operation import Operation, OperationKind
from livius.domain.permissions import CHANGE_ENVIRONMENT, SEE_ENVIRONMENT
from livius.domain.pool import WarmDriver
from livius.domain.principal import Principal
from livius.ports.catalog import Outcome
from livius.ports.notifications import OperationChanged
from livius.usecases.access import may_run_code
from livius.usecases.context import Context
from livius.usecases.environments import (
    ComputeView,
    EnvironmentPath,
    EnvironmentView,
    LibrariesView,
    audit_of,
    compute_view,
    end_publish,
    enter_environment,
    environment_not_found,
)
from livius.usecases.held_reads import read_settled
from livius.usecases.operations import new_operation


async def publish(context: Context, caller: Principal, path: EnvironmentPath) -> Operation:
    """Begin to make a version of what is staged.

    Code that it brings runs in all sessions that have it, so the caller has to be one who may run
    code.

    Raises:
        Conflict: another publish of the environment has not ended.
        Invalid: its pool was deleted.
        Unavailable: the disk is full.
    """
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    may_run_code(context, caller)
    context.capacity.check_disk()
    if environment.compute.pool is not None:
        found = await context.store.spark_configuration(environment.workspace)
        found.pool_of_environment(environment.compute.pool)
    operation = new_operation(
        context,
        caller,
        OperationKind.PUBLISH_ENVIRONMENT,
        workspace=environment.workspace,
        item=environment.id,
    )
    version = EnvironmentVersion(
        id=EnvironmentVersionId(new_id()),
        environment=environment.id,
        workspace=environment.workspace,
        operation=operation.id,
        created_at=operation.created_at,
        compute=environment.compute,
        libraries=environment.libraries,
        files=await context.environments.staged(environment.id),
    )
    outcome = await context.store.add_publish(
        version, operation, audit=audit_of(context, Action.ENVIRONMENT_PUBLISH, environment)
    )
    if outcome is Outcome.IN_USE:
        raise Conflict(
            "InvalidEnvironmentPublish",
            Message(
                "The environment %(name)s is being published. Wait for its end, or cancel it.",
                name=environment.name,
            ),
        )
    if not outcome:
        raise environment_not_found(environment.id)
    context.wake_operations()
    return operation


async def cancel_publish(
    context: Context, caller: Principal, path: EnvironmentPath, *, long_poll: timedelta
) -> EnvironmentView:
    """Cancel the publish that runs; return its state, which is mostly the final one.

    Raises:
        Conflict: none runs.
    """
    environment = await enter_environment(context, caller, path, CHANGE_ENVIRONMENT)
    latest = environment.latest
    if latest is None or not await end_publish(context, environment, latest):
        raise Conflict(
            "InvalidEnvironmentPublish", Message("No publish of this environment is running.")
        )

    async def read() -> Publish:
        return await _publish(context, latest)

    ended = await read_settled(
        context,
        read,
        topic=lambda found: OperationChanged(found.version.operation),
        is_on_the_way=lambda found: found.is_on_its_way,
        long_poll=long_poll,
    )
    return EnvironmentView(environment, ended)


async def published_version(
    context: Context, caller: Principal, path: EnvironmentPath
) -> EnvironmentVersion:
    """Return the version that new sessions get.

    Raises:
        NotFound: nothing was published.
    """
    environment = await enter_environment(context, caller, path, SEE_ENVIRONMENT)
    if environment.published is None:
        raise NotFound(
            "EnvironmentNotPublished",
            Message("Nothing of the environment %(name)s is published.", name=environment.name),
        )
    return (await _publish(context, environment.published)).version


async def published_compute(
    context: Context, caller: Principal, path: EnvironmentPath
) -> ComputeView:
    """Return the Spark of that version."""
    version = await published_version(context, caller, path)
    return await compute_view(context, version.workspace, version.compute)


async def warm_driver(context: Context, version: EnvironmentVersion) -> WarmDriver:
    """Tell how the driver is that waits for a session with a published version."""
    if not version.compute.keeps_warm:
        return WarmDriver.UNWANTED
    if context.rules.environment_drivers is None:
        return WarmDriver.NEVER
    phases = {
        one.phase
        for one in await context.store.live_drivers()
        if one.owner is Owner.POOL and one.goal is Goal.RUN and one.environment == version.id
    }
    if DriverPhase.WARM in phases:
        return WarmDriver.WARM
    return WarmDriver.STARTING if phases else WarmDriver.ABSENT


async def published_libraries(
    context: Context, caller: Principal, path: EnvironmentPath
) -> LibrariesView:
    """Return the libraries of that version, each package with the version that was installed."""
    version = await published_version(context, caller, path)
    found = {library.name: library for library in version.packages}
    libraries = [found.get(one.name.partition("[")[0], one) for one in version.libraries]
    return LibrariesView(libraries, version.files)


async def publish_log(context: Context, caller: Principal, path: EnvironmentPath) -> str:
    """Return what the latest publish has printed so far.

    Raises:
        NotFound: none was ever begun.
    """
    environment = await enter_environment(context, caller, path, SEE_ENVIRONMENT)
    if environment.latest is None:
        raise NotFound(
            "EnvironmentNotPublished", Message("No publish of this environment was begun.")
        )
    return (await _publish(context, environment.latest)).version.log


async def publish_of(context: Context, operation: OperationId) -> Publish:
    """Return the publish that an operation is, to a caller who sees the operation.

    Raises:
        NotFound: it is not needed any more, and was removed.
    """
    found = await context.store.publish_of(operation)
    if found is None:
        raise NotFound("OperationHasNoResult", Message("This version was removed since."))
    return found


async def _publish(context: Context, version: EnvironmentVersionId) -> Publish:
    found = await context.store.publish(version)
    if found is None:
        raise AssertionError("an environment's versions stay as long as it names them")
    return found
