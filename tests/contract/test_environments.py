"""The contract of stores: environments and their versions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from livius.domain.environment import (
    Compute,
    DynamicAllocation,
    Environment,
    EnvironmentVersion,
    Library,
    PublishState,
)
from livius.domain.errors import Invalid
from livius.domain.ids import (
    EnvironmentId,
    EnvironmentVersionId,
    OperationId,
    PrincipalId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Workspace
from livius.domain.operation import Event
from livius.domain.operation import Phase as OperationPhase
from livius.domain.session import Phase
from livius.ports.capacity import Occupancy
from livius.ports.catalog import Outcome
from livius.ports.store import Store
from support.records import NOW, added, end_session, make, publish_operation, publishing, with_end

LATER = NOW + timedelta(minutes=1)
COMPUTE = Compute(
    runtime="2.0",
    driver_cores=4,
    driver_memory="28g",
    dynamic=DynamicAllocation(enabled=True, least=1, most=3),
    properties={"spark.a": "b"},
)


async def a_workspace(store: Store) -> WorkspaceId:
    made = Workspace(id=WorkspaceId(new_id()), name=new_id(), created_at=NOW)
    await store.add_workspace(made, PrincipalId(new_id()))
    return made.id


async def an_environment(store: Store, workspace: WorkspaceId, **fields: Any) -> Environment:
    values: dict[str, Any] = {
        "id": EnvironmentId(new_id()),
        "workspace": workspace,
        "name": new_id(),
        "created_at": NOW,
        "compute": COMPUTE,
        "libraries": (Library(name="polars", wanted="==1.2"),),
        **fields,
    }
    made = Environment(**values)
    assert await store.add_environment(made)
    return made


async def a_publish(store: Store, environment: Environment) -> EnvironmentVersion:
    return await publishing(store, environment, files=("a.py",))


async def finish(store: Store, version: EnvironmentVersion) -> None:
    await store.move_operation(version.operation, Event.STARTED, at=LATER)
    assert await store.finish_publish(version.id, packages=version.libraries, at=LATER)


async def state(store: Store, version: EnvironmentVersion) -> PublishState | None:
    found = await store.publish(version.id)
    return None if found is None else found.state


async def test_an_environment_is_found_as_it_was_changed(store: Store) -> None:
    workspace = await a_workspace(store)
    first = await an_environment(store, workspace, name="A")
    second = await an_environment(store, workspace, name="B", created_at=LATER)
    assert await store.environment(first.id) == first
    assert await store.list_environments(workspace) == [first, second]
    changed = await store.change_environment(first.id, lambda one: replace(one, libraries=()))
    assert changed == replace(first, libraries=()) == await store.environment(first.id)
    assert await store.delete_environment(first.id)
    assert not await store.delete_environment(first.id)
    gone = await store.change_environment(first.id, lambda one: one)
    assert gone is Outcome.MISSING


async def test_names_are_unique_in_a_workspace_in_any_case(store: Store) -> None:
    workspace = await a_workspace(store)
    first = await an_environment(store, workspace, name="Same")
    other = await an_environment(store, workspace, name="Other")
    again = replace(first, id=EnvironmentId(new_id()), name="SAME")
    assert await store.add_environment(again) is Outcome.TAKEN
    taken = await store.change_environment(other.id, lambda one: replace(one, name="same"))
    assert taken is Outcome.TAKEN
    assert await store.environment(other.id) == other
    elsewhere = replace(again, workspace=await a_workspace(store))
    assert await store.add_environment(elsewhere)
    nowhere = replace(again, workspace=WorkspaceId(new_id()))
    assert await store.add_environment(nowhere) is Outcome.MISSING


async def test_what_a_change_raises_changes_nothing(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))

    def refuse(_present: Environment) -> Environment:
        raise Invalid("InvalidInput", "no")

    with pytest.raises(Invalid):
        await store.change_environment(made.id, refuse)
    assert await store.environment(made.id) == made


async def test_one_publish_at_a_time(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))
    version = await a_publish(store, made)
    found = await store.publish_of(version.operation)
    assert found is not None
    assert (found.version, found.state) == (version, PublishState.WAITING)
    second = replace(version, id=EnvironmentVersionId(new_id()), operation=OperationId(new_id()))
    operation = publish_operation(made, id=second.operation)
    assert await store.add_publish(second, operation) is Outcome.IN_USE
    assert await store.publish(second.id) is None
    await finish(store, version)
    assert await state(store, version) is PublishState.SUCCEEDED
    assert await store.add_publish(second, operation)
    present = await store.environment(made.id)
    assert present is not None
    assert (present.published, present.latest) == (version.id, second.id)
    [latest] = await store.latest_publishes(made.workspace)
    assert latest.version == second


async def test_a_failed_publish_leaves_the_version_before(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))
    first = await a_publish(store, made)
    await finish(store, first)
    second = await a_publish(store, made)
    await store.set_publish_log(second.id, "no \0 good")
    await store.move_operation(second.operation, Event.FAILED, at=LATER, error_message="no")
    found = await store.publish(second.id)
    assert found is not None
    assert (found.state, found.why) == (PublishState.FAILED, "no")
    assert found.version.log == "no \0 good"
    present = await store.environment(made.id)
    assert present is not None
    assert present.published == first.id
    await store.forget_operations(LATER + timedelta(days=1))
    assert await state(store, second) is PublishState.FAILED
    assert await state(store, first) is PublishState.SUCCEEDED


async def test_a_publish_of_a_deleted_environment_is_not_finished(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))
    version = await a_publish(store, made)
    await store.move_operation(version.operation, Event.STARTED, at=LATER)
    await store.delete_environment(made.id)
    assert not await store.finish_publish(version.id, packages=(), at=LATER)
    assert (
        await store.add_publish(version, publish_operation(made, id=version.operation))
        is Outcome.MISSING
    )


async def test_a_publish_is_finished_with_its_operation_and_only_while_that_is_wanted(
    store: Store,
) -> None:
    made = await an_environment(store, await a_workspace(store))
    waiting = await a_publish(store, made)
    assert not await store.finish_publish(waiting.id, packages=(), at=LATER)
    await finish(store, waiting)
    ended = await store.operation(waiting.operation)
    assert ended is not None
    assert (ended.phase, ended.percent) == (OperationPhase.SUCCEEDED, 100)
    assert (ended.result, ended.updated_at) == ({"version": waiting.id}, LATER)
    assert await store.cancel_operation(waiting.operation, at=LATER) is None
    unwanted = await a_publish(store, made)
    await store.move_operation(unwanted.operation, Event.STARTED, at=LATER)
    assert await store.cancel_operation(unwanted.operation, at=LATER)
    assert not await store.finish_publish(unwanted.id, packages=(), at=LATER)
    await store.move_operation(unwanted.operation, Event.FAILED, at=LATER)
    failed = await a_publish(store, made)
    for event in (Event.STARTED, Event.FAILED):
        await store.move_operation(failed.operation, event, at=LATER)
    assert not await store.finish_publish(failed.id, packages=(), at=LATER)
    present = await store.environment(made.id)
    assert present is not None
    assert present.published == waiting.id
    assert await state(store, unwanted) is PublishState.FAILED


async def test_versions_that_nobody_can_need_are_forgotten(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))
    used, unused, failed, published = [await _a_published(store, made) for _ in range(4)]
    session = await added(store, phase=Phase.READY, environment=used.id)
    latest = await a_publish(store, made)
    running = {used.id, published.id, latest.id}
    await store.forget_versions()
    assert await store.recorded_versions() == running
    assert unused.id not in running
    assert failed.id not in running
    await store.delete_environment(made.id)
    await store.forget_versions()
    assert await store.recorded_versions() == {used.id, latest.id}
    await store.move_operation(latest.operation, Event.FAILED, at=LATER)
    await end_session(store, session.id, at=LATER, end=with_end())
    await store.forget_versions()
    assert await store.recorded_versions() == frozenset()
    assert await store.recorded_environments() == frozenset()


async def _a_published(store: Store, environment: Environment) -> EnvironmentVersion:
    version = await a_publish(store, environment)
    await finish(store, version)
    return version


async def test_a_session_is_told_that_its_version_is_gone(store: Store) -> None:
    found: list[bool] = []

    def admit(there: Occupancy) -> bool:
        found.append(there.has_environment)
        return True

    for version in (None, EnvironmentVersionId(new_id())):
        session, driver = make()
        await store.add_session(replace(session, environment=version), driver, admit=admit)
    assert found == [True, False]


async def test_environments_go_with_their_workspace(store: Store) -> None:
    made = await an_environment(store, await a_workspace(store))
    await store.delete_workspace(
        made.workspace,
        at=NOW,
        by=PrincipalId(new_id()),
        reason="x",
        audit_end=lambda _session: pytest.fail("there is none"),
    )
    assert await store.environment(made.id) is None
