"""The pool that an environment names, and the warm driver that it may have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from fakes.world import World, with_rules
from livius.api.fabric.requests import InstancePool
from livius.domain.conf import ENVIRONMENT_ID, POOL_NAME
from livius.domain.driver import Driver, DriverEnd, Event, Goal, Owner
from livius.domain.environment import KEEPS_WARM, Library, PublishState
from livius.domain.errors import Invalid
from livius.domain.pool import Condition, WarmDriver
from livius.domain.spark_pool import STARTER_POOL_ID, Compute, SparkPool
from livius.reconcile.pool import WarmPools
from livius.usecases import environments, publishing
from livius.usecases.conf_table import Source, conf_table
from livius.usecases.environments import EnvironmentPath
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.spark_settings import (
    change_spark_settings,
    create_pool,
    delete_pool,
)
from livius_agent.wire import Bind
from support.publishing import create, publish, staged
from support.records import POOL_SHAPE

LARGE: dict[str, Any] = {"driver_cores": 16, "driver_memory": "64g"}


@pytest.fixture
async def world() -> World:
    return await World().begin()


async def pooled_environment(world: World, **fields: Any) -> tuple[EnvironmentPath, SparkPool]:
    """A published environment with a pool that bounds the drivers of `LARGE`."""
    pool = await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    here = await staged(world)
    chosen = pool_by(id=pool.id, **fields)
    await environments.change_compute(
        world.context, world.admin, here, changes={}, properties={}, pool=chosen
    )
    assert await publish(world, here) is PublishState.SUCCEEDED
    return here, pool


def pool_by(**fields: Any) -> environments.PoolChoice:
    return InstancePool(**fields).chosen


async def test_an_environments_pool_bounds_its_sessions(world: World) -> None:
    here, lab = await pooled_environment(world)
    world.context = with_rules(world, **LARGE)
    session = (await create(world, here)).session
    driver = await world.store.driver(session.driver)
    assert driver is not None
    assert (driver.cores, driver.memory_mb) == (8, 56 * 1024)
    assert session.tags["SizesInEffect"].startswith("pool=Lab,")
    own = (await create(world, here, **{"spark.fabric.pool.name": "Starter Pool"})).session
    driver = await world.store.driver(own.driver)
    assert driver is not None
    assert driver.cores is None
    await change_spark_settings(
        world.context,
        world.admin,
        here.workspace,
        lambda found: replace(found.settings, customizes_compute=False),
    )
    kept = (await create(world, here)).session
    assert "SizesInEffect" not in kept.tags, "the default pool, and no other"
    assert lab.name == "Lab"


async def test_an_environment_without_a_pool_has_the_default_one(world: World) -> None:
    lab = await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    here = await staged(world)
    await change_spark_settings(
        world.context,
        world.admin,
        here.workspace,
        lambda found: replace(found.settings, default_pool=lab.id),
    )

    async def shown() -> str:
        return (await environments.staged_compute(world.context, world.admin, here)).pool_name

    assert await shown() == "Lab"
    await environments.change_compute(
        world.context,
        world.admin,
        here,
        changes={},
        properties={},
        pool=pool_by(name="starter pool", type="Capacity"),
    )
    assert await shown() == "Starter Pool"
    await publish(world, here)
    world.context = with_rules(world, **LARGE)
    session = (await create(world, here)).session
    assert "SizesInEffect" not in session.tags, "it names the starter pool"


async def test_the_table_of_a_sessions_conf_says_who_chose_the_pool(world: World) -> None:
    here, _ = await pooled_environment(world)
    world.context = with_rules(world, **LARGE)

    async def sources(**conf: str) -> set[Source | None]:
        conf = {ENVIRONMENT_ID: here.environment, **conf}
        wanted = CreateSession(conf=conf, request={"conf": conf})
        made = await create_session(world.context, world.admin, *world.place, wanted)
        session = made.session
        rows = {row.key: row for row in await conf_table(world.context, session)}
        assert rows[POOL_NAME].effective is not None
        return {rows[key].source for key in (POOL_NAME, "driverMemory", "driverCores")}

    assert await sources() == {Source.ENVIRONMENT}
    assert await sources(**{POOL_NAME: "Lab"}) == {Source.SESSION, Source.WORKSPACE}
    other = await create_pool(
        world.context, world.admin, here.workspace, replace(POOL_SHAPE, name="Other")
    )
    await change_spark_settings(
        world.context,
        world.admin,
        here.workspace,
        lambda found: replace(found.settings, default_pool=other.id, customizes_compute=False),
    )
    assert await sources() == {Source.WORKSPACE}, "the settings overrule the environment"


async def test_a_pool_that_was_deleted_is_an_error_at_publish_and_at_the_start(
    world: World,
) -> None:
    here, lab = await pooled_environment(world)
    await delete_pool(world.context, world.admin, here.workspace, lab.id)
    with pytest.raises(Invalid, match=f"pool {lab.id} was deleted") as refused:
        await publishing.publish(world.context, world.admin, here)
    assert refused.value.code == "SparkPoolNotFound"
    with pytest.raises(Invalid, match="was deleted"):
        await create(world, here)
    assert await world.store.live_sessions() == []
    view = await environments.staged_compute(world.context, world.admin, here)
    assert (view.pool, view.pool_name) == (lab.id, "")
    await create(world, here, **{"spark.fabric.pool.name": "starter pool"})


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ({"name": "Other"}, "It has: Starter Pool, Lab"),
        ({"id": "6f1c6f4e-0000-4000-8000-000000000000"}, "It has: Starter Pool, Lab"),
        ({}, "needs the name or the id"),
        ({"name": "Lab", "id": STARTER_POOL_ID}, "has another id"),
        ({"name": "Lab", "type": "Capacity"}, "no pools of a capacity"),
    ],
)
async def test_a_pool_that_the_workspace_has_not_is_refused(
    world: World, reference: dict[str, str], says: str
) -> None:
    here = await staged(world)
    await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    with pytest.raises(Invalid, match=says) as refused:
        await environments.change_compute(
            world.context,
            world.admin,
            here,
            changes={},
            properties={},
            pool=pool_by(**reference),
        )
    assert refused.value.field == "instancePool"
    found = await environments.get_environment(world.context, world.admin, here)
    assert found.environment.compute.pool is None


# --- the warm driver of an environment


@dataclass
class Warm:
    """A world with a pool of environments' drivers, and memory for so many drivers."""

    world: World
    pool: WarmPools
    room: int = 100

    def admit(self, found: object) -> None:
        del found

    def has_room(self, *, more: int, starting: int) -> bool:
        return more + starting <= self.room

    def check_disk(self) -> None: ...

    async def ours(self) -> list[Driver]:
        live = await self.world.store.live_drivers()
        return [one for one in live if one.owner is Owner.POOL and one.goal is Goal.RUN]

    async def warmed(self) -> Driver:
        """Fill the pool until a driver is warm that was not; return it."""
        before = {one.id for one in await self.ours()}
        for _ in range(3):
            await self.pool.look()
        [driver] = [one for one in await self.ours() if one.id not in before]
        while await self.world.reconciler.step(driver.id) == 0.0:
            pass
        for event in (Event.ATTACHED, Event.WARMED):
            assert await self.world.store.move_driver(driver.id, event, at=self.world.clock.now())
        self.world.links.open.add(driver.id)
        return driver

    async def published(
        self, here: EnvironmentPath | None = None, more: Mapping[str, str] = MappingProxyType({})
    ) -> EnvironmentPath:
        """An environment with a library that asks for a warm driver."""
        world = self.world
        found = here or await staged(world, f"E{len(world.environments.versions)}")
        await environments.change_compute(
            world.context, world.admin, found, changes={}, properties={KEEPS_WARM: "true", **more}
        )
        world.environments.packages = (Library(name="polars", wanted="==1.2"),)
        assert await publish(world, found) is PublishState.SUCCEEDED
        return found

    async def said(self, here: EnvironmentPath) -> WarmDriver:
        version = await publishing.published_version(self.world.context, self.world.admin, here)
        return await publishing.warm_driver(self.world.context, version)


@pytest.fixture
async def warm(world: World) -> Warm:
    pool = WarmPools(
        store=world.store,
        capacity=world.context.capacity,
        clock=world.clock,
        size=0,
        environments=1,
        runtime="2.0",
        fingerprint="f",
        compute=Compute(16, 64 * 1024),
        wake=world.woken.append,
    )
    world.pool_driver_ended = pool.driver_ended
    world.reconciler = world.restarted_reconciler()
    world.context = with_rules(world, environment_drivers="f", **LARGE)
    made = Warm(world, pool)
    pool.capacity = made
    return made


async def test_a_session_gets_the_warm_driver_of_its_environment(warm: Warm) -> None:
    world = warm.world
    here = await warm.published(more={"spark.example.word": "blue", "spark.sql.x": "environment"})
    assert await warm.said(here) is WarmDriver.ABSENT
    driver = await warm.warmed()
    assert await warm.said(here) is WarmDriver.WARM
    assert (await warm.pool.environments_state()).warm == 1
    assert (await warm.pool.state()).condition is Condition.OFF
    spec = world.launcher.alive[driver.id]
    assert spec.environment is not None
    assert spec.environment.id == driver.environment
    assert spec.binding is None
    session = (await create(world, here, **{"spark.sql.x": "session"})).session
    assert session.driver == driver.id
    assert "FallbackReasons" not in session.tags
    assert await world.reconciler.step(driver.id) is not None
    [sent] = [one for one in world.links.sent if isinstance(one, Bind)]
    assert sent.conf == {"spark.sql.x": "session"}, "the rest is there since the driver's start"
    assert session.conf["spark.example.word"] == "blue"
    following = await warm.warmed()
    assert following.environment == driver.environment
    assert (await create(world, here)).session.driver == following.id


async def test_no_other_session_gets_it(warm: Warm) -> None:
    world = warm.world
    here = await warm.published()
    driver = await warm.warmed()
    other = await staged(world, "other")
    assert await publish(world, other) is PublishState.SUCCEEDED
    await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    plain = await create_session(world.context, world.admin, *world.place, CreateSession())
    found = [
        plain.session,
        (await create(world, other)).session,
        (await create(world, here, **{"spark.task.cpus": "1"})).session,
        (await create(world, here, **{"spark.fabric.pool.name": "Lab"})).session,
    ]
    assert [one.tags.get("FallbackReasons") for one in found] == [
        None,  # there is no starter pool
        None,
        "UserSparkConfigMismatch",
        "EnvironmentPoolEmpty",
    ]
    assert driver.id not in {one.driver for one in found}
    assert (await create(world, here)).session.driver == driver.id


async def test_a_publish_replaces_it_and_a_deletion_ends_it(warm: Warm) -> None:
    world = warm.world
    here = await warm.published()
    before = await warm.warmed()
    await warm.published(here)
    session = (await create(world, here)).session
    assert session.driver != before.id, "the driver of an earlier version is no session's"
    for event in (Event.LAUNCH_BEGUN, Event.ATTACHED, Event.READIED):
        assert await world.store.move_driver(session.driver, event, at=world.clock.now())
    after = await warm.warmed()
    assert [one.id for one in await warm.ours()] == [after.id]
    assert after.environment == session.environment != before.environment
    await environments.delete_environment(world.context, world.admin, here)
    await warm.pool.look()
    assert await warm.ours() == []
    for one in (before, after):
        while await world.reconciler.step(one.id) is not None:
            pass
        assert one.id not in world.launcher.alive
    assert (await warm.pool.environments_state()).condition is Condition.OFF


async def test_the_latest_have_it_where_more_ask(warm: Warm) -> None:
    first = await warm.published()
    driver = await warm.warmed()
    warm.world.clock.advance(timedelta(seconds=1))
    second = await warm.published()
    following = await warm.warmed()
    assert [one.id for one in await warm.ours()] == [following.id]
    assert following.environment != driver.environment
    assert [await warm.said(one) for one in (first, second)] == [
        WarmDriver.ABSENT,
        WarmDriver.WARM,
    ]
    assert (await warm.pool.environments_state()).size == 1


async def test_a_pool_bounds_it_and_a_change_of_the_default_pool_replaces_it(warm: Warm) -> None:
    world = warm.world
    here = await warm.published()
    before = await warm.warmed()
    lab = await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    await change_spark_settings(
        world.context,
        world.admin,
        world.workspace.id,
        lambda found: replace(found.settings, default_pool=lab.id),
    )
    after = await warm.warmed()
    assert (after.cores, after.memory_mb) == (8, 56 * 1024)
    assert [one.id for one in await warm.ours()] == [after.id]
    session = (await create(world, here)).session
    assert session.driver == after.id != before.id
    assert session.tags["SizesInEffect"].startswith("pool=Lab,driverMemory=57344m")


async def test_one_whose_library_ends_it_does_not_end_the_starter_pool(warm: Warm) -> None:
    world = warm.world
    await warm.published()
    for _ in range(5):
        driver = await warm.warmed()
        world.links.close(driver.id)
        world.launcher.die(driver.id, DriverEnd(signal=9))
        await world.reconciler.step(driver.id)
        world.clock.advance(timedelta(seconds=70))
    await warm.pool.look()
    assert (await warm.pool.environments_state()).condition is Condition.GIVEN_UP
    assert await warm.ours() == []
    warm.pool.size = 1
    assert (await warm.warmed()).environment is None
    assert (await warm.pool.state()).condition is Condition.FILLED
    await warm.published()
    assert (await warm.warmed()).environment is not None, "a new version is tried again"


async def test_one_that_hangs_holds_up_no_other_and_is_given_up(warm: Warm) -> None:
    world = warm.world
    await warm.published()
    for attempt in range(5):
        for _ in range(3):
            await warm.pool.look()
        [hanging] = [one for one in await warm.ours() if one.environment is not None]
        while await world.reconciler.step(hanging.id) == 0.0:
            pass
        if attempt == 0:
            warm.pool.size = 1
            for _ in range(3):
                await warm.pool.look()
            assert len(await warm.ours()) == 1, "starts do not share the processor"
            world.clock.advance(timedelta(seconds=91))
            assert (await warm.warmed()).environment is None
            assert (await warm.pool.state()).condition is Condition.FILLED
        world.clock.advance(timedelta(minutes=6))
        while await world.reconciler.step(hanging.id) is not None:
            pass
        assert hanging.id not in world.launcher.alive
        world.clock.advance(timedelta(seconds=70))
    assert (await warm.pool.environments_state()).condition is Condition.GIVEN_UP
    for _ in range(3):
        await warm.pool.look()
    assert len(await warm.ours()) == 1
    assert (await warm.pool.state()).condition is Condition.FILLED


async def test_without_memory_it_is_given_up_and_its_session_starts_cold(warm: Warm) -> None:
    here = await warm.published()
    await warm.warmed()
    warm.room = -1
    await warm.pool.look()
    assert await warm.ours() == []
    assert (await warm.pool.environments_state()).condition is Condition.NO_MEMORY
    session = (await create(warm.world, here)).session
    assert session.tags["FallbackReasons"] == "EnvironmentPoolEmpty"


async def test_the_operator_may_forbid_it(warm: Warm) -> None:
    here = await warm.published()
    warm.pool.environments = 0
    warm.world.context = with_rules(warm.world, environment_drivers=None, pool="f")
    for _ in range(3):
        await warm.pool.look()
    assert await warm.ours() == []
    assert await warm.said(here) is WarmDriver.NEVER
    session = (await create(warm.world, here)).session
    assert session.tags["FallbackReasons"] == "EnvironmentMismatch"
    assert KEEPS_WARM in session.tags["FallbackMessages"]


async def test_the_property_is_a_switch_and_none_of_a_sessions(world: World) -> None:
    here = await staged(world)
    with pytest.raises(Invalid, match="true or false"):
        await environments.change_compute(
            world.context, world.admin, here, changes={}, properties={KEEPS_WARM: "often"}
        )
    view = await create_session(
        world.context, world.admin, *world.place, CreateSession(conf={KEEPS_WARM: "true"})
    )
    assert view.session.tags["ConfWithoutEffect"] == KEEPS_WARM
