"""Environments: what may be staged, how a publish goes, and which version a session gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.world import World, principal, with_rules
from livius.domain.audit import Action
from livius.domain.environment import (
    Compute,
    DynamicAllocation,
    FileKind,
    Library,
    PublishState,
    changed_properties,
    check_compute,
    file_kind,
)
from livius.domain.errors import Conflict, Forbidden, Invalid, LiviusError, NotFound, Unavailable
from livius.domain.ids import EnvironmentId
from livius.domain.lakehouse import Role
from livius.domain.operation import Phase as OperationPhase
from livius.domain.requirements import as_environment_yml, parse_libraries, stored_name
from livius.domain.session import Phase, Session
from livius.ports.store import AuditQuery
from livius.usecases import environments, high_concurrency, publishing, sessions
from livius.usecases.environments import EnvironmentPath
from livius.usecases.sessions import CreateSession
from livius.usecases.spark_settings import change_spark_settings
from support.publishing import create, publish, served, staged, until

RUNTIMES = frozenset({"2.0"})


# --- what may be staged


def check(**fields: Any) -> None:
    check_compute(Compute(**{"runtime": "2.0", **fields}), runtimes=RUNTIMES, local=True)


def test_sizes_that_pools_have_pass() -> None:
    check(driver_cores=4, driver_memory="28g", executor_cores=64, executor_memory="400g")
    check(dynamic=DynamicAllocation(enabled=True, least=1, most=9), properties={"spark.x": "1"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"runtime": "9.9"}, "runtimeVersion"),
        ({"driver_cores": 5}, "driverCores"),
        ({"executor_memory": "2g"}, "executorMemory"),
        ({"dynamic": DynamicAllocation(enabled=True, least=3, most=2)}, "dynamicExecutor"),
        ({"properties": {"spark.driver.extraJavaOptions": "-X"}}, "conf.spark.driver"),
        ({"properties": {"spark.my.password": "x"}}, "sparkProperties.spark.my.password"),
        ({"properties": {"spark.fabric.environment.id": "x"}}, "sparkProperties"),
    ],
)
def test_what_no_session_could_have_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as found:
        check(**fields)
    assert (found.value.field or "").startswith(field)


def test_a_property_that_is_null_is_deleted() -> None:
    assert changed_properties({"a": "1", "b": "2"}, {"a": None, "c": "3"}) == {"b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a-1.0+x-py3-none-any.whl", FileKind.WHEEL),
        ("A.JAR", FileKind.JAR),
        ("m.py", FileKind.PYTHON),
        ("m.R", FileKind.R),
        ("p_1.0.tar.gz", FileKind.R_PACKAGE),
    ],
)
def test_files_have_kinds(name: str, kind: FileKind) -> None:
    assert file_kind(name) is kind


@pytest.mark.parametrize(
    "name", ["../a.py", "a/b.py", ".py", "x.exe", "", "a.py\n", "ä.py", "-a.py"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        file_kind(name)


def test_both_lists_are_read() -> None:
    wanted = [Library(name="scikit-learn", wanted="==1.2"), Library(name="polars[pandas]")]
    yml = "name: x\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
    yml += "    - Scikit_Learn==1.2\n    - polars[pandas]\n"
    assert list(parse_libraries(yml)) == wanted
    assert (
        list(parse_libraries("# mine\nScikit_Learn==1.2  # pinned\n\npolars[pandas]\n")) == wanted
    )
    assert list(parse_libraries(as_environment_yml(wanted))) == wanted
    assert list(parse_libraries("")) == list(parse_libraries(as_environment_yml([]))) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dependencies:\n  - numpy=1.26\n", "conda can't be installed here: numpy=1.26"),
        ("dependencies: x\n", "needs a list"),
        ("dependencies:\n  - pip:\n    - [a]\n", "a text such as"),
        ("dependencies:\n  - [a]\n", "has names of packages"),
        ("-r /etc/passwd\n", "no package that can be installed"),
        ("--index-url https://elsewhere\n", "no package that can be installed"),
        ("./here\n", "no package that can be installed"),
        ("x @ https://elsewhere/x.whl\n", "names an address"),
        ("x @ file:///etc/x.whl\n", "names an address"),
        ("x; sys_platform == 'win32'\n", "another kind of machine"),
    ],
)
def test_what_can_not_be_had_is_said(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse_libraries(text)


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    with suppress(Invalid):
        for library in parse_libraries(text):
            assert "://" not in str(library)
            assert "\n" not in str(library)


# --- publishing


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = await World().begin()
    yield made
    made.store.close()


async def test_files_that_are_staged_and_removed_are_in_the_audit_log(world: World) -> None:
    here, context = await staged(world), world.context

    async def content() -> AsyncIterator[bytes]:
        yield b"x = 1"

    found = await environments.may_stage(context, world.admin, here, "own.py")
    await environments.stage_file(context, found, "own.py", content())
    await environments.unstage_file(context, world.admin, here, "own.py")
    with pytest.raises(NotFound):
        await environments.unstage_file(context, world.admin, here, "own.py")
    entries = [one.entry for one in await world.store.audit(AuditQuery(limit=2))]
    assert [(one.action, one.target, one.detail, one.workspace) for one in entries] == [
        (Action.ENVIRONMENT_CHANGE, "E", f"{done} own.py", world.workspace.id)
        for done in ("removed", "added")
    ]


async def test_what_is_published_stays_while_more_is_staged(world: World) -> None:
    here, context = await staged(world), world.context
    world.environments.packages = (Library(name="polars", wanted="==1.2"),)
    with pytest.raises(NotFound, match="is published"):
        await publishing.published_version(context, world.admin, here)
    assert await publish(world, here) is PublishState.SUCCEEDED
    await environments.import_libraries(context, world.admin, here, "duckdb")
    found = await publishing.published_libraries(context, world.admin, here)
    assert [str(one) for one in found.libraries] == ["polars==1.2"]
    assert "Resolving." in await publishing.publish_log(context, world.admin, here)


async def test_a_failed_publish_leaves_the_version_before_and_says_why(world: World) -> None:
    here, context = await staged(world), world.context
    assert await publish(world, here) is PublishState.SUCCEEDED
    before = await publishing.published_version(context, world.admin, here)
    world.environments.error = Unavailable("InsufficientStorage", "The disk is full.")
    assert await publish(world, here) is PublishState.FAILED
    assert await publishing.published_version(context, world.admin, here) == before
    assert set(world.environments.versions) == {before.id}
    assert "Failed: The disk is full." in await publishing.publish_log(context, world.admin, here)


async def test_a_publish_is_cancelled_and_leaves_nothing(world: World) -> None:
    here, context = await staged(world), world.context
    world.environments.gate = asyncio.Event()
    await publishing.publish(context, world.admin, here)
    async with served(world):
        await until(world, here, PublishState.RUNNING)
        with pytest.raises(Conflict, match="being published"):
            await publishing.publish(context, world.admin, here)
        view = await publishing.cancel_publish(
            context, world.admin, here, long_poll=timedelta(seconds=10)
        )
    assert view.publish is not None
    assert view.publish.state is PublishState.CANCELLED
    assert world.environments.versions == {}
    actions = [one.entry.action for one in await world.store.audit(AuditQuery(limit=9))]
    assert actions[0] is Action.OPERATION_CANCEL
    with pytest.raises(Conflict, match="No publish"):
        await publishing.cancel_publish(context, world.admin, here, long_poll=timedelta())


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_cancel_in_the_last_step_comes_in_time_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch, cancelled_first: bool
) -> None:
    here, context = await staged(world), world.context
    finish = world.store.finish_publish
    errors: list[Exception] = []

    async def cancel() -> None:
        try:
            await publishing.cancel_publish(context, world.admin, here, long_poll=timedelta())
        except Conflict as error:
            errors.append(error)
        await asyncio.sleep(0.2)  # the task of the publish is cancelled meanwhile

    async def meanwhile(*arguments: Any, **named: Any) -> bool:
        if cancelled_first:
            await cancel()
            return await finish(*arguments, **named)
        done = await finish(*arguments, **named)
        await cancel()
        return done

    monkeypatch.setattr(world.store, "finish_publish", meanwhile)
    state = await publish(world, here)
    view = await environments.get_environment(context, world.admin, here)
    assert view.publish is not None
    assert view.publish.operation is not None
    operation = await world.store.operation(view.publish.operation.id)
    assert operation is not None
    if cancelled_first:
        assert state is PublishState.CANCELLED
        assert (operation.error_code, errors) == ("OperationCancelled", [])
        assert world.environments.versions == {}
        assert view.environment.published is None
    else:
        assert state is PublishState.SUCCEEDED
        assert operation.phase is OperationPhase.SUCCEEDED
        assert len(errors) == 1
        assert set(world.environments.versions) == {view.environment.published}


async def test_the_end_of_the_gateway_waits_for_the_last_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await staged(world)
    finish = world.store.finish_publish
    begun = asyncio.Event()

    async def slowly(*arguments: Any, **named: Any) -> bool:
        begun.set()
        await asyncio.sleep(0.2)
        return await finish(*arguments, **named)

    monkeypatch.setattr(world.store, "finish_publish", slowly)
    await publishing.publish(world.context, world.admin, here)
    async with served(world), asyncio.timeout(10):
        await begun.wait()
    view = await environments.get_environment(world.context, world.admin, here)
    assert view.publish is not None
    assert view.publish.state is PublishState.SUCCEEDED
    assert set(world.environments.versions) == {view.environment.published}


async def test_one_that_a_gateway_did_not_finish_fails_with_a_reason(world: World) -> None:
    here = await staged(world)
    world.environments.gate = asyncio.Event()
    await publishing.publish(world.context, world.admin, here)
    async with served(world):
        await until(world, here, PublishState.RUNNING)
    async with served(world):
        assert await until(world, here, PublishState.FAILED) is PublishState.FAILED
    view = await environments.get_environment(world.context, world.admin, here)
    assert view.publish is not None
    assert "server was stopped" in view.publish.why


async def test_a_deleted_environments_publish_ends(world: World) -> None:
    here = await staged(world)
    world.environments.gate = asyncio.Event()
    operation = await publishing.publish(world.context, world.admin, here)
    async with served(world):
        await until(world, here, PublishState.RUNNING)
        await environments.delete_environment(world.context, world.admin, here)
        async with asyncio.timeout(10):
            while (found := await world.store.operation(operation.id)) and found.is_live:
                await asyncio.sleep(0.01)
    assert found is not None
    assert found.error_code == "OperationCancelled"


async def test_viewers_look_and_untrusted_people_publish_nothing(world: World) -> None:
    here, context = await staged(world), world.context
    viewer = await world.member(Role.VIEWER)
    await environments.get_environment(context, viewer, here)
    with pytest.raises(Forbidden):
        await publishing.publish(context, viewer, here)
    contributor = await world.member(Role.CONTRIBUTOR)
    untrusting = with_rules(world, trusted=frozenset())
    with pytest.raises(Forbidden, match="operating system user"):
        await publishing.publish(untrusting, contributor, here)
    with pytest.raises(Forbidden, match="operating system user"):
        await environments.may_stage(untrusting, contributor, here, "own.py")
    await environments.may_stage(context, contributor, here, "own.py")
    with pytest.raises(Forbidden):
        await environments.get_environment(context, principal("Eve"), here)


# --- sessions


async def test_a_session_keeps_the_version_that_it_started_with(world: World) -> None:
    here, context = await staged(world), world.context
    await publish(world, here)
    first = (await create(world, here)).session
    await world.settle(first.id)
    launched = world.launcher.alive[first.driver]
    assert launched.environment is not None
    assert launched.environment.id == first.environment
    await publish(world, here)
    second = (await create(world, here)).session
    assert second.environment != first.environment
    await world.housekeeping().forget_versions()
    assert set(world.environments.versions) == {first.environment, second.environment}
    await sessions.delete_session(context, world.admin, world.path(first.id))
    await world.settle(first.id)
    await world.housekeeping().forget_versions()
    assert set(world.environments.versions) == {second.environment}
    await environments.delete_environment(context, world.admin, here)
    await world.housekeeping().forget_versions()
    assert set(world.environments.versions) == {second.environment}


async def test_its_properties_are_under_the_sessions_own(world: World) -> None:
    here = await staged(world)
    await environments.change_compute(
        world.context,
        world.admin,
        here,
        changes={},
        properties={"spark.a": "environment", "spark.b": "environment"},
    )
    await publish(world, here)
    session = (await create(world, here, **{"spark.b": "session"})).session
    assert session.conf == {"spark.a": "environment", "spark.b": "session"}


@pytest.mark.parametrize("asked", ["x", "6f1c6f4e-0000-4000-8000-000000000000"])
async def test_an_unknown_environment_is_refused_before_anything_starts(
    world: World, asked: str
) -> None:
    with pytest.raises(Invalid) as found:
        await create(world, EnvironmentPath(world.workspace.id, asked))
    assert (found.value.code, found.value.field) == ("EnvironmentNotFound", "conf")
    assert world.woken == []


async def test_an_unpublished_environment_is_refused_with_the_reason(world: World) -> None:
    here = await staged(world)
    with pytest.raises(Invalid, match="never published"):
        await create(world, here)
    world.environments.error = Invalid("EnvironmentValidationFailed", "These don't go together.")
    await publish(world, here)
    with pytest.raises(Invalid, match="don't go together"):
        await create(world, here)


async def default_environment(world: World, here: EnvironmentPath) -> None:
    identity = EnvironmentId(here.environment)
    await change_spark_settings(
        world.context,
        world.admin,
        here.workspace,
        lambda present: replace(present.settings, environment=identity),
    )


async def plain_session(world: World, **conf: str) -> Session:
    wanted = CreateSession(conf=conf)
    view = await sessions.create_session(world.context, world.admin, *world.place, wanted)
    return view.session


async def test_a_default_environment_is_named_as_such_and_gives_way_to_a_runtime(
    world: World,
) -> None:
    here = await staged(world)
    await default_environment(world, here)
    with pytest.raises(Invalid, match="Spark settings give sessions the environment E") as found:
        await plain_session(world)
    assert found.value.field is None
    assert await publish(world, here) is PublishState.SUCCEEDED
    assert (await plain_session(world)).environment is not None
    other = await plain_session(world, **{"spark.livius.runtime": "1.3"})
    assert (other.runtime, other.environment) == ("1.3", None)


async def test_sessions_wait_for_the_first_publish(world: World) -> None:
    here = await staged(world)
    world.environments.gate = asyncio.Event()
    await publishing.publish(world.context, world.admin, here)
    async with served(world):
        await until(world, here, PublishState.RUNNING)
        views = [await create(world, here) for _ in range(20)]
        assert all(view.packaging for view in views)
        for view in views:
            await world.settle(view.session.id)
        assert world.launcher.launches == 0
        world.clock.advance(timedelta(minutes=10))
        world.environments.gate.set()
        await until(world, here, PublishState.SUCCEEDED)
    for view in views:
        await world.settle(view.session.id)
    assert world.launcher.launches == 20
    shown = await sessions.get_session(world.context, world.admin, world.path(views[0].session.id))
    assert shown.session.phase is Phase.LAUNCHING
    assert not shown.packaging


async def test_a_session_fails_with_the_first_publish(world: World) -> None:
    here = await staged(world)
    await publishing.publish(world.context, world.admin, here)
    session = (await create(world, here)).session
    world.environments.error = Invalid("EnvironmentValidationFailed", "These don't go together.")
    async with served(world):
        await until(world, here, PublishState.FAILED)
    await world.settle(session.id)
    ended = await world.store.session(session.id)
    assert ended is not None
    assert ended.phase is Phase.FAILED
    assert "don't go together" in (ended.end_reason or "")


async def test_only_a_version_without_libraries_gets_a_driver_of_the_pool(world: World) -> None:
    here = await staged(world)
    world.context = with_rules(world, pool="fingerprint")
    await publish(world, here)
    claimed = await create(world, here)
    assert claimed.session.tags["FallbackReasons"] == "StarterPoolEmpty"
    world.environments.files[EnvironmentId(here.environment)] = {"a.R": b"", "b.tar.gz": b""}
    await publish(world, here)
    only_r = await create(world, here)
    assert only_r.session.tags["FallbackReasons"] == "StarterPoolEmpty"
    world.environments.packages = (Library(name="polars", wanted="==1.2"),)
    await publish(world, here)
    own = await create(world, here)
    assert own.session.tags["FallbackReasons"] == "EnvironmentMismatch"


async def test_high_concurrency_sessions_share_one_version(world: World) -> None:
    here = await staged(world)
    await environments.change_compute(
        world.context,
        world.admin,
        here,
        changes={},
        properties={"spark.highConcurrency.max": "2"},
    )
    await publish(world, here)
    wanted = CreateSession(conf={"spark.fabric.environment.id": here.environment})

    async def acquire() -> str:
        view = await high_concurrency.acquire(
            world.context, world.admin, *world.place, wanted, None
        )
        return view.session.id

    first, second, third = [await acquire() for _ in range(3)]
    assert first == second != third
    await publish(world, here)
    assert await acquire() not in (first, third)


async def test_another_workspaces_environment_is_unknown(world: World) -> None:
    here = await staged(world)
    await publish(world, here)
    other = await world.store.environment(here.environment)  # type: ignore[arg-type]
    assert other is not None
    with pytest.raises(LiviusError):
        await environments.get_environment(
            world.context, world.admin, replace(here, workspace=world.lakehouse.id)
        )


async def test_the_default_environment_is_that_of_sessions_that_name_none(world: World) -> None:
    here = await staged(world)
    assert await publish(world, here) is PublishState.SUCCEEDED
    await change_spark_settings(
        world.context, world.admin, here.workspace, lambda one: one.settings, environment="e"
    )
    wanted = CreateSession()
    view = await sessions.create_session(world.context, world.admin, *world.place, wanted)
    environment = await environments.get_environment(world.context, world.admin, here)
    assert view.session.environment == environment.environment.published is not None
    with pytest.raises(Invalid, match="no environment 'F'"):
        await change_spark_settings(
            world.context, world.admin, here.workspace, lambda one: one.settings, environment="F"
        )
    await environments.delete_environment(world.context, world.admin, here)
    after = await sessions.create_session(world.context, world.admin, *world.place, wanted)
    assert after.session.environment is None


@pytest.mark.parametrize("written", ["ruamel.yaml", "Ruamel_YAML", "ruamel-yaml"])
def test_a_package_has_one_name_however_it_is_written(written: str) -> None:
    [library] = parse_libraries(f"{written}[jinja2]==0.18")
    assert library.name == stored_name(f"{written}[jinja2]") == "ruamel-yaml[jinja2]"
